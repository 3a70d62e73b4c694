"""Where a mobile node is and who knows it, when: attachment, address configuration, news to servers, redirect."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from dmmlab.experiments.methods.base import DDNS, RESOLVER, SERVER
from dmmlab.experiments.oracle.delays import Place, host_to_mn_s, hosts_s, link_s, radio_s
from dmmlab.experiments.oracle.memo import once
from dmmlab.experiments.scenario.model import CONTROLLER, RADIO, SWITCHES, Scenario
from dmmlab.experiments.scenario.sections.movement import Movement

_DHCP_MESSAGES = 4  # RFC 2131: discover, offer, request, acknowledge, each once over the radio link
_ARP_MESSAGES = 2  # RFC 826: the new router is asked for once there is an address to ask from
RA_MESSAGES = 2  # RFC 4861: solicitation and advertisement, which says the router's link-layer address, too
DETECTION_S = 1.0  # RFC 4862 section 5.4: one probe, and RetransTimer (RFC 4861 section 10) to object to it
FORGOTTEN_S = (
    0.005  # as long at most a switch sends on by an old rule what it has sent by that before (docs/redirect.md)
)
SETTLED_S = 0.006  # and how long the controller waits for that before it has routers deliver what they have kept
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


@once
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


def stirs_s(scenario: Scenario, move: Movement) -> float:
    """When ``move`` begins for who sends to the node: if routers keep what comes, with its announcement."""
    buffered = scenario.handover.buffer and move.overlap is None
    return move.at - (scenario.handover.announce or 0.0) if buffered else move.at


def stirring(scenario: Scenario, node: str, at_s: float) -> bool:
    """Whether ``node`` is about to leave at ``at_s``, and routers may keep what comes for it."""
    return any(stirs_s(scenario, move) < at_s <= move.at for move in scenario.moves_of(node)[1:])


def delivered_s(scenario: Scenario, node: str, at_s: float) -> float:
    """When the last move of ``node`` before ``at_s`` is over for who sends to an address that it had before: the
    redirect is in force, and what routers have kept is delivered: they are told so when all switches have confirmed the
    redirect, and 6 ms later (docs/handovers.md).
    """
    redirect_s = redirected_s(scenario, node, at_s)
    moves = [move for move in scenario.moves_of(node) if move.at <= at_s]
    if len(moves) < 2 or moves[-1].overlap is not None or not scenario.handover.buffer:
        return redirect_s
    return redirect_s + 2 * link_s(scenario, CONTROLLER, SWITCHES) + SETTLED_S


def kept(scenario: Scenario, node: str, anchor: str, at_s: float, until_s: float) -> bool:
    """Whether routers may keep what is sent to ``node``'s address of ``anchor`` between ``at_s`` and ``until_s``."""
    if not scenario.handover.buffer:
        return False
    if any(at_s < move.at and stirs_s(scenario, move) <= until_s for move in scenario.moves_of(node)[1:]):
        return True
    had = [move.to for move in scenario.moves_of(node) if move.at <= at_s][:-1]
    return anchor in had and at_s < delivered_s(scenario, node, at_s)


@once
def known_at_s(scenario: Scenario, node: str, host: str) -> tuple[tuple[float, str], ...]:
    """When ``host`` learns of each of ``node``'s addresses, in order: seconds, and the mobile router it is from.

    The node has an address and knows its router (`configured_s`), and one message takes the news to the host. The first
    time it may have to find the host out before: the most that this takes (`discovered_s`). With a lazy update the
    registration server, if it knows the node, is told later. Nobody is told of an address that the node has left, or
    replaced, by then.
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
        if host == SERVER:
            told_s += scenario.costs.register_s  # which it takes to know it
        if not known:
            told_s += discovered_s(scenario, node, host, move.to)
        if lazy_s and known:
            told_s = max(told_s, attached_s + address_s(scenario, node, turn) + lazy_s)
        if any(_gone_s(after) <= told_s for after in moves[turn + 1 : turn + 2]):
            continue
        known.append((told_s + (way or 0.0), move.to))
    return tuple(known)


def discovered_s(scenario: Scenario, node: str, host: str, here: str) -> float:
    """How long ``node`` needs at most to find ``host`` out in the DNS, once, from the router ``here``: an SRV record
    and then an address, each one round trip to the resolver, and one from there if nobody has asked for it before.
    """
    asks = {"configuration": (), "dns": (SERVER,), "dns-sd": (SERVER, DDNS)}[scenario.discovery]
    if host not in asks or RESOLVER not in scenario.hosts:
        return 0.0
    way = host_to_mn_s(scenario, RESOLVER, node, here, here) or 0.0
    return 2 * (2 * way + 2 * hosts_s(scenario, RESOLVER, DDNS))


def released_s(scenario: Scenario, node: str, anchor: str, at_s: float, heard: bool = True) -> float:
    """When ``node`` drops its address of ``anchor`` if it stays where it is at ``at_s``; infinite if it never does.

    In IPv4 an address is deprecated when there is a new one, in IPv6 also when the node leaves, if that is sooner.
    Where it does not stay for long enough to have one (`_formed`), it leaves as it came. Back at the anchor it keeps
    the address if it has it anew before it would drop it; for the network, which has ``heard`` of nothing, also if it
    drops it without a link.
    """
    if scenario.addresses.keep is None:
        return float("inf")
    moves = [move for move in scenario.moves_of(node) if move.at <= at_s]
    last, formed = len(moves) - 1, [turn for turn in range(len(moves) - 1) if _formed(scenario, node, turn)]
    visits = [turn for turn in formed if moves[turn].to == anchor]
    if not visits:
        return float("inf")
    back = moves[last].to == anchor
    later = [turn for turn in formed if turn > visits[-1]] + ([] if back else [last])
    old_s = min((_came_s(scenario, node, turn) + address_s(scenario, node, turn) for turn in later), default=1e9)
    if scenario.family == "ipv6":
        old_s = min(old_s, _gone_s(moves[visits[-1] + 1]))
    anew_s = _came_s(scenario, node, last) + address_s(scenario, node, last) + late_s(scenario, node, last)
    dropped_s = old_s + scenario.addresses.keep
    # What it drops while it has no router, nobody hears of: its other radio may be told that somebody has it.
    again = scenario.family == "ipv4" or scenario.radio_of(node, last) == scenario.radio_of(node, visits[-1])
    unheard = heard and again and dropped_s <= _came_s(scenario, node, last)
    kept = back and (anew_s <= dropped_s or unheard)
    return float("inf") if kept else dropped_s


def _came_s(scenario: Scenario, node: str, turn: int) -> float:
    move = scenario.moves_of(node)[turn]
    return move.at + (move.gap if turn else 0.0)


def configured_s(scenario: Scenario, node: str, turn: int) -> float:
    """How long after its attachment number ``turn`` (from 0) ``node`` can use its new address.

    IPv4: one DHCP exchange over the radio, and one more to know the router, if that radio has not met it before. IPv6:
    a solicitation and its answer, and before each address (the link-local one, by which it solicits, then the one that
    it formed) the detection of duplicates, if it waits for that. Of that the least: `late_s` says what may be added.
    """
    crossing_s = radio_s(scenario, node, scenario.moves_of(node)[turn].to)
    if scenario.family == "ipv4":
        messages = _DHCP_MESSAGES + (0 if _met(scenario, node, turn) else _ARP_MESSAGES)
        return messages * crossing_s + scenario.costs.dhcp_s
    return RA_MESSAGES * crossing_s + _detections(scenario, node, turn) * DETECTION_S


def address_s(scenario: Scenario, node: str, turn: int) -> float:
    """How long after its attachment number ``turn`` ``node`` has its new address, as `configured_s`: in IPv4 it does
    not know its router by then.
    """
    if scenario.family == "ipv4":
        return _DHCP_MESSAGES * radio_s(scenario, node, scenario.moves_of(node)[turn].to) + scenario.costs.dhcp_s
    return configured_s(scenario, node, turn)


def late_s(scenario: Scenario, node: str, turn: int) -> float:
    """How much later than `configured_s` it may be, for the timers of the node's kernel."""
    return _detections(scenario, node, turn) * SLOT_S


def identified_s(scenario: Scenario, node: str, turn: int) -> float:
    """How much longer than that it may be until the network has it that an address of ``node`` is at another of its
    radios now: in IPv6 it learns so when the node says it, on the address's own link, and nobody there has to believe
    it before the address is formed anew.
    """
    if scenario.family == "ipv4" or all(move.overlap is None for move in scenario.moves_of(node)[: turn + 1]):
        return 0.0
    crossing_s = radio_s(scenario, node, scenario.moves_of(node)[turn].to)
    return crossing_s + 2 * link_s(scenario, CONTROLLER, SWITCHES) + FORGOTTEN_S


@once
def _met(scenario: Scenario, node: str, turn: int) -> bool:
    """Whether the node came to know the router of its attachment number ``turn`` at an earlier one, by that radio."""
    moves, radio = scenario.moves_of(node), scenario.radio_of(node, turn)
    for number, (move, after) in enumerate(pairwise(moves[: turn + 1])):
        came_s = move.at + (move.gap if number else 0.0)
        known_s = came_s + (_DHCP_MESSAGES + _ARP_MESSAGES) * radio_s(scenario, node, move.to) + scenario.costs.dhcp_s
        if move.to == moves[turn].to and scenario.radio_of(node, number) == radio and known_s < _gone_s(after):
            since = (later for later in range(number + 1, turn + 1) if scenario.radio_of(node, later) == radio)
            if not any(_bare(scenario, node, later) for later in since):
                return True
    return False


def _bare(scenario: Scenario, node: str, turn: int) -> bool:
    """Whether the radio of attachment number ``turn`` has lost all its addresses by then, and with the last of them
    whatever it knew of neighbours.
    """
    moves, radio = scenario.moves_of(node), scenario.radio_of(node, turn)
    until_s = _came_s(scenario, node, turn) + _DHCP_MESSAGES * radio_s(scenario, node, moves[turn].to)
    formed = [number for number in range(turn) if _formed(scenario, node, number)]
    for number in (number for number in formed if scenario.radio_of(node, number) == radio):
        router, later = moves[number].to, [other for other in formed if other > number]
        taken = any(moves[other].to == router and scenario.radio_of(node, other) != radio for other in later)
        if not taken and released_s(scenario, node, router, moves[turn].at - 1e-9) > until_s:
            return False
    return True


def _detections(scenario: Scenario, node: str, turn: int) -> int:
    """Addresses that wait for the detection; one that the radio has had all along does not (RFC 4862 section 5.4)."""
    if scenario.family == "ipv4" or scenario.addresses.dad != "on":
        return 0
    return 1 if _still_has(scenario, node, turn) else 2


@once  # each attachment asks this of those before it, which ask it of those before them
def _still_has(scenario: Scenario, node: str, turn: int) -> bool:
    """Whether the radio of attachment number ``turn`` still has the address that it had there the last time."""
    moves = scenario.moves_of(node)
    visits = [number for number, move in enumerate(moves[:turn]) if move.to == moves[turn].to]
    formed = [number for number in visits if _formed(scenario, node, number)]
    if not formed or scenario.radio_of(node, formed[-1]) != scenario.radio_of(node, turn):
        return False
    return released_s(scenario, node, moves[turn].to, moves[turn].at - 1e-9) > _came_s(scenario, node, turn)


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
        attached_s = move.at + (move.gap if turn else 0.0) + identified_s(scenario, node, turn)
        late = late_s(scenario, node, turn)
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
    asks_s = move.at + move.gap + scenario.costs.dhcp_s
    heard_s = asks_s + radio_s(scenario, node, move.to) + link_s(scenario, CONTROLLER, SWITCHES)
    return heard_s + scenario.costs.packet_in_s + link_s(scenario, CONTROLLER, SWITCHES)
