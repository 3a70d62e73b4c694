"""What is said: messages, and bytes of IP packets, for a move, for a session, by a clock; and of all of them a second.

Sizes follow from the formats, for names of 15 octets (mn1.mn.dmm.test), a service of four letters, and a node with
three services: a registration message is 28 octets and its attributes (docs/registration.md), a DNS message RFC 1035's.
"""

from __future__ import annotations

from math import exp, floor
from typing import NamedTuple

from dmmlab.experiments.costmodel import repetition, staleness
from dmmlab.experiments.costmodel.setting import Setting

_NAME = 15
_HEADERS = {"ipv4": 28, "ipv6": 48}  # IP and UDP
_ADDRESS = {"ipv4": 4, "ipv6": 16}
_BARE = 12 + 16  # a registration message without attributes
_TEXT, _SHORT, _U16, _U32, _U64, _FLAG = 2 + _NAME, 2 + 4, 4, 6, 10, 3  # its attributes
_SERVICE = 2 + 2 + 4
_UPDATE, _UPDATED = 288 - 28 - 4, 145 - 28  # RFC 2136, signed (RFC 8945); but for the address
_EDNS = 11  # RFC 6891: between resolver and server


class Said(NamedTuple):
    """Messages and their bytes."""

    messages: float = 0.0
    octets: float = 0.0

    def times(self, factor: float) -> Said:
        """So many times that."""
        return Said(self.messages * factor, self.octets * factor)


def together(*parts: Said) -> Said:
    """The sum."""
    return Said(sum(part.messages for part in parts), sum(part.octets for part in parts))


def _exchange(setting: Setting, request: int, answer: int, links: int = 1) -> Said:
    """A request of so many octets, repeated until its answer arrives over ``links`` with loss; each one heard is
    answered.
    """
    heard = (1 - setting.loss) ** links
    requests, answers, header = 1 / heard**2, 1 / heard, _HEADERS[setting.family]
    return Said(requests + answers, requests * (header + request) + answers * (header + answer))


def registration(setting: Setting, addresses: int, services: int = 0) -> Said:
    """REGISTER and its answer, of an end with so many addresses, and ``services`` beside its first."""
    address = 2 + _ADDRESS[setting.family]
    asks = _BARE + _TEXT + addresses * address + _U16 + _SHORT + _U32 + _U16 + services * _SERVICE
    return _exchange(setting, asks, _BARE + _TEXT + _U32)


def update(setting: Setting) -> Said:
    """A DNS update and its answer."""
    return _exchange(setting, _UPDATE + _ADDRESS[setting.family], _UPDATED)


def for_move(setting: Setting, method: str) -> Said:
    """What keeps the servers of ``method`` informed of one move."""
    if method == "fixed":
        return Said()
    return update(setting) if method == "ddns" else registration(setting, 1 + setting.old_addresses, services=2)


def for_session(setting: Setting, method: str) -> Said:
    """What one session costs in the mean, of one request over UDP."""
    address = 2 + _ADDRESS[setting.family]
    known = (1 + setting.old_addresses) * address
    request = _BARE + 2 * _TEXT + _SHORT + 2 * _FLAG + address + _U16
    answer = _BARE + _TEXT + known + _U16 + _SHORT
    closing = _BARE + _TEXT + _U64
    if method == "fixed":
        return Said()
    if method == "ddns":
        return _lookup(setting)
    if method == "p2p":
        return _exchange(setting, request, answer)
    if method == "combined":
        return _exchange(setting, request, answer).times(2)
    passed = request + address + _U16 + _U64
    relay = _BARE + _TEXT + address + _U16 + _SHORT + _U64
    ended = Said(1, _HEADERS[setting.family] + closing)
    return together(
        _exchange(setting, request, relay),
        _exchange(setting, passed, answer + _U64 + _FLAG),
        _exchange(setting, closing, closing),
        ended,
    ).times(repetition.relayed_attempts(setting.loss))


def _lookup(setting: Setting) -> Said:
    """Address and port, from the resolver; and by it from the server where it has them no more."""
    question = 12 + _NAME + 2 + 4
    service = question + 10  # _dmm._udp
    both = ((question, question + 12 + _ADDRESS[setting.family]), (service, service + 12 + 6 + _NAME + 2))
    near = together(*(_exchange(setting, asks, answer) for asks, answer in both))
    far = together(*(_exchange(setting, asks + _EDNS, answer + _EDNS, links=2) for asks, answer in both))
    return together(near, far.times(1 - staleness.cached(setting)))


def repeated_per_s(setting: Setting) -> float:
    """How often a node that registers at each move has to do so in between, since half the lifetime is over."""
    half_s, mean_s = setting.lifetime_s / 2, setting.residence_s
    if setting.residence == "constant":
        return floor(mean_s / half_s) / mean_s
    return 1 / (mean_s * (exp(half_s / mean_s) - 1)) if half_s / mean_s < 500 else 0.0


def per_s(setting: Setting, method: str) -> Said:
    """All that is said for a node a second: moves, sessions, and, where there is a registration, the node's and its
    correspondents' own repetitions.
    """
    moves = for_move(setting, method).times(1 / setting.residence_s)
    sessions = for_session(setting, method).times(setting.calls_per_s)
    if method in ("fixed", "ddns"):
        return together(moves, sessions)
    node = for_move(setting, method).times(repeated_per_s(setting))
    others = registration(setting, 1).times(setting.correspondents / (setting.lifetime_s / 2))
    return together(moves, sessions, node, others)
