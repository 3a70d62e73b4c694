"""What of a stream a program can have, and when it had nothing."""

from __future__ import annotations

from dmmlab.experiments.analysis.programs import Traffic, _Stream


def test_of_a_stream_what_lies_beyond_a_gap_counts_when_that_is_filled() -> None:
    stream = _Stream()
    assert [stream.add(*segment) for segment in ((100, 10), (120, 10), (110, 5), (110, 10), (100, 30))] == [
        10,
        0,
        5,
        15,
        0,
    ]


def test_a_sequence_number_goes_round() -> None:
    stream = _Stream()
    assert [stream.add(sequence, 16) for sequence in (2**32 - 16, 0, 2**32 - 16, 16)] == [16, 16, 0, 16]


def test_a_silence_ends_with_news_or_with_what_was_sent_in_vain() -> None:
    traffic = Traffic(((1000, 10), (1500, 0), (3000, 10)), sent_ns=9000)
    assert list(traffic.silences_ns()) == [(1000, 2000), (3000, 6000)]
    assert traffic.bytes_in(1000, 3000) == 10
    assert list(Traffic((), 5).silences_ns()) == []
