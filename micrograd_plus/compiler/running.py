"""Run: the memory in which programs work, and what starts them.

A `Machine` holds the numbers of the parameters and what the optimizer remembers, and runs many
steps at a stretch: `NativeMachine` in machine code, `PlainMachine` in Python. Both take the
programs of `layout.py`, and a `Plan`, which says on which examples.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ..ops import Op
from . import interpreter, kernels
from .kernels import uniform
from .layout import BLOCK, Instruction, Program


@dataclass
class Plan:
    """Which examples each step takes.

    inputs: the numbers of all examples; starts: where each begins, in the order of the steps.
    groups: three numbers each: a program, its first example in `starts`, and how many.
    steps: where in `groups` each step begins; one more than there are steps.
    output_starts: where to store the outputs of each example, of `stored` in all, if any.
    """

    inputs: Sequence[float]
    starts: Sequence[int]
    groups: Sequence[int]
    steps: Sequence[int]
    output_starts: Sequence[int]
    stored: int


@dataclass
class Outcome:
    """What came of the steps that were completed: a number for each."""

    completed: int
    losses: list[float]
    norms: list[float]
    outputs: Any


@dataclass
class Watch:
    """What to do between a step's gradient and its update: see `fit`."""

    clip: float = 0.0
    guarded: bool = False


class NativeMachine:
    """Runs programs in machine code, on NumPy arrays.

    parameters: how many there are; the first `moved` are moved by the update.
    updates: the update's programs, for the first step and for later ones; or none.
    kept, counted: how many numbers the update remembers for each parameter, and for all.
    """

    def __init__(
        self, parameters: int, moved: int, updates: Sequence[Program], kept: int, counted: int
    ) -> None:
        import numpy as np

        self.np = np
        self.run_kernel = _kernel()
        self.parameters, self.moved = parameters, moved
        self.updates, self.kept, self.counted = list(updates), kept, counted
        self.data = np.zeros(parameters)
        self.grad = np.zeros(parameters)
        self.memory = np.zeros(kept * moved)
        self.counts = np.zeros(counted)
        self.guard = np.zeros(moved + kept * moved + counted)
        self.next_update = np.zeros(2, np.int64)

    def load(self, programs: Sequence[Program]) -> None:
        """Takes these programs; a plan names them by their position."""
        np = self.np
        everything = [*programs, *self.updates]
        encoder = _Encoder()
        rows = [encoder.add(program) for program in everything]
        lane_begin = max(program.end for program in everything)
        lanes = max(program.width * program.lanes for program in everything)
        region = max(program.region for program in everything)
        geometry = [lane_begin, lane_begin + lanes, BLOCK, region]
        size = lane_begin + lanes + region * encoder.most_operands
        data, grad = np.zeros(size), np.zeros(size)
        data[: self.parameters] = self.data[: self.parameters]
        grad[: self.parameters] = self.grad[: self.parameters]
        self.data, self.grad = data, grad
        self.arrays = [
            np.array(rows, np.int64).ravel(),
            np.array(encoder.tape, np.int64),
            np.array(encoder.patterns, np.int64),
            np.array(encoder.table, np.int32),
            np.array(encoder.loops, np.int64),
            np.array(encoder.numbers, np.float64),
            np.array(geometry, np.int64),
            np.zeros(max(encoder.most_operands, 1), np.int64),
        ]
        self.first_update = len(programs)

    def read(self) -> tuple[list[float], list[float]]:
        """The numbers and the gradients of all parameters."""
        return self.data[: self.parameters].tolist(), self.grad[: self.parameters].tolist()

    def write(self, numbers: Sequence[float]) -> None:
        """Sets the numbers of all parameters."""
        self.data[: self.parameters] = numbers

    def plan(self, plan: Plan) -> Plan:
        """The plan in the form in which `run` takes it."""
        np = self.np
        return Plan(
            np.asarray(plan.inputs, np.float64),
            *[np.array(part, np.int64) for part in (plan.starts, plan.groups, plan.steps)],
            np.array(plan.output_starts, np.int64),
            plan.stored,
        )

    def run(
        self, plan: Any, first: int, count: int, *, differentiated: bool, remembers: bool,
        seeds: Sequence[int], serial: int, watch: Watch,
    ) -> Outcome:  # fmt: skip
        """Runs `count` steps of the plan from step `first` on."""
        np = self.np
        self.next_update[:] = self.first_update + (1 if remembers else 0), self.first_update + 1
        losses, norms = np.empty(count), np.zeros(count)
        outputs = np.empty(plan.stored)
        seed_array = np.array(seeds, np.int64)
        moved = self.moved if differentiated else 0
        completed = self.run_kernel(
            *[numbers.ctypes.data for numbers in self.arrays],
            self.data.ctypes.data, self.grad.ctypes.data, self.parameters,
            plan.inputs.ctypes.data, plan.starts.ctypes.data, plan.groups.ctypes.data,
            plan.steps.ctypes.data + 8 * first, count,
            seed_array.ctypes.data, serial,
            outputs.ctypes.data, plan.output_starts.ctypes.data, int(plan.stored > 0),
            int(differentiated), moved, self.next_update.ctypes.data,
            self.memory.ctypes.data, self.kept, self.counts.ctypes.data, self.counted,
            watch.clip, self.guard.ctypes.data, int(watch.guarded),
            losses.ctypes.data, norms.ctypes.data,
        )  # fmt: skip
        return Outcome(completed, losses[:completed].tolist(), norms[:completed].tolist(), outputs)


@cache
def _kernel() -> Any:
    """`kernels.run` as a function of whole numbers, addresses among them, and floats."""
    import ctypes

    from .native import run_address

    of = {"int": ctypes.c_int64, "float": ctypes.c_double}
    kinds = [of.get(kind, ctypes.c_void_p) for kind in kernels.run.__annotations__.values()]
    *arguments, result = kinds
    return ctypes.CFUNCTYPE(result, *arguments)(run_address())


class _Encoder:
    """Programs as the numbers that the kernels read."""

    def __init__(self) -> None:
        self.tape: list[int] = []
        self.patterns: list[int] = []
        self.table = array("i")
        self.numbers: list[float] = []
        self.loops: list[int] = []
        self.loop_of: dict[Op, int] = {}
        self.most_operands = 2
        self.seeds = 0

    def add(self, program: Program) -> list[int]:
        """One program more; its row of numbers."""
        begin = len(self.tape) // kernels.INSTRUCTION
        for instruction in (*program.shared, *program.laned):
            self._add(instruction)
        numbers, outputs = len(self.numbers), len(self.table)
        self.numbers += program.numbers
        self.table.extend(program.outputs)
        seeds, self.seeds = self.seeds, self.seeds + len(program.generators)
        return [
            begin,
            begin + len(program.shared),
            len(self.tape) // kernels.INSTRUCTION,
            program.lanes,
            program.width,
            program.inputs,
            len(program.generators),
            program.outputs[0],
            program.base,
            program.end,
            numbers,
            len(self.numbers),
            outputs,
            len(self.table),
            seeds,
        ]

    def _add(self, instruction: Instruction) -> None:
        self.most_operands = max(self.most_operands, len(instruction.operands))
        self.tape += [
            instruction.kind,
            self._loop(instruction),
            instruction.count,
            instruction.length,
            instruction.out,
            instruction.shared,
            len(self.patterns) // kernels.PATTERN,
            len(instruction.operands),
            instruction.rows,
            instruction.columns,
        ]
        for pattern in instruction.operands:
            self.patterns += [
                pattern.rule, pattern.laned, pattern.base, pattern.row_stride, pattern.stride,
                len(self.table), pattern.active,
            ]  # fmt: skip
            self.table.extend(pattern.table)

    def _loop(self, instruction: Instruction) -> int:
        """Where the addresses of the op's loops are; the kernels know dot and pick themselves."""
        if instruction.kind not in (kernels.MAP, kernels.REDUCE):
            return 0
        from .native import loop_addresses

        op = instruction.op
        assert op is not None
        if op not in self.loop_of:
            self.loop_of[op] = len(self.loops)
            self.loops += loop_addresses(op)
        return self.loop_of[op]


class PlainMachine:
    """Runs programs in plain Python, as `NativeMachine` does."""

    def __init__(
        self, parameters: int, moved: int, updates: Sequence[Program], kept: int, counted: int
    ) -> None:
        self.parameters, self.moved = parameters, moved
        self.updates, self.kept, self.counted = list(updates), kept, counted
        self.data = [0.0] * parameters
        self.grad = [0.0] * parameters
        self.memory = [0.0] * (kept * moved)
        self.counts = [0.0] * counted
        self.guard: list[float] = []

    def load(self, programs: Sequence[Program]) -> None:
        """Takes these programs; a plan names them by their position."""
        self.programs = list(programs)
        size = max(program.end for program in [*programs, *self.updates])
        room = [0.0] * (size - self.parameters)
        self.data = self.data[: self.parameters] + room
        self.grad = self.grad[: self.parameters] + room

    def read(self) -> tuple[list[float], list[float]]:
        """The numbers and the gradients of all parameters."""
        return self.data[: self.parameters], self.grad[: self.parameters]

    def write(self, numbers: Sequence[float]) -> None:
        """Sets the numbers of all parameters."""
        self.data[: self.parameters] = map(float, numbers)

    def plan(self, plan: Plan) -> Plan:
        """The plan in the form in which `run` takes it."""
        return plan

    def run(
        self, plan: Plan, first: int, count: int, *, differentiated: bool, remembers: bool,
        seeds: Sequence[int], serial: int, watch: Watch,
    ) -> Outcome:  # fmt: skip
        """Runs `count` steps of the plan from step `first` on."""
        losses: list[float] = []
        norms: list[float] = []
        outputs = [0.0] * plan.stored
        for s in range(first, first + count):
            groups = [plan.groups[3 * g : 3 * g + 3] for g in range(*plan.steps[s : s + 2])]
            examples = sum(size for _, _, size in groups)
            if differentiated:
                self.grad[: self.parameters] = [0.0] * self.parameters
            total = 0.0
            for program, begin, size in groups:
                total += self._group(
                    program, plan, range(begin, begin + size),
                    1 / examples if differentiated else 0.0, seeds, serial, outputs,
                )  # fmt: skip
                serial += size
            norm = math.sqrt(math.fsum(g * g for g in self.grad[: self.moved]))
            loss = total / examples
            if watch.guarded:
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    break
                self.guard = [*self.data[: self.moved], *self.memory, *self.counts]
            losses.append(loss)
            norms.append(norm)
            if watch.clip and norm + 1e-6 > watch.clip:
                for i in range(self.moved):
                    self.grad[i] *= watch.clip / (norm + 1e-6)
            if differentiated and self.moved:
                self._update(self.updates[1 if remembers else 0])
                remembers = True
        return Outcome(len(losses), losses, norms, outputs)

    def _group(
        self, number: int, plan: Plan, examples: range, seed: float,
        seeds: Sequence[int], serial: int, outputs: list[float],
    ) -> float:  # fmt: skip
        """The sum of the losses of these examples; their gradients are added."""
        program = self.programs[number]
        series = sum(len(before.generators) for before in self.programs[:number])
        self.data[program.base : program.base + len(program.numbers)] = program.numbers
        data = interpreter.Numbers(self.data, program.width)
        interpreter.forward(program.shared, data)
        self.grad[program.base : program.end] = [0.0] * (program.end - program.base)
        grad = interpreter.Numbers(self.grad, program.width)
        total = 0.0
        randoms = len(program.generators)
        for lane, example in enumerate(examples):
            start = plan.starts[example]
            data.laned[: program.inputs] = plan.inputs[start : start + program.inputs]
            for j in range(randoms):
                number = uniform(seeds[series + j], (serial + lane) * randoms + j)
                data.laned[program.inputs + j] = number
            interpreter.forward(program.laned, data)
            if plan.stored:
                to = plan.output_starts[example]
                outputs[to : to + len(program.outputs)] = [data[place] for place in program.outputs]
            total += data[program.outputs[0]]
            if seed:
                grad.laned[:] = [0.0] * program.width
                grad[program.outputs[0]] += seed
                interpreter.backward(program.laned, data, grad)
        if seed:
            interpreter.backward(program.shared, data, grad)
        return total

    def _update(self, program: Program) -> None:
        """Moves the first `moved` parameters."""
        constants = [*program.numbers, *self.counts]
        self.data[program.base : program.base + len(constants)] = constants
        data = interpreter.Numbers(self.data, program.width)
        interpreter.forward(program.shared, data)
        moved = self.moved
        for i in range(moved):
            inputs = [self.grad[i], self.data[i], *self.memory[i::moved]]
            data.laned[: program.inputs] = inputs[: program.inputs]
            interpreter.forward(program.laned, data)
            results = [data[place] for place in program.outputs]
            self.data[i], self.memory[i::moved] = results[0], results[1 : 1 + self.kept]
        self.counts = [data[place] for place in program.outputs[1 + self.kept :]]
