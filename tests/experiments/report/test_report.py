"""The report: complete, self-contained, and usable by keyboard, on a phone and on a desk."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import figures_fake
import pytest
import yaml
from recorded_run import Recorded, scenario
from recorded_story import Story
from webdriver import Browser, require_browser

from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.report import page as report
from dmmlab.experiments.report import timeline, topology
from dmmlab.experiments.scenario.load import load, parse

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign's folder that is a run itself, with two more runs in it, one of them failed."""
    root = tmp_path_factory.mktemp("report") / "campaign"
    run = Story(root).write()
    run.figures.mkdir()
    for name in ("F10-relay", "F2-setup"):
        (run.figures / f"{name}.png").write_bytes(PIXEL)
        (run.figures / f"{name}.txt").write_text(f"Figure {name}: what it shows <in words> & numbers.\n")
    Story(root / "second").write()
    failed = Recorded(root / "third", scenario()).write()
    failed.finish("failed", "named does not answer <script>alert(1)</script>")
    report.write(root / "second")
    report.write(root)
    return root


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / report.REPORT).read_text()


# -- what it holds ------------------------------------------------------------------------------------------------
def test_the_page_needs_nothing_but_itself(page: str) -> None:
    loaded = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert {link.split(":")[0] if ":" in link else link[0] for link in loaded} == {"data", "#", "s"}
    assert "second/report.html" in loaded  # the only other file: a run's own report
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", page)


def test_the_sections_are_all_there(page: str) -> None:
    sections = [
        "question",
        "network",
        "sessions",
        "handovers",
        "figures",
        "ladders",
        "timeline",
        "runs",
        "manifest",
        "again",
    ]
    assert re.findall(r'<section id="(\w+)"', page) == sections
    for name in sections:
        assert f'href="#{name}"' in page


def test_sessions_are_put_together_and_measured_against_what_was_expected(folder: Path) -> None:
    run = RunDirectory(folder)
    group = next(g for g in report._described(Recording(run))["groups"] if g["method"] == "p2p")
    assert (group["entry"], group["n"], group["setup_ms"], group["expected"]) == ("Px", 1, "84.002", "84.000")
    assert group["off"] == "0.002" and group["path"] == "direct" and not group["bad"]


def test_a_handover_is_told_in_ms_since_the_link_was_lost(page: str) -> None:
    table = page[page.index('id="handovers"') : page.index('id="figures"')]
    assert [cell in table for cell in ("50.0", "60.0", "56.0", "120.0", "80.0")] == [True] * 5


def test_figures_come_in_order_with_their_captions_escaped(page: str) -> None:
    assert re.findall(r'<figure id="([^"]*)"', page)[:3] == ["F2-setup", "F10-relay", "ladder-ddns"]
    assert "what it shows &lt;in words&gt; &amp; numbers." in page and "<in words>" not in page


def test_the_ladders_are_drawn_when_they_are_missing(folder: Path) -> None:
    assert [p.stem for p in sorted((folder / "second" / "figures").glob("*.png"))] == [
        "ladder-central", "ladder-combined", "ladder-ddns", "ladder-p2p",
    ]  # fmt: skip


def test_the_scenario_can_be_taken_from_the_page_and_run_again(folder: Path, page: str) -> None:
    uri = re.search(r'download="recorded.yaml" href="data:text/yaml;base64,([^"]*)"', page)
    assert uri is not None
    again = parse(yaml.safe_load(base64.b64decode(uri[1])), "the page")
    assert again == parse(RunDirectory(folder).manifest()["scenario"], "the run")
    assert "dmmlab run recorded.yaml --runtime guest --clock virtual --seed 1" in page


def test_a_campaign_lists_its_runs_and_what_became_of_them(page: str) -> None:
    assert "2 runs, 1 of them valid" in page and '<a href="second/report.html">second</a>' in page
    assert "failed: named does not answer &lt;script&gt;" in page and "<script>alert" not in page


def test_a_failed_run_has_a_page_that_says_so(folder: Path) -> None:
    failed = report.write(folder / "third").read_text()
    assert "named does not answer" in failed and 'id="manifest"' in failed and 'id="sessions"' not in failed
    (folder / "third" / report.REPORT).unlink()


def test_a_folder_of_runs_that_is_none_itself(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "one").symlink_to(folder / "second")
    text = report.write(tmp_path / "all").read_text()
    assert "1 run, 1 of them valid" in text and 'id="manifest"' not in text


def test_a_folder_without_a_run_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no run here"):
        report.write(tmp_path)


def test_the_drawing_shows_every_node_and_delay() -> None:
    svg = topology.drawing(scenario())
    for word in ("CN1", "RESOLVER", "MR1", "MR2", "s2", "MN1", "CONTROLLER", "CORE", "10 ms", "4 ms", "from 10 s"):
        assert f">{word}<" in svg


def test_the_drawing_of_a_tunnel_says_whom_it_joins() -> None:
    svg = topology.drawing(load("ring-of-eight"))
    assert ">tunnels MR1 - MR5, MR2 - MR6, MR3 - MR7 and 1 more<" in svg
    assert svg.count('class="tunnel"') == 8


def test_many_nodes_are_drawn_together() -> None:
    svg = topology.drawing(load("commuters-50"))
    assert ">50 mobile nodes<" in svg and ">MN7<" not in svg
    assert svg.count('class="radio"') == 10


def test_the_timeline_has_events_messages_and_probes_of_a_movement(folder: Path) -> None:
    run = RunDirectory(folder)
    first, second = timeline.movements(Recording(run))
    assert (first["name"], second["name"]) == ("MN1→MR1@0s", "MN1→MR2@10s")
    said = {(item["kind"], item["lane"], item.get("to"), item["text"]) for item in second["items"]}
    assert ("event", "runner", None, "detached") in said
    assert ("message", "MN1", "SERVER", "REGISTER") in said and ("message", "MN1", "DDNS", "update") in said
    assert second["items"] == sorted(second["items"], key=lambda item: item["t"])
    assert second["lanes"].index("MN1") < second["lanes"].index("SERVER")


def test_the_story_says_how_nodes_get_their_addresses() -> None:
    assert "IPv4; mobile nodes get theirs by DHCP" in report._story(load("two-mr"))[0]
    for dad, words in (("off", "without"), ("on", "after"), ("optimistic", "with optimistic")):
        said = report._story(load("two-mr-ipv6", {"addresses": {"dad": dad}}))[0]
        assert "IPv6" in said and f", {words} detection of duplicates" in said


def test_what_a_caption_calls_code_is_code_and_nothing_gets_through() -> None:
    assert report._code("method `p2p` <b>") == "method <code>p2p</code> &lt;b&gt;"


def test_a_session_that_the_mobile_node_opened_is_in_the_timeline_too(tmp_path: Path) -> None:
    found = figures_fake.make(load("two-mr"), tmp_path)
    (_, move) = timeline.movements(Recording(found))
    assert "session P1" in move["lanes"]


# -- how it behaves -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module", params=[(360, 740, True), (1280, 900, False)], ids=["phone", "desk"])
def browser(request: pytest.FixtureRequest, folder: Path) -> Iterator[Browser]:
    require_browser()
    with Browser(*request.param) as opened:
        opened.open(folder / report.REPORT)
        yield opened


def test_it_opens_from_file_without_a_complaint_and_without_loading(browser: Browser) -> None:
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt)")


def test_nothing_is_wider_than_the_window(browser: Browser) -> None:
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


def test_links_lead_somewhere_and_controls_have_names(browser: Browser) -> None:
    assert browser.run(
        "const targets = [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'));"
        "return targets.length > 9 && targets.every(target => document.querySelector(target))"
    )
    assert browser.run(
        "return [...document.querySelectorAll('button, select, input')].every("
        "n => n.labels?.length || n.textContent.trim() || n.ariaLabel)"
    )
    levels = browser.run("return [...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1 and set(levels[1:]) == {2}


def test_fingers_can_hit_the_buttons(browser: Browser) -> None:
    sizes = browser.run("return [...document.querySelectorAll('button')].map(b => [b.offsetWidth, b.offsetHeight])")
    assert sizes and all(width >= 24 and height >= 24 for width, height in sizes)  # WCAG 2.2, 2.5.8


def test_the_keyboard_goes_through_the_timeline(browser: Browser) -> None:
    detail = "return document.getElementById('detail').textContent"
    browser.run("document.getElementById('plot').focus()")
    browser.type("#plot", "home")
    first = browser.run(detail)
    browser.type("#plot", "right")
    assert " ms · " in first and browser.run(detail) != first
    browser.type("#plot", "left")
    assert browser.run(detail) == first
    browser.type("#plot", "end")
    assert browser.run("return document.querySelectorAll('#plot .chosen').length") == 1
    count = "return +document.querySelector('#plot svg').dataset.items"
    whole = browser.run(count)
    browser.type("#plot", "++")
    assert browser.run(count) < whole
    browser.type("#plot", "0")
    assert browser.run(count) == whole


def test_buttons_zoom_and_a_source_can_be_hidden(browser: Browser) -> None:
    count = "return +document.querySelector('#plot svg').dataset.items"
    browser.click("#whole")
    whole = browser.run(count)
    browser.click("#in")
    assert browser.run(count) < whole
    browser.click("#whole")
    browser.click("#sources input[value=MN1]")
    assert browser.run(count) < whole
    who = browser.run("return [...document.querySelectorAll('#items tbody td:nth-child(2)')].map(c => c.textContent)")
    assert who and not any(name.startswith("MN1") for name in who)
    browser.click("#sources input[value=MN1]")
    assert browser.run(count) == whole


def test_another_movement_can_be_chosen(browser: Browser) -> None:
    script = "const w = document.getElementById('which'); w.value = '%s'; w.dispatchEvent(new Event('change'));"
    items = "return document.querySelector('#items tbody').textContent"
    before = browser.run(items)
    browser.run(script % "0")
    assert browser.run(items) != before
    browser.run(script % "1")
    assert browser.run(items) == before
