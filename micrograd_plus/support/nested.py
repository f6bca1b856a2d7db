"""Nested lists of numbers: rows, batches, images; arrays and tensors count as such."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def plain(x: Any) -> Any:
    """NumPy arrays and PyTorch tensors as nested lists; anything else as it is."""
    return x.tolist() if hasattr(type(x), "tolist") else x  # of the type: faster for a Value


def is_nested(x: Any) -> bool:
    """Whether x is a list of lists, as a batch of rows is."""
    return isinstance(x, (list, tuple)) and len(x) > 0 and isinstance(plain(x[0]), (list, tuple))


def flatten(x: Any) -> Iterator[Any]:
    """The items of nested lists, in order; a single number yields itself."""
    x = plain(x)
    if isinstance(x, (list, tuple)):
        for item in x:
            yield from flatten(item)
    else:
        yield x


def shape(x: Any) -> tuple[int, ...]:
    """The lengths of nested lists, from the outermost in; () for a single number.

    ValueError if the lists beside each other have different lengths.
    """
    x = plain(x)
    if not isinstance(x, (list, tuple)):
        return ()
    inner = {shape(item) for item in x} or {()}
    if len(inner) > 1:
        raise ValueError(f"has rows of different shapes, {sorted(inner)}")
    return (len(x), *inner.pop())
