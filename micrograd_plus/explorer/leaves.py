"""The leaves of a graph in groups, as the page lists them: inputs first, then layer by layer.

>>> import random
>>> from ..engine import topological_order
>>> from ..nn import MLP
>>> model = MLP(2, [3, 1], generator=random.Random(0))
>>> for group in groups_of(topological_order(model([Value(1.0), Value(2.0)]))):
...     print(group.title, len(group.leaves))
inputs 2
layer 1 · Layer(2 → 3, relu) 9
layer 2 · Layer(3 → 1, linear) 4
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..engine import Constant, Value
from ..formulas.names import models_of, place_among
from ..nn import Module
from ..support.nested import flatten


@dataclass
class Group:
    """Leaves that belong together. path: the names that lead to their module, as `layers.0`."""

    title: str
    path: str = ""
    leaves: list[Value] = field(default_factory=list)


def groups_of(order: Sequence[Value], trained: Sequence[Value] = ()) -> list[Group]:
    """The leaves of a graph in topological order, grouped by the module that holds them.

    What no module holds is an input, or a parameter if it is one of the `trained`.
    """
    loose = {value: None for value in order if value.op is None and not isinstance(value, Constant)}
    groups = [Group("inputs"), Group("parameters")]
    for model in models_of(order):
        for group in _groups_in(model, "", []):
            group.leaves = [leaf for leaf in dict.fromkeys(group.leaves) if leaf in loose]
            for leaf in group.leaves:
                del loose[leaf]
            groups.append(group)
    moved = set(trained)
    in_order = sorted(loose, key=_reading_order) if len(groups) > 2 else loose
    for leaf in in_order:
        groups[leaf in moved].leaves.append(leaf)
    return [group for group in groups if group.leaves]


def _groups_in(module: Module, path: str, place: list[str]) -> Iterator[Group]:
    """A group for each module inside this one that holds leaves; neurons count as their layer."""
    described = f"{type(module).__name__}({_short(module.extra_repr())})"
    group = Group(" · ".join([*place, described]), path, [])
    members = list(module.named_members())
    children = []
    for name, member in members:
        if isinstance(member, Module) and member.in_tree:
            children.append((name, member))
        else:
            group.leaves += member.parameters() if isinstance(member, Module) else flatten(member)
    yield group
    siblings = {name: bool(child.parameters()) for name, child in children}
    for name, child in children:
        kind, number = place_among(name, siblings)
        here = f"{kind} {number}" if number else kind
        yield from _groups_in(child, f"{path}.{name}".strip("."), [*place, here])


def _reading_order(leaf: Value) -> list[tuple[bool, int, str]]:
    """x2 before x10, and both before y."""
    parts = re.findall(r"\d+|\D+", leaf.label)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _short(described: str) -> str:
    """`in_features=2, out_features=8` as `2 → 8`."""
    return re.sub(r"\bin_\w+=(\d+), out_\w+=(\d+)", r"\1 → \2", described)
