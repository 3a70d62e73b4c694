"""A network in the guest: how it is made, that Mininet's users find what they know, and that nothing is left of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dmmlab.guest import launch
from dmmlab.machine import isolation
from dmmlab.topologies.plan import INTER_MR_VLAN

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("live_kernel")]

INSIDE = Path(__file__).parents[1] / "support" / "network_inside.py"


def found(way: str, lines: str = "") -> dict[str, Any]:
    output, errors = bytearray(), bytearray()
    argv = isolation.argv([sys.executable, str(INSIDE), way])
    status = launch.execute(argv, stdin=lines.encode(), stdout=output.extend, stderr=errors.extend, time_limit_s=240)
    assert status == 0, errors.decode()
    return dict(json.loads(output))


@pytest.mark.parametrize(
    "family,old,new",
    [
        ("ipv4", "10.1.1.100/32", "10.1.2.100/24"),
        ("ipv6", "2001:db8:1:1::100/64", "2001:db8:1:2::100/64"),
    ],
)
def test_an_old_address_is_deprecated_and_a_new_session_gets_the_new_one(family: str, old: str, new: str) -> None:
    """The kernel says so, and by RFC 6724 rule 3 has the new one: also to whom the old one is most like."""
    output, errors = bytearray(), bytearray()
    argv = isolation.argv([sys.executable, str(INSIDE.with_name("addresses_inside.py")), family])
    status = launch.execute(argv, stdout=output.extend, stderr=errors.extend, time_limit_s=240)
    assert status == 0, errors.decode()
    shown = json.loads(output)
    assert shown == {"held": {old: "deprecated", new: "preferred"}, "new": new.partition("/")[0]}


@pytest.fixture(scope="module")
def made(live_kernel: object) -> dict[str, Any]:
    return found("made")


def test_no_program_is_started_to_make_a_network_or_to_move_a_node(made: dict[str, Any]) -> None:
    assert made["started"] == []


def test_a_node_has_a_carrier_while_it_is_attached(made: dict[str, Any]) -> None:
    assert (made["detached"], made["attached"]) == ("DOWN", "UP")


def test_the_radio_port_is_where_the_node_went(made: dict[str, Any]) -> None:
    assert made["switch"] == "s2"


def test_the_switches_are_as_planned(made: dict[str, Any]) -> None:
    assert (made["tag"], made["mode"]) == (str(INTER_MR_VLAN), "secure")
    assert made["dpid"] == '"0000000000000002"'


def test_a_program_on_a_host_sees_the_configured_path(made: dict[str, Any]) -> None:
    assert "1 received" in made["ping"] and "= 40.000/" in made["ping"]


def test_only_a_router_forwards(made: dict[str, Any]) -> None:
    assert (made["MR1 forwards"], made["we forward"]) == ("1", "0")


def test_nothing_is_left_of_a_network(made: dict[str, Any]) -> None:
    assert (made["files left"], made["links left"]) == (0, [])


def test_a_network_that_cannot_be_made_says_why_and_is_torn_down() -> None:
    half = found("half-made")
    assert half == {"error": "[Errno 17] veth MR2-eth1: File exists", "files left": 0}


def test_mininets_prompt_works_and_starts_the_shells_that_it_needs() -> None:
    lines = [
        "nodes",
        "net",
        "links",
        "CN1 ping -q -c 1 CN2",
        "CN1 ls /sys/class/net",
        "py CN2.popen('ip -o -4 addr show CN2-eth0').communicate()[0].decode()",
        "s1 ovs-vsctl port-to-br s2-eth1",
        "pingpair",
    ]
    said = found("prompt", "\n".join(lines))
    assert {"CN1", "MN1", "s1", "c0", "access", "air"} <= set(said["nodes"].split())
    assert "CN1 CN1-eth0:CORE-CN1" in said["net"]
    assert "MR1-eth1<->s1-eth1 (OK OK)" in said["links"]
    assert "1 received" in said["CN1 ping -q -c 1 CN2"]
    assert "CN1-eth0" in said["CN1 ls /sys/class/net"].split()
    assert "10.2.2.2/24" in said[lines[5]]
    assert said["s1 ovs-vsctl port-to-br s2-eth1"].strip() == "s2"
    assert "0% dropped (2/2 received)" in said["pingpair"]
    assert int(said["shells"]) > 1
    assert said["shells left"] == "0"


def test_looking_at_nodes_and_links_by_name_starts_no_shell() -> None:
    assert found("prompt", "nodes\nnet\nintfs")["shells"] == "0"
