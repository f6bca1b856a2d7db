"""Writing files so that a crash while writing never destroys the old content."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it; OSError if a file has one of these paths."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        file = next(p for p in (path, *path.parents) if p.exists() and not p.is_dir())
        raise NotADirectoryError(f"{file} is a file, not a folder: name another folder") from None


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Writes a new file beside the old one, and then renames it. Makes the folder if needed.

    When it returns, the content is on the disk. Returns the path. OSError if a folder has this
    path, if its folder cannot be made, or, on Windows, if another program has the file open.
    """
    path = Path(path)
    make_folder(path.parent)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the file another name")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        if error.filename is None:
            raise
        # It names the unfinished file, of which nobody knows.
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        unfinished.unlink(missing_ok=True)
    with suppress(OSError):  # Windows opens no folders
        _sync_folder(path.parent)
    return path


def _sync_folder(folder: Path) -> None:
    """Waits until the names of the folder's files are on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def remove_unfinished(folder: Path) -> None:
    """Removes what `write_atomically` left in a folder because its process was killed.

    No other process may be writing there.
    """
    for path in folder.glob(".*.unfinished"):
        path.unlink(missing_ok=True)
