"""The prompt of `dmmlab shell`: Mininet's own, and verbs that move nodes, open sessions, show who knows what."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from shutil import get_terminal_size
from typing import Any

import click
from mininet.cli import CLI

from dmmlab.experiments.cli.console import table
from dmmlab.experiments.cli.shell import known, switches
from dmmlab.experiments.cli.shell.play import GAP_S, KEYS, Play, Refused
from dmmlab.experiments.cli.shell.teller import Teller
from dmmlab.experiments.methods.base import DDNS, SERVER
from dmmlab.experiments.records.rows import SessionRow, columns
from dmmlab.experiments.runner.carry_out import Live
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.playground import Playground
from dmmlab.experiments.scenario.units import parse_duration
from dmmlab.machine.errors import Refusal
from dmmlab.nodes.daemons.daemon import logged, wait_for
from dmmlab.nodes.ddns.exchange import Waits
from dmmlab.nodes.ddns.lookup import Found, LookupClient
from dmmlab.nodes.orders import DNS_PORT

_TRANSPORTS = ("udp", "tcp")
_ALL = "all"  # methods
_PATIENCE_S = 20.0  # that long a session that does not last is waited for before the next line is read
_SETTLED_S = 1.0  # after an attachment, what it brought about is over,
_BEGIN_S = 15.0  # or later, on a busy machine, where it is waited for so long
_DNS_WAITS = Waits(first_s=0.5, deadline_s=1.5)
VERBS = ("move", "session", "sessions", "bindings", "flows")


def at_prompt(live: Live) -> None:
    """Reads lines until the user leaves, while ``live`` goes on, in which mobile nodes are where they begin by then."""
    time.sleep(max(0.0, (live.start_ns - time.time_ns()) / 1e9 + _SETTLED_S))
    wait_for(lambda: _known(live), lambda: None, _BEGIN_S)
    Prompt(live)


def _known(live: Live) -> bool:
    """Whether each mobile node that begins at a router has an address, and the servers know it."""
    scenario, run = live.daemons.scenario, live.daemons.run
    told = {SERVER: "registered", DDNS: "zone_updated"}
    names = ["address_configured", *(event for server, event in told.items() if scenario.needs(server))]
    begin = [node for node in scenario.mobile_nodes if scenario.moves_of(node)[0].at < _SETTLED_S]
    return all(logged(run.events_of(node), names) for node in begin)


class Prompt(CLI):  # type: ignore[misc]
    """Mininet's prompt with verbs of ours; what is wrong with a line is one sentence that says what there is."""

    prompt = "dmmlab> "

    def __init__(self, live: Live) -> None:
        scenario = live.daemons.scenario
        assert isinstance(scenario, Playground)
        self._live, self._scenario, self._plan = live, scenario, live.network.plan
        self._play = Play(scenario, live.daemons, live.executor, live.start_ns)
        self._teller = Teller(self._say, self._show_rows)
        self._writing = threading.Lock()
        self._reading = False
        self._say(self._welcome())
        super().__init__(live.network.mininet)
        self._play.keep()

    def _welcome(self) -> str:
        scenario = self._scenario
        nodes = (f"{node} at {self._play.serving(node) or 'no router yet'}" for node in scenario.mobile_nodes)
        return (
            f"{scenario.name} is being played in real time: {', '.join(nodes)}; "
            f"correspondents {', '.join(scenario.correspondents)}; "
            f"mobile routers {', '.join(scenario.mobile_routers)}.\n"
            "Its own movements and sessions go on; a node that you move is yours from then on. `help` says how."
        )

    # -- movement ---------------------------------------------------------------------------------------------------
    def do_move(self, line: str) -> None:
        """move NODE ROUTER [GAP]: the node leaves its mobile router and, GAP (50ms) later, attaches to another."""
        with self._one_sentence():
            node, router, *more = self._words(line, "move NODE ROUTER [GAP]", 2, 3)
            self._one_of("mobile node", node, self._scenario.mobile_nodes)
            self._one_of("mobile router", router, self._scenario.mobile_routers)
            before = self._play.serving(node)
            self._play.move(node, router, _duration(more[0]) if more else GAP_S)
            self._say(f"{node} has left {before} and is attached to {router}")

    # -- sessions ---------------------------------------------------------------------------------------------------
    def do_session(self, line: str) -> None:
        """session FROM TO METHOD [tcp] [DURATION] [KEY=VALUE ...]: opens one, and tells what becomes of it."""
        with self._one_sentence():
            usage = "session FROM TO METHOD [udp|tcp] [DURATION] [KEY=VALUE ...]"
            opener, to, method, *more = self._words(line, usage, 3, 20)
            for name in (opener, to):
                self._one_of("correspondent or mobile node", name, self._scenario.ends)
            methods = self._methods(method, to)
            options = self._options(more, usage)
            if "name" in options and len(methods) > 1:
                raise Refused(f"session: name={options['name']}: sessions by several methods have a name each")
            self._teller.open_log(self._play.log_of(opener))
            for one in methods:
                ordered = self._play.open(opener, to, (one,), options, self._teller.expect)
                if "duration" not in options and "repeat" not in options:
                    self._teller.wait(frozenset(spec.name for spec in ordered), _PATIENCE_S)

    def _methods(self, method: str, to: str) -> tuple[str, ...]:
        if method == _ALL:
            return self._scenario.methods if to in self._scenario.mobile_nodes else self._scenario.methods[:1]
        self._one_of("method", method, (*self._scenario.methods, _ALL))
        return (method,)

    @staticmethod
    def _options(words: Sequence[str], usage: str) -> dict[str, str]:
        """Keys of a session by what follows its method."""
        options: dict[str, str] = {}
        for word in words:
            key, given, value = word.partition("=")
            if word in _TRANSPORTS:
                options["transport"] = word
            elif given and key not in KEYS:
                raise Refused(f"session: unknown key {key}; known are {', '.join(KEYS)}")
            elif given:
                options[key] = value
            else:
                options["duration"] = word
                try:
                    parse_duration(word)
                except ValueError:
                    reason = f"{word} is neither udp nor tcp, nor a duration such as 20s"
                    raise Refused(f"session: {reason}; usage: {usage}") from None
        return options

    def do_sessions(self, _line: str) -> None:
        """sessions: what sessions.csv has of those opened here so far, and what their probes met."""
        with self._one_sentence():
            names = frozenset(spec.name for spec in self._play.sessions)
            if not names:
                raise Refused("sessions: none was opened at this prompt; `session CN1 MN1 fixed` opens one")
            self._show_rows(names)

    def _show_rows(self, names: frozenset[str]) -> None:
        """What sessions.csv has of these, and of their probes how many were answered, and the latest round trip.

        Where a terminal is too narrow for rows, they stand beside each other as columns.
        """
        found = self._play.rows(names)
        heads = [name for name in columns(SessionRow) if any(_cell(getattr(row, name)) for row, _ in found)]
        rows = [[*(_cell(getattr(row, name)) for name in heads), probes] for row, probes in found]
        heads.append("probes answered")
        if sum(max(map(len, cells)) + 2 for cells in zip(heads, *rows, strict=True)) > get_terminal_size().columns:
            heads, *rows = map(list, zip(heads, *rows, strict=True))
        self._say_table("sessions.csv", heads, rows)

    # -- who knows what ---------------------------------------------------------------------------------------------
    def do_bindings(self, _line: str) -> None:
        """bindings: what anchors, registration server and DNS know of each node."""
        now_ns = time.time_ns()
        anchors = known.Anchors.of(self._events("controller"))
        registered = known.registrations(self._events(SERVER))
        rows = known.table(self._scenario, self._plan, anchors, registered, self._in_dns(), now_ns)
        self._say_table("bindings", known.HEADS, rows)

    def _events(self, source: str) -> list[dict[str, Any]]:
        file = self._live.daemons.run.events_of(source)
        names = {node.mac: node.name for node in self._plan.mobile_nodes}
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [{**event, "mn": names.get(event["mn"], event["mn"])} if "mn" in event else event for event in events]

    def _in_dns(self) -> dict[str, Found]:
        """What the DDNS server answers about each mobile node, asked on its own host."""
        if not self._scenario.needs(DDNS):
            return {}
        server = str(self._plan.host(DDNS).address.ip)
        client = LookupClient((server, DNS_PORT), family=self._scenario.family, waits=_DNS_WAITS)
        who = [node_id(self._scenario, node) for node in self._scenario.mobile_nodes]

        async def ask() -> list[Found]:
            return [await client.lookup(name) for name in who]

        with self._live.network.inside(DDNS):
            return dict(zip(who, asyncio.run(ask()), strict=True))

    def do_flows(self, line: str) -> None:
        """flows [SWITCH]: what the access switches do, for which node and address: anchor, serving, redirect."""
        with self._one_sentence():
            names = [router.switch for router in self._plan.mobile_routers]
            wanted = line.split() or names
            for name in wanted:
                self._one_of("access switch", name, names)
            dumps = {name: _dump(name, self._live.network.programs_of(name)) for name in wanted}
            self._say_table("flows", switches.HEADS, switches.table(self._plan, dumps))

    # -- help, completion, what is wrong ----------------------------------------------------------------------------
    def do_help(self, line: str) -> None:
        """help [COMMAND]: what there is, or what one does."""
        if line in VERBS:
            self._say(str(getattr(self, f"do_{line}").__doc__))
        elif line:
            super().do_help(line)
        else:
            verbs = "\n".join(f"  {getattr(self, f'do_{verb}').__doc__}" for verb in VERBS)
            self._say(f"{verbs}\n  keys of a session: {', '.join(KEYS)} (docs/scenarios.md)\nMininet's own:")
            super().do_help("")

    def default(self, line: str) -> None:
        """A node's command, as Mininet has it; anything else is no command."""
        first = line.split()[0]
        if first in self.mn:
            super().default(line)
            return
        near = get_close_matches(first, [*VERBS, *self.mn], 1, 0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        self._say(f"{first}: no command and no node; {hint}`help` names all, `nodes` the nodes")

    def complete_move(self, _text: str, line: str, begin: int, _end: int) -> list[str]:
        """Nodes, then mobile routers."""
        return self._completed(line, begin, (self._scenario.mobile_nodes, self._scenario.mobile_routers))

    def complete_session(self, _text: str, line: str, begin: int, _end: int) -> list[str]:
        """Ends, methods, then transports and keys."""
        ends, methods = self._scenario.ends, (*self._scenario.methods, _ALL)
        return self._completed(line, begin, (ends, ends, methods, (*_TRANSPORTS, *(f"{key}=" for key in KEYS))))

    def complete_flows(self, _text: str, line: str, begin: int, _end: int) -> list[str]:
        """Access switches."""
        return self._completed(line, begin, (tuple(router.switch for router in self._plan.mobile_routers),))

    @staticmethod
    def _completed(line: str, begin: int, places: Sequence[Sequence[str]]) -> list[str]:
        """What the word that begins at ``begin`` may become; the last of ``places`` stands for those after it."""
        place = len(line[:begin].split()) - 1
        return [name for name in places[min(place, len(places) - 1)] if name.startswith(line[begin:])]

    @staticmethod
    def _words(line: str, usage: str, least: int, most: int) -> list[str]:
        words = line.split()
        if not least <= len(words) <= most:
            raise Refused(f"usage: {usage}")
        return words

    @staticmethod
    def _one_of(what: str, name: str, names: Sequence[str]) -> None:
        if name not in names:
            raise Refused(f"no {what} has the name {name}; there are {', '.join(names)}")

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """What is refused inside is said, and the prompt goes on."""
        try:
            yield
        except Refusal as error:
            self._say(str(error))

    # -- what is written --------------------------------------------------------------------------------------------
    def precmd(self, line: str) -> str:
        """A line has been read: nothing of it need be drawn again."""
        self._reading = False
        return str(super().precmd(line))

    def postcmd(self, stop: bool, line: str) -> bool:
        """The next one is about to be read."""
        self._reading = True
        return bool(super().postcmd(stop, line))

    def preloop(self) -> None:
        """As after a command."""
        self._reading = True

    def _say(self, words: str) -> None:
        self._write(lambda: click.echo(words))

    def _say_table(self, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._write(lambda: table(title, heads, rows))

    def _write(self, write: Callable[[], None]) -> None:
        """Writes above the line that is being typed, which is there again afterwards."""
        with self._writing:
            if self._reading:
                sys.stdout.write("\r\x1b[K" if sys.stdout.isatty() else "")
            write()
            if self._reading:
                import readline

                sys.stdout.write(f"{self.prompt}{readline.get_line_buffer()}")
            sys.stdout.flush()


def _duration(value: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise Refused(f"move: gap: {error}") from None


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _dump(switch: str, environment: Mapping[str, str]) -> str:
    """Raises Refused where the switch does not answer."""
    argv = ["ovs-ofctl", "--protocols=OpenFlow13", "--names", "dump-flows", switch]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise Refused(f"flows: {switch}: {done.stderr.strip()}")
    return done.stdout
