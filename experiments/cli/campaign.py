"""The commands that look at more than one run: reproduce, compare."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmmlab.experiments.cli import console
from dmmlab.experiments.cli.options import CLOCKS, RUNTIMES, SCHEDULER
from dmmlab.experiments.runner.means import means, refuse

if TYPE_CHECKING:
    from dmmlab.experiments.campaigns.campaign import Result
    from dmmlab.experiments.campaigns.places import Place
    from dmmlab.experiments.runner.run import Runtime
    from dmmlab.experiments.scenario.model import Family


def place(jobs: int, scheduler: str | None, runtime: Runtime) -> Place:
    """Where runs are carried out: here, ``jobs`` at a time, or on the cluster of ``scheduler``."""
    from dmmlab.experiments.campaigns.cluster import OnCluster
    from dmmlab.experiments.campaigns.places import Here

    if scheduler is None:
        return Here(jobs)
    if runtime == "native":
        raise click.UsageError("--scheduler: workers have no root, and native runs need it: use --runtime guest")
    return OnCluster(scheduler, lambda sentence: click.echo(sentence, err=True))


@click.command()
@click.argument("ids", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/campaign"), show_default=True)
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
@click.option("--clock", type=CLOCKS, default="auto", show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Runs at the same time [the number of cores; natively 1].")
@SCHEDULER
@click.option("--instead", metavar="NAME=FILE", multiple=True, help="A scenario file in place of a shipped one.")
@click.option(
    "--family",
    type=click.Choice(["ipv4", "ipv6"]),
    help="All in this family: figures are checked, and every time held against its closed form; no reference.",
)
@click.option("--update-reference", is_flag=True, help="Make this campaign the reference that others compare with.")
def reproduce(  # noqa: PLR0913, PLR0917  (each is an option)
    ids: tuple[str, ...],
    out: Path,
    runtime: str,
    clock: str,
    jobs: int | None,
    scheduler: str | None,
    instead: tuple[str, ...],
    family: Family | None,
    update_reference: bool,
) -> None:
    """Run what stands behind the figures, redraw them, and say which hold.

    What was complete in the folder is not run again. Exit status 1 if a figure does not hold. In real time, it says how
    far each figure is off the reference and each method off its closed form, and what part of that the paths explain.
    """
    from dmmlab.experiments.campaigns import campaign, explain
    from dmmlab.experiments.campaigns import compare as comparing
    from dmmlab.experiments.campaigns import reproduce as reproducing

    kinds = reproducing.choose(ids)
    if family and update_reference:
        raise click.UsageError("--update-reference goes without --family: the reference is of both")
    files = dict(_pair(one) for one in instead)
    chosen = means(runtime, clock)
    planned = campaign.plan(kinds, reproducing.loader(files, family))
    refuse([job.scenario for job in planned], chosen[0])
    where = place(1 if chosen[0] == "native" else jobs or os.cpu_count() or 1, scheduler, chosen[0])
    with console.CampaignBoard() as board:
        compared = None if family else reproducing.REFERENCE
        verdicts, result = reproducing.reproduce(ids, out, *chosen, where, board.step, files, compared, family)
    if update_reference:
        verdicts = reproducing.write_reference(kinds, campaign.plan(kinds), result, reproducing.REFERENCE)
    for verdict in verdicts:
        click.echo(str(verdict))
    exact = _exact(result) if family and chosen[1] == "virtual" else True
    if chosen[1] == "real":
        console.shifts(comparing.shifts(out / "figures", reproducing.REFERENCE))
        console.gaps(explain.gaps(result.runs), explain.clock(result.runs))
    for name, reason in result.invalid:
        click.echo(f"run {name} enters no figure: {reason}", err=True)
    click.echo(f"{result}; figures in {out / 'figures'}")
    if chosen == ("guest", "virtual") and any(verdict.differs or verdict.other for verdict in verdicts):
        for reason in reproducing.why_not(result):
            click.echo(f"the reference was made with another {reason}", err=True)
    sys.exit(0 if exact and all(verdict.holds for verdict in verdicts) else 1)


def _exact(result: Result) -> bool:
    """Says how far the runs are from their closed forms; False if some time is farther than it may be."""
    from dmmlab.experiments.analysis.distance import Distances
    from dmmlab.experiments.figures.base import EXACT_MS
    from dmmlab.experiments.records.recording import recordings

    found = Distances.of(recordings(result.runs))
    click.echo(str(found))
    for one in found.beyond(EXACT_MS)[:20]:
        click.echo(f"off: {one}", err=True)
    return not found.beyond(EXACT_MS)


def _pair(text: str) -> tuple[str, Path]:
    from dmmlab.experiments.scenario.catalogue import shipped

    name, equals, file = text.partition("=")
    if equals and name not in (known := [entry.name for entry in shipped()]):
        raise click.UsageError(
            f"--instead {text}: no shipped scenario has the name {name}; they are {', '.join(known)}"
        )
    if not equals or not Path(file).is_file():
        raise click.UsageError(f"--instead {text}: expected NAME=FILE, with a file that exists")
    return name, Path(file)


@click.command()
@click.argument("mine", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("reference", type=click.Path(path_type=Path, exists=True, file_okay=False))
def compare(mine: Path, reference: Path) -> None:
    """Compare two runs, two folders of runs or two of figures, point by point; exit status 1 if they differ.

    Where one side was measured in real time, figures are compared by their confidence intervals; tables say how far
    each figure is off, and how far each method is off its closed form, and what part of that the paths explain.
    """
    from dmmlab.experiments.campaigns import explain
    from dmmlab.experiments.campaigns.compare import CompareError, folders, shifts

    timed = [run for folder in (mine, reference) for run in explain.real_time(folder)]
    try:
        found = folders(mine, reference, exact=not timed)
    except CompareError as error:
        raise click.UsageError(str(error)) from None
    for name, differences in found:
        if differences:
            more = f" (and at {len(differences) - 1} more)" if len(differences) > 1 else ""
            click.echo(f"{name}: differs {differences[0]}{more}")
        else:
            click.echo(f"{name}: the same")
    if timed:
        console.shifts(shifts(mine, reference))
        console.gaps(explain.gaps(timed), explain.clock(timed))
    sys.exit(1 if any(differences for _, differences in found) else 0)
