"""The conversation with Open vSwitch's database: what is asked, what is made of the answers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmmlab.topologies.bridges import Bridge, Bridges, SwitchPort
from dmmlab.topologies.ovsdb import Database

Answers = list[bytes | Callable[[dict[str, Any]], bytes]]


class Server:
    """Answers each request with the next of ``answers``, in pieces of ``piece`` bytes; keeps what it was asked."""

    def __init__(self, path: Path, answers: Answers, piece: int) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers, self._piece = answers, piece
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, self._listening:
            for answer in self._answers:
                self.asked.append(json.loads(connection.recv(1 << 20)))
                whole = answer if isinstance(answer, bytes) else answer(self.asked[-1])
                for start in range(0, len(whole), self._piece):
                    connection.sendall(whole[start : start + self._piece])


Talk = Callable[..., tuple[Database, Server]]


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    opened: list[tuple[Database, Server]] = []

    def start(answers: Answers, piece: int = 1 << 20) -> tuple[Database, Server]:
        server = Server(tmp_path / "db.sock", answers, piece)
        opened.append((Database(tmp_path / "db.sock"), server))
        return opened[-1]

    yield start
    for database, server in opened:
        database.close()
        server.thread.join(timeout=10)


def results(*each: dict[str, Any]) -> Callable[[dict[str, Any]], bytes]:
    return lambda asked: json.dumps({"id": asked["id"], "error": None, "result": each}).encode()


def test_each_operation_has_its_result(talk: Talk) -> None:
    database, server = talk([results({"uuid": ["uuid", "a"]}, {"count": 1})])
    assert database.transact({"op": "insert"}, {"op": "mutate"}) == [{"uuid": ["uuid", "a"]}, {"count": 1}]
    assert server.asked[0]["method"] == "transact"
    assert server.asked[0]["params"] == ["Open_vSwitch", {"op": "insert"}, {"op": "mutate"}]


def test_an_answer_may_come_in_pieces_that_cut_a_letter_in_two(talk: Talk) -> None:
    whole = '{"id":1,"error":null,"result":[{"rows":[{"name":"müde"}]}]}'.encode()
    database, _ = talk([whole], piece=1)
    assert database.transact({"op": "select"}) == [{"rows": [{"name": "müde"}]}]


def test_the_server_is_told_that_we_are_still_there(talk: Talk) -> None:
    echo = {"id": "echo", "method": "echo", "params": ["x"]}
    database, server = talk([json.dumps(echo).encode(), b'{"id":1,"error":null,"result":[{"count":2}]}'])
    assert database.transact({"op": "mutate"}) == [{"count": 2}]
    assert server.asked[1] == {"id": "echo", "error": None, "result": ["x"]}


@pytest.mark.parametrize(
    "answer",
    [
        results({"count": 1}, {"error": "constraint violation", "details": "no such port"}),
        lambda asked: json.dumps(
            {"id": asked["id"], "result": None, "error": {"error": "constraint violation", "details": "no such port"}}
        ).encode(),
    ],
)
def test_what_the_database_refuses_is_one_sentence(talk: Talk, answer: Callable[[dict[str, Any]], bytes]) -> None:
    database, _ = talk([answer])
    with pytest.raises(RuntimeError, match=r"^Open vSwitch's database: constraint violation: no such port$"):
        database.transact({"op": "mutate"}, {"op": "mutate"})


def test_a_server_that_dies_is_noticed(talk: Talk) -> None:
    database, _ = talk([b'{"id":1,"res'])
    with pytest.raises(RuntimeError, match="closed the connection"):
        database.transact({"op": "mutate"})


def test_a_configuration_waits_until_it_is_carried_out(talk: Talk) -> None:
    database, server = talk(
        [results({"uuid": ["uuid", "a"]}, {"count": 1}, {"rows": [{"next_cfg": 7}]}), results({}, {"rows": []})]
    )
    assert database.configure({"op": "insert"}) == [{"uuid": ["uuid", "a"]}]
    (_, wait, _) = server.asked[1]["params"]
    assert (wait["op"], wait["where"], wait["rows"]) == ("wait", [["cur_cfg", "<", 7]], [])


def test_an_interface_that_is_not_to_be_had_is_an_error(talk: Talk) -> None:
    refused = {"rows": [{"name": "x", "error": "could not open network device x (No such device)"}]}
    database, _ = talk([results({}, {"count": 1}, {"rows": [{"next_cfg": 1}]}), results({}, refused)])
    with pytest.raises(RuntimeError, match=r"^Open vSwitch: could not open network device x \(No such device\)$"):
        database.configure({"op": "insert"})


class _Recorder:
    """In a database's place: keeps each transaction, numbers what it inserts."""

    def __init__(self) -> None:
        self.transactions: list[tuple[dict[str, Any], ...]] = []

    def configure(self, *operations: dict[str, Any]) -> list[dict[str, Any]]:
        self.transactions.append(operations)
        where = len(self.transactions)
        return [{"uuid": ["uuid", f"{where}.{i}"]} for i in range(len(operations))]


@pytest.fixture
def recorder() -> _Recorder:
    return _Recorder()


def _mutations(operations: tuple[dict[str, Any], ...]) -> list[tuple[Any, ...]]:
    return [(op["where"][0][2], *op["mutations"][0][1:]) for op in operations if op["op"] == "mutate" and op["where"]]


def test_a_port_leaves_one_bridge_and_joins_the_other_at_once(recorder: _Recorder) -> None:
    bridges = Bridges(recorder, "system")  # type: ignore[arg-type]
    bridges.move("radio", None, "s1")
    bridges.move("radio", "s1", "s2")
    bridges.move("radio", "s2", "s1")
    first, second, third = recorder.transactions
    assert _mutations(first) == [("s1", "insert", ["named-uuid", "port"])]
    (inserted,) = [i for i, op in enumerate(first) if op.get("table") == "Port"]
    assert _mutations(second)[0] == ("s1", "delete", ["uuid", f"1.{inserted}"])
    assert _mutations(second)[1] == ("s2", "insert", ["named-uuid", "port"])
    (inserted,) = [i for i, op in enumerate(second) if op.get("table") == "Port"]
    assert _mutations(third)[0] == ("s2", "delete", ["uuid", f"2.{inserted}"])


@pytest.mark.parametrize(("datapath", "kind"), [("system", ""), ("netdev", "netdev")])
def test_all_bridges_are_made_in_one_transaction(recorder: _Recorder, datapath: Any, kind: str) -> None:
    ports = [SwitchPort("s1-eth1", 1), SwitchPort("s1-s2", 2, tag=4094)]
    Bridges(recorder, datapath).start(  # type: ignore[arg-type]
        [Bridge("s1", 1, "tcp:10.0.0.1:6653", ports), Bridge("s2", 171, "tcp:10.0.0.1:6653", [])]
    )
    (operations,) = recorder.transactions
    rows: dict[str, list[dict[str, Any]]] = {}
    for op in operations:
        if op["op"] == "insert":
            rows.setdefault(op["table"], []).append(op["row"])
    assert [row["name"] for row in rows["Bridge"]] == ["s1", "s2"]
    assert {row["datapath_type"] for row in rows["Bridge"]} == {kind}
    assert {row["fail_mode"] for row in rows["Bridge"]} == {"secure"}
    assert dict(rows["Bridge"][1]["other_config"][1])["datapath-id"] == "00000000000000ab"
    assert {row["name"]: row.get("ofport_request") for row in rows["Interface"]} == {
        "s1": None, "s1-eth1": 1, "s1-s2": 2, "s2": None,
    }  # fmt: skip
    assert {row["name"]: row.get("tag") for row in rows["Port"] if row["name"] != "s2"} == {
        "s1": None, "s1-eth1": None, "s1-s2": 4094,
    }  # fmt: skip
    assert len({op["uuid-name"] for op in operations if "uuid-name" in op}) == sum(map(len, rows.values()))


@pytest.mark.parametrize("error", [None, "no such command"])
def test_what_a_switch_has_cached_is_forgotten_or_it_is_said_that_it_is_not(
    talk: Talk, tmp_path: Path, error: str | None
) -> None:
    database, _ = talk([])
    (tmp_path / "ovs-vswitchd.pid").write_text("7\n")
    daemon = Server(tmp_path / "ovs-vswitchd.7.ctl", [json.dumps({"id": 1, "result": "", "error": error}).encode()], 9)
    with contextlib.nullcontext() if error is None else pytest.raises(RuntimeError, match=error):
        Bridges(database, "system").forget_flows()
    daemon.thread.join(timeout=10)
    assert [asked["method"] for asked in daemon.asked] == ["revalidator/purge"]
    database.followed = False  # a fault has stopped it: it goes on by what it has
    Bridges(database, "system").forget_flows()
