"""In Pyodide, CPython for the browser, here under Node: the pure wheel, without Graphviz."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from drawings import read_svg

from micrograd_plus.course.site.runtime import pyodide_package

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shown(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a script in Pyodide gives."""
    node, found = shutil.which("node"), pyodide_package()
    if node is None or found is None:
        pytest.skip("needs Node and the npm package pyodide: npm install pyodide")
    folder = tmp_path_factory.mktemp("pyodide")
    script = folder / "script.py"
    script.write_text(SCRIPT, "utf-8")
    # Without the flag, Node compiles WebAssembly a second time, for processes that run for long.
    run = [node, "--no-wasm-tier-up", *map(str, [HERE / "pyodide.mjs", found, wheel, script])]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


SCRIPT = """
import json, sys
import micrograd_plus as mp

a, b = mp.Value(2.0, label="a"), mp.Value(-3.0, label="b")
c = (a * b + a).tanh()
c.label = "c <&>"
c.backward()
model = mp.nn.MLP(2, [8, 8, 1])
loss = mp.losses.mse(model([0.5, -0.8]), 1.0)
loss.backward()
try:
    mp.draw(c).save("c.png")
    refused = ""
except RuntimeError as error:
    refused = str(error)


def loops():
    while True:
        try:
            a.tanh()
        except:
            continue


from micrograd_plus.classroom.exercises.expressions import Expression
from micrograd_plus.classroom.exercises.failed import FailedExpression
from micrograd_plus.classroom.exercises.guard import Guard

failed = FailedExpression(Expression((2.0,), (("+", (0, 0)),)), [1.0, 1.0])
mp.draw(c).save("c.svg")


def blank():
    while True: pass


json.dumps({
    "platform": sys.platform,
    "graphviz": "graphviz" in sys.modules,
    "bundle": mp.draw(c)._repr_mimebundle_(),
    "value": c._repr_mimebundle_(),
    "saved": open("c.svg").read(),
    "upright": mp.draw(c, direction="TB").pipe("svg", encoding="utf-8"),
    "folded": mp.draw(loss).pipe("svg", encoding="utf-8"),
    "refused": refused,
    "network": mp.network(model).pipe("svg", encoding="utf-8"),
    "page": mp.step_through(c).html(),
    "stopped": Guard(seconds=0.1).run(loops).told,
    "blank": Guard(seconds=0.1).run(blank).told,
    "failed": failed.pipe("svg", encoding="utf-8"),
})
"""


def test_draw_shows_the_graph(shown: Any) -> None:
    assert shown["platform"] == "emscripten"
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


def test_step_through_makes_its_page(shown: Any) -> None:
    assert "<title>" in shown["page"]
    assert "function layOut(" in shown["page"]


def test_an_endless_loop_in_an_answer_is_stopped_without_signals(shown: Any) -> None:
    assert "Your code was stopped" in shown["stopped"]
    assert "Your code was stopped" in shown["blank"]


def test_the_failing_expression_of_an_answer_is_drawn(shown: Any) -> None:
    assert read_svg(shown["failed"]).find("a", "data 2", "grad 2", "yours", "1 ✗")
