"""F9: what is said for each move and for each session, and which method says less."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dmmlab.experiments.figures import ENTRIES
from dmmlab.experiments.figures.base import FigureKind, Load, Row
from dmmlab.experiments.figures.signalling_costs import COSTED, Expected, crossings, expected, formula
from dmmlab.experiments.figures.signalling_drawing import PARTS, RESIDENCE_S, plot
from dmmlab.experiments.figures.sweep import Item, build, seconds, session_entry, tour, uniform
from dmmlab.experiments.methods import METHODS, NAMES, short
from dmmlab.experiments.records.recording import Recording, recordings
from dmmlab.experiments.records.rows import SignallingRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.model import Scenario

_RATIOS = (0.5, 2, 6, 16)  # sessions of each method per move
_TTL_S, _LONG_TTL_S = 5.0, 40.0
_LONG_RATIOS = (2, 6)
_MOVES = 20
_SEED = 9
_HEADERS = {"ipv4": 28, "ipv6": 48}  # of IP and UDP, which the records count and OpenFlow's messages do not have
_IN_DATAGRAMS = ("dhcp", "dns", "dns-update", "registration", "handover")
_CLOSING = ("SESSION_CLOSE", "SESSION_CLOSED", "SESSION_ENDED")


class Said(NamedTuple):
    """A message: what protocol, what it is, how many bytes it has above UDP."""

    protocol: str
    text: str
    bytes: int


def scenarios(load: Load) -> list[Scenario]:
    """Sessions of all methods at each ratio of sessions to moves; at some of them also with a long TTL."""
    short_lived = [_mix(load, ratio, _TTL_S) for ratio in _RATIOS]
    return short_lived + [_mix(load, ratio, _LONG_TTL_S) for ratio in _LONG_RATIOS]


def _mix(load: Load, ratio: float, ttl_s: float) -> Scenario:
    """MN1 to and fro; sessions of every method at random times, none within a second of a move."""
    duration_s = RESIDENCE_S * (_MOVES + 1)
    count = round(ratio * _MOVES)
    sessions: list[Item] = []
    for turn, method in enumerate(METHODS):
        times = uniform(_SEED * 100 + round(ratio * 4) * 10 + turn, count, 1, duration_s - 20)
        for number, at_s in enumerate(times):
            into_s = at_s % RESIDENCE_S
            at_s += 1.0 - into_s if into_s < 1.0 else -1.0 if into_s > RESIDENCE_S - 1 else 0.0
            sessions.append(session_entry(f"{short(method, 2)}{number}", at_s, method=method))
    return build(
        load, f"f9-ratio-{ratio:g}{'' if ttl_s == _TTL_S else f'-ttl-{ttl_s:g}s'}", ddns={"ttl": seconds(ttl_s)},
        movement=tour("MN1", ("MR1", "MR2"), RESIDENCE_S, duration_s), sessions=sessions,
        duration=seconds(duration_s), seed=_SEED,
    )  # fmt: skip


def measure(runs: Sequence[RunDirectory]) -> list[Row]:
    """Messages and bytes by what they were for; of runs that have both several moves and sessions of methods."""
    usable = [run for run in recordings(runs) if run.specs and len(run.handovers) >= 2]
    moves: dict[str, list[list[Said]]] = defaultdict(list)
    sessions: dict[tuple[str, str], list[list[Said]]] = defaultdict(list)
    due: dict[tuple[str, str], list[Expected]] = defaultdict(list)
    ratios: list[Row] = []
    for run in usable:
        by_cause, closed = _by_cause(run), expected(run.scenario)
        for move, protocols in _moves(run, by_cause).items():
            for protocol, said in protocols.items():
                moves[protocol].append(said)
                due["move", protocol] += closed.moves.get((protocol, move), [])
        for session in run.sessions:
            if session.row.outcome == "ok" and session.spec.method in COSTED:
                for part, said in _parts(by_cause[session.spec.name]).items():
                    sessions[session.spec.method, part].append(said)
                    due[session.spec.method, part] += closed.sessions.get((session.spec.name, part), [])
        ratios += _ratios(run, by_cause, closed)
    rows = [_counted("move", protocol, "", found, due["move", protocol]) for protocol, found in moves.items()]
    rows += [
        _counted("session", method, part, sessions[method, part], due[method, part])
        for method in COSTED for part in PARTS if any(sessions[method, part])
    ]  # fmt: skip
    rows += sorted(ratios, key=lambda row: (row["ttl_s"], NAMES.index(row["name"]), row["ratio"]))
    if usable:
        rows += [_EMPTY | row for row in crossings(usable[0].scenario, RESIDENCE_S)]
    return rows


def _by_cause(run: Recording) -> dict[str, list[Said]]:
    found: dict[str, list[Said]] = defaultdict(list)
    for row in run.signalling:
        found[row.cause].append(Said(row.protocol, row.message, row.bytes - _headers(run, row)))
        if row.protocol == "registration" and row.cause in ("start-up", "refresh"):
            found[f"{row.cause} {_asker(row)}"].append(found[row.cause][-1])
    return found


def _headers(run: Recording, row: SignallingRow) -> int:
    return _HEADERS[run.scenario.family] if row.protocol in _IN_DATAGRAMS else 0


def _asker(row: SignallingRow) -> str:
    return row.source if row.message == "REGISTER" else row.destination


def _moves(run: Recording, by_cause: dict[str, list[Said]]) -> dict[int, dict[str, list[Said]]]:
    """By movement (its number, 0 for the first attachment) and protocol. ARP: where the node meets a router."""
    found: dict[int, dict[str, list[Said]]] = {}
    configuring = ("nd",) if run.scenario.family == "ipv6" else ("dhcp", "arp")
    for node in run.scenario.mobile_nodes:
        met: set[str] = set()
        for turn, move in enumerate(run.scenario.moves_of(node)):
            said = by_cause.get(f"{node}→{move.to}@{move.at:g}s", [])
            protocols = [] if turn == 0 else [p for p in ("openflow", *configuring, "dns-update", "registration")
                                              if p != "arp"]  # fmt: skip
            if move.to not in met and "arp" in configuring:
                protocols.append("arp")
            met.add(move.to)
            found[turn] = {protocol: [one for one in said if one.protocol == protocol] for protocol in protocols}
    return found


def _parts(said: Iterable[Said]) -> dict[str, list[Said]]:
    """Of one session: what sets it up, what the resolver had to ask besides, what ends it."""
    parts: dict[str, list[Said]] = {part: [] for part in PARTS}
    dns = [one for one in said if one.protocol == "dns"]
    for one in said:
        parts["teardown" if one.text.split()[0] in _CLOSING else "set-up"].append(one)
    if len(dns) > 4:  # the correspondent's questions and answers, and the resolver's, which are longer
        own = sorted(dns, key=lambda one: (one.text.split()[0] == "answer", one.text, one.bytes))[::2]
        parts["set-up"] = own
        parts["not cached"] = [one for one in dns if one not in own]
    return parts


def _counted(panel: str, name: str, part: str, found: Sequence[Sequence[Said]], due: Sequence[Expected]) -> Row:
    """Means over moves or sessions, and of what is due for them."""
    n = len(found)
    return _EMPTY | {
        **{"panel": panel, "name": name, "part": part, "n": n},
        "messages": sum(len(one) for one in found) / n,
        "bytes": sum(message.bytes for one in found for message in one) / n,
        "expected_messages": sum(one.messages for one in due) / n if due else None,
        "expected_bytes": sum(one.bytes for one in due) / n if due else None,
    }


def _ratios(run: Recording, by_cause: dict[str, list[Said]], closed: Any) -> list[Row]:
    """Of each method: all bytes that it cost in this run, for moves, for the time and for sessions, per session."""
    rows, moves = [], sum(len(run.scenario.moves_of(node)) - 1 for node in run.scenario.mobile_nodes)
    for method in COSTED:
        mine = [session.spec for session in run.sessions if session.spec.method == method]
        if not mine or not moves:
            continue
        causes = {spec.name for spec in mine}
        updates = METHODS[method].signalling.updates
        said = [one for cause in causes for one in by_cause.get(cause, ())]
        said += [one for cause, messages in by_cause.items() if "→" in cause for one in messages
                 if one.protocol in updates and not one.text.startswith(("LEG", "INCOMING"))]  # fmt: skip
        if "registration" in updates:  # the correspondent's, which all its sessions share: each method pays all of it
            said += [*by_cause.get(f"start-up {mine[0].cn}", ()), *by_cause.get(f"refresh {mine[0].cn}", ())]
            said += [one for node in run.scenario.mobile_nodes for one in by_cause.get(f"refresh {node}", ())]
        ratio = round(len(mine) / moves, 4)
        total = closed.totals.get(method)
        rows.append(
            _EMPTY
            | {
                **{"panel": "ratio", "name": method, "ttl_s": run.scenario.ddns.ttl, "ratio": ratio, "n": len(mine)},
                **{"messages": len(said) / len(mine), "bytes": sum(one.bytes for one in said) / len(mine)},
                "expected_messages": total.messages / len(mine) if total else None,
                "expected_bytes": total.bytes / len(mine) if total else None,
                "formula": formula(run.scenario, method, ratio, RESIDENCE_S) if total else None,
            }
        )
    return rows


_EMPTY = dict.fromkeys(
    (
        *("panel", "name", "part", "ttl_s", "ratio", "n", "messages", "expected_messages", "bytes", "expected_bytes"),
        *("formula", "ttl_over_stay"),
    )
)


def check(rows: list[Row], _more_ms: float = 0.0) -> list[str]:
    """Every message and every byte is due; the long run's formula is near; methods cross where it says."""
    found = []
    for row in rows:
        point = f"{row['panel']} {row['name']} {row['part'] or ''}".strip()
        if row["ratio"] is not None:
            point += f", {row['ratio']:g} sessions a move"
        for column in ("messages", "bytes"):
            due = row[f"expected_{column}"]
            if due is not None and abs(row[column] - due) > 1e-5:  # the file has six decimals
                found.append(f"{point}: {row[column]:.6g} {column}, {due:.6g} due")
        if row["panel"] == "ratio" and row["formula"] is not None and abs(row["bytes"] / row["formula"] - 1) > _NEAR:
            found.append(f"{point}: {row['bytes']:.0f} bytes a session, {row['formula']:.0f} in the long run")
    in_ipv4 = any(row["panel"] == "move" and row["name"] == "dhcp" for row in rows)  # in IPv6 there is none
    found += [f"no closed form for a {panel}" for panel in ("move", "session", "ratio") if in_ipv4
              and not any(row["panel"] == panel and row["expected_bytes"] is not None for row in rows)]  # fmt: skip
    return found + _on_the_wrong_side(rows)


_NEAR = 0.15  # how far a run of 20 moves may be from what the mean of all such runs is


def _on_the_wrong_side(rows: list[Row]) -> list[str]:
    """Points at which a method is cheaper than another though the crossing that was solved for says dearer."""
    found = []
    for cross in rows:
        if cross["panel"] != "crossing" or cross["ratio"] is None:
            continue
        for row in rows:
            if row["panel"] != "ratio" or row["name"] != cross["name"]:
                continue
            near = abs(row["ttl_s"] / RESIDENCE_S - cross["ttl_over_stay"]) < 1e-9
            other = [r for r in rows if r["panel"] == "ratio" and r["name"] == cross["part"]
                     and (r["ttl_s"], r["ratio"]) == (row["ttl_s"], row["ratio"])]  # fmt: skip
            if near and other and not 2 / 3 < row["ratio"] / cross["ratio"] < 1.5:
                dearer = row["bytes"] > other[0]["bytes"]
                if dearer != (row["ratio"] < cross["ratio"]):
                    found.append(
                        f"{row['name']} at {row['ratio']:g} sessions a move is "
                        f"{'dearer' if dearer else 'cheaper'} than "
                        f"{cross['part']}, though they cross at {cross['ratio']:.3g}"
                    )
    return found


FIGURE = FigureKind(
    entry=ENTRIES["F9"],
    scenarios=scenarios,
    columns=tuple(_EMPTY),
    key=("panel", "name", "part", "ttl_s", "ratio", "ttl_over_stay"),
    subject="bytes",
    measure=measure,
    plot=plot,
    check=check,
    claim="every message and byte of moves (but OpenFlow's), of sessions and at each ratio is that of the closed form; "
    f"the long run's formula is within {_NEAR:.0%}; methods are dearer and cheaper on the sides that the crossings say",
)
