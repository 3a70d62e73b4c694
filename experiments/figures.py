"""The figures: each a function of run directories, registered under its id.

A figure function takes the finished runs that it can use and writes nothing itself: it returns what to draw and the
rows behind it, so that the CSV beside a figure holds exactly what the eye sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dmmlab.experiments import style
from dmmlab.experiments.rundir import RunDirectory, read_csv, write_csv


class FigureError(Exception):
    """The figure cannot be drawn from these runs; one sentence: what is missing."""


@dataclass(frozen=True)
class Drawing:
    """A figure, its caption, and the rows behind it."""

    figure: Figure
    caption: str
    columns: Sequence[str]
    rows: list[Mapping[str, object]]


@dataclass(frozen=True)
class FigureKind:
    """A figure that can be drawn: its id, its name, what it shows, and how."""

    id: str
    name: str
    shows: str
    draw: Callable[[Sequence[RunDirectory]], Drawing]


def finished(folders: Sequence[Path]) -> list[RunDirectory]:
    """The valid runs in ``folders`` and right below them, by path. Unfinished and invalid ones stay out."""
    found = sorted(
        {path.parent for folder in folders for path in (*folder.glob("run.json"), *folder.glob("*/run.json"))}
    )
    runs = [RunDirectory(path) for path in found]
    return [run for run in runs if (run.outcome() or {}).get("outcome") == "ok"]


def write(kind: FigureKind, runs: Sequence[RunDirectory], out: Path) -> Path:
    """Draws ``kind`` from ``runs`` into folder ``out``: PNG, PDF, CSV and caption. Returns the PNG's path."""
    drawing = kind.draw(runs)
    out.mkdir(parents=True, exist_ok=True)
    stem = out / f"{kind.id}-{kind.name}"
    style.save(drawing.figure, str(stem))
    write_csv(stem.with_suffix(".csv"), drawing.columns, drawing.rows)
    stem.with_suffix(".txt").write_text(f"{kind.id} {kind.name}. {drawing.caption}\n")
    return stem.with_suffix(".png")


# -- F1 ------------------------------------------------------------------------------------------------------------
_LEAD_S, _TRAIL_S = 0.3, 0.5  # of time around the move that F1 shows


def continuity(runs: Sequence[RunDirectory]) -> Drawing:
    """F1: sequence number against time of the first session that a move interrupts, with and without redirect."""
    panels = [(run, session, move) for run in runs for session, move in _interrupted(run)[:1]]
    if not panels:
        raise FigureError("F1 needs a run in which a session with probes is under way while its mobile node moves")
    panels = sorted(panels, key=lambda panel: not panel[0].manifest()["scenario"]["redirect"])[:2]
    figure, axes = style.figure(height_in=3.2, nrows=1, ncols=len(panels), sharex=True, sharey=True, squeeze=False)
    rows: list[Mapping[str, object]] = []
    said = []
    for axis, (run, session, move) in zip(axes[0], panels, strict=True):
        probes = [row for row in read_csv(run.probes) if row["session"] == session]
        redirect = bool(run.manifest()["scenario"]["redirect"])
        rows += [{"redirect": redirect, **row} for row in probes]
        said.append(_continuity_panel(axis, probes, move, redirect))
    axes[0][0].set_ylabel("sequence number of the probe")
    figure.supxlabel("time since the scenario's start (s)", fontsize=9)
    run, session, move = panels[0]
    manifest = run.manifest()
    caption = (
        f"Session {session} of scenario {manifest['name']}, on the address of {move['from_mr']}, while {move['mn']} "
        f"moves from {move['from_mr']} to {move['to_mr']}: probes by the time they were sent, lost ones marked. "
        f"{'; '.join(said)}. Times are kernel capture stamps at the correspondent; "
        f"{manifest['runtime']}, {manifest['clock']} time, seed {manifest['seed']}, n = 1 run each."
    )
    return Drawing(figure, caption, ("redirect", "session", "seq", "sent_s", "received_s", "rtt_ms"), rows)


def _interrupted(run: RunDirectory) -> list[tuple[str, dict[str, str]]]:
    """Sessions with probes on both sides of a move of their mobile node, each with the first such move."""
    moves = read_csv(run.handovers)
    found = []
    for session in read_csv(run.sessions):
        sent = [
            float(row["sent_s"])
            for row in read_csv(run.probes)
            if row["session"] == session["session"] and row["sent_s"]
        ]
        for move in moves:
            if move["mn"] == session["mn"] and sent and min(sent) < float(move["detach_s"]) < max(sent):
                found.append((session["session"], move))
                break
    return found


def _continuity_panel(axis: Any, probes: list[dict[str, str]], move: dict[str, str], redirect: bool) -> str:
    """Draws one panel, and says in words what it shows."""
    detach, attach = float(move["detach_s"]), float(move["attach_s"])
    confirmed = float(move["redirect_s"]) if move["redirect_s"] else None
    look = style.REDIRECT[redirect]
    sent = [row for row in probes if row["sent_s"]]
    answered = [row for row in sent if row["received_s"]]
    lost = [row for row in sent if not row["received_s"]]
    axis.axvspan(detach, attach, color="#eeeeee", zorder=0, label="detached")
    if confirmed is not None:
        axis.axvline(confirmed, color="#555555", linewidth=0.8, linestyle="--", label="redirect confirmed")
    for chosen, label, marker, colour in (
        (answered, "answered", look.marker, look.colour),
        (lost, "lost", style.LOST.marker, style.LOST.colour),
    ):
        shown = [row for row in chosen if detach - _LEAD_S <= float(row["sent_s"]) <= detach + _TRAIL_S]
        axis.plot(
            [float(row["sent_s"]) for row in shown],
            [int(row["seq"]) for row in shown],
            linestyle="",
            marker=marker,
            color=colour,
            markersize=4 if chosen is answered else 7,
            label=label,
        )
    axis.set_xlim(detach - _LEAD_S, detach + _TRAIL_S)
    after = [row for row in lost if float(row["sent_s"]) > detach]
    axis.set_title(f"{look.label}: {len(lost)} of {len(sent)} probes lost", fontsize=9)
    axis.legend(fontsize=7, loc="upper left")
    came = "none" if len(after) == sum(float(row["sent_s"]) > detach for row in sent) else "the others"
    return f"{look.label}, {len(lost)} of {len(sent)} probes are lost, and {came} sent after the detachment arrive"


FIGURES: dict[str, FigureKind] = {
    kind.id: kind
    for kind in (
        FigureKind(
            "F1", "continuity", "a session on the old address through a move, with redirect and without", continuity
        ),
    )
}
