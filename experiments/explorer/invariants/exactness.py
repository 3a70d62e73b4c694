"""What no fault touches is as exact as without any."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from dmmlab.experiments.analysis.distance import Distances
from dmmlab.experiments.records.recording import Recording

_ALLOWED_MS = 0.001
_SHOWN = 3


def closed_forms(recording: Recording) -> Iterator[str]:
    """Every time that has a closed form is within a microsecond of it."""
    yield from map(str, islice(Distances.of([recording]).beyond(_ALLOWED_MS), _SHOWN))
