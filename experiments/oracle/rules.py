"""How many rules the redirect takes, and how many changes of rules a move: counted from docs/redirect.md's tables.

There is a closed form where every mobile router that a node goes to has an inter-MR link to each of the others and the
delays make that the shortest way, no node comes back, and nothing beside the redirect has rules of its own (peers,
announcements, second radios, tunnels, addresses that end). Elsewhere: None.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import NamedTuple

from dmmlab.experiments.oracle.delays import inter_mr_s, link_s
from dmmlab.experiments.scenario.model import Scenario


class Counts(NamedTuple):
    """Rules of a family. Each redirect is over two switches, the anchor's and the serving one."""

    base: int  # of a switch, whatever it is joined to
    to_router: int  # at the anchor, of what comes from its router: changed when the node moves on
    from_outside: int  # at the anchor, of what comes from the other switch: new ones then, at another port
    serving: int  # at the serving switch: new ones there, the old ones removed
    answered: int  # at the anchor, for the controller: as long as the node is away


# Base: release, own frames, unknown sender, default; from the router a reply and all else. IPv6 also: solicitations,
# advertisements, and those of routers withheld. To the router's side: what it says on the link (IPv4: ARP, DHCP; IPv6:
# solicitation, advertisement, router advertisement), the pair of MACs, the address itself, in IPv4 the question for it.
# From outside: the pair, the question for the router. Serving: the pair both ways, the question for the router, in IPv4
# that for the address, what the node sends; in IPv6 also two kinds of message that stay on the link.
_COUNTS = {"ipv4": Counts(6, 5, 2, 5, 0), "ipv6": Counts(9, 5, 2, 6, 1)}
_OF_PORT = 2  # an inter-MR port: let in, and dropped where no redirect takes it
_SIGHTING = _BINDING = 1
DHCP_MESSAGES = 4  # RFC 2131: each is copied to the controller once, the node's first frame being the first of them


def entries(scenario: Scenario) -> int | None:
    """The rules in all switches at the end."""
    if not _simple(scenario):
        return None
    counts = _COUNTS[scenario.family]
    ports = sum(len(scenario.inter_mr_links.get(router, ())) for router in scenario.mobile_routers)
    found = counts.base * len(scenario.mobile_routers) + _OF_PORT * ports
    for node in scenario.mobile_nodes:
        addresses = len(scenario.moves_of(node))
        found += _SIGHTING + _BINDING * addresses + _of_redirect(counts) * (addresses - 1)
    return found


def flow_mods(scenario: Scenario, addresses: int) -> int | None:
    """The rules that are set, changed or removed when a node that has so many addresses goes on to a router.

    All but the newest are redirected already, to where it leaves.
    """
    if not _simple(scenario):
        return None
    counts = _COUNTS[scenario.family]
    moved = counts.to_router + 2 * counts.from_outside + 2 * counts.serving
    return (addresses - 1) * moved + _of_redirect(counts) + 2 * _SIGHTING + _BINDING


def flow_mods_in_all(scenario: Scenario) -> int | None:
    """Those of all moves after the first attachments."""
    moves = [turn for node in scenario.mobile_nodes for turn in range(1, len(scenario.moves_of(node)))]
    each = [flow_mods(scenario, turn) for turn in moves]
    return None if None in each else sum(count for count in each if count is not None)


def packet_ins(scenario: Scenario) -> int | None:
    """What the controller is shown of one attachment; None in IPv6, where it depends on what a node asks for."""
    return DHCP_MESSAGES if scenario.family == "ipv4" and _simple(scenario) else None


def _of_redirect(counts: Counts) -> int:
    return counts.to_router + counts.from_outside + counts.serving + counts.answered


def _simple(scenario: Scenario) -> bool:
    addresses = scenario.addresses
    plain = (
        scenario.redirect and scenario.transit == "links" and (addresses.keep, addresses.lifetime) == (None, "fixed")
    )
    alone = not any(session.from_ in scenario.mobile_nodes for session in scenario.sessions)
    handover = scenario.handover
    plain = plain and alone and not handover.buffer and handover.announce is None
    moves = [[move.to for move in scenario.moves_of(node)] for node in scenario.mobile_nodes]
    once = all(len(set(routers)) == len(routers) for routers in moves)
    joined = all(
        0 < link_s(scenario, *pair) == inter_mr_s(scenario, *pair)
        for routers in {frozenset(each) for each in moves}
        for pair in combinations(sorted(routers), 2)
    )
    overlaps = any(move.overlap is not None for move in scenario.movement)
    back_to_back = any(
        after.at - before.at < 1
        for node in scenario.mobile_nodes
        for before, after in pairwise(scenario.moves_of(node))
    )
    return plain and once and joined and not overlaps and not back_to_back
