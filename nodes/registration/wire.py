"""The registration protocol's wire format (draft section 4.2), defined once.

The attributes are the annotated fields of :class:`Message`; encoder, decoder, Scapy layer and the table in
``docs/registration.md`` all follow from them.

    0                   8                  16                                  32
    +-------------------+-------------------+-----------------------------------+
    | version (1)       | type              | length of the whole message       |
    +-------------------+-------------------+-----------------------------------+
    | sequence, 64 bits: of the request; an answer repeats its request's        |
    +-------------------+-------------------+-----------------------------------+
    | attributes: code (8), length (8), value; codes in ascending order ...     |
    +---------------------------------------------------------------------------+
    | authenticator: first 128 bits of HMAC-SHA256 over all of the above        |
    +---------------------------------------------------------------------------+

The length field frames the messages of a TCP stream (`framing`), so that UDP and TCP carry the same bytes.
"""

# ruff: noqa: RUF009 - attribute() is dataclasses.field()

import dataclasses
import hmac
import operator
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dmmlab.nodes.orders import REGISTRATION_PORT
from dmmlab.nodes.registration.values import ADDRESS, SERVICE, TEXT, U16, U32, U64, Kind, whole

PORT = REGISTRATION_PORT
VERSION = 1
HEADER = struct.Struct("!BBHQ")
AUTHENTICATOR_BYTES = 16
SMALLEST = HEADER.size + AUTHENTICATOR_BYTES
LARGEST = 1200  # fits every path's MTU, as QUIC assumes (RFC 9000, 14)
MOST_VALUES = 16  # of an attribute that may repeat: whatever is passed on still fits one message
SEQUENCE_LIMIT = 1 << 63
OPTIONAL_FROM = 128  # attributes from this code on may be ignored by who does not know them, as in STUN (RFC 8489)
UNSIGNED = bytes(AUTHENTICATOR_BYTES)


class WireError(ValueError):
    """The bytes are no message of this protocol."""


class MessageType(IntEnum):
    """What a message is; a request's answer is the number after it. ``SESSION_ENDED`` is told, not asked."""

    REGISTER = 1
    REGISTERED = 2
    DEREGISTER = 3
    DEREGISTERED = 4
    SERVICE_REQUEST = 5
    SERVICE_ANSWER = 6
    INCOMING_REQUEST = 7
    INCOMING_ANSWER = 8
    LEG_OPEN = 9
    LEG_OPENED = 10
    LEG_CLOSE = 11
    LEG_CLOSED = 12
    SESSION_CLOSE = 13
    SESSION_CLOSED = 14
    KEEPALIVE = 15
    ALIVE = 16
    REFUSED = 17
    DECLINED = 18
    LEG_HELLO = 19
    SESSION_ENDED = 20


class Mode(IntEnum):
    """The three modes of draft section 4.2."""

    P2P = 1
    CENTRAL = 2
    COMBINED = 3


class Transport(IntEnum):
    """The user plane's transport, by its IP protocol number."""

    TCP = 6
    UDP = 17


class Leg(IntEnum):
    """How the server carries a TCP session over its leg towards the MN."""

    PLAIN = 1
    RESUMABLE = 2


class Reason(IntEnum):
    """Why something was refused."""

    MALFORMED = 1
    UNKNOWN_NODE = 2
    BAD_AUTHENTICATOR = 3
    REPLAYED = 4
    SUPERSEDED = 5
    NOT_REGISTERED = 6
    UNKNOWN_TARGET = 7
    TARGET_NOT_REGISTERED = 8
    TARGET_EXPIRED = 9
    UNKNOWN_SERVICE = 10
    UNREACHABLE = 11
    DECLINED = 12
    NO_RELAY = 13
    UNKNOWN_SESSION = 14
    OVERLOADED = 15
    FOREIGN_ADDRESS = 16


MODE, TRANSPORT, LEG = whole(1, Mode, "mode"), whole(1, Transport, "transport"), whole(1, Leg, "leg")
REASON = whole(1, Reason, "reason")


def attribute(code: int, kind: Kind, doc: str, *, default: Any = None, many: bool = False) -> Any:
    """One row of the attribute table; an attribute that holds its default is left out of the message."""
    return dataclasses.field(default=default, metadata={"code": code, "kind": kind, "doc": doc, "many": many})


@dataclass(slots=True)
class Message:
    """One message; the fields after ``sequence`` are the attribute table."""

    type: MessageType
    sequence: int
    node: str = attribute(1, TEXT, "the node whose key signs: sender of a request, receiver of an answer", default="")
    target: str = attribute(2, TEXT, "the node asked for; towards the MN, the node that asks", default="")
    addresses: tuple[str, ...] = attribute(3, ADDRESS, "newest first; repeated", default=(), many=True)
    port: int | None = attribute(4, U16, "port of the service, or of the relay")
    service: str = attribute(5, TEXT, "name of the service", default="")
    lifetime_ms: int | None = attribute(6, U32, "lifetime of the binding in milliseconds, asked for or granted")
    control_port: int | None = attribute(
        7, U16, "UDP port at which the node takes requests; absent: where it sent from"
    )
    mode: Mode | None = attribute(8, MODE, "1 P2P, 2 central, 3 combined")
    transport: Transport | None = attribute(9, TRANSPORT, "6 TCP, 17 UDP")
    reason: Reason | None = attribute(10, REASON, "why it was refused")
    session: int | None = attribute(11, U64, "the relayed session")
    peer_address: str | None = attribute(12, ADDRESS, "address the CN will use in the user plane")
    peer_port: int | None = attribute(13, U16, "port the CN will use in the user plane")
    highest: int | None = attribute(14, U64, "highest sequence the server has seen from the node")
    leg: Leg | None = attribute(15, LEG, "1 plain, 2 resumable")
    offset: int | None = attribute(16, U64, "bytes of the stream received so far")
    services: tuple[tuple[str, int], ...] = attribute(
        17, SERVICE, "further services: port (16 bits) and name; repeated", default=(), many=True
    )


class Row:
    """An attribute of the table, ready for use."""

    __slots__ = ("code", "decode", "doc", "empty", "encode", "kind", "many", "name")

    def __init__(self, field: "dataclasses.Field[Any]") -> None:
        self.name, self.empty = field.name, field.default
        self.code: int = field.metadata["code"]
        self.kind: Kind = field.metadata["kind"]
        self.doc: str = field.metadata["doc"]
        self.many: bool = field.metadata["many"]
        self.encode, self.decode = self.kind.encode, self.kind.decode


ATTRIBUTES = tuple(Row(field) for field in dataclasses.fields(Message) if field.metadata)
_VALUES = operator.attrgetter(*(row.name for row in ATTRIBUTES))
BY_CODE = {row.code: row for row in ATTRIBUTES}
NODE_CODE, REASON_CODE = (next(row.code for row in ATTRIBUTES if row.name == name) for name in ("node", "reason"))

REQUIRED: dict[MessageType, tuple[str, ...]] = {
    MessageType.REGISTER: ("node", "addresses", "port", "lifetime_ms"),
    MessageType.REGISTERED: ("node", "lifetime_ms"),
    MessageType.DEREGISTER: ("node",),
    MessageType.DEREGISTERED: ("node",),
    MessageType.SERVICE_REQUEST: ("node", "target", "mode", "transport"),
    MessageType.SERVICE_ANSWER: ("node", "addresses", "port"),
    MessageType.INCOMING_REQUEST: ("node", "target", "mode", "transport"),
    MessageType.INCOMING_ANSWER: ("node", "addresses", "port"),
    MessageType.LEG_OPEN: ("node", "session", "addresses", "port"),
    MessageType.LEG_OPENED: ("node", "session"),
    MessageType.LEG_CLOSE: ("node", "session", "addresses", "port"),
    MessageType.LEG_CLOSED: ("node", "session"),
    MessageType.SESSION_CLOSE: ("node", "session"),
    MessageType.SESSION_CLOSED: ("node", "session"),
    MessageType.KEEPALIVE: ("node",),
    MessageType.ALIVE: ("node", "lifetime_ms"),
    MessageType.REFUSED: ("node", "reason"),
    MessageType.DECLINED: ("node", "reason"),
    MessageType.LEG_HELLO: ("node", "session", "offset"),
    MessageType.SESSION_ENDED: ("node", "session"),
}
_TYPES = {int(kind): kind for kind in MessageType}


def encode(message: Message, key: bytes | None) -> bytes:
    """Return the message's bytes, signed with the node's key; without one the authenticator is all zeros.

    Raises WireError when a value does not fit its attribute.
    """
    parts = [b""]
    try:
        for row, value in zip(ATTRIBUTES, _VALUES(message), strict=True):
            if value is row.empty or value == row.empty:
                continue
            for item in value if row.many else (value,):
                data = row.encode(item)
                parts += (bytes((row.code, len(data))), data)
        length = SMALLEST + sum(map(len, parts))
        parts[0] = HEADER.pack(VERSION, message.type, length, message.sequence)
    except (ValueError, OverflowError, OSError, struct.error) as error:
        raise WireError(f"{message.type.name} cannot be written: {error}") from error
    if length > LARGEST:
        raise WireError(f"{message.type.name} would be {length} bytes, more than {LARGEST}")
    body = b"".join(parts)
    return body + (UNSIGNED if key is None else hmac.digest(key, body, "sha256")[:AUTHENTICATOR_BYTES])


def verified(data: bytes, key: bytes) -> bool:
    """Whether the message was signed with the key."""
    signature = hmac.digest(key, data[:-AUTHENTICATOR_BYTES], "sha256")[:AUTHENTICATOR_BYTES]
    return hmac.compare_digest(signature, data[-AUTHENTICATOR_BYTES:])


def decode(data: bytes) -> Message:
    """Return the message in the bytes, without looking at its authenticator; raises WireError."""
    if not SMALLEST <= len(data) <= LARGEST:
        raise WireError(f"{len(data)} bytes")
    version, code, length, sequence = HEADER.unpack_from(data)
    kind = _TYPES.get(code)
    if version != VERSION or kind is None or length != len(data) or sequence >= SEQUENCE_LIMIT:
        raise WireError(f"version {version}, type {code}, length {length} of {len(data)}, sequence {sequence}")
    message = Message(kind, sequence)
    _read_attributes(message, data, length - AUTHENTICATOR_BYTES)
    for name in REQUIRED[kind]:
        if getattr(message, name) in (None, "", ()):
            raise WireError(f"{kind.name} lacks {name}")
    return message


def hasty_refusal(data: bytes, reason: Reason) -> bytes | None:
    """Return the unsigned refusal of a request of which nothing is read but its header and who says to have sent it,
    its first attribute: a tenth of the work of `decode` and `encode`. None where the request names nobody, or is not
    longer than its refusal would be.
    """
    version, _, said, sequence = HEADER.unpack_from(data) if len(data) > HEADER.size + 1 else (0, 0, 0, 0)
    if version != VERSION or said != len(data) or data[HEADER.size] != NODE_CODE:
        return None
    node = data[HEADER.size : HEADER.size + 2 + data[HEADER.size + 1]]
    length = SMALLEST + len(node) + 3
    if length >= len(data):
        return None
    head = HEADER.pack(VERSION, MessageType.REFUSED, length, sequence)
    return b"".join((head, node, bytes((REASON_CODE, 1, reason)), UNSIGNED))


def _read_attributes(message: Message, data: bytes, end: int) -> None:
    place, last = HEADER.size, 0
    while place < end:
        start = place + 2
        place = start + data[start - 1]
        code = data[start - 2]
        row = BY_CODE.get(code)
        if start > end or place > end or code < last or (code == last and not (row and row.many)):
            raise WireError(f"attribute {code} is cut off, repeated or out of order")
        last = code
        if row is None:
            if code < OPTIONAL_FROM:
                raise WireError(f"unknown attribute {code}")
            continue
        try:
            value = row.decode(data[start:place])
        except ValueError as error:
            raise WireError(f"{row.name}: {error}") from error
        if row.many:
            value = (*getattr(message, row.name), value)
            if len(value) > MOST_VALUES:
                raise WireError(f"more than {MOST_VALUES} {row.name}")
        setattr(message, row.name, value)
