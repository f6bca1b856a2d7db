"""Run: the memory in which programs work, and what starts them.

A machine holds the numbers of the parameters and the optimizer's state, and runs many steps in
one call: `NativeMachine`, here, in machine code, and `interpreter.PlainMachine` in Python. Both
take the programs of `layout.py`, and `Batches`, which say on which examples.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, reduce
from operator import and_
from threading import RLock
from typing import Any

from ..ops import Op
from ..optim.updates import Update
from ..support.engines import makers
from .batches import Batches, Outcome, Task
from .dtypes import FLOAT64, Dtype
from .examples import has_numpy
from .interpreter import PlainMachine
from .kernels import part_size
from .layout import Program, overwriting
from .loops import numbers_read
from .native import is_installed, passes, run_kernel
from .optimizer_memory import numbers_of, states_of
from .tape import (
    AFFINE,
    BY_ELEMENT,
    BY_ROW,
    MAP,
    PANEL_ROOM,
    REDUCE,
    Group,
    Header,
    Instruction,
    Pattern,
    Work,
    address,
    packed,
    structure,
    whole_lines,
    zeros,
)
from .threads import MOST_PARTS, Threads


class NativeMachine:
    """Runs programs in machine code, on NumPy arrays.

    parameters: how many there are; the optimizer, if there is one, moves the first `moved`.
    dtype: of the numbers, the gradients and the optimizer's memory; losses and settings have 64
        bits.
    """

    def __init__(
        self, parameters: int, moved: int, optimizer: Any, update: Update | None, dtype: Dtype
    ) -> None:
        import numpy as np

        self.np, self.dtype = np, dtype
        self.run_kernel = run_kernel(dtype)
        self.parameters, self.moved, self.optimizer = parameters, moved, optimizer
        self.kept, self.counted = (update.kept, update.counted) if update else ([], [])
        self.data = self._zeros(parameters)
        self.grad = self._zeros(parameters)
        self.memory = self._zeros(len(self.kept), moved)
        self.settings = np.zeros((2, 1 + len(self.counted)))  # the second row is the guard's
        self.settings_after = np.zeros(1 + len(self.counted))
        self.guard = self._zeros(moved + self.memory.size)
        self.panel = self._zeros(PANEL_ROOM)
        self.remembers = False
        self.completed = 0  # how many steps of the last run were completed
        self.lock = RLock()  # held while a program runs, and while numbers come or go
        self.work = structure(Work)()
        self.given: Any = None  # what the last run was given
        self._make_room(1)
        self.updates = [0, 0]  # for the first step, and for later ones
        if update:
            from .native import update_addresses

            self.updates = update_addresses(type(optimizer).__name__, update, dtype)

    def _zeros(self, *shape: int) -> Any:
        return zeros(shape, self.dtype.name)

    def _rounded(self, numbers: Any) -> Any:
        """The numbers as an array of the dtype; inf for those that are too large for it."""
        if self.dtype is FLOAT64:  # at each call, so without the 3 µs of errstate
            return self.np.asarray(numbers, self.np.float64)
        with self.np.errstate(over="ignore"):
            return self.np.asarray(numbers, self.dtype.name)

    def load(self, programs: Sequence[Program]) -> None:
        """Takes these programs; a `Group` names them by their position."""
        np = self.np
        self.slots = [program.slots for program in programs]
        tape = _Encoder(programs, self.dtype)
        lane_begin = whole_lines(max(program.own_end for program in programs))
        lanes = whole_lines(max(program.slots * program.lanes for program in programs))
        region = whole_lines(max(program.region for program in programs))
        most_operands = max([2, *[instruction.operand_count for instruction in tape.instructions]])
        size = lane_begin + lanes + region * most_operands
        data, grad = self._zeros(size), self._zeros(size)
        data[: self.parameters] = self.data[: self.parameters]
        grad[: self.parameters] = self.grad[: self.parameters]
        self.data, self.grad = data, grad
        at = np.zeros(most_operands, np.int64)
        self.threads = Threads(self.work, self.parameters, data, grad, self.panel, at)
        self.tape = {
            "headers": packed(Header, tape.headers),
            "instructions": packed(Instruction, tape.instructions),
            "patterns": packed(Pattern, tape.patterns),
            "all_places": np.array(tape.places, np.int32),
            "loops": np.array(tape.loops, np.int64),
            "numbers": self._rounded(tape.numbers),
        }
        fixed = {
            **{name: address(numbers) for name, numbers in self.tape.items()},
            "parameters": self.parameters,
            "lane_begin": lane_begin,
            "scratch_begin": lane_begin + lanes,
            "region": region,
            "later_update": self.updates[1],
            "settings": address(self.settings),
            "settings_after": address(self.settings_after),
            "setting_count": len(self.settings_after),
            "memory": address(self.memory),
            "memory_size": self.memory.size,
            "guard": address(self.guard),
        }
        for name, number in fixed.items():
            setattr(self.work, name, number)

    def _make_room(self, steps: int) -> None:
        """Makes room for the numbers that each of so many steps has."""
        self.rates = self.np.zeros(steps)
        # Arrays of Python's own give their numbers faster than NumPy's.
        self.losses, self.norms = array("d", bytes(8 * steps)), array("d", bytes(8 * steps))
        self.given_rates: Any = None  # of each step, or that of all and their number
        self.work.rates = address(self.rates)
        for name in ("losses", "norms"):
            setattr(self.work, name, getattr(self, name).buffer_info()[0])

    def read(self) -> tuple[list[float], list[float]]:
        """The numbers and the gradients of all parameters."""
        return self.data[: self.parameters].tolist(), self.grad[: self.parameters].tolist()

    def write(self, data: Sequence[float], grad: Sequence[float]) -> None:
        """Sets the numbers and the gradients of all parameters."""
        self.data[: self.parameters] = self._rounded(data)
        self.grad[: self.parameters] = self._rounded(grad)

    def copy_from(self, other: Any, places: Sequence[int]) -> None:
        """Sets the numbers of all parameters to those at these places of another machine."""
        self.data[: self.parameters] = self._rounded(self.np.take(other.data, places))

    def read_state(self) -> list[dict[str, float]]:
        """The optimizer's state for each parameter that it moves."""
        if not self.remembers:
            return [{} for _ in range(self.moved)]
        return states_of(self.kept, self.memory, self.counted, self.settings[0, 1:])

    def write_state(self, states: Sequence[dict[str, float]]) -> None:
        """Sets the optimizer's state: for all parameters, or for none."""
        self.remembers = any(states)
        if self.remembers:
            rows, counted = numbers_of(self.kept, self.counted, states)
            self.memory[:] = self._rounded(rows).reshape(self.memory.shape)
            self.settings[0, 1:] = counted

    def restore(self) -> None:
        """Undoes the last update of a guarded run."""
        self.data[: self.moved] = self.guard[: self.moved]
        self.memory[:] = self.guard[self.moved :].reshape(self.memory.shape)
        self.settings[0] = self.settings[1]

    def take(self, batches: Batches) -> Batches:
        """The batches in the form in which `run` takes them."""
        np = self.np
        once = batches.groups[: len(batches.groups) // batches.repeat]
        steps = (
            _whole_numbers(batches.starts),
            np.tile(packed(Group, once), batches.repeat),
            _whole_numbers(batches.steps),
            _whole_numbers(batches.output_starts),
        )
        rows = self._rounded(batches.inputs), self._zeros(len(batches.outputs)), *steps
        return Batches(*rows, addresses=tuple(map(address, rows)))

    def take_again(self, batches: Batches, inputs: Any) -> Batches:
        """Batches that `take` gave, for other examples of the same shapes."""
        if inputs is batches.inputs and not len(batches.outputs):
            return batches
        inputs, outputs = self._rounded(inputs), batches.outputs.copy()
        addresses = address(inputs), address(outputs), *batches.addresses[2:]
        return replace(batches, inputs=inputs, outputs=outputs, addresses=addresses)

    def parts(self, batches: Batches, step: int) -> int:
        """Into how many parts a step is cut, for several threads."""
        begin, end = batches.steps[step : step + 2]
        groups = batches.groups[begin:end]
        sizes: list[int] = groups["size"].tolist()
        programs: list[int] = groups["program"].tolist()
        examples = sum(sizes)
        slots = sum([size * self.slots[program] for size, program in zip(sizes, programs)])
        return -(-examples // part_size(examples, slots, self.parameters, MOST_PARTS))

    def _useful_threads(self, batches: Batches, first: int, count: int, most: int) -> int:
        """How many threads do a task: at most so many, but no more than there are parts."""
        if most == 1:
            return 1
        # Not every step is as small as the last one of an epoch may be.
        parts = max(self.parts(batches, step) for step in (first, first + count // 2))
        return min(most, parts)

    def run(self, batches: Batches, first: int, count: int, task: Task) -> Outcome:
        """Runs `count` steps of the batches from step `first` on."""
        if count > len(self.losses):
            self._make_room(count)
        moved = self.moved if task.differentiated else 0
        given = batches.addresses, first, count, task, self.remembers
        if given != self.given:
            self.given = None  # if Ctrl-C comes in between
            self._write(*given)
            self.given = given
        if moved:
            rates = task.rates or (self.optimizer.lr, count)
            if rates != self.given_rates:
                self.rates[:count] = task.rates or self.optimizer.lr
                self.given_rates = rates
        work = self.work
        work.completed = 0
        threads = task.threads and self._useful_threads(batches, first, count, task.threads)
        used = (self.tape, batches, self.losses, self.norms)
        try:
            self.threads.run(self.run_kernel, threads, used)
        finally:  # also after Ctrl-C, which Python handles when the kernel returns
            self.completed = done = work.completed
            if done and moved:
                self.remembers = True
        shown = min(done + 1, count)
        norms = self.norms[:shown].tolist() if task.guarded else []
        return Outcome(done, self.losses[:shown].tolist(), norms)

    def _write(
        self, addresses: tuple[int, ...], first: int, count: int, task: Task, remembers: bool
    ) -> None:
        """Writes what the next run needs, and what it leaves for those that are given the same."""
        work = self.work
        if task.seeds:
            self.seeds = self.np.array(task.seeds, self.np.int64)
            work.seeds = address(self.seeds)
        names = ("inputs", "outputs", "starts", "groups", "steps", "output_starts")
        for name, where in zip(names, addresses):
            setattr(work, name, where)
        work.stored = work.outputs != 0
        work.first_step, work.step_count = first, count
        work.differentiated = task.differentiated
        work.moved = self.moved if task.differentiated else 0
        work.first_update = self.updates[remembers]
        work.clip, work.guarded = task.clip, task.guarded


def _whole_numbers(numbers: Sequence[int]) -> Any:
    """The numbers as an array; those of a range a hundred times as fast."""
    import numpy as np

    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    return np.array(numbers, np.int64)


class _Encoder:
    """The records of several programs, and the lists that their numbers point into."""

    def __init__(self, programs: Sequence[Program], dtype: Dtype) -> None:
        self.dtype = dtype
        self.headers: list[Header] = []
        self.instructions: list[Instruction] = []
        self.patterns: list[Pattern] = []
        self.places = array("i")
        self.numbers: list[float] = []
        self.loops: list[int] = []
        self.loop_of: dict[Op, int] = {}
        seeds = 0
        for program in programs:
            self._add(program, seeds)
            seeds += len(program.generators)

    def _add(self, program: Program, seeds: int) -> None:
        begin = len(self.instructions)
        per_example = overwriting(program.per_example, program.outputs)
        for instruction in (*program.shared, *per_example):
            self._add_instruction(instruction)
        numbers, outputs = len(self.numbers), len(self.places)
        self.numbers += program.numbers
        self.places.extend(program.outputs)
        written = len(self.places)
        self.places.extend(program.written)
        self.headers.append(
            Header(
                shared_begin=begin,
                shared_end=begin + len(program.shared),
                per_example_begin=begin + len(program.shared),
                per_example_end=len(self.instructions),
                lanes=program.lanes,
                slots=program.slots,
                inputs=program.inputs,
                randoms=len(program.generators),
                root=program.outputs[0],
                own_begin=program.own_begin,
                own_end=program.own_end,
                numbers_begin=numbers,
                numbers_end=len(self.numbers),
                outputs_begin=outputs,
                outputs_end=written,
                written_begin=written,
                written_end=len(self.places),
                first_seed=seeds,
            )
        )

    def _add_instruction(self, instruction: Instruction) -> None:
        instruction.loop = self._loop(instruction)
        instruction.first_operand = len(self.patterns)
        instruction.operand_count = len(instruction.operands)
        self.instructions.append(instruction)
        op = instruction.op
        if op and instruction.kind in (MAP, REDUCE):
            active = tuple([pattern.active for pattern in instruction.operands])
            for pattern, is_read in zip(instruction.operands, _are_read(op, active)):
                pattern.is_read = is_read
                pattern.usable = _usable(pattern, instruction)
            instruction.usable = reduce(and_, [x.usable for x in instruction.operands])
        for pattern in instruction.operands:
            pattern.first_place, pattern.first_run = len(self.places), -1
            self.places.extend(pattern.places)
            if instruction.kind == MAP and pattern.rule == BY_ROW:
                self._add_runs(pattern)
            self.patterns.append(pattern)

    def _add_runs(self, pattern: Pattern) -> None:
        """Notes which rows of a pattern are the same, if few numbers stand in many rows."""
        count = len(pattern.places)
        runs = array("i", bytes(4 * count))
        if 8 * passes().find_runs(count, pattern.places, runs) <= count:
            pattern.first_run = len(self.places)
            self.places.extend(runs)

    def _loop(self, instruction: Instruction) -> int:
        """Where the addresses of the op's loops are; the kernels know dot and pick themselves."""
        op = instruction.op
        if op is None or instruction.kind not in (MAP, REDUCE):
            return 0
        if op not in self.loop_of:
            from .native import loops_of

            self.loop_of[op] = len(self.loops)
            self.loops += loops_of(op, self.dtype)
        return self.loop_of[op]


def _usable(x: Pattern, instruction: Instruction) -> int:
    """When the loop of an op can read an operand's rows where they are, as `Pattern` has it.

    Element k of several vectors follows their elements k - 1, and not that of its own vector.
    """
    if x.rule == BY_ELEMENT or (instruction.length > 1 and x.stride != 1):
        return 0
    for_one_row = 3 if x.per_example else 1
    is_block = x.rule == AFFINE and x.row_stride == 1 and instruction.kind == MAP
    return 5 * for_one_row if is_block else for_one_row


@cache
def _are_read(op: Op, active: tuple[bool, ...]) -> list[bool]:
    """Whether the backward pass by the active operands needs the numbers of each operand."""
    read = [numbers_read(op, j) for j, is_active in enumerate(active) if is_active]
    return [any(name in names for names in read) for name in op.operands]


# ---- which machine


def engine_of(name: Any, devices: Any) -> Callable[..., Any]:
    """What makes the machines of an engine; ValueError if there is none of this name."""
    known = {"native": _native, **makers}
    if name not in known:
        raise ValueError(f"engine is {' or '.join(map(repr, known))}, not {name!r}")
    return known[name](devices)


def _native(devices: Any) -> Callable[..., Any]:
    if devices is not None:
        raise ValueError(
            f'devices={devices!r} is for engine="jax"; the library\'s own engine runs on one '
            "processor, and with threads=n on several of its cores"
        )
    return new_machine


def new_machine(
    parameters: int, moved: int, optimizer: Any, update: Update | None, dtype: Dtype
) -> Any:
    """The fastest machine that can be had here."""
    if not is_native():
        _note_slowness()
    kind = NativeMachine if is_native() else PlainMachine
    return kind(parameters, moved, optimizer, update, dtype)


def is_native() -> bool:
    """Whether compiled programs run in machine code: whether NumPy and llvmlite are installed."""
    return has_numpy() and is_installed()


@cache
def _note_slowness() -> None:
    """Warns, once, and says how to get the speed."""
    warnings.warn(
        "llvmlite is not installed: compiled programs run in plain Python, correct but slow; "
        'pip install "micrograd-plus[fast]" makes them some thousand times faster',
        stacklevel=2,
    )
