"""Adding an op is one edit, and so is adding a function or a reduction: every wing knows it then.

Three rows are added here: a function of formulas, `atan`; a reduction, `sum_of_squares`; and for
each an op that uses it. Nothing else is touched.
"""

from __future__ import annotations

import json
import math
import random
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import pytest
from own_rows import sum_of_squares

import micrograd_plus as mp
from micrograd_plus import functional
from micrograd_plus.compiler import running
from micrograd_plus.compiler.layout import Store, lay_out
from micrograd_plus.compiler.recording import record
from micrograd_plus.compiler.simplify import simplify
from micrograd_plus.compiler.tape import DOT, MATMUL
from micrograd_plus.engine import Value
from micrograd_plus.formulas.writers import JavaScript, LaTeX, MathML
from micrograd_plus.ops import TABLE, Methods, Op, op
from micrograd_plus.symbols import FUNCTIONS, ON_FLOATS, Function


def atan_on_floats(x: float) -> float:
    return math.atan(x)


atan_on_floats.__name__ = "atan"


@pytest.fixture
def rows() -> Iterator[tuple[Op, Op]]:
    """The ops `bend` and `energy`, with the function and the reduction that they are made of."""
    atan = Function(atan_on_floats, javascript="Math.atan({})")
    squares = sum_of_squares()
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
        pytest.importorskip("llvmlite")
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
    assert str(mp.symbolic(root)) == "atan(a**2 + b**2 + a**2 * b**2 - a)"
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
    explanation = str(mp.explain(root))
    assert (
        "v2 = a · a + b · b + v1 · v1 = 0.5 × 0.5 + (−2) × (−2) + (−1) × (−1) = 5.25" in explanation
    )
    assert "= 1 / (1 + v3²)" in explanation
    boxes = re.findall(r'label="\{(\w+)\|', mp.draw(root).source)
    assert {"bend", "energy"} <= {*boxes}
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


# ---- the one formula that stands twice: the kernels have dots and matrix products by hand


class Grid(NamedTuple):
    """The dots of each left vector with each right one, and what is added to each left's dots.

    The left vectors are of parameters. The right ones are each a vector of parameters, times the
    example, so that the kernels compute the gradients of both.
    """

    lefts: list[list[Value]]
    rights: list[list[Value]]
    biases: list[Value]

    @classmethod
    def of(cls, lefts: int, rights: int, length: int, biased: bool) -> Grid:
        generator = random.Random(3)

        def values(count: int) -> list[Value]:
            return [Value(generator.uniform(-1, 1)) for _ in range(count)]

        return cls(
            [values(length) for _ in range(lefts)],
            [values(length) for _ in range(rights)],
            values(lefts if biased else 0),
        )

    def parameters(self) -> list[Value]:
        return [*chain(*self.lefts, *self.rights), *self.biases]

    def loss(self, x: Any) -> Value:
        squares = []
        for right in self.rights:
            for i, left in enumerate(self.lefts):
                result = functional.dot(left, [v * x for v in right])
                squares.append((result + self.biases[i] if self.biases else result) ** 2)
        return functional.sum(squares)

    def by_the_table(self, X: Sequence[float]) -> tuple[float, dict[Value, float]]:
        """The mean loss and its gradients, with the numbers of the table's dot alone."""
        dot, total = TABLE["dot"], 0.0
        gradients = dict.fromkeys(self.parameters(), 0.0)
        for x in X:
            for right in self.rights:
                for i, left in enumerate(self.lefts):
                    numbers = [*[v.data for v in left], *[v.data * x for v in right]]
                    out = dot.forward(*numbers)
                    result = out + (self.biases[i].data if self.biases else 0.0)
                    total += result**2 / len(X)
                    upstream = 2 * result / len(X)
                    slopes = dot.partials(out, *numbers)
                    for v, slope in zip(left, slopes):
                        gradients[v] += upstream * slope
                    for v, slope in zip(right, slopes[len(left) :]):
                        gradients[v] += upstream * slope * x
                    if self.biases:
                        gradients[self.biases[i]] += upstream
        return total, gradients


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(
    ("lefts", "rights", "length", "kind"),
    [(1, 1, 5, DOT), (1, 1, 1, None), (4, 1, 5, MATMUL), (9, 3, 17, MATMUL), (1, 3, 2, MATMUL)],
)
def test_the_kernels_dot_is_that_of_the_table(
    lefts: int, rights: int, length: int, kind: int | None, biased: bool
) -> None:
    pytest.importorskip("llvmlite")
    grid = Grid.of(lefts, rights, length, biased)
    parameters = grid.parameters()
    recorded = simplify(record(grid.loss, [()], parameters))
    program = lay_out(recorded, Store(parameters), inputs=1)
    kinds = {instruction.kind for instruction in program.per_example}
    assert kind is None or kind in kinds, "the case does not reach the kernel that it is for"

    X = [1.0, -0.5, 2.0]
    wanted, gradients = grid.by_the_table(X)
    assert mp.compile(grid.loss)(X) == pytest.approx(wanted, rel=1e-12)
    for parameter, gradient in gradients.items():
        assert parameter.grad == pytest.approx(gradient, rel=1e-11, abs=1e-13)


def test_the_kernels_dot_of_two_vectors_that_differ_by_example() -> None:
    """Eager code uses the table's entry."""
    pytest.importorskip("llvmlite")
    generator = random.Random(0)
    w, v = ([Value(generator.uniform(-1, 1)) for _ in range(5)] for _ in range(2))

    def loss(x: Any) -> Value:
        return mp.dot([wi * x for wi in w], [vi + x for vi in v]).tanh()

    X = [0.5, -1.5, 2.0, 0.1, -0.3, 1.1, 0.9]
    parameters = [*w, *v]
    program = lay_out(simplify(record(loss, [()], parameters)), Store(parameters), inputs=1)
    assert DOT in {instruction.kind for instruction in program.per_example}
    (mp.sum([loss(x) for x in X]) / len(X)).backward()
    wanted = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = 0.0
    mp.compile(loss)(X)
    assert [parameter.grad for parameter in parameters] == pytest.approx(wanted, rel=1e-11)
