"""The event log and its catalogue: lines as they have always been, and no event that the catalogue does not have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from event_lines import logged

from dmmlab.machine.catalogue import CATALOGUE, CatalogueError, check, markdown
from dmmlab.machine.events import CHECK, EventLog

ROOT = Path(__file__).parents[2]


def test_a_line_is_time_source_event_and_the_fields_in_their_order(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events", "CN1", "correspondent")
    log.write([("registered", 5, {"outcome": "ok", "attempts": 1})])
    log.close()
    expected = '{"time_ns": 5, "source": "CN1", "event": "registered", "outcome": "ok", "attempts": 1}\n'
    assert (tmp_path / "events").read_text() == expected


def test_the_controllers_lines_have_no_blanks(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events", "controller", compact=True)
    log.write([("ready", 5, {"switches": 2})])
    log.close()
    assert (tmp_path / "events").read_text() == '{"time_ns":5,"source":"controller","event":"ready","switches":2}\n'


def test_a_log_is_appended_to_and_has_the_time_of_each_event(tmp_path: Path) -> None:
    for switches in (1, 2):
        log = EventLog(tmp_path / "events", "controller")
        log.emit("ready", switches=switches)
        log.close()
    first, second = logged(tmp_path / "events")
    assert (first["switches"], second["switches"]) == (1, 2)
    assert isinstance(first["time_ns"], int) and first["time_ns"] <= second["time_ns"]


def test_no_field_passes_for_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECK)
    log = EventLog(tmp_path / "events", "server")
    log.write([("refused", 7, {"source": "attacker", "reason": "malformed", "time_ns": 0})])
    log.close()
    expected = {"time_ns": 7, "source": "server", "event": "refused", "reason": "malformed"}
    assert json.loads((tmp_path / "events").read_text()) == expected


@pytest.mark.parametrize(
    ("event", "fields", "complaint"),
    [
        ("registred", {}, "no event registred of a correspondent"),
        ("address_renewed", {}, "no event address_renewed of a correspondent"),
        ("registered", {"outcome": "ok"}, "registered lacks attempts"),
        ("registered", {"outcome": "ok", "attempts": 1, "address": "10.1.1.2"}, "registered has no field address"),
    ],
)
def test_in_tests_an_event_out_of_the_catalogue_is_an_error(
    tmp_path: Path, event: str, fields: dict[str, object], complaint: str
) -> None:
    log = EventLog(tmp_path / "events", "CN1", "correspondent")
    with pytest.raises(CatalogueError, match=complaint):
        log.emit(event, **fields)
    assert (tmp_path / "events").read_text() == ""
    log.close()


def test_in_a_run_it_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECK)
    log = EventLog(tmp_path / "events", "CN1", "correspondent")
    log.emit("unheard_of")
    log.close()
    assert "unheard_of" in (tmp_path / "events").read_text()


def test_a_field_that_is_sometimes_there_may_be_missing() -> None:
    check("mobile node", "leg_opened", ["session_number", "address", "transport"])
    check("mobile node", "leg_opened", ["session_number", "address", "transport", "ok"])


def test_the_document_is_the_catalogue() -> None:
    assert (ROOT / "docs" / "events.md").read_text() == markdown()


def test_the_sources_log_what_the_catalogue_has_and_nothing_else() -> None:
    """Every name that stands first in a call of a log; the conditional ones stand as a whole in the source."""
    text = "".join(
        path.read_text()
        for folder in ("controllers", "nodes", "experiments/runner")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    first = re.compile(r"""(?:emit|_note|\.record|\.note|Noted)\(\s*(?:now_ns,\s*)?"(\w+)\"""")
    names = {kind.name for kinds in CATALOGUE.values() for kind in kinds}
    assert set(first.findall(text)) <= names
    assert [name for name in sorted(names) if f'"{name}"' not in text] == []
