"""A node's side of the registration protocol without input or output; MN and CN are the same here (draft 4.2)."""

from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dmmlab.nodes.registration.bindings import Backoff
from dmmlab.nodes.registration.instants import nanoseconds
from dmmlab.nodes.registration.replay import Window
from dmmlab.nodes.registration.wire import (
    UNSIGNED,
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    WireError,
    decode,
    encode,
    verified,
)

ANSWERS_KEPT = 64
GRACE_S = 1.0  # an unsigned refusal may be a lie: how long the truth may still come
BINDING_TYPES = (MessageType.REGISTER, MessageType.DEREGISTER)


class Status(StrEnum):
    """How a request ended."""

    OK = "ok"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request; an ``ok`` one holds what the server answered.

    ``addresses`` are newest first (for central mode: the relay's), ``attempts`` counts the messages sent, ``verified``
    is False for a refusal that nobody signed, e.g. because the server does not know our key.
    """

    status: Status
    reason: Reason | None = None
    addresses: tuple[str, ...] = ()
    port: int = 0
    service: str = ""
    session: int | None = None
    lifetime_s: float = 0.0
    attempts: int = 1
    verified: bool = True

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.status is Status.OK


@dataclass(frozen=True, slots=True)
class Completed:
    """The request with this ticket has ended."""

    ticket: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """The server passes on the service request of a CN: the draft's *service request from CN3*.

    In central mode ``relay`` is the address and port of the server's side of the leg, and ``session`` its number.
    """

    number: int
    requester: str
    mode: Mode
    transport: Transport
    service: str
    session: int | None
    peer: tuple[str, int] | None
    relay: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The server relays this session over UDP no longer: it takes no more legs."""

    session: int


@dataclass(slots=True)
class _Running:
    ticket: int
    message: Message
    data: bytes
    wait_s: float
    due_ns: int
    deadline_ns: int
    attempts: int = 1
    hint: Reason | None = None
    resent: bool = field(default=False)


class ClientCore:
    """The requests of one node, and its answers to the server's.

    ``first_sequence`` must exceed every number used before, e.g. the time in nanoseconds; instants are in
    nanoseconds of any one clock.
    """

    def __init__(self, node: str, key: bytes, first_sequence: int, backoff: Backoff = Backoff()) -> None:  # noqa: B008
        self.node, self._key, self._backoff = node, key, backoff
        self._sequence = first_sequence
        self._tickets = 0
        self._running: dict[int, _Running] = {}
        self._window = Window()
        self._answers: dict[int, bytes] = {}
        self._outbox: list[bytes] = []
        self._events: deque[Completed | IncomingRequest | SessionEnded] = deque()

    def start(self, message: Message, now_ns: int) -> int:
        """Send a request and return its ticket; a new registration replaces the one that still runs.

        Raises WireError when the message cannot be written.
        """
        if message.type in BINDING_TYPES:
            self.supersede()
        self._tickets += 1
        running = _Running(self._tickets, message, b"", 0.0, 0, now_ns + nanoseconds(self._backoff.deadline_s))
        self._issue(running, now_ns)
        return running.ticket

    def supersede(self) -> None:
        """Give up the registration that still runs: what it says is not so any more."""
        for old in [one for one in self._running.values() if one.message.type in BINDING_TYPES]:
            self._complete(old, Outcome(Status.SUPERSEDED))

    def _issue(self, running: _Running, now_ns: int) -> None:
        """Give the request a number of its own and send it."""
        self._sequence += 1
        message = running.message
        message.node, message.sequence = self.node, self._sequence
        running.data = encode(message, self._key)
        running.wait_s = self._backoff.first_s
        running.due_ns = min(now_ns + nanoseconds(running.wait_s), running.deadline_ns)
        self._running[message.sequence] = running
        self._outbox.append(running.data)

    def rebound(self, now_ns: int) -> None:
        """The node sends from another address from now on: repeat what runs, anew, so that it is answered there."""
        for running in list(self._running.values()):
            del self._running[running.message.sequence]
            running.attempts += 1
            self._issue(running, now_ns)

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take a message; whatever is not signed with our key changes nothing."""
        try:
            message = decode(data)
        except WireError:
            return
        if message.node != self.node:
            return
        running = self._running.get(message.sequence)
        if not verified(data, self._key):
            if running is not None and message.type is MessageType.REFUSED and data.endswith(UNSIGNED):
                if running.hint is None:
                    running.deadline_ns = min(running.deadline_ns, now_ns + nanoseconds(GRACE_S))
                    running.due_ns = min(running.due_ns, running.deadline_ns)
                running.hint = message.reason
        elif message.type is MessageType.INCOMING_REQUEST:
            self._incoming(message)
        elif message.type is MessageType.SESSION_ENDED:
            if self._window.accept(message.sequence) and message.session is not None:
                self._events.append(SessionEnded(message.session))
        elif running is not None and message.type is MessageType.REFUSED:
            self._refused(running, message, now_ns)
        elif running is not None and message.type == running.message.type + 1:
            self._complete(running, _outcome(message, running.attempts))

    def _refused(self, running: _Running, message: Message, now_ns: int) -> None:
        if message.reason is Reason.REPLAYED and not running.resent and message.highest is not None:
            # the server lost our answer in a crash, or our clock went back: once more, above all that it has seen
            self._sequence = max(self._sequence, message.highest)
            del self._running[running.message.sequence]
            running.resent, running.attempts = True, running.attempts + 1
            self._issue(running, now_ns)
            return
        self._complete(running, Outcome(Status.REFUSED, message.reason, attempts=running.attempts))

    def _incoming(self, message: Message) -> None:
        if not self._window.accept(message.sequence):
            if message.sequence in self._answers:
                self._outbox.append(self._answers[message.sequence])
            return
        assert message.mode is not None and message.transport is not None
        peer = (message.peer_address, message.peer_port or 0) if message.peer_address else None
        relay = (message.addresses[0], message.port or 0) if message.addresses else None
        self._events.append(
            IncomingRequest(
                message.sequence,
                message.target,
                message.mode,
                message.transport,
                message.service,
                message.session,
                peer,
                relay,
            )
        )

    def answer(self, number: int, answer: Message) -> None:
        """Send the answer to an incoming request (INCOMING_ANSWER or DECLINED), and keep it in case it is lost."""
        data = encode(replace(answer, node=self.node, sequence=number), self._key)
        self._answers[number] = data
        if len(self._answers) > ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]
        self._outbox.append(data)

    def sign(self, message: Message) -> tuple[bytes, int]:
        """Return a request and the number it was given, for a stream that the caller looks after."""
        self._sequence += 1
        return encode(replace(message, node=self.node, sequence=self._sequence), self._key), self._sequence

    def authentic(self, data: bytes) -> Message | None:
        """Return the message of a stream if it is for us, signed with our key, and not a replay."""
        try:
            message = decode(data)
        except WireError:
            return None
        if message.node != self.node or not verified(data, self._key):
            return None
        replayed = message.type is MessageType.LEG_HELLO and not self._window.accept(message.sequence)
        return None if replayed else message

    def datagrams_to_send(self) -> list[bytes]:
        """Return, and forget, the messages for the server."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_event(self) -> Completed | IncomingRequest | SessionEnded | None:
        """Return the next thing that happened, or None."""
        return self._events.popleft() if self._events else None

    def due_ns(self) -> int | None:
        """Return when ``handle_timer`` is next due, in nanoseconds of the clock that is passed in, or None."""
        return min((running.due_ns for running in self._running.values()), default=None)

    def handle_timer(self, now_ns: int) -> None:
        """Repeat what is unanswered, end what is past its deadline."""
        for running in list(self._running.values()):
            if now_ns >= running.deadline_ns:
                status = Status.TIMEOUT if running.hint is None else Status.REFUSED
                outcome = Outcome(status, running.hint, attempts=running.attempts, verified=running.hint is None)
                self._complete(running, outcome)
            elif now_ns >= running.due_ns:
                running.attempts += 1
                running.wait_s = self._backoff.after(running.wait_s)
                running.due_ns = min(now_ns + nanoseconds(running.wait_s), running.deadline_ns)
                self._outbox.append(running.data)

    def _complete(self, running: _Running, outcome: Outcome) -> None:
        del self._running[running.message.sequence]
        self._events.append(Completed(running.ticket, outcome))


def _outcome(message: Message, attempts: int) -> Outcome:
    return Outcome(
        Status.OK,
        addresses=message.addresses,
        port=message.port or 0,
        service=message.service,
        session=message.session,
        lifetime_s=(message.lifetime_ms or 0) / 1e3,
        attempts=attempts,
    )
