"""From a node's account to a client of the registration server."""

from __future__ import annotations

from dmmlab.machine.events import EventLog
from dmmlab.nodes.ddns.lookup import LookupClient
from dmmlab.nodes.orders import DNS_PORT, Account
from dmmlab.nodes.registration.client import OnEnded, OnRequest, RegistrationClient
from dmmlab.topologies.addressing import family_of

SERVICE = "dmm-registration"  # in the SRV owner name under which the server is found: _dmm-registration._udp.ZONE


async def client_for(
    account: Account,
    zone: str | None,
    resolver: str | None,
    log: EventLog,
    on_request: OnRequest | None = None,
    on_ended: OnEnded = lambda _session: None,
) -> RegistrationClient:
    """A client for ``account``; with ``zone`` and ``resolver`` the server is looked up by its SRV record first
    (RFC 2782), and where that fails the configured one is used.
    """
    server = (account.server, account.port)
    if zone is not None and resolver is not None:
        resolving = LookupClient((resolver, DNS_PORT), family=family_of(account.server))
        found = await resolving.discover(SERVICE, zone, account.control)
        if found.ok:
            server = (found.addresses[0], found.port)
        log.emit("server_discovered", status=found.status, address=server[0], port=server[1])
    key = bytes.fromhex(account.key)
    return RegistrationClient(
        account.node, key, server, control=account.control, on_request=on_request, on_ended=on_ended
    )
