"""netem's message: what a plain wire never had in it, and how a fault's numbers are spelled."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from dmmlab.experiments.runner.faults import disturbed
from dmmlab.experiments.scenario.faults import Fault
from dmmlab.topologies import netem
from dmmlab.topologies.plan import Wire

PLAIN = Wire(delay_s=0.010)


def attributes(wire: Wire, corrupts: bool = False) -> dict[str, object]:
    return dict(netem.options(wire, "chance", corrupts)["attrs"])


def test_a_plain_wire_is_told_its_delay_and_nothing_of_disorder() -> None:
    assert attributes(PLAIN) == {"TCA_NETEM_LATENCY64": 10_000_000, "TCA_NETEM_JITTER64": 0}


def test_bursts_begin_and_end_so_that_the_share_lost_and_their_length_are_right() -> None:
    model = attributes(replace(PLAIN, loss=0.3, burst=3.0))["TCA_NETEM_LOSS"]
    assert isinstance(model, bytes)
    length, kind, begins, ends, *rest = struct.unpack("=HH4I", model)
    begins, ends = begins / 0xFFFFFFFF, ends / 0xFFFFFFFF
    assert (length, kind, rest) == (20, 2, [0, 0])
    assert 1 / ends == pytest.approx(3) and begins / (begins + ends) == pytest.approx(0.3)


def test_what_corrupted_is_told_to_stop() -> None:
    assert "TCA_NETEM_CORRUPT" not in attributes(PLAIN)
    assert attributes(PLAIN, corrupts=True)["TCA_NETEM_CORRUPT"] == {"prob_corrupt": 0, "corr_corrupt": 0}


def test_a_cut_loses_all_and_an_impairment_adds_to_what_the_link_does() -> None:
    times = {"at": "1s", "for": "1s"}
    cut = Fault.model_validate({**times, "partition": ["CN1", "CORE"]})
    assert disturbed(cut, PLAIN) == Wire(delay_s=0.010, loss=1.0)
    worse = {"between": ["CN1", "CORE"], "loss": "50%", "delay": "5ms"}
    impaired = disturbed(Fault.model_validate({**times, "impair": worse}), replace(PLAIN, loss=0.5))
    assert impaired.delay_s == pytest.approx(0.015) and impaired.loss == pytest.approx(0.75)
