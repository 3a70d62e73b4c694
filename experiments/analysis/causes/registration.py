"""What a message of the registration protocol was said for."""

from __future__ import annotations

from dmmlab.experiments.analysis.causes.moves import KEEPALIVE, REFRESH, UNKNOWN, Moves, SignallingTrace
from dmmlab.experiments.analysis.messages import Message
from dmmlab.experiments.scenario.sessions import sessions_of
from dmmlab.nodes.orders import FIRST_LOCAL_PORT
from dmmlab.nodes.registration import wire
from dmmlab.nodes.registration.wire import MessageType

_FORWARDED = (MessageType.INCOMING_REQUEST, MessageType.INCOMING_ANSWER, MessageType.DECLINED)
_ASKED = {kind for kind in MessageType if kind % 2 and kind <= MessageType.KEEPALIVE} | {MessageType.LEG_HELLO}


class RegistrationRule:
    """By the user-plane port in a service request, the address in a REGISTER or a leg, the number of a session."""

    def __init__(self, trace: SignallingTrace, moves: Moves) -> None:
        self._moves = moves
        self._sessions = {FIRST_LOCAL_PORT + session.number: session.name for session in sessions_of(trace.scenario)}
        self._requests: dict[tuple[bool, str, int], str] = {}
        self._relayed: dict[int, str] = {}
        self._registered: dict[str, tuple[object, ...]] = {}  # what a node's last granted registration held
        self._wanted: dict[tuple[str, int], tuple[object, ...]] = {}

    def of(self, message: Message) -> str:
        """The cause of ``message``."""
        detail = message.detail
        if not isinstance(detail, wire.Message):
            return UNKNOWN
        key = (detail.type in _FORWARDED, detail.node, detail.sequence)
        if detail.type in _ASKED:
            if key not in self._requests:
                self._requests[key] = self._request(message, detail)
        elif detail.type is MessageType.SESSION_ENDED:
            return self._relayed.get(detail.session or 0, UNKNOWN)
        elif detail.type is MessageType.REGISTERED:
            self._registered[detail.node] = self._wanted.get((detail.node, detail.sequence), ())
        return self._requests.get(key, UNKNOWN)

    def _request(self, message: Message, detail: wire.Message) -> str:
        if detail.type is MessageType.KEEPALIVE:
            return KEEPALIVE
        if detail.type is MessageType.REGISTER:
            return self._register(message, detail)
        if detail.type is MessageType.DEREGISTER:
            return self._moves.by(message.source, message.time_ns)
        if detail.type in (MessageType.LEG_OPEN, MessageType.LEG_CLOSE):
            return self._moves.to_router_of(detail.addresses[0], message.time_ns)
        if detail.type in (MessageType.SERVICE_REQUEST, MessageType.INCOMING_REQUEST):
            cause = self._sessions.get(detail.peer_port or 0, UNKNOWN)
            if detail.session is not None:
                self._relayed[detail.session] = cause
            return cause
        return self._relayed.get(detail.session or 0, UNKNOWN)

    def _register(self, message: Message, detail: wire.Message) -> str:
        """A refresh says again what was granted, at the same attachment."""
        cause = self._moves.to_router_of(detail.addresses[0], message.time_ns)
        content = (detail.addresses, detail.port, detail.service, cause)
        self._wanted[detail.node, detail.sequence] = content
        if self._registered.get(detail.node) == content:
            return REFRESH
        return cause
