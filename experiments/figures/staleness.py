"""F6: how often a new session is sent to an old address, against how long a node stays where it is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

from dmmlab.experiments.analysis import stats
from dmmlab.experiments.figures import ENTRIES
from dmmlab.experiments.figures.base import FigureKind, Load, Row
from dmmlab.experiments.figures.residences import KINDS, SHORTEST_S, SIGMA, leavings
from dmmlab.experiments.figures.staleness_drawing import FATES, plot
from dmmlab.experiments.figures.sweep import (
    Item,
    build,
    joined,
    links,
    nodes_like_first,
    numbered,
    poisson,
    routers_like_first,
    seconds,
    session_entry,
)
from dmmlab.experiments.methods import METHODS, ddns, p2p
from dmmlab.experiments.oracle import staleness
from dmmlab.experiments.records.recording import RecordedSession, Recording, recordings
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_TTL_S = 20.0
_NODES = 40  # at each point: replications, each with a name of its own, so that no two share a copy in the cache
_KINDS = {5.0: KINDS[:1], 10.0: KINDS, 20.0: KINDS, 40.0: KINDS, 80.0: KINDS}  # by mean time between two moves
_WITHOUT_REDIRECT_S = (10.0, 20.0, 80.0)
_RING = 8  # more than the moves within a TTL, nearly always: an old answer does not become right again by chance
_GAP_S = {ddns.METHOD.name: 5.0, p2p.METHOD.name: 2.5}  # mean time between two sessions to a node
_START_S, _PART_S = 5.0, 28.0  # each kind of stay has a part of the scenario: a copy's life, and what is around it
_KEEP_S = 25.0
_SEED = 6
_LETTERS = {kind[0]: kind for kind in KINDS}
_NAMED = re.compile(rf"([{''.join(_LETTERS)}])(\d+)n\d+[dp]\d+")  # a session of the figure's own: what it is about


def scenarios(load: Load) -> list[Scenario]:
    """Nodes that stay longer and longer at each router; some of them without the redirect."""
    found = [_roaming(load, residence_s, kinds, True) for residence_s, kinds in _KINDS.items()]
    return found + [_roaming(load, residence_s, KINDS[:1], False) for residence_s in _WITHOUT_REDIRECT_S]


def _roaming(load: Load, residence_s: float, kinds: Sequence[str], redirect: bool) -> Scenario:
    base, routers, nodes = load("two-mr", {}), numbered("MR", _RING), numbered("MN", _NODES)
    changes = routers_like_first(base, routers) | joined(base, zip(routers, [*routers[1:], routers[0]], strict=True))
    changes |= nodes_like_first(base, nodes)
    duration_s = _START_S + len(kinds) * _PART_S + 12
    keys: dict[str, Any] = {
        **{"mobile_routers": routers, "links": links(base, changes), "ddns": {"ttl": seconds(_TTL_S)}},
        **{"redirect": redirect, "addresses": {"keep": seconds(_KEEP_S)}, "duration": seconds(duration_s)},
        **{"seed": _SEED},
    }
    movement: list[Item] = []
    for number, node in enumerate(nodes):
        movement += _itinerary(node, routers[number % _RING :] + routers[: number % _RING], kinds, residence_s)
    name = f"f6-stay-{residence_s:g}s{'' if redirect else '-no-redirect'}"
    still = build(load, name, movement=movement, sessions=[], **keys)  # the life of a copy follows from its links alone
    sessions = [
        entry
        for node in nodes
        for part, kind in enumerate(kinds)
        for entry in _asking(still, node, f"{kind[0]}{residence_s:g}n{node[2:]}", _START_S + part * _PART_S)
    ]
    return build(load, name, movement=movement, sessions=sessions, **keys)


def _chance(*of: object) -> Random:
    return Random("/".join(map(str, (_SEED, *of))))


def _itinerary(node: str, routers: Sequence[str], kinds: Sequence[str], residence_s: float) -> list[Item]:
    """Round the ring, staying as each kind says for a part of the scenario."""
    moves: list[Item] = [{"at": "0s", "node": node, "to": routers[0]}]
    last_s = 0.0
    for part, kind in enumerate(kinds):
        from_s = _START_S + part * _PART_S
        for at_s in leavings(kind, residence_s, _chance("move", node, kind, residence_s), from_s, from_s + _PART_S):
            at_s = max(at_s, last_s + SHORTEST_S)  # two kinds of stay meet here: nobody asks at that time
            moves.append({"at": seconds(at_s), "node": node, "to": routers[len(moves) % len(routers)], "gap": "50ms"})
            last_s = at_s
    return moves


def _asking(still: Scenario, node: str, about: str, start_s: float) -> list[Item]:
    """Sessions at random times: by DDNS in the life of one copy, from the question on that fetches it."""
    chance = _chance("ask", about)
    first_s = round(start_s + 1 + 5 * chance.random(), 3)
    over_s = first_s + staleness.life_s(still, first_s)
    spans = {ddns.METHOD.name: (first_s, over_s), p2p.METHOD.name: (start_s + 1, start_s + _PART_S - 1)}
    found = [session_entry(f"{about}d0", first_s, node, method=ddns.METHOD.name)]
    for method, (from_s, until_s) in spans.items():
        times = poisson(chance.getrandbits(32), _GAP_S[method], from_s, until_s)
        found += [session_entry(f"{about}{method[0]}{turn}", at_s, node, method=method)
                  for turn, at_s in enumerate(times, 1)]  # fmt: skip
    return found


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """One row a method, kind of stay and run: where its sessions went, as the node's name goes replication by
    replication.
    """
    found: list[Row] = []
    for run in recordings(runs):
        groups: dict[tuple[str, str, float], list[RecordedSession]] = defaultdict(list)
        for session in run.sessions:
            own = _NAMED.match(session.spec.name)  # of these also who happens to stay where it is
            moves = own or len(run.scenario.moves_of(session.spec.mn)) > 1
            if session.spec.method in _GAP_S and session.from_host and moves:
                groups[session.spec.method, *_about(run, session)].append(session)
        found += [_row(run, *key, mine) for key, mine in groups.items() if len(mine) >= 10]
    level = 0.05 / max(1, len(found))  # of all intervals together 95 times in 100 none misses
    rows = [_with_interval(row, level) for row in found]
    return sorted(rows, key=lambda row: (row["method"], not row["redirect"], row["stay"], row["residence_s"]))


def _about(run: Recording, session: RecordedSession) -> tuple[str, float]:
    """What kind of stay a session is about, and the mean; of other runs than the figure's, the mean stay of their
    nodes.
    """
    if named := _NAMED.match(session.spec.name):
        return _LETTERS[named[1]], float(named[2])
    later = [run.scenario.moves_of(node)[1:] for node in run.scenario.mobile_nodes]
    stays = [after.at - move.at for moves in later for move, after in pairwise(moves)]
    return "other", round(stats.mean(stays), 3) if stays else run.scenario.duration


def _row(run: Recording, method: str, kind: str, residence_s: float, mine: list[RecordedSession]) -> Row:
    ttl_s = run.scenario.ddns.ttl
    stale = {session.spec.number: _is_stale(run, session, _first_anchor(run, session)) for session in mine}
    known = [(session, anchor) for session in mine if (anchor := run.oracle.answer(session.spec)) is not None]
    groups: dict[str, list[bool]] = defaultdict(list)
    for session in mine:
        groups[session.spec.mn].append(stale[session.spec.number])
    fates = Counter(session.fate for session in mine)
    return {
        **{"method": method, "redirect": run.scenario.redirect, "stay": kind, "residence_s": residence_s},
        **{"ttl_s": ttl_s, "ratio": residence_s / ttl_s, "nodes": len(groups), "n": len(mine)},
        **{"stale": sum(stale.values()) / len(mine), "groups": list(groups.values()), "known": len(known)},
        "disagree": sum(_is_stale(run, session, anchor) != stale[session.spec.number] for session, anchor in known),
        "formula": _formula(run.scenario, method, kind, residence_s),
        **{f"went_{fate}": fates[fate] for fate in FATES},
    }


def _with_interval(row: Row, level: float) -> Row:
    groups = row.pop("groups")
    low, high = stats.ratio_interval([(sum(group), len(group)) for group in groups], level)
    if not METHODS[row["method"]].cached:  # nothing hangs together: each session is a draw of its own
        low, high = stats.share_interval(sum(map(sum, groups)), row["n"], level)
    return row | {"low": max(0.0, low), "high": min(1.0, high)}


def _formula(scenario: Scenario, method: str, kind: str, residence_s: float) -> float | None:
    """They are equally far from everything: of the node that moves most."""
    node = max(scenario.mobile_nodes, key=lambda name: len(scenario.moves_of(name)))
    if kind not in KINDS or len(scenario.moves_of(node)) < 2:
        return None
    stays: dict[str, staleness.Stay] = {
        "constant": staleness.Constant(residence_s),
        "exponential": staleness.Exponential(residence_s, SHORTEST_S),
        "lognormal": staleness.Lognormal(residence_s, SHORTEST_S, SIGMA),
    }
    stay = stays[kind]
    if METHODS[method].cached:
        return staleness.by_cache(scenario, node, stay, 1 / _GAP_S[method])
    return staleness.by_server(scenario, node, stay)


def _is_stale(run: Recording, session: RecordedSession, anchor: str) -> bool:
    """Whether the node had left ``anchor`` when the session began; where it goes meanwhile is not old."""
    moves = run.scenario.moves_of(session.spec.mn)
    over_s = session.spec.at_s + (session.row.lookup_ms or 0.0) / 1e3
    here = max(turn for turn, move in enumerate(moves) if move.at <= session.spec.at_s)
    return all(move.to != anchor for turn, move in enumerate(moves) if turn >= here and move.at <= over_s)


def _first_anchor(run: Recording, session: RecordedSession) -> str:
    """Whose address the first lookup gave: that a retry found another does not make it fresh."""
    for event in run.lookups.get(session.spec.name, ()):
        if event["addresses"]:
            return run.anchors.get(event["addresses"][0], "")
    return session.row.anchor


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """Each answer against the cache's own closed form, each share against the formula, and what became of sessions."""
    found = []
    for row in rows:
        point = f"{row['method']}, {row['stay']}, residence {row['residence_s']:g} s, redirect={row['redirect']}"
        if row["disagree"]:
            found.append(f"{point}: {row['disagree']} of {row['known']} answers are not those of the closed form")
        if row["formula"] is not None and not row["low"] <= row["formula"] <= row["high"]:
            found.append(
                f"{point}: {row['stale']:.4f} stale ({row['low']:.4f} to {row['high']:.4f}), "
                f"{row['formula']:.4f} by the formula"
            )
        if row["formula"] is not None and row["nodes"] < 30:
            found.append(f"{point}: {row['nodes']} replications")
        if row["redirect"] and row["went_failed"]:
            found.append(f"{point}: {row['went_failed']} failed, though there is a redirect")
    return found


FIGURE = FigureKind(
    entry=ENTRIES["F6"],
    scenarios=scenarios,
    columns=(
        *("method", "redirect", "stay", "residence_s", "ttl_s", "ratio", "nodes", "n", "stale", "low", "high"),
        *("formula", "known", "disagree", *(f"went_{fate}" for fate in FATES)),
    ),
    key=("method", "redirect", "stay", "residence_s"),
    subject="stale",
    measure=measure,
    plot=plot,
    check=check,
    claim="every answer is that of the cache's closed form; the interval of each share, 95 % of all together, holds "
    "the formula of renewals; with the redirect no session fails",
)
