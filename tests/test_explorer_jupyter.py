"""The explorer where notebooks are read: in Jupyter Lab with a kernel, and in exported HTML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from browser import new_context

CODE = [
    "import micrograd_plus as mp\na, b = mp.Value(2.0, label='a'), mp.Value(-3.0, label='b')",
    "mp.step_through(a * b + a)",
    "mp.step_through((a * b).tanh())",
]

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Jupyter's own libraries


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page; what Jupyter's pages ask of other machines is denied."""
    context = new_context(browser, viewport={"width": 1280, "height": 1600})
    context.set_default_timeout(240_000)  # a server and a kernel have to start
    yield context.new_page()
    context.close()


def notebook(folder: Path) -> Path:
    nbformat = pytest.importorskip("nbformat")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CODE])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = folder / "lesson.ipynb"
    nbformat.write(made, path)
    return path


def assert_steps(page: Any) -> None:
    """Both explorers are there, and each has its own tape."""
    for i, count in enumerate((7, 6)):
        frame = page.frame_locator("iframe[sandbox]").nth(i)
        frame.locator("#forward").click()
        frame.locator("#forward").click()
        assert frame.locator("#count").text_content().startswith(f"Step 2 of {count}")


def test_in_exported_html_without_a_kernel(page: Any, tmp_path: Path) -> None:
    nbconvert = pytest.importorskip("nbconvert")
    nbformat = pytest.importorskip("nbformat")
    formatters = pytest.importorskip("IPython.core.formatters")
    read = nbformat.read(notebook(tmp_path), as_version=4)
    names: dict[str, Any] = {}
    exec(CODE[0], names)
    for cell in read.cells[1:]:  # as a kernel does, but without its process
        data, about = formatters.DisplayFormatter().format(eval(cell.source, names))
        cell.outputs = [nbformat.v4.new_output("execute_result", data, metadata=about)]
    exported, _ = nbconvert.HTMLExporter().from_notebook_node(read)
    path = tmp_path / "lesson.html"
    path.write_text(exported, encoding="utf-8")
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    assert_steps(page)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a Jupyter Lab whose folder holds the notebook."""
    pytest.importorskip("jupyterlab")
    notebook(tmp_path)
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    own["JUPYTER_NO_CONFIG"] = "1"  # without the extensions of other packages, at the server …
    flags = ["--no-browser", "--allow-root", "--ip=127.0.0.1"]
    flags += ["--LabApp.labextensions_path=[]"]  # … and in the page
    flags += ["--IdentityProvider.token=", "--LabApp.check_for_updates_class="]
    flags[-1] += "jupyterlab.NeverCheckForUpdate"
    with (tmp_path / "lab.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *flags],
            cwd=tmp_path,
            env=os.environ | own,
            stdout=log,
            stderr=log,
        )
        try:
            yield address_of(server, tmp_path)
        finally:
            server.terminate()
            server.wait(240)


def address_of(server: subprocess.Popen[bytes], folder: Path) -> str:
    """The address that the server has chosen itself, once it answers there."""
    for _ in range(960):
        if server.poll() is not None:
            break
        with suppress(OSError, ValueError):  # it is not written, or does not answer yet
            (file,) = folder.glob("RUNTIME/jpserver-*.json")
            address = str(json.loads(file.read_text())["url"])
            with urllib.request.urlopen(f"{address}api", timeout=60):
                return address
        time.sleep(0.25)
    return pytest.fail(f"Jupyter Lab did not start: {(folder / 'lab.log').read_text()}")


def test_in_jupyter_lab_with_a_kernel(page: Any, lab: str) -> None:
    page.goto(f"{lab}lab/tree/lesson.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.wait_for()
    page.get_by_text("| Idle").wait_for()  # what is run before the kernel is there may be lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator("iframe[sandbox]").nth(1).wait_for()
    assert_steps(page)
