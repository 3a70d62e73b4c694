"""A run as everything reads it that is made of runs: tables, judgements, figures, ladders, reports."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dmmlab.experiments.oracle.expectation import Expectation, Oracle
from dmmlab.experiments.records import events, pcap, rows, stepped
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.events import Event
from dmmlab.experiments.records.pcap import Frame
from dmmlab.experiments.records.rows import (
    OUTCOMES,
    PATHS,
    HandoverRow,
    ProbeRow,
    ProgramMoveRow,
    ProgramRow,
    Row,
    SessionRow,
    SignallingRow,
)
from dmmlab.experiments.records.rundir import RunDirectory, radio_capture
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.machine.errors import Refusal
from dmmlab.topologies.plan import NetworkPlan


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
        """Whether it was answered, if only at a later attempt."""
        return self.row.outcome in ("ok", "retried")

    @property
    def from_host(self) -> bool:
        """Whether a host opened it, which is always at the same place."""
        return not self.row.mn_serving

    @property
    def fate(self) -> str:
        """What became of it, each exactly one: direct, redirect, relay, retried, failed."""
        if self.row.outcome == "ok":
            if self.row.path == "redirect-both":
                return "redirect"
            return self.row.path if self.row.path != "none" else "failed"
        return "retried" if self.row.outcome == "retried" else "failed"


class RecordError(Refusal):
    """The raw records cannot be used; one sentence: why."""


class Recording:
    """A run, opened once: its scenario and plan, its raw records, its tables.

    Every file is read when it is first asked for, and once. The raw records (``logged``, ``frames``) are there as soon
    as the runner has ended; the tables (``sessions``, ``probes``, ``handovers``, ``signalling``, ``events``) once they
    were made of these, and none of a run that failed has any row.

    Opening raises RunDirectoryError where there is no run, or one that a newer version wrote.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.manifest = run.manifest()
        self._frames: dict[str, list[Frame]] = {}
        self._found: dict[tuple[str, str, str], dict[object, list[Event]]] = {}
        self._by_port: dict[str, dict[int, list[Frame]]] = {}

    # -- what was run -------------------------------------------------------------------------------------------
    @cached_property
    def scenario(self) -> Scenario:
        """Raises ScenarioError if it is none of this version."""
        return parse(self.manifest["scenario"], str(self.run.run_json))

    @cached_property
    def plan(self) -> NetworkPlan:
        """The network that the scenario was played on."""
        return network_plan(self.scenario)

    @cached_property
    def specs(self) -> list[SessionSpec]:
        """Every session that was ordered, in the scenario's order."""
        return sessions_of(self.scenario)

    @cached_property
    def oracle(self) -> Oracle:
        """The closed forms of the scenario."""
        return Oracle(self.scenario)

    # -- raw records --------------------------------------------------------------------------------------------
    @cached_property
    def logged(self) -> list[Event]:
        """All that processes noted, in one order; ``time_ns`` since the epoch.

        Mobile nodes have their names, also where the controller knows them by their MACs only.
        """
        names = {radio.mac: node.name for node in self.plan.mobile_nodes for radio in node.radios}
        found: list[Event] = []
        for file in sorted(self.run.log.glob("*.events.jsonl")):
            for event in events.read(file, "time_ns"):
                if isinstance(node := event.get("mn"), str):
                    event["mn"] = names.get(node, node)
                found.append(event)
        return sorted(found, key=lambda event: int(event["time_ns"]))

    @cached_property
    def _logged_by_kind(self) -> dict[tuple[str, str], list[Event]]:
        kinds = defaultdict(list)
        for event in self.logged:
            kinds[event["source"], event["event"]].append(event)
        return kinds

    def find(self, source: str, event: str, **fields: object) -> list[Event]:
        """The logged events of this source and name that have these ``fields``, by time."""
        if len(fields) != 1:
            return [one for one in self._logged_by_kind.get((source, event), ()) if fields.items() <= one.items()]
        ((name, value),) = fields.items()
        if (source, event, name) not in self._found:
            values: dict[object, list[Event]] = defaultdict(list)
            for one in self._logged_by_kind.get((source, event), ()):
                if name in one:
                    values[one[name]].append(one)
            self._found[source, event, name] = values
        return self._found[source, event, name].get(value, [])

    def serving(self, node: str, time_ns: int, radio: str = "") -> str:
        """Where the runner had attached ``node`` by then (ns since the epoch); empty while it was detached.

        Where it was attached last, if it had two links; with ``radio``, a MAC of its, by that radio.
        """
        moves = self._whereabouts.get(radio) or self._whereabouts.get(node, [])
        turn = bisect_right(moves, time_ns, key=lambda move: move[0])
        return moves[turn - 1][1] if turn else ""

    @cached_property
    def _whereabouts(self) -> dict[str, list[tuple[int, str]]]:
        """By node, and by radio."""
        places: dict[str, list[tuple[int, str]]] = defaultdict(list)
        turns: Counter[str] = Counter()
        macs = {node.name: [radio.mac for radio in node.radios] for node in self.plan.mobile_nodes}
        for event in self.logged:
            if event["source"] != "runner" or "mn" not in event:
                continue
            node, what = event["mn"], event["event"]
            router = event["to"] if what == "attached" else ""
            if what == "left":  # by the radio that it no longer has
                radio = 1 - self.scenario.radio_of(node, turns[node] - 1)
            else:
                radio = self.scenario.radio_of(node, turns[node])
                places[node].append((event["time_ns"], router))
            places[macs[node][radio]].append((event["time_ns"], router))
            turns[node] += what == "attached"
        return places

    @cached_property
    def start_ns(self) -> int:
        """When the scenario started, ns since the epoch. Raises RecordError if it never did."""
        started = self.find("runner", "scenario_started")
        if not started:
            raise RecordError(f"{self.run.events_of('runner')}: the scenario never started")
        return int(started[0]["time_ns"])

    def since_start(self, time_ns: int) -> float:
        """Seconds from the scenario's start, to the nanosecond."""
        return round((time_ns - self.start_ns) / 1e9, 9)

    def frames(self, host: str) -> list[Frame]:
        """What the capture of ``host`` holds, in its order; of a node with two radios, what both hold, by time.

        Raises RunDirectoryError where it is no capture, was cut, or is not there though the run came to its end.
        """
        if host not in self._frames:
            second = self._captured(radio_capture(host, 1)) if self._radios.get(host, 1) > 1 else []
            frames = self._captured(host)
            self._frames[host] = sorted([*frames, *second], key=lambda frame: frame.time_ns) if second else frames
        return self._frames[host]

    def _captured(self, name: str) -> list[Frame]:
        faults, file = self.scenario.faults, self.run.pcap(name)
        steps = stepped.stretches(self.find("runner", "clock_stepped")) if faults else []
        how: dict[str, Any] = {"put_right": stepped.stamps(steps, name)} if steps else {}
        if any(fault.impair is not None and fault.impair.corrupt for fault in faults):
            how["damaged"] = True
        if not self.run.has(file):
            return []
        if self.run.outcome() is None:
            how["growing"] = True
        return list(pcap.read(file, **how))

    @cached_property
    def _radios(self) -> dict[str, int]:
        return {node.name: len(node.radios) for node in self.plan.mobile_nodes}

    def frames_from_port(self, host: str, port: int) -> list[Frame]:
        """Those of `frames` whose source port is ``port``."""
        if host not in self._by_port:
            ports: dict[int, list[Frame]] = defaultdict(list)
            for frame in self.frames(host):
                ports[frame.source_port].append(frame)
            self._by_port[host] = ports
        return self._by_port[host].get(port, [])

    # -- tables -------------------------------------------------------------------------------------------------
    def _table(self, file: Path, kind: type[Row]) -> list[Row]:
        """Its rows; none of a run that failed. Raises RunDirectoryError where it is not what a run writes, or names a
        node, a router or an outcome that the scenario has not, or no run.
        """
        found = rows.read(file, kind) if self.run.has(file) else []
        known = {name: names for name, names in self._words.items() if name in rows.columns(kind)}
        for number, row in enumerate(found, 1):
            for column, words in known.items():
                if (word := getattr(row, column)) and word not in words:
                    raise RunDirectoryError.damaged(file, f"row {number}: {column}: {str(word)[:80]!r}")
        return found

    @cached_property
    def _words(self) -> dict[str, Collection[str]]:
        """What may stand in a table's column, if it is not empty."""
        routers = self.scenario.mobile_routers
        places = ("anchor", "serving", "mn_anchor", "mn_serving", "from_mr", "to_mr")
        return {**dict.fromkeys(places, routers), "outcome": OUTCOMES, "path": PATHS}

    @cached_property
    def session_rows(self) -> list[SessionRow]:
        """The rows of sessions.csv."""
        return self._table(self.run.sessions, SessionRow)

    @cached_property
    def sessions(self) -> list[RecordedSession]:
        """The sessions that have a row, in the scenario's order: all, unless the run failed."""
        known = {row.session: row for row in self.session_rows}
        if known or self.run.finished():
            for spec in self.specs:
                if spec.name not in known:
                    raise RunDirectoryError.damaged(self.run.sessions, f"it has no row of session {spec.name}")
        return [RecordedSession(spec, known[spec.name]) for spec in self.specs if known]

    @cached_property
    def probe_rows(self) -> list[ProbeRow]:
        """The rows of probes.csv, those of probes that were never sent too."""
        return self._table(self.run.probes, ProbeRow)

    @cached_property
    def probes(self) -> dict[str, list[Probe]]:
        """The probes that were sent, by session."""
        found: dict[str, list[Probe]] = defaultdict(list)
        for row in self.probe_rows:
            if row.sent_s is not None:
                found[row.session].append(Probe(row.seq, row.sent_s, row.rtt_ms))
        return found

    @cached_property
    def handovers(self) -> list[HandoverRow]:
        """The rows of handovers.csv."""
        found = self._table(self.run.handovers, HandoverRow)
        for number, row in enumerate(found, 1):
            if row.mn not in self.scenario.mobile_nodes:
                raise RunDirectoryError.damaged(self.run.handovers, f"row {number}: mn: {row.mn[:80]!r}")
        return found

    @cached_property
    def signalling(self) -> list[SignallingRow]:
        """The rows of signalling.csv."""
        return self._table(self.run.signalling, SignallingRow)

    @cached_property
    def programs(self) -> list[ProgramRow]:
        """The rows of programs.csv; none in a scenario without programs."""
        return self._of_programs(self.run.programs, ProgramRow)

    @cached_property
    def program_moves(self) -> list[ProgramMoveRow]:
        """The rows of program_moves.csv."""
        return self._of_programs(self.run.program_moves, ProgramMoveRow)

    def _of_programs(self, file: Path, kind: type[Row]) -> list[Row]:
        there = file.is_file() or any(spec.entry.run is not None for spec in self.specs)
        return self._table(file, kind) if there else []

    @cached_property
    def events(self) -> list[Event]:
        """The lines of events.jsonl; ``time_s`` since the scenario's start."""
        return self.run.timeline()

    def read_through(self) -> None:
        """Reads scenario, tables and events once. Raises Refusal where one of them is not what a run writes."""
        _ = (self.sessions, self.probe_rows, self.handovers, self.signalling, self.programs, self.program_moves)
        _ = self.events

    # -- what follows from them ---------------------------------------------------------------------------------
    @cached_property
    def lookups(self) -> dict[str, list[Event]]:
        """The ``lookup_ended`` events of each session, in order."""
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            if event["event"] == "lookup_ended":
                found[event["session"]].append(event)
        return found

    @cached_property
    def anchors(self) -> dict[str, str]:
        """Which mobile router each address of a mobile node is from, as the routers' servers gave them out."""
        routers = {str(router.router_id): router.name for router in self.plan.mobile_routers}
        given = (event for event in self.events if event["event"] == "address_configured")
        return {event["address"]: routers.get(event["router"], "") for event in given}

    def expected(self, session: RecordedSession) -> Expectation | None:
        """The closed form of a session's set-up; None where there is none."""
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
    """Each of ``runs``, opened. Raises RunDirectoryError as `Recording` does."""
    return [Recording(run) for run in runs]
