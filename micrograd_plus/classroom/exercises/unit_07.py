"""The exercises of notebook 07."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ... import functional, optim
from ...engine import Value
from .. import faults
from .exercise import Behaviour, Choice, Exercise, Number
from .unit_06 import descend, fit_slope, slope_case

Numbers = Sequence[float]


# ---- 07.1 and 07.2: what an engine with a bug gives


def _overwritten() -> float:
    a = Value(3.0)
    with faults.overwrite_gradients():
        (a * a).backward()
    return a.grad


def _passed_on_early() -> float:
    a = Value(2.0)
    b = 2 * a
    with faults.recurse_without_order():
        (b + b + b).backward()
    return a.grad


# ---- 07.3: a numerical slope


class _Polynomial(NamedTuple):
    a: int
    b: int

    def __call__(self, x: float) -> float:
        return self.a * x**3 + self.b * x

    def __str__(self) -> str:
        return f"f(x) = {self.a} * x**3 + {self.b} * x"


def _slope_at(generator: random.Random) -> tuple[_Polynomial, float, float]:
    polynomial = _Polynomial(generator.randint(1, 5), generator.randint(1, 5))
    return polynomial, generator.randint(-8, 8) / 4, generator.choice([0.1, 0.5])


def _numerical_slope(f: Callable[[float], float], x: float, h: float) -> float:
    return (f(x + h) - f(x - h)) / (2 * h)


# ---- 07.4: a gradient check


class _Quadratic(NamedTuple):
    a: int
    b: int
    c: int

    def __call__(self, x: Any, y: Any, z: Any) -> Any:
        return self.a * x * x + self.b * x * y + self.c * y * z

    def __str__(self) -> str:
        return f"f(x, y, z) = {self.a} * x * x + {self.b} * x * y + {self.c} * y * z"


def _gradients(generator: random.Random) -> tuple[_Quadratic, list[float], list[float]]:
    f = _Quadratic(*[generator.choice([-3, -2, 2, 3]) for _ in range(3)])
    leaves = [Value(float(generator.choice([-3, -2, -1, 1, 2, 3]))) for _ in range(3)]
    f(*leaves).backward()
    wrong = generator.sample(range(3), generator.randint(0, 2))
    offsets = [generator.choice([-2.0, -1.0, 1.0, 2.0]) if i in wrong else 0.0 for i in range(3)]
    gradients = [leaf.grad + offset for leaf, offset in zip(leaves, offsets)]
    return f, [leaf.data for leaf in leaves], gradients


def _slope(f: Callable[..., float], numbers: Numbers, i: int) -> float:
    def at(x: float) -> float:
        return f(*numbers[:i], x, *numbers[i + 1 :])

    return _numerical_slope(at, numbers[i], 0.001)


def _wrong_positions(f: Callable[..., float], numbers: Numbers, gradients: Numbers) -> list[int]:
    return [
        i for i, gradient in enumerate(gradients) if abs(_slope(f, numbers, i) - gradient) > 0.01
    ]


def _all_shifted(f: Callable[..., float], numbers: Numbers, gradients: Numbers) -> list[int]:
    above, below = ([x + h for x in numbers] for h in (0.001, -0.001))
    slope = (f(*above) - f(*below)) / 0.002
    return [i for i, gradient in enumerate(gradients) if abs(slope - gradient) > 0.01]


# ---- 07.5: a loop with two bugs


def _old_loss(xs: Numbers, ys: Numbers, lr: float, steps: int) -> float:
    """The loss is computed once, before the loop."""
    w = Value(0.0)
    optimizer = optim.SGD([w], lr=lr)
    loss = functional.mean([(w * x - y) ** 2 for x, y in zip(xs, ys)])
    for _ in range(steps):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return w.data


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "07.1",
        "An overwritten gradient",
        1,
        Number(
            _overwritten,
            (
                (6.0, "This is the correct gradient. The engine with the bug keeps one part only."),
                (9.0, "This is L itself. What is the derivative of a product by one factor?"),
                (1.0, "This is the gradient of L. What is it multiplied by on the way to a?"),
                (0.0, "A part is lost, but not everything: which part arrives last?"),
            ),
        ),
    ),
    Exercise(
        "07.2",
        "Passed on too early",
        1,
        Number(
            _passed_on_early,
            (
                (
                    6.0,
                    "This is the correct gradient, the result if b waited for all parts.",
                ),
                (14.0, "b.grad is 1, then 2, then 3: it grows by 1 with each part."),
                (18.0, "When the first part arrives, b.grad is still 1, and not 3."),
                (4.0, "b is used three times. You have counted two parts."),
                (3.0, "This is the gradient of b at the end. What has a received by then?"),
            ),
        ),
    ),
    Exercise(
        "07.3",
        "A slope from two numbers",
        2,
        Behaviour(
            _numerical_slope,
            _slope_at,
            (
                (
                    lambda f, x, h: (f(x + h) - f(x)) / h,
                    "This uses x and x + h. The formula takes one step to each side of x.",
                ),
                (
                    lambda f, x, h: (f(x + h) - f(x - h)) / h,
                    "The two places are 2h apart, and not h.",
                ),
                (
                    lambda f, x, h: (f(x + h) - f(x - h)) / 2 * h,
                    "Python divides by 2 and then multiplies by h. Where are brackets missing?",
                ),
                (
                    lambda f, x, h: f(x + h) - f(x - h),
                    "This is how much f changes. A slope is a change divided by a distance.",
                ),
                (
                    lambda f, x, h: (f(x - h) - f(x + h)) / (2 * h),
                    "The sign is wrong: which of the two numbers is subtracted?",
                ),
                (
                    lambda f, x, h: f(x + h) - f(x - h) / (2 * h),
                    "Python divides first: the difference needs brackets.",
                ),
                (
                    lambda f, x, h: (f(x + h) - f(x - h)) / 2,
                    "h is missing below the line: how far apart are the two places?",
                ),
                (
                    lambda f, x, h: (f(x) - f(x - h)) / h,
                    "This uses x and x - h. The formula takes one step to each side of x.",
                ),
                (
                    lambda f, x, h: _numerical_slope(f, x, 0.001),
                    "The step is the h that is given, and not a number of your own.",
                ),
            ),
            show=lambda f, x, h: f"numerical_slope(f, {x:g}, {h:g}) with {f}",
        ),
    ),
    Exercise(
        "07.4",
        "Your own gradient check",
        3,
        Behaviour(
            _wrong_positions,
            _gradients,
            (
                (
                    _all_shifted,
                    "All numbers are shifted at once. For each gradient only its own number moves.",
                ),
                (
                    lambda f, numbers, gradients: [
                        i for i in range(3) if i not in _wrong_positions(f, numbers, gradients)
                    ],
                    "These are the positions of the right gradients.",
                ),
                (
                    lambda f, numbers, gradients: [
                        i for i in range(3) if _slope(f, numbers, i) - gradients[i] > 0.01
                    ],
                    "Gradients that are too large are not found. Which function forgets the sign?",
                ),
                (
                    lambda f, numbers, gradients: [
                        i + 1 for i in _wrong_positions(f, numbers, gradients)
                    ],
                    "Positions are counted from 0.",
                ),
                (
                    lambda f, numbers, gradients: _wrong_positions(f, numbers, gradients)[:1],
                    "This stops at the first wrong gradient. There may be several.",
                ),
                (
                    lambda f, numbers, gradients: len(_wrong_positions(f, numbers, gradients)),
                    "This is how many are wrong. Return the list of their positions.",
                ),
                (
                    lambda f, numbers, gradients: [
                        i for i, gradient in enumerate(gradients) if abs(gradient) > 0.01
                    ],
                    "The difference is always 0. After `above = numbers` both names mean the same "
                    "list; `list(numbers)` makes a copy.",
                ),
                (
                    lambda f, numbers, gradients: [
                        gradients[i] for i in _wrong_positions(f, numbers, gradients)
                    ],
                    "These are the wrong gradients themselves. Return their positions.",
                ),
                (
                    lambda f, numbers, gradients: [
                        i in _wrong_positions(f, numbers, gradients) for i in range(3)
                    ],
                    "This says for each gradient whether it is wrong. Return the positions only.",
                ),
            ),
            show=lambda f, numbers, gradients: (
                f"wrong_positions(f, {numbers}, {gradients}) with {f}"
            ),
        ),
    ),
    Exercise(
        "07.5",
        "Repair the loop",
        2,
        Behaviour(
            fit_slope,
            slope_case,
            (
                (
                    lambda xs, ys, lr, steps: 0.0,
                    "w does not move: zero_grad deletes the gradients. When may it do so?",
                ),
                (
                    _old_loss,
                    "Each step uses the same gradient. The loss belongs to the w at which it was "
                    "computed: when must it be computed again?",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, lr, steps, keeps=True),
                    "The gradients of all steps are added up: zero_grad is still needed.",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, lr, 1),
                    "This is w after the first step. Is `return` inside the loop?",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, lr, steps - 1),
                    "One step is missing.",
                ),
            ),
        ),
    ),
    Exercise(
        "07.6",
        "A mystery",
        2,
        Choice(
            "b",
            {
                "a": "Then `gradients(u * u, u)` would be wrong. Is it?",
                "b": "A graph such as w = u * v, L = w + w shows it: a computed value is used "
                "twice, and its gradient is passed on too early.",
                "c": "Then `gradients(u - v, u, v)` would be wrong. Is it?",
                "d": "`gradients` sets the leaves to 0 by hand, so this bug would change nothing "
                "here. Try a graph in which a computed value is used twice.",
            },
        ),
    ),
    Exercise(
        "07.q1",
        "Where = for += shows",
        1,
        Choice(
            "c",
            {
                "a": "Each value is used once here, so nothing is overwritten.",
                "b": "Each value is used once here, so nothing is overwritten.",
                "c": "b is used twice: one of its two parts is overwritten.",
                "d": "Where each value is used once, there is nothing to add: = is enough.",
            },
        ),
    ),
    Exercise(
        "07.q2",
        "A loss that does not move",
        1,
        Choice(
            "d",
            {
                "a": "This is a possible reason: all gradients are 0, and step() does nothing.",
                "b": "This is a possible reason: then step() moves nothing.",
                "c": "This is a possible reason: the step moves another model.",
                "d": "Without zero_grad the parameters move, though in a wrong way: the loss "
                "changes.",
            },
        ),
    ),
    Exercise(
        "07.q3",
        "Every operation right, a leaf wrong",
        1,
        Choice(
            "b",
            {
                "a": "Then gradcheck would name the operation.",
                "b": "The parts are right, so they are added or passed on wrongly.",
                "c": "gradcheck computes gradients itself; it does not run the loop.",
                "d": "gradcheck makes no step, so the learning rate does not matter.",
            },
        ),
    ),
    Exercise(
        "07.q4",
        "Why there is no error",
        1,
        Choice(
            "b",
            {
                "a": "Python does not know which number is a derivative.",
                "b": "The step works with any number. That is why a gradient check is needed.",
                "c": "backward() only computes. gradcheck is what compares.",
                "d": "The optimizer believes every gradient.",
            },
        ),
    ),
)
