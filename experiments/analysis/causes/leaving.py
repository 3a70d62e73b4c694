"""What a node's announcement that it is about to leave was said for."""

from __future__ import annotations

from dmmlab.experiments.analysis.causes.moves import Moves
from dmmlab.experiments.analysis.messages import Message

_SAME_INSTANT_NS = 1000  # it is noted when it has been sent


class LeavingRule:
    """By the node that says that it is about to leave."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves

    def of(self, message: Message) -> str:
        """The movement that is announced."""
        return self._moves.last_told(message.source, message.time_ns + _SAME_INSTANT_NS)
