"""The figures: one registry, each declared in a module of its own."""

from __future__ import annotations

from dmmlab.experiments.figures import continuity, fidelity, handover, scale, stretch, survival
from dmmlab.experiments.figures.base import About, Drawing, FigureError, FigureKind, digest, finished, read, write

FIGURES: dict[str, FigureKind] = {
    module.FIGURE.id: module.FIGURE for module in (continuity, stretch, survival, handover, scale, fidelity)
}

__all__ = ["FIGURES", "About", "Drawing", "FigureError", "FigureKind", "digest", "finished", "read", "write"]
