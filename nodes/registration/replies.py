"""What the parts of the server's core share: who the nodes are, what is to be sent to them, what is to be logged."""

from collections import deque
from collections.abc import Mapping

from dmmlab.nodes.registration.bindings import Event, Noted, Peer, Record, spell
from dmmlab.nodes.registration.wire import Message, MessageType, Reason, encode

ANSWERS_KEPT = 64


class Replies:
    """Signs and queues messages, keeps answers for repetitions, and collects events. ``keys`` are the nodes'."""

    def __init__(self, keys: Mapping[str, bytes], records: dict[str, Record]) -> None:
        self.keys, self.records = keys, records
        self.events: deque[Event] = deque()
        self._outbox: list[tuple[bytes, Peer]] = []

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
        highest: int | None = None,
        **fields: object,
    ) -> None:
        """Answer an authentic request with a signed refusal, and log it."""
        self.note_refusal(now_ns, peer, reason, node=record.name, sequence=request, **fields)
        message = Message(MessageType.REFUSED, request, reason=reason, highest=highest)
        if reason is Reason.REPLAYED:  # its slot in the answers belongs to the first request of that number
            message.node = record.name
            self.send(encode(message, self.keys[record.name]), peer)
        else:
            self.answer(record, request, peer, now_ns, message)

    def refuse_unsigned(self, message: Message, source: Peer, now_ns: int, reason: Reason) -> None:
        """Refuse whoever cannot be authenticated: a hint that nobody signed, no longer than the request."""
        self.note_refusal(
            now_ns, source, reason, node=message.node, message=message.type.name, sequence=message.sequence
        )
        if message.type is not MessageType.REFUSED:
            refusal = Message(MessageType.REFUSED, message.sequence, node=message.node, reason=reason)
            self.send(encode(refusal, None), source)

    def note_refusal(self, now_ns: int, source: Peer, reason: Reason, **fields: object) -> None:
        """Log a refusal."""
        self.note(now_ns, "refused", reason=reason.name.lower(), peer=spell(source), **fields)
