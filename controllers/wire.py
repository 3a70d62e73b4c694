"""OpenFlow 1.3 messages of which a move has many, as bytes: flow-mods and barriers packed, packet-ins and ports read.

A framework makes an object of each field, action and instruction, and of each address several. What the tables of this
module do not have, a framework spells (`openflow`). Section numbers are OpenFlow 1.3.5's.
"""

from __future__ import annotations

import functools
import socket
import struct
from collections.abc import Callable, Sequence

from dmmlab.controllers.rules import (
    Action,
    Copy,
    Goto,
    Match,
    Normal,
    Output,
    OutputInPort,
    Rule,
    SetField,
    ToController,
    Value,
)

PACKET_IN, PORT_STATUS, BARRIER_REPLY = 10, 12, 21
PORT_ADDED, PORT_DELETED = 0, 1  # 7.4.3, reasons
_VERSION, _FLOW_MOD, _BARRIER_REQUEST = 4, 14, 20
_HEADER = struct.Struct("!BBHI")  # 7.1.1: version, type, length, transaction
_BODY = struct.Struct("!QQBBHHHIIIH2x")  # 7.3.4.1, up to the match
_COPIED = struct.Struct("!12xH12xHII")  # 7.4.1: the frame's length, the match's, its first field
_CHANGED = struct.Struct("!8xB7xI4x6x2x16s")  # 7.4.3 and 7.2.1: reason, port, its name
_MATCH_AT, _IN_PORT_FIELD = 24, 0x80000004
_NO_BUFFER = _ANY = 0xFFFFFFFF
_PLAIN = 0xFFE5  # OFPCML_MAX: what an output that is not to the controller has for its length
_IN_PORT, _NORMAL, _CONTROLLER = 0xFFFFFFF8, 0xFFFFFFFA, 0xFFFFFFFD
_OUTPUT = struct.Struct("!HHIH6x")  # 7.2.5
_MOVE = struct.Struct("!HHIHHHHII")  # Nicira's reg_move, whole fields (Open vSwitch, ovs-actions(7))
_EXPERIMENTER, _NICIRA, _REG_MOVE = 0xFFFF, 0x2320, 6
_APPLY, _GOTO = struct.Struct("!HH4x"), struct.Struct("!HHB3x")  # 7.2.4


class _Unknown(Exception):
    """A field or an action that is not in the tables."""


def _number(size: int) -> Callable[[Value], bytes]:
    return lambda value: int(value).to_bytes(size, "big")


def _mac(value: Value) -> bytes:
    return bytes.fromhex(str(value).replace(":", ""))


def _ipv4(value: Value) -> bytes:
    return socket.inet_aton(str(value))


def _ipv6(value: Value) -> bytes:
    return socket.inet_pton(socket.AF_INET6, str(value))


# OXM fields (7.2.3.7): their numbers, in whose order a match has them, and how their values are written.
_FIELDS: dict[str, tuple[int, Callable[[Value], bytes]]] = {
    "in_port": (0, _number(4)),
    "eth_dst": (3, _mac),
    "eth_src": (4, _mac),
    "eth_type": (5, _number(2)),
    "ip_proto": (10, _number(1)),
    "ipv4_src": (11, _ipv4),
    "ipv4_dst": (12, _ipv4),
    "udp_src": (15, _number(2)),
    "udp_dst": (16, _number(2)),
    "arp_op": (21, _number(2)),
    "arp_spa": (22, _ipv4),
    "arp_tpa": (23, _ipv4),
    "arp_sha": (24, _mac),
    "arp_tha": (25, _mac),
    "ipv6_src": (26, _ipv6),
    "ipv6_dst": (27, _ipv6),
    "icmpv6_type": (29, _number(1)),
    "icmpv6_code": (30, _number(1)),
    "ipv6_nd_target": (31, _ipv6),
    "ipv6_nd_sll": (32, _mac),
    "ipv6_nd_tll": (33, _mac),
}


class Message:
    """A message of type ``msg_type`` with what is used of a framework's."""

    version = _VERSION

    def __init__(self, msg_type: int, body: bytes = b"") -> None:
        self.msg_type, self._body = msg_type, body
        self.msg_len = _HEADER.size + len(body)
        self.xid = 0
        self.buf = b""

    def set_xid(self, xid: int) -> None:
        """The number by which an answer would name it."""
        self.xid = xid

    def serialize(self) -> None:
        """Makes ``buf``."""
        self.buf = _HEADER.pack(_VERSION, self.msg_type, self.msg_len, self.xid) + self._body


def flow_mod(rule: Rule, command: int, flags: int) -> Message | None:
    """The flow-mod of ``command`` and ``flags`` about the rule; None if it says what the tables do not have."""
    try:
        spelled = _match(rule.match) + _instructions(rule.actions)
    except _Unknown:
        return None
    body = _BODY.pack(
        rule.cookie,
        0,
        rule.table,
        command,
        0,
        rule.hard_timeout_s,
        rule.priority,
        _NO_BUFFER,
        _ANY,
        _ANY,
        flags,
    )
    return Message(_FLOW_MOD, body + spelled)


def barrier() -> Message:
    """A barrier request (7.3.8)."""
    return Message(_BARRIER_REQUEST)


def copied(message: bytes) -> tuple[int, bytes] | None:
    """A packet-in's port and frame (7.4.1); None if its match does not begin with the port."""
    if len(message) < _COPIED.size:
        return None
    whole, match_length, field, port = _COPIED.unpack_from(message)
    if field != _IN_PORT_FIELD:
        return None
    start = _MATCH_AT + (match_length + 7) // 8 * 8 + 2
    return port, message[start : start + whole]


def port_changed(message: bytes) -> tuple[int, str, int] | None:
    """Why a port's state is told (7.4.3), the port's name and number; None of a message that is too short."""
    if len(message) < _CHANGED.size:
        return None
    reason, number, name = _CHANGED.unpack_from(message)
    return reason, name.rstrip(b"\0").decode(), number


@functools.lru_cache(maxsize=4096)
def _oxm(name: str, value: Value) -> tuple[int, bytes]:
    """A field's number, and the field."""
    if name not in _FIELDS:
        raise _Unknown(name)
    number, spell = _FIELDS[name]
    written = spell(value)
    return number, _oxm_header(name, len(written)).to_bytes(4, "big") + written


def _oxm_header(name: str, length: int) -> int:
    return 0x8000 << 16 | _FIELDS[name][0] << 9 | length


def _match(match: Match) -> bytes:
    """The ofp_match (7.2.3.1), padded."""
    fields = b"".join(field for _, field in sorted(_oxm(*each) for each in match))
    return _padded(struct.pack("!HH", 1, 4 + len(fields)) + fields)


def _instructions(actions: Sequence[Action]) -> bytes:
    """Actions to apply, if there are any, then where to go on."""
    applied = b"".join(_action(each) for each in actions if not isinstance(each, Goto))
    onwards = b"".join(_GOTO.pack(1, _GOTO.size, each.table) for each in actions if isinstance(each, Goto))
    return (_APPLY.pack(4, _APPLY.size + len(applied)) + applied if applied else b"") + onwards


def _action(action: Action) -> bytes:
    match action:
        case Output(port):
            return _OUTPUT.pack(0, _OUTPUT.size, port, _PLAIN)
        case OutputInPort():
            return _OUTPUT.pack(0, _OUTPUT.size, _IN_PORT, _PLAIN)
        case Normal():
            return _OUTPUT.pack(0, _OUTPUT.size, _NORMAL, _PLAIN)
        case ToController(max_len):
            return _OUTPUT.pack(0, _OUTPUT.size, _CONTROLLER, max_len)
        case SetField(name, value):
            field = _oxm(name, value)[1]
            return _padded(struct.pack("!HH", 25, (4 + len(field) + 7) // 8 * 8) + field)
        case Copy(source, target, bits) if source in _FIELDS and target in _FIELDS:
            ways = _oxm_header(source, bits // 8), _oxm_header(target, bits // 8)
            return _MOVE.pack(_EXPERIMENTER, _MOVE.size, _NICIRA, _REG_MOVE, bits, 0, 0, *ways)
        case _:
            raise _Unknown(action)


def _padded(data: bytes) -> bytes:
    """To a multiple of eight bytes."""
    return data + bytes(-len(data) % 8)
