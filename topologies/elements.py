"""Mininet's nodes, switches and links as a run has them: made by system calls alone, with a shell when one is wanted.

Mininet starts a shell per node, and a program for each thing that it does to an interface. Here a node is a network
namespace that is held open, and a link is one netlink request. Only who uses a node as Mininet's users do, by ``cmd``,
``popen``, ``pid`` or at the prompt, has its shell started, and then all of Mininet works as usual.
"""

from __future__ import annotations

import subprocess
from typing import Any

from mininet.link import Intf, Link
from mininet.node import Node, OVSSwitch, RemoteController

from dmmlab.topologies.links import End, Netlink
from dmmlab.topologies.namespaces import Namespace

# Who looks into /sys/class/net from a node's shell sees the node's interfaces, as with Mininet's own.
_WITH_ITS_OWN_SYS = ["unshare", "--mount", "sh", "-c", 'mount -t sysfs sysfs /sys && exec "$@"', "sh"]


class _OnDemand(Node):  # type: ignore[misc]
    """A node in the namespace of ``netlink``, or in a new one of its own, which it closes when it is terminated.

    To Mininet it has none (``inNamespace``), or Mininet would make one.
    """

    isSetup = True  # or Mininet runs `which` for the programs that it needs

    def __init__(self, name: str, netlink: Netlink | None = None, **params: Any) -> None:
        self._owns_namespace = netlink is None
        self.netlink = netlink or Netlink(Namespace.create())
        self._pid: int | None = None
        self._complete = False
        super().__init__(name, **{**params, "inNamespace": False})
        self._complete = True

    def startShell(self, mnopts: str | None = None) -> None:
        """Not now."""

    def config(self, **_params: Any) -> dict[str, Any]:
        """Addresses, routes and the rest are given to it by the network."""
        return {}

    @property
    def pid(self) -> int | None:
        """The process that is the shell of this node, in its namespaces; it is started if there is none."""
        self._need_shell()
        return self._pid

    @pid.setter
    def pid(self, pid: int | None) -> None:
        self._pid = pid

    def cmd(self, *args: Any, **kwargs: Any) -> str:
        """As Mininet's."""
        if not self._complete:  # a switch brings its "lo" up while it is made; that is left to the network
            return ""
        self._need_shell()
        return str(super().cmd(*args, **kwargs))

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        """As Mininet's."""
        self._need_shell()
        super().sendCmd(*args, **kwargs)

    def terminate(self) -> None:
        """Ends its shell, if it has one, and lets go of its namespace."""
        super().terminate()
        if self._owns_namespace:
            self.netlink.close()
            self.netlink.namespace.close()

    def _need_shell(self) -> None:
        if self.shell is None:
            super().startShell()

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[bytes]:
        is_the_shell = self.shell is None
        with self.netlink.namespace.inside():
            started: subprocess.Popen[bytes] = super()._popen(
                [*_WITH_ITS_OWN_SYS, *cmd] if is_the_shell else cmd, **params
            )
        return started


class Host(_OnDemand):
    """A host or a router."""


class Interface(Intf):  # type: ignore[misc]
    """An interface that is as its link made it, down and without an address."""

    def config(self, **_params: Any) -> dict[str, Any]:
        """Left to the network."""
        return {}

    def IP(self) -> str | None:
        """The address that it has now: a mobile node's changes. None if it has none."""
        address: str | None = self.ip if self.name == "lo" else self.updateIP()
        return address


class Veth(Link):  # type: ignore[misc]
    """A link of two virtual Ethernet interfaces, each made in the namespace of its node."""

    @classmethod
    def makeIntfPair(
        cls,
        name1: str,
        name2: str,
        mac1: str | None,
        mac2: str | None,
        node1: _OnDemand,
        node2: _OnDemand,
        **_how: Any,
    ) -> None:
        """Called by Mininet; a MAC that is None is drawn by the kernel."""
        node1.netlink.veth(End(name1, mac1), End(name2, mac2), node2.netlink)


class Switch(_OnDemand, OVSSwitch):  # type: ignore[misc]
    """An Open vSwitch bridge, in the namespace of ``netlink``; the network starts all of them at once."""

    OVSVersion = "3.0"  # Mininet would ask a program, to know whether it is older than 1.10


class Controller(_OnDemand, RemoteController):  # type: ignore[misc]
    """Where the switches find the controller, which is started by whoever runs the network."""

    def checkListening(self) -> None:
        """Mininet's own check speaks telnet to it and stumbles over the binary answer; the barrier tells us more."""
