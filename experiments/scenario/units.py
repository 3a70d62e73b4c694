"""Quantities as people write them in a scenario: ``20ms``, ``10%``, ``100mbit``, ``5MB``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_NUMBER = re.compile(r"^\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*([a-zA-Zµ%]*)\s*$")
_DURATION_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
MOST_DURATION_S = 1e8  # three years: of what is longer nobody waits for the end, and its nanoseconds are no float's
_RATE_BPS = {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_SIZE_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 1024, "MiB": 1 << 20}


def _quantity(value: object, units: dict[str, float] | dict[str, int], example: str) -> float:
    match = _NUMBER.match(value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected a number with a unit ({', '.join(units)}), such as {example}; found {value!r}")
    number = float(match[1]) * units[match[2]]
    if number < 0:
        raise ValueError(f"must not be negative; found {value!r}")
    return round(number, 12)


def parse_duration(value: object) -> float:
    """Seconds in ``value``, such as ``20ms``; a bare number is taken for seconds only where it is 0.

    Raises ValueError with one sentence when the unit is missing or unknown, or the number is negative or too large.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return 0.0
    seconds = _quantity(value, _DURATION_S, "20ms")
    if seconds > MOST_DURATION_S:
        raise ValueError(f"must be {MOST_DURATION_S:.0f}s at most; found {value!r}")
    return seconds


def parse_share(value: object) -> float:
    """A share between 0 and 1, written ``10%`` or ``0.1``."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    else:
        share = _quantity(value, {"%": 0.01}, "10%")
    if not 0 <= share <= 1:
        raise ValueError(f"must lie between 0% and 100%; found {value!r}")
    return share


def parse_rate(value: object) -> float:
    """Bits per second in ``value``, such as ``100mbit``."""
    return _quantity(value, _RATE_BPS, "100mbit")


def parse_size(value: object) -> int:
    """Bytes in ``value``, such as ``5MB``."""
    return int(_quantity(value, _SIZE_BYTES, "5MB"))


def format_duration(seconds: float) -> str:
    """``seconds`` in the unit that reads best; `parse_duration` reads it back exactly."""
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.12g}s"
    return f"{seconds * 1e3:.12g}ms"


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)]
Share = Annotated[float, BeforeValidator(parse_share), PlainSerializer(lambda x: f"{x * 100:.10g}%", return_type=str)]
Rate = Annotated[float, BeforeValidator(parse_rate), PlainSerializer(lambda x: f"{x:.12g}bit", return_type=str)]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(lambda x: f"{x}B", return_type=str)]
