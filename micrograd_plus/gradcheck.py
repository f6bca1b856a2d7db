"""Check gradients: compare the chain rule with finite differences.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> print(gradcheck(a * b + a.tanh()))
gradcheck: all right (2 leaves, 3 ops)
              chain rule      difference
  leaf a     -2.92934918     -2.92934918  ok
  leaf b               2               2  ok

Two things are compared with central differences: the gradient of every leaf, which tests the
graph as a whole, and the partial derivatives of every op at the numbers that it has in the graph,
which finds the wrong op. At a kink, as relu has at 0, the slopes on the two sides differ, and any
number between them is right; where a slope does not exist, as that of sqrt at 0, there is nothing
to compare. The report says so in both cases, and does not fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .engine import Constant, Value, local_derivatives, topological_order
from .formulas.description import formula
from .formulas.names import parameter_names
from .numbers import number_of
from .support.rich import mimebundle
from .support.words import cut, many

RIGHT, WRONG, KINK, UNDEFINED = "ok", "WRONG", "kink", "undefined"

_MEANINGS = (
    (KINK, "the slopes on the two sides differ, and any number between them is right"),
    (UNDEFINED, "a value or its slope is inf or nan here, so there is nothing to compare"),
)

_RELATIVE = 1e-6  # allowed between the chain rule and the differences, relative to the slope
_ABSOLUTE = 1e-9  # also allowed, relative to the function's value: its last digits are noise
_UNCERTAIN = 3.0  # also allowed: this many times the estimated error of the differences,
_MOST_UNCERTAIN = 1e-4  # of which at most this counts, relative to the slope

_STEPS = (1e-3, 1e-5, 1e-7)  # relative to x; narrower where the function is steep or ends nearby
_STEP_NEAR_0 = 0.1  # relative to x: where it is as steep as 1 / x, a step must not reach the 0
_SMALLEST = 1e-300  # no such step for an x below this
_WIDTHS = 4  # so many widths are extrapolated to width 0
_SHRINK = 4  # each is the one before, divided by this

_CLOSER = 16  # at a kink the slopes are compared again at a step that is this much smaller
_STILL_APART = 0.5  # the share of their distance that remains at a kink; 1/16 if it is smooth
_KINK = 1e-4  # the smallest distance that counts, relative to the slopes

_MOST_ROWS = 20
_MOST_LETTERS = 40


class Check(NamedTuple):
    """One comparison.

    what: the leaf, or the op and its operand, in words.
    analytic, numeric: the derivative by the chain rule, and by differences.
    verdict: ok, WRONG, kink or undefined.
    op, operand: the names of the op and of its operand; empty for a leaf.
    """

    what: str
    analytic: float
    numeric: float
    verdict: str
    op: str = ""
    operand: str = ""


class Report(NamedTuple):
    """The result of `gradcheck`: true if nothing is wrong. Printed, it is a table."""

    leaves: list[Check]
    ops: list[Check]
    node_count: int

    def __bool__(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> list[Check]:
        """The comparisons that failed: first ops, in the order of the forward pass, then leaves."""
        return [check for check in self.ops + self.leaves if check.verdict == WRONG]

    @property
    def verdict(self) -> str:
        """The result in words."""
        checks = self.ops + self.leaves
        if not self.wrong:
            undefined = any(check.verdict == UNDEFINED for check in checks)
            found = "nothing wrong where there is a slope" if undefined else "all right"
            return (
                f"{found} ({many(len(self.leaves), 'leaf', 'leaves')}, "
                f"{many(self.node_count, 'op')})"
            )
        bad_ops = [check for check in self.wrong if check.op]
        if not bad_ops:
            return (
                f"WRONG for {len(self.wrong)} of {len(self.leaves)} leaves, though every op's "
                "derivative is right: gradients are lost or doubled in the backward pass"
            )
        rules = sorted({f"{check.op!r} by its operand {check.operand!r}" for check in bad_ops})
        return f"WRONG: the derivative of the op {', and of '.join(rules)}"

    @property
    def rows(self) -> list[Check]:
        """The comparisons to show, those that are not right first: these ops, and all leaves."""
        checks = [check for check in self.ops if check.verdict != RIGHT]
        return checks + sorted(self.leaves, key=lambda check: check.verdict == RIGHT)

    def __str__(self) -> str:
        checks = self.rows
        shown = checks[:_MOST_ROWS]
        width = max([len(check.what) for check in shown], default=0)
        lines = [
            f"gradcheck: {self.verdict}",
            f"  {'':{width}}  {'chain rule':>14}  {'difference':>14}",
        ]
        for what, analytic, numeric, verdict, *_ in shown:
            lines.append(f"  {what:{width}}  {analytic:14.9g}  {numeric:14.9g}  {verdict}")
        if len(checks) > len(shown):
            lines.append(f"  ... and {len(checks) - len(shown)} more")
        return "\n".join([*lines, *notes_on(shown)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return mimebundle(self, include, exclude)


def notes_on(checks: Sequence[Check]) -> list[str]:
    """The meaning of each verdict among `checks` that needs a sentence."""
    verdicts = {check.verdict for check in checks}
    return [f"{verdict}: {meaning}" for verdict, meaning in _MEANINGS if verdict in verdicts]


def gradcheck(
    root: Value | Callable[..., Value], inputs: Sequence[float | Value] | None = None
) -> Report:
    """Compares the gradients of `root`, or of `function(*inputs)`, with central differences.

    For a Value it checks every leaf, with forward passes over its graph. For a function it checks
    every input, with calls of the function, so that it also finds a graph that was lost inside (by
    `v.data`, by `no_grad`). `data` and `grad` of every Value stay as they were. Each leaf costs
    about ten forward passes over the values that depend on it; if all take longer than a second, a
    bar shows how many are done.

    >>> report = gradcheck(lambda x: x.tanh() * x, [0.5])
    >>> bool(report), len(report.leaves)
    (True, 1)
    """
    if isinstance(root, Value):
        order = topological_order(root)
        return _report(root, order, _leaves(order), lambda leaf: _as_function_of(leaf, order))
    if inputs is None or not callable(root):
        raise TypeError(
            "gradcheck takes a Value, or a function and a list of its inputs: "
            f"gradcheck(f, [1.0, 2.0]); it was given {root!r}"
        )
    called = root
    arguments = [
        Value(number_of(x), getattr(x, "label", "") or f"x{i}") for i, x in enumerate(inputs)
    ]
    result = called(*arguments)
    if not isinstance(result, Value):
        raise TypeError(f"the function must return a Value; it returned {result!r}")

    def with_another(changed: Value) -> Callable[[float], float]:
        return lambda x: called(*[Value(x if a is changed else a.data) for a in arguments]).data

    order, own = topological_order(result), {*arguments}

    def function_of(leaf: Value) -> Callable[[float], float]:
        return with_another(leaf) if leaf in own else _as_function_of(leaf, order)

    # The function may also reach others, as a model's parameters.
    leaves = list(dict.fromkeys([*arguments, *_leaves(order)]))
    return _report(result, order, leaves, function_of)


def _report(
    root: Value,
    order: Sequence[Value],
    leaves: Sequence[Value],
    function_of: Callable[[Value], Callable[[float], float]],
) -> Report:
    """function_of: gives the root's number as a function of a leaf's."""
    from .support.progress import bar  # which `import micrograd_plus` does not need

    names = _names(leaves, order)
    gradients = gradients_of(root, order)
    leaf_checks = []
    with bar(len(leaves), "leaf", True, delay=1) as shown:
        for leaf in leaves:
            what, analytic = f"leaf {names[leaf]}", gradients.get(leaf, 0.0)
            leaf_checks.append(_compare(what, analytic, function_of(leaf), leaf.data))
            shown.update(1)
    op_checks = [check for node in order for check in _check_op(node)]
    if any(check.verdict == UNDEFINED for check in op_checks):  # inf and nan come from there
        leaf_checks = [
            check if math.isfinite(check.analytic) else check._replace(verdict=UNDEFINED)
            for check in leaf_checks
        ]
    return Report(leaf_checks, op_checks, sum(node.op is not None for node in order))


def _leaves(order: Sequence[Value]) -> list[Value]:
    return [node for node in order if node.op is None and not isinstance(node, Constant)]


def _names(leaves: Sequence[Value], order: Sequence[Value]) -> dict[Value, str]:
    named = parameter_names(order)
    return {
        leaf: leaf.label or named.get(leaf) or f"#{i} ({leaf.data:g})"
        for i, leaf in enumerate(leaves)
    }


def gradients_of(root: Value, order: Sequence[Value]) -> dict[Value, float]:
    """The gradient that backward() gives each value; every `grad` stays as it was."""
    before = [node.grad for node in order]
    try:
        for node in order:
            node.grad = 0.0
        root.backward()
        return {node: node.grad for node in order}
    finally:
        for node, grad in zip(order, before):
            node.grad = grad


def _as_function_of(leaf: Value, order: Sequence[Value]) -> Callable[[float], float]:
    """The root's number as a function of the leaf's: a forward pass over what depends on it."""
    places = {leaf: 0}  # of the values that depend on it, among the numbers of a pass
    passes = []
    for node in order:
        if not places.keys().isdisjoint(node.operands):
            changing = [(i, places[x]) for i, x in enumerate(node.operands) if x in places]
            passes.append((node.op, [x.data for x in node.operands], changing))
            places[node] = len(passes)
    end, unaffected = places.get(order[-1]), order[-1].data

    def function(x: float) -> float:
        numbers = [x]
        for op, operands, changing in passes:
            for i, place in changing:
                operands[i] = numbers[place]
            numbers.append(op.forward(*operands))  # type: ignore[union-attr]
        return unaffected if end is None else numbers[end]

    return function


def _check_op(node: Value) -> list[Check]:
    """Every partial derivative of one op, at the numbers that its operands have here."""
    op = node.op
    if op is None:
        return []
    numbers = [operand.data for operand in node.operands]
    checks = []
    for i, (operand, partial) in enumerate(local_derivatives(node)):
        if isinstance(operand, Constant):
            continue

        changed = [*numbers]

        def function(x: float, i: int = i, changed: list[float] = changed) -> float:
            changed[i] = x
            return op.forward(*changed)

        name = op.operands[i * len(op.operands) // len(numbers)]
        index = f"[{i % (len(numbers) // len(op.operands))}]" if op.nary else ""
        what = f"{cut(formula(node), _MOST_LETTERS)} by {name}{index}"
        compared = _compare(what, partial, function, numbers[i])
        checks.append(compared._replace(op=op.name, operand=name))
    return checks


def _compare(what: str, analytic: float, function: Callable[[float], float], x: float) -> Check:
    """The verdict on `analytic`, which the chain rule gives as the slope of `function` at x."""
    height = function(x)
    if not math.isfinite(height) or not math.isfinite(x):
        return Check(what, analytic, math.nan, UNDEFINED)
    numeric, error, step = math.nan, math.inf, 0.0
    for width in _STEPS:
        attempt, uncertainty = _slope(function, x, width * max(1.0, abs(x)))
        if uncertainty < error:
            numeric, error, step = attempt, uncertainty, width * max(1.0, abs(x))
        if error <= _RELATIVE * abs(numeric) + _ABSOLUTE:
            break
    else:
        if abs(x) > _SMALLEST:
            attempt, uncertainty = _slope(function, x, _STEP_NEAR_0 * abs(x))
            if uncertainty < _RELATIVE * abs(attempt):
                numeric, error, step = attempt, uncertainty, _STEP_NEAR_0 * abs(x)
    if not math.isfinite(numeric):
        return Check(what, analytic, numeric, UNDEFINED)
    size = max(abs(analytic), abs(numeric))
    allowed = _RELATIVE * size + _ABSOLUTE * (1 + abs(height))
    allowed += _UNCERTAIN * min(error, _MOST_UNCERTAIN * size)
    sides = _sides(function, x, height, step)
    if sides and min(sides) - allowed <= analytic <= max(sides) + allowed:
        return Check(what, analytic, numeric, KINK)
    right = math.isfinite(analytic) and abs(analytic - numeric) <= allowed
    return Check(what, analytic, numeric, RIGHT if right else WRONG)


def _sides(
    function: Callable[[float], float], x: float, height: float, step: float
) -> tuple[float, float] | None:
    """The slopes to the left and to the right, if x, where the function is `height`, is a kink.

    Where the function is smooth, the two come together as the step shrinks; at a kink they
    stay as far apart as they are.
    """
    left, right, apart = 0.0, 0.0, 0.0
    for width in (step, step / _CLOSER):
        apart_before = apart
        left = (height - function(x - width)) / width
        right = (function(x + width) - height) / width
        apart = abs(left - right)
    size = max(abs(left), abs(right), _KINK)
    kink = apart > _STILL_APART * apart_before and apart > _KINK * size
    return (left, right) if kink else None


def _slope(function: Callable[[float], float], x: float, step: float) -> tuple[float, float]:
    """The derivative of `function` at x, and how uncertain it is.

    Central differences at four widths, extrapolated to width 0 (Ridders 1982): the slopes at
    two widths differ by a multiple of width², which a weighted difference cancels.
    """
    best, error = math.nan, math.inf
    row: list[float] = []
    for _ in range(_WIDTHS):
        new = [(function(x + step) - function(x - step)) / (2 * step)]
        for k, old in enumerate(row):
            new.append(new[k] + (new[k] - old) / (float(_SHRINK) ** (2 * k + 2) - 1))
            difference = max(abs(new[-1] - new[-2]), abs(new[-1] - old))
            if difference < error:
                best, error = new[-1], difference
        row, step = new, step / _SHRINK
    return best, error
