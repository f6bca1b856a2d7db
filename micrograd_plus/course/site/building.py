"""The folder of the site: what it consists of, and how it replaces an earlier one."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ...support.files import make_folder, write_atomically
from .jupyterlite import add_jupyterlite, kernel_extension
from .notebooks import write_notebooks, write_start_page
from .runtime import pyodide, write_runtime

_RECORD = ".micrograd-plus-site.json"
"""The file in the output folder that lists what was written there."""


class Site(NamedTuple):
    """A site that was built: its folder, the number of its files, and their size in bytes."""

    folder: Path
    files: int
    size: int


def build_site(out: str | Path) -> Site:
    """Writes the site into the folder `out`, which is made, or whose site is replaced.

    What somebody has put next to an earlier site, such as `.git`, stays. ValueError if the folder
    has other files and no site. ImportError without JupyterLite; FileNotFoundError without the npm
    package pyodide; OSError if pip cannot fetch a wheel.
    """
    out = Path(out)
    make_folder(out)
    if any(out.iterdir()) and not _written_before(out):
        raise ValueError(
            f"{out} is neither empty nor an earlier site: name another folder with --out"
        )
    extension = kernel_extension()
    runtime = pyodide()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        write_runtime(runtime, extension, work / "static" / "pyodide")
        rows = [*write_notebooks(work / "files")]
        add_jupyterlite(work, extension)
        made = work / "site"
        write_start_page(made, rows)
        sizes = [path.stat().st_size for path in made.rglob("*") if path.is_file()]
        _replace(out, made)
    return Site(out, len(sizes), sum(sizes))


def _written_before(out: Path) -> list[Path]:
    """The files and folders of an earlier site; none in another folder."""
    try:
        names = json.loads((out / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        names = None
    return [path for path in out.iterdir() if path.name in names] if isinstance(names, list) else []


def _replace(out: Path, made: Path) -> None:
    """Moves a site into its folder, in place of the earlier one."""
    for path in _written_before(out):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    names = [path.name for path in made.iterdir()]
    write_atomically(out / _RECORD, json.dumps([_RECORD, *sorted(names)]))
    for name in names:
        shutil.move(made / name, out / name)
