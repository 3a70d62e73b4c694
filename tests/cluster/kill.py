"""Kills what carries a campaign out, at random instants: nothing may be lost, counted twice or different.

    kill.py [--place here|cluster] [--instants 5] [--seed 1] [--runs 4] [--folder DIR]

Runner, guests, and on a cluster its workers and scheduler get SIGKILL. What a user would start again is started again,
until as many instants have been tried; then the campaign is left in peace to its end. As soon as one is complete,
another is begun. Exit status 0: after each kill, every run that had been complete still was, untouched; no run was
reported twice; and each campaign's records are, to the byte, those of one that nobody disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
DASK = Path(sys.executable).parent / "dask"
PATIENCE_S = 900.0  # for what ends by itself; on a busy machine


def say(line: str) -> None:
    """On stdout, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def descendants(pid: int) -> Iterator[int]:
    """Those that are alive, of all generations."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def words(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def guests(pid: int) -> list[int]:
    """The kernels of guests below process ``pid``."""
    found = {child: words(child)[:2] for child in descendants(pid)}
    return [child for child, line in found.items() if "/linux mem=" in " ".join(line)]


class Cluster:
    """A scheduler and two workers of one thread each, on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, []  # type: Path, list[subprocess.Popen[bytes]]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"

    def ensure(self) -> None:
        """Starts what is not there; workers whose scheduler was lost are replaced with it."""
        if len(self._started) == 2 and all(process.poll() is None for process in self._started):
            return
        self.stop()
        port = self.address.rpartition(":")[2]
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
        workers = ["worker", self.address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
        for argv in (scheduler, [*workers, "--local-directory", str(self._folder)]):
            with (self._folder / f"{argv[0]}.log").open("ab") as log:
                self._started.append(subprocess.Popen([DASK, *argv], stdout=log, stderr=log, start_new_session=True))

    def stop(self) -> None:
        """At once, all of it."""
        for process in self._started:
            below = list(descendants(process.pid))
            for pid in (process.pid, *below):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        self._started.clear()

    def victims(self) -> dict[str, list[int]]:
        """What can be killed, by kind."""
        if len(self._started) < 2:
            return {}
        scheduler, workers = (process.pid for process in self._started)
        children = [pid for pid in descendants(workers) if "multiprocessing.spawn" in " ".join(words(pid))]
        return {"scheduler": [scheduler], "worker": children, "guest": guests(workers)}


class Nowhere:
    """In place of a cluster: the runner does it all itself."""

    address = ""

    def ensure(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """Nor to stop."""

    def victims(self) -> dict[str, list[int]]:
        """Nor to kill."""
        return {}


class Trial:
    """One campaign, disturbed."""

    def __init__(self, out: Path, runs: int, place: Cluster | Nowhere) -> None:
        self.out, self._runs, self._place = out, runs, place
        self.reported: Counter[str] = Counter()

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """The runner, and what it needs; what it said is counted, and it is killed if it is still there."""
        self._place.ensure()
        argv = [sys.executable, str(HERE / "runner.py"), str(self.out), str(self._runs)]
        argv += [self._place.address] if self._place.address else []
        with tempfile.TemporaryFile("w+") as said:
            runner = subprocess.Popen(argv, stdout=said, stderr=subprocess.STDOUT, text=True, start_new_session=True)
            try:
                yield runner
            finally:
                runner.kill()
                runner.wait()
                said.seek(0)
                for line in said:
                    self._count(line.rstrip())

    def _count(self, line: str) -> None:
        folder, _, rest = line.partition(" ")
        if rest.startswith("ok"):
            self.reported[folder] += 1
        elif line:
            say(f"    {line}")
        if line.startswith("Traceback"):
            raise SystemExit("whatever is lost, the user is told in a sentence")

    def complete(self) -> dict[str, tuple[str, int]]:
        """Of each run that is: its imprint, and when its outcome was written."""
        from dmmlab.experiments.records.rundir import RunDirectory

        runs = [RunDirectory(folder) for folder in self.out.glob("short-*")]
        return {
            run.root.name: (run.imprint(), run.outcome_json.stat().st_mtime_ns)
            for run in runs
            if (run.outcome() or {}).get("outcome") == "ok"
        }

    def disturbed(self, instant_s: float, chance: random.Random) -> bool:
        """Starts the runner and kills something after ``instant_s``; False if it was complete before that."""
        with self.running() as runner:
            try:
                status = runner.wait(timeout=instant_s)
            except subprocess.TimeoutExpired:
                pass
            else:
                if status != 0:
                    raise SystemExit(f"the runner ended with status {status}, and nobody had disturbed it")
                return False
            before, began = self.complete(), time.monotonic()
            victims = {"runner": [runner.pid], "guest": guests(runner.pid)} | self._place.victims()
            kind = chance.choice(sorted(kind for kind, pids in victims.items() if pids))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(victims[kind]), signal.SIGKILL)
            say(f"  {kind} killed after {instant_s:.1f} s, {len(before)} of {self._runs} complete")
            if kind != "runner":
                runner.wait(timeout=PATIENCE_S)  # it notices by itself, and ends with what it could do
        lost = {name for name, entry in before.items() if self.complete().get(name) != entry}
        if lost:
            raise SystemExit(f"lost or made anew after {kind} was killed: {sorted(lost)}")
        say(f"    went on for {time.monotonic() - began:.0f} s, {len(self.complete())} complete")
        return True

    def left_in_peace(self) -> None:
        """To its end."""
        with self.running() as runner:
            if runner.wait(timeout=PATIENCE_S) != 0:
                raise SystemExit("a campaign that nobody disturbed did not end well")

    def judge(self, reference: dict[str, str]) -> None:
        """Whether the result is the undisturbed one's."""
        mine = {name: imprint for name, (imprint, _) in self.complete().items()}
        if mine != reference:
            raise SystemExit(f"another result: {mine} instead of {reference}")
        twice = [name for name, times in self.reported.items() if times > 1]
        strange = {path.name for path in self.out.iterdir()} - set(reference)
        if twice or strange:
            raise SystemExit(f"counted twice: {twice}; left behind: {sorted(strange)}")


def carry_out(folder: Path, place: Cluster | Nowhere, instants: int, seed: int, runs: int) -> None:
    """All of it; SystemExit says what is wrong."""
    chance = random.Random(seed)
    undisturbed = Trial(folder / "reference", runs, Nowhere())
    began = time.monotonic()
    undisturbed.left_in_peace()
    length_s = time.monotonic() - began
    reference = {name: imprint for name, (imprint, _) in undisturbed.complete().items()}
    say(f"undisturbed: {len(reference)} runs in {length_s:.0f} s")
    tried = number = 0
    while tried < instants:
        number += 1
        trial = Trial(folder / f"trial-{number}", runs, place)
        say(f"campaign {number}")
        while tried < instants and trial.disturbed(chance.uniform(0.5, length_s), chance):
            tried += 1
        trial.left_in_peace()
        trial.judge(reference)
    say(f"{tried} instants in {number} campaigns: nothing lost, nothing counted twice, the same bytes")


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", choices=("here", "cluster"), default="cluster")
    parser.add_argument("--instants", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="to keep the runs in [a temporary one]")
    asked = parser.parse_args(arguments)
    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="dmmlab-kill-"))).resolve()
    (folder / "workers").mkdir(parents=True, exist_ok=True)
    place = Cluster(folder / "workers") if asked.place == "cluster" else Nowhere()
    try:
        carry_out(folder, place, asked.instants, asked.seed, asked.runs)
    finally:
        place.stop()
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
