"""What `make vm-test` judges of the runs that its machine left, and what it only shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from manifests import manifest
from scripts import script

from dmmlab.experiments.methods import NAMES
from dmmlab.experiments.records import rows, rundir
from dmmlab.experiments.records.rows import ProbeRow, SessionRow
from dmmlab.experiments.records.rundir import RunDirectory

NATIVE, COUNTED = Path("native/two-mr"), Path("counted/one-by-one")
COUNTED_IPV6 = Path("counted/one-by-one-ipv6")
LATE = ("invalid", "timers came 40 ms late")


verdict = script(Path(__file__).with_name("verdict.py"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What an emulated machine leaves if all goes well."""
    rundir.write_json(tmp_path / "up.json", {"accelerator": "tcg,thread=multi", "wall_s": 900})
    rundir.write_json(tmp_path / "provisioning.json", {"first_s": 600, "again_s": 2})
    (tmp_path / "again.log").touch()
    for name in (NATIVE, COUNTED_IPV6, COUNTED):
        _record(tmp_path / name)
    return tmp_path


def _record(
    folder: Path,
    outcome: tuple[str, str | None] = ("ok", None),
    *,
    datapath: str = "system@ovs-system",
    session: Mapping[str, str] | None = None,
    lost: int = 0,
) -> None:
    """A run with a session a method and router; ``session`` is put over the last one, ``lost`` of P1's probes are."""
    run = RunDirectory(folder)
    run.create(manifest(environment={"kernel": "6.1.0"}))
    (run.log / "datapath").write_text(f"{datapath}: lookups: hit:1\n")
    good = {"setup_ms": "88.1", "expected_setup_ms": "88", "outcome": "ok"}
    sessions = [{"session": f"S-{m}", "method": m, "serving": r, **good} for m in NAMES for r in ("MR1", "MR2")]
    sessions[-1].update(session or {})
    rundir.write_csv(run.sessions, rows.columns(SessionRow), sessions)
    probes = [{"session": "P1", "seq": n, "sent_s": n, "received_s": "" if n >= 60 - lost else n} for n in range(60)]
    rundir.write_csv(run.probes, rows.columns(ProbeRow), probes)
    run.finish(*outcome)  # type: ignore[arg-type]


def faults(out: Path) -> list[str]:
    return list(verdict.judge(out))


FAILED = {"session": "A5", "setup_ms": "", "outcome": "no-answer"}


def test_a_machine_in_which_all_holds(out: Path) -> None:
    assert faults(out) == []


def test_a_failed_session_of_a_believed_run_is_a_fault(out: Path) -> None:
    _record(out / COUNTED, session=FAILED)
    (fault,) = faults(out)
    assert "A5" in fault and NAMES[-1] in fault


def test_probes_lost_in_a_believed_run_are_a_fault(out: Path) -> None:
    _record(out / NATIVE, lost=1)
    (fault,) = faults(out)
    assert "P1 did not survive" in fault


def test_a_delay_far_from_its_closed_form_in_a_believed_run_is_a_fault(out: Path) -> None:
    _record(out / COUNTED, session={"setup_ms": "92"})
    (fault,) = faults(out)
    assert "+4.000 ms off" in fault


def test_ipv6_is_judged_like_ipv4(out: Path) -> None:
    _record(out / COUNTED_IPV6, session=FAILED)
    (fault,) = faults(out)
    assert "A5" in fault


def test_what_the_gate_does_not_believe_is_shown_and_not_judged(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _record(out / NATIVE, LATE, session=FAILED, lost=60)
    assert faults(out) == []
    shown = capsys.readouterr().out
    assert LATE[1] in shown
    assert "not judged: " in shown and "A5" in shown and "P1 did not survive" in shown


def test_an_invalid_run_must_have_used_the_datapath_of_the_kernel(out: Path) -> None:
    _record(out / NATIVE, LATE, datapath="netdev@ovs-netdev")
    (fault,) = faults(out)
    assert "netdev@ovs-netdev" in fault


def test_invalid_without_a_reason_is_a_fault(out: Path) -> None:
    _record(out / NATIVE, ("invalid", None))
    (fault,) = faults(out)
    assert "no reason" in fault


def test_failed_runs_are_faults(out: Path) -> None:
    _record(out / NATIVE, ("failed", "named ended"))
    (fault,) = faults(out)
    assert "named ended" in fault


def test_if_no_run_is_believed_nothing_was_judged(out: Path) -> None:
    for name in (NATIVE, COUNTED_IPV6, COUNTED):
        _record(out / name, LATE, session=FAILED)
    (fault,) = faults(out)
    assert "could not be judged" in fault and str(COUNTED) in fault


def test_without_kvm_there_must_be_a_counted_run(out: Path) -> None:
    (out / COUNTED).parent.rename(out / "elsewhere")
    (fault,) = faults(out)
    assert "no instruction-counted run" in fault


def test_with_kvm_the_plain_run_alone_will_do_if_it_is_believed(out: Path) -> None:
    (out / COUNTED).parent.rename(out / "elsewhere")
    (out / "up.json").write_text(json.dumps({"accelerator": "kvm", "wall_s": 90}))
    assert faults(out) == []
    _record(out / NATIVE, LATE)
    (fault,) = faults(out)
    assert "could not be judged" in fault
