"""What a command is to run on: asks `doctor`, and builds the guest's kernel where it is all that is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dmmlab.experiments.runner import doctor
from dmmlab.guest.cache import GuestKernel, find_kernel
from dmmlab.guest.errors import NoKernelError
from dmmlab.machine import checks
from dmmlab.machine.errors import Refusal

if TYPE_CHECKING:
    from dmmlab.experiments.runner.run import Clock, Runtime
    from dmmlab.experiments.scenario.model import Scenario


def means(runtime: str, clock: str) -> tuple[Runtime, Clock]:
    """The runtime and clock that this machine has for what was asked for, either of which may be ``auto``.

    Raises GuestError, one sentence with the remedy, where it cannot be had.
    """
    picked = doctor.pick(runtime, clock)
    if picked[0] == "guest":
        try:
            find_kernel(picked[1])
        except NoKernelError:
            sys.stderr.write("The guest's kernel is built now, once on this machine; it takes about five minutes.\n")
            build_kernel()
    return cast("tuple[Runtime, Clock]", picked)


def refuse(scenarios: Iterable[Scenario], runtime: str) -> None:
    """Raises Refusal, one sentence with the remedy, where a program or the kernel lacks an address family, or where a
    fault would be one of the whole machine.
    """
    for scenario in scenarios:
        if runtime == "native" and any(fault.clock_step is not None for fault in scenario.faults):
            raise Refusal(
                f"{scenario.name}: faults: clock-step would set this machine's own clock, which others go by; use"
                " --runtime guest, which has one of its own"
            )
        if scenario.family == "ipv6":
            for check in checks.ipv6(runtime, scenario.addresses.dad == "optimistic"):
                if not check.ok:
                    raise Refusal(
                        f"{scenario.name}: family: ipv6 needs {check.name}, which is {check.found}: {check.remedy}"
                    )


def build_kernel(source: Path | None = None, *, force: bool = False) -> GuestKernel:
    """The cached kernel, built with progress on stderr if need be."""
    from dmmlab.guest import kernel
    from dmmlab.guest.progress import reporter

    with reporter() as report:
        return kernel.build(source, force=force, report=report)
