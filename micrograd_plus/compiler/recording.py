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
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, compress, islice, repeat
from threading import RLock
from typing import Any

from ..context import recording, using
from ..engine import Constant, Engine, Value, as_value, open_scope
from ..ops import Op
from ..support.nested import flatten
from ..support.words import in_short
from .graph import Graph
from .numbering import Base, graph_of, stamps_of
from .operators import adding_to, is_native, making_of
from .parameter_memory import class_changes, give_class, memories_of
from .passes import INPUT, NUMBER, PARAMETER, RANDOM, STAMPED
from .recorded import Input, Random, Recorded, user_line, watched_class
from .rows import VECTOR_OP, Result, Rows, results_of
from .stamping import Binding, Key, flattened, flattened_rows

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
    base: what recordings share, as the parameters, whose numbers could not be read.
    randoms: in the order in which they are drawn. modules: those whose mode was read.
    """

    rows: Rows
    leaves: list[Value]
    ends: array[int]
    outputs: list[Value]
    structure: Any
    base: Base
    inputs: list[Input]
    randoms: list[Random]
    requirements: list[Requirement]
    modules: list[Any]

    @cached_property
    def graph(self) -> Graph:
        """The same by numbers."""
        return graph_of(self.rows, self.leaves, self.randoms, self.ends, self.base)

    @property
    def stamps(self) -> list[Binding]:
        """The bindings of the calls that were not run, or are as if they had not been."""
        return stamps_of(self.rows)

    @property
    def owners(self) -> list[Any]:
        """The owners of the scopes that were open, as modules that were called, the first first."""
        scopes = [scope for _, scope in self.rows.scopes if scope is not None]
        return list({id(scope.owner): scope.owner for scope in scopes}.values())

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
        return list(compress(self.graph.parameters, self.graph.used()))

    def unknown(self) -> list[Value]:
        """The parameters that were not known, and whose numbers could be read."""
        if len(self.graph.parameters) == len(self.base.places.parameters):
            return []
        return [value for value in self.parameters if value not in self.base.places]

    def __str__(self) -> str:
        return str(self.graph)


_new: Callable[[type[Result]], Result] = Result.__new__


class _Recorder:
    """Makes Values without numbers, as the protocol `context.Recorder` says."""

    def __init__(self, base: Base, checks: bool) -> None:
        self.base, self.stamps_calls = base, base.stamps_calls
        self.unchecked = base.templates.unchecked if checks else {}
        self.places, self.rows = base.places, Rows()
        self.places.results = results_of(self.rows)
        self.making: Any = None  # what the operators add to; None in Python
        self.node, self.places.of, self.results_of = self._makers()  # type: ignore[method-assign]
        self.requirements: list[Requirement] = []
        self.randoms: list[Random] = []
        self.modules: dict[int, Any] = {}
        self.refused: Exception | None = None  # the first error that must not be caught
        self.vectors: dict[tuple[Value, ...], int] = {}
        self.scope_changed()

    def reads_mode(self, module: Any) -> None:
        self.modules[id(module)] = module

    def refuses(self, error: Exception) -> None:
        self.refused = self.refused or error

    def scope_changed(self) -> None:
        self.rows.scopes.append((len(self.rows.ops), open_scope.get()))

    def _makers(self) -> Sequence[Callable[..., Any]]:
        """`node`, which is called for each operator, `Places.of` and `results_of`."""
        places, results = self.places, self.places.results
        ops, operands = self.rows.ops, self.rows.operands
        of_vectors = self._node_of_vectors
        if is_native():
            self.making, made = making_of(
                ops=ops, numbers=operands, results=results, known=places,
                parameters=places.parameters, of_vectors=of_vectors,
            )  # fmt: skip
            return made

        def node(op: Op, values: tuple[Value, ...]) -> Value:
            if op.nary:
                return of_vectors(op, values)
            operands.extend(places.of(values))
            result = _new(results)
            result.number = len(ops)  # type: ignore[misc]  # its class has a slot for it
            ops.append(op)
            return result

        def results_of(first: int, step: int, count: int, places: Iterable[int]) -> list[Result]:
            return [self._result(first + k * step + p) for k in range(count) for p in places]

        return node, places.of, results_of

    def adding(self) -> AbstractContextManager[None]:
        """Inside, operators add to this recording."""
        return adding_to(self.making) if self.making else nullcontext()

    def constant(self, op: Op, operands: tuple[Value, ...]) -> Value:
        result: Value = self.node(op, operands)
        self.rows.frozen.append(len(self.rows.ops) - 1)
        return result

    def _node_of_vectors(self, op: Op, operands: tuple[Value, ...]) -> Value:
        size = len(operands) // len(op.operands)
        vectors = [self._vector(operands[k : k + size]) for k in range(0, len(operands), size)]
        return self._result(self._add(op, vectors))

    def _add(self, op: Op | str | None, operands: Iterable[int]) -> int:
        """The number of a new node."""
        rows = self.rows
        rows.ops.append(op)
        rows.operands.extend(operands)
        return len(rows.ops) - 1

    def _result(self, number: int) -> Result:
        result = _new(self.places.results)
        result.number = number  # type: ignore[misc]  # as above
        return result

    def _vector(self, values: tuple[Value, ...]) -> int:
        """The number of the vector of these Values, which is made once."""
        number = self.vectors.get(values)
        if number is None:
            number = self.vectors[values] = self._add(VECTOR_OP, self.places.of(values))
            self.rows.lengths.append(len(values))
        return number

    def call(self, function: Callable[..., Any], fixed: int, arguments: Sequence[Any]) -> Any:
        given, varying = arguments[:fixed], arguments[fixed:]
        if self.stamps_calls and (found := flattened(varying)) is not None:
            return self._calls(function, given, [varying], *found)[0]
        return function(*arguments)

    def call_each(
        self, function: Callable[..., Any], given: Sequence[Any], calls: Sequence[Sequence[Any]]
    ) -> list[Any]:
        if self.stamps_calls and (found := flattened_rows(calls)) is not None:
            return self._calls(function, given, calls, *found)
        return [self.call(function, len(given), (*given, *varying)) for varying in calls]

    def _calls(
        self, function: Callable[..., Any], given: Sequence[Any], calls: Sequence[Sequence[Any]],
        shapes: Key, values: list[Value],
    ) -> list[Any]:  # fmt: skip
        """What the calls return, whose varying arguments have these shapes, and Values in a row."""
        key = (
            getattr(function, "__func__", function),
            *[-1 if x is None else len(x) for x in given],
            shapes,
        )
        templates, size, first = self.base.templates, len(values) // len(calls), list[Any]()
        for k, varying in enumerate(calls):
            if key in templates.templates and key not in self.unchecked:
                break
            own = values[k * size : (k + 1) * size]
            first.append(self._first_call(key, function, given, own, varying))
        calls, values = calls[len(first) :], values[len(first) * size :]
        return [*first, *self._stamped(key, function, given, calls, values)] if calls else first

    def _stamped(
        self, key: Key, function: Callable[..., Any], given: Sequence[Any],
        calls: Sequence[Sequence[Any]], values: list[Value],
    ) -> list[Any]:  # fmt: skip
        """What calls return for which there is a template, or that cannot be stamped."""
        binding = self.base.templates.binding(key, given, self.places)
        if binding is None:
            return [function(*given, *varying) for varying in calls]
        template = binding.template
        first, size = self._stamp(binding, values, len(calls)), len(template.each.ops)
        results = self.results_of(first, size, len(calls), template.outputs)
        if template.is_list:
            size = len(template.structure)
            return [results[k : k + size] for k in range(0, len(results), size)]
        made = iter(results)
        return [refilled(template.structure, made) for _ in calls]

    def _stamp(self, binding: Binding, values: list[Value], count: int) -> int:
        """Adds the nodes of so many calls; the number of the first one."""
        rows, varying = self.rows, self.places.of(values)
        outside, first = self.base.outside(binding), STAMPED + len(rows.stamped)
        rows.ops += repeat(binding, count)
        rows.stamped += binding.template.each.ops * count
        if outside:
            width = len(varying) // count
            for k in range(count):
                rows.operands += outside
                rows.operands += varying[k * width : (k + 1) * width]
        else:
            rows.operands += varying
        return first

    def _first_call(
        self, key: Any, function: Callable[..., Any], given: Sequence[Any], values: list[Value],
        varying: Sequence[Any],
    ) -> Any:  # fmt: skip
        """Calls the function; what it adds becomes a template if it does nothing else.

        If there is a template that is unchecked, what it adds must be the same as that.
        """
        sizes, vectors, begin = self.rows.sizes(), self.vectors, len(self.places.leaves)
        others = len(self.requirements), len(self.randoms), len(self.modules)
        self.stamps_calls, self.vectors = False, {}
        try:
            returned = function(*given, *varying)
        finally:
            self.stamps_calls, self.vectors = True, vectors
        made, templates = self.rows.cut(sizes), self.base.templates
        outputs, binding = list(flatten(returned)), None
        if others == (len(self.requirements), len(self.randoms), len(self.modules)):
            if key not in self.unchecked:
                structure = refilled(returned, repeat(None))
                binding = templates.add(
                    key, given, values, made, sizes[0], outputs, structure, self.places
                )
            elif templates.check(key, made, self.places):
                binding = templates.binding(key, given, self.places)
        if binding is None:
            self.rows += made
        else:
            self.places.forget(begin)
            first = self._stamp(binding, values, 1)
            for value, place in zip(outputs, binding.template.outputs):
                value.number = first + place
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
        if type(next(flatten(values), None)) is self.places.results:
            return self._picked(values, index)  # which no other call will pick from
        return self.call(self._picked, 1, (values, index))

    def _picked(self, values: Sequence[Any], index: Value) -> Any:
        """The Value, or row, that an index takes from `values`."""
        rows = [[row] if isinstance(row, Value) else list(flatten(row)) for row in values]
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
    known: Iterable[Value],
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
    base = base or Base(stamps_calls=False)
    base.places.know(known)
    if not base.places.parameters:
        base.places.know(in_reach(function))
    new = set[Value]()
    while True:
        recording = _record(function, shapes, base)
        reached = recording.unknown()
        if new and new.isdisjoint(reached):
            return with_numbers(recording)
        if not reached:
            return recording
        base.places.know(reached)
        new = set(reached)


def record_again(
    function: Callable[..., Any], shapes: Sequence[Shape], recording: Recording
) -> Recording:
    """What the function that was recorded does in another call.

    Calls that have been run only once are run again, and must do the same as their templates.
    """
    return _record(function, shapes, recording.base, checks=True)


def with_numbers(recording: Recording) -> Recording:
    """The same; the Values that the function makes at each call are plain numbers."""
    made_inside = recording.unknown()
    for value in made_inside:
        value.__class__ = Constant
    return replace(recording) if made_inside else recording  # without the graph of before


def in_reach(function: Callable[..., Any]) -> list[Value]:
    """The parameters in the variables that a function refers to: most of those it will use."""
    found: list[Value] = []
    code = getattr(function, "__code__", None)
    around = [function.__globals__.get(name) for name in code.co_names] if code else []
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # a variable that has no value yet
            around.append(cell.cell_contents)
    for thing in around:
        if isinstance(getattr(thing, "training", None), bool):
            found += getattr(thing, "parameters", list)()
        elif isinstance(thing, (Value, list, tuple)):
            found += _leaves(thing)
        else:
            found += _leaves(list(getattr(thing, "__dict__", {}).values()))
    return found


def _leaves(x: Any) -> list[Value]:
    """The parameters in nested lists, of which most may be numbers, as those of a data set."""
    if isinstance(x, Value):
        return _parameters_among([x])
    found, rows = list[Value](), [x]
    for _ in range(10):  # of nested lists, as a list may contain itself
        kinds = {*map(type, chain.from_iterable(rows))}
        if any(issubclass(kind, Value) for kind in kinds):
            found += _parameters_among(chain.from_iterable(rows))
        nested = {kind for kind in kinds if issubclass(kind, (list, tuple))}
        if not nested:
            break
        inside = list(chain.from_iterable(rows))
        rows = inside if nested == kinds else [x for x in inside if isinstance(x, (list, tuple))]
    return found


def _parameters_among(things: Iterable[Any]) -> list[Value]:
    return [x for x in things if isinstance(x, Value) and not (x.op or isinstance(x, Constant))]


def _record(
    function: Callable[..., Any],
    shapes: Sequence[Shape],
    base: Base,
    checks: bool = False,
) -> Recording:
    active = _Recorder(base, checks)
    inputs: list[Input] = []

    def make(position: int) -> Input:
        inputs.append(Input(position))
        return inputs[-1]

    try:
        # A program must not depend on the first caller, who may measure a loss inside no_grad.
        with watching(base.places.parameters), using(Engine()), recording(active), active.adding():
            returned = function(*example(shapes, make))
        if active.refused:  # an `except` in the function has caught it
            raise active.refused
        outputs = list(flatten(returned))
        for value in outputs:
            if not isinstance(value, Value):
                raise TypeError(
                    "the compiled function returns Values, and returned "
                    f"{type(returned).__name__} {in_short(returned)}"
                    + ": is a `return` missing?"
                    * (returned is None)
                )
        ends = base.places.of(outputs)
    finally:
        leaves = base.places.forget()
        # These refer to `active`: together they would stay until a collection.
        del active.node, base.places.of, active.results_of
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
        base=base,
        inputs=inputs,
        randoms=active.randoms,
        requirements=active.requirements,
        modules=list(active.modules.values()),
    )


_one_at_a_time = RLock()
_watched_now: list[tuple[int, int]] = [(0, 0)]  # which list of parameters, and how many of it


@contextmanager
def watching(parameters: list[Value]) -> Iterator[None]:
    """Inside, the numbers of the parameters cannot be read in this thread.

    Threads record one at a time, because two of them may share parameters. It can be nested.
    """
    with _one_at_a_time:
        these = id(parameters), len(parameters)
        if these == _watched_now[-1]:
            yield
            return
        changed = _watch(parameters)
        _watched_now.append(these)
        try:
            yield
        finally:
            _watched_now.pop()
            for kind, values in changed.items():
                give_class(values, watched_class(kind), kind)


def _watch(parameters: list[Value]) -> dict[Any, list[Value]]:
    """Gives parameters their watched class; those that had another, by that class."""
    while True:
        with class_changes:
            kinds = {*map(type, parameters)}
            memories = memories_of(kinds)
            if not memories:
                changed = {
                    kind: parameters
                    if len(kinds) == 1
                    else [value for value in parameters if type(value) is kind]
                    for kind in kinds
                    if watched_class(kind) is not kind
                }
                for kind, values in changed.items():
                    give_class(values, kind, watched_class(kind))
                return changed
        for memory in memories:  # until no other thread has begun a step with them
            memory.come_home()
