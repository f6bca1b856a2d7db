"""`lint` finds mistakes in training code, and says in which line they are and how to fix them.

>>> from micrograd_plus.engine import Value
>>> w = Value(1.0, label="w")
>>> with lint() as report:  # doctest: +ELLIPSIS
...     for _ in range(3):
...         loss = (w * 3 - 6) ** 2
...         loss.backward()
...         w.data -= 0.01 * w.grad
lint: 1 finding (3 backward passes, 0 optimizer steps)
<BLANKLINE>
1. backward-without-zero-grad  (<doctest ...>:4, 2 times)
       loss.backward()
   What happens: backward() added its gradients to those of the previous step, which had
   already been used. The parameters then moved by the sum of both.
   What to do: call zero_grad() (or set each p.grad = 0.0) before backward(), once per
   step.
>>> report.kinds
['backward-without-zero-grad']

`findings` holds the report, `watching` wraps `backward()` and `step()` to observe a training loop,
`judge` looks for units and layers that do not learn, and `graphs` analyses one graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, overload

from ...engine import Value
from ...functional import sum as total
from ...nn import Module
from ...nn.loss import Loss
from ...optim import Optimizer
from ...support.nested import flatten, plain
from .findings import Finding, Place, Report, user_place
from .judge import Judge
from .watching import LOWER_THE_RATE, Watch

__all__ = ["Finding", "Place", "Report", "lint"]


@overload
def lint(*, quiet: bool = False) -> Watch: ...


@overload
def lint(
    model: Module,
    X: Any = None,
    y: Any = None,
    *,
    loss: str | Callable[[Any, Any], Value] | None = None,
    optimizer: Optimizer | None = None,
) -> Report: ...


def lint(
    model: Module | None = None,
    X: Any = None,
    y: Any = None,
    *,
    loss: str | Callable[[Any, Any], Value] | None = None,
    optimizer: Optimizer | None = None,
    quiet: bool = False,
) -> Watch | Report:
    """Finds training mistakes: `with lint():` checks the code inside, `lint(model)` checks a model.

    `with lint() as report:` observes every eager `backward()`, `step()` and `zero_grad()` of this
    thread, including those inside `fit`, and prints the report at the end unless `quiet` is true.
    The whole graph, with its units and layers, is analysed when a line calls backward() for the
    1st, 3rd, 9th, 27th … time, so that the training loop stays nearly as fast as without `lint`.
    Compiled code is not observed. `fit` compiles where llvmlite is installed; to observe it, write
    `fit(..., compiled=False)`.

    `lint(model)` checks the gradients that the last backward() left in the parameters.
    optimizer: its next step is checked too, but not taken.
    X, y, loss: examples, their targets, and a loss as for `fit`. With all three, the gradients are
    computed again, in evaluation mode; with X only, the outputs are. Then dead and saturated units
    are counted as well. Parameters and gradients do not change.

    A report is a list of findings, false if it is empty. Each finding has a `kind`, a `message`, a
    `fix`, a `place` in the code and a `count`.

    >>> import random
    >>> from micrograd_plus import nn, optim
    >>> model = nn.MLP(1, [1], generator=random.Random(0))
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> with lint(quiet=True) as report:
    ...     optimizer.step()
    >>> [finding.kind for finding in report]
    ['step-without-backward']
    """
    if model is None:
        if not (X is None and y is None and loss is None and optimizer is None):
            raise TypeError("lint() without a model is used as `with lint():` and takes no data")
        return Watch(quiet)
    if not isinstance(model, Module):
        raise TypeError(
            "lint takes a Module, or no argument in `with lint():` around a training loop; it was "
            f"given a {type(model).__name__}"
        )
    if (y is None) != (loss is None) or (X is None and y is not None):
        raise TypeError("to compute gradients, lint needs all of X, y and loss")
    report = Report()
    judge = Judge(report)
    judge.learn(model)
    parameters = model.parameters()
    place = user_place()
    with _as_it_was(model, parameters):
        if loss is not None:
            result = _function(loss)(model(list(plain(X))), list(plain(y)))
            for parameter in parameters:
                parameter.grad = 0.0
            result.backward()
            judge.want(parameters)
            judge.look(result, place)
        elif not any(parameter.grad for parameter in parameters):
            report.add(
                "read-before-backward",
                "every gradient of the model is 0: backward() was not called since zero_grad().",
                "call backward() on a loss first, or pass the data to lint: "
                "lint(model, X, y, loss=...).",
                place,
            )
        else:
            judge.look_at_gradients(place)
        if X is not None and loss is None:
            judge.look_at_units(total(list(flatten(model(list(plain(X)))))), place)
        if optimizer is not None:
            _judge_next_step(optimizer, report, place)
    judge.conclude()
    report.watched = type(model).__name__
    return report


def _function(loss: str | Callable[[Any, Any], Value]) -> Callable[[Any, Any], Value]:
    if not isinstance(loss, str):
        return loss
    named = {module.function.__name__: module.function for module in Loss.__subclasses__()}
    if loss not in named:
        raise ValueError(f"there is no loss {loss!r}; the losses are {', '.join(named)}")
    return named[loss]


@contextmanager
def _as_it_was(model: Module, parameters: Sequence[Value]) -> Iterator[None]:
    """Sets evaluation mode; restores the mode and the gradients at the end."""
    gradients = [parameter.grad for parameter in parameters]
    try:
        with model.evaluating():
            yield
    finally:
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient


def _judge_next_step(optimizer: Optimizer, report: Report, place: Place | None) -> None:
    before = [p.data for p in optimizer.parameters]
    after = [
        optimizer.update(p.grad, p.data, dict(remembered))
        for p, remembered in zip(optimizer.parameters, optimizer.state)
    ]
    size, step = math.hypot(*before), math.dist(before, after)
    if not step <= size:
        report.add(
            "learning-rate-too-large",
            "the next step would be larger than the weights themselves: the norm of the weights "
            f"is {size:.3g}, and the norm of the step is {step:.3g}.",
            LOWER_THE_RATE,
            place,
        )
