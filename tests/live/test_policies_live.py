"""Selection policies in the virtual-time guest: each chooses, and takes, what its closed form says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmmlab.experiments.policies import POLICIES
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory

pytestmark = pytest.mark.live

MICROSECOND_MS = 1e-3
# By core 5, 25 and 9 ms; the links among them are short: at MR2 the way by MR1 is the best one, at MR3 its own.
ROUTERS_MS = {"MR1": 5, "MR2": 25, "MR3": 9}
LINKS = [
    *({"between": [router, "CORE"], "delay": f"{delay}ms"} for router, delay in ROUTERS_MS.items()),
    *({"between": [*pair], "delay": "3ms"} for pair in (("MR1", "MR2"), ("MR2", "MR3"))),
    {"between": ["CN1", "CORE"], "delay": "10ms"},
    {"between": ["SERVER", "CORE"], "delay": "4ms"},
    {"between": ["radio", "MN1"], "delay": "2ms"},
    {"between": ["CONTROLLER", "switches"], "delay": "1ms"},
]
MOVEMENT = [{"at": f"{at}s", "node": "MN1", "to": to} for at, to in ((0, "MR1"), (10, "MR2"), (20, "MR3"))]
SELECTS: dict[str, Any] = {
    **{name: name for name in POLICIES},
    "stagger10": {"staggered": {"delay": "10ms"}},
    "keener": {"hysteresis": {"better_by": "1ms"}},
    "lazier": {"scored": {"better_by": "30%"}},
}


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def chosen(run: Callable[..., RunDirectory], request: pytest.FixtureRequest) -> Recording:
    """Each policy asks before the moves, between them and after."""
    sessions = [
        {
            **{"name": f"S{number}", "at": f"{3 + number / 5:g}s", "from": "CN1", "to": "MN1", "select": select},
            **{"method": "p2p", "repeat": 3, "every": "10s", "interval": "20ms", "duration": "2s"},
        }
        for number, select in enumerate(SELECTS.values())
    ]
    where = {"mobile_routers": list(ROUTERS_MS), "links": LINKS, "movement": MOVEMENT}
    return Recording(run(family=request.param, **where, sessions=sessions, duration="30s"))


def test_every_choice_and_every_set_up_are_the_closed_forms(chosen: Recording) -> None:
    assert len(chosen.sessions) == 3 * len(SELECTS)
    for found in chosen.sessions:
        row, expected = found.row, chosen.expected(found)
        assert row.outcome == "ok" and expected is not None, row
        assert row.anchor == expected.anchor, row
        assert row.lookup_ms == pytest.approx(expected.lookup_s * 1e3, abs=MICROSECOND_MS), row
        assert row.setup_ms == pytest.approx(expected.setup_s * 1e3, abs=MICROSECOND_MS), row


def test_policies_differ_where_the_geometry_lets_them(chosen: Recording) -> None:
    anchors = [
        [row.anchor for found in chosen.sessions if (row := found.row).session.split(".")[0] == f"S{number}"]
        for number in range(len(SELECTS))
    ]
    found = dict(zip(SELECTS, anchors, strict=True))
    assert found["latest"] == ["MR1", "MR2", "MR3"]
    assert found["anchor"] == found["cached"] == ["MR1", "MR1", "MR1"]
    assert found["lowest-rtt"] == found["race"] == ["MR1", "MR1", "MR3"]
    assert found["staggered"] == found["latest"], "a head start of 250 ms is longer than any round trip"
    assert found["lazier"] == ["MR1", "MR1", "MR1"]
