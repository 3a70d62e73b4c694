"""The Scapy layer dissects what the codec writes, and writes what the codec reads."""

import random
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from dmmlab.nodes.registration.scapy_layer import Attribute, Registration, bind
from dmmlab.nodes.registration.wire import (
    ATTRIBUTES,
    PORT,
    REQUIRED,
    Message,
    MessageType,
    Mode,
    Transport,
    decode,
    encode,
)

KEY = bytes(range(32))
VALUES: dict[str, Any] = {
    "text": "mn1.dmm.test",
    "address": "10.1.0.2",
    "u16": 7000,
    "u32": 300_000,
    "u64": 2**63 + 1,
    "mode": 2,
    "transport": 17,
    "reason": 4,
    "leg": 2,
    "service": ("bulk", 7001),
}


def full(kind: MessageType, rng: random.Random) -> Message:
    message = Message(kind, rng.randrange(2**63))
    for row in ATTRIBUTES:
        if row.name in REQUIRED[kind] or rng.random() < 0.5:
            value = row.decode(row.encode(VALUES[row.kind.name]))
            setattr(
                message,
                row.name,
                (value, value) if row.name == "services" else (value, "2001:db8::7") if row.many else value,
            )
    return message


@pytest.mark.parametrize("kind", list(MessageType), ids=lambda kind: kind.name)
@pytest.mark.parametrize("lower", [UDP, TCP])
@pytest.mark.parametrize("network", [IP(src="10.1.0.2", dst="10.0.0.5"), IPv6(src="2001:db8::1", dst="2001:db8::5")])
def test_every_message_is_dissected(kind: MessageType, lower: Any, network: Any) -> None:
    rng = random.Random(kind)
    for ports in ({"sport": PORT, "dport": 9}, {"sport": 9, "dport": PORT}):
        message = full(kind, rng)
        data = encode(message, KEY)
        packet = type(network)(bytes(network / lower(**ports) / data))
        layer = packet[Registration]
        assert (layer.type, layer.sequence, layer.length) == (kind, message.sequence, len(data))
        assert layer.authenticator == data[-16:]
        for row in ATTRIBUTES:
            expected = getattr(message, row.name)
            assert layer.value(row.name) == (list(expected) if row.many else expected or None), row.name
        assert bytes(layer) == data and kind.name in layer.mysummary()


def test_what_scapy_builds_the_codec_reads() -> None:
    layer = Registration(
        type=MessageType.SERVICE_REQUEST,
        sequence=7,
        attributes=[
            Attribute(code=1, value=b"cn3"),
            Attribute(code=2, value=b"mn1"),
            Attribute(code=8, value=Mode.CENTRAL),
            Attribute(code=9, value=Transport.TCP),
            Attribute(code=13, value=9000),
        ],
    )
    expected = Message(MessageType.SERVICE_REQUEST, 7, node="cn3", target="mn1", mode=Mode.CENTRAL)
    expected.transport, expected.peer_port = Transport.TCP, 9000
    assert decode(bytes(layer)) == expected


def test_messages_that_share_a_segment_and_another_port() -> None:
    bind(5999)
    one, two = (encode(Message(MessageType.KEEPALIVE, number, node=f"n{number}"), KEY) for number in (1, 2))
    packet = IP(bytes(IP() / TCP(dport=5999) / (one + two)))
    first = packet[Registration]
    assert first.value("node") == "n1" and first.payload.value("node") == "n2"
    assert first.value("addresses") == [] and first.value("port") is None


def test_addresses_of_both_families_and_services_are_shown_as_a_person_reads_them() -> None:
    message = Message(MessageType.REGISTER, 1, node="mn1", addresses=("2001:db8::7", "10.1.0.2"), port=5001)
    message.peer_address, message.services = "2001:db8::9", (("bulk", 5002),)
    layer = Registration(encode(message, KEY))
    assert layer.value("peer_address") == "2001:db8::9"
    shown = layer.show(dump=True)
    for words in ("2001:db8::7", "10.1.0.2", "2001:db8::9", "bulk, port 5002"):
        assert words in shown
