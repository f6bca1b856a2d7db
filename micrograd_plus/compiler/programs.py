"""The cache of programs: one for each shape of a function's arguments, and the machine they share.

The programs share the places of the parameters. A function that is called with longer arguments
may reach more parameters than before: then the places change, and the other programs are
recorded again when they are needed.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from math import prod
from operator import attrgetter
from typing import Any

from ..engine import Value
from ..optim.updates import trace
from ..support.nested import plain, shape
from .batches import Batches, Outcome, Task, in_batches
from .checking import check
from .dtypes import Dtype
from .examples import Examples
from .layout import Program, Store, lay_out
from .numbering import Base
from .optimizer_memory import OptimizerMemory
from .parameter_memory import ParameterMemory
from .recording import Recording, Shape, in_reach, record, refilled, watching
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
    modules: those whose mode it depends on; modes: whether each was in training.
    """

    program: Program
    structure: Any
    recording_size: int
    requirements: list[Any]
    modules: list[Any]
    modes: list[bool]

    @cached_property
    def output_shape(self) -> Shape | None:
        """The shape of what the function returned; None for lists of different lengths."""
        try:
            return shape(self.structure)
        except ValueError:
            return None

    def is_current(self) -> bool:
        """Whether all modules are in the mode in which they were recorded."""
        return not self.modules or [module.training for module in self.modules] == self.modes


class _Ready:
    """What was prepared last: the programs of these shapes.

    modal: those that depend on the mode of modules; required: what the inputs must fulfil, by the
        position of the shape.
    """

    def __init__(self, shapes: Sequence[Key] = (), entries: list[Entry] | None = None) -> None:
        self.shapes, self.entries = shapes, entries or []
        self.modal = [entry for entry in self.entries if entry.modules]
        self.required = [
            (kind, entry.requirements)
            for kind, entry in enumerate(self.entries)
            if entry.requirements
        ]

    def is_current(self) -> bool:
        """Whether all modules are in the mode in which they were recorded."""
        return all(map(Entry.is_current, self.modal))


_NOTHING = _Ready()


class Programs:
    """The programs of one function.

    entries: by the shapes of the arguments, the last used last; at most `most`.
    store: the places of the parameters.
    machine: what runs the programs; None before the first.
    known: gives the parameters that are known before recording.
    accept: gets each recording; raises an error if the function cannot be compiled so.
    dtype: what the programs compute with.
    new_machine: makes a machine, as `running.new_machine` does.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        most: int,
        known: Callable[[], Sequence[Value]],
        accept: Callable[[Recording], None],
        optimizer: Any,
        dtype: Dtype,
        new_machine: Callable[..., Any],
    ) -> None:
        self.function, self.most = function, most
        self.known, self.accept = known, accept
        self.optimizer, self.dtype, self.new_machine = optimizer, dtype, new_machine
        self.base = Base()  # what recordings leave for the next one
        self.entries: OrderedDict[Key, Entry] = OrderedDict()
        self.store = Store(optimizer.parameters if optimizer else ())
        self.machine: Any = None
        self.memory: Any = None  # of the parameters, in the machine
        self.state: Any = None  # of the optimizer, in the machine
        self.update: Any = None
        names = optimizer.settings.keys() - {"lr"} if optimizer else ()
        self._settings_of = attrgetter("__class__", *names)  # what the update depends on
        self._settings: Any = None  # these, when the update was traced
        self._loaded: dict[Key, Program] = {}  # the programs that the machine has, in its order
        self.generators: list[random.Random | None] = []  # of their random numbers
        self._whole: dict[Key, Batches] = {}  # the last step of all examples of a shape
        self._same_whole: tuple[Any, Any] = None, None  # inputs, and the step that reads them there
        self._ready = _NOTHING

    def prepare(self, examples: Examples) -> list[Entry]:
        """The programs for all shapes of these examples, recorded if they are new."""
        if self.optimizer is not None and self._settings_of(self.optimizer) != self._settings:
            self._trace_optimizer()
        ready = self._ready
        if examples.shapes != ready.shapes or (ready.modal and not ready.is_current()):
            self._ready = _NOTHING  # as long as an error may come
            self._ready = ready = _Ready(examples.shapes, self._prepare(examples))
        for kind, requirements in ready.required:
            if examples.met is not requirements:
                examples.require(requirements, kind)
        return ready.entries

    def _prepare(self, examples: Examples) -> list[Entry]:
        """As `prepare`, for other shapes than the last ones'."""
        if len(examples.shapes) > self.most:
            raise ValueError(
                f"these examples have {len(examples.shapes)} different shapes, and the cache holds "
                f"{self.most}: pass cache_size={len(examples.shapes)} to compile"
            )
        if any(map(self.lacks, examples.shapes)):
            _keep_freed_memory()
            known = self.base.places
            if not known.parameters:
                known.know(self.known())
                known.know(in_reach(self.function))
            with _collector.paused(), watching(known.parameters):
                self._record_missing(examples)
        entries, all_loaded = [], True
        for key in examples.shapes:
            self.entries.move_to_end(key)
            entry = self.entries[key]
            entries.append(entry)
            all_loaded &= self._loaded.get(key) is entry.program
        while len(self.entries) > self.most:
            self.entries.popitem(last=False)
        if not all_loaded:
            self._load()
        return entries

    def _record_missing(self, examples: Examples) -> None:
        """Records the shapes that are new."""
        while missing := [key for key in examples.shapes if self.lacks(key)]:
            key = max(missing, key=_size)  # the longest sequence reaches the most parameters
            example = examples[examples.kinds.index(examples.shapes.index(key))]
            self.entries[key] = self._record(key, example)

    def lacks(self, key: Key) -> bool:
        """Whether this shape must be recorded."""
        entry = self.entries.get(key)
        return entry is None or not entry.is_current()

    def _record(self, key: Key, example: Sequence[Any]) -> Entry:
        recording = record(self.function, key, (), self.base)
        self.accept(recording)
        check(self.function, recording, key, example)
        known = len(self.store)
        self.store.add(recording.graph)
        if len(self.store) != known:  # the other programs have their numbers in these places
            self.entries.clear()
            self._forget_machine()
        program = lay_out(simplify(recording), self.store, len(recording.inputs), self.dtype)
        self._require_exact_indices(program)
        return Entry(
            program=program,
            structure=recording.structure,
            recording_size=len(recording.graph),
            requirements=recording.requirements,
            modules=recording.modules,
            modes=[module.training for module in recording.modules],
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
        """Traces the optimizer's update for its new settings; lr may change at any time."""
        settings = self._settings_of(self.optimizer)
        self.update = trace(self.optimizer)
        self._settings = settings
        self._forget_machine()

    # ---- the machine

    def _load(self) -> None:
        """Hands all programs to the machine, a new one if there is none."""
        if self.machine is None:
            order, machine = self.store.in_order(), self._new_machine()
            self.machine, self.memory = machine, ParameterMemory(machine, order)
            if self.optimizer:
                slots = self.store.slots(self.optimizer.parameters)
                self.state = OptimizerMemory(machine, slots, self.optimizer, self.update)
        self._loaded = {key: entry.program for key, entry in self.entries.items()}
        self.generators = [g for entry in self.entries.values() for g in entry.program.generators]
        self._whole, self._same_whole = {}, (None, None)
        with self.machine.lock:
            self.machine.load(list(self._loaded.values()))

    def _new_machine(self) -> Any:
        moved, dtype = self.store.moved, self.dtype
        return self.new_machine(len(self.store), moved, self.optimizer, self.update, dtype)

    def copies(self) -> tuple[list[Value], list[Any]]:
        """The parameters in the order of their slots, and two machines with their numbers.

        The first machine has no optimizer; the second has it, if there is one.
        """
        order = self.store.in_order()
        numbers = [parameter.data for parameter in order]
        machines = [self.new_machine(len(order), 0, None, None, self.dtype), self._new_machine()]
        for machine in machines:
            machine.write(numbers, [0.0] * len(order))
        return order, machines

    def _forget_machine(self) -> None:
        """The next programs get a new machine."""
        self.machine, self._loaded, self._ready = None, {}, _NOTHING

    def run(self, batches: Batches, first: int, count: int, task: Task) -> Outcome:
        """Runs `count` steps from step `first` on, with the parameters as they are now.

        A thread never waits for the numbers of another machine while it holds the lock of this
        one. Before the first step the parameters count as being in the machine, so that nothing
        is lost if Ctrl-C ends the run.
        """
        machine, memory, state = self.machine, self.memory, self.state
        if not task.differentiated:
            memory.borrow()
        while True:
            with machine.lock:
                if memory.is_ready() and (state is None or state.is_ready()):
                    try:
                        return machine.run(batches, first, count, task)  # type: ignore[no-any-return]
                    finally:
                        memory.finish(task.differentiated)
            if not memory.is_ready():
                memory.push()
            if state and not state.is_ready():
                state.push()

    def go_back(self) -> None:
        """Undoes the last update of a guarded run."""
        with self.machine.lock:
            self.machine.restore()
            self.memory.keep()
        if self.state:
            self.state.keep()

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

    def in_one_batch(self, examples: Examples, stored: bool = False) -> Batches:
        """All examples as one step; fast if they are as many as the last ones of their shape."""
        inputs, same = self._same_whole
        if inputs is examples.inputs:
            return same  # type: ignore[no-any-return]
        key = examples.shapes[0]
        known = self._whole.get(key) if len(examples.shapes) == 1 else None
        if known and len(known.starts) == examples.count:
            batches: Batches = self.machine.take_again(known, examples.inputs)
            if batches is known:
                self._same_whole = examples.inputs, batches
            return batches
        order = range(examples.count)
        batches = self.in_batches(examples, [order], examples.count, stored=stored)
        if len(examples.shapes) == 1:
            self._whole[key] = batches
        return batches

    def seeds(self) -> list[int]:
        """A seed for each random number of each program, drawn from its own generator."""
        drawn = {g: (g or random).getrandbits(62) for g in dict.fromkeys(self.generators)}
        return [drawn[g] for g in self.generators]

    def no_seeds(self) -> list[int]:
        """Seeds for the random numbers of each program, without drawing any."""
        return [0] * len(self.generators)

    def require_seeds(self, seeds: Sequence[int]) -> None:
        """ValueError if these seeds are not as many as the programs take."""
        if len(seeds) != len(self.generators):
            raise ValueError(
                f"the recorded function draws {len(self.generators)} random numbers for each "
                f"example, and there are seeds for {len(seeds)}: it was another function before"
            )


def rows_of(kinds: Sequence[int], entries: Sequence[Entry], flat: Any) -> Any:
    """The outputs of examples of these kinds: for each a row, in an array if that can be."""
    sizes = [len(entry.program.outputs) for entry in entries]
    if len(sizes) == 1 and hasattr(flat, "reshape"):
        return flat.reshape(len(kinds), *sizes)
    numbers = flat.tolist()
    ends = accumulate([sizes[kind] for kind in kinds])
    return [numbers[end - sizes[kind] : end] for kind, end in zip(kinds, ends)]


def outputs_of(kinds: Sequence[int], entries: Sequence[Entry], flat: Any) -> list[Any]:
    """The outputs of examples of these kinds, as the function returned them."""
    rows = plain(rows_of(kinds, entries, flat))
    return [refilled(entries[kind].structure, iter(row)) for kind, row in zip(kinds, rows)]


@cache
def _keep_freed_memory() -> None:
    """Has the C library keep memory that is freed, for the next row of numbers.

    glibc gives each large block back to the system when it is freed, until it has seen a larger
    one; and the system clears the next block again, page by page. Nothing is written here.
    """
    if sys.platform == "linux":
        bytes(31 << 20)  # glibc follows blocks of up to 32 MiB


class _Collector:
    """Inside `paused` there is no garbage collection: many objects would start it many times.

    If many are left, they count as old at the end, so that the next collection does not visit them.
    But old garbage stays, and what is left of compiled functions may be garbage one day; so all is
    collected when more than `most` objects have become old in this way, and a quarter as many as
    were alive after the last time: a collection visits each of them.
    """

    def __init__(self, many: int, most: int) -> None:
        self.many, self.most, self.aged, self.alive = many, most, 0, 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, objects are made without garbage collection."""
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_enabled:
                self._age(gc.get_count()[0])
                gc.enable()

    def _age(self, left: int) -> None:
        # What the user has frozen must stay so: that is all there was, and more than a few hundred
        # objects, which Python 3.12 has frozen when it starts.
        if left < self.many or gc.get_freeze_count() > 1_000:
            return
        self.aged += left
        is_due = self.aged > max(self.most, self.alive / 4)
        if is_due:
            self.aged = 0
            gc.collect()
        gc.freeze()
        if is_due:
            self.alive = gc.get_freeze_count()
        gc.unfreeze()


_collector = _Collector(many=10_000, most=200_000)


def _size(key: Key) -> int:
    """How many numbers the arguments hold."""
    return sum(map(prod, key))
