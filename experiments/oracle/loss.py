"""How long setting a session up takes over UDP, and how often it works, where signalling links lose packets at random.

A distribution is a dict of delays (ns) to probabilities; what is missing to 1 fails. Each follows from the schedules
of retransmission alone (docs/registration.md): requests are repeated after 0.5 s, then after twice as long, 2 s at
most, and given up after 10 s, or after 8 s between server and mobile node; a session without an answer for
`retry.after` is looked up again, `retry.attempts` times in all. So a request whose every try passes both ways with
probability s takes t_k + RTT with probability s (1 - s)^k, t_k being the k-th sending. A relayed session whose lookup
works and whose four crossings of the server's link must pass works with probability 1 - (1 - (1 - p)^4)^attempts.

DDNS has no such form: how long unbound waits for an answer, and whether it asks at all, follows from all that it
asked of that server before (it begins with 376 ms, doubles that, asks one question at a time after 12 s, and none
after 120 s). What is known of it is how often nothing is lost: (1 - p)^12, and no more often than that does it take
the least delay.
"""

from __future__ import annotations

import math
from collections import defaultdict

from dmmlab.experiments.methods import METHODS, central, combined
from dmmlab.experiments.methods.base import CN, MN, SERVER
from dmmlab.experiments.oracle.delays import host_to_mn_s, hosts_s
from dmmlab.experiments.scenario.model import CORE, Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec

Delays = dict[int, float]  # ns to probability
_FIRST_S, _MOST_S, _OF_NODE_S, _OF_SERVER_S = 0.5, 2.0, 10.0, 8.0
_NEGLIGIBLE = 1e-15
_RECORDS = 2  # that DDNS asks for: address and port


def sendings_ns(until_s: float) -> list[int]:
    """When a request that is not answered is sent, before it is given up."""
    found, wait_s, at_s = [], _FIRST_S, 0.0
    while at_s < until_s:
        found.append(_ns(at_s))
        at_s, wait_s = at_s + wait_s, min(2 * wait_s, _MOST_S)
    return found


def setup(scenario: Scenario, session: SessionSpec) -> Delays | None:
    """The delays of a session's set-up by registration or without any; None by other methods, or in TCP."""
    method = METHODS[session.method]
    router = scenario.moves_of(session.mn)[0].to
    here_s = host_to_mn_s(scenario, session.cn, session.mn, router, router)
    if here_s is None or session.transport != "udp" or method.cached:
        return None
    if not method.asks:
        return {_ns(2 * here_s): 1.0}
    lookup, refused = _lookup(scenario, session)
    if not method.relayed:
        connect, lost, ended = _ns(2 * here_s), 0.0, {0: 1.0}
    else:
        pass_both = (1 - _loss(scenario, SERVER)) ** 4
        way_s = hosts_s(scenario, session.cn, SERVER) + _to_node_s(scenario, session)
        connect, lost, ended = _ns(2 * way_s), 1 - pass_both, _over(_exchange(scenario, session.cn))
    return _attempts(scenario, lookup, refused, connect, lost, ended)


def _attempts(scenario: Scenario, lookup: Delays, refused: Delays, connect: int, lost: float, ended: Delays) -> Delays:
    """A lookup, then the session's first packet and its answer, of which ``lost`` is the chance to be lost; else all
    over again once the session has ``ended``. ``refused``: lookups that end without an address.
    """
    done: Delays = defaultdict(float)
    begun: Delays = {0: 1.0}
    silent = _ns(scenario.retry.after)
    unanswered = _sum({at + silent: chance * lost for at, chance in lookup.items()}, ended)
    again = _either(unanswered, refused)
    for _ in range(scenario.retry.attempts):
        for at, chance in _sum(begun, lookup).items():
            done[at + connect] += chance * (1 - lost)
        begun = _sum(begun, again)
    return dict(done)


def _lookup(scenario: Scenario, session: SessionSpec) -> tuple[Delays, Delays]:
    """Of the lookups: when one is answered, and when one ends otherwise."""
    loss = _loss(scenario, SERVER)
    way = _ns(hosts_s(scenario, session.cn, SERVER))
    ready: Delays = defaultdict(float)  # the server's answer, and whether it is one
    refusal: Delays = defaultdict(float)
    asked_node = session.method in (central.METHOD.name, combined.METHOD.name)
    rest = 1.0
    for sent in sendings_ns(_OF_NODE_S):
        arrived, rest = rest * (1 - loss), rest * loss
        if not asked_node:
            ready[sent + way] += arrived
            continue
        waited, trip = arrived, _ns(2 * _to_node_s(scenario, session))
        for later in sendings_ns(_OF_SERVER_S):
            answered = waited * (1 - loss) ** 2
            ready[sent + way + later + trip] += answered
            waited -= answered
        refusal[sent + way + _ns(_OF_SERVER_S)] += waited
    return _heard(ready, way, loss), _either(_heard(refusal, way, loss), _unheard(ready, refusal, way, loss))


def _heard(ready: Delays, way: int, loss: float) -> Delays:
    """When the correspondent hears of what the server has ``ready``: at once, or as it asks again."""
    found: Delays = defaultdict(float)
    for at, chance in ready.items():
        found[at + way] += chance * (1 - loss)
        rest = chance * loss
        for sent in sendings_ns(_OF_NODE_S):
            if sent + way > at:
                heard = rest * (1 - loss) ** 2
                found[sent + 2 * way] += heard
                rest -= heard
    return {at: chance for at, chance in found.items() if at < _ns(_OF_NODE_S)}


def _unheard(ready: Delays, refusal: Delays, way: int, loss: float) -> Delays:
    """Given up: whatever is not heard by then."""
    heard = math.fsum((*_heard(ready, way, loss).values(), *_heard(refusal, way, loss).values()))
    return {_ns(_OF_NODE_S): max(0.0, 1 - heard)}


def _exchange(scenario: Scenario, asker: str) -> Delays:
    """A request that the server answers by itself."""
    loss, way = _loss(scenario, SERVER), _ns(hosts_s(scenario, asker, SERVER))
    ready, rest = {}, 1.0
    for sent in sendings_ns(_OF_NODE_S):
        ready[sent + way], rest = rest * (1 - loss), rest * loss
    return _heard(ready, way, loss)


def _over(exchange: Delays) -> Delays:
    """When it is over, answered or given up."""
    return _either(exchange, {_ns(_OF_NODE_S): max(0.0, 1 - math.fsum(exchange.values()))})


def at_once(scenario: Scenario, session: SessionSpec) -> float:
    """How often nothing that a set-up needs is lost at its first sending: crossings of lossy links, each passed."""
    method = METHODS[session.method]
    ends = [end for trip in (*method.asks, *(method.carries if method.relayed else ())) for end in trip]
    passed = 1.0
    for end in ends:
        if end not in (CN, MN):
            passed *= (1 - _loss(scenario, end)) ** (2 * (_RECORDS if method.cached else 1))
    return passed


def works(delays: Delays) -> float:
    """How often it is set up at all."""
    return math.fsum(delays.values())


def mean_s(delays: Delays) -> float:
    """The mean delay of what is set up."""
    return math.fsum(at * chance for at, chance in delays.items()) / works(delays) / 1e9


def within(delays: Delays, delay_ms: float) -> float:
    """The share, of what is set up, that takes so long at the most; a microsecond counts for nothing."""
    return math.fsum(chance for at, chance in delays.items() if at <= delay_ms * 1e6 + 1e3) / works(delays)


def _to_node_s(scenario: Scenario, session: SessionSpec) -> float:
    router = scenario.moves_of(session.mn)[0].to
    return host_to_mn_s(scenario, SERVER, session.mn, router, router) or 0.0


def _loss(scenario: Scenario, host: str) -> float:
    link = scenario.link(host, CORE)
    return link.loss if link is not None else 0.0


def _sum(one: Delays, other: Delays) -> Delays:
    """Of two delays, one after the other."""
    found: Delays = defaultdict(float)
    for at, chance in one.items():
        for later, share in other.items():
            if chance * share > _NEGLIGIBLE:
                found[at + later] += chance * share
    return found


def _either(one: Delays, other: Delays) -> Delays:
    return {at: one.get(at, 0.0) + other.get(at, 0.0) for at in one.keys() | other.keys()}


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
