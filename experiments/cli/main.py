"""The command line. Exit status 0: all ok; 1: something ran and did not hold; 2: bad input or missing means.

Each command imports what it needs when it is given, so that none waits for what another one needs.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from dmmlab.experiments.cli import console, pictures
from dmmlab.experiments.cli.later import Group, Later
from dmmlab.experiments.cli.options import CLOCKS, RUNTIMES, SCHEDULER
from dmmlab.machine.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmmlab.experiments.records.rundir import RunDirectory
    from dmmlab.experiments.scenario.model import Scenario

HELD, DID_NOT_HOLD, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
LATER = {
    "compare": Later("dmmlab.experiments.cli.campaign", "Compare two runs, two folders of runs or two of figures,..."),
    "explore": Later("dmmlab.experiments.cli.explore", "Break things at random, and check what must hold."),
    "new": Later("dmmlab.experiments.cli.new", "Print a scenario of so many routers and nodes, joined like..."),
    "trace": Later("dmmlab.experiments.cli.trace", "Traces of movement: from a scenario's models, or from SUMO."),
    "guest": Later("dmmlab.experiments.cli.guest", "The virtual-time guest: build its kernel, run things in it."),
    "reproduce": Later(
        "dmmlab.experiments.cli.campaign", "Run what stands behind the figures, redraw them, and say..."
    ),
}
LEDGER = click.option(
    "--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Of GUIDs: the nodes keep their IDs for ever."
)
PDF = click.option("--pdf", is_flag=True, help="Beside each PNG a PDF, to print.")


@click.group(cls=Group, later=LATER, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.version_option(package_name="dmmlab")
def cli(debug: bool) -> None:
    """The laboratory of distributed mobility management."""
    click.get_current_context().obj = {"debug": debug}


@cli.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor_(as_json: bool) -> None:
    """Say what this machine can run, and how to mend what is missing."""
    from dmmlab.experiments.cli import doctor_view
    from dmmlab.experiments.runner import doctor

    report = doctor.examine()
    if as_json:
        import json

        click.echo(json.dumps(report.as_dict(), indent=1))
    else:
        doctor_view.show(report)
    sys.exit(HELD if any(combination.ok for combination in report.combinations) else BAD_INPUT)


@cli.command("list")
def list_() -> None:
    """List scenarios, methods, selection policies and figures."""
    from dmmlab.experiments.figures import ENTRIES
    from dmmlab.experiments.methods import METHODS
    from dmmlab.experiments.policies import POLICIES
    from dmmlab.experiments.scenario.catalogue import shipped

    console.table("Scenarios", ("name", "what it shows"), shipped())
    methods = [(method.name, method.words) for method in METHODS.values()]
    console.table("Methods", ("name", "how a correspondent finds the mobile node"), methods)
    policies = [(policy.name, policy.words) for policy in POLICIES.values()]
    console.table("Selection policies", ("name", "which of several addresses a session is opened on"), policies)
    console.table("Figures", ("id", "name", "shows"), list(ENTRIES.values()))


@cli.command()
@click.argument("scenario")
def check(scenario: str) -> None:
    """Validate a scenario and print its plan: hosts, links, timeline, closed forms."""
    from dmmlab.machine import lean

    lean.put("pydantic.plugin._loader", get_plugins=tuple)  # it would look through every installed package for some
    with lean.importing():
        from dmmlab.experiments.cli import plan_view
        from dmmlab.experiments.scenario.load import load

        plan_view.show(load(scenario))


@cli.command()
@click.argument("scenarios", metavar="SCENARIO…", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run [results/SCENARIO].")
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
@click.option("--clock", type=CLOCKS, default="auto", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Instead of the scenario's own.")
@click.option(
    "--repeat", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Runs, with a seed more each time."
)
@click.option("--jobs", type=click.IntRange(1), help="Runs at the same time [the number of processors; natively 1].")
@SCHEDULER
@click.option("--memory", type=click.IntRange(128), help="Of each guest, in MB [what its network needs].")
@LEDGER
@click.option("--figures", "wanted", multiple=True, metavar="ID,…|all", help="Draw F1, F2, F3, ladders, or all.")
@PDF
@click.option("--profile", is_flag=True, help="Print where the time went.")
def run(  # noqa: PLR0913, PLR0917  (each is an option)
    scenarios: tuple[str, ...],
    out: Path | None,
    runtime: str,
    clock: str,
    seed: int | None,
    repeat: int,
    jobs: int | None,
    scheduler: str | None,
    memory: int | None,
    ledger: Path | None,
    wanted: tuple[str, ...],
    pdf: bool,
    profile: bool,
) -> None:
    """Run scenarios, write their records and print their tables."""
    from dmmlab.experiments.campaigns.places import Job
    from dmmlab.experiments.cli.campaign import place
    from dmmlab.experiments.records.rundir import RunDirectory
    from dmmlab.experiments.runner.means import means, refuse

    wanted = pictures.names(wanted)
    if pdf and not wanted:
        raise click.UsageError("--pdf goes with --figures, which says of what")
    overrides = {} if seed is None else {"seed": seed}
    loaded = [_loaded(name, ledger, overrides) for name in scenarios]
    chosen = means(runtime, clock)
    refuse(loaded, chosen[0])
    work = [
        Job(scenario.model_copy(update={"seed": scenario.seed + turn}), folder, *chosen, memory_mb=memory)
        for scenario in loaded
        for turn, folder in enumerate(_folders(scenario, out, repeat, several=len(loaded) > 1))
    ]
    if twice := [job.folder for job in work if sum(job.folder == other.folder for other in work) > 1]:
        raise click.UsageError(f"{twice[0]}: two of the runs would be there: give each scenario once, and --repeat")
    at_once = 1 if scheduler else _side_by_side([job.scenario for job in work], *chosen, jobs, memory)
    where, spent_s = place(at_once, scheduler, chosen[0]), {}
    with (
        console.Board([job.folder.name for job in work]) as board,
        contextlib.closing(where.carry_out(work, lambda folder, *how: board.follow(folder.name)(*how))) as ended,
    ):
        for done in ended:
            if done.error is not None:
                raise done.error
            spent_s[done.job.folder] = done.spent_s
    ok, runs = True, [RunDirectory(job.folder) for job in work]
    for directory in runs:
        ok = _show(directory, spent_s[directory.root] if profile else None) and ok
    ok = _draw(runs, wanted, pdf) and ok
    sys.exit(HELD if ok else DID_NOT_HOLD)


def _loaded(name: str, ledger: Path | None, overrides: dict[str, int] | None = None) -> Scenario:
    """The scenario, its nodes' permanent IDs from ``ledger``. Raises Refusal where either cannot be used."""
    from dmmlab.experiments.scenario.identities import identified
    from dmmlab.experiments.scenario.load import load

    scenario = load(name, overrides)
    return scenario if ledger is None else identified(scenario, ledger)


def _side_by_side(scenarios: list[Scenario], runtime: str, clock: str, jobs: int | None, memory_mb: int | None) -> int:
    """How many of these runs are carried out at the same time. Raises Refusal where the machine cannot hold them."""
    from dmmlab.experiments.runner import memory
    from dmmlab.experiments.scenario.network import network_plan
    from dmmlab.machine import checks

    if runtime == "native":
        if jobs and jobs > 1:
            raise click.UsageError("--jobs: native runs share this machine's time and cannot run beside each other")
        return 1
    needs_mb = [
        memory_mb or memory.needed_mb(network_plan(scenario), scenario.more_agents, clock) for scenario in scenarios
    ]
    return memory.at_a_time(needs_mb, jobs, len(os.sched_getaffinity(0)), checks.available_memory_mb())


def _folders(scenario: Scenario, out: Path | None, repeat: int, several: bool) -> list[Path]:
    base = Path("results") / scenario.name if out is None else out / scenario.name if several else out
    return [base] if repeat == 1 else [base / f"{turn:03d}" for turn in range(1, repeat + 1)]


def _show(run: RunDirectory, spent_s: Mapping[str, float] | None) -> bool:
    """Prints what came out of a run; False if it did not hold."""
    from dmmlab.experiments.cli import run_view
    from dmmlab.experiments.records.recording import Recording

    outcome = run.outcome() or {"outcome": "failed", "reason": "there is no outcome.json"}
    if outcome["outcome"] == "failed":
        click.echo(f"{run.root}: failed: {outcome['reason']}", err=True)
    else:
        run_view.show(str(run.root), Recording(run))
        if outcome["outcome"] == "invalid":
            click.echo(f"{run.root}: invalid: {outcome['reason']}", err=True)
    if spent_s is not None:
        console.table("Where the time went", ("phase", "wall s"), [(k, f"{v:.2f}") for k, v in spent_s.items()])
    return bool(outcome["outcome"] == "ok")


def _draw(runs: list[RunDirectory], wanted: tuple[str, ...], pdf: bool) -> bool:
    """Draws what is wanted of the runs that did not fail, or says how to; False if something cannot be drawn."""
    drawable = [run for run in runs if (run.outcome() or {"outcome": "failed"})["outcome"] != "failed"]
    if wanted:
        return pictures.draw_beside(drawable, wanted, pdf)
    for run in drawable[:1]:
        click.echo(f"figures: dmmlab figures --from {run.root} --out {run.figures}")
    return True


@cli.command()
@click.argument("scenario")
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
@LEDGER
def shell(scenario: str, runtime: str, ledger: Path | None) -> None:
    """Play a scenario in real time, at a prompt: move nodes, open sessions, see who knows what."""
    from dmmlab.experiments.runner.means import means, refuse
    from dmmlab.experiments.runner.run import shell as at_prompt

    loaded, folder = _loaded(scenario, ledger), Path("results")
    chosen = means(runtime, "real")
    refuse([loaded], chosen[0])
    folder /= f"{loaded.name}-shell"
    status = at_prompt(loaded, folder, *chosen, "dmmlab.experiments.cli.shell")
    if status == HELD:
        click.echo(f"{folder}: the records; `dmmlab run {folder}/played.yaml` plays the same again in virtual time")
    sys.exit(status)


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
@PDF
def figures(ids: tuple[str, ...], sources: tuple[Path, ...], out: Path, pdf: bool) -> None:
    """Draw figures from run directories (a folder of them, or several --from): those named, or all that these allow.

    ``ladders`` are the message ladders of a single run.
    """
    pictures.draw_from(sources, pictures.names(ids), out, pdf)


def main() -> NoReturn:
    """`dmmlab`: runs a command and ends at once; to take an interpreter apart takes longer than many a command.

    A command that was interrupted may have left threads that are ending processes: those are waited for as Python does,
    before anything that they use is taken away.
    """
    status = HELD
    try:
        command()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else HELD
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.exit(status)
    atexit._run_exitfuncs()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def command() -> None:
    """Runs a command; what goes wrong is one sentence on standard error. Raises SystemExit unless all is well."""
    debug = "--debug" in sys.argv
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), BAD_INPUT, debug)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; the run has no outcome and counts as unfinished", INTERRUPTED, debug)
    except Refusal as error:
        _fail(str(error), BAD_INPUT, debug)
    except OSError as error:
        from dmmlab.machine.files import sentence

        _fail(sentence(error), BAD_INPUT, debug)
    except Exception as error:
        _fail(f"{type(error).__name__}: {error}", DID_NOT_HOLD, debug)


def _fail(sentence: str, status: int, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    click.echo(f"dmmlab: {sentence}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
