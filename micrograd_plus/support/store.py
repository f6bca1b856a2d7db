"""Files that are made once and read by later processes: machine code, in one folder for each user.

A file begins with a digest of its content: a damaged one is made again and never read. Where
nothing can be written, every new process makes the content again.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from .files import write_atomically

T = TypeVar("T")


def stored(title: str, key: str, make: Callable[[], bytes], read: Callable[[bytes], T]) -> T:
    """What `read` makes of a file's content; `make` gives the content if there is no such file.

    title: what it is; key: changes with all that decides the content. A file with another key is
        removed when it was not used for a month.
    read: may raise ValueError for content that this machine cannot use: it is made again.
    """
    path = folder() / f"micrograd_plus_{title}_{key}.bin"
    try:
        return read(content_of(path))
    except (OSError, ValueError):  # not there yet, damaged, or of another machine
        content = make()
        with suppress(OSError):  # nothing may be written there: the next process makes it again
            write_atomically(path, hashlib.sha256(content).digest() + content)
            remove_unused(path, f"micrograd_plus_{title}_*.bin")
        return read(content)


_DIGEST = hashlib.sha256().digest_size


def content_of(path: Path) -> bytes:
    """A file's content after its digest; ValueError if it is damaged."""
    content = path.read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        raise ValueError(f"{path} is damaged")
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > _DAY:
            os.utime(path)  # it is in use
    return content[_DIGEST:]


def remove_unused(path: Path, pattern: str) -> None:
    """Removes the files of the same title with another key that were not used for a month."""
    for other in path.parent.glob(pattern):
        if other != path and time.time() - other.stat().st_mtime > _MONTH:
            other.unlink(missing_ok=True)


_DAY = 24 * 3600  # seconds
_MONTH = 30 * _DAY  # several versions in use at a time do not remove each other's


def folder() -> Path:
    """Where the files are: MICROGRAD_PLUS_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("MICROGRAD_PLUS_CACHE"):
        return Path(chosen)
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "micrograd_plus"
