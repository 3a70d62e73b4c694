"""Solution 1 of the draft (4.1): the MNs' names in the DNS, changed by themselves (RFC 2136), cached on the way."""

from dmmlab.nodes.ddns.exchange import Waits
from dmmlab.nodes.ddns.lookup import CnCache, Found, LookupClient
from dmmlab.nodes.ddns.update import UpdateClient, Updated

__all__ = [
    "CnCache",
    "Found",
    "LookupClient",
    "UpdateClient",
    "Updated",
    "Waits",
]
