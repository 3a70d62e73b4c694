"""How much memory a run's guest needs, from the size of its network; and how many runs this machine holds at a time."""

from __future__ import annotations

from collections.abc import Sequence

from dmmlab.machine.errors import Refusal
from dmmlab.topologies.plan import NetworkPlan

# MB: the kernel, the controller and the servers; for each mobile router an Open vSwitch, though a small network has one
# for all; and what each node adds, a capture with its buffer among it. Mobile nodes that share a process added 7
# each, with 20 to 200 of them (benchmarks/many.txt); one with a process of its own copies 17 and more of what that was
# forked from, and added 28 in all. 118 correspondents used 2,891 in all, and had too little with 2,722. A guest that
# lacks memory fails: it is given more.
BASE_MB, MOBILE_NODE_MB, ALONE_MB, HOST_MB, MOBILE_ROUTER_MB = 300, 10, 28, 28, 14
LEAST_MB = 1024  # what a guest is given at least: a machine lends it only what it uses


def needed_mb(plan: NetworkPlan, openers: int = 0, clock: str = "virtual") -> int:
    """What a guest with this network will use, MB, with so many agents beside those of mobile nodes and hosts.

    In real time each mobile node has a process of its own.
    """
    node_mb = MOBILE_NODE_MB if clock == "virtual" and len(plan.mobile_nodes) > 1 else ALONE_MB
    nodes = len(plan.mobile_nodes) * node_mb + (len(plan.hosts) + openers) * HOST_MB
    return BASE_MB + nodes + len(plan.mobile_routers) * MOBILE_ROUTER_MB


def given_mb(plan: NetworkPlan, openers: int = 0, clock: str = "virtual") -> int:
    """What a guest with this network is given, MB; arguments as of `needed_mb`."""
    return max(LEAST_MB, needed_mb(plan, openers, clock))


def at_a_time(needs_mb: Sequence[int], jobs: int | None, processors: int, available_mb: int | None) -> int:
    """How many runs that need so much each are carried out side by side: ``jobs``, or what the machine has room for.

    Raises Refusal where it has not enough memory for one of them, or for the ``jobs`` that were asked for. Where
    nobody knows what is available (None), memory is not looked at.
    """
    largest = sorted(needs_mb, reverse=True)
    most = min(jobs or processors, len(largest))
    if available_mb is None:
        return most
    if largest[0] > available_mb:
        raise Refusal(f"a run needs {largest[0]:,} MB of memory, and this machine has {available_mb:,} MB available")
    held = max(number for number in range(1, most + 1) if number == 1 or sum(largest[:number]) <= available_mb)
    if jobs and held < most:
        raise Refusal(
            f"--jobs: {most} runs at the same time need {sum(largest[:most]):,} MB of memory, and this machine has "
            f"{available_mb:,} MB available"
        )
    return held
