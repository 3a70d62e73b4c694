"""A scenario file: typed, frozen, and refused with one sentence that names file, key and remedy.

The file's keys are fixed by the project's contract (see docs/scenarios.md); unknown keys are errors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dmmlab.experiments.methods import METHODS
from dmmlab.experiments.methods.base import SERVICES
from dmmlab.experiments.policies import DEFAULT, POLICIES
from dmmlab.experiments.scenario.units import Duration, Rate, Share, Size

Transport = Literal["udp", "tcp"]

CORE, RADIO, SWITCHES, CONTROLLER = "CORE", "radio", "switches", "CONTROLLER"
# What addressing holds (topologies/addressing.py), written again here because the closed forms, which import this, must
# know nothing of the network.
MOST_MOBILE_ROUTERS, MOST_HOSTS, MOST_MOBILE_NODES = 250, 2000, 2000
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,8}$")


def _known(kind: str, names: Collection[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"unknown {kind} {value!r}; known are {', '.join(names)}")
        return value

    return AfterValidator(check)


MethodName = Annotated[str, _known("method", METHODS)]
PolicyName = Annotated[str, _known("policy", POLICIES)]


class ScenarioError(Exception):
    """The scenario cannot be used; the message is one sentence for the person who wrote it."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Link(_Model):
    """A link; ``delay`` is one-way and holds in both directions."""

    between: tuple[str, str]
    delay: Duration
    jitter: Duration = 0.0
    loss: Share = 0.0
    rate: Rate | None = None

    def joins(self, one: str, other: str) -> bool:
        return set(self.between) == {one, other}


class Ddns(_Model):
    """The DDNS solution: TTL of the MNs' records, whether an old address stays beside the new one while the MN keeps
    it, and whether a correspondent caches what it learned (``forever`` is the draft's words taken literally)."""

    ttl: Duration = 5.0
    old_address: Literal["remove", "keep"] = "remove"
    cn_cache: Literal["off", "ttl", "forever"] = "off"


class Registration(_Model):
    """The registration server: how long a registration holds, and over what the nodes speak to the server."""

    lifetime: Duration = 300.0
    control: Transport = "udp"


class Retry(_Model):
    """What a correspondent does when nobody answers: after ``after`` it looks the mobile node up again and tries what
    it finds, ``attempts`` times in all. With method `fixed` there is nothing to look up."""

    after: Duration = 1.0
    attempts: int = Field(default=3, ge=1, le=10)


class Movement(_Model):
    """At ``at`` seconds ``node`` loses its radio link, and has one to ``to`` after ``gap`` (break-before-make)."""

    at: Duration
    node: str
    to: str
    gap: Duration = 0.05


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Session(_Model):
    """Sessions that a correspondent opens: one, or ``repeat`` of them ``every`` so often, by each ``method``.

    With ``interval`` and ``duration`` a session sends numbered probes; with ``size`` it is a bulk transfer over TCP;
    with neither it is one request and its answer.
    """

    name: str
    at: Duration
    from_: str = Field(alias="from")
    to: str
    method: Annotated[tuple[MethodName, ...], BeforeValidator(_as_tuple)] = (next(iter(METHODS)),)
    transport: Annotated[tuple[Transport, ...], BeforeValidator(_as_tuple)] = ("udp",)
    anchor: str | None = None  # where nothing is asked: the MR whose address the correspondent knows (the first one)
    select: PolicyName = DEFAULT  # which of several addresses that a lookup gave
    interval: Duration | None = None
    duration: Duration | None = None
    size: Size | None = None
    repeat: int = Field(default=1, ge=1, le=100_000)
    every: Duration | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if not _NAME.match(self.name):
            raise ValueError(f"name {self.name!r}: use a letter, then up to eight letters, digits or dashes")
        if (self.interval is None) != (self.duration is None):
            raise ValueError("interval and duration go together: give both or neither")
        if self.interval is not None and (self.interval <= 0 or not self.duration):
            raise ValueError("interval and duration must be greater than 0")
        if self.size is not None and (self.interval is not None or set(self.transport) != {"tcp"}):
            raise ValueError("size makes a bulk transfer: it needs transport: tcp and no interval")
        if self.repeat > 1 and not self.every:
            raise ValueError("repeat needs every, the time between two sessions")
        if self.anchor is not None and any(METHODS[name].asks for name in self.method):
            idle = " or ".join(name for name, method in METHODS.items() if not method.asks)
            raise ValueError(f"anchor goes with method: {idle} only")
        if POLICIES[self.select].compares and (
            set(self.transport) != {"udp"} or not all(METHODS[name].gives_all for name in self.method)
        ):
            able = " or ".join(name for name, method in METHODS.items() if method.gives_all)
            raise ValueError(f"select: {self.select} needs transport: udp, and method {able}, which give all")
        return self


class Addresses(_Model):
    """What an MN does with an old address: it is released ``keep`` after it was deprecated (never, if not given)."""

    keep: Duration | None = None
    lease: Duration = 3600.0


class Scenario(_Model):
    name: str
    family: Literal["ipv4", "ipv6"] = "ipv4"
    mobile_routers: tuple[str, ...] = Field(min_length=1)
    links: tuple[Link, ...]
    ddns: Ddns = Ddns()
    registration: Registration = Registration()
    discovery: Literal["configuration", "dns"] = "configuration"  # how nodes learn where the servers are
    retry: Retry = Retry()
    addresses: Addresses = Addresses()
    movement: tuple[Movement, ...]
    sessions: tuple[Session, ...] = ()
    redirect: bool = True
    duration: Duration
    seed: int = Field(default=1, ge=0, lt=2**32)

    # -- who takes part ---------------------------------------------------------------------------------------
    @property
    def mobile_nodes(self) -> tuple[str, ...]:
        return tuple(self._other_end(link, RADIO) for link in self.links if RADIO in link.between)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Correspondents and servers: whatever has a link to the core and is no mobile router."""
        ends = (self._other_end(link, CORE) for link in self.links if CORE in link.between)
        return tuple(end for end in ends if end not in self.mobile_routers)

    @property
    def correspondents(self) -> tuple[str, ...]:
        return tuple(host for host in self.hosts if host not in SERVICES)

    def needs(self, service: str) -> bool:
        """Whether a method that any session is opened by needs ``service``."""
        return any(service in METHODS[name].needs for session in self.sessions for name in session.method)

    def moves_of(self, node: str) -> tuple[Movement, ...]:
        return tuple(sorted((move for move in self.movement if move.node == node), key=lambda move: move.at))

    def link(self, one: str, other: str) -> Link | None:
        return next((link for link in self.links if link.joins(one, other)), None)

    @staticmethod
    def _other_end(link: Link, end: str) -> str:
        return link.between[0] if link.between[1] == end else link.between[1]

    # -- what must hold between the keys ----------------------------------------------------------------------
    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.family == "ipv6":
            raise ValueError("family: ipv6 is not available yet; use ipv4")
        for check in (
            self._check_size,
            self._check_names,
            self._check_links,
            self._check_movement,
            self._check_sessions,
        ):
            for problem in check():
                raise ValueError(problem)
        return self

    def _check_size(self) -> Iterator[str]:
        parts = (
            ("mobile_routers", len(self.mobile_routers), MOST_MOBILE_ROUTERS, "mobile routers"),
            ("links", len(self.hosts), MOST_HOSTS, "hosts with a link to CORE"),
            ("links", len(self.mobile_nodes), MOST_MOBILE_NODES, "mobile nodes"),
        )
        for key, count, most, what in parts:
            if count > most:
                yield f"{key}: a scenario holds at most {most:,} {what}; this has {count:,}"

    def _check_names(self) -> Iterator[str]:
        reserved = {CORE, RADIO, SWITCHES, CONTROLLER}
        names = (*self.mobile_routers, *self.mobile_nodes, *self.hosts)
        for name in names:
            if name in reserved:
                yield f"links: {name} cannot be the name of a node here"
            if not _NAME.match(name):
                yield f"node name {name!r}: use a letter, then up to eight letters, digits or dashes"
            if names.count(name) > 1:
                yield f"node {name} appears twice: once is enough in mobile_routers, and one link each to radio or CORE"
        sessions = [session.name for session in self.sessions]
        for name in sessions:
            if sessions.count(name) > 1:
                yield f"sessions: two sessions have the name {name}"

    def _check_links(self) -> Iterator[str]:
        inter_mr = set(self.mobile_routers)
        for link in self.links:
            a, b = link.between
            ends = {a, b}
            to_core = CORE in ends and len(ends - {CORE, RADIO, SWITCHES, CONTROLLER}) == 1
            to_radio = RADIO in ends and len(ends - {CORE, RADIO, SWITCHES, CONTROLLER}) == 1
            between_mrs = ends <= inter_mr and a != b
            if not (to_core or to_radio or between_mrs or ends == {CONTROLLER, SWITCHES}):
                yield (
                    f"links: between [{a}, {b}] joins nothing that can be joined; allowed are [radio, MN], "
                    f"[node, CORE], two of mobile_routers ({', '.join(self.mobile_routers)}), [CONTROLLER, switches]"
                )
            if RADIO in link.between and self._other_end(link, RADIO) in inter_mr:
                yield f"links: between [{a}, {b}]: a mobile router has no radio link of its own"
            if sum(other.joins(a, b) for other in self.links) > 1:
                yield f"links: between [{a}, {b}] is given twice"
        for router in self.mobile_routers:
            if self.link(router, CORE) is None:
                yield f"links: mobile router {router} needs a link, {{between: [{router}, CORE], delay: …}}"
        if not self.mobile_nodes:
            yield "links: no mobile node; add {between: [radio, MN1], delay: 2ms}"

    def _check_movement(self) -> Iterator[str]:
        for move in self.movement:
            where = f"movement: at {move.at:g}s, node {move.node}"
            if move.node not in self.mobile_nodes:
                yield f"{where}: unknown mobile node; known are {', '.join(self.mobile_nodes)}"
            if move.to not in self.mobile_routers:
                yield f"{where}: unknown mobile router {move.to}; known are {', '.join(self.mobile_routers)}"
            if move.at + move.gap > self.duration:
                yield f"{where}: ends after the scenario's duration of {self.duration:g}s"
        for node in self.mobile_nodes:
            moves = self.moves_of(node)
            if not moves:
                yield f"movement: {node} never attaches; add {{at: 0s, node: {node}, to: {self.mobile_routers[0]}}}"
            for before, after in pairwise(moves):
                if after.at <= before.at + before.gap:
                    yield (
                        f"movement: the movements of {node} at {before.at:g}s (gap {before.gap * 1e3:g}ms) and "
                        f"{after.at:g}s overlap; let the second start after the first has ended"
                    )
                if after.to == before.to:
                    yield f"movement: at {after.at:g}s, node {node}: is at {after.to} already"

    def _check_sessions(self) -> Iterator[str]:
        for session in self.sessions:
            where = f"sessions: {session.name}"
            if session.from_ not in self.correspondents:
                yield f"{where}: from {session.from_}: unknown correspondent; known are {_or_none(self.correspondents)}"
            if session.to not in self.mobile_nodes:
                yield f"{where}: to {session.to}: unknown mobile node; known are {', '.join(self.mobile_nodes)}"
            last_s = session.at + (session.repeat - 1) * (session.every or 0.0) + (session.duration or 0.0)
            if last_s > self.duration + 1e-9:
                yield f"{where}: lasts until {last_s:g}s, after the scenario's duration of {self.duration:g}s"
            visited = {move.to for move in self.moves_of(session.to)}
            if session.anchor is not None and session.anchor not in visited:
                yield f"{where}: anchor {session.anchor}: {session.to} never attaches to it"
            for method in session.method:
                for service in METHODS[method].needs:
                    if service not in self.hosts:
                        yield f"{where}: method {method} needs a node {service}; give it a link to CORE"


def _or_none(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


@dataclass(frozen=True)
class SessionSpec:
    """One session of a run: an entry of the scenario's ``sessions``, by one method, over one transport, once.

    ``number`` counts all sessions of the run from 0; ``name`` is the entry's name, with method, transport and
    repetition added where the entry has several.
    """

    number: int
    name: str
    entry: Session
    method: str
    transport: Transport
    at_s: float

    @property
    def cn(self) -> str:
        """Who opens it."""
        return self.entry.from_

    @property
    def mn(self) -> str:
        """Whom it is opened to."""
        return self.entry.to

    @property
    def anchor(self) -> str | None:
        """Where nothing is asked, the router whose address the correspondent knows; None: the first one's."""
        return self.entry.anchor

    @property
    def select(self) -> str:
        return self.entry.select

    @property
    def size(self) -> int | None:
        """Bytes of a bulk transfer; None for a session that sends probes."""
        return self.entry.size

    @property
    def interval_s(self) -> float | None:
        return self.entry.interval

    @property
    def duration_s(self) -> float | None:
        return self.entry.duration

    @property
    def count(self) -> int:
        """How many probes it sends (one that has neither interval nor size sends one)."""
        if self.entry.size is not None:
            return 0
        if self.entry.interval is None or self.entry.duration is None:
            return 1
        return round(self.entry.duration / self.entry.interval)


def sessions_of(scenario: Scenario) -> list[SessionSpec]:
    """Every session of a run, in the order of the file."""
    sessions: list[SessionSpec] = []
    for entry in scenario.sessions:
        for method in entry.method:
            for transport in entry.transport:
                for turn in range(entry.repeat):
                    words = [entry.name]
                    words += [method] if len(entry.method) > 1 else []
                    words += [transport] if len(entry.transport) > 1 else []
                    words += [str(turn + 1)] if entry.repeat > 1 else []
                    at_s = entry.at + turn * (entry.every or 0.0)
                    sessions.append(SessionSpec(len(sessions), ".".join(words), entry, method, transport, at_s))
    return sessions


# -- reading -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Shipped:
    """A scenario that comes with the package: its name, and the comment on its first line."""

    name: str
    summary: str


def shipped() -> tuple[Shipped, ...]:
    folder = resources.files("dmmlab.experiments.scenario").joinpath("shipped")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return tuple(Shipped(f.name.removesuffix(".yaml"), f.read_text().split("\n")[0].lstrip("# ")) for f in files)


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
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(f"{source}: {_sentence(error, data)}") from None


def _read(source: str, seen: tuple[str, ...]) -> dict[str, Any]:
    text = _text_of(source)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise ScenarioError(f"{source}: not YAML: {where}: {getattr(error, 'problem', error)}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{source}: not a scenario: expected keys such as name, links, movement, sessions")
    base = data.pop("extends", None)
    if base is None:
        return data
    nearby = Path(source).resolve().parent / str(base)
    target = str(nearby) if nearby.is_file() else str(base)
    if target in (*seen, source, str(Path(source).resolve())):
        raise ScenarioError(f"{source}: extends: {base} extends itself")
    return {**_read(target, (*seen, source)), **data}


def _text_of(source: str) -> str:
    path = Path(source)
    try:
        if path.is_file():
            return path.read_text()
        if path.suffix or "/" in source:
            raise ScenarioError(f"{source}: no such file; `dmmlab list` names the shipped scenarios")
        return resources.files("dmmlab.experiments.scenario").joinpath("shipped", f"{source}.yaml").read_text()
    except FileNotFoundError:
        names = ", ".join(entry.name for entry in shipped())
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


def _model_in(annotation: Any) -> type[_Model]:
    """The model that a key's value is, or that the entries of its list are; the scenario's own for other values."""
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, _Model)), Scenario)


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    model: type[_Model] = Scenario
    if len(location) > 1 and str(location[0]) in Scenario.model_fields:
        model = _model_in(Scenario.model_fields[str(location[0])].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]
