"""Answers as plain data: numbers, texts and lists, which can be compared, written and sent.

>>> from micrograd_plus.engine import Value
>>> plain([Value(2.0), (1, True)])
[2.0, [1, True]]
>>> same([1.0, 2.0], [1.0, 2.0000001]), written([0.5, -3])
(True, '[0.5, -3]')
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

from ...engine import Value

RELATIVE = 1e-6
"""How far the results of two functions may be apart, relative to their size."""

_ABSOLUTE = 1e-9  # and in absolute size: a 0 may be computed as 1e-17
_MOST_ITEMS = 100_000
_MOST_LETTERS = 200
_LARGEST_WHOLE = 2**53


class NotPlainError(TypeError):
    """An answer that is no plain data; the text says what it is, as "a function"."""


def plain(thing: Any) -> Any:
    """The plain data of an answer, with the data of Values, the student's own too.

    `...` becomes None. NotPlainError for anything that is no number, text, bool, None, nor a list
    or dict of them.
    """
    if thing is None or thing is ...:
        return None
    if isinstance(thing, (bool, str)):
        return thing
    if isinstance(thing, int):
        return int(thing) if abs(thing) <= _LARGEST_WHOLE else _float(thing)
    if isinstance(thing, float):
        return float(thing)
    if isinstance(thing, Value):
        return thing.data
    if isinstance(thing, (list, tuple)):
        if len(thing) > _MOST_ITEMS:
            raise NotPlainError(f"a list of {len(thing):,} items")
        return [plain(item) for item in thing]
    if isinstance(thing, dict):
        return {str(key): plain(item) for key, item in thing.items()}
    if isinstance(thing, type):
        raise NotPlainError(f"the class {thing.__name__}")
    if hasattr(thing, "tolist"):  # an array of NumPy, a tensor of PyTorch
        return plain(thing.tolist())
    if isinstance(getattr(thing, "data", None), (int, float, Value)):  # the student's own Value
        return plain(thing.data)
    if callable(thing):
        raise NotPlainError("a function")
    if hasattr(thing, "__next__"):
        raise NotPlainError(f"a {type(thing).__name__} object; `list(…)` makes a list of it")
    raise NotPlainError(f"an object of the class {type(thing).__name__}")


def _float(whole: int) -> float:
    try:
        return float(whole)
    except OverflowError:
        return math.inf if whole > 0 else -math.inf


def is_number(thing: Any) -> bool:
    """Whether this plain data is one number; True and False are none."""
    return isinstance(thing, (int, float)) and not isinstance(thing, bool)


def numbers_in(thing: Any) -> list[float]:
    """The numbers of plain data, from the first to the last; True and False are none."""
    if isinstance(thing, list):
        return [number for item in thing for number in numbers_in(item)]
    return [thing] if is_number(thing) else []


def same(given: Any, expected: Any, relative: float = RELATIVE) -> bool:
    """Whether two plain data are equal, their numbers nearly."""
    if isinstance(expected, list):
        return (
            isinstance(given, list)
            and len(given) == len(expected)
            and all(same(a, b, relative) for a, b in zip(given, expected))
        )
    if isinstance(expected, dict):
        return (
            isinstance(given, dict)
            and given.keys() == expected.keys()
            and all(same(given[key], expected[key], relative) for key in expected)
        )
    if isinstance(expected, (int, float)) and isinstance(given, (int, float)):
        if math.isnan(expected) or math.isinf(expected):
            return given == expected or (math.isnan(given) and math.isnan(expected))
        return abs(given - expected) <= relative * abs(expected) + _ABSOLUTE
    return type(given) is type(expected) and bool(given == expected)


def written(thing: Any) -> str:
    """The text of plain data, or of an argument; a long one is cut off."""
    text = _text(thing)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"


def _text(thing: Any) -> str:
    if isinstance(thing, float):
        return f"{thing:.6g}"
    if isinstance(thing, (list, tuple)):
        inner = ", ".join(_text(item) for item in thing[:_MOST_LETTERS])
        if isinstance(thing, list):
            return f"[{inner}]"
        return f"({inner},)" if len(thing) == 1 else f"({inner})"
    if isinstance(thing, dict):
        items = islice(thing.items(), _MOST_LETTERS)
        return f"{{{', '.join(f'{_text(key)}: {_text(item)}' for key, item in items)}}}"
    if isinstance(thing, Value):
        return f"Value({thing.data:.6g})"
    return repr(thing)
