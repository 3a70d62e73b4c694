"""Kinds of handover on real packets: what is lost, what waits, and how long a user hears nothing, to a microsecond."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import pytest

from dmmlab.experiments.oracle.silence import longest_silence_s
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory, read_csv

pytestmark = pytest.mark.live

MICROSECOND_S = 1e-6
NANOSECOND_MS = 1e-6
Run = Callable[..., RunDirectory]
Key = tuple[str, str]
FAMILIES = ("ipv4", "ipv6")
HOW: dict[str, dict[str, Any]] = {
    "break": {},
    "announced": {"announce": "100ms"},
    "buffered": {"buffer": True},
    "both": {"announce": "100ms", "buffer": True},
}
GAPS_S = (0, 0.02, 0.2, 0.05, 1, 5)


def there_and_back(*links: tuple[float, str, str]) -> list[dict[str, Any]]:
    """MN1 moves at these times (s), with this gap or overlap, to MR2 and MR1 in turn."""
    moves: list[dict[str, Any]] = [{"at": "0s", "node": "MN1", "to": "MR1"}]
    for turn, (at_s, how, value) in enumerate(links):
        moves.append({"at": f"{at_s:g}s", "node": "MN1", "to": "MR2" if turn % 2 == 0 else "MR1", how: value})
    return moves


def sessions(duration_s: float, *ends: tuple[str, str]) -> list[dict[str, Any]]:
    """Their probes meet no switch in the 5 ms after a redirect in which it may still do what it has cached."""
    both = {"transport": ["udp", "tcp"], "interval": "20ms", "duration": f"{duration_s:g}s"}
    at_s = (2.006, 2.0075)
    return [{"name": f"S{n}", "at": f"{at_s[n]:g}s", "from": a, "to": b, **both} for n, (a, b) in enumerate(ends)]


def compare(done: RunDirectory) -> dict[tuple[str, int], float]:
    """Holds every silence against its closed form; those that have one, by session and movement."""
    recording, found = Recording(done), dict[tuple[str, int], float]()
    moves = recording.scenario.moves_of("MN1")
    for session in recording.sessions:
        rows = [row for row in recording.probe_rows if row.session == session.spec.name]
        came = list(row.received_s for row in rows if row.received_s is not None)
        stream = session.spec.transport == "tcp"  # who reads it has an answer when all before it are there
        came = list(accumulate(came, max)) if stream else sorted(came)
        for turn in range(1, len(moves)):
            begins_s = [m.at - (recording.scenario.handover.announce or 0.0 if m.overlap is None else 0) for m in moves]
            until_s = begins_s[turn + 1] if turn + 1 < len(moves) else float("inf")
            reach = [(a, b) for a, b in pairwise(came) if begins_s[turn] < b <= until_s]
            expected_s = longest_silence_s(recording.scenario, session.spec, turn)
            if expected_s is not None:
                measured_s = max(b - a for a, b in reach)
                assert abs(measured_s - expected_s) < MICROSECOND_S, (session.spec.name, turn, measured_s, expected_s)
                found[session.spec.name, turn] = measured_s
    return found


@pytest.fixture(scope="module")
def gaps(run: Run) -> Callable[[str, str], RunDirectory]:
    """A run with every gap, of a kind of handover in a family; made once."""
    made: dict[Key, RunDirectory] = {}

    def one(how: str, family: str) -> RunDirectory:
        if (how, family) not in made:
            at_s, links = 4.0, []
            for gap_s in GAPS_S:
                links.append((at_s, "gap", f"{gap_s:g}s"))
                at_s += 3 + gap_s
            made[how, family] = run(
                family=family,
                movement=there_and_back(*links),
                handover=HOW[how],
                sessions=sessions(at_s, ("CN1", "MN1"), ("MN1", "CN2")),
                duration=f"{at_s + 4:g}s",
            )
        return made[how, family]

    return one


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("how", HOW)
def test_the_longest_silence_is_that_of_the_closed_form_for_every_gap(
    how: str, family: str, gaps: Callable[[str, str], RunDirectory]
) -> None:
    done = gaps(how, family)
    exact = compare(done)
    turns = range(1, len(GAPS_S) + 1)
    assert {(name, turn) for name in ("S0.udp", "S1.udp", "S0.tcp") for turn in turns} <= set(exact)
    if how == "break":
        assert {("S1.tcp", turn) for turn in turns} <= set(exact), "the timers of the node's own kernel"
    handovers = read_csv(done.handovers)
    for row in handovers:
        longest = float(row["longest_silence_s"])
        assert longest >= max(s for (_, turn), s in exact.items() if turn == handovers.index(row) + 1) - MICROSECOND_S


@pytest.mark.parametrize("family", FAMILIES)
def test_an_announced_and_buffered_handover_loses_nothing_and_keeps_the_order(
    family: str, gaps: Callable[[str, str], RunDirectory]
) -> None:
    done = gaps("both", family)
    rows = [row for row in read_csv(done.probes) if row["session"].startswith("S0")]
    assert [row for row in rows if not row["received_s"]] == []
    for name in ("S0.udp", "S0.tcp"):
        came = [float(row["received_s"]) for row in rows if row["session"] == name]
        assert came == sorted(came)
    for row, gap_s in zip(read_csv(done.handovers), GAPS_S, strict=True):
        assert float(row["announced_s"]) == pytest.approx(float(row["detach_s"]) - 0.1, abs=MICROSECOND_S)
        assert int(row["buffered_packets"]) >= (gap_s + 0.1) / 0.02, "a probe every 20 ms, and those of a stream"


@pytest.mark.parametrize("family", FAMILIES)
def test_announced_the_redirect_stands_when_the_node_arrives(
    family: str, gaps: Callable[[str, str], RunDirectory]
) -> None:
    """Two control crossings after the link is gone it is in force, a third confirms it."""
    for row in read_csv(gaps("announced", family).handovers)[::2]:  # back home, a redirect ends
        assert float(row["redirect_s"]) - float(row["detach_s"]) == pytest.approx(0.003, abs=MICROSECOND_S)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_message_of_it_has_its_cause(family: str, gaps: Callable[[str, str], RunDirectory]) -> None:
    rows = read_csv(gaps("both", family).signalling)
    assert not [row for row in rows if row["cause"] == "unknown"]
    told = [row for row in rows if row["protocol"] == "handover"]
    assert [row["cause"].split("@")[0] for row in told] == ["MN1→MR2", "MN1→MR1"] * 3


@pytest.mark.parametrize("family", FAMILIES)
def test_make_before_break_loses_nothing_whatever_the_radio(family: str, run: Run) -> None:
    done = run("make-before-break", family=family)
    assert [row for row in read_csv(done.probes) if not row["received_s"]] == []
    assert [row["lost_packets"] for row in read_csv(done.handovers)] == ["0", "0"]
    assert {session for session, _ in compare(done)} >= {"P1.udp", "P1.tcp"}
    opened = [row for row in read_csv(done.sessions) if row["session"].startswith("P3")]
    assert len(opened) == 20
    for row in opened:
        assert row["outcome"] == "ok", row
        assert abs(float(row["setup_ms"]) - float(row["expected_setup_ms"])) < NANOSECOND_MS, row


@pytest.mark.parametrize("family", FAMILIES)
def test_back_in_the_middle_of_a_handover_and_to_and_fro(family: str, run: Run) -> None:
    """It leaves before it is heard, before it has an address, before its redirect; and there is another radio, too."""
    movement = there_and_back(
        (4.0, "gap", "50ms"),
        (4.051, "gap", "20ms"),  # after 1 ms, less than the radio takes
        (4.0745, "gap", "20ms"),  # after 3.5 ms: it is heard, and has no address
        (4.103, "gap", "0s"),
        (6.0, "overlap", "100ms"),
        (6.2, "gap", "30ms"),
        (7.0, "overlap", "50ms"),
        (8.0, "overlap", "150ms"),
    )
    done = run(family=family, movement=movement, sessions=sessions(9, ("CN1", "MN1")), duration="14s")
    assert {key[0] for key in compare(done)} >= {"S0.udp"}
    last = [row for row in read_csv(done.probes) if row["session"] == "S0.udp" and float(row["sent_s"] or 0) > 8.5]
    assert last and all(row["received_s"] for row in last)
    assert not [row for row in read_csv(done.signalling) if row["cause"] == "unknown"]
