"""GUIDs: permanent, unique, never given twice."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dmmlab.nodes.guid import GuidError, GuidLedger, derive


def test_a_guid_is_the_same_whenever_it_is_derived() -> None:
    guid = derive("mn1@operator.example")
    assert guid == derive("mn1@operator.example") != derive("mn2@operator.example")
    assert str(guid.uuid) == "8fb8f4d9-f029-55b5-ba33-66ecf82d74dd"
    assert guid.fqdn("dmm.test.") == f"{guid.label}.dmm.test"
    assert derive("x", "mn1").fqdn("dmm.test") == "mn1.dmm.test"


def test_the_mn_identifier_is_an_option_of_mipv6() -> None:
    guid = derive("mn1@operator.example")
    assert guid.mn_option[:5].hex() == "0813080004" and guid.mn_option[5:] == guid.uuid.bytes
    assert guid.mn_option[1] == len(guid.mn_option) - 2


@pytest.mark.parametrize("label", ["", "MN1", "a.b", "-a", "a" * 64, "ü"])
def test_a_label_must_be_a_host_name(label: str) -> None:
    with pytest.raises(GuidError):
        derive("mn1@operator.example", label or " ")
    with pytest.raises(GuidError):
        derive("")


def test_the_ledger_keeps_its_word_over_restarts(tmp_path: Path) -> None:
    ledger = GuidLedger(tmp_path / "guids.db")
    first = ledger.allocate("mn1@operator.example", "mn1")
    other = ledger.allocate("mn2@operator.example")
    ledger.close()
    ledger = GuidLedger(tmp_path / "guids.db")
    assert ledger.allocate("mn1@operator.example") == first == ledger.allocate("mn1@operator.example", "mn1")
    assert ledger.allocate("mn2@operator.example") == other != first
    for credential, label, complaint in (
        ("mn3@operator.example", "mn1", "another credential"),
        ("mn1@operator.example", "mn9", "for ever"),
    ):
        with pytest.raises(GuidError, match=complaint):
            ledger.allocate(credential, label)
    ledger.withdraw("mn1@operator.example")
    for credential in ("mn1@operator.example", "mn4@operator.example"):
        with pytest.raises(GuidError):
            ledger.allocate(credential, "mn1")
    with pytest.raises(GuidError):
        ledger.withdraw("nobody")
    assert [row["withdrawn"] for row in json.loads(ledger.export())] == [1, 0]
    ledger.close()


def test_not_even_sql_reuses_a_guid(tmp_path: Path) -> None:
    ledger = GuidLedger(tmp_path / "guids.db")
    ledger.allocate("mn1@operator.example", "mn1")
    ledger.close()
    database = sqlite3.connect(tmp_path / "guids.db")
    for statement in ("DELETE FROM guids", "UPDATE guids SET label = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="for ever"):
            database.execute(statement)
    database.close()


ALLOCATIONS, CREDENTIALS = 100_000, 20_000
ALLOCATOR = """
import sys
from dmmlab.nodes.guid import GuidLedger
ledger, first = GuidLedger(sys.argv[1]), int(sys.argv[2])
for number in range(first, int(sys.argv[3])):
    guid = ledger.allocate(f"mn{number % int(sys.argv[4])}@operator.example")
    sys.stdout.write(f"{number} {guid.uuid}\\n")
    sys.stdout.flush()
"""


def test_a_hundred_thousand_allocations_with_kills_give_each_credential_one_guid_for_ever(tmp_path: Path) -> None:
    """The allocator is killed again and again, wherever it is; what it said before is true afterwards."""
    said: dict[int, str] = {}
    done, killed, draw = 0, 0, random.Random(1)
    while done < ALLOCATIONS:
        argv = [sys.executable, "-c", ALLOCATOR, str(tmp_path / "guids"), str(done), str(ALLOCATIONS), str(CREDENTIALS)]
        until = done + draw.randrange(1, ALLOCATIONS // 8)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as allocator:
            assert allocator.stdout is not None
            for line in allocator.stdout:
                number, guid = line.split()
                credential = int(number) % CREDENTIALS
                assert said.setdefault(credential, guid) == guid
                done = int(number) + 1
                if done == until:
                    os.kill(allocator.pid, signal.SIGKILL)
                    killed += 1
                    break
        assert allocator.returncode in (0, -signal.SIGKILL)
    assert killed >= 8
    assert len(said) == len(set(said.values())) == CREDENTIALS
    ledger = GuidLedger(tmp_path / "guids")
    assert {row["credential"]: row["guid"] for row in json.loads(ledger.export())} == {
        f"mn{number}@operator.example": guid for number, guid in said.items()
    }
    ledger.close()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _text(path: Path) -> None:
    path.write_text("credential,guid\n" * 100)


def _statement(*statements: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        database = sqlite3.connect(path)
        for statement in statements:
            database.execute(statement)
        database.close()

    return spoil


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_text, "damaged, or none"),
        (_cut, "damaged"),
        (_statement("PRAGMA user_version = 7"), "of version 7, and this dmmlab reads 1"),
        (_statement("PRAGMA application_id = 1"), "no ledger of GUIDs"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(tmp_path: Path, spoil: Callable[[Path], None], complaint: str) -> None:
    ledger = GuidLedger(tmp_path / "guids")
    for number in range(500):
        ledger.allocate(f"mn{number}@operator.example")
    ledger.close()
    spoil(tmp_path / "guids")
    with pytest.raises(GuidError, match=complaint) as error:
        GuidLedger(tmp_path / "guids")
    assert "\n" not in str(error.value) and str(tmp_path / "guids") in str(error.value)
