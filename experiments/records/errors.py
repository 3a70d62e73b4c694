"""What is said of a run directory that cannot be used."""

from __future__ import annotations

from pathlib import Path

from dmmlab.machine.errors import Refusal


class RunDirectoryError(Refusal):
    """The folder is not what it was taken for; one sentence."""

    @classmethod
    def damaged(cls, file: Path, what: str) -> RunDirectoryError:
        """``file`` of a run is not as a run writes it; ``what`` is the clause that says where."""
        return cls(f"{file}: not what a run writes: {what}: copy the run anew, or run its scenario again")
