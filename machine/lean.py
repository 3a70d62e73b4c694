"""What the libraries of a run bring along and no run uses, left out of the interpreter.

An import is paid for in each run (in the guest twice over, `docs/guest.md`), and two libraries import much more than
they are used for. Whoever calls `leave_out`, before their first import, has them without it: Scapy without
the names of 40,000 manufacturers, which it would parse and then keep in a home that a guest does not have; pyroute2's
messages without its databases of networks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """In the block no garbage is looked for: importing makes little, and the looking is an eighth of its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def leave_out() -> None:
    """For the rest of this process; what has been imported already stays."""
    from unittest import mock  # brings asyncio along

    put_package("pyroute2")
    if "scapy" not in sys.modules:
        sys.modules.setdefault("cryptography", None)  # type: ignore[arg-type]  # as if it were not installed
        put("scapy.main", SCAPY_CACHE_FOLDER=None)  # its prompt, and where it would keep names for the next time
        put("scapy.libs.manuf", DATA="")
        put("scapy.libs.bluetoothids", DATA={})
        with mock.patch("os.path.exists", return_value=False):  # as if there were no Wireshark, which has names, too
            importlib.import_module("scapy.data")


def put(name: str, **contents: object) -> None:
    """A module ``name`` that holds ``contents`` and nothing else, in place of the one that would be imported."""
    if name not in sys.modules:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(contents)
        sys.modules[name] = module


def put_package(name: str) -> None:
    """Package ``name`` without what its `__init__` does: its modules can be imported, one by one."""
    if name not in sys.modules and (spec := find_spec(name)) is not None:
        sys.modules[name] = module_from_spec(spec)
