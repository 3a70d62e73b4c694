"""One self-contained page of a run or a campaign: ``report.html``, opened from file, without a network.

What it shows is read from the run directory alone. Figures are those in its folder ``figures/``, with the captions
beside them; the ladders are drawn if they are not there yet.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from dmmlab.experiments.figures import parallel, style
from dmmlab.experiments.ladders import files as ladders
from dmmlab.experiments.ladders.ladder import FIGURES
from dmmlab.experiments.oracle.silence import longest_of_all_s
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import HandoverRow, SessionRow
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.report import programs, timeline, topology
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.movement import Movement
from dmmlab.experiments.scenario.sessions import SessionSpec
from dmmlab.machine.files import write_whole

REPORT = "report.html"
_LADDER = "ladder-"
_DELAYS = ("lookup_ms", "connect_ms", "setup_ms")
_MILESTONES = {
    "announced_s": "announced",
    "attach_s": "attached",
    "left_s": "old link gone",
    "address_s": "address",
    "redirect_s": "redirect",
    "first_packet_s": "first packet",
    "registered_s": "registered",
}


_COMMIT = re.compile(r"[0-9a-f]{7,64}\+?")  # with a plus: and changes to it


def write(run_directory: Path) -> Path:
    """Writes the report of a run, or of a folder of runs, into that folder; returns its path.

    Raises RunDirectoryError where there is no run at all, or one is not what a run writes.
    """
    run = RunDirectory(run_directory)
    below = [RunDirectory(path.parent) for path in sorted(run_directory.glob("*/run.json"))]
    if not run.run_json.is_file() and not below:
        raise RunDirectoryError(f"{run_directory}: no run here: neither it nor a folder in it has a run.json")
    main = Recording(run) if run.run_json.is_file() else None
    described, listed = main and _described(main), [_listed(Recording(run), run_directory) for run in below]
    if main and described:  # all has been read: nothing is drawn of a run that is damaged
        described |= {"ladders": _ladders(main)}
    page = _template().render(
        title=main.manifest["name"] if main else run_directory.resolve().name,
        run=described,
        runs=listed,
        figures=_figures(run.figures) if run.figures.is_dir() else _figures(run_directory),
        css=_asset("report.css"),
        script=_asset("timeline.js"),
        protocols={name: colour for name, (colour, _) in style.PROTOCOLS.items()},
    )
    path = run_directory / REPORT
    if path.is_symlink():
        path.unlink()  # what it leads to is somebody else's
    write_whole(path, page)
    return path


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["code"] = _code
    environment.filters["word"] = lambda value: shlex.quote(str(value))  # of a command that the reader may copy
    return environment.from_string(_asset(REPORT))


def _code(caption: str) -> Markup:
    """What stands between backticks in a caption, as code."""
    parts = enumerate(caption.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if turn % 2 else part for turn, part in parts)


def _asset(name: str) -> str:
    return resources.files("dmmlab.experiments.report").joinpath("templates", name).read_text()


# -- one run -------------------------------------------------------------------------------------------------------
def _described(recording: Recording) -> dict[str, Any]:
    """All that the page says of one run. A run that failed has no tables; its page says so."""
    run, manifest, scenario = recording.run, recording.manifest, recording.scenario
    outcome = run.outcome() or {"outcome": "unfinished", "reason": "there is no outcome.json"}
    text = yaml.safe_dump(manifest["scenario"], sort_keys=False, allow_unicode=True, width=100)
    return {
        "folder": run.root.resolve().name,
        "manifest": manifest,
        "environment": list(_flat(manifest.get("environment", {}))),
        "commit": commit if _COMMIT.fullmatch(commit := str(manifest.get("environment", {}).get("commit"))) else "",
        "outcome": outcome,
        "scenario": scenario,
        "story": _story(scenario),
        "yaml": text,
        "yaml_uri": _uri("text/yaml", text.encode()),
        "topology": topology.drawing(scenario),
        "groups": _grouped(recording),
        "handovers": _handovers(recording),
        "programs": programs.described(recording) if recording.programs else None,
        "timeline": timeline.movements(recording),
    }


def _ladders(recording: Recording) -> list[dict[str, str]]:
    """The pictures of the run's ladders, drawn if there are none yet."""
    run = recording.run
    if run.finished() and not any(run.figures.glob(f"{_LADDER}*")) and recording.session_rows:
        parallel.draw(ladders.jobs(recording, run.figures, pdf=False))
    return _images(run.figures, of_ladders=True)


def _how(move: Movement) -> str:
    if move.overlap is not None:
        return f"by another radio, {move.overlap * 1e3:g} ms before the first link goes"
    return f"after {move.gap * 1e3:g} ms without a link"


def _story(scenario: Scenario) -> list[str]:
    """The scenario in sentences."""
    sentences = [_addressing(scenario)]
    for node in scenario.mobile_nodes:
        moves = scenario.moves_of(node)
        places = [f"at {moves[0].to} from {moves[0].at:g} s"]
        places += [f"at {move.to} from {move.at:g} s ({_how(move)})" for move in moves[1:]]
        shown = places if len(places) <= 4 else [*places[:3], f"… {len(places)} places in all"]
        sentences.append(f"{node} is {', '.join(shown)}.")
    for entry in scenario.sessions:
        number = entry.repeat * len(entry.method) * len(entry.transport)
        methods, transports = ", ".join(entry.method), " and ".join(word.upper() for word in entry.transport)
        what = "one session" if number == 1 else f"{number} sessions"
        sentences.append(
            f"{entry.name}: from {entry.at:g} s, {entry.from_} opens {what} with {entry.to} ({methods}; {transports})."
        )
        if entry.run is not None:
            sentences[-1] = f"{sentences[-1][:-1]}, by the program {entry.run.client[0]}."
    sentences.append(
        f"The redirect is {'on' if scenario.redirects else 'off'}; the scenario lasts {scenario.duration:g} s."
    )
    return sentences


def _addressing(scenario: Scenario) -> str:
    if scenario.family == "ipv4":
        return "Addresses are IPv4; mobile nodes get theirs by DHCP."
    found = {"off": "without detection of duplicates", "on": "after detection of duplicates (RFC 4862)"}
    how = found.get(scenario.addresses.dad, "with optimistic detection of duplicates (RFC 4429)")
    return f"Addresses are IPv6; mobile nodes form theirs from what routers advertise, {how}."


def _flat(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}: ")
        else:
            yield f"{prefix}{key}".replace("_", " "), "not there" if value is None else str(value)


def _grouped(recording: Recording) -> list[dict[str, Any]]:
    """Sessions that should have taken the same time, together: medians, and each row to unfold."""
    known = {spec.name: spec for spec in recording.specs}
    groups: dict[tuple[str, ...], list[SessionRow]] = {}
    for row in recording.session_rows:
        entry = known[row.session].entry.name if row.session in known else row.session.split(".")[0]
        key = (entry, row.cn, row.method, row.transport, _ms(row.expected_setup_ms))
        groups.setdefault(key, []).append(row)
    return [_group(key, members, known) for key, members in groups.items()]


def _group(key: tuple[str, ...], members: list[SessionRow], known: dict[str, SessionSpec]) -> dict[str, Any]:
    entry, cn, method, transport, expected = key
    off = list(_off_ms(members))
    first = known.get(members[0].session)
    return {
        "entry": entry,
        "cn": cn,
        "method": method,
        "transport": transport.upper(),
        "n": len(members),
        "expected": expected,
        "from_s": f"{first.at_s:g}" if first else "",
        **{column: _median(getattr(row, column) for row in members) for column in _DELAYS},
        "off": f"{max(off):.3f}" if off else "",
        "path": _counted(row.path for row in members),
        "outcome": _counted(row.outcome for row in members),
        "bad": any(row.outcome not in ("ok", "retried") for row in members),
        "rows": [
            asdict(row) | {column: _ms(getattr(row, column)) for column in (*_DELAYS, "start_s")} for row in members
        ],
    }


def _off_ms(members: Iterable[SessionRow]) -> Iterator[float]:
    """How far each set-up that has a closed form is from it."""
    for row in members:
        if row.setup_ms is not None and row.expected_setup_ms is not None:
            yield abs(row.setup_ms - row.expected_setup_ms)


def _median(values: Iterable[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    return f"{median(numbers):.3f}" if numbers else ""


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _counted(words: Iterable[str]) -> str:
    counts = Counter(words)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{word} {n}" for word, n in counts.most_common())


def _handovers(recording: Recording) -> list[dict[str, Any]]:
    """All of them, each beside the closed form of its longest silence; what none of them has has no column."""
    expected = {node: longest_of_all_s(recording.scenario, node) for node in recording.scenario.mobile_nodes}
    turns: Counter[str] = Counter()
    kinds = {
        key: name
        for key, name in _MILESTONES.items()
        if key not in ("announced_s", "left_s") or any(_times(row)[key] is not None for row in recording.handovers)
    }
    rows = []
    for row in recording.handovers:
        turns[row.mn] += 1
        rows.append(_handover(row, kinds, expected[row.mn].get(turns[row.mn])))
    return rows


def _times(row: HandoverRow) -> dict[str, float | None]:
    """Its times; ``left_s`` is when the old link of a make-before-break movement goes."""
    times: dict[str, float | None] = {key: getattr(row, key, None) for key in _MILESTONES}
    return times | {"left_s": row.detach_s if row.makes_before_it_breaks else None}


def _handover(row: HandoverRow, kinds: Mapping[str, str], expected_s: float | None) -> dict[str, Any]:
    """A handover in ms since it began."""
    begins_s, times = row.begins_s, _times(row)
    steps = {
        name: "" if begins_s is None or (at_s := times[key]) is None else f"{(at_s - begins_s) * 1e3:.1f}"
        for key, name in kinds.items()
    }
    silence = {"silence": _ms_of(row.longest_silence_s), "expected_silence": _ms_of(expected_s)}
    return asdict(row) | {"begins_s": _ms(begins_s), "steps": steps, **silence}


def _ms_of(value_s: float | None) -> str:
    return "" if value_s is None else f"{value_s * 1e3:.3f}"


# -- figures -------------------------------------------------------------------------------------------------------
def _figures(folder: Path) -> list[dict[str, str]]:
    return _images(folder, of_ladders=False)


def _images(folder: Path, of_ladders: bool) -> list[dict[str, str]]:
    """The pictures of a folder with the captions beside them: F1 before F10, ladders or all but those."""
    found = []
    pictures = [p for p in folder.glob("*.png") if p.name.startswith(_LADDER) == of_ladders]
    for path in sorted(pictures, key=_order):
        caption = path.with_suffix(".txt")
        if path.is_symlink() or caption.is_symlink():
            continue  # a file from elsewhere, which would go to whoever gets the report
        found.append(
            {
                "name": path.stem,
                "uri": _uri("image/png", path.read_bytes()),
                "caption": caption.read_text().strip() if caption.is_file() else path.stem,
            }
        )
    return found


def _order(path: Path) -> tuple[int, int, str]:
    kinds = [f"{_LADDER}{name}" for name in (*FIGURES, "correspondent")]
    digits = "".join(letter for letter in path.stem.split("-")[0] if letter.isdigit())
    return kinds.index(path.stem) if path.stem in kinds else 0, int(digits or 0), path.stem


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


# -- a folder of runs ---------------------------------------------------------------------------------------------
def _listed(recording: Recording, folder: Path) -> dict[str, Any]:
    run, manifest = recording.run, recording.manifest
    outcome = run.outcome() or {"outcome": "unfinished", "reason": "no outcome.json"}
    own, rows = run.root / REPORT, recording.session_rows
    return {
        "folder": run.root.name,
        "href": own.relative_to(folder).as_posix() if own.is_file() else None,
        "name": manifest["name"],
        "seed": manifest["seed"],
        "how": f"{manifest['runtime']}, {manifest['clock']} time",
        "outcome": outcome["outcome"],
        "reason": outcome.get("reason") or "",
        "sessions": len(rows),
        "worked": sum(row.outcome in ("ok", "retried") for row in rows),
        "off": max(_off_ms(row for row in rows if row.outcome == "ok"), default=None),
    }
