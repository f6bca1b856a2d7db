"""Where the course's notebooks are, and how one is read.

The notebooks in the repository contain the solutions. An installed package has its own copy of
the folder, with the pictures, the guide and the teacher's pages.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

NAME = re.compile(r"(\d\d)-[\w-]+\.ipynb")
"""The file name of a notebook of the course; its group is the unit's number."""


def folder() -> Path:
    """The folder with the notebooks: that of the installed package, or that of the clone.

    FileNotFoundError if there is neither.
    """
    here = Path(__file__).resolve().parent
    places = [here / "notebooks", here.parent.parent / "notebooks"]
    for place in places:
        if any(place.glob("*.ipynb")):
            return place
    raise FileNotFoundError(
        f"the notebooks of the course are neither in {places[0]} nor in {places[1]}: install "
        "micrograd-plus from a wheel, or from a complete clone of its repository"
    )


def notebooks() -> list[Path]:
    """The notebooks of the course, with the solutions, in their order."""
    return sorted(path for path in folder().glob("*.ipynb") if NAME.fullmatch(path.name))


def read(path: Path) -> dict[str, Any]:
    """The content of a notebook file, whose cells have a kind and a text; ValueError for others."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also a UnicodeDecodeError
        raise ValueError(f"{path} is not a notebook: it does not contain JSON") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError(f"{path} is not a notebook: it has no list of cells")
    for number, cell in enumerate(notebook["cells"], 1):
        if not _is_cell(cell):
            raise ValueError(f"{path} is not a notebook: cell {number} has no kind or no text")
    return notebook


def _is_cell(cell: Any) -> bool:
    match cell:
        case {"cell_type": str(), "source": str()}:
            return True
        case {"cell_type": str(), "source": list(lines)}:
            return all(isinstance(line, str) for line in lines)
    return False


def text(cell: dict[str, Any]) -> str:
    """The source of a cell, which a file holds as a string or as a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)
