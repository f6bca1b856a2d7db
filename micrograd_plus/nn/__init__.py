"""Neural networks made of Values.

`Neuron`, `Layer` and `MLP` are written as textbooks explain them; `Linear`, `Sequential` and the
activations have the names and the behaviour of PyTorch's. A module takes one example, which is a
list of numbers or Values, or a batch, which is a list of such lists or a 2-D NumPy array.

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
from .attention import (
    Embedding,
    LearnedPositions,
    MultiHeadAttention,
    SinusoidalPositions,
    TransformerBlock,
    scaled_dot_product_attention,
)
from .conv import AvgPool2d, Conv1d, Conv2d, Flatten, MaxPool2d
from .language import GPT, CharRNN, LanguageModel, generate
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
from .module import Buffer, Module
from .neuron import MLP, Layer, Neuron
from .normalization import BatchNorm1d, LayerNorm, RMSNorm
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from .saving import load, save

__all__ = [
    "ELU",
    "GELU",
    "GPT",
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "Buffer",
    "CharRNN",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "HingeLoss",
    "HuberLoss",
    "L1Loss",
    "LSTMCell",
    "LanguageModel",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "MultiHeadAttention",
    "Neuron",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Tanh",
    "TransformerBlock",
    "generate",
    "init",
    "load",
    "save",
    "scaled_dot_product_attention",
]
