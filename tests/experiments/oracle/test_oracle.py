"""The closed forms, against sums done by hand on the delays of scenario `two-mr`.

One way: radio 2, MR-CORE 5, MR1-MR2 4, CN 10, RESOLVER 1, DDNS 15, SERVER 15 ms. So CN-MN 17, by the redirect 21,
CN-RESOLVER 11, RESOLVER-DDNS 16, CN-SERVER 25, SERVER-MN 22.
"""

from __future__ import annotations

from typing import Any

import pytest

from dmmlab.experiments.oracle.delays import inter_mr_s
from dmmlab.experiments.oracle.expectation import Expectation, Oracle
from dmmlab.experiments.oracle.moves import configured_s, known_at_s, serving
from dmmlab.experiments.policies.base import Offer
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.selection import Select, selection
from dmmlab.experiments.scenario.sessions import sessions_of

BEFORE, AFTER = "3s", "15s"
LINKS_OF_TWO_MR = {link.between: f"{link.delay * 1e3:g}ms" for link in load("two-mr").links}


def scenario_with(at: str, method: str, transport: str = "udp", **overrides: Any) -> Scenario:
    session = {"name": "X", "at": at, "from": "CN3", "to": "MN1", "method": method, "transport": transport}
    return load("two-mr", {"sessions": [{**session, **overrides.pop("session", {})}], **overrides})


def expect(at: str, method: str, transport: str = "udp", **overrides: Any) -> Expectation | None:
    scenario = scenario_with(at, method, transport, **overrides)
    return Oracle(scenario).of(sessions_of(scenario)[0])


@pytest.mark.parametrize(
    ("method", "at", "lookup_ms", "connect_ms", "anchor"),
    [
        ("fixed", BEFORE, 0, 34, "MR1"),
        ("fixed", AFTER, 0, 42, "MR1"),
        ("ddns", BEFORE, 54, 34, "MR1"),
        ("ddns", AFTER, 54, 34, "MR2"),
        ("p2p", BEFORE, 50, 34, "MR1"),
        ("p2p", AFTER, 50, 34, "MR2"),
        ("central", BEFORE, 94, 94, "MR1"),
        ("central", AFTER, 94, 94, "MR2"),
        ("combined", BEFORE, 94, 34, "MR1"),
        ("combined", AFTER, 94, 34, "MR2"),
    ],
)
def test_each_method_before_and_after_the_move(
    method: str, at: str, lookup_ms: float, connect_ms: float, anchor: str
) -> None:
    for transport, round_trips in (("udp", 1), ("tcp", 2)):
        expected = expect(at, method, transport)
        assert expected is not None
        assert expected.lookup_s * 1e3 == pytest.approx(lookup_ms)
        assert expected.connect_s * 1e3 == pytest.approx(connect_ms * round_trips)
        assert expected.anchor == anchor


def test_without_a_redirect_a_stale_address_has_no_closed_form() -> None:
    assert expect(AFTER, "fixed", redirect=False) is None
    assert expect(AFTER, "p2p", redirect=False) is not None


@pytest.mark.parametrize("at", ["9.99s", "10.02s", "10.051s"])
def test_in_the_middle_of_a_move_tcp_has_no_closed_form(at: str) -> None:
    assert expect(at, "fixed", "tcp") is None


def test_in_the_middle_of_a_move_one_request_is_followed_packet_by_packet() -> None:
    """At 10.051 s it reaches the anchor 12 ms after the redirect came into force; before that it is lost."""
    for at, setup_ms in (("9.99s", 6042), ("10.02s", 6042), ("10.051s", 42)):
        expected = expect(at, "fixed")
        assert expected is not None and expected.setup_s * 1e3 == pytest.approx(setup_ms)
    assert expect("10.042s", "fixed") is None, "a switch may do the one thing or the other"


def test_servers_learn_of_an_address_after_dhcp_arp_and_one_way() -> None:
    known = known_at_s(load("two-mr"), "MN1", "SERVER")
    assert [router for _, router in known] == ["MR1", "MR2"]
    taken_s = 0.008 + 0.004 + 0.022
    assert [at_s for at_s, _ in known] == pytest.approx([taken_s, 10.05 + taken_s])


@pytest.mark.parametrize(
    ("method", "lookup_ms", "connect_ms", "anchor"),
    [("p2p", 50, 42, "MR1"), ("central", 98, 94, "MR2"), ("combined", 98, 34, "MR2")],
)
def test_before_a_lazy_update_a_node_is_known_and_asked_by_its_old_address(
    method: str, lookup_ms: float, connect_ms: float, anchor: str
) -> None:
    """The server's question goes by the redirect, 26 ms; the node answers from its new address, 22 ms."""
    lazy = {"update": "lazy", "after": "6s"}
    expected = expect(AFTER, method, registration=lazy)
    assert expected is not None
    assert (expected.lookup_s * 1e3, expected.connect_s * 1e3) == pytest.approx((lookup_ms, connect_ms))
    assert expected.anchor == anchor
    later = expect("17s", method, registration=lazy)
    assert later == expect("17s", method)
    assert known_at_s(load("two-mr", {"registration": lazy}), "MN1", "SERVER")[1][0] == pytest.approx(
        10.05 + 0.008 + 6 + 0.022
    )


def peers(at: str, cn: str, mn: str, **keys: Any) -> Expectation | None:
    """MN1 goes from MR1 to MR2 at 10 s, MN2 (radio 3 ms) from MR2 to MR1 at 20 s."""
    links = [*load("two-mr").model_dump(mode="json", by_alias=True)["links"]]
    links.append({"between": ["radio", "MN2"], "delay": "3ms"})
    moves = [("0s", "MN1", "MR1"), ("0s", "MN2", "MR2"), ("10s", "MN1", "MR2"), ("20s", "MN2", "MR1")]
    movement = [{"at": at_s, "node": node, "to": router} for at_s, node, router in moves]
    sessions = [{"name": "X", "at": at, "from": cn, "to": mn, **keys}]
    scenario = load("two-mr", {"links": links, "movement": movement, "sessions": sessions})
    return Oracle(scenario).of(sessions_of(scenario)[0])


@pytest.mark.parametrize(
    ("at", "cn", "mn", "connect_ms"),
    [
        ("5s", "MN1", "CN1", 34),
        ("5s", "MN1", "MN2", 2 * (2 + 5 + 5 + 3)),
        ("15s", "MN1", "MN2", 2 * (2 + 3)),  # on one link
        ("15s", "MN2", "MN1", 2 * (3 + 5 + 5 + 4 + 2) + 2 * (3 + 2)),  # to MR1's address; the answer asks for a MAC
        ("25s", "MN1", "MN2", 2 * (2 + 4 + 3)),  # MN2 was on this link
        ("25s", "MN2", "MN1", 2 * (3 + 4 + 2)),
        ("10.055s", "MN1", "CN1", 2 * (2 + 4 + 5 + 10)),  # before its new address comes at 10.058 s
    ],
)
def test_the_closed_form_of_mobile_openers(at: str, cn: str, mn: str, connect_ms: float) -> None:
    expected = peers(at, cn, mn)
    assert expected is not None
    assert expected.setup_s * 1e3 == pytest.approx(connect_ms)


@pytest.mark.parametrize("at", ["9.99s", "10.02s", "10.052s", "10.059s", "19.99s"])
def test_while_an_opener_cannot_send_or_an_end_leaves_there_is_no_closed_form(at: str) -> None:
    assert peers(at, "MN1", "MN2") is None


def test_a_mobile_opener_asks_from_where_it_is() -> None:
    """MN1 is 22 ms from the server, MN2 23; the resolver 8 ms from MN1."""
    for method, lookup_ms in (("p2p", 44), ("combined", 44 + 46), ("ddns", 2 * (8 + 16))):
        expected = peers("5s", "MN1", "MN2", method=method)
        assert expected is not None
        assert expected.lookup_s * 1e3 == pytest.approx(lookup_ms)
    assert peers("0.02s", "MN1", "MN2", method="p2p") is None


def test_a_resolver_answers_from_its_cache_until_the_second_in_which_the_ttl_ends() -> None:
    """Cached at 3.043 s with a TTL of 5 s: used until second 8 is over; what is cached outlives the move's news."""
    scenario = scenario_with("3s", "ddns", session={"repeat": 7, "every": "1s"})
    oracle = Oracle(scenario)
    lookups = [oracle.of(session) for session in sessions_of(scenario)]
    assert [round(one.lookup_s * 1e3) for one in lookups if one is not None] == [54, 22, 22, 22, 22, 22, 54]


def test_a_cached_answer_is_stale_after_the_move() -> None:
    scenario = scenario_with("8s", "ddns", session={"repeat": 2, "every": "3s"})
    stale = Oracle(scenario).of(sessions_of(scenario)[1])
    assert stale is not None
    assert (stale.anchor, round(stale.connect_s * 1e3)) == ("MR1", 42)


@pytest.mark.parametrize(("mode", "lookups"), [("off", [54, 22, 54]), ("ttl", [54, 0, 54]), ("forever", [54, 0, 0])])
def test_the_correspondents_own_cache(mode: str, lookups: list[int]) -> None:
    scenario = scenario_with("13s", "ddns", session={"repeat": 3, "every": "4s"}, ddns={"ttl": "5s", "cn_cache": mode})
    oracle = Oracle(scenario)
    found = [oracle.of(session) for session in sessions_of(scenario)]
    assert [round(one.lookup_s * 1e3) for one in found if one is not None] == lookups


@pytest.mark.parametrize(
    ("select", "lookup_ms", "connect_ms", "anchor"),
    [
        ("latest", 50, 54, "MR2"),
        ("race", 50, 42, "MR1"),
        ("lowest-rtt", 50 + 54, 42, "MR1"),
        ("anchor", 50, 42, "MR1"),
        ("cached", 50, 54, "MR2"),
        ("hysteresis", 50 + 54, 42, "MR1"),
        ("scored", 50 + 54, 42, "MR1"),
        ("staggered", 50, 54, "MR2"),
        ({"staggered": {"delay": "5ms"}}, 50, 5 + 42, "MR1"),
    ],
)
def test_several_addresses_when_the_new_router_is_far(
    select: Select, lookup_ms: float, connect_ms: float, anchor: str
) -> None:
    """MR2 is 15 ms from the core: 27 ms to the node by its newest address, 21 by the older one and the redirect."""
    links = load("two-mr").model_dump(mode="json", by_alias=True)["links"]
    for link in links:
        if link["between"] == ["MR2", "CORE"]:
            link["delay"] = "15ms"
    expected = expect(AFTER, "p2p", links=links, session={"select": select})
    assert expected is not None
    assert (round(expected.lookup_s * 1e3, 6), round(expected.connect_s * 1e3, 6)) == (lookup_ms, connect_ms)
    assert expected.anchor == anchor


BEFORE_AND_AFTER = {"repeat": 2, "every": "12s"}


@pytest.mark.parametrize(
    ("select", "anchors"),
    [
        ("lowest-rtt", ["MR1", "MR2"]),
        ("cached", ["MR1", "MR1"]),
        ("hysteresis", ["MR1", "MR2"]),
        ({"hysteresis": {"better_by": "8ms"}}, ["MR1", "MR1"]),
        ({"scored": {"better_by": "19%"}}, ["MR1", "MR2"]),
        ({"scored": {"better_by": "20%"}}, ["MR1", "MR1"]),
    ],
)
def test_what_was_used_before_stays_unless_the_gain_is_worth_it(select: Select, anchors: list[str]) -> None:
    """After the move 34 ms by the new address, 42 by the old one."""
    scenario = scenario_with("3s", "p2p", session={"select": select, **BEFORE_AND_AFTER})
    found = [Oracle(scenario).of(session) for session in sessions_of(scenario)]
    assert [one.anchor for one in found if one is not None] == anchors


@pytest.mark.parametrize(
    ("name", "ways_s"), [("hysteresis", (0.0125, 0.01)), ("scored", (0.05, 0.0495)), ("scored", (0.0115, 0.011385))]
)
def test_a_gain_of_just_so_much_is_not_more(name: str, ways_s: tuple[float, float]) -> None:
    """5 ms of a round trip, or one per cent: equal in nanoseconds, if not in the last digit of a double."""
    chosen = selection(name)
    old, new = ways_s
    offer = Offer({"MR2": new, "MR1": old}, 1.0, "MR1", chosen.parameters)
    assert chosen.policy.closed_form(offer).anchor == "MR1"
    assert chosen.policy.closed_form(offer._replace(ways_s={"MR2": new - 1e-9, "MR1": old})).anchor == "MR2"


def test_what_a_policy_remembers_of_a_session_without_closed_form_is_unknown_until_it_does_not_matter() -> None:
    """At 10.02 s there is no link: the session may have been on either address in the end."""
    moved = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "10s", "node": "MN1", "to": "MR2"}]
    session = {"select": "cached", "repeat": 2, "every": "5s"}
    lost = scenario_with("10.02s", "p2p", session=session, movement=moved)
    assert [Oracle(lost).of(one) for one in sessions_of(lost)] == [None, None]
    clear = scenario_with("10.02s", "p2p", session={**session, "select": "hysteresis"}, movement=moved)
    found = [Oracle(clear).of(one) for one in sessions_of(clear)]
    assert found[0] is None and found[1] is not None and found[1].anchor == "MR2"


def test_position_and_the_shortest_way_between_mobile_routers() -> None:
    scenario = load("two-mr")
    assert [serving(scenario, "MN1", at) for at in (0.0, 9.999, 10.0, 10.049, 10.05)] == [
        "MR1",
        "MR1",
        None,
        None,
        "MR2",
    ]
    assert inter_mr_s(scenario, "MR1", "MR2") == pytest.approx(0.004)
    assert inter_mr_s(scenario, "MR1", "MR1") == 0.0


def with_ipv6(dad: str, **overrides: Any) -> dict[str, Any]:
    return {"family": "ipv6", "addresses": {"dad": dad}, **overrides}


@pytest.mark.parametrize("dad", ["off", "optimistic"])
def test_in_ipv6_servers_learn_of_an_address_after_solicitation_advertisement_and_one_way(dad: str) -> None:
    known = known_at_s(load("two-mr", with_ipv6(dad)), "MN1", "SERVER")
    assert [at_s for at_s, _ in known] == pytest.approx([0.004 + 0.022, 10.05 + 0.004 + 0.022])


def test_detection_of_duplicates_costs_a_second_for_each_address_that_is_new() -> None:
    """The link-local address is new on each link, the global one is the node's own when it comes back."""
    back = [
        {"at": "0s", "node": "MN1", "to": "MR1"},
        {"at": "10s", "node": "MN1", "to": "MR2"},
        {"at": "20s", "node": "MN1", "to": "MR1"},
    ]
    scenario = load("two-mr", with_ipv6("on", movement=back))
    assert [configured_s(scenario, "MN1", turn) for turn in range(3)] == pytest.approx([2.004, 2.004, 1.004])


@pytest.mark.parametrize(("dad", "at"), [("off", "10.0539s"), ("optimistic", "10.0539s"), ("on", "12.1s")])
def test_a_node_without_a_router_answers_nobody(dad: str, at: str) -> None:
    assert expect(at, "fixed", **with_ipv6(dad)) is None


def test_many_moves_are_as_soon_reckoned_as_few_where_each_address_hangs_on_those_before() -> None:
    movement = [{"at": f"{5 * turn}s", "node": "MN1", "to": f"MR{1 + turn % 2}"} for turn in range(60)]
    known = known_at_s(load("two-mr", with_ipv6("on", movement=movement, duration="300s")), "MN1", "SERVER")
    assert [router for _, router in known] == ["MR1", "MR2"] * 30
    assert [at_s - 5 * turn for turn, (at_s, _) in enumerate(known)][2:] == pytest.approx([known[2][0] - 10] * 58)


@pytest.mark.parametrize("dad", ["off", "on", "optimistic"])
@pytest.mark.parametrize(("method", "setup_ms"), [("fixed", 42), ("ddns", 88), ("p2p", 84), ("central", 188)])
def test_ipv6_sets_up_in_the_same_time_once_the_address_is_there(dad: str, method: str, setup_ms: float) -> None:
    expected = expect("15s", method, **with_ipv6(dad))
    assert expected is not None
    assert expected.setup_s * 1e3 == pytest.approx(setup_ms)


def test_what_a_node_has_to_find_out_first_it_knows_after_at_most_two_cold_questions() -> None:
    """First attachment: address 12 ms after it, news another 22 ms; SRV and address 2 (2 x 8 + 2 x 16) ms."""
    for discovery, more_ms in (("configuration", 0), ("dns", 96), ("dns-sd", 96)):
        scenario = scenario_with(BEFORE, "ddns", discovery=discovery)
        assert known_at_s(scenario, "MN1", "SERVER")[0][0] * 1e3 == pytest.approx(34 + more_ms)
        found_out = more_ms if discovery == "dns-sd" else 0
        assert known_at_s(scenario, "MN1", "DDNS")[0][0] * 1e3 == pytest.approx(34 + found_out)
        assert known_at_s(scenario, "MN1", "SERVER")[1][0] == pytest.approx(10.084)


def test_over_tcp_the_server_hears_of_an_address_a_round_trip_later() -> None:
    scenario = scenario_with(BEFORE, "p2p", registration={"control": "tcp"})
    assert [at_s for at_s, _ in known_at_s(scenario, "MN1", "SERVER")] == pytest.approx([0.078, 10.128])


def two_sessions(first: str, second: str, **keys: Any) -> list[Expectation | None]:
    """DDNS sessions of CN3 at ``first`` and of CN1 at ``second``, MN1 having moved at 10 s, without a redirect."""
    sessions = [
        {"name": name, "at": at, "from": cn, "to": "MN1", "method": "ddns"}
        for name, at, cn in (("W", "9.5s", "CN3"), ("X", first, "CN3"), ("Y", second, "CN1"))
    ]
    scenario = load("two-mr", {"redirect": False, "ddns": {"ttl": "2s"}, "sessions": sessions, **keys})
    return [Oracle(scenario).of(spec) for spec in sessions_of(scenario)][1:]


def test_what_a_retry_found_the_resolver_has_for_others() -> None:
    """X gets the dead address from the cache (22 ms), asks again at 12.522 s, when that has ended at 12 s, and again
    nobody knew: so Y finds what X found.
    """
    stale, helped = two_sessions("11.5s", "13.2s")
    assert stale is not None and stale.lookup_s * 1e3 == pytest.approx(22 + 54)
    assert stale.connect_s * 1e3 == pytest.approx(1000 + 34)
    assert helped is not None and helped.lookup_s * 1e3 == pytest.approx(22)
    _, alone = two_sessions("8s", "13.2s")
    assert alone is not None and alone.lookup_s * 1e3 == pytest.approx(54)


def test_a_question_on_its_way_when_another_comes_is_asked_once() -> None:
    """CN1 starts a millisecond later but is 8 ms nearer to the resolver: its question is the one that is passed on."""
    near = {**LINKS_OF_TWO_MR, ("CN1", "CORE"): "2ms"}
    links = [{"between": list(ends), "delay": delay} for ends, delay in near.items()]
    both = two_sessions("15s", "15.001s", links=links, redirect=True)
    assert [round((one.lookup_s if one else 0.0) * 1e3, 6) for one in both] == [54 - 7, 38]


def test_an_address_that_was_dropped_has_no_closed_form() -> None:
    """IPv4: deprecated when there is a new one, 58 ms after the move began; IPv6: when it began."""
    for family, gone_s in (("ipv4", 13.058), ("ipv6", 13.0)):
        keys: dict[str, Any] = {"family": family, "addresses": {"keep": "3s"}}
        assert expect(f"{gone_s - 0.05:.3f}s", "fixed", **keys) is not None
        assert expect(f"{gone_s - 0.02:.3f}s", "fixed", **keys) is None
        assert expect(f"{gone_s + 1:.3f}s", "fixed", **keys) is None
        assert expect(f"{gone_s + 1:.3f}s", "p2p", **keys) is not None


def test_a_race_between_addresses_of_which_none_works_has_no_closed_form() -> None:
    """The server has been told of MR1's address only, and nothing delivers that any more."""
    keys: dict[str, Any] = {"redirect": False, "registration": {"update": "lazy", "after": "3s"}}
    assert expect("12s", "p2p", session={"select": "race"}, **keys) is None
    assert expect("14s", "p2p", session={"select": "race"}, **keys) is not None


def test_a_correspondent_remembers_what_it_has_been_told_and_not_what_it_is_asking() -> None:
    """Asked at 3 s, answered 54 ms later; the resolver has it from 43 ms on, a way of 11 ms nearer to itself."""
    sessions = [
        {"name": name, "at": at, "from": "CN3", "to": "MN1", "method": "ddns"}
        for name, at in (("A", "3s"), ("B", "3.04s"), ("C", "3.06s"), ("D", "3.1s"))
    ]
    scenario = load("two-mr", {"ddns": {"cn_cache": "forever"}, "sessions": sessions})
    found = [Oracle(scenario).of(spec) for spec in sessions_of(scenario)]
    assert [round(one.lookup_s * 1e3, 6) for one in found if one] == [54, 22, 0, 0]


def test_a_router_may_have_to_ask_for_a_node_that_comes_back_to_it() -> None:
    """In IPv6 without the redirect: the first session after the return has no closed form, those a second later do."""
    movement = [{"at": f"{at}s", "node": "MN1", "to": to} for at, to in ((0, "MR1"), (10, "MR2"), (20, "MR1"))]
    sessions = [
        {"name": name, "at": at, "from": "CN3", "to": "MN1", "anchor": anchor}
        for name, at, anchor in (("A", "12s", "MR2"), ("B", "22s", "MR1"), ("C", "22.5s", "MR1"), ("D", "24s", "MR1"))
    ]
    for family, redirect, expected in (("ipv6", False, "AD"), ("ipv6", True, "ABCD"), ("ipv4", False, "ABCD")):
        scenario = load("two-mr", {"family": family, "redirect": redirect, "movement": movement, "sessions": sessions})
        oracle = Oracle(scenario)
        assert "".join(spec.name for spec in sessions_of(scenario) if oracle.of(spec)) == expected


def test_who_is_asked_at_an_address_that_it_has_dropped_has_no_closed_form() -> None:
    """IPv6: MR1's address is dropped at 11 s, and the server hears of MR2's 3 s after there is one."""
    keys: dict[str, Any] = {
        "family": "ipv6",
        "addresses": {"keep": "1s"},
        "registration": {"update": "lazy", "after": "3s"},
    }
    for at, expected in (("10.5s", True), ("12s", False), ("14s", True)):
        assert (expect(at, "combined", **keys) is not None) == expected
