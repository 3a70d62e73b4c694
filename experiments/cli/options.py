"""Options that several commands have."""

from __future__ import annotations

import click

RUNTIMES = click.Choice(["auto", "native", "guest"])
CLOCKS = click.Choice(["auto", "virtual", "real"])
