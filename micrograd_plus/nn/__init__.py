"""Neural networks made of Values.

`Neuron`, `Layer` and `MLP` read like the chapter on them; `Linear`, `Sequential` and the
activations are named and behave as in PyTorch. A module takes one example, a list of numbers
or Values, or a batch, a list of such lists or a 2-D NumPy array.

>>> import random
>>> model = MLP(2, [4, 1], generator=random.Random(0))
>>> model([1.0, -2.0]).backward()
>>> model
MLP(2 → 4 → 1, relu)              17 parameters
  layers.0: Layer(2 → 4, relu)    12
  layers.1: Layer(4 → 1, linear)   5
"""

from . import init
from .activations import (
    ELU,
    GELU,
    Dropout,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from .linear import Linear, Sequential
from .loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
)
from .module import Module
from .neuron import MLP, Layer, Neuron
from .saving import load, save

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Dropout",
    "HingeLoss",
    "HuberLoss",
    "L1Loss",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MSELoss",
    "Module",
    "Neuron",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "init",
    "load",
    "save",
]
