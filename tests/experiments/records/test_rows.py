"""Rows are what the CSV says, and the CSV is the same to the byte whoever wrote the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dmmlab.experiments.records import frames, rows
from dmmlab.experiments.records.rows import HandoverRow, ProbeRow, SessionRow, SignallingRow
from dmmlab.experiments.records.rundir import RunDirectory

PROBES = [
    ProbeRow(session="P1", seq=0, sent_s=2.0, received_s=2.034000001, rtt_ms=34.000001),
    ProbeRow(session="P1", seq=1, sent_s=-0.5),
    ProbeRow(session="P1", seq=2),
]
HANDOVER = HandoverRow(mn="MN1", from_mr="MR1", to_mr="MR2", detach_s=10.0, attach_s=10.05, lost_packets=3)
MESSAGE = SignallingRow(time_s=1e-9, protocol="dns", source="CN1", destination="DDNS", message="a, b", bytes=60)


def test_seconds_have_nine_digits_and_milliseconds_six(tmp_path: Path) -> None:
    rows.write(tmp_path / "probes.csv", ProbeRow, PROBES)
    assert (tmp_path / "probes.csv").read_text() == (
        "session,seq,sent_s,received_s,rtt_ms\nP1,0,2.000000000,2.034000001,34.000001\nP1,1,-0.500000000,,\nP1,2,,,\n"
    )


@pytest.mark.parametrize(
    ("table", "written"),
    [
        (SessionRow, [SessionRow(session="P1", method="p2p", start_s=2.0, setup_ms=84.0, path="direct", outcome="ok")]),
        (ProbeRow, PROBES),
        (HandoverRow, [HANDOVER]),
        (SignallingRow, [MESSAGE]),
    ],
)
def test_what_was_written_is_read(tmp_path: Path, table: Any, written: list[Any]) -> None:
    rows.write(tmp_path / "x.csv", table, written)
    assert rows.read(tmp_path / "x.csv", table) == written


def test_a_table_that_a_run_lacks_has_no_rows_and_a_column_that_it_lacks_is_empty(tmp_path: Path) -> None:
    assert rows.read(tmp_path / "none.csv", ProbeRow) == []
    (tmp_path / "old.csv").write_text("session,seq\nP1,4\n")
    assert rows.read(tmp_path / "old.csv", ProbeRow) == [ProbeRow(session="P1", seq=4)]


def test_a_number_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("session,seq,sent_s\nP1,4,soon\n")
    with pytest.raises(ValueError, match="soon"):
        rows.read(tmp_path / "bad.csv", ProbeRow)


def test_the_contract_s_columns_are_there_in_its_order() -> None:
    """Other people's scripts read these by name or by place: columns may be added at the end only."""
    promised = {
        SessionRow: "session,method,transport,cn,mn,start_s,lookup_ms,connect_ms,setup_ms,expected_setup_ms,"
        "address,anchor,serving,path,outcome",
        ProbeRow: "session,seq,sent_s,received_s,rtt_ms",
        HandoverRow: "mn,from_mr,to_mr,detach_s,attach_s,address_s,redirect_s,registered_s,first_packet_s,lost_packets",
        SignallingRow: "time_s,protocol,source,destination,message,bytes,cause",
    }
    for table, columns in promised.items():
        assert ",".join(rows.columns(table)).startswith(columns)


def test_frames_have_the_types_of_the_rows(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    rows.write(run.probes, ProbeRow, PROBES[2:])
    rows.write(run.signalling, SignallingRow, [MESSAGE])
    probes, signalling = frames._table([run], ProbeRow), frames._table([run], SignallingRow)
    assert pd.api.types.is_float_dtype(probes.rtt_ms) and pd.api.types.is_integer_dtype(probes.seq)
    assert pd.api.types.is_string_dtype(signalling.cause) and pd.api.types.is_integer_dtype(signalling.bytes)
