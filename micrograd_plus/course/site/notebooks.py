"""The notebooks of the site, and the start page, which says how much of each runs."""

from __future__ import annotations

import ast
import html
import json
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple
from urllib.parse import quote

from ...support.words import many
from .. import source
from ..build import for_students, opening

_NEEDS = {
    r"plot_\w+": "matplotlib",
    "digits|iris": "scikit-learn",
    "interact": "ipywidgets",
    "compile|fit|sweep": "llvmlite",
    "tolist": "numpy",
}
"""Names in `micrograd_plus`, as regular expressions, and the library that each needs.

`tolist` is a method of NumPy's arrays, which a compiled function gives where NumPy is installed.
"""
_IN_THE_SITE = {"micrograd_plus", "IPython", "tqdm"}


class Row(NamedTuple):
    """A notebook on the start page."""

    path: str
    title: str
    time: str
    needs: list[str]  # for each code cell, each library that does not run in the browser


def write_notebooks(folder: Path) -> Iterator[Row]:
    """Writes the student's edition, and the pictures; yields a row for each notebook."""
    _copy_figures(source.folder() / "figures", folder / "figures")
    for path in source.notebooks():
        notebook = for_students(path.name, source.read(path))
        (folder / path.name).write_text(json.dumps(notebook), encoding="utf-8")
        code = [source.text(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
        title, time = opening(notebook)
        yield Row(path.name, title or path.stem, time, [need for c in code for need in needs(c)])


def _copy_figures(figures: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in figures.iterdir():
        content = path.read_bytes()
        if path.suffix == ".svg":  # of which JupyterLite shows only Latin characters
            content = content.decode().encode("ascii", "xmlcharrefreplace")
        (folder / path.name).write_bytes(content)


def needs(code: str) -> set[str]:
    """The libraries that a cell needs, and that do not run in the browser.

    Code in a lambda does not count: in this way notebook 00 tries what is installed.
    """
    found = set[str]()
    for node in _without_lambdas(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) != "re":
            found |= {need for name, need in _NEEDS.items() if re.fullmatch(name, node.attr)}
    return found - {*sys.stdlib_module_names, *_IN_THE_SITE}


def _without_lambdas(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but nothing inside a lambda."""
    if not isinstance(node, ast.Lambda):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _without_lambdas(child)


# ---- the start page


def write_start_page(folder: Path, rows: list[Row]) -> None:
    """Writes index.html, with a link to each notebook."""
    page = (files(__package__) / "start.html").read_text(encoding="utf-8")
    content = Template(page).substitute(
        count=len(rows),
        first=html.escape(_address(rows[0])),
        rows="\n".join(
            f'<li><a href="{html.escape(_address(row))}"><b>{html.escape(row.title)}</b>'
            f"<span>{html.escape(row.time)}</span><span>{html.escape(_how_it_runs(row))}</span>"
            "</a></li>"
            for row in rows
        ),
    )
    (folder / "index.html").write_text(content, encoding="utf-8")


def _address(row: Row) -> str:
    return f"notebooks/index.html?path={quote(row.path)}"


def _how_it_runs(row: Row) -> str:
    """In words, how much of a notebook runs in the browser."""
    plots, steps = row.needs.count("matplotlib"), row.needs.count("llvmlite")
    others = sorted({*row.needs} - {"matplotlib", "llvmlite"})
    parts = [f"{many(plots, 'plot')} not shown"] * (plots > 0)
    parts += ["training is slow"] * (steps > 0)
    if others:
        return "; ".join([f"Runs in part: {' and '.join(others)} not available", *parts])
    return "; ".join(["Runs", *parts]) if parts else "Runs completely"
