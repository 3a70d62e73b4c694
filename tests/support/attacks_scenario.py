"""The scenarios of `attacks_inside`, and what is in the packets that must not arrive."""

from __future__ import annotations

from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario

STOLEN, STRANGER = b"stolen", {"ipv4": "192.0.2.9", "ipv6": "2001:db8:bad::9"}


def scenario(family: str, kind: str = "guarded") -> Scenario:
    """The switches check sources, but in the ``open`` one; in that of two ``radios`` MN1 has another from 6 s on."""
    base = load("two-mr").model_dump(mode="json", by_alias=True)
    radios = [{"between": ["radio", node], "delay": "2ms"} for node in ("MN2", "MN3")]
    movement = [
        {"at": "0s", "node": "MN1", "to": "MR1"},
        {"at": "6s", "node": "MN1", "to": "MR2", **({"overlap": "200ms"} if kind == "radios" else {})},
        {"at": "20s", "node": "MN1", "to": "MR1"},
        {"at": "0s", "node": "MN2", "to": "MR1"},
        {"at": "0s", "node": "MN3", "to": "MR2"},
    ]
    every = {"method": ["fixed", "ddns", "p2p", "central", "combined"], "transport": ["udp", "tcp"]}
    sessions = [
        {"name": "P", "at": "2s", "from": "CN1", "to": "MN1", "interval": "50ms", "duration": "24s"},
        {"name": "A", "at": "18s", "from": "CN3", "to": "MN1", **every},
        {"name": "B", "at": "23s", "from": "CN3", "to": "MN1", **every},
        {"name": "C", "at": "23.5s", "from": "CN3", "to": "MN2", "method": ["p2p", "ddns"]},
    ]
    keys = {"family": family, "links": [*base["links"], *radios], "movement": movement, "sessions": sessions}
    return load("two-mr", {"name": "attacks", "duration": "30s", "addresses": {"guard": kind != "open"}, **keys})
