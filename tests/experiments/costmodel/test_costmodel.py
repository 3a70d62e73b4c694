"""The cost model beside what was measured (results/reference), and the formats; crossovers beside the costs."""

from __future__ import annotations

import csv
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmmlab.experiments.costmodel import (
    crossovers,
    delay,
    interruption,
    policies,
    repetition,
    signalling,
    staleness,
    state,
)
from dmmlab.experiments.costmodel.setting import Distances, Setting
from dmmlab.experiments.figures.choice_worlds import scenarios as choice_scenarios
from dmmlab.experiments.methods import METHODS, NAMES
from dmmlab.experiments.oracle import delays, silence
from dmmlab.experiments.scenario.load import load
from dmmlab.experiments.scenario.sessions import sessions_of

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
COLD = Setting(calls_per_move=1e-12, residence_s=1e9)  # nobody has asked before, and nothing is old


def reference(name: str) -> list[dict[str, str]]:
    with (REFERENCE / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# -- delay ----------------------------------------------------------------------------------------------------------
def test_set_ups_are_those_measured_for_f2() -> None:
    """Over UDP at the first router, and, who knows one address, after the move."""
    measured = {(row["phase"], row["case"]): float(row["setup_ms"]) for row in reference("F2-setup")
                if row["transport"] == "udp"}  # fmt: skip
    for method in NAMES[1:]:
        assert 1e3 * delay.setup_s(COLD, method) == pytest.approx(measured["before", method], abs=1e-6)
        assert 1e3 * delay.setup_s(COLD, method) == pytest.approx(measured["after", method], abs=1e-6)
    assert 1e3 * delay.setup_s(COLD, "fixed") == pytest.approx(measured["after", "fixed"], abs=1e-6)
    warm = replace(COLD, calls_per_move=1e15, residence_s=1e9)
    assert 1e3 * delay.setup_s(warm, "ddns") == pytest.approx(measured["before", "ddns, resolver"], abs=1e-3)


def test_set_ups_are_those_measured_for_f4_at_every_distance() -> None:
    keys = {"server": "server_s", "cn": "cn_s", "mn": "radio_s"}
    rows = [row for row in reference("F4-server-distance") if row["method"] != "fixed"]
    for row in rows:
        ways = replace(COLD.ways, **{keys[row["panel"]]: float(row["x_ms"]) / 1e3})
        there = replace(COLD, ways=ways)
        assert 1e3 * delay.setup_s(there, row["method"]) == pytest.approx(float(row["setup_ms"]), abs=1e-6), row
    assert len(rows) > 60


def test_the_old_address_costs_the_stretch_measured_for_f5() -> None:
    rows = [row for row in reference("F5-stretch") if row["panel"] == "distance"]
    for row in rows:
        across_ms = float(row.get("detour_ms") or row["x"])  # by the core, where that is shorter than the routers' link
        there = Setting(ways=Distances(cn_s=float(row["cn_core_ms"]) / 1e3, across_s=across_ms / 1e3))
        stretch = delay.path_s(there, "fixed") / there.ways.direct_s
        assert float(row["stretch"]) == pytest.approx(stretch, rel=1e-5)
    assert len(rows) >= 12


def test_each_policy_s_mean_is_the_one_measured_for_f13() -> None:
    """Regret, packets, median set-up: of the 160 sessions that each policy had, and of each size of hysteresis."""
    for row in (row for row in reference("F13-choice") if row["best_pct"]):
        name = "f13-hysteresis" if row["sweep_ms"] else "f13-policies"
        parameters = {"better_by": float(row["sweep_ms"]) / 1e3} if row["sweep_ms"] else {}
        regrets, setups, packets = _walks(name, row["policy"], parameters)
        assert 1e3 * sum(regrets) / len(regrets) == pytest.approx(float(row["regret_mean_ms"]), abs=1e-3), row
        assert sum(packets) / len(packets) == pytest.approx(float(row["packets"]), abs=1e-6), row
        middle = sorted(setups)[len(setups) // 2 - 1 : len(setups) // 2 + 1]
        assert 1e3 * sum(middle) / 2 == pytest.approx(float(row["setup_ms"]), abs=1e-3), row
        assert len(regrets) == int(row["n"])


def _walks(name: str, policy: str, parameters: dict[str, float]) -> tuple[list[float], list[float], list[int]]:
    scenario = next(found for found in choice_scenarios(load) if found.name == name)
    regrets, setups, packets = [], [], []
    for cn in scenario.correspondents:
        for node in scenario.mobile_nodes:
            been, last = list[str](), None
            lookup_s = 2 * delays.hosts_s(scenario, cn, "SERVER")
            for stage, move in enumerate(scenario.moves_of(node)):
                been = [move.to, *(router for router in been if router != move.to)]
                ways = {router: delays.host_to_mn_s(scenario, cn, node, router, move.to) or 0.0 for router in been}
                chosen = policies.chosen(policy, ways, last, parameters)
                last = chosen.router
                if stage:
                    regrets.append(chosen.path_s - 2 * min(ways.values()))
                    setups.append(lookup_s + chosen.setup_s)
                    packets.append(chosen.packets)
    return regrets, setups, packets


# -- staleness ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("residence", ["constant", "exponential"])
@pytest.mark.parametrize(("ttl_s", "calls"), [(5, 2.0), (20, 8.0), (60, 1.0)])
def test_share_of_old_answers_is_that_of_a_cache_played_step_by_step(residence: Any, ttl_s: int, calls: float) -> None:
    """A node that moves and a cache that is asked, event by event, for two million seconds; shares to two per cent."""
    setting = Setting(residence=residence, ttl_s=ttl_s, calls_per_move=calls)
    draw, now, moved = random.Random(8), 0.0, 0.0
    until, fetched, old, hits, asked = -1.0, 0.0, 0, 0, 0
    next_move = _stay(draw, setting)
    while asked < 100_000:
        now += draw.expovariate(setting.calls_per_s)
        while next_move <= now:
            moved, next_move = next_move, next_move + _stay(draw, setting)
        asked += 1
        if math.floor(now) <= until:
            hits += 1
            old += moved > fetched
        else:
            fetched, until = now, math.floor(now) + ttl_s
    assert hits / asked == pytest.approx(staleness.cached(setting), rel=0.02, abs=0.003)
    assert old / asked == pytest.approx(staleness.ddns(setting), rel=0.04, abs=0.003)


def _stay(draw: random.Random, setting: Setting) -> float:
    if setting.residence == "constant":
        return setting.residence_s
    return draw.expovariate(1 / setting.residence_s)


# -- signalling -----------------------------------------------------------------------------------------------------
def test_sizes_are_those_of_the_formats() -> None:
    """As the registration protocol writes them, and dnspython: IPv4, one old address."""
    from dmmlab.nodes.registration.wire import Message, MessageType, Mode, Transport, encode

    node, key = "mn1.mn.dmm.test", bytes(16)
    where: dict[str, Any] = {"addresses": ("10.1.1.2", "10.1.2.2"), "port": 7000, "service": "echo"}
    request = Message(MessageType.SERVICE_REQUEST, 1, node, target=node, service="echo", mode=Mode.P2P,
                      transport=Transport.UDP, peer_address="10.0.0.1", peer_port=7)  # fmt: skip
    answer = Message(MessageType.SERVICE_ANSWER, 1, node, **where)
    said = [28 + len(encode(message, key)) for message in (request, answer)]
    assert signalling.for_session(Setting(), "p2p") == (2, sum(said))
    registers = Message(MessageType.REGISTER, 1, node, lifetime_ms=1, control_port=1, **where,
                        services=(("bulk", 1), ("chat", 2)))  # fmt: skip
    answered = Message(MessageType.REGISTERED, 1, node, lifetime_ms=1)
    assert signalling.for_move(Setting(), "p2p") == (2, sum(28 + len(encode(m, key)) for m in (registers, answered)))


def test_lookups_are_as_long_as_dnspython_writes_them() -> None:
    import dns.message

    name = "mn1.mn.dmm.test"
    found = 0
    for question, data in ((name, "60 IN A 10.1.1.2"), (f"_dmm._udp.{name}", f"60 IN SRV 0 0 7000 {name}.")):
        query = dns.message.make_query(question, data.split()[2])
        response = dns.message.make_response(query)
        text = f"id 0\nflags QR\n;QUESTION\n{question}. IN {data.split()[2]}\n;ANSWER\n{question}. {data}\n"
        response = dns.message.from_text(text)
        found += 56 + len(query.to_wire())
        found += len(response.to_wire()) if " A " in data else _uncompressed_target(response, name)
    warm = replace(Setting(), calls_per_move=1e15)
    assert signalling.for_session(warm, "ddns").octets == pytest.approx(found, abs=0.01)
    assert signalling.for_session(COLD, "ddns").messages == pytest.approx(8, abs=1e-6)


def _uncompressed_target(response: Any, name: str) -> int:
    """RFC 2782 forbids to compress an SRV record's target; dnspython's writer does not, by itself, either way."""
    return len(response.question[0].name.to_wire()) + 16 + 12 + 6 + len(name) + 2


def test_a_session_s_messages_are_those_that_f9_holds_every_session_to() -> None:
    for name, method in METHODS.items():
        least, most = method.signalling.messages
        found = [signalling.for_session(at, name).messages for at in (replace(COLD, calls_per_move=1e15), COLD)]
        assert found == [pytest.approx(least, abs=1e-6), pytest.approx(most, abs=1e-6)], name


def test_a_registration_is_repeated_at_half_its_lifetime_unless_the_node_moves_before() -> None:
    assert signalling.repeated_per_s(Setting(residence_s=20, lifetime_s=60)) == 0
    assert signalling.repeated_per_s(Setting(residence_s=100, lifetime_s=60)) == pytest.approx(3 / 100)
    often = signalling.repeated_per_s(Setting(residence_s=1e6, lifetime_s=60, residence="exponential"))
    assert often == pytest.approx(1 / 30, rel=1e-3)


# -- state, interruption, loss --------------------------------------------------------------------------------------
def test_rules_are_the_exact_form_of_f12() -> None:
    """Of N nodes that have been at each of R routers: 2 R (R + 2) + N (13 R - 11)."""
    for routers, nodes in ((2, 1), (4, 4), (8, 16)):
        one = state.of(Setting(old_addresses=routers - 1), "p2p").rules
        assert state.rules_of_network(routers) + nodes * one == 2 * routers * (routers + 2) + nodes * (
            13 * routers - 11
        )


@pytest.mark.parametrize("control_ms", [1, 10])
def test_no_stream_of_probes_is_silent_for_less_than_one_without_gaps(control_ms: int) -> None:
    """By the oracle, probes every 7 ms at every offset to the move: the luckiest waits for the next probe after what a
    switch has cached, 5 ms (docs/handovers.md).
    """
    setting = Setting(ways=Distances(control_s=control_ms / 1e3))
    links = load("two-mr").model_dump(mode="json", by_alias=True)["links"]
    links = [{**link, "delay": f"{control_ms}ms"} if "CONTROLLER" in link["between"] else link for link in links]
    found = []
    for offset in range(14):
        stream = {"name": "A", "at": f"{9800 + offset / 2}ms", "from": "CN1", "to": "MN1", "method": "fixed",
                  "transport": "udp", "interval": "7ms", "duration": "600ms"}  # fmt: skip
        scenario = load("two-mr", {"sessions": [stream], "links": links})
        silence_s = silence.longest_silence_s(scenario, sessions_of(scenario)[0], 1)
        found += [] if silence_s is None else [silence_s]
    least_s = interruption.silence_s(setting, "fixed")
    assert len(found) >= 3
    assert least_s - 1e-9 <= min(found) <= least_s + 0.012


def test_without_the_redirect_only_what_is_relayed_goes_on() -> None:
    lost = [interruption.silence_s(Setting(redirect=False), method) for method in NAMES]
    assert [math.isinf(found) for found in lost] == [True, True, True, False, True]


def test_an_answer_that_is_lost_is_waited_for_until_the_next_try() -> None:
    """By hand, for one try each way."""
    assert repetition.mean_s(repetition.exchange(1.0)) == 0.0
    found = repetition.exchange(0.81)
    assert found[0.5] == pytest.approx(0.19 * 0.81) and found[1.5] == pytest.approx(0.19**2 * 0.81)
    passed = repetition.passed_on(0.9, 0.9, {0.0: 1.0}, 0.044)
    assert passed[0.0] == pytest.approx(0.81)
    assert passed[0.5] == pytest.approx(0.1 * 0.81) and passed[0.456] == pytest.approx(0.9 * 0.1 * 0.81)
    assert repetition.answered(repetition.both(found)) == pytest.approx(repetition.answered(found) ** 2)


# -- crossovers -----------------------------------------------------------------------------------------------------
def test_methods_cost_the_same_where_they_are_said_to_cross() -> None:
    base = Setting(residence="exponential", ttl_s=30, calls_per_move=3, exchanges=4)
    for method in ("p2p", "combined"):
        there = replace(base, ways=replace(base.ways, server_s=crossovers.server_s(base, method)))
        assert delay.setup_s(there, method) == pytest.approx(delay.setup_s(there, "ddns"), abs=1e-9)
    asked = replace(base, exchanges=1)
    count = crossovers.exchanges(asked)
    for number, cheaper in ((math.floor(count), "fixed"), (math.ceil(count), "p2p")):
        costs_s = {method: delay.completed_s(replace(base, exchanges=number), method) for method in ("fixed", "p2p")}
        assert costs_s[cheaper] == min(costs_s.values())
    for ttl_s in crossovers.ttls_s(base):
        there = replace(base, ttl_s=ttl_s)
        assert delay.completed_s(there, "ddns") == pytest.approx(delay.completed_s(there, "p2p"), abs=1e-9)


def test_crossings_are_those_of_f4() -> None:
    """17 ms, where P2P and cold DDNS cross in the figure, and 5 ms, where combined and DDNS do."""
    assert 1e3 * crossovers.server_s(COLD, "p2p") == pytest.approx(17, abs=1e-6)
    assert 1e3 * crossovers.server_s(COLD, "combined") == pytest.approx(5, abs=1e-6)


def test_an_older_address_is_better_where_the_triangle_inequality_is_violated() -> None:
    assert policies.older_is_better(0.100, 0.020, 0.030)
    assert not policies.older_is_better(0.050, 0.020, 0.030)
