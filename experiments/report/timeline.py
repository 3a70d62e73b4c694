"""What the report's timeline shows of each movement: who did what, who sent whom what, which probes came back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dmmlab.experiments.analysis.causes.moves import movement_name
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import HandoverRow, SignallingRow
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement

_LEAD_S, _TRAIL_S, _LEAST_S = 0.03, 0.06, 0.2  # of time around what the movement brought about
_MILESTONES = ("detach_s", "attach_s", "address_s", "redirect_s", "registered_s", "first_packet_s")
_NAMES = {"server": "SERVER", "controller": "CONTROLLER"}
_ORDER = ("runner", "MN", "MR", "s", "CONTROLLER", "SERVER", "DDNS", "RESOLVER")
_MOST_SESSIONS = 3
_KNOWN = {"time_s", "source", "event"}

Item = dict[str, Any]


def movements(recording: Recording) -> list[dict[str, Any]]:
    """One entry a movement: ``name``, ``start_s``, ``from_ms``, ``to_ms``, ``lanes``, ``items`` (times in ms since).

    A function of ``events.jsonl``, ``signalling.csv``, ``handovers.csv`` and ``probes.csv``; what is not there is not
    shown.
    """
    scenario, found = recording.scenario, []
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        for move, after in zip(moves, [*moves[1:], None], strict=True):
            until_s = _end(move, after, recording.handovers, scenario)
            since_s = move.at - _LEAD_S - (scenario.handover.announce or 0.0 if move.overlap is None else 0.0)
            items = [
                *_events(recording.events, since_s, until_s, move.at),
                *_messages(recording.signalling, movement_name(move), until_s, move.at),
                *_answers(recording, node, since_s, until_s, move.at),
            ]
            items.sort(key=lambda item: item["t"])
            found.append(
                {
                    "name": movement_name(move),
                    "from_ms": round((since_s - move.at) * 1e3, 4),
                    "to_ms": (until_s - move.at) * 1e3,
                    "lanes": _lanes(items),
                    "items": items,
                }
            )
    return found


def _end(move: Movement, after: Movement | None, handovers: Iterable[HandoverRow], scenario: Scenario) -> float:
    """When the last thing that the movement brought about was done, and a little; never beyond the next movement."""
    limit_s = after.at if after is not None else scenario.duration
    done = [move.at + _LEAST_S - _TRAIL_S]
    for row in handovers:
        if row.mn == move.node and row.begins_s is not None and abs(row.begins_s - move.at) < _LEAST_S:
            times = (getattr(row, key) for key in _MILESTONES)
            done += [at_s for at_s in times if at_s is not None]
    return min(max(done) + _TRAIL_S, limit_s)


def _events(events: Iterable[dict[str, Any]], since_s: float, until_s: float, zero_s: float) -> Iterable[Item]:
    for event in events:
        if since_s <= event["time_s"] < until_s:
            details = ", ".join(f"{key} {_text(value)}" for key, value in event.items() if key not in _KNOWN)
            yield {
                "t": round((event["time_s"] - zero_s) * 1e3, 4),
                "kind": "event",
                "lane": _NAMES.get(event["source"], event["source"]),
                "text": event["event"].replace("_", " "),
                "more": details,
            }


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _messages(messages: Iterable[SignallingRow], cause: str, until_s: float, zero_s: float) -> Iterable[Item]:
    for row in messages:
        if row.cause == cause and row.time_s is not None and row.time_s < until_s:
            yield {
                "t": round((row.time_s - zero_s) * 1e3, 4),
                "kind": "message",
                "lane": row.source,
                "to": row.destination,
                "protocol": row.protocol,
                "text": row.message,
                "more": f"{row.protocol}, {row.bytes} bytes",
            }


def _answers(recording: Recording, node: str, since_s: float, until_s: float, zero_s: float) -> Iterable[Item]:
    """Answers to the probes of sessions that run through the movement, whoever opened them; the hole between them is
    what it cost.
    """
    through = [s.name for s in recording.specs if node in (s.mn, s.cn) and s.at_s < zero_s and s.count > 1]
    for row in recording.probe_rows:
        at_s = row.sent_s if row.received_s is None else row.received_s
        if row.session not in through[:_MOST_SESSIONS] or at_s is None or not since_s <= at_s < until_s:
            continue
        answered = row.rtt_ms is not None
        yield {
            "t": round((at_s - zero_s) * 1e3, 4),
            "kind": "answer" if answered else "lost",
            "lane": f"session {row.session}",
            "text": f"answer {row.seq}" if answered else f"probe {row.seq} lost",
            "more": f"{row.rtt_ms:.3f} ms after it was sent" if answered else "never answered",
        }


def _lanes(items: Sequence[Item]) -> list[str]:
    there = {item["lane"] for item in items}
    return sorted(there, key=lambda lane: (_rank(lane), lane))


def _rank(lane: str) -> int:
    """Movement and mobile nodes above, servers below them, correspondents and sessions last."""
    kind = lane if lane in _ORDER else lane.rstrip("0123456789")
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER) + lane.startswith("session ")
