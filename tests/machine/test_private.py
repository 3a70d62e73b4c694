"""Files of keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmmlab.machine import private


@pytest.mark.parametrize("before", [None, 0o644, 0o777])
def test_a_file_of_keys_is_its_owners_from_the_first_byte(tmp_path: Path, before: int | None) -> None:
    file = tmp_path / "key"
    if before is not None:
        file.write_text("an older key, which was longer")
        file.chmod(before)
    mask = os.umask(0)
    try:
        private.write(file, "key")
    finally:
        os.umask(mask)
    assert file.stat().st_mode & 0o7777 == 0o600
    assert file.read_text() == "key"


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        private.write(tmp_path / "key", "key")
    assert not (tmp_path / "elsewhere").exists()
