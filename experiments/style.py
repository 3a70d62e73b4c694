"""How everything looks that is drawn: one colour, marker and dash for each method and each case, set here alone.

Colours are Okabe and Ito's, which the colour-blind tell apart; markers and dashes carry the same distinction in grey.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure


class Look(NamedTuple):
    """A series' colour, marker and line style."""

    colour: str
    marker: str
    dash: str
    label: str


METHODS = {
    "fixed": Look("#000000", "o", "-", "fixed"),
    "ddns": Look("#0072B2", "s", "--", "DDNS"),
    "p2p": Look("#009E73", "^", "-.", "P2P"),
    "central": Look("#D55E00", "D", ":", "server central"),
    "combined": Look("#CC79A7", "v", (0, (5, 1, 1, 1)), "combined"),  # type: ignore[arg-type]
}
REDIRECT = {
    True: Look("#0072B2", "o", "-", "with redirect"),
    False: Look("#D55E00", "x", "-", "without redirect"),
}
ORACLE = Look("#000000", "_", ":", "closed form")
LOST = Look("#777777", "|", "", "lost")

_STYLE = {
    "font.family": "serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "svg.hashsalt": "dmmlab",  # the same figure is the same file
}


def figure(width_in: float = 6.3, height_in: float = 3.4, **subplots: Any) -> tuple[Figure, Any]:
    """A figure of the width of a page's text, with axes as `plt.subplots` gives them, and no global state."""
    with mpl.rc_context(_STYLE):
        drawn = Figure(figsize=(width_in, height_in), layout="constrained")
        return drawn, drawn.subplots(**subplots)


def save(drawn: Figure, stem: str) -> None:
    """``STEM.png`` to read and ``STEM.pdf`` to print; neither carries a date."""
    with mpl.rc_context(_STYLE):
        drawn.savefig(f"{stem}.png", dpi=200, metadata={"Software": None})
        drawn.savefig(f"{stem}.pdf", metadata={"CreationDate": None})
