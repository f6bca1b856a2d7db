"""Writes the pages of the reference into a folder."""

from __future__ import annotations

import json
import re
import warnings
from html import unescape
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import __version__
from ..classroom.faults import Fault
from ..course.source import folder as notebooks
from ..ops import TABLE
from ..support.files import make_folder, write_atomically
from ..support.libraries import missing
from .docstrings import as_html
from .gallery import with_results
from .names import PAGES, Name, Page, names

GUIDE = {
    "index": "Start",
    "explorer": "Step through both passes",
    "training": "Train",
    "compiling": "Record once, replay",
    "models": "From images to text",
    "command-line": "At the command line",
    "course": "The course",
    "going-on": "On to PyTorch and others",
    "speed": "How fast it is",
    "source": "Reading the source",
    "gallery": "Gallery",
    "changelog": "Changes",
}
"""The pages of the guide, with their titles in the menu, in the order of the menu."""

_FENCE = re.compile(r"^```python\n(?=>>>)", re.MULTILINE)
_LINK = re.compile(r'(href|src)="(?!https?:|#)([^"#]+)(#[^"]*)?"')
_DOTTED = re.compile(r"\b(?:micrograd_plus|collections|typing|pathlib)(?:\.\w+)+")
_IN_LINE = re.compile(r"<code>([^<\n]+)</code>")
_CALL = re.compile(r"(?:mp\.)?([\w.]+)(?:\(.*\))?$")
_TEMPLATES = files(__package__) / "templates"


def build(out: str | Path) -> Path:
    """Writes the reference into the folder `out`; returns the path of its first page.

    ImportError without pdoc: pip install "micrograd-plus[docs]". ValueError if a link of the guide
    leads nowhere, or if there is no page for a public name.
    """
    out = Path(out)
    make_folder(out)
    writer = _Writer(names(), out)
    pages = {page.name: writer.interface(page) for page in PAGES}
    pages |= {name: writer.guide(name) for name in GUIDE}
    for name, content in pages.items():
        write_atomically(out / f"{name}.html", content)
    known = json.dumps(writer.entries, ensure_ascii=False, indent=0)
    write_atomically(out / "names.js", f"const NAMES = {known};\n")
    for name in ("style.css", "search.js"):
        write_atomically(out / name, _TEMPLATES.joinpath(name).read_text("utf-8"))
    return out / "index.html"


class _Writer:
    """Writes single pages, all in the same frame. `entries` is what the search knows."""

    def __init__(self, public: list[Name], out: Path) -> None:
        try:
            from markupsafe import Markup
            from pdoc import render
        except ImportError as error:
            command = 'pip install "micrograd-plus[docs]"'
            raise missing("the reference is made with", "pdoc", command) from error
        self.public = public
        self.out = out
        self.entries = [[f"mp.{name.written}", name.url, name.summary] for name in public]
        self._urls = {_home(name.thing): name for name in public}
        classes = {name.short: name for name in public if isinstance(name.thing, type)}
        self._written = classes | {name.written: name for name in public}
        render.configure(template_directory=Path(str(_TEMPLATES)), show_source=True)
        self._environment = render.env
        self._environment.filters |= {
            "docstring": lambda text: Markup(self._with_links(as_html(text))),
            "linkify": self._short,
        }

    def interface(self, page: Page) -> str:
        """The page with the public names of some rooms, written by pdoc."""
        from pdoc.doc import Module
        from pdoc.render_helpers import defuse_unsafe_reprs

        own = [name for name in self.public if name.page == page]
        module = ModuleType(page.name)
        vars(module).update({name.short: name.thing for name in own})
        module.__all__ = [name.short for name in own]  # type: ignore[attr-defined]
        documented = Module(module)
        for name in own:
            if isinstance(name.thing, Fault):  # a variable, which has no docstring of its own
                documented.members[name.short].docstring = f"{name.thing.title}: {name.thing.story}"
        written = {name.short: f"mp.{name.written}" for name in own}
        with defuse_unsafe_reprs(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pdoc's: a type of a library that is not installed
            return self._in_frame(
                "module.html.jinja2",
                page.name,
                page.title,
                module=documented,
                all_modules={page.name: documented},
                introduction=page.text,
                own=own,
                shows=lambda doc: _shows(doc, vars(module)[doc.qualname.split(".")[0]]),
                title_of=lambda doc: written.get(doc.qualname.removesuffix(".__init__"), doc.name),
                ops=TABLE if page.name == "operations" else {},
            )

    def guide(self, name: str) -> str:
        """A page of the guide, written in Markdown."""
        from pdoc.render_helpers import to_html

        source = notebooks() / "guide" / f"{name}.md"
        text, results = source.read_text("utf-8"), dict[str, str]()
        if name == "gallery":
            text, results = with_results(text, self.out / name)
        content = str(to_html(_FENCE.sub("```pycon\n", text)))
        for place, heading in re.findall(r'<h[12] id="([^"]+)">(.*?)</h', content):
            text = re.sub("<[^>]+>", "", heading)
            self.entries.append([unescape(text), f"{name}.html#{place}", GUIDE[name]])
        content = self._with_files(self._with_links(content), source)
        for key, result in results.items():
            content = content.replace(f"<p>{key}</p>", result)
        return self._in_frame("frame.html.jinja2", name, GUIDE[name], content=content)

    def _in_frame(self, template: str, name: str, title: str, **content: Any) -> str:
        menu = {"Guide": GUIDE.items(), "Reference": [(page.name, page.title) for page in PAGES]}
        return self._environment.get_template(template).render(
            here=name, title=title, menu=menu, version=__version__, **content
        )

    def _with_links(self, content: str) -> str:
        """The page, in which code that is a public name, or calls one, leads to it."""

        def link(found: re.Match[str]) -> str:
            called = _CALL.match(found[1])
            name = self._written.get(called[1]) if called else None
            return f'<a href="{name.url}">{found[0]}</a>' if name else found[0]

        return _IN_LINE.sub(link, content)

    def _short(self, code: str) -> Any:
        """A signature, in which types have short names that lead to the public ones."""
        from markupsafe import Markup

        def shorten(found: re.Match[str]) -> str:
            name = self._urls.get(found[0])
            short = found[0].rpartition(".")[2]
            return f'<a href="{name.url}">{short}</a>' if name else short

        joined = str(code).replace('</span><span class="o">.</span><span class="n">', ".")
        return Markup(_DOTTED.sub(shorten, joined))

    def _with_files(self, content: str, source: Path) -> str:
        """The page with links to the other pages, and with copies of the pictures it shows."""

        def lead(found: re.Match[str]) -> str:
            kind, link, place = found[1], found[2], found[3] or ""
            path = source.parent / link
            if path.suffix == ".html":  # of this writer
                return found[0]
            if path.parent == source.parent and path.stem in GUIDE:
                return f'{kind}="{path.stem}.html{place}"'
            if not path.is_file() or kind == "href":
                raise ValueError(f"{source} links to {link}, which is no page and no picture")
            write_atomically(self.out / "figures" / path.name, path.read_bytes())
            return f'{kind}="figures/{path.name}"'

        return _LINK.sub(lead, content)


def _home(thing: Any) -> str:
    """The full name of what was imported: the one in a signature."""
    return f"{thing.__module__}.{getattr(thing, '__qualname__', '')}"


def _shows(doc: Any, thing: Any) -> bool:
    """Whether a page shows a member of a class: what its base class explains it does not."""
    if doc.qualname == doc.name:  # not a member
        return True
    if doc.name == "__init__":
        return bool(doc.signature_without_self.parameters)
    overrides = any(doc.name in vars(base) for base in thing.__mro__[1:])
    is_public = bool(doc.docstring) and not doc.name.startswith("_")
    return is_public and (doc.name == "forward" or not overrides)
