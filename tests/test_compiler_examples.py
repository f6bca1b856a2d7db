"""The numbers of a call's lists and arrays: what is read in machine code, and what is refused."""

from __future__ import annotations

import array
import math
from collections import UserList
from collections.abc import Callable
from typing import Any

import pytest

from micrograd_plus import Value
from micrograd_plus.compiler.examples import Examples
from micrograd_plus.compiler.native import is_installed

np: Any = pytest.importorskip("numpy")

SHAPES = (3, 2, 2), (3,)  # of the arguments
ROWS = np.arange(-6.0, 6.0).reshape(SHAPES[0])
TARGETS = np.array([-1, 0, 2**62])


def examples_before() -> Examples:
    """The memory of two earlier calls."""
    zeros = np.zeros(SHAPES[0]), np.zeros(SHAPES[1])
    examples = Examples(["x", "y"], zeros)
    assert examples.take(zeros)
    return examples


@pytest.mark.skipif(not is_installed(), reason="without llvmlite there is no machine code")
def test_what_machine_code_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = examples_before()
    monkeypatch.setattr(np, "asarray", None)  # nothing else reads anything
    tuples = tuple(tuple(map(tuple, rows)) for rows in ROWS.tolist())
    given = (ROWS, TARGETS), (ROWS.tolist(), TARGETS.tolist()), (tuples, (0.5, 1, math.inf))
    for x, y in given:
        assert examples.take((x, y))
        expected = np.column_stack([np.array(x).reshape(3, 4), np.array(y)])
        assert examples.inputs.tolist() == expected.ravel().tolist()


class OwnList(list[Any]):
    """A list of the user's, which may have items of its own."""

    def __getitem__(self, i: Any) -> Any:
        return 7.0


LAST: list[Any] = [
    math.nan,
    math.inf,
    2**70 + 1,
    -(2**63),
    10**400,
    -1,
    -1.0,
    True,
    None,
    "1",
    b"1",
]
LAST += [1j, Value(1.0), np.float64(2), np.int8(-1), np.array(3.0), [1.0], [], (), OwnList([1.0])]
DTYPES = ["f8", "f4", "f2", "g", ">f8", "i8", "i4", "u8", ">i8", "i1", "?", "c8", "c16", "O", "U2"]
DTYPES += ["S8", "M8[s]", "m8[s]", "f8,f4", "V8"]
OTHER_SHAPES = [(3,), (), (3, 4), (4, 3), (3, 2, 1, 2), (3, 1, 4), (2, 2, 2), (4, 2, 2), (0, 2, 2)]
OTHER_TYPES: list[Callable[[Any], Any]] = [list, OwnList, UserList, iter, memoryview, dict.fromkeys]


def others() -> Any:
    """Arguments of many kinds: each once more than the machine code has seen before."""
    for last in LAST:
        rows = ROWS.tolist()
        rows[2][1][1] = last
        yield rows, TARGETS
        yield ROWS, [1.0, 2, last]
    for end in (lambda row: row.pop(), lambda row: row.append(1.0)):
        for place in ((), (2,), (2, 1)):
            rows = part = ROWS.tolist()
            for i in place:
                part = part[i]
            end(part)
            yield rows, TARGETS
        end(targets := TARGETS.tolist())
        yield ROWS, targets
    for dtype in DTYPES:
        yield np.zeros(SHAPES[0], dtype) if dtype == "V8" else ROWS.astype(dtype), TARGETS
        yield ROWS, np.zeros(3, dtype)
    for shape in OTHER_SHAPES:
        yield np.ones(shape), TARGETS
        yield np.ones(shape, int), TARGETS
    for where in np.ndindex(SHAPES[0]):
        rows = ROWS.copy()
        rows[where] = math.nan
        yield rows, TARGETS
    yield from [(np.asfortranarray(ROWS), TARGETS), (ROWS[::-1], TARGETS[::-1]), (ROWS, ROWS[0])]
    yield from [(ROWS,), (ROWS, TARGETS, TARGETS), (None, TARGETS), ("abc", TARGETS), (3.0, 4.0)]
    for kind in OTHER_TYPES:
        yield ROWS, kind(array.array("d", [1.0, 2.0, 3.0]))
        yield list(map(list, ROWS)), list(TARGETS)


def outcome_of(read: Callable[[], Examples]) -> Any:
    """The numbers and shapes that are read, or the error."""
    try:
        examples = read()
    except Exception as error:
        return type(error), str(error)
    return list(examples.inputs), list(examples.starts), examples.shapes


def test_what_is_read_does_not_depend_on_the_call_before() -> None:
    for batches in others():
        examples, names = examples_before(), ["x", "y", "z"][: len(batches)]

        def fresh() -> Examples:
            return Examples(names, batches)  # noqa: B023 - called at once

        def again() -> Examples:
            return examples if examples.take(batches) else fresh()  # noqa: B023

        assert outcome_of(again) == outcome_of(fresh), batches
