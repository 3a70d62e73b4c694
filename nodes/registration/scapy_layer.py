"""The registration protocol as a Scapy layer, generated from the attribute table of ``dmmlab.nodes.registration.wire``.

Importing it binds the layer to UDP and TCP port 48620 (``bind`` adds another port); captures then show
``Registration / Attribute...``. On TCP each segment that begins with a message is dissected, with those that follow it.
"""

from typing import Any

from scapy.fields import (
    ByteEnumField,
    ByteField,
    Field,
    FieldLenField,
    IP6Field,
    IPField,
    LongField,
    MultipleTypeField,
    PacketListField,
    ShortField,
    StrLenField,
    XStrFixedLenField,
)
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet, Raw, bind_layers

from dmmlab.nodes.registration.wire import (
    ATTRIBUTES,
    AUTHENTICATOR_BYTES,
    BY_CODE,
    HEADER,
    PORT,
    SMALLEST,
    VERSION,
    Leg,
    MessageType,
    Mode,
    Reason,
    Row,
    Transport,
)

ENUMS = {"mode": Mode, "transport": Transport, "reason": Reason, "leg": Leg}
NUMBERS = {"u16": (2, "!H"), "u32": (4, "!I"), "u64": (8, "!Q")}


class _ServiceField(StrLenField):  # type: ignore[misc]
    """A further service, which is shown as its name and port."""

    def i2repr(self, packet: Any, value: bytes) -> str:
        """As ``bulk, port 5002``."""
        name, port = BY_CODE[packet.code].decode(value)
        return f"{name}, port {port}"


def _names(enum: Any) -> dict[int, str]:
    return {int(member): member.name.lower() for member in enum}


def _field(kind: str) -> tuple[int, Any]:
    """Return an attribute kind's size in bytes (0: any) and the Scapy field that shows it."""
    if kind in ENUMS:
        return 1, ByteEnumField("value", 0, _names(ENUMS[kind]))
    if kind in NUMBERS:
        size, form = NUMBERS[kind]
        return size, Field("value", 0, form)
    return 0, StrLenField("value", b"", length_from=lambda packet: packet.length)


def _is(rows: list[Row], size: int) -> Any:
    codes = {row.code for row in rows}
    return lambda packet: packet.code in codes and (not size or packet.length in (size, None))


def _choices() -> list[tuple[Any, Any]]:
    choices: list[tuple[Any, Any]] = []
    for kind in dict.fromkeys(row.kind.name for row in ATTRIBUTES):
        rows = [row for row in ATTRIBUTES if row.kind.name == kind]
        if kind == "address":
            choices.append((IPField("value", "0.0.0.0"), _is(rows, 4)))
            choices.append((IP6Field("value", "::"), _is(rows, 16)))
        elif kind == "service":
            choices.append((_ServiceField("value", b"", length_from=lambda packet: packet.length), _is(rows, 0)))
        elif kind != "text":
            size, field = _field(kind)
            choices.append((field, _is(rows, size)))
    return choices


class Attribute(Packet):  # type: ignore[misc]
    """One attribute: code, length, and a value that is shown as the table says."""

    name = "Attribute"
    fields_desc = [  # noqa: RUF012 - Scapy's way
        ByteEnumField("code", 1, {row.code: row.name for row in ATTRIBUTES}),
        FieldLenField("length", None, fmt="B", length_of="value"),
        MultipleTypeField(_choices(), StrLenField("value", b"", length_from=lambda packet: packet.length)),
    ]

    def extract_padding(self, rest: bytes) -> tuple[bytes, bytes]:
        """Leave what follows to the next attribute."""
        return b"", rest


class Registration(Packet):  # type: ignore[misc]
    """One message of the registration protocol (draft section 4.2)."""

    name = "Registration"
    fields_desc = [  # noqa: RUF012 - Scapy's way
        ByteField("version", VERSION),
        ByteEnumField("type", MessageType.REGISTER, _names(MessageType)),
        ShortField("length", None),
        LongField("sequence", 0),
        PacketListField("attributes", [], Attribute, length_from=lambda packet: packet.length - SMALLEST),
        XStrFixedLenField("authenticator", bytes(AUTHENTICATOR_BYTES), AUTHENTICATOR_BYTES),
    ]

    def post_build(self, packet: bytes, payload: bytes) -> bytes:
        """Fill in the length when none was given."""
        if self.length is None:
            packet = packet[:2] + len(packet).to_bytes(2, "big") + packet[4:]
        return bytes(packet + payload)

    def guess_payload_class(self, payload: bytes) -> Any:
        """On a stream the next message follows at once."""
        follows = len(payload) >= HEADER.size and payload[0] == VERSION and self.underlayer is not None
        return Registration if follows else Raw

    def value(self, name: str) -> Any:
        """Return an attribute by its name in the table: a list for ``addresses``, None when it is absent."""
        rows = [(BY_CODE[one.code], one.value) for one in self.attributes if one.code in BY_CODE]
        values = [_plain(row, value) for row, value in rows if row.name == name]
        if next(row for row in ATTRIBUTES if row.name == name).many:
            return values
        return values[0] if values else None

    def mysummary(self) -> str:
        """Return a line for a capture's summary."""
        kind = _names(MessageType).get(self.type, str(self.type)).upper()
        return f"Registration {kind} {self.value('node')} {self.sequence}"


def _plain(row: Row, value: Any) -> Any:
    return row.decode(value) if row.kind.name in ("text", "service") else value


def bind(port: int) -> None:
    """Dissect this UDP and TCP port, too."""
    for lower in (UDP, TCP):
        bind_layers(lower, Registration, dport=port)
        bind_layers(lower, Registration, sport=port)


bind(PORT)

__all__ = ["Attribute", "Registration", "bind"]
