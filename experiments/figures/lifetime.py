"""F18: an address's life in the flow tables, by its kind (RFC 8653)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.figures.sweep import build, session_entry
from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.records.events import Event
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

KINDS = ("fixed", "session-lasting", "non-persistent")
_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}
_ENDS_S = 15.0  # of the one session on the first address
_LATE_MS = 0.001
_MARKS = {  # what is marked, of the first address: event and who logs it
    "address": ("address_configured", "MN1"),
    "redirect": ("redirect_confirmed", "controller"),
    "given back": ("address_released", "MN1"),
    "redirect gone": ("redirect_removed", "controller"),
}


def scenarios(load: Load) -> list[Scenario]:
    """The shipped network and its move; one session on the first address, which ends after it."""
    session = session_entry("P1", 2.0, cn="CN1", interval="20ms", duration=f"{_ENDS_S - 2:g}s")
    return [
        build(
            load,
            f"f18-{kind}-{family}",
            family=family,
            addresses={"lifetime": kind},
            sessions=[session],
            duration="20s",
        )
        for kind in KINDS
        for family in _FAMILIES
    ]


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """How many rules each switch has, whenever that changes; and when what is marked happened, with closed form."""
    rows: list[Row] = []
    for run in recordings(runs):
        node = run.scenario.mobile_nodes[0]
        if len(run.scenario.moves_of(node)) == 2 and (rules := _rules(run)):
            rows += [*rules, *_milestones(run, node)]
    return rows


def _about(run: Recording) -> Row:
    return {"lifetime": run.scenario.addresses.lifetime, "family": run.scenario.family}


def _rules(run: Recording) -> list[Row]:
    held: dict[str, int] = {}
    found: dict[tuple[str, float], Row] = {}
    for event in run.events:
        if event["source"] == "controller" and event["event"] == "flow_mod_sent":
            switch, at_s = event["switch"], max(0.0, event["time_s"])
            held[switch] = held.get(switch, 0) + event["installed"] - event["removed"]
            found[switch, at_s] = {
                **_about(run), "panel": "rules", "what": switch, "at_s": at_s, "rules": held[switch],
            }  # fmt: skip
    return [found[key] for key in sorted(found)]


def _milestones(run: Recording, node: str) -> list[Row]:
    """Of the address that the first movement brought."""
    first, after = run.scenario.moves_of(node)[:2]
    address = str(run.plan.mobile_node(node).addresses[first.to])
    rows = [{**_about(run), "panel": "mark", "what": "moved", "at_s": after.at}]
    for what, (name, source) in _MARKS.items():
        times = [event["time_s"] for event in run.events if _is(event, source, name, address)]
        expected = Oracle(run.scenario).given_back_s(node, 0) if what == "given back" else None
        if times or expected is not None:
            at_s = times[0] if times else None
            rows.append({**_about(run), "panel": "mark", "what": what, "at_s": at_s, "expected_s": expected})
    return rows


def _is(event: Event, source: str, name: str, address: str) -> bool:
    return (event["source"], event["event"], event.get("address")) == (source, name, address)


def _total(rows: list[Row], at_s: float) -> int:
    """Rules in all switches at ``at_s``."""
    held: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row["at_s"]):
        if row["at_s"] <= at_s:
            held[row["what"]] = row["rules"]
    return sum(held.values())


def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """What the tables hold before the move, with the redirect, and in the end."""
    found = []
    for kind in KINDS:
        for family in _FAMILIES:
            mine = [row for row in rows if (row["lifetime"], row["family"]) == (kind, family)]
            if not mine:
                found.append(f"there is no run with {kind} addresses in {_FAMILIES[family]}")
                continue
            found += [f"{kind}, {_FAMILIES[family]}: {what}" for what in _judged(kind, mine, more_ms)]
    return found


def _judged(kind: str, rows: list[Row], more_ms: float) -> list[str]:
    tables = [row for row in rows if row["panel"] == "rules"]
    marks = {row["what"]: row for row in rows if row["panel"] == "mark"}
    before, between = (_total(tables, at_s) for at_s in (marks["moved"]["at_s"] - 1e-6, _ENDS_S))
    after = _total(tables, float("inf"))
    found = []
    if kind == "non-persistent" and not before < between == after <= before + 2:
        found.append(f"{before} rules before the move, {between} then and {after} in the end: no redirect is wanted")
    if kind == "fixed" and not before < between == after:
        found.append(f"{before} rules before the move, {between} with the redirect, {after} in the end: it should stay")
    if kind == "session-lasting":
        back = marks.get("given back", {})
        if not before < between or after != before:
            found.append(f"{before} rules before the move, {between} with the redirect, {after} when it is given back")
        if back.get("at_s") is None or abs(back["at_s"] - back["expected_s"]) * 1e3 > _LATE_MS + more_ms:
            found.append(f"given back at {back.get('at_s')} s, {back.get('expected_s')} s expected")
    elif "given back" in marks:
        found.append(f"given back at {marks['given back']['at_s']} s")
    return found


def plot(rows: list[Row], about: About) -> Drawing:
    """A panel a kind of address, IPv4: the rules of both switches over time, with what happened to the address."""
    family = "ipv4" if any(row["family"] == "ipv4" for row in rows) else "ipv6"
    kinds = [kind for kind in KINDS if any(row["lifetime"] == kind for row in rows)]
    figure, axes = style.figure(height_in=3.0, ncols=len(kinds), sharey=True, squeeze=False)
    top = max(row["rules"] for row in rows if row["panel"] == "rules" and row["family"] == family)
    for axis, kind in zip(axes[0], kinds, strict=True):
        _panel(axis, [row for row in rows if (row["lifetime"], row["family"]) == (kind, family)], kind)
        axis.set_ylim(0, top * 1.35)
    axes[0][0].set_ylabel("rules in the switch")
    figure.supxlabel("time since the scenario's start (s)")
    axes[0][0].legend(loc="lower right")
    caption = (
        "What the switches of both mobile routers hold while an address lives: it is allocated at MR1, its node moves "
        f"to MR2 at 10 s, and the one session on it ends at {_ENDS_S:g} s. A fixed address keeps its redirect for "
        "good; a session-lasting one is given back when the session has been silent for a second, and the tables are "
        "as large as they were before the move; a non-persistent one has no redirect, and its session dies (what is "
        "left of it at MR1 is the binding, until the lease ends). "
        f"{_FAMILIES[family]}; counted from the controller's flow-mods. {about}"
    )
    return Drawing(figure, caption)


def _panel(axis: Any, rows: list[Row], kind: str) -> None:
    tables = [row for row in rows if row["panel"] == "rules"]
    end_s = 20.0
    for switch, look in zip(sorted({row["what"] for row in tables}), style.SERIES, strict=False):
        mine = sorted((row for row in tables if row["what"] == switch), key=lambda row: row["at_s"])
        steps = [(row["at_s"], row["rules"]) for row in mine]
        steps.append((end_s, steps[-1][1]))
        x, y = [at_s for at_s, _ in steps], [rules for _, rules in steps]
        axis.step(x, y, where="post", color=look.colour, linestyle=look.dash, label=f"{switch}, of MR{switch[1:]}")
    words = {"fontsize": 7, "va": "top", "ha": "left", "transform": axis.get_xaxis_transform()}
    for row in (row for row in rows if row["panel"] == "mark" and row["what"] in ("moved", "given back")):
        if row["at_s"] is not None:
            axis.axvline(row["at_s"], color="#555555", linewidth=0.8, linestyle="--")
            axis.text(row["at_s"] + 0.3, 0.9, row["what"].replace(" ", "\n"), **words)
    axis.axvspan(2.0, _ENDS_S, color="#f1f1f1", zorder=0)
    axis.text(2.2, 0.99, "the session", **words)
    axis.set_xlim(0, end_s)
    axis.set_title(kind)


FIGURE = FigureKind(
    entry=ENTRIES["F18"],
    scenarios=scenarios,
    columns=("lifetime", "family", "panel", "what", "at_s", "rules", "expected_s"),
    key=("lifetime", "family", "panel", "what", "at_s"),
    subject="rules",
    measure=measure,
    plot=plot,
    check=check,
    claim="a session-lasting address is given back when the closed form says, and the tables are as before the move",
)
