"""What loss adds to an exchange that is repeated until it is answered: distributions of delay, over UDP.

A distribution is a mapping of delays in seconds to probabilities; what is missing of 1 is the chance of no answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

Delays = Mapping[float, float]
_WAITS_S = (0.5, 1.0, 2.0, 2.0, 2.0, 2.0)  # both sides of the registration protocol, and a DNS client, within 10 s
TRIES_S = (0.0, *accumulate(_WAITS_S))
_LEAST_S, _MORE_S, _DOUBLINGS = 0.050, 0.033, 5
_ATTEMPTS = 3  # of a session (`retry` in a scenario)


def resolver_tries_s(round_trip_s: float) -> tuple[float, ...]:
    """When unbound asks a server again that it knows: after the round trip and 33 ms, 50 ms at the least, and then
    after twice as long each time.

    RFC 6298's estimate in whole milliseconds: the smoothed round trip stays 7 ms short of one that does not vary, the
    deviation at 10. (Of a server that it does not know it waits 376 ms.)
    """
    first_s = max(_LEAST_S, round_trip_s + _MORE_S)
    return (0.0, *accumulate(first_s * 2**turn for turn in range(_DOUBLINGS)))


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


def relayed_attempts(loss: float) -> float:
    """How often a relayed session is tried in the mean until it works, thrice at most: four crossings of a link."""
    works = (1 - loss) ** 4
    chances = [works * (1 - works) ** turn for turn in range(_ATTEMPTS)]
    return sum(turn * chance for turn, chance in enumerate(chances, 1)) / sum(chances)
