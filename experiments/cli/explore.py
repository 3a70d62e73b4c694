"""The command that explores: faults from seeds, and what must hold whatever breaks."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import click

from dmmlab.experiments.cli.campaign import place
from dmmlab.experiments.cli.options import CLOCKS, RUNTIMES
from dmmlab.experiments.runner.means import means, refuse


@click.command()
@click.argument("scenario")
@click.option(
    "--seeds", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="So many runs, a seed each."
)
@click.option("--from", "first", type=click.IntRange(0), default=1, show_default=True, help="The first seed.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="How often a run plays the scenario, each time with other faults, and half of the times slower.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of what breaks [results/explore/SCENARIO].")
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
@click.option("--clock", type=CLOCKS, default="auto", show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Runs at the same time [the number of cores; natively 1].")
@click.option("--keep", is_flag=True, help="Keep the runs that hold, too.")
def explore(  # noqa: PLR0913, PLR0917  (each is an option)
    scenario: str,
    seeds: int,
    first: int,
    rounds: int,
    out: Path | None,
    runtime: str,
    clock: str,
    jobs: int | None,
    keep: bool,
) -> None:
    """Break things at random, and check what must hold.

    Each run has faults drawn from its seed, and a session by every method at its end. One that breaks something is
    made smaller for as long as it still does, and kept as a scenario file that does the same again. Exit status 1 if
    anything breaks.
    """
    from dmmlab.experiments.explorer.explore import Explored, Finding
    from dmmlab.experiments.explorer.explore import explore as exploring
    from dmmlab.experiments.scenario.load import load

    base = load(scenario)
    chosen = means(runtime, clock)
    refuse([base], chosen[0])
    folder = out or Path("results/explore") / base.name
    folder.mkdir(parents=True, exist_ok=True)
    where = place(1 if chosen[0] == "native" else jobs or os.cpu_count() or 1, None, chosen[0])
    began, shown, explored = time.monotonic(), list[Finding](), Explored()
    chosen_seeds = range(first, first + seeds)
    with contextlib.closing(exploring(base, chosen_seeds, folder, *chosen, where, keep, rounds)) as steps:
        for explored in steps:
            for finding in explored.findings[len(shown) :]:
                shown.append(finding)
                _show(finding)
            if sys.stderr.isatty():
                click.echo(f"\r{explored.runs} of {seeds} runs, {len(shown)} break something", err=True, nl=False)
    faults = ", ".join(f"{number} {kind}" for kind, number in sorted(explored.faults.items()))
    of_rounds = f" of {rounds} rounds" if rounds > 1 else ""
    click.echo(
        f"{explored.runs} runs{of_rounds}, {explored.virtual_s / 3600:.2f} virtual hours in "
        f"{time.monotonic() - began:.0f} s, "
        f"with {explored.faults.total()} faults ({faults}): {len(shown)} break something"
    )
    sys.exit(1 if shown else 0)


def _show(finding: object) -> None:
    from dmmlab.experiments.explorer.explore import Finding

    assert isinstance(finding, Finding)
    again = "the same bytes again" if finding.same else "other bytes the second time"
    click.echo(f"\ndmmlab run {finding.file}  ({again})")
    for sentence in finding.breaks:
        click.echo(f"  {sentence}")
    click.echo(finding.file.read_text())
