"""Bad input is one sentence on standard error and exit status 2; nothing is started, nothing is written."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dmmlab.experiments.cli.main import command
from dmmlab.experiments.runner import means
from dmmlab.machine import checks
from dmmlab.nodes.guid import GuidLedger


def dmmlab(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dmmlab.experiments.cli.main", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def damaged(ledger: Path) -> None:
    ledger.write_text("nothing of the kind\n" * 300)


def of_another_version(ledger: Path) -> None:
    GuidLedger(ledger).close()
    with closing(sqlite3.connect(ledger)) as database:
        database.execute("PRAGMA user_version = 7")


@pytest.mark.parametrize("verb", ["run", "shell"])
@pytest.mark.parametrize(
    ("spoil", "words"), [(damaged, "the ledger cannot be used"), (of_another_version, "a ledger of version 7")]
)
def test_a_ledger_that_cannot_be_used_starts_nothing(
    tmp_path: Path, verb: str, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(tmp_path / "guids")
    said = dmmlab(verb, "two-mr", "--ledger", "guids", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(f"dmmlab: guids: {words}") and said.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("verb", ["run", "shell"])
def test_a_family_that_a_program_lacks_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    lacking = [checks.Check("dnsmasq with IPv6", False, "built without", "apt-get install dnsmasq-base")]
    monkeypatch.setattr(checks, "ipv6", lambda *_: lacking)
    monkeypatch.setattr(means, "means", lambda runtime, clock: (runtime, clock))
    monkeypatch.setattr(sys, "argv", ["dmmlab", verb, "two-mr-ipv6", "--runtime", "guest"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        command()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err == (
        "dmmlab: two-mr-ipv6: family: ipv6 needs dnsmasq with IPv6, which is built without: "
        "apt-get install dnsmasq-base\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: two-mr\nspeed: 3\n", "speed: unknown key"),
        ("extends: two-mr\nduration: -3s\n", "must not be negative"),
        ("extends: two-mr\nmovement: [{at: 0s, node: MN1, to: MR5}]\n", "unknown mobile router MR5"),
        (
            "extends: two-mr\nsessions: [{name: A, at: 1s, from: CN1, to: MN4}]\n",
            "unknown correspondent or mobile node",
        ),
        (
            "extends: two-mr\nmovement: [{at: 0s, node: MN1, to: MR1}, {at: 5s, node: MN1, to: MR2, gap: 2s}, "
            "{at: 6s, node: MN1, to: MR1}]\n",
            "overlap",
        ),
        (
            "extends: two-mr\nsessions: [{name: A, at: 1s, from: MN1, to: MN1}]\n",
            "A: from MN1 to MN1: a node has no session with itself; name two nodes",
        ),
        ("just words", "not a scenario"),
        ("{", "not YAML"),
        ("extends: two-mr\nseed: 1\nlinks: []\nseed: 2\n", "line 4: the key seed is there twice"),
    ],
)
def test_a_bad_scenario_starts_nothing(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    for verb in ("check", "run"):
        said = dmmlab(verb, "bad.yaml", cwd=tmp_path)
        assert said.returncode == 2
        assert said.stderr.startswith("dmmlab: bad.yaml: ")
        assert words in said.stderr
        assert said.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nothing.yaml"), "no such file"),
        (("run", "no-such-name"), "neither a file nor a shipped scenario"),
        (("run", "two-mr", "--seed", "-1"), "seed"),
        (("run", "two-mr", "--runtime", "native", "--clock", "virtual"), "only the guest can stop the clock"),
        (("figures", "F99", "--from", ".", "--out", "x"), "unknown figure F99"),
        (("figures", "F1", "--from", ".", "--out", "x"), ".: no valid run there"),
        (("run", "two-mr", "--figures", "F1,F99"), "unknown figure F99"),
        (("run", "two-mr", "--pdf"), "--pdf goes with --figures"),
        (("run", "two-mr", "two-mr", "--out", "x"), "x/two-mr: two of the runs would be there"),
        (("run", "two-mr", "--repeat", "99999999999"), "--repeat"),
        (("explore", "two-mr", "--rounds", "99999999"), "--rounds"),
        (("check", "/"), "/: is no file"),
        (("new", "a/b"), "NAME: 'a/b' is no name of a folder"),
        (("new", "x", "--core", "5"), "--core: expected a number with a unit"),
        (("trace", "expand", "two-mr", "--out", "nowhere/t.csv"), "nowhere/t.csv: no such file or directory"),
        (("report", "nowhere"), "nowhere"),
        (("reproduce", "F5", "--instead", "two-mrs=/dev/null"), "no shipped scenario has the name two-mrs"),
        (("compare", ".", "."), ".: neither a run directory"),
        (("fly",), "fly"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    said = dmmlab(*arguments, cwd=tmp_path)
    assert said.returncode == 2
    assert words in said.stderr
    assert "Traceback" not in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_says_how_things_are_done(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "extends: two-mr-ipv6\naddresses: {dad: optimistic, keep: 8s}\nregistration: {update: lazy, after: 3s}\n"
        "discovery: dns-sd\nservices: [{name: chat, port: 7000}]\nidentities: [{node: MN1, label: mn-given}]\n"
        "redirect: false\n"
    )
    lines = [" ".join(line.split()) for line in dmmlab("check", "mine.yaml", cwd=tmp_path).stdout.splitlines()]
    for said in (
        "family ipv6",
        "redirect off",
        "registration lifetime 300s, control udp, update lazy, after 3s",
        "addresses keep 8s, lease 3600s, dad optimistic",
        "services echo at port 5001, bulk at port 5002, chat at port 7000",
        "mobile correspondents MN1 (1 movement)",
    ):
        assert any(line.startswith(said) for line in lines), said
    assert any(line.startswith("discovery dns-sd: nodes look the registration server") for line in lines)
    assert any(line.startswith("identities, labels of a ledger") and "MN1 mn-given." in line for line in lines)


def test_list_check_and_doctor_speak(tmp_path: Path) -> None:
    listed = dmmlab("list", cwd=tmp_path)
    assert listed.returncode == 0
    for word in ("two-mr", "combined", "F1"):
        assert word in listed.stdout
    plan = dmmlab("check", "two-mr", cwd=tmp_path)
    assert plan.returncode == 0
    for word in ("10.1.2.100", "MN1", "188 ms", "after a gap of 50 ms"):
        assert word in plan.stdout
    doctor = dmmlab("doctor", "--json", cwd=tmp_path)
    assert {entry["runtime"] for entry in json.loads(doctor.stdout)["combinations"]} == {"guest", "native"}
