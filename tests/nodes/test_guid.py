"""GUIDs: permanent, unique, never given twice."""

import json
import sqlite3
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
