"""What becomes of a session that is opened while its node moves: two-mr, whose node moves at 10 s for 50 ms."""

from __future__ import annotations

import pytest

from dmmlab.experiments.oracle.blind import Answer, Blind, follows
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.sessions import sessions_of


def answer(method: str, opened_s: float, redirect: bool = True) -> Answer | None:
    entry = {"name": "S", "at": f"{opened_s}s", "from": "CN3", "to": "MN1", "method": method, "transport": "udp"}
    made = load("two-mr", {"sessions": [entry], "redirect": redirect})
    (session,) = sessions_of(made)
    return Blind(made).of(session)


@pytest.mark.parametrize(
    ("method", "opened_s", "redirect", "setup_ms", "attempts", "anchor"),
    [
        ("p2p", 9.0, True, 84, 1, "MR1"),  # as ever
        ("p2p", 12.0, True, 84, 1, "MR2"),
        ("p2p", 10.02, True, 92, 1, "MR1"),  # stale, by the redirect
        ("p2p", 9.96, True, 1142, 2, "MR1"),  # sent into the gap; then the next address of two
        ("p2p", 10.02, False, 2184, 3, "MR2"),  # the next address is the old one
        ("ddns", 10.02, False, None, 3, "MR1"),  # the resolver remembers what is wrong
        ("ddns", 10.02, True, 96, 1, "MR1"),
        ("fixed", 10.02, True, 6042, 2, "MR1"),  # nobody to ask: it waits for 5 s more
        ("fixed", 10.02, False, None, 3, "MR1"),
        ("combined", 9.97, True, 217, 1, "MR2"),  # the server asks again when the node registers, 10.084 s
        ("combined", 10.0, False, 187, 1, "MR2"),
        ("combined", 9.9, True, 1230, 2, "MR1"),  # answered before the move, opened into the gap
        ("central", 9.97, True, 277, 1, "MR2"),
    ],
)
def test_a_session(
    method: str, opened_s: float, redirect: bool, setup_ms: float | None, attempts: int, anchor: str
) -> None:
    found = answer(method, opened_s, redirect)
    assert found is not None
    assert (found.attempts, found.anchor) == (attempts, anchor)
    assert found.setup_s == (None if setup_ms is None else pytest.approx(setup_ms / 1e3, abs=1e-9))


def test_a_packet_that_meets_a_switch_as_its_rules_change_has_no_closed_form() -> None:
    assert answer("fixed", 10.042) is None, "it passes the anchor 3 ms after the redirect came into force"


def test_an_answer_that_was_lost_is_repeated_as_it_was() -> None:
    """The node had the question a millisecond before its link went: what it said then is an old address."""
    found = answer("combined", 9.952)
    assert found is not None
    assert found.anchor == "MR1"


def test_a_far_server_knows_of_a_move_by_when_the_question_is_there() -> None:
    """310 ms away from who asks: what it says at 10.43 s is of a move that had not ended for it when it was asked."""
    links = load("two-mr").model_dump(mode="json", by_alias=True)["links"]
    for link in links:
        if "SERVER" in link["between"]:
            link["delay"] = "300ms"
    entry = {"name": "S", "at": "10.12s", "from": "CN3", "to": "MN1", "method": "p2p", "transport": "udp"}
    made = load("two-mr", {"sessions": [entry], "links": links})
    found = Blind(made).of(sessions_of(made)[0])
    assert found is not None and (found.setup_s, found.lookup_s) == pytest.approx((0.654, 0.62))
    assert found.anchor == "MR2"


@pytest.mark.parametrize(
    "keys",
    [
        {"addresses": {"keep": "5s"}},
        {"handover": {"announce": "100ms"}},
        {"family": "ipv6"},
        {"registration": {"update": "lazy"}},
        {"transport": "tcp"},
        {"interval": "20ms", "duration": "1s"},
    ],
)
def test_what_has_keys_that_could_change_anything_is_not_followed(keys: dict[str, object]) -> None:
    entry = {"name": "S", "at": "9s", "from": "CN3", "to": "MN1", "method": "p2p", "transport": "udp"}
    assert follows(load("two-mr", {"sessions": [entry]}))
    own = {name: keys[name] for name in keys if name in ("transport", "interval", "duration")}
    assert not follows(load("two-mr", {"sessions": [entry | own], **{k: v for k, v in keys.items() if k not in own}}))
