"""How an object shows itself in a notebook: the hook that all rooms share.

A class whose objects show more than their text has the line `_repr_mimebundle_ = mimebundle`. What
is shown is in `notebook.py`, which knows all rooms; `micrograd_plus/__init__.py` connects the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

painters: list[Callable[[Any], Mapping[str, Any]]] = []
"""What gives an object's content by MIME type, in addition to its text."""


def mimebundle(
    value: Any, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
) -> dict[str, Any]:
    """The content of `value` by MIME type, as IPython asks for it."""
    bundle: dict[str, Any] = {"text/plain": repr(value)}
    for painter in painters:
        bundle |= painter(value)
    return selected(bundle, include, exclude)


def selected(
    bundle: Mapping[str, Any], include: Iterable[str] | None, exclude: Iterable[str] | None
) -> dict[str, Any]:
    """The part of a bundle that IPython asks for."""
    wanted = set(bundle if include is None else include) - set(exclude or ())
    return {kind: content for kind, content in bundle.items() if kind in wanted}
