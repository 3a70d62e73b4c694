"""The project's own source: which folders it has, their byte code, which commit they are."""

from __future__ import annotations

import compileall
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the checkout, or where the package's folders were installed
FOLDERS = ("machine", "topologies", "controllers", "nodes", "guest", "experiments")


def compile_all() -> None:
    """Byte code for what the runner will import: the guest cannot write its own and would compile everything each
    time, and what root writes natively would be root's.
    """
    for folder in FOLDERS:
        compileall.compile_dir(str(ROOT / folder), quiet=2)


def commit() -> str | None:
    """The checkout's commit, with a plus sign where it has been changed; None outside a checkout."""
    git = ["git", "-C", str(ROOT / "machine"), "-c", "safe.directory=*"]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain", "--", ".."], capture_output=True, text=True)
    except OSError:
        return None
    return None if head.returncode else head.stdout.strip() + ("+" if changed.stdout else "")
