"""The doctor's report as a table for people."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from dmmlab.experiments.runner.doctor import Report
from dmmlab.machine.checks import Check


def render(report: Report, *, everything: bool = False) -> RenderableType:
    """A verdict per runtime and clock, then what is missing with its remedy; all checks if `everything`."""
    verdicts = Table(title=report.machine, title_justify="left")
    for heading in ("runtime", "clock", "can run", "because"):
        verdicts.add_column(heading)
    for combination in report.combinations:
        missing = combination.missing()
        because = ", ".join(f"{check.name}: {check.found}" for check in missing[:2]) + (", …" if missing[2:] else "")
        verdict = Text("yes", "green") if combination.ok else Text("no", "red")
        verdicts.add_row(combination.runtime, combination.clock, verdict, because or "all there")
    checks = {check.name: check for c in report.combinations if c.clock == "real" or c.ok for check in c.checks}
    shown = [check for check in checks.values() if everything or not check.ok]
    return Group(verdicts, _checks(shown)) if shown else verdicts


def _checks(checks: list[Check]) -> Table:
    table = Table(title="in detail", title_justify="left")
    for heading in ("check", "ok", "found", "mend it with"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        table.add_row(check.name, Text("yes", "green") if check.ok else Text("no", "red"), check.found, check.remedy)
    return table


def show(report: Report, *, everything: bool = False) -> None:
    """Print it on stdout."""
    Console().print(render(report, everything=everything))
