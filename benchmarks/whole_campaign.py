"""The whole campaign, which takes ten minutes and more: measured on request only."""

from __future__ import annotations

import sys

from benchmarks import campaign, tables
from dmmlab.experiments.figures import FIGURES

ON_REQUEST = True


def measure() -> dict[str, float]:
    """Wall and processor seconds of every figure's runs, drawn and compared, and how far that is from real."""
    return campaign.figures_of(tuple(FIGURES))


def main() -> int:
    """Measure and print."""
    sys.stdout.write(tables.listing(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
