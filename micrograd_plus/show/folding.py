"""What of a large graph is folded. Pictures and pages follow the same rules, which are here.

The values that were computed in one scope, as in a neuron's call, can be shown as one box. A graph
is folded as little as it takes to be readable: first the innermost scopes become one box each (the
neurons), then the scopes around those (the layers), and so on. A box hides the parameters of its
module and the numbers in its formulas. Many leaves that are used by the same boxes alone become
one box, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping

from ..context import scope
from ..engine import Constant, Value
from ..formulas.names import place_among
from ..support.words import many

MOST_WHOLE = 40
"""Values of a graph that is drawn whole; a larger one is folded if it can be."""
_MOST_BOXES, _MOST_EDGES = 40, 80  # of a graph in which something is folded
MOST_INPUTS = 8
"""Leaves that are used by the same boxes; if there are more, they are shown as one."""


def is_readable(boxes: int, edges: int) -> bool:
    """Whether a folded graph needs no more folding; less detail is better than a tangle."""
    return boxes <= _MOST_BOXES and edges <= _MOST_EDGES


def heights_of(scopes: Iterable[scope | None]) -> dict[scope, int]:
    """For each scope, how many levels of scopes it holds: 1 for the innermost, as a neuron's."""
    heights: dict[scope, int] = {}
    for around in scopes:
        height = 1
        while around is not None and heights.get(around, 0) < height:
            heights[around] = height
            height, around = height + 1, around.parent
    return heights


def folded_into(
    inside: scope | None, heights: Mapping[scope, int], height: int, within: scope | None = None
) -> scope | None:
    """The scope that is shown as one box if scopes up to `height` are folded; None without.

    inside: the scope that a value was computed in. It is the outermost scope around that is not
    higher than `height` and lies inside of `within`.
    """
    if inside is None or inside is within or heights[inside] > height:
        return None
    while inside.parent not in (None, within) and heights[inside.parent] <= height:
        inside = inside.parent
    return inside


def title_of(call: scope) -> str:
    """`Layer 1`: the call's owner, and its place in the owner around it if that is known."""
    around = call.parent
    while around is not None:
        if hasattr(around.owner, "named_children"):
            children = dict(around.owner.named_children())
            for name, child in children.items():
                if child is call.owner:
                    siblings = {x: bool(c.parameters()) for x, c in children.items()}
                    kind, number = place_among(name, siblings)
                    return f"{call.name} {number or kind}"
        around = around.parent
    return call.name


def described(call: scope | None, values: int, parameters: int) -> list[str]:
    """What is below the title of a folded box: how wide the module is, as "2 → 16, relu", and
    how many values were computed from how many of its parameters.
    """
    describe = getattr(call.owner, "extra_repr", str) if call is not None else str
    counts = [many(values, "value")] + [many(parameters, "parameter")] * bool(parameters)
    return [text for text in (describe(), ", ".join(counts)) if text]


def parameters_of(scopes: Iterable[scope]) -> set[Value]:
    """The parameters of the modules to which these scopes belong."""
    owners = {id(opened.owner): opened.owner for opened in scopes}
    return {
        parameter
        for owner in owners.values()
        if hasattr(owner, "parameters")
        for parameter in owner.parameters()
    }


def is_hidden(leaf: Value, users: Iterable[Value], parameters: set[Value]) -> bool:
    """Whether boxes hide a leaf, all of whose users are inside of boxes."""
    if isinstance(leaf, Constant):  # in an op of vectors it is data
        return not any(user.op is not None and user.op.nary for user in users)
    return leaf in parameters


def bundles_of(
    users: Mapping[Value, Iterable[Hashable]], is_box: Callable[[Hashable], bool]
) -> dict[Value, list[Value]]:
    """The values that are shown together with each value: itself alone, or its whole bundle.

    users: for each value what uses it, as it is drawn; is_box: whether that is a folded box.
    """
    by_users: dict[frozenset[Hashable], list[Value]] = defaultdict(list)
    for value, of_value in users.items():
        by_users[frozenset(of_value)].append(value)
    return {
        value: values if len(values) > MOST_INPUTS and all(map(is_box, of_values)) else [value]
        for of_values, values in by_users.items()
        for value in values
    }
