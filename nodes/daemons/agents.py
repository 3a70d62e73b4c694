"""The agents of a run: mobile node, correspondent, registration server, and a mobile router's buffer."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dmmlab.machine import private
from dmmlab.machine.processing import Cost
from dmmlab.nodes import correspondent, router_buffer, service
from dmmlab.nodes.daemons.agent import Agent
from dmmlab.nodes.mobility import agent as mobile_node
from dmmlab.nodes.orders import CorrespondentFile, MobileNodeFile
from dmmlab.nodes.registration import server
from dmmlab.topologies.addressing import Family


@dataclass(frozen=True)
class MobileNode(Agent):
    """The agent and the service of a mobile node.

    Its addresses are on ``interface``, or on that of its ``second`` radio: to a router both are ``known_as`` (hex). Old
    ones are released ``keep_s`` after they were deprecated (None: never).

    ``folder`` takes its leases and its configuration; without ``config`` it tells nobody of its addresses.
    """

    ready_event: ClassVar[str] = "service_ready"  # which comes after the agent's

    interface: str
    folder: Path
    keep_s: float | None
    config: MobileNodeFile | None
    family: Family = "ipv4"
    more: tuple[int, ...] = ()
    lifetime: str = "fixed"  # of its addresses
    idle_s: float = 1.0  # where that depends on sessions
    second: str | None = None
    known_as: str = ""
    radio: Path | None = None  # where it hears that it has to leave, if it is to announce that
    notes: bool = False  # of its addresses, for who takes its place when it is killed
    dhcp: Cost | None = None  # what it takes to ask for a lease

    @property
    def service(self) -> Service:
        """What sessions are opened for, on ``more`` ports than the usual ones."""
        name = f"{self.name}-service"
        log = self.log.with_name(f"{name}.log")
        return Service(family=self.family, more=self.more, events=self.events, name=name, host=self.host, log=log)

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.name}.config.json"

    @property
    def _cost_file(self) -> Path:
        return self.folder / f"{self.name}.dhcp-cost.json"

    @property
    def argv(self) -> list[str]:
        """Its options."""
        argv = ["--name", self.name, "--events", str(self.events)]
        argv += ["--interface", self.interface, "--folder", str(self.folder), "--family", self.family]
        argv += ["--keep", str(self.keep_s)] if self.keep_s is not None else []
        argv += ["--lifetime", self.lifetime, "--idle", str(self.idle_s)] if self.lifetime != "fixed" else []
        argv += ["--notebook", str(self.folder / f"{self.name}.addresses.json")] if self.notes else []
        argv += ["--radio", str(self.radio)] if self.radio is not None else []
        argv += ["--dhcp", str(self._cost_file)] if self.dhcp is not None else []
        argv += ["--second", self.second, "--known-as", self.known_as] if self.second is not None else []
        return [*argv, "--config", str(self._file)] if self.config is not None else argv

    def write(self) -> None:
        """Writes whom it tells of its addresses. The service's log is empty: what ends it is in the agent's."""
        self.service.log.touch()
        if self.config is not None:
            self.config.write(self._file)
        if self.dhcp is not None:
            self.dhcp.write(self._cost_file)

    def run(self) -> None:
        """Both."""
        threading.Thread(target=self._serve, daemon=True).start()
        mobile_node.main(self.argv)

    def _serve(self) -> None:
        """The service; what ends it ends the process."""
        try:
            self.service.run()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)


@dataclass(frozen=True)
class RouterBuffer(Agent):
    """On a mobile router: keeps what comes for nodes that are between two links, on its ``interface`` to them."""

    ends_last: ClassVar[bool] = True

    interface: str

    @property
    def argv(self) -> list[str]:
        """Its options."""
        return ["--name", self.host, "--events", str(self.events), "--interface", self.interface]

    def run(self) -> None:
        """The buffer."""
        router_buffer.main(self.argv)


@dataclass(frozen=True)
class Service(Agent):
    """What sessions are opened for; it shares the log of events with the ``role`` that it runs on."""

    ready_event: ClassVar[str] = "service_ready"
    role: str = "mobile node"
    family: Family = "ipv4"
    more: tuple[int, ...] = ()

    @property
    def argv(self) -> list[str]:
        """Its options."""
        argv = ["--name", self.host, "--role", self.role, "--events", str(self.events)]
        argv += ["--family", self.family]
        return [*argv, "--more", *map(str, self.more)] if self.more else argv

    def run(self) -> None:
        """The service."""
        service.main(self.argv)


@dataclass(frozen=True)
class Correspondent(Agent):
    """Opens the sessions of ``config`` from ``address`` (None: a mobile node's newest); ``folder`` takes ``config``."""

    address: str | None
    folder: Path
    config: CorrespondentFile

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.name}.config.json"

    @property
    def argv(self) -> list[str]:
        """Its options."""
        argv = ["--name", self.host, "--config", str(self._file), "--events", str(self.events)]
        return [*argv, "--address", self.address] if self.address is not None else argv

    @property
    def may_end(self) -> bool:
        """It does when its sessions have."""
        return True

    def write(self) -> None:
        """Writes its orders."""
        self.config.write(self._file)

    def run(self) -> None:
        """The agent."""
        correspondent.main(self.argv)


@dataclass(frozen=True)
class RegistrationServer(Agent):
    """Listens on ``address``:``port``, relays there too, and knows the nodes in ``keys`` (ID to key, hex).

    ``folder`` takes the keys' file, ``disk`` the database.
    """

    address: str
    port: int
    folder: Path
    disk: Path
    keys: Mapping[str, str]
    register: Cost | None = None  # what a message of its protocol takes

    @property
    def database(self) -> Path:
        """What it keeps its bindings in."""
        return self.disk / "bindings.sqlite"

    @property
    def _keys_file(self) -> Path:
        return self.folder / "registration-keys.json"

    @property
    def _cost_file(self) -> Path:
        return self.folder / "registration-cost.json"

    @property
    def argv(self) -> list[str]:
        """Its options."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        argv = ["--listen", f"{host}:{self.port}", "--relay-address", self.address]
        argv += ["--keys", str(self._keys_file), "--database", str(self.database)]
        argv += ["--register", str(self._cost_file)] if self.register is not None else []
        return [*argv, "--events", str(self.events)]

    def write(self) -> None:
        """Writes the nodes' keys, and what a message takes."""
        private.write(self._keys_file, json.dumps(dict(self.keys)))
        if self.register is not None:
            self.register.write(self._cost_file)

    def run(self) -> None:
        """The server."""
        server.main(self.argv)
