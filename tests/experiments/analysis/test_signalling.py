"""signalling.csv: each message once, and what it was for, where many things go on at once."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from recorded_run import START_NS, Recorded, scenario
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from dmmlab.experiments.analysis import signalling
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.recording import RecordError, Recording
from dmmlab.experiments.records.rows import SignallingRow
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.nodes.registration import wire
from dmmlab.nodes.registration.wire import Leg, Message, MessageType, Mode, Transport

MN, CN = node_id(scenario(), "MN1"), node_id(scenario(), "CN3")
BOTH = {
    "sessions": [
        {"name": "D", "at": "3s", "from": "CN3", "to": "MN1", "method": "ddns", "transport": ["udp", "tcp"],
         "repeat": 2, "every": "1ms"},
        {"name": "R", "at": "3s", "from": "CN3", "to": "MN1", "method": ["p2p", "central", "combined"]},
        {"name": "E", "at": "2.9s", "from": "CN1", "to": "MN1", "method": "ddns"},
    ]
}  # fmt: skip


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "run", scenario(**BOTH))


def rows_of(recorded: Recorded) -> list[SignallingRow]:
    return signalling.rows(Recording(recorded.write()))


def causes(rows: list[SignallingRow], protocol: str) -> list[tuple[str, str]]:
    return [(row.message, row.cause) for row in rows if row.protocol == protocol]


def question(transaction: int, kind: str, name: str) -> DNS:
    return DNS(id=transaction, qd=DNSQR(qname=name, qtype=kind))


def answer(transaction: int, kind: str, name: str) -> DNS:
    return DNS(id=transaction, qr=1, qd=DNSQR(qname=name, qtype=kind))


def lookup(recorded: Recorded, session: str, start_s: float, end_s: float, attempt: int = 0) -> None:
    recorded.event("CN3", start_s, "lookup_started", session=session, attempt=attempt)
    recorded.event("CN3", end_s, "lookup_ended", session=session, attempt=attempt, cached=False)


# -- DNS --------------------------------------------------------------------------------------------------------------
def ask(recorded: Recorded, at_s: float, transaction: int, port: int, kind: str, name: str) -> None:
    recorded.packet(at_s, 0.011, "CN3", "RESOLVER", UDP(sport=port, dport=53) / question(transaction, kind, name))


def tell(recorded: Recorded, at_s: float, transaction: int, port: int, kind: str, name: str) -> None:
    recorded.packet(at_s, 0.011, "RESOLVER", "CN3", UDP(sport=53, dport=port) / answer(transaction, kind, name))


def test_address_queries_of_lookups_that_overlap_go_to_their_own(recorded: Recorded) -> None:
    srv = {transport: f"_dmm._{transport}.{MN}" for transport in ("udp", "tcp")}
    for turn, (session, transport) in enumerate([("D.udp.1", "udp"), ("D.tcp.1", "tcp"), ("D.udp.2", "udp")]):
        start_s = 3.0 + turn * 1e-5
        lookup(recorded, session, start_s, 3.06 - turn * 1e-3)
        ask(recorded, start_s + 1e-6, 100 + turn, 5000 + turn, "SRV", srv[transport])
        ask(recorded, start_s + 2e-6, 200 + turn, 6000 + turn, "A", MN)
    for turn in (2, 0, 1):  # the answers come in another order
        tell(recorded, 3.03 + turn * 1e-6, 200 + turn, 6000 + turn, "A", MN)
    found = causes(rows_of(recorded), "dns")
    assert [cause for text, cause in found if text == f"query A {MN}"] == ["D.udp.1", "D.tcp.1", "D.udp.2"]
    assert [cause for text, cause in found if text == f"answer A {MN}"] == ["D.udp.1", "D.tcp.1", "D.udp.2"]
    assert [cause for text, cause in found if text.startswith("query SRV")] == ["D.udp.1", "D.tcp.1", "D.udp.2"]


def test_a_query_that_is_repeated_stays_with_its_lookup_and_a_second_attempt_is_its_sessions(
    recorded: Recorded,
) -> None:
    lookup(recorded, "D.udp.1", 3.0, 3.9)
    ask(recorded, 3.0001, 7, 5000, "A", MN)
    ask(recorded, 3.5001, 7, 5000, "A", MN)  # the same bytes once more
    lookup(recorded, "D.tcp.1", 3.2, 3.9)
    ask(recorded, 3.2001, 8, 5001, "A", MN)
    lookup(recorded, "D.udp.1", 4.5, 4.9, attempt=1)
    ask(recorded, 4.5001, 9, 5002, "A", MN)
    found = causes(rows_of(recorded), "dns")
    assert [cause for _, cause in found] == ["D.udp.1", "D.tcp.1", "D.udp.1", "D.udp.1"]


def test_the_resolvers_question_serves_the_first_that_reached_it(recorded: Recorded) -> None:
    recorded.event("CN1", 2.95, "lookup_started", session="E", attempt=0)
    lookup(recorded, "D.udp.1", 3.0, 3.06)
    ask(recorded, 3.0001, 7, 5000, "A", MN)  # reaches the resolver at 3.0111
    far = UDP(sport=5001, dport=53) / question(8, "A", MN)
    recorded.packet(2.9501, 0.070, "CN1", "RESOLVER", far)  # was sent before, arrives after
    upstream = UDP(sport=700, dport=53) / question(99, "A", MN)
    recorded.packet(3.0112, 0.016, "RESOLVER", "DDNS", upstream)
    back = UDP(sport=53, dport=700) / answer(99, "A", MN)
    recorded.packet(3.0273, 0.016, "DDNS", "RESOLVER", back)
    rows = [row for row in rows_of(recorded) if "DDNS" in (row.source, row.destination)]
    assert [(row.source, row.cause) for row in rows] == [("RESOLVER", "D.udp.1"), ("DDNS", "D.udp.1")]


def test_an_update_serves_the_movement_to_its_addresses_router(recorded: Recorded) -> None:
    update = Raw(
        struct.pack("!HHHHHH", 5, 0x2800, 1, 0, 7, 1) + b"\x02mn\x03dmm\x04test\x00\x00\x06\x00\x01" + bytes(60)
    )
    refused = Raw(struct.pack("!HHHHHH", 5, 0xA805, 0, 0, 0, 0))
    recorded.packet(0.02, 0.022, "MN1@MR1", "DDNS", UDP(sport=9, dport=53) / update)
    recorded.packet(10.001, 0.022, "DDNS", "MN1@MR1", UDP(sport=53, dport=9) / refused)  # late: after the movement
    recorded.packet(10.06, None, "MN1@MR2", "DDNS", UDP(sport=9, dport=53) / update)
    assert causes(rows_of(recorded), "dns-update") == [
        ("update", "MN1→MR1@0s"), ("answer REFUSED", "MN1→MR1@0s"), ("update", "MN1→MR2@10s"),
    ]  # fmt: skip


# -- registration -----------------------------------------------------------------------------------------------------
def test_requests_of_three_modes_at_once_are_told_apart_on_every_hop(recorded: Recorded) -> None:
    server = recorded.address["SERVER"]
    for turn, mode in enumerate((Mode.P2P, Mode.CENTRAL, Mode.COMBINED)):
        port = 20_000 + 4 + turn
        asked = Message(MessageType.SERVICE_REQUEST, 50 + turn, node=CN, target=MN, mode=mode,
                        transport=Transport.UDP, peer_address=recorded.address["CN3"], peer_port=port)  # fmt: skip
        recorded.registration(3.0 + turn * 1e-6, 0.025, "CN3", "SERVER", asked)
        answer = Message(MessageType.SERVICE_ANSWER, 50 + turn, node=CN, addresses=("10.1.1.100",), port=5001)
        recorded.registration(3.07 + turn * 1e-6, 0.025, "SERVER", "CN3", answer)
        if mode is not Mode.P2P:
            passed = Message(MessageType.INCOMING_REQUEST, 900 + turn, node=MN, target=CN, mode=mode, session=77 + turn,
                             transport=Transport.UDP, peer_address=server, peer_port=port)  # fmt: skip
            recorded.registration(3.0251 - turn * 1e-6, 0.022, "SERVER", "MN1@MR1", passed)
            agreed = Message(MessageType.INCOMING_ANSWER, 900 + turn, node=MN, addresses=("10.1.1.100",), port=5001)
            recorded.registration(3.0472, 0.022, "MN1@MR1", "SERVER", agreed)
    closing = Message(MessageType.SESSION_CLOSE, 60, node=CN, session=78)
    recorded.registration(4.0, 0.025, "CN3", "SERVER", closing)
    ended = Message(MessageType.SESSION_ENDED, 950, node=MN, session=78)
    recorded.registration(4.026, 0.022, "SERVER", "MN1@MR1", ended)
    found = causes(rows_of(recorded), "registration")
    assert ("SERVICE_REQUEST p2p", "R.p2p") in found and ("INCOMING_REQUEST combined", "R.combined") in found
    assert found[-2:] == [("SESSION_CLOSE", "R.central"), ("SESSION_ENDED", "R.central")]
    for name, messages in (("p2p", 2), ("central", 6), ("combined", 4)):
        assert sum(cause == f"R.{name}" for _, cause in found) == messages


def test_first_registration_refresh_movement_and_legs(recorded: Recorded) -> None:
    def register(at_s: float, sequence: int, *addresses: str) -> None:
        who = f"MN1@MR{addresses[0].split('.')[2]}"
        asked = Message(MessageType.REGISTER, sequence, node=MN, addresses=addresses, port=5001, lifetime_ms=300)
        recorded.registration(at_s, 0.022, who, "SERVER", asked)
        granted = Message(MessageType.REGISTERED, sequence, node=MN, lifetime_ms=300)
        recorded.registration(at_s + 0.022, 0.022, "SERVER", who, granted)

    register(0.01, 1, "10.1.1.100")
    register(0.16, 2, "10.1.1.100")
    leg = Message(MessageType.LEG_OPEN, 3, node=MN, session=78, addresses=("10.1.2.100",), port=5001, leg=Leg.PLAIN)
    recorded.registration(10.06, 0.022, "MN1@MR2", "SERVER", leg)
    register(10.1, 4, "10.1.2.100", "10.1.1.100")
    alive = Message(MessageType.KEEPALIVE, 5, node=MN)
    recorded.registration(11.0, 0.022, "MN1@MR2", "SERVER", alive)
    start = Message(MessageType.REGISTER, 1, node=CN, addresses=("10.2.3.2",), port=5001, lifetime_ms=300)
    recorded.registration(-1.0, 0.025, "CN3", "SERVER", start)
    assert causes(rows_of(recorded), "registration") == [
        ("REGISTER", "start-up"),
        ("REGISTER", "MN1→MR1@0s"), ("REGISTERED", "MN1→MR1@0s"), ("REGISTER", "refresh"), ("REGISTERED", "refresh"),
        ("LEG_OPEN", "MN1→MR2@10s"), ("REGISTER", "MN1→MR2@10s"), ("REGISTERED", "MN1→MR2@10s"),
        ("KEEPALIVE", "keepalive"),
    ]  # fmt: skip


def test_registration_over_tcp_counts_messages_and_not_segments(recorded: Recorded) -> None:
    first = wire.encode(Message(MessageType.KEEPALIVE, 1, node=CN), b"k")
    second = wire.encode(Message(MessageType.KEEPALIVE, 2, node=CN), b"k")
    ends, ports = (recorded.address["CN3"], recorded.address["SERVER"]), (4000, wire.PORT)
    for at_s, data in ((5.0, first[:10]), (5.1, first[10:] + second)):
        recorded.segment(at_s, "CN3", ends, ports, data)
    rows = rows_of(recorded)
    assert [(row.time_s, row.bytes) for row in rows] == [
        (5.0, len(first)), (5.1, len(second)),
    ]  # fmt: skip


# -- DHCP, ARP --------------------------------------------------------------------------------------------------------
def test_dhcp_lease_renewal_and_release(recorded: Recorded) -> None:
    mac = recorded.mac["MN1"]

    def dhcp(at_s: float, kind: str, transaction: int, own: str = "0.0.0.0", to: str = "255.255.255.255") -> None:
        bootp = BOOTP(op=1, xid=transaction, chaddr=bytes.fromhex(mac.replace(":", "")), ciaddr=own)
        frame = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src=own, dst=to) / UDP(sport=68, dport=67) / bootp
        recorded.frame("MN1", at_s, frame / DHCP(options=[("message-type", kind), "end"]))

    dhcp(0.001, "discover", 1)
    dhcp(0.005, "request", 1)
    recorded.event("MN1", 0.009, "address_configured", address="10.1.1.100")
    dhcp(5.0, "request", 2)
    dhcp(10.06, "discover", 3)
    dhcp(20.0, "release", 4, "10.1.1.100", "10.1.1.1")
    rows = rows_of(recorded)
    assert causes(rows, "dhcp") == [
        ("discover", "MN1→MR1@0s"), ("request", "MN1→MR1@0s"), ("request", "refresh"),
        ("discover", "MN1→MR2@10s"), ("release", "MN1→MR2@10s"),
    ]  # fmt: skip
    assert rows[0].destination == "broadcast" and rows[-1].destination == "MR1"


def test_only_the_first_arp_exchange_of_an_attachment_counts(recorded: Recorded) -> None:
    mine, router = recorded.mac["MN1"], "02:00:00:00:01:01"
    who = Ether(src=mine, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc="10.1.1.100", pdst="10.1.1.1", hwsrc=mine)
    reply = Ether(src=router, dst=mine) / ARP(op=2, psrc="10.1.1.1", pdst="10.1.1.100", hwsrc=router)
    probe = Ether(src=mine, dst=router) / ARP(op=1, psrc="10.1.1.100", pdst="10.1.1.1", hwsrc=mine)
    for at_s, frame in (
        (0.01, who),
        (1.01, who),
        (1.014, reply),
        (5.0, probe),
        (5.004, reply),
        (6.0, who),
        (6.1, reply),
    ):
        recorded.frame("MN1", at_s, frame)
    rows = rows_of(recorded)
    assert [row.time_s for row in rows] == [0.01, 1.01, 1.014]
    assert {row.cause for row in rows} == {"MN1→MR1@0s"} and {row.bytes for row in rows} == {28}


def test_of_neighbour_discovery_what_configures_counts_and_what_looks_again_does_not(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "run", scenario(family="ipv6"))
    mine, router = recorded.mac["MN1"], "02:00:00:00:01:01"
    me, it, ip1 = "fe80::ff:fe00:201", "fe80::ff:fe00:101", "2001:db8:1:1:0:ff:fe00:201"

    def to_all(source: str, group: str) -> Ether:
        return Ether(src=mine, dst="33:33:00:00:00:01") / IPv6(src=source, dst=group, hlim=255)

    to_me = Ether(src=router, dst=mine) / IPv6(src=it, dst=me, hlim=255)
    to_it = Ether(src=mine, dst=router) / IPv6(src=me, dst=it, hlim=255)
    asked = Ether(src=router, dst="33:33:ff:00:02:01") / IPv6(src=it, dst="ff02::1:ff00:201", hlim=255)
    for at_s, frame in (
        (0.1, to_all("::", "ff02::1:ff00:201") / ICMPv6ND_NS(tgt=me)),
        (0.2, to_all(me, "ff02::2") / ICMPv6ND_RS()),
        (0.3, to_me / ICMPv6ND_RA()),
        (0.4, to_all(ip1, "ff02::1") / ICMPv6ND_NA(tgt=ip1)),
        (0.5, asked / ICMPv6ND_NS(tgt=ip1)),
        (0.6, to_it / ICMPv6ND_NA(tgt=ip1)),
        (5.0, to_me / ICMPv6ND_NS(tgt=me)),
        (5.1, to_it / ICMPv6ND_NA(tgt=me)),
        (6.0, asked / ICMPv6ND_NS(tgt=ip1)),
    ):
        recorded.frame("MN1", at_s, frame)
    rows = rows_of(recorded)
    assert [row.time_s for row in rows] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert {(row.protocol, row.cause) for row in rows} == {("nd", "MN1→MR1@0s")}
    assert [(row.source, row.destination) for row in rows][1:3] == [("MN1", "multicast"), ("MR1", "MN1")]


# -- OpenFlow ---------------------------------------------------------------------------------------------------------
def of(kind: int, transaction: int, body: bytes = b"") -> bytes:
    return struct.pack("!BBHI", 4, kind, 8 + len(body), transaction) + body


def port_status(number: int, name: str) -> bytes:
    return of(12, 0, bytes(8) + struct.pack("!I20x16s24x", number, name.encode()))


def flow_mod(transaction: int, mac: str, padding: int = 0) -> bytes:
    match = struct.pack("!HHHBB", 1, 14, 0x8000, 4 << 1, 6) + bytes.fromhex(mac.replace(":", "")) + bytes(2)
    return of(14, transaction, bytes(40) + match + bytes(padding))


def test_openflow_messages_are_cut_from_the_stream_and_put_down_to_movements(recorded: Recorded) -> None:
    control = recorded.plan.control
    switch, controller = str(control.switch_address.ip), str(control.address.ip)
    mac = recorded.mac["MN1"]

    def hears(at_s: float, data: bytes) -> None:
        recorded.segment(at_s, "CONTROLLER", (switch, controller), (40000, 6653), data)

    def says(at_s: float, data: bytes) -> None:
        recorded.segment(at_s, "CONTROLLER", (controller, switch), (6653, 40000), data)

    says(-1.0, of(0, 1))
    hears(-0.9, of(6, 2, struct.pack("!Q16x", 1)))
    hears(0.001, port_status(5, "MN1-radio")[:20])
    hears(0.0011, port_status(5, "MN1-radio")[20:])
    says(0.002, flow_mod(7, mac) + of(20, 8))
    says(5.0, of(2, 9))
    hears(10.001, of(21, 8))  # the answer to what was asked before the movement
    says(10.06, flow_mod(10, mac) + flow_mod(11, mac, padding=500) + flow_mod(12, mac) + of(20, 13))
    rows = rows_of(recorded)
    assert {row.source for row in rows} == {"CONTROLLER", "s1"}
    assert causes(rows, "openflow") == [
        ("hello", "start-up"), ("features-reply", "start-up"), ("port-status add", "MN1→MR1@0s"),
        ("flow-mod add", "MN1→MR1@0s"), ("barrier-request", "MN1→MR1@0s"), ("echo-request", "keepalive"),
        ("barrier-reply", "MN1→MR1@0s"),
        ("flow-mod add", "MN1→MR2@10s"), ("flow-mod add", "MN1→MR2@10s"), ("not captured", "MN1→MR2@10s"),
    ]  # fmt: skip
    assert rows[-1].bytes == len(flow_mod(12, mac) + of(20, 13))


def test_what_follows_the_release_of_an_address_serves_the_movement_that_left_it(tmp_path: Path) -> None:
    links = [link.model_dump(mode="json") for link in scenario().links]
    places = [("0s", "MR1"), ("5s", "MR2"), ("10s", "MR3")]
    recorded = Recorded(tmp_path / "run", scenario(
        links=[*links, {"between": ["MR3", "CORE"], "delay": "5ms"}],
        mobile_routers=["MR1", "MR2", "MR3"],
        movement=[{"at": at, "node": "MN1", "to": router} for at, router in places],
    ))  # fmt: skip
    control, mac = recorded.plan.control, recorded.mac["MN1"]
    ends = str(control.switch_address.ip), str(control.address.ip)
    bootp = BOOTP(op=1, xid=4, chaddr=bytes.fromhex(mac.replace(":", "")), ciaddr="10.1.1.100")
    release = Ether(src=mac, dst="02:00:00:00:01:01") / IP(src="10.1.1.100", dst="10.1.1.1") / UDP(sport=68, dport=67)
    release = release / bootp / DHCP(options=[("message-type", "release"), "end"])
    copied = of(10, 0, bytes(16) + struct.pack("!HH4xxx", 1, 4) + bytes(release))
    of_address = struct.pack("!HHHBB4s", 1, 12, 0x8000, 12 << 1, 4, bytes((10, 1, 1, 100))) + bytes(4)
    delete = of(14, 21, bytes(17) + b"\x03" + bytes(22) + of_address)
    of_nothing = of(14, 22, bytes(17) + b"\x03" + bytes(22) + struct.pack("!HH4x", 1, 4))
    recorded.segment(12.0, "CONTROLLER", ends, (40000, 6653), copied)
    recorded.segment(12.001, "CONTROLLER", ends[::-1], (6653, 40000), delete + of_nothing + of(20, 23))
    assert causes(rows_of(recorded), "openflow") == [
        ("packet-in", "MN1→MR2@5s"), ("flow-mod delete", "MN1→MR2@5s"), ("flow-mod delete", "MN1→MR2@5s"),
        ("barrier-request", "MN1→MR2@5s"),
    ]  # fmt: skip


# -- each once --------------------------------------------------------------------------------------------------------
def test_a_message_counts_once_at_its_senders_time_even_if_it_is_lost(recorded: Recorded) -> None:
    ask = Message(MessageType.KEEPALIVE, 1, node=CN)
    recorded.registration(5.0, None, "CN3", "SERVER", ask)
    recorded.registration(5.5, 0.025, "CN3", "SERVER", ask)
    rows = rows_of(recorded)
    assert [row.time_s for row in rows] == [5.0, 5.5]
    assert rows[0].bytes == 28 + len(wire.encode(ask, b"key"))  # fmt: skip


def test_a_run_that_never_started_is_said_so(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "run", scenario())
    recorded._events.clear()
    with pytest.raises(RecordError, match="never started"):
        signalling.rows(Recording(recorded.write()))


# -- streams ----------------------------------------------------------------------------------------------------------
def piece(data: bytes, length: int | None = None) -> pcap.Piece:
    return pcap.Piece(START_NS, data, len(data) if length is None else length)


def test_a_cutter_goes_over_what_was_not_captured() -> None:
    cutter = pcap.Cutter(2, lambda head: head[1])
    assert [cut.length for cut in cutter.feed(piece(b"a\x03x" + b"b\x05", 8))] == [3, 5]
    lost = cutter.feed(piece(b"c\x02", 6))  # what follows the first message has no header
    assert [(cut.data, cut.length) for cut in lost] == [(b"c\x02", 2), (b"", 4)]
    assert [cut.length for cut in cutter.feed(piece(b"d\x02"))] == [2]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 0, 2, 1), (1, 0, 1, 2)])
def test_a_stream_is_put_in_order_and_each_byte_taken_once(order: tuple[int, ...]) -> None:
    stream = pcap.Stream()
    lower = Ether() / IP()
    frames = [lower / TCP(flags="PA", seq=(2**32 - 3 + 4 * n) % 2**32) / Raw(b"%dabc" % n) for n in range(3)]
    opening = pcap.parse(bytes(lower / TCP(flags="S", seq=2**32 - 4)), 0)
    assert opening is not None and stream.feed(opening) == []
    data = b""
    for n in order:
        frame = pcap.parse(bytes(frames[n]), n)
        assert frame is not None
        data += b"".join(found.data for found in stream.feed(frame))
    assert data == b"0abc1abc2abc"
