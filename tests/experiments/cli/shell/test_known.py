"""What `bindings` and `flows` of the prompt say, from events and from what switches hold."""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.controllers.rules import Kind, address_tag, cookie, mac_tag
from dmmlab.experiments.cli.shell import known, switches
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.experiments.scenario.playground import Playground
from dmmlab.nodes.ddns.lookup import Found

S = 10**9


@pytest.fixture(params=["two-mr", "two-mr-ipv6"])
def scenario(request: pytest.FixtureRequest) -> Playground:
    return Playground.of(load(request.param))


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"time_ns": 0, "event": name, **fields}


def addresses(scenario: Playground) -> list[str]:
    return [str(address) for address in network_plan(scenario).mobile_nodes[0].addresses.values()]


def moved(ip1: str, ip2: str) -> list[dict[str, Any]]:
    """What the controller notes of a node that attached to MR1 and moved to MR2."""
    return [
        event("mn_attached", mn="MN1", serving="MR1"),
        event("binding_learned", mn="MN1", address=ip1, anchor="MR1"),
        event("mn_detached", mn="MN1"),
        event("mn_attached", mn="MN1", serving="MR2"),
        event("redirect_confirmed", mn="MN1", address=ip1, anchor="MR1", serving="MR2", path=["MR1", "MR2"]),
        event("binding_learned", mn="MN1", address=ip2, anchor="MR2"),
    ]


def rows(
    scenario: Playground, controller: list[dict[str, Any]], server: list[dict[str, Any]], dns: Found | None
) -> Any:
    who = node_id(scenario, "MN1")
    table = known.table(
        scenario,
        network_plan(scenario),
        known.Anchors.of(controller),
        known.registrations(server),
        {who: dns} if dns else {},
        now_ns=10 * S,
    )
    return {(row[0], row[1]): row[2:] for row in table}


def test_each_address_of_a_node_has_its_anchor_its_way_and_who_tells_of_it(scenario: Playground) -> None:
    ip1, ip2 = addresses(scenario)
    told = [event("registered", node=node_id(scenario, "MN1"), addresses=[ip2, ip1], port=5001, lifetime_s=300.0)]
    found = rows(scenario, moved(ip1, ip2), told, Found("ok", (ip2,), 5001, 5))
    assert found["MN1", ip1] == ("MR1", "MR2", "redirect MR1 → MR2", "older, port 5001, 290 s left", "-")
    assert found["MN1", ip2] == ("MR2", "MR2", "direct", "newest, port 5001, 290 s left", "port 5001, TTL 5 s")


def test_a_node_that_is_nowhere_and_one_that_nobody_knows(scenario: Playground) -> None:
    ip1, _ = addresses(scenario)
    assert rows(scenario, [], [], None)["MN1", "-"] == ("-", "nowhere", "-", "-", "-")
    gone = [*moved(*addresses(scenario))[:2], event("mn_detached", mn="MN1")]
    assert rows(scenario, gone, [], None)["MN1", ip1][:3] == ("MR1", "nowhere", "to its anchor only")


def test_a_correspondent_has_its_registration_until_that_ends(scenario: Playground) -> None:
    cn = str(network_plan(scenario).host("CN3").address.ip)
    told = [event("registered", node=node_id(scenario, "CN3"), addresses=[cn], port=5001, lifetime_s=30.0)]
    assert rows(scenario, [], told, None)["CN3", cn][-2] == "newest, port 5001, 20 s left"
    told.append(event("expired", node=node_id(scenario, "CN3"), addresses=[cn]))
    assert rows(scenario, [], told, None)["CN3", cn][-2] == "-"


def entry(kind: Kind, tag: int, match: str, actions: str, packets: int = 7, more: str = "") -> str:
    mark = f"cookie={cookie(kind, tag):#x}, duration=10.5s, table=1, n_packets={packets}, n_bytes=0"
    return f" {mark}{more}, priority=110,{match} actions={actions}\n"


def test_switches_say_whose_anchor_they_are_whom_they_serve_and_what_they_redirect(scenario: Playground) -> None:
    plan, (ip1, _) = network_plan(scenario), addresses(scenario)
    mac = plan.mobile_nodes[0].mac
    to, of = ("nw_dst", "nw_src") if plan.family == "ipv4" else ("ipv6_dst", "ipv6_src")
    dumps = {
        "s1": "OFPST_FLOW reply (OF1.3) (xid=0x2):\n"
        + entry(Kind.BASE, 0, 'in_port="s1-eth1"', "goto_table:1")
        + entry(Kind.REDIRECT, address_tag(ip1), f'ip,in_port="s1-eth1",{to}={ip1}', 'output:"s1-s2"')
        + entry(Kind.BINDING, mac_tag(mac), f"ip,dl_src={mac},{of}={ip1}", "drop", 0, ", hard_timeout=3600"),
        "s2": entry(Kind.SIGHTING, mac_tag(mac), f'in_port="MN1-radio",dl_src={mac}', "goto_table:1")
        + entry(
            Kind.REDIRECT, address_tag(ip1), f'ip,in_port="MN1-radio",{of}={ip1}', 'set_field:x->eth_dst,output:"s2-s1"'
        ),
    }
    said = [row[:5] for row in switches.table(plan, dumps)]
    assert said == [
        ("s1 (MR1)", "all", "-", "-", "local traffic by learning; copies to the controller what is new"),
        ("s1 (MR1)", "anchor", "MN1", ip1, "the address is from here, lease 3590 s left"),
        ("s1 (MR1)", "anchor", "MN1", ip1, "redirects packets to it to MR2"),
        ("s2 (MR2)", "serving", "MN1", "-", "sees it at port MN1-radio"),
        ("s2 (MR2)", "serving", "MN1", ip1, "sends packets from it back to its anchor MR1, by MR1"),
    ]


def test_a_rule_that_is_not_the_controllers_is_named_as_such(scenario: Playground) -> None:
    line = " cookie=0x0, duration=1s, table=0, n_packets=3, n_bytes=0, priority=0 actions=NORMAL\n"
    found = switches.table(network_plan(scenario), {"s1": line})
    assert found == [("s1 (MR1)", "others", "-", "-", "not the controller's", "1", "3")]
