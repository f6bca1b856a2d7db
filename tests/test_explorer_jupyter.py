"""The explorer where notebooks are read: in Jupyter Lab with a kernel, and in exported HTML."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
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
    context.set_default_timeout(60_000)
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    own["JUPYTER_NO_CONFIG"] = "1"  # without the extensions of other packages, at the server …
    flags = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
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
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api", server)
            yield address
        finally:
            server.terminate()
            server.wait(30)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail("Jupyter Lab did not start")


def test_in_jupyter_lab_with_a_kernel(page: Any, lab: str) -> None:
    page.goto(f"{lab}/lab/tree/lesson.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.wait_for()
    page.get_by_text("| Idle").wait_for()  # what is run before the kernel is there may be lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator("iframe[sandbox]").nth(1).wait_for()
    assert_steps(page)
