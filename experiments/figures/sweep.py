"""Scenarios for figures: a shipped one, with links, movements and sessions put in place of its own."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dmmlab.experiments.figures.base import Load
from dmmlab.experiments.methods import fixed
from dmmlab.experiments.scenario.model import CORE, RADIO, Scenario
from dmmlab.experiments.scenario.units import format_duration

Item = dict[str, Any]


def ms(value: float) -> str:
    """As a scenario has it: ``20ms``."""
    return f"{value:g}ms"


def seconds(value: float) -> str:
    """A time as a scenario writes it, to the nanosecond."""
    return format_duration(round(value, 9))


def links(base: Scenario, changes: Mapping[tuple[str, str], Mapping[str, str]], drop: Sequence[str] = ()) -> list[Item]:
    """The links of ``base`` without those of the nodes in ``drop``, with ``changes`` made and new ones added."""
    kept = [link for link in base.links if not set(link.between) & set(drop)]
    items = [link.model_dump(mode="json") for link in kept]
    for between, change in changes.items():
        found = next((item for item in items if set(item["between"]) == set(between)), None)
        if found is None:
            found = {"between": list(between)}
            items.append(found)
        found.update(change)
    return items


def link_delays(values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], dict[str, str]]:
    """One-way delays in ms, by the two ends of a link."""
    return {between: {"delay": ms(value)} for between, value in values.items()}


def _like(base: Scenario, one: str, other: str) -> dict[str, str]:
    link = base.link(one, other)
    return {"delay": seconds(link.delay if link else 0.0)}


def routers_like_first(base: Scenario, names: Sequence[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Mobile routers ``names``, each as far from the core as MR1 of ``base`` is."""
    return {(name, CORE): _like(base, "MR1", CORE) for name in names}


def joined(base: Scenario, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    """Inter-MR links between ``pairs``, each like the one between MR1 and MR2 of ``base``."""
    return {pair: _like(base, "MR1", "MR2") for pair in pairs}


def nodes_like_first(base: Scenario, names: Sequence[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Mobile nodes ``names``, each behind a radio link like MN1's in ``base``."""
    return {(RADIO, name): _like(base, RADIO, "MN1") for name in names}


def numbered(kind: str, count: int) -> list[str]:
    """MR1, MR2 and so on."""
    return [f"{kind}{number}" for number in range(1, count + 1)]


def tour(node: str, routers: Sequence[str], residence_s: float, until_s: float, gap: str = "50ms") -> list[Item]:
    """``node`` starts at the first of ``routers`` and goes on to the next, round and round, every ``residence_s``."""
    moves: list[Item] = [{"at": "0s", "node": node, "to": routers[0]}]
    count = 1
    while (at_s := count * residence_s) + 1 < until_s:
        moves.append({"at": seconds(at_s), "node": node, "to": routers[count % len(routers)], "gap": gap})
        count += 1
    return moves


def session_entry(name: str, at_s: float, to: str = "MN1", cn: str = "CN3", **keys: Any) -> Item:
    """An entry of ``sessions``, over UDP and with no mechanism unless ``keys`` say otherwise."""
    return {
        "name": name,
        "at": seconds(at_s),
        "from": cn,
        "to": to,
        "transport": "udp",
        "method": fixed.METHOD.name,
        **keys,
    }


def poisson(seed: int, mean_gap_s: float, start_s: float, end_s: float) -> Iterator[float]:
    """Times of a Poisson process between ``start_s`` and ``end_s``, drawn from ``seed``; to the millisecond."""
    draw = random.Random(seed)
    at_s = start_s
    while (at_s := at_s + draw.expovariate(1 / mean_gap_s)) < end_s:
        yield round(at_s, 3)


def uniform(seed: int, count: int, start_s: float, end_s: float) -> list[float]:
    """``count`` times between ``start_s`` and ``end_s``, drawn from ``seed``; to the millisecond, in order."""
    draw = random.Random(seed)
    return sorted(round(draw.uniform(start_s, end_s), 3) for _ in range(count))


def build(load: Load, name: str, base: str = "two-mr", **keys: Any) -> Scenario:
    """The scenario ``base`` under another name, with top-level ``keys`` in place of its own."""
    return load(base, {"name": name, **keys})
