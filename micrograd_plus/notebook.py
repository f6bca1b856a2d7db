"""What a notebook shows: tables and pictures of the library's objects, and sliders for a graph.

At the end of a cell a model shows its layers as a table, with its network behind a click; a
training history its curves; a sweep its table and picture; a report of `gradcheck` its comparisons;
a compiled program its instructions; a profile its table and picture. `interact(value)` shows a
graph with a slider for each leaf.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import singledispatch
from html import escape
from typing import Any

from . import show
from .classroom.exercises.result import NOT_YET, RIGHT, WRONG, Result
from .classroom.questions import Question
from .compiler import Compiled, Profile
from .engine import Constant, Value, topological_order
from .formulas.names import names_of
from .gradcheck import Report, notes_on
from .nn import Module
from .optim import Optimizer
from .show.render import RenderError
from .support.libraries import missing
from .support.words import in_short, many
from .sweeps import Sweep
from .train import History

_MOST_ROWS = 20
_MOST_SLIDERS = 20
_SIGNS = {"ok": "✓", "WRONG": "✗"}


def content(value: Any) -> dict[str, Any]:
    """What a notebook shows of `value` in addition to its text, by MIME type."""
    html = _html(value)
    return {"text/html": html} if html else {}


@singledispatch
def _html(value: Any) -> str:
    """HTML without scripts, which a notebook shows also where it is not trusted."""
    return ""


# ---- what each class shows


@_html.register
def _module(module: Module) -> str:
    """Name, kind and number of parameters of each module; the network opens on a click."""
    rows = [[f"{'  ' * depth}{name}", text, count] for depth, name, text, count in module.tree()]
    return _table(["", "module", "parameters"], rows, numbers={2}) + _folded(
        "network", lambda: show.network(module).pipe("svg"), "image/svg+xml"
    )


@_html.register
def _report(report: Report) -> str:
    """One row for each comparison, the wrong ones first."""
    rows = [
        [what, f"{analytic:.9g}", f"{numeric:.9g}", f"{_SIGNS.get(verdict, '')} {verdict}"]
        for what, analytic, numeric, verdict, *_ in report.rows
    ]
    header = ["", "chain rule", "difference", ""]
    notes = "".join(f"<p>{escape(note)}</p>" for note in notes_on(report.rows[:_MOST_ROWS]))
    return (
        f"<p>gradcheck: {escape(report.verdict)}</p>{_table(header, rows, numbers={1, 2})}{notes}"
    )


@_html.register
def _history(history: History) -> str:
    """The curves, or nothing without matplotlib."""
    picture = _image(lambda: show.plot_loss(history)._repr_png_(), "image/png")
    return picture and f"<p>{escape(repr(history))}</p>{picture}"


@_html.register
def _sweep(sweep: Sweep) -> str:
    """The table, the errors, and the picture where matplotlib is installed."""
    header, *rows = sweep.table()
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in sweep.remarks)
    picture = _image(lambda: show.plot_sweep(sweep)._repr_png_(), "image/png")
    numbers = range(len(header) - 1)
    return f"<p>{escape(sweep.title)}</p>{_table(header, rows, numbers)}{remarks}{picture}"


@_html.register
def _question(question: Question) -> str:
    """The question without its answer."""
    return (
        f"<p>{escape(question.prompt)}</p>"
        "<p><code>.is_right(number)</code> checks an answer, <code>.hint(number)</code> helps.</p>"
    )


@_html.register
def _result(result: Result) -> str:
    """The status as a badge, what is said, the hint, and a picture of what failed."""
    sign, color = _BADGES[result.status]
    badge = f"color: white; background: {color}; padding: 0.1em 0.6em; border-radius: 0.8em"
    said = [
        f'<div>{escape(label)}: <code style="{_CODE}">{escape(text)}</code></div>'
        if label
        else f"<div>{escape(text)}</div>"
        for label, text in result.rows
    ]
    hint = f"<div><b>Hint:</b> {escape(result.hint)}</div>" * bool(result.hint)
    picture = _image(lambda: result.picture.pipe("svg"), "image/svg+xml") if result.picture else ""
    return (
        f'<div style="border-left: 0.3em solid {color}; padding: 0 0.8em; line-height: 1.7">'
        f'<div>{result.id} <b style="{badge}">{sign} {result.status}</b></div>'
        f"{''.join(said)}{hint}{picture}</div>"
    )


_BADGES = {RIGHT: ("✓", "#1a7f37"), WRONG: ("✗", "#b35900"), NOT_YET: ("…", "#57606a")}
_CODE = "background: none; color: inherit; white-space: pre-wrap"


@_html.register
def _optimizer(optimizer: Optimizer) -> str:
    """The settings, and for each number of the state its range over the parameters."""
    rows = [[name, str(setting)] for name, setting in optimizer.settings.items()]
    known = [state for state in optimizer.state if state]
    for name in known[0] if known else ():
        numbers = [state[name] for state in known]
        low, high = min(numbers), max(numbers)
        rows.append([f"state: {name}", f"{low:.4g}" + f" … {high:.4g}" * (low != high)])
    title = f"{type(optimizer).__name__} of {many(len(optimizer.parameters), 'parameter')}"
    return f"<p>{escape(title)}</p>" + _table(["setting", ""], rows, numbers={1})


@_html.register
def _compiled(compiled: Compiled) -> str:
    """The instructions of each program, the last used open."""
    title, *programs = str(compiled).split("\n\n")
    blocks = [
        _details(head, f"<pre>{escape(body)}</pre>", is_open=program is programs[-1])
        for program in programs
        for head, _, body in [program.partition("\n")]
    ]
    return f"<p>{escape(title)}</p>{''.join(blocks)}"


@_html.register
def _profile(profile: Profile) -> str:
    """The modules as a table and as a picture; the table of all instructions opens on a click."""
    header, *rows = profile.table(instructions=False)
    picture = _image(lambda: show.plot_profile(profile)._repr_png_(), "image/png")
    return (
        f"<p>{escape(profile.title)}</p>{_table(header, rows, numbers=range(1, len(header)))}"
        f"{picture}{_details('instructions', f'<pre>{escape(str(profile))}</pre>')}"
    )


# ---- HTML


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Iterable[int]) -> str:
    """A table; the columns in `numbers` are aligned on the right."""
    right, left = 'style="text-align: right"', 'style="text-align: left; white-space: pre"'
    styles = [right if i in set(numbers) else left for i in range(len(header))]

    def row(cells: Sequence[str], tag: str) -> str:
        made = [f"<{tag} {s}>{escape(cell)}</{tag}>" for cell, s in zip(cells, styles)]
        return f"<tr>{''.join(made)}</tr>"

    shown = "".join(row(cells, "td") for cells in rows[:_MOST_ROWS])
    more = len(rows) - _MOST_ROWS
    rest = f"<p>… and {more:,} more</p>" if more > 0 else ""
    return f"<table><thead>{row(header, 'th')}</thead><tbody>{shown}</tbody></table>{rest}"


def _details(title: str, body: str, is_open: bool = False) -> str:
    opened = " open" * is_open
    return f"<details{opened}><summary>{escape(title)}</summary>{body}</details>"


def _folded(title: str, draw: Callable[[], bytes], kind: str) -> str:
    """A picture that opens on a click; nothing where it cannot be drawn."""
    picture = _image(draw, kind)
    return picture and _details(title, picture)


def _image(draw: Callable[[], bytes], kind: str) -> str:
    """A picture; nothing where it cannot be drawn, or a library for it is missing."""
    with suppress(ImportError, RenderError, TypeError, ValueError):
        encoded = base64.b64encode(draw()).decode()
        return f'<img src="data:{kind};base64,{encoded}" alt="" style="max-width: 100%">'
    return ""


# ---- sliders


def interact(root: Value) -> Any:
    """A slider for each leaf of the graph of `root`; the picture follows, with all gradients.

    Returns an ipywidgets box, whose `root` is the copy of the graph that the sliders change; the
    graph that was given stays as it is. A slider reaches twice as far as its number, at least from
    -5 to 5.

    TypeError for what is not a Value; ValueError for a graph without leaves or with more than 20;
    ImportError without ipywidgets: pip install ipywidgets.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> box = interact(a * b + a.tanh())
    """
    if not isinstance(root, Value):
        raise TypeError(f"interact takes a Value, not {in_short(root)}")
    try:
        import ipywidgets
    except ImportError as error:
        command = "pip install ipywidgets"
        raise missing("interact shows sliders by", "ipywidgets", command) from error
    root = copy.deepcopy(root)
    order = topological_order(root)
    leaves = [v for v in order if v.op is None and not isinstance(v, Constant)]
    if not 1 <= len(leaves) <= _MOST_SLIDERS:
        raise ValueError(
            f"the graph has {many(len(leaves), 'leaf', 'leaves')}; interact shows from 1 to "
            f"{_MOST_SLIDERS} sliders: step_through(value) shows larger graphs"
        )
    picture = ipywidgets.HTML()

    def refresh(_: Any = None) -> None:
        for leaf, slider in zip(leaves, sliders):
            leaf.data, leaf.grad = slider.value, 0.0
        for value in order:
            if value.op is not None:
                value.data = value.op.forward(*[operand.data for operand in value.operands])
        root.backward()
        picture.value = _image(lambda: show.draw(root).pipe("svg"), "image/svg+xml")

    names = names_of(order)
    sliders = [_slider(ipywidgets, names[leaf], leaf.data) for leaf in leaves]
    for slider in sliders:
        slider.observe(refresh, names="value")
    refresh()
    box = ipywidgets.VBox([*sliders, picture])
    box.root = root
    return box


def _slider(ipywidgets: Any, name: str, number: float) -> Any:
    reach = max(5.0, 2 * abs(number))
    return ipywidgets.FloatSlider(
        value=number, min=-reach, max=reach, step=reach / 500, description=name,
        readout_format=".3f", layout=ipywidgets.Layout(width="28em"),
    )  # fmt: skip
