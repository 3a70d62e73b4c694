"""Two mobile nodes and a correspondent attack in the guest, with packets: what they steal, hear, break and fill."""

from __future__ import annotations

import base64
import itertools
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from attacks_scenario import STOLEN, STRANGER, scenario

from dmmlab.controllers.limits import MOST_ADDRESSES, MOST_MACS
from dmmlab.experiments.analysis import tables
from dmmlab.experiments.records import pcap
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.report import page
from dmmlab.experiments.runner.orders import secret
from dmmlab.guest import launch
from dmmlab.machine import isolation

pytestmark = pytest.mark.live

INSIDE = Path(__file__).parents[1] / "support" / "attacks_inside.py"
DNS, DHCP, REGISTRATION = 53, 67, 48620
FORGED_FROM = (4444, 4445, 4446)


@dataclass(frozen=True)
class Attacked:
    """A run in which that was tried, and what a look at it told."""

    recording: Recording
    found: dict[str, Any]

    @property
    def family(self) -> str:
        return self.recording.scenario.family

    def address(self, node: str, router: str) -> str:
        return str(self.recording.plan.mobile_node(node).addresses[router])


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def attacked(live_kernel: object, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Attacked:
    return attack(tmp_path_factory.mktemp("attacks"), request.param, "guarded")


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def unguarded(
    live_kernel: object, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Attacked:
    return attack(tmp_path_factory.mktemp("unguarded"), request.param, "open")


@pytest.fixture(scope="module")
def two_radios(live_kernel: object, tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    return attack(tmp_path_factory.mktemp("radios"), "ipv4", "radios")


def attack(folder: Path, *arguments: str) -> Attacked:
    """Has it done in a guest, into ``folder``."""
    output, errors = bytearray(), bytearray()
    argv = isolation.argv([sys.executable, str(INSIDE), str(folder), *arguments])
    status = launch.execute(
        argv,
        writable=[folder],
        stdout=output.extend,
        stderr=errors.extend,
        time_limit_s=400,
        env={"PYTHONPATH": str(INSIDE.parent)},
    )
    assert status == 0, errors.decode()
    run = RunDirectory(folder)
    recording = Recording(run)
    tables.reduce(recording)
    return Attacked(Recording(run), dict(json.loads(output.splitlines()[-1])))


def seen(attacked: Attacked) -> Counter[str]:
    """How many of the packets that are not to arrive are in whose capture."""
    files = attacked.recording.run.capture.glob("*.pcap")
    return +Counter({file.stem: file.read_bytes().count(STOLEN) for file in files})


def test_nothing_that_was_sent_from_a_stolen_address_arrives(attacked: Attacked) -> None:
    """At the correspondent, at MN1, or at anybody else: neither from another's address or MAC, nor through the VLAN of
    the switches; nor what a router or a DHCP server alone says. At the thieves' own interfaces it was captured.
    """
    found = seen(attacked)
    assert found.pop("MN2") >= 6 and found.pop("MN3") >= 6
    assert not found


def test_without_the_guard_too_nothing_comes_through_the_vlan_of_the_switches(unguarded: Attacked) -> None:
    """Not even what says that it is from a router; the controller has a copy, as of all that is from a stranger."""
    found = seen(unguarded)
    del found["CONTROLLER"]
    assert found == {"MN2": 2, "MN3": 2}


def in_a_gap(at_s: float) -> bool:
    """Whether MN1 is just moving: then its old link may hear what is for it, as that of any switch that no longer knows
    where a MAC is.
    """
    return 5.9 < at_s < 6.2 or 19.9 < at_s < 20.2


def check_kept(attacked: Attacked) -> None:
    """MN1 has its addresses, and all answers but for those of the two gaps."""
    probes = attacked.recording.probes["P"]
    lost = [probe.sent_s for probe in probes if probe.rtt_ms is None]
    assert len(probes) > 450
    assert all(map(in_a_gap, lost)), lost
    mine = {attacked.address("MN1", router) for router in ("MR1", "MR2")}
    told = [e for e in attacked.recording.events if e["event"] in ("binding_released", "mn_identified")]
    assert not [e for e in told if e["time_s"] > 7 and e.get("address") in mine | {None}]


def test_mn1_keeps_its_addresses_and_its_session_and_nobody_hears_it(attacked: Attacked) -> None:
    check_kept(attacked)
    mine = {attacked.address("MN1", router) for router in ("MR1", "MR2")}
    for thief in ("MN2", "MN3"):
        heard = [f for f in pcap.read(attacked.recording.run.pcap(thief)) if f.destination in mine]
        theirs = [f for f in heard if f.protocol in (6, 17) and f.payload[:6] != STOLEN and f.source_port != DHCP]
        at_s = [attacked.recording.since_start(frame.time_ns) for frame in theirs]
        assert all(map(in_a_gap, at_s)) and len(at_s) <= 2, (thief, at_s)


def test_without_the_guard_too_nobody_gives_mn1s_lease_back_and_a_flood_keeps_it_from_nothing(
    unguarded: Attacked,
) -> None:
    check_kept(unguarded)
    check_set_up(unguarded)


def test_nobody_is_leased_what_is_mn1s_under_its_client_id(two_radios: Attacked) -> None:
    """The servers do lease it, for they know a node with two radios by that alone; the switches let nothing pass."""
    for thief, router in (("MN2", "MR1"), ("MN3", "MR2")):
        log = (
            two_radios.recording.run.log
            / f"dnsmasq-{two_radios.recording.plan.mobile_router(router).access_interface}.log"
        )
        mac = two_radios.recording.plan.mobile_node(thief).mac
        assert f" {two_radios.address('MN1', router)} {mac}" in log.read_text().partition("DHCPACK")[2]
    found = seen(two_radios)
    assert found.keys() == {"MN2", "MN3"}
    check_kept(two_radios)
    check_set_up(two_radios)


def test_the_routers_know_whose_each_address_is(attacked: Attacked) -> None:
    """A second after it was claimed, and in the end."""
    for router, looks in attacked.found["neighbours"].items():
        for node, known in itertools.product(("MN1", "MN2", "MN3"), looks):
            address = attacked.address(node, router)
            if known.get(address) is not None:
                assert known[address] == attacked.recording.plan.mobile_node(node).mac, (router, address)
    assert [known.get(attacked.address("MN1", "MR1")) for known in attacked.found["neighbours"]["MR1"]].count(None) == 0


def check_set_up(attacked: Attacked) -> None:
    """Every method finds a node as its closed form says."""
    for found in attacked.recording.sessions:
        if found.spec.name == "P":
            continue
        expected = attacked.recording.expected(found)
        assert found.row.outcome == "ok" and expected is not None, found.row
        assert found.row.setup_ms == pytest.approx(expected.setup_s * 1e3, abs=1e-3), found.row


def test_every_method_finds_mn1_as_its_closed_form_says_after_all_that(attacked: Attacked) -> None:
    check_set_up(attacked)


def test_nobody_changes_mn1s_name_or_registration(attacked: Attacked) -> None:
    """By DDNS with another's key, with that key in MN1's name, and with none; by REGISTER with none and a wrong one."""
    refused, not_auth = 5, 9
    assert attacked.found["updates"] == [refused, not_auth, refused]
    said = [e for e in attacked.recording.events if e["source"] == "server" and 14.9 < e["time_s"] < 16]
    assert Counter(e.get("reason") for e in said if e["event"] == "refused") == {"bad_authenticator": 8}
    assert not [e for e in said if e["event"] == "registered"]


def test_whoever_is_not_authenticated_gets_less_than_he_sent_and_a_stranger_nothing_of_the_dns(
    attacked: Attacked,
) -> None:
    """Each asker, by address and port: a message that is as short as its refusal would be gets none."""
    stranger = STRANGER[attacked.family]
    for host, port in (("SERVER", REGISTRATION), ("DDNS", DNS), ("RESOLVER", DNS)):
        into, out = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
        for frame in pcap.read(attacked.recording.run.pcap(host)):
            if frame.destination_port == port and frame.source_port in FORGED_FROM:
                into[frame.source, frame.source_port] += frame.payload_bytes
            elif frame.source_port == port and frame.destination_port in FORGED_FROM:
                out[frame.destination, frame.destination_port] += frame.payload_bytes
        assert {who for who, _ in into} >= {stranger}
        for asker in into:
            assert out[asker] < into[asker], (host, asker)
        if host != "SERVER":
            assert not [who for who, _ in out if who == stranger]


def check_bounded(attacked: Attacked) -> None:
    """After 3,000 made-up senders, client ids and addresses, of MN2's own port, which is all that it can use."""
    grown_kb = attacked.found["controller_kb_after"] - attacked.found["controller_kb_before"]
    assert grown_kb < 3_000
    assert all(count < 70 + 4 * MOST_ADDRESSES + MOST_MACS for count in attacked.found["rules"].values())
    learned = [e for e in attacked.recording.events if e["event"] == "binding_learned" and 12.9 < e["time_s"] < 15]
    assert len(learned) <= MOST_ADDRESSES


def test_a_flood_fills_neither_the_controller_nor_the_switches(attacked: Attacked) -> None:
    check_bounded(attacked)


def test_without_the_guard_too_a_flood_fills_neither_the_controller_nor_the_switches(unguarded: Attacked) -> None:
    check_bounded(unguarded)


def test_no_key_is_in_what_a_run_leaves_or_on_a_command_line(attacked: Attacked) -> None:
    """Logs, captures and their names, manifest, tables and the report; in hexadecimal, base64 or as it is."""
    run, of = attacked.recording.run, scenario(attacked.family)
    page.write(run.root)
    keys = [secret(of, f"{kind}/{name}") for kind in ("account", "tsig") for name in of.ends]
    spelled = [
        form for key in keys for form in (key, key.hex().encode(), base64.b64encode(key), key.hex().upper().encode())
    ]
    for file in [path for path in run.root.rglob("*") if path.is_file()]:
        content = file.read_bytes() + file.name.encode()
        assert not [form for form in spelled if form in content], file
    commands = "\n".join(attacked.found["commands"]).encode()
    assert b"dmmlab" in commands
    assert not [form for form in spelled if form in commands]


def test_keys_are_for_their_owner_alone(attacked: Attacked) -> None:
    """In a folder that nobody else can enter, and each file besides."""
    modes = {Path(path): mode for path, mode in attacked.found["modes"].items()}
    holds = [
        path
        for path in modes
        if path.name.endswith((".config.json", ".key")) or path.name in ("named.conf", "registration-keys.json")
    ]
    assert {path.name for path in holds} >= {
        "registration-keys.json",
        "named.conf",
        "MN1.config.json",
        "CN3.config.json",
    }
    assert {modes[path] for path in holds} == {"600"}
    assert {mode for path, mode in modes.items() if path.name.startswith("dmmlab-")} == {"700"}
