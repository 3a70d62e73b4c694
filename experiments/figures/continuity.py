"""F1: a session on the old address through a move, with redirect and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmmlab.experiments.figures import ENTRIES, style
from dmmlab.experiments.figures.base import About, Drawing, FigureKind, Load, Row
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rows import HandoverRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_LEAD_S, _TRAIL_S = 0.3, 0.5  # of time around the move that is drawn


def scenarios(load: Load) -> list[Scenario]:
    """The shipped scenarios with the redirect and without."""
    return [load("two-mr", {}), load("two-mr", {"name": "two-mr-no-redirect", "redirect": False})]


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Every probe of the first session that a move interrupts, of one run with the redirect and one without."""
    return [row for run, hit in _drawn(runs) for row in _probes(run, *hit, run.scenario.redirect)]


def _drawn(runs: Sequence[RunDirectory]) -> list[tuple[Recording, tuple[str, HandoverRow]]]:
    """The first run with the redirect and the first without that show it, each with the session and the move."""
    found = []
    for redirect in (True, False):
        for run in (run for run in recordings(runs) if run.scenario.redirect == redirect):
            if hits := _interrupted(run):
                found.append((run, hits[0]))
                break
    return found


def shown(runs: Sequence[RunDirectory]) -> list[RunDirectory]:
    """Those of ``runs`` that are drawn."""
    return [run.run for run, _ in _drawn(runs)]


def _interrupted(run: Recording) -> list[tuple[str, HandoverRow]]:
    """Sessions with probes on both sides of a move of either end, each with the first such move."""
    found = []
    for session in run.sessions:
        if METHODS[session.spec.method].relayed:
            continue  # it keeps the server's address, not one of the node's
        sent = [probe.sent_s for probe in run.probes[session.spec.name]]
        for move in run.handovers:
            if (
                move.mn in (session.spec.mn, session.spec.cn)
                and sent
                and min(sent) < (move.detach_s or 0.0) < max(sent)
            ):
                found.append((session.spec.name, move))
                break
    return found


def _probes(run: Recording, session: str, move: HandoverRow, redirect: bool) -> list[Row]:
    times = {"detach_s": move.detach_s, "attach_s": move.attach_s, "redirect_s": move.redirect_s}
    return [
        {
            **{"redirect": redirect, "session": session, "seq": probe.seq, "sent_s": probe.sent_s},
            "rtt_ms": probe.rtt_ms,
            **times,
        }
        for probe in run.probes[session]
    ]


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """Which probes were lost, or answered, that should not have been; three at the most."""
    found = []
    for redirect in (True, False):
        probes = [row for row in rows if row["redirect"] == redirect]
        if not probes:
            found.append(f"there is no run {'with' if redirect else 'without'} the redirect")
            continue
        move = probes[0]
        over_s = max(move["redirect_s"], move["attach_s"]) if redirect else move["attach_s"]
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
    """Sequence number against time, the case with the redirect above the one without."""
    panels = [flag for flag in (True, False) if any(row["redirect"] == flag for row in rows)]
    figure, axes = style.figure(nrows=1, ncols=len(panels), sharex=True, sharey=True, squeeze=False)
    outcomes = []
    for axis, redirect in zip(axes[0], panels, strict=True):
        outcomes.append(_panel(axis, [row for row in rows if row["redirect"] == redirect], redirect))
    axes[0][0].set_ylabel("sequence number of the probe")
    figure.supxlabel("time a probe was sent, since the scenario's start (s)")
    names = " and ".join(dict.fromkeys(row["session"] for row in rows))
    caption = (
        f"Sequence number against time of session {names}, which keeps the address of the mobile "
        f"router it began at, while its mobile node moves on. It goes so: {'; '.join(outcomes)}. Times are kernel "
        f"capture stamps where the session was opened; n = 1 session each. {about}"
    )
    return Drawing(figure, caption)


def _panel(axis: Any, probes: list[Row], redirect: bool) -> str:
    """Draws one panel, and says in words what it shows."""
    detach, attach, confirmed = (probes[0][key] for key in ("detach_s", "attach_s", "redirect_s"))
    look, lost = style.REDIRECT[redirect], [row for row in probes if row["rtt_ms"] is None]
    links = "no radio link" if detach <= attach else "two radio links"
    axis.axvspan(detach, attach, color="#e4e4e4", zorder=0, label=links)
    if confirmed is not None:
        axis.axvline(confirmed, color="#555555", linewidth=0.8, linestyle="--", label="redirect confirmed")
    answered = [row for row in probes if row["rtt_ms"] is not None]
    for chosen, label, drawn, size in ((answered, "answered", look, 4), (lost, "lost", style.LOST, 7)):
        shown = [row for row in chosen if detach - _LEAD_S <= row["sent_s"] <= detach + _TRAIL_S]
        points = [(row["sent_s"], row["seq"]) for row in shown]
        style.line(axis, drawn._replace(dash="", label=label), points, markersize=size)
    axis.set_xlim(detach - _LEAD_S, detach + _TRAIL_S)
    axis.set_title(f"{look.label}: {len(lost)} of {len(probes)} probes lost")
    axis.legend(loc="lower right")
    after = [row for row in lost if row["sent_s"] > detach]
    came = "none" if len(after) == sum(row["sent_s"] > detach for row in probes) else "all others"
    return f"{look.label}, {len(lost)} of {len(probes)} probes are lost, and {came} sent after the detachment arrive"


FIGURE = FigureKind(
    entry=ENTRIES["F1"],
    scenarios=scenarios,
    columns=("redirect", "session", "seq", "sent_s", "rtt_ms", "detach_s", "attach_s", "redirect_s"),
    key=("redirect", "session", "seq"),
    subject="rtt_ms",
    measure=measure,
    plot=plot,
    check=check,
    shown=shown,
    claim="with the redirect, only probes of the gap and before its confirmation are lost; without, all after the move",
)
