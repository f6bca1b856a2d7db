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

from . import init as init
from .activations import ELU as ELU
from .activations import GELU as GELU
from .activations import Dropout as Dropout
from .activations import LeakyReLU as LeakyReLU
from .activations import ReLU as ReLU
from .activations import Sigmoid as Sigmoid
from .activations import SiLU as SiLU
from .activations import Softmax as Softmax
from .activations import Softplus as Softplus
from .activations import Tanh as Tanh
from .attention import Embedding as Embedding
from .attention import LearnedPositions as LearnedPositions
from .attention import MultiHeadAttention as MultiHeadAttention
from .attention import SinusoidalPositions as SinusoidalPositions
from .attention import TransformerBlock as TransformerBlock
from .attention import scaled_dot_product_attention as scaled_dot_product_attention
from .conv import AvgPool2d as AvgPool2d
from .conv import Conv1d as Conv1d
from .conv import Conv2d as Conv2d
from .conv import Flatten as Flatten
from .conv import MaxPool2d as MaxPool2d
from .language import GPT as GPT
from .language import CharRNN as CharRNN
from .language import LanguageModel as LanguageModel
from .language import generate as generate
from .linear import Linear as Linear
from .linear import Sequential as Sequential
from .loss import BCELoss as BCELoss
from .loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from .loss import CrossEntropyLoss as CrossEntropyLoss
from .loss import HingeLoss as HingeLoss
from .loss import HuberLoss as HuberLoss
from .loss import L1Loss as L1Loss
from .loss import MSELoss as MSELoss
from .module import Buffer as Buffer
from .module import Module as Module
from .neuron import MLP as MLP
from .neuron import Layer as Layer
from .neuron import Neuron as Neuron
from .normalization import BatchNorm1d as BatchNorm1d
from .normalization import LayerNorm as LayerNorm
from .normalization import RMSNorm as RMSNorm
from .recurrent import GRU as GRU
from .recurrent import LSTM as LSTM
from .recurrent import RNN as RNN
from .recurrent import GRUCell as GRUCell
from .recurrent import LSTMCell as LSTMCell
from .recurrent import RNNCell as RNNCell
from .saving import load as load
from .saving import save as save

__all__ = ["init", *(name for name, thing in vars().items() if callable(thing))]
