"""The functions of `compiler/making.py`, and what the recorder does in Python without them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import micrograd_plus as mp
from micrograd_plus import Value
from micrograd_plus.compiler import recording
from micrograd_plus.compiler.native import maker
from micrograd_plus.compiler.numbering import Base
from micrograd_plus.compiler.passes import LEAVES
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
