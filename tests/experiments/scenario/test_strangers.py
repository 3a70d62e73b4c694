"""A scenario, or a run directory, that comes from somebody else: what it may not read, write, fill or start."""

from __future__ import annotations

import csv
import json
import os
import re
import threading
import time
from pathlib import Path

import pytest
import yaml
from manifests import manifest

from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rundir import RunDirectory, read_csv, write_csv
from dmmlab.experiments.scenario.load import ScenarioError, load
from dmmlab.machine.sources import FOLDERS, ROOT


def refused(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", ".x", "a/b", "-rf", "x\n", "", "a" * 65, "x\0y"])
def test_no_scenario_names_a_folder_outside_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"extends": "two-mr", "name": name}))
    assert "name" in refused(tmp_path / "s.yaml")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "A\n", "a b", "x/y", "$(id)", "`id`", ";id", "--x"])
@pytest.mark.parametrize("key", ["node", "session", "router", "service"])
def test_no_name_in_a_scenario_is_a_path_or_an_option_or_a_command(tmp_path: Path, key: str, name: str) -> None:
    """Names become those of files, interfaces, hosts and arguments."""
    data = load("two-mr").model_dump(mode="json", by_alias=True)
    text = json.dumps(data)
    if key == "service":
        data["services"] = [{"name": name, "port": 7001}]
    else:
        old = {"node": '"CN1"', "session": '"P1"', "router": '"MR2"'}[key]
        assert old in text
        data = json.loads(text.replace(old, json.dumps(name)))
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    refused(tmp_path / "s.yaml")


@pytest.mark.parametrize("outside", ["/etc/passwd", "../secret.csv", "below/../../secret.csv", "link.csv"])
@pytest.mark.parametrize(
    "keys",
    [
        "mobility: [{{nodes: [MN1], model: ping-pong, residence: {{file: {0}}}}}]",
        "mobility: [{{trace: {0}}}]",
        "geometry: {{matrix: {0}}}",
        "extends: {0}",
    ],
)
def test_no_scenario_reads_a_file_that_is_not_beside_it(tmp_path: Path, outside: str, keys: str) -> None:
    (tmp_path / "secret.csv").write_text("the secret\n")
    home = tmp_path / "home"
    (home / "below").mkdir(parents=True)
    (home / "link.csv").symlink_to(tmp_path / "secret.csv")
    (home / "s.yaml").write_text("extends: two-mr\nmovement: []\n" * ("extends" not in keys) + keys.format(outside))
    said = refused(home / "s.yaml")
    assert "is not below the scenario's folder" in said
    assert "secret\n" not in said and "root:" not in said


def test_a_file_that_never_ends_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    fed = threading.Thread(target=pipe.write_text, args=("0\n",))
    fed.start()  # so that who reads it all the same is not left waiting
    (tmp_path / "s.yaml").write_text("extends: two-mr\ngeometry: {matrix: pipe}\n")
    said = refused(tmp_path / "s.yaml")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fed.join()
    os.close(reader)
    assert "is no file" in said


DEEP, MANY = "100 deep", "more than 5,000,000 values"
BOMBS = {  # by kind, the text and what is said of it; where nothing is, libyaml's own words do
    "laughs": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
        MANY,
    ),
    "merges": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)),
        MANY,
    ),
    "itself": ("a: &a [*a]\n", "holds itself"),
    "brackets": ("a: " + "[" * 200_000, ""),
    "pairs": ("a: " + "[" * 500 + "]" * 500, DEEP),
    "braces": ("{a: " * 100_000, DEEP),
    "dashes": ("- " * 100_000 + "a", DEEP),
    "indents": ("\n".join(" " * n + "a:" for n in range(3_000)), DEEP),
    "date": ("name: 2024-13-45\n", ""),
    "number": ("seed: " + "9" * 5_000 + "\n", ""),
    "float": ("seed: 0b\n", ""),
}


PING_PONG = "{{nodes: [MN1], model: ping-pong, residence: {{constant: {}}}, from: 1s, gap: 0s}}"
ENDLESS = {
    "moves": f"movement: [{{at: 0s, node: MN1, to: MR1}}]\nmobility: [{PING_PONG.format('1us')}]\n",
    "no time": f"movement: [{{at: 0s, node: MN1, to: MR1}}]\nmobility: [{PING_PONG.format('0.001ns')}]\n",
    "probes": "sessions: [{name: P, at: 2s, from: CN1, to: MN1, method: fixed, interval: 1ns, duration: 20s}]\n",
    "repeated": "sessions: [{name: P, at: 2s, from: CN1, to: MN1, method: [fixed, p2p], interval: 1ms, duration: 2s,\n"
    "            repeat: 9000, every: 1ms}]\n",
    "duration": "duration: 1e300s\n",
    "announced": "handover: {announce: 1e308h}\n",
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_would_have_no_end_is_a_sentence_within_seconds(tmp_path: Path, kind: str) -> None:
    (tmp_path / "s.yaml").write_text(f"extends: two-mr\n{ENDLESS[kind]}")
    began = time.process_time()
    said = refused(tmp_path / "s.yaml")
    assert time.process_time() - began < 5
    assert re.search(r"more than 100,000 movements|at most 20,000,000 probes|must be 100000000s at most", said)


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_a_sentence_within_seconds(tmp_path: Path, kind: str) -> None:
    text, what = BOMBS[kind]
    (tmp_path / "s.yaml").write_text(text)
    began = time.process_time()
    said = refused(tmp_path / "s.yaml")
    assert time.process_time() - began < 5
    assert "\n" not in said.strip() and what in said


def test_python_is_not_made_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"name: !!python/object/apply:os.system ['touch {tmp_path}/made']\n")
    refused(tmp_path / "s.yaml")
    assert not (tmp_path / "made").exists()


def test_a_shell_is_in_no_call_but_those_that_are_fixed() -> None:
    """What a scenario says reaches programs as words; ``run`` splits its own as a shell would, and says so."""
    shells = re.compile(r"shell=True|os\.system|os\.popen|getoutput|create_subprocess_shell")
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            assert not shells.search(file.read_text()), file
    assert "no shell" in (ROOT / "docs" / "own-program.md").read_text()


FORMULAS = ["=1+1", "=HYPERLINK(1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(1)", "\t=1", "-x"]


def test_no_cell_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    numbers = ["a b", "-1.5", "+2", "-0.000001", "1e-6", "-3.2e+5", "", "-"]
    rows = [{"a": text, "b": 1.5} for text in [*FORMULAS, "a\rb", *numbers[1:]]] + [{"a": -2, "b": None}]
    write_csv(tmp_path / "t.csv", ("a", "b"), rows)
    cells = [row["a"] for row in read_csv(tmp_path / "t.csv")]
    assert cells[: len(FORMULAS)] == [f"'{text}" for text in FORMULAS]
    assert cells[len(FORMULAS) :] == [*numbers, "-2"]
    with (tmp_path / "t.csv").open(newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if re.match(r"[=@\t\r]", cell)]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '"x"', "[" * 100_000, '{"format": "x"}', '{"format": 1e999}', '{"format": null}']
)
def test_a_run_directory_that_is_none_is_a_sentence(tmp_path: Path, text: str) -> None:
    run = RunDirectory(tmp_path)
    run.run_json.write_text(text)
    with pytest.raises(RunDirectoryError):
        run.manifest()
    run.events.write_text(f"{{}}\n{text or '7'}\n")
    if text[:6] != '{"form':
        with pytest.raises(RunDirectoryError):
            run.timeline()


@pytest.mark.parametrize("key", ["name", "seed", "runtime", "clock", "environment", "scenario"])
def test_a_run_whose_manifest_has_another_kind_of_value_is_a_sentence(tmp_path: Path, key: str) -> None:
    run = RunDirectory(tmp_path)
    run.create(manifest())
    assert run.manifest()["seed"] == 1
    for value in ([key], None):
        run.create(manifest(**{key: value}))
        with pytest.raises(RunDirectoryError, match=f"{key}: "):
            run.manifest()
