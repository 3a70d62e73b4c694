"""Options that several commands have."""

from __future__ import annotations

import click

RUNTIMES = click.Choice(["auto", "native", "guest"])
CLOCKS = click.Choice(["auto", "virtual", "real"])
SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Have the Dask cluster of this scheduler carry the runs out, instead of --jobs here.",
)
