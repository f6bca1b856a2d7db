"""What of a computation graph is drawn: boxes and the arrows between them.

A Value is one box, with its operation's sign where its operands arrive. A graph of up to 40 values
is drawn whole. A larger one is folded as `folding` says, and at
each height all calls of the same module, as over the examples of a batch, may become one box.
What is still too large is refused. Every step takes time in proportion to the graph.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..context import scope
from ..engine import (
    Constant,
    Value,
    local_derivatives,
    op_name,
    shown_operands,
    topological_order,
)
from ..formulas.names import parameter_names
from ..ops import TABLE, Op
from ..support.words import many
from .folding import (
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

_MOST_BOXES = 150  # of a graph in which nothing can be folded
_MOST_FOLDED = 80  # of folded boxes, which are larger
_MOST_ASKED_FOR = 1000  # where the folding was chosen by hand
_MOST_EXPANDED = MOST_WHOLE  # in a graph that has room for single products
_ARROWS_PER_BOX = 5  # at most, in a folded graph


@dataclass(slots=True)
class Box:
    """A value with the op that computed it, or what one or more calls of a module computed.

    values: the Values whose number and gradient are in the box.
    sign: the op's; empty for a leaf and for a group.
    lines: the other lines.
    """

    kind: str  # value, constant, bundle or group
    title: str = ""
    values: Sequence[Value] = ()
    lines: Sequence[str] = ()
    sign: str = ""

    @property
    def data(self) -> list[float]:
        """The numbers in it."""
        return [value.data for value in self.values]

    @property
    def gradients(self) -> list[float]:
        """Their gradients; a Constant has none."""
        return [value.grad for value in self.values if not isinstance(value, Constant)]


class Arrow(NamedTuple):
    """flows: the gradient that comes back along it, for each Value there; none to a Constant."""

    tail: str
    head: str
    flows: Sequence[float]


@dataclass(slots=True)
class Drawing:
    """The boxes by name, and the arrows between them."""

    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)
    has_gradients: bool = True


@dataclass(slots=True, eq=False)
class _Group:
    """What one folded box stands for: the values computed in some calls of one scope.

    calls: the scopes; none for what was computed outside of all.
    """

    calls: set[scope] = field(default_factory=set)
    count: int = 0
    parameters: set[Value] = field(default_factory=set)
    outputs: dict[Value, None] = field(default_factory=dict)

    def box(self) -> Box:
        """The box to be drawn."""
        call = next(iter(self.calls), None)
        name = title_of(call) if call is not None else "operations"
        name += f" ×{len(self.calls)}" * (len(self.calls) > 1)
        lines = described(call, self.count, len(self.parameters))
        if len(self.outputs) > 1:
            lines.append(many(len(self.outputs), "output"))
        return Box("group", name, list(self.outputs), lines)


def boxes_of(
    root: Value,
    expand: bool | None = None,
    fold: str | bool | None = None,
    merge: bool | None = None,
) -> Drawing:
    """The most detailed drawing that can be read, or the one asked for; see `draw`."""
    order = topological_order(root)
    ops = [node for node in order if node.op is not None]
    counts = Counter([node.scope for node in ops])
    heights = heights_of(counts)
    fallback = None
    for height, merged in _levels(heights, fold, merge):
        most = _MOST_ASKED_FOR if fold is not None else _MOST_FOLDED if height else _MOST_BOXES
        of_scope = _groups(counts, heights, height, merged)
        single = sum(counts[inside] for inside, group in of_scope.items() if group is None)
        if len(set(of_scope.values()) - {None}) + single * (not merged) > most:
            continue
        groups = {node: group for node in ops if (group := of_scope[node.scope])}
        if merged:
            _group_the_rest(order, groups)
        drawing = _Drawer(root, ops, groups, most).drawing(expand)
        if drawing is not None:
            # What is below the root may hold the gradients of another root's backward().
            drawing.has_gradients = root.grad != 0
            is_small = height == 0 and len(order) <= MOST_WHOLE
            if fold is not None or is_small or is_readable(len(drawing.boxes), len(drawing.arrows)):
                return drawing
            fallback = fallback or drawing
    if fallback is not None:
        return fallback
    names = _names(heights)
    folding = f", or fold it by one of its scopes, fold={' or '.join(names)}" if names else ""
    raise ValueError(
        f"a graph of {len(order):,} values and {len(ops):,} ops takes more than the {most:,} boxes "
        "that a picture may have: draw a part of it, as one example's loss or one neuron's "
        f"output, or a smaller model{folding}; what is computed inside `with scope(name):` can be "
        f"folded into one box, and fold=False draws up to {_MOST_ASKED_FOR:,} boxes"
    )


def _names(heights: dict[scope, int]) -> list[str]:
    return sorted({repr(inside.name) for inside in heights})


def _levels(
    heights: dict[scope, int], fold: str | bool | None, merge: bool | None
) -> list[tuple[int, bool]]:
    """What to try in turn: up to which height scopes are folded, and whether calls are merged."""
    if isinstance(fold, str):
        named = [h for inside, h in heights.items() if inside.name.lower() == fold.lower()]
        if not named:
            there_are = ", ".join(_names(heights)) or "none"
            raise ValueError(f"this graph has no scope called {fold!r}; there are: {there_are}")
        levels = [(max(named), False), (max(named), True)]
    elif fold in (None, False):
        levels = [(0, False)]
        top = max(heights.values(), default=0) if fold is None else 0
        for height in range(1, top + 1):
            levels.append((height, False))
            if height > 1 or top == 1:
                levels.append((height, True))
    else:
        raise ValueError(f"fold is the name of a scope, False or None, not {fold!r}")
    asked = [(height, merged) for height, merged in levels if merge is None or merged == merge]
    return asked or levels[:1]


def _groups(
    counts: Counter[scope | None], heights: dict[scope, int], height: int, merged: bool
) -> dict[scope | None, _Group | None]:
    """The group into which the values computed in each scope go; None if they stay single."""
    of_scope: dict[scope | None, _Group | None] = {}
    of_path: dict[Hashable, _Group] = {}
    for inside, count in counts.items():
        call = folded_into(inside, heights, height)
        if call is None:
            of_scope[inside] = None
        else:
            group = of_path.setdefault(_path(call) if merged else call, _Group())
            group.calls.add(call)
            group.count += count
            of_scope[inside] = group
    # A box for a single value would hide the op and show nothing instead.
    return {
        inside: group if group is not None and group.count > 1 else None
        for inside, group in of_scope.items()
    }


def _path(call: scope) -> Hashable:
    """What all calls of one module have in common: the owners, from the inside out."""
    path: list[Hashable] = []
    around: scope | None = call
    while around is not None:
        path.append(around.owner if isinstance(around.owner, str) else id(around.owner))
        around = around.parent
    return tuple(path)


def _group_the_rest(order: list[Value], groups: dict[Value, _Group]) -> None:
    """Folds what was computed outside of the groups, so that no arrow between boxes runs back.

    Values go together if the ways to them from the leaves enter and leave groups equally often.
    """
    outside = {node for node in order if node.op is not None and node not in groups}
    stages: dict[Value, int] = {}
    for node in order:
        stages[node] = max(
            [
                stages[operand] + (bool(operand.op) and (operand in outside) != (node in outside))
                for operand in node.operands
            ],
            default=0,
        )
    rest: dict[int, _Group] = defaultdict(_Group)
    for node in outside:
        rest[stages[node]].count += 1
    for node in outside:
        if rest[stages[node]].count > 1:
            groups[node] = rest[stages[node]]


class _Drawer:
    """Makes the drawing of a graph, if that takes at most `most` boxes."""

    def __init__(
        self, root: Value, ops: list[Value], groups: dict[Value, _Group], most: int
    ) -> None:
        self.root = root
        self.ops = ops
        self.groups = groups
        self.most = most
        self.names: dict[Value | _Group, str] = {}  # of the boxes that show them
        self.labels: Mapping[Value, str] = {}  # of parameters
        self.bundles: dict[Value, list[Value]] = {}
        self.flows: dict[tuple[str, str], dict[Value, float]] = {}
        self.drawn = Drawing()

    def drawing(self, expand: bool | None) -> Drawing | None:
        """The drawing, or None if it is too large."""
        single = [node for node in self.ops if node not in self.groups]
        if len(single) > self.most:
            return None
        self._gather()
        sums = [node for node in single if node.op is TABLE["dot"] and expand is not False]
        boxes = len(single) + len(set(self.groups.values()))
        boxes += len({id(bundle) for bundle in self.bundles.values()})
        expanded = boxes + sum(len(node.operands) // 2 for node in sums)
        if (expanded if expand else boxes) > self.most:
            return None
        self.labels = parameter_names(self.ops)
        as_sums = set(sums if expand or expanded <= _MOST_EXPANDED else [])

        for node in self.ops:
            if node in self.groups:
                self._draw_inside(node, self.groups[node])
            elif node in as_sums:
                self._draw_as_sum(node)
            else:
                self._draw_single(node)
        self._name(self.root)  # which may be a leaf
        if self.root in self.groups:
            self.groups[self.root].outputs[self.root] = None
        for drawn, name in self.names.items():
            if isinstance(drawn, _Group):
                self.drawn.boxes[name] = drawn.box()
        for (tail, head), flows in self.flows.items():
            self.drawn.arrows.append(Arrow(tail, head, list(flows.values())))
        if self.flows and len(self.drawn.arrows) > self.most * _ARROWS_PER_BOX:
            return None
        return self.drawn

    def _gather(self) -> None:
        """Counts what is in each group, and finds the leaves to be drawn: those outside of all.

        A group hides its modules' parameters, and numbers written into its formulas. Many
        other leaves that are used in the same groups make one bundle.
        """
        owned = parameters_of(self._folded_scopes())
        users: dict[Value, list[Value]] = defaultdict(list)
        for node in self.ops:
            for operand in shown_operands(node):
                if operand.op is None:
                    users[operand].append(node)
        shown: dict[Value, list[_Group | None]] = {}
        for leaf, of_leaf in users.items():
            groups = [self.groups.get(user) for user in of_leaf]
            if None in groups or not is_hidden(leaf, of_leaf, owned):
                shown[leaf] = groups
                continue
            for group in groups:
                if group is not None and not isinstance(leaf, Constant):
                    group.parameters.add(leaf)
        self.bundles = bundles_of(shown, lambda group: group is not None)

    def _folded_scopes(self) -> Iterator[scope]:
        """The scopes whose calls are folded, and all around them."""
        for group in set(self.groups.values()):
            for call in group.calls:
                around: scope | None = call
                while around is not None:
                    yield around
                    around = around.parent

    def _name(self, value: Value) -> str:
        """The name of the box that shows `value`, which is made if it is not there yet."""
        shown = self.groups.get(value, value)
        if shown not in self.names:
            bundle = self.bundles.get(value, [value])
            if isinstance(shown, _Group):
                box = Box("group")  # filled in when all that belongs there is known
            elif len(bundle) > 1:
                box = Box("bundle", many(len(bundle), "input"), bundle)
            else:
                kind = "constant" if isinstance(value, Constant) else "value"
                box = Box(kind, value.label or self.labels.get(value, ""), [value])
            name = self._add(box)
            self.names.update(dict.fromkeys([shown] if isinstance(shown, _Group) else bundle, name))
        return self.names[shown]

    def _add(self, box: Box) -> str:
        name = f"{box.kind}{len(self.drawn.boxes)}"
        self.drawn.boxes[name] = box
        return name

    def _draw_single(self, node: Value) -> None:
        self._draw_op(node, _op(node), op_name(node), shown_operands(node))

    def _draw_as_sum(self, node: Value) -> None:
        """A dot product as its single products and their sum, as micrograd draws a neuron."""
        multiply, add = TABLE["mul"], TABLE["sum"]
        half = len(node.operands) // 2
        products = []
        for a, b in zip(node.operands[:half], node.operands[half:]):
            product = Value(multiply.forward(a.data, b.data))
            product.op, product.operands = multiply, (a, b)
            products.append(product)
        for product, partial in zip(products, _partials(add, node, products)):
            product.grad = node.grad * partial
            self._draw_single(product)
        self._draw_op(node, add, add.symbol, products)

    def _draw_op(self, node: Value, op: Op, title: str, operands: Sequence[Value]) -> None:
        for operand in operands:
            self._name(operand)  # a box comes after those of its operands
        head = self._name(node)
        self.drawn.boxes[head].sign = title
        every_operand = node.operands if op is node.op else operands
        for operand, partial in zip(operands, _partials(op, node, every_operand)):
            if operand in self.groups:
                self._draw_flow(operand, head, node.grad * partial)
            else:
                flows = [] if isinstance(operand, Constant) else [node.grad * partial]
                self.drawn.arrows.append(Arrow(self._name(operand), head, flows))

    def _draw_inside(self, node: Value, group: _Group) -> None:
        """Of a folded value, only the arrows into its box."""
        arriving = [
            self.groups.get(operand) is not group
            and (operand.op is not None or operand in self.bundles)
            for operand in node.operands
        ]
        head = self._name(node)
        if any(arriving):
            for (operand, local), arrives in zip(local_derivatives(node), arriving):
                if arrives:
                    self._draw_flow(operand, head, node.grad * local)

    def _draw_flow(self, operand: Value, head: str, flow: float) -> None:
        """Adds to the one arrow that stands for all uses of a folded box, or inside one."""
        flows = self.flows.setdefault((self._name(operand), head), {})
        if operand in self.groups:
            self.groups[operand].outputs[operand] = None
        if not isinstance(operand, Constant):
            flows[operand] = flows.get(operand, 0.0) + flow


def _op(node: Value) -> Op:
    if node.op is None:
        raise ValueError(f"{node!r} was not computed")
    return node.op


def _partials(op: Op, node: Value, operands: Sequence[Value]) -> list[float]:
    return op.partials(node.data, *[operand.data for operand in operands])
