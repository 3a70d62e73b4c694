"""How long the users of a mobile node heard nothing while it moved, from when answers came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

from dmmlab.experiments.analysis.flows import Flow
from dmmlab.experiments.records.recording import Recording


def longest(answers: Sequence[float], stream: bool, since: float, until: float) -> float | None:
    """The longest time between two of ``answers`` that ends after ``since`` and not after ``until``; None if there are
    no two. All are in one unit; answers are in the order of what they answer.

    Who reads a ``stream`` has an answer when he has all before it; who takes datagrams, when it is there.
    """
    heard: Iterable[float] = accumulate(answers, max) if stream else sorted(answers)
    return max((after - before for before, after in pairwise(heard) if since < after <= until), default=None)


def longest_s(recording: Recording, sent: Mapping[int, Flow], node: str, since_ns: int, until_ns: int) -> float | None:
    """The longest silence of any session with probes to or from ``node`` in that time (ns since the epoch), seconds."""
    found = []
    for spec in recording.specs:
        if node not in (spec.mn, spec.cn) or spec.number not in sent or spec.size is not None:
            continue
        answers = sent[spec.number].received_ns
        in_order = [answers[number] for number in sorted(answers)]
        silence_ns = longest(in_order, spec.transport == "tcp", since_ns, until_ns)
        found += [silence_ns] if silence_ns is not None else []
    return max(found) / 1e9 if found else None
