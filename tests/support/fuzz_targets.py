"""What is fed with any bytes, and must not break: a target takes bytes, and raises only if something is wrong.

Whatever a target's reader says of bad input by its own error (WireError, ScenarioError, ...) is right. A hang, a crash,
another exception, or an invariant that does not hold is not.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from manifests import manifest

from dmmlab.controllers import dhcp, leaving, messages, nd
from dmmlab.controllers.core import Core
from dmmlab.controllers.plan import InterMrPort, Plan, PlanError, SwitchPlan
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.recording import RecordError, Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load
from dmmlab.machine.errors import Refusal
from dmmlab.nodes.registration.framing import Framer
from dmmlab.nodes.registration.splice import ACK, FRAME, MOST_FRAME_BYTES, Resumable
from dmmlab.nodes.registration.wire import HEADER, MessageType, Reason, WireError, decode, encode, hasty_refusal

Target = Callable[[bytes], None]
CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


def decoder(data: bytes) -> None:
    """The registration protocol's messages: what can be read is written as the same message again; whoever is turned
    away unread gets less than he has sent.
    """
    refusal = hasty_refusal(data, Reason.OVERLOADED)
    assert refusal is None or len(refusal) < len(data)
    try:
        message = decode(data)
    except WireError:
        return
    if refusal is not None:
        said = decode(refusal)
        assert (said.type, said.node, said.sequence) == (MessageType.REFUSED, message.node, message.sequence)
    again = encode(message, None)
    assert decode(again) == message
    assert len(again) <= len(data)


def framing(data: bytes) -> None:
    """The stream of messages, in pieces of any size: the same messages, and no more in memory than one of them."""
    framer, found = Framer(), []
    sizes = random.Random(len(data))
    place = 0
    with contextlib.suppress(WireError):
        while place < len(data):
            step = sizes.randint(1, 64)
            found += framer.feed(data[place : place + step])
            place += step
            assert len(framer._buffer) < 1300
    assert data.startswith(b"".join(found))


def splice(data: bytes) -> None:
    """Frames of a resumable leg: every byte of the stream once, in order, whatever the other end says."""
    stream, place, taken = Resumable(), 0, 0
    stream.write(b"x" * 100)
    with contextlib.suppress(ValueError):
        while place + FRAME.size <= len(data):
            kind, length, offset = FRAME.unpack_from(data, place)
            place += FRAME.size
            if length > MOST_FRAME_BYTES:
                break
            part = data[place : place + length]
            place += length
            if kind == 7:
                stream.resume(offset)
            new = stream.take(kind, offset, part)
            taken += len(new)
            assert stream.received == taken <= len(data)
            assert kind != ACK or not new
            assert 0 <= stream.unacked <= 100
    stream.ack()


def scenario(data: bytes) -> None:
    """A scenario's file, beside two others."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "s.yaml").write_bytes(data)
        (Path(folder) / "m.csv").write_text("0,1\n1,0\n")
        with contextlib.suppress(Refusal):
            load(Path(folder) / "s.yaml")


def run_directory(data: bytes) -> None:
    """A run directory in which one file is this; its first byte says which."""
    names = (
        "run.json",
        "outcome.json",
        "events.jsonl",
        "sessions.csv",
        "probes.csv",
        "handovers.csv",
        "signalling.csv",
    )
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder))
        run.run_json.write_text(_manifest())
        (run.root / names[data[0] % len(names) if data else 0]).write_bytes(data[1:])
        with contextlib.suppress(Refusal, RecordError):
            run.manifest()
            run.outcome()
            recording = Recording(run)
            for table in ("events", "session_rows", "probes", "handovers", "signalling"):
                getattr(recording, table)


@cache
def _manifest() -> str:
    data = load("two-mr").resolved().model_dump(mode="json", by_alias=True)
    return json.dumps(manifest(scenario=data))


def capture(data: bytes) -> None:
    """A capture, and the streams in it."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        streams: dict[tuple[int, int], pcap.Stream] = {}
        cutter = pcap.Cutter(4, lambda head: int.from_bytes(head[2:4], "big"))
        with contextlib.suppress(RunDirectoryError):
            for frame in pcap.read(Path(file.name)):
                assert 0 <= len(frame.payload) <= len(data)
                if frame.protocol == pcap.TCP:
                    for piece in streams.setdefault(frame.ports, pcap.Stream()).feed(frame):
                        cutter.feed(piece)


def controller(data: bytes) -> None:
    """Frames that the switches copy to the controller, of both families, guarded or not."""
    for reader in (dhcp.parse_frame, nd.question, nd.released_address, nd.claimed_address, leaving.announcement):
        reader(data)
    for family in ("ipv4", "ipv6"):
        core = _core(family)
        for number, port in ((1, 3), (1, 1), (2, 3), (1, 2), (1, 99), (2, 0xFFFFFFFE)):
            core.receive(messages.FrameCopied(number, port, data), 10**9)
        assert len(core.nodes) <= 200 and len(core.bindings) <= 2_000, "what senders make up is remembered for ever"
        for binding in core.bindings.values():
            assert ipaddress.ip_address(binding.address) and binding.mac in core.nodes


_cores: dict[str, tuple[Core, int]] = {}


def _core(family: str) -> Core:
    """One that has had up to so many frames already."""
    core, had = _cores.get(family, (None, 0))
    if core is None or had > 2_000:
        core, had = Core(_plan(family)), 0
        for dpid in (1, 2):
            ports = {f"s{dpid}-eth1": 1, f"s{dpid}-to": 2, "radio": 3}
            core.receive(messages.SwitchConnected(dpid, ports), 10**9)
            core.receive(messages.RulesReported(dpid, ()), 10**9)
    _cores[family] = core, had + 1
    return core


def _plan(family: str) -> Plan:
    switches = []
    for i in (1, 2):
        ip = {"router_ip": f"10.1.{i}.1", "prefix": f"10.1.{i}.0/24"}
        six = {"router_ip6": f"2001:db8:1:{i}::1", "prefix6": f"2001:db8:1:{i}::/64"}
        ports = (InterMrPort(f"s{i}-to", 3 - i, 0.004),)
        own = ip if family == "ipv4" else six
        mac = f"02:00:00:00:01:0{i}"
        switches.append(SwitchPlan(i, f"s{i}", f"MR{i}", mac, f"s{i}-eth1", inter_mr=ports, **own))
    return Plan(tuple(switches), family, announced=True, buffered=True)


def plan(data: bytes) -> None:
    """The controller's plan."""
    with contextlib.suppress(PlanError, UnicodeDecodeError):
        Plan.from_json(data.decode())


TARGETS: dict[str, Target] = {
    target.__name__: target for target in (decoder, framing, splice, scenario, run_directory, capture, controller, plan)
}


# ---- inputs


def corpus(name: str) -> list[bytes]:
    """What is kept for a target: examples, and what was found."""
    return [file.read_bytes() for file in sorted((CORPUS / name).iterdir())]


def mutated(rng: random.Random, examples: list[bytes], name: str) -> bytes:
    """One of the examples with a few changes; of messages mostly with a length that is right again."""
    data = bytearray(rng.choice(examples))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        place, kind = rng.randrange(len(data) + 1), rng.randrange(6)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place:place] = rng.randbytes(rng.choice((1, 2, 4, 16)))
        elif kind == 2:
            del data[place : place + rng.choice((1, 2, 8, 64))]
        elif kind == 3:
            other = rng.choice(examples)
            start = rng.randrange(len(other) + 1)
            data[place:place] = other[start : start + rng.choice((4, 16, 64))]
        elif kind == 4 and data:
            data[place % len(data)] = rng.choice((0, 1, 4, 16, 127, 128, 255))
        elif kind == 5:
            data[place : place + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
    if name == "decoder" and len(data) >= HEADER.size and rng.random() < 0.8:
        struct.pack_into("!H", data, 2, len(data) & 0xFFFF)
    return bytes(data)
