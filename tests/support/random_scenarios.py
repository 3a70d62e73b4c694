"""A strategy of hypothesis that composes valid scenarios, as a scenario file has them.

Each part of a scenario is a function that draws it; what a later version adds to scenarios is one more, in `scenarios`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.scenario.joinings import JOININGS

Item = dict[str, Any]

METHODS = ("fixed", "ddns", "p2p", "central", "combined")
SERVERS = {"RESOLVER": 20, "DDNS": 40, "SERVER": 40}  # ms from the core at most
FIRST_S, LAST_S = 1, 14  # when sessions begin


def ms(value: float) -> str:
    return f"{value:.12g}ms"


@st.composite
def delays(draw: st.DrawFn, most_ms: int) -> str:
    """One way: as people write it, and as no clock but the kernel's could hold it."""
    if draw(st.booleans()):
        return ms(draw(st.integers(1, most_ms)))
    return f"{draw(st.integers(100_000, most_ms * 1_000_000))}ns"


@st.composite
def links(draw: st.DrawFn, routers: Sequence[str], nodes: Sequence[str], hosts: Sequence[str]) -> list[Item]:
    """Routers are joined in one of the ways that have a name, or every one but the first mostly to an earlier one; some
    are joined by a link more.
    """
    found = [{"between": ["radio", node], "delay": draw(delays(10))} for node in nodes]
    found += [{"between": [router, "CORE"], "delay": draw(delays(20))} for router in routers]
    found += [{"between": [host, "CORE"], "delay": draw(delays(SERVERS.get(host, 30)))} for host in hosts]
    joining = draw(st.sampled_from([None, None, *JOININGS.values()]))
    tree = {
        (draw(st.sampled_from(routers[:number])), router)
        for number, router in enumerate(routers)
        if number and draw(st.integers(0, 9))
    }
    pairs = tree if joining is None else {(min(pair), max(pair)) for pair in joining(routers)}
    more = st.tuples(st.sampled_from(routers), st.sampled_from(routers)).filter(lambda pair: pair[0] < pair[1])
    pairs |= set(draw(st.lists(more, max_size=2)))
    found += [{"between": list(pair), "delay": draw(delays(15))} for pair in sorted(pairs)]
    if not draw(st.integers(0, 3)):  # a pair delay, in place of both ways to the core
        found.append(
            {"between": [draw(st.sampled_from(hosts)), draw(st.sampled_from(routers))], "delay": draw(delays(30))}
        )
    return [*found, {"between": ["CONTROLLER", "switches"], "delay": draw(delays(5))}]


@st.composite
def radios(draw: st.DrawFn, routers: Sequence[str], nodes: Sequence[str]) -> list[Item]:
    """Of some nodes, another radio at some mobile routers: as from one technology to the next."""
    places = draw(st.lists(st.tuples(st.sampled_from(nodes), st.sampled_from(routers)), max_size=3, unique=True))
    return [{"between": ["radio", node], "at": router, "delay": draw(delays(40))} for node, router in sorted(places)]


@st.composite
def handovers(draw: st.DrawFn, redirect: bool) -> Item:
    """What the network is told of leaving, and does about it."""
    found: Item = {}
    if draw(st.booleans()):
        found["announce"] = ms(draw(st.integers(1, 300)))
    if redirect and draw(st.booleans()):  # what is kept waits for the redirect
        found["buffer"] = True
    return found


@st.composite
def itineraries(draw: st.DrawFn, node: str, routers: Sequence[str], lead_ms: int) -> list[Item]:
    """Where a node attaches first, and up to four moves: on, or back, by one radio or by two; some of them while the
    handover before is still going on.

    ``lead_ms`` before it leaves it says so: it cannot before it is there.
    """
    at_ms, here = draw(st.integers(0, 500)), draw(st.sampled_from(routers))
    moves: list[Item] = [{"at": ms(at_ms), "node": node, "to": here}]
    over_ms = at_ms
    for turn in range(draw(st.integers(0, 4))):
        hasty = turn > 0 and draw(st.integers(0, 3)) == 0
        at_ms = over_ms + lead_ms + draw(st.integers(1, 200)) if hasty else at_ms + draw(st.integers(1500, 6000))
        others = [router for router in routers if router != here]
        back = turn > 0 and draw(st.booleans())
        here = moves[-2]["to"] if back else draw(st.sampled_from(others))
        how, length_ms = (
            ("overlap", draw(st.integers(1, 600)))
            if draw(st.integers(0, 2)) == 0
            else ("gap", draw(st.integers(0, 400)))
        )
        over_ms = at_ms + length_ms
        moves.append({"at": ms(at_ms), "node": node, "to": here, how: ms(length_ms)})
    return moves


@st.composite
def sessions(draw: st.DrawFn, name: str, ends: Sequence[str], itinerary: dict[str, list[Item]]) -> Item:
    """An entry: either end may be mobile; one request, several, or probes for some seconds."""
    opener = draw(st.sampled_from(ends))
    other = draw(st.sampled_from([end for end in ends if end != opener]))
    found: Item = {
        "name": name,
        "at": ms(draw(st.integers(FIRST_S * 1000, LAST_S * 1000))),
        "from": opener,
        "to": other,
    }
    methods = draw(st.lists(st.sampled_from(METHODS), min_size=1, max_size=5, unique=True))
    if other not in itinerary:
        methods = ["fixed"]
    found["method"] = [method for method in METHODS if method in methods]
    found["transport"] = draw(st.sampled_from([["udp"], ["tcp"], ["udp", "tcp"]]))
    if methods == ["fixed"] and other in itinerary and draw(st.booleans()):
        found["anchor"] = draw(st.sampled_from(sorted({move["to"] for move in itinerary[other]})))
    if set(methods) <= {"p2p", "combined"} and found["transport"] == ["udp"]:
        found["select"] = draw(st.sampled_from(list(POLICIES)))
    if draw(st.booleans()):
        found |= {"interval": ms(draw(st.integers(20, 400))), "duration": f"{draw(st.integers(1, 8))}s"}
    elif draw(st.booleans()):
        found |= {"repeat": draw(st.integers(2, 3)), "every": ms(draw(st.integers(100, 2000)))}
    return found


@st.composite
def watchers(draw: st.DrawFn, name: str, cns: Sequence[str], nodes: Sequence[str]) -> Item:
    """An entry that is there through handovers: a host and a mobile node, either of which opens, with many probes."""
    ends = [draw(st.sampled_from(cns)), draw(st.sampled_from(nodes))]
    if not draw(st.integers(0, 2)):
        ends.reverse()
    return {
        "name": name,
        "at": f"{draw(st.integers(FIRST_S * 10**6, 5 * 10**6))}us",
        "from": ends[0],
        "to": ends[1],
        "transport": draw(st.sampled_from([["udp"], ["udp", "tcp"]])),
        "interval": ms(draw(st.integers(20, 120))),
        "duration": f"{draw(st.integers(6, 16))}s",
    }


@st.composite
def settings(draw: st.DrawFn) -> Item:
    """What may be left out, and then is at its default."""
    choices: dict[str, st.SearchStrategy[Any]] = {
        "redirect": st.sampled_from([True, True, True, False]),
        "ddns": st.fixed_dictionaries(
            {
                "ttl": st.integers(1, 6).map(lambda value: f"{value}s"),
                "cn_cache": st.sampled_from(["off", "off", "ttl", "forever"]),
            }
        ),
        "registration": st.one_of(
            st.fixed_dictionaries({"control": st.sampled_from(["udp", "tcp"])}),
            st.integers(1, 4).map(lambda after: {"update": "lazy", "after": f"{after}s"}),
        ),
        "discovery": st.just("dns"),
    }
    return {key: draw(choice) for key, choice in choices.items() if draw(st.booleans())}


class Novelty:
    """Tells scenarios that were drawn anew from those that hypothesis made of an earlier one by changing a little."""

    def __init__(self) -> None:
        self._seen: list[set[str]] = []

    def __call__(self, data: Item) -> bool:
        mine = {f"{link['between']} {link['delay']}" for link in data["links"]}
        new = all(len(mine & other) < len(mine) / 3 for other in self._seen)
        self._seen += [mine] if new else []
        return new


@st.composite
def addresses(draw: st.DrawFn, family: str) -> Item:
    """How long an old one is kept; how long one is lent; in IPv6, whether it may be somebody else's."""
    found = {}
    if draw(st.booleans()):
        found["keep"] = f"{draw(st.integers(1, 5))}s"
    if draw(st.booleans()):
        found["lease"] = f"{draw(st.integers(10, 60))}s"
    if family == "ipv6" and draw(st.booleans()):
        found["dad"] = draw(st.sampled_from(["on", "optimistic"]))
    return found


@st.composite
def scenarios(draw: st.DrawFn) -> Item:
    """A scenario as its file says it, with 2 to 6 routers, 1 to 3 mobile nodes and 1 to 3 correspondents."""
    routers = [f"MR{number}" for number in range(1, draw(st.integers(2, 6)) + 1)]
    nodes = [f"MN{number}" for number in range(1, draw(st.integers(1, 3)) + 1)]
    cns = [f"CN{number}" for number in range(1, draw(st.integers(1, 3)) + 1)]
    family, keys = draw(st.sampled_from(["ipv4", "ipv6"])), draw(settings())
    told = draw(handovers(keys.get("redirect", True))) if draw(st.booleans()) else {}
    lead_ms = int(told.get("announce", "0ms").removesuffix("ms"))
    itinerary = {node: draw(itineraries(node, routers, lead_ms)) for node in nodes}
    found: Item = {
        "name": "random",
        "family": family,
        "mobile_routers": routers,
        "links": [*draw(links(routers, nodes, [*cns, *SERVERS])), *draw(radios(routers, nodes))],
        "movement": [move for moves in itinerary.values() for move in moves],
        "sessions": [
            draw(sessions(f"S{number}", [*cns, *nodes], itinerary)) for number in range(draw(st.integers(1, 6)))
        ],
        "transit": draw(st.sampled_from(["links", "shortest", "shortest"])),
        **keys,
        "duration": "30s",
        "seed": draw(st.integers(0, 2**16)),
    }
    if told:
        found["handover"] = told
    found["sessions"] += [draw(watchers(f"W{number}", cns, nodes)) for number in range(draw(st.integers(1, 2)))]
    if draw(st.booleans()):
        found["addresses"] = draw(addresses(family))
    return found
