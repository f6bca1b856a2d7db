"""Tests the student's own class `Value`: the numbers and gradients of random expressions.

Of the expressions that fail, the simplest is shown and drawn. What is wrong in it tells the kind of
mistake: with one step it is the rule of an op; with a leaf that is used twice, a part that is
lost; with a computed value that is used twice, the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from ...engine import Value, local_derivatives
from .. import faults
from .exercise import Exercise, ValueClass
from .expressions import BINARY, METHODS, REFLECTED, Expression, expressions, simplest, size
from .failed import FailedExpression
from .guard import ENDLESS, NOT_PLAIN, Guard, Outcome
from .plain import same, written
from .result import RIGHT, WRONG, Evidence, Result, not_yet


class NoMethodError(TypeError):
    """The class lacks a method; the text is its name."""


class NoValueError(TypeError):
    """An op, or the class, gives something that is not of the class; the text says what."""


class _Numbers(NamedTuple):
    """What a class gives for one expression.

    data, grad: of each node.
    again: those of a second graph of the same leaves, after their grad is set to 0.
    """

    data: list[float]
    grad: list[float]
    again: list[float]


# ---- what the class gives


def observe_value_class(test: ValueClass, seed: int, answer: Any, guard: Guard) -> list[Outcome]:
    """What the class gives for each expression; at the end, the simplest one that fails."""
    is_class = guard.run(lambda: isinstance(answer, type)).value is True
    if not is_class or issubclass(answer, Value):
        what = f"an object of the class {type(answer).__name__}"
        what = "the Value of micrograd_plus" if is_class else what
        return [Outcome(error=NOT_PLAIN, message=what)]
    tried = expressions(test, seed)
    outcomes = [observed(expression, answer, guard) for expression in tried]
    failed = [e for e, outcome in zip(tried, outcomes) if is_wrong(e, outcome)]
    if failed and not guard.is_over:
        first = min(failed, key=lambda e: size(e)[:3])  # the numbers are made simple in any case
        found = simplest(first, lambda e: is_wrong(e, observed(e, answer, guard)))
        outcome = observed(found, answer, guard)
        outcomes.append(Outcome([found.numbers, found.steps, outcome]))
    return outcomes


def observed(expression: Expression, value_class: Any, guard: Guard) -> Outcome:
    """What the class gives for an expression, run within the limits."""
    return guard.run(partial(_run, expression, value_class))


def _run(expression: Expression, value_class: Any) -> tuple[Any, ...]:
    for op, operands in expression.steps:
        is_reflected = isinstance(operands[0], float)
        method = REFLECTED[op] if is_reflected else METHODS.get(op, op)
        if not hasattr(value_class, method):
            raise NoMethodError(method)
    if not hasattr(value_class, "backward"):
        raise NoMethodError("backward")
    nodes = expression.build(value_class)
    for node, name in zip(nodes, expression.names()):
        if not isinstance(node, value_class):
            raise NoValueError(f"`{name}` gives {written(node)}")
    leaves = nodes[: len(expression.numbers)]
    data, grad = [node.data for node in nodes], _gradients(nodes)
    for leaf in leaves:
        leaf.grad = 0.0
    return data, grad, _gradients(expression.build_on(leaves))


def _gradients(nodes: list[Any]) -> list[Any]:
    nodes[-1].backward()
    return [node.grad for node in nodes]


def is_wrong(expression: Expression, outcome: Outcome) -> bool:
    """Whether what the class gives differs from what the library gives."""
    return bool(outcome.error) or bool(differences(expression, outcome))


def differences(expression: Expression, outcome: Outcome) -> list[str]:
    """In words, what differs of the root's data and of the gradients of the leaves."""
    given, right = _Numbers(*outcome.value), _expected(expression)
    if not same(given.data[-1], right.data[-1]):
        return [f"data is {written(given.data[-1])}, should be {written(right.data[-1])}"]
    names = expression.names()
    for when, gradients in (
        ("", given.grad),
        ("in a second graph of the same leaves, after grad = 0, ", given.again),
    ):
        found = [
            f"{names[i]}.grad is {written(gradients[i])}, should be {written(right.grad[i])}"
            for i in range(len(expression.numbers))
            if not same(gradients[i], right.grad[i])
        ]
        if found:
            return [when + found[0], *found[1:]]
    return []


def _expected(expression: Expression) -> _Numbers:
    nodes = expression.build(Value)
    nodes[-1].backward()
    grad = [node.grad for node in nodes]
    return _Numbers([node.data for node in nodes], grad, grad)


# ---- what is said


def judge_value_class(
    exercise: Exercise, test: ValueClass, seed: int, evidence: Evidence
) -> Result:
    """The result for what came out for each expression."""
    tried = expressions(test, seed)
    given = evidence.outcomes
    if len(given) < len(tried):
        hint = "The answer is your own class: its name, without brackets behind it."
        return Result(exercise.id, WRONG, (("your answer", given[0].message),), hint)
    failed = [pair for pair in zip(tried, given) if is_wrong(*pair)]
    if not failed:
        said = f"It is right for {len(tried)} random expressions, forward and backward."
        return Result(exercise.id, RIGHT, (("", said),))
    if not evidence.is_begun or all(o.error == "NotImplementedError" for o in given):
        return not_yet(exercise)
    failed += [_simplest_in(outcome) for outcome in given[len(tried) :]]
    expression, outcome = min(
        (pair for pair in failed if is_wrong(*pair)),
        key=lambda pair: (pair[1].error == ENDLESS, not pair[1].told, size(pair[0])),
    )
    if outcome.error:
        told, hint = _on_error(expression, outcome)
        return Result(exercise.id, WRONG, (("", f"{expression}: {told}"),), hint)
    numbers = _Numbers(*outcome.value)
    return Result(
        exercise.id,
        WRONG,
        (("", f"{expression}: {'; '.join(differences(expression, outcome))}."),),
        _hint(expression, numbers),
        FailedExpression(expression, numbers.grad),
    )


def _simplest_in(outcome: Outcome) -> tuple[Expression, Outcome]:
    numbers, steps, found = outcome.value
    return Expression.from_plain(numbers, steps), Outcome(*found)


def _on_error(expression: Expression, outcome: Outcome) -> tuple[str, str]:
    """What is told of an error, and its hint."""
    if outcome.error == NoMethodError.__name__:
        method = outcome.message
        used = next((f" Python calls it for `{e}`." for e, m in _CALLED.items() if m == method), "")
        return f"the class has no method `{method}`.", f"Write the method `{method}`.{used}"
    if outcome.error == NoValueError.__name__:
        return f"{outcome.message}, which is not a Value of your class.", HINTS["no value"]
    if outcome.error == NOT_PLAIN:
        return f"the data or grad of a node is {outcome.message}.", HINTS["number"]
    has_plain = any(isinstance(x, float) for op, xs in expression.steps for x in xs if op != "**")
    if has_plain and outcome.error in ("AttributeError", "TypeError"):
        return outcome.told, HINTS["plain number"]
    return outcome.told, ""


_CALLED = {f"v {op} w": method for op, method in METHODS.items() if op in BINARY}
_CALLED |= {f"2 {op} v": method for op, method in REFLECTED.items()} | {"-v": "__neg__"}

HINTS = {
    "no value": "An operation gives a new Value, which remembers its operands.",
    "number": "data and grad are numbers.",
    "plain number": "The other operand may be a plain number, which has no data: make a Value of "
    "it first.",
    "data": "The number of this result is wrong, before any gradient: look at what `{op}` gives.",
    "again": "The second pass differs from the first: something, such as the list of visited "
    "values, is kept from the first pass.",
    "root": "No gradient arrives anywhere. With which gradient does backward() begin at the root?",
    "stops": "The gradient stops on the way. Does backward() reach the operands of the operands, "
    "and does it begin at the root?",
    "nothing": "`{op}` passes no gradient to this operand. Does its result know the operand and "
    "the local derivative?",
    "assigned": faults.overwrite_gradients.story,
    "recursion": faults.recurse_without_order.story,
    "order": "A value is used twice. It may pass its gradient on only when the parts from all its "
    "uses have arrived: in which order does backward() visit the values?",
    "path": "The value is used several times, and the parts from all its uses are added up: one "
    "part is missing.",
    "minus": faults.wrong_sign.story,
    "sign": "The size is right, but the sign is wrong: look at the derivative of `{op}`.",
    "upstream": "In `{op}` the gradient of the result is forgotten: by the chain rule it is "
    "multiplied by the local derivative.",
    "local": "In `{op}` the local derivative is forgotten: by the chain rule it is multiplied by "
    "the gradient of the result.",
    "result": "In `{op}` the number (data) of the result is taken in place of its gradient (grad).",
    "other": "In `{op}` the derivative belongs to the other operand.",
    "input": "The derivative of `{op}` is written with the result of `{op}`, not with its input.",
    "square": "In the derivative of `{op}` a square is missing.",
    "exponent": "In the derivative of `{op}` the exponent is one less than before.",
    "factor": "In the derivative of `{op}` the exponent is a factor, too.",
    "rule": "The derivative of `{op}` is wrong: check its formula with a small step h.",
}
"""The hint for each kind of mistake."""

_WRONG_RULES: Mapping[str, tuple[tuple[str, Callable[..., float]], ...]] = {
    "tanh": (("input", lambda out, x: 1 - x * x), ("square", lambda out, x: 1 - out)),
    "sigmoid": (("input", lambda out, x: x * (1 - x)),),
    "**": (("exponent", lambda out, x, n: n * x**n), ("factor", lambda out, x, n: x ** (n - 1))),
}
"""For an op, derivatives that are often written, and the hint for each."""


def _hint(expression: Expression, given: _Numbers) -> str:
    """The hint for the simplest expression that fails."""
    nodes = expression.build(Value)
    nodes[-1].backward()
    leaves = len(expression.numbers)
    op = expression.steps[-1][0] if expression.steps else ""
    if not same(given.data[-1], nodes[-1].data):
        return HINTS["data"].format(op=op)
    wrong = [i for i, node in enumerate(nodes) if not same(given.grad[i], node.grad)]
    if not any(i < leaves for i in wrong):
        return HINTS["again"]
    if all(same(gradient, 0.0) for gradient in given.grad):
        return HINTS["root"]
    if expression.shared_steps:
        return HINTS["recursion" if _by_recursion(expression, given) else "order"]
    uses = [use for use in _uses(expression, nodes, given.grad) if use.operand == wrong[-1]]
    gradient = given.grad[wrong[-1]]
    if len(uses) > 1:
        is_one = any(same(gradient, use.upstream * use.local) for use in uses)
        return HINTS["assigned" if is_one else "path"]
    kind = next(_kinds(uses[0], gradient, is_root=uses[0].node == len(nodes) - 1), "rule")
    return HINTS[kind].format(op=uses[0].op)


class _Use(NamedTuple):
    """A use of a node by a later one, with the gradient that the student's class has there."""

    operand: int
    node: int
    op: str
    position: int
    upstream: float
    result: float
    partials: list[float]
    wrong_partials: list[tuple[str, float]]

    @property
    def local(self) -> float:
        return self.partials[self.position]


def _uses(expression: Expression, nodes: list[Value], grad: list[float]) -> Iterator[_Use]:
    for node, (op, operands) in enumerate(expression.steps, len(expression.numbers)):
        partials = [local for _, local in local_derivatives(nodes[node])]
        numbers = [nodes[x].data if isinstance(x, int) else x for x in operands]
        often = [(kind, f(nodes[node].data, *numbers)) for kind, f in _WRONG_RULES.get(op, ())]
        for position, operand in enumerate(operands):
            if isinstance(operand, int):
                yield _Use(
                    operand, node, op, position, grad[node], nodes[node].data, partials, often
                )


def _kinds(use: _Use, gradient: float, is_root: bool) -> Iterator[str]:
    """The kinds of mistake that lead to this gradient of an operand with one use."""
    right = use.upstream * use.local
    if same(gradient, -right):
        yield "minus" if use.op == "-" else "sign"
    if same(gradient, 0.0):
        yield "nothing" if is_root else "stops"
    if same(gradient, use.local):
        yield "upstream"
    for kind, wrong in use.wrong_partials:
        if same(gradient, use.upstream * wrong):
            yield kind
    if same(gradient, use.upstream):
        yield "local"
    if same(gradient, use.result * use.local):
        yield "result"
    if any(same(gradient, use.upstream * other) for other in use.partials):
        yield "other"


def _by_recursion(expression: Expression, given: _Numbers) -> bool:
    """Whether plain recursion without a topological order gives these gradients."""
    return any(
        all(same(given.grad[i], nodes[i].grad) for i in range(len(expression.numbers)))
        for nodes in _recursions(expression)
    )


def _recursions(expression: Expression) -> Iterator[list[Value]]:
    """The graph after each kind of recursion: operand by operand, or first to all operands."""
    nodes = expression.build(Value)
    with faults.recurse_without_order():
        nodes[-1].backward()
    yield nodes

    def visit(node: Value) -> None:
        for operand, local in local_derivatives(node):
            operand.grad += node.grad * local
        for operand in node.operands:
            visit(operand)

    nodes = expression.build(Value)
    nodes[-1].grad = 1.0
    visit(nodes[-1])
    yield nodes
