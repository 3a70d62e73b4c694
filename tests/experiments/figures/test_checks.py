"""Each figure's check, made to fail: the reference's points hold, and each thing that a claim says is broken once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.campaigns.reproduce import REFERENCE
from dmmlab.experiments.figures import FIGURES
from dmmlab.experiments.figures.base import read

Row = dict[str, Any]
Break = Callable[[list[Row]], list[Row]]


def where(changes: Callable[[Row], Row], **values: object) -> Break:
    """Changes the first row that has ``values``."""

    def broken(rows: list[Row]) -> list[Row]:
        place = next(n for n, row in enumerate(rows) if all(row[key] == value for key, value in values.items()))
        return [*rows[:place], {**rows[place], **changes(rows[place])}, *rows[place + 1 :]]

    return broken


def every(changes: Callable[[Row], Row], **values: object) -> Break:
    """Changes all rows that have ``values``."""

    def broken(rows: list[Row]) -> list[Row]:
        return [
            {**row, **changes(row)} if all(row[key] == value for key, value in values.items()) else row for row in rows
        ]

    return broken


def more(by: float, *columns: str) -> Callable[[Row], Row]:
    """Adds ``by`` to each of the columns."""
    return lambda row: {column: row[column] + by for column in columns}


def becomes(**values: object) -> Callable[[Row], Row]:
    """Other values."""
    return lambda row: dict(values)


GIVEN_BACK = {"lifetime": "fixed", "family": "ipv4", "panel": "mark", "what": "given back", "at_s": 16.0}
BROKEN: list[tuple[str, str, Break]] = [
    ("F1", "probe 7 was lost with redirect", where(becomes(rtt_ms=None), redirect=True, seq=7)),
    ("F1", "probe 900 was answered without redirect", where(becomes(rtt_ms=40.0), redirect=False, seq=900)),
    ("F1", "no run without the redirect", lambda rows: [row for row in rows if row["redirect"]]),
    ("F2", "off the closed form", where(more(0.002, "off_low_ms", "off_high_ms"), case="p2p")),
    ("F3", "1 of .* probes lost outside the moves", where(becomes(rtt_ms=None), method="p2p", cn="CN1", seq=3)),
    ("F3", "off the closed form", every(more(0.002, "expected_ms"), method="p2p", expected_ms=34)),
    (
        "F3",
        "central, from CN3, opened at MR2: no closed form",
        every(becomes(expected_ms=None), method="central", cn="CN3", opened="at MR2"),
    ),
    ("F4", "off the closed form", where(more(0.002, "low_ms", "high_ms"), panel="server", method="p2p")),
    ("F4", "no two methods cross", lambda rows: [row for row in rows if row["panel"] != "server"]),
    ("F4", "in the wrong order", every(lambda row: {"setup_ms": 80 - row["x_ms"]}, panel="server", method="p2p")),
    ("F5", "off the closed form", where(more(3e-6, "low", "high"), panel="distance")),
    ("F6", "answers are not those of the closed form", where(becomes(disagree=1), method="p2p")),
    ("F6", "by the formula", where(more(0.3, "low", "high"), method="ddns", residence_s=80)),
    ("F6", "by the formula", where(lambda row: {"formula": row["formula"] + 0.1}, method="p2p")),
    ("F6", "29 replications", where(becomes(nodes=29), method="ddns")),
    ("F6", "though there is a redirect", where(becomes(went_failed=1), method="ddns", redirect=True)),
    ("F7", "1 sessions did other than their closed form", where(becomes(disagree=1), redirect=False, transport="udp")),
    ("F7", "12 of 60 sessions survive, each with a chance of 0.5", every(becomes(share=0.2), redirect=False, x=0.5)),
    ("F7", "not all survive with the redirect", where(becomes(share=0.9), redirect=True)),
    ("F8", "a gap after", where(more(0.002, "gap_ms"), number=0)),
    ("F8", "a silence after", where(more(0.002, "silence_ms"), jitter_ms=0, family="ipv4")),
    ("F8", "a silence after", where(more(-300, "silence_ms"), dad="on")),
    ("F8", "a silence after", where(more(300, "silence_ms"), jitter_ms=10, number=3)),
    ("F8", "a redirect confirmed after", where(more(0.002, "redirect_ms"), jitter_ms=0)),
    ("F8", "a redirect confirmed after", where(more(61, "redirect_ms"), jitter_ms=10)),
    ("F8", "the mean redirect", every(more(5, "redirect_ms"), jitter_ms=10)),
    ("F8", "the mean redirect", every(more(-0.1, "redirect_ms"), control_ms=1, jitter_ms=0.2)),
    ("F8", "the mean silence", every(more(9, "silence_ms"), jitter_ms=10)),
    ("F8", "the mean silence", every(more(-5, "silence_ms"), jitter_ms=10)),
    ("F8", "a new address after", where(more(0.002, "address_ms"), number=0)),
    ("F8", "a new address after", where(more(200, "address_ms"), dad="on")),
    ("F8", "the registration server told after", where(more(0.002, "server_ms"), number=0)),
    ("F8", "the DDNS server told is missing", where(becomes(ddns_ms=None), number=0)),
    ("F8", "a redirect confirmed is missing", where(becomes(redirect_ms=None), number=0)),
    ("F8", "a silence is missing", where(becomes(silence_ms=None), number=0)),
    ("F8", "does not grow with the distance", every(lambda row: {"silence_ms": -row["control_ms"]})),
    ("F9", "session p2p set-up: 3 messages, 2 due", where(becomes(messages=3), panel="session", name="p2p")),
    ("F9", "move registration: 1 messages, 2 due", where(becomes(messages=1), panel="move", name="registration")),
    ("F9", "bytes, .* due", where(more(1, "bytes"), panel="ratio", name="p2p")),
    ("F9", "in the long run", where(lambda row: {"formula": row["formula"] * 1.3}, panel="ratio", name="central")),
    ("F9", "no closed form for a move", every(becomes(expected_bytes=None), panel="move")),
    ("F9", "though they cross at", every(becomes(ratio=100.0), panel="crossing", part="central", ttl_over_stay=0.25)),
    ("F10", "off the queue's closed form", where(more(0.002, "off_max_ms"), method="central", sessions=8)),
    ("F10", "by M/D/1", where(more(2, "low_ms", "high_ms"), method="central", sessions=8)),
    ("F10", "the server carries", where(more(50, "kbit_per_s"), method="central")),
    ("F10", "ms added without a relay", where(more(0.002, "added_ms"), method="p2p", sessions=8)),
    ("F10", "does not grow with the number", where(becomes(added_ms=70.0), method="central", sessions=16)),
    ("F10", "the round trip grows by", where(lambda row: {"growth": 2 * row["growth"]}, method="central", sessions=44)),
    ("F10", "more than the link can carry", lambda rows: [row for row in rows if row["load"] < 1]),
    ("F11", "sessions without an outcome", where(becomes(no_outcome=1), method="p2p")),
    ("F11", "nothing that they need is lost", where(becomes(success=0.9), method="fixed")),
    ("F11", "by the closed form", where(more(0.002, "setup_ms"), loss=0, method="p2p")),
    ("F11", "no schedule of retransmission", where(becomes(odd=1), method="combined")),
    ("F11", "are set up", where(more(0.15, "success_low", "success_high"), method="central", loss=30)),
    ("F11", "ms in the mean", where(more(900, "mean_low_ms", "mean_high_ms"), method="p2p", loss=20)),
    ("F11", "closed form's distribution", where(more(0.2, "apart"), method="combined", loss=10)),
    ("F11", "can be at the most", where(more(0.3, "at_once_low"), method="ddns", loss=20)),
    ("F11", "at once", where(lambda row: {"at_once_high": row["at_once_low"]}, method="p2p", loss=10)),
    ("F12", "entries_sum 213, 212 due", where(more(1, "entries_sum"), mrs=4, mns=4)),
    ("F12", "flow_mods 409, 408 due", where(more(1, "flow_mods"), mrs=4, mns=4)),
    ("F12", "packet_ins 1601, 1600 due", where(more(1, "packet_ins"), mns=200)),
    ("F12", "a move with 3 addresses changes 53 to 54 rules, 53 due", where(more(1, "flow_mods_high"), addresses=3)),
    ("F12", "no run has a closed form", every(becomes(expected_entries_sum=None))),
    ("F13", "off the closed form", where(more(0.002, "off_high_ms"), policy="race")),
    ("F13", "longer than the best, which it looks for", where(more(0.002, "regret_most_ms"), policy="lowest-rtt")),
    ("F13", "an older address won", where(more(1, "expected_older_pct"), policy="triples")),
    ("F13", "in a plane an older address won", every(becomes(older_pct=1.0), policy="triples")),
    ("F13", "the newest address is the best everywhere", every(becomes(older_pct=0.0), policy="triples")),
    ("F14", "direct path of", where(more(0.002, "low", "high"), panel="delay", path="direct")),
    ("F14", "% measured", every(becomes(low=50.0, high=51.0), panel="loss")),
    ("F15", "set up in", where(more(0.002, "setup_ms"), method="p2p", redirect=False)),
    ("F15", "somebody answered", where(becomes(setup_ms=50.0), method="ddns", redirect=False, outcome="timeout")),
    ("F15", "nobody answered", where(becomes(setup_ms=None), method="combined", closed_form=True)),
    ("F15", "a tenth of the sessions have no", every(becomes(closed_form=False), method="central")),
    ("F15", "was tried again", where(becomes(outcome="retried"), method="combined", opened_ms=22)),
    ("F17", "no run without redirect", lambda rows: [row for row in rows if row["case"] != "without redirect"]),
    ("F17", "9.500 Mbit/s before", where(becomes(before_mbps=9.5), panel="silence", case="with redirect")),
    ("F17", "at most .* by the timer", where(becomes(silence_ms=280.0), panel="silence", case="with redirect")),
    ("F17", "something arrived after", where(becomes(mbps=1.0), case="without redirect", since_ms=200)),
    ("F17", "nothing arrived after", every(becomes(mbps=0.0), panel="goodput", case="with redirect")),
    ("F18", "no run with fixed", lambda rows: [row for row in rows if row["lifetime"] != "fixed"]),
    ("F18", "when it is given back", where(more(1, "rules"), lifetime="session-lasting", what="s2", at_s=16.071)),
    ("F18", "it should stay", every(becomes(rules=8), lifetime="fixed")),
    ("F18", "no redirect is wanted", where(more(9, "rules"), lifetime="non-persistent", what="s1", at_s=10.001)),
    ("F18", "given back at .* expected", where(more(2e-6, "at_s"), what="given back", family="ipv6")),
    ("F18", "given back at 16", lambda rows: [*rows, GIVEN_BACK]),
    ("F16", "silent for", where(more(0.002, "silence_ms"), panel="silence", transport="udp")),
    (
        "F16",
        "silent for",
        where(more(0.002, "silence_ms"), panel="silence", transport="tcp", kind="break", gap_ms=5000),
    ),
    ("F16", "no closed form", where(becomes(expected_ms=None), panel="silence", transport="udp")),
    ("F16", "no closed form", where(becomes(expected_ms=None), panel="silence", transport="tcp", kind="break")),
    ("F16", "1 probes lost", where(becomes(lost=1), panel="silence", kind="both", transport="tcp")),
    ("F16", "1 answers out of order", where(becomes(disordered=1), panel="silence", kind="overlap")),
    ("F16", "no packet was kept", where(becomes(buffered=0), panel="silence", kind="buffered", gap_ms=200)),
    ("F16", "TCP is faster", where(becomes(silence_ms=1.0), panel="silence", kind="break", transport="tcp")),
    ("F19", "no shares of a variance", where(becomes(total=1.5, total_conf=0.1), part="index", question="set-up")),
    ("F19", "more than 1", every(becomes(first=0.9, total=0.9), part="index", question="set-up", method="p2p")),
    ("F19", "measured, .* computed", every(becomes(measured=1e6, low=1e6, high=1e6), part="point", question="set-up")),
    ("F19", "points were played, 12 are due", lambda rows: [row for row in rows if row["part"] == "index"]),
]


@pytest.fixture(scope="module")
def reference() -> dict[str, list[Row]]:
    return {name: read(REFERENCE / f"{kind.stem}.csv") for name, kind in FIGURES.items()}


@pytest.mark.parametrize("name", FIGURES)
def test_the_reference_holds(name: str, reference: dict[str, list[Row]]) -> None:
    assert FIGURES[name].check(reference[name]) == []


@pytest.mark.parametrize(("name", "sentence", "broken"), BROKEN, ids=[f"{name}: {what}" for name, what, _ in BROKEN])
def test_it_is_found(name: str, sentence: str, broken: Break, reference: dict[str, list[Row]]) -> None:
    found = FIGURES[name].check(broken(reference[name]))
    assert any(re.search(sentence, line) for line in found), found


def test_every_figure_is_broken_once() -> None:
    assert {name for name, _, _ in BROKEN} == set(FIGURES)
