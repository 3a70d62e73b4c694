"""The registration protocol for MN and CN agents: the asyncio shell around the client's core.

    client = RegistrationClient("mn1.dmm.test", key, ("10.0.0.5", 48620))
    await client.bind("10.1.0.2")
    outcome = await client.register(["10.1.0.2"], 7000, service="echo", lifetime_s=60)
    answer = await client.request("mn2.dmm.test", Mode.P2P, Transport.UDP)

No call waits longer than the back-off's deadline, and none raises for what the network or the server does: they return
an :class:`Outcome`.
"""

import asyncio
import contextlib
import functools
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

from dmmlab.nodes.registration.bindings import Backoff
from dmmlab.nodes.registration.client_core import ClientCore, Completed, IncomingRequest, Outcome, SessionEnded, Status
from dmmlab.nodes.registration.instants import fired_ns, seconds_until
from dmmlab.nodes.registration.links import Link, TcpLink, UdpLink
from dmmlab.nodes.registration.wire import Leg, Message, MessageType, Mode, Reason, Transport

LINGER_S = 30.0  # how long the socket on an old address is still read


@dataclass(frozen=True, slots=True)
class Agreement:
    """The MN's answer to a request: its latest addresses, newest first, and port; for a relay, its new leg."""

    addresses: tuple[str, ...]
    port: int
    leg: Leg = Leg.PLAIN


OnRequest = Callable[[IncomingRequest], Agreement | Reason]
OnEnded = Callable[[int], None]
OnRegistered = Callable[[Outcome], None]


class RegistrationClient:
    """One node's dealings with the registration server; to be made inside a running event loop.

    ``on_request`` decides about requests that CNs make through the server (combined and central mode); without it the
    node agrees, with the addresses and port it last registered or offered. ``on_ended`` hears of relayed sessions over
    UDP that are over. ``control`` is "udp" or "tcp".
    """

    def __init__(
        self,
        node: str,
        key: bytes,
        server: tuple[str, int],
        *,
        control: str = "udp",
        on_request: OnRequest | None = None,
        on_ended: OnEnded = lambda _session: None,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        first_sequence: int | None = None,
    ) -> None:
        self.core = ClientCore(node, key, time.time_ns() if first_sequence is None else first_sequence, backoff)
        self._server, self._control = server, control
        self._on_request, self._on_ended = on_request or self._agree, on_ended
        self.on_registered: OnRegistered = lambda _outcome: None  # what became of a registration that was tried again
        self._loop = asyncio.get_running_loop()
        self._links: list[Link] = []
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._refresh: asyncio.TimerHandle | None = None
        self._tasks: dict[asyncio.Task[Outcome], None] = {}  # ordered, as they are cancelled in this order
        self._offer: Agreement | None = None

    # ---- where we are

    async def bind(self, address: str | None = None, port: int = 0, *, linger_s: float = LINGER_S) -> int:
        """Send from this address and port from now on, and return the port; raises OSError if it is not ours.

        What is under way is repeated from there at once. Older sockets are still read for ``linger_s``, since the
        server may not know the new address yet.
        """
        family = socket.AF_INET6 if ":" in self._server[0] else socket.AF_INET
        local = address or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        link: Link
        if self._control == "tcp":
            link = TcpLink(self._server, (local, port), self._received)
        else:
            link = UdpLink(self._server, (local, port), self._received)
        if self._links:
            self._loop.call_later(linger_s, self._links[-1].close)
        self._links = [*(one for one in self._links if not one.closed), link]
        self.core.rebound(time.monotonic_ns())
        self._work()
        return link.port

    def offer(self, addresses: Sequence[str], port: int) -> None:
        """Answer requests with these addresses, newest first, from now on: before the server knows of them."""
        self._offer = Agreement(tuple(addresses), port)

    # ---- what the agents ask for

    async def register(
        self,
        addresses: Sequence[str],
        port: int,
        service: str = "",
        lifetime_s: float = 300.0,
        *,
        services: Mapping[str, int] | None = None,
        refresh: bool = True,
    ) -> Outcome:
        """Register (or refresh) addresses, newest first, and the service's port; one round trip.

        ``services`` gives the ports of further services by name, all at the same addresses.
        With ``refresh`` it is repeated at half the granted lifetime until the next ``register`` or ``deregister``, and
        as long as nobody answers: whoever does not answer now may be there again later.
        """
        self._stop_refresh()
        self.offer(addresses, port)
        control_port = self._links[-1].port if self._links and self._control == "udp" else None
        message = Message(
            MessageType.REGISTER,
            0,
            addresses=tuple(addresses),
            port=port,
            service=service,
            lifetime_ms=max(1, round(lifetime_s * 1e3)),
            control_port=control_port,
            services=tuple((services or {}).items()),
        )
        outcome = await self._ask(message)
        again = functools.partial(
            self.register, tuple(addresses), port, service, lifetime_s, services=dict(services or {})
        )
        if outcome.ok and refresh:
            self._stop_refresh()
            self._refresh = self._loop.call_later(outcome.lifetime_s / 2, self._register_again, again)
        elif outcome.status is Status.TIMEOUT and refresh:
            self._register_again(functools.partial(self._retry, again))
        return outcome

    async def _retry(self, again: Callable[[], Coroutine[None, None, Outcome]]) -> Outcome:
        outcome = await again()
        self.on_registered(outcome)
        return outcome

    def _register_again(self, again: Callable[[], Coroutine[None, None, Outcome]]) -> None:
        task = self._loop.create_task(again())
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def deregister(self) -> Outcome:
        """Withdraw the registration."""
        self._stop_refresh()
        return await self._ask(Message(MessageType.DEREGISTER, 0))

    async def keepalive(self) -> Outcome:
        """Ask whether the server still has our registration; refused (``not_registered``) if it has not."""
        return await self._ask(Message(MessageType.KEEPALIVE, 0))

    async def request(
        self,
        target: str,
        mode: Mode,
        transport: Transport = Transport.UDP,
        *,
        service: str = "",
        user_plane: tuple[str, int] | None = None,
    ) -> Outcome:
        """Ask for a session with a node (the draft's *service request to MN1*) and return where to open it.

        ``user_plane`` is the address and port (0: any) that we shall use; the relay then takes no other.
        """
        host, port = user_plane or (None, None)
        return await self._ask(
            Message(
                MessageType.SERVICE_REQUEST,
                0,
                target=target,
                mode=mode,
                transport=transport,
                service=service,
                peer_address=host,
                peer_port=port,
            )
        )

    async def open_leg(self, session: int, address: str, port: int, leg: Leg = Leg.PLAIN) -> Outcome:
        """Open another user plane of a relayed session, at a new address, before the registration is updated.

        UDP goes there at once. TCP: connections that the CN makes from now on do; a running one that is resumable is
        moved by :meth:`LegTerminal.move`. The outcome's ``addresses`` and ``port`` are the relay's side of the leg.
        """
        message = Message(MessageType.LEG_OPEN, 0, session=session, addresses=(address,), port=port, leg=leg)
        return await self._ask(message)

    async def close_leg(self, session: int, address: str, port: int) -> Outcome:
        """Give up an older user plane of a relayed session at once instead of by the server's timer."""
        return await self._ask(Message(MessageType.LEG_CLOSE, 0, session=session, addresses=(address,), port=port))

    async def close_session(self, session: int) -> Outcome:
        """End a relayed session."""
        return await self._ask(Message(MessageType.SESSION_CLOSE, 0, session=session))

    async def close(self) -> None:
        """Stop; what still waits ends as cancelled."""
        self._stop_refresh()
        if self._timer is not None:
            self._timer.cancel()
        for link in self._links:
            link.close()
        for one in [*self._waiting.values(), *self._tasks]:
            one.cancel()
        await asyncio.sleep(0)

    # ---- the machinery

    async def _ask(self, message: Message) -> Outcome:
        if not self._links:
            await self.bind()
        ticket = self.core.start(message, time.monotonic_ns())
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._waiting[ticket] = future
        self._work()
        try:
            return await future
        finally:
            self._waiting.pop(ticket, None)

    def _received(self, data: bytes) -> None:
        self.core.receive(data, time.monotonic_ns())
        self._work()

    def _timer_due(self, due_ns: int) -> None:
        self._timer = None
        self.core.handle_timer(fired_ns(due_ns, time.monotonic_ns()))
        self._work()

    def _work(self) -> None:
        while (event := self.core.next_event()) is not None:
            if isinstance(event, Completed):
                future = self._waiting.get(event.ticket)
                if future is not None and not future.done():
                    future.set_result(event.outcome)
            elif isinstance(event, SessionEnded):
                self._on_ended(event.session)
            else:
                self._answer(event)
        for data in self.core.datagrams_to_send():
            if self._links:
                with contextlib.suppress(OSError):  # no route just now: the same as a loss
                    self._links[-1].send(data)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due_ns := self.core.due_ns()) is not None:
            wait_s = seconds_until(due_ns, time.monotonic_ns())
            self._timer = self._loop.call_later(wait_s, self._timer_due, due_ns)

    def _agree(self, _request: IncomingRequest) -> Agreement | Reason:
        return self._offer or Reason.NOT_REGISTERED

    def _answer(self, request: IncomingRequest) -> None:
        decision = self._on_request(request)
        if isinstance(decision, Reason):
            self.core.answer(request.number, Message(MessageType.DECLINED, 0, reason=decision))
            return
        self.core.answer(
            request.number,
            Message(
                MessageType.INCOMING_ANSWER,
                0,
                addresses=decision.addresses,
                port=decision.port,
                service=request.service,
                session=request.session,
                leg=decision.leg if request.mode is Mode.CENTRAL else None,
            ),
        )

    def hold(self) -> None:
        """Do not repeat the registration until the next ``register``, which has other addresses."""
        self._stop_refresh()
        self.core.supersede()
        self._work()

    def _stop_refresh(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
            self._refresh = None
