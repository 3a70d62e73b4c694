"""Which tunnels a scenario needs, and the closed form of the redirects that go by them."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from dmmlab.controllers.paths import shortest
from dmmlab.experiments.oracle.delays import inter_mr_s, redirect_s
from dmmlab.experiments.runner.orders import redirect_plan
from dmmlab.experiments.scenario.load import parse
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.tunnels import tunnels

CORE = {"MR1": "5ms", "MR2": "20ms", "MR3": "5ms", "MR4": "6ms"}
JOINED = {("MR1", "MR2"): "4ms", ("MR2", "MR3"): "4ms"}


def scenario(
    order: list[str], joined: dict[tuple[str, str], str] = JOINED, source: str = "here", **keys: Any
) -> Scenario:
    """MN1 goes to mobile routers in that order; the files that it names are beside ``source``."""
    moves = [{"at": f"{5 * turn}s", "node": "MN1", "to": router} for turn, router in enumerate(order)]
    links = [
        {"between": ["radio", "MN1"], "delay": "2ms"},
        {"between": ["CN1", "CORE"], "delay": "10ms"},
        {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
        *({"between": [name, "CORE"], "delay": delay} for name, delay in CORE.items()),
        *({"between": list(pair), "delay": delay} for pair, delay in joined.items()),
    ]
    data = {"name": "here", "mobile_routers": list(CORE), "links": links, "movement": moves, "duration": "60s"}
    return parse({**data, "transit": "shortest", **keys}, source)


def test_a_redirect_takes_links_where_they_are_shorter_and_else_the_core() -> None:
    found = scenario(["MR1", "MR3", "MR4"])
    assert redirect_s(found, "MR1", "MR3") == pytest.approx(0.008)
    assert redirect_s(found, "MR1", "MR4") == redirect_s(found, "MR4", "MR1") == pytest.approx(0.011)
    assert redirect_s(found, "MR1", "MR1") == 0.0
    assert inter_mr_s(found, "MR1", "MR4") is None
    assert tunnels(found) == (("MR1", "MR4"), ("MR3", "MR4"))


def test_a_way_may_be_a_link_and_then_a_tunnel() -> None:
    """MR2's own link to the core is longer than the way over its neighbour's."""
    found = scenario(["MR2", "MR4"])
    assert redirect_s(found, "MR2", "MR4") == pytest.approx(0.015)
    assert tunnels(found) == (("MR1", "MR4"),)


def test_a_tunnel_that_is_no_shorter_than_links_is_not_made() -> None:
    assert tunnels(scenario(["MR1", "MR3"], {("MR1", "MR3"): "10ms"})) == ()
    assert tunnels(scenario(["MR1", "MR3"], {("MR1", "MR3"): "10001us"})) == (("MR1", "MR3"),)


@pytest.mark.parametrize("keys", [{"transit": "links"}, {"redirect": False}])
def test_no_redirect_through_the_core_no_tunnel(keys: dict[str, Any]) -> None:
    assert tunnels(scenario(["MR1", "MR4"], **keys)) == ()


def test_who_returns_needs_no_tunnel_of_his_own() -> None:
    assert tunnels(scenario(["MR1", "MR4", "MR1"])) == (("MR1", "MR4"),)


def test_a_pair_s_own_delay_is_that_of_its_tunnel(tmp_path: Path) -> None:
    """And where a third router is nearer to both than they are to each other, a redirect takes two tunnels."""
    (tmp_path / "rtt.csv").write_text("0,100,10\n100,0,12\n10,12,0\n")
    geometry = {"matrix": "rtt.csv", "place": {"MR1": 0, "MR3": 1, "MR4": 2}}
    found = scenario(["MR1", "MR3", "MR4"], {}, source=str(tmp_path / "here.yaml"), geometry=geometry)
    assert redirect_s(found, "MR1", "MR4") == pytest.approx(0.005)
    assert redirect_s(found, "MR1", "MR3") == pytest.approx(0.011)
    assert tunnels(found) == (("MR1", "MR4"), ("MR3", "MR4"))
    assert [tunnel.delay_s for tunnel in network_plan(found).tunnels] == pytest.approx([0.005, 0.006])


@pytest.mark.parametrize("order", list(permutations(CORE)))
def test_what_is_built_is_as_short_as_the_closed_form_says(order: tuple[str, ...]) -> None:
    """The controller's own search, over the ports that it is told of, finds ways of the closed forms' length."""
    found = scenario(list(order))
    plan = redirect_plan(network_plan(found), found)
    ports = {
        switch.dpid: {name: number for number, name in enumerate([switch.router_port_name, *others], 1)}
        for switch in plan.switches
        for others in [[port.port_name for port in switch.inter_mr]]
    }
    dpids = {switch.mobile_router: switch.dpid for switch in plan.switches}
    for turn, anchor in enumerate(order):
        for serving in order[turn + 1 :]:
            path = shortest(plan, ports, dpids[anchor], dpids[serving], 99)
            assert path is not None
            assert path.delay_s == pytest.approx(redirect_s(found, anchor, serving), abs=1e-9)
