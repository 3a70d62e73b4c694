"""What must hold between a scenario's keys, a sentence for each thing that does not: where, what, and what would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.scenario import faults, program_ports
from dmmlab.experiments.scenario.mobility import checks as movements
from dmmlab.experiments.scenario.model import CONTROLLER, CORE, RADIO, SWITCHES, Scenario
from dmmlab.experiments.scenario.sections.links import Link
from dmmlab.experiments.scenario.sections.session import NAME, Session
from dmmlab.experiments.scenario.sessions import sessions_of
from dmmlab.nodes.orders import FIRST_LOCAL_PORT, LABEL, MOST_SESSIONS, REGISTRATION_PORT, SERVICES
from dmmlab.topologies.addressing import SCHEMES

_LONGEST_COST_S = 0.1
_MOST_PROBES = 20_000_000
_LONGEST_SERVICE = 15  # letters (RFC 6335 section 5.1)


def problems(scenario: Scenario) -> Iterator[str]:
    """What is wrong with ``scenario``; nothing if it can be run."""
    keys = (
        _family,
        _lifetime,
        _size,
        _names,
        _identities,
        _services,
        _discovery,
        _links,
        movements.problems,
        _costs,
        _sessions,
        _programs,
        faults.problems,
    )
    for check in keys:
        yield from check(scenario)


def _family(scenario: Scenario) -> Iterator[str]:
    if scenario.family == "ipv4" and scenario.addresses.dad != "off":
        yield f"addresses: dad: {scenario.addresses.dad} goes with family: ipv6; IPv4's addresses come by DHCP"


def _lifetime(scenario: Scenario) -> Iterator[str]:
    addresses = scenario.addresses
    where, lasting = f"addresses: lifetime: {addresses.lifetime}", addresses.lifetime == "session-lasting"
    if addresses.lifetime == "fixed":
        return
    if addresses.keep is not None:
        yield f"{where} says when an address goes, and so does keep; leave one of them out"
    if addresses.lease < 1:
        yield f"{where}: an address needs a lease of a second at least, not {addresses.lease:g}s"
    if lasting and not scenario.redirect:
        yield f"{where}: without the redirect no session lasts; leave redirect: false out, or use non-persistent"
    if lasting and not addresses.idle:
        yield f"{where}: idle must be greater than 0: how long a session over UDP may be silent"


def _costs(scenario: Scenario) -> Iterator[str]:
    costs = scenario.costs
    if costs.node.dhcp is not None and scenario.family == "ipv6":
        yield "costs: node: dhcp goes with family: ipv4; IPv6's addresses come by router advertisements"
    if costs.server.register_ is not None and not scenario.needs(SERVER):
        able = " or ".join(name for name, method in METHODS.items() if SERVER in method.needs)
        yield f"costs: server: register: nobody speaks to {SERVER}; open a session by method {able}, or leave it out"
    for where, time in costs.given.items():
        if max(time.file or (time.constant or 0.0,)) > _LONGEST_COST_S:
            yield f"costs: {where}: a message may take {_LONGEST_COST_S:g}s at most: nobody waits longer for an answer"


def _size(scenario: Scenario) -> Iterator[str]:
    most = SCHEMES[-1].limits
    parts = (
        ("mobile_routers", len(scenario.mobile_routers), most.mobile_routers, "mobile routers"),
        ("links", len(scenario.hosts), most.hosts, "hosts with a link to CORE"),
        ("links", len(scenario.mobile_nodes), most.mobile_nodes, "mobile nodes"),
    )
    for key, count, limit, what in parts:
        if count > limit:
            yield f"{key}: a scenario holds at most {limit:,} {what}; this has {count:,}"
    probes = sum(_probes(entry) for entry in scenario.sessions)
    if probes > _MOST_PROBES:
        yield f"sessions: a scenario holds at most {_MOST_PROBES:,} probes; this has {probes:,}: use a longer interval"


def _probes(entry: Session) -> int:
    if entry.interval is None or entry.duration is None:
        return 0
    return entry.repeat * len(entry.method) * len(entry.transport) * round(entry.duration / entry.interval)


def _names(scenario: Scenario) -> Iterator[str]:
    reserved = {CORE, RADIO, SWITCHES, CONTROLLER}
    names = (*scenario.mobile_routers, *scenario.mobile_nodes, *scenario.hosts)
    times = Counter(names)
    for name in names:
        if name in reserved:
            yield f"links: {name} cannot be the name of a node here"
        if not NAME.match(name):
            yield f"node name {name!r}: use a letter, then up to eight letters, digits or dashes"
        if times[name] > 1:
            yield f"node {name} appears twice: once is enough in mobile_routers, and one link each to radio or CORE"
    sessions = [session.name for session in scenario.sessions]
    times = Counter(sessions)
    for name in sessions:
        if times[name] > 1:
            yield f"sessions: two sessions have the name {name}"


def _identities(scenario: Scenario) -> Iterator[str]:
    for identity in scenario.identities:
        if identity.node not in scenario.ends:
            yield f"identities: {identity.node}: unknown node; known are {', '.join(scenario.ends)}"
        if not LABEL.fullmatch(identity.label):
            yield f"identities: {identity.node}: label {identity.label!r} is no DNS label; use a-z, 0-9 and hyphens"
    labels = Counter(scenario.labels.get(name, name.lower()) for name in scenario.ends)
    for label, times in labels.items():
        if times > 1 and scenario.identities:
            yield f"identities: label {label} is that of two nodes; each needs its own"


def _discovery(scenario: Scenario) -> Iterator[str]:
    if scenario.discovery == "dns-sd" and not (scenario.needs(DDNS) and scenario.needs(RESOLVER)):
        able = " or ".join(name for name, method in METHODS.items() if DDNS in method.needs)
        yield f"discovery: dns-sd asks {RESOLVER} for what {DDNS} has; open a session by method {able}, too"


def _services(scenario: Scenario) -> Iterator[str]:
    taken = {REGISTRATION_PORT: "the registration server", **{port: name for name, port in SERVICES.items()}}
    names = set(SERVICES)
    for service in scenario.services:
        where = f"services: {service.name}"
        if not LABEL.fullmatch(service.name) or len(service.name) > _LONGEST_SERVICE:
            yield f"{where}: use a-z, 0-9 and hyphens, {_LONGEST_SERVICE} at most (RFC 6335)"
        if service.name in names:
            yield f"{where}: there is one already"
        if service.port in taken:
            yield f"{where}: port {service.port} is that of {taken[service.port]}; use another"
        if FIRST_LOCAL_PORT <= service.port < FIRST_LOCAL_PORT + MOST_SESSIONS:
            last = FIRST_LOCAL_PORT + MOST_SESSIONS - 1
            yield f"{where}: ports {FIRST_LOCAL_PORT} to {last} are those of sessions; use another"
        names.add(service.name)
        taken[service.port] = service.name


def _links(scenario: Scenario) -> Iterator[str]:
    inter_mr = set(scenario.mobile_routers)
    times = Counter((frozenset(link.between), link.at) for link in scenario.links)
    paired_ends = {name for pair in scenario.pairs for name in pair}
    for link in scenario.links:
        a, b = link.between
        ends = {a, b}
        to_core = CORE in ends and len(ends - {CORE, RADIO, SWITCHES, CONTROLLER}) == 1
        to_radio = RADIO in ends and len(ends - {CORE, RADIO, SWITCHES, CONTROLLER}) == 1
        between_mrs = ends <= inter_mr and a != b
        paired = a != b and ends <= {*inter_mr, *scenario.hosts}
        if not (to_core or to_radio or between_mrs or paired or ends == {CONTROLLER, SWITCHES}):
            yield (
                f"links: between [{a}, {b}] joins nothing that can be joined; allowed are [radio, MN], "
                f"[node, CORE], two that have such a "
                f"link, two of mobile_routers ({', '.join(scenario.mobile_routers)}), [CONTROLLER, switches]"
            )
        if RADIO in link.between and scenario.other_end(link, RADIO) in inter_mr:
            yield f"links: between [{a}, {b}]: a mobile router has no radio link of its own"
        if paired and not between_mrs and (link.jitter or link.loss or link.rate):
            yield f"links: between [{a}, {b}] is a delay between two nodes at the core; it has no jitter, loss or rate"
        if CORE in ends and ends & paired_ends and (link.jitter or link.rate):
            yield (
                f"links: between [{a}, {b}]: a node with a delay of its own to another one has no jitter and no rate; "
                "leave them out, or that delay"
            )
        if times[frozenset(ends), link.at] > 1:
            yield f"links: between [{a}, {b}]{'' if link.at is None else f' at {link.at}'} is given twice"
        yield from _elsewhere(scenario, link)
    for router in scenario.mobile_routers:
        if scenario.link(router, CORE) is None:
            yield f"links: mobile router {router} needs a link, {{between: [{router}, CORE], delay: …}}"
    if not scenario.mobile_nodes:
        yield "links: no mobile node; add {between: [radio, MN1], delay: 2ms}"


def _elsewhere(scenario: Scenario, link: Link) -> Iterator[str]:
    """A radio link that is another one at some mobile router."""
    if link.at is None:
        return
    a, b = link.between
    where = f"links: between [{a}, {b}] at {link.at}"
    if RADIO not in link.between:
        yield f"{where}: at goes with a radio link, {{between: [radio, MN1], at: {link.at}, delay: …}}"
    elif link.at not in scenario.mobile_routers:
        yield f"{where}: unknown mobile router; known are {', '.join(scenario.mobile_routers)}"
    elif scenario.link(a, b) is None:
        node = scenario.other_end(link, RADIO)
        yield f"{where}: {node} needs a radio link for elsewhere, too, {{between: [radio, {node}], delay: …}}"


def _sessions(scenario: Scenario) -> Iterator[str]:
    ends, hosts = scenario.ends, set(scenario.hosts)
    for session in scenario.sessions:
        where = f"sessions: {session.name}"
        for key, name in (("from", session.from_), ("to", session.to)):
            if name not in ends:
                yield f"{where}: {key} {name}: unknown correspondent or mobile node; known are {', '.join(ends)}"
        if session.from_ == session.to:
            yield f"{where}: from {session.from_} to {session.to}: a node has no session with itself; name two nodes"
        last_s = session.at + (session.repeat - 1) * (session.every or 0.0) + (session.duration or 0.0)
        if last_s > scenario.duration + 1e-9:
            yield f"{where}: lasts until {last_s:g}s, after the scenario's duration of {scenario.duration:g}s"
        yield from _known_address(scenario, session, where)
        yield from _service(scenario, session, where)
        for method in session.method:
            for service in METHODS[method].needs:
                if service not in hosts:
                    yield f"{where}: method {method} needs a node {service}; give it a link to CORE"


def _programs(scenario: Scenario) -> Iterator[str]:
    if any(session.run is not None for session in scenario.sessions):
        yield from program_ports.problems(scenario, sessions_of(scenario))


def _service(scenario: Scenario, session: Session, where: str) -> Iterator[str]:
    """``bulk`` takes in what has a size, the others echo."""
    known = [*(name for name in SERVICES if name != "bulk"), *scenario.more_services]
    if session.service == "bulk" and session.size is None:
        yield f"{where}: service bulk takes in what has a size; give one"
    elif session.service not in (None, "bulk", *known):
        yield f"{where}: unknown service {session.service!r}; known are {', '.join(known)}"
    elif session.service not in (None, "bulk") and session.size is not None:
        yield f"{where}: service {session.service} echoes; a transfer with a size is for bulk"


def _known_address(scenario: Scenario, session: Session, where: str) -> Iterator[str]:
    """A fixed host has one address, which is known; a mobile node has those of the routers that it attaches to."""
    if session.to in scenario.correspondents:
        if any(METHODS[method].asks for method in session.method):
            idle = " or ".join(name for name, method in METHODS.items() if not method.asks)
            yield f"{where}: to {session.to}: the address of a fixed host is known; use method: {idle}"
        if session.anchor is not None:
            yield f"{where}: anchor {session.anchor}: {session.to} is no mobile node and has one address only"
    elif session.anchor is not None and session.anchor not in {move.to for move in scenario.moves_of(session.to)}:
        yield f"{where}: anchor {session.anchor}: {session.to} never attaches to it"
