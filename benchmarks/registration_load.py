"""``python -m benchmarks.registration_load``: the registration server with 10,000 nodes, on loopback.

In turns, in one run: registrations and lookups with 64 under way, BIND's updates and queries with as many names and
keys, and Kamailio's registrar; all driven from the same socket's code, Kamailio by sipp as well. Then load against
latency: a message is sent when its time has come, whatever becomes of the others, at shares of what the server did
with 64 under way; twice as much as it can do, and how soon it is back. Memory of a node and of a relayed session, and
the packets that the relay carries. Durable (FULL: the disk has what is acknowledged) and not (NORMAL).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.load.drive import Load, open_loop, schedule
from benchmarks.load.others import Bind, running_bind, running_kamailio, versions
from benchmarks.load.registrar import DIALECT, NODES, SESSIONS, WINDOW, Relayed, Server, running
from dmmlab.machine import environment

RESULT = Path(__file__).with_suffix(".txt")
COUNT, UPDATES, ROUNDS = 10_000, 2_000, 3
SHARES, EACH_S = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2), 2.0
OVERLOAD, OVERLOAD_S, AFTER, AFTER_S, WINDOW_S = 2.0, 4.0, 0.5, 3.0, 0.1
BOUND_MS = 20.0  # up to the limit 99 of 100 take no longer
HEAD = f"{'':44}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}"
CURVE = (
    f"{'share':>7}{'asked/s':>10}{'served/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'refused':>9}{'no answer':>11}"
    f"{'late ms':>9}{'server':>8}{'load':>6}{'others':>8}"
)
Rounds = list[Load]


def row(what: str, loads: Rounds) -> str:
    """Of the comparison: medians of the rounds."""
    figures = [(load.rate, load.percentile_ms(0.5), load.percentile_ms(0.99)) for load in loads]
    rate, p50, p99 = map(statistics.median, zip(*figures, strict=True))
    return f"{what:44}{rate:10,.0f}{p50:9.2f}{p99:9.2f}"


def median_rate(loads: Rounds) -> float:
    """Served a second."""
    return statistics.median(load.rate for load in loads)


def compare(folder: Path) -> tuple[str, dict[str, float]]:
    """Every server in turn, `ROUNDS` times; the table, and registrations a second of ours, by durability."""
    notes = []
    with contextlib.ExitStack() as stack:
        ours = {name: stack.enter_context(running(folder / name, name)) for name in ("NORMAL", "FULL")}
        bind = stack.enter_context(running_bind(folder / "bind"))
        memory = Path("/dev/shm")
        in_memory: Bind | None = None
        if memory.is_dir():
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
            in_memory = stack.enter_context(running_bind(place / "bind"))
        turns: dict[str, Callable[[], Load]] = {}
        for name, server in ours.items():
            server.closed_loop(server.registrations(NODES))
            turns[f"registrations, {name}"] = lambda server=server: server.closed_loop(server.registrations(COUNT))  # type: ignore[misc]
            turns[f"lookups, {name}"] = lambda server=server: server.closed_loop(server.lookups(COUNT))  # type: ignore[misc]
        turns["BIND: updates of A and SRV, TSIG"] = lambda: bind.updates(UPDATES)
        if in_memory is not None:
            turns["BIND: updates, its files in memory"] = lambda: in_memory.updates(UPDATES)
        turns["BIND: queries"] = lambda: bind.queries(COUNT)
        try:
            kamailio = stack.enter_context(running_kamailio(folder / "kamailio"))
            kamailio.registrations(NODES)
            turns["Kamailio: REGISTER, in memory, unsigned"] = lambda: kamailio.registrations(COUNT)
            turns["Kamailio: the same by sipp (whole ms)"] = lambda: kamailio.by_sipp(COUNT)
        except RuntimeError as error:
            notes.append(f"Kamailio was not measured: {error}")
        measured: dict[str, Rounds] = {name: [] for name in turns}
        for _ in range(ROUNDS):
            for name, turn in turns.items():
                measured[name].append(turn())
    lines = [f"{WINDOW} under way, medians of {ROUNDS} rounds in turn", "", HEAD]
    lines += [row(name, loads) for name, loads in measured.items()]
    lines += ["", *ratios({name: median_rate(loads) for name, loads in measured.items()}), *notes]
    return "\n".join(lines), {name: median_rate(measured[f"registrations, {name}"]) for name in ours}


def ratios(rates: Mapping[str, float]) -> list[str]:
    """How many times as many a second the registration server does, of what can stand beside it."""
    pairs = [
        ("registrations, FULL", "BIND: updates of A and SRV, TSIG"),
        ("registrations, NORMAL", "BIND: updates, its files in memory"),
        ("lookups, NORMAL", "BIND: queries"),
        ("registrations, NORMAL", "Kamailio: REGISTER, in memory, unsigned"),
        ("registrations, NORMAL", "Kamailio: the same by sipp (whole ms)"),
    ]
    return [f"{a} / {b}: {rates[a] / rates[b]:.2f}" for a, b in pairs if b in rates]


def curve(server: Server, rate: float) -> list[str]:
    """Load against latency, and up to where 99 of 100 stay within `BOUND_MS` and all are served."""
    lines, limit, holds = [CURVE], 0.0, True
    for share in SHARES:
        due_s = schedule((share * rate, EACH_S))
        load = open_loop(server.port, server.pid, server.registrations(len(due_s)), due_s, DIALECT)
        lines.append(curve_row(share, load))
        holds = holds and len(load.served) == load.sent and load.percentile_ms(0.99) <= BOUND_MS
        limit = share if holds else limit
    lines.append(f"p99 within {BOUND_MS:.0f} ms, and all served, up to {limit:.0%}: {limit * rate:,.0f} a second")
    return lines


def curve_row(share: float, load: Load) -> str:
    """What was asked for and what came of it; how late the load was (p99); who took how much of one processor."""
    late = sorted(load.late_s)[int(0.99 * len(load.late_s))] * 1e3
    shares = "".join(f"{each:{width}.0%}" for each, width in zip(load.shares, (8, 6, 8), strict=True))
    return (
        f"{share:7.0%}{load.sent / load.seconds:10,.0f}{load.rate:10,.0f}{load.percentile_ms(0.5):9.2f}"
        f"{load.percentile_ms(0.99):9.2f}{load.refused:9,}{load.unanswered:11,}{late:9.2f}{shares}"
    )


def overload(server: Server, rate: float) -> list[str]:
    """Too much for a while, and at once much less: how soon it is as before."""
    before_s, part = 1.0, AFTER * rate
    due_s = schedule((part, before_s), (OVERLOAD * rate, OVERLOAD_S), (part, AFTER_S))
    load = open_loop(server.port, server.pid, server.registrations(len(due_s)), due_s, DIALECT)
    over_s = before_s + OVERLOAD_S
    during = [each for each in load.served if before_s <= each[0] < over_s]
    sent = int(OVERLOAD * rate * OVERLOAD_S)
    windows = [over_s + number * WINDOW_S for number in range(int(AFTER_S / WINDOW_S))]
    p99_ms = [load.percentile_ms(0.99, start, start + WINDOW_S) for start in windows]
    slow = [number for number, each in enumerate(p99_ms) if not each <= BOUND_MS]
    back_s = 0.0 if not slow else (slow[-1] + 1) * WINDOW_S
    first = ", ".join(f"{each:.1f}" for each in p99_ms[:8])
    return [
        f"{OVERLOAD:.0%} for {OVERLOAD_S:.0f} s: {len(during) / OVERLOAD_S:,.0f} served a second, of {sent:,} refused "
        f"{load.refused:,}, without an answer {load.unanswered:,}; served within p50 "
        f"{load.percentile_ms(0.5, before_s, over_s):.0f} ms, p99 {load.percentile_ms(0.99, before_s, over_s):.0f} ms",
        f"then {AFTER:.0%} (p99 before: {load.percentile_ms(0.99, 0, before_s):.1f} ms): p99 of each tenth of a second "
        f"{first} ...; within {BOUND_MS:.0f} ms again after {back_s:.1f} s",
    ]


def memory_and_relay(server: Server, empty_kb: int) -> list[str]:
    """Of a node and a relayed session; packets through the relay."""
    each_kb = (server.memory_kb() - empty_kb) / NODES
    for _ in range(2):
        server.closed_loop(server.registrations(NODES))
    thrice_kb = (server.memory_kb() - empty_kb) / NODES
    relayed = Relayed(server)
    through = relayed.through()
    relayed.close()
    return [
        f"memory: {each_kb:.2f} kB a node, {thrice_kb:.2f} kB when it has registered three times within 32 s; "
        f"{relayed.each_kb:.2f} kB a relayed session ({SESSIONS} of them)",
        f"relay: {2 * through.rate:,.0f} packets a second, {WINDOW} under way there and back: p50 "
        f"{through.percentile_ms(0.5):.2f} ms, p99 {through.percentile_ms(0.99):.2f} ms",
    ]


def alone(folder: Path, synchronous: str, rate: float) -> str:
    """Of the registration server by itself: memory, the relay, load against latency, overload."""
    with running(folder, synchronous) as server:
        empty_kb = server.memory_kb()
        server.closed_loop(server.registrations(NODES))
        lines = memory_and_relay(server, empty_kb)
        return "\n".join([f"{synchronous}: 100% are {rate:,.0f} a second", *curve(server, rate),
                          *overload(server, rate), *lines])  # fmt: skip


def measure() -> dict[str, float]:
    """Registrations and lookups a second with so many nodes (`python -m benchmarks registration_load`)."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "server", "NORMAL") as server:
        registered = [server.closed_loop(server.registrations(NODES)) for _ in range(3)]
        return {
            "registrations_per_s": round(median_rate(registered)),
            "lookups_per_s": round(server.closed_loop(server.lookups(COUNT)).rate),
        }


def main() -> int:
    """Measure, print, and write the table."""
    argparse.ArgumentParser(
        description="The registration server with 10,000 nodes, beside BIND and Kamailio"
    ).parse_args()
    processor = environment.describe()["machine"]["processor"]  # type: ignore[index]
    machine = f"{os.cpu_count()} processors ({processor}), Python {platform.python_version()}, {versions()}"
    blocks = [f"{NODES:,} nodes, loopback, {machine}"]
    sys.stdout.write(blocks[0] + "\n")
    with tempfile.TemporaryDirectory() as folder:
        text, rates = compare(Path(folder))
        blocks.append(text)
        sys.stdout.write(f"\n{text}\n")
        for name, rate in rates.items():
            sys.stdout.flush()
            blocks.append(alone(Path(folder) / f"{name} alone", name, rate))
            sys.stdout.write(f"\n{blocks[-1]}\n")
    RESULT.write_text("\n\n".join(blocks) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
