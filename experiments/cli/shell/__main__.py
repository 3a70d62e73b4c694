"""``python -m dmmlab.experiments.cli.shell RUNDIR``: plays the scenario in ``run.json`` at the prompt."""

from __future__ import annotations

import sys
import threading

from dmmlab.experiments.cli.shell.prompt import at_prompt
from dmmlab.experiments.runner import carry_out


def _say(phase: str = "", **_share: object) -> None:
    """Progress, in words."""
    if phase and phase != "scenario":
        sys.stdout.write(f"{phase} ...\n")
        sys.stdout.flush()


def _stopped(broken: threading.ExceptHookArgs) -> None:
    """What goes on beside the prompt has broken: a sentence, and the prompt is still there to look around."""
    sys.stderr.write(f"\r\nthis goes on no more: {broken.exc_value or broken.exc_type.__name__}\r\n")


if __name__ == "__main__":
    threading.excepthook = _stopped
    sys.exit(carry_out.main(at_prompt, _say))
