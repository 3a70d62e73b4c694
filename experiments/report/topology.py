"""A scenario's network as an SVG drawing: who is where, over which delay, and where the mobile nodes go."""

from __future__ import annotations

from html import escape

from dmmlab.experiments.methods.base import SERVICES
from dmmlab.experiments.scenario.model import CONTROLLER, CORE, RADIO, SWITCHES, Scenario
from dmmlab.experiments.scenario.sections.links import Link
from dmmlab.experiments.scenario.tunnels import tunnels

_HOST_GAP, _ROUTER_GAP, _MARGIN = 104, 210, 70
_NODE_GAP = 190  # with what stands beside a node
_NODES_SHOWN = 8  # each with a box of its own; more have one together
_TIMES_SHOWN = 9  # radio links with the times from which on they are there; of more the timeline says when
_TUNNELS_SHOWN = 3  # by name
_HOSTS_Y, _CORE_Y, _ROUTERS_Y, _SWITCHES_Y, _NODES_Y, _HEIGHT = 40, 140, 240, 320, 440, 480
_LINE, _MOST_LINES = 18, 12  # of the notes below


def drawing(scenario: Scenario) -> str:
    """The SVG element, text as text."""
    return _Map(scenario).svg()


class _Map:
    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._parts = scenario, list[str]()
        hosts, routers = scenario.hosts, scenario.mobile_routers
        self._controlled = scenario.link(CONTROLLER, SWITCHES) is not None
        few = len(scenario.mobile_nodes) <= _NODES_SHOWN
        self._nodes = scenario.mobile_nodes if few else (f"{len(scenario.mobile_nodes)} mobile nodes",)
        widths = (len(hosts) * _HOST_GAP, (len(routers) + self._controlled) * _ROUTER_GAP, len(self._nodes) * _NODE_GAP)
        widest = max(*widths, 420)
        self._width = widest + 2 * _MARGIN - _HOST_GAP // 2
        middle = self._width / 2
        self._at = {CORE: (middle, float(_CORE_Y))}
        self._at |= dict(zip(hosts, self._row(len(hosts), _HOST_GAP, middle, _HOSTS_Y), strict=True))
        left = middle - (_ROUTER_GAP / 2 if self._controlled else 0)
        below = self._row(len(routers), _ROUTER_GAP, left, _ROUTERS_Y)
        self._at |= dict(zip(routers, below, strict=True))
        nodes = self._nodes
        self._at |= dict(zip(nodes, self._row(len(nodes), _NODE_GAP, left, _NODES_Y), strict=True))

    @staticmethod
    def _row(count: int, gap: float, middle: float, y: float) -> list[tuple[float, float]]:
        return [(middle + (turn - (count - 1) / 2) * gap, y) for turn in range(count)]

    def svg(self) -> str:
        self._draw_links()
        for name, (x, y) in self._at.items():
            kind = "core" if name == CORE else "router" if name in self._scenario.mobile_routers else "host"
            kind = "mobile" if name in self._nodes else "service" if name in SERVICES else kind
            self._box(x, y, name, kind)
        notes = _pair_delays(self._scenario)
        for turn, note in enumerate(notes):
            self._label(_MARGIN / 2, _HEIGHT + _LINE * turn, note, anchor="start")
        height = _HEIGHT + _LINE * len(notes)
        words = f"Network of scenario {self._scenario.name}: {len(self._scenario.mobile_routers)} mobile routers"
        return (
            f'<svg class="topology" viewBox="0 0 {self._width:g} {height}" width="{self._width:g}" '
            f'height="{height}" role="img" aria-label="{escape(words)}">{"".join(self._parts)}</svg>'
        )

    # -- what is drawn ------------------------------------------------------------------------------------------
    def _draw_links(self) -> None:
        scenario = self._scenario
        for name in scenario.hosts:
            self._joined(scenario.link(name, CORE), self._at[name], self._at[CORE], share=0.32)
        for name in scenario.mobile_routers:
            x, _ = self._at[name]
            self._joined(scenario.link(name, CORE), self._at[name], self._at[CORE], share=0.4)
            self._line((x, _ROUTERS_Y), (x, _SWITCHES_Y), "wire")
        self._draw_tunnels(tunnels(scenario))
        for link in scenario.links:
            if set(link.between) <= set(scenario.mobile_routers):
                self._between_switches(link)
        control = scenario.link(CONTROLLER, SWITCHES)
        if control is not None:
            self._draw_control(control)
        for index, name in enumerate(scenario.mobile_routers, 1):
            self._box(self._at[name][0], _SWITCHES_Y, f"s{index}", "switch")
        self._draw_movement()

    def _between_switches(self, link: Link) -> None:
        (x1, _), (x2, _) = sorted(self._at[end] for end in link.between)
        adjacent = abs(x2 - x1) <= _ROUTER_GAP
        depth = 0.0 if adjacent else 26.0
        self._parts.append(
            f'<path class="inter" d="M{x1:g} {_SWITCHES_Y} Q{(x1 + x2) / 2:g} {_SWITCHES_Y + 2 * depth:g} '
            f'{x2:g} {_SWITCHES_Y}"/>'
        )
        self._label((x1 + x2) / 2, _SWITCHES_Y + depth, _about(link))

    def _draw_tunnels(self, pairs: tuple[tuple[str, str], ...]) -> None:
        """Beside the links to the core that they go over; which routers they join stands beside the core's box."""
        core_x, core_y = self._at[CORE]
        for name in dict.fromkeys(name for pair in pairs for name in pair):
            x, y = self._at[name]
            self._line((x + 5, y), (core_x + 5, core_y + 5), "tunnel")
        if pairs:
            shown = ", ".join(" - ".join(pair) for pair in pairs[:_TUNNELS_SHOWN])
            more = f" and {len(pairs) - _TUNNELS_SHOWN} more" if len(pairs) > _TUNNELS_SHOWN else ""
            self._label(core_x + 40, core_y, f"tunnels {shown}{more}", anchor="start")

    def _draw_control(self, control: Link) -> None:
        x = max(self._at[name][0] for name in self._scenario.mobile_routers) + _ROUTER_GAP
        y = _ROUTERS_Y + 10
        for name in self._scenario.mobile_routers:
            self._line((x, y), (self._at[name][0] + 10, _SWITCHES_Y - 8), "control")
        self._box(x, y, CONTROLLER, "controller")
        self._label(x, y + 30, f"{_about(control)} to each switch")

    def _draw_movement(self) -> None:
        """From each node to the routers that it attaches to, and when, or, where that is often, how many times."""
        together = len(self._nodes) < len(self._scenario.mobile_nodes)
        times: dict[tuple[str, str], list[str]] = {}
        for move in sorted(self._scenario.moves, key=lambda move: move.at):
            times.setdefault((self._nodes[0] if together else move.node, move.to), []).append(f"{move.at:.4g} s")
        for (node, router), moves in times.items():
            there = (self._at[router][0], _SWITCHES_Y + 14.0)
            self._line(self._at[node], there, "radio")
            shown = moves if len(moves) <= 3 else [*moves[:2], "…", moves[-1]]
            if len(times) <= _TIMES_SHOWN:
                self._label(*_along(self._at[node], there, 0.55), "from " + ", ".join(shown))
            elif together:
                self._label(*_along(self._at[node], there, 0.7), f"{len(moves)} times")
        for node in () if together else self._nodes:
            link, (x, y) = self._scenario.link(node, RADIO), self._at[node]
            if link is not None:
                self._label(x + 34, y, f"radio {_about(link)}", anchor="start")

    # -- parts --------------------------------------------------------------------------------------------------
    def _joined(self, link: Link | None, one: tuple[float, float], other: tuple[float, float], share: float) -> None:
        if link is not None:
            self._line(one, other, "wire")
            self._label(*_along(one, other, share), _about(link))

    def _line(self, one: tuple[float, float], other: tuple[float, float], kind: str) -> None:
        self._parts.append(
            f'<line class="{kind}" x1="{one[0]:g}" y1="{one[1]:g}" x2="{other[0]:g}" y2="{other[1]:g}"/>'
        )

    def _box(self, x: float, y: float, name: str, kind: str) -> None:
        width = len(name) * 9 + 16
        self._parts.append(
            f'<g class="{kind}"><rect x="{x - width / 2:g}" y="{y - 14:g}" width="{width}" height="28" rx="5"/>'
            f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle">{escape(name)}</text></g>'
        )

    def _label(self, x: float, y: float, text: str, anchor: str = "middle") -> None:
        self._parts.append(f'<text class="label" x="{x:g}" y="{y + 4:g}" text-anchor="{anchor}">{escape(text)}</text>')


def _along(one: tuple[float, float], other: tuple[float, float], share: float) -> tuple[float, float]:
    return one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share


def _pair_delays(scenario: Scenario) -> list[str]:
    """What the drawing's lines to the core do not say, in words: a line of text each, and not all of hundreds."""
    named = [link for link in scenario.links if frozenset(link.between) in scenario.pairs]
    lines = [f"{one} - {other}: {link.delay * 1e3:g} ms by the core" for link in named for one, other in [link.between]]
    if scenario.geometry is not None:
        least, most = (f"{pick(scenario.pairs.values()) * 1e3:.3g}" for pick in (min, max))
        source = scenario.geometry.source
        lines.append(f"by the core, between {len(scenario.pairs)} pairs: {least} to {most} ms, from {source}")
    return (
        lines
        if len(lines) <= _MOST_LINES
        else [*lines[: _MOST_LINES - 1], f"… and {len(lines) - _MOST_LINES + 1} more"]
    )


def _about(link: Link) -> str:
    words = [f"{link.delay * 1e3:g} ms"]
    words += [f"± {link.jitter * 1e3:g} ms"] if link.jitter else []
    words += [f"{link.loss * 100:g} % lost"] if link.loss else []
    words += [f"{link.rate / 1e6:g} Mbit/s"] if link.rate else []
    return ", ".join(words)
