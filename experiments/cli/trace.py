"""Movement as files: what a scenario's mobility comes to, and traces from what others have simulated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmmlab.experiments.cli.options import Number
from dmmlab.machine.files import write_whole

if TYPE_CHECKING:
    from dmmlab.experiments.scenario.mobility.expansion import Leg

OUT = click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File of the trace [the terminal].")


@click.group()
def trace() -> None:
    """Traces of movement: from a scenario's models, or from SUMO."""


@trace.command()
@click.argument("scenario")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Instead of the scenario's own.")
@OUT
def expand(scenario: str, seed: int | None, out: Path | None) -> None:
    """Write all movement of a scenario as a trace, which `mobility: [{trace: FILE}]` plays."""
    from dmmlab.experiments.scenario.load import load
    from dmmlab.experiments.scenario.mobility.expansion import Leg

    moves = sorted(load(scenario, {} if seed is None else {"seed": seed}).moves, key=lambda move: move.at)
    _write([Leg(move.at, move.node, move.to, move.gap, move.overlap) for move in moves], out)


@trace.command()
@click.argument("fcd", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--routers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="CSV file mr,x_m,y_m: where the mobile routers stand.",
)
@click.option(
    "--hysteresis",
    type=Number(0),
    default=20.0,
    show_default=True,
    help="A router must be nearer by more than so many metres.",
)
@click.option("--least-stay", type=Number(0), default=1.0, show_default=True, help="Seconds at a router.")
@click.option("--gap", type=Number(0), default=0.05, show_default=True, help="Of each move, seconds.")
@click.option(
    "--from", "from_s", type=Number(), default=0.0, show_default=True, help="Simulated second: the trace's 0."
)
@click.option(
    "--until", "until_s", type=Number(endless=True), default=float("inf"), help="Last simulated second [all]."
)
@click.option("--nodes", type=click.IntRange(1), help="The first so many to appear [all].")
@click.option("--names", type=click.Path(path_type=Path, dir_okay=False), help="File for node,id: who was who.")
@OUT
def sumo(  # noqa: PLR0913, PLR0917  (each is an option)
    fcd: Path,
    routers: Path,
    hysteresis: float,
    least_stay: float,
    gap: float,
    from_s: float,
    until_s: float,
    nodes: int | None,
    names: Path | None,
    out: Path | None,
) -> None:
    """Make a trace of SUMO's floating car data (sumo --fcd-output FCD): each node at the nearest router."""
    from dmmlab.experiments.scenario.mobility import sumo as floating

    for what, file in (("--out", out), ("--names", names)):
        if file is not None and not file.parent.is_dir():  # before one of two files is there without the other
            raise click.UsageError(f"{what} {file}: {file.parent} is no folder: make it first")
    rule = floating.Rule(hysteresis, least_stay, gap, from_s, until_s, nodes)
    converted = floating.convert(fcd, floating.routers(routers), rule)
    _write(converted.legs, out)
    if names is not None:
        write_whole(names, "".join(f"{line}\n" for line in ("node,id", *map(",".join, converted.names.items()))))
    moves = len(converted.legs) - len(converted.names)
    click.echo(f"trace: {len(converted.names)} nodes, {moves} moves after the first attachments", err=True)


def _write(legs: Sequence[Leg], out: Path | None) -> None:
    from dmmlab.experiments.scenario.mobility.files import trace_text

    text = trace_text(legs)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_whole(out, text)
