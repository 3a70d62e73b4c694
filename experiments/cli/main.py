"""The command line. Exit status 0: all ok; 1: something ran and did not hold; 2: bad input or missing means."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click

from dmmlab.experiments.cli import console, doctor_view
from dmmlab.experiments.cli.campaign import CLOCKS, RUNTIMES, SCHEDULER, compare, place, reproduce
from dmmlab.experiments.cli.guest import guest
from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory, RunDirectoryError
from dmmlab.experiments.runner import doctor
from dmmlab.experiments.runner.means import means as means_for
from dmmlab.experiments.scenario.load import ScenarioError, load, shipped
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.guest.errors import GuestError

OF_ONE_RUN = ("F1", "F2", "F3")
HELD, DID_NOT_HOLD, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.version_option(package_name="dmmlab")
def cli(debug: bool) -> None:
    """The laboratory of distributed mobility management."""
    click.get_current_context().obj = {"debug": debug}


cli.add_command(guest)
cli.add_command(reproduce)
cli.add_command(compare)


@cli.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor_(as_json: bool) -> None:
    """Say what this machine can run, and how to mend what is missing."""
    report = doctor.examine()
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=1))
    else:
        doctor_view.show(report)
    sys.exit(HELD if any(combination.ok for combination in report.combinations) else BAD_INPUT)


@cli.command("list")
def list_() -> None:
    """List scenarios, methods, selection policies and figures."""
    from dmmlab.experiments.figures import FIGURES

    console.table("Scenarios", ("name", "what it shows"), [(entry.name, entry.summary) for entry in shipped()])
    methods = [(method.name, method.words) for method in METHODS.values()]
    console.table("Methods", ("name", "how a correspondent finds the mobile node"), methods)
    policies = [(policy.name, policy.words) for policy in POLICIES.values()]
    console.table("Selection policies", ("name", "which of several addresses a session is opened on"), policies)
    console.table("Figures", ("id", "name", "shows"), [(kind.id, kind.name, kind.shows) for kind in FIGURES.values()])


@cli.command()
@click.argument("scenario")
def check(scenario: str) -> None:
    """Validate a scenario and print its plan: hosts, links, timeline, closed forms."""
    console.plan(load(scenario))


@cli.command()
@click.argument("scenarios", metavar="SCENARIO…", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run [results/SCENARIO].")
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
@click.option("--clock", type=CLOCKS, default="auto", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Instead of the scenario's own.")
@click.option(
    "--repeat", type=click.IntRange(1), default=1, show_default=True, help="Runs, with a seed more each time."
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs at the same time.")
@SCHEDULER
@click.option("--profile", is_flag=True, help="Print where the time went.")
def run(  # noqa: PLR0913, PLR0917  (each is an option)
    scenarios: tuple[str, ...],
    out: Path | None,
    runtime: str,
    clock: str,
    seed: int | None,
    repeat: int,
    jobs: int,
    scheduler: str | None,
    profile: bool,
) -> None:
    """Run scenarios and write their records, figures and table."""
    from dmmlab.experiments.campaigns.places import Job

    overrides = {} if seed is None else {"seed": seed}
    loaded = [load(name, overrides) for name in scenarios]
    chosen = means_for(runtime, clock)
    if chosen[0] == "native" and jobs > 1:
        raise click.UsageError("--jobs: native runs share this machine's time and cannot run beside each other")
    work = [
        Job(scenario.model_copy(update={"seed": scenario.seed + turn}), folder, *chosen)
        for scenario in loaded
        for turn, folder in enumerate(_folders(scenario, out, repeat, several=len(loaded) > 1))
    ]
    where, spent_s = place(jobs, scheduler, chosen[0]), {}
    with (
        console.Board([job.folder.name for job in work]) as board,
        closing(where.carry_out(work, lambda folder, *how: board.follow(folder.name)(*how))) as ended,
    ):
        for done in ended:
            if done.error is not None:
                raise done.error
            spent_s[done.job.folder] = done.spent_s
    ok = True
    for job in work:
        ok = _show(RunDirectory(job.folder), spent_s[job.folder] if profile else None) and ok
    sys.exit(HELD if ok else DID_NOT_HOLD)


def _folders(scenario: Scenario, out: Path | None, repeat: int, several: bool) -> list[Path]:
    base = Path("results") / scenario.name if out is None else out / scenario.name if several else out
    return [base] if repeat == 1 else [base / f"{turn:03d}" for turn in range(1, repeat + 1)]


def _show(run: RunDirectory, spent_s: Mapping[str, float] | None) -> bool:
    """Prints what came out of a run; False if it did not hold."""
    from dmmlab.experiments.ladders import files as ladders

    outcome = run.outcome() or {"outcome": "failed", "reason": "there is no outcome.json"}
    if outcome["outcome"] == "failed":
        click.echo(f"{run.root}: failed: {outcome['reason']}", err=True)
    else:
        recording = Recording(run)
        console.sessions(str(run.root), recording)
        if outcome["outcome"] == "invalid":
            click.echo(f"{run.root}: invalid: {outcome['reason']}", err=True)
        for figure in _draw(None, [run.root], run.figures):
            click.echo(f"figure: {figure}")
        for ladder in ladders.write(recording, run.figures):
            click.echo(f"ladder: {ladder}")
    if spent_s is not None:
        console.table("Where the time went", ("phase", "wall s"), [(k, f"{v:.2f}") for k, v in spent_s.items()])
    return bool(outcome["outcome"] == "ok")


@cli.command()
@click.argument("scenario")
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
def shell(scenario: str, runtime: str) -> None:
    """Play a scenario in real time, at the Mininet prompt."""
    from dmmlab.experiments.runner.run import shell as at_prompt

    loaded = load(scenario)
    sys.exit(at_prompt(loaded, Path("results") / f"{loaded.name}-shell", *means_for(runtime, "real")))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def report(folder: Path) -> None:
    """Write one self-contained HTML page of a run, or of a folder of runs."""
    from dmmlab.experiments.report import page

    click.echo(f"report: {page.write(folder)}")


@cli.command()
@click.argument("ids", nargs=-1)
@click.option("--from", "sources", type=click.Path(path_type=Path, exists=True), multiple=True, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def figures(ids: tuple[str, ...], sources: tuple[Path, ...], out: Path) -> None:
    """Draw figures from run directories (a folder of them, or several --from)."""
    for figure in _draw(ids, list(sources), out):
        click.echo(f"figure: {figure}")


def _draw(ids: tuple[str, ...] | None, sources: list[Path], out: Path) -> list[Path]:
    """Draws the figures ``ids`` (with None: those of a single run), or all that these runs allow if none is named."""
    from dmmlab.experiments import figures as drawing

    unknown = [name for name in ids or () if name not in drawing.FIGURES]
    if unknown:
        raise click.UsageError(f"unknown figure {unknown[0]}; known are {', '.join(drawing.FIGURES)}")
    runs, drawn = drawing.finished(sources), []
    for kind in drawing.FIGURES.values():
        if (ids or ids is None) and kind.id not in (OF_ONE_RUN if ids is None else ids):
            continue
        try:
            drawn.append(drawing.write(kind, runs, out))
        except drawing.FigureError:
            if ids:
                raise
    return drawn


def main() -> None:
    """Runs a command; what goes wrong is one sentence on standard error."""
    debug = "--debug" in sys.argv
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), BAD_INPUT, debug)
    except (ScenarioError, RunDirectoryError, GuestError) as error:
        _fail(str(error), BAD_INPUT, debug)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; the run has no outcome and counts as unfinished", INTERRUPTED, debug)
    except Exception as error:
        from dmmlab.experiments.campaigns.places import PlaceError
        from dmmlab.experiments.campaigns.reproduce import ReproduceError
        from dmmlab.experiments.figures import FigureError

        status = BAD_INPUT if isinstance(error, FigureError | PlaceError | ReproduceError | OSError) else DID_NOT_HOLD
        _fail(f"{type(error).__name__}: {error}" if status == DID_NOT_HOLD else str(error), status, debug)


def _fail(sentence: str, status: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(f"dmmlab: {sentence}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
