"""Runs on a Dask cluster: one to each thread of each worker that fits, again elsewhere if a worker is lost.

Dask would give a run to any worker, a stranger that came a moment ago as well. So each is tied to one worker, which
looks at itself before it runs anything (`worker`), and the client keeps the list: who refused gets no more, and what a
lost worker had begun goes to another. Nothing but the scheduler is shared: results come back through it or from the
workers, whole, and are put into place here (`delivery`).
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmmlab.experiments.campaigns import delivery, worker
from dmmlab.experiments.campaigns.places import Done, Job, PlaceError, Tell, nobody

if TYPE_CHECKING:
    from distributed import Client, Future

POLL_S = 0.5
CONNECT_S = 15.0
LOSSES = 5  # workers under one run: then it is the run that is given up


class OnCluster:
    """The cluster whose scheduler is at ``address``; ``say`` is told, in a sentence, what a user should know.

    Without a worker that fits it waits ``patience_s`` for one, and gives up.
    """

    def __init__(self, address: str, say: Callable[[str], None], patience_s: float = 60.0) -> None:
        self._address, self._say, self._patience_s = address, say, patience_s

    def carry_out(self, jobs: Sequence[Job], tell: Tell = nobody) -> Generator[Done, None, None]:
        """As `Place` says. What a worker is in the middle of when it is cancelled, it ends for itself, unheard."""
        if not jobs:
            return
        wanted = worker.baseline(jobs[0].clock)
        with _connected(self._address) as client:
            topic = None
            if tell is not nobody:
                topic = f"dmmlab-{uuid.uuid4()}"
                client.subscribe_topic(topic, lambda event: tell(*_word(event)))
            dispatch = _Dispatch(client, jobs, lambda job: worker.task_of(job, wanted, topic), self._say)
            hope_until = time.monotonic() + self._patience_s
            try:
                while not dispatch.is_over():
                    yield from dispatch.turn()
                    if dispatch.has_workers():
                        hope_until = time.monotonic() + self._patience_s
                    elif time.monotonic() > hope_until:
                        raise PlaceError(dispatch.why_nobody(self._address))
            except _LostError:
                raise PlaceError(
                    f"the scheduler at {self._address} was lost: start it and its workers again, and then the same "
                    "command; what was complete is kept"
                ) from None
            finally:
                dispatch.cancel()


class _LostError(Exception):
    """The scheduler does not answer."""


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError:
        raise PlaceError("--scheduler needs Dask, which is not installed: pip install 'distributed>=2026.8'") from None
    for name in [*logging.root.manager.loggerDict]:  # what they say of a lost peer, in tracebacks, is said here
        logging.getLogger(name).disabled |= name.split(".")[0] in ("distributed", "tornado", "asyncio")
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise PlaceError(
            f"no Dask scheduler answers at {address} ({str(error).splitlines()[0] if str(error) else 'time out'}): "
            f"`dask scheduler` starts one, `dask worker {address}` its workers (docs/cluster.md)"
        ) from None
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):  # of a client whose scheduler is gone
            client.close(timeout=2)


def _word(event: tuple[float, Mapping[str, Any]]) -> tuple[Path, str, float | None]:
    _, word = event
    return Path(word["folder"]), word["phase"], word["share"]


class _Dispatch:
    """Which run is with which worker."""

    def __init__(
        self, client: Client, jobs: Sequence[Job], task: Callable[[Job], worker.Task], say: Callable[[str], None]
    ) -> None:
        self._client, self._task, self._say = client, task, say
        self._waiting = deque(jobs)
        self._running: dict[Future[Any], tuple[Job, str]] = {}
        self._workers: dict[str, int] = {}  # address: threads
        self._refused: dict[str, str] = {}  # address: why
        self._losses: Counter[Path] = Counter()

    def is_over(self) -> bool:
        """Whether every job has ended."""
        return not self._waiting and not self._running

    def has_workers(self) -> bool:
        """Whether there is one that has not refused."""
        return any(address not in self._refused for address in self._workers)

    def why_nobody(self, address: str) -> str:
        """Why no run can be carried out, with the remedy."""
        if not self._refused:
            return f"the scheduler at {address} has no worker: `dask worker {address}` starts one (docs/cluster.md)"
        reasons = "; ".join(f"{who}: {why}" for who, why in self._refused.items())
        return f"no worker fits ({reasons}): give them this machine's version and kernel (docs/cluster.md)"

    def turn(self) -> Iterator[Done]:
        """Looks who is there, hands out and takes back; waits a little for the next run to end."""
        from distributed import wait

        self._look()
        for future in [future for future, (_, who) in self._running.items() if who not in self._workers]:
            yield from self._lose(future, "was lost")
        self._hand_out()
        if not self._running:
            time.sleep(POLL_S)
            return
        with contextlib.suppress(TimeoutError, CancelledError):
            wait(list(self._running), timeout=POLL_S, return_when="FIRST_COMPLETED")
        for future in [future for future in self._running if future.done()]:
            yield from self._take(future)

    def cancel(self) -> None:
        """Whatever is outstanding."""
        with contextlib.suppress(Exception):  # of a client whose scheduler is gone
            self._client.cancel(list(self._running), force=True)
        self._running.clear()

    def _look(self) -> None:
        if self._client.status != "running":
            raise _LostError
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, ValueError, RuntimeError) as error:
            raise _LostError from error
        self._workers = {address: int(about["nthreads"]) for address, about in workers.items()}

    def _hand_out(self) -> None:
        busy = Counter(who for _, who in self._running.values())
        for who, threads in self._workers.items():
            for _ in range(threads - busy[who] if who not in self._refused else 0):
                if not self._waiting:
                    return
                job = self._waiting.popleft()
                self._running[self._submit(job, who)] = (job, who)

    def _submit(self, job: Job, who: str) -> Future[Any]:
        key = f"dmmlab-{job.folder.name}-{uuid.uuid4()}"  # a run that is repeated is another task
        try:
            return self._client.submit(
                worker.carry_out, self._task(job), key=key, workers=[who], allow_other_workers=False
            )
        except (OSError, RuntimeError) as error:
            raise _LostError from error

    def _take(self, future: Future[Any]) -> Iterator[Done]:
        """What has come of a run that is no longer under way."""
        job, who = self._running[future]
        if future.status != "finished":
            if self._client.status != "running":
                raise _LostError
            yield from self._unable(future)
            return
        answer = self._fetched(future)
        if answer is None:
            yield from self._lose(future, "was lost")
        elif "refused" in answer:
            del self._running[future]
            self._refuse(job, who, "; ".join(answer["refused"]))
        else:
            yield from self._put_into_place(future, answer)

    def _put_into_place(self, future: Future[Any], answer: Mapping[str, Any]) -> Iterator[Done]:
        job, who = self._running[future]
        try:
            note = delivery.deliver(answer["archive"], job)
        except delivery.DeliveryError as error:
            self._refused[who] = f"what it sent is no run: {error}"
            yield from self._lose(future, f"is given no more runs: {self._refused[who]}")
            return
        if note:
            self._say(note)
        del self._running[future]
        yield Done(job, answer["wall_s"], answer["spent_s"])

    def _fetched(self, future: Future[Any]) -> Any:
        """The result, which lies with the worker; None if it is lost before it is here."""
        patience_s = 2.0
        while True:
            try:
                return future.result(timeout=patience_s)
            except CancelledError:  # with the scheduler
                return None
            except TimeoutError:
                self._look()
                if self._running[future][1] not in self._workers:
                    return None
                patience_s *= 2  # a large one, over a slow network

    def _unable(self, future: Future[Any]) -> Iterator[Done]:
        """A worker that could not do what it was asked to gets no more: the next runs would fail there, too."""
        from distributed import KilledWorker

        error = future.exception(timeout=POLL_S) if future.status == "error" else None
        if error is None or isinstance(error, KilledWorker):
            yield from self._lose(future, "was lost")
            return
        _, who = self._running[future]
        lacking = isinstance(error, ImportError | AttributeError)
        why = f"it has no dmmlab like this one ({error})" if lacking else f"{type(error).__name__}: {error}"
        self._refused[who] = why
        yield from self._lose(future, f"is given no more runs: {why}")

    def _refuse(self, job: Job, who: str, why: str) -> None:
        if who not in self._refused:
            self._say(f"worker {who} is refused: {why}")
        self._refused[who] = why
        self._waiting.appendleft(job)

    def _lose(self, future: Future[Any], how: str) -> Iterator[Done]:
        """Gives the run to another worker, unless that has been tried often enough."""
        job, who = self._running.pop(future)
        with contextlib.suppress(Exception):
            future.cancel()
        self._losses[job.folder] += 1
        if self._losses[job.folder] < LOSSES:
            self._say(f"worker {who} {how}; {job.folder.name} is repeated elsewhere")
            self._waiting.appendleft(job)
            return
        reason = f"{LOSSES} workers were lost with this run in hand, the last one {who}"
        yield Done(job, 0.0, {}, PlaceError(reason))
