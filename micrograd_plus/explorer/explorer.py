"""`step_through`: a page that steps through the forward and the backward pass of a graph.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> explorer = step_through(a * b + a)
>>> explorer
<Explorer of 4 values: .save('lesson.html') writes it to a file>

In a notebook it shows itself; `save` writes one file that needs nothing else, neither Python nor
a network.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ..engine import Value
from ..formulas.description import formula
from ..formulas.names import with_indices
from ..nn import Embedding, Module
from ..optim import SGD, Optimizer
from ..show import draw
from ..support.files import write_atomically
from ..support.nested import plain
from ..support.rich import selected
from ..support.words import in_short
from .lesson import Lesson, functions, language
from .paper import write_pages
from .views import Views

SHEET_SCRIPTS = (
    *("tape.js", "words.js", "boxes.js", "layout.js"),
    *("bundles.js", "graph.js", "sheet.js"),
)
_CONTROLS = ("viewport.js", "leaves.js", "training.js", "predict.js", "faults.js", "page.js")
SCRIPTS = (*SHEET_SCRIPTS, *_CONTROLS)
STYLES = ("page.css", "sheet.css")
_HEIGHT = 720  # pixels, in a notebook


class Explorer:
    """A page for one graph; see `step_through`."""

    def __init__(self, lesson: Lesson, views: Views, title: str) -> None:
        self.lesson = lesson
        self.views = views
        self.title = title

    def html(self) -> str:
        """The page, whole."""
        return self._page("page.html", SCRIPTS, bar="", card="", start="begin(LESSON);")

    def save(self, path: str | Path = "lesson.html") -> Path:
        """Writes the page to a file; returns its path."""
        return write_atomically(Path(path), self.html().encode())

    def worksheet(self, path: str | Path = "worksheet.pdf") -> tuple[Path, Path]:
        """Writes a sheet with blanks for all that is computed, and its solution; as PDF or HTML.

        Returns both paths: worksheet.pdf, and worksheet-solution.pdf beside it.

        A PDF is printed by an installed browser (Chromium, Chrome or Edge); FileNotFoundError if
        there is none, OSError if it does not print. ValueError for another ending.
        """
        kinds = {"": "worksheet", "-solution": "solution"}
        sheet, solution = write_pages(
            path,
            {
                ending: self._page(
                    "sheet.html",
                    SHEET_SCRIPTS,
                    papers="",
                    start=f'fillSheet(document.getElementById("sheet"), "{kind}");',
                )
                for ending, kind in kinds.items()
            },
        )
        return sheet, solution

    def _page(self, template: str, scripts: Iterable[str], **more: str) -> str:
        lesson = self.lesson
        return write_page(
            template,
            title=self.title,
            data={**language(lesson.ops), **lesson.data(), "views": self.views.data()},
            styles=STYLES,
            functions=functions(lesson.ops, lesson.optimizer),
            scripts=scripts,
            **more,
        )

    def _picture(self) -> str:
        """The graph as it is without JavaScript, as the address of an image."""
        try:
            svg = draw(self.lesson.root).pipe("svg")
        except ValueError:  # too large for a picture
            return ""
        return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, str]:
        """For a notebook: the page in a frame of its own, and below it a picture.

        Where a viewer shows no frames, as it does not trust the notebook, the picture stays.
        """
        page = html.escape(self.html(), quote=True)
        frame = (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-modals" '
            f'title="{html.escape(self.title, quote=True)}" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 1px solid #ccc"></iframe>'
        )
        picture = self._picture()
        fallback = (
            f"<details><summary>the graph as a picture</summary>"
            f'<img src="{picture}" alt="" style="max-width: 100%"></details>'
        )
        bundle = {"text/plain": repr(self), "text/html": frame + fallback * bool(picture)}
        return selected(bundle, include, exclude)

    def __repr__(self) -> str:
        count = len(self.lesson.order)
        return f"<Explorer of {count} values: .save('lesson.html') writes it to a file>"


def write_page(
    template: str,
    *,
    title: str,
    data: Any,
    styles: Iterable[str],
    functions: str,
    scripts: Iterable[str],
    **more: str,
) -> str:
    """A page, whole: its template, data for JSON, styles and scripts, in one file."""
    return Template(read(template)).substitute(
        title=html.escape(title),
        css="".join(map(read, styles)),
        lesson=_for_script(json.dumps(data, ensure_ascii=False, separators=(",", ":"))),
        script=functions + "".join(map(read, scripts)),
        **more,
    )


def read(name: str) -> str:
    """The text of a file of the page."""
    return files(__package__).joinpath(name).read_text("utf-8")


def step_through(
    root: Value | Module,
    x: Any = None,
    y: Any = None,
    loss: Callable[..., Value] | None = None,
    *,
    optimizer: Optimizer | None = None,
    fold: bool | None = None,
    around: Value | None = None,
    depth: int = 2,
    title: str = "",
) -> Explorer:
    """A page that steps through the forward and the backward pass of `root`, number by number.

    `step_through(model, x, y, loss)` steps through one training step of a model: its loss
    `loss(model(x), y)`, the optimizer's step, SGD(lr=0.1) if none is given, and the loss after it.
    The page repeats the step as often as the reader wants, and draws the loss curve. The parameters
    themselves, and the optimizer, are left as they are.

    fold: whether the calls of modules and scopes are drawn as boxes that open on a click; None,
        if the graph has more than 40 values.
    around, depth: draw only the values at most `depth` operations away from this one.
    title: the line above; the formula, if it is short.

    ValueError for a graph that is too large to be looked at, with advice.

    >>> from micrograd_plus.engine import Value
    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> step_through((a * b).tanh())
    <Explorer of 4 values: .save('lesson.html') writes it to a file>
    """
    if isinstance(root, Module):
        if loss is None or x is None:
            raise TypeError("step_through(model, x, y, loss) takes an input, a target and a loss")
        if not callable(loss):
            raise TypeError(
                f"the loss must be a function, such as losses.mse, not {in_short(loss)}"
            )
        model, root = root, _loss_of(root, x, y, loss)
        optimizer = optimizer or SGD(model.parameters(), lr=0.1)
        title = title or f"One training step of {type(model).__name__}({model.extra_repr()})"
    elif not isinstance(root, Value):
        raise TypeError(f"step_through takes a Value or a model, not {in_short(root)}")
    elif not (x is None and y is None and loss is None):
        raise TypeError("an input, a target and a loss belong to a model: step_through(value)")
    lesson = Lesson(root, optimizer)
    views = Views(lesson, fold, around, depth)
    return Explorer(lesson, views, title or _title(root))


def _loss_of(model: Module, x: Any, y: Any, loss: Callable[..., Value]) -> Value:
    """The loss of an example; what is put into the model are leaves of their own, but tokens."""
    reads_tokens = any(isinstance(module, Embedding) for module in model.modules())
    result = loss(model(x if reads_tokens else _labelled(x, "x")), y)
    if not isinstance(result, Value):
        raise TypeError(f"the loss must be one Value; {loss!r} returned {in_short(result)}")
    return result


def _labelled(x: Any, name: str, *indices: int) -> Any:
    """Numbers as Values with labels: x, or x₁, x₂, …; nested deeper, x₁,₁, x₁,₂, …"""
    x = plain(x)
    if isinstance(x, (list, tuple)):
        return [_labelled(item, name, *indices, i) for i, item in enumerate(x, 1)]
    return x if isinstance(x, Value) else Value(x, label=with_indices(name, indices))


def _title(root: Value) -> str:
    written = formula(root, depth=6)
    if len(written) > 60 or "…" in written:
        return root.label or "A computation"
    return f"{root.label} = {written}" if root.label else written


def _for_script(text: str) -> str:
    """JSON that no markup ends or changes inside a <script>."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
