"""The switches as Open vSwitch is told them: bridges and their ports, as rows of its database."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dmmlab.topologies.openvswitch import Datapath, ovs_vswitchd
from dmmlab.topologies.ovsdb import Database, Operation

NO_VLAN = 0
_BACKOFF_MS = 1000  # between two attempts to reach the controller, at most
_DATAPATH_TYPES: dict[Datapath, str] = {"system": "", "netdev": "netdev"}


@dataclass(frozen=True)
class SwitchPort:
    """A port: the name of its interface, its OpenFlow number (None: the next one), its VLAN (None: it has none)."""

    name: str
    number: int | None = None
    tag: int | None = None


@dataclass(frozen=True)
class Bridge:
    """A switch that does what the controller at ``controller`` (``tcp:ADDRESS:PORT``) says, and nothing without."""

    name: str
    dpid: int
    controller: str
    ports: Sequence[SwitchPort]


class Bridges:
    """The bridges of a network. What Open vSwitch refuses is a RuntimeError."""

    def __init__(self, database: Database, datapath: Datapath) -> None:
        self._database = database
        self._datapath: Datapath = datapath
        self._uuids: dict[str, list[str]] = {}  # of the rows of ports that were added one by one

    @property
    def followed(self) -> bool:
        """Whether somebody does what the database says."""
        return self._database.followed

    def forget_flows(self) -> None:
        """What its datapath has cached, unless a fault has stopped it: then it goes on by that."""
        if self.followed:
            with contextlib.closing(ovs_vswitchd(self._database.folder)) as daemon:
                answer = daemon.ask("revalidator/purge")
            if answer["error"] is not None:
                raise RuntimeError(f"ovs-vswitchd: revalidator/purge: {answer['error']}")

    def start(self, bridges: Sequence[Bridge]) -> None:
        """All of them, in one transaction; returns when they are there."""
        operations = [operation for number, bridge in enumerate(bridges) for operation in self._rows(number, bridge)]
        made = ["set", [["named-uuid", f"bridge{number}"] for number in range(len(bridges))]]
        operations.append(
            {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["bridges", "insert", made]]}
        )
        self._database.configure(*operations)

    def move(self, port: str, leaves: str | None, joins: str | None) -> None:
        """Takes ``port`` out of the bridge ``leaves``, if it is in one, and puts it into ``joins``, if that is one.

        It is another port there, as with ``ovs-vsctl del-port`` and ``add-port``.
        """
        out = [_change_ports(leaves, "delete", self._uuids[port])] if leaves else []
        if joins is None:
            self._database.configure(*out)
            return
        # An access port: with no VLAN of its own it would be a trunk, and what comes by it in the inter-MR ports' VLAN
        # would get to the other switches as if one of them had sent it.
        rows = _port("port", SwitchPort(port, tag=NO_VLAN))
        results = self._database.configure(*out, *rows, _change_ports(joins, "insert", ["named-uuid", "port"]))
        self._uuids[port] = results[len(out) + len(rows) - 1]["uuid"]

    def _rows(self, number: int, bridge: Bridge) -> list[Operation]:
        local = _port(f"local{number}", SwitchPort(bridge.name), kind="internal")
        names, operations = [f"local{number}"], local
        for index, port in enumerate(bridge.ports):
            names.append(f"port{number}_{index}")
            operations = operations + _port(names[-1], port)
        controller = {"target": bridge.controller, "max_backoff": _BACKOFF_MS}
        dpid = f"{bridge.dpid:016x}"
        row = {
            "name": bridge.name,
            "datapath_type": _DATAPATH_TYPES[self._datapath],
            "protocols": "OpenFlow13",
            "fail_mode": "secure",
            "other_config": ["map", [["datapath-id", dpid], ["disable-in-band", "true"], ["dp-desc", bridge.name]]],
            "controller": ["named-uuid", f"controller{number}"],
            "ports": ["set", [["named-uuid", name] for name in names]],
        }
        return [
            *operations,
            _insert("Controller", f"controller{number}", controller),
            _insert("Bridge", f"bridge{number}", row),
        ]


def _insert(table: str, name: str, row: Mapping[str, object]) -> Operation:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def _port(name: str, port: SwitchPort, kind: str = "") -> list[Operation]:
    """The rows of one port; the last is the port's own, ``name`` in the same transaction."""
    interface: dict[str, object] = {"name": port.name, "type": kind}
    if port.number is not None:
        interface["ofport_request"] = port.number
    row: dict[str, object] = {"name": port.name, "interfaces": ["named-uuid", f"{name}_interface"]}
    if port.tag is not None:
        row["tag"] = port.tag
    return [_insert("Interface", f"{name}_interface", interface), _insert("Port", name, row)]


def _change_ports(bridge: str, how: str, port: list[str]) -> Operation:
    return {"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]], "mutations": [["ports", how, port]]}
