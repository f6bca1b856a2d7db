"""Stamping: a call that was recorded once is added again for other operands, without running it.

A network repeats a few calls: a Linear on every token, an attention head for every query. The
functions that `recordable.stamped` marks are recorded once for each shape of their arguments, as a
`Template`. Every later call adds the same nodes, with its own arguments in place of the first
ones: one `Stamp`, however many nodes it stands for.

Some arguments, as the weights of a layer, stay the same from call to call. What depends on them
alone is added once for each layer, when its weights are first seen: a `Binding`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

from ..engine import Constant, Value, open_scope
from .recorded import Recorded

Key = tuple[Any, ...]
_op = attrgetter("op")


@dataclass
class Part:
    """Nodes by code: those of a template that are added together.

    ops, tags: as of the nodes of a graph; lengths: how many operands each node has.
    codes: the operands, as places in the list that `Template` says.
    """

    ops: list[Any]
    tags: array[int]
    lengths: array[int]
    codes: list[int]

    @cached_property
    def operands(self) -> Callable[[Sequence[int]], Sequence[int]]:
        """Takes the operands of all nodes from the list that the codes count."""
        if len(self.codes) < 2:  # for which itemgetter returns no tuple
            return lambda numbers: [numbers[code] for code in self.codes]
        return itemgetter(*self.codes)


@dataclass
class Template:
    """What a call added.

    once: the nodes that depend on no varying argument. Their codes count these nodes, the fixed
        Values, and the constants.
    each: the other nodes. Their codes count `uses`, these nodes, and the varying Values.
    uses: the codes of what `each` takes from `once`.
    constants: leaves that the call made or reached.
    fixed: the shapes of the fixed arguments.
    outputs: which of the nodes of `each` the call returned; structure: how they were nested, and
        whether they were one list.
    """

    once: Part
    each: Part
    uses: list[int]
    constants: list[Value]
    fixed: Key
    outputs: list[int]
    structure: Any
    is_list: bool

    def equals(self, other: Template) -> bool:
        """Whether both add the same nodes."""
        return (
            self.once == other.once
            and self.each == other.each
            and self.uses == other.uses
            and self.outputs == other.outputs
            and len(self.constants) == len(other.constants)
            and all(are_same(a.data, b.data) for a, b in zip(self.constants, other.constants))
        )


@dataclass
class Binding:
    """A template with its fixed arguments: `given` as copies of the lists, `values` in one list.

    scope: the scope in which they were seen first.
    """

    template: Template
    given: list[Any]
    values: list[Value]
    scope: Any

    def equals(self, other: Binding) -> bool:
        """Whether a stamp of the other one adds the same nodes."""
        if self.twin is not other:
            if not (self.values == other.values and self.template.equals(other.template)):
                return False
            self.twin = other
        return True

    twin: Binding | None = None  # the last one that was equal


@dataclass
class Stamp:
    """One call: its varying Values, and the Values that stand for what it returned."""

    binding: Binding
    values: list[Value]
    results: Sequence[Value]
    scope: Any


class Templates:
    """The templates and bindings of all calls that were recorded for one compiled function."""

    def __init__(self) -> None:
        self.templates: dict[Key, Template | None] = {}  # None: the call cannot be stamped
        self.bindings: dict[Key, list[Binding]] = {}

    def binding(self, key: Key, given: Sequence[Any], known: Container[Value]) -> Binding | None:
        """The binding for these fixed arguments; None if there is no template for them.

        known: the parameters that every recording of the function may use.
        """
        template = self.templates.get(key)
        if template is None:
            return None
        for binding in self.bindings[key]:
            if binding.given == given:  # the same Values, one by one
                return binding
        shapes, values = leaves(given)
        if shapes != template.fixed or not all(map(known.__contains__, values)):
            return None
        binding = Binding(template, list(map(copied, given)), values, open_scope.get())
        self.bindings[key].append(binding)
        return binding

    def add(
        self, key: Key, given: Sequence[Any], varying: Sequence[Value], chunk: Sequence[Any],
        returned: Sequence[Value], structure: Any,
    ) -> None:  # fmt: skip
        """Makes a template of the nodes that a call added, if they depend on its arguments alone.

        chunk: the Values and Vectors that the call made, each after its operands.
        """
        shapes, fixed = leaves(given)
        if shapes is None or len({*fixed, *varying}) < len(fixed) + len(varying):
            return  # one Value is two arguments, as a state of zeros; the next call may be another
        self.templates[key], self.bindings[key] = None, []
        moving: set[Any] = set(varying)
        once: list[Any] = []
        each: list[Any] = []
        for node in chunk:
            if moving.isdisjoint(node.parts):
                once.append(node)
            else:
                each.append(node)
                moving.add(node)
        known = {*once, *fixed, *moving}
        used = dict.fromkeys(chain.from_iterable(node.parts for node in chunk))
        constants = [value for value in used if value not in known]
        if not all(isinstance(value, Constant) for value in constants):
            return  # the call reached a Value that is no argument
        code_once = {x: code for code, x in enumerate(chain(once, fixed, constants))}
        if not set(returned) <= set(each):
            return
        taken = chain.from_iterable(node.parts for node in each)
        outside = list(dict.fromkeys(x for x in taken if x not in moving))
        code_each = {x: code for code, x in enumerate(chain(outside, each, varying))}
        self.templates[key] = Template(
            once=_part(once, code_once),
            each=_part(each, code_each),
            uses=[code_once[x] for x in outside],
            constants=constants,
            fixed=shapes,
            outputs=[code_each[value] - len(outside) for value in returned],
            structure=structure,
            is_list=structure == [None] * len(returned),
        )


def _part(nodes: Sequence[Any], code: dict[Any, int]) -> Part:
    return Part(
        ops=[node.op for node in nodes],
        tags=array("q", [not node.keeps_graph for node in nodes]),
        lengths=array("q", [len(node.parts) for node in nodes]),
        codes=[code[part] for node in nodes for part in node.parts],
    )


def flattened(arguments: Sequence[Any]) -> tuple[Key, list[Value]] | None:
    """The shapes of arguments, and their Values in one list; None if there is any other number.

    An argument is a Value, a list of Values, a list of such lists, or a setting such as eps, which
    is part of the shape.
    """
    shapes: list[Any] = []
    values: list[Value] = []
    for argument in arguments:
        if isinstance(argument, Value):
            shapes.append(Value)
            values.append(argument)
        elif not isinstance(argument, (list, tuple)):
            shapes.append(argument)
        elif argument and isinstance(argument[0], (list, tuple)):
            shapes.append(tuple(map(len, argument)))
            values += chain.from_iterable(argument)
        else:
            shapes.append(len(argument))
            values += argument
    kinds = {*map(type, values)}
    return (tuple(shapes), values) if all(issubclass(kind, Value) for kind in kinds) else None


def leaves(given: Sequence[Any]) -> tuple[Key | None, list[Value]]:
    """The shapes of fixed arguments, and their Values in one list; None if one is no leaf."""
    shapes, values = flattened(given) or (None, [])
    made = any(issubclass(kind, Recorded) for kind in {*map(type, values)})
    return (None, []) if made or not {*map(_op, values)} <= {None} else (shapes, values)


def are_same(a: float, b: float) -> bool:
    """Whether two numbers are equal, but for how they were rounded; nan equals nan."""
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-12)


def copied(argument: Any) -> Any:
    """A copy of nested lists, which compares equal to them."""
    if not isinstance(argument, (list, tuple)):
        return argument
    nested = argument and isinstance(argument[0], (list, tuple))
    return type(argument)(map(copied, argument) if nested else argument)
