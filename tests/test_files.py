"""A file is written whole or not at all; and where files that are kept are."""

from __future__ import annotations

import sys

import pytest

from micrograd_plus.__main__ import main
from micrograd_plus.support import store
from micrograd_plus.support.files import write_atomically


@pytest.mark.parametrize("content", ["text ✓", b"bytes"])
def test_writes_text_and_bytes_and_makes_the_folder(tmp_path, content):
    path = tmp_path / "new" / "x.txt"
    assert write_atomically(str(path), content) == path
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_in_place_of_a_folder_and_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "file").touch()
    for path in ("file/x.txt", "file/folder/x.txt"):
        with pytest.raises(OSError, match="file is a file, not a folder: name another folder"):
            write_atomically(tmp_path / path, "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder is a folder: give the file another name"):
        write_atomically(tmp_path / "folder", "x")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("playground --out file/page.html", "file is a file, not a folder: name another folder"),
        ("playground --out folder", "folder is a folder: give the file another name"),
        ("course build --out file", "file is a file, not a folder: name another folder"),
        ("course grade class --out file", "file is a file, not a folder: name another folder"),
        ("course site --out file/site", "file is a file, not a folder: name another folder"),
        ("worksheet x*2 x=1 -o file/x.pdf", "file is a file, not a folder: name another folder"),
        ("exam --names missing.txt", "missing.txt: No such file or directory"),
        ("exam --names folder", "folder: Is a directory"),
    ],
)
def test_commands_say_which_path_is_wrong(tmp_path, monkeypatch, capsys, command, complaint):
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "class/ada"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "class/ada/02.ipynb").touch()
    assert main(command.split()) == 2
    assert capsys.readouterr().err == f"micrograd-plus: {complaint}\n"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.svg"
    path.write_bytes(b"old")

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("platform", "variable", "place"),
    [
        ("linux", "XDG_CACHE_HOME", "own"),
        ("linux", "", "home/.cache"),
        ("darwin", "", "home/Library/Caches"),
        ("win32", "LOCALAPPDATA", "own"),
        ("win32", "", "home/AppData/Local"),
    ],
)
def test_machine_code_is_kept_where_the_system_keeps_caches(
    platform, variable, place, tmp_path, monkeypatch
):
    for name in ("MICROGRAD_PLUS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "own"))
    assert store.folder() == tmp_path / place / "micrograd_plus"


def test_a_write_that_is_refused_names_the_file(tmp_path, monkeypatch):
    """As on Windows, where another program has the file open; not the unfinished one."""

    def refuse(source, target):
        raise PermissionError(13, "Access is denied", str(source), 5, str(target))

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError) as raised:
        write_atomically(tmp_path / "grades.csv", "1,2")
    assert str(raised.value) == f"[Errno 13] Access is denied: '{tmp_path / 'grades.csv'}'"
    assert not list(tmp_path.iterdir())
