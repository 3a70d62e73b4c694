"""The methods, in the order of all tables and figures. A new one is a module of this folder and a line here."""

from __future__ import annotations

from importlib import import_module

from dmmlab.experiments.methods.base import Method

_MODULES = (
    "fixed",
    "ddns",
    "p2p",
    "central",
    "combined",
)
METHODS: dict[str, Method] = {
    method.name: method for method in (import_module(f"{__name__}.{module}").METHOD for module in _MODULES)
}


NAMES = tuple(METHODS)


def short(name: str, letters: int) -> str:
    """The first ``letters`` of a method's name, and a letter more where an earlier method begins with the same."""
    alike = [other for other in NAMES if other[:letters] == name[:letters]]
    place = alike.index(name)
    return name[:letters] + ("abcdefgh"[place] if place else "")
