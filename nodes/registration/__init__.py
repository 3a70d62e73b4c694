"""Solution 2 of the draft (4.2): nodes register with a server and ask it for one another; here, the client side."""

from dmmlab.nodes.registration.bindings import Backoff
from dmmlab.nodes.registration.client import Agreement, RegistrationClient
from dmmlab.nodes.registration.client_core import IncomingRequest, Outcome, Status
from dmmlab.nodes.registration.wire import PORT, Leg, Mode, Reason, Transport

__all__ = [
    "PORT",
    "Agreement",
    "Backoff",
    "IncomingRequest",
    "Leg",
    "Mode",
    "Outcome",
    "Reason",
    "RegistrationClient",
    "Status",
    "Transport",
]
