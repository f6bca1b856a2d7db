"""The functions of `making.py` and `listing.py`, and what Python does without them."""

from __future__ import annotations

import operator
import sys
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import micrograd_plus as mp
from micrograd_plus import Value
from micrograd_plus.compiler import recording, rows
from micrograd_plus.compiler.native import lists
from micrograd_plus.compiler.numbering import Base, Kinds
from micrograd_plus.compiler.operators import is_native, making_of
from micrograd_plus.compiler.parameter_memory import give_class, numbers_of
from micrograd_plus.compiler.passes import LEAVES
from micrograd_plus.compiler.rows import Places, Rows, results_of
from micrograd_plus.ops import TABLE

pytestmark = pytest.mark.skipif(not is_native(), reason="without llvmlite there is no machine code")


def _made() -> tuple[Rows, Places, list[Any]]:
    """Empty rows, their places, and `node`, `numbers_of` and `results_of`."""
    rows, places = Rows(), Places()
    places.results = results_of(rows)
    _, made = making_of(
        ops=rows.ops, numbers=rows.operands, results=places.results, known=places,
        parameters=places.parameters, of_vectors=max,
    )  # fmt: skip
    return rows, places, made


def test_a_node_has_the_next_number_and_those_of_its_operands() -> None:
    rows, places, (node, _, _) = _made()
    a, b = Value(1.0), Value(2.0)
    first = node(TABLE["mul"], (a, b))
    second = node(TABLE["add"], (first, a))
    assert [first.number, second.number] == [0, 1]
    assert [op.name for op in rows.ops] == ["mul", "add"]
    assert rows.operands.tolist() == [LEAVES, LEAVES + 1, 0, LEAVES]
    assert places.leaves == [a, b]
    assert (second.op, second.label, second.operands) == (TABLE["add"], "", ())


def test_numbers_and_results_of_many() -> None:
    _, places, (node, numbers_of, new_results) = _made()
    a = Value(1.0)
    values = [a, node(TABLE["tanh"], (a,)), a]
    for given in (values, tuple(values), iter(values)):
        assert numbers_of(given) == array("i", [LEAVES, 0, LEAVES])
    assert numbers_of([]) == array("i")
    made = new_results(5, 10, 3, array("i", [0, 2]))
    assert [value.number for value in made] == [5, 7, 15, 17, 25, 27]
    assert {*map(type, made)} == {places.results}
    assert new_results(5, 10, 3, array("i")) == []


def test_nothing_is_kept_that_is_not_used() -> None:
    """References are counted: one too few ends the process, one too many keeps objects."""
    rows, places, (node, numbers_of, new_results) = _made()
    op, a, large = TABLE["mul"], Value(1.0), 1 << 30
    places[a] = large
    before = [sys.getrefcount(x) for x in (op, a, large, places.results, rows.operands)]
    for _ in range(100):
        pair = (a, a)
        assert node(op, pair).number == len(rows.ops) - 1
        assert numbers_of(pair).tolist() == [large, large]
        assert new_results(large, 0, 1, array("i", (0,)))[0].number == large
        assert sys.getrefcount(pair) == 2
    del pair
    rows.ops.clear()
    del rows.operands[:]
    after = [sys.getrefcount(x) for x in (op, a, large, places.results, rows.operands)]
    assert after == before


def test_a_result_is_freed_with_what_was_set_in_it() -> None:
    _, _, (node, _, new_results) = _made()
    label, a = "".join(["a", "label"]), Value(1.0)
    node(TABLE["tanh"], (a,))  # from now on it has a number
    before = [sys.getrefcount(x) for x in (label, a)]
    for result in (node(TABLE["tanh"], (a,)), *new_results(0, 1, 2, array("i", [0]))):
        result.label, result.operands, result.scope = label, (a,), a
        assert (result.label, result.operands) == (label, (a,))
        del result.scope
        result.scope = label
    del result
    assert [sys.getrefcount(x) for x in (label, a)] == before


@pytest.mark.parametrize(
    "call",
    [
        lambda node, *_: node(TABLE["mul"]),
        lambda node, *_: node(TABLE["mul"], ([], [])),
        lambda _, numbers_of, __: numbers_of(3),
        lambda _, numbers_of, __: numbers_of([[]]),
        lambda _, numbers_of, __: numbers_of(),
        lambda *made: made[2](3),
        lambda *made: made[2]("", 0, 0, array("i")),
    ],
)
def test_a_wrong_call_raises_an_error(call: Callable[..., Any]) -> None:
    _, _, made = _made()
    with pytest.raises(TypeError):
        call(*made)


def _tangled(x: Any) -> Any:
    w = [Value(0.5, label="w") for _ in range(3)]
    with mp.no_grad():
        frozen = w[0] * x[0]
    rest = [mp.where(v < 0, v, mp.dot(w, x)) for v in mp.softmax([*x, frozen, 2.0])]
    return mp.sum(rest) ** 2 + mp.pick(rest, x[1])


def _gpt(x: Any) -> Any:
    return mp.losses.cross_entropy(_GPT(x), x)


_GPT = mp.nn.GPT(3, 4, 2, 1, 3)


@pytest.mark.parametrize("function", [_tangled, _gpt])
def test_a_recording_is_that_of_the_recorder_in_python(
    function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = _GPT.parameters()
    fast = recording.record(function, [(3,)], known, Base())
    for module in (recording, rows):
        monkeypatch.setattr(module, "is_native", lambda: False)
    slow = recording.record(function, [(3,)], known, Base())
    assert (fast.ends, str(fast)) == (slow.ends, str(slow))
    kinds = [[getattr(op, "name", type(op)) for op in made.rows.ops] for made in (fast, slow)]
    assert kinds[0] == kinds[1]
    assert (fast.rows.operands, fast.rows.lengths) == (slow.rows.operands, slow.rows.lengths)


# ---- operators

OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_record_both_operands_in_order(name: str) -> None:
    apply, w = OPERATORS[name], Value(0.5)

    def function(x: Any) -> Any:
        product = w * x
        return [apply(*pair) for pair in ((w, w), (product, w), (w, product), (x, product))]

    listed = recording.record(function, [()], [w]).graph.listed()
    leaves = ["parameter", "input 0"]
    place = {what: [name for name, _ in listed].index(what) for what in leaves}
    w_, x_ = place["parameter"], place["input 0"]
    product = listed.index(("mul", [w_, x_]))
    for pair in ([w_, w_], [product, w_], [w_, product], [x_, product]):
        assert (name, pair) in listed


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_leave_numbers_and_other_engines_to_value(name: str) -> None:
    apply, w = OPERATORS[name], Value(0.5)

    def function(x: Any) -> Any:
        with mp.no_grad():
            frozen = apply(w * x, w)
        with pytest.raises(TypeError, match=r"float\('3'\)"):
            apply(frozen, "3")
        with pytest.raises(TypeError, match="a Value takes"):
            apply(None, w)
        return mp.sum([frozen, apply(frozen, 2.0), apply(3, frozen), apply(w, 4), apply(5.0, w)])

    step = mp.compile(function, mp.optim.SGD([w], lr=0.0))
    loss = step([1.5])
    frozen = apply(0.75, 0.5)
    wanted = frozen + apply(frozen, 2) + apply(3, frozen) + apply(0.5, 4) + apply(5, 0.5)
    assert loss == pytest.approx(wanted, rel=1e-14)
    eager = mp.Value(0.5)
    (apply(eager, 4) + apply(5.0, eager)).backward()
    assert w.grad == pytest.approx(eager.grad, rel=1e-14)


def test_operators_of_a_class_of_the_user_are_called() -> None:
    class Doubled(Value):
        __slots__ = ()

        def __mul__(self, other: Any) -> Any:
            return super().__mul__(other) + super().__mul__(other)

    w = Doubled(3.0)
    step = mp.compile(lambda x: w * x, mp.optim.SGD([w], lr=0.0))
    assert step([5.0]) == 30.0
    assert type(w) is Doubled


def test_operators_keep_nothing_that_is_not_used() -> None:
    w, seen = Value(0.5), []

    def function(x: Any) -> Any:
        product = w * x
        used = (product, w, x, type(product), TABLE["add"])
        product + w, 2.0 * product  # their classes are made
        before = [sys.getrefcount(thing) for thing in used]
        for _ in range(100):
            product + w
            w + product
            x + w
        after = [sys.getrefcount(thing) for thing in used]
        seen.append([b - a for a, b in zip(before, after)])
        return product

    recording.record(function, [()], [w])
    assert seen == [[0, 0, 0, 0, 300]]  # rows.ops has the op of each node


# ---- long lists


def test_kinds_are_found_and_made() -> None:
    ops = [TABLE[name] for name in ("tanh", "add", "add", "exp", "tanh", "exp", "exp")]
    kinds, others = Kinds(), Kinds()
    assert kinds.of(ops).tolist() == [others[op] for op in ops]
    assert kinds == others
    with pytest.raises(TypeError):
        lists().copy_found([[]], kinds, 0)


@pytest.mark.parametrize("name", ["data", "grad"])
def test_numbers_of_many_values(name: str) -> None:
    numbers = [0.5, -1e300, float("inf"), -0.0]
    values = [Value(7.0) for _ in numbers]
    for value, number in zip(values, numbers):
        setattr(value, name, number)
    assert list(numbers_of(values, name)) == numbers
    assert isinstance(numbers_of(values, name), array)
    for special in (True, 3, np.float64(2.5)):
        setattr(values[2], name, special)
        assert list(numbers_of(values, name)) == [*numbers[:2], special, *numbers[3:]]
    assert list(numbers_of([], name)) == []


def test_numbers_of_values_of_another_class_are_read_by_its_property() -> None:
    class Doubled(Value):
        @property
        def data(self) -> float:  # type: ignore[override]
            return 2 * float(vars(Value)["data"].__get__(self))

        @data.setter
        def data(self, number: float) -> None:
            vars(Value)["data"].__set__(self, number)

    assert list(numbers_of([Value(1.0), Doubled(1.0)], "data")) == [1.0, 2.0]


def test_many_values_get_another_class() -> None:
    class Special(Value):
        __slots__ = ()

    class Other(Value):
        __slots__ = ()

    values = [Value(1.0), Special(2.0), Other(3.0), Special(4.0)]
    before = [sys.getrefcount(kind) for kind in (Special, Other)]
    give_class(values, Special, Other)
    assert [type(value) for value in values] == [Value, Other, Other, Other]
    after = [sys.getrefcount(kind) for kind in (Special, Other)]
    assert [b - a for a, b in zip(before, after)] == [-2, 2]
    give_class(values, Other, Value)
    assert {*map(type, values)} == {Value}
    give_class(values, Other, Special)
    assert [value.data for value in values] == [1.0, 2.0, 3.0, 4.0]


def test_values_with_attributes_of_their_own_get_another_class() -> None:
    class Named(Value):
        pass

    class Renamed(Value):
        pass

    values = [Named(float(k)) for k in range(3)]
    for k, value in enumerate(values):
        value.name = k  # type: ignore[attr-defined]
    give_class(values, Named, Renamed)
    assert [(type(value), vars(value)) for value in values] == [
        (Renamed, {"name": k}) for k in range(3)
    ]
    with pytest.raises(TypeError, match="layout"):
        give_class(values, Renamed, Value)
