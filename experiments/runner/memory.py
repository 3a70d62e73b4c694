"""How much memory a run's guest needs, from the size of its network; and how many runs this machine holds at a time."""

from __future__ import annotations

from collections.abc import Sequence

from dmmlab.machine.errors import Refusal
from dmmlab.topologies.plan import NetworkPlan

# MB: the kernel, Open vSwitch, the controller and the servers; and what each node adds: what a Python process copies of
# the one that it was forked from, 17 MB and more, and a capture with its buffer. A guest with 60 nodes on 10 routers
# used 28 MB a node in all (benchmarks/many.txt), and one that lacks memory does not end but looks for it for ever: so
# it is given more.
BASE_MB, MOBILE_NODE_MB, HOST_MB, MOBILE_ROUTER_MB = 300, 28, 20, 4
LEAST_MB = 1024  # what a guest is given at least: a machine lends it only what it uses


def needed_mb(plan: NetworkPlan, openers: int = 0) -> int:
    """What a guest with this network will use, MB, with so many agents beside those of mobile nodes and hosts."""
    nodes = len(plan.mobile_nodes) * MOBILE_NODE_MB + (len(plan.hosts) + openers) * HOST_MB
    return BASE_MB + nodes + len(plan.mobile_routers) * MOBILE_ROUTER_MB


def given_mb(plan: NetworkPlan, openers: int = 0) -> int:
    """What a guest with this network is given, MB; ``openers`` as in `needed_mb`."""
    return max(LEAST_MB, needed_mb(plan, openers))


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
