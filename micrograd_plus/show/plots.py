"""Plots of training and of its results, as matplotlib figures.

>>> figure = plot_loss([0.9, 0.5, 0.3])
>>> figure = plot_activations(["relu", "tanh"])

Each function returns a matplotlib `Figure`, which notebooks display. `path=` also writes it to a
file, in the format of the extension, such as .png, .svg or .pdf. No window is opened, and
matplotlib's global state is not changed. Plots need `pip install "micrograd-plus[plot]"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import pairwise
from math import ceil, inf, isfinite, nan, sqrt
from pathlib import Path
from statistics import median
from sys import float_info
from typing import TYPE_CHECKING, Any

from ..context import no_grad
from ..numbers import number_of
from ..ops import function_of_one
from ..support.nested import flatten, is_nested, plain
from ..support.words import in_short
from .scale import NEGATIVE, NEGATIVE_LINE, POSITIVE, POSITIVE_LINE
from .style import MARKERS, PALETTE, TICK_PAD, TICK_SIZE, new_figure, width_of_ticks

if TYPE_CHECKING:
    from .figure import Plot


def plot_loss(history: Any, *, unit: str = "epoch", path: str | Path | None = None) -> Plot:
    """Plots the loss over the epochs and, if the history has them, accuracy and gradient norm.

    history: the result of `train.fit`, or an object with lists called loss, accuracy, val_loss,
        val_accuracy and grad_norm, with one number per epoch; or a list of losses; or a dictionary
        of several of these by name, to compare their losses.
    unit: the name of the x axis: "step" for the losses that `run` of a compiled step returns.

    If there are more than 200 numbers, they are divided into 20 parts, and the mean of each part is
    drawn too.

    >>> figure = plot_loss({"lr = 0.1": [0.9, 0.5, 0.3], "lr = 0.01": [0.9, 0.8, 0.7]})
    """
    if isinstance(history, Mapping):
        losses = [(name, _series(one)["loss"]) for name, one in history.items()]
        panels = [("loss", losses)]
    else:
        series = _series(history)
        panels = [
            (title, [(label, numbers) for label, name in names if (numbers := series.get(name))])
            for title, names in (
                ("loss", (("training", "loss"), ("validation", "val_loss"))),
                ("accuracy", (("training", "accuracy"), ("validation", "val_accuracy"))),
                ("gradient norm", (("training", "grad_norm"),)),
            )
        ]
    panels = [(title, curves) for title, curves in panels if curves]
    with new_figure(1.5 + 5 * len(panels), 4.2, 1, len(panels), path) as (figure, axes):
        for ax, (title, curves) in zip(axes, panels):
            for (label, numbers), color, style in zip(curves, PALETTE, ("-", "--", "-.", ":") * 2):
                _curve(ax, numbers, {"color": color, "linestyle": style, "label": label})
            numbers = [number for _, curve in curves for number in curve]
            finite = [number for number in numbers if isfinite(number)]
            if title == "accuracy":
                ax.set_ylim(-0.02, 1.02)
                ax.yaxis.set_major_formatter("{x:.0%}")
            elif finite and 0 < 100 * min(finite) < max(finite):
                ax.set_yscale("log")
            elif finite and min(finite) >= 0:
                ax.set_ylim(bottom=0)
            _mark_the_end(ax, curves[0][1], unit)
            ax.xaxis.get_major_locator().set_params(integer=True)
            ax.set(title=title, xlabel=unit)
            ax.grid(visible=True)
            if len(curves) > 1:
                ax.legend()
    return figure


def _series(history: Any) -> dict[str, list[float]]:
    """Returns the lists of numbers of one training, by name."""
    if isinstance(history, (list, tuple)) or hasattr(history, "tolist"):
        series = {"loss": list(plain(history))}
    else:
        names = ("loss", "val_loss", "accuracy", "val_accuracy", "grad_norm")
        series = {name: list(plain(getattr(history, name, ()))) for name in names}
    if not series["loss"]:
        raise ValueError(
            "plot_loss takes the history of at least one epoch, as train.fit returns it, or a "
            f"list of losses, not {in_short(history)}"
        )
    return series


def _curve(ax: Any, numbers: list[float], line: dict[str, Any]) -> None:
    """Draws one line; many numbers become a pale line, with a line of means over it."""
    shown = [number if isfinite(number) else nan for number in numbers]
    places: list[float] = list(range(1, len(shown) + 1))
    if len(shown) > 200:
        ax.plot(places, shown, color=line["color"], linewidth=0.6, alpha=0.35)
        cuts = [len(shown) * k // 20 for k in range(21)]
        places, shown = (
            [sum(row[a:b]) / (b - a) for a, b in pairwise(cuts)] for row in (places, shown)
        )
    ax.plot(places, shown, marker="o" if len(numbers) < 10 else "", **line)


def _mark_the_end(ax: Any, numbers: list[float], unit: str) -> None:
    """Marks the first number that is inf or nan, if there is one."""
    for place, number in enumerate(numbers, start=1):
        if not isfinite(number):
            ax.axvline(place, color=PALETTE[1], linestyle=":")
            at = {"xy": (place, 0.5), "xycoords": ("data", "axes fraction")}
            ax.annotate(f"{number} at {unit} {place} ", **at, ha="right", color="#a34700")
            return


def plot_decision_boundary(
    model: Any,
    X: Sequence[Sequence[float]],
    y: Sequence[Any],
    *,
    threshold: float = 0.0,
    resolution: int = 60,
    path: str | Path | None = None,
) -> Plot:
    """Plots the predictions of a classifier of points in the plane, and the points.

    model: it takes a row of two numbers and returns one Value, for two classes, or a list of
        Values, one for each class; the class with the largest Value is the prediction.
    X, y: the points, n rows of two numbers, and their n classes.
    threshold: the limit between two classes: 0 for scores, 0.5 for probabilities.
    resolution: the model is evaluated at resolution × resolution points, by a compiled program if
        it is a module that compiles.

    >>> from micrograd_plus import data, nn
    >>> X, y = data.moons(20, seed=0)
    >>> figure = plot_decision_boundary(nn.MLP(2, [4, 1]), X, y)
    """
    points = numbers_of(X)
    labels = [number_of(label) for label in flatten(list(plain(y)))]
    classes = sorted(set(labels))
    if not points or any(len(point) != 2 for point in points):
        widths = sorted({len(point) for point in points})
        raise ValueError(f"X must have rows of two numbers, not of {widths}")
    if len(labels) != len(points):
        raise ValueError(f"X has {len(points)} rows, but y has {len(labels)} classes")
    if len(classes) > len(PALETTE):
        raise ValueError(
            f"y has {len(classes)} different classes, but at most {len(PALETTE)} can be drawn"
        )
    xs, ys = (_ticks([point[i] for point in points], resolution) for i in (0, 1))
    answers = _answers(model, [[x1, x2] for x2 in ys for x1 in xs])
    several = len(answers[0]) > 1
    if not several and len(classes) > 2:
        raise ValueError(
            f"a model with one output can separate two classes, but y has {len(classes)}: "
            "use a model with one output for each class"
        )

    with new_figure(7.2, 5.6, 1, 1, path) as (figure, (ax,)):
        if several:
            for i, color in zip(range(len(answers[0])), PALETTE):
                lead = _grid([a[i] - max(a[:i] + a[i + 1 :]) for a in answers], resolution)
                _fill_above_zero(ax, xs, ys, lead, color)
        else:
            scores = _grid([answer[0] for answer in answers], resolution)
            _fill_by_score(figure, ax, xs, ys, scores, threshold)
        for i, label in enumerate(classes):
            index = int(label) if several and 0 <= label < len(PALETTE) else i
            two = (NEGATIVE_LINE, POSITIVE_LINE)
            color = two[i] if len(classes) == 2 and not several else PALETTE[index]
            chosen = [point for point, own in zip(points, labels) if own == label]
            ax.scatter(
                [point[0] for point in chosen],
                [point[1] for point in chosen],
                s=45,
                color=color,
                marker=MARKERS[i],
                edgecolors="white",
                linewidths=0.8,
                label=f"class {label:g}",
            )
        ax.set(xlabel="x1", ylabel="x2", xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
        figure.legend(loc="outside upper center", ncols=min(len(classes), 4))
    return figure


def numbers_of(rows: Any) -> list[list[float]]:
    """Converts rows of numbers or Values to rows of floats."""
    return [[number_of(v) for v in plain(row)] for row in plain(rows)]


def _grid(numbers: list[float], columns: int) -> list[list[float]]:
    return [numbers[i : i + columns] for i in range(0, len(numbers), columns)]


def _spread(heights: list[list[float]], level: float) -> tuple[bool, bool]:
    """Whether heights lie above, and below, the level; a contour needs both."""
    flat = [height for row in heights for height in row if isfinite(height)]
    return any(height > level for height in flat), any(height < level for height in flat)


def _fill_above_zero(
    ax: Any, xs: list[float], ys: list[float], heights: list[list[float]], color: str
) -> None:
    above, below = _spread(heights, 0.0)
    if above:
        ax.contourf(xs, ys, heights, [0.0, inf], colors=[color], alpha=0.35)
    if above and below:
        ax.contour(xs, ys, heights, [0.0], colors="black", linewidths=1)


def _fill_by_score(
    figure: Plot,
    ax: Any,
    xs: list[float],
    ys: list[float],
    scores: list[list[float]],
    threshold: float,
) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    farthest = max((abs(s - threshold) for row in scores for s in row if isfinite(s)), default=0.0)
    levels = [threshold + (farthest or 1.0) * (i / 10 - 1) for i in range(21)]
    colors = LinearSegmentedColormap.from_list("scale", (NEGATIVE, "white", POSITIVE))
    filled = ax.contourf(xs, ys, scores, levels, cmap=colors)
    figure.colorbar(filled, ax=ax, label="output of the model", ticks=levels[::5], format="%.3g")
    if all(_spread(scores, threshold)):
        ax.contour(xs, ys, scores, [threshold], colors="black", linewidths=2)


def _ticks(numbers: list[float], count: int) -> list[float]:
    """Returns `count` numbers from a little below the smallest to a little above the largest."""
    margin = 0.1 * (max(numbers) - min(numbers)) or 1.0
    low, high = min(numbers) - margin, max(numbers) + margin
    return [low + (high - low) * i / (count - 1) for i in range(count)]


def _answers(model: Any, rows: list[list[float]]) -> list[list[float]]:
    """Returns the model's outputs for each row, in evaluation mode."""
    with evaluating(model):
        return [[number_of(v) for v in flatten(outputs)] for outputs in _outputs(model, rows)]


def _outputs(model: Any, rows: list[list[float]]) -> Iterable[Any]:
    """What the model returns for each row: compiled if possible, as a grid has thousands."""
    from .. import compiler

    if compiler.is_native() and hasattr(model, "parameters"):
        with suppress(TypeError, ValueError):  # of what cannot be compiled
            outputs: list[Any] = plain(compiler.compile(model)(rows))
            return outputs
    return map(model, rows)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Records no graph inside the `with`, and sets the evaluation mode of a module."""
    with no_grad(), getattr(model, "evaluating", nullcontext)():
        yield


def plot_activations(names: str | Sequence[str], *, path: str | Path | None = None) -> Plot:
    """Plots functions of the op table and their derivatives, from -5 to 5.

    names: a name, such as "tanh", or a list of names.

    >>> figure = plot_activations(["relu", "tanh", "gelu"])
    """
    ops = [function_of_one(name) for name in ([names] if isinstance(names, str) else names)]
    if not ops:
        raise ValueError("plot_activations takes at least one name, such as 'tanh'")
    columns = min(len(ops), 3)
    rows = ceil(len(ops) / columns)
    xs = [i / 50 for i in range(-250, 251)]
    with new_figure(1 + 4.2 * columns, 0.8 + 3.4 * rows, rows, columns, path) as (figure, axes):
        for ax, op in zip(axes, ops):
            ys = [op.forward(x, *op.defaults) for x in xs]
            slopes = [
                op.partials(y, x, *op.defaults)[0] if isfinite(y) else nan for x, y in zip(xs, ys)
            ]
            ax.axhline(0, color="#999999", linewidth=0.8)
            ax.axvline(0, color="#999999", linewidth=0.8)
            ax.plot(xs, ys, color=PALETTE[0], label="f(x)")
            ax.plot(xs, slopes, "--", color=PALETTE[1], label="f′(x)")
            shown = [y for y in ys + slopes if isfinite(y)]
            low, high = max(-5.0, min(shown)), min(5.0, max(shown))
            ax.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
            ax.set(title=op.name, xlabel="x")
            ax.grid(visible=True)
        for ax in axes[len(ops) :]:
            ax.set_axis_off()
        lines = axes[0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside lower center", ncols=2)
    return figure


def plot_gradients(model: Any, *, path: str | Path | None = None) -> Plot:
    """Plots the sizes of the gradients of each layer's weights and biases, on a logarithmic scale.

    A box contains the middle half of the gradients; its whiskers end at the smallest and the
    largest. The text below gives the number of gradients that are exactly 0. If the boxes become
    lower towards the input, the gradients vanish.

    >>> from micrograd_plus import nn
    >>> model = nn.MLP(2, [4, 1])
    >>> model([1.0, -2.0]).backward()
    >>> figure = plot_gradients(model)
    """
    if not hasattr(model, "named_parameters"):
        raise TypeError(
            f"plot_gradients takes a module with named_parameters(), not a {type(model).__name__}"
        )
    sizes: dict[str, list[float]] = {}
    for name, parameter in model.named_parameters():
        group = re.sub(r"neurons\.\d+\.|\[\d+\]", "", name)
        sizes.setdefault(group, []).append(abs(parameter.grad))
    positive = {group: [s for s in of if isfinite(s) and s > 0] for group, of in sizes.items()}
    if not any(positive.values()):
        raise ValueError("every gradient is 0: call backward() on a loss first")
    labels = []
    for group, of in sizes.items():
        zeros, wild = of.count(0.0), sum(not isfinite(size) for size in of)
        notes = [f"{zeros} of {len(of)} are 0"] * (zeros > 0) + [f"{wild} inf or nan"] * (wild > 0)
        labels.append("\n".join([group, *notes]))
    with new_figure(min(2 + 1.7 * len(sizes), 12.0), 5.0, 1, 1, path) as (figure, (ax,)):
        boxes = ax.boxplot(
            [positive[group] or [nan] for group in sizes],
            whis=(0, 100),
            widths=0.55,
            patch_artist=True,
            medianprops={"color": "black", "linewidth": 2},
        )
        for box in boxes["boxes"]:
            box.set_facecolor(POSITIVE)
        ax.set_yscale("log")
        ax.set_xticks(range(1, len(labels) + 1), labels, rotation=0 if len(labels) < 9 else 60)
        ax.set(ylabel="|gradient|", title="gradients by layer, from input to output")
        ax.grid(visible=True, axis="y")
    return figure


def plot_gradient_through_time(
    states: Mapping[str, Any], *, path: str | Path | None = None
) -> Plot:
    """Plots the gradient at each step as a share of the last state's, on a logarithmic scale.

    states: for each model's name the hidden states of one sequence, a row of Values for each step,
        such as the `output` of an RNN, or a list of these, for many sequences of the same length,
        after `backward()` from a loss that depends on the last state. A dictionary of several such
        dictionaries, with titles as keys, is drawn side by side.

    The gradient of a state is the norm of the vector of its numbers' gradients, divided by that of
    the last state. The line is the median over the sequences; the band is the range from the
    smallest to the largest. The legend gives the factor by which the median changes per step back
    in time. If a line falls towards the left, the gradient vanishes (Bengio et al. 1994).

    >>> from micrograd_plus.nn import LSTM
    >>> states, _ = LSTM(1, 2)([[0.5], [1.0], [-1.0]])
    >>> sum(states[-1]).backward()
    >>> figure = plot_gradient_through_time({"LSTM": states})
    """
    if not isinstance(states, Mapping) or not states:
        raise TypeError(
            "plot_gradient_through_time takes a dictionary of hidden states, such as "
            f"{{'LSTM': output}}, not {in_short(states)}"
        )
    nested = all(isinstance(models, Mapping) for models in states.values())
    panels: Mapping[str, Mapping[str, Any]] = states if nested else {"": states}
    shares = {
        title: {name: _shares_through_time(name, of_model) for name, of_model in models.items()}
        for title, models in panels.items()
    }
    with new_figure(1.5 + 6 * len(panels), 4.8, 1, len(panels), path) as (figure, axes):
        for ax, (title, models) in zip(axes, shares.items()):
            for (name, steps), color, marker in zip(models.items(), PALETTE, MARKERS):
                numbers = range(1, len(steps) + 1)
                middle = [median(step) for step in steps]
                factor = middle[0] ** (1 / max(1, len(steps) - 1))
                ax.fill_between(
                    numbers,
                    [min(s) for s in steps],
                    [max(s) for s in steps],
                    color=color,
                    alpha=0.2,
                    linewidth=0,
                )
                line: Any = {"color": color, "marker": marker, "markersize": 5}
                ax.plot(numbers, middle, label=f"{name}: × {factor:.2f} per step", **line)
            ax.set_yscale("log")
            ax.sharey(axes[0])
            ax.xaxis.get_major_locator().set_params(integer=True)
            ax.set(xlabel="step of the sequence", title=title)
            ax.grid(visible=True)
            ax.legend()
        axes[0].set_ylabel("|gradient of the state|,\nrelative to the last step")
    return figure


def _shares_through_time(name: str, states: Any) -> list[list[float]]:
    """For each step the gradients of that state in all sequences, relative to the last state's.

    A gradient that is too small for a float counts as the smallest float, which a logarithmic
    scale can show.
    """
    sequences = states if is_nested(states[0]) else [states]
    relative = []
    for sequence in sequences:
        lengths = [sqrt(sum(value.grad**2 for value in row)) for row in sequence]
        if not lengths[-1]:
            raise ValueError(
                f"the gradient of the last state of {name} is 0: call backward() on a loss that "
                "depends on it first"
            )
        relative.append([max(length / lengths[-1], float_info.min) for length in lengths])
    if len({len(lengths) for lengths in relative}) > 1:
        raise ValueError(f"the sequences of {name} have different lengths: take equal ones")
    return [list(step) for step in zip(*relative)]


def plot_confusion_matrix(
    y: Sequence[int],
    predicted: Sequence[int],
    classes: Sequence[str],
    *,
    path: str | Path | None = None,
) -> Plot:
    """Plots how often each class was predicted for each true class; the diagonal is correct.

    y, predicted: the true and the predicted class of each example, as indices of `classes`.

    >>> figure = plot_confusion_matrix([0, 1, 1], [0, 1, 0], ["cat", "dog"])
    """
    counts = [[0] * len(classes) for _ in classes]
    for truth, guess in zip(y, predicted, strict=True):
        counts[truth][guess] += 1
    side = 2.5 + 0.75 * len(classes)
    with new_figure(side + 0.8, side, 1, 1, path) as (figure, (ax,)):
        ax.imshow(counts, cmap="Blues", vmin=0)
        most = max(max(row) for row in counts)
        for i, row in enumerate(counts):
            for k, count in enumerate(row):
                color = "white" if count > most / 2 else "black" if count else "#767676"
                ax.text(k, i, count, ha="center", va="center", color=color)
        names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
        slanted = max(map(len, names)) > 3
        ax.set_xticks(
            range(len(names)), names, **{"rotation": 30, "ha": "right"} if slanted else {}
        )
        ax.set_yticks(range(len(names)), names)
        ax.tick_params(length=0)
        ax.set(xlabel="predicted", ylabel="true")
    return figure


def plot_attention(
    weights: Sequence[Any],
    tokens: Sequence[str],
    keys: Sequence[str] | None = None,
    *,
    path: str | Path | None = None,
) -> Plot:
    """Plots the attention weight of each query (row) for each key (column), for each head.

    weights: weights[head][query][key], as in MultiHeadAttention, or weights[query][key].
    tokens: the labels of the queries: a text, or a list of words.
    keys: the labels of the keys, if they belong to another sequence.

    >>> figure = plot_attention([[[1.0, 0.0], [0.4, 0.6]]], ["a", "b"])
    """
    table = plain(weights)
    heads = table if is_nested(table) and is_nested(plain(table[0])) else [table]
    numbers = [numbers_of(head) for head in heads]
    columns = list(tokens if keys is None else keys)
    if any(
        len(head) != len(tokens) or any(len(row) != len(columns) for row in head)
        for head in numbers
    ):
        raise ValueError(
            f"for {len(tokens)} queries and {len(columns)} keys, the weights of each head must be "
            f"{len(tokens)} rows of {len(columns)} numbers"
        )
    across = min(len(heads), 4)
    down = ceil(len(heads) / across)
    # All in inches, so that matplotlib need not measure every text twice to find room for it.
    label, of_row = width_of_ticks(columns), width_of_ticks(tokens)
    cell = max(0.36, min(1.6 / len(tokens), 2.4 / len(columns)), label + 0.12 if label < 0.5 else 0)
    is_upright = label < cell
    wide, high = cell * len(columns), cell * len(tokens)
    left, right, gap = of_row + 0.6, 1.2, max(0.3, 1 - wide)
    above, deep = 0.45, 0.2 if is_upright else label
    below = max(deep + 0.4, 2.7 - above - high)  # room for the colour bar
    width, height = left + across * (wide + gap) - gap + right, down * (above + high + below)
    places = {
        **{"left": left / width, "right": 1 - right / width, "wspace": gap / wide},
        **{"bottom": below / height, "top": 1 - above / height, "hspace": (above + below) / high},
    }
    with new_figure(width, height, down, across, path, places) as (figure, axes):
        for i, (ax, head) in enumerate(zip(axes, numbers)):
            image = ax.imshow(head, cmap="Blues", vmin=0, vmax=1)
            ax.set(title=f"head {i}" if len(heads) > 1 else "", xticks=[], yticks=[])
            ax.set_xlabel("key", labelpad=72 * deep + TICK_PAD)
            # Texts in the places of ticks, which take three times as long: each has three lines.
            place, va, ha = ax.get_xaxis_text1_transform(TICK_PAD)
            how = {"transform": place, "va": va, "ha": ha, "size": TICK_SIZE}
            for k, text in enumerate(columns):
                ax.text(k, 0, text, rotation=0 if is_upright else 90, **how)
            if i % across == 0:
                ax.set_ylabel("query", labelpad=72 * of_row + 2 * TICK_PAD)
                place, va, ha = ax.get_yaxis_text1_transform(TICK_PAD)
                how = {"transform": place, "va": va, "ha": ha, "size": TICK_SIZE}
                for k, text in enumerate(tokens):
                    ax.text(0, k, text, **how)
        for ax in axes[len(heads) :]:
            ax.set_axis_off()
        beside = (1 - (right - 0.25) / width, 0.15, 0.15 / width, 0.7)
        figure.colorbar(image, cax=figure.add_axes(beside), label="attention weight")
    return figure


def plot_residuals(
    y: Sequence[float], predicted: Sequence[float], name: str, *, path: str | Path | None = None
) -> Plot:
    """Plots predicted against true numbers, and the residuals; exact predictions lie on the lines.

    name: the name of the quantity, with its unit.

    >>> figure = plot_residuals([1.0, 2.0, 3.0], [1.1, 1.9, 3.2], "height in m")
    """
    residuals = [guess - truth for truth, guess in zip(y, predicted, strict=True)]
    low, high = min([*y, *predicted]), max([*y, *predicted])
    with new_figure(11, 4.8, 1, 2, path) as (figure, (left, right)):
        dots: Any = {"s": 40, "color": PALETTE[0], "edgecolors": "white", "linewidths": 0.8}
        left.plot([low, high], [low, high], color="black", linewidth=1)
        left.scatter(y, predicted, **dots)
        left.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
        right.axhline(0, color="black", linewidth=1)
        right.scatter(predicted, residuals, **dots)
        right.set(xlabel=f"predicted {name}", ylabel="predicted - true")
        for ax in (left, right):
            ax.grid(visible=True)
    return figure
