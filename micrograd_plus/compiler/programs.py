"""The cache of programs: one for each shape of a function's arguments, and the machine they share.

The programs share the places of the parameters. A function that is called with longer arguments
may reach more parameters than before: then the places change, and the other programs are
recorded again when they are needed.
"""

from __future__ import annotations

import gc
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from ..engine import Value
from ..optim.updates import trace
from .batches import Batches, in_batches
from .checking import check
from .dtypes import Dtype
from .examples import Examples
from .layout import Program, Store, lay_out
from .recording import Recording, Shape, record, refilled
from .running import new_machine
from .simplify import simplify
from .tape import PICK

Key = tuple[Shape, ...]
"""The shapes of the arguments of one example."""


@dataclass
class Entry:
    """A program, and what must be known to use it again.

    structure: what the function returned, to put the outputs into.
    recording_size: how many nodes were recorded.
    requirements: what the inputs must fulfil.
    modes: the modules that took part, and whether they were in training.
    """

    program: Program
    structure: Any
    recording_size: int
    requirements: list[Any]
    modes: list[tuple[Any, bool]]

    def is_current(self) -> bool:
        """Whether all modules are in the mode in which they were recorded."""
        return all(module.training == mode for module, mode in self.modes)


class Programs:
    """The programs of one function.

    entries: by the shapes of the arguments, the last used last; at most `most`.
    store: the places of the parameters.
    machine: what runs the programs; None before the first.
    known: gives the parameters that are known before recording.
    accept: gets each recording; raises an error if the function cannot be compiled so.
    dtype: what the programs compute with.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        most: int,
        known: Callable[[], Sequence[Value]],
        accept: Callable[[Recording], None],
        optimizer: Any,
        dtype: Dtype,
    ) -> None:
        self.function, self.most = function, most
        self.known, self.accept = known, accept
        self.optimizer, self.dtype = optimizer, dtype
        self.entries: OrderedDict[Key, Entry] = OrderedDict()
        self.store = Store(optimizer.parameters if optimizer else ())
        self.machine: Any = None
        self.update: Any = None
        self._settings: Any = None  # of the optimizer, when its update was traced
        self._loaded: dict[Key, Program] = {}  # the programs that the machine has, in its order
        self.parameters: list[Value] = []  # in the machine's order

    def prepare(self, examples: Examples) -> list[Entry]:
        """The programs for all shapes of these examples, recorded if they are new."""
        if len(examples.shapes) > self.most:
            raise ValueError(
                f"these examples have {len(examples.shapes)} different shapes, and the cache holds "
                f"{self.most}: pass cache_size={len(examples.shapes)} to compile"
            )
        self._trace_optimizer()
        while missing := [key for key in examples.shapes if self._lacks(key)]:
            key = max(missing, key=_size)  # the longest sequence reaches the most parameters
            example = examples[examples.kinds.index(examples.shapes.index(key))]
            with _without_garbage_collection():
                self.entries[key] = self._record(key, example)
        for key in examples.shapes:
            self.entries.move_to_end(key)
        while len(self.entries) > self.most:
            self.entries.popitem(last=False)
        entries = [self.entries[key] for key in examples.shapes]
        for kind, entry in enumerate(entries):
            examples.require(entry.requirements, kind)
        programs = zip(examples.shapes, entries)
        if any(self._loaded.get(key) is not entry.program for key, entry in programs):
            self._load()
        return entries

    def _lacks(self, key: Key) -> bool:
        """Whether this shape must be recorded."""
        entry = self.entries.get(key)
        return entry is None or not entry.is_current()

    def _record(self, key: Key, example: Sequence[Any]) -> Entry:
        recording = record(self.function, key, self.known())
        self.accept(recording)
        check(self.function, recording, example)
        known = len(self.store)
        self.store.add(recording.parameters)
        if len(self.store) != known:  # the other programs have their numbers in these places
            self.entries.clear()
            self._forget_machine()
        program = lay_out(simplify(recording), self.store, len(recording.inputs), self.dtype)
        self._require_exact_indices(program)
        return Entry(
            program=program,
            structure=recording.structure,
            recording_size=len(recording.order),
            requirements=recording.requirements,
            modes=[(module, module.training) for module in recording.modules],
        )

    def _require_exact_indices(self, program: Program) -> None:
        """ValueError if an index of a pick may be rounded to another one."""
        longest = max([i.length for i in program.per_example if i.kind == PICK], default=0)
        if longest > 2**self.dtype.digits:
            raise ValueError(
                f"a pick from {longest:,} Values takes indices up to {longest - 1:,}, and "
                f"{self.dtype.name} has all whole numbers only up to {2**self.dtype.digits:,}: "
                'compile with dtype="float64"'
            )

    def _trace_optimizer(self) -> None:
        """Traces the optimizer's update if its settings are new; lr may change at any time."""
        if self.optimizer is None:
            return
        settings = {**self.optimizer.settings, "lr": None}
        if settings != self._settings:
            self.update = trace(self.optimizer)
            self._settings = settings
            self._forget_machine()

    # ---- the machine

    def _load(self) -> None:
        """Hands all programs to the machine, a new one if there is none."""
        if self.machine is None:
            self.parameters = self.store.in_order()
            self.machine = new_machine(
                len(self.store), self.store.moved, self.optimizer, self.update, self.dtype
            )
        self._loaded = {key: entry.program for key, entry in self.entries.items()}
        self.machine.load(list(self._loaded.values()))

    def _forget_machine(self) -> None:
        """The next programs get a new machine."""
        self.machine, self._loaded = None, {}

    def push(self) -> None:
        """Copies the parameters into the machine."""
        self.machine.write([parameter.data for parameter in self.parameters])

    def pull(self) -> None:
        """Copies the numbers that were moved, and all gradients, into the parameters."""
        data, grad = self.machine.read()
        for parameter, number in zip(self.parameters[: self.machine.moved], data):
            parameter.data = number
        for parameter, gradient in zip(self.parameters, grad):
            parameter.grad = gradient

    def in_batches(
        self, examples: Examples, orders: Sequence[Sequence[int]], batch_size: int,
        repeat: int = 1, stored: bool = False,
    ) -> Batches:  # fmt: skip
        """The examples in batches, as `batches.in_batches`, in the machine's form."""
        position = {key: number for number, key in enumerate(self._loaded)}
        programs = [position[key] for key in examples.shapes]
        sizes = [len(self._loaded[key].outputs) for key in examples.shapes] if stored else None
        taken = in_batches(examples, orders, batch_size, programs, sizes, repeat)
        return self.machine.take(taken)  # type: ignore[no-any-return]

    def seeds(self) -> list[int]:
        """A seed for each random number of each program, drawn from its own generator."""
        generators = [g for program in self._loaded.values() for g in program.generators]
        drawn = {g: (g or random).getrandbits(62) for g in dict.fromkeys(generators)}
        return [drawn[g] for g in generators]


def outputs_of(kinds: Iterable[int], entries: Sequence[Entry], flat: Any) -> list[Any]:
    """The outputs of examples of these kinds, as the function returned them."""
    numbers, to = flat.tolist() if hasattr(flat, "tolist") else flat, 0
    rows = []
    for kind in kinds:
        structure, size = entries[kind].structure, len(entries[kind].program.outputs)
        rows.append(refilled(structure, iter(numbers[to : to + size])))
        to += size
    return rows


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Inside, there is no garbage collection: a million new objects would start it many times."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _size(key: Key) -> int:
    """How many numbers the arguments hold."""
    return sum(map(prod, key))
