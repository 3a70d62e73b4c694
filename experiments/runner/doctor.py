"""What this machine can run, what is missing, and the command that mends it. Looks only; changes nothing."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dmmlab.guest.cache import CLOCKS, cached_kernels, stock_kernel
from dmmlab.guest.errors import GuestError
from dmmlab.machine.checks import (
    BUILD_PROGRAMS,
    PROGRAMS,
    Check,
    headers,
    install_command,
    native_kernel,
    programs,
    python_packages,
)

RUNTIMES = ("guest", "native")
BUILD_COMMAND = "dmmlab guest build"


@dataclass(frozen=True)
class Combination:
    """A runtime and a clock, and all that they need."""

    runtime: str
    clock: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether it can run now."""
        return all(check.ok for check in self.checks)

    def missing(self) -> list[Check]:
        """What is in the way."""
        return [check for check in self.checks if not check.ok]


@dataclass(frozen=True)
class Report:
    """Everything `dmmlab doctor` says; `building` is what a kernel build needs, only of interest if there is none."""

    machine: str
    combinations: tuple[Combination, ...]
    building: tuple[Check, ...]

    def combination(self, runtime: str, clock: str) -> Combination:
        """The entry for that pair; KeyError if there is none."""
        for combination in self.combinations:
            if (combination.runtime, combination.clock) == (runtime, clock):
                return combination
        raise KeyError((runtime, clock))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        combinations = [asdict(c) | {"ok": c.ok} for c in self.combinations]
        return {"machine": self.machine, "combinations": combinations, "building": [asdict(c) for c in self.building]}


def examine() -> Report:
    """Look at this machine (under a second)."""
    building = _building()
    return Report(
        machine=f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        combinations=tuple(_combinations(building)),
        building=building,
    )


def _building() -> tuple[Check, ...]:
    return (*programs(BUILD_PROGRAMS), *headers())


def _combinations(building: tuple[Check, ...]) -> Iterator[Combination]:
    """Each is looked at when it is asked for: what a native run needs takes longest and seldom matters."""
    common = (*programs(PROGRAMS), *python_packages())
    for clock in CLOCKS:
        yield Combination("guest", clock, (*common, guest_kernel(clock, building)))
    native = (*common, *programs({"gcc": BUILD_PROGRAMS["gcc"]}), *native_kernel())
    yield Combination("native", "real", native)
    impossible = Check("virtual time", False, "only the guest can stop the clock", "dmmlab run --runtime guest")
    yield Combination("native", "virtual", (impossible, *native))


def guest_kernel(clock: str, building: Iterable[Check]) -> Check:
    """A kernel for the guest; if there is none, what its build is short of comes first."""
    for kernel in cached_kernels():
        return Check("guest kernel", True, f"Linux {kernel.version}, {kernel.path}")
    stock = stock_kernel()
    if clock == "real" and stock:
        return Check("guest kernel", True, f"Linux {stock.version}, {stock.path} (Debian's)")
    short_of = [check for check in building if not check.ok]
    if short_of:
        names = ", ".join(check.name for check in short_of)
        return Check(
            "guest kernel",
            False,
            f"not built yet, and the build lacks {names}",
            f"{install_command(short_of)} && {BUILD_COMMAND}",
        )
    return Check("guest kernel", False, "not built yet", BUILD_COMMAND)


def pick(runtime: str = "auto", clock: str = "auto", report: Report | None = None) -> tuple[str, str]:
    """The runtime and clock to use: guest and virtual wherever possible.

    A missing guest kernel is no obstacle if it can be built: that is the runner's next step. Raises GuestError, one
    sentence with the remedy, if what was asked for cannot be had; ValueError for an unknown name.
    """
    if runtime not in ("auto", *RUNTIMES) or clock not in ("auto", *CLOCKS):
        raise ValueError(f"runtime {runtime!r}, clock {clock!r}: allowed are auto, {', '.join((*RUNTIMES, *CLOCKS))}")
    wanted = []
    for combination in report.combinations if report else _combinations(_building()):
        if runtime in ("auto", combination.runtime) and clock in ("auto", combination.clock):
            if combination.ok or _only_unbuilt(combination):
                return combination.runtime, combination.clock
            wanted.append(combination)
    first = wanted[0]
    obstacle = first.missing()[0]
    more = len(first.missing()) - 1
    others = f" and {more} more (see `dmmlab doctor`)" if more else ""
    remedy = f": {obstacle.remedy}" if obstacle.remedy else ""
    what = f"runtime {first.runtime} with {first.clock} clock cannot run here"
    raise GuestError(f"{what}: {obstacle.name}: {obstacle.found}{others}{remedy}")


def _only_unbuilt(combination: Combination) -> bool:
    return [check.remedy for check in combination.missing()] == [BUILD_COMMAND]
