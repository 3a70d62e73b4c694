"""Asks the registration server, in one of its three modes (draft 4.2, Figures 3 to 5)."""

from __future__ import annotations

from dmmlab.nodes.methods.base import Found, Means
from dmmlab.nodes.orders import Order
from dmmlab.nodes.registration.wire import Mode, Transport


class Registered:
    """A service request in ``mode``, the name of a `Mode`."""

    asks = True

    def __init__(self, means: Means, mode: str) -> None:
        if means.client is None:
            raise ValueError("registration needs an account at a server")
        self._client, self._mode = means.client, Mode[mode]

    async def lookup(self, order: Order, local_address: str, /) -> Found:
        """Sends the request and waits for the answer, or the mode's refusal or silence."""
        local_port = order.local_port if order.program is None else 0  # whichever it will have
        transport = Transport.TCP if order.transport == "tcp" else Transport.UDP
        outcome = await self._client.request(
            order.target,
            self._mode,
            transport,
            service=order.service,
            user_plane=(local_address, local_port),
        )
        if not outcome.ok:
            reason = outcome.reason.name.lower() if outcome.reason is not None else outcome.status.value
            return Found("timeout" if outcome.status.value == "timeout" else "refused", reason=reason)
        return Found("ok", outcome.addresses, outcome.port, relayed=outcome.session)

    def distrust(self, order: Order) -> None:
        """The server's answer is new each time."""
        pass

    async def end(self, found: Found) -> None:
        """Closes the session at the server, if that relays it."""
        if self._mode is Mode.CENTRAL and found.relayed is not None:
            await self._client.close_session(found.relayed)
