"""Rows are what the CSV says, and the CSV is the same to the byte whoever wrote the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dmmlab.experiments.records import frames, rows
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rows import HandoverRow, ProbeRow, SessionRow, SignallingRow
from dmmlab.experiments.records.rundir import RunDirectory, write_csv

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


PROMISED: dict[type[Any], str] = {
    SessionRow: "session,method,transport,cn,mn,start_s,lookup_ms,connect_ms,setup_ms,expected_setup_ms,"
    "address,anchor,serving,path,outcome",
    ProbeRow: "session,seq,sent_s,received_s,rtt_ms",
    HandoverRow: "mn,from_mr,to_mr,detach_s,attach_s,address_s,redirect_s,registered_s,first_packet_s,lost_packets",
    SignallingRow: "time_s,protocol,source,destination,message,bytes,cause",
}


def test_the_contract_s_columns_are_there_in_its_order() -> None:
    """Other people's scripts read these by name or by place: columns may be added at the end only."""
    for table, columns in PROMISED.items():
        assert ",".join(rows.columns(table)).startswith(columns)


@pytest.mark.parametrize("table", PROMISED)
def test_a_table_of_the_first_version_is_read_and_one_that_lacks_a_column_of_it_is_not(
    tmp_path: Path, table: type[Any]
) -> None:
    file, columns = tmp_path / table.FILE, PROMISED[table].split(",")
    assert rows.read(file, table) == []
    counts = [name for name, kind in rows.kinds(table).items() if kind is int and name in columns]
    write_csv(file, columns, [dict.fromkeys(counts, 4)])
    assert rows.read(file, table) == [table(**dict.fromkeys(counts, 4))]
    for lacking in columns:
        write_csv(file, [name for name in columns if name != lacking], [])
        with pytest.raises(RunDirectoryError, match=f"{table.FILE}: not what a run writes: it lacks .*'{lacking}'"):
            rows.read(file, table)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not name the columns"),
        ("session,session,seq,sent_s,received_s,rtt_ms\n", "does not name the columns"),
        ("session,seq,sent_s,received_s,rtt_ms\nP1,4,soon,,\n", "row 1: sent_s: 'soon' is no number"),
        ("session,seq,sent_s,received_s,rtt_ms\nP1,,1.0,,\n", "row 1: seq is empty"),
        ("session,seq,sent_s,received_s,rtt_ms\nP1,0,1.0,1.1,100\nP1,1,1.", "line 3 has 3 cells of 5"),
        ("session,seq,sent_s,received_s,rtt_ms\nP1,0,1.0,1.1,10", "it ends within line 2"),
        ("session,seq,sent_s,received_s,rtt_ms\nP1,0,1.0,1.1,10,7\n", "line 2 has 6 cells of 5"),
        ('session,seq,sent_s,received_s,rtt_ms\n"P1,0,1.0,1.1,10\n', "line 2: unexpected end"),
    ],
)
def test_a_table_that_is_damaged_or_cut_is_a_sentence_that_says_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "probes.csv").write_text(text)
    with pytest.raises(RunDirectoryError, match=r"probes\.csv: not what a run writes: ") as refused:
        rows.read(tmp_path / "probes.csv", ProbeRow)
    assert words in str(refused.value)


def test_frames_have_the_types_of_the_rows(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    rows.write(run.probes, ProbeRow, PROBES[2:])
    rows.write(run.signalling, SignallingRow, [MESSAGE])
    probes, signalling = frames._table([run], ProbeRow), frames._table([run], SignallingRow)
    assert pd.api.types.is_float_dtype(probes.rtt_ms) and pd.api.types.is_integer_dtype(probes.seq)
    assert pd.api.types.is_string_dtype(signalling.cause) and pd.api.types.is_integer_dtype(signalling.bytes)
