"""Writes formulas of the op table as array code for NumPy, JAX or PyTorch.

>>> from ..ops import TABLE
>>> code = ArrayCode("torch")
>>> code.write(TABLE["relu"].expression)
'torch.where(x < 0.0, 0.0, x)'
>>> print(code.op_function("relu", TABLE["relu"]))
@differentiable(relu_backward)
def relu(x):
    return torch.where(x < 0.0, 0.0, x)
>>> print(code.backward_function("relu_backward", TABLE["relu"], 0))
def relu_backward(g, out, x):
    return torch.where(x <= 0.0, 0.0, g)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..formulas.writers import CALL, Python, Writer, is_reduction, name_shared_parts, walk
from ..ops import Op
from ..symbols import FUNCTIONS, Expression, Form, Function, Reduction, Symbol, exp, flow

PREFIX = {"numpy": "np", "jax": "jnp", "torch": "torch"}
"""The libraries, and the name by which each is called."""


class ArrayCode(Python):
    """The formulas of ops over whole arrays; a vector is the last axis of an array."""

    operations = {  # noqa: RUF012
        **Writer.operations,
        "where": (CALL, "np.where({}, {}, {})"),
        "and": (3, "({}) & ({})"),
    }

    def __init__(self, library: str) -> None:
        self.library = library

    def write(self, expression: Any, at_least: int = 0) -> str:
        """The text of a formula."""
        return self.named(super().write(expression, at_least))

    def named(self, text: str) -> str:
        """`text`, in which np. stands for the library, with the library's name."""
        return re.sub(r"\bnp\.", f"{PREFIX[self.library]}.", text)

    def form_of(self, function: Function) -> Form:
        """The form for whole arrays."""
        arrays = function.arrays
        return arrays if isinstance(arrays, str) else arrays[self.library]

    def number(self, number: float) -> str:
        """A literal; inf and nan are the library's."""
        return re.sub("(inf|nan)", r"np.\1", repr(float(number)))

    def symbol(self, symbol: Symbol) -> str:
        """The name: it stands for a whole array."""
        return symbol.name

    def reduction(self, known: Reduction, arguments: tuple[Any, ...]) -> tuple[int, str]:
        """A reduction of the last axis, which stays as an axis of one element."""
        form = self.form_of(known)
        if form:
            return CALL, str(form).format(self.write(arguments[0]))
        so_far, part = Symbol("so_far"), Symbol("part")
        joined = self.write(known.join(so_far, known.term(part)))
        given = self.write(arguments[0], CALL)
        parts = f"[{given}[..., k : k + 1] for k in range({given}.shape[-1])]"
        loop = f"functools.reduce(lambda so_far, part: {joined}, {parts}, {known.start!r})"
        return CALL, loop

    def inline(self, formula: Any, operands: Mapping[str, Any]) -> str:
        """The formula with the operands' texts in place of their names."""
        return self.write(_substituted(formula, operands))

    def op_function(self, name: str, op: Op) -> str:
        """The definition of an op as a function of its operands."""
        lines = self._body(op.expression, last="{}[..., 0]" if op.nary else "{}")
        definition = self.definition(name, ", ".join(op.operands), lines).rstrip()
        if self.library == "numpy":
            return definition
        backwards = [backward_name(name, op, j) for j in range(len(op.operands))]
        return f"@differentiable({', '.join(backwards)})\n{definition}"

    def backward_function(self, name: str, op: Op, j: int) -> str:
        """The function that takes a gradient from an op's result to its operand j."""
        formula = gradient(op, j)
        if self.library == "jax":
            formula = _with_its_exponentials(formula, op)
        lines = ["g, out = g[..., None], out[..., None]"] if op.nary else []
        if not isinstance(formula, Expression) or (op.nary and not _mentions(formula, op.operands)):
            formula = formula * Symbol(f"np.ones_like({op.operands[j]})")
        lines += self._body(formula)
        return self.definition(name, ", ".join(["g", "out", *op.operands]), lines).rstrip()

    def _body(self, formula: Any, last: str = "{}") -> list[str]:
        shared, (result,) = name_shared_parts((formula,))
        lines = [f"{part.name} = {self.write(value)}" for part, value in shared]
        at_least = CALL if last != "{}" else 0
        return [*lines, f"return {last.format(self.write(result, at_least))}"]


def gradient(op: Op, j: int) -> Any:
    """The gradient g of an op's result times its derivative by operand j."""
    return _without_ones(flow(Symbol("g"), op.derivatives[j]))


def is_short(formula: Any) -> bool:
    """Whether a formula is written where it is used, and not as a function with a name."""
    operations = [part for part in walk(formula) if part.args]
    return len(operations) <= 2 and not any(
        part.name == "where" or is_reduction(part) for part in operations
    )


def is_plain_reduction(op: Op) -> bool:
    """Whether the op is one reduction for which the libraries have a function, as sum or max."""
    known = FUNCTIONS.get(getattr(op.expression, "name", ""))
    return isinstance(known, Reduction) and bool(known.arrays)


def backward_name(function: str, op: Op, j: int) -> str:
    """The name of the function for the gradient of operand j."""
    return f"{function}_backward" + f"_{op.operands[j]}" * (len(op.operands) > 1)


def _without_ones(formula: Any) -> Any:
    """The formula with x for x * 1, and -x for x * -1."""
    if not isinstance(formula, Expression) or not formula.args:
        return formula
    args = [_without_ones(argument) for argument in formula.args]
    if formula.name == "*" and not isinstance(args[1], Expression) and abs(args[1]) == 1:
        return args[0] if args[1] > 0 else -args[0]
    return Expression(formula.name, *args)


def _with_its_exponentials(formula: Any, op: Op) -> Any:
    """The formula with exp(a - b) / c for exp(a - out), if an op's result, out, is b + log(c).

    XLA computes once what the result and its gradient have in common, and exponentials are slow.
    """
    if not isinstance(formula, Expression) or not formula.args:
        return formula
    result, inner = op.expression, formula.args[0]
    if formula.name == "exp" and getattr(inner, "name", "") == "-" and result.name == "+":
        (a, out), (b, logarithm) = inner.args, result.args
        if getattr(out, "name", "") == "out" and getattr(logarithm, "name", "") == "log":
            return exp(a - b) / logarithm.args[0]
    return Expression(
        formula.name, *[_with_its_exponentials(argument, op) for argument in formula.args]
    )


def _mentions(formula: Any, names: tuple[str, ...]) -> bool:
    return any(isinstance(part, Symbol) and part.name in names for part in walk(formula))


def _substituted(formula: Any, operands: Mapping[str, Any]) -> Any:
    if isinstance(formula, Symbol):
        return operands[formula.name]
    if not isinstance(formula, Expression):
        return formula
    return Expression(formula.name, *[_substituted(part, operands) for part in formula.args])
