"""Every notebook is committed without outputs and runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 9)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # those of the kernel's own libraries
def test_runs_from_top_to_bottom(path):
    pytest.importorskip("matplotlib")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": path.parent}}).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    shown = [
        out
        for out in outputs
        if "image/svg+xml" in out.get("data", {})
        or out.get("data", {}).get("text/html", "").startswith("<iframe")
    ]
    assert shown, "graphs show themselves as pictures, or as pages"
    warned = [
        out["text"] for out in outputs if out.get("name") == "stderr" and "Warning" in out["text"]
    ]
    assert warned == []
