"""What a person sees on the terminal: tables, and the progress of runs.

Rich is imported where it draws: most commands draw nothing with it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dmmlab.experiments.campaigns.campaign import Step
    from dmmlab.experiments.campaigns.compare import Shift
    from dmmlab.experiments.campaigns.explain import Clock, Gap


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table with a title and heads, a line a row; on a terminal that is too narrow, with folded cells."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    whole = sum(widths) + 2 * (len(widths) - 1)
    if sys.stdout.isatty() and whole > shutil.get_terminal_size().columns:
        _folded(title, columns, rows)
        return
    lines = ["  ".join(map(str.ljust, row, widths)) for row in (columns, *rows)]
    heads = [click.style(title.ljust(whole), italic=True), click.style(lines[0], bold=True)]
    click.echo("\n".join([*heads, *lines[1:], ""]))


def _folded(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The same by Rich, which takes a hundred times as long."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*row)
    Console(highlight=False).print(drawn, "")


def shifts(found: Sequence[Shift]) -> None:
    """How far real time moved each figure."""
    rows = [
        (one.figure, one.subject, str(one.points), *(f"{off:+.3f}" for off in (one.median, one.lowest, one.highest)))
        for one in found
    ]
    if rows:
        heads = ("figure", "subject", "points", "median", "lowest", "highest")
        table("Real time against the reference: difference, in the subject's unit", heads, rows)


def gaps(found: Sequence[Gap], clock: Clock | None) -> None:
    """What lies between real time and the closed forms, by method; and how the machine kept time."""
    rows = [
        (
            *(one.method, one.transport, str(one.n), f"{one.expected:.3f}"),
            *(f"{one.difference:+.3f}", f"{one.low:+.3f} to {one.high:+.3f}"),
            *("" if part is None else f"{part:+.3f}" for part in (one.paths, one.programs)),
        )
        for one in found
    ]
    heads = ("method", "transport", "n", "closed form ms", "off by ms", "95 % interval", "paths", "programs")
    table("Real time against the closed forms: set-up (and redirect after attachment), medians", heads, rows)
    if clock is not None:
        click.echo(
            f"timers {clock.late_ms:.3f} ms late (p95 of a typical second), {clock.steal:.1%} of the time stolen"
        )


class Board:
    """Progress of several runs: bars with the time left on a terminal, plain lines elsewhere."""

    def __init__(self, names: Sequence[str]) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[phase]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._tasks = {name: self._bars.add_task(name, total=1.0, phase="waiting") for name in names}

    def __enter__(self) -> Board:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars:
            self._bars.stop()

    def follow(self, name: str) -> Callable[[str, float | None], None]:
        """A function that takes the phase of run ``name``, and the share of the scenario that has been played."""

        def tell(phase: str, share: float | None) -> None:
            if self._bars:
                self._bars.update(self._tasks[name], phase=phase, completed=share)
            elif share is None:
                sys.stderr.write(f"{name}: {phase}\n")

        return tell


class CampaignBoard:
    """Progress of a campaign: a bar with the time left on a terminal, a line for each run elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> CampaignBoard:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.completed}/{task.total} runs"), BarColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("starting", total=None)
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, step: Step) -> None:
        """A run has ended."""
        left = f"{step.left_s // 60:.0f} min {step.left_s % 60:02.0f} s left"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step.done, total=step.of, description=f"{left} ({step.name})")
            return
        reason = f": {step.reason}" if step.reason else ""
        sys.stderr.write(f"{step.done}/{step.of} {step.name}: {step.outcome}{reason}; {left}\n")
