"""Several mobile nodes in one process, each in a thread of its own that is on the node's host.

What a fork writes to, if only to count who uses an object, is copied: 17 MB and a tenth of a second of processor time
in the guest, for each node. A thread needs less than a tenth of both. Its sockets, and the programs that it starts, are
in the namespace that it is in.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from dmmlab.nodes.daemons.agent import Agent
from dmmlab.nodes.daemons.agents import MobileNode
from dmmlab.nodes.daemons.daemon import Alive
from dmmlab.nodes.daemons.process import Host

MOST = 20  # nodes of a process: with some twenty open files each, well below the limit of 1024


@dataclass(frozen=True)
class Crew(Agent):
    """The agents and services of ``nodes``, whose hosts ``on`` gives; what ends one ends all, and the run."""

    nodes: tuple[MobileNode, ...]
    on: Callable[[str], Host]
    _there: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _begun: threading.Event = field(default_factory=threading.Event)

    @property
    def argv(self) -> list[str]:
        """None of its own."""
        return []

    def write(self) -> None:
        """What each node's agent writes."""
        for node in self.nodes:
            node.write()

    def enter(self, _host: Host) -> None:
        """A thread enters each node's host; no file that the runner has open is needed after that."""
        for node in self.nodes:
            threading.Thread(target=self._work, args=(node,)).start()
            self._there.acquire()

    def run(self) -> None:
        """Lets the threads go on."""
        self._begun.set()
        threading.Event().wait()

    def _work(self, node: MobileNode) -> None:
        try:
            self.on(node.host).enter()
            self._there.release()
            self._begun.wait()
            node.run()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)

    def ready(self, alive: Alive = lambda: None) -> bool:
        """Waits until all are."""
        return all(node.ready(alive) for node in self.nodes)


def crews(nodes: Sequence[MobileNode], on: Callable[[str], Host], alone: Collection[str | None] = ()) -> list[Agent]:
    """``nodes`` in as few processes as hold them; one that would be alone has its own, as those that are to be so."""
    made: list[Agent] = [node for node in nodes if node.name in alone]
    nodes = [node for node in nodes if node.name not in alone]
    number = -(-len(nodes) // MOST)
    for k in range(number):
        several = tuple(nodes[len(nodes) * k // number : len(nodes) * (k + 1) // number])
        first = several[0]
        name = f"mobile-nodes-{k + 1}"
        log = first.log.with_name(f"{name}.log")
        crew = Crew(nodes=several, on=on, events=first.events, name=name, host=first.host, log=log)
        made.append(crew if len(several) > 1 else first)
    return made
