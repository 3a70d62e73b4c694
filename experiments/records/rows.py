"""The rows of a run's tables: one class a table, whose fields say what a column is called, measured in, and means.

Everything else follows from these fields: the header of the CSV and how many digits a value has in it, the types of
what is read back, those of the pandas frames, and the page ``results/README.md`` (`readme`). A field's name is its
column's; its unit is the end of its name (``_s``, ``_ms``), ``bytes`` or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rundir import read_csv, write_csv

OUTCOMES = ("ok", "retried", "timeout", "refused", "unsupported")  # of a session
PATHS = ("direct", "redirect", "redirect-both", "relay", "none")  # of its first packet
_DIGITS = {"s": 9, "ms": 6, "Mbit/s": 6}  # a nanosecond is the last digit of the first two


def _text(meaning: str, source: str = "", *, later: bool = False) -> Any:
    """A column of text; a cell may be empty. Older tables have none that came ``later``."""
    about = {"meaning": meaning, "unit": "", "source": source, "kind": str, "later": later}
    return field(default="", metadata=about)


def _number(unit: str, meaning: str, source: str = "", *, later: bool = False) -> Any:
    """A column of times or delays in ``unit``; None is an empty cell. Older tables have none that came ``later``."""
    about = {"meaning": meaning, "unit": unit, "source": source, "kind": float, "later": later}
    return field(default=None, metadata=about)


def _count(meaning: str, source: str = "", unit: str = "", default: int | None = None) -> Any:
    """A column of whole numbers, of which no cell is empty; ``default`` where older tables have no such column."""
    about = {"meaning": meaning, "unit": unit, "source": source, "kind": int, "later": default is not None}
    return field(metadata=about) if default is None else field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session of the scenario: what it was, what it took, and what it should have taken."""

    FILE: ClassVar[str] = "sessions.csv"
    EACH: ClassVar[str] = "one row a session, in the scenario's order, whatever became of it"

    session: str = _text(
        "the entry's name, then method, transport and repetition where the entry has several: `P3.ddns.udp.2`",
        "scenario",
    )
    method: str = _text("how the mobile node is found (docs/methods.md)", "scenario")
    transport: str = _text("udp or tcp", "scenario")
    cn: str = _text("who opens it", "scenario")
    mn: str = _text("to whom: a mobile node, or a host", "scenario")
    start_s: float | None = _number("s", "when it was to begin", "scenario")
    lookup_ms: float | None = _number(
        "ms",
        "until the correspondent holds an address and a port, or the relay is agreed; all lookups of a session that "
        "was retried",
        "the agent's events `lookup_started`, `lookup_ended`",
    )
    connect_ms: float | None = _number(
        "ms",
        "from the first packet of the user plane to the first byte of the mobile node's service",
        "the correspondent's capture: packets of the session's own port, 20000 + its number in the run",
    )
    setup_ms: float | None = _number(
        "ms",
        "lookup + connect. Of a session that was retried: from its start to that first byte, and `connect_ms` is what "
        "of it was no lookup",
    )
    expected_setup_ms: float | None = _number(
        "ms",
        "the closed form (docs/methods.md); empty where there is none: in the middle of a move, on a lossy link …",
        "the scenario alone",
    )
    address: str = _text(
        "the address that it was opened on in the end: what its policy chose, else the first that the last lookup "
        "gave; the server's in mode central",
        "`address_chosen`, `lookup_ended`",
    )
    anchor: str = _text("the mobile router that the address is from", "the plan")
    serving: str = _text(
        "the mobile router where the mobile node was at `start_s`; empty while it was detached", "the runner's events"
    )
    path: str = _text(
        "of the first packet. `direct`: the router that serves the node handed it over, or the opener itself, on the "
        "same link; `redirect`: another router did, or did so with the answer to a mobile opener; `redirect-both`: at "
        "both ends; `relay`: the server carried it; `none`: it never arrived",
        "the source MAC of the frames in the nodes' captures",
    )
    outcome: str = _text(
        "`ok`; `retried`: answered at a later attempt; `timeout`; `refused`; `unsupported`: what it runs is not there"
    )
    mn_anchor: str = _text(
        "of a mobile node that opens: the mobile router that the address is from which it opened it", later=True
    )
    mn_serving: str = _text("the mobile router where it was at `start_s`", "the runner's events", later=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """A probe of a session. ``sent_s`` is None if it never was, ``received_s`` if it was lost."""

    FILE: ClassVar[str] = "probes.csv"
    EACH: ClassVar[str] = "one row a probe (a session without `interval` sends one, a bulk transfer none)"

    session: str = _text("whose", "scenario")
    seq: int = _count("its number in the session, from 0", "scenario")
    sent_s: float | None = _number(
        "s",
        "when it left the correspondent; over TCP, the segment that first holds its first byte; empty: never sent",
        "the correspondent's capture",
    )
    received_s: float | None = _number(
        "s",
        "when its echo reached the correspondent; over TCP, the segment that holds its last byte; empty: lost",
        "the correspondent's capture",
    )
    rtt_ms: float | None = _number("ms", "their difference")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverRow:
    """A movement and what followed from it; a time is None if it did not come before the next movement."""

    FILE: ClassVar[str] = "handovers.csv"
    EACH: ClassVar[str] = "one row a movement, but the first of a node; a time is empty if the next movement came first"

    mn: str = _text("who moves", "scenario")
    from_mr: str = _text("from where", "scenario")
    to_mr: str = _text("to where", "scenario")
    detach_s: float | None = _number(
        "s",
        "the radio link goes: the port left one access switch (make-before-break: after `attach_s`)",
        "the runner's events",
    )
    attach_s: float | None = _number("s", "the radio link comes: the port joined the other", "the runner's events")
    address_s: float | None = _number("s", "the new address is configured (DHCP)", "its event `address_configured`")
    redirect_s: float | None = _number(
        "s",
        "the last barrier of the last redirect that the movement caused was answered: every switch has confirmed it",
        "the controller's `redirect_confirmed`",
    )
    registered_s: float | None = _number(
        "s",
        "registration server and DDNS server (those that the scenario uses) have acknowledged the new address: the "
        "later of the two",
        "its events `registered`, `zone_updated`",
    )
    first_packet_s: float | None = _number(
        "s", "the first packet for its services or sessions reaches the node after the attachment", "its capture"
    )
    lost_packets: int = _count(
        "what the movement cost: probes to the node, or from it, that were never answered and were due since it began, "
        "or were under way then",
        "captures",
    )
    announced_s: float | None = _number(
        "s",
        "the node told the network that it would leave; empty: it did not",
        "its event `handover_announced`",
        later=True,
    )
    buffered_packets: int = _count(
        "that waited at the routers that the node's addresses are from", "their events `buffer_ended`", default=0
    )
    longest_silence_s: float | None = _number(
        "s",
        "the longest time in which a session with probes heard nothing, of any: between two answers that reached it "
        "(over TCP, with all before them), of which the second came after the movement had begun, or was announced, "
        "and before that was so of the next; empty: no session was heard before and after",
        "captures",
        later=True,
    )

    @property
    def makes_before_it_breaks(self) -> bool:
        """Whether the new link was there before the old one went."""
        return self.detach_s is not None and self.attach_s is not None and self.attach_s < self.detach_s

    @property
    def begins_s(self) -> float | None:
        """When the movement began: with a link lost or, where there are two, with one won."""
        return self.attach_s if self.makes_before_it_breaks else self.detach_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SignallingRow:
    """A message that nodes said to each other, and what it was for."""

    FILE: ClassVar[str] = "signalling.csv"
    EACH: ClassVar[str] = "one row a message, once, by time; user-plane packets are not in it"

    time_s: float | None = _number(
        "s",
        "when it left its sender; mobile routers and switches have no capture: when what they send arrived",
        "captures",
    )
    protocol: str = _text("openflow, dhcp, arp, nd (neighbour discovery), dns, dns-update, registration or handover")
    source: str = _text("who says it: nodes by name, switches as `s1` …")
    destination: str = _text("to whom; `broadcast`")
    message: str = _text("what it is, in words (docs/records.md)")
    bytes: int = _count(
        "of the IP packet, headers included (of ARP: 28); of a message inside a TCP stream, its own length, since it "
        "shares its segments' headers, and its acknowledgements, with others",
        unit="B",
    )
    cause: str = _text(
        "what it was for: a session's name, a movement (`MN1→MR2@10s`), start-up, keepalive or refresh "
        "(docs/records.md)",
        "captures and events",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRow:
    """A program at one end of a session: how it ended, and what reached it."""

    FILE: ClassVar[str] = "programs.csv"
    EACH: ClassVar[str] = "one row a program, in scenarios in which a session has `run`"

    session: str = _text("whose", "scenario")
    role: str = _text(
        "`server`: at the node that the session is opened to; `client`: at the one that opens it", "scenario"
    )
    node: str = _text("where it runs", "scenario")
    status: str = _text(
        "its exit status; `stopped`: its time was over, and it was told to end; `signal N`; `unsupported: …`: it, an "
        "address family that it would need, or the session's other program is not there; empty: it was never started",
        "`program_ended`, `program_unsupported`",
    )
    started_s: float | None = _number("s", "when it was started", "`program_started`")
    ended_s: float | None = _number("s", "when it ended", "`program_ended`")
    bytes: int | None = field(
        default=None,
        metadata={
            "meaning": "of payload that reached it: by UDP what came to its node, by TCP what came without a gap",
            "unit": "B",
            "source": "its node's capture: packets of the server's port",
            "kind": int,
            "later": False,
        },
    )
    longest_silence_s: float | None = _number(
        "s",
        "the longest time in which nothing more reached it, from the first payload to the last that it had or the "
        "other end sent",
        "both ends' captures",
    )
    goodput_mbps: float | None = _number("Mbit/s", "those bytes over that time")
    output: str = _text("the file with what it printed, in the run directory; `.err` beside it has its errors")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramMoveRow:
    """What a move of either end was to a program."""

    FILE: ClassVar[str] = "program_moves.csv"
    EACH: ClassVar[str] = "one row a program and a movement of either end of its session while it was being sent to"

    session: str = _text("whose", "scenario")
    role: str = _text("of the program: what reached it is counted", "scenario")
    mn: str = _text("who moves", "scenario")
    detach_s: float | None = _number("s", "when its radio link went", "the runner's events")
    bytes: int = _count("that reached the program in the 2 s since then", "captures", unit="B")
    longest_silence_s: float | None = _number(
        "s",
        "the longest time in which nothing more reached it, of those that begin in the second before or the 2 s since",
        "captures",
    )
    before_mbps: float | None = _number("Mbit/s", "goodput in the 2 s before the link went", "captures")
    after_mbps: float | None = _number("Mbit/s", "goodput in the 2 s since", "captures")


Row = TypeVar("Row", SessionRow, ProbeRow, HandoverRow, SignallingRow, ProgramRow, ProgramMoveRow)
TABLES: tuple[type[Any], ...] = (SessionRow, ProbeRow, HandoverRow, SignallingRow, ProgramRow, ProgramMoveRow)


def columns(table: type[Any]) -> tuple[str, ...]:
    """The header of a table's CSV; ``table`` is one of `TABLES`."""
    return tuple(column.name for column in fields(table))


def kinds(table: type[Any]) -> dict[str, type]:
    """Of each column of ``table``: str, float or int."""
    return {column.name: column.metadata["kind"] for column in fields(table)}


def may_be_empty(table: type[Any]) -> tuple[str, ...]:
    """Columns of whole numbers of which a cell may be empty."""
    whole = [column for column in fields(table) if column.metadata["kind"] is int]
    return tuple(column.name for column in whole if column.default is None)


def write(path: Path, table: type[Row], rows: Iterable[Row]) -> None:
    """Writes ``rows`` as CSV: seconds with nine digits, milliseconds with six; None is an empty cell."""
    digits = [(column.name, _DIGITS.get(column.metadata["unit"])) for column in fields(table)]
    cells = ({name: _cell(getattr(row, name), places) for name, places in digits} for row in rows)
    write_csv(path, columns(table), cells)


def read(path: Path, table: type[Row]) -> list[Row]:
    """The rows of a CSV that `write` wrote, numbers as numbers; none if there is no file. A column that older tables
    lack is empty.

    Raises RunDirectoryError where another one is missing, where a number is none, or a count empty.
    """
    if not path.is_file():
        return []
    known = {column.name: column for column in fields(table)}
    whole = [column.name for column in known.values() if column.default is not None and column.metadata["kind"] is int]
    needs = [column.name for column in known.values() if not column.metadata["later"]]
    found = []
    for number, cells in enumerate(read_csv(path, needs), 1):
        values: dict[str, Any] = {}
        for name, column in known.items():
            if not (cell := cells.get(name)):
                if name in cells and name in whole:
                    raise RunDirectoryError.damaged(path, f"row {number}: {name} is empty")
                continue
            try:
                values[name] = column.metadata["kind"](cell)
            except ValueError:
                raise RunDirectoryError.damaged(path, f"row {number}: {name}: {cell[:80]!r} is no number") from None
        found.append(table(**values))
    return found


def _cell(value: object, digits: int | None) -> object:
    if value is None:
        return ""
    return value if digits is None else f"{value:.{digits}f}"
