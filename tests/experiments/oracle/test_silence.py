"""The longest silence of a user, worked out by hand for each kind of handover."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from dmmlab.experiments.oracle.silence import answers_s, longest_silence_s
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import sessions_of

# two-mr: radio 2 ms, control 1 ms, MR1-MR2 4 ms, CN1 to the access switch 15 ms. MN1 moves at 10 s.


def scenario(at: str = "4006ms", link: dict[str, str] | None = None, **keys: Any) -> Scenario:
    """Probes every 20 ms that pass MR1 at 1 ms (mod 20), unless ``at`` says otherwise."""
    movement = [
        {"at": "0s", "node": "MN1", "to": "MR1"},
        {"at": "10s", "node": "MN1", "to": "MR2", **(link or {"gap": "50ms"})},
    ]
    ends = {"from": keys.pop("opener", "CN1"), "to": keys.pop("opened", "MN1")}
    probes = {"interval": "20ms", "duration": "10s", "transport": ["udp", "tcp"]}
    return load("two-mr", {"movement": movement, "sessions": [{"name": "S", "at": at, **ends, **probes}], **keys})


def silence_ms(of: Scenario, transport: str = "udp") -> float | None:
    session = next(one for one in sessions_of(of) if one.transport == transport)
    found_s = longest_silence_s(of, session, 1)
    return None if found_s is None else round(found_s * 1e3, 6)


def lost(of: Scenario) -> int:
    answers = answers_s(of, next(iter(sessions_of(of))))
    assert answers is not None
    return answers.count(None)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_break_before_make(family: str) -> None:
    """The last answered passes at 9.981 and is back at 10.000 s; the redirect is in force at 10.054, the next passes at
    10.061 and is back 27 ms later.
    """
    of = scenario(family=family)
    assert silence_ms(of) == 88
    assert lost(of) == 3


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_stream_goes_on_when_it_learns_of_the_loss(family: str) -> None:
    """What is sent at 10.046 is the first to arrive, at 10.067; at 10.088 the sender knows, sends the three before it
    again, and has the answer 42 ms later.
    """
    assert silence_ms(scenario(family=family), "tcp") == 130


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_stream_that_has_lost_all_goes_on_by_its_timer(family: str) -> None:
    """Ten segments from 9.986 to 10.166; the loss probe when the timer of the first would run out, at 10.23; that again
    250 ms later; and at 10.97, which is the first after 10.202 s at the anchor.
    """
    assert silence_ms(scenario(family=family, link={"gap": "500ms"}), "tcp") == 1012


def test_probes_that_were_due_while_a_stream_was_opened_fill_its_window() -> None:
    """Opened from 4.006 to 4.04 s: six probes are due, and go at once; four more, until 4.06, may be sent before the
    first is answered at 4.074. Those of 4.066 and 4.072 wait, and the next may go with them.
    """
    probes = {"name": "S", "at": "4006ms", "from": "CN1", "to": "MN1", "interval": "6ms", "duration": "5s"}
    of = load("two-mr", {"sessions": [{**probes, "transport": ["tcp"]}]})
    answers = answers_s(of, next(iter(sessions_of(of))))
    assert answers is not None
    known = [answer is not None and not isnan(answer) for answer in answers]
    assert known.index(False) == 10
    assert all(known[known.index(True, 10) :])
    assert [round(answer, 6) for answer in answers[:10] if answer] == [4.074] * 6 + [4.076, 4.082, 4.088, 4.094]


def test_announced_the_gap_alone_counts() -> None:
    """The redirect is in force at 10.002; what passes at 10.061 is the first that finds a link, as without."""
    assert silence_ms(scenario(handover={"announce": "50ms"})) == 88
    assert silence_ms(scenario(link={"gap": "64ms"})) == 108, "passes at 10.081: at 10.061 there is no redirect"
    assert silence_ms(scenario(link={"gap": "64ms"}, handover={"announce": "50ms"})) == 88


def test_buffered() -> None:
    """Kept from 10.002; delivered at 10.062, 27 ms before the answer. What passed at 10.001 is lost."""
    of = scenario(handover={"buffer": True})
    assert silence_ms(of) == 89
    assert lost(of) == 1


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_announced_and_buffered_nothing_is_lost(family: str, transport: str) -> None:
    """Kept from 9.954; what passed at 9.941 is back at 9.960; delivered at 10.054, and back at 10.081.

    In IPv4 it comes, at 10.060, when the node has an address and asks for its router until 10.062.
    """
    of = scenario(family=family, handover={"announce": "50ms", "buffer": True})
    assert silence_ms(of, transport) == {"ipv4": 123, "ipv6": 121}[family]
    assert lost(of) == 0


def test_announced_too_late_what_is_under_way_is_lost() -> None:
    """Kept from 9.9995: what passed at 9.997 would have to be answered over a link that is gone."""
    assert lost(scenario(at="4002ms", handover={"announce": "4.5ms", "buffer": True})) == 1
    assert lost(scenario(at="4002ms", handover={"announce": "10ms", "buffer": True})) == 0


def test_make_before_break_costs_the_longer_way_once() -> None:
    of = scenario(link={"overlap": "200ms"})
    assert (silence_ms(of), lost(of)) == (28, 0)


def test_an_overlap_that_is_too_short_loses_what_was_sent_to_the_old_link() -> None:
    """The old link is gone at 10.002, the redirect in force at 10.004."""
    assert lost(scenario(link={"overlap": "2ms"})) == 1


def test_a_vertical_handover_takes_the_radio_of_the_new_place() -> None:
    links = load("two-mr").model_dump(by_alias=True)["links"]
    slow = [*links, {"between": ["radio", "MN1"], "at": "MR2", "delay": "20ms"}]
    of = scenario(link={"overlap": "200ms"}, links=slow)
    # By the redirect from 10.022: what passes at 10.041 comes at 10.065 s, before there is a new address (10.080), so
    # the answer takes the old link: 10.082; the next comes at 10.085, and its answer waits for an ARP (10.120).
    assert lost(of) == 0
    session = next(iter(sessions_of(of)))
    answers = answers_s(of, session)
    assert answers is not None
    came = [round(answer, 6) for answer in answers[300:304] if answer is not None]
    assert came == [10.04, 10.082, 10.159, 10.159]


def test_a_session_of_the_nodes_own_sends_nothing_without_a_link() -> None:
    of = scenario(opener="MN1", opened="CN2", at="4.0075s", handover={"buffer": True})
    answers = answers_s(of, next(iter(sessions_of(of))))
    assert answers is not None
    # What is sent at 9.9675 is answered too late for the old link, what is sent at 9.9875 late enough to be kept; at
    # 10.0075, 10.0275 and 10.0475 nothing can be sent.
    assert [answer is None for answer in answers[298:305]] == [True, False, True, True, True, False, False]


@pytest.mark.parametrize(("family", "last_s"), [("ipv4", 10.526), ("ipv6", 10.466)])
def test_an_address_that_is_dropped_is_not_answered_any_more(family: str, last_s: float) -> None:
    """In IPv4 at 10.558, half a second after the next lease; in IPv6 at 10.5. What CN1 sends is there after 21 ms."""
    of = scenario(family=family, addresses={"keep": "500ms"})
    assert silence_ms(of) == 88
    answers = answers_s(of, next(iter(sessions_of(of))))
    assert answers is not None
    sent = [round(4.006 + number * 0.02, 9) for number, answer in enumerate(answers) if answer is not None]
    assert sent[-1] == last_s
    back = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2"}]
    back.append({"at": "13s", "node": "MN1", "to": "MR1"})
    assert silence_ms(scenario(family=family, addresses={"keep": "500ms"}, movement=back)) is None, "who asks for it?"


def test_what_waits_for_a_router_that_does_not_answer_holds_up_a_stream() -> None:
    """MN1 is at MR2 from 10.05 s, has its address at 10.058 and its router's MAC at 10.062. If it leaves just before
    that, its kernel holds what is sent at 10.063 without a link; TCP sends nothing again that the kernel holds.
    """

    def answers(leaves: str, transport: str, *more: dict[str, str]) -> list[float | None]:
        stays = [("0s", "MR1", "0s"), ("10s", "MR2", "50ms"), (leaves, "MR1", "20ms")]
        movement = [{"at": at, "node": "MN1", "to": to, "gap": gap} for at, to, gap in stays]
        of = scenario(at="4003ms", movement=[*movement, *more], opener="MN1", opened="CN2")
        found = answers_s(of, next(one for one in sessions_of(of) if one.transport == transport))
        assert found is not None
        return found

    def undecided(found: list[float | None]) -> list[float]:
        return [round(4.003 + number * 0.02, 3) for number, one in enumerate(found) if one is not None and isnan(one)]

    assert not undecided(answers("10064ms", "tcp"))
    assert undecided(answers("10060ms", "tcp"))
    assert answers("10060ms", "udp") == answers("10064ms", "udp"), "a datagram is lost either way"
    again = {"at": "12s", "node": "MN1", "to": "MR2"}
    assert undecided(answers("10060ms", "udp", again)) == [10.063, 10.083], (
        "or comes late, if that router is asked again"
    )
    assert not undecided(answers("10064ms", "udp", again))


def test_what_a_switch_may_do_by_its_cache_has_no_closed_form() -> None:
    """It passes at 10.056, 2 ms after the redirect is in force."""
    of = scenario(at="4001ms")
    assert silence_ms(of) is None
    answers = answers_s(of, next(iter(sessions_of(of))))
    assert answers is not None
    assert sum(answer is not None and isnan(answer) for answer in answers) == 1


@pytest.mark.parametrize(
    "keys",
    [{"family": "ipv6", "addresses": {"dad": "on"}}, {"opener": "MN1", "opened": "CN2"}],
)
def test_where_timers_or_chance_decide_there_is_none(keys: dict[str, Any]) -> None:
    lossy = [
        link if set(link["between"]) != {"CN2", "CORE"} else {**link, "loss": "1%"}
        for link in load("two-mr").model_dump(by_alias=True, mode="json")["links"]
    ]
    more: dict[str, Any] = {"links": lossy} if "opened" in keys else {}
    assert silence_ms(scenario(**keys, **more)) is None
