"""F13: which of a mobile node's addresses to choose: how often an older one is better, what each policy makes of it."""

from __future__ import annotations

import socket
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES
from dmmlab.experiments.figures.base import EXACT_MS, FigureKind, Row
from dmmlab.experiments.figures.choice_drawing import NEAR, TRIPLES, plot
from dmmlab.experiments.figures.choice_worlds import ANCHOR, LATEST, LOWEST, NAMES, RACE, scenarios
from dmmlab.experiments.oracle import delays
from dmmlab.experiments.records.pcap import Frame
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.worlds import violated
from dmmlab.nodes.orders import FIRST_LOCAL_PORT

_ROUNDED_PCT = 1e-5  # a share is written to six digits


class Turn(NamedTuple):
    """A session, where in its node's walk it was opened (0: at the first router), and what it came to, in ms.

    ``packets`` is what its correspondent sent to the node's addresses by the time it was set up, ``off_ms`` how far its
    set-up was off the closed form.
    """

    session: RecordedSession
    stage: int
    setup_ms: float
    rtt_ms: float
    packets: int
    off_ms: float

    @property
    def where(self) -> tuple[str, str, int]:
        """Who opened it to whom, and at which stage."""
        return self.session.spec.cn, self.session.spec.mn, self.stage


Turns = dict[str, list[Turn]]  # by policy, with its parameters: the sessions of a run that were set up at once


def _turns(recording: Recording) -> Turns:
    found: Turns = defaultdict(list)
    sent = {name: _requests(recording, name) for name in recording.scenario.correspondents}
    for session in recording.sessions:
        expected = recording.expected(session)
        if session.row.outcome != "ok" or session.row.setup_ms is None or expected is None:
            continue
        found[session.spec.selection.key].append(_turn(recording, session, sent[session.spec.cn], expected.setup_s))
    return dict(found)


def _requests(recording: Recording, name: str) -> list[Frame]:
    """What ``name`` sent to mobile nodes, by time."""
    return [
        frame
        for frame in recording.frames(name)
        if frame.destination in recording.plan.owners and frame.protocol == socket.IPPROTO_UDP
    ]


def _turn(recording: Recording, session: RecordedSession, sent: Sequence[Frame], expected_s: float) -> Turn:
    """Its round trip is that by the address that it ended up on: from the packet that opened it there to the answer."""
    spec, row = session.spec, session.row
    began_ns = recording.start_ns + round(spec.at_s * 1e9)
    ended_ns = began_ns + round((row.setup_ms or 0.0) * 1e6)
    first, last = (bisect_left(sent, at, key=lambda frame: frame.time_ns) for at in (began_ns, ended_ns))
    addresses = recording.plan.addresses(spec.mn)
    own = [frame for frame in sent[first:last] if frame.destination in addresses]
    opened = [
        frame
        for frame in own
        if frame.destination == row.address and frame.source_port == FIRST_LOCAL_PORT + spec.number
    ]
    moves = recording.scenario.moves_of(spec.mn)
    return Turn(
        session=session,
        stage=sum(move.at <= spec.at_s for move in moves) - 1,
        setup_ms=row.setup_ms or 0.0,
        rtt_ms=(ended_ns - opened[0].time_ns) / 1e6,
        packets=len(own),
        off_ms=round((row.setup_ms or 0.0) - expected_s * 1e3, 6) + 0.0,  # which is no -0
    )


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Of each world, how often an older address is better; of each policy, regrets, set-ups, packets, changes."""
    rows: list[Row] = []
    for run in recordings(runs):
        if run.scenario.geometry is None:
            continue
        world: Row = dict.fromkeys(FIGURE.columns)
        world["violations_pct"] = 100 * violated(_round_trips_ms(run.scenario))
        turns = _turns(run)
        if set(turns) == {LATEST, ANCHOR}:
            near = {} if run.scenario.geometry.near is None else {"policy": NEAR}
            rows.append(world | _triples(run, turns) | near)
        elif turns:
            rows += [world | _policy(turns, found) for found in turns.values()]
    order = {name: turn for turn, name in enumerate((TRIPLES, NEAR, *NAMES))}
    return sorted(rows, key=lambda row: (order[row["policy"]], row["sweep_ms"] or 0.0, row["violations_pct"]))


def _round_trips_ms(scenario: Scenario) -> list[list[float]]:
    """Between the nodes at the core, as they are given."""
    names = (*scenario.hosts, *scenario.mobile_routers)
    return [[2e3 * delays.hosts_s(scenario, one, other) if one != other else 0.0 for other in names] for one in names]


def _policy(by_policy: Turns, turns: Sequence[Turn]) -> Row:
    """Regret: how much longer its round trip is than the shortest that any policy had there at that time."""
    best_ms: dict[tuple[str, str, int], float] = {}
    for turn in (turn for found in by_policy.values() for turn in found):
        best_ms[turn.where] = min(best_ms.get(turn.where, turn.rtt_ms), turn.rtt_ms)
    moved = [turn for turn in turns if turn.stage]
    regrets = [turn.rtt_ms - best_ms[turn.where] for turn in moved]
    selection = turns[0].session.spec.selection
    swept = len({found[0].session.spec.select for found in by_policy.values()}) == 1
    return {
        "policy": selection.policy.name,
        "sweep_ms": 1e3 * selection.parameters["better_by"] if swept else None,
        "n": len(moved),
        "best_pct": 100 * sum(regret < EXACT_MS for regret in regrets) / len(regrets),
        **{"regret_mean_ms": stats.mean(regrets), "regret_median_ms": stats.median(regrets)},
        **{"regret_p95_ms": stats.quantile(regrets, 0.95), "regret_most_ms": max(regrets)},
        "setup_ms": stats.median([turn.setup_ms for turn in moved]),
        "packets": stats.mean([turn.packets for turn in moved]),
        "changes": _changes(turns),
        **{"off_low_ms": min(turn.off_ms for turn in turns), "off_high_ms": max(turn.off_ms for turn in turns)},
    }


def _changes(turns: Sequence[Turn]) -> float:
    """How often a correspondent changed its address of a node, a move."""
    walks: dict[tuple[str, str], list[str]] = defaultdict(list)
    for turn in sorted(turns, key=lambda turn: turn.stage):
        walks[turn.where[:2]].append(turn.session.row.anchor)
    changed = [before != after for anchors in walks.values() for before, after in pairwise(anchors)]
    return sum(changed) / len(changed)


def _triples(run: Recording, turns: Turns) -> Row:
    """Triples of a correspondent, a node's old router and its new one: the share in which the old one's address has the
    shorter round trip, and by how much; what the delays say of the same triples; and for what share of the nodes the
    better address is not the same for all correspondents.
    """
    by = {name: {turn.where: turn for turn in turns[name] if turn.stage} for name in (LATEST, ANCHOR)}
    gains_ms = {
        where: turn.rtt_ms - by[ANCHOR][where].rtt_ms for where, turn in by[LATEST].items() if where in by[ANCHOR]
    }
    won = [gain_ms for gain_ms in gains_ms.values() if gain_ms > EXACT_MS]
    better: dict[str, set[bool]] = defaultdict(set)
    for (_, node, _), gain_ms in gains_ms.items():
        better[node].add(gain_ms > EXACT_MS)
    every = [turn for found in turns.values() for turn in found]
    return {
        "policy": TRIPLES,
        "n": len(gains_ms),
        "older_pct": 100 * len(won) / len(gains_ms),
        "expected_older_pct": 100
        * sum(delays.older_is_shorter(run.scenario, cn, node) for cn, node, _ in gains_ms)
        / len(gains_ms),
        "gain_ms": stats.median(won) if won else None,
        "gain_p95_ms": stats.quantile(won, 0.95) if won else None,
        "differ_pct": 100 * sum(len(found) > 1 for found in better.values()) / len(better),
        **{"off_low_ms": min(turn.off_ms for turn in every), "off_high_ms": max(turn.off_ms for turn in every)},
    }


# -- judging -------------------------------------------------------------------------------------------------------
def check(rows: list[Row], more_ms: float = 0.0) -> list[str]:
    """Every session's set-up against its closed form; what is so by construction; and whether the question is put."""
    found, allowed = [], EXACT_MS + more_ms
    for row in rows:
        point = f"{row['policy']}, {row['violations_pct']:.3g} % of all triples"
        if row["off_low_ms"] < -allowed or row["off_high_ms"] > allowed:
            found.append(f"{point}: off the closed form by {row['off_low_ms']:+.3f} to {row['off_high_ms']:+.3f} ms")
        if row["policy"] in (LOWEST, RACE) and row["regret_most_ms"] > allowed:
            found.append(f"{point}: {row['regret_most_ms']:.3f} ms longer than the best, which it looks for")
        if row["policy"] in (TRIPLES, NEAR) and abs(row["older_pct"] - row["expected_older_pct"]) > _ROUNDED_PCT:
            found.append(
                f"{point}: an older address won {row['older_pct']:.3f} % of the triples, by the delays it must be "
                f"{row['expected_older_pct']:.3f} %"
            )
    worlds = [row for row in rows if row["policy"] == TRIPLES]
    found += ["in a plane an older address won" for row in worlds if not row["violations_pct"] and row["older_pct"]]
    if not any(row["older_pct"] for row in worlds):
        found.append("the newest address is the best everywhere: the worlds do not put the question")
    return found


FIGURE = FigureKind(
    entry=ENTRIES["F13"],
    scenarios=scenarios,
    columns=(
        *("violations_pct", "policy", "sweep_ms", "n", "best_pct", "regret_mean_ms", "regret_median_ms"),
        *("regret_p95_ms", "regret_most_ms", "setup_ms", "packets", "changes"),
        *("older_pct", "expected_older_pct", "gain_ms", "gain_p95_ms", "differ_pct", "off_low_ms", "off_high_ms"),
    ),
    key=("violations_pct", "policy", "sweep_ms"),
    subject="regret_mean_ms",
    measure=measure,
    plot=plot,
    check=check,
    claim=f"every session is within {EXACT_MS} ms of its closed form; older addresses win where the delays say so",
)
