"""``python -m dmmlab.experiments.runner RUNDIR [--shell]``: `carry_out`, in an interpreter without what no run uses."""

from __future__ import annotations

from dmmlab.machine import lean


def main() -> None:
    """Imports the runner and runs it."""
    lean.leave_out()
    from dmmlab.experiments.runner import carry_out

    carry_out.main()


if __name__ == "__main__":
    main()
