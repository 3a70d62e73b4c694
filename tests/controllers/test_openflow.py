"""Rules to OpenFlow 1.3 and back through both frameworks' real parsers; the application on a fake connection."""

import struct
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from controllers_fake import FakeNetwork, chain, make_plan, mesh, mn_ip6, mn_mac, nd_frame, router_ip6
from event_lines import logged

from dmmlab.controllers import messages, wire
from dmmlab.controllers.app import Shim, counters
from dmmlab.controllers.core import Core
from dmmlab.controllers.framework import NAMES, FrameworkMissing, load
from dmmlab.controllers.openflow import Translator
from dmmlab.controllers.rules import Rule, match
from dmmlab.machine.events import EventLog
from dmmlab.machine.processing import Cost

INSTALLED = [name for name in NAMES if find_spec(name)]


class FakeDatapath:
    """The parts of the framework's Datapath that are used, with its real constants and parser."""

    def __init__(self, framework: str, dpid: int = 1) -> None:
        load(framework)
        protocol = import_module(f"{framework}.ofproto.ofproto_protocol").ProtocolDesc(version=4)
        self.ofproto, self.ofproto_parser = protocol.ofproto, protocol.ofproto_parser
        self.id = dpid
        self.ports: dict[int, Any] = {}
        self.xid = 0
        self.sent = b""

    def set_xid(self, msg: Any) -> int:
        self.xid += 1
        msg.set_xid(self.xid)
        return self.xid

    def send(self, buffer: bytes) -> None:
        self.sent += buffer

    def send_msg(self, msg: Any) -> None:
        self.set_xid(msg)
        msg.serialize()
        self.send(bytes(msg.buf))


def every_rule() -> list[Rule]:
    """All the rules that a few movements bring about, with a shared inter-MR port and with a change of radios."""
    found: set[Rule] = set()
    plans = (mesh(3), chain(3), make_plan([(1, 2), (2, 3)], 3, shared=[2]), make_plan([(1, 2), (2, 3)], 3, peers=True))
    for plan in plans:
        net = FakeNetwork(plan)
        for here in (1, 2, 3):
            net.move(1, here)
        found |= rules_of(net)
    net = FakeNetwork(make_plan([(1, 2)], 2, family="ipv6"))
    for radio, here in ((1, 1), (2, 2)):
        net.attach(mn_mac(radio), here)
        net.from_mn(mn_mac(radio), nd_frame(mn_mac(radio), "33:33:ff:00:00:01", mn_ip6(1, 1), 135, router_ip6(here)))
        net.pump()
        found |= rules_of(net)
    return sorted(found, key=repr)


def rules_of(net: FakeNetwork) -> set[Rule]:
    return {rule for switch in net.switches.values() for rule in switch.rules.values()}


@pytest.mark.parametrize("framework", INSTALLED)
def test_every_rule_survives_the_wire(framework: str) -> None:
    datapath = FakeDatapath(framework)
    translator = Translator(datapath)
    rules = every_rule()
    assert len(rules) > 50
    for rule in rules:
        message = translator.install(rule)
        message.set_xid(1)
        message.serialize()
        read = datapath.ofproto_parser.OFPFlowMod.parser(
            datapath, 4, message.msg_type, message.msg_len, 1, bytes(message.buf)
        )
        again = translator.rule(read)
        assert again == rule
        assert (again.hard_timeout_s, again.notify_removal) == (rule.hard_timeout_s, rule.notify_removal)


@pytest.mark.skipif(len(INSTALLED) < 2, reason="one framework is installed: nothing to compare")
def test_both_frameworks_write_the_same_bytes() -> None:
    written = []
    for framework in INSTALLED:
        translator = Translator(FakeDatapath(framework))
        for make in (translator.install, translator.remove):
            for rule in every_rule():
                message = make(rule)
                message.set_xid(1)
                message.serialize()
                written.append(bytes(message.buf))
    half = len(written) // 2
    assert written[:half] == written[half:]


@pytest.mark.parametrize("framework", INSTALLED)
def test_rules_packed_here_are_the_bytes_that_the_framework_writes(framework: str) -> None:
    translator = Translator(FakeDatapath(framework))
    for rule in every_rule():
        for command, flags in ((0, 0), (0, 1), (4, 0)):
            packed, spelled = wire.flow_mod(rule, command, flags), translator.spelled_by_framework(rule, command, flags)
            assert packed is not None, rule
            for message in (packed, spelled):
                message.set_xid(0x01020304)
                message.serialize()
            assert packed.buf == bytes(spelled.buf), rule


def test_a_rule_that_cannot_be_packed_here_is_left_to_the_framework() -> None:
    rule = Rule(0, 1, match(vlan_vid=0x1FFE), (), 0)
    assert wire.flow_mod(rule, 0, 0) is None
    message = Translator(FakeDatapath(INSTALLED[0])).install(rule)
    message.set_xid(1)
    message.serialize()
    assert message.match["vlan_vid"] == 0x1FFE


def packet_in(fields: bytes, frame: bytes, whole: int) -> bytes:
    """OpenFlow 1.3.5, 7.4.1: no buffer, ``fields`` matched, ``frame`` cut from one of ``whole`` bytes."""
    match = struct.pack("!HH", 1, 4 + len(fields)) + fields
    body = struct.pack("!IHBBQ", 0xFFFFFFFF, whole, 0, 3, 99) + match + bytes(-len(match) % 8) + bytes(2) + frame
    return struct.pack("!BBHI", 4, 10, 8 + len(body), 5) + body


IN_PORT, METADATA = struct.pack("!II", 0x80000004, 17), struct.pack("!IQ", 0x80000408, 1)


@pytest.mark.parametrize("framework", INSTALLED)
@pytest.mark.parametrize("fields", [IN_PORT, IN_PORT + METADATA])
@pytest.mark.parametrize(("length", "whole"), [(342, 342), (128, 342), (60, 42)])
def test_a_packet_in_read_here_says_what_the_framework_reads(
    framework: str, fields: bytes, length: int, whole: int
) -> None:
    datapath = FakeDatapath(framework)
    message = packet_in(fields, bytes(range(256)) * 2, whole)[: 8 + 16 + (4 + len(fields) + 7) // 8 * 8 + 2 + length]
    message = message[:2] + struct.pack("!H", len(message)) + message[4:]
    read = datapath.ofproto_parser.OFPPacketIn.parser(datapath, 4, 10, len(message), 5, message)
    assert wire.copied(message) == (read.match["in_port"], bytes(read.data))


@pytest.mark.parametrize("fields", [METADATA + IN_PORT, METADATA, b""])
def test_a_packet_in_that_does_not_begin_with_its_port_is_left_to_the_framework(fields: bytes) -> None:
    assert wire.copied(packet_in(fields, b"frame" * 20, 100)) is None
    assert wire.copied(packet_in(fields, b"", 0)[:-2]) is None


def port_status(reason: int, name: bytes) -> bytes:
    """OpenFlow 1.3.5, 7.4.3, of port 23."""
    port = struct.pack("!I4x6s2x16s8I", 23, bytes((2, 0, 0, 0, 0, 1)), name, 0, 4, 0, 0, 0, 0, 0, 0)
    return struct.pack("!BBHIB7x", 4, 12, 16 + len(port), 5, reason) + port


@pytest.mark.parametrize("framework", INSTALLED)
@pytest.mark.parametrize("reason", [0, 1, 2])
def test_a_port_read_here_is_the_one_that_the_framework_reads(framework: str, reason: int) -> None:
    datapath, message = FakeDatapath(framework), port_status(reason, b"MN1-radio")
    read = datapath.ofproto_parser.OFPPortStatus.parser(datapath, 4, 12, len(message), 5, message)
    name = read.desc.name.decode() if isinstance(read.desc.name, bytes) else read.desc.name
    assert wire.port_changed(message) == (read.reason, name, read.desc.port_no) == (reason, "MN1-radio", 23)
    assert wire.port_changed(message[:40]) is None


@pytest.mark.parametrize(
    ("kind", "message", "event"),
    [
        (wire.PORT_STATUS, port_status(0, b"MN1-radio"), messages.PortAdded(1, "MN1-radio", 23)),
        (wire.PORT_STATUS, port_status(1, b"MN1-radio"), messages.PortRemoved(1, "MN1-radio", 23)),
        (wire.PORT_STATUS, port_status(2, b"MN1-radio"), None),
        (wire.PACKET_IN, packet_in(IN_PORT, b"frame" * 20, 100), messages.FrameCopied(1, 17, b"frame" * 20)),
        (wire.BARRIER_REPLY, b"\4\x15\0\x08\0\0\0\5", None),
    ],
)
def test_what_comes_most_becomes_an_event(
    tmp_path: Path, kind: int, message: bytes, event: messages.Event | None
) -> None:
    shim, *_ = make_shim(tmp_path, INSTALLED[0])
    assert shim.read(1, kind, 5, message) == event


def test_a_masked_match_is_refused() -> None:
    datapath = FakeDatapath(INSTALLED[0])
    parser = datapath.ofproto_parser
    entry = parser.OFPFlowMod(datapath, match=parser.OFPMatch(eth_type=0x800, ipv4_dst=("10.0.0.0", "255.0.0.0")))
    with pytest.raises(ValueError, match="masked"):
        Translator(datapath).rule(entry)


def make_shim(tmp_path: Path, framework: str, packet_in: Cost | None = None) -> tuple[Shim, Core, FakeDatapath, Path]:
    core = Core(make_plan([], 1))
    events = tmp_path / "events.jsonl"
    shim = Shim(core, EventLog(events, "controller", compact=True), "main", packet_in=packet_in)
    return shim, core, FakeDatapath(framework), events


@pytest.mark.parametrize("framework", INSTALLED)
def test_connect_report_configure_ready(tmp_path: Path, framework: str) -> None:
    shim, core, datapath, events = make_shim(tmp_path, framework)
    datapath.ports = {1: SimpleNamespace(name=b"s1-eth1", port_no=1)}
    shim.state_changed(SimpleNamespace(datapath=datapath, state="main"))
    assert len(datapath.sent) == 56, "one request, for the rules"
    shim.rules_reported(SimpleNamespace(msg=SimpleNamespace(datapath=datapath, body=[], flags=0)))
    barrier = datapath.xid
    shim.barrier_replied(SimpleNamespace(msg=SimpleNamespace(datapath=datapath, xid=barrier)))
    assert [each["event"] for each in logged(events)] == [
        "switch_connected",
        "flow_mod_sent",
        "barrier_replied",
        "ready",
    ]
    assert counters(core) == {"s1": {"packet_ins": 0, "flow_mods": 6, "barriers": 1}}


@pytest.mark.parametrize("framework", INSTALLED)
def test_rules_that_come_in_parts_reach_the_core_whole(tmp_path: Path, framework: str) -> None:
    shim, core, datapath, _ = make_shim(tmp_path, framework)
    shim.state_changed(SimpleNamespace(datapath=datapath, state="main"))
    more = datapath.ofproto.OFPMPF_REPLY_MORE
    shim.rules_reported(SimpleNamespace(msg=SimpleNamespace(datapath=datapath, body=[], flags=more)))
    assert not core.redirects.settled
    shim.rules_reported(SimpleNamespace(msg=SimpleNamespace(datapath=datapath, body=[], flags=0)))
    assert core.redirects.settled


def test_a_connection_that_died_does_not_take_its_successor_with_it(tmp_path: Path) -> None:
    shim, core, old, events = make_shim(tmp_path, INSTALLED[0])
    new = FakeDatapath(INSTALLED[0])
    shim.state_changed(SimpleNamespace(datapath=old, state="main"))
    shim.state_changed(SimpleNamespace(datapath=new, state="main"))
    shim.state_changed(SimpleNamespace(datapath=old, state="dead"))
    assert core.switches[1].connected
    shim.state_changed(SimpleNamespace(datapath=new, state="dead"))
    assert not core.switches[1].connected and logged(events)[-1]["event"] == "switch_lost"


def test_a_packet_in_takes_its_time_and_what_follows_waits_for_it(tmp_path: Path) -> None:
    shim, core, datapath, _ = make_shim(tmp_path, INSTALLED[0], Cost((0.003,), "x"))
    waits: list[int] = []
    shim.done_after = waits.append
    shim.state_changed(SimpleNamespace(datapath=datapath, state="main"))
    assert core.switches[1].connected and not waits, "it waits for nothing, and takes no time"
    message = SimpleNamespace(datapath=datapath, match={"in_port": 1}, data=bytes(60))
    for _ in range(2):
        shim.packet_in(SimpleNamespace(msg=message))
    shim.state_changed(SimpleNamespace(datapath=datapath, state="dead"))
    assert core.switches[1].connected
    assert waits == pytest.approx([3e6, 6e6, 6e6], abs=1e6)
    for packet_ins in (1, 2):
        shim.done(None)
        assert counters(core)["s1"] == {"packet_ins": packet_ins, "flow_mods": 0, "barriers": 0}
    shim.done(None)
    assert not core.switches[1].connected


def test_a_framework_that_is_not_installed_is_a_sentence() -> None:
    with pytest.raises(FrameworkMissing, match="pip install"):
        load("no_such_framework")
