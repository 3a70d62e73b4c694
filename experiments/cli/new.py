"""The outline of a scenario: so many mobile routers, joined like this, and so many mobile nodes."""

from __future__ import annotations

import math
from pathlib import Path

import click

from dmmlab.experiments.scenario.joinings import JOININGS, Outline


@click.command()
@click.argument("name")
@click.option("--join", type=click.Choice([*JOININGS]), default="ring", show_default=True, help="Inter-MR links.")
@click.option("--routers", type=click.IntRange(1, 250), default=4, show_default=True, help="Number of mobile routers.")
@click.option("--nodes", type=click.IntRange(1, 2000), default=1, show_default=True, help="Number of mobile nodes.")
@click.option("--core", default="5ms", show_default=True, help="Delay of each mobile router's link to the core.")
@click.option("--between", default="4ms", show_default=True, help="Delay of each inter-MR link.")
@click.option("--radio", default="2ms", show_default=True, help="Delay of each radio link.")
@click.option("--family", type=click.Choice(["ipv4", "ipv6"]), default="ipv4", show_default=True)
@click.option("--duration", type=click.IntRange(5), help="Seconds [60, or what the trace lasts].")
@click.option(
    "--trace",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Nodes, routers and movement are those of this trace, beside which the scenario is to be.",
)
def new(  # noqa: PLR0913, PLR0917  (each is an option)
    name: str,
    join: str,
    routers: int,
    nodes: int,
    core: str,
    between: str,
    radio: str,
    family: str,
    duration: int | None,
    trace: Path | None,
) -> None:
    """Print a scenario of so many routers and nodes, joined like this.

    It runs as it is: dmmlab new NAME --join ring --routers 8 > NAME.yaml; dmmlab run NAME.yaml
    """
    from dmmlab.experiments.scenario.mobility.files import FileProblem, trace_of
    from dmmlab.experiments.scenario.model import title
    from dmmlab.experiments.scenario.units import parse_duration
    from dmmlab.machine.errors import Refusal

    given = {"NAME": (title, name), "--core": (parse_duration, core), "--between": (parse_duration, between)}
    for what, (check, value) in {**given, "--radio": (parse_duration, radio)}.items():
        try:
            check(value)
        except ValueError as error:
            raise click.UsageError(f"{what}: {error}") from None
    places, walkers = [f"MR{turn + 1}" for turn in range(routers)], [f"MN{turn + 1}" for turn in range(nodes)]
    begin_s: dict[str, float] = {}
    if trace is not None:
        try:
            rows = trace_of(trace)
        except FileProblem as error:
            raise Refusal(str(error)) from None
        for row in rows:
            begin_s.setdefault(row["node"], row["time_s"])
        places, walkers = sorted({row["mr"] for row in rows}, key=_natural), list(begin_s)
        duration = duration or math.ceil(rows[-1]["time_s"]) + 2
    joined = (core, between, radio, duration or 60, family, trace.name if trace else None, begin_s)
    click.echo(Outline(name, join, places, walkers, *joined).text(), nl=False)


def _natural(name: str) -> tuple[str, int]:
    """MR2 before MR10."""
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)
