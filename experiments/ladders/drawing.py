"""How a message ladder looks: one line a participant, one row a message, its times where it leaves and arrives."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from dmmlab.experiments.figures import style
from dmmlab.experiments.ladders.ladder import FIGURES, START, USER, Ladder, Section, Step
from dmmlab.experiments.methods import METHODS, fixed

_WIDTH_IN, _ROW_IN, _HEAD_IN = 6.3, 0.30, 0.36
_SLANT = 0.22  # of a row: an arrow falls on its way, as time passes
_LETTER_IN, _HEAD_LETTER_IN = 0.054, 0.078  # width of a letter, on the average, of labels and of heads
_TIME_IN = 0.42  # beside the outermost lines: room for a time
_GREY, _LIFELINE = "#444444", "#aaaaaa"
_ROLES = {"DDNS": "DDNS server", "RESOLVER": "resolver", "SERVER": "registration server"}


def draw(ladder: Ladder, stem: Path, pdf: bool) -> str:
    """Draws ``ladder`` to ``STEM.png`` and, if asked for, ``STEM.pdf``; returns the caption."""
    with style.in_force():
        style.save(_Sheet(ladder).figure, str(stem), pdf)
    return caption(ladder)


def caption(ladder: Ladder) -> str:
    """What the ladder shows, in words that stand alone."""
    entry = ladder.session.entry
    if ladder.of_opener:
        return (
            f"Registrations of {entry.from_}, a correspondent that moves, as captured: both ends of a session register "
            f"after each attachment (draft 4.2). It opens session {ladder.session.name} with {entry.to}. Beside each "
            "arrow, the time at which the message left its sender and the time at which it reached its receiver, in ms "
            "since the movement began. Rows are in the order of departure and not to scale."
        )
    others = [s.since for s in ladder.sections if s.since != ladder.session.name and s.steps[0].plane == USER]
    black = f" Black: the first packets of {' and '.join(others)}, of which each is on the newest address." * bool(
        others
    )
    return (
        f"Messages of method {METHODS[ladder.method].look.label} as captured, to hold beside the draft's Figure "
        f"{FIGURES[ladder.method]}: registration of {_registering(ladder)}, then session {ladder.session.name}, which "
        f"{entry.from_} opens at {ladder.session.at_s:g} s. Thin arrows: control plane; thick arrows: user plane."
        f"{black} "
        "Beside each arrow, the time at which the message left its sender and the time at which it reached its "
        "receiver, in ms since the event that heads the section. Rows are in the order of departure and not to scale."
    )


def _registering(ladder: Ladder) -> str:
    """Whose addresses are told to a server before the session."""
    told = [s for section in ladder.sections if section.since != ladder.session.name for s in section.steps]
    first = [step for step in told if step.plane != USER and step.source not in _ROLES]
    names = dict.fromkeys(step.source for step in first)
    owners = [f"{name}'s" for name in sorted(names, key=lambda name: name != ladder.session.mn)]
    return f"{' and '.join(owners)} addresses"


def _places(ladder: Ladder) -> list[float]:
    """Where each participant's line stands, in inches: as far apart as heads and labels need, the rest shared out."""
    names = ladder.participants
    heads = [len(_ROLES.get(name, name)) * _HEAD_LETTER_IN for name in names]
    gaps = [max(0.5, (one + other) / 2 + 0.15) for one, other in pairwise(heads)]
    steps = [step for section in ladder.sections for step in section.steps]
    for step in sorted(steps, key=lambda step: abs(names.index(step.source) - names.index(step.destination))):
        first, last = sorted((names.index(step.source), names.index(step.destination)))
        lacking = len(step.says) * _LETTER_IN + 0.12 - sum(gaps[first:last])
        if lacking > 0:
            gaps[first:last] = [gap + lacking / (last - first) for gap in gaps[first:last]]
    spare = (_WIDTH_IN - 2 * max(_TIME_IN, *(head / 2 for head in (heads[0], heads[-1]))) - sum(gaps)) / len(gaps)
    return list(accumulate((gap + spare for gap in gaps), initial=(_WIDTH_IN - sum(gaps) - spare * len(gaps)) / 2))


class _Sheet:
    """One figure: x in inches, y counts rows downwards."""

    def __init__(self, ladder: Ladder) -> None:
        from matplotlib.figure import Figure

        self._ladder = ladder
        self._at = dict(zip(ladder.participants, _places(ladder), strict=True))
        rows = sum(len(section.steps) + 1.15 for section in ladder.sections) + 0.2
        self.figure = Figure(figsize=(_WIDTH_IN, rows * _ROW_IN + _HEAD_IN))
        self._axis = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axis.set_axis_off()
        self._axis.set_xlim(0.0, _WIDTH_IN)
        self._axis.set_ylim(rows, -_HEAD_IN / _ROW_IN)
        self._heads(rows)
        y = 0.0
        for section in ladder.sections:
            self._title(section, y)
            y += 1.15
            for step in section.steps:
                self._arrow(section, step, y)
                y += 1.0

    def _heads(self, rows: float) -> None:
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "black", "linewidth": 0.8}
        for name, x in self._at.items():
            self._axis.plot([x, x], [0.0, rows], color=_LIFELINE, linewidth=0.8, zorder=0)
            self._text(x, -0.62, _ROLES.get(name, name), fontsize=8, weight="bold", bbox=box)

    def _title(self, section: Section, y: float) -> None:
        self._axis.axhspan(y + 0.1, y + 0.85, color="#eeeeee", zorder=0.5, linewidth=0)
        began = "since the movement began" if "→" in section.since else "since the session's start"
        since = f"ms {began}" if section.since != START else f"ms since {START}"
        self._text(0.08, y + 0.48, section.title, fontsize=7.5, style="italic", ha="left")
        self._text(_WIDTH_IN - 0.08, y + 0.48, since, fontsize=6.5, color=_GREY, ha="right")

    def _arrow(self, section: Section, step: Step, y: float) -> None:
        start, end = self._at[step.source], self._at[step.destination]
        side = 1 if end > start else -1
        user, others = step.plane == USER, section.since not in (START, self._ladder.session.name)
        look = style.METHODS[fixed.METHOD.name if user and others else self._ladder.method]
        top, bottom = y + 0.5, y + 0.5 + _SLANT
        shape: dict[str, Any] = {"arrowstyle": "-|>", "color": look.colour, "linewidth": 1.9 if user else 0.9}
        shape |= {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 10 if user else 8}
        self._axis.annotate("", xy=(end, bottom), xytext=(start, top), arrowprops=shape, zorder=3)
        box = {"boxstyle": "square,pad=0.02", "facecolor": "white", "edgecolor": "none"}  # hides lines, not arrows
        above = top + _SLANT / 2 - 0.15
        self._text((start + end) / 2, above, step.says, fontsize=7, va="bottom", zorder=2, bbox=box)
        self._time(start, top, section.ms(step.departed_ns), -side)
        self._time(end, bottom, section.ms(step.arrived_ns), side)

    def _time(self, x: float, y: float, value_ms: float | None, side: int) -> None:
        text = "lost" if value_ms is None else f"{value_ms:.1f}"
        self._text(x + side * 0.07, y, text, fontsize=6.5, color=_GREY, ha="left" if side > 0 else "right")

    def _text(self, x: float, y: float, text: str, **how: Any) -> None:
        self._axis.text(x, y, text, **{"ha": "center", "va": "center", **how})
