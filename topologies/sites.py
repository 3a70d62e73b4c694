"""The switches of a network, by site: those of a site share an Open vSwitch and a namespace, in which their ports are.

Whenever a port or a link of its namespace changes, ovs-vswitchd looks at all ports of all its bridges, each some twenty
times a move. So what a move costs grows with the site, and in a large network each switch is one (`plan.Site`). A radio
port that goes to a switch of another site changes namespaces on the way, as a node's radio reaches another mast.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from dmmlab.topologies import sysctls
from dmmlab.topologies.bridges import Bridge, Bridges
from dmmlab.topologies.links import Netlink
from dmmlab.topologies.namespaces import Namespace
from dmmlab.topologies.openvswitch import Datapath, OpenVSwitch
from dmmlab.topologies.ovsdb import Database
from dmmlab.topologies.plan import Site

_FREE_INDEX = 1_000_000  # from here on no namespace numbers its interfaces by itself


class Sites:
    """The first is in the namespace of ``here`` and has the Open vSwitch of ``database``; others have their own, whose
    files are in ``folder``, or in folders of the system's for such.
    """

    def __init__(
        self, sites: Sequence[Site], here: Netlink, database: Database, datapath: Datapath, folder: Path | None = None
    ) -> None:
        self._sites = sites
        self._datapath: Datapath = datapath
        self._folder = folder
        self._free_indices = itertools.count(_FREE_INDEX)
        self._started = ExitStack()
        self._netlinks = {sites[0].name: here}
        self._bridges = {sites[0].name: Bridges(database, datapath)}
        self._folders: dict[str, Path] = {}
        self.more: list[OpenVSwitch] = []  # of all sites but the first
        self._site_of = {switch: site.name for site in sites for switch in site.switches}

    def start(self) -> None:
        """Makes the namespaces of all but the first, and starts their Open vSwitches."""
        for site in self._sites[1:]:
            netlink = self._netlinks[site.name] = Netlink(Namespace.create())
            netlink.namespace.set(sysctls.NO_IPV6)
            folder = self._folders[site.name] = Path(tempfile.mkdtemp(prefix="dmmlab-ovs-", dir=self._folder))
            with netlink.namespace.inside():
                switches = self._started.enter_context(OpenVSwitch(folder, default=False))
            self.more.append(switches)
            self._bridges[site.name] = Bridges(switches.database, self._datapath)

    def stop(self) -> None:
        """Ends what `start` has started; the namespaces are to be let go of afterwards."""
        self._started.close()
        for site in self._sites[1:]:
            if (netlink := self._netlinks.pop(site.name, None)) is not None:
                netlink.close()
                netlink.namespace.close()

    def netlink(self, switch: str) -> Netlink:
        """That of the namespace in which the ports of ``switch`` are."""
        return self._netlinks[self._site_of[switch]]

    def at(self, site: Site) -> Netlink:
        """That of the namespace of ``site``."""
        return self._netlinks[site.name]

    def environment(self, switch: str) -> dict[str, str]:
        """What the environment of an Open vSwitch program must say besides, for it to find ``switch``."""
        folder = self._folders.get(self._site_of[switch])
        return {"OVS_RUNDIR": str(folder)} if folder is not None else {}

    def forget_flows(self, switch: str) -> None:
        """What the Open vSwitch of ``switch`` has cached."""
        self._bridges[self._site_of[switch]].forget_flows()

    def make(self, bridges: Sequence[Bridge]) -> None:
        """All ``bridges``, each at its site; returns when they are there."""
        for site in self._sites:
            self._bridges[site.name].start([bridge for bridge in bridges if bridge.name in site.switches])

    def move(self, port: str, leaves: str | None, joins: str | None, air: Netlink) -> None:
        """Takes ``port`` out of the switch ``leaves``, if it is in one, and puts it into ``joins``, if that is one.

        A port of no switch at all is in the namespace of ``air``, if the network has several sites.
        """
        old, new = (self._site_of[switch] if switch is not None else None for switch in (leaves, joins))
        if old is not None and self._datapath == "system" and not self._bridges[old].followed:
            # Or the kernel would go on as if it were still there; unless it has left already.
            with self._netlinks[old].namespace.inside():
                subprocess.run(["ovs-dpctl", "del-if", "ovs-system", port], check=False, capture_output=True)
        if old == new or len(self._sites) == 1:
            self._bridges[old or new or self._sites[0].name].move(port, leaves, joins)
            return
        if old is not None:
            self._bridges[old].move(port, leaves, None)
        there = self._netlinks[new] if new is not None else air
        (self._netlinks[old] if old is not None else air).hand_over(port, there, next(self._free_indices))
        there.up(port)
        if new is not None:
            self._bridges[new].move(port, None, joins)
