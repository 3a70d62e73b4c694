"""What loss adds to an exchange that is repeated until it is answered: distributions of delay, over UDP.

A distribution is a mapping of delays in seconds to probabilities; what is missing of 1 is the chance of no answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

Delays = Mapping[float, float]
_WAITS_S = (0.5, 1.0, 2.0, 2.0, 2.0, 2.0)  # both sides of the registration protocol, and a DNS client, within 10 s
_RESOLVER_S = (0.376, 0.752, 1.504, 3.008)  # unbound, of a server that it does not know yet
TRIES_S = (0.0, *accumulate(_WAITS_S))
RESOLVER_TRIES_S = (0.0, *accumulate(_RESOLVER_S))


def exchange(reached: float, tries_s: Sequence[float] = TRIES_S) -> Delays:
    """What is added to a round trip whose every try is answered with probability ``reached``."""
    return {at_s: reached * (1 - reached) ** turn for turn, at_s in enumerate(tries_s)}


def passed_on(there: float, back: float, inner: Delays, inner_s: float) -> Delays:
    """What is added where the one that is asked (who hears a try with probability ``there``) has to ask another first,
    which takes ``inner_s`` and ``inner`` more, and whose answer arrives with probability ``back``.

    Once it knows, each further try that it hears is answered at once.
    """
    found: dict[float, float] = defaultdict(float)
    for turn, heard_s in enumerate(TRIES_S):
        heard = there * (1 - there) ** turn
        for more_s, chance in inner.items():
            known_s = heard_s + inner_s + more_s
            found[heard_s + more_s] += heard * chance * back
            lost = heard * chance * (1 - back)
            for at_s in TRIES_S[turn + 1 :]:
                if at_s <= known_s:  # it is asking itself: the question changes nothing
                    continue
                found[at_s - inner_s] += lost * there * back
                lost *= 1 - there * back
    return dict(found)


def both(one: Delays) -> Delays:
    """Of two such exchanges beside each other, the later."""
    found: dict[float, float] = {}
    below = 0.0
    for at_s in sorted(one):
        found[at_s] = (below + one[at_s]) ** 2 - below**2
        below += one[at_s]
    return found


def mean_s(delays: Delays) -> float:
    """Of those that are answered."""
    return sum(at_s * chance for at_s, chance in delays.items()) / answered(delays)


def answered(delays: Delays) -> float:
    """The probability of an answer."""
    return sum(delays.values())
