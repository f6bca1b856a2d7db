"""`network` draws a model as a diagram of its neurons and weights.

Every circle is a neuron, and its colour shows the bias. Every line is a weight: blue if positive,
orange if negative, and thicker if larger. The diagram can also show the gradients instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..engine import Value
from .diagram import KEY_HEIGHT, KEY_SIZE, KEY_WIDTH, Diagram, size_in_circle
from .dot import NO_GRADIENTS, escape, new_picture
from .scale import Scale

if TYPE_CHECKING:
    from .picture import Picture
    from .svg import SvgPicture

_MOST_LINES = 600
_MOST_LAYERS = 40
_CIRCLE, _ROW, _COLUMN = 30.0, 38.0, 150.0  # in points: a circle's width, and two distances


class _Layer(NamedTuple):
    """weights: one row of Values for each neuron; biases: one Value each, or None."""

    weights: Sequence[Sequence[Value]]
    biases: Sequence[Value] | None
    caption: str


def network(
    model: Any,
    *,
    color: str = "weight",
    format: str = "svg",  # noqa: A002
) -> Picture | SvgPicture:
    """Draws the neurons and weights of a Neuron, Layer, MLP or Linear, or a Sequential of these.

    In a layer with many neurons, only the first and the last ones are drawn.

    color: "weight" or "gradient", the number that colours and widths show.
    format: the format for `.render()`; `.save("x.png")` uses the extension.

    TypeError for a model without such layers, ValueError for a model with too many layers.

    >>> import random
    >>> from micrograd_plus.nn import MLP
    >>> network(MLP(2, [3, 1], generator=random.Random(0)))
    <Picture: .save('x.svg') writes it to a file>
    """
    if color not in ("weight", "gradient"):
        raise ValueError(f"color is 'weight' or 'gradient', not {color!r}")
    layers = _layers(model)
    if len(layers) > _MOST_LAYERS:
        raise ValueError(
            f"the model has {len(layers)} layers, but at most {_MOST_LAYERS} can be drawn: "
            "draw a part of it, such as network(model.layers[0])"
        )
    for before, layer in pairwise(layers):
        if len(layer.weights[0]) != len(before.weights):
            raise ValueError(
                f"a layer returns {len(before.weights)} numbers, but the next layer takes "
                f"{len(layer.weights[0])}: these sizes must be equal"
            )
    columns = _Columns(layers, color)
    if sys.platform == "emscripten":  # Pyodide: no Graphviz
        return columns.paint(Diagram(_CIRCLE)).picture()
    return columns.paint(_ByGraphviz(format)).picture


def _layers(model: Any) -> list[_Layer]:
    """Finds the layers of a model by their attributes; activations become captions."""
    if hasattr(model, "layers"):
        return _in_a_row(model.layers)
    if hasattr(model, "neurons"):
        neurons = list(model.neurons)
        return [_Layer([n.w for n in neurons], [n.b for n in neurons], _activation(neurons[0]))]
    if hasattr(model, "w") and hasattr(model, "b"):
        return [_Layer([model.w], [model.b], _activation(model))]
    if hasattr(model, "in_features"):
        return [_Layer(model.weight, model.bias, "")]
    if hasattr(model, "__iter__"):
        return _in_a_row(model)
    raise TypeError(
        "network draws a Neuron, Layer, MLP or Linear, or a Sequential of these with activations, "
        f"not a {type(model).__name__}"
    )


def _in_a_row(modules: Iterable[Any]) -> list[_Layer]:
    layers: list[_Layer] = []
    for module in modules:
        if layers and not list(module.parameters()):
            last = layers.pop()
            names = [name for name in (last.caption, type(module).__name__) if name]
            layers.append(last._replace(caption=", ".join(names)))
        else:
            layers += _layers(module)
    if not layers:
        raise TypeError("network draws neurons and their weights, but this model has none")
    return layers


def _activation(neuron: Any) -> str:
    """Returns the activation's name; neurons of micrograd have only `nonlin`."""
    return str(getattr(neuron, "activation", "relu" if getattr(neuron, "nonlin", False) else ""))


class _Columns:
    """Circles in columns and lines between them; all positions are in points."""

    def __init__(self, layers: list[_Layer], color: str) -> None:
        self.layers = layers
        self.widths = [len(layers[0].weights[0]), *[len(layer.weights) for layer in layers]]
        self.color = color
        weights = [weight for layer in layers for row in layer.weights for weight in row]
        biases = [bias for layer in layers for bias in layer.biases or ()]
        numbers = [self.number(value) for value in weights + biases]
        self.scale = Scale.over(numbers, power=1.0, thickest=4.0)
        self.is_empty = color == "gradient" and not any(numbers)
        self.shown = _shown(self.widths)
        self.height = _ROW * max(map(len, self.shown))
        self.distance = max(_COLUMN, self.height / 2)

    def number(self, value: Value) -> float:
        """Returns the number that the colour of a weight or bias shows."""
        return value.data if self.color == "weight" else value.grad

    def paint(self, paper: Paper) -> Paper:
        """Draws the columns from left to right, the lines, and the legend."""
        for column in range(len(self.widths)):
            self._add_column(paper, column)
        lines = [
            (self.number(layer.weights[j][i]), f"n{column}_{i}", f"n{column + 1}_{j}")
            for column, layer in enumerate(self.layers)
            for j in self.shown[column + 1]
            for i in self.shown[column]
            if j is not None and i is not None
        ]
        for number, tail, head in sorted(lines, key=lambda line: abs(line[0])):
            paper.line(tail, head, self._line(number))
        self._add_legend(paper)
        return paper

    def _line(self, number: float) -> dict[str, str]:
        """Returns the scale's colour and width; weak lines are also transparent, as many cross.

        The line of a negative number is dashed, so that the sign is visible without colours.
        """
        if self.is_empty:
            return {"color": "#bbbbbb", "penwidth": "0.8"}
        line = self.scale.line(number)
        opacity = round(255 * (0.25 + 0.75 * self.scale.strength([number])))
        style = "dashed" if number < 0 else "solid" if number > 0 else "dotted"
        return {**line, "color": f"{line['color']}{opacity:02x}", "style": style}

    def _add_column(self, paper: Diagram | _ByGraphviz, column: int) -> None:
        """Adds a circle for each neuron or input shown, and the caption below."""
        x, shown, width = column * self.distance, self.shown[column], self.widths[column]
        biases = self.layers[column - 1].biases if column else None
        letter = "x" if column == 0 else "y" if column == len(self.layers) else ""
        for row, neuron in enumerate(shown):
            place = (x, (len(shown) - 1) / 2 * _ROW - row * _ROW)
            if neuron is None:
                hidden = width - (len(shown) - 1)
                paper.text(f"gap{column}", f"… {hidden:,} more …", place)
                continue
            name = letter + str(neuron + 1) * (width > 1) if letter else ""
            fill = "white" if biases is None else self.scale.fill(self.number(biases[neuron]))
            paper.circle(f"n{column}_{neuron}", name, place, fill)
        title = f"layer {column}" if column else "inputs"
        activation = self.layers[column - 1].caption if column else ""
        caption = f"{title}\n{width:,}\n{activation or ' '}"
        paper.text(f"caption{column}", caption, (x, -self.height / 2 - 25))

    def _add_legend(self, paper: Diagram | _ByGraphviz) -> None:
        """Adds the colours of a few numbers below the diagram, or the reason why there are none."""
        middle, y = len(self.layers) * self.distance / 2, -self.height / 2 - 75
        if self.is_empty:
            paper.text("legend", NO_GRADIENTS, (middle, y))
            return
        title = "weights (lines), biases (circles)" if self.color == "weight" else "gradients"
        title += "; negative lines are dashed"
        paper.text("legend", title, (middle, y))
        for i, (text, fill) in enumerate(self.scale.key()):
            paper.key(f"legend{i}", text, (middle + (i - 2) * 56, y - 22), fill)


class _ByGraphviz:
    """What `Diagram` is, drawn by Graphviz."""

    def __init__(self, format: str) -> None:  # noqa: A002
        self.picture = picture = new_picture(format)
        picture.engine = "neato"  # it keeps the given positions
        picture.attr(outputorder="edgesfirst", splines="line")
        picture.attr("node", shape="circle", fixedsize="true", width=f"{_CIRCLE / 72:.3f}")
        picture.attr("node", style="filled", fillcolor="white")
        picture.attr("edge", arrowhead="none")

    def circle(self, name: str, text: str, place: tuple[float, float], fill: str) -> None:
        size = f"{size_in_circle(text):g}"
        self.picture.node(name, text, pos=_at(place), fillcolor=fill, fontsize=size)

    def text(self, name: str, text: str, place: tuple[float, float]) -> None:
        size = {"fixedsize": "false", "width": "0", "height": "0", "margin": "0.05,0.02"}
        self.picture.node(name, escape(text), pos=_at(place), shape="plaintext", **size)

    def key(self, name: str, text: str, place: tuple[float, float], fill: str) -> None:
        inches = {"width": f"{KEY_WIDTH / 72:g}", "height": f"{KEY_HEIGHT / 72:g}"}
        look = {"shape": "box", "fillcolor": fill, "fontsize": f"{KEY_SIZE:g}"}
        self.picture.node(name, text, pos=_at(place), **look, **inches)

    def line(self, tail: str, head: str, look: Mapping[str, str]) -> None:
        self.picture.edge(tail, head, **look)


Paper = TypeVar("Paper", Diagram, _ByGraphviz)


def _shown(widths: list[int]) -> list[list[int | None]]:
    """Returns the neurons to draw in each column; None stands for the neurons left out."""
    for most in (18, 12, 8, 6, 4):
        kept = [min(width, most) for width in widths]
        if sum(a * b for a, b in pairwise(kept)) <= _MOST_LINES:
            break
    return [
        [*range(width)]
        if width <= most
        else [*range(most // 2), None, *range(width - most // 2, width)]
        for width in widths
    ]


def _at(place: tuple[float, float]) -> str:
    """Returns a position in inches that neato keeps."""
    return f"{place[0] / 72:.3f},{place[1] / 72:.3f}!"
