"""What was measured before: entries of a history file (JSON Lines), and what got worse since.

An entry is one subject measured once: ``subject``, ``date`` (ISO 8601, UTC), ``commit``, ``kernel`` (the guest's,
version and recipe), ``machine`` (processor, digest of its features, their number) and ``figures``, a number by name.
Machines of one kind have the same ``machine``. Less is better, but for figures whose names end as `MORE_IS_BETTER`
says; a distance (an error) counts without its sign.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

MORE_IS_BETTER = ("_per_s", "_times_real")
# How much worse is worse: what is counted is all but the same each time, what is timed is not.
COUNTED, COUNTED_THRESHOLD, TIMED_THRESHOLD = "traps", 0.02, 0.15
UNITS = ("ms", "us", "ns", "s", "mb", "kb", "bytes")

Entry = dict[str, Any]


class Change(NamedTuple):
    """A figure now and in the entry before (None: it had no such figure)."""

    name: str
    now: float
    before: float | None

    @property
    def share(self) -> float | None:
        """By how much it is more than before (0.1: a tenth); None if that has no number."""
        return None if not self.before else abs(self.now) / abs(self.before) - 1

    @property
    def worse(self) -> bool:
        """Whether it got worse by more than its threshold."""
        if self.before is None:
            return False
        good, bad = sorted((abs(self.now), abs(self.before)))
        if self.name.endswith(MORE_IS_BETTER) == (abs(self.now) >= abs(self.before)):
            return False
        return bad > good * (1 + (COUNTED_THRESHOLD if COUNTED in self.name else TIMED_THRESHOLD))

    def sentence(self, subject: str) -> str:
        """What to say of one that got worse."""
        by = "" if self.share is None else f" ({self.share:+.0%})".replace("%", " %")
        assert self.before is not None
        unit = self.name.rpartition("_")[2]
        unit = "/s" if self.name.endswith("_per_s") else f" {unit}" if unit in UNITS else ""
        return f"{subject} {self.name} got worse: {self.before:g}{unit} -> {self.now:g}{unit}{by}"


def measured(subject: Any) -> dict[str, float]:
    """The figures of a subject: of its ``measure()``, or of ``measure(*size)`` for each of its ``SIZES``."""
    if not hasattr(subject, "SIZES"):
        return flat(subject.measure())
    return flat({"/".join(map(str, size)): subject.measure(*size) for size in subject.SIZES})


def flat(figures: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Every number in ``figures``, nested as they may be, by its path with dots; what is no number is left out."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{name}.")
        elif isinstance(value, int | float):
            found[f"{above}{name}"] = value
    return found


def read(files: Iterable[Path]) -> Iterator[Entry]:
    """The entries of all ``files`` that are there, one file after the other."""
    for file in files:
        if file.exists():
            yield from (json.loads(line) for line in file.read_text().splitlines() if line)


def append(file: Path, entry: Entry) -> None:
    """Puts ``entry`` last."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as history:
        history.write(json.dumps(entry) + "\n")


def last(entries: Iterable[Entry], subject: str, machine: Mapping[str, Any]) -> Entry | None:
    """The latest of ``entries`` of ``subject`` on a machine of this kind, by its date."""
    same = [entry for entry in entries if entry["subject"] == subject and entry["machine"] == machine]
    return max(same, key=lambda entry: str(entry["date"]), default=None)


def changes(now: Mapping[str, float], before: Entry | None) -> list[Change]:
    """Each figure of ``now``, beside what it was."""
    old = {} if before is None else before["figures"]
    return [Change(name, value, old.get(name)) for name, value in now.items()]


def worse(found: Sequence[Change], noisy: Collection[str] = ()) -> list[Change]:
    """Those that got worse, but for figures whose names hold one of ``noisy``: chance decides them."""
    return [change for change in found if change.worse and not any(part in change.name for part in noisy)]
