"""The ports of programs that sessions run, and what must hold of those sessions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.programs import AFTER_S, ROLES
from dmmlab.experiments.scenario.sessions import SessionSpec
from dmmlab.nodes.orders import DNS_PORT, FIRST_LOCAL_PORT, MOST_SESSIONS, SERVICES
from dmmlab.nodes.programs.words import PLACEHOLDERS, unknown
from dmmlab.nodes.registration import wire

_FIRST_PORT = FIRST_LOCAL_PORT + MOST_SESSIONS  # session n has port _FIRST_PORT + n, if the scenario says no other
_LAST_PORT = 32_767  # further up are those that the kernel hands out


def port(spec: SessionSpec) -> int:
    """The port at which a session with programs has its server."""
    given = spec.entry.run.port if spec.entry.run is not None else None
    return given or _FIRST_PORT + spec.number


def programs_at(specs: list[SessionSpec], node: str) -> dict[str, int]:
    """Ports of the programs that sessions are opened to at ``node``, by their services' names."""
    return {spec.service: port(spec) for spec in specs if spec.entry.run is not None and spec.mn == node}


def problems(scenario: Scenario, specs: list[SessionSpec]) -> Iterator[str]:
    """What is wrong with the programs of ``scenario``; a sentence each."""
    running = [spec for spec in specs if spec.entry.run is not None]
    for one in {spec.entry.name: spec for spec in running}.values():
        yield from _entry(one)
    for spec in running:
        yield from _port(scenario, spec)
    for one, other in combinations(running, 2):
        if one.mn == other.mn and port(one) == port(other) and _together(one, other):
            yield (
                f"sessions: {other.name}: port {port(other)} at {other.mn} is taken by {one.name}, which goes on until "
                f"{ends_s(one):g}s; give it another one (run: {{port: …}}), or another time"
            )


def _entry(spec: SessionSpec) -> Iterator[str]:
    entry, where = spec.entry, f"sessions: {spec.entry.name}: run"
    run = entry.run
    assert run is not None
    given = {"interval": entry.interval, "size": entry.size, "service": entry.service}
    for key in (key for key, value in given.items() if value is not None):
        yield f"{where}: its programs decide what is sent, so there is no {key}; leave that out"
    if entry.select != type(entry).model_fields["select"].default:
        yield f"{where}: a policy compares addresses by probes, which a program does not answer; leave select out"
    if entry.duration is None:
        yield f"{where}: give the session a duration, after which its programs are ended"
    for role in ROLES:
        for name in unknown(run.command(role) or ()):
            known = ", ".join(f"{{{word}}}" for word in PLACEHOLDERS)
            text = f"{{{{{name}}}}} is the text itself"
            yield f"{where}: {role}: unknown placeholder {{{name}}}; known are {known}; {text}"


def _port(scenario: Scenario, spec: SessionSpec) -> Iterator[str]:
    wanted, where = port(spec), f"sessions: {spec.name}: run: port {port(spec)}"
    taken = {wire.PORT: "the registration protocol", DNS_PORT: "the DNS", 67: "DHCP", 68: "DHCP"}
    taken |= {number: f"the service {name}" for name, number in {**SERVICES, **scenario.more_services}.items()}
    if wanted in taken:
        yield f"{where}: is that of {taken[wanted]}; use another"
    if FIRST_LOCAL_PORT <= wanted < _FIRST_PORT:
        yield f"{where}: ports {FIRST_LOCAL_PORT} to {_FIRST_PORT - 1} are those of sessions; use another"
    if wanted > _LAST_PORT and spec.entry.run is not None and spec.entry.run.port is None:
        yield f"sessions: {spec.name}: run: there is no port left for it; give it one (port: …)"


def starts_s(spec: SessionSpec) -> float:
    """When the session's server is started, seconds."""
    return spec.at_s - (spec.entry.run.ahead if spec.entry.run is not None else 0.0)


def ends_s(spec: SessionSpec) -> float:
    """When it is ended, if it has not by then, seconds."""
    return spec.at_s + (spec.duration_s or 0.0) + AFTER_S


def _together(one: SessionSpec, other: SessionSpec) -> bool:
    return starts_s(one) < ends_s(other) and starts_s(other) < ends_s(one)
