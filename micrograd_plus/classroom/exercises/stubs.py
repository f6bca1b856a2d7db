"""Finds functions and classes that have not been begun: a body is still `...`.

>>> def begun(x): return 2 * x
>>> def unbegun(x): ...
>>> is_unbegun(begun), is_unbegun(unbegun)
(False, True)
"""

from __future__ import annotations

import dis
from types import FunctionType
from typing import Any

_NOTHING = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}


def is_unbegun(answer: Any) -> bool:
    """Whether this function, or a method of this class, does nothing; or a class has no method."""
    if isinstance(answer, FunctionType):
        return all(
            step.opname in _NOTHING and (step.argval is None or step.argval is ...)
            for step in dis.get_instructions(answer)
            if step.opname != "RESUME"
        )
    if isinstance(answer, type):
        methods = [thing for thing in vars(answer).values() if isinstance(thing, FunctionType)]
        return not methods or any(map(is_unbegun, methods))
    return False
