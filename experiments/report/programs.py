"""What the report shows of programs of one's own: how each ended, and goodput over time, with the moves."""

from __future__ import annotations

from html import escape
from typing import Any

from dmmlab.experiments.analysis import programs
from dmmlab.experiments.analysis.programs import Traffic
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import ProgramRow

_BIN_S = 0.1
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 860, 190, 56, 34, 24
_LEAST_BYTES = 2000  # of a picture's worth: a handshake is no transfer
_STEPS_S, _MOST_TICKS = (1, 2, 5, 10, 20, 60, 120, 300, 600, 3600), 12
_LINES = 6  # of what a program printed


def described(recording: Recording) -> dict[str, Any]:
    """``rows`` of programs, ``moves`` that they saw, and ``pictures`` (SVG) of those that were sent something."""
    return {
        "rows": [_row(recording, row) for row in recording.programs],
        "moves": [
            {
                "who": f"{row.session}, {row.role}",
                "mn": row.mn,
                "at": f"{row.detach_s:.3f}" if row.detach_s is not None else "",
                "silence": _number(row.longest_silence_s, 1e3, 3),
                "before": _number(row.before_mbps, 1, 3),
                "after": _number(row.after_mbps, 1, 3),
            }
            for row in recording.program_moves
        ],
        "pictures": [_picture(recording, row) for row in recording.programs if (row.bytes or 0) >= _LEAST_BYTES],
    }


def _row(recording: Recording, row: ProgramRow) -> dict[str, Any]:
    return {
        "session": row.session,
        "role": row.role,
        "node": row.node,
        "status": row.status,
        "bad": row.status not in ("0", "stopped"),
        "bytes": "" if row.bytes is None else f"{row.bytes:,}",
        "silence": _number(row.longest_silence_s, 1e3, 3),
        "goodput": _number(row.goodput_mbps, 1, 3),
        "output": row.output,
        "said": _last_lines(recording, row),
    }


def _number(value: float | None, times: float, places: int) -> str:
    return "" if value is None else f"{value * times:.{places}f}"


def _last_lines(recording: Recording, row: ProgramRow) -> str:
    """The end of what it printed, and of its errors."""
    if not row.output:
        return ""
    home = recording.run.log.resolve()  # a table that somebody else has written may name any file of this machine
    file = (recording.run.root / row.output).resolve()
    found = [path for path in (file, file.with_suffix(".err")) if path.parent == home and path.is_file()]
    lines = [line for path in found for line in path.read_text(errors="replace").splitlines()[-_LINES:]]
    return "\n".join(line[:160] for line in lines)


def _picture(recording: Recording, row: ProgramRow) -> str:
    """Goodput in tenths of a second; the times without a radio link are shaded."""
    (spec,) = [spec for spec in recording.specs if spec.name == row.session]
    rates = _rates(recording, programs.traffic_of(recording, spec, row.role))
    end_s, most = recording.scenario.duration, max(rate for _, rate in rates)

    def x(at_s: float) -> float:
        return _LEFT + at_s / end_s * (_WIDTH - _LEFT - 12)

    def y(rate: float) -> float:
        return _HEIGHT - _BOTTOM - rate / most * (_HEIGHT - _BOTTOM - _TOP)

    parts = [
        f'<rect class="gap" x="{x(move.at):.1f}" y="{_TOP}" width="{max(1.5, x(move.at + move.gap) - x(move.at)):.1f}" '
        f'height="{_HEIGHT - _BOTTOM - _TOP}"/>'
        for node in {spec.cn, spec.mn}
        for move in recording.scenario.moves_of(node)[1:]
    ]
    steps = " ".join(f"{x(at_s):.1f},{y(rate):.1f} {x(at_s + _BIN_S):.1f},{y(rate):.1f}" for at_s, rate in rates)
    parts.append(f'<polyline points="{steps}"/>')
    for rate in (0.0, most / 2, most):
        parts.append(f'<text x="{_LEFT - 6}" y="{y(rate) + 4:.1f}" text-anchor="end">{rate:.3g}</text>')
    step_s = next(step for step in _STEPS_S if end_s / step <= _MOST_TICKS or step == _STEPS_S[-1])
    for turn in range(int(end_s / step_s) + 1):
        at_s = turn * step_s
        parts.append(f'<text x="{x(at_s):.1f}" y="{_HEIGHT - 14}" text-anchor="middle">{at_s:.3g} s</text>')
    words = f"{row.session}: what reached the {row.role} at {row.node}, Mbit/s in tenths of a second"
    parts.append(f'<text class="title" x="{_LEFT}" y="15">{escape(words)}</text>')
    return (
        f'<svg class="goodput" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(words)}">{"".join(parts)}</svg>'
    )


def _rates(recording: Recording, traffic: Traffic) -> list[tuple[float, float]]:
    """Seconds since the start, and Mbit/s in the tenth of a second that begins then."""
    first_ns, last_ns = traffic.span_ns
    width_ns = round(_BIN_S * 1e9)
    begin = (first_ns - recording.start_ns) // width_ns
    count = (last_ns - recording.start_ns) // width_ns - begin + 1
    starts_ns = [recording.start_ns + (begin + turn) * width_ns for turn in range(count)]
    return [
        (recording.since_start(at_ns), traffic.bytes_in(at_ns, at_ns + width_ns) * 8 / _BIN_S / 1e6)
        for at_ns in starts_ns
    ]
