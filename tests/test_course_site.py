"""The course in the browser: the site from a plain file server, in Chromium without a network."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import LOCAL, new_context
from drawings import read_svg

from micrograd_plus.course import source
from micrograd_plus.course.site import Site, build_site, building, runtime
from micrograd_plus.course.site.notebooks import needs

MORE = """
mp.step_through(mp.Value(2.0, label="a") * mp.Value(-3.0, label="b"))
---
mp.classroom.check("02.q1", {right!r})
---
mp.classroom.check("02.q1", ...)
---
def product_backward(a, b, upstream):
    return upstream * a, upstream * b

mp.classroom.check("02.2", product_backward)
---
X, y = mp.data.moons(20, seed=0)
mp.fit(mp.nn.MLP(2, [4, 1]), X, y, loss="hinge", epochs=5)
---
{without_graphviz}
---
mp.plot_loss([3.0, 2.0])
---
mp.network(mp.nn.MLP(2, [3, 1]))
---
import sys
print(sys.platform, "reached the end")
"""
"""Cells that are added to notebook 02."""

WITHOUT_GRAPHVIZ = """
import json, sys
from pathlib import Path

a, b = mp.Value(2.0, label="a"), mp.Value(-3.0, label="b")
c = (a * b + a).tanh()
c.label = "c <&>"
c.backward()
model = mp.nn.MLP(2, [8, 8, 1])
loss = mp.losses.mse(model([0.5, -0.8]), 1.0)
loss.backward()
saved = Path("/tmp/c.svg")
mp.draw(c).save(saved)
try:
    mp.draw(c).save("/tmp/c.png")
    refused = ""
except RuntimeError as error:
    refused = str(error)


def loops():
    while True:
        try:
            a.tanh()
        except:
            continue


def blank():
    while True: pass


from micrograd_plus.classroom.exercises.expressions import Expression
from micrograd_plus.classroom.exercises.failed import FailedExpression
from micrograd_plus.classroom.exercises.guard import Guard

failed = FailedExpression(Expression((2.0,), (("+", (0, 0)),)), [1.0, 1.0])
print(json.dumps({
    "graphviz": "graphviz" in sys.modules,
    "bundle": mp.draw(c)._repr_mimebundle_(),
    "value": c._repr_mimebundle_(),
    "saved": saved.read_text("utf-8"),
    "upright": mp.draw(c, direction="TB").pipe("svg", encoding="utf-8"),
    "folded": mp.draw(loss).pipe("svg", encoding="utf-8"),
    "refused": refused,
    "network": mp.network(model).pipe("svg", encoding="utf-8"),
    "stopped": Guard(seconds=0.1).run(loops).told,
    "blank": Guard(seconds=0.1).run(blank).told,
    "failed": failed.pipe("svg", encoding="utf-8"),
}))
"""
"""The cell among them that says what is drawn where there is no Graphviz."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site with notebook 00, and with 02 and a few cells more."""
    pytest.importorskip("jupyterlite_core")
    pytest.importorskip("jupyterlite_pyodide_kernel")
    if runtime.pyodide_package() is None:
        pytest.skip("needs the npm package pyodide: npm install pyodide")
    folder = tmp_path_factory.mktemp("course")
    (path,) = source.folder().glob("02-value-*.ipynb")
    notebook = source.read(path)
    more = MORE.strip().format(right=right_letter(), without_graphviz=WITHOUT_GRAPHVIZ.strip())
    for text in more.split("\n---\n"):
        cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
        notebook["cells"].append({**cell, "source": text, "id": f"more-{len(notebook['cells'])}"})
    (folder / path.name).write_text(json.dumps(notebook), "utf-8")
    shutil.copyfile(source.folder() / "00-start-here.ipynb", folder / "00-start-here.ipynb")
    shutil.copytree(source.folder() / "figures", folder / "figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "folder", lambda: folder)
        return build_site(folder / "built")


def right_letter() -> str:
    from micrograd_plus.classroom.exercises import find
    from micrograd_plus.classroom.exercises.exercise import Choice

    test = find("02.q1").test
    assert isinstance(test, Choice)
    return test.right


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(built: Site) -> Iterator[str]:
    """A plain file server, as `python -m http.server` is one."""
    handler = partial(Quiet, directory=str(built.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def notebook(browser: Any, address: str) -> Iterator[Any]:
    """Notebook 02 in the browser, opened from the start page and run from top to bottom."""
    context = new_context(browser, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(240_000)
    asked: list[str] = []

    def ask(request: Any) -> None:
        if not request.url.startswith((address, *LOCAL)):
            asked.append(request.url)

    context.on("request", ask)
    page = context.new_page()
    page.goto(address)
    page.get_by_role("link", name="02 · Value and the chain rule").click()
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.wait_for()
    # Before the page knows its kernel, it ignores that cells are to be run.
    page.locator(".jp-Toolbar-kernelName", has_text="Python (Pyodide)").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-OutputArea-output, .jp-RenderedText", has_text="reached the end").wait_for(
        state="attached", timeout=900_000
    )
    yield page
    context.close()
    assert not asked, "the site asks no other host"


def outputs(notebook: Any, kind: str) -> list[str]:
    """The texts of the outputs of one MIME type, from top to bottom."""
    texts: list[str] = notebook.locator(f'[data-mime-type="{kind}"]').all_text_contents()
    return texts


def test_runs_from_top_to_bottom(notebook: Any) -> None:
    assert not outputs(notebook, "application/vnd.jupyter.error")
    assert "emscripten reached the end" in outputs(notebook, "application/vnd.jupyter.stdout")[-1]
    prompts = notebook.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()
    assert "[ ]:" not in prompts


def test_pictures_appear(notebook: Any) -> None:
    opening = notebook.locator('.jp-MarkdownCell img[alt]:not([alt=""])').first
    drawn = notebook.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg")
    assert drawn.count() >= 2
    for picture in (opening, drawn.first, drawn.last):
        picture.scroll_into_view_if_needed()
        assert picture.bounding_box()["width"] > 100


def test_the_explorer_steps(notebook: Any) -> None:
    frame = notebook.frame_locator("iframe[sandbox]").last
    frame.locator("#forward").click()
    frame.locator("#forward").click()
    assert frame.locator("#count").text_content().startswith("Step 2 of ")


def test_check_answers(notebook: Any) -> None:
    # Other outputs can hold such a text, too: the bar of `fit` may say 102.04epoch/s.
    shown = [text for text in outputs(notebook, "text/html") if text.startswith("02.")]
    right, unanswered, wrong = shown[-3:]
    assert right.startswith("02.q1 ✓ right")
    assert unanswered.startswith("02.q1 … not yet")
    assert wrong.startswith("02.2 ✗ wrong")


def test_fit_shows_its_progress(notebook: Any) -> None:
    assert "5/5" in outputs(notebook, "application/vnd.jupyter.stderr")[-1]
    (trained,) = [t for t in outputs(notebook, "text/plain") if t.startswith("History(5 epochs")]
    assert "loss" in trained


@pytest.fixture(scope="module")
def shown(notebook: Any) -> Any:
    """What the cell WITHOUT_GRAPHVIZ prints."""
    printed = outputs(notebook, "application/vnd.jupyter.stdout")
    (found,) = [text for text in printed if text.startswith('{"graphviz": ')]
    return json.loads(found)


def test_draw_shows_the_graph(shown: Any) -> None:
    assert not shown["graphviz"]
    svg = shown["bundle"]["image/svg+xml"]
    drawn = read_svg(svg)
    assert drawn.find("a", "data 2")
    assert drawn.find("b", "data −3")
    assert drawn.find("tanh", "c <&>", "data −0.99933", "grad 1")
    assert len(drawn.arrows) == 5
    assert shown["value"]["image/svg+xml"] == shown["saved"] == svg
    assert shown["bundle"]["text/html"].startswith("<img")
    assert sorted(read_svg(shown["upright"]).texts) == sorted(drawn.texts)


def test_a_large_graph_is_folded(shown: Any) -> None:
    titles = [lines[0] for lines in read_svg(shown["folded"]).boxes.values()]
    assert sum(title.startswith("Layer") for title in titles) == 3


def test_network_shows_the_neurons(shown: Any) -> None:
    drawn = read_svg(shown["network"])
    assert len(drawn.arrows) == 2 * 8 + 8 * 8 + 8
    assert drawn.find("x1")


def test_other_formats_are_refused(shown: Any) -> None:
    assert "written as svg, not as 'png'" in shown["refused"]


def test_an_endless_loop_in_an_answer_is_stopped_without_signals(shown: Any) -> None:
    assert "Your code was stopped" in shown["stopped"]
    assert "Your code was stopped" in shown["blank"]


def test_the_failing_expression_of_an_answer_is_drawn(shown: Any) -> None:
    assert read_svg(shown["failed"]).find("a", "data 2", "grad 2", "yours", "1 ✗")


def test_a_link_leads_to_the_other_notebook(notebook: Any) -> None:
    link = notebook.locator('.jp-MarkdownCell a[href*="00-start-here.ipynb"]').first
    with notebook.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_url("**/notebooks/index.html?path=00-start-here.ipynb")


def test_what_does_not_run_says_so(notebook: Any) -> None:
    said = "Not available here: plots are made with matplotlib, which does not run in the browser."
    assert said in outputs(notebook, "application/vnd.jupyter.stdout")[-2]


def test_the_solutions_are_not_in_the_notebooks(built: Site) -> None:
    texts = [path.read_text("utf-8") for path in built.folder.glob("files/*.ipynb")]
    assert len(texts) == 2
    assert not any("### BEGIN SOLUTION" in text for text in texts)


def test_the_start_page_says_what_runs(built: Site) -> None:
    page = (built.folder / "index.html").read_text("utf-8")
    assert "$" not in page
    assert "Runs; 1 plot not shown" in page


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import math, torch\nfrom jax import numpy as jnp", {"torch", "jax"}),
        ("mp.plot_loss(history)\nmp.data.digits()", {"matplotlib", "scikit-learn"}),
        ("step = mp.compile(loss)\nmp.interact(loss)", {"llvmlite", "ipywidgets"}),
        ("history = mp.fit(model, X, y)", {"llvmlite"}),
        ("mp.sweep(train, settings)", {"llvmlite"}),
        ("predicted = mp.compile(model)(X).tolist()", {"llvmlite", "numpy"}),
        ("parts = {'plots': lambda: mp.plot_loss([1.0])}", set()),
        ("import re\nfrom IPython.display import SVG\nre.compile('a')", set()),
        ("import micrograd_plus as mp\nmp.draw(mp.Value(1.0))", set()),
    ],
)
def test_what_a_cell_needs(code: str, wanted: set[str]) -> None:
    assert needs(code) == wanted


@pytest.mark.parametrize("name", ["thesis.txt", "jupyter-lite.json", ".micrograd-plus-site.json"])
def test_another_folder_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="neither empty nor an earlier site: name another folder"):
        build_site(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_an_earlier_site_is_replaced_and_what_is_beside_it_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for page in ("old.html", "new.html"):
        made = tmp_path / "made"
        (made / "files").mkdir(parents=True)
        (made / "files" / page).touch()
        (made / page).touch()
        building._replace(out, made)
        (out / ".git").mkdir(exist_ok=True)
        shutil.rmtree(made)
    found = {str(path.relative_to(out)) for path in out.rglob("*")}
    own = {"new.html", "files", "files/new.html", ".micrograd-plus-site.json"}
    assert found == {*own, ".git"}


def test_without_the_npm_package_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jupyterlite_pyodide_kernel")
    monkeypatch.setattr(runtime, "pyodide_package", lambda: None)
    with pytest.raises(FileNotFoundError, match="npm install pyodide"):
        build_site(tmp_path / "site")
