"""Delays of pairs at the core in the virtual-time guest: every set-up and every round trip, to a microsecond."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load

pytestmark = pytest.mark.live

MICROSECOND_MS = 1e-3
Run = Callable[..., RunDirectory]
SHORTCUTS_MS = {("CN3", "MR1"): 46.8, ("CN3", "MR2"): 22.2, ("CN3", "SERVER"): 3.1, ("MR2", "RESOLVER"): 1}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_two_mr_with_shortcuts_and_detours(run: Run, family: str) -> None:
    """By every method, over UDP and TCP, before the move and after; the others are as far as ever."""
    links = load("two-mr").model_dump(mode="json", by_alias=True)["links"]
    links += [{"between": [*pair], "delay": f"{delay}ms"} for pair, delay in SHORTCUTS_MS.items()]
    check(Recording(run(family=family, links=links)), least=200)


def test_places_in_a_matrix(run: Run, tmp_path: Path) -> None:
    """Twelve nodes at the core, no three of which need obey the triangle inequality."""
    draw = random.Random(5)
    size = 14
    trips_us = [[0] * size for _ in range(size)]
    for one in range(size):
        for other in range(one):
            trips_us[one][other] = trips_us[other][one] = 2 * draw.randrange(100, 90_000)
    lines = ("\t".join(f"{value / 1000}" for value in row) for row in trips_us)
    (tmp_path / "matrix.tsv").write_text("\n".join(lines))
    routers, cns = [f"MR{n}" for n in range(1, 5)], [f"CN{n}" for n in range(1, 8)]
    core = [{"between": [name, "CORE"], "delay": "5ms"} for name in (*routers, *cns, "SERVER")]
    among = [{"between": [*pair], "delay": "3ms"} for pair in pairwise(routers)]
    near: list[dict[str, Any]] = [
        {"between": ["radio", "MN1"], "delay": "2ms"},
        {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
    ]
    sessions = [
        {
            **{"name": f"S{n}", "at": f"{1 + n / 10}s", "from": cn, "to": "MN1", "method": "p2p", "select": "race"},
            **{"repeat": 4, "every": "5s", "interval": "50ms", "duration": "2s"},
        }
        for n, cn in enumerate(cns)
    ]
    movement = [{"at": f"{5 * n}s", "node": "MN1", "to": router} for n, router in enumerate(routers)]
    (tmp_path / "base.yaml").write_text("extends: two-mr\n")
    recording = Recording(
        run(
            str(tmp_path / "base.yaml"),
            mobile_routers=routers,
            links=[*core, *among, *near],
            movement=movement,
            sessions=sessions,
            geometry={"matrix": "matrix.tsv"},
            duration="20s",
        )
    )
    check(recording, least=28)
    best = {found.row.anchor for found in recording.sessions if found.spec.at_s > 15}
    assert len(best) > 1, "which address is the best depends on who asks"


def test_of_many_hosts_each_is_heard_at_its_first_try(run: Run) -> None:
    """The kernel takes a hundred interfaces a second into operation, and drops what is sent before: 240 here."""
    cns = [f"CN{n}" for n in range(1, 119)]
    links: list[dict[str, Any]] = [{"between": [name, "CORE"], "delay": "5ms"} for name in ("MR1", *cns, "SERVER")]
    links += [{"between": ["radio", "MN1"], "delay": "2ms"}, {"between": ["CONTROLLER", "switches"], "delay": "1ms"}]
    sessions = [{"name": f"S{n}", "at": "1s", "from": cn, "to": "MN1", "method": "p2p"} for n, cn in enumerate(cns)]
    recording = Recording(
        run(
            mobile_routers=["MR1"],
            links=links,
            movement=[{"at": "0s", "node": "MN1", "to": "MR1"}],
            sessions=sessions,
            geometry={"generate": {"nodes": 120, "violations": "3%"}},
            duration="3s",
        )
    )
    registered = [event for event in recording.logged if event["event"] == "registered" and event["source"] in cns]
    assert [event["attempts"] for event in registered] == [1] * len(cns)
    check(recording, least=len(cns))


def check(recording: Recording, least: int) -> None:
    """Every session that has a closed form has it, and its round trips are those of its set-up until a move."""
    judged = [(found.row, expected) for found in recording.sessions if (expected := recording.expected(found))]
    assert len(judged) >= least
    for row, expected in judged:
        assert row.setup_ms == pytest.approx(expected.setup_s * 1e3, abs=MICROSECOND_MS), row
        first = [probe.rtt_ms for probe in recording.probes.get(row.session, ())[:10]]
        if row.transport == "udp" and len(first) == 10:
            assert first == pytest.approx([expected.connect_s * 1e3] * 10, abs=MICROSECOND_MS), row
