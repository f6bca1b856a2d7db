"""Paths from the root to a value: all counted, the largest listed, their sum the gradient."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_plus.engine import Value
from micrograd_plus.show.paths import Path, edges_of, paths


def every_path(root: Value, value: Value) -> list[Path]:
    """By plain recursion, for small graphs."""
    if root is value:
        return [Path((), 1.0)]
    found = []
    for edge in edges_of(root):
        for path in every_path(edge.operand, value):
            found.append(Path((edge, *path.edges), edge.local * path.product))
    return found


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Value, Value]:
    leaf = Value(draw(st.sampled_from([0.5, -1.5, 2.0])))
    values = [leaf]
    for _ in range(draw(st.integers(1, 6))):
        p, q = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        values.append(draw(st.sampled_from([p + q, p * q, p - q, p.tanh(), p * 0.3])))
    return values[-1], leaf


@given(graphs(), st.integers(1, 5))
def test_they_are_all_counted_and_the_largest_are_the_largest(
    graph: tuple[Value, Value], most: int
) -> None:
    root, leaf = graph
    everything = every_path(root, leaf)
    if not everything:
        with pytest.raises(ValueError, match="is not part of the graph"):
            paths(root, leaf)
        return
    found = paths(root, leaf, most)
    root.backward()
    assert found.count == len(everything)
    assert found.gradient == leaf.grad
    sizes = sorted((abs(path.product) for path in everything), reverse=True)
    assert [abs(path.product) for path in found.largest] == pytest.approx(sizes[:most])
    for path in found.largest:
        assert path.edges in [other.edges for other in everything]
        assert path.product == pytest.approx(math.prod(edge.local for edge in path.edges))
    assert len({path.edges for path in found.largest}) == len(found.largest)
    shown = sum(path.product for path in found.largest)
    assert found.rest == pytest.approx(leaf.grad - shown)


def test_a_path_leads_from_the_root_down() -> None:
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    c = a * b
    d = c.tanh()
    (path,) = paths(d, b).largest
    assert [(edge.user, edge.operand) for edge in path.edges] == [(d, c), (c, b)]
    assert [edge.local for edge in path.edges] == [1 - d.data**2, 2.0]


def test_operands_that_are_the_same_value_make_two_paths() -> None:
    a = Value(2.0)
    found = paths(a * a, a)
    assert (found.count, found.gradient) == (2, 4.0)
    assert [path.edges[0].position for path in found.largest] == [0, 1]


def test_the_root_is_its_own_path() -> None:
    a = Value(2.0)
    found = paths(a, a)
    assert (found.count, found.largest, found.gradient) == (1, [Path((), 1.0)], 1.0)


def test_an_exponential_number_of_paths_is_not_walked() -> None:
    leaf = value = Value(1.0)
    for _ in range(500):
        value = value + value * 0.5
    found = paths(value, leaf)
    assert found.count == 2**500
    assert found.largest[0].product == 1.0
    assert [path.product for path in found.largest[1:]] == [0.5] * 7
    assert found.gradient == pytest.approx(1.5**500)


def test_a_long_chain() -> None:
    leaf = value = Value(0.1)
    for _ in range(20_000):
        value = value + 0.0
    assert len(paths(value, leaf).largest[0].edges) == 20_000


def test_what_is_not_finite_comes_first() -> None:
    a = Value(0.0, label="a")
    found = paths(a.log() + a * 3 + a / 0, a)
    assert found.count == 3
    assert [path.product for path in found.largest] == [math.inf, math.inf, 3.0]
    assert math.isnan(found.rest)
    spoiled = paths(a * math.nan + a, a)
    assert [str(path.product) for path in spoiled.largest] == ["nan", "1.0"]


def test_no_gradient_is_touched() -> None:
    a = Value(2.0)
    root = a * a
    a.grad, root.grad = 5.0, 7.0
    paths(root, a)
    assert (a.grad, root.grad) == (5.0, 7.0)


def test_signs_do_not_matter_for_the_order() -> None:
    for signs in product([1.0, -1.0], repeat=3):
        a = Value(1.0)
        x, y, z = (a * (size * sign) for size, sign in zip([1.0, 3.0, 2.0], signs))
        found = paths(x + y + z, a)
        assert [abs(path.product) for path in found.largest] == [3.0, 2.0, 1.0]
