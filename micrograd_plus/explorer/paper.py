"""Prints a page to a PDF file with a browser that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from ..support.files import write_atomically

_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
_MOST_SECONDS = 120


def write_pdf(page: str, path: Path) -> Path:
    """Prints an HTML page to a file; returns its path.

    FileNotFoundError if there is no browser, OSError if it does not print.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(
            "a PDF is printed by Chromium, Chrome or Edge, and none of them was found"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the PDF, as a browser in a sandbox of its own may see nothing of the system's folder
    # for temporary files.
    with TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        source, printed = folder / "page.html", folder / "page.pdf"
        source.write_text(page, "utf-8")
        command = [
            *(browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update"),
            *(f"--user-data-dir={folder / 'profile'}", "--no-pdf-header-footer"),
            *(f"--print-to-pdf={printed}", source.as_uri()),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # which root cannot use
        try:
            run = subprocess.run(command, capture_output=True, timeout=_MOST_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise OSError(f"{browser} did not print within {_MOST_SECONDS} seconds") from None
        if not printed.exists():
            complaint = run.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise OSError(f"{browser} printed nothing: {complaint or f'exit {run.returncode}'}")
        return write_atomically(path, printed.read_bytes())
