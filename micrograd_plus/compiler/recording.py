"""Record: a function of one example becomes its graph, without a single number.

The function is called with Values without numbers in place of the example's numbers. Every op
adds a Value to the graph. Code that needs a number, such as `if x > 0`, raises an error that names
the line, because the program must do the same for every example.

>>> from ..functional import tanh
>>> w = Value(0.5, label="w")
>>> print(record(lambda x: tanh(w * x[0] + x[1]), [(2,)], []))
a0     parameter w
a1     input 0
a2     mul(a0, a1)
a3     input 1
a4     add(a2, a3)
a5     tanh(a4)
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, repeat
from threading import RLock
from typing import Any

from ..context import recording, using
from ..engine import Constant, Engine, Value, as_value, open_scope
from ..ops import Op
from ..support.nested import flatten
from .graph import Graph, row
from .native import passes
from .numbering import Base, graph_of
from .passes import INPUT, NUMBER, PARAMETER, RANDOM
from .recorded import Input, Random, Recorded, user_line, watched_class
from .rows import OWN, VECTOR_OP, Result, Rows, results_of, same_scope
from .stamping import Binding, flattened

Shape = tuple[int, ...]


@dataclass
class Requirement:
    """A condition that an input must meet at every replay.

    met_by: the bytes of the inputs that met it last, which are often those of the next replay.
    """

    position: int
    holds: Callable[[float], bool]
    message: str
    met_by: bytes = b""

    def check(self, number: float) -> None:
        """ValueError if the number breaks the condition."""
        if not (math.isfinite(number) and self.holds(number)):
            raise ValueError(self.message.format(f"{number:g}"))


@dataclass
class Recording:
    """What a function did.

    rows: the nodes that it made, each after its operands; leaves: those that they use, but the
        parameters.
    ends: the numbers of the Values that the function returned; outputs: these, in one list.
    structure: the nested lists that it returned, with None in place of each Value.
    stamps: the bindings of the calls that were not run.
    watched: the parameters whose numbers could not be read; base: what recordings share.
    randoms: in the order in which they are drawn. modules: those whose mode was read.
    """

    rows: Rows
    leaves: list[Value]
    ends: list[int]
    outputs: list[Value]
    structure: Any
    stamps: list[Binding]
    watched: dict[Value, None]
    base: Base
    inputs: list[Input]
    randoms: list[Random]
    requirements: list[Requirement]
    modules: list[Any]

    @cached_property
    def graph(self) -> Graph:
        """The same by numbers."""
        return graph_of(self.rows, self.leaves, self.randoms, self.ends, self.base)

    @cached_property
    def order(self) -> list[Value]:
        """Every Value on which an output depends, each after its operands, which it has."""
        graph, values = self.graph, dict[int, Value]()
        for i in graph.in_order():
            kind, tag = graph.nodes.kinds[i], graph.nodes.tags[i]
            if kind == PARAMETER:
                values[i] = graph.parameters[tag]
            elif kind == NUMBER:
                values[i] = Constant(graph.numbers[tag])
            elif kind == INPUT:
                values[i] = self.inputs[tag]
            elif kind == RANDOM:
                values[i] = self.randoms[tag]
            else:
                values[i] = _new(Result)
                values[i].op = graph.op(i)
                values[i].operands = tuple([values[j] for j in graph.elements(i)])
        return list(values.values())

    @cached_property
    def parameters(self) -> list[Value]:
        """The leaves on which an output depends, but inputs and plain numbers."""
        graph = self.graph
        tags = row(len(graph.parameters))
        found = passes().used_parameters(graph.count, graph.nodes, graph.needed, tags)
        return [graph.parameters[tag] for tag in tags[:found]]

    def unknown(self) -> list[Value]:
        """The parameters that were not watched."""
        if len(self.graph.parameters) == len(self.base.places.parameters):
            return []
        return [value for value in self.parameters if value not in self.watched]

    def __str__(self) -> str:
        return str(self.graph)


_new: Callable[[type[Result]], Result] = Result.__new__


class _Recorder:
    """Makes Values without numbers, as the protocol `context.Recorder` says."""

    def __init__(self, base: Base, stamps_calls: bool) -> None:
        self.base, self.stamps_calls = base, stamps_calls
        self.places, self.rows = base.places, Rows()
        self.places.results = results_of(self.rows)
        self.node = self._maker_of_nodes()
        self.requirements: list[Requirement] = []
        self.randoms: list[Random] = []
        self.modules: dict[int, Any] = {}
        self.stamps: list[Binding] = []
        self.vectors: dict[tuple[Value, ...], int] = {}

    def reads_mode(self, module: Any) -> None:
        self.modules[id(module)] = module

    def _maker_of_nodes(self) -> Callable[..., Value]:
        """`node`, which is called for each operator: it has all that it needs at hand."""
        places, results = self.places, self.places.results
        ops, lengths, frozen = self.rows.ops, self.rows.lengths, self.rows.frozen
        operands_of, scopes = self.rows.operands, self.rows.scopes

        def node(op: Op, operands: tuple[Value, ...], keeps_graph: bool = True) -> Value:
            if op.nary:
                return self._node_of_vectors(op, operands, keeps_graph)
            for value in operands:
                operands_of.append(value.number if type(value) is results else places[value])
            result = _new(results)
            result.number = OWN + len(ops)
            if not keeps_graph:
                frozen.append(len(ops))
            ops.append(op)
            lengths.append(len(operands))
            scopes.append(open_scope.get())
            return result

        return node

    def _node_of_vectors(self, op: Op, operands: tuple[Value, ...], keeps_graph: bool) -> Value:
        size = len(operands) // len(op.operands)
        vectors = [self._vector(operands[k : k + size]) for k in range(0, len(operands), size)]
        if not keeps_graph:
            self.rows.frozen.append(len(self.rows.ops))
        return self._result(self._add(op, vectors))

    def _add(self, op: Op | str | None, operands: list[int]) -> int:
        """The number of a new node."""
        rows = self.rows
        rows.ops.append(op)
        rows.lengths.append(len(operands))
        rows.operands += operands
        rows.scopes.append(open_scope.get())
        return OWN - 1 + len(rows.ops)

    def _result(self, number: int) -> Result:
        result = _new(self.places.results)
        result.number = number
        return result

    def _vector(self, values: tuple[Value, ...]) -> int:
        """The number of the vector of these Values, which is made once."""
        number = self.vectors.get(values)
        if number is None:
            number = self.vectors[values] = self._add(VECTOR_OP, self.places.of(values))
        return number

    def call(self, function: Callable[..., Any], fixed: int, arguments: Sequence[Any]) -> Any:
        found = flattened(arguments[fixed:]) if self.stamps_calls else None
        if found is None:
            return function(*arguments)
        shapes, values = found
        given = list(arguments[:fixed])
        key = (
            getattr(function, "__func__", function),
            *[-1 if x is None else len(x) for x in given],
            shapes,
        )
        templates = self.base.templates
        if key not in templates.templates:
            return self._first_call(key, function, given, values, arguments)
        binding = templates.binding(key, given, self.places)
        if binding is None:
            return function(*arguments)
        template = binding.template
        results = []
        for number in self._stamp(binding, values):  # as `_result`, without a call for each
            result = _new(self.places.results)
            result.number = number
            results.append(result)
        return results if template.is_list else refilled(template.structure, iter(results))

    def _stamp(self, binding: Binding, values: list[Value]) -> list[int]:
        """Adds the nodes of a call; the numbers of what it returns."""
        rows, template = self.rows, binding.template
        begin = OWN + len(rows.ops)
        mine = range(begin, begin + len(template.each.ops))
        numbers = [*self.base.outside(binding), *mine, *self.places.of(values)]
        scopes = same_scope(open_scope.get(), template.each)
        rows.add(template.each, template.each.take(numbers), scopes)
        self.stamps.append(binding)
        return [begin + place for place in template.outputs]

    def _first_call(
        self, key: Any, function: Callable[..., Any], given: list[Any], values: list[Value],
        arguments: Sequence[Any],
    ) -> Any:  # fmt: skip
        """Calls the function; what it adds becomes a template if it does nothing else."""
        begin, vectors, leaves = len(self.rows.ops), self.vectors, len(self.places.leaves)
        others = len(self.requirements), len(self.randoms), len(self.modules)
        self.stamps_calls, self.vectors = False, {}
        try:
            returned = function(*arguments)
        finally:
            self.stamps_calls, self.vectors = True, vectors
        made = self.rows.cut(begin)
        outputs, binding = list(flatten(returned)), None
        if others == (len(self.requirements), len(self.randoms), len(self.modules)):
            structure = refilled(returned, repeat(None))
            binding = self.base.templates.add(
                key, given, values, made, OWN + begin, outputs, structure, self.places
            )
        if binding is None:
            self.rows.add(made, made.operands, made.scopes)
        else:
            self.places.forget(leaves)
            for value, number in zip(outputs, self._stamp(binding, values)):
                value.number = number
        return returned

    def random(self, generator: random.Random | None) -> Value:
        self.randoms.append(Random(generator, len(self.randoms)))
        return self.randoms[-1]

    def pick(self, values: Sequence[Any], index: Value) -> Any:
        if not isinstance(index, Input):
            raise TypeError(
                "mp.pick takes an int, or a number that comes straight from the inputs of the "
                f"compiled function, and not a result ({user_line()})"
            )
        count = len(values)
        self.require(
            index,
            lambda number: number == int(number) and 0 <= number < count,
            f"there is no index {{}} in {count} values: 0 to {count - 1}",
        )
        return self.call(self._picked, 1, (values, index))

    def _picked(self, values: Sequence[Any], index: Value) -> Any:
        """The Value, or row, that an index takes from `values`."""
        rows = [list(flatten(row)) for row in values]
        if len({len(row) for row in rows}) != 1:
            raise ValueError(f"mp.pick takes values, or rows of one length ({user_line()})")
        (place,) = self.places.of([index])
        picked = []
        for column in zip(*rows):
            choice = tuple(map(as_value, column))
            picked.append(self._result(self._add(None, [place, self._vector(choice)])))
        return refilled(values[0], iter(picked))

    def require(self, value: Value, holds: Callable[[float], bool], message: str) -> None:
        if isinstance(value, Input):
            self.requirements.append(Requirement(value.position, holds, message))


def refilled(structure: Any, values: Iterator[Any]) -> Any:
    """Nested lists as `structure`, holding what `values` gives, in order."""
    if isinstance(structure, (list, tuple)):
        if structure.count(None) == len(structure):
            return list(islice(values, len(structure)))
        return [refilled(item, values) for item in structure]
    return next(values)


def example(shapes: Sequence[Shape], make: Callable[[int], Any]) -> list[Any]:
    """Nested lists of these shapes, filled with make(0), make(1), …"""
    position = iter(range(sys.maxsize))

    def filled(shape: Shape) -> Any:
        if not shape:
            return make(next(position))
        return [filled(shape[1:]) for _ in range(shape[0])]

    return [filled(shape) for shape in shapes]


def record(
    function: Callable[..., Any],
    shapes: Sequence[Shape],
    known: Sequence[Value] | dict[Value, None],
    base: Base | None = None,
) -> Recording:
    """The graph of `function` for arguments of these shapes; () is a single number.

    known: parameters that are known before; without any, those in the variables of the function.
    Reading their numbers is an error. If the function uses parameters that were not known, it is
    recorded again, with these known as well. A Value that the function makes at each call, as in
    `total = Value(0.0)`, is not a parameter but a plain number.

    base: what other recordings of the function left; a call whose template is there is stamped.
    Without it every call is run.
    """
    watched = known if isinstance(known, dict) else dict.fromkeys(known)
    watched = watched or dict.fromkeys(in_reach(function))
    new = set[Value]()
    while True:
        recording = _record(function, shapes, watched, base)
        reached = recording.unknown()
        if new and new.isdisjoint(reached):
            return with_numbers(recording)
        if not reached:
            return recording
        watched, new = {**watched, **dict.fromkeys(reached)}, set(reached)


def record_again(
    function: Callable[..., Any],
    shapes: Sequence[Shape],
    recording: Recording,
    base: Base | None = None,
) -> Recording:
    """What the function that was recorded does in another call."""
    return _record(function, shapes, recording.watched, base)


def with_numbers(recording: Recording) -> Recording:
    """The same; the Values that the function makes at each call are plain numbers."""
    made_inside = recording.unknown()
    for value in made_inside:
        value.__class__ = Constant
    return replace(recording) if made_inside else recording  # without the graph of before


def in_reach(function: Callable[..., Any]) -> Iterator[Value]:
    """The parameters in the variables that a function refers to: most of those it will use."""
    code = getattr(function, "__code__", None)
    around = [function.__globals__.get(name) for name in code.co_names] if code else []
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # a variable that has no value yet
            around.append(cell.cell_contents)
    for thing in around:
        if isinstance(getattr(thing, "training", None), bool):
            yield from getattr(thing, "parameters", list)()
        elif isinstance(thing, (Value, list, tuple)):
            yield from _leaves(thing)
        else:
            yield from _leaves(list(getattr(thing, "__dict__", {}).values()))


def _leaves(x: Any) -> Iterator[Value]:
    """The parameters in nested lists."""
    if isinstance(x, (list, tuple)):
        for item in x:
            yield from _leaves(item)
    elif isinstance(x, Value) and not (x.op or isinstance(x, Constant)):
        yield x


def _record(
    function: Callable[..., Any],
    shapes: Sequence[Shape],
    watched: dict[Value, None],
    base: Base | None,
) -> Recording:
    shared = Base() if base is None else base
    shared.places.know(watched)
    active = _Recorder(shared, stamps_calls=base is not None)
    inputs: list[Input] = []

    def make(position: int) -> Input:
        inputs.append(Input(position))
        return inputs[-1]

    try:
        # A program must not depend on the first caller, who may measure a loss inside no_grad.
        with watching(watched), using(Engine()), recording(active):
            returned = function(*example(shapes, make))
        outputs = list(flatten(returned))
        for value in outputs:
            if not isinstance(value, Value):
                raise TypeError(
                    f"the compiled function returns Values, and returned {_short(returned)}"
                )
        ends = shared.places.of(outputs)
    finally:
        leaves = shared.places.forget()
    own = {*inputs, *active.randoms}
    for leaf in leaves:
        if isinstance(leaf, Recorded) and leaf not in own:
            raise ValueError(
                "the compiled function does not do the same every time: it uses a Value that "
                "another call made, as a state that a module keeps; let each call begin with the "
                "same state"
            )
    return Recording(
        rows=active.rows,
        leaves=leaves,
        ends=ends,
        outputs=outputs,
        structure=refilled(returned, repeat(None)),
        stamps=active.stamps,
        watched=watched,
        base=shared,
        inputs=inputs,
        randoms=active.randoms,
        requirements=active.requirements,
        modules=list(active.modules.values()),
    )


_one_at_a_time = RLock()
_watched_now: list[dict[Value, None]] = [{}]


@contextmanager
def watching(parameters: dict[Value, None]) -> Iterator[None]:
    """Inside, the numbers of the parameters cannot be read in this thread.

    Threads record one at a time, because two of them may share parameters. It can be nested.
    """
    with _one_at_a_time:
        if parameters is _watched_now[-1]:
            yield
            return
        for parameter in parameters:
            _ = parameter.data  # which brings it home, if a machine has it
        kinds = {kind: watched_class(kind) for kind in {*map(type, parameters)}}
        changed = [value for value in parameters if kinds[type(value)] is not type(value)]
        usual = {watched: kind for kind, watched in kinds.items() if watched is not kind}
        _watched_now.append(parameters)
        try:
            for parameter in changed:
                parameter.__class__ = kinds[type(parameter)]
            yield
        finally:
            _watched_now.pop()
            for parameter in changed:  # but for those in another thread's machine
                kind = type(parameter)
                parameter.__class__ = usual.get(kind, kind)


def _short(returned: Any) -> str:
    shown = repr(returned)
    return f"{type(returned).__name__} {shown if len(shown) < 60 else shown[:57] + '...'}"
