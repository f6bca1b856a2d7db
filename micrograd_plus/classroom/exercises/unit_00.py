"""The exercises of notebook 00."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from .exercise import Behaviour, Choice, Exercise, Number
from .graphs import gradient


def _quadratic(a: float, b: float, c: float) -> Callable[[float], float]:
    return lambda x: a * x**2 + b * x + c


def _slope_case(generator: random.Random) -> tuple[float, ...]:
    a, b, c = (float(generator.choice([-3, -2, 2, 3, 4])) for _ in range(3))
    return a, b, c, float(generator.choice([2, 3, 5])), generator.choice([0.1, 0.01, 0.001])


_SLOPE = Behaviour(
    solution=lambda f, x, h: (f(x + h) - f(x)) / h,
    cases=_slope_case,
    run=lambda answer, a, b, c, x, h: answer(_quadratic(a, b, c), x, h),
    show=lambda a, b, c, x, h: (
        f"slope_of(f, {x:g}, {h:g}), where f(x) is {a:g} * x**2 + {b:g} * x + {c:g}"
    ),
    mistakes=(
        (
            lambda f, x, h: f(x + h) - f(x),
            "This is how much f changes. A slope is the change per unit: what has to be divided "
            "by what?",
        ),
        (
            lambda f, x, h: (f(x) - f(x + h)) / h,
            "The sign is wrong. Which comes first in the difference, the place where you arrive "
            "or the place where you start?",
        ),
        (
            lambda f, x, h: f(x + h) - f(x) / h,
            "Python divides before it subtracts. Which part needs brackets?",
        ),
        (
            lambda f, x, h: (f(x + h) - f(x)) / x,
            "You divide by x. How far has x moved?",
        ),
        (
            lambda f, x, h: (f(x) - f(x - h)) / h,
            "This is a step to the left. The task asks for one to the right.",
        ),
        (
            lambda f, x, h: (f(x - h) - f(x)) / h,
            "You step to the left, but divide by a step to the right.",
        ),
        (
            lambda f, x, h: 6 * x - 4,
            "This is right for one function only. `f` is another one each time: call `f`.",
        ),
        (
            lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h),
            "You move to both sides. That is a better way to measure, but here the task is one "
            "step to the right.",
        ),
    ),
)


def _chain_case(generator: random.Random) -> tuple[float, float, float]:
    k, n = (float(generator.choice([2, 3, 4, 5])) for _ in range(2))
    return k, n, generator.choice([-2.0, 2.0, 3.0])


def _run_chain(answer: Callable[..., Any], k: float, n: float, x: float) -> Any:
    return answer(
        lambda u: k * u**3, lambda u: 3 * k * u**2, lambda t: t**2 + n, lambda t: 2 * t, x
    )


_CHAIN = Behaviour(
    solution=lambda outer, d_outer, inner, d_inner, x: d_outer(inner(x)) * d_inner(x),
    cases=_chain_case,
    run=_run_chain,
    show=lambda k, n, x: f"outer(u) is {k:g} * u**3, inner(x) is x**2 + {n:g}, and x = {x:g}",
    mistakes=(
        (
            lambda outer, d_outer, inner, d_inner, x: d_outer(x) * d_inner(x),
            "The outer slope is taken at the wrong place. Which number goes into `outer`?",
        ),
        (
            lambda outer, d_outer, inner, d_inner, x: d_outer(inner(x)),
            "This is how much y moves when the inner result moves. And how much does the inner "
            "result move when x moves?",
        ),
        (
            lambda outer, d_outer, inner, d_inner, x: d_outer(inner(x)) + d_inner(x),
            "You add the two slopes. Think of the gear wheels: 3 turns and 2 turns make 6, not 5.",
        ),
        (
            lambda outer, d_outer, inner, d_inner, x: d_outer(d_inner(x)),
            "You put the inner slope into the outer slope. The two slopes are multiplied.",
        ),
        (
            lambda outer, d_outer, inner, d_inner, x: d_outer(inner(x)) * inner(x),
            "You multiply by the inner result. The chain rule needs the inner slope.",
        ),
        (
            lambda outer, d_outer, inner, d_inner, x: outer(inner(x)) * d_inner(x),
            "The second factor is right. The first is y itself; which slope belongs there?",
        ),
        (
            lambda outer, d_outer, inner, d_inner, x: d_inner(outer(x)) * d_outer(x),
            "Inside and outside are exchanged. Which function sees x first?",
        ),
        (
            lambda outer, d_outer, inner, d_inner, x: outer(inner(x)),
            "This is y itself. The task asks for its slope.",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "00.1",
        "A first answer",
        1,
        Number(
            lambda: _quadratic(3, -4, 5)(-1),
            mistakes=(
                (4.0, "What is −4 times −1? Two minus signs make a plus."),
                (6.0, "What is (−1)², and which sign does it have?"),
                (-2.0, "Check both signs: that of (−1)², and that of −4 times −1."),
                (7.0, "One of the three parts of f is missing. Which?"),
                (18.0, "The power comes before the product: only x is squared, not 3x."),
            ),
        ),
    ),
    Exercise("00.2", "Measure a slope", 2, _SLOPE),
    Exercise(
        "00.3",
        "The power rule",
        1,
        Number(
            lambda: gradient("x**3", "x", x=2),
            mistakes=(
                (8.0, "This is the function itself, 2³. What is its derivative?"),
                (4.0, "The power becomes one less; that is right. But it also becomes a factor."),
                (6.0, "The factor is right. Which power of x is left?"),
                (3.0, "This is the factor alone. Which power of x is left?"),
                (24.0, "The factor is right. By how much does the power become smaller?"),
            ),
        ),
    ),
    Exercise(
        "00.4",
        "A partial derivative",
        2,
        Number(
            lambda: gradient("x*y + y**2", "y", x=2, y=3),
            mistakes=(
                (
                    lambda: gradient("x*y + y**2", "x", x=2, y=3),
                    "This is the slope with respect to x. Here x stays, and y moves.",
                ),
                (6.0, "This is the slope of y². The first part of the sum depends on y, too."),
                (2.0, "This is the slope of x · y. The second part of the sum depends on y, too."),
                (
                    9.0,
                    "Take the two parts one by one. What is the slope of x · y when only y moves?",
                ),
                (5.0, "The power rule for y²: the 2 comes down as a factor."),
                (15.0, "This is k itself. The task asks for its slope."),
            ),
        ),
    ),
    Exercise(
        "00.5",
        "A chain",
        2,
        Number(
            lambda: gradient("(3*x - 2)**2", "x", x=2),
            mistakes=(
                (8.0, "This is the outer slope alone. How much does the inside, 3x − 2, move?"),
                (12.0, "The outer slope is 2u. At which number u is it taken?"),
                (16.0, "This is y itself. The task asks for its slope."),
                (11.0, "You add the two slopes. Along a chain they are multiplied."),
                (6.0, "2 · 3 has the two factors, but the outer slope is 2u. Where is u?"),
                (36.0, "If you have multiplied out: −12x has a slope, too."),
                (4.0, "The outer function is u². Its slope is 2u, not u or 2 alone."),
            ),
        ),
    ),
    Exercise("00.6", "The chain rule as a function", 3, _CHAIN),
    Exercise(
        "00.q1",
        "The sign of a slope",
        1,
        Choice(
            "b",
            {
                "a": "It would grow if the slope were positive.",
                "b": "With a negative slope, the result falls when the input grows.",
                "c": "It would stay the same, nearly, if the slope were 0.",
                "d": "−2 is the slope: the change of the error per unit, not the error.",
            },
        ),
    ),
    Exercise(
        "00.q2",
        "A constant",
        1,
        Choice(
            "c",
            {
                "a": "The 7 is a constant. How much does it change when x grows?",
                "b": "Use the power rule for x²: the 2 comes down as a factor.",
                "c": "x² gives 2x, and the constant 7 gives 0.",
                "d": "This is a part of the function itself. Its slope is asked for.",
            },
        ),
    ),
    Exercise(
        "00.q3",
        "Slopes along a chain",
        1,
        Choice(
            "a",
            {
                "a": "3 · (−2) = −6: slopes along a chain are multiplied.",
                "b": "3 + (−2) = 1 adds the slopes. Along a chain, what happens to them?",
                "c": "The size is right. When y grows, does z grow?",
                "d": "Along a chain, slopes are neither added nor subtracted.",
            },
        ),
    ),
    Exercise(
        "00.q4",
        "A product",
        1,
        Choice(
            "d",
            {
                "a": "1 would be the slope of a sum a + b.",
                "b": "Let b be 5: then the product is 5a. What is its slope?",
                "c": "Only a moves here. How much does the product grow when a grows by 1?",
                "d": "The slope with respect to one factor is the other factor.",
            },
        ),
    ),
)
