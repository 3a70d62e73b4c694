"""The figures, in the order of their numbers. A new one is a module of this folder and a line here.

The line says what `dmmlab list` says; the module, which draws and so takes long to import, is imported when its figure
is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dmmlab.experiments.figures.base import FigureKind


class Entry(NamedTuple):
    """What is known of a figure without its module, which has the figure's name, ``_`` for ``-``."""

    id: str
    name: str
    shows: str


ENTRIES: dict[str, Entry] = {
    entry.id: entry
    for entry in (
        Entry("F1", "continuity", "a session on the old address through a move, with redirect and without"),
        Entry("F2", "setup", "set-up delay per method, before and after the move, UDP and TCP"),
        Entry("F3", "rtt", "data-path round trip against time per method, and its stretch"),
        Entry(
            "F4",
            "server-distance",
            "set-up delay against the distances of server, correspondent and mobile node, and where methods cross",
        ),
        Entry("F5", "stretch", "path stretch against the distance between routers and against the number of moves"),
        Entry(
            "F6",
            "staleness",
            "share of sessions sent to an old address against residence time over TTL, registration beside it",
        ),
        Entry(
            "F7",
            "survival",
            "surviving sessions against session length and number of moves, with redirect and without, UDP and TCP",
        ),
        Entry("F8", "handover", "handover latency: its components, and its distribution"),
        Entry(
            "F9",
            "signalling",
            "messages and bytes per move and per session by protocol, and where methods cross in sessions per move",
        ),
        Entry(
            "F10",
            "relay",
            "what the server carries in central mode, and the delay that it adds, against the number of sessions",
        ),
        Entry("F11", "loss", "set-up success and delay against signalling loss"),
        Entry(
            "F12",
            "scale",
            "flow entries, packet-ins and updates against the number of mobile nodes and mobile routers",
        ),
        Entry(
            "F13",
            "choice",
            "which address to choose: how often an older one is better, and what each policy makes of it",
        ),
        Entry("F14", "fidelity", "measured minus configured on every path"),
        Entry(
            "F15",
            "blind-window",
            "sessions opened during a move and before the servers know of it, by each method",
        ),
        Entry("F16", "handover-kinds", "kinds of handover, and the longest time in which a user hears nothing"),
        Entry("F17", "program", "goodput of iperf3 over TCP through a move, with redirect and without"),
        Entry(
            "F18",
            "lifetime",
            "an address's life in the flow tables, by its kind: fixed, session-lasting, non-persistent",
        ),
        Entry("F19", "which-method", "which method wins, and what decides it: the cost model, and settings played"),
    )
}


class _Figures(Mapping[str, "FigureKind"]):
    """The figures by their IDs."""

    def __getitem__(self, figure_id: str) -> FigureKind:
        module = import_module(f"{__name__}.{ENTRIES[figure_id].name.replace('-', '_')}")
        kind: FigureKind = module.FIGURE
        return kind

    def __contains__(self, figure_id: object) -> bool:
        return figure_id in ENTRIES

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


FIGURES = _Figures()
