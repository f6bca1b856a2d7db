"""Gives every value of a graph its own name, for texts about the graph.

>>> from micrograd_plus.engine import Value, topological_order
>>> a = Value(2.0, label="a")
>>> list(names_of(topological_order((a * a + a).tanh())).values())
['a', 'v1', 'v2', 'L']
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from ..engine import Constant, Value


def names_of(order: Sequence[Value]) -> dict[Value, str]:
    """Returns a different name for each value of a topological order, in that order.

    The name is the value's label; for a parameter without label, its place in the model, such as
    `1.0.w[2]`; for a Constant, its number; for the root, L; for all others, v1, v2, … A label that
    occurs twice is numbered: w, w_2.
    """
    wanted = {**_parameters(order), **{value: value.label for value in order if value.label}}
    taken = {_look(name) for name in wanted.values()}
    root = order[-1]
    if root not in wanted and root.op is not None and "L" not in taken:
        wanted[root] = "L"
        taken.add("L")
    unnamed = (name for i in count(1) if (name := f"v{i}") not in taken)
    candidates: dict[str, Iterator[str]] = {}
    names: dict[Value, str] = {}
    used: set[str] = set()
    for value in order:
        name = wanted.get(value, "")
        if not name and isinstance(value, Constant):
            names[value] = f"{value.data:g}"
        else:
            possible = candidates.setdefault(name, _numbered(name, taken)) if name else unnamed
            names[value] = next(candidate for candidate in possible if _look(candidate) not in used)
            used.add(_look(names[value]))
    return names


def _look(name: str) -> str:
    return re.sub(r"_(\d+)$", r"\1", name)  # x_1 and x1 are both shown as x with an index


def _numbered(name: str, taken: set[str]) -> Iterator[str]:
    yield name
    yield from (other for i in count(2) if _look(other := f"{name}_{i}") not in taken)


def _parameters(order: Sequence[Value]) -> dict[Value, str]:
    """Returns the names of the models' parameters, as short as possible without repetition.

    In a neuron `w[2]` is enough, in a layer `0.w[2]`; otherwise the name is the whole path.
    """
    paths = {
        value: name.split(".")
        for model in models_of(order)
        for name, value in model.named_parameters()
    }
    paths = {value: paths[value] for value in order if value in paths}
    short = {value: path[-1] for value, path in paths.items()}
    indexed = {
        value: ".".join([*filter(str.isdigit, path[:-1]), path[-1]])
        for value, path in paths.items()
    }
    whole = {value: ".".join(path) for value, path in paths.items()}
    for names in (short, indexed):
        if len(set(names.values())) == len(names):
            return names
    return whole


def models_of(order: Sequence[Value]) -> list[Any]:
    """Returns the outermost modules whose calls computed the graph."""
    models: dict[int, Any] = {}
    for value in order:
        around, outermost = value.scope, None
        while around is not None:
            if hasattr(around.owner, "named_parameters"):
                outermost = around.owner
            around = around.parent
        if outermost is not None:
            models[id(outermost)] = outermost
    return list(models.values())
