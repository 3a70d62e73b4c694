"""What goes into the core (events, past tense) and what comes out (commands); no OpenFlow library on either side."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dmmlab.controllers.rules import Rule


@dataclass(frozen=True)
class SwitchConnected:
    """A switch has a control connection, new or again; ``ports`` is port number by name."""

    dpid: int
    ports: Mapping[str, int]


@dataclass(frozen=True)
class SwitchLost:
    """Its control connection is gone; it goes on forwarding by the rules that it has."""

    dpid: int


@dataclass(frozen=True)
class RulesReported:
    """All rules in a switch that this controller, or one before it, wrote; each with its age in seconds."""

    dpid: int
    rules: tuple[tuple[Rule, float], ...]


@dataclass(frozen=True)
class PortAdded:
    """A port joined the switch."""

    dpid: int
    name: str
    number: int


@dataclass(frozen=True)
class PortRemoved:
    """A port left the switch."""

    dpid: int
    name: str
    number: int


@dataclass(frozen=True)
class FrameCopied:
    """A packet-in: the start of a frame that the switch has also forwarded."""

    dpid: int
    in_port: int
    frame: bytes


@dataclass(frozen=True)
class RuleRemoved:
    """The switch removed a rule; ``expired`` if by its own clock."""

    dpid: int
    rule: Rule
    expired: bool


@dataclass(frozen=True)
class BarrierReplied:
    """All updates to this switch up to the one with this token are in force."""

    dpid: int
    token: int


@dataclass(frozen=True)
class DeadlinePassed:
    """The time that ``Core.deadline_ns`` named has come."""


Event = (
    SwitchConnected
    | SwitchLost
    | RulesReported
    | PortAdded
    | PortRemoved
    | FrameCopied
    | RuleRemoved
    | BarrierReplied
    | DeadlinePassed
)


@dataclass(frozen=True)
class ReportRules:
    """Ask the switch for its rules; answered by :class:`RulesReported`."""

    dpid: int


@dataclass(frozen=True)
class UpdateRules:
    """Install, then remove, then send a barrier that is answered by :class:`BarrierReplied` with this token."""

    dpid: int
    install: tuple[Rule, ...]
    remove: tuple[Rule, ...]
    token: int


@dataclass(frozen=True)
class SendFrame:
    """A packet-out: send this frame out of the port."""

    dpid: int
    port: int
    frame: bytes


@dataclass(frozen=True)
class Record:
    """Write an event to the timeline."""

    event: str
    fields: Mapping[str, object] = field(default_factory=dict)


Command = ReportRules | UpdateRules | SendFrame | Record
