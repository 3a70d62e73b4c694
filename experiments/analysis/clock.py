"""Whether the machine kept time while a run went on in real time, judged by what `runner.clockwatch` saw beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from dmmlab.experiments.records.recording import Recording
from dmmlab.machine.events import CLOCKWATCH


@dataclass(frozen=True)
class Limits:
    """What a run may suffer: ticks' lateness (95th percentile; one second's worst), stolen time, paths' error, a set
    clock.
    """

    late_ms: float = 3.0
    worst_ms: float = 100.0
    steal: float = 0.02
    path_ms: float = 3.0
    set_ms: float = 1.0


LIMITS = Limits()


def problems(recording: Recording, limits: Limits = LIMITS) -> list[str]:
    """One sentence for each thing that makes a run in real time invalid; none for a run that was not watched."""
    events = [event for event in recording.events if event["source"] == CLOCKWATCH]
    seconds = [event for event in events if event["event"] == "second"]
    measured = [event for event in events if event["event"] == "path"]
    by_ms = [event["by_ms"] for event in events if event["event"] == "clock_set"]
    for step in (
        event for event in recording.events if event["event"] == "clock_stepped"
    ):  # by a fault of the scenario
        by_ms = sorted(by_ms, key=lambda each: abs(each - step["by_s"] * 1e3))
        by_ms = by_ms[1:] if by_ms and abs(by_ms[0] - step["by_s"] * 1e3) < limits.set_ms else by_ms
    return [*_wrong_time(seconds, limits), *_set(by_ms, limits), *_wrong_paths(measured, limits)]


def _set(by_ms: list[float], limits: Limits) -> Iterator[str]:
    """Captures are stamped by the machine's clock, and by nothing else it can be known when their packets were."""
    if far := [each for each in by_ms if abs(each) > limits.set_ms]:
        yield f"the machine's clock was set {len(far)} times meanwhile, at most by {max(far, key=abs):+.1f} ms"


def _wrong_time(seconds: Sequence[Mapping[str, Any]], limits: Limits) -> Iterator[str]:
    if not seconds:
        return
    late_ms = median(second["late_p95_ms"] for second in seconds)
    if late_ms > limits.late_ms:
        yield f"timers came {late_ms:.1f} ms late (p95 of a typical second); {limits.late_ms:g} ms are allowed"
    worst_ms = max(second["late_max_ms"] for second in seconds)
    if worst_ms > limits.worst_ms:
        yield f"the machine stood still for {worst_ms:.0f} ms; {limits.worst_ms:g} ms are allowed"
    steal = sum(second["steal"] for second in seconds) / len(seconds)
    if steal > limits.steal:
        yield f"{steal:.1%} of the processors' time was stolen by the hypervisor; {limits.steal:.0%} are allowed"


def _wrong_paths(measured: Sequence[Mapping[str, Any]], limits: Limits) -> Iterator[str]:
    for when in ("before", "after"):
        here = [event for event in measured if event["when"] == when]
        silent = [event["path"] for event in here if event["rtt_ms"] is None]
        if silent:
            yield f"{when} the run no echo was answered on {len(silent)} of {len(here)} paths: {', '.join(silent)}"
        off = {event["path"]: event for event in here if event["rtt_ms"] is not None}
        off = {
            name: event for name, event in off.items() if _off_ms(event) > limits.path_ms + event.get("jitter_ms", 0.0)
        }
        if off:
            worst = max(off.values(), key=_off_ms)
            yield (
                f"{when} the run {len(off)} of {len(here)} paths were over {limits.path_ms:g} ms off; the worst is "
                f"{worst['path']} with {worst['rtt_ms']:.1f} ms instead of {worst['expected_ms']:g}"
            )


def _off_ms(event: Mapping[str, Any]) -> float:
    return float(abs(event["rtt_ms"] - event["expected_ms"]))
