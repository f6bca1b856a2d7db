"""A neuron, a layer of neurons, and a network of layers: the multi-layer perceptron.

The classes are micrograd's, but with any activation. The weighted sum of a neuron is one node of
the graph (`dot`), which makes training many times faster.

>>> neuron = Neuron(3, activation="sigmoid")
>>> neuron.load_state_dict({"w": [0.4, 0.7, 0.1], "b": -0.3})
>>> print(f"{neuron([0.5, 0.9, 0.2]):.3f}")
0.634
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ..context import scope
from ..engine import Value, apply, record
from ..ops import TABLE, function_of_one
from ..support.checks import whole_number
from . import init as initializers
from .init import Initializer
from .module import Rowwise, row_of_values


class Neuron(Rowwise):
    """activation(w · x + b), for a row x of `nin` numbers: one Value.

    nin: the number of inputs.
    nonlin: whether the neuron has an activation.
    activation: the name of a function in the op table, such as "relu" or "tanh".
    init, generator: the initialiser of the weights and its random numbers; the bias starts at 0.

    >>> neuron = Neuron(2, activation="tanh")
    >>> neuron.load_state_dict({"w": [0.5, -1.0], "b": 0.25})
    >>> print(f"{neuron([2.0, 1.0]):.4f}")
    0.2449
    """

    in_tree = False  # all neurons of a layer look the same, so the tree does not list them

    def __init__(
        self,
        nin: int,
        nonlin: bool = True,
        *,
        activation: str = "relu",
        init: Initializer = initializers.uniform,
        generator: random.Random | None = None,
        fan_out: int = 1,
    ) -> None:
        nin = whole_number("nin", nin)
        self.activation = function_of_one(activation).name if nonlin else "linear"
        draw = initializers.generator_or(initializers.GLOBAL, generator)
        self.w = [Value(init(nin, fan_out, draw)) for _ in range(nin)]
        self.b = Value(0.0)

    def row(self, x: Any) -> Value:
        """One Value."""
        return self.fire(row_of_values(x, len(self.w)))

    def fire(self, x: list[Value]) -> Value:
        """The output for a row of Values of the right width."""
        out = record(TABLE["dot"], (*self.w, *x)) + self.b
        return out if self.activation == "linear" else apply(TABLE[self.activation], out)

    @property
    def nonlin(self) -> bool:
        """Whether the neuron has an activation."""
        return self.activation != "linear"

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        shape = {"nin": len(self.w), "nonlin": self.nonlin}
        return {**shape, "activation": self.activation} if self.nonlin else shape

    def extra_repr(self) -> str:
        """Sizes and activation, such as `3 → 1, sigmoid`."""
        return f"{len(self.w)} → 1, {self.activation}"


class Layer(Rowwise):
    """`nout` neurons with the same `nin` inputs.

    The output is a list of `nout` Values, or one Value if `nout` is 1. `options` are passed to
    every `Neuron`.

    >>> layer = Layer(2, 3, generator=random.Random(0))
    >>> len(layer([1.0, -2.0])), len(layer.parameters())
    (3, 9)
    """

    def __init__(self, nin: int, nout: int, **options: Any) -> None:
        nout = whole_number("nout", nout)
        self.neurons = [Neuron(nin, fan_out=nout, **options) for _ in range(nout)]

    def row(self, x: Any) -> Any:
        """A list of `nout` Values, or one Value if `nout` is 1."""
        values = row_of_values(x, len(self.neurons[0].w))
        out = []
        for neuron in self.neurons:
            with scope(neuron):
                out.append(neuron.fire(values))
        return out[0] if len(out) == 1 else out

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"nout": len(self.neurons), **self.neurons[0].config()}

    def extra_repr(self) -> str:
        """Sizes and activation, such as `2 → 16, relu`."""
        first = self.neurons[0]
        return f"{len(first.w)} → {len(self.neurons)}, {first.activation}"


class MLP(Rowwise):
    """A multi-layer perceptron: layers of the widths `nouts`, one after the other.

    Every layer except the last has the activation; the last is linear. `options` (init, generator)
    are passed to every `Layer`.

    >>> model = MLP(2, [4, 1], generator=random.Random(0))
    >>> model([1.0, -2.0]).backward()
    >>> model
    MLP(2 → 4 → 1, relu)              17 parameters
      layers.0: Layer(2 → 4, relu)    12
      layers.1: Layer(4 → 1, linear)   5
    """

    def __init__(
        self, nin: int, nouts: Sequence[int], activation: str = "relu", **options: Any
    ) -> None:
        if not isinstance(nouts, (list, tuple)) or not nouts:
            raise ValueError(
                f"nouts must be a list of layer widths like [16, 16, 1], not {nouts!r}"
            )
        widths = [nin, *nouts]
        self.activation = function_of_one(activation).name
        self.layers = [
            Layer(a, b, nonlin=i < len(nouts), activation=activation, **options)
            for i, (a, b) in enumerate(zip(widths, nouts), start=1)
        ]

    def row(self, x: Any) -> Any:
        """The last layer's output."""
        for layer in self.layers:
            x = layer(x if isinstance(x, (list, tuple)) else [x])
        return x

    @property
    def widths(self) -> list[int]:
        """The number of inputs, and the number of neurons of each layer."""
        return [len(self.layers[0].neurons[0].w), *[len(layer.neurons) for layer in self.layers]]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"nin": self.widths[0], "nouts": self.widths[1:], "activation": self.activation}

    def extra_repr(self) -> str:
        """Sizes and activation, such as `2 → 16 → 1, relu`."""
        return f"{' → '.join(map(str, self.widths))}, {self.activation}"
