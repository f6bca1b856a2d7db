"""Words for numbers of things.

>>> many(1, "leaf", "leaves"), many(12_000, "value")
('1 leaf', '12,000 values')
"""

from __future__ import annotations


def many(count: int, noun: str, plural: str = "") -> str:
    """How many of them: the noun, or its plural, which ends in s unless it is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
