"""What the page draws: the boxes and edges of the whole graph, or of a large one folded.

A graph is folded by the rules of `show.folding`, as in a picture. Each folded box opens as a view
of its own, in which only as much is folded as makes it readable. How large the boxes are and
where they are is computed by the page, when a view opens (`boxes.js` and `layout.js`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from ..context import scope
from ..engine import Constant, Value, shown_operands
from ..show.folding import (
    MOST_WHOLE,
    bundles_of,
    described,
    folded_into,
    heights_of,
    is_hidden,
    is_readable,
    parameters_of,
    title_of,
)
from .lesson import Lesson

MOST_IN_ONE = 400  # boxes of any view: more cannot be read
_MOST_VALUES = 5_000  # that a page recomputes while a leaf is dragged


@dataclass(eq=False)
class _Group:
    """A folded call: the view that shows what is inside, and how it is described."""

    call: scope
    count: int = 0


@dataclass(eq=False)
class _Bundle:
    """Several leaves in one box."""

    values: list[Value]


Box = Value | _Group | _Bundle


@dataclass
class View:
    """One picture. parent: the number of the view that it opens from; None for the first.

    inside: the boxes that are computed here; the others come from outside of a folded call.
    """

    title: str
    parent: int | None
    boxes: dict[Box, None] = field(default_factory=dict)
    edges: dict[tuple[Box, Box, int], list[tuple[Value, int]]] = field(default_factory=dict)
    inside: set[Box] = field(default_factory=set)


class Views:
    """All views of a lesson; the first is the one that the page opens with.

    fold: whether calls are folded; None, if the graph is large.
    around, depth: only the values at most `depth` edges away from this one.

    ValueError for a graph that is too large.
    """

    def __init__(self, lesson: Lesson, fold: bool | None, around: Value | None, depth: int) -> None:
        self.lesson = lesson
        self.ops = [value for value in lesson.order if value.op is not None]
        count = len(lesson.order)
        if count > _MOST_VALUES:
            raise ValueError(
                f"a graph of {count:,} values is too large to be stepped through, {_MOST_VALUES:,} "
                "being the most: take one example's loss, or a smaller model"
            )
        self.members: dict[scope | None, list[Value | scope]] = defaultdict(list)
        self.sizes: dict[scope | None, int] = defaultdict(int)
        self._gather()
        self.users: dict[Value, dict[Value, None]] = defaultdict(dict)
        for value in self.ops:
            for operand in value.operands:
                self.users[operand][value] = None
        self.heights = heights_of(value.scope for value in self.ops)
        self.parameters = parameters_of(self.heights)
        self.views: list[View] = []
        self.numbers: dict[scope | None, int] = {}
        self.folds = count > MOST_WHOLE if fold is None else fold
        if around is not None:
            self._add_around(around, depth)
        else:
            self._add(None, None)
            for view in self.views:  # to which others are added in the loop
                for box in view.boxes:
                    if isinstance(box, _Group):
                        self._add(box.call, self.views.index(view))
        largest = max(len(view.boxes) for view in self.views)
        if largest > MOST_IN_ONE:
            raise ValueError(
                f"a graph of {count:,} values takes a picture of {largest:,} boxes, more than the "
                f"{MOST_IN_ONE} that can be read: step_through(root, around=value) shows the part "
                "around one of its values, and what is computed inside `with scope(name):` can "
                "be folded into one box"
            )

    # ---- which boxes

    def _gather(self) -> None:
        """What each call holds: values, and calls inside it, in order."""
        seen: set[scope | None] = {None}
        for value in self.ops:
            inside: scope | None = value.scope
            self.members[inside].append(value)
            self.sizes[inside] += 1
            while inside is not None:
                self.sizes[inside.parent] += 1
                if inside not in seen:
                    seen.add(inside)
                    self.members[inside.parent].append(inside)
                inside = inside.parent

    def _add(self, call: scope | None, parent: int | None) -> None:
        """The view of what is inside a call, folded as little as it takes to be readable."""
        self.numbers[call] = len(self.views)
        title = "the whole graph" if call is None else title_of(call)
        around = self._outermost() if call is None else call
        top = max(self.heights.values(), default=0) if around is None else self.heights[around] - 1
        for height in range(top + 1):
            view = self._view(title, parent, call, height)
            if not self.folds or is_readable(len(view.boxes), len(view.edges)):
                break
        self.views.append(view)

    def _outermost(self) -> scope | None:
        """The call that computed every value, if there is one: as a single box it shows nothing."""
        calls = [member for member in self.members[None] if isinstance(member, scope)]
        return calls[0] if len(self.members[None]) == len(calls) == 1 else None

    def _view(self, title: str, parent: int | None, call: scope | None, height: int) -> View:
        """The picture of what is inside a call, in which scopes up to `height` are folded."""
        groups: dict[scope, _Group] = {}
        place: dict[Value, Box | None] = {}
        for value in self.ops:
            if not _is_inside(value.scope, call):
                place[value] = None
                continue
            folded = folded_into(value.scope, self.heights, height, within=call)
            if folded is None or self.sizes[folded] == 1:
                place[value] = value
            else:
                place[value] = groups.setdefault(folded, _Group(folded, self.sizes[folded]))
        return self._drawn(View(title, parent), place)

    def _add_around(self, center: Value, depth: int) -> None:
        if center not in self.lesson.index:
            raise ValueError(f"{center!r} is not in the graph of the value to step through")
        near = {center}
        for _ in range(depth):
            reached = [operand for value in near for operand in value.operands]
            reached += [user for value in near for user in self.users[value]]
            near.update(reached)
        place: dict[Value, Box | None] = {x: x if x in near else None for x in self.ops}
        view = View(f"around {self.lesson.names[center]}", None)
        self.views.append(self._drawn(view, place))

    def _drawn(self, view: View, place: dict[Value, Box | None]) -> View:
        """The view with its boxes and edges; `place` says where each computed value is shown."""
        hidden = self._hidden(place)
        bundles = self._bundles(place, hidden)
        for user in self.ops:
            head = place[user]
            if head is None:
                continue
            for position, operand in enumerate(shown_operands(user)):
                tail = bundles.get(operand) or place.get(operand) or operand
                if tail is head or operand in hidden:
                    continue
                view.boxes[tail] = None
                single = isinstance(tail, Value) and isinstance(head, Value)
                edge = (tail, head, position if single else -1)
                view.edges.setdefault(edge, []).append((user, position))
            view.boxes[head] = None
            view.inside.add(head)
        if not view.boxes:  # the root is a leaf
            view.boxes[self.lesson.root] = None
        return view

    def _hidden(self, place: dict[Value, Box | None]) -> Set[Value]:
        """The leaves that belong inside folded boxes."""
        hidden = set()
        for leaf, users in self.users.items():
            if leaf.op is None and is_hidden(leaf, users, self.parameters):
                boxes = {place[user] for user in users} - {None}
                if all(isinstance(box, _Group) for box in boxes):
                    hidden.add(leaf)
        return hidden

    def _bundles(self, place: dict[Value, Box | None], hidden: Set[Value]) -> dict[Value, Box]:
        """Many values from outside that all go to the same folded boxes, as one box."""
        outside = {
            value: [box for user in users if (box := place[user])]
            for value, users in self.users.items()
            if value not in hidden and place.get(value) is None
        }
        together = bundles_of(outside, lambda box: isinstance(box, _Group))
        made: dict[int, _Bundle] = {}
        return {
            value: made.setdefault(id(values), _Bundle(values))
            for value, values in together.items()
            if len(values) > 1
        }

    # ---- as data

    def data(self) -> list[dict[str, Any]]:
        """The views as the page reads them."""
        return [self._data(view) for view in self.views]

    def _data(self, view: View) -> dict[str, Any]:
        index = {box: i for i, box in enumerate(view.boxes)}
        order = self.lesson.index
        return {
            "title": view.title,
            "parent": view.parent,
            "boxes": [self._box(view, box) for box in view.boxes],
            "edges": [
                {
                    "from": index[tail],
                    "to": index[head],
                    # Operands arrive in their order; at a folded box, any order is right.
                    **({"port": pairs[0][1]} if isinstance(head, Value) else {}),
                    "pairs": [[order[user], position] for user, position in pairs],
                }
                for (tail, head, _), pairs in view.edges.items()
            ],
        }

    def _box(self, view: View, box: Box) -> dict[str, Any]:
        index = self.lesson.index
        if isinstance(box, Value):
            inside = box in view.inside or box.op is None
            kind = "constant" if isinstance(box, Constant) else "value" if inside else "outside"
            return {"kind": kind, "node": index[box]}
        if isinstance(box, _Bundle):
            nodes = [index[value] for value in box.values]
            return {"kind": "bundle", "title": f"{len(nodes)} inputs", "nodes": nodes}
        computed = list(self._computed(box.call))
        used = {x for value in computed for x in value.operands} & self.parameters
        outputs = self._outputs(box.call)
        return {
            "kind": "group",
            "title": title_of(box.call),
            "rows": described(box.call, box.count, len(used)),
            "view": self.numbers[box.call],
            "nodes": [index[value] for value in computed],
            **({"output": index[outputs[0]]} if len(outputs) == 1 else {}),
        }

    def _outputs(self, call: scope) -> list[Value]:
        """What a call computed that is used outside of it."""
        inside = dict.fromkeys(self._computed(call))
        return [
            value
            for value in inside
            if value is self.lesson.root or any(user not in inside for user in self.users[value])
        ]

    def _computed(self, call: scope) -> Iterator[Value]:
        for member in self.members[call]:
            if isinstance(member, scope):
                yield from self._computed(member)
            else:
                yield member


def _is_inside(inside: scope | None, call: scope | None) -> bool:
    while inside is not None and inside is not call:
        inside = inside.parent
    return inside is call
