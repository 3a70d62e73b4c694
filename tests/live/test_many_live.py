"""A network of several sites, in the virtual-time guest: nodes that share processes, and moves from site to site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.oracle.delays import host_to_mn_s
from dmmlab.experiments.oracle.moves import serving
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.sessions import sessions_of

pytestmark = pytest.mark.live

NODES, ROUTERS = 24, 6
MICROSECOND_MS = 1e-3
METHODS = ["fixed", "ddns", "p2p", "central", "combined"]
MOVED_S, SETTLED_S = 10.0, 11.0

Run = Callable[..., RunDirectory]


def scenario() -> dict[str, Any]:
    """Each node is at a router of a ring, and moves to the opposite one."""
    nodes, routers = [f"MN{k}" for k in range(1, NODES + 1)], [f"MR{k}" for k in range(1, ROUTERS + 1)]
    kept = [
        link for link in load("two-mr").model_dump(mode="json", by_alias=True)["links"] if "CORE" in link["between"]
    ]
    kept = [link for link in kept if not set(link["between"]) & set(routers)]
    ring = [{"between": [one, routers[(k + 1) % ROUTERS]], "delay": "4ms"} for k, one in enumerate(routers)]
    movement = []
    for k, node in enumerate(nodes):
        movement.append({"at": "0s", "node": node, "to": routers[k % ROUTERS]})
        to = routers[(k + ROUTERS // 2) % ROUTERS]
        movement.append({"at": f"{MOVED_S}s", "node": node, "to": to, "gap": "50ms"})
    every: dict[str, Any] = {"method": METHODS, "transport": ["udp", "tcp"]}
    sessions = [
        {"name": f"P{k}", "at": f"{2 + k / 100}s", "from": "CN1", "to": node, "interval": "1s", "duration": "12s"}
        for k, node in enumerate(nodes)
    ]
    sessions += [
        {"name": f"Q{k}", "at": f"{12 + k / 10}s", "from": "CN3", "to": node, **every} for k, node in enumerate(nodes)
    ]
    return {
        "mobile_routers": routers,
        "links": [
            *kept,
            *({"between": ["radio", node], "delay": "2ms"} for node in nodes),
            *({"between": [router, "CORE"], "delay": "5ms"} for router in routers),
            *ring,
            {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
        ],
        "movement": movement,
        "sessions": sessions,
        "duration": "16s",
    }


@pytest.fixture(scope="module")
def crowded(run: Run) -> Recording:
    return Recording(run(**scenario()))


def test_the_network_has_several_sites_and_every_move_goes_from_one_to_another(crowded: Recording) -> None:
    sites = {switch: site.name for site in network_plan(crowded.scenario).sites for switch in site.switches}
    plan = crowded.plan
    assert len(set(sites.values())) == ROUTERS
    for node in crowded.scenario.mobile_nodes:
        there = {sites[plan.mobile_router(move.to).switch] for move in crowded.scenario.moves_of(node)}
        assert len(there) == 2


def test_every_session_is_set_up_as_its_closed_form_says(crowded: Recording) -> None:
    assert len(crowded.sessions) == len(list(sessions_of(crowded.scenario))) == NODES * 11
    for found in crowded.sessions:
        row, expected = found.row, crowded.expected(found)
        assert row.outcome == "ok", row
        assert expected is not None, row
        assert row.setup_ms == pytest.approx(expected.setup_s * 1e3, abs=MICROSECOND_MS), row


def test_an_old_session_goes_on_by_the_redirect_between_sites(crowded: Recording) -> None:
    for k, node in enumerate(crowded.scenario.mobile_nodes):
        anchor = crowded.scenario.moves_of(node)[0].to
        way_s = host_to_mn_s(crowded.scenario, "CN1", node, anchor, serving(crowded.scenario, node, SETTLED_S) or "")
        assert way_s is not None
        after = [probe for probe in crowded.probes[f"P{k}"] if probe.sent_s >= SETTLED_S]
        assert len(after) >= 2
        for probe in after:
            assert probe.rtt_ms == pytest.approx(2e3 * way_s, abs=MICROSECOND_MS), (node, probe)


def test_each_handover_is_charged_what_the_controller_said_for_it(crowded: Recording) -> None:
    """Switches of every site are told apart in the capture of the control channel."""
    assert len(crowded.handovers) == NODES
    assert all(row.redirect_s is not None and row.address_s is not None for row in crowded.handovers)
