"""A small campaign: `short.yaml` with a few seeds, here or on a cluster. The process that `kill.py` kills.

runner.py OUT RUNS [SCHEDULER]. A line on stdout for each run that ends. Exit status as dmmlab's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dmmlab.experiments.campaigns import campaign
from dmmlab.experiments.campaigns.campaign import Planned, Step
from dmmlab.experiments.campaigns.cluster import OnCluster
from dmmlab.experiments.campaigns.places import Here, PlaceError
from dmmlab.experiments.figures.base import digest
from dmmlab.experiments.scenario.load import load

SCENARIO = Path(__file__).parent / "short.yaml"


def planned(runs: int) -> list[Planned]:
    """The campaign: its runs differ in their seed."""
    scenarios = [load(str(SCENARIO), {"seed": seed}) for seed in range(1, runs + 1)]
    return [Planned(scenario, digest(scenario), ()) for scenario in scenarios]


def say(line: str) -> None:
    """At once: whoever kills this process wants to know what it said before."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tell(step: Step) -> None:
    """A run has ended."""
    say(f"{step.name} {step.outcome} {step.reason or ''}")


def main(out: str, runs: str, scheduler: str = "") -> int:
    """Carries it out."""
    place = OnCluster(scheduler, lambda sentence: say(f"# {sentence}")) if scheduler else Here(2)
    try:
        result = campaign.carry_out(planned(int(runs)), Path(out), "guest", "virtual", place, tell)
    except PlaceError as error:
        say(f"# {error}")
        return 2
    return 1 if result.invalid else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
