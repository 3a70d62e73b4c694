"""A file is there as a whole or not at all, and what a user is told of it names it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dmmlab.machine.files import all_or_none, sentence, write_whole


def no_room(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_that_has_no_room_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "a", "first")
    monkeypatch.setattr(Path, "write_text", no_room)
    with pytest.raises(OSError, match="No space") as refused:
        write_whole(tmp_path / "a", "second")
    remedy = "make room on the disk, or choose a place on another one"
    assert sentence(refused.value) == f"{tmp_path / 'a'}: no space left on device: {remedy}"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["first"]


def test_of_files_that_belong_together_all_are_there_or_none(tmp_path: Path) -> None:
    both = tmp_path / "a.csv", tmp_path / "a.png"
    with pytest.raises(OSError, match="No space"), all_or_none(*both):
        both[0].write_text("points")
        no_room()
    assert list(tmp_path.iterdir()) == []


def test_a_link_where_a_file_is_to_be_made_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "dear").write_text("dear")
    (tmp_path / "a.new").symlink_to(tmp_path / "dear")
    write_whole(tmp_path / "a", "text")
    assert (tmp_path / "dear").read_text() == "dear" and (tmp_path / "a").read_text() == "text"


def test_what_the_system_says_has_the_file_and_a_remedy(tmp_path: Path) -> None:
    for act, words in (
        (lambda: (tmp_path / "nowhere" / "x").write_text(""), "nowhere/x: no such file or directory: make its folder"),
        (lambda: (tmp_path / "file" / "x").mkdir(), "file/x: not a directory: choose another name"),
        (lambda: (tmp_path / "file").mkdir(), "file: file exists: choose another name"),
    ):
        (tmp_path / "file").touch()
        with pytest.raises(OSError) as refused:
            act()
        assert words in sentence(refused.value) and "Errno" not in sentence(refused.value)
