"""A scenario file, or a shipped one: read, and refused with one sentence that names file, key and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from dmmlab.experiments.scenario import beside, catalogue, checks, costs, geometry, yaml_file
from dmmlab.experiments.scenario.mobility import files
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.section import Section
from dmmlab.machine.errors import Refusal


class ScenarioError(Refusal):
    """The scenario cannot be used; the message is one sentence for the person who wrote it."""


def load(source: str | Path, overrides: dict[str, Any] | None = None) -> Scenario:
    """The scenario in file ``source``, or the shipped one of that name; ``overrides`` replace top-level keys.

    A file with ``extends: NAME`` is that scenario with the keys of the file put in place of its own.
    Raises ScenarioError: one sentence that names the file, the key and what is allowed.
    """
    data = _read(str(source), seen=())
    data.update(overrides or {})
    return parse(data, str(source))


def parse(data: dict[str, Any], source: str) -> Scenario:
    """A scenario from the mapping of a file; ``source`` names the file in an error."""
    try:
        data = _whole(data, source)
        scenario = Scenario.model_validate(data)
        if scenario.geometry is not None and not scenario.geometry.delays:
            routers, near_s = scenario.mobile_routers, scenario.geometry.near
            couples = () if near_s is None else tuple(zip(routers[::2], routers[1::2], strict=False))
            near = geometry.Near(couples, (near_s or 0.0) * 1e3)
            placed = geometry.expanded(
                data["geometry"], (*scenario.hosts, *routers), scenario.seed, Path(source).parent, near
            )
            scenario = Scenario.model_validate({**data, "geometry": placed})
    except geometry.GeometryError as error:
        raise ScenarioError(f"{source}: geometry: {error}") from None
    except ValidationError as error:
        raise ScenarioError(f"{source}: {_sentence(error, data)}") from None
    for problem in checks.problems(scenario):
        raise ScenarioError(f"{source}: {problem}")
    return scenario


def _read(source: str, seen: tuple[str, ...]) -> dict[str, Any]:
    text = _text_of(source)
    try:
        data = yaml_file.read(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise ScenarioError(f"{source}: not YAML: {where}: {getattr(error, 'problem', error)}") from None
    except (ValueError, OverflowError) as error:
        raise ScenarioError(f"{source}: cannot be read as YAML: {error}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{source}: not a scenario: expected keys such as name, links, movement, sessions")
    data = _whole(data, source)
    base = data.pop("extends", None)
    if base is None:
        return data
    try:
        nearby = beside.find(Path(source).resolve().parent, str(base))
    except beside.Elsewhere as problem:
        raise ScenarioError(f"{source}: extends: {base} {problem}") from None
    target = str(nearby) if nearby.is_file() else str(base)
    if target in (*seen, source, str(Path(source).resolve())):
        raise ScenarioError(f"{source}: extends: {base} extends itself")
    return {**_read(target, (*seen, source)), **data}


def _whole(data: dict[str, Any], source: str) -> dict[str, Any]:
    """``data`` with what the files beside ``source`` hold that it names."""
    for key, read in (("mobility", files.read), ("costs", costs.read)):
        try:
            data = {**data, key: read(data[key], Path(source).parent)} if key in data else data
        except files.FileProblem as error:
            raise ScenarioError(f"{source}: {key}: {error}") from None
    return data


def _text_of(source: str) -> str:
    path = Path(source)
    try:
        if path.is_file():
            return path.read_text()
        if (path.suffix or "/" in source) and path.exists():
            raise ScenarioError(f"{source}: is no file; a scenario is a file of YAML")
        if path.suffix or "/" in source:
            raise ScenarioError(f"{source}: no such file; `dmmlab list` names the shipped scenarios")
        return catalogue.text(source)
    except FileNotFoundError:
        names = ", ".join(entry.name for entry in catalogue.shipped())
        raise ScenarioError(f"{source}: neither a file nor a shipped scenario; shipped are {names}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{source}: cannot be read: {error}") from None


def _sentence(error: ValidationError, data: dict[str, Any]) -> str:
    """The first problem of ``error`` in one sentence: where, what, and what would do."""
    first = error.errors()[0]
    location, kind, context = first["loc"], first["type"], first.get("ctx", {})
    where = _where(location, data)
    if kind == "extra_forbidden":
        allowed = ", ".join(_keys_beside(location))
        return f"{where}: unknown key; allowed are {allowed}"
    if kind == "missing":
        return f"{where}: missing key"
    if kind == "value_error":
        reason = str(context["error"])
        return f"{where}: {reason}" if location else reason
    message = first["msg"].replace("Input should be", "must be").replace("Field required", "missing")
    return f"{where}: {message}; found {first['input']!r}"


def _where(location: tuple[int | str, ...], data: Any) -> str:
    """``location`` as a person would say it: list entries by their name where they have one."""
    words: list[str] = []
    for key in location:
        if isinstance(key, int) and isinstance(data, list | tuple) and key < len(data):
            data = data[key]
            label = data.get("name") or data.get("node") or data.get("between") if isinstance(data, dict) else None
            words.append(f"entry {key + 1}" + (f" ({label})" if label else ""))
        else:
            data = data.get(key) if isinstance(data, dict) else None
            words.append(str(key))
    return ": ".join(words)


def _model_in(annotation: Any) -> type[Section]:
    """The model that a key's value is, or that the entries of its list are; the scenario's own for other values."""
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, Section)), Scenario)


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    model: type[Section] = Scenario
    for key in location[:-1]:
        names = {field.alias or name: field for name, field in model.model_fields.items()}
        if str(key) in names:
            model = _model_in(names[str(key)].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]
