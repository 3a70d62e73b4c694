"""What must hold whatever breaks: an invariant is silent of a run in which it holds, and of no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recorded_run import Recorded, scenario
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dmmlab.experiments.explorer.invariants import INVARIANTS
from dmmlab.experiments.records.recording import Recording

NAME = "mn1.mn.dmm.test"
SESSION = {"name": "S", "at": "2s", "from": "CN1", "to": "MN1", "method": ["ddns", "p2p"]}
FLOWS = {
    "s1": " cookie=0xda03020000000201, table=2\n",
    "s2": " cookie=0xda02020000000201, table=0\n cookie=0xda03020000000201, table=2\n",
}
CENSUS = {"processes": {"python": 9, "named": 1}, "namespaces": 12}


class Run(Recorded):
    """One in which all holds; what a test changes, before it is written, is what does not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, scenario(sessions=[SESSION]))
        first, newest = self.address["MN1@MR1"], self.address["MN1@MR2"]
        for at_s, address in ((0.1, first), (10.1, newest)):
            self.event("MN1", at_s, "address_configured", address=address, router="")
            self.event("MN1", at_s + 0.1, "registered", address=address, outcome="ok")
            self.event("MN1", at_s + 0.1, "zone_updated", address=address, outcome="ok")
        self.bindings = {NAME: [newest, first], "cn1.mn.dmm.test": [self.address["CN1"]]}
        self.zone = [newest]
        self.flows, self.census = dict(FLOWS), {"before": CENSUS, "after": CENSUS}
        self.packet(2.0, 0.017, "CN1", "MN1@MR1", UDP(sport=20000, dport=5001))

    def breaks(self, name: str) -> list[str]:
        """What the invariant says of it."""
        run = self.write()
        run.bindings.write_text(json.dumps(self.bindings))
        records = [f"{NAME}.\t5 IN A\t{address}\n" for address in self.zone]
        run.zone.write_text("".join(["ns.mn.dmm.test.\t\t5 IN A\t10.2.5.2\n", *records]))
        run.census.write_text(json.dumps(self.census))
        for switch, rules in self.flows.items():
            (run.log / f"{switch}.flows").write_text(rules)
        return list(INVARIANTS[name](Recording(run)))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def _forget_binding(run: Run) -> None:
    run.bindings[NAME] = [run.address["MN1@MR1"]]


def _forget_update(run: Run) -> None:
    run.zone = [run.address["MN1@MR1"]]


def _invent_binding(run: Run) -> None:
    run.bindings[NAME] = ["10.9.9.9", *run.bindings[NAME]]


def _forget_in_between(run: Run) -> None:
    run.event("server", 5.0, "resumed", bindings={"cn1.mn.dmm.test": [run.address["CN1"]]})


def _invent_in_between(run: Run) -> None:
    run.event("server", 5.0, "registered", node=NAME, addresses=["10.9.9.9"])


def _share_address(run: Run) -> None:
    run.bindings["cn1.mn.dmm.test"] = [run.address["MN1@MR1"]]


def _be_called_by_a_stranger(run: Run) -> None:
    run.packet(3.0, 0.017, "CN3", "MN1@MR1", UDP(sport=20001, dport=5001))


def _go_astray(run: Run) -> None:
    there = IP(src=run.address["CN1"], dst=run.address["CN3"]) / UDP(sport=1, dport=5001)
    run.frame("MN1", 4.0, Ether(src="02:00:00:00:01:01", dst=run.mac["MN1"]) / there)


def _stay(run: Run) -> None:
    more: dict[str, Any] = {**CENSUS, "processes": {**CENSUS["processes"], "udhcpc": 1}}  # type: ignore[dict-item]
    run.census = {"before": CENSUS, "after": more}


def _stay_known(run: Run) -> None:
    run.flows["s1"] += " cookie=0xda02020000000201, table=0\n"


@pytest.mark.parametrize(
    ("name", "breaking", "sentence"),
    [
        ("acknowledged registrations are kept", _forget_binding, "MN1 was told that 10.1.2.100 is registered"),
        (
            "acknowledged registrations are kept",
            _forget_in_between,
            "MN1 was told that 10.1.1.100 is registered; the database has [], at 5.0 s",
        ),
        ("nothing is registered that nobody registered", _invent_in_between, "10.9.9.9 for MN1, which never had that"),
        ("acknowledged DNS updates are kept", _forget_update, "MN1 was told that 10.1.2.100 is in the zone"),
        ("nothing is registered that nobody registered", _invent_binding, "10.9.9.9 for MN1, which never had that"),
        ("one binding a node", _share_address, "10.1.1.100 is registered for"),
        ("no session between parties that did not ask", _be_called_by_a_stranger, "10.2.2.2 sends to the services"),
        ("no packet at a node that does not hold its address", _go_astray, "MN1 has a packet for 10.2.2.2 of CN3"),
        ("no process or namespace is left", _stay, "1 processes udhcpc; 0 when the scenario began"),
        (
            "switches hold the rules of where nodes are, and no others",
            _stay_known,
            "the switch of MR1 knows 1 nodes; 0 are there",
        ),
    ],
)
def test_an_invariant_holds_until_it_is_broken(
    run: Run, tmp_path: Path, name: str, breaking: Any, sentence: str
) -> None:
    assert run.breaks(name) == []
    broken = Run(tmp_path / "broken")
    breaking(broken)
    (found,) = broken.breaks(name)
    assert sentence in found
