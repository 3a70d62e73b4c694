"""The registries of methods and selection policies, and what documents say of them."""

from __future__ import annotations

import re

import pytest

from dmmlab.experiments.methods import METHODS, NAMES, short
from dmmlab.experiments.methods.base import CN, MN, SERVICES, Method
from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.policies.base import Policy
from dmmlab.machine.sources import ROOT
from dmmlab.nodes.methods.base import load

METHODS_DOC, SCENARIOS_DOC = ((ROOT / "docs" / name).read_text() for name in ("methods.md", "scenarios.md"))


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: str(method.name))
def test_a_method_is_whole(method: Method) -> None:
    side = load(method.side)
    assert isinstance(side.asks, bool) and side.asks == bool(method.asks)
    assert set(method.needs) <= set(SERVICES)
    hosts = {end for trip in (*method.asks, *method.carries) for end in trip} - {CN, MN}
    assert hosts == set(method.needs), "it needs the hosts that its round trips go to"
    assert method.draft is None or method.draft.section in method.words
    least, most = method.signalling.messages
    assert 0 <= least <= most and bool(most) == bool(method.asks)


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: str(method.name))
def test_the_document_has_its_closed_form_and_its_place_in_the_draft(method: Method) -> None:
    row = re.search(rf"^\| `{method.name}`.*$", METHODS_DOC, re.MULTILINE)
    assert row is not None
    if method.draft is not None:
        assert f"{method.draft.section}, Figure {method.draft.figure}" in row[0]
    assert ("relay" in row[0]) == method.relayed
    assert f"`{method.name}`" in SCENARIOS_DOC


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: str(policy.name))
def test_a_policy_is_whole_and_documented(policy: Policy) -> None:
    made = load(policy.side)(**{name: str(parameter.default) for name, parameter in policy.parameters.items()})
    assert made.head_start_s is None or made.head_start_s >= 0
    assert all(f"`{name}`" in SCENARIOS_DOC for name in policy.parameters)
    assert f"`{policy.name}`" in SCENARIOS_DOC


def test_methods_are_told_apart_by_their_first_letters_or_by_one_more() -> None:
    for letters in (1, 2, 4):
        assert len({short(name, letters) for name in NAMES}) == len(NAMES)
    assert [short(name, 2) for name in NAMES] == ["fi", "dd", "p2", "ce", "co"]
