"""The stamp of a project: fresh only while inputs and files are what they were."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tinydeploy import stamp
from tinydeploy.boards import list_boards
from tinydeploy.errors import OutputError, UsageError

NAMES = ("model/model.c", "build/firmware.elf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "firmware/main.c", "Makefile"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    stamp.remember(tmp_path, "key", NAMES)
    return tmp_path


def test_fresh_after_it_was_remembered(folder: Path) -> None:
    assert stamp.is_current(folder, "key")


def test_another_key_is_another_project(folder: Path) -> None:
    assert not stamp.is_current(folder, "other")


def grow(path: Path) -> None:
    path.write_text(path.read_text() + "x")


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("name", [*NAMES, "firmware/main.c", "Makefile"])
@pytest.mark.parametrize("change", [grow, touch, Path.unlink])
def test_a_changed_file_is_noticed(change: Callable[[Path], None], name: str, folder: Path) -> None:
    change(folder / name)
    assert not stamp.is_current(folder, "key")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"key": "key"}', '{"key": "key", "files": 3}', "\x00\xff"])
def test_a_damaged_stamp_is_no_stamp(content: str, folder: Path) -> None:
    (folder / "build/stamp.json").write_bytes(content.encode("latin-1"))
    assert not stamp.is_current(folder, "key")


def test_forgotten(folder: Path) -> None:
    stamp.forget(folder)
    assert not stamp.is_current(folder, "key")
    stamp.forget(folder)


def test_what_cannot_be_forgotten_is_said(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file")
    with pytest.raises(OutputError, match="choose another folder"):
        stamp.forget(tmp_path)


def test_boards_differ_and_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    states = {stamp.board_state(board) for board in list_boards()}
    assert len(states) == len(list_boards())
    with pytest.raises(UsageError, match="cannot be read"):
        stamp.file_state(tmp_path / "gone")


def test_the_tool_is_the_same_twice() -> None:
    assert stamp.tool_state() == stamp.tool_state()
