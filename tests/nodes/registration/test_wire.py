"""The registration protocol's codec, its replay window, and the Scapy layer that follows from the same table."""

import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dmmlab.nodes.registration import wire
from dmmlab.nodes.registration.framing import Framer
from dmmlab.nodes.registration.replay import WIDTH, Window
from dmmlab.nodes.registration.wire import (
    ATTRIBUTES,
    REQUIRED,
    Leg,
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    WireError,
    decode,
    encode,
    verified,
)

KEY = bytes(range(32))
SAMPLES: dict[str, list[Any]] = {
    "text": ["mn1.dmm.test", "ü", "a" * 255],
    "address": ["10.1.0.2", "2001:db8::2", "::"],
    "u16": [0, 65535],
    "u32": [0, 2**32 - 1],
    "u64": [0, 2**64 - 1],
    "mode": list(Mode),
    "transport": list(Transport),
    "reason": list(Reason),
    "leg": list(Leg),
    "service": [("echo", 7), ("b", 65535)],
}


def any_message(rng: random.Random, kind: MessageType | None = None) -> Message:
    """A message with random attributes, among them all that its type needs."""
    message = Message(kind or rng.choice(list(MessageType)), rng.randrange(2**63))
    for row in ATTRIBUTES:
        if row.name in REQUIRED[message.type] or rng.random() < 0.3:
            value = rng.choice(SAMPLES[row.kind.name])
            setattr(message, row.name, tuple([value] * rng.randint(1, 3)) if row.many else value)
    return message


def test_every_message_comes_back_as_it_went() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        message = any_message(rng)
        data = encode(message, KEY)
        assert decode(data) == message
        assert encode(decode(data), KEY) == data
        assert verified(data, KEY) and not verified(data, bytes(32))


def test_the_table_names_every_field_once() -> None:
    assert [row.name for row in ATTRIBUTES] == [field.name for field in fields(Message)][2:]
    assert [row.code for row in ATTRIBUTES] == sorted({row.code for row in ATTRIBUTES})
    assert set(REQUIRED) == set(MessageType)


def test_damage_is_an_error_or_breaks_the_signature() -> None:
    rng = random.Random(2)
    for _ in range(5000):
        data = bytearray(encode(any_message(rng), KEY))
        for place in rng.sample(range(len(data)), rng.randint(1, 3)):
            data[place] ^= 1 << rng.randrange(8)
        damaged = bytes(data[: rng.choice((len(data), rng.randrange(len(data) + 1)))])
        try:
            decode(damaged)
        except WireError:
            continue
        assert not verified(damaged, KEY)


def test_noise_is_an_error() -> None:
    rng = random.Random(3)
    for _ in range(5000):
        with pytest.raises(WireError):
            decode(rng.randbytes(rng.randrange(100)))


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"\x04\x02\x00\x07\x04\x02\x00\x08", "repeated"),
        (b"\x04\x02\x00\x07\x01\x01a", "out of order"),
        (b"\x01\x05a", "cut off"),
        (b"\x01", "cut off"),
        (b"\x01\x01a\x7f\x00", "unknown attribute 127"),
        (b"\x01\x01\x00", "node"),
        (b"\x01\x01a\x03\x03abc", "addresses"),
        (b"\x04\x02\x00\x07", "lacks node"),
        (b"\x01\x01a\x11\x02\x00\x07", "services"),
        (b"\x01\x01a" + 17 * b"\x03\x04abcd", "more than 16 addresses"),
    ],
)
def test_attributes_must_make_sense(raw: bytes, complaint: str) -> None:
    data = wire.HEADER.pack(1, MessageType.DEREGISTER, 28 + len(raw), 1) + raw + bytes(16)
    with pytest.raises(WireError, match=complaint):
        decode(data)


def test_an_unknown_optional_attribute_is_skipped() -> None:
    raw = b"\x01\x01a\x80\x03xyz"
    data = wire.HEADER.pack(1, MessageType.DEREGISTER, 28 + len(raw), 1) + raw + bytes(16)
    assert decode(data) == Message(MessageType.DEREGISTER, 1, node="a")


@pytest.mark.parametrize(
    "message",
    [
        Message(MessageType.REGISTER, 1, node="a" * 256),
        Message(MessageType.REGISTER, 1, addresses=("10.0.0",)),
        Message(MessageType.REGISTER, 1, port=65536),
        Message(MessageType.REGISTER, 2**64),
        Message(MessageType.REGISTER, 1, addresses=("2001:db8::1",) * 70),
    ],
)
def test_what_does_not_fit_is_not_written(message: Message) -> None:
    with pytest.raises(WireError):
        encode(message, KEY)


def test_a_stream_is_cut_into_its_messages_wherever_it_breaks() -> None:
    rng = random.Random(4)
    sent = [encode(any_message(rng), KEY) for _ in range(50)]
    stream, framer, received = b"".join(sent), Framer(), []
    while stream:
        size = rng.randint(1, 40)
        received += framer.feed(stream[:size])
        stream = stream[size:]
    assert received == sent
    with pytest.raises(WireError):
        framer.feed(b"GET / HTTP/1.1\r\n")


def test_the_window_takes_every_number_once() -> None:
    rng = random.Random(5)
    window, seen, highest = Window(), set[int](), 0
    for _ in range(20000):
        number = max(1, highest + rng.randint(-WIDTH - 5, 6))
        expected = number not in seen and (number > highest or highest - number < WIDTH)
        assert window.accept(number) is expected
        seen.add(number)
        highest = max(highest, number)
        assert window.bitmap.bit_length() <= WIDTH


def test_the_document_shows_the_table() -> None:
    text = (Path(__file__).parents[3] / "docs" / "registration.md").read_text()
    for row in ATTRIBUTES:
        assert f"| {row.code} | `{row.name}` | {row.kind.name} | {row.doc} |" in text
    for kind in MessageType:
        assert f"| {int(kind)} | `{kind.name}` | {', '.join(REQUIRED[kind])} |" in text
    for reason in Reason:
        assert f"{int(reason)} {reason.name.lower()}" in text.replace("\n", " ")
