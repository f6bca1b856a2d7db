"""What a model takes: the axes of a batch, as a file that others run must declare them.

>>> taken(nn.Sequential(nn.Linear(3, 2), nn.Tanh()))
Taken(axes=('batch', 3), tokens=False)
>>> taken(nn.Sequential(nn.ReLU(), nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2)))
Taken(axes=('batch', 1, 'height', 'width'), tokens=False)
>>> taken(nn.GPT(27))
Taken(axes=('batch', 'length'), tokens=True)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .. import nn
from ..nn.activations import Elementwise

ROWS = ("batch", "width")
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)
LAYERS = (nn.RNN, nn.LSTM, nn.GRU)
_TOKENS = (nn.Embedding, nn.GPT, nn.CharRNN)
_CHANNELS = ("batch", "channels", "length")
_IMAGES = ("batch", "channels", "height", "width")
_SEQUENCES = ("batch", "length", "width")
_AXES: dict[type[nn.Module], tuple[str, ...]] = {
    **dict.fromkeys(_TOKENS, ("batch", "length")),
    **dict.fromkeys((nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d), _IMAGES),
    **dict.fromkeys((nn.MultiHeadAttention, nn.TransformerBlock, *LAYERS), _SEQUENCES),
    **dict.fromkeys((nn.LearnedPositions, nn.SinusoidalPositions), _SEQUENCES),
    nn.Conv1d: _CHANNELS,
}
"""For the modules that take so many axes and no others, their names."""

_SIZES = {
    **dict.fromkeys(("in_features", "normalized_shape", "input_size", "embed_dim", "width"), -1),
    **dict.fromkeys(("num_features", "in_channels"), 1),
}
"""The settings that are the size of an axis of the input, and the axis."""


class Taken(NamedTuple):
    """The axes of a batch: a number for one of a fixed size, a name for one of any size.

    tokens: whether these are whole numbers.
    """

    axes: tuple[str | int, ...]
    tokens: bool


def taken(model: nn.Module) -> Taken:
    """What a model takes, in which a Sequential has the place of each Neuron, Layer and MLP.

    TypeError for a loss.
    """
    if isinstance(model, nn.loss.Loss):
        raise TypeError(
            f"{type(model).__name__} cannot be exported, as a file is for evaluation and takes no "
            "targets: export the model"
        )
    chain = list(_chain(model))
    axes: list[str | int] = list(next(filter(None, map(_axes, chain)), ROWS))
    any_size = (Elementwise, nn.Softmax)
    first = next((module for module in chain if not isinstance(module, any_size)), None)
    if isinstance(first, _TOKENS):
        return Taken(tuple(axes), True)
    for name, size in (first.config() if first else {}).items():
        if name in _SIZES:
            axes[_SIZES[name]] = size
    return Taken(tuple(axes), False)


def _chain(model: nn.Module) -> Iterator[nn.Module]:
    if isinstance(model, nn.Sequential):
        for module in model:
            yield from _chain(module)
    else:
        yield model


def _axes(module: nn.Module) -> tuple[str, ...]:
    if isinstance(module, nn.Flatten):  # of one example, or of images in a batch
        return {-2: _CHANNELS, -1: ROWS}.get(module.start_dim, _IMAGES)
    return _AXES.get(type(module), ())
