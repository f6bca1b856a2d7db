"""A file is written whole or not at all."""

from __future__ import annotations

import pytest

from micrograd_plus.support.files import write_atomically


@pytest.mark.parametrize("content", ["text ✓", b"bytes"])
def test_writes_text_and_bytes_and_makes_the_folder(tmp_path, content):
    path = tmp_path / "new" / "x.txt"
    assert write_atomically(str(path), content) == path
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


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
