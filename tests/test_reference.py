"""The reference, the guide and the gallery: what `micrograd-plus reference` writes."""

from __future__ import annotations

import doctest
import inspect
import re
import sys
from html import unescape
from pathlib import Path

import pytest

import micrograd_plus as mp
from micrograd_plus.__main__ import main
from micrograd_plus.reference.docstrings import as_html
from micrograd_plus.reference.gallery import with_results
from micrograd_plus.reference.names import PAGES, names
from micrograd_plus.reference.site import GUIDE

ROOT = Path(__file__).parent.parent
NAMES = names()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The whole reference, written once by the command."""
    pytest.importorskip("pdoc")
    folder = tmp_path_factory.mktemp("made") / "reference"
    assert main(["reference", "--out", str(folder)]) == 0
    return folder


def test_every_public_name_has_a_page():
    top = {name for name in dir(mp) if callable(getattr(mp, name))}
    written = [name.written for name in NAMES]
    assert top == {name for name in written if "." not in name}
    assert {"nn.Linear", "nn.init.uniform", "losses.mse", "optim.Adam", "data.moons"} <= {*written}
    assert {"text.CharacterTokenizer", "train.History", "faults.wrong_sign"} <= {*written}
    assert {name.page for name in NAMES} == {*PAGES}


def test_names_and_files_of_pages_are_different():
    files = [*GUIDE, *(page.name for page in PAGES)]
    urls = [name.url for name in NAMES]
    assert len({*files}) == len(files)
    assert len({*urls}) == len(urls)


def test_a_name_without_a_page_is_an_error(monkeypatch):
    monkeypatch.setattr("micrograd_plus.reference.names.PAGES", PAGES[1:])
    with pytest.raises(ValueError, match=r"micrograd_plus\.\w+ is on no page of the reference"):
        names()


def test_the_docstring_of_every_name_stands_on_its_page(site):
    pages = {page: (site / f"{page.name}.html").read_text("utf-8") for page in PAGES}
    text = {page: unescape(re.sub(r"<[^>]+>", "", html)) for page, html in pages.items()}
    for name in NAMES:
        assert f'<section id="{name.short}">' in pages[name.page], name.written
        assert f"mp.{name.written}" in text[name.page]
        for example in doctest.DocTestParser().get_examples(inspect.getdoc(name.thing) or ""):
            assert example.source.splitlines()[0] in text[name.page], name.written


def test_links_lead_to_places_that_are_there(site):
    places = {path.name: {*re.findall(r'id="([^"]+)"', path.read_text("utf-8"))}
              for path in site.glob("*.html")}  # fmt: skip
    links = 0
    for path in site.glob("*.html"):
        for file, place in re.findall(r'(?:href|src)="([\w/.-]*)#?([^":]*)"', path.read_text()):
            links += 1
            assert not file or (site / file).is_file(), (path.name, file)
            if place and not file.endswith(".js"):
                assert place in places[file or path.name], (path.name, file, place)
    assert links > 500


def test_every_picture_is_in_the_gallery_with_its_code(site):
    page = (site / "gallery.html").read_text("utf-8")
    source = (ROOT / "notebooks" / "guide" / "gallery.md").read_text("utf-8")
    pictures = [name.short for name in NAMES if name.page.name in ("pictures", "pages")]
    assert len(pictures) >= 18
    for picture in pictures:
        assert re.search(rf"^(?:\w+ = )?mp\.{picture}\(", source, re.MULTILINE), picture
    parts = [part.partition("</h3>") for part in re.split(r"<h3[^>]*>", page)[1:]]
    bare = [re.sub("<[^>]+>", "", head) for head, _, body in parts if 'class="picture' not in body]
    assert bare == ["explain", "interact"]  # a text, and what needs Python
    for name in ("lesson.html", "sheet.html", "playground.html", "exam.html"):
        assert f'<iframe src="gallery/{name}"' in page
    for name in ("sheet-solution.html", "exam-key.html"):
        assert f'<a href="gallery/{name}"' in page


def test_the_pages_work(site, window):
    page = window().go(site / "train.html")
    page.keyboard.press("/")
    page.keyboard.type("plot_lo")
    assert page.locator("#found a").first.inner_text() == "mp.plot_loss"
    page.keyboard.press("Enter")
    page.wait_for_url("**/pictures.html#plot_loss")
    section = page.locator("#plot_loss")
    assert not section.locator(".pdoc-code pre").is_visible()
    section.locator(".view-source-button").click()
    assert "def plot_loss" in section.locator(".pdoc-code pre").inner_text()


@pytest.mark.parametrize("name", ["gallery", "networks", "index", "speed"])
def test_a_narrow_window_is_enough(site, window, name):
    page = window(viewport={"width": 360, "height": 700}).go(site / f"{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert not page.locator("#search").is_visible()
    page.locator("nav label").click()
    assert page.locator("#search").is_visible()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a * b * c < d", "<p>a * b * c &lt; d</p>"),
        ("One\nparagraph.\n\nTwo.", "<p>One paragraph.</p>\n<p>Two.</p>"),
        (
            "x: a number,\n    or two.",
            '<dl><dt><code class="argument">x</code></dt><dd>a number, or two.</dd></dl>',
        ),
        ("Before: a sentence.", "<p>Before: a sentence.</p>"),
        ("x: this\nis prose.", "<p>x: this is prose.</p>"),
        ("    a  →  b", "<pre>a  →  b</pre>"),
        ("", "<p></p>"),
    ],
)
def test_docstrings_become_html(text, html):
    assert as_html(text) == html


def test_an_example_keeps_its_lines():
    html = as_html("Adds.\n\n>>> 1 + 1\n2\n")
    assert re.sub("<[^>]+>", "", unescape(html)) == "Adds.\n>>> 1 + 1\n2"
    shown = unescape(re.sub("<[^>]+>", "", as_html(">>> f(1)  # doctest: +SKIP\n2  # two\n")))
    assert shown == ">>> f(1)\n2  # two"


def test_code_that_fails_is_named(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        with_results("```python\n1 / 0\n```\n", tmp_path)
    assert caught.value.__notes__ == ["in the code\n1 / 0\n"]
    with pytest.raises(ValueError, match="no micrograd-plus command: rm x"):
        with_results("```sh\nrm x\n```\n", tmp_path)


def test_without_pdoc_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pdoc", None)
    assert main(["reference", "--out", str(tmp_path)]) == 2
    assert 'pdoc: pip install "micrograd-plus[docs]"' in capsys.readouterr().err
