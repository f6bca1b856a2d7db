"""Losses: numbers that measure the error of a prediction, for one example or a batch.

>>> print(f"{mse([1.0, 3.0], [1.0, 1.0]):g}")
2
>>> print(f"{cross_entropy([2.0, 0.0, -1.0], 0):.4f}")
0.1698

`prediction` and `target` are nested lists of Values or numbers, with the same shape; a column of
predictions, [[p], [p]], may also have a flat list of targets. `reduction` is "mean", "sum", or
"none" for a list of the single losses. Formulas and edge cases are PyTorch's. A target that does
not fit raises ValueError.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from .context import scope
from .engine import Operand, Value, as_value
from .functional import logsumexp, maximum, relu, softplus, where
from .functional import sum as total
from .numbers import number_of
from .recordable import pick, require
from .support.nested import flatten, is_nested, plain

__all__ = ["bce", "bce_with_logits", "cross_entropy", "hinge", "huber", "l1", "mse"]


def mse(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """(prediction - target)².

    >>> mse([1.0, 3.0], [1.0, 1.0]).data
    2.0
    """
    return _each("mse", lambda p, t: (p - t) ** 2, prediction, target, reduction)


def l1(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """|prediction - target|.

    >>> l1([1.0, 3.0], [1.0, 1.0]).data
    1.0
    """
    return _each("l1", lambda p, t: abs(p - t), prediction, target, reduction)


def huber(prediction: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Half the squared error up to the distance delta, linear beyond it (Huber 1964).

    >>> [loss.data for loss in huber([1.5, 3.0], [1.0, 1.0], reduction="none")]
    [0.125, 1.5]
    """
    if not delta > 0:
        raise ValueError(f"delta must be above 0, not {delta!r}")

    def one(p: Value, t: Operand) -> Value:
        distance = abs(p - t)
        is_near = distance <= delta
        near = where(is_near, distance, 0.0)  # 0 if it is not used, to avoid 0 * inf
        far = where(is_near, 0.0, distance - 0.5 * delta)
        return 0.5 * near * near + delta * far

    return _each("huber", one, prediction, target, reduction)


def hinge(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """max(0, 1 - target * score): 0 if the score has the right sign and a size of at least 1.

    The target is -1 or 1 (Cortes & Vapnik 1995).

    >>> [loss.data for loss in hinge([0.25, 3.0, -0.5], [1, 1, 1], reduction="none")]
    [0.75, 0.0, 1.5]
    """

    def one(score: Value, t: Operand) -> Value:
        require(t, lambda t: t in (-1, 1), "the target of hinge is -1 or 1, not {}")
        return relu(1 - score * t)

    return _each("hinge", one, prediction, target, reduction)


def bce(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Binary cross-entropy of a probability: -log p for a target of 1, -log(1 - p) for 0.

    The logarithm is never below -100, as in PyTorch. Its gradient is 0 there and exact elsewhere;
    PyTorch limits it to 1e12. If the probability is the output of a sigmoid, `bce_with_logits` is
    exact everywhere.

    >>> print(f"{bce([0.9, 0.2], [1, 0]):.4f}")
    0.1643
    """
    smallest = math.exp(-100)

    def one(p: Value, t: Operand) -> Value:
        require(
            p,
            lambda p: 0 <= p <= 1 or math.isnan(p),
            "bce takes probabilities between 0 and 1, not {}: for any number there is "
            "bce_with_logits",
        )
        _require_share("bce", t)
        log_p, log_not_p = maximum(p, smallest).log(), maximum(1 - p, smallest).log()
        return -(log_p * t + log_not_p * (1 - t))

    return _each("bce", one, prediction, target, reduction)


def bce_with_logits(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Binary cross-entropy of sigmoid(prediction), exact for any number.

    >>> print(f"{bce_with_logits([2.0, -1.0], [1, 0]):.4f}")
    0.2201
    """

    def one(z: Value, t: Operand) -> Value:
        _require_share("bce_with_logits", t)
        return softplus(z) - z * t

    return _each("bce_with_logits", one, prediction, target, reduction)


def _require_share(name: str, target: Operand) -> None:
    require(
        target,
        lambda t: 0 <= t <= 1,
        f"the target of {name} is a number from 0 to 1, not {{}}: "
        "for the classes -1 and 1 use hinge",
    )


def cross_entropy(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """-log of the softmax probability of the right class.

    prediction: a row of logits, one per class; or a list of rows.
    target: the index of the right class; or a list of indices.

    >>> print(f"{cross_entropy([2.0, 0.0, -1.0], 0):.4f}")
    0.1698
    >>> print(f"{cross_entropy([[2.0, 0.0], [0.0, 0.0]], [0, 1]):.4f}")  # the mean of two
    0.4100
    """
    logits, indices = plain(prediction), plain(target)
    one_example = not is_nested(logits)
    many_targets = isinstance(indices, (list, tuple))
    if not isinstance(logits, (list, tuple)) or (one_example and logits and many_targets):
        raise ValueError(
            "cross_entropy takes a row of logits, one for each class, and was given single "
            "numbers: the model needs one output for each class"
        )
    if not one_example and is_nested(plain(logits[0])):
        raise ValueError(
            "cross_entropy takes the rows of logits of one sequence, and was given several "
            "sequences: compute the mean of their losses, or mp.compile the loss of one sequence"
        )
    rows, indices = ([logits], [indices]) if one_example else (logits, indices)
    _check_lengths("cross_entropy", rows if logits else [], indices)
    with scope("cross_entropy"):
        each = []
        for row, index in zip(rows, indices):
            values = [as_value(v) for v in plain(row)]
            each.append(logsumexp(values) - pick(values, _class_index(index, len(values))))
        reduced = _reduce(each, reduction)
        return each[0] if one_example else reduced


def _class_index(index: Any, count: int) -> Any:
    if isinstance(index, Value):
        return index  # `pick` checks it
    try:
        i = operator.index(index)
    except TypeError:
        raise ValueError(f"the target of cross_entropy is a class's index, not {index!r}") from None
    if not 0 <= i < count:
        raise ValueError(f"the target {i} is not one of the {count} classes, 0 to {count - 1}")
    return i


def count_correct(loss: Callable[..., Any], predictions: Any, right: Sequence[Any]) -> int | None:
    """How many predictions are right, for a model trained with `loss`; None for regression.

    predictions: one for each example; fast for an array with a row for each.
    right: what `right_decisions` gives for their targets.
    """
    if loss is not cross_entropy and loss not in _BOUNDARIES:
        return None
    rows = predictions if hasattr(predictions, "argmax") else list(map(_row, predictions))
    count: int = sum(map(operator.eq, _decisions(loss, rows), right))
    return count


def right_decisions(loss: Callable[..., Any], targets: Sequence[Any]) -> list[Any]:
    """What `count_correct` compares predictions with, for each target; None for regression.

    For cross_entropy the index of the class, else for each output whether it is the second class.
    """
    if loss is cross_entropy:
        return [_row(target)[0] for target in targets]
    if loss not in _BOUNDARIES:
        return [None] * len(targets)
    _, limit = _BOUNDARIES[loss]
    return [[x > limit for x in _row(target)] for target in targets]


def _decisions(loss: Callable[..., Any], rows: Any) -> list[Any]:
    """What the rows of outputs decide, in an array or a list."""
    is_array = hasattr(rows, "argmax")
    if loss is cross_entropy:
        return rows.argmax(1).tolist() if is_array else [row.index(max(row)) for row in rows]
    limit, _ = _BOUNDARIES[loss]
    return (rows > limit).tolist() if is_array else [[x > limit for x in row] for row in rows]


def _row(numbers: Any) -> list[float]:
    """All numbers of an example, one after another; floats, of which fit has many, as they are."""
    kind = type(numbers)
    if kind is float or kind is int:
        return [numbers]
    if kind is list and {*map(type, numbers)} == {float}:
        return numbers  # type: ignore[no-any-return]
    return [x if isinstance(x, bool) else number_of(x) for x in flatten(numbers)]


_BOUNDARIES: dict[Callable[..., Any], tuple[float, float]] = {
    hinge: (0, 0),
    bce: (0.5, 0.5),
    bce_with_logits: (0, 0.5),
}
"""Loss → the limits above which an output, and a target, mean the second class."""


def check_reduction(reduction: str) -> str:
    """Returns `reduction`; ValueError if it is none."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    return reduction


def _each(
    name: str, one: Callable[[Value, Operand], Value], prediction: Any, target: Any, reduction: str
) -> Any:
    predictions, targets = list(flatten(prediction)), list(flatten(target))
    _check_lengths(name, predictions, targets)
    with scope(name):
        return _reduce([one(as_value(p), t) for p, t in zip(predictions, targets)], reduction)


def _check_lengths(name: str, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
    if not predictions:
        raise ValueError(f"{name} was given no predictions")
    if len(predictions) != len(targets):
        raise ValueError(
            f"{name} was given {len(predictions)} predictions, but {len(targets)} targets"
        )


def _reduce(each: Sequence[Value], reduction: str) -> Any:
    if check_reduction(reduction) == "none":
        return list(each)
    summed = total(each) if len(each) > 1 else each[0]
    return summed / len(each) if reduction == "mean" and len(each) > 1 else summed
