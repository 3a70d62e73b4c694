"""What is left out of an interpreter, asked of a fresh one: here all is imported already."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dmmlab.machine import lean

AGENTS = "from dmmlab.nodes import correspondent; from dmmlab.nodes.mobility import agent"


def said(program: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("leave_out", [True, False])
def test_probes_and_messages_are_the_same_without_what_is_left_out(leave_out: bool) -> None:
    first = "from dmmlab.machine import lean; lean.leave_out()" if leave_out else ""
    made = said(
        f"{first}\n{AGENTS}\nfrom dmmlab.nodes.probe import Probe\n"
        "from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg\nmessage = ifaddrmsg()\n"
        "message.setvalue({'index': 3, 'attrs': [('IFA_ADDRESS', '10.0.0.1')]})\nmessage.encode()\n"
        "print(bytes(Probe(session=3)).hex(), bytes(message.data).hex())"
    )
    assert made.split() == [
        "646d6d7000000003" + 16 * "00",
        *said(
            "from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg\nmessage = ifaddrmsg()\n"
            "message.setvalue({'index': 3, 'attrs': [('IFA_ADDRESS', '10.0.0.1')]})\nmessage.encode()\n"
            "print(bytes(message.data).hex())"
        ).split(),
    ]


def test_what_is_left_out_is_not_imported() -> None:
    found = set(
        said(f"from dmmlab.machine import lean; lean.leave_out()\n{AGENTS}\nimport sys\nprint(*sys.modules)").split()
    )
    assert "pyroute2.netlink.rtnl.ifinfmsg" in found
    assert not {"pyroute2.ndb", "pyroute2.ipdb", "cryptography.hazmat", "scapy.libs.ethertypes"} & found
    assert (
        said("from dmmlab.machine import lean; lean.leave_out()\nfrom scapy.data import MANUFDB\nprint(len(MANUFDB))")
        == "0\n"
    )


def test_what_has_been_imported_stays() -> None:
    lean.put("sys", version="0")
    lean.put_package("json")
    assert sys.version != "0"
    assert hasattr(sys.modules["json"], "dumps")
