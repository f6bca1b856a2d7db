"""Text in pictures comes out literally and fits its box, with either Graphviz."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from drawings import SVG, read_svg

from micrograd_plus.show.dot import escape, new_picture, text_width

HOSTILE = [
    'he said "hi"',
    "back\\slash \\n \\N \\l \\",
    "<b>bold</b>",
    "<>",
    "{a|b}|<port>",
    "&amp; &lt; & &#65;",
    "😀 é ß 漢字",
    "a  b   c",
    "]; evil -> b [",
    "// # /* comment */",
    "digraph",
    "100%",
]


@pytest.mark.usefixtures("any_graphviz")
@pytest.mark.parametrize("shape", ["box", "record"])
@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_out_literally(text, shape):
    picture = new_picture()
    picture.node("n", escape(text), shape=shape)
    assert read_svg(picture.pipe("svg", encoding="utf-8")).boxes == {"n": [text]}


@pytest.mark.usefixtures("any_graphviz")
@pytest.mark.parametrize("shape", ["box", "record"])
def test_line_breaks_and_control_characters(shape):
    picture = new_picture()
    picture.node("n", escape("one\ntwo\r\nthree\x00\x1b\t\x7f\ud800"), shape=shape)
    lines = ["one", "two", r"three\x00\x1b\t\x7f\ud800"]
    assert read_svg(picture.pipe("svg", encoding="utf-8")).boxes == {"n": lines}


@pytest.mark.usefixtures("any_graphviz")
def test_text_stays_inside_its_box():
    picture = new_picture()
    for i, text in enumerate(["mmmmmmmmmmmm", "iiii", "-1.2345e-05 … 3.0000"]):
        picture.node(f"n{i}", escape(text), shape="box")
    tree = ElementTree.fromstring(picture.pipe("svg"))
    for group in tree.iter(f"{SVG}g"):
        if group.get("class") == "node":
            text = group.find(f"{SVG}text")
            corners = group.find(f"{SVG}polygon").get("points").split()
            xs = [float(corner.split(",")[0]) for corner in corners]
            needed = text_width("".join(text.itertext()), float(text.get("font-size")))
            assert max(xs) - min(xs) > needed
            assert "monospace" in text.get("font-family")


@pytest.mark.usefixtures("without_dot")
def test_an_empty_first_line_brings_nothing_down():
    for _ in range(6):  # the bundled Graphviz went down at the second, among other pictures
        new_picture().pipe("svg")
        picture = new_picture()
        picture.node("n", escape("\nx"), shape="record")
        picture.node("s", "a|" + escape("  \nx"), shape="record")
        picture.node("m", escape("\r\nx"), shape="box")
        boxes = read_svg(picture.pipe("svg", encoding="utf-8")).boxes
        assert [lines[-1] for lines in boxes.values()] == ["x", "x", "x"]


def test_text_width_counts_wide_characters_twice():
    assert text_width("ab", 10) == pytest.approx(12)
    assert text_width("漢字", 10) == pytest.approx(24)
    assert text_width("e\u0301", 10) == pytest.approx(6)
    assert text_width("a\nabc", 10) == pytest.approx(18)
    assert text_width("", 10) == 0
