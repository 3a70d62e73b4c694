"""The plan of a scenario as a person reads it: nodes, links, timeline, closed forms."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import assert_never

from dmmlab.experiments.cli.console import table
from dmmlab.experiments.cli.settings_view import HEADS, settings
from dmmlab.experiments.oracle.expectation import Oracle
from dmmlab.experiments.oracle.lifetimes import deprecated_s
from dmmlab.experiments.oracle.silence import longest_of_all_s
from dmmlab.experiments.scenario import program_ports, programs
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.sessions import sessions_of
from dmmlab.experiments.scenario.timeline import (
    Announce,
    AnyEvent,
    Attach,
    Detach,
    FaultBegins,
    FaultEnds,
    ScenarioEnd,
    SessionEnd,
    SessionStart,
    timeline,
)
from dmmlab.machine import programs as machine

_PLAIN = re.compile(r"[\w@%+=:,./{}-]+")  # what needs no quotes, to a person
_WIDEST = 100


def show(scenario: Scenario) -> None:
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
    if network.tunnels:
        tunnels = [(" - ".join(tunnel.routers), f"{tunnel.delay_s * 1e3:g} ms") for tunnel in network.tunnels]
        table("Tunnels through the core, each direction", ("between", "delay"), tunnels)
    if scenario.mobility:
        of_entries = ("nodes", "how", "from", "until", "movements")
        table("Mobility (each movement stands in the timeline)", of_entries, [*_itineraries(scenario)])
    if scenario.geometry is not None:
        place = scenario.geometry.place
        rows = [(name, str(row)) for name, row in place.items()] if isinstance(place, dict) else []
        table(f"Places in {scenario.geometry.source}", ("node", "row"), rows)
        delays = [(" - ".join(pair.between), f"{pair.delay * 1e3:g} ms") for pair in scenario.geometry.delays]
        table("Delays by the core, each direction", ("between", "delay"), delays)
    _programs(scenario)
    table("How it is done", HEADS, list(settings(scenario)))
    oracle = Oracle(scenario)
    if scenario.addresses.lifetime != "fixed":
        table("Addresses", ("node", "router", "address", "an old one from", "until"), [*_addresses(scenario, oracle)])
    heads = ("at", "who", "what", "method", "transport", "expected set-up")
    table("Timeline", heads, [_row(event, oracle) for event in timeline(scenario)])
    silences = [
        (f"{move.at:g} s", node, move.to, f"{silence_s * 1e3:g} ms")
        for node in scenario.mobile_nodes
        for turn, silence_s in sorted(longest_of_all_s(scenario, node).items())
        for move in (scenario.moves_of(node)[turn],)
    ]
    if silences:
        table("Longest silence of a session with probes", ("at", "node", "to", "expected"), silences)


def _itineraries(scenario: Scenario) -> Iterator[tuple[str, ...]]:
    """A line for each entry of ``mobility``."""
    for entry in scenario.mobility:
        drawn = [move for move in scenario.moves[len(scenario.movement) :] if move.node in entry.moved]
        if entry.residence is None:
            yield (_some(entry.moved), "trace", "", "", str(len(drawn)))
            continue
        ends_s = scenario.duration if entry.until is None else entry.until
        number = sum(entry.from_ <= move.at <= ends_s for move in drawn)
        how = f"{entry.model}, {entry.residence.words}"
        yield (_some(entry.moved), how, f"{entry.from_:g} s", f"{ends_s:g} s", str(number))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} … {names[-1]} ({len(names)})"


def _addresses(scenario: Scenario, oracle: Oracle) -> Iterator[tuple[str, ...]]:
    """Of addresses that do not stay: from when on each is an old one, and when it goes."""
    plan, lasting = network_plan(scenario), scenario.addresses.lifetime == "session-lasting"
    for node in scenario.mobile_nodes:
        for turn, move in enumerate(scenario.moves_of(node)):
            old_s, back_s = deprecated_s(scenario, node, turn), oracle.given_back_s(node, turn)
            gone = [f"{later.at:g} s" for later in scenario.moves_of(node)[turn + 1 : turn + 2]]
            until = (f"{back_s:g} s" if back_s is not None else "") if lasting else "".join(gone)
            address = str(plan.mobile_node(node).addresses[move.to])
            yield (node, move.to, address, f"{old_s:g} s" if lasting and old_s is not None else "", until)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _programs(scenario: Scenario) -> None:
    """Programs of one's own, with what is filled in when they are started, and whether this machine has them."""
    found = [
        (
            spec.name,
            role,
            spec.mn if role == programs.SERVER else spec.cn,
            str(program_ports.port(spec)),
            _cut(" ".join(word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in words)),
            "yes" if machine.found(words[0]) else f"no (package {machine.package(words[0])})",
        )
        for spec in sessions_of(scenario)
        if spec.entry.run is not None
        for role in programs.ROLES
        if (words := spec.entry.run.command(role)) is not None
    ]
    if found:
        table("Programs", ("session", "role", "at", "port", "command", "installed"), found)


def _row(event: AnyEvent, oracle: Oracle) -> tuple[str, ...]:
    """An event of the timeline as a person reads it; of a session's start, also its closed form."""
    at = f"{event.at_s:.10g} s"
    match event:
        case Announce(_, node, to, lead_s):
            return (at, node, f"announces that it leaves for {to} in {lead_s * 1e3:g} ms", "", "", "")
        case Detach(_, node, to, _, from_):
            lost = f"radio link, on its way to {to}" if from_ is None else f"old radio link, to {from_}"
            return (at, node, f"loses its {lost}", "", "", "")
        case Attach(_, node, to, gap_s, _, overlap_s):
            gap = "" if gap_s is None else f" after a gap of {gap_s * 1e3:g} ms"
            if overlap_s is not None:
                gap = f" by its other radio, {overlap_s * 1e3:g} ms before it loses the first link"
            return (at, node, f"attaches to {to}{gap}", "", "", "")
        case FaultBegins(_, number, fault) | FaultEnds(_, number, fault):
            begins = isinstance(event, FaultBegins)
            what = f"{fault.words}, for {fault.for_:g} s" if begins else "is over"
            return (at, f"fault {number}", what, "", "", "")
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


def _extra(jitter: float, loss: float, rate: float | None) -> str:
    words = [f"jitter {jitter * 1e3:g} ms"] if jitter else []
    words += [f"loss {loss * 100:g} %"] if loss else []
    words += [f"{rate / 1e6:g} Mbit/s"] if rate else []
    return ", ".join(words)
