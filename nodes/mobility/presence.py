"""Whom a mobile node tells of its addresses: the registration server, the DDNS server.

It hears of every new address and acts beside the handover, never in its way: whatever a server does, or fails to
do, the mobile node's addresses and sessions do not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from dmmlab.machine.events import EventLog
from dmmlab.nodes.ddns.lookup import LookupClient
from dmmlab.nodes.ddns.update import UpdateClient
from dmmlab.nodes.orders import DNS_PORT, DNS_SERVICE, ECHO_PORT, SERVICES, Account, MobileNodeFile, ZoneKey
from dmmlab.nodes.registration.accounts import client_for
from dmmlab.nodes.registration.client import LINGER_S, Agreement, RegistrationClient
from dmmlab.nodes.registration.client_core import IncomingRequest, Outcome
from dmmlab.nodes.registration.desk import Desk
from dmmlab.nodes.registration.terminal import LegTerminal
from dmmlab.nodes.registration.wire import MOST_VALUES, Leg, Mode, Reason, Transport
from dmmlab.topologies.addressing import family_of

UPDATES = "dns-update"  # in the SRV owner name under which a zone's server for updates is found: _dns-update._udp.ZONE


class Presence:
    """Keeps the servers informed. `announce` returns at once; what comes of it are events."""

    def __init__(self, config: MobileNodeFile, log: EventLog) -> None:
        self._config, self._log = config, log
        self._registrar: Registrar | None = None
        self._making = asyncio.Lock()
        self._zone = ZoneUpdater(config.zone, log, config) if config.zone is not None else None
        self._updating: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open_desk(self) -> None:
        """Takes what the node's programs ask of the registration server, where the configuration says so."""
        if self._config.desk is not None:
            await Desk(lambda: self._registrar.client if self._registrar is not None else None).start(self._config.desk)

    def announce(self, address: str, deprecated: Sequence[str]) -> None:
        """``address`` is the one for new sessions from now on; ``deprecated`` ones are kept, newest first."""
        if self._zone is not None:
            if self._updating is not None:  # updates have no order (RFC 2136): an older one must not come last
                self._updating.cancel()
            self._updating = self._start(self._zone.update(address, deprecated))
        if self._config.account is not None:
            self._start(self._register(self._config.account, address, deprecated))

    async def _register(self, account: Account, address: str, deprecated: Sequence[str]) -> None:
        async with self._making:  # two addresses in quick succession are announced by one client
            if self._registrar is None:
                self._registrar = await Registrar.at(account, self._config, self._log)
        await self._registrar.update(address, deprecated)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.emit("announcement_failed", reason=f"{type(error).__name__}: {error}")


class ZoneUpdater:
    """The DDNS solution (draft 4.1): address and port under the mobile node's name, in one update."""

    def __init__(self, key: ZoneKey, log: EventLog, config: MobileNodeFile) -> None:
        self._key, self._log = key, log
        self._browse, self._resolver = config.browse, config.resolver
        self._client = UpdateClient((key.server, DNS_PORT), key.zone, key.name, key.secret)

    async def update(self, address: str, deprecated: Sequence[str]) -> None:
        """Tells of ``address`` as the one for new sessions; ``deprecated`` are kept, newest first."""
        if self._browse is not None and self._resolver is not None:
            client = LookupClient((self._resolver, DNS_PORT), family=family_of(self._key.server))
            found = await client.discover(UPDATES, self._browse)
            server = next(iter(found.addresses), None)
            self._log.emit("ddns_discovered", status=found.status, address=server, port=found.port)
            if found.ok:  # else the configured one
                self._client.server = (found.addresses[0], found.port)
                self._browse = None
        self._client.source = address
        keep = deprecated if self._key.keep_old else ()
        done, patient = None, True
        # Whoever does not answer now may be there again later; and where a clock was set meanwhile, a signature is too
        # old, or too young (BADTIME, RFC 8945 section 5.2.3): once, for two clocks that differ go on to do so.
        while done is None or done.status == "timeout" or (patient and done.reason == "badtime"):
            patient = done is None or done.reason != "badtime"
            done = await self._client.update(
                [address], ECHO_PORT, self._key.ttl_s, service=DNS_SERVICE, keep=keep, more=self._key.services
            )
            self._log.emit(
                "zone_updated", address=address, outcome=done.status, reason=done.reason, attempts=done.attempts
            )


class Registrar:
    """The registration solution (draft 4.2): registers, and answers what correspondents ask through the server."""

    def __init__(
        self, lifetime_s: float, log: EventLog, after_s: float = 0.0, more: Mapping[str, int] | None = None
    ) -> None:
        self._lifetime_s, self._log, self._after_s = lifetime_s, log, after_s
        self._services = {**SERVICES, **(more or {})}
        self.client: RegistrationClient
        self._terminals: dict[str, LegTerminal] = {}  # by service: where the server's TCP legs end
        self._addresses: tuple[str, ...] = ()
        self._updates = 0
        self._known = False  # to the server
        self._relayed: dict[int, int] = {}  # sessions over UDP that have a leg of ours, and its port

    @classmethod
    async def at(cls, account: Account, config: MobileNodeFile, log: EventLog) -> Registrar:
        """A registrar that can be asked."""
        made = cls(account.lifetime_s, log, account.update_after_s, config.services)
        made.client = await client_for(account, config.discover, config.resolver, log, made._answer, made._forget)
        made.client.on_registered = made._registered
        loopback = "::1" if config.family == "ipv6" else "127.0.0.1"
        for service, port in made._services.items():
            made._terminals[service] = LegTerminal(made.client, (loopback, port), config.family)
            await made._terminals[service].start()
        return made

    async def update(self, address: str, deprecated: Sequence[str]) -> None:
        """Answers with the new address from now on, moves the user planes of relayed sessions, then registers."""
        moved = bool(self._addresses) and self._addresses[0] != address
        self._updates += 1
        update = self._updates
        self._addresses = (address, *deprecated)[:MOST_VALUES]  # the oldest of more are in use, and not told
        lazily = moved and self._after_s > 0 and self._known
        self.client.offer(self._addresses, ECHO_PORT)
        if lazily:
            self.client.hold()
        await self.client.bind(address, linger_s=LINGER_S + self._after_s)
        # The new legs are asked for first, as the draft has it, but the registration does not wait for the answers:
        # a correspondent that asks the server meanwhile should get the new address.
        legs = asyncio.create_task(self._move_legs(address, self._ask_for_legs(address))) if moved else None
        await asyncio.sleep(0)  # the turn in which they are asked for
        if lazily:
            await asyncio.sleep(self._after_s)
            if self._updates != update:
                return  # it has moved on: that address is registered in its own time
        outcome = await self.client.register(
            self._addresses, ECHO_PORT, service="echo", lifetime_s=self._lifetime_s, services=self._services
        )
        self._registered(outcome, address)
        if legs is not None:
            await legs

    def _registered(self, outcome: Outcome, address: str | None = None) -> None:
        """Notes what became of a registration; of the newest address, if it is none that is named."""
        reason = outcome.reason.name.lower() if outcome.reason is not None else ""
        self._known |= outcome.ok
        address = address or self._addresses[0]
        self._log.emit(
            "registered", address=address, outcome=outcome.status.value, reason=reason, attempts=outcome.attempts
        )

    def _ask_for_legs(self, address: str) -> dict[int, asyncio.Task[Outcome]]:
        """Asks for the second user plane of each relayed session over UDP, from the new address (draft 4.2.2)."""
        return {
            session: asyncio.create_task(self.client.open_leg(session, address, port))
            for session, port in sorted(self._relayed.items())
        }

    async def _move_legs(self, address: str, asked: dict[int, asyncio.Task[Outcome]]) -> None:
        """Waits for the legs that were ``asked`` for, and moves the streams of sessions over TCP."""
        for session, leg in asked.items():
            if (await leg).ok:
                self._log.emit("leg_opened", session_number=session, address=address, transport="udp")
            else:
                self._relayed.pop(session, None)
        for terminal in self._terminals.values():
            for session, ok in (await terminal.move(address)).items():
                self._log.emit("leg_opened", session_number=session, address=address, transport="tcp", ok=ok)

    def _forget(self, session: int) -> None:
        self._relayed.pop(session, None)

    def _answer(self, request: IncomingRequest) -> Agreement | Reason:
        """Agrees with what is true now: the address that this node has, whatever the server believes."""
        service = request.service or "echo"
        if service not in self._services:
            return Reason.UNKNOWN_SERVICE
        port = self._services[service]
        if request.mode is not Mode.CENTRAL:
            return Agreement(self._addresses, port)
        if request.transport is Transport.TCP:
            return Agreement(self._addresses, self._terminals[service].port, Leg.RESUMABLE)
        if request.session is not None:
            self._relayed[request.session] = port
        return Agreement(self._addresses, port)
