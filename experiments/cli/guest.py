"""`dmmlab guest build | export | import | exec | shell`: a click group that the main command mounts."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dmmlab.experiments.runner.means import build_kernel
from dmmlab.guest import launch, terminal, transfer
from dmmlab.guest.errors import GuestError
from dmmlab.guest.progress import reporter

CANNOT = 2  # bad input or missing means
DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
WRITABLE = click.option(
    "--writable", multiple=True, type=DIRECTORY, help="A host directory the guest may change (repeatable)."
)
MEMORY = click.option("--memory", type=click.IntRange(128), default=1024, show_default=True, help="Its memory, in MB.")


def run_command(
    argv: Sequence[str],
    *,
    real: bool = False,
    time_limit_s: float | None = None,
    writable: Sequence[Path] = (),
    env: Sequence[str] = (),
    services: bool = False,
    memory_mb: int = 1024,
    stdin: bytes = b"",
) -> int:
    """`dmmlab guest exec`: the command's exit status, output on our own stdout and stderr. `env` holds NAME=VALUE."""
    variables = dict(item.split("=", 1) for item in env)
    return launch.execute(
        argv,
        clock="real" if real else "virtual",
        time_limit_s=time_limit_s,
        writable=writable,
        env=variables,
        services=services,
        memory_mb=memory_mb,
        stdin=stdin,
    )


def _fail(error: Exception) -> None:
    click.echo(f"dmmlab: {error}", err=True)
    sys.exit(CANNOT)


@click.group()
def guest() -> None:
    """The virtual-time guest: build its kernel, run things in it."""


@guest.command()
@click.option(
    "--source",
    type=click.Path(exists=True, path_type=Path),
    help="Kernel tree, tarball or linux-source package to build instead of the newest of the system's mirror.",
)
@click.option("--force", is_flag=True, help="Build even if there is a kernel in the cache.")
def build(source: Path | None, force: bool) -> None:
    """Build and test the guest's kernel (a few minutes, once per machine)."""
    try:
        built = build_kernel(source, force=force)
    except GuestError as error:
        _fail(error)
    else:
        click.echo(f"Linux {built.version}: {built.path}")


@guest.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def export(file: Path) -> None:
    """Write this machine's kernel to FILE, for `guest import` on others of its architecture."""
    try:
        kernel = transfer.export(file)
    except (GuestError, OSError) as error:
        _fail(error)
    else:
        click.echo(f"Linux {kernel.version}: {file}")


@guest.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def import_(file: Path) -> None:
    """Install the kernel in FILE, if it passes its self-test here; build none then."""
    try:
        with reporter() as report:
            kernel = transfer.install(file, report)
    except (GuestError, OSError) as error:
        _fail(error)
    else:
        click.echo(f"Linux {kernel.version}: {kernel.path}")


@guest.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--real", is_flag=True, help="Wall-clock time instead of virtual time.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help="Wall seconds; then 124 is returned.")
@WRITABLE
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Set in the command's environment (repeatable).")
@click.option("--services/--bare", default=True, help="Start Open vSwitch before the command, or do not.  [services]")
@click.option(
    "--stdin", "with_stdin", is_flag=True, help="Read standard input to its end, then give it to the command."
)
@MEMORY
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(
    real: bool,
    time_limit: float | None,
    writable: tuple[Path, ...],
    env: tuple[str, ...],
    services: bool,
    with_stdin: bool,
    memory: int,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND as root in a fresh guest; host files are read-only in it, but for the --writable directories."""
    for item in env:
        if "=" not in item:
            raise click.BadParameter(f"{item!r} is not NAME=VALUE", param_hint="--env")
    try:
        status = run_command(
            command,
            real=real,
            time_limit_s=time_limit,
            writable=writable,
            env=env,
            services=services,
            memory_mb=memory,
            stdin=sys.stdin.buffer.read() if with_stdin else b"",
        )
    except GuestError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has had enough, as in `... | head`
        sys.exit(141)
    else:
        sys.exit(status)


@guest.command()
@click.option(
    "--virtual", is_flag=True, help="Virtual time: the clock rushes ahead whenever the guest waits for a key."
)
@WRITABLE
@MEMORY
@click.option("--command", default="bash --norc -i", show_default=True, help="What to run on the guest's terminal.")
def shell(virtual: bool, writable: tuple[Path, ...], memory: int, command: str) -> None:
    """An interactive root shell in a fresh guest, Open vSwitch running."""
    try:
        status = terminal.shell(
            shlex.split(command), clock="virtual" if virtual else "real", writable=writable, memory_mb=memory
        )
    except GuestError as error:
        _fail(error)
    else:
        sys.exit(status)
