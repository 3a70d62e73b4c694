"""The controller under both frameworks against real Open vSwitch, netem and DHCP, in the virtual-time guest."""

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from controllers_fake import chain

from dmmlab.controllers.framework import NAMES
from dmmlab.guest.errors import GuestError
from dmmlab.guest.launch import execute

SCRIPT = Path(__file__).with_name("controllers_live.sh")
WALL_LIMIT_S = 300
TOLERANCE_MS = 0.0005  # of what ping prints


def run(framework: str, folder: Path) -> dict[str, Any]:
    """One run in the guest; skipped with its reason, or failed if live tests are required."""
    (folder / "plan.json").write_text(chain(3).to_json())
    missing = [
        tool for tool in ("ovs-vswitchd", "dnsmasq", "udhcpc") if which(tool, path="/usr/sbin:/usr/bin:/bin") is None
    ]
    try:
        if missing:
            raise GuestError(f"not installed: {', '.join(missing)}")
        output: list[bytes] = []
        command = ["sh", str(SCRIPT), sys.executable, framework, str(folder / "plan.json"), str(folder)]
        status = execute(
            command,
            writable=[folder],
            services=True,
            time_limit_s=WALL_LIMIT_S,
            stdout=output.append,
            stderr=output.append,
        )
    except GuestError as reason:
        if os.environ.get("DMMLAB_REQUIRE_LIVE") == "1":
            raise
        pytest.skip(str(reason))
    assert status == 0, b"".join(output).decode()
    answers = re.findall(r"icmp_seq=(\d+) .*time=([\d.]+)", (folder / "ping").read_text())
    return {
        "rtt_ms": {int(seq): float(rtt) for seq, rtt in answers},
        "tcp": json.loads((folder / "tcp.json").read_text()),
        "events": [json.loads(line) for line in (folder / "events").read_text().splitlines()],
        "flows": [(folder / f"flows{i}").read_text() for i in (1, 2, 3)],
    }


@pytest.mark.live
@pytest.mark.parametrize("framework", [name for name in NAMES if find_spec(name)])
def test_a_session_survives_two_movements_and_a_restart(framework: str, tmp_path: Path) -> None:
    found = run(framework, tmp_path)
    rtt_ms: dict[int, float] = found["rtt_ms"]
    # 34 ms at MR1; over the transit switch at MR3 2 x (4 + 4) ms more; 34 ms again.
    assert rtt_ms[1] == pytest.approx(34, abs=TOLERANCE_MS)
    assert rtt_ms[350] == pytest.approx(34, abs=TOLERANCE_MS)
    at_mr3 = [seq for seq, rtt in rtt_ms.items() if abs(rtt - 50) < TOLERANCE_MS]
    assert at_mr3 == list(range(at_mr3[0], at_mr3[-1] + 1)), "none lost while the controller was away"
    assert len(at_mr3) > 150
    assert 350 - len(rtt_ms) <= 8, "of two movements with a gap of 50 ms each, at 20 ms"
    assert found["tcp"]["echoes"] == 150 and found["tcp"]["longest_s"] < 0.5

    events = found["events"]
    assert not [each for each in events if each["event"] == "error"]
    confirmed = [each for each in events if each["event"] == "redirect_confirmed" and each["cause"] == "mn_attached"]
    assert confirmed[0]["path"] == ["MR1", "MR2", "MR3"]
    assert confirmed[0]["elapsed_s"] == pytest.approx(0.002, abs=1e-9), "one round trip of the control channel"
    restarted = [i for i, each in enumerate(events) if each["event"] == "started"][1]
    ready = next(i for i, each in enumerate(events) if i > restarted and each["event"] == "ready")
    assert "flow_mod_sent" not in [each["event"] for each in events[restarted:ready]], "a restart changes no rule"
    assert {each["address"] for each in events if each["event"] == "binding_expired"} >= {confirmed[0]["address"]}
    assert confirmed[0]["address"] not in "".join(found["flows"])
    assert events[-1]["event"] == "stopped"
