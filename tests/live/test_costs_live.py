"""Processing times on real packets: controller, registration server and node take as long as they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.oracle.silence import longest_silence_s
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory, read_csv

pytestmark = pytest.mark.live

MICROSECOND_S = 1e-6
NANOSECOND_MS = 1e-6
Run = Callable[..., RunDirectory]
COSTS: dict[str, dict[str, Any]] = {
    "ipv4": {"controller": {"packet_in": "1.2ms"}, "server": {"register": "80us"}, "node": {"dhcp": "3ms"}},
    "ipv6": {"controller": {"packet_in": "1.2ms"}, "server": {"register": "80us"}},
}
METHODS = ("p2p", "central", "combined", "ddns")
# No two messages at the server at one time.
SESSIONS: list[dict[str, Any]] = [
    {"name": "S", "at": "2.014s", "from": "CN1", "to": "MN1", "interval": "20ms", "duration": "10s"},
    *(
        {"name": f"S{phase}{number}", "at": f"{phase}{number * 13:03}ms", "from": "CN3", "to": "MN1"}
        | {"method": method, "transport": transport, "repeat": 5, "every": "200ms"}
        for phase in (3, 8)
        for number, (method, transport) in enumerate((m, t) for m in METHODS for t in ("udp", "tcp"))
    ),
]


@pytest.fixture(scope="module", params=COSTS)
def done(request: pytest.FixtureRequest, run: Run) -> RunDirectory:
    movement = [{"at": "0s", "node": "MN1", "to": "MR1"}, {"at": "6s", "node": "MN1", "to": "MR2", "gap": "50ms"}]
    return run(
        family=request.param,
        costs=COSTS[request.param],
        movement=movement,
        sessions=SESSIONS,
        duration="14s",
    )


def test_each_set_up_takes_what_the_closed_form_says(done: RunDirectory) -> None:
    """Two-mr: CN3 is 25 ms from the server, the server 22 ms from the node: 50 and 94 ms, and a message or two."""
    rows = [row for row in read_csv(done.sessions) if row["session"] != "S"]
    assert len(rows) == 80
    lookups: dict[str, set[float]] = {}
    for row in rows:
        assert row["outcome"] == "ok", row
        assert abs(float(row["setup_ms"]) - float(row["expected_setup_ms"])) < NANOSECOND_MS, row
        lookups.setdefault(row["method"], set()).add(round(float(row["lookup_ms"]), 6))
    assert lookups["p2p"] == {50.08}
    assert lookups["central"] == lookups["combined"] == {94.16}


def test_the_redirect_waits_for_the_controller(done: RunDirectory) -> None:
    """The first frame, 2 ms; to the controller and back, and the confirmation, 3 ms; and a packet-in. In IPv4 the node
    takes 3 ms to say something; in IPv6 it says so much at once that the confirmation waits for several packet-ins.
    """
    (row,) = read_csv(done.handovers)
    four = Recording(done).scenario.family == "ipv4"
    redirect_s, address_s = (float(row[key]) - float(row["attach_s"]) for key in ("redirect_s", "address_s"))
    assert address_s == pytest.approx(0.011 if four else 0.004, abs=MICROSECOND_S)
    if four:
        assert redirect_s == pytest.approx(0.0092, abs=MICROSECOND_S)
    else:
        packet_ins = (redirect_s - 0.003) / 0.0012
        assert packet_ins > 2 and packet_ins == pytest.approx(round(packet_ins), abs=1e-3)


def test_the_longest_silence_is_that_of_the_closed_form(done: RunDirectory) -> None:
    recording = Recording(done)
    alone = next(session.spec for session in recording.sessions if session.spec.name == "S")
    silent = recording.scenario.model_copy(update={"sessions": (alone.entry,)})
    expected_s = longest_silence_s(silent, alone, 1)
    (row,) = recording.handovers
    assert expected_s is not None and row.longest_silence_s is not None
    assert abs(row.longest_silence_s - expected_s) < MICROSECOND_S
