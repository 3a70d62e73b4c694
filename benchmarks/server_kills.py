"""``python -m benchmarks.server_kills [KILLS]``: the registration server is killed at random instants under load.

So often with SQLite's ``NORMAL``, and with ``FULL``. On loopback; each time what is on disk is compared with what was
acknowledged: a node's binding may be newer (written, and the answer died with the server), and never older or none.
"""

from __future__ import annotations

import argparse
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.registration_vs_bind import KEYS, NAMES, NODES, accepted, free_port, sequence, server_argv, wait_ready
from dmmlab.nodes.registration.store import Store
from dmmlab.nodes.registration.wire import Message, MessageType, encode

RESULT = Path(__file__).with_suffix(".txt")
KILLS, LONGEST_S, WINDOW = 50, 0.5, 64


def load(port: int, process: subprocess.Popen[bytes], counter: int, acknowledged: dict[str, int]) -> int:
    """Keep registrations under way until the server is gone; what it acknowledges goes into ``acknowledged``. Returns
    the last number used.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(0.05)
        owners: dict[int, str] = {}
        while process.poll() is None:
            try:
                while len(owners) < WINDOW:
                    counter += 1
                    node = NAMES[counter % NODES]
                    message = Message(MessageType.REGISTER, counter, node=node, addresses=("127.0.0.1",), port=7)
                    message.lifetime_ms = 10**9
                    client.send(encode(message, KEYS[node]))
                    owners[counter] = node
                answer = client.recv(2048)
            except TimeoutError:
                owners.clear()  # lost on the way: others are sent
                continue
            except ConnectionRefusedError:
                break
            sender = owners.pop(sequence(answer), "")
            if sender and accepted(answer):
                acknowledged[sender] = max(acknowledged.get(sender, 0), sequence(answer))
    return counter


def killed(synchronous: str, kills: int, rng: random.Random) -> tuple[int, int, int]:
    """Registrations that were sent, how often one that was acknowledged was looked for, and how often it was lost."""
    looked_for = lost = 0
    acknowledged: dict[str, int] = {}
    first = counter = time.time_ns()
    with tempfile.TemporaryDirectory() as folder:
        place, port = Path(folder), free_port()
        for turn in range(kills):
            events = place / f"events{turn}"
            with subprocess.Popen(server_argv(place, port, synchronous, events)) as process:
                wait_ready(events, process)
                threading.Timer(rng.random() * LONGEST_S, process.kill).start()
                counter = load(port, process, counter, acknowledged)
                if process.wait() != -signal.SIGKILL:
                    raise RuntimeError(f"the server ended by itself, with status {process.returncode}")
            store = Store(place / "bindings.db")
            held = {record.name: record.binding for record in store.load()}
            store.close()
            for node, number in acknowledged.items():
                binding = held.get(node)
                looked_for += 1
                lost += binding is None or binding.sequence < number
    return counter - first, looked_for, lost


def main() -> int:
    """Measure, print and write the table; 1 if anything that was acknowledged is lost."""
    parser = argparse.ArgumentParser(description="kill -9 of the registration server under load")
    parser.add_argument("kills", type=int, nargs="?", default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lines, worst = [], 0
    for synchronous in ("NORMAL", "FULL"):
        sent, looked_for, lost = killed(synchronous, options.kills, random.Random(options.seed))
        lines.append(
            f"{synchronous:7}{options.kills} kills under load, {sent:,} registrations sent; acknowledged bindings "
            f"looked for {looked_for:,} times, lost {lost}"
        )
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
        worst += lost
    RESULT.write_text("\n".join(lines) + "\n")
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
