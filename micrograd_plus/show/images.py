"""Plots of convolutional networks: filters, feature maps, and images classified wrongly.

Orange is negative, blue positive, white zero, as in all pictures of this library. Like the other
plots, each is a matplotlib figure, and `path=` also writes it to a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..numbers import number_of
from ..support.nested import flatten, shape
from ..support.words import in_short
from .plots import evaluating, numbers_of
from .scale import NEGATIVE_LINE, NEUTRAL_LINE, POSITIVE_LINE
from .style import new_figure

if TYPE_CHECKING:
    from .figure import Plot

_MOST_IN_A_ROW = 16
_INCHES = 0.75  # the size of a tile
_GAP = 0.1  # between tiles, as a share of a tile
_Plane = list[list[float]]


def plot_filters(layer: Any, *, path: str | Path | None = None) -> Plot:
    """Plots the weights of a Conv2d: a column per output channel, a row per input channel.

    >>> from micrograd_plus.nn import Conv2d
    >>> figure = plot_filters(Conv2d(1, 4, 3))
    """
    found = shape(getattr(layer, "weight", None))
    if len(found) != 4:
        raise TypeError(f"plot_filters takes a Conv2d, such as model[0], not {in_short(layer)}")
    outputs, inputs, _, _ = found
    largest = _largest(layer.weight)
    tile = min(_INCHES, 12 / max(outputs, inputs))
    width, height = max(tile * outputs, 5.0), max(tile * inputs, 1.3)  # the labels fit
    with new_figure(1.5 + width, 1.6 + height, 1, 1, path) as (figure, (ax,)):
        for column, kernel in enumerate(layer.weight):
            for row, plane in enumerate(kernel):
                _tile(ax, numbers_of(plane), column, row, largest)
        _frame(ax, outputs, inputs)
        ax.set_xticks([i + 0.5 for i in range(outputs)], range(outputs))
        ax.set_yticks([i + 0.5 for i in range(inputs)], range(inputs))
        ax.set(xlabel="output channel", ylabel="input channel")
        bar: Any = {"location": "bottom", "shrink": min(1.0, 5 / width), "aspect": 30}
        figure.colorbar(ax.images[0], ax=ax, label="weight", **bar)
    return figure


def plot_feature_maps(model: Any, image: Any, *, path: str | Path | None = None) -> Plot:
    """Plots the output of each layer of a Sequential for one image, channels × height × width.

    Every layer whose output is an image has a block of tiles, one for each channel. The colours of
    a block cover the range from -m to m, where m is its largest |number|.

    >>> from micrograd_plus.nn import Conv2d, Sequential
    >>> image = [[[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]]
    >>> figure = plot_feature_maps(Sequential(Conv2d(1, 4, 2)), image)
    """
    if not hasattr(model, "__iter__"):
        raise TypeError(f"plot_feature_maps takes a Sequential, not a {type(model).__name__}")
    if len(shape(image)) != 3:
        raise ValueError(
            "plot_feature_maps takes one image, channels × height × width, and was given "
            f"{' × '.join(map(str, shape(image)))} numbers"
        )
    blocks = [("input", image)]
    with evaluating(model):
        for layer in model:
            image = layer(image)
            blocks.append((type(layer).__name__, image))
    blocks = [(name, planes) for name, planes in blocks if len(shape(planes)) == 3]
    columns = min(max(len(planes) for _, planes in blocks), _MOST_IN_A_ROW)
    rows = sum(ceil(len(planes) / columns) for _, planes in blocks) + 0.4 * len(blocks)
    with new_figure(1.9 + _INCHES * columns, 0.2 + _INCHES * rows, 1, 1, path) as (figure, (ax,)):
        ticks, top = {}, 0.0
        for name, planes in blocks:
            size = " × ".join(map(str, shape(planes)))
            ticks[top + 0.5] = f"{name}\n{size}"
            largest = _largest(planes)
            for i, plane in enumerate(planes):
                _tile(ax, numbers_of(plane), i % columns, top + i // columns, largest)
            top += ceil(len(planes) / columns) + 0.4
        _frame(ax, columns, top)
        ax.set_xticks([])
        ax.set_yticks(list(ticks), list(ticks.values()))
    return figure


def plot_mistakes(
    X: Sequence[Any],
    y: Sequence[int],
    predicted: Sequence[int],
    classes: Sequence[str],
    *,
    most: int = 24,
    path: str | Path | None = None,
) -> Plot:
    """Plots the images that were classified wrongly, with their true and predicted classes.

    X: the images, rows of grey values, or one channel of such rows.
    y, predicted: the true and the predicted class of each image, as indices of `classes`.
    most: at most this many images are shown, the first ones.

    >>> images = [[[[0.0, 1.0], [1.0, 0.0]]], [[[1.0, 0.0], [0.0, 1.0]]]]
    >>> figure = plot_mistakes(images, [0, 1], [0, 0], ["up", "down"])
    """
    wrong = [i for i, (truth, guess) in enumerate(zip(y, predicted, strict=True)) if truth != guess]
    columns, rows = 8, max(1, ceil(len(wrong[:most]) / 8))
    tall = 1.4  # the height of a tile with its title
    width, height = 1.2 * _INCHES * columns, 1.2 * _INCHES * tall * rows
    with new_figure(1 + width, 0.8 + height, 1, 1, path) as (figure, (ax,)):
        for place, i in enumerate(wrong[:most]):
            planes = X[i] if len(shape(X[i])) == 3 else [X[i]]
            if len(planes) != 1:
                raise ValueError(f"plot_mistakes takes images with one channel, not {len(planes)}")
            column, top = place % columns, tall * (place // columns) + tall - 1
            _tile(ax, numbers_of(planes[0]), column, top, None)
            ax.text(
                column + 0.5, top, f"{classes[y[i]]} as {classes[predicted[i]]}",
                ha="center", va="bottom", fontsize=12,
            )  # fmt: skip
        _frame(ax, columns, tall * rows)
        ax.set_axis_off()
        left_out = f", the first {most}" if len(wrong) > most else ""
        ax.set_title(f"{len(wrong)} of {len(y)} mistaken{left_out}")
    return figure


def _tile(ax: Any, plane: _Plane, column: float, row: float, largest: float | None) -> None:
    """Draws a plane as a tile at a column and a row, with colours from -largest to largest.

    If `largest` is None, the tile is grey: white for the smallest number, black for the largest.
    """
    from matplotlib.patches import Rectangle

    colours: Any = {"cmap": "Greys"}
    if largest is not None:
        colours = {"cmap": _signed(), "vmin": -largest, "vmax": largest}
    left, top, side = column + _GAP / 2, row + _GAP / 2, 1 - _GAP
    extent = (left, left + side, top + side, top)
    ax.imshow(plane, extent=extent, interpolation="nearest", **colours)
    ax.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=NEUTRAL_LINE))


@cache
def _signed() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", (NEGATIVE_LINE, "white", POSITIVE_LINE))


def _frame(ax: Any, columns: float, rows: float) -> None:
    """Sets the number of columns and rows of tiles, the first row on top, without a frame."""
    ax.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _largest(planes: Any) -> float:
    return max(abs(number_of(number)) for number in flatten(planes)) or 1.0
