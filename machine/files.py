"""Files that are there as a whole or not at all; and what a user is told of one that cannot be used."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

_REMEDIES = {
    errno.ENOENT: "make its folder first",
    errno.EEXIST: "choose another name, or a folder",
    errno.ENOTDIR: "choose another name, or a folder",
    errno.EACCES: "you may not use it: choose another, or change its permissions",
    errno.EPERM: "you may not use it: choose another, or change its permissions",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOSPC: "make room on the disk, or choose a place on another one",
    errno.EDQUOT: "make room on the disk, or choose a place on another one",
    errno.ENAMETOOLONG: "choose a shorter one",
}


def write_whole(path: Path, text: str) -> None:
    """Writes a file that appears under its name when it is complete. What is no file, such as a terminal, is written to
    as it is. Raises OSError, and leaves nothing.
    """
    if path.exists() and not path.is_file():
        path.write_text(text)
        return
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)  # what a link there leads to is somebody else's
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


@contextlib.contextmanager
def all_or_none(*paths: Path) -> Iterator[None]:
    """What is written to ``paths`` is all there afterwards or, where there is no room for one of them, nothing is."""
    try:
        yield
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def sentence(error: OSError) -> str:
    """What is wrong with which file, and what would do."""
    if error.strerror is None:
        return str(error)
    remedy = [_REMEDIES[error.errno]] if error.errno in _REMEDIES else []
    return ": ".join([*([str(error.filename)] if error.filename else []), error.strerror.lower(), *remedy])
