"""A run's own corner of the machine: network, processes and mounts that nobody else sees and that end with it.

The first process in a PID namespace takes all others with it when it dies, and with the last process go the network
namespaces, bridges and links. So whatever ends a run, even ``kill -9``, leaves nothing behind, and two runs on one
machine cannot meet.
"""

from __future__ import annotations

from collections.abc import Sequence


def argv(command: Sequence[str]) -> list[str]:
    """``command`` in namespaces of its own (util-linux's unshare; needs root)."""
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*unshare, *command]
