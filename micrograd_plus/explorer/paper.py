"""Writes pages for paper: as HTML, or as a PDF file that an installed browser prints."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ..support.files import make_folder, write_atomically

_BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
_IN_APPLICATIONS = ("Google Chrome", "Chromium", "Microsoft Edge")  # of macOS
_IN_PROGRAMS = (  # of Windows
    ("Google", "Chrome", "Application", "chrome.exe"),
    ("Microsoft", "Edge", "Application", "msedge.exe"),
)
_MOST_SECONDS = 120


def write_pages(path: str | Path, pages: Mapping[str, str]) -> tuple[Path, ...]:
    """Writes pages as .pdf or .html files; returns their paths.

    pages: for each page what its file's name has after that of `path`: "" or "-solution".

    A PDF is printed by Chromium, Chrome or Edge; FileNotFoundError if there is none, OSError if it
    does not print. ValueError for another ending.
    """
    path = Path(path)
    if path.suffix not in (".pdf", ".html"):
        raise ValueError(f"a sheet is a .pdf or a .html file, not {path.name!r}")
    write = write_pdf if path.suffix == ".pdf" else write_html
    return tuple(
        write(page, path.with_stem(f"{path.stem}{ending}")) for ending, page in pages.items()
    )


def find_browser() -> str | None:
    """The path of a browser that prints; None if there is none.

    Linux finds it by its name; macOS and Windows have it in folders that no search looks into.
    """
    named = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
    folders = [os.environ[name] for name in named if name in os.environ]
    places = [
        *_BROWSERS,
        *[f"/Applications/{name}.app/Contents/MacOS/{name}" for name in _IN_APPLICATIONS],
        *[os.path.join(folder, *program) for folder in folders for program in _IN_PROGRAMS],
    ]
    return next(filter(None, map(shutil.which, places)), None)


def write_html(page: str, path: Path) -> Path:
    """Writes an HTML page to a file; returns its path."""
    return write_atomically(path, page)


def write_pdf(page: str, path: Path) -> Path:
    """Prints an HTML page to a file; returns its path.

    FileNotFoundError if there is no browser, OSError if it does not print.
    """
    browser = find_browser()
    if browser is None:
        raise FileNotFoundError(
            "a PDF is printed by Chromium, Chrome or Edge, and none of them was found"
        )
    make_folder(path.parent)
    # Next to the PDF, as a browser in a sandbox of its own may see nothing of the system's folder
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
