"""The functions of `making.py` and `listing.py`, and what Python does without them."""

from __future__ import annotations

import operator
import sys
from array import array
from collections.abc import Callable
from typing import Any

import pytest

import micrograd_plus as mp
from micrograd_plus import Value
from micrograd_plus.compiler import recording
from micrograd_plus.compiler.native import lists, maker
from micrograd_plus.compiler.numbering import Base, Kinds
from micrograd_plus.compiler.parameter_memory import give_class
from micrograd_plus.compiler.passes import LEAVES, PARAMETERS
from micrograd_plus.compiler.rows import Places, Rows, results_of, word_of_number
from micrograd_plus.ops import TABLE

pytestmark = pytest.mark.skipif(maker() is None, reason="without llvmlite there is no machine code")


def _made() -> tuple[Rows, Places, list[Any]]:
    """Empty rows, their places, and `node`, `numbers_of` and `results_of`."""
    rows, places = Rows(), Places()
    places.results = results_of(rows)
    listed = places.parameters, places.numbers, places.next.buffer_info()[0]
    make = maker()
    assert make
    word = word_of_number()
    own = rows.ops, rows.operands, places.results, word, places, *listed, "nary", max
    return rows, places, make(own)


def test_a_node_has_the_next_number_and_those_of_its_operands() -> None:
    rows, places, (node, _, _) = _made()
    a, b = Value(1.0), Value(2.0)
    first = node(TABLE["mul"], (a, b))
    second = node(TABLE["add"], (first, a))
    assert [first.number, second.number] == [0, 1]
    assert [op.name for op in rows.ops] == ["mul", "add"]
    assert rows.operands == [LEAVES, LEAVES + 1, 0, LEAVES]
    assert places.leaves == [a, b]
    assert (second.op, second.label, second.operands) == (TABLE["add"], "", ())


def test_numbers_and_results_of_many() -> None:
    _, places, (node, numbers_of, new_results) = _made()
    a = Value(1.0)
    values = [a, node(TABLE["tanh"], (a,)), a]
    for given in (values, tuple(values), iter(values)):
        assert numbers_of(given) == [LEAVES, 0, LEAVES]
    made = new_results(range(5, 8))
    assert [value.number for value in made] == [5, 6, 7]
    assert {*map(type, made)} == {places.results}
    assert (numbers_of([]), new_results([])) == ([], [])


def test_nothing_is_kept_that_is_not_used() -> None:
    """References are counted: one too few ends the process, one too many keeps objects."""
    rows, places, (node, numbers_of, new_results) = _made()
    op, a, large = TABLE["mul"], Value(1.0), 1 << 50
    places[a] = large
    before = [sys.getrefcount(x) for x in (op, a, large, places.results, rows.operands)]
    for _ in range(100):
        pair = (a, a)
        assert node(op, pair).number == len(rows.ops) - 1
        assert numbers_of(pair) == [large, large]
        assert new_results((large,))[0].number == large
        assert sys.getrefcount(pair) == 2
    del pair
    rows.ops.clear()
    rows.operands.clear()
    after = [sys.getrefcount(x) for x in (op, a, large, places.results, rows.operands)]
    assert after == before


@pytest.mark.parametrize(
    "call",
    [
        lambda node, *_: node(TABLE["mul"]),
        lambda node, *_: node(TABLE["mul"], ([], [])),
        lambda _, numbers_of, __: numbers_of(3),
        lambda _, numbers_of, __: numbers_of([[]]),
        lambda _, numbers_of, __: numbers_of(),
        lambda *made: made[2](3),
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
    monkeypatch.setattr(recording, "maker", lambda: None)
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


def test_whole_numbers_are_copied() -> None:
    numbers = [0, -1, PARAMETERS, 2**62, -(2**63)]
    copied = array("q", [7] * 6)
    assert lists().copy_numbers(numbers, copied.buffer_info()[0])
    assert copied.tolist() == [*numbers, 7]
    with pytest.raises(OverflowError):
        lists().copy_numbers([2**63], copied.buffer_info()[0])
    with pytest.raises(TypeError):
        lists().copy_numbers([1.5], copied.buffer_info()[0])


def test_kinds_are_found_and_made() -> None:
    ops = [TABLE[name] for name in ("tanh", "add", "add", "exp", "tanh", "exp", "exp")]
    kinds, others = Kinds(), Kinds()
    assert kinds.of(ops).tolist() == [others[op] for op in ops]
    assert kinds == others
    with pytest.raises(TypeError):
        lists().copy_found([[]], kinds, 0)


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
