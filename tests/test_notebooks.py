"""Every notebook is committed without outputs and runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from forked_kernels import forked_kernels
from nbclient import NotebookClient

from micrograd_plus.classroom.exercises.result import STATUS_MIME

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


LINTED = ("00", "01", "02", "03", "04", "05", "06", "08")
SHOWS_A_MISTAKE = (
    *("b.backward()\nprint(a.grad)", "deep = ", "import warnings\n\nreckless = "),
    *("def walk(make_optimizer", "def descend(lr"),  # steps beyond the minimum
)
"""How cells begin that make a mistake on purpose."""


def add_lint(notebook):
    """Adds cells that watch all others with `lint`, except those, and at the end print findings."""

    def cell(source):
        return nbformat.v4.new_code_cell(source)

    start = cell("reports = [*reports, (watching := lint(quiet=True)).__enter__()]")
    end = cell("watching.__exit__(None, None, None)")
    cells = []
    for original in notebook.cells:
        is_mistake = original.source.startswith(SHOWS_A_MISTAKE)
        cells += [end, original, start] if is_mistake else [original]
    first = cell("from micrograd_plus import lint\n\nreports = []")
    last = cell("print([finding for report in reports for finding in report])")
    notebook.cells = [first, start, *cells, end, last]


@pytest.fixture(scope="module")
def kernels():
    """Each notebook has a process of its own, which starts at once."""
    pytest.importorskip("matplotlib")
    with forked_kernels():
        yield


def test_there_are_notebooks():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(13)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # those of the kernel's own libraries
@pytest.mark.usefixtures("kernels")
def test_runs_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    if path.name[:2] in LINTED:
        add_lint(notebook)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path.parent}}).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    shown = [
        out
        for out in outputs
        if {"image/svg+xml", "image/png"} & out.get("data", {}).keys()
        or out.get("data", {}).get("text/html", "").startswith("<iframe")
    ]
    assert shown, "graphs and plots show themselves as pictures, or as pages"
    checked = [out["data"][STATUS_MIME] for out in outputs if STATUS_MIME in out.get("data", {})]
    assert [result for result in checked if result["status"] != "right"] == []
    warned = [
        out["text"] for out in outputs if out.get("name") == "stderr" and "Warning" in out["text"]
    ]
    assert warned == []
    if path.name[:2] in LINTED:
        found = "".join(out["text"] for out in notebook.cells[-1].outputs)
        assert found == "[]\n", "the linter finds nothing, except where it is shown"
