"""A Neuron, a Layer or an MLP as a `Sequential` of `Linear` and activations, as others write it."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import chain

from ..engine import Value, apply
from ..nn import (
    ELU,
    GELU,
    MLP,
    Layer,
    LeakyReLU,
    Linear,
    Module,
    Neuron,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from ..nn.activations import Elementwise
from ..ops import TABLE

ACTIVATIONS: dict[str, Callable[[], Module]] = {
    **{kind.op: kind for kind in (ReLU, Tanh, Sigmoid, SiLU, Softplus, LeakyReLU, ELU)},
    "gelu": GELU,
    "gelu_tanh": partial(GELU, "tanh"),
}
"""What makes the module that computes the activation of a Neuron, by the activation's name."""


class Function(Elementwise):
    """An activation that a Neuron may have and that is no module of its own, such as "sin"."""

    def __init__(self, op: str) -> None:
        self.op = op

    def one(self, value: Value) -> Value:
        """The output for one Value."""
        return apply(TABLE[self.op], value)


def in_parts(model: Module) -> Module:
    """Returns the model, in which a Sequential takes the place of each Neuron, Layer and MLP."""
    return _in_parts(model, {})


def _in_parts(model: Module, done: dict[Module, Module]) -> Module:
    """As `in_parts`; a module that has two places is in `done` at the second one."""
    if model not in done:
        made = model
        if isinstance(model, Sequential):
            made = Sequential(*[_in_parts(module, done) for module in model])
        elif isinstance(model, (Neuron, Layer, MLP)):
            made = as_sequential(model)
        made.training = model.training
        done[model] = made
    return done[model]


def as_sequential(model: Neuron | Layer | MLP) -> Sequential:
    """Returns a Sequential with the same parameters and outputs.

    The output always is a list: of one Value where the Neuron, the Layer or the MLP gives one
    Value.

    >>> as_sequential(MLP(2, [3, 1], activation="tanh"))
    Sequential()                                13 parameters
      0: Linear(in_features=2, out_features=3)   9
      1: Tanh()
      2: Linear(in_features=3, out_features=1)   4
    """
    if isinstance(model, MLP):
        return Sequential(*chain.from_iterable(map(as_sequential, model.layers)))
    neurons = model.neurons if isinstance(model, Layer) else [model]
    name = neurons[0].activation
    linear = Linear(len(neurons[0].w), len(neurons), generator=random.Random(0))
    linear.weight = [neuron.w for neuron in neurons]
    linear.bias = [neuron.b for neuron in neurons]
    if name == "linear":
        return Sequential(linear)
    return Sequential(linear, ACTIVATIONS.get(name, partial(Function, name))())
