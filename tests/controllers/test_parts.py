"""The controller's small parts: plan, paths, DHCP, rule tags."""

import json
from dataclasses import replace

import pytest
from controllers_fake import chain, dhcp_frame, frame_bytes, make_plan, mesh, mn_mac, router_mac

from dmmlab.controllers import dhcp
from dmmlab.controllers.paths import Hop, shortest
from dmmlab.controllers.plan import InterMrPort, Plan, PlanError
from dmmlab.controllers.rules import Kind, address_tag, cookie, is_own, mac_tag, match


def ports_of(plan: Plan) -> dict[int, dict[str, int]]:
    return {
        each.dpid: {name: i for i, name in enumerate([each.router_port_name, *(p.port_name for p in each.inter_mr)], 1)}
        for each in plan.switches
    }


def test_a_plan_survives_json() -> None:
    plan = make_plan([(1, 2), (2, 3)], 3, shared=[2])
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d.pop("switches"), "plan: missing switches"),
        (lambda d: d.update(colour="red"), "plan: unknown colour"),
        (lambda d: d.update(format=2), "format: expected 1"),
        (lambda d: d.update(family="ipx"), "family: expected one of ipv4, ipv6"),
        (lambda d: d["switches"][0].pop("router_mac"), r"switches\[0\]: missing router_mac"),
        (lambda d: d["switches"][0].update(router_mac="02:AA"), "s1.router_mac: expected lower-case"),
        (lambda d: d["switches"][0].update(prefix=None), "s1.prefix: needed for family ipv4"),
        (lambda d: d["switches"][0].update(prefix="10.1/99"), "s1: "),
        (lambda d: d["switches"][1].update(dpid=1), "dpid: each switch needs its own"),
        (lambda d: d["switches"][0]["inter_mr"][0].update(peer_dpid=9), "s1.inter_mr s1-to2: no such peer 9"),
        (lambda d: d["switches"][0]["inter_mr"][0].update(delay_s=-1), "delay_s is negative"),
    ],
)
def test_a_wrong_plan_names_the_key(change: object, complaint: str) -> None:
    data = json.loads(mesh(2).to_json())
    change(data)  # type: ignore[operator]
    with pytest.raises(PlanError, match=complaint):
        Plan.from_json(json.dumps(data))


def test_what_is_not_json_is_a_sentence() -> None:
    with pytest.raises(PlanError, match="not JSON"):
        Plan.from_json("{")


def test_the_path_goes_over_the_transit_switch() -> None:
    plan = chain(3)
    path = shortest(plan, ports_of(plan), 1, 3, 77)
    assert path is not None and path.hops == (Hop(1, 1, 2), Hop(2, 2, 3), Hop(3, 2, 77))
    assert path.delay_s == pytest.approx(0.008)


def test_the_faster_detour_wins_over_the_slow_direct_link() -> None:
    plan = mesh(3)
    slow = {(1, 2), (2, 1)}

    def slowed(dpid: int, port: InterMrPort) -> InterMrPort:
        return replace(port, delay_s=0.1) if (dpid, port.peer_dpid) in slow else port

    switches = tuple(replace(s, inter_mr=tuple(slowed(s.dpid, p) for p in s.inter_mr)) for s in plan.switches)
    path = shortest(replace(plan, switches=switches), ports_of(plan), 1, 2, 9)
    assert path is not None and [hop.dpid for hop in path.hops] == [1, 3, 2]


def test_a_link_needs_both_ends() -> None:
    plan = mesh(2)
    ports = ports_of(plan)
    del ports[2]["s2-to1"]
    assert shortest(plan, ports, 1, 2, 9) is None


def test_dhcp_is_overheard() -> None:
    frame = dhcp_frame(
        router_mac(1), mn_mac(1), "10.1.0.1", "10.1.0.11", 5, chaddr=mn_mac(1), yiaddr="10.1.0.11", lease_s=90
    )
    heard = dhcp.parse_frame(frame_bytes(frame))
    assert heard == dhcp.DhcpMessage(dhcp.ACK, mn_mac(1), "0.0.0.0", "10.1.0.11", 90, None)


def test_broken_dhcp_is_no_dhcp() -> None:
    whole = frame_bytes(dhcp_frame(mn_mac(1), router_mac(1), "10.1.0.11", "10.1.0.1", 7, ciaddr="10.1.0.11"))
    for length in range(len(whole)):
        heard = dhcp.parse_frame(whole[:length])
        assert heard is None or heard.type == dhcp.RELEASE
    options = len(whole) - 4
    assert dhcp.parse_frame(whole[:options] + b"\x00\x00" + whole[options:]) is not None, "padding is skipped"
    assert dhcp.parse_frame(whole[:options] + b"\x34\xff") is None


def test_cookies_say_whose_and_what() -> None:
    assert is_own(cookie(Kind.REDIRECT, mac_tag("ff:ff:ff:ff:ff:ff"))) and not is_own(0)
    assert address_tag("10.1.0.1") == 0x0A010001
    assert address_tag("fd00::1") != address_tag("fd00::2") < 1 << 48


def test_equal_matches_are_equal_however_they_were_written() -> None:
    assert match(in_port=1, eth_src="a") == match(eth_src="a", in_port=1)
