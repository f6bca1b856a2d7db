"""Other programs, which write parts of the site."""

from __future__ import annotations

import subprocess
from pathlib import Path


def run(command: list[str], failure: str, folder: Path | None = None) -> None:
    """Runs a command; OSError with the last lines that it printed if it fails."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise OSError("\n".join([f"{failure}:", *said[-5:]]))
