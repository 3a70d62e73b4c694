"""What each end of a session with programs is told of them; to be asked where the programs would run."""

from __future__ import annotations

from pathlib import Path

from dmmlab.experiments.scenario import program_ports, programs
from dmmlab.experiments.scenario.identities import node_id
from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sessions import SessionSpec, sessions_of
from dmmlab.machine import programs as machine
from dmmlab.nodes.programs.program import Program
from dmmlab.nodes.programs.servers import ServerOrder
from dmmlab.topologies.plan import NetworkPlan


def program(spec: SessionSpec, role: str, start_ns: int, folder: Path, log: Path) -> Program | None:
    """The program of ``spec`` in this role, in a scenario that starts at ``start_ns`` (ns since the epoch)."""
    run = spec.entry.run
    words = None if run is None else run.command(role)
    if run is None or words is None:
        return None
    until_s = program_ports.ends_s(spec) if role == programs.SERVER else spec.at_s + (spec.duration_s or 0.0)
    return Program(
        session=spec.name,
        role=role,
        words=words,
        lacks=lacks(spec),
        folder=str(folder / "programs" / spec.name),
        output=str(log / f"{spec.name}.{role}"),
        until_ns=start_ns + round(until_s * 1e9),
    )


def lacks(spec: SessionSpec) -> str:
    """What of the programs of ``spec`` is not on this machine; empty if nothing."""
    run = spec.entry.run
    commands = [run.command(role) for role in programs.ROLES] if run is not None else []
    missing = [words[0] for words in commands if words and machine.found(words[0]) is None]
    return "; ".join(machine.lacking(name) for name in dict.fromkeys(missing))


def servers(
    scenario: Scenario, plan: NetworkPlan, node: str, start_ns: int, folder: Path, log: Path
) -> tuple[ServerOrder, ...]:
    """The programs that sessions are opened to at ``node``."""
    found = []
    for spec in sessions_of(scenario):
        made = program(spec, programs.SERVER, start_ns, folder, log) if spec.mn == node else None
        if made is not None:
            at_ns = start_ns + round(program_ports.starts_s(spec) * 1e9)
            towards = sorted(plan.addresses(spec.cn))[0]
            found.append(ServerOrder(made, at_ns, program_ports.port(spec), node_id(scenario, node), towards))
    return tuple(found)
