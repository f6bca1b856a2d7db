"""Adding an op is one edit, and so is adding a function or a reduction: every wing knows it then.

Three rows are added here: a function of formulas, `atan`; a reduction, `sum_of_squares`; and for
each an op that uses it. Nothing else is touched.
"""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import micrograd_plus as mp
from micrograd_plus import functional
from micrograd_plus.compiler import running
from micrograd_plus.engine import Value
from micrograd_plus.formulas.writers import JavaScript, LaTeX, MathML
from micrograd_plus.ops import TABLE, Methods, Op, op
from micrograd_plus.symbols import FUNCTIONS, ON_FLOATS, Function, Reduction


def atan_on_floats(x: float) -> float:
    return math.atan(x)


def squares_on_floats(values: Sequence[float]) -> float:
    return sum(x * x for x in values)


atan_on_floats.__name__, squares_on_floats.__name__ = "atan", "sum_of_squares"


@pytest.fixture
def rows() -> Iterator[tuple[Op, Op]]:
    """The ops `bend` and `energy`, with the function and the reduction that they are made of."""
    atan = Function(atan_on_floats, javascript="Math.atan({})")
    squares = Reduction(
        squares_on_floats,
        latex=r"\sum_i",
        mathml="∑",
        term=lambda x: x * x,
        start=0.0,
        join=lambda so_far, term: so_far + term,
    )
    bend = op(
        "bend",
        lambda x: atan(x),
        lambda out, x: 1 / (1 + x * x),
        doc="the arc tangent",
        why="Flat far out: {out} does not go beyond π/2.",
        saturates=(-1.5, 1.5),
    )
    energy = op(
        "energy",
        lambda x: squares(x),
        lambda out, x: 2 * x,
        nary=True,
        doc="the sum of all squares",
        why="Each term is a square, whose slope is twice its base.",
    )
    yield bend, energy
    for name in ("bend", "energy"):
        del TABLE[name]
    del Methods.bend  # type: ignore[attr-defined]
    for name in ("atan", "sum_of_squares"):
        del FUNCTIONS[name], ON_FLOATS[name]


def graph(bend: Op, energy: Op) -> tuple[list[Value], Value]:
    a, b = Value(0.5, label="a"), Value(-2.0, label="b")
    return [a, b], bend(energy([a, b, a * b]) - a)


def test_the_engine_and_the_gradient_check(rows: tuple[Op, Op]) -> None:
    bend, energy = rows
    (a, b), root = graph(bend, energy)
    assert root.data == pytest.approx(math.atan(0.25 + 4 + 1 - 0.5))
    root.backward()
    slope = 1 / (1 + 4.75**2)
    assert a.grad == pytest.approx(slope * (2 * 0.5 + 2 * -1 * -2 - 1))
    assert b.grad == pytest.approx(slope * (2 * -2 + 2 * -1 * 0.5))
    assert mp.gradcheck(root)
    assert a.bend().data == functional.bend(0.5).data == math.atan(0.5)


@pytest.mark.parametrize("native", [True, False])
def test_the_compiler(rows: tuple[Op, Op], native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if native:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(running, "is_native", lambda: False)
    bend, energy = rows
    w = [Value(0.5), Value(-2.0)]

    def loss(x: Any) -> Value:
        return bend(energy([w[0] * x[0], w[1] * x[1], x[0]]) - w[0])

    X = [[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the note that plain Python is slow
        mean = mp.compile(loss)(X)
    gradients = [v.grad for v in w]
    for v in w:
        v.grad = 0.0
    losses = [loss([Value(n) for n in x]) for x in X]
    for one in losses:
        one.backward(1 / 3)
    assert mean == pytest.approx(sum(one.data for one in losses) / 3, rel=1e-12)
    assert gradients == pytest.approx([v.grad for v in w], rel=1e-12)


def test_formulas(rows: tuple[Op, Op]) -> None:
    bend, energy = rows
    (a, _), root = graph(bend, energy)
    assert str(mp.symbolic(root)).startswith("atan(")
    derivative = mp.symbolic(root, wrt=a)
    root.backward()
    numbers = {"a": 0.5, "b": -2.0, "atan": math.atan}
    assert eval(str(derivative), numbers) == pytest.approx(a.grad)
    assert LaTeX().write(energy.expression) == r"\sum_i x_i \cdot x_i"
    assert "∑" in MathML().write(energy.expression)
    assert mp.parse("bend(a)", a=1.0).data == math.atan(1.0)


def test_the_explanation_and_the_page(
    rows: tuple[Op, Op], run_javascript: Callable[[str], str]
) -> None:
    _, root = graph(*rows)
    assert "bend" in str(mp.explain(root)) or "atan" in str(mp.explain(root))
    page = mp.step_through(root).html()
    assert "Flat far out" in page
    assert "whose slope is twice its base" in page
    sources = JavaScript().prelude() + "".join(entry.javascript for entry in rows)
    script = """
    console.log(JSON.stringify([
      bend_forward(0.5), bend_partials(bend_forward(0.5), 0.5),
      energy_forward(1, 2, 3), energy_partials(14, 1, 2, 3)]));
    """
    bent, slopes, squares, double = json.loads(run_javascript(sources + script))
    assert bent == pytest.approx(math.atan(0.5))
    assert slopes == pytest.approx([0.8])
    assert (squares, double) == (14, [2, 4, 6])


def test_the_linter(rows: tuple[Op, Op]) -> None:
    X, y = mp.data.moons(40, noise=0.1, seed=0)
    model = mp.nn.MLP(2, [6, 1], activation="bend", generator=random.Random(0))
    assert "saturated" not in mp.lint(model, X, y, loss="mse").kinds
    for parameter in model.layers[0].parameters():
        parameter.data *= 1000
    assert "saturated" in mp.lint(model, X, y, loss="mse").kinds


def test_the_kernels_dot_is_that_of_the_table() -> None:
    """The one formula that stands twice: the kernels have dots and matrix products by hand."""
    pytest.importorskip("numba")
    generator = random.Random(3)
    dot = TABLE["dot"]
    for size, rows_ in ((1, 1), (3, 1), (5, 4), (17, 9)):
        w = [[Value(generator.uniform(-1, 1)) for _ in range(size)] for _ in range(rows_)]
        x = [generator.uniform(-1, 1) for _ in range(size)]

        def loss(inputs: Any, w: Any = w) -> Value:
            return functional.sum([functional.dot(row, inputs) for row in w])

        step = mp.compile(loss)
        found = step([x])
        numbers = [[*[v.data for v in row], *x] for row in w]
        assert found == pytest.approx(sum(dot.forward(*row) for row in numbers), rel=1e-12)
        for row, operands in zip(w, numbers):
            slopes = dot.partials(dot.forward(*operands), *operands)[:size]
            assert [v.grad for v in row] == pytest.approx(slopes, rel=1e-12)
