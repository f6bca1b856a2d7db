"""Checks of arguments that several modules share."""

from __future__ import annotations

import operator
import random
from contextlib import suppress
from typing import Any, TypeVar

Default = TypeVar("Default")


def whole_number(name: str, number: Any, at_least: int = 1) -> int:
    """`number` as an int if it is a whole one of at least `at_least`; else ValueError."""
    with suppress(TypeError):
        if operator.index(number) >= at_least and not isinstance(number, bool):
            return operator.index(number)
    raise ValueError(f"{name} must be a whole number of at least {at_least}, not {number!r}")


def generator_or(default: Default, generator: random.Random | None) -> random.Random | Default:
    """`generator`, or the default if it is None; TypeError for anything else, as a seed."""
    if generator is None:
        return default
    if not isinstance(generator, random.Random):
        raise TypeError(f"generator is a random.Random, as random.Random(0), not {generator!r}")
    return generator
