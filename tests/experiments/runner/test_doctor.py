"""What this machine can run: what is picked, and what is said of what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmmlab.experiments.cli import doctor_view
from dmmlab.experiments.runner import doctor
from dmmlab.guest.errors import GuestError
from dmmlab.machine import checks

GOOD = checks.Check("x", True, "there")
BAD = checks.Check("openvswitch", False, "not in kernel 6.18", "apt-get install linux-image-amd64")
UNBUILT = checks.Check("guest kernel", False, "not built yet", doctor.BUILD_COMMAND)
NEVER = checks.Check("virtual time", False, "only the guest can stop the clock")


def _report(guest_check: checks.Check, native_check: checks.Check) -> doctor.Report:
    return doctor.Report(
        "a machine",
        (
            doctor.Combination("guest", "virtual", (guest_check,)),
            doctor.Combination("guest", "real", (guest_check,)),
            doctor.Combination("native", "real", (native_check,)),
            doctor.Combination("native", "virtual", (NEVER,)),
        ),
        (),
    )


def test_auto_prefers_the_guest_in_virtual_time_and_falls_back_to_native() -> None:
    assert doctor.pick("auto", "auto", _report(GOOD, GOOD)) == ("guest", "virtual")
    assert doctor.pick("auto", "auto", _report(UNBUILT, GOOD)) == ("guest", "virtual")  # it can be built
    assert doctor.pick("auto", "auto", _report(BAD, GOOD)) == ("native", "real")
    assert doctor.pick("auto", "real", _report(GOOD, GOOD)) == ("guest", "real")
    assert doctor.pick("native", "auto", _report(GOOD, GOOD)) == ("native", "real")


def test_what_cannot_be_had_is_one_sentence_with_its_remedy() -> None:
    with pytest.raises(
        GuestError, match=r"native with real clock.*openvswitch.*apt-get install linux-image-amd64"
    ) as caught:
        doctor.pick("native", "auto", _report(GOOD, BAD))
    assert "\n" not in str(caught.value)
    with pytest.raises(GuestError, match="only the guest can stop the clock"):
        doctor.pick("native", "virtual", _report(GOOD, GOOD))
    with pytest.raises(ValueError, match="allowed are auto"):
        doctor.pick("cloud", "auto", _report(GOOD, GOOD))


def test_a_build_that_lacks_packages_is_no_silent_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    flex = checks.Check("flex", False, "not installed", "apt-get install flex")
    check = doctor.guest_kernel("virtual", (GOOD, flex))
    assert not check.ok and "flex" in check.found and check.remedy.endswith(f"flex && {doctor.BUILD_COMMAND}")
    with pytest.raises(GuestError, match="apt-get install flex"):
        doctor.pick("guest", "virtual", _report(check, BAD))


def test_the_package_with_the_modules_depends_on_the_kernel() -> None:
    assert checks.module_package("6.1.0-20-cloud-amd64") == "linux-image-cloud-amd64"
    assert checks.module_package("6.8.0-45-generic") == "linux-modules-extra-6.8.0-45-generic"
    assert checks.module_package("6.18.1") == "linux-image-amd64"


def test_examination_of_this_machine_is_complete_and_json() -> None:
    report = doctor.examine()
    pairs = [(c.runtime, c.clock) for c in report.combinations]
    assert pairs == [("guest", "virtual"), ("guest", "real"), ("native", "real"), ("native", "virtual")]
    assert all(check.remedy for c in report.combinations for check in c.missing())
    assert json.loads(json.dumps(report.as_dict()))["combinations"][0]["runtime"] == "guest"
    doctor_view.show(report, everything=True)
