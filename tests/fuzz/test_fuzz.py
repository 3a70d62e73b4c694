"""A little of what ``make test-fuzz`` does for long: each target on its corpus and some mutations of it."""

from __future__ import annotations

import random

import pytest
from fuzz_server import Stepper
from fuzz_targets import TARGETS, corpus, mutated

MANY = {"scenario": 60, "run_directory": 60, "capture": 100, "controller": 500}


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_read_or_refused(name: str) -> None:
    rng, examples = random.Random(1), corpus(name)
    assert len(examples) >= 2
    for data in examples:
        TARGETS[name](data)
    for _ in range(MANY.get(name, 5_000)):
        TARGETS[name](mutated(rng, examples, name))


def test_no_order_of_messages_breaks_the_server() -> None:
    reached = set[str]()
    for seed in range(4):
        stepper = Stepper(seed)
        for _ in range(1000):
            stepper.step()
            reached |= {"legs"} if any(len(s.legs) > 1 for s in stepper.core.requests.sessions.values()) else set()
            reached |= {"waiting"} if stepper.core.requests._pending else set()
            reached |= {"bound"} if all(record.binding for record in stepper.core.records.values()) else set()
    assert reached == {"legs", "waiting", "bound"}, "the steps reach too little"
