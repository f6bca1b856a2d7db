"""Stamping: a call that was recorded once is added again for other operands, without running it.

A network repeats a few calls: a Linear on every token, an attention head for every query. The
functions that `recordable.stamped` marks are recorded once for each shape of their arguments, as a
`Template`. Every later call adds the same nodes, with its own arguments in place of the first
ones: one stamp, however many nodes it has.

Some arguments, as the weights of a layer, stay the same from call to call. What depends on them
alone is added once for each layer, when its weights are first seen: a `Binding`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count, repeat
from typing import Any

from ..engine import Constant, Value
from .passes import LEAVES, NUMBERS, PARAMETERS, STAMPED
from .rows import VECTOR_OP, Places, Rows

Key = tuple[Any, ...]


@dataclass
class Template:
    """What a call added.

    number: which template it is, of those that are made.
    once: the nodes that depend on no varying argument. Their operands are places in a list of
        these nodes, the fixed Values, and the constants.
    each: the other nodes. Their operands are places in a list of `uses` and the varying Values;
        or a node of `each`, as ~place.
    uses: what `each` takes from the first list; taken: how long the second list is.
    constants: leaves that the call made or reached.
    fixed: the shapes of the fixed arguments.
    outputs: which of the nodes of `each` the call returned;
        structure: how they were nested, and whether they were one list.
    """

    number: int
    once: Rows
    each: Rows
    uses: list[int]
    taken: int
    constants: list[Value]
    fixed: Key
    outputs: array[int]
    structure: Any
    is_list: bool


@dataclass(eq=False)
class Binding:
    """A template with its fixed arguments: `given` as copies of the lists, and their numbers.

    In `Rows.ops` it is a stamp. outside: the numbers of what its stamps use, once that has been
    added.
    """

    template: Template
    given: tuple[Any, ...]
    numbers: array[int]
    outside: array[int] | None = None


class Templates:
    """The templates and bindings of all calls that were recorded for one compiled function.

    unchecked: the nodes that first calls added, and the numbers of the template's constants, until
        another call has done the same.
    """

    def __init__(self) -> None:
        self.templates: dict[Key, Template | None] = {}  # None: the call cannot be stamped
        self.made: list[Template] = []
        self.bindings: dict[Key, list[Binding]] = {}
        self.unchecked: dict[Key, tuple[Rows, list[int]]] = {}

    def check(self, key: Key, nodes: Rows, places: Places) -> bool:
        """Whether another call has added the same as the first one, from which the template is."""
        template, (first, numbers) = self.templates[key], self.unchecked[key]
        constants = template.constants if template else []
        if nodes != first or not all(
            isinstance(again, Constant) and are_same(again.data, constant.data)
            for again, constant in zip(places.leaves_at(numbers), constants)
        ):
            return False
        del self.unchecked[key]
        return True

    def binding(self, key: Key, given: Sequence[Any], places: Places) -> Binding | None:
        """The binding for these fixed arguments; None if there is no template for them."""
        template = self.templates.get(key)
        if template is None:
            return None
        for binding in self.bindings[key]:
            if binding.given == given:  # the same Values, one by one
                return binding
        shapes, numbers = known(given, places)
        return self._bound(key, template, given, numbers) if shapes == template.fixed else None

    def _bound(
        self, key: Key, template: Template, given: Sequence[Any], numbers: array[int]
    ) -> Binding:
        """A new binding."""
        binding = Binding(template, tuple(map(copied, given)), numbers)
        self.bindings[key].append(binding)
        return binding

    def add(
        self, key: Key, given: Sequence[Any], varying: Sequence[Value], nodes: Rows, begin: int,
        returned: Sequence[Any], structure: Any, places: Places,
    ) -> Binding | None:  # fmt: skip
        """Makes a template of the nodes that a call added, if they depend on its arguments alone.

        begin: the number of the first of them. Returns the template's first binding.
        """
        shapes, fixed = known(given, places)
        varying_numbers = places.of(varying)
        arguments = {*fixed, *varying_numbers}
        if shapes is None or len(arguments) < len(fixed) + len(varying):
            return None  # one Value is two arguments, as a state of zeros; the next call may differ
        self.templates[key], self.bindings[key] = None, []
        if {*map(type, returned)} != {places.results}:
            return None
        widths = nodes.widths()
        operands = [
            nodes.operands[end - width : end] for end, width in zip(accumulate(widths), widths)
        ]
        moving = set(varying_numbers)
        once: list[int] = []
        each: list[int] = []
        for place, mine in enumerate(operands):
            if moving.isdisjoint(mine):
                once.append(place)
            else:
                each.append(place)
                moving.add(begin + place)
        others = set(nodes.operands) - arguments
        reached = sorted(number for number in others if number < begin)
        if not all(LEAVES <= number < STAMPED for number in reached):
            return None  # the call reached a Value that is no argument
        constants = places.leaves_at(reached)
        outputs = [value.number - begin for value in returned]
        if not all(isinstance(value, Constant) for value in constants) or not {*outputs} <= {*each}:
            return None
        code_once = dict(zip(chain([begin + place for place in once], fixed, reached), count()))
        taken = chain.from_iterable(operands[place] for place in each)
        outside = list(dict.fromkeys(number for number in taken if number not in moving))
        code_each = dict(zip(chain(outside, varying_numbers), count()))
        code_each |= {begin + place: ~k for k, place in enumerate(each)}
        template = self.templates[key] = Template(
            number=len(self.made),
            once=_part(nodes, once, operands, code_once),
            each=_part(nodes, each, operands, code_each),
            uses=[code_once[number] for number in outside],
            taken=len(outside) + len(varying),
            constants=constants,
            fixed=shapes,
            outputs=array("i", [~code_each[begin + place] for place in outputs]),
            structure=structure,
            is_list=structure == [None] * len(returned),
        )
        self.made.append(template)
        self.unchecked[key] = nodes, reached
        return self._bound(key, template, given, fixed)


def _part(
    nodes: Rows, chosen: Sequence[int], operands: Sequence[Sequence[int]], code: dict[int, int]
) -> Rows:
    """The nodes at the chosen places."""
    frozen = {*nodes.frozen}
    ops = [nodes.ops[place] for place in chosen]
    return Rows(
        ops=ops,
        operands=array("i", [code[x] for k in chosen for x in operands[k]]),
        lengths=[len(operands[k]) for k, op in zip(chosen, ops) if op == VECTOR_OP],
        frozen=[k for k, place in enumerate(chosen) if place in frozen],
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
    return _if_values(shapes, values)


def flattened_rows(calls: Sequence[Sequence[Any]]) -> tuple[Key, list[Value]] | None:
    """The shapes of the arguments of calls, and the Values of all calls in one list.

    None if the shapes differ from call to call, or if an argument is neither a list of Values nor
    a setting that is the same in all calls.
    """
    shapes: list[Any] = []
    columns: list[Sequence[Any]] = []
    for column in zip(*calls):
        is_setting = not isinstance(column[0], (list, tuple))
        if not is_setting:
            columns.append(column)
        sizes = {*(column if is_setting else map(len, column))}
        if len(sizes) != 1 or isinstance(column[0], Value):
            return None
        shapes += sizes
    rows = columns[0] if len(columns) == 1 else chain.from_iterable(zip(*columns))
    return _if_values(shapes, list(chain.from_iterable(rows)))


def _if_values(shapes: list[Any], values: list[Any]) -> tuple[Key, list[Value]] | None:
    """Both, if all are Values."""
    kinds = {*map(type, values)}
    return (tuple(shapes), values) if all(map(issubclass, kinds, repeat(Value))) else None


def known(given: Sequence[Any], places: Places) -> tuple[Key | None, array[int]]:
    """The shapes of fixed arguments, and the numbers of their Values.

    None if one of them is no parameter that every recording of the function knows.
    """
    shapes, values = flattened(given) or (None, [])
    numbers = places.of(values)
    return (None if max(numbers, default=PARAMETERS) >= NUMBERS else shapes), numbers


def are_same(a: float, b: float) -> bool:
    """Whether two numbers are equal; nan equals nan."""
    return a == b or (math.isnan(a) and math.isnan(b))


def copied(argument: Any) -> Any:
    """A copy of nested lists, which compares equal to them."""
    if not isinstance(argument, (list, tuple)):
        return argument
    nested = argument and isinstance(argument[0], (list, tuple))
    return type(argument)(map(copied, argument) if nested else argument)
