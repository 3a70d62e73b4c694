"""The table of faults (docs/faults.md): what breaks, what goes on meanwhile, and when all is as it was. One row a test.

Each row is run in a scenario of every method over UDP and TCP, a session of each every second, in which the node moves
in the midst of the fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

METHODS = ("fixed", "ddns", "p2p", "central", "combined")
AT_S, FOR_S, MOVES_S, ENDS_S = 5, 4, 6, 34
FAMILIES = ("ipv4", "ipv6")


@dataclass(frozen=True)
class Row:
    """A fault; the methods whose sessions are set up meanwhile; and how long after its end sessions are set up as ever,
    by method where that is another time than ``recovers_s``.
    """

    name: str
    fault: dict[str, Any]
    goes_on: tuple[str, ...]
    recovers_s: float
    later: dict[str, float] = field(default_factory=dict)
    moves: bool = True  # the node moves in its midst

    def recovered_s(self, method: str) -> float:
        """When sessions by ``method`` are set up as ever, seconds since the scenario's start."""
        return AT_S + FOR_S + self.later.get(method, self.recovers_s)


ASKING = METHODS[1:]
BY_SERVER, BY_DNS = ("p2p", "central", "combined"), ("fixed", "ddns")
ROWS = (
    Row("server killed", {"crash": "SERVER"}, BY_DNS, 3),
    Row("server paused", {"pause": "SERVER"}, BY_DNS, 3),
    Row("server cut off", {"partition": ["SERVER", "CORE"]}, BY_DNS, 3),
    Row("server not heard", {"partition": ["SERVER", "CORE"], "way": "out"}, BY_DNS, 3),
    Row("server's disk full", {"disk-full": "SERVER"}, BY_DNS, 3),
    Row("DDNS server killed", {"crash": "DDNS"}, ("fixed", *BY_SERVER), 3, {"ddns": 12}),
    Row("resolver killed", {"crash": "RESOLVER"}, ("fixed", *BY_SERVER), 3, {"ddns": 10}),
    Row("resolver: SERVFAIL", {"dns": "servfail"}, ("fixed", *BY_SERVER), 3, {"ddns": 10}),
    Row("resolver: truncated", {"dns": "truncated"}, METHODS, 3, {"ddns": 10}),
    Row("resolver: silent", {"dns": "silent"}, ("fixed", *BY_SERVER), 3, {"ddns": 10}),
    Row("resolver late", {"pause": "RESOLVER"}, ("fixed", *BY_SERVER), 3, {"ddns": 10}),
    Row("DDNS server late", {"pause": "DDNS"}, ("fixed", *BY_SERVER), 3, {"ddns": 12}),
    Row("controller killed", {"crash": "CONTROLLER"}, ASKING, 3),
    Row("controller paused", {"pause": "CONTROLLER"}, ASKING, 3),
    Row("control channel cut", {"partition": ["CONTROLLER", "switches"]}, ASKING, 3),
    Row("switches killed", {"crash": "switches"}, (), 3),
    Row("switches paused", {"pause": "switches"}, (), 3),
    Row("DHCP or RA killed", {"crash": "MR2"}, (), 10),
    Row("node's agent killed", {"crash": "MN1"}, (), 3),
    Row("node's agent paused", {"pause": "MN1"}, (), 3),
    Row("correspondent killed", {"crash": "CN3"}, (), 3),
    Row("radio cut", {"partition": ["radio", "MN1"]}, (), 10),
    Row("radio deaf", {"partition": ["radio", "MN1"], "way": "out"}, (), 10),
    Row("inter-MR link cut", {"partition": ["MR1", "MR2"]}, ASKING, 3),
    Row("bursts of loss", {"impair": {"between": ["CN3", "CORE"], "loss": "30%", "burst": 3}}, (), 3),
    Row("corruption", {"impair": {"between": ["CN3", "CORE"], "corrupt": "20%"}}, (), 3),
    Row("duplicates", {"impair": {"between": ["CN3", "CORE"], "duplicate": "50%"}}, METHODS, 3),
    Row("reordering", {"impair": {"between": ["CN3", "CORE"], "reorder": "30%"}}, METHODS, 3),
    Row("clock put forward, and back", {"clock-step": "2s"}, METHODS, 3, {"ddns": 7}),
    Row("a delay step", {"impair": {"between": ["CN3", "CORE"], "delay": "30ms"}}, METHODS, 3),
)
FEW = ("server killed", "controller killed", "control channel cut", "node's agent killed")  # of `make test`


def scenario(row: Row, family: str) -> dict[str, Any]:
    """As a file has it."""
    return {
        "extends": "two-mr",
        "name": "fault",
        "family": family,
        "movement": [
            {"at": "0s", "node": "MN1", "to": "MR1"},
            {"at": f"{MOVES_S}s", "node": "MN1", "to": "MR2", "gap": "50ms"},
        ],
        "sessions": [
            {"name": "S", "at": "2s", "from": "CN3", "to": "MN1", "method": [*METHODS], "transport": ["udp", "tcp"]}
            | {"repeat": ENDS_S - 6, "every": "1s"}
        ],
        "ddns": {"ttl": "2s"},
        "faults": [{"at": f"{AT_S}s", "for": f"{FOR_S}s", **row.fault}],
        "duration": f"{ENDS_S}s",
    }


def table() -> str:
    """The table as docs/faults.md has it."""
    lines = ["| fault | goes on meanwhile | as ever after |", "|---|---|---|"]
    for row in ROWS:
        goes_on = (
            "all" if row.goes_on == METHODS else ", ".join(f"`{name}`" for name in row.goes_on) or "what needs none"
        )
        later = "".join(f", `{name}` {after_s:g} s" for name, after_s in row.later.items())
        lines.append(f"| {row.name} (`{_spelled(row.fault)}`) | {goes_on} | {row.recovers_s:g} s{later} |")
    return "\n".join(lines)


def _spelled(fault: dict[str, Any]) -> str:
    return yaml.safe_dump(fault, default_flow_style=True, width=1000, sort_keys=False).strip()[1:-1]
