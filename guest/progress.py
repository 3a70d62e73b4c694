"""Progress of long work: a bar with the time left on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter(Protocol):
    """Who is told what is going on."""

    def phase(self, text: str) -> None:
        """A new piece of work begins."""

    def fraction(self, done: float) -> None:
        """So much of the current piece is done, 0 to 1."""


class Silent:
    """Tells nobody."""

    def phase(self, text: str) -> None:
        """Ignored."""

    def fraction(self, done: float) -> None:
        """Ignored."""


class PlainReporter:
    """One line for each phase and for each tenth of it."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._tenth = 0
        self._text = ""
        self._started = time.monotonic()

    def phase(self, text: str) -> None:
        """Write the phase with the seconds since the start."""
        self._text, self._tenth = text, 0
        self._write(f"[{time.monotonic() - self._started:4.0f} s] {text}")

    def fraction(self, done: float) -> None:
        """Write a line when another tenth is done."""
        if int(done * 10) > self._tenth:
            self._tenth = int(done * 10)
            self._write(f"[{time.monotonic() - self._started:4.0f} s] {self._text}: {self._tenth * 10} %")


class BarReporter:
    """One bar for each phase."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def phase(self, text: str) -> None:
        """Complete the bar before and begin another."""
        self._finish()
        self._task = self._progress.add_task(text, total=None)

    def fraction(self, done: float) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.update(self._task, total=1.0, completed=done)

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=1.0, completed=1.0)


@contextlib.contextmanager
def reporter() -> Iterator[Reporter]:
    """What suits this process's stderr."""
    if not sys.stderr.isatty():
        yield PlainReporter(lambda line: click.echo(line, err=True))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield BarReporter(progress)
