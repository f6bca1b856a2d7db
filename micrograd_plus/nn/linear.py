"""`Linear`, a fully connected layer, and `Sequential`, a chain of modules."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from ..engine import Value, record
from ..ops import TABLE
from ..recordable import stamped
from ..support.checks import whole_number
from . import init as initializers
from .init import Initializer
from .module import Module, Rowwise, row_of_values


@stamped(fixed=2)
def weighted_sums(
    weight: Sequence[Sequence[Value]], bias: Sequence[Value] | None, x: Sequence[Value]
) -> list[Value]:
    """Returns the dot product of each row of `weight` with x, as one node, plus the bias."""
    sums = [record(TABLE["dot"], (*row, *x)) for row in weight]
    return [s + b for s, b in zip(sums, bias)] if bias else sums


class Linear(Rowwise):
    """x · weightᵀ + bias: from `in_features` numbers to `out_features`.

    weight is a list of `out_features` rows of `in_features` Values; bias is a list of
    `out_features` Values, or None. Names and initial numbers are as in torch.nn.Linear.

    >>> layer = Linear(2, 1)
    >>> layer.load_state_dict({"weight": [[3.0, -1.0]], "bias": [0.5]})
    >>> [y.data for y in layer([1.0, 2.0])]
    [1.5]
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Initializer = initializers.pytorch_default,
        generator: random.Random | None = None,
    ) -> None:
        self.in_features = in_features = whole_number("in_features", in_features)
        self.out_features = out_features = whole_number("out_features", out_features)
        draw = initializers.generator_or(initializers.GLOBAL, generator)
        default = initializers.pytorch_default
        self.weight = [
            [Value(init(in_features, out_features, draw)) for _ in range(in_features)]
            for _ in range(out_features)
        ]
        self.bias = (
            [Value(default(in_features, out_features, draw)) for _ in range(out_features)]
            if bias
            else None
        )

    def row(self, x: Any) -> list[Value]:
        """A list of `out_features` Values."""
        return weighted_sums(self.weight, self.bias, row_of_values(x, self.in_features))

    def rows(self, x: Sequence[Any]) -> list[list[Value]]:
        """A list of `out_features` Values for each example."""
        values = [row_of_values(item, self.in_features) for item in x]
        return weighted_sums.each(self.weight, self.bias, values)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        shape = {"in_features": self.in_features, "out_features": self.out_features}
        return shape if self.bias is not None else {**shape, "bias": False}


class Sequential(Module):
    """A chain of modules: the output of each is the input of the next; `model[0]` is the first.

    >>> model = Sequential(Linear(2, 3), Linear(3, 1))
    >>> len(model([1.0, 2.0])), len(model.parameters())
    (1, 13)
    """

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"Sequential takes modules, as in Sequential(a, b), not {module!r}")
        self.chain = list(modules)

    def named_members(self) -> Iterator[tuple[str, Any]]:
        """Yields the modules under the names "0", "1", …, as in PyTorch."""
        for name, member in super().named_members():
            yield name.removeprefix("chain."), member

    def forward(self, x: Any) -> Any:
        """The output of the last module."""
        for module in self.chain:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return iter(self.chain)

    def __len__(self) -> int:
        return len(self.chain)

    def __getitem__(self, index: int) -> Module:
        return self.chain[index]
