"""A run on its way from one machine to another: its folder as one archive, and the archive put into place."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from dmmlab.experiments.campaigns.places import MADE_BY, Job
from dmmlab.experiments.records.errors import RunDirectoryError
from dmmlab.experiments.records.rundir import RunDirectory

_ARRIVING = ".arriving"  # beside the runs: what is not all there yet


class DeliveryError(Exception):
    """What arrived is no run; one clause."""


def pack(folder: Path) -> bytes:
    """A compressed archive of ``folder``: its files and their names, nothing of who made them or when."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=6) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(member, file)
    return content.getvalue()


def _unpack(packed: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if not member.isreg() or name.is_absolute() or ".." in name.parts:
                raise DeliveryError(f"{member.name!r} is no file of a run")
            content = archive.extractfile(member)
            assert content is not None  # a regular file
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("wb") as file:
                shutil.copyfileobj(content, file)


def deliver(packed: bytes, job: Job) -> str | None:
    """Puts the run of ``job`` that is in ``packed`` into its folder, which is there with all of it or not at all.

    A run that is complete there already stays: the second is compared with it, dropped, and a sentence returned if it
    has other bytes. A folder in which the user keeps more is filled file by file, the outcome last.
    """
    waiting = job.folder.parent / _ARRIVING
    arrived = waiting / job.folder.name
    shutil.rmtree(arrived, ignore_errors=True)  # of a delivery that was killed
    arrived.mkdir(parents=True)
    try:
        _unpack(packed, arrived)
        if (RunDirectory(arrived).outcome() or {}).get("outcome") not in ("ok", "failed", "invalid"):
            raise DeliveryError("it has no outcome")
        if not _has_arrived(job, RunDirectory(arrived)):
            _put(arrived, job.folder)
        elif RunDirectory(arrived).imprint() != RunDirectory(job.folder).imprint():
            return f"{job.folder}: a second result of this run has other bytes, and was dropped"
    finally:
        shutil.rmtree(arrived, ignore_errors=True)
        with contextlib.suppress(OSError):  # another run is arriving
            waiting.rmdir()
    return None


def _has_arrived(job: Job, again: RunDirectory) -> bool:
    """Whether the job's folder has a result that was made of the same as ``again``; a failed one is none."""
    run = RunDirectory(job.folder)
    try:
        mine, other = ((one.manifest(), json.loads((one.root / MADE_BY).read_text())) for one in (run, again))
    except (OSError, ValueError, RunDirectoryError):
        return False
    return (run.outcome() or {"outcome": "failed"})["outcome"] != "failed" and all(
        ours[key] == theirs[key]
        for ours, theirs, keys in (
            (mine[0], other[0], ("scenario", "runtime", "clock")),
            (mine[1], other[1], ("program",)),
        )
        for key in keys
    )


def _put(arrived: Path, folder: Path) -> None:
    if folder.is_dir():
        RunDirectory(folder).create({})  # takes away what an earlier run left, its outcome first
        for entry in sorted(arrived.iterdir(), key=lambda entry: entry.name == RunDirectory(folder).outcome_json.name):
            entry.replace(folder / entry.name)
    else:
        arrived.replace(folder)
