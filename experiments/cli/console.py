"""What a person sees on the terminal: tables, the plan of a scenario, the progress of runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, assert_never

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import HandoverRow, SessionRow
from dmmlab.experiments.records.rows import columns as columns_of
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.timeline import (
    AnyEvent,
    Attach,
    Detach,
    ScenarioEnd,
    SessionEnd,
    SessionStart,
    timeline,
)

if TYPE_CHECKING:
    from dmmlab.experiments.campaigns.campaign import Step
    from dmmlab.experiments.campaigns.compare import Shift
    from dmmlab.experiments.campaigns.explain import Clock, Gap


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table with a title and heads."""
    drawn = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*row)
    _console().print(drawn, "")


def plan(scenario: Scenario) -> None:
    """Hosts, links, timeline and closed forms of ``scenario``."""
    network = network_plan(scenario)
    nodes = [(host.name, str(host.address.ip), "on the core") for host in network.hosts]
    nodes += [
        (r.name, str(r.gateway.ip), f"mobile router of {r.prefix}, switch {r.switch}") for r in network.mobile_routers
    ]
    nodes += [(n.name, ", ".join(map(str, n.addresses.values())), "mobile node") for n in network.mobile_nodes]
    table("Nodes", ("name", "address", "role"), nodes)
    links = [
        (" - ".join(link.between), f"{link.delay * 1e3:g} ms", _extra(link.jitter, link.loss, link.rate))
        for link in scenario.links
    ]
    table("Links, each direction", ("between", "delay", "besides"), links)
    oracle = Oracle(scenario)
    heads = ("at", "who", "what", "method", "transport", "expected set-up")
    table("Timeline", heads, [_row(event, oracle) for event in timeline(scenario)])


def _row(event: AnyEvent, oracle: Oracle) -> tuple[str, ...]:
    """An event of the timeline as a person reads it; of a session's start, also its closed form."""
    at = f"{event.at_s:g} s"
    match event:
        case Detach(_, node, to):
            return (at, node, f"loses its radio link, on its way to {to}", "", "", "")
        case Attach(_, node, to, gap_s):
            gap = "" if gap_s is None else f" after a gap of {gap_s * 1e3:g} ms"
            return (at, node, f"attaches to {to}{gap}", "", "", "")
        case SessionStart(_, session):
            expectation = oracle.of(session)
            expected = "no closed form" if expectation is None else f"{expectation.setup_s * 1e3:g} ms"
            parties = f"{session.cn} → {session.mn}"
            return (at, session.name, f"starts, {parties}", session.method, session.transport, expected)
        case SessionEnd(_, session):
            return (at, session.name, "has lasted its time", session.method, session.transport, "")
        case ScenarioEnd():
            return (at, "", "the scenario ends", "", "", "")
        case _:
            assert_never(event)


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


def _extra(jitter: float, loss: float, rate: float | None) -> str:
    words = [f"jitter {jitter * 1e3:g} ms"] if jitter else []
    words += [f"loss {loss * 100:g} %"] if loss else []
    words += [f"{rate / 1e6:g} Mbit/s"] if rate else []
    return ", ".join(words)


def sessions(title: str, recording: Recording) -> None:
    """What came out of a run: its sessions beside the closed form, and its handovers.

    Sessions of one entry, method, transport, path and closed form share a line, with their medians.
    """
    groups: dict[tuple[str, str, str, str, str, float | None], list[SessionRow]] = {}
    for row in recording.session_rows:
        key = (row.session.split(".")[0], row.method, row.transport, row.path, row.outcome, row.expected_setup_ms)
        groups.setdefault(key, []).append(row)
    rtts: dict[str, list[float | None]] = {}
    for probe in recording.probe_rows:
        rtts.setdefault(probe.session, []).append(probe.rtt_ms)
    shown = []
    for (entry, method, transport, path, outcome, expected), group in groups.items():
        delays = [_median([getattr(row, key) for row in group]) for key in ("lookup_ms", "connect_ms", "setup_ms")]
        rtt = _median([value for row in group for value in rtts.get(row.session, [])])
        shown.append((entry, method, transport, str(len(group)), *delays, _short(expected), rtt, path, outcome))
    columns = ["session", "method", "transport", "n", "lookup ms", "connect ms", "set-up ms", "expected ms", "rtt ms"]
    table(f"{title}: sessions (medians)", [*columns, "path", "outcome"], shown)
    if recording.handovers:
        names = columns_of(HandoverRow)
        heads = [name.replace("_s", " s").replace("_", " ") for name in names]
        cells = [[_short(getattr(row, name)) for name in names] for row in recording.handovers]
        table(f"{title}: handovers", heads, cells)


def _median(values: Sequence[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    return f"{median(numbers):.3f}" if numbers else ""


def _short(value: object) -> str:
    """The files have all digits; here, three."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


class Board:
    """Progress of several runs: bars with the time left on a terminal, plain lines elsewhere."""

    def __init__(self, names: Sequence[str]) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        if sys.stderr.isatty():
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
