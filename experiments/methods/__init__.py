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
