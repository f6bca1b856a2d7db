"""Runs the code of a page, and gives each piece of code its result, as a notebook shows it.

>>> from tempfile import TemporaryDirectory
>>> page = "```python\\nimport micrograd_plus as mp\\n\\nmp.Value(2.0) * 3\\n```\\n"
>>> with TemporaryDirectory() as folder:
...     text, results = with_results(page, Path(folder))
>>> text.splitlines()[-1], results.keys(), "<img" in results["RESULT-0"]
('RESULT-0', dict_keys(['RESULT-0']), True)
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import Any

_CODE = re.compile(r"^```(python|sh)\n(?!>>>)(.*?)^```\n", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def with_results(text: str, folder: Path) -> tuple[str, dict[str, str]]:
    """Runs the code blocks of a Markdown page in their order, as the cells of a notebook.

    text: the page. Blocks of `python` share their names; a block of `sh` is a `micrograd-plus`
        command; examples after `>>>` are left to doctest.
    folder: where the code runs, and where its pictures are written.

    Returns the page with a line `RESULT-0`, `RESULT-1`, … after each block that has a result, and
    the HTML of these results. An error in the code is raised as it is, with the block as a note.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, str] = {}
    names: dict[str, Any] = {}

    def run(block: re.Match[str]) -> str:
        language, code = block.groups()
        headings = _HEADING.findall(text[: block.start()])
        before = _times(folder)
        try:
            with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
                result = _run_python(code, names) if language == "python" else None
                if language == "sh":
                    _run_command(code)
        except Exception as error:
            error.add_note(f"in the code\n{code}")
            raise
        written = [path for path, time in _times(folder).items() if before.get(path) != time]
        title = headings[-1].replace("`", "") if headings else "Result"
        key = f"RESULT-{len(results)}"
        file = folder / "-".join([f"{len(results):02}", *re.findall(r"\w+", title)])
        shown = _files(written, folder, title) or _shown(result, file, title)
        if not shown:
            return block[0]
        results[key] = shown
        return f"{block[0]}\n{key}\n"

    return _CODE.sub(run, text), results


def _times(folder: Path) -> dict[Path, int]:
    """When each file of a folder was written, the oldest first."""
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    return dict(sorted(times.items(), key=lambda file: file[1]))


def _run_python(code: str, names: dict[str, Any]) -> Any:
    """Runs the statements; returns the value of the last one, if it is an expression."""
    *statements, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        statements.append(last)
    exec(compile(ast.Module(statements, []), "<gallery>", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "<gallery>", "eval"), names)
    return None


def _run_command(code: str) -> None:
    for line in code.splitlines():
        program, *arguments = shlex.split(line)
        if program != "micrograd-plus":
            raise ValueError(f"this is no micrograd-plus command: {line}")
        command = [sys.executable, "-m", "micrograd_plus", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _files(paths: list[Path], folder: Path, title: str) -> str:
    """Pictures that the code has written; or pages, the first in a frame, with links to all."""
    places = [f"{folder.name}/{path.name}" for path in paths]
    pages = [place for place in places if place.endswith(".html")]
    if not pages:
        return "".join(_image(place, title) for place in places if place.endswith((".svg", ".png")))
    links = ", ".join(f'<a href="{folder.name}/{path.name}">{path.name}</a>' for path in paths)
    return (
        f'<div class="picture"><iframe src="{pages[0]}" title="{escape(title)}" loading="lazy">'
        f"</iframe><p>In a window of its own: {links}</p></div>"
    )


def _shown(result: Any, path: Path, title: str) -> str:
    """The result as a notebook shows it: HTML, or a picture, which becomes a file."""
    if hasattr(result, "_repr_png_"):
        path = path.with_suffix(".png")
        path.write_bytes(result._repr_png_())
        return _image(f"{path.parent.name}/{path.name}", title)
    bundle = result._repr_mimebundle_() if hasattr(result, "_repr_mimebundle_") else {}
    if "text/html" in bundle:
        return f'<div class="picture html">{bundle["text/html"]}</div>'
    if "image/svg+xml" in bundle:
        path = path.with_suffix(".svg")
        path.write_text(bundle["image/svg+xml"], encoding="utf-8")
        return _image(f"{path.parent.name}/{path.name}", title)
    return "" if result is None else f"<pre>{escape(repr(result))}</pre>"


def _image(place: str, title: str) -> str:
    return f'<div class="picture"><img src="{place}" alt="{escape(title)}"></div>'
