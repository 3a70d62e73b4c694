"""A flow rule as a value: what matches, what is done, and whose it is, in OpenFlow's words but without its library.

A match is a sorted tuple of (OXM field name, value) with MACs and addresses as text. The pipeline has three tables:

    0 ADMIT    tells routers, inter-MR ports and known mobile nodes from senders that have not been seen here yet
    1 FORWARD  the redirect, else the switch's own learning
    2 LEDGER   no packet gets here: one entry a binding, timed by the switch, read again after a controller restart
"""

import hashlib
import ipaddress
from dataclasses import dataclass, field
from enum import IntEnum

Value = int | str
Match = tuple[tuple[str, Value], ...]
Key = tuple[int, int, Match]

ADMIT, FORWARD, LEDGER = 0, 1, 2
OWN = 0xDA << 56  # the mark on every rule that this controller wrote; others' rules are left alone
OWN_MASK = 0xFF << 56
_TAG_MASK = (1 << 48) - 1


class Kind(IntEnum):
    """What a rule is for; kept in bits 48 to 55 of its cookie."""

    BASE = 1
    SIGHTING = 2
    BINDING = 3
    REDIRECT = 4
    REDIRECT_PAIR = 5
    GUARD = 6


@dataclass(frozen=True)
class Output:
    """Send out of a port; of the port it came in by only where that is said (see :func:`output`)."""

    port: int


@dataclass(frozen=True)
class OutputInPort:
    """Send back out of the port it came in by: plain output to the same port is dropped (OpenFlow 1.3.5, A.2.1)."""


@dataclass(frozen=True)
class Normal:
    """Hand to the switch's own MAC learning."""


@dataclass(frozen=True)
class ToController:
    """Copy the first ``max_len`` bytes to the controller."""

    max_len: int


@dataclass(frozen=True)
class SetField:
    """Overwrite a header field."""

    name: str
    value: Value


@dataclass(frozen=True)
class Copy:
    """Copy a header field's value, so many bits wide, to another field (Nicira's extension, as Open vSwitch has it)."""

    source: str
    target: str
    bits: int


@dataclass(frozen=True)
class Goto:
    """Go on to another table, after the actions before it."""

    table: int


Action = Output | OutputInPort | Normal | ToController | SetField | Copy | Goto


@dataclass(frozen=True)
class Rule:
    """One flow entry. ``hard_timeout_s`` 0 is for ever; timing is no part of what makes two rules equal."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]
    cookie: int
    hard_timeout_s: int = field(default=0, compare=False)
    notify_removal: bool = field(default=False, compare=False)

    @property
    def key(self) -> Key:
        """What the switch tells rules apart by."""
        return (self.table, self.priority, self.match)

    @property
    def kind(self) -> Kind:
        """What it is for."""
        return Kind(self.cookie >> 48 & 0xFF)

    @property
    def tag(self) -> int:
        """Whose it is: :func:`mac_tag` or :func:`address_tag`."""
        return self.cookie & _TAG_MASK

    def get(self, name: str) -> Value | None:
        """The value that a field must have, if the rule names it."""
        return dict(self.match).get(name)


def match(**fields: Value) -> Match:
    """A match in its one spelling: sorted by field, so that equal matches compare equal."""
    return tuple(sorted(fields.items()))


def output(port: int, in_port: int) -> Action:
    """Out of ``port``, which on a shared inter-MR segment may be where the packet came from."""
    return OutputInPort() if port == in_port else Output(port)


def cookie(kind: Kind, tag: int = 0) -> int:
    """The cookie of a rule of this kind, for the binding or mobile node of this tag."""
    return OWN | kind << 48 | tag


def is_own(value: int) -> bool:
    """Whether a rule with this cookie was written by this controller or one before it."""
    return value & OWN_MASK == OWN


def mac_tag(mac: str) -> int:
    """A mobile node as 48 bits: its MAC."""
    return int(mac.replace(":", ""), 16)


def tag_mac(tag: int) -> str:
    """The MAC that :func:`mac_tag` was made of."""
    return tag.to_bytes(6, "big").hex(":")


def address_tag(address: str) -> int:
    """An address as 48 bits: IPv4 as it is, IPv6 hashed (a collision keeps a stale rule a little longer, no more)."""
    packed = ipaddress.ip_address(address).packed
    return int.from_bytes(packed if len(packed) == 4 else hashlib.sha256(packed).digest()[:6], "big")
