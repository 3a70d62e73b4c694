"""Options that several commands have."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A number in the range: not ``nan``, which every range has, and infinite only where ``endless``."""

    name = "number"

    def __init__(self, least: float | None = None, endless: bool = False) -> None:
        super().__init__(min=least)
        self._endless = endless

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click does."""
        found = float(super().convert(value, param, ctx))
        if math.isnan(found) or (math.isinf(found) and not self._endless):
            self.fail(f"{value} is no number that it could be.", param, ctx)
        return found


RUNTIMES = click.Choice(["auto", "native", "guest"])
CLOCKS = click.Choice(["auto", "virtual", "real"])
SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Have the Dask cluster of this scheduler carry the runs out, instead of --jobs here.",
)
