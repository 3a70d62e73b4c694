"""The figures, in the order of their numbers. A new one is a module of this folder and a line here."""

from __future__ import annotations

from importlib import import_module

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
    "continuity",
    "setup",
    "rtt",
    "server_distance",
    "stretch",
    "staleness",
    "survival",
    "handover",
    "signalling",
    "relay",
    "loss",
    "scale",
    "choice",
    "fidelity",
)
FIGURES: dict[str, FigureKind] = {
    figure.id: figure for figure in (import_module(f"{__name__}.{module}").FIGURE for module in _MODULES)
}

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
