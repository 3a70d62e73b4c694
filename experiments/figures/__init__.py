"""The figures: one registry, each declared in a module of its own."""

from __future__ import annotations

from dmmlab.experiments.figures import (
    choice,
    continuity,
    fidelity,
    handover,
    loss,
    relay,
    rtt,
    scale,
    server_distance,
    setup,
    signalling,
    staleness,
    stretch,
    survival,
)
from dmmlab.experiments.figures.base import (
    About,
    Drawing,
    FigureError,
    FigureKind,
    digest,
    digest_of,
    finished,
    read,
    write,
)

_MODULES = (
    *(continuity, setup, rtt, server_distance, stretch, staleness, survival),
    *(handover, signalling, relay, loss, scale, choice, fidelity),
)
FIGURES: dict[str, FigureKind] = {module.FIGURE.id: module.FIGURE for module in _MODULES}

__all__ = [
    "FIGURES",
    "About",
    "Drawing",
    "FigureError",
    "FigureKind",
    "digest",
    "digest_of",
    "finished",
    "read",
    "write",
]
