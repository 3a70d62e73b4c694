"""The scenarios that come with the package."""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple


class Shipped(NamedTuple):
    """A scenario that comes with the package: its name, and the comment on its first line."""

    name: str
    summary: str


_FOLDER = resources.files("dmmlab.experiments.scenario").joinpath("shipped")


def shipped() -> tuple[Shipped, ...]:
    """All of them, by name."""
    files = sorted((entry for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return tuple(Shipped(f.name.removesuffix(".yaml"), f.read_text().split("\n")[0].lstrip("# ")) for f in files)


def text(name: str) -> str:
    """The file of the one of that name; FileNotFoundError if there is none."""
    return _FOLDER.joinpath(f"{name}.yaml").read_text()
