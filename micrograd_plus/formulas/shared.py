"""Functions that both Python and the explorer's page compute, written once, in Python.

>>> area = Shared("area", lambda width, height: width * height)
>>> area(2.0, 3.0)
6.0
>>> print(area.javascript)
function area(width, height) {
  return width * height;
}
<BLANKLINE>
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..symbols import ON_FLOATS, Symbol
from .writers import JavaScript, Python, compile_python


class Shared:
    """A function of numbers, made of + - * / ** and the functions of `micrograd_plus.symbols`.

    name: the name of the JavaScript function.
    formula: a function of symbols; if it returns a tuple, the Shared returns a list of numbers.
    javascript: the source of the JavaScript function; `JavaScript().prelude()` must precede it.
    """

    def __init__(self, name: str, formula: Callable[..., Any]) -> None:
        code = formula.__code__
        symbols = [Symbol(argument) for argument in code.co_varnames[: code.co_argcount]]
        result = formula(*symbols)
        self.javascript = JavaScript().function(name, symbols, result)
        python = Python().function(name, symbols, result)
        (self._compute,) = compile_python(python, f"<micrograd_plus {name}>", ON_FLOATS)

    def __call__(self, *numbers: float) -> Any:
        """Returns the result for these numbers."""
        return self._compute(*numbers)
