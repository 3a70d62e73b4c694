"""How everything looks that is drawn: one colour, marker and dash for each method (its own) and each case (set here).

Colours are Okabe and Ito's, which the colour-blind tell apart; markers and dashes carry the same distinction in grey.
Draw inside ``with in_force():``: Matplotlib looks its settings up whenever a text, a legend or a file is made, and
outside the block they are whatever the caller's are. Whoever reads looks alone need not wait for Matplotlib, which is
imported where something is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dmmlab.experiments import methods
from dmmlab.experiments.methods.base import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = {name: method.look for name, method in methods.METHODS.items()}
REDIRECT = {
    True: Look("#0072B2", "o", "-", "with redirect"),
    False: Look("#D55E00", "x", "--", "without redirect"),
}
TRANSPORTS = {"udp": Look("#000000", "o", "-", "UDP"), "tcp": Look("#000000", "o", "--", "TCP")}
POLICIES = {
    "latest": Look("#0072B2", "s", "--", "latest"),
    "anchor": Look("#E69F00", "P", ":", "anchor"),
    "cached": Look("#56B4E9", "X", "-.", "cached"),
    "lowest-rtt": Look("#009E73", "^", "-", "lowest-rtt"),
    "hysteresis": Look("#000000", "D", "-", "hysteresis"),
    "scored": Look("#888888", "o", "--", "scored"),
    "race": Look("#CC79A7", "v", (0, (5, 1, 1, 1)), "race"),
    "staggered": Look("#D55E00", "<", ":", "staggered"),
}
PATHS = {  # what became of a session; the hatches tell them apart in grey
    "direct": ("#009E73", ""),
    "redirect": ("#E69F00", "///"),
    "relay": ("#D55E00", "xxx"),
    "retried": ("#56B4E9", "..."),
    "failed": ("#444444", "\\\\\\"),
}
PROTOCOLS = {
    "openflow": ("#999999", ""),
    "dhcp": ("#F0E442", "///"),
    "arp": ("#dddddd", "++"),
    "nd": ("#E69F00", "xx"),
    "dns": ("#0072B2", "\\\\\\"),
    "dns-update": ("#56B4E9", "..."),
    "registration": ("#009E73", "xxx"),
    "handover": ("#CC79A7", "oo"),
}
SERIES = (  # for what has no look of its own: in order
    *(Look("#0072B2", "o", "-", ""), Look("#D55E00", "s", "--", ""), Look("#009E73", "^", "-.", "")),
    *(Look("#CC79A7", "D", ":", ""), Look("#E69F00", "v", (0, (5, 1, 1, 1)), ""), Look("#000000", "P", "-", "")),
)
LOST = Look("#777777", "|", "", "lost")

_STYLE = {
    "font.family": "serif",
    "font.serif": ["DejaVu Serif"],  # comes with Matplotlib: the same figure on every machine
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "figure.labelsize": 9,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "savefig.bbox": "tight",
    "pdf.fonttype": 42,  # text stays text: searchable, and what journals ask for
    "svg.hashsalt": "dmmlab",  # the same figure is the same file
}


@contextmanager
def in_force() -> Iterator[None]:
    """The house's settings, and nobody else's, for as long as the block runs."""
    import matplotlib as mpl

    with mpl.rc_context({**mpl.rcParamsDefault, "backend": "agg", **_STYLE}):
        yield


def figure(width_in: float = 6.3, height_in: float = 3.2, **subplots: Any) -> tuple[Figure, Any]:
    """A figure of the width of a page's text, with axes as `plt.subplots` gives them, and no global state."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width_in, height_in), layout="constrained")
    return drawn, drawn.subplots(**subplots)


def column(nrows: int, height_in: float, **subplots: Any) -> tuple[Figure, Any]:
    """A figure of the width of a journal's column (8.5 cm), its panels below each other: read at the size it is."""
    return figure(3.35, height_in, nrows=nrows, **subplots)


def sample(drawn: Figure, words: str) -> None:
    """What was drawn how often and from which seeds, in the picture itself, below its panels."""
    drawn.supxlabel(words, fontsize=6.5)


def line(
    axis: Any,
    look: Look,
    points: Sequence[tuple[float, float]],
    interval: Sequence[tuple[float, float]] = (),
    **how: Any,
) -> None:
    """A series through ``points``, its confidence intervals as bars; points are taken by their x."""
    order = sorted(range(len(points)), key=lambda i: points[i][0])
    x, y = [points[i][0] for i in order], [points[i][1] for i in order]
    how = {"label": look.label, **how}
    axis.plot(x, y, color=look.colour, marker=look.marker, linestyle=look.dash, **how)
    if interval:
        below = [max(0.0, points[i][1] - interval[i][0]) for i in order]
        above = [max(0.0, interval[i][1] - points[i][1]) for i in order]
        axis.errorbar(x, y, yerr=[below, above], fmt="none", ecolor=look.colour, elinewidth=0.9, capsize=2)


def closed_form(
    axis: Any, points: Sequence[tuple[float, float]], label: str | None = "closed form", size: float = 9
) -> None:
    """The oracle's points: a ring around where the measured one must lie."""
    x, y = [point[0] for point in points], [point[1] for point in points]
    axis.plot(x, y, linestyle="", marker="o", markersize=size, markerfacecolor="none",
              markeredgecolor="#000000", markeredgewidth=0.6, label=label, zorder=1)  # fmt: skip


def grey(colour: str) -> float:
    """How light ``colour`` (#rrggbb) is in grey: 0 black to 1 white (ITU-R BT.601)."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def panels(height_in: float, layout: list[list[str]] | None = None, **subplots: Any) -> tuple[Figure, Any]:
    """A figure of more panels than fit into a column as it is, and legible there (8.5 cm) when it is scaled by 0.7.

    With ``layout``, its axes by name, as `Figure.subplot_mosaic` gives them.
    """
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4.7, height_in), layout="constrained")
    return drawn, drawn.subplots(**subplots) if layout is None else drawn.subplot_mosaic(layout, **subplots)


def save(drawn: Figure, stem: str, pdf: bool) -> None:
    """``STEM.png`` to read and, if asked for, ``STEM.pdf`` to print, which takes as long again: fonts are cut down.

    Neither carries a date, so a redraw is the same bytes.
    """
    drawn.savefig(f"{stem}.png", dpi=160, metadata={"Software": None})
    if pdf:
        drawn.savefig(f"{stem}.pdf", metadata={"CreationDate": None, "Producer": None, "Creator": None})


def legend(axis: Any, looks: Mapping[str, Look], **how: Any) -> None:
    """A legend of ``looks`` alone, whatever has been drawn."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash, label=look.label)
        for look in looks.values()
    ]
    axis.legend(handles=handles, **how)
