"""What is left of a run with faults, for whoever checks that nothing was lost and nothing stays (docs/faults.md)."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmmlab.experiments.methods.base import DDNS, SERVER
from dmmlab.experiments.records.rundir import RunDirectory
from dmmlab.experiments.runner.daemons import Daemons
from dmmlab.experiments.scenario.identities import ZONE
from dmmlab.nodes.daemons.daemon import program


def census() -> dict[str, Any]:
    """The processes that there are, by name, and how many network namespaces somebody is in or has open."""
    names = Counter(status["Name"] for status in programs())
    return {"processes": dict(sorted(names.items())), "namespaces": len(namespaces())}


def programs() -> Iterator[dict[str, str]]:
    """What the kernel says of each process that is a program's and not its own (proc_pid_status(5))."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(re.findall(r"^(\w+):\s+(.*)$", (folder / "status").read_text(), re.M))
        except OSError:
            continue  # it has just ended
        if "VmRSS" in status:
            yield status


def namespaces() -> set[str]:
    """The network namespaces that a process is in or has open."""
    found = set()
    for link in [*Path("/proc").glob("[0-9]*/task/*/ns/net"), *Path("/proc").glob("[0-9]*/fd/*")]:
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("net:"):
            found.add(target)
    return found


def keep(run: RunDirectory, daemons: Daemons, before: dict[str, Any], after: dict[str, Any]) -> None:
    """What servers know, when they have ended: ``log/SERVER.bindings.json`` and ``log/DDNS.zone``; and who was there
    when the scenario began and when it ended, ``log/census.json``.
    """
    run.census.write_text(json.dumps({"before": before, "after": after}, indent=1))
    if daemons.scenario.needs(SERVER):
        run.bindings.write_text(json.dumps(_bindings(daemons.registration_server().database), indent=1))
    if daemons.scenario.needs(DDNS):
        folder = daemons.folder / "named"
        compiled = [program("named-compilezone"), "-q", "-J", str(folder / "zone.jnl"), "-o", "-", ZONE, "zone.db"]
        zone = subprocess.run(compiled, capture_output=True, text=True, check=True, cwd=folder)
        run.zone.write_text(zone.stdout)


def _bindings(database: Path) -> dict[str, list[str]]:
    """By node, the addresses that are registered, the newest first; of a node that registered none, none."""
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute("SELECT name, addresses FROM nodes ORDER BY name").fetchall()
    finally:
        connection.close()
    return {str(name): str(addresses or "").split() for name, addresses in rows}
