"""A Picture saves, renders and shows itself as graphviz's Digraph, without a system Graphviz."""

from __future__ import annotations

import graphviz
import pytest
from drawings import read, read_svg

from micrograd_plus import nn
from micrograd_plus.engine import Value
from micrograd_plus.show import draw, draw_dot, network


@pytest.fixture
def picture():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b
    c.backward()
    return draw(c)


def test_it_is_a_digraph(picture):
    assert isinstance(picture, graphviz.Digraph)
    picture.node("extra", "added by hand")
    assert read(picture).boxes["extra"] == ["added by hand"]
    assert read(picture.copy()).boxes == read(picture).boxes


@pytest.mark.parametrize("as_text", [True, False])
def test_save_goes_by_the_extension(picture, tmp_path, as_text):
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "dot": b"digraph", "gv": b"digraph"}
    for extension, start in starts.items():
        path = tmp_path / "new folder" / f"x.{extension}"
        assert picture.save(str(path) if as_text else path) == path
        assert path.read_bytes().startswith(start)
    assert len(list(path.parent.iterdir())) == len(starts), "nothing else is left behind"


def test_save_refuses_what_it_cannot_write(picture, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ValueError, match=r"has no extension.*\.svg, \.png, \.dot"):
        picture.save(tmp_path / "picture")
    with pytest.raises(ValueError, match="'docx' is unknown"):
        picture.save(tmp_path / "x.docx")
    with pytest.raises(RuntimeError, match="'pdf' needs"):
        picture.save(tmp_path / "x.pdf")
    assert list(tmp_path.iterdir()) == []


def test_in_a_notebook_it_is_an_svg(picture):
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "image/svg+xml", "text/html"]
    assert bundle["text/html"].startswith('<img src="data:image/svg+xml;base64,')
    assert "max-width: 100%" in bundle["text/html"]
    assert read_svg(bundle["image/svg+xml"]).find("a")
    assert picture._repr_mimebundle_(include=["image/png"])["image/png"].startswith(b"\x89PNG")


def test_render_as_in_graphviz_and_micrograd_notebooks(picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert picture.render("gout") == "gout.svg"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gout", "gout.svg"]
    assert (tmp_path / "gout").read_text(encoding="utf-8") == picture.source
    assert picture.render("other", cleanup=True, format="png") == "other.png"
    assert not (tmp_path / "other").exists()
    assert picture.render(outfile="third.png", directory="there") == "there/third.png"
    assert (tmp_path / "there" / "third.png").read_bytes().startswith(b"\x89PNG")


def test_format_is_what_render_writes(tmp_path):
    assert draw(Value(1.0), format="png").render(tmp_path / "x").endswith("x.png")
    assert draw_dot(Value(1.0), "png", "TB").format == "png"
    assert draw(Value(1.0)).format == "svg"
    with pytest.raises(ValueError, match="format is one of svg, png"):
        draw(Value(1.0), format="docx")
    with pytest.raises(ValueError, match="format is one of svg, png"):
        network(nn.Linear(2, 1), format="docx")


def test_pipe_gives_bytes_or_text(picture):
    assert isinstance(picture.pipe(), bytes)
    assert "digraph" in picture.pipe("dot", encoding="utf-8")
    assert picture.pipe(format="png").startswith(b"\x89PNG")
