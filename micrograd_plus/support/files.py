"""Writing files so that a crash while writing never destroys the old content."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Writes a new file beside the old one, and then renames it. Makes the folder if needed.

    Returns the path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
