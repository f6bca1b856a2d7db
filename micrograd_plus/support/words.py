"""Words for numbers of things, for settings, and for objects in a message.

>>> many(1, "leaf", "leaves"), many(12_000, "value")
('1 leaf', '12,000 values')
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def many(count: int, noun: str, plural: str = "") -> str:
    """How many of them: the noun, or its plural, which ends in s unless it is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def in_short(thing: Any) -> str:
    """The beginning of an object's text: of its first line, and not more than 60 letters.

    >>> in_short([10, 20]), in_short("x" * 100)
    ('[10, 20]', "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...")
    """
    return cut(" ".join(repr(thing).partition("\n")[0].split()), 60)


def cut(text: str, most: int) -> str:
    """The text, or its beginning and three dots: not more than `most` letters.

    >>> cut("a long text", 11), cut("a long text", 9)
    ('a long text', 'a long...')
    """
    return text if len(text) <= most else text[: most - 3] + "..."


def setting(value: Any) -> str:
    """A setting in a few letters: a number of at most six digits, or a name, or its own text.

    >>> setting(0.1 + 0.2), setting("tanh"), setting(many), setting([8, 1])
    ('0.3', 'tanh', 'many', '[8, 1]')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(getattr(value, "__name__", value))


def settings(values: Mapping[str, Any]) -> str:
    """Several settings by name.

    >>> settings({"lr": 0.1, "width": 8})
    'lr=0.1, width=8'
    """
    return ", ".join(f"{name}={setting(value)}" for name, value in values.items())
