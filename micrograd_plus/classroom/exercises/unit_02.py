"""The exercises of notebook 02."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...engine import Value, topological_order
from .exercise import Behaviour, Choice, Exercise, Number, ValueClass
from .graphs import Steps, built, gradient, in_words, random_steps, root_of

_PRODUCT = Behaviour(
    solution=lambda a, b, upstream: (upstream * b, upstream * a),
    cases=lambda generator: tuple(
        float(number) for number in generator.sample([-5, -4, -3, -2, 2, 3, 4, 5], 3)
    ),
    show=lambda a, b, upstream: f"product_backward(a={a:g}, b={b:g}, upstream={upstream:g})",
    mistakes=(
        (
            lambda a, b, upstream: (upstream * a, upstream * b),
            "The two are exchanged. When a grows, by how much does a · b grow: a times or b times?",
        ),
        (
            lambda a, b, upstream: (b, a),
            "These are the local derivatives. What are they multiplied by?",
        ),
        (
            lambda a, b, upstream: (upstream, upstream),
            "This is what a sum does. What are the local derivatives of a product?",
        ),
        (
            lambda a, b, upstream: (upstream + b, upstream + a),
            "Slopes along a path are multiplied, not added.",
        ),
        (
            lambda a, b, upstream: (upstream * a * b, upstream * a * b),
            "You multiply by the result a · b. The local derivative for one factor is the other "
            "factor alone.",
        ),
    ),
)


def _verdict(order: Any, root: Value) -> str:
    """What is wrong with a topological order, or that nothing is."""
    if isinstance(order, set):
        return "the answer is a set, which has no order"
    if not isinstance(order, (list, tuple)) or not all(isinstance(value, Value) for value in order):
        return "the answer is not a list of Values"
    place = {value: i for i, value in enumerate(order)}
    if not place:
        return "the list is empty"
    needed = topological_order(root)
    missing = [value for value in needed if value not in place]
    edges = [(operand, value) for value in needed for operand in value.operands]
    if len(place) < len(order):
        return "a value is in the list twice"
    if missing == [root]:
        return "the root is missing"
    if missing:
        return "a leaf is missing" if all(v.op is None for v in missing) else "a value is missing"
    if all(place[operand] > place[value] for operand, value in edges):
        return "every value comes before its operands"
    if any(place[operand] > place[value] for operand, value in edges):
        return "a value comes before one of its operands"
    return "each value once, and after its operands"


def _run_order(answer: Callable[[Value], Any], steps: Steps) -> Any:
    _, root = built(steps)
    order = answer(root)
    return None if order is None else _verdict(order, root)


def _walk(
    root: Value, *, visits_once: bool = True, operands_first: bool = True, leaves: bool = True
) -> list[Value]:
    """A depth-first walk, with one of the usual mistakes."""
    order: list[Value] = []

    def visit(value: Value) -> None:
        if visits_once and value in seen:
            return
        seen.add(value)
        if not operands_first:
            order.append(value)
        for operand in value.operands:
            visit(operand)
        if operands_first and (leaves or value.operands):
            order.append(value)

    seen: set[Value] = set()
    visit(root)
    return order


def _by_distance(root: Value) -> list[Value]:
    """A breadth-first walk from the root, turned round."""
    order = [root]
    for value in order:
        order.extend(dict.fromkeys(operand for operand in value.operands if operand not in order))
    return order[::-1]


_ORDER = Behaviour(
    solution=_walk,
    cases=lambda generator: (random_steps(generator),),
    run=_run_order,
    show=lambda steps: f"my_order({root_of(steps)}) for {in_words(steps)}",
    mistakes=(
        (
            lambda root: _walk(root, visits_once=False),
            "A value that is used twice is visited twice. Remember in a set what you have visited, "
            "and look there first.",
        ),
        (
            lambda root: _walk(root, operands_first=False),
            "You write a value down before you visit its operands. At which point of `visit` must "
            "it be written down?",
        ),
        (
            lambda root: topological_order(root)[::-1],
            "The list is right, but it begins with the root. `backward` turns it round itself.",
        ),
        (
            lambda root: _walk(root, leaves=False),
            "The leaves are values too, although they have no operands. Is there an `if` that "
            "leaves them out?",
        ),
        (
            lambda root: topological_order(root)[:-1],
            "`visit` reaches all operands, but the root itself is a value of the list, too.",
        ),
        (
            lambda root: [],
            "Nothing is visited. Is `visit` called, with the root?",
        ),
        (
            lambda root: set(topological_order(root)),
            "A set only remembers what has been visited. Write the values into a list, too.",
        ),
        (
            lambda root: [value.label for value in topological_order(root)],
            "The list holds the values themselves, not their labels.",
        ),
        (
            _by_distance,
            "You go by the distance from the root. A value that is used near the root and again "
            "further away is then at the wrong place. Visit the operands of a value completely, "
            "before you write down the value.",
        ),
    ),
)


def _with_gradient(answer: Callable[[Value], Any], number: float) -> Any:
    """The result for a Value, and the gradient that arrives there."""
    x = Value(number, label="x")
    out = answer(x)
    if not isinstance(out, Value):
        return out
    out.backward()
    return [out.data, x.grad]


_SIGMOID = Behaviour(
    solution=lambda x: x.sigmoid(),
    cases=lambda generator: (generator.choice([-1, 1]) * generator.randint(2, 30) / 10,),
    run=_with_gradient,
    show=lambda number: f"x = Value({number:g}); the result and x.grad",
    mistakes=(
        (
            lambda x: 1 / (1 + x.exp()),
            "The curve falls where it should rise. Look at the sign in the exponent.",
        ),
        (
            lambda x: Value(1 / (1 + math.exp(-x.data))),
            "The number is right, but no gradient arrives at x. The path breaks where `x.data` is "
            "used: calculate with x itself.",
        ),
        (
            lambda x: 1 / (-x).exp(),
            "The results are not between 0 and 1. What is added below the line of the fraction?",
        ),
        (
            lambda x: 1 / 1 + (-x).exp(),
            "The whole sum belongs below the line of the fraction. In `1 / 1 + …` Python divides "
            "first: which part needs brackets?",
        ),
        (
            lambda x: 1 / (1 - x.exp()),
            "In `-x.exp()` Python calls `exp` first, and takes the minus afterwards. Which part "
            "needs brackets?",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "02.1",
        "The gradient along a path",
        1,
        Number(
            lambda: gradient("(a*b + c) * f", "a", a=4, b=5, c=-2, f=3),
            mistakes=(
                (
                    5.0,
                    "This is the local derivative of a · b. And how much does L move when the "
                    "product moves?",
                ),
                (3.0, "This is the gradient of the product. One more step leads to a."),
                (
                    lambda: gradient("(a*b + c) * f", "b", a=4, b=5, c=-2, f=3),
                    "This is the gradient of b. When a moves, which number is it multiplied by?",
                ),
                (8.0, "Slopes along a path are multiplied, not added."),
                (20.0, "This is a · b, a number of the way forward. Now go back from L."),
                (18.0, "This is a · b + c, a number of the way forward. Now go back from L."),
                (54.0, "This is L itself. The task asks how L moves when a moves."),
                (60.0, "a itself is not on the list of factors: the slope of a · b by a is b."),
            ),
        ),
    ),
    Exercise("02.2", "One step back through a product", 2, _PRODUCT),
    Exercise(
        "02.3",
        "Two paths",
        1,
        Number(
            lambda: gradient("a*a + a", "a", a=3),
            mistakes=(
                (
                    6.0,
                    "This is the product's part. Another arrow leads from a to the plus.",
                ),
                (
                    1.0,
                    "This is the sum's part. Two more arrows lead to the product.",
                ),
                (
                    4.0,
                    "Two arrows lead from a to the product. Each of them contributes a part.",
                ),
                (3.0, "One path of three. Count the arrows that leave a."),
                (12.0, "This is y itself. The task asks for the gradient of a."),
                (9.0, "Which numbers do the two arrows to the product contribute? They are added."),
            ),
        ),
    ),
    Exercise("02.4", "Your own topological order", 2, _ORDER),
    Exercise("02.5", "Your own Value", 3, ValueClass(("+", "*", "tanh"))),
    Exercise("02.6", "A sigmoid from its parts", 2, _SIGMOID),
    Exercise(
        "02.q1",
        "Upstream times local",
        1,
        Choice(
            "d",
            {
                "a": "3 · 2 uses a itself. Which number is the slope of a · b with respect to a?",
                "b": "This is the local derivative alone. What is it multiplied by?",
                "c": "14 is y itself.",
                "d": "Upstream gradient 3, times local derivative b = 7.",
            },
        ),
    ),
    Exercise(
        "02.q2",
        "Two uses",
        1,
        Choice(
            "b",
            {
                "a": "This is one path. The other one counts, too: the engine writes +=.",
                "b": "3 + (−1) = 2: what the paths contribute is added.",
                "c": "This is the second path alone, as with = in place of +=.",
                "d": "Along one path slopes are multiplied. These are two paths.",
            },
        ),
    ),
    Exercise(
        "02.q3",
        "Why an order",
        1,
        Choice(
            "a",
            {
                "a": "All that was computed from a value has given its part before it is visited.",
                "b": "The order of the backward pass has nothing to do with the drawing.",
                "c": "Gradients may well be negative; the order does not change their sign.",
                "d": "The forward pass is over when `backward()` begins.",
            },
        ),
    ),
    Exercise(
        "02.q4",
        "Two calls",
        1,
        Choice(
            "c",
            {
                "a": "`backward()` does not set leaves to zero. Who does?",
                "b": "Leaves keep what they have. What does the second call do with it?",
                "c": "A leaf adds up the gradients of all calls: 5 + 5.",
                "d": "The gradients of two calls are added, not multiplied.",
            },
        ),
    ),
)
