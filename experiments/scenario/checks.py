"""What must hold between a scenario's keys, a sentence for each thing that does not: where, what, and what would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.scenario import faults, program_ports
from dmmlab.experiments.scenario.mobility.section import Mobility
from dmmlab.experiments.scenario.model import CONTROLLER, CORE, RADIO, SWITCHES, Scenario
from dmmlab.experiments.scenario.sections.links import Link
from dmmlab.experiments.scenario.sections.movement import Movement
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
        _mobility,
        _itineraries,
        _movement,
        _handover,
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


def _mobility(scenario: Scenario) -> Iterator[str]:
    """Before anything is drawn: nodes and routers that exist, ways for who needs them, and nobody in two places."""
    busy: dict[str, tuple[float, str]] = {}  # by node, until when it is moved, and by what
    for number, entry in sorted(enumerate(scenario.mobility, 1), key=lambda found: found[1].from_):
        where = f"mobility: entry {number}" + (f" ({entry.model})" if entry.model else "")
        yield from _mobility_names(scenario, entry, where)
        if entry.from_ >= scenario.duration:
            yield f"{where}: begins at {entry.from_:g}s, not before the scenario's end at {scenario.duration:g}s"
        for node in entry.moved:
            until_s, other = busy.get(node, (0.0, ""))
            if other and (entry.from_ < until_s or entry.trace is not None):
                yield f"{where}: {node} is moved by {other} until {until_s:g}s; let this one begin then, with from"
            busy[node] = (scenario.duration if entry.until is None else entry.until, f"entry {number}")
        for move in scenario.movement:
            if move.node in entry.moved and (move.at > entry.from_ or entry.trace is not None):
                yield (
                    f"{where}: the movement of {move.node} at {move.at:g}s is written as well; "
                    "written are movements before from alone"
                )


def _mobility_names(scenario: Scenario, entry: Mobility, where: str) -> Iterator[str]:
    nodes, routers, places = set(scenario.mobile_nodes), set(scenario.mobile_routers), scenario.ground.map_of(entry)
    for node in entry.moved:
        if node not in nodes:
            yield f"{where}: unknown mobile node {node}; known are {', '.join(scenario.mobile_nodes)}"
    for router in (*entry.routers, *(row.mr for row in entry.trace or ())):
        if router not in routers:
            yield f"{where}: unknown mobile router {router}; known are {', '.join(scenario.mobile_routers)}"
    if entry.model and len(places.routers) < 2:
        yield f"{where}: needs two mobile routers to move between"
    for router in places.routers if entry.model == "random-walk" else ():
        if not places.neighbours[router]:
            yield f"{where}: no inter-MR link leads away from {router}; add one, or leave it out of routers"
    starts = {move.node: move.to for move in sorted(scenario.movement, key=lambda move: move.at)}
    for node in entry.moved if entry.routers else ():
        if starts.get(node, entry.routers[0]) not in entry.routers:
            yield f"{where}: {node} is at {starts[node]} when it begins, which is none of its routers"


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


def _itineraries(scenario: Scenario) -> Iterator[str]:
    try:
        _ = scenario.moves
    except ValueError as error:
        yield str(error)


def _movement(scenario: Scenario) -> Iterator[str]:
    nodes, routers = set(scenario.mobile_nodes), set(scenario.mobile_routers)
    for move in scenario.moves:
        where = f"movement: at {move.at:g}s, node {move.node}"
        if move.node not in nodes:
            yield f"{where}: unknown mobile node; known are {', '.join(scenario.mobile_nodes)}"
        if move.to not in routers:
            yield f"{where}: unknown mobile router {move.to}; known are {', '.join(scenario.mobile_routers)}"
        if move.over_s > scenario.duration:
            yield f"{where}: ends after the scenario's duration of {scenario.duration:g}s"
        if move.overlap == 0:
            yield f"{where}: overlap: 0s has no two links at once; give more, or gap: 0s"
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        if not moves:
            yield f"movement: {node} never attaches; add {{at: 0s, node: {node}, to: {scenario.mobile_routers[0]}}}"
        if moves and moves[0].overlap is not None:
            yield f"movement: at {moves[0].at:g}s, node {node}: a first attachment has no link to overlap with"
        for before, after in pairwise(moves):
            yield from _succession(before, after)


def _succession(before: Movement, after: Movement) -> Iterator[str]:
    """Two movements of a node, one after the other."""
    if after.at <= before.over_s and before.overlap is not None:
        yield (
            f"movement: at {before.at:g}s, node {before.node}: overlap {before.overlap * 1e3:g}ms is longer than its "
            f"stay, which ends at {after.at:g}s; let the first link go before the next movement"
        )
    elif after.at <= before.over_s:
        yield (
            f"movement: the movements of {before.node} at {before.at:g}s (gap {before.gap * 1e3:g}ms) and "
            f"{after.at:g}s overlap; let the second start after the first has ended"
        )
    if after.to == before.to:
        yield f"movement: at {after.at:g}s, node {after.node}: is at {after.to} already"


def _handover(scenario: Scenario) -> Iterator[str]:
    if scenario.handover.buffer and not scenario.redirect:
        yield "handover: buffer keeps packets for the redirect; with redirect: false there is none"
    lead_s = scenario.handover.announce
    for node in scenario.mobile_nodes if lead_s is not None else ():
        for before, after in pairwise(scenario.moves_of(node)):
            arrived_s = before.over_s if before is not scenario.moves_of(node)[0] else before.at
            if after.overlap is None and lead_s is not None and after.at - lead_s <= arrived_s:
                yield (
                    f"handover: announce {lead_s * 1e3:g}ms: {node}, which leaves at {after.at:g}s, is at {before.to} "
                    f"from {arrived_s:g}s only; announce later, or let it stay longer"
                )


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
