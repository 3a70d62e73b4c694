"""Records are made from captures alone: what a pcap holds comes out of it, to the nanosecond."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import RawPcapWriter

from dmmlab.experiments.analysis.flows import Flow
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rundir import RunDirectory, read_csv, write_csv
from dmmlab.nodes.orders import ECHO_PORT, FIRST_LOCAL_PORT, PROBE_BYTES
from dmmlab.nodes.probe import Probe

CN, MN, LOCAL = "10.2.1.2", "10.1.1.100", FIRST_LOCAL_PORT
START_NS = 1_700_000_000_000_000_000


def out(payload: Packet, at_ns: int) -> tuple[int, bytes]:
    return at_ns, bytes(Ether(src="02:00:00:00:03:01") / IP(src=CN, dst=MN) / payload)


def back(payload: Packet, at_ns: int) -> tuple[int, bytes]:
    return at_ns, bytes(Ether(src="02:00:00:00:04:01") / IP(src=MN, dst=CN) / payload)


def capture(folder: Path, frames: list[tuple[int, bytes]]) -> Path:
    """A pcap as tcpdump writes it with --time-stamp-precision=nano."""
    file = folder / "CN1.pcap"
    with RawPcapWriter(str(file), nano=True, linktype=1) as writer:
        writer.write_header(None)
        for at_ns, frame in frames:
            writer.write_packet(frame, sec=(START_NS + at_ns) // 10**9, usec=(START_NS + at_ns) % 10**9)
    return file


def flow_of(file: Path) -> Flow:
    flow = Flow()
    for packet in pcap.read(file):
        flow.add(packet, outgoing=packet.source == CN)
    return flow


def test_udp_probes_are_matched_by_their_numbers(tmp_path: Path) -> None:
    def probe(number: int, sport: int, dport: int) -> Packet:
        return UDP(sport=sport, dport=dport) / Probe(session=0, sequence=number)

    frames = [out(probe(n, LOCAL, ECHO_PORT), n * 20_000_000) for n in range(3)]
    frames += [back(probe(n, ECHO_PORT, LOCAL), n * 20_000_000 + 34_000_001) for n in (0, 2)]
    flow = flow_of(capture(tmp_path, frames))
    assert flow.sent_ns == {n: START_NS + n * 20_000_000 for n in range(3)}
    assert set(flow.received_ns) == {0, 2}
    assert flow.received_ns[0] - flow.sent_ns[0] == 34_000_001
    assert (flow.opened_ns, flow.answered_ns) == (START_NS, START_NS + 34_000_001)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_probe_of_a_session_that_was_opened_anew_has_the_time_of_the_sending_that_was_answered(
    tmp_path: Path, transport: str
) -> None:
    """The first attempt sends probes 0 and 1 in vain; the second sends both again, and 1 is answered; 1 is sent once
    more afterwards, which TCP may do by itself.
    """

    def packet(number: int, isn: int, outgoing: bool = True) -> Packet:
        ports = {"sport": LOCAL, "dport": ECHO_PORT} if outgoing else {"sport": ECHO_PORT, "dport": LOCAL}
        probe = Probe(session=0, sequence=number)
        if transport == "udp":
            return UDP(**ports) / probe
        return TCP(flags="PA", seq=isn + 1 + number * PROBE_BYTES, **ports) / bytes(probe)

    def opened(isn: int, at_ns: int) -> list[tuple[int, bytes]]:
        asked = out(TCP(flags="S", seq=isn, sport=LOCAL, dport=ECHO_PORT), at_ns)
        answered = back(TCP(flags="SA", seq=7, sport=ECHO_PORT, dport=LOCAL), at_ns + 1)
        return [asked, answered] if transport == "tcp" else []

    frames = [*opened(1000, 0), out(packet(0, 1000), 10), out(packet(1, 1000), 20)]
    frames += [*opened(5000, 50), out(packet(0, 5000), 60), out(packet(1, 5000), 70)]
    frames += [back(packet(1, 7, outgoing=False), 75), out(packet(1, 5000), 80)]
    flow = flow_of(capture(tmp_path, frames))
    assert {n: ns - START_NS for n, ns in flow.sent_ns.items()} == {0: 60, 1: 70}
    assert {n: ns - START_NS for n, ns in flow.received_ns.items()} == {1: 75}


def test_tcp_records_are_found_in_segments_however_they_were_cut(tmp_path: Path) -> None:
    """Two records leave in one segment and come back in three that cut through them; one segment is retransmitted."""
    isn_out, isn_back = 2**32 - 5, 77  # sequence numbers wrap within the stream
    two = bytes(Probe(sequence=0)) + bytes(Probe(sequence=1))

    def segment(flags: str, seq: int, payload: bytes, outgoing: bool) -> Packet:
        ports = {"sport": LOCAL, "dport": ECHO_PORT} if outgoing else {"sport": ECHO_PORT, "dport": LOCAL}
        return TCP(flags=flags, seq=seq % 2**32, **ports) / payload

    frames = [
        out(segment("S", isn_out, b"", True), 0),
        back(segment("SA", isn_back, b"", False), 10),
        out(segment("PA", isn_out + 1, two, True), 20),
        out(segment("PA", isn_out + 1, two, True), 25),
        back(segment("PA", isn_back + 1, two[:10], False), 30),
        back(segment("PA", isn_back + 11, two[10:30], False), 40),
        back(segment("PA", isn_back + 31, two[30:], False), 50),
    ]
    flow = flow_of(capture(tmp_path, frames))
    assert {n: ns - START_NS for n, ns in flow.sent_ns.items()} == {0: 20, 1: 20}
    assert {n: ns - START_NS for n, ns in flow.received_ns.items()} == {0: 40, 1: 50}
    assert flow.answered_ns == START_NS + 30
    assert len(two) == 2 * PROBE_BYTES


def test_a_capture_may_end_anywhere_while_it_grows_and_not_afterwards(tmp_path: Path) -> None:
    assert list(pcap.read(tmp_path / "none.pcap")) == []
    whole = capture(tmp_path, [out(UDP(sport=LOCAL, dport=ECHO_PORT) / Probe(), 0)] * 2).read_bytes()
    cut, first_ends = tmp_path / "cut.pcap", 24 + (len(whole) - 24) // 2
    for size in range(len(whole) + 1):
        cut.write_bytes(whole[:size])
        assert len(list(pcap.read(cut, growing=True))) == (0 if size < first_ends else 1 if size < len(whole) else 2)
        if size in (24, first_ends, len(whole)):
            assert len(list(pcap.read(cut))) == (size - 24) // (first_ends - 24)
            continue
        with pytest.raises(RunDirectoryError, match=r"cut\.pcap: not what a run writes"):
            list(pcap.read(cut))


def test_a_probe_is_24_bytes_with_its_number_where_records_look_for_it() -> None:
    raw = bytes(Probe(session=3, sequence=2**40 + 7))
    assert len(raw) == PROBE_BYTES
    assert struct.unpack_from("!Q", raw, 8)[0] == 2**40 + 7


def test_a_table_has_its_columns_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    write_csv(file, ("a", "b"), [{"a": 1}])
    assert read_csv(file) == [{"a": "1", "b": ""}]
    with pytest.raises(ValueError, match="c"):
        write_csv(file, ("a", "b"), [{"c": 1}])


def test_a_run_that_is_not_finished_has_no_outcome(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "r")
    run.create({"scenario": {}})
    assert run.outcome() is None
    run.finish("invalid", "why")
    assert run.outcome() == {"outcome": "invalid", "reason": "why"}
    run.create({"scenario": {}})
    assert run.outcome() is None
