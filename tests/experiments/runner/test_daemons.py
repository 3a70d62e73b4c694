"""Which daemons a scenario needs, and what each is started with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.daemons import Daemons
from dmmlab.experiments.runner.means import refuse
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.network import network_plan
from dmmlab.machine import checks
from dmmlab.machine.errors import Refusal
from dmmlab.nodes.daemons.agents import Correspondent, MobileNode
from dmmlab.nodes.orders import CorrespondentFile


def daemons(folder: Path, **keys: object) -> Daemons:
    scenario = load("two-mr", keys)
    return Daemons(scenario, network_plan(scenario), RunDirectory(folder / "run"), folder)


def test_each_part_of_the_run_has_its_name_its_host_and_its_log(tmp_path: Path) -> None:
    made = daemons(tmp_path)
    assert [(each.name, each.host) for each in made.address_servers()] == [
        ("dnsmasq-MR1", "MR1"),
        ("dnsmasq-MR2", "MR2"),
    ]
    assert [each.host for each in made.captures()] == [
        *("CN1", "CN2", "CN3", "RESOLVER", "DDNS", "SERVER", "MN1", "CONTROLLER")
    ]
    assert [(each.name, each.host) for each in made.mobile_nodes()] == [("MN1", "MN1")]
    assert [each.log.name for each in made.name_servers()] == ["DDNS.log", "RESOLVER.log"]


def test_only_the_control_channel_is_captured_whole(tmp_path: Path) -> None:
    whole = [each.host for each in daemons(tmp_path).captures() if "--snapshot-length=262144" in each.argv]
    assert whole == ["CONTROLLER"]


def buffers(made: Daemons) -> dict[str, str]:
    found = {each.host: next(word for word in each.argv if "--buffer-size" in word) for each in made.captures()}
    return {host: word.partition("=")[2] for host, word in found.items()}


def test_a_mobile_node_has_a_small_capture_buffer_unless_much_may_come_at_once(tmp_path: Path) -> None:
    probes = {"at": "1s", "from": "CN1", "to": "MN1", "duration": "5s"}
    few = [{"name": "A", **probes, "interval": "20ms"}]
    assert buffers(daemons(tmp_path, sessions=few)) | {"MN1": "1024", "CN1": "4096", "CONTROLLER": "16384"} == buffers(
        daemons(tmp_path, sessions=few)
    )
    many = [{"name": "A", **probes, "interval": "500us"}]
    assert buffers(daemons(tmp_path, sessions=many))["MN1"] == "4096"
    bulk = [{"name": "A", "at": "1s", "from": "CN1", "to": "MN1", "transport": "tcp", "size": "1MB"}]
    assert buffers(daemons(tmp_path, sessions=bulk))["MN1"] == "4096"
    at_one_instant = [{"name": "A", "at": "1s", "from": "CN1", "to": "MN1", "repeat": 100, "every": "1ns"}]
    assert buffers(daemons(tmp_path, sessions=at_one_instant))["MN1"] == "4096"


def test_a_correspondent_without_sessions_is_not_started(tmp_path: Path) -> None:
    made = daemons(tmp_path, sessions=[{"name": "A", "at": "1s", "from": "CN2", "to": "MN1"}]).correspondents(10**18)
    assert [each.name for each in made] == ["CN2"]
    assert made[0].may_end
    assert isinstance(made[0], Correspondent)
    made[0].write()
    file = Path(made[0].argv[made[0].argv.index("--config") + 1])
    assert CorrespondentFile.read(file).orders[0].start_ns == 10**18 + 10**9


def test_the_ablation_is_the_controllers_option_and_its_plan_knows_no_mobile_node(tmp_path: Path) -> None:
    assert "--no-redirect" not in daemons(tmp_path).controller().argv
    controller = daemons(tmp_path, redirect=False).controller()
    assert controller.argv[-1] == "--no-redirect"
    controller.write()
    plan = Path(controller.argv[controller.argv.index("--plan") + 1]).read_text()
    assert "MN1" not in plan and json.loads(plan)


def test_a_mobile_node_with_nobody_to_tell_has_no_configuration(tmp_path: Path) -> None:
    fixed = [{"name": "A", "at": "1s", "from": "CN1", "to": "MN1"}]
    agent = daemons(tmp_path, sessions=fixed, addresses={"keep": "5s"}).mobile_nodes()[0]
    assert "--config" not in agent.argv
    assert agent.argv[agent.argv.index("--keep") + 1] == "5.0"
    assert "--keep" not in daemons(tmp_path).mobile_nodes()[0].argv


def test_a_lease_is_never_shorter_than_dnsmasq_grants(tmp_path: Path) -> None:
    server = daemons(tmp_path, addresses={"lease": "10s"}).address_servers()[1]
    assert "--dhcp-range=10.1.2.0,static,255.255.255.0,120" in server.argv
    assert any(word.startswith("--dhcp-host=") and word.endswith(",10.1.2.100") for word in server.argv)


def test_in_ipv6_routers_advertise_and_everybody_is_told_the_family(tmp_path: Path) -> None:
    made = daemons(tmp_path, family="ipv6")
    first, _ = made.address_servers()
    assert {"--enable-ra", "--dhcp-range=2001:db8:1:1::,ra-only,off-link,64,3600"} <= set(first.argv)
    assert not [word for word in first.argv if word.startswith("--dhcp-host")]
    (node,) = made.mobile_nodes()
    assert isinstance(node, MobileNode)
    assert all(argv[argv.index("--family") + 1] == "ipv6" for argv in (node.argv, node.service.argv))
    controller = made.controller()
    controller.write()
    plan = json.loads(Path(controller.argv[controller.argv.index("--plan") + 1]).read_text())
    assert plan["family"] == "ipv6"
    told = {(each["router_ip6"], each["prefix6"]) for each in plan["switches"]}
    assert ("fe80::ff:fe00:101", "2001:db8:1:1::/64") in told
    server = made.registration_server()
    assert server.argv[server.argv.index("--listen") + 1] == "[2001:db8:2:6::2]:48620"


def test_an_address_family_that_this_machine_lacks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = load("two-mr-ipv6", {"addresses": {"dad": "optimistic"}})
    (tmp_path / "accept_untracked_na").touch()
    found = checks.ipv6("native", True, tmp_path)
    assert [check.name for check in found if not check.ok] == ["net.ipv6.conf.*.optimistic_dad"]
    monkeypatch.setattr(checks, "ipv6", lambda *_: found)
    with pytest.raises(Refusal, match=r"^two-mr-ipv6: family: ipv6 needs net\.ipv6.*: --runtime guest$"):
        refuse([load("two-mr"), scenario], "native")
    refuse([load("two-mr")], "native")


def test_a_step_of_the_whole_machines_clock_is_refused_natively() -> None:
    scenario = load("two-mr", {"faults": [{"at": "5s", "for": "4s", "clock-step": "2s"}]})
    with pytest.raises(
        Refusal, match=r"two-mr: faults: clock-step would set this machine's own clock.*--runtime guest"
    ):
        refuse([scenario], "native")
    refuse([scenario], "guest")


def test_a_service_that_breaks_ends_its_mobile_node_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def breaks(_argv: list[str]) -> None:
        raise OSError("the port is taken")

    monkeypatch.setattr("dmmlab.nodes.service.main", breaks)
    (node,) = daemons(tmp_path).mobile_nodes()
    assert isinstance(node, MobileNode)
    if (child := os.fork()) == 0:
        node._serve()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert "the port is taken" in capfd.readouterr().err
