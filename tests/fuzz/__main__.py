"""``python tests/fuzz SECONDS [TARGET...]``: feeds each target, and the server's core, for its share of the time.

With atheris installed (``pip install dmmlab[fuzz]``) inputs follow what code they reach; without, they are mutations of
what is in ``corpus``. ``--inputs N`` feeds so many at most. What breaks a target, hangs (for 10 to 20 s), or fills the
memory (1 GB), is written beside it, and said.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from fuzz_server import Stepper
from fuzz_targets import CORPUS, TARGETS, corpus, mutated

SERVER = "server"
SLOW_S = 10.0  # of one input: it hangs
MOST_BYTES = 1 << 30


class Hangs(BaseException):
    """One input takes too long; no reader's own handling of errors holds it up."""


class Watch:
    """Looks every ``SLOW_S`` whether ``done`` has grown, and ends what is still at the same input."""

    def __init__(self) -> None:
        self.done, self._before = 0, -1
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, SLOW_S, SLOW_S)

    def _look(self, _signal: int, _frame: FrameType | None) -> None:
        if self.done == self._before:
            raise Hangs
        self._before = self.done

    def end(self) -> None:
        """Looks no more."""
        signal.setitimer(signal.ITIMER_REAL, 0)


def keep(name: str, data: bytes) -> Path:
    """Into the corpus, under the name of its content."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    return path


def feed(name: str, seconds: float, most: int, seed: int) -> tuple[int, str]:
    """Mutations of the corpus; how many, and the first failure."""
    rng, examples, target, watch = random.Random(seed), corpus(name), TARGETS[name], Watch()
    end_s, data = time.monotonic() + seconds, b""
    try:
        while watch.done < most and (watch.done % 64 or time.monotonic() < end_s):
            data = mutated(rng, examples, name)
            target(data)
            watch.done += 1
    except (Exception, Hangs):
        return watch.done, f"{keep(name, data)}:\n{traceback.format_exc()}"
    finally:
        watch.end()
    return watch.done, ""


def steps(seconds: float, most: int, seed: int) -> tuple[int, str]:
    """Of the server's core, each seed for a thousand; how many, and the first failure."""
    watch, end_s = Watch(), time.monotonic() + seconds
    try:
        while watch.done < most and time.monotonic() < end_s:
            stepper = Stepper(seed)
            for _ in range(1000):
                stepper.step()
                watch.done += 1
            seed += 1
    except (Exception, Hangs):
        return watch.done, f"seed {seed}, step {watch.done % 1000}:\n{traceback.format_exc()}"
    finally:
        watch.end()
    return watch.done, ""


def guided(name: str, seconds: float) -> tuple[int, str]:
    """By atheris, in a process of its own: how many inputs, and what it says of a failure."""
    folder = CORPUS.parents[2] / "results" / "fuzz" / name
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(__file__).with_name("guided.py")
    options = [f"-max_total_time={max(1, int(seconds))}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
    argv = [
        sys.executable,
        str(program),
        name,
        str(folder),
        str(CORPUS / name),
        *options,
        f"-artifact_prefix={folder}/",
    ]
    ran = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    said = ran.stdout + ran.stderr
    number = [line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line]
    return int(number[0]) if number else 0, "" if ran.returncode == 0 else said[-4000:]


def main() -> int:
    """0 if nothing broke."""
    parser = argparse.ArgumentParser(prog="tests/fuzz", description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join([*TARGETS, SERVER])} [all]")
    parser.add_argument("--inputs", type=int, default=10**12)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mutations", action="store_true", help="even if atheris is installed")
    options = parser.parse_args()
    names = options.targets or [*TARGETS, SERVER]
    coverage = not options.mutations and importlib.util.find_spec("atheris") is not None
    worst = 0
    for name in names:
        began_s, share_s = time.monotonic(), options.seconds / len(names)
        if name == SERVER:
            done, failure = steps(share_s, options.inputs, options.seed)
        elif coverage:
            done, failure = guided(name, share_s)
        else:
            done, failure = feed(name, share_s, options.inputs, options.seed)
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        took_s = time.monotonic() - began_s
        print(f"{name}: {done:,} inputs in {took_s:.0f} s, {memory_mb} MB at most; {failure or 'nothing broke'}")  # noqa: T201
        sys.stdout.flush()
        worst |= bool(failure)
    return worst


if __name__ == "__main__":
    sys.exit(main())
