"""Hints that hold in any exercise: for exceptions that are common, and for results of another form.

>>> hint_by_result(Outcome([1.0, 2.0]), Outcome([1.0, 2.0, 3.0]))
'Your list has 2 items where 3 are expected.'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..questions import HINTS
from .guard import NOT_PLAIN, Outcome
from .plain import is_number, numbers_in, same


def hint_by_result(given: Outcome, expected: Outcome) -> str:
    """The hint for what came out in one case; empty if there is none."""
    if given.error == NOT_PLAIN:
        is_function = given.message == "a function"
        return "A function came out, not its result: are its brackets missing?" * is_function
    if given.error:
        return _hint_by_error(given)
    return "" if expected.error else _hint_by_form(given.value, expected.value)


def _hint_by_error(given: Outcome) -> str:
    if given.error == "IndexError":
        return "An index lies outside its list. The last of n items has the index n - 1."
    if given.error in ("NameError", "UnboundLocalError"):
        return "This name has no value there: is it misspelt, or does it get its value too late?"
    if given.error == "TypeError" and "indices must be" in given.message:
        return "An index is a whole number. Is the value in the brackets an index?"
    if given.error == "TypeError" and ("list" in given.message or "sequence" in given.message):
        return "Some operations take numbers only: go through the list, one number at a time."
    return ""


def _hint_by_form(given: Any, expected: Any, name: str = "Your list") -> str:
    if given is None and expected is not None:
        return "None came out: does each way through the function end with a `return`?"
    if isinstance(expected, bool) and given not in (0, 1):
        return "True or False is expected here."
    if isinstance(expected, dict) and isinstance(given, dict):
        missing = [key for key in expected if key not in given]
        if missing:
            return f"Your dictionary has no entry {missing[0]!r}."
        hints = (_hint_by_form(given[key], expected[key]) for key in expected)
        return next(filter(None, hints), "")
    if isinstance(expected, list):
        if not isinstance(given, list):
            return "A number came out where a list is expected." * is_number(given)
        if len(given) != len(expected):
            items = "item" if len(given) == 1 else "items"
            return f"{name} has {len(given)} {items} where {len(expected)} are expected."
        hints = (_hint_by_form(*pair, "A list in your list") for pair in zip(given, expected))
        return next(filter(None, hints), "")
    if is_number(expected) and isinstance(given, list):
        return "A list came out where a number is expected."
    return ""


def hint_by_results(given: Sequence[Outcome], expected: Sequence[Outcome]) -> str:
    """The hint for results that are wrong in the same way in all cases; empty if there is none."""
    pairs = [(a.value, b.value) for a, b in zip(given, expected) if not a.error and not b.error]
    if len(pairs) < len(given) // 2:
        return ""
    first, right = pairs[0]
    if all(same(a, first) for a, _ in pairs) and not all(same(b, right) for _, b in pairs):
        return "It gives the same in every case. Does it use its arguments?"
    rows = [(numbers_in(a), numbers_in(b)) for a, b in pairs]
    if any(len(ours) != len(theirs) for ours, theirs in rows):
        return ""
    return _hint_by_numbers([pair for row in rows for pair in zip(*row)])


def _hint_by_numbers(pairs: Sequence[tuple[float, float]]) -> str:
    """A hint for numbers that are all rounded, or wrong by the same factor."""
    if any(all(same(a, round(b, digits)) for a, b in pairs) for digits in range(5)):
        return "The results are rounded. Return all digits."
    factor = next((a / b for a, b in pairs if b), 0.0)
    if not factor or same(factor, 1.0) or not all(same(a, factor * b) for a, b in pairs):
        return ""
    if factor == -1:
        return HINTS["sign"]
    return f"All results are {factor:.4g} times what they should be."
