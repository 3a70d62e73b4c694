"""What a run measured against its closed forms: a silence that is longer than it must be is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import figures_fake
import pytest
from recorded_run import Recorded, scenario

from dmmlab.experiments.analysis.distance import Distances
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.records import rows
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import HandoverRow, ProbeRow, SessionRow
from dmmlab.experiments.scenario.load import load

SILENT_S = 0.088  # worked out by hand in tests/experiments/oracle/test_silence.py


def recorded(folder: Path, late_s: float, **keys: Any) -> Recording:
    """MN1 moves at 10 s; the first answer to a probe from CN1 that it has at MR2 comes ``late_s`` late."""
    probing = {"name": "S", "at": "4.006s", "from": "CN1", "to": "MN1", "interval": "20ms", "duration": "10s"}
    of = Recorded(folder, scenario(sessions=[probing], **keys))
    run = of.write()
    probes = []
    for number in range(500):
        sent_s = round(4.006 + number * 0.02, 9)
        rtt_s = 0.034 if sent_s < 9.97 else None if sent_s < 10.04 else 0.042 + (late_s if sent_s < 10.05 else 0)
        received_s = None if rtt_s is None else round(sent_s + rtt_s, 9)
        probe: dict[str, Any] = {"received_s": received_s, "rtt_ms": None if rtt_s is None else rtt_s * 1e3}
        probes.append(ProbeRow(session="S", seq=number, sent_s=sent_s, **probe))
    session: dict[str, Any] = {
        "session": "S",
        "method": "fixed",
        "transport": "udp",
        "cn": "CN1",
        "mn": "MN1",
        "anchor": "MR1",
    }
    times: dict[str, Any] = {"start_s": 4.006, "lookup_ms": 0.0, "connect_ms": 34.0, "setup_ms": 34.0, "outcome": "ok"}
    silence: dict[str, Any] = {"longest_silence_s": SILENT_S + late_s, "lost_packets": 3}
    rows.write(run.sessions, SessionRow, [SessionRow(**session, **times)])
    rows.write(run.probes, ProbeRow, probes)
    rows.write(run.handovers, HandoverRow, [HandoverRow(mn="MN1", from_mr="MR1", to_mr="MR2", **silence)])
    run.events.touch()
    of.finish()
    return Recording(run)


def test_silences_are_held_against_their_closed_forms(tmp_path: Path) -> None:
    found = Distances.of([recorded(tmp_path, 0.0)])
    assert [one.expected_ms for one in found.silences] == [pytest.approx(88)] * 2, "of the session, of the node"
    assert found.beyond(1e-3) == []
    assert found.kinds == "break before make: 1, 2 silences"
    assert "2 longest silences in 1 handovers" in str(Distances.together([found]))


def test_a_silence_that_is_two_microseconds_longer_is_found(tmp_path: Path) -> None:
    wrong = Distances.of([recorded(tmp_path, 2e-6)]).beyond(1e-3)
    assert [str(one) for one in wrong if "silence" in one.what] == [
        "recorded: session S: silence in MN1's move at 10 s (break before make): measured 88.002000 ms, "
        "expected 88.000000 ms, apart +0.002000 ms",
        "recorded: MN1's longest silence in the move at 10 s (break before make): measured 88.002000 ms, "
        "expected 88.000000 ms, apart +0.002000 ms",
    ]


def test_a_handover_has_its_kind(tmp_path: Path) -> None:
    links = [link.model_dump(mode="json", exclude_none=True) for link in scenario().links]
    slow = [*links, {"between": ["radio", "MN1"], "at": "MR2", "delay": "20ms"}]
    overlap = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2", "overlap": "1s"}]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"handover": {"announce": "50ms"}}, "announced"),
        ({"handover": {"buffer": True}}, "buffered"),
        ({"handover": {"announce": "50ms", "buffer": True}, "links": slow}, "announced and buffered, vertical"),
        ({"movement": overlap}, "make before break"),
    ]
    for number, (keys, kind) in enumerate(cases):
        assert Distances.of([recorded(tmp_path / str(number), 0.0, **keys)]).handovers == (kind,)


def test_a_session_that_was_tried_again_is_held_against_its_closed_form_as_any_other(tmp_path: Path) -> None:
    """Opened while the node moves, nobody answers at first: when it is tried again, and answered, follows."""
    (scenario,) = [one for one in FIGURES["F15"].scenarios(load) if not one.redirects]
    found = Distances.of([recording := Recording(figures_fake.make(scenario, tmp_path / "exact"))])
    again = [one.row for one in recording.sessions if one.row.outcome == "retried" and recording.expected(one)]
    assert len(again) > 10
    assert found.beyond(1e-3) == []
    late = Distances.of([Recording(figures_fake.make(scenario, tmp_path / "late", off_ms=0.002))])
    off = {one.what.split()[2] for one in late.beyond(1e-3) if "set-up" in one.what}
    assert {row.session for row in again} <= off
