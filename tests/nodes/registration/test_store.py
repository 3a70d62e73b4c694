"""The bindings on disk: their log goes back into the table, and nothing is lost meanwhile."""

import shutil
import time
from pathlib import Path

from dmmlab.nodes.registration.bindings import Binding, Record
from dmmlab.nodes.registration.replay import Window
from dmmlab.nodes.registration.store import CHECKPOINT_ROWS, Store

NODES = 512
LOG = "-wal"


def records(sequence: int) -> list[Record]:
    """Every node with a registration of this number."""
    binding = Binding(("10.1.0.2",), 7000, "", ("udp", "10.1.0.2", 7000), 1, 2, sequence)
    return [Record(f"mn{number}", Window(sequence, 1), binding) for number in range(NODES)]


def held(path: Path) -> set[int]:
    """The numbers of the registrations in a file that nobody uses."""
    store = Store(path)
    found = [record.binding.sequence for record in store.load() if record.binding is not None]
    store.close()
    assert len(found) in (0, NODES)
    return set(found)


def copy(path: Path, name: str, *, log: bool) -> Path:
    """What is on the disk while the server runs, as after a kill; without the log it is what the table has."""
    target = path.with_name(name)
    shutil.copy(path, target)
    if log:
        shutil.copy(f"{path}{LOG}", f"{target}{LOG}")
    return target


def test_a_long_log_goes_back_into_the_table_and_does_not_grow(tmp_path: Path) -> None:
    path, sizes = tmp_path / "db", []
    store = Store(path)
    rounds = CHECKPOINT_ROWS // NODES
    for sequence in range(1, 8 * rounds + 1):
        store.save(records(sequence))
        store.tend()
        time.sleep(0.001)  # as the disk is given time
        if sequence % rounds == 0:
            sizes.append(Path(f"{path}{LOG}").stat().st_size)
    assert held(copy(path, "killed", log=True)) == {8 * rounds}
    (in_table,) = held(copy(path, "table", log=False))
    assert in_table >= rounds
    assert sizes[-1] <= 5 * sizes[0]  # whatever the disk does: four times as many rows wait for it at most
    store.close()
    assert held(path) == {8 * rounds}


def test_a_short_log_is_left_alone_until_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = Store(path)
    store.save(records(1))
    store.tend()
    assert held(copy(path, "table", log=False)) == set()
    killed = copy(path, "killed", log=True)
    started = Store(killed)
    assert held(copy(killed, "table again", log=False)) == {1}
    started.close()
    store.close()
