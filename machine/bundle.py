"""The code of a program's modules in one file, so that importing them needs no look at any folder.

In the guest each of those looks is a trap (docs/guest.md), and an interpreter that imports the runner makes 12,000 of
them. The file is made on the host, from the byte code of whatever the program imports, and made anew when any of those
files has changed. What is not in it is imported as usual.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import marshal
import mmap
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_HEADER_BYTES = 8  # the length of the index, which follows
_Stamp = tuple[str, int, int]  # a file, when it was changed (ns since the epoch), its size


@dataclass(frozen=True)
class _Entry:
    """A module: its file (none: a namespace), where it looks for others (None: nowhere), where its code lies."""

    origin: str
    locations: list[str] | None
    begin: int
    end: int


class _Loader(SourceFileLoader):
    """Has the code already; resources and sources are where they always are."""

    def __init__(self, name: str, path: str, code: memoryview) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002  (the name is importlib's)
        """The module's code."""
        code: CodeType = marshal.loads(self._code)
        return code


class Finder:
    """Finds the modules that are in a bundle's file."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._bytes = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        length = int.from_bytes(self._bytes[:_HEADER_BYTES], "little")
        _, modules = marshal.loads(self._bytes[_HEADER_BYTES : _HEADER_BYTES + length])
        self._codes = self._bytes[_HEADER_BYTES + length :]
        self._modules = {name: _Entry(*fields) for name, fields in modules.items()}

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None) -> Any:
        """As `importlib.abc.MetaPathFinder` has it."""
        entry = self._modules.get(name)
        if entry is None:
            return None
        if not entry.origin:
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = entry.locations
            return spec
        if entry.begin == entry.end:
            return spec_from_file_location(name, entry.origin, loader=ExtensionFileLoader(name, entry.origin))
        loader = _Loader(name, entry.origin, self._codes[entry.begin : entry.end])
        return spec_from_file_location(name, entry.origin, loader=loader, submodule_search_locations=entry.locations)


def bundle_of(modules: Sequence[str], folder: Path) -> Path | None:
    """The file in ``folder`` with all that importing ``modules`` imports, made unless there is one that is up to date.

    ``MODULE:FUNCTION`` calls a function, too, which imports more.
    None where it cannot be made: importing works without it.
    """
    about = "\0".join((sys.version, sys.prefix, str(Path(__file__).resolve()), *modules))
    file = folder / hashlib.sha256(about.encode()).hexdigest()[:16]
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
        if _is_current(file):
            return file
    made = subprocess.run([sys.executable, "-m", __name__, "--make", str(file), *modules], capture_output=True)
    return file if made.returncode == 0 else None


def _is_current(file: Path) -> bool:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_HEADER_BYTES), "little")
        stamps, _ = marshal.loads(opened.read(length))
    return all(stamp == _stamp(stamp[0]) for stamp in stamps)


def _stamp(origin: str) -> _Stamp:
    about = Path(origin).stat()
    return origin, about.st_mtime_ns, about.st_size


def _make(file: Path, modules: Sequence[str]) -> None:
    for name in modules:
        module_name, _, function = name.partition(":")
        imported = importlib.import_module(module_name)
        if function:
            getattr(imported, function)()
    stamps: list[_Stamp] = []
    index: dict[str, tuple[str, list[str] | None, int, int]] = {}
    codes = bytearray()
    for name, module in sorted(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if spec is None or spec.name != name or name == "__main__":
            continue
        locations = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
        begin = len(codes)
        if type(spec.loader) is SourceFileLoader and (code := spec.loader.get_code(name)) is not None:
            codes += marshal.dumps(code)
        elif not isinstance(spec.loader, ExtensionFileLoader) and (spec.has_location or locations is None):
            continue  # built in, frozen, or of a kind that we do not know
        origin = spec.origin if spec.has_location else ""
        if origin:
            stamps.append(_stamp(origin))
        index[name] = (origin, locations, begin, len(codes))
    head = marshal.dumps((stamps, index))
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as opened:
        opened.write(len(head).to_bytes(_HEADER_BYTES, "little") + head + codes)
    Path(opened.name).replace(file)


def main() -> None:
    """``python -m dmmlab.machine.bundle FILE MODULE [ARGUMENT...]`` runs ``MODULE.main()`` with the modules of FILE."""
    if sys.argv[1] == "--make":
        _make(Path(sys.argv[2]), sys.argv[3:])
        return
    sys.meta_path.insert(0, Finder(Path(sys.argv[1])))
    sys.argv = sys.argv[2:]
    importlib.import_module(sys.argv[0]).main()


if __name__ == "__main__":
    main()
