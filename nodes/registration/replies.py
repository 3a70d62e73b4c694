"""What the parts of the server's core share: who the nodes are, what is to be sent to them, what is to be logged."""

from collections import deque
from collections.abc import Mapping

from dmmlab.nodes.registration.bindings import Event, Noted, Peer, Record, spell
from dmmlab.nodes.registration.instants import nanoseconds
from dmmlab.nodes.registration.wire import Message, MessageType, Reason, encode, hasty_refusal

ANSWERS_KEPT = 64
ANSWER_LIFETIME_NS = nanoseconds(32.0)  # longer than any client repeats a request
MOST_NOTED = 100  # refusals of strangers a second that have a line in the log: to cause one costs nothing
SECOND_NS = 1_000_000_000


class Replies:
    """Signs and queues messages, keeps answers for repetitions, and collects events. ``keys`` are the nodes'."""

    def __init__(self, keys: Mapping[str, bytes], records: dict[str, Record]) -> None:
        self.keys, self.records = keys, records
        self.events: deque[Event] = deque()
        self._outbox: list[tuple[bytes, Peer]] = []
        self._second = self._noted = 0

    def take_outbox(self) -> list[tuple[bytes, Peer]]:
        """Return, and forget, the messages to send."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def note(self, now_ns: int, name: str, **fields: object) -> None:
        """Add an entry to the event log."""
        self.events.append(Noted(name, now_ns, fields))

    def send(self, data: bytes, peer: Peer) -> None:
        """Queue a message."""
        self._outbox.append((data, peer))

    def answer(self, record: Record, request: int, peer: Peer, now_ns: int, message: Message) -> None:
        """Sign and queue an answer, and keep it for the case that the request is repeated."""
        message.sequence, message.node = request, record.name
        data = encode(message, self.keys[record.name])
        answers = record.answers
        while answers and now_ns - answers[oldest := next(iter(answers))][2] > ANSWER_LIFETIME_NS:
            del answers[oldest]
        answers[request] = (peer, data, now_ns)
        if len(answers) > ANSWERS_KEPT:
            del answers[next(iter(answers))]
        self._outbox.append((data, peer))

    def refuse(
        self,
        record: Record,
        request: int,
        peer: Peer,
        now_ns: int,
        reason: Reason,
        **fields: object,
    ) -> None:
        """Answer an authentic request with a signed refusal, and log it."""
        self.note_refusal(now_ns, peer, reason, node=record.name, sequence=request, **fields)
        self.answer(record, request, peer, now_ns, Message(MessageType.REFUSED, request, reason=reason))

    def refuse_replay(self, record: Record, message: Message, request_bytes: int, source: Peer, now_ns: int) -> None:
        """Say what has been seen, to the node where it is known to be; elsewhere the sender may be anybody who has
        overheard the request, and gets less than he sent, or nothing.
        """
        self.note_stranger(now_ns, source, Reason.REPLAYED, node=record.name, sequence=message.sequence)
        refusal = Message(MessageType.REFUSED, message.sequence, node=record.name, reason=Reason.REPLAYED)
        refusal.highest = record.window.highest
        data = encode(refusal, self.keys[record.name])
        if source[1] in record.hosts or len(data) < request_bytes:
            self.send(data, source)

    def refuse_unsigned(self, message: Message, request_bytes: int, source: Peer, now_ns: int, reason: Reason) -> None:
        """Refuse whoever cannot be authenticated: a hint that nobody signed, shorter than the request, or none."""
        self.note_stranger(
            now_ns, source, reason, node=message.node, message=message.type.name, sequence=message.sequence
        )
        if message.type is not MessageType.REFUSED:
            data = encode(Message(MessageType.REFUSED, message.sequence, node=message.node, reason=reason), None)
            if len(data) < request_bytes:
                self.send(data, source)

    def refuse_unread(self, data: bytes, source: Peer, now_ns: int, reason: Reason) -> None:
        """Refuse a request without a look at more than its header and its sender's name."""
        refusal = hasty_refusal(data, reason)
        if refusal is not None:
            self._outbox.append((refusal, source))
        if self._has_line(now_ns):
            self.note_refusal(now_ns, source, reason)

    def note_stranger(self, now_ns: int, source: Peer, reason: Reason, **fields: object) -> None:
        """Log the refusal of what anybody could have sent: a line each, up to so many a second."""
        if self._has_line(now_ns):
            self.note_refusal(now_ns, source, reason, **fields)

    def _has_line(self, now_ns: int) -> bool:
        """Whether there may be another line of a stranger in this second."""
        if now_ns - self._second >= SECOND_NS:
            if self._noted > MOST_NOTED:
                self.note(now_ns, "flooded", refusals=self._noted - MOST_NOTED)
            self._second, self._noted = now_ns, 0
        self._noted += 1
        return self._noted <= MOST_NOTED

    def note_refusal(self, now_ns: int, source: Peer, reason: Reason, **fields: object) -> None:
        """Log a refusal."""
        self.note(now_ns, "refused", reason=reason.name.lower(), peer=spell(source), **fields)
