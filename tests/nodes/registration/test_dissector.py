"""The Wireshark dissector says what the attribute table says, and decodes what the nodes send."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from recorded_run import START_NS, write_pcap
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from dmmlab.nodes.registration import wire
from dmmlab.nodes.registration.wire import Leg, Message, MessageType, Mode, Reason, Transport

LUA = Path(__file__).parents[3] / "docs" / "dmm-registration.lua"
ENUMS = {"TYPES": MessageType, "MODES": Mode, "TRANSPORTS": Transport, "LEGS": Leg, "REASONS": Reason}
EVERYTHING: dict[str, Any] = {
    "target": "mn1.mn.dmm.test",
    "addresses": ("10.1.2.100", "2001:db8::1"),
    "port": 5001,
    "service": "echo",
    "lifetime_ms": 300_000,
    "control_port": 4000,
    "mode": Mode.COMBINED,
    "transport": Transport.UDP,
    "reason": Reason.TARGET_EXPIRED,
    "session": 2**63 + 5,
    "peer_address": "10.2.3.2",
    "peer_port": 20_001,
    "highest": 7,
    "leg": Leg.RESUMABLE,
    "offset": 2**40,
}


def table(name: str) -> dict[int, str]:
    block = re.search(rf"^local {name} = \{{\n(.*?)^\}}", LUA.read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None, f"{LUA.name} has no table {name}"
    return {int(code): value for code, value in re.findall(r"^  \[(\d+)\] = (.*),$", block[1], re.MULTILINE)}


# -- the tables, without Wireshark ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ENUMS)
def test_names_are_those_of_the_protocol(name: str) -> None:
    assert table(name) == {int(member): f'"{member.name}"' for member in ENUMS[name]}


def test_attributes_are_those_of_the_table() -> None:
    wanted = {row.code: f'{{ "{row.name}", "{row.kind.name}", "{row.doc}" }}' for row in wire.ATTRIBUTES}
    assert table("ATTRIBUTES") == wanted


def test_constants_are_those_of_the_protocol() -> None:
    numbers = re.search(r"^local PORT, VERSION, SMALLEST, LARGEST, SIGNATURE = (.*)$", LUA.read_text(), re.MULTILINE)
    assert numbers is not None
    wanted = (wire.PORT, wire.VERSION, wire.SMALLEST, wire.LARGEST, wire.AUTHENTICATOR_BYTES)
    assert tuple(map(int, numbers[1].split(", "))) == wanted


# -- decoding, by tshark ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tshark() -> str:
    program = shutil.which("tshark")
    if program is None:
        reason = "tshark missing: apt-get install tshark"
        if os.environ.get("DMMLAB_REQUIRE_LIVE") == "1":
            pytest.fail(f"DMMLAB_REQUIRE_LIVE=1 and {reason}")
        pytest.skip(reason)
    return program


def capture(folder: Path, *packets: Packet) -> Path:
    path = folder / "test.pcap"
    write_pcap(path, [(START_NS + turn * 1000, bytes(packet)) for turn, packet in enumerate(packets)])
    return path


def asked(tshark: str, pcap: Path, *arguments: str) -> str:
    done = subprocess.run(
        [tshark, "-X", f"lua_script:{LUA}", "-r", str(pcap), *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "Lua" not in done.stderr, done.stderr
    return done.stdout


def fields(tshark: str, pcap: Path, *names: str) -> list[list[str]]:
    wanted = [argument for name in names for argument in ("-e", f"dmmreg.{name}")]
    said = asked(tshark, pcap, "-Y", "dmmreg", "-T", "fields", *wanted)
    return [line.split("\t") for line in said.splitlines()]


def datagram(message: Message) -> Packet:
    return Ether() / IP() / UDP(sport=4000, dport=wire.PORT) / Raw(wire.encode(message, b"key"))


def test_every_type_of_message_is_named(tshark: str, tmp_path: Path) -> None:
    messages = [
        Message(kind, 9, node="cn3.mn.dmm.test", **{name: EVERYTHING[name] for name in wire.REQUIRED[kind] if name != "node"})  # noqa: E501
        for kind in MessageType
    ]  # fmt: skip
    said = asked(tshark, capture(tmp_path, *map(datagram, messages)), "-Y", "dmmreg").splitlines()
    assert len(said) == len(MessageType)
    for line, kind in zip(said, MessageType, strict=True):
        assert "DMM-REG" in line and line.endswith(f" {kind.name} cn3.mn.dmm.test")


def test_every_attribute_is_shown_with_its_value(tshark: str, tmp_path: Path) -> None:
    message = Message(MessageType.REGISTER, 2**62, node="cn3.mn.dmm.test", **EVERYTHING)
    names = [*EVERYTHING, "addresses6", "sequence", "length"]
    (found,) = fields(tshark, capture(tmp_path, datagram(message)), *names)
    values = dict(zip(names, found, strict=True))
    size = str(len(wire.encode(message, b"key")))
    assert (values.pop("addresses6"), values.pop("sequence")) == ("2001:db8::1", str(2**62))
    assert values.pop("length") == size
    wanted = {
        name: str(value) if isinstance(value, str) else str(int(value))
        for name, value in EVERYTHING.items()
        if name != "addresses"
    }
    assert values == wanted | {"addresses": "10.1.2.100"}


def test_an_address_of_either_family_is_shown_wherever_one_may_be(tshark: str, tmp_path: Path) -> None:
    names = [row.name for row in wire.ATTRIBUTES if row.kind.name == "address"]
    assert names == ["addresses", "peer_address"]
    message = Message(
        MessageType.SERVICE_REQUEST, 3, node="cn3.mn.dmm.test", addresses=("2001:db8::1",), peer_address="2001:db8::9"
    )
    found = fields(tshark, capture(tmp_path, datagram(message)), "addresses6", "peer_address6", "addresses")
    assert found == [["2001:db8::1", "2001:db8::9", ""]]


def test_a_service_is_shown_with_its_port(tshark: str, tmp_path: Path) -> None:
    message = Message(MessageType.DEREGISTER, 1, node="mn1.mn.dmm.test", services=(("bulk", 5002),))
    assert fields(tshark, capture(tmp_path, datagram(message)), "services", "services.port") == [["bulk", "5002"]]


def test_messages_of_a_stream_are_put_together(tshark: str, tmp_path: Path) -> None:
    data = b"".join(
        wire.encode(Message(MessageType.KEEPALIVE, turn, node="mn1.mn.dmm.test"), b"key") for turn in (1, 2, 3)
    )
    lower = Ether() / IP()
    ports = {"sport": 4000, "dport": wire.PORT, "flags": "PA", "ack": 1}
    parts = [lower / TCP(seq=1 + start, **ports) / Raw(data[start : start + 50]) for start in range(0, len(data), 50)]
    opening = lower / TCP(sport=4000, dport=wire.PORT, flags="S", seq=0)
    found = fields(tshark, capture(tmp_path, opening, *parts), "sequence")
    assert [number for (cell,) in found for number in cell.split(",")] == ["1", "2", "3"]


def test_ipv6_carries_it_too(tshark: str, tmp_path: Path) -> None:
    message = wire.encode(Message(MessageType.KEEPALIVE, 5, node="mn1.mn.dmm.test"), b"key")
    packet = Ether() / IPv6() / UDP(sport=wire.PORT, dport=4000) / Raw(message)
    assert fields(tshark, capture(tmp_path, packet), "node") == [["mn1.mn.dmm.test"]]


def test_nonsense_is_reported_and_harms_nothing(tshark: str, tmp_path: Path) -> None:
    good = bytearray(wire.encode(Message(MessageType.KEEPALIVE, 5, node="mn1.mn.dmm.test"), b"key"))
    good[13] = 200  # the node's name would go beyond the message
    empty = Ether() / IP() / UDP(sport=4000, dport=wire.PORT) / Raw(b"\x01")
    other = Ether() / IP() / UDP(sport=4000, dport=wire.PORT) / Raw(bytes(60))
    cut = Ether() / IP() / UDP(sport=4000, dport=wire.PORT) / Raw(bytes(good))
    pcap = capture(tmp_path, empty, other, cut)
    said = asked(tshark, pcap, "-Y", "dmmreg", "-T", "fields", "-e", "frame.number", "-e", "_ws.expert.message")
    assert said.splitlines() == ["3\tattribute is cut off"]  # the others are somebody else's
    assert "Lua Error" not in asked(tshark, pcap, "-V")
