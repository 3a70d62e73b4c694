"""Files of keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmmlab.machine import private


@pytest.mark.parametrize("before", [None, 0o644, 0o777])
def test_a_file_of_keys_is_its_owners_from_the_first_byte(
    tmp_path: Path, before: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    if before is not None:
        file.write_text("an older key, which was longer")
        file.chmod(before)
    mask, opened, change = os.umask(0), list[os.stat_result](), os.fchmod

    def looked_at(descriptor: int, mode: int) -> None:
        opened.append(os.fstat(descriptor))
        change(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", looked_at)
    try:
        private.write(file, "key")
    finally:
        os.umask(mask)
    assert file.stat().st_mode & 0o7777 == 0o600
    assert file.read_text() == "key"
    (then,) = opened  # whoever could open it before that has found nothing in it
    assert then.st_size == 0 and (before is not None or then.st_mode & 0o7777 == 0o600)


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        private.write(tmp_path / "key", "key")
    assert not (tmp_path / "elsewhere").exists()
