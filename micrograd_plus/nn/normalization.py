"""Normalisation, which keeps the numbers in a deep network at about the same size.

`LayerNorm` and `RMSNorm` normalise the numbers of one row; `BatchNorm1d` normalises one feature,
or channel, over all examples of a batch.

>>> norm = LayerNorm(3)
>>> [f"{value:.3f}" for value in norm([1.0, 2.0, 6.0])]
['-0.926', '-0.463', '1.389']

Names, parameters and formulas are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..context import no_grad, recorder
from ..engine import Value, as_value
from ..functional import dot, mean
from ..recordable import stamped
from ..support.checks import whole_number
from ..support.nested import flatten, is_nested, plain
from .module import Buffer, Module, Rowwise, row_of_values, where


class LayerNorm(Rowwise):
    """Scales each row to mean 0 and variance 1, times `weight`, plus `bias` (Ba et al. 2016).

    normalized_shape: the number of numbers in a row.
    eps: a number added to the variance, which prevents a division by 0.
    elementwise_affine: whether there is a weight for each number, initially 1.
    bias: whether there is also a bias for each number, initially 0.

    >>> [f"{y:.3f}" for y in LayerNorm(3)([1.0, 2.0, 3.0])]
    ['-1.225', '0.000', '1.225']
    """

    def __init__(
        self,
        normalized_shape: int,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        self.normalized_shape = width = whole_number("normalized_shape", normalized_shape)
        self.eps = eps
        self.weight = [Value(1.0) for _ in range(width)] if elementwise_affine else None
        self.bias = [Value(0.0) for _ in range(width)] if elementwise_affine and bias else None

    def row(self, x: Any) -> list[Value]:
        """A row of as many Values."""
        values = row_of_values(x, self.normalized_shape)
        centre = mean(values)
        scaled = _to_unit_size([value - centre for value in values], self.eps)
        if self.weight is not None:
            scaled = [value * weight for value, weight in zip(scaled, self.weight)]
        if self.bias is not None:
            scaled = [value + bias for value, bias in zip(scaled, self.bias)]
        return scaled

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        shape: dict[str, Any] = {"normalized_shape": self.normalized_shape, "eps": self.eps}
        if self.weight is None:
            return {**shape, "elementwise_affine": False}
        return shape if self.bias is not None else {**shape, "bias": False}


class RMSNorm(Rowwise):
    """Scales each row to a mean square of 1, times `weight` (Zhang & Sennrich 2019, formula 4).

    This is LayerNorm without the mean and the bias; in Transformers it works equally well. The
    arguments are those of LayerNorm. The default of eps, as in PyTorch, is the machine epsilon.

    >>> [f"{y:.3f}" for y in RMSNorm(2)([3.0, 4.0])]
    ['0.849', '1.131']
    """

    def __init__(
        self, normalized_shape: int, eps: float = 2.0**-52, elementwise_affine: bool = True
    ) -> None:
        self.normalized_shape = width = whole_number("normalized_shape", normalized_shape)
        self.eps = eps
        self.weight = [Value(1.0) for _ in range(width)] if elementwise_affine else None

    def row(self, x: Any) -> list[Value]:
        """A row of as many Values."""
        return self.rows([x])[0]

    def rows(self, x: Sequence[Any]) -> list[list[Value]]:
        """A row of as many Values for each example."""
        values = [row_of_values(item, self.normalized_shape) for item in x]
        scaled = _to_unit_size.each(values, self.eps)
        if self.weight is None:
            return scaled
        return [[value * weight for value, weight in zip(row, self.weight)] for row in scaled]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        shape: dict[str, Any] = {"normalized_shape": self.normalized_shape, "eps": self.eps}
        return shape if self.weight is not None else {**shape, "elementwise_affine": False}


@stamped(fixed=0)
def _to_unit_size(values: Sequence[Value], eps: float) -> list[Value]:
    """Divides the values by the root of their mean square."""
    scale = 1 / (dot(values, values) / len(values) + eps).sqrt()
    return [value * scale for value in values]


class BatchNorm1d(Module):
    """Scales each feature to mean 0 and variance 1 over the batch (Ioffe & Szegedy 2015).

    The input is a batch of rows of `num_features` numbers, or of examples with `num_features`
    channels, each a list of numbers, as from Conv1d; then mean and variance are also taken over
    the places of a channel. The result is multiplied by `weight`, and `bias` is added, as in
    LayerNorm.

    In training, mean and variance are those of the batch, and running_mean and running_var
    move towards them by the factor `momentum`. In evaluation, running_mean and running_var are
    used, and a single row is allowed. A compiled function processes one example at a time, not a
    batch: train in eager mode, and compile after `model.eval()`. In a compiled function a list of
    lists is therefore one example, channels × places.

    >>> [[f"{y:.3f}" for y in row] for row in BatchNorm1d(1)([[1.0], [2.0], [3.0]])]
    [['-1.225'], ['0.000'], ['1.225']]
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.num_features = count = whole_number("num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.weight = [Value(1.0) for _ in range(count)]
        self.bias = [Value(0.0) for _ in range(count)]
        self.running_mean = [Buffer(0.0) for _ in range(count)]
        self.running_var = [Buffer(1.0) for _ in range(count)]
        self.num_batches_tracked = Buffer(0.0)

    def forward(self, x: Any) -> Any:
        """The output, with the shape of the input."""
        x = plain(x)
        compiled = recorder() is not None
        if self.training and compiled:
            raise TypeError(
                f"{where()} in training needs whole batches, but a compiled function processes one "
                "example at a time: train in eager mode, or call model.eval() first"
            )
        if not is_nested(x) or (compiled and not is_nested(x[0])):
            return self._batch([x])[0]
        return self._batch(x)

    def _batch(self, x: Any) -> list[Any]:
        batch = [plain(example) for example in x]
        for example in batch:
            if len(example) != self.num_features:
                raise ValueError(
                    f"{where()} takes {self.num_features} features for each example of a batch, "
                    f"and was given {len(example)}. Give one example as [x]; in a compiled "
                    "function x itself is one example"
                )
        features = [self._feature(i, column) for i, column in enumerate(zip(*batch))]
        if self.training:
            self.num_batches_tracked.data += 1
        return [list(example) for example in zip(*features)]

    def _feature(self, i: int, column: Sequence[Any]) -> list[Any]:
        """Normalises feature i; `column` has its number, or numbers, in each example."""
        if self.training:
            centre, variance = self._seen(i, [as_value(v) for v in flatten(column)])
        else:
            with no_grad():  # copies, through which no gradient flows
                centre, variance = self.running_mean[i] * 1.0, self.running_var[i] * 1.0
        scale = self.weight[i] * (variance + self.eps) ** -0.5

        def normalised(x: Any) -> Any:
            x = plain(x)
            if isinstance(x, (list, tuple)):
                return [normalised(item) for item in x]
            return (as_value(x) - centre) * scale + self.bias[i]

        return [normalised(x) for x in column]

    def _seen(self, i: int, values: list[Value]) -> tuple[Value, Value]:
        """Returns mean and variance of the values, and updates the running ones."""
        n = len(values)
        if n < 2:
            raise ValueError(
                f"{where()} in training takes a batch of at least two examples, and was given "
                "one: call model.eval() to use the running mean and variance"
            )
        centre = mean(values)
        centred = [value - centre for value in values]
        variance = dot(centred, centred) / n
        for running, now in (
            (self.running_mean[i], centre.data),
            (self.running_var[i], variance.data * n / (n - 1)),
        ):
            running.data += self.momentum * (now - running.data)
        return centre, variance

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"num_features": self.num_features, "eps": self.eps, "momentum": self.momentum}
