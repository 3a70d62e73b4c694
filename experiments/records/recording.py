"""What figures read of a run: its scenario beside its records, numbers as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dmmlab.experiments.oracle.expectation import Expectation, Oracle
from dmmlab.experiments.records import rows
from dmmlab.experiments.records.rows import HandoverRow, ProbeRow, SessionRow, SignallingRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of


@dataclass(frozen=True)
class Probe:
    """Seconds since the scenario's start, and the round trip in ms; None for a probe that was not answered."""

    seq: int
    sent_s: float
    rtt_ms: float | None


@dataclass(frozen=True)
class RecordedSession:
    """A session: what the scenario says of it, and its row in sessions.csv."""

    spec: SessionSpec
    row: SessionRow

    @property
    def worked(self) -> bool:
        return self.row.outcome in ("ok", "retried")

    @property
    def fate(self) -> str:
        """What became of it, each exactly one: direct, redirect, relay, retried, failed."""
        if self.row.outcome == "ok":
            return self.row.path if self.row.path != "none" else "failed"
        return "retried" if self.row.outcome == "retried" else "failed"


class Recording:
    """A run directory as measures read it; each file is read once, when it is first asked for."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    @cached_property
    def scenario(self) -> Scenario:
        return parse(self.run.manifest()["scenario"], str(self.run.run_json))

    @cached_property
    def sessions(self) -> list[RecordedSession]:
        known = {row.session: row for row in rows.read(self.run.sessions, SessionRow)}
        return [RecordedSession(spec, known[spec.name]) for spec in sessions_of(self.scenario) if spec.name in known]

    @cached_property
    def probes(self) -> dict[str, list[Probe]]:
        """The probes that were sent, by session."""
        found: dict[str, list[Probe]] = defaultdict(list)
        for row in rows.read(self.run.probes, ProbeRow):
            if row.sent_s is not None:
                found[row.session].append(Probe(row.seq, row.sent_s, row.rtt_ms))
        return found

    @cached_property
    def handovers(self) -> list[HandoverRow]:
        return rows.read(self.run.handovers, HandoverRow)

    @cached_property
    def signalling(self) -> list[SignallingRow]:
        return rows.read(self.run.signalling, SignallingRow)

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        return self.run.timeline()

    @cached_property
    def lookups(self) -> dict[str, list[dict[str, Any]]]:
        """The ``lookup_ended`` events of each session, in order."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in self.events:
            if event["event"] == "lookup_ended":
                found[event["session"]].append(event)
        return found

    @cached_property
    def anchors(self) -> dict[str, str]:
        """Which mobile router each address of a mobile node is from, as the DHCP servers gave them out."""
        plan = network_plan(self.scenario)
        routers = {str(router.gateway.ip): router.name for router in plan.mobile_routers}
        given = (event for event in self.events if event["event"] == "address_configured")
        return {event["address"]: routers.get(event["router"], "") for event in given}

    @cached_property
    def oracle(self) -> Oracle:
        return Oracle(self.scenario)

    def expected(self, session: RecordedSession) -> Expectation | None:
        return self.oracle.of(session.spec)

    def rtts_ms(self, session: str, from_s: float = 0.0, until_s: float = float("inf")) -> list[float]:
        """Round trips of the session's answered probes that were sent in the given time."""
        return [p.rtt_ms for p in self.probes[session] if p.rtt_ms is not None and from_s <= p.sent_s < until_s]

    def flow_entries(self) -> dict[str, int]:
        """How many rules each switch held at the scenario's end."""
        counts = {}
        for file in sorted(self.run.log.glob("*.flows")):
            lines = file.read_text().splitlines()
            counts[file.stem] = sum("cookie=" in line for line in lines)
        return counts

    def controller_counters(self) -> dict[str, dict[str, int]]:
        """By switch: packet-ins, flow-mods and barriers of the whole run."""
        stopped = [event for event in self.events if event["source"] == "controller" and event["event"] == "stopped"]
        return dict(stopped[-1]["counters"]) if stopped else {}


def recordings(runs: Iterable[RunDirectory]) -> list[Recording]:
    return [Recording(run) for run in runs]


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def band(points: Sequence[dict[str, Any]], low: str, high: str, expected: str, allowed: float, what: str) -> list[str]:
    """Which rows' confidence interval of (measured - expected) leaves ``allowed`` either way, in the columns' unit.

    A row without an expectation is not judged.
    """
    found = []
    for row in points:
        if row[expected] is None or row[low] is None:
            continue
        off = (row[low] - row[expected], row[high] - row[expected])
        if off[0] < -allowed or off[1] > allowed:
            point = ", ".join(f"{key}={row[key]}" for key in what.split())
            found.append(f"{point}: off the closed form by {off[0]:+.4g} to {off[1]:+.4g}, {allowed:g} allowed")
    return found
