"""Activations as modules, for `Sequential`: applied to each number of nested lists.

>>> print(ReLU()([-1.0, 2.0]))
[Value(data=0.0, grad=0.0), Value(data=2.0, grad=0.0)]
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ..engine import Value, apply, as_value
from ..functional import softmax, where
from ..ops import TABLE, Op
from ..recordable import rand, stamped
from .init import GLOBAL, generator_or
from .module import Rowwise


class Elementwise(Rowwise):
    """Applies the method `one` to every number; a subclass defines it."""

    def one(self, value: Value) -> Value:
        """The output for one Value."""
        raise NotImplementedError

    def row(self, x: Any) -> Any:
        """The output for one number, or for each number of a list."""
        return self.rows([x])[0] if isinstance(x, (list, tuple)) else self.one(as_value(x))

    def rows(self, x: Sequence[Any]) -> list[list[Value]]:
        """The outputs for lists of numbers."""
        return [[self.one(as_value(number)) for number in row] for row in x]


@stamped(fixed=0)
def _each(op: Op, values: Sequence[Value], *settings: float) -> list[Value]:
    """The op of each value, with these other operands."""
    return [apply(op, value, *settings) for value in values]


class _Activation(Elementwise):
    op: str

    def one(self, value: Value) -> Value:
        return apply(TABLE[self.op], value, *self.config().values())

    def rows(self, x: Sequence[Any]) -> list[list[Value]]:
        """The outputs for lists of numbers."""
        values = [list(map(as_value, row)) for row in x]
        return _each.each(TABLE[self.op], values, *self.config().values())


class ReLU(_Activation):
    """max(x, 0).

    >>> [y.data for y in ReLU()([-2.0, 3.0])]
    [0.0, 3.0]
    """

    op = "relu"


class Tanh(_Activation):
    """The hyperbolic tangent.

    >>> [f"{y:.4f}" for y in Tanh()([-2.0, 0.5])]
    ['-0.9640', '0.4621']
    """

    op = "tanh"


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)).

    >>> [f"{y:.4f}" for y in Sigmoid()([-2.0, 0.0])]
    ['0.1192', '0.5000']
    """

    op = "sigmoid"


class SiLU(_Activation):
    """x * sigmoid(x).

    >>> [f"{y:.4f}" for y in SiLU()([-2.0, 2.0])]
    ['-0.2384', '1.7616']
    """

    op = "silu"


class Softplus(_Activation):
    """log(1 + exp(x)).

    >>> [f"{y:.4f}" for y in Softplus()([-2.0, 0.0])]
    ['0.1269', '0.6931']
    """

    op = "softplus"


class LeakyReLU(_Activation):
    """x if x is positive, else negative_slope * x.

    >>> [y.data for y in LeakyReLU(0.1)([-2.0, 3.0])]
    [-0.2, 3.0]
    """

    op = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"negative_slope": self.negative_slope}


class ELU(_Activation):
    """x if x is positive, else alpha * (exp(x) - 1).

    >>> [f"{y:.4f}" for y in ELU()([-2.0, 3.0])]
    ['-0.8647', '3.0000']
    """

    op = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"alpha": self.alpha}


class GELU(Elementwise):
    """x times the normal distribution function of x, or with approximate="tanh" nearly that.

    >>> [f"{y:.4f}" for y in GELU()([-2.0, 2.0])]
    ['-0.0455', '1.9545']
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
        self.approximate = approximate

    def one(self, value: Value) -> Value:
        """The output for one Value."""
        return apply(TABLE["gelu_tanh" if self.approximate == "tanh" else "gelu"], value)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"approximate": self.approximate}


class Softmax(Rowwise):
    """exp(x) / (sum of all exp(x)) over a row: positive numbers that add up to 1.

    >>> [f"{y:.3f}" for y in Softmax()([0.0, 1.0, 3.0])]
    ['0.042', '0.114', '0.844']
    """

    def row(self, x: Any) -> list[Value]:
        """A row of probabilities."""
        return softmax(x)


class Dropout(Elementwise):
    """In training, sets each number to 0 with probability p, and divides it by 1 - p otherwise.

    In evaluation, the output is the input (Srivastava et al. 2014).

    >>> dropout = Dropout(0.5, generator=random.Random(0))
    >>> [y.data for y in dropout([1.0, 2.0, 3.0, 4.0])]
    [2.0, 4.0, 0.0, 0.0]
    >>> [y.data for y in dropout.eval()([1.0, 2.0, 3.0, 4.0])]
    [1.0, 2.0, 3.0, 4.0]
    """

    def __init__(self, p: float = 0.5, *, generator: random.Random | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"p is a probability in [0, 1), not {p!r}")
        generator_or(GLOBAL, generator)  # checks the type
        self.p = p
        self.generator = generator  # None and not GLOBAL: a module cannot be copied

    def one(self, value: Value) -> Value:
        """The output for one Value."""
        if not self.training:
            return value
        dropped = rand(self.generator) < self.p
        return value * where(dropped, 0.0, 1 / (1 - self.p))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"p": self.p}
