"""netem's message (linux/pkt_sched.h): what a wire does to packets, to the nanosecond and by a seed."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from pyroute2.netlink.rtnl.tcmsg import sched_netem

from dmmlab.topologies.plan import Wire

_QUEUE_PACKETS = 100_000  # netem's queue holds what is under way, far more than its default of 1000 at high rates
_ALL = 0xFFFFFFFF  # a share of 1
_GEMODEL, _GEMODEL_BYTES = 2, 20  # NETEM_LOSS_GE, an attribute within TCA_NETEM_LOSS, with its four probabilities

# netem's 64-bit nanoseconds, its seed and its model of loss, which the library's table does not have.
_NAMES = ("ECN", "RATE64", "PAD", "LATENCY64", "JITTER64", "SLOT", "SLOT_DIST", "PRNG_SEED")
_TYPES = {"LATENCY64": "int64", "JITTER64": "int64", "PRNG_SEED": "uint64"}
_KNOWN = tuple((name, "cdata" if name == "TCA_NETEM_LOSS" else kind) for name, kind in sched_netem.options.nla_map)
sched_netem.options.nla_map = _KNOWN + tuple((f"TCA_NETEM_{name}", _TYPES.get(name, "hex")) for name in _NAMES)


def options(wire: Wire, chance: str, corrupts: bool = False) -> dict[str, Any]:
    """The message for ``wire``; random draws follow from the text ``chance``. To a netem that already ``corrupts`` it
    says so, or that it is to stop: told nothing, it would go on.
    """
    attributes: list[tuple[str, Any]] = [
        ("TCA_NETEM_LATENCY64", round(wire.delay_s * 1e9)),
        ("TCA_NETEM_JITTER64", round(wire.jitter_s * 1e9)),
    ]
    if wire.rate_bps:
        rate = {"rate": round(wire.rate_bps / 8), "packet_overhead": 0, "cell_size": 0, "cell_overhead": 0}
        attributes.append(("TCA_NETEM_RATE", rate))
    if wire.jitter_s > 0 or wire.loss > 0 or wire.duplicate or wire.reorder or wire.corrupt:
        digest = hashlib.sha256(chance.encode()).digest()
        attributes.append(("TCA_NETEM_PRNG_SEED", int.from_bytes(digest[:8], "big")))
    return {
        "delay": 0,
        "limit": _QUEUE_PACKETS,
        "loss": round(wire.loss * _ALL) if wire.burst == 1 else 0,
        "gap": 1 if wire.reorder else 0,
        "duplicate": round(wire.duplicate * _ALL),
        "jitter": 0,
        "attrs": attributes + _disorder(wire, corrupts),
    }


def _disorder(wire: Wire, corrupts: bool) -> list[tuple[str, Any]]:
    """What few wires do."""
    found: list[tuple[str, Any]] = []
    if wire.reorder:
        found.append(("TCA_NETEM_REORDER", {"prob_reorder": round(wire.reorder * _ALL), "corr_reorder": 0}))
    if wire.burst > 1 and wire.loss:
        ends = 1 / wire.burst  # Gilbert: a burst ends with this probability at each packet, and one begins with that
        begins = ends * wire.loss / (1 - wire.loss)
        model = struct.pack("=HH4I", _GEMODEL_BYTES, _GEMODEL, round(begins * _ALL), round(ends * _ALL), 0, 0)
        found.append(("TCA_NETEM_LOSS", model))
    if wire.corrupt or corrupts:
        found.append(("TCA_NETEM_CORRUPT", {"prob_corrupt": round(wire.corrupt * _ALL), "corr_corrupt": 0}))
    return found
