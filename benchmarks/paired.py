"""How subjects are called that compare checkouts: each checkout's interpreter in turn, in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks import tables


def main(about: str | None, measure: Callable[[], Mapping[str, float]], compare: Callable[[Sequence[str]], str]) -> int:
    """Measures and prints; with interpreters of other checkouts' environments, each in turn. Returns exit status 0."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    options = parser.parse_args()
    sys.stdout.write(compare(options.pythons) if options.pythons else tables.listing(measure()))
    return 0
