"""A scalar autograd engine and a small neural-network framework to learn backpropagation with.

>>> import micrograd_plus as mp
>>> a, b = mp.Value(2.0, label="a"), mp.Value(-3.0, label="b")
>>> c = (a * b + mp.exp(a)).tanh()
>>> c.backward()
>>> print(f"c = {c:.4f}, dc/da = {a.grad:.4f}, dc/db = {b.grad:.4f}")
c = 0.8830, dc/da = 0.9672, dc/db = 0.4408

To read the source, begin with `engine` (a Value and the chain rule), then `ops` (every formula
and derivative), `symbols` and `writers` (formulas as data), `gradcheck` (is it right?), `nn`
(networks), `losses`, `optim`, `train`, `sweeps` (many settings and seeds), `compiler` (the same, at
native speed), `export` (on to PyTorch), `show` (pictures), `explorer` (a page for each graph),
`classroom` (bugs, questions, exercises), `course` (its notebooks: editions, grading, a site) and
`reference` (pages of all public names).
"""

import builtins
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from . import copying, functional
from .engine import Value as Value
from .export import export as export  # the function, before the package has the name
from .gradcheck import gradcheck as gradcheck  # the function, before the module has the name
from .ops import LIBRARY, TABLE
from .support import engines as _engines
from .support import rich

if TYPE_CHECKING:
    from .public import *

__version__ = "1.0.0"


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used; or an op of the table, as a function."""
    if name in TABLE:
        function = vars(functional).get(name) or functional.function_of(TABLE[name])
        if name in LIBRARY:
            globals()[name] = function  # found at once from now on: `mp.exp(x)` in half the time
        return function
    if name == "__all__":  # for `from micrograd_plus import *`, which leaves builtins as they are
        return [public for public in __dir__() if not hasattr(builtins, public)]
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    found: Any = getattr(import_module(_module_with(name), __name__), name, _nothing)
    if found is _nothing:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found  # this function takes 0.03 ms
    return found


_nothing = object()


def _module_with(name: str) -> str:
    """The module that has a public name. To import `public` would import most of the package."""
    spec = find_spec(f"{__name__}.public")
    lines = spec.loader.get_data(spec.origin).decode().splitlines()  # type: ignore[union-attr]
    end = f" import {name} as {name}"
    return next((line.split()[1] for line in lines if line.endswith(end)), ".public")


def __dir__() -> list[str]:
    public = vars(import_module(f"{__name__}.public"))
    return sorted({name for name in public if not name.startswith("_")} | TABLE.keys())


def _content(value: Any) -> dict[str, Any]:
    """What a notebook shows of an object in addition to its text."""
    from .notebook import content

    return content(value)


rich.painters.append(_content)


def _jax(devices: Any) -> Any:
    """The engine "jax" of `compile`."""
    from .engines import jax_engine

    return jax_engine(devices)


_engines.makers["jax"] = _jax


def _show_in_jupyter(value: Value, include: Any = None, exclude: Any = None) -> dict[str, Any]:
    """A Value at the end of a notebook's cell shows itself as its graph."""
    from .show.graph import value_mimebundle

    return value_mimebundle(value, include, exclude)


Value._repr_mimebundle_ = _show_in_jupyter  # type: ignore[attr-defined]
