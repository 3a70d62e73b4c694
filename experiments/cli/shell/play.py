"""What the user of the prompt does to a scenario that is being played, and the scenario that it has become by that."""

from __future__ import annotations

import json
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from dmmlab.experiments.analysis import tables
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import SessionRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.daemons import Daemons
from dmmlab.experiments.runner.executor import Executor
from dmmlab.experiments.runner.orders import order_of
from dmmlab.experiments.scenario.load import ScenarioError, parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.playground import Playground
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.experiments.scenario.units import format_duration, parse_duration
from dmmlab.machine.errors import Refusal

KEYS = ("anchor", "duration", "every", "interval", "name", "repeat", "select", "service", "size", "transport")
PLAYED = "What was played at the prompt. `dmmlab run` plays it again, in virtual time."
GAP_S = 0.05  # of a movement that names none, as in a scenario
INTERVAL = "20ms"  # between the probes of a session that lasts
_LEAD_S = 0.2  # between an order and what it is about: a movement, a session's start
_SEARCH_S = 1.2  # the same where the opener first finds out who the node is
_MS = 1_000_000  # ns


class Refused(Refusal):
    """What was asked for at the prompt cannot be done; one sentence."""


class PlayedRecording(Recording):
    """The records of a run that is going on, of the scenario as it has been played so far."""

    def __init__(self, run: RunDirectory, played: Scenario) -> None:
        super().__init__(run)
        self._played = played

    @cached_property
    def scenario(self) -> Scenario:
        """As it has been played so far."""
        return self._played


class Play:
    """Moves, sessions and their rows; ``start_ns`` is when the scenario started (ns since the epoch)."""

    def __init__(self, scenario: Playground, daemons: Daemons, executor: Executor, start_ns: int) -> None:
        self.scenario, self.plan, self.run = scenario, daemons.plan, daemons.run
        self._daemons, self._executor, self._start_ns = daemons, executor, start_ns
        self._data = scenario.model_dump(mode="json", by_alias=True)
        self.sessions: list[SessionSpec] = []
        self._names = 0

    @property
    def now_s(self) -> float:
        """Seconds since the scenario's start, rounded up to the next millisecond."""
        return -(-(time.time_ns() - self._start_ns) // _MS) / 1e3

    # -- movement ---------------------------------------------------------------------------------------------------
    def serving(self, node: str) -> str:
        """The mobile router that ``node`` is attached to; empty if it is attached to none."""
        return PlayedRecording(self.run, self.scenario).serving(node, time.time_ns())

    def move(self, node: str, to: str, gap_s: float = GAP_S) -> None:
        """Moves ``node`` now. Raises Refused where it cannot be moved there."""
        at_s, here = round(self.now_s + _LEAD_S, 3), self.serving(node)
        if not here:
            first_s = self.scenario.moves_of(node)[0].at
            reason = f"the scenario attaches it at {first_s:g} s" if at_s < first_s else "it is on its way"
            raise Refused(f"move: {node} is attached to no mobile router just now: {reason}")
        if here == to:
            others = ", ".join(name for name in self.scenario.mobile_routers if name != to)
            raise Refused(f"move: {node} is at {to} already; others are {others or 'none'}")
        mine = {"at": format_duration(at_s), "node": node, "to": to, "gap": format_duration(gap_s)}
        before = [move for move in self._data["movement"] if move["node"] != node or _at_s(move) < at_s]
        played = parse({**self._extended(at_s + gap_s), "movement": [*before, mine]}, "move")
        self._executor.move(node, to, at_s, gap_s, self._start_ns)
        self._data = played.model_dump(mode="json", by_alias=True)

    # -- sessions ---------------------------------------------------------------------------------------------------
    def log_of(self, opener: str) -> Path:
        """Where the agent notes its events that opens the sessions of ``opener``."""
        mobile = opener in self.scenario.mobile_nodes
        return self.run.events_of(f"{opener}-sessions" if mobile else opener)

    def open(
        self,
        opener: str,
        to: str,
        methods: Sequence[str],
        options: Mapping[str, str],
        expect: Callable[[frozenset[str]], None],
    ) -> list[SessionSpec]:
        """Orders sessions, by each of ``methods``; ``options`` are `KEYS` of a scenario's sessions.

        ``expect`` is told their names before. Raises Refused for what cannot be.
        """
        lead_s = _SEARCH_S if self.scenario.discovery == "dns-sd" else _LEAD_S
        entry: dict[str, Any] = {"name": self._free_name(), **options, "from": opener, "to": to}
        entry |= {"at": format_duration(round(self.now_s + lead_s, 3)), "method": list(methods)}
        if "duration" in entry and "size" not in entry:
            entry.setdefault("interval", INTERVAL)
        if "size" in entry:
            entry.setdefault("transport", "tcp")
        if "repeat" in entry:
            entry["repeat"] = _whole("repeat", entry["repeat"])
        known = len(sessions_of(self.played))
        data = {**self._extended(3600.0), "sessions": [*self._data["sessions"], entry]}
        try:
            played = parse(data, "session")
        except ScenarioError as error:
            raise Refused(str(error).replace(f"sessions: {entry['name']}: ", "", 1)) from None
        ordered = sessions_of(played)[known:]
        expect(frozenset(spec.name for spec in ordered))
        self._send(opener, [asdict(order_of(played, self.plan, spec, self._start_ns)) for spec in ordered])
        last_s = max(spec.at_s + (spec.duration_s or 0.0) for spec in ordered)
        self._data = {**self._extended(last_s), "sessions": data["sessions"]}
        self.sessions += ordered
        return ordered

    def _free_name(self) -> str:
        taken = {entry["name"] for entry in self._data["sessions"]}
        while (name := f"S{self._names + 1}") in taken:
            self._names += 1
        return name

    def _send(self, opener: str, orders: Sequence[Mapping[str, object]]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as there:
            try:
                there.connect(str(self._daemons.counter(opener)))
            except OSError as error:
                raise Refused(f"session: the agent of {opener} has ended: {error.strerror}") from None
            there.sendall("".join(json.dumps(order) + "\n" for order in orders).encode())

    # -- what it has become -----------------------------------------------------------------------------------------
    def _extended(self, until_s: float) -> dict[str, Any]:
        """The keys of the scenario as played, which lasts at least until ``until_s``."""
        lasts_s = max(self.played.duration, until_s)
        return {**self._data, "duration": format_duration(round(lasts_s, 3))}

    @property
    def played(self) -> Scenario:
        """The scenario, with what the user has done so far in it."""
        return Scenario.model_validate(self._data)

    def rows(self, names: frozenset[str]) -> list[tuple[SessionRow, str]]:
        """What the sessions of these ``names`` have in ``sessions.csv`` so far, and of their probes, in words."""
        recording = PlayedRecording(self.run, self.played)
        probes: dict[str, list[float | None]] = defaultdict(list)
        for probe in tables.probe_rows(recording, names):
            if probe.sent_s is not None:
                probes[probe.session].append(probe.rtt_ms)
        return [(row, _summary(probes[row.session])) for row in tables.session_rows(recording, names)]

    def keep(self) -> None:
        """Writes down the scenario as it was played, so that it can be played again: ``played.yaml``."""
        played = {**self._data, "name": self.scenario.name}
        self.run.amend(scenario=played)
        text = yaml.safe_dump(played, sort_keys=False, allow_unicode=True)
        (self.run.root / "played.yaml").write_text(f"# {PLAYED}\n{text}")


def _at_s(move: Mapping[str, Any]) -> float:
    return parse_duration(move["at"])


def _summary(rtts_ms: Sequence[float | None]) -> str:
    """Of the probes that were sent: how many were answered, and the latest round trip."""
    answered = [rtt_ms for rtt_ms in rtts_ms if rtt_ms is not None]
    latest = f", {answered[-1]:.1f} ms" if answered else ""
    return f"{len(answered)}/{len(rtts_ms)}{latest}"


def _whole(key: str, value: str) -> int:
    if not value.isdigit():
        raise Refused(f"session: {key} {value}: a whole number, such as 5")
    return int(value)
