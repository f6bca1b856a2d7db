"""A scalar autograd engine and a small neural-network framework to learn backpropagation with.

>>> import micrograd_plus as mp
>>> a, b = mp.Value(2.0, label="a"), mp.Value(-3.0, label="b")
>>> c = (a * b + mp.exp(a)).tanh()
>>> c.backward()
>>> print(f"c = {c:.4f}, dc/da = {a.grad:.4f}, dc/db = {b.grad:.4f}")
c = 0.8830, dc/da = 0.9672, dc/db = 0.4408

To read the source, begin with `engine` (a Value and the chain rule), then `ops` (every formula
and derivative), `symbols` and `writers` (formulas as data), `gradcheck` (is it right?), `nn`
(networks), `losses`, `optim`, `train`, `compiler` (the same, at native speed), `show`
(pictures), `explorer` (a page for each graph) and `classroom` (bugs, questions, the linter).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import copying, functional
from .context import detect_anomaly, no_grad, scope
from .engine import Constant, Value
from .formulas.parse import parse
from .formulas.symbolic import symbolic
from .functional import log_softmax, mean, softmax, var, where
from .gradcheck import gradcheck
from .ops import TABLE, op
from .recordable import pick, rand

if TYPE_CHECKING:
    from . import compiler, data, losses, nn, optim, show, text, train
    from .classroom import faults
    from .classroom.lint import lint
    from .classroom.questions import questions
    from .compiler import compile as compile  # not in __all__: builtins stay
    from .explorer import step_through
    from .nn import load, save
    from .show import (
        draw,
        draw_dot,
        explain,
        network,
        plot_activations,
        plot_attention,
        plot_confusion_matrix,
        plot_decision_boundary,
        plot_feature_maps,
        plot_filters,
        plot_gradient_through_time,
        plot_gradients,
        plot_loss,
        plot_mistakes,
        plot_residuals,
    )
    from .train import evaluate, fit

__version__ = "0.1.0"

_ROOM_OF = {
    "compile": "compiler",
    "compiler": "compiler",
    "data": "data",
    "draw": "show",
    "draw_dot": "show",
    "evaluate": "train",
    "explain": "show",
    "faults": "classroom",
    "fit": "train",
    "lint": "classroom",
    "load": "nn",
    "losses": "losses",
    "network": "show",
    "nn": "nn",
    "optim": "optim",
    "plot_activations": "show",
    "plot_attention": "show",
    "plot_confusion_matrix": "show",
    "plot_decision_boundary": "show",
    "plot_feature_maps": "show",
    "plot_filters": "show",
    "plot_gradient_through_time": "show",
    "plot_gradients": "show",
    "plot_loss": "show",
    "plot_mistakes": "show",
    "plot_residuals": "show",
    "questions": "classroom",
    "save": "nn",
    "show": "show",
    "step_through": "explorer",
    "text": "text",
    "train": "train",
}
"""Name → the room that it comes from, or that it is; imported when first used, to start fast."""

__all__ = [
    "Constant",
    "Value",
    "compiler",
    "data",
    "detect_anomaly",
    "draw",
    "draw_dot",
    "evaluate",
    "explain",
    "faults",
    "fit",
    "gradcheck",
    "lint",
    "load",
    "log_softmax",
    "losses",
    "mean",
    "network",
    "nn",
    "no_grad",
    "op",
    "optim",
    "parse",
    "pick",
    "plot_activations",
    "plot_attention",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_feature_maps",
    "plot_filters",
    "plot_gradient_through_time",
    "plot_gradients",
    "plot_loss",
    "plot_mistakes",
    "plot_residuals",
    "questions",
    "rand",
    "save",
    "scope",
    "show",
    "softmax",
    "step_through",
    "symbolic",
    "text",
    "train",
    "var",
]
_BUILTINS = ("abs", "max", "min", "pow", "sum")
__all__ += [name for name in TABLE if name not in _BUILTINS]


def __getattr__(name: str) -> Any:
    """What is imported when first used; and every op of the table, as a function."""
    if name in _ROOM_OF:
        room = import_module(f"{__name__}.{_ROOM_OF[name]}")
        return room if name == _ROOM_OF[name] else getattr(room, name)
    if name in TABLE:
        return getattr(functional, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *TABLE})


def _show_in_jupyter(value: Value, include: Any = None, exclude: Any = None) -> dict[str, Any]:
    """A Value at the end of a notebook's cell shows itself as its graph."""
    from .show.graph import value_mimebundle

    return value_mimebundle(value, include, exclude)


Value._repr_mimebundle_ = _show_in_jupyter  # type: ignore[attr-defined]
