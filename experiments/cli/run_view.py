"""What came out of a run as a person reads it: sessions beside their closed forms, handovers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from dmmlab.experiments.cli.console import table
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import HandoverRow, SessionRow
from dmmlab.experiments.records.rows import columns as columns_of


def show(title: str, recording: Recording) -> None:
    """What came out of a run: its sessions beside the closed form, and its handovers.

    Sessions of one entry, method, transport, path and closed form share a line, with their medians.
    """
    groups: dict[tuple[str, str, str, str, str, float | None], list[SessionRow]] = {}
    for row in recording.session_rows:
        key = (row.session.split(".")[0], row.method, row.transport, row.path, row.outcome, row.expected_setup_ms)
        groups.setdefault(key, []).append(row)
    rtts: dict[str, list[float | None]] = {}
    for probe in recording.probe_rows:
        rtts.setdefault(probe.session, []).append(probe.rtt_ms)
    shown = []
    for (entry, method, transport, path, outcome, expected), group in groups.items():
        delays = [_median([getattr(row, key) for row in group]) for key in ("lookup_ms", "connect_ms", "setup_ms")]
        rtt = _median([value for row in group for value in rtts.get(row.session, [])])
        shown.append((entry, method, transport, str(len(group)), *delays, _short(expected), rtt, path, outcome))
    columns = ["session", "method", "transport", "n", "lookup ms", "connect ms", "set-up ms", "expected ms", "rtt ms"]
    table(f"{title}: sessions (medians)", [*columns, "path", "outcome"], shown)
    if recording.programs:
        heads = ["session", "role", "node", "status", "bytes", "longest silence s", "goodput Mbit/s", "output"]
        kept = [head.replace(" ", "_").replace("goodput_Mbit/s", "goodput_mbps") for head in heads]
        cells = [[_short(getattr(row, name)) for name in kept] for row in recording.programs]
        table(f"{title}: programs", heads, cells)
    if recording.handovers:
        names = columns_of(HandoverRow)
        heads = [name.replace("_s", " s").replace("_", " ") for name in names]
        cells = [[_short(getattr(row, name)) for name in names] for row in recording.handovers]
        table(f"{title}: handovers", heads, cells)


def _median(values: Sequence[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    return f"{median(numbers):.3f}" if numbers else ""


def _short(value: object) -> str:
    """The files have all digits; here, three."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
