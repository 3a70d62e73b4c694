"""Where a mobile node is and who knows it, when: attachment, address configuration, news to servers, redirect."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.oracle.delays import Place, host_to_mn_s, hosts_s, link_s, radio_s
from dmmlab.experiments.scenario.model import CONTROLLER, RADIO, SWITCHES, Movement, Scenario

_DHCP_MESSAGES = 4  # RFC 2131: discover, offer, request, acknowledge, each once over the radio link
_ARP_MESSAGES = 2  # RFC 826: the new router is asked for once there is an address to ask from
RA_MESSAGES = 2  # RFC 4861: solicitation and advertisement, which says the router's link-layer address, too
DETECTION_S = 1.0  # RFC 4862 section 5.4: one probe, and RetransTimer (RFC 4861 section 10) to object to it
FORGOTTEN_S = (
    0.005  # as long at most a switch sends on by an old rule what it has sent by that before (docs/redirect.md)
)
SLOT_S = 0.08  # by so much at most Linux is late with a timer of a second: 8 of its ticks, 100 of which are a second


def serving(scenario: Scenario, node: str, at_s: float) -> str | None:
    """The mobile router that ``node`` is attached to at ``at_s``; None before its first attachment and in a gap."""
    router: str | None = None
    for turn, move in enumerate(scenario.moves_of(node)):
        if at_s < move.at:
            break
        router = move.to if turn == 0 or at_s >= move.at + move.gap else None
    return router


def has_had(scenario: Scenario, node: str, anchor: str, at_s: float) -> bool:
    """Whether ``node`` has been at mobile router ``anchor`` by ``at_s`` for long enough to have its address from there;
    else that is nobody's, but for the one that it is coming by.
    """
    moves = [move for move in scenario.moves_of(node) if move.at <= at_s]
    return any(
        move.to == anchor and (move is moves[-1] or _formed(scenario, node, turn)) for turn, move in enumerate(moves)
    )


def _formed(scenario: Scenario, node: str, turn: int) -> bool:
    """Whether ``node`` stays at its attachment number ``turn`` for long enough to have its address there, surely."""
    moves = scenario.moves_of(node)
    if turn == len(moves) - 1:
        return True
    came_s = moves[turn].at + (moves[turn].gap if turn else 0.0)
    return came_s + address_s(scenario, node, turn) + late_s(scenario, node, turn) < _gone_s(moves[turn + 1])


def _gone_s(move: Movement) -> float:
    """When ``move`` takes the link away that there was before."""
    return move.at if move.overlap is None else move.over_s


def known_at_s(scenario: Scenario, node: str, host: str) -> list[tuple[float, str]]:
    """When ``host`` learns of each of ``node``'s addresses, in order: seconds, and the mobile router it is from.

    The node has an address and knows its router (`configured_s`), and one message takes the news to the host. The first
    time it may have to find the host out before: the most that this takes (`discovered_s`). With a lazy update the
    registration server is told later. Nobody is told of an address that the node has left, or replaced, by then.
    """
    known: list[tuple[float, str]] = []
    moves = scenario.moves_of(node)
    lazy_s = scenario.registration.delay_s if host == SERVER else 0.0
    for turn, move in enumerate(moves):
        attached_s = move.at + (move.gap if turn else 0.0)
        way = host_to_mn_s(scenario, host, node, move.to, move.to)
        told_s = attached_s + configured_s(scenario, node, turn)
        if host == SERVER and scenario.registration.control == "tcp":
            told_s += 2 * (way or 0.0)  # a connection from the new address comes first
        if turn == 0:
            told_s += discovered_s(scenario, node, host)
        if lazy_s and turn:
            told_s = max(told_s, attached_s + address_s(scenario, node, turn) + lazy_s)
        if any(_gone_s(after) <= told_s for after in moves[turn + 1 : turn + 2]):
            continue
        known.append((told_s + (way or 0.0), move.to))
    return known


def discovered_s(scenario: Scenario, node: str, host: str) -> float:
    """How long ``node`` needs at most to find ``host`` out in the DNS, once: an SRV record and then an address, each
    one round trip to the resolver, and one from there if nobody has asked for it before.
    """
    asks = {"configuration": (), "dns": (SERVER,), "dns-sd": (SERVER, DDNS)}[scenario.discovery]
    if host not in asks or RESOLVER not in scenario.hosts:
        return 0.0
    here = scenario.moves_of(node)[0].to
    way = host_to_mn_s(scenario, RESOLVER, node, here, here) or 0.0
    return 2 * (2 * way + 2 * hosts_s(scenario, RESOLVER, DDNS))


def released_s(scenario: Scenario, node: str, anchor: str, at_s: float) -> float:
    """When ``node`` drops its address of ``anchor`` if it stays where it is at ``at_s``; infinite if it never does.

    In IPv4 an address is deprecated when there is a new one, in IPv6 as soon as the node leaves.
    """
    moves = [move for move in scenario.moves_of(node) if move.at <= at_s]
    turns = [turn for turn, move in enumerate(moves) if move.to == anchor]
    if scenario.addresses.keep is None or not turns or turns[-1] == len(moves) - 1:
        return float("inf")
    left, turn = moves[turns[-1] + 1], turns[-1] + 1
    with_new_s = left.gap + address_s(scenario, node, turn) if scenario.family == "ipv4" else 0.0
    return left.at + with_new_s + scenario.addresses.keep


def configured_s(scenario: Scenario, node: str, turn: int) -> float:
    """How long after its attachment number ``turn`` (from 0) ``node`` can use its new address.

    IPv4: one DHCP exchange over the radio, and one more to know the router, if that radio has not met it before. IPv6:
    a solicitation and its answer, and before each address (the link-local one, by which it solicits, then the one that
    it formed) the detection of duplicates, if it waits for that. Of that the least: `late_s` says what may be added.
    """
    crossing_s = radio_s(scenario, node, scenario.moves_of(node)[turn].to)
    if scenario.family == "ipv4":
        return (_DHCP_MESSAGES + (0 if _met(scenario, node, turn) else _ARP_MESSAGES)) * crossing_s
    return RA_MESSAGES * crossing_s + _detections(scenario, node, turn) * DETECTION_S


def address_s(scenario: Scenario, node: str, turn: int) -> float:
    """How long after its attachment number ``turn`` ``node`` has its new address, as `configured_s`: in IPv4 it does
    not know its router by then.
    """
    if scenario.family == "ipv4":
        return _DHCP_MESSAGES * radio_s(scenario, node, scenario.moves_of(node)[turn].to)
    return configured_s(scenario, node, turn)


def late_s(scenario: Scenario, node: str, turn: int) -> float:
    """How much later than `configured_s` it may be, for the timers of the node's kernel."""
    return _detections(scenario, node, turn) * SLOT_S


def _met(scenario: Scenario, node: str, turn: int) -> bool:
    """Whether the node came to know the router of its attachment number ``turn`` at an earlier one, by that radio."""
    moves, radio = scenario.moves_of(node), scenario.radio_of(node, turn)
    for number, (move, after) in enumerate(pairwise(moves[: turn + 1])):
        came_s = move.at + (move.gap if number else 0.0)
        known_s = came_s + (_DHCP_MESSAGES + _ARP_MESSAGES) * radio_s(scenario, node, move.to)
        if move.to == moves[turn].to and scenario.radio_of(node, number) == radio and known_s < _gone_s(after):
            return True
    return False


def _detections(scenario: Scenario, node: str, turn: int) -> int:
    """Addresses that wait for the detection; one that the node has had all along does not (RFC 4862 section 5.4)."""
    if scenario.family == "ipv4" or scenario.addresses.dad != "on":
        return 0
    moves = scenario.moves_of(node)
    had = any(move.to == moves[turn].to and _formed(scenario, node, number) for number, move in enumerate(moves[:turn]))
    return 1 if had else 2


def unsettled(scenario: Scenario, node: str, at_s: float) -> bool:
    """Whether at ``at_s`` ``node`` may be without a router (IPv6), or the news of its address be under way, or is on
    two links at once.

    How long exactly, the timers of its kernel decide.
    """
    for turn, move in enumerate(scenario.moves_of(node)):
        if move.overlap is not None and move.at <= at_s < max(
            move.over_s, move.at + configured_s(scenario, node, turn)
        ):
            return True
        if scenario.family == "ipv4":
            continue
        attached_s, late = move.at + (move.gap if turn else 0.0), late_s(scenario, node, turn)
        ways = [host_to_mn_s(scenario, host, node, move.to, move.to) or 0.0 for host in scenario.hosts] if late else []
        if move.at <= at_s < attached_s + configured_s(scenario, node, turn) + late + max(ways, default=0.0):
            return True
    return False


def place(scenario: Scenario, name: str, at_s: float) -> Place | None:
    """Where ``name`` is at ``at_s`` by the address that it uses for what is new; a host is where it always is.

    Between its attachment and its new address a mobile node still uses the one before, by the redirect. None while it
    has no link, no address, or an address and not yet the MAC of its router.
    """
    at_router = serving(scenario, name, at_s)
    if scenario.link(RADIO, name) is None:
        return Place(name)
    moves = [move for move in scenario.moves_of(name) if move.at <= at_s]
    if at_router is None:
        return None
    attached_s = moves[-1].at + (moves[-1].gap if len(moves) > 1 else 0.0)
    turn = len(moves) - 1
    if at_s >= attached_s + configured_s(scenario, name, turn):
        return Place(name, at_router, at_router)
    if len(moves) < 2 or not redirected_s(scenario, name, at_s) <= at_s < attached_s + address_s(scenario, name, turn):
        return None
    before = place(scenario, name, moves[-1].at - 1e-9)
    return None if before is None or before.anchor != before.serving else Place(name, before.anchor, at_router)


def latest(known: Iterable[tuple[float, str]], at_s: float) -> str | None:
    """The router of the newest address that is known at ``at_s``, of what `known_at_s` gives; None before the first."""
    return next((router for since_s, router in reversed(list(known)) if since_s <= at_s), None)


def redirected_s(scenario: Scenario, node: str, at_s: float) -> float:
    """When the redirect of ``node``'s last move before ``at_s`` is in force: first frame, packet-in, flow-mods."""
    move = [move for move in scenario.moves_of(node) if move.at <= at_s][-1]
    return move.at + move.gap + radio_s(scenario, node, move.to) + 2 * link_s(scenario, CONTROLLER, SWITCHES)
