"""F1: a session on the old address through a move, with redirect and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.figures import style
from dmmlab.experiments.figures.base import About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.records.rundir import RunDirectory, read_csv
from dmmlab.experiments.scenario.model import Scenario

_LEAD_S, _TRAIL_S = 0.3, 0.5  # of time around the move that is drawn


def scenarios(load: Load) -> list[Scenario]:
    return [load("two-mr", {}), load("two-mr", {"name": "two-mr-no-redirect", "redirect": False})]


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Every probe of the first session that a move interrupts, of one run with the redirect and one without."""
    rows: list[Row] = []
    for redirect in (True, False):
        found = [run for run in runs if bool(run.manifest()["scenario"]["redirect"]) == redirect]
        for run in found:
            if hits := _interrupted(run):
                rows += _probes(run, *hits[0], redirect)
                break
    return rows


def _interrupted(run: RunDirectory) -> list[tuple[str, dict[str, str]]]:
    """Sessions with probes on both sides of a move of their mobile node, each with the first such move."""
    moves, probes = read_csv(run.handovers), read_csv(run.probes)
    found = []
    for session in read_csv(run.sessions):
        sent = [float(row["sent_s"]) for row in probes if row["session"] == session["session"] and row["sent_s"]]
        for move in moves:
            if move["mn"] == session["mn"] and sent and min(sent) < float(move["detach_s"]) < max(sent):
                found.append((session["session"], move))
                break
    return found


def _probes(run: RunDirectory, session: str, move: dict[str, str], redirect: bool) -> list[Row]:
    times = {key: float(move[key]) if move[key] else None for key in ("detach_s", "attach_s", "redirect_s")}
    return [
        {
            **{"redirect": redirect, "session": session, "seq": int(probe["seq"]), "sent_s": float(probe["sent_s"])},
            "rtt_ms": float(probe["rtt_ms"]) if probe["rtt_ms"] else None,
            **times,
        }
        for probe in read_csv(run.probes)
        if probe["session"] == session and probe["sent_s"]
    ]


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    found = []
    for redirect in (True, False):
        probes = [row for row in rows if row["redirect"] == redirect]
        if not probes:
            found.append(f"there is no run {'with' if redirect else 'without'} the redirect")
            continue
        move = probes[0]
        over_s = move["redirect_s"] if redirect else move["attach_s"]
        longest_s = max((row["rtt_ms"] for row in probes if row["rtt_ms"] is not None), default=0.0) / 1e3
        for row in probes:
            # A probe that was under way when the radio link went may be lost too: hence the round trip.
            outside = row["sent_s"] < move["detach_s"] - longest_s or row["sent_s"] > over_s
            after = row["sent_s"] > over_s
            if outside and (row["rtt_ms"] is None) != (after and not redirect):
                what = "was lost" if row["rtt_ms"] is None else "was answered"
                found.append(f"probe {row['seq']} {what} {style.REDIRECT[redirect].label}")
    return found[:3]


def plot(rows: list[Row], about: About) -> Drawing:
    panels = [flag for flag in (True, False) if any(row["redirect"] == flag for row in rows)]
    figure, axes = style.figure(nrows=1, ncols=len(panels), sharex=True, sharey=True, squeeze=False)
    said = []
    for axis, redirect in zip(axes[0], panels, strict=True):
        said.append(_panel(axis, [row for row in rows if row["redirect"] == redirect], redirect))
    axes[0][0].set_ylabel("sequence number of the probe")
    figure.supxlabel("time a probe was sent, since the scenario's start (s)")
    caption = (
        f"Sequence number against time of session {rows[0]['session']}, which keeps the address of the mobile "
        f"router it began at, while its mobile node moves on. It goes so: {'; '.join(said)}. Times are kernel "
        f"capture stamps at the correspondent; n = 1 session each. {about}"
    )
    return Drawing(figure, caption)


def _panel(axis: Any, probes: list[Row], redirect: bool) -> str:
    """Draws one panel, and says in words what it shows."""
    detach, attach, confirmed = (probes[0][key] for key in ("detach_s", "attach_s", "redirect_s"))
    look, lost = style.REDIRECT[redirect], [row for row in probes if row["rtt_ms"] is None]
    axis.axvspan(detach, attach, color="#e4e4e4", zorder=0, label="no radio link")
    if confirmed is not None:
        axis.axvline(confirmed, color="#555555", linewidth=0.8, linestyle="--", label="redirect confirmed")
    answered = [row for row in probes if row["rtt_ms"] is not None]
    for chosen, label, drawn, size in ((answered, "answered", look, 4), (lost, "lost", style.LOST, 7)):
        shown = [row for row in chosen if detach - _LEAD_S <= row["sent_s"] <= detach + _TRAIL_S]
        points = [(row["sent_s"], row["seq"]) for row in shown]
        style.line(axis, drawn._replace(dash="", label=label), points, markersize=size)
    axis.set_xlim(detach - _LEAD_S, detach + _TRAIL_S)
    axis.set_title(f"{look.label}: {len(lost)} of {len(probes)} probes lost")
    axis.legend(loc="upper left")
    after = [row for row in lost if row["sent_s"] > detach]
    came = "none" if len(after) == sum(row["sent_s"] > detach for row in probes) else "all others"
    return f"{look.label}, {len(lost)} of {len(probes)} probes are lost, and {came} sent after the detachment arrive"


FIGURE = FigureKind(
    id="F1",
    name="continuity",
    shows="a session on the old address through a move, with redirect and without",
    scenarios=scenarios,
    columns=("redirect", "session", "seq", "sent_s", "rtt_ms", "detach_s", "attach_s", "redirect_s"),
    key=("redirect", "session", "seq"),
    subject="rtt_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim="with the redirect, only probes of the gap and before its confirmation are lost; without, all after the move",
)
