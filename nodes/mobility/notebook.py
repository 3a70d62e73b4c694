"""What a mobile node's agent writes down of its addresses: whoever takes its place goes on with them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dmmlab.nodes.mobility.dhcp import Lease


@dataclass(frozen=True)
class Page:
    """A lease, the number of the radio that has its address (from 0), and whether that is the one in use."""

    lease: Lease
    radio: int
    current: bool


class Notebook:
    """The leases of a node in ``file``, oldest first, the one in use last; written anew whenever they change."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, pages: Iterable[Page]) -> None:
        """Takes the place of what was written before, whole or not at all."""
        rows = [
            {
                "address": str(page.lease.address),
                "router": str(page.lease.router),
                "server": str(page.lease.server),
                "seconds": page.lease.seconds,
                "radio": page.radio,
                "current": page.current,
            }
            for page in pages
        ]
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(rows))
        draft.replace(self._file)

    def read(self) -> list[Page]:
        """What was written last; nothing if nothing was."""
        if not self._file.exists():
            return []
        return [
            Page(
                Lease(
                    ipaddress.ip_interface(row["address"]),
                    ipaddress.ip_address(row["router"]),
                    ipaddress.ip_address(row["server"]),
                    row["seconds"],
                ),
                row["radio"],
                row["current"],
            )
            for row in json.loads(self._file.read_text())
        ]
