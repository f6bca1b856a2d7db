"""Run, in plain Python: the same programs without llvmlite, one example after the other.

Slow, and short enough to read: what the kernels do, without what makes them fast. An instruction
is computed by the op table's own functions, number by number. `PlainMachine` does what
`running.NativeMachine` does, with the same methods. Where numbers are stored, in Python's `array`,
they are rounded to the dtype; what an op or an optimizer computes inside has 64 bits.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from threading import RLock
from typing import Any

from ..ops import TABLE, Op
from ..optim.updates import Update
from .batches import Batches, Outcome, Task
from .dtypes import Dtype
from .kernels import first_serial, uniform
from .layout import Program
from .tape import DOT, MATMUL, PICK, Group, Instruction


class Numbers:
    """Values or gradients: the shared ones, and those of one example."""

    def __init__(self, shared: array[float], slots: int) -> None:
        self.shared = shared
        self.per_example: array[float] = array(shared.typecode, bytes(slots * shared.itemsize))

    def __getitem__(self, place: int) -> float:
        return self.per_example[place] if place >= 0 else self.shared[~place]

    def __setitem__(self, place: int, number: float) -> None:
        if place >= 0:
            self.per_example[place] = number
        else:
            self.shared[~place] = number


def forward(instructions: Sequence[Instruction], data: Numbers) -> None:
    """Computes the values of `instructions`."""
    for instruction in instructions:
        for place, op, operands, bias in _results(instruction, data):
            if op is None:
                data[place] = data[operands[0]]
                continue
            result = op.forward(*[data[operand] for operand in operands])
            data[place] = result if bias is None else result + data[bias]


def backward(instructions: Sequence[Instruction], data: Numbers, grad: Numbers) -> None:
    """The chain rule, from the last instruction to the first."""
    for instruction in reversed(instructions):
        active = [pattern.active for pattern in instruction.operands]
        if not any(active):
            continue
        for place, op, operands, bias in _results(instruction, data):
            upstream = grad[place]
            if op is None:
                grad[operands[0]] += upstream
                continue
            if bias is not None and active[-1]:
                grad[bias] += upstream
            partials = op.partials(data[place], *[data[operand] for operand in operands])
            share = len(operands) // (len(active) - (bias is not None))
            for j, (operand, local) in enumerate(zip(operands, partials)):
                if active[j // share]:
                    grad[operand] += upstream * local


def _results(
    instruction: Instruction, data: Numbers
) -> Iterator[tuple[int, Op | None, list[int], int | None]]:
    """Each result: its place, its op, the places of its operands, and of what is added to it.

    No op stands for a pick, whose one operand is what was picked.
    """
    length = range(instruction.length)
    for i in range(instruction.count):
        place = instruction.out + i if instruction.per_example else ~(instruction.out + i)
        row, column = divmod(i, max(instruction.columns, 1))
        if instruction.kind == PICK:
            index, values = instruction.operands
            yield place, None, [values.place(i, int(data[index.place(i, 0)]))], None
        elif instruction.kind in (DOT, MATMUL):
            left, right, *given = instruction.operands
            rows = ((left, column if instruction.kind == MATMUL else i), (right, row))
            operands = [pattern.place(r, k) for pattern, r in rows for k in length]
            bias = given[0].place(row, column) if given else None
            yield place, TABLE["dot"], operands, bias
        else:
            operands = [pattern.place(i, k) for pattern in instruction.operands for k in length]
            yield place, instruction.op, operands, None


class PlainMachine:
    """Runs programs in plain Python, as `NativeMachine` does."""

    def __init__(
        self, parameters: int, moved: int, optimizer: Any, update: Update | None, dtype: Dtype
    ) -> None:
        self.parameters, self.moved, self.optimizer = parameters, moved, optimizer
        self.dtype = dtype
        self.data = self._zeros(parameters)
        self.grad = self._zeros(parameters)
        self.states: list[dict[str, float]] = [{} for _ in range(moved)]
        self.guard: tuple[array[float], list[dict[str, float]]] = (self._zeros(0), [])
        self.completed = 0  # how many steps of the last run were completed
        self.lock = RLock()  # held while a program runs, and while numbers come or go

    def _rounded(self, numbers: Iterable[float]) -> array[float]:
        return array(self.dtype.code, numbers)

    def _zeros(self, count: int) -> array[float]:
        return array(self.dtype.code, bytes(count * self.dtype.size))

    def load(self, programs: Sequence[Program]) -> None:
        """Takes these programs; a `Group` names them by their position."""
        self.programs = list(programs)
        room = self._zeros(max(program.own_end for program in programs) - self.parameters)
        self.data = self.data[: self.parameters] + room
        self.grad = self.grad[: self.parameters] + room

    def read(self) -> tuple[list[float], list[float]]:
        """The numbers and the gradients of all parameters."""
        return self.data[: self.parameters].tolist(), self.grad[: self.parameters].tolist()

    def write(self, data: Sequence[float], grad: Sequence[float]) -> None:
        """Sets the numbers and the gradients of all parameters."""
        self.data[: self.parameters] = self._rounded(data)
        self.grad[: self.parameters] = self._rounded(grad)

    def copy_from(self, other: Any, places: Sequence[int]) -> None:
        """Sets the numbers of all parameters to those at these places of another machine."""
        self.data[: self.parameters] = self._rounded(other.data[place] for place in places)

    def read_state(self) -> list[dict[str, float]]:
        """The optimizer's state for each parameter that it moves."""
        return [dict(state) for state in self.states]

    def write_state(self, states: Sequence[dict[str, float]]) -> None:
        """Sets the optimizer's state for each parameter."""
        self.states = [dict(state) for state in states]

    def restore(self) -> None:
        """Undoes the last update of a guarded run."""
        self.data[: self.moved], self.states = self.guard

    def take(self, batches: Batches) -> Batches:
        """The batches in the form in which `run` takes them."""
        outputs = self._zeros(len(batches.outputs))
        return replace(batches, inputs=self._rounded(batches.inputs), outputs=outputs)

    def take_again(self, batches: Batches, inputs: Any) -> Batches:
        """Batches that `take` gave, for other examples of the same shapes."""
        return self.take(replace(batches, inputs=inputs, outputs=list(batches.outputs)))

    def parts(self, batches: Batches, step: int) -> int:
        """Into how many parts a step is cut: here one thread runs all examples in one part."""
        return 1

    def run(self, batches: Batches, first: int, count: int, task: Task) -> Outcome:
        """Runs `count` steps of the batches from step `first` on, as `NativeMachine` does."""
        losses: list[float] = []
        norms: list[float] = []
        optimizer = copy(self.optimizer)  # whose learning rate may change
        self.completed = 0
        for s in range(first, first + count):
            groups = [batches.groups[g] for g in range(*batches.steps[s : s + 2])]
            examples = sum(group.size for group in groups)
            if task.differentiated:
                self.grad[: self.parameters] = self._zeros(self.parameters)
            total, serial = 0.0, first_serial(s)
            for group in groups:
                total += self._group(group, batches, examples, task, serial)
                serial += group.size
            losses.append(total / examples)
            norms.append(math.sqrt(math.fsum(g * g for g in self.grad[: self.moved])))
            if task.guarded:
                if not (math.isfinite(losses[-1]) and math.isfinite(norms[-1])):
                    return Outcome(s - first, losses, norms)
                self.guard = self.data[: self.moved], self.read_state()
            if task.clip and norms[-1] + 1e-6 > task.clip:
                for i in range(self.moved):
                    self.grad[i] *= task.clip / (norms[-1] + 1e-6)
            if task.differentiated:
                if task.rates:
                    optimizer.lr = task.rates[s - first]
                for i, state in enumerate(self.states):
                    self.data[i] = float(optimizer.update(self.grad[i], self.data[i], state))
            self.completed += 1
        return Outcome(count, losses, norms)

    def _group(
        self, group: Group, batches: Batches, examples: int, task: Task, serial: int
    ) -> float:
        """The sum of the losses of a group; the gradients of their mean are added."""
        program = self.programs[group.program]
        series = sum(len(before.generators) for before in self.programs[: group.program])
        end, numbers = program.own_begin + len(program.numbers), self._rounded(program.numbers)
        self.data[program.own_begin : end] = numbers
        own = self._zeros(program.own_end - program.own_begin)
        self.grad[program.own_begin : program.own_end] = own
        data = Numbers(self.data, program.slots)
        grad = Numbers(self.grad, program.slots)
        forward(program.shared, data)
        total, randoms = 0.0, len(program.generators)
        for lane, example in enumerate(range(group.first, group.first + group.size)):
            start = batches.starts[example]
            data.per_example[: program.inputs] = batches.inputs[start : start + program.inputs]
            for j in range(randoms):
                number = uniform(task.seeds[series + j], (serial + lane) * randoms + j)
                data.per_example[program.inputs + j] = min(number, self.dtype.below_one)
            forward(program.per_example, data)
            if batches.outputs:
                to = batches.output_starts[example]
                for j, place in enumerate(program.outputs):
                    batches.outputs[to + j] = data[place]
            total += data[program.outputs[0]]
            if task.differentiated:
                grad.per_example[:] = self._zeros(program.slots)
                grad[program.outputs[0]] += 1 / examples
                backward(program.per_example, data, grad)
        if task.differentiated:
            backward(program.shared, data, grad)
        return total
