"""Run: the memory in which programs work, and what starts them.

A machine holds the numbers of the parameters and what the optimizer remembers of them, and runs
many steps at a stretch: `NativeMachine` in machine code, `PlainMachine` in Python. Both take
the programs of `layout.py`, and a `Plan`, which says on which examples.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ..ops import Op
from ..optim.updates import Update
from . import interpreter, kernels
from .kernels import uniform
from .layout import BLOCK, ROOM, Instruction, Program

State = dict[str, float]
"""What an optimizer remembers of one parameter, by name."""


@dataclass
class Plan:
    """Which examples each step takes.

    inputs: the numbers of all examples; starts: where each begins, in the order of the steps.
    groups: three numbers each: a program, its first example in `starts`, and how many.
    steps: where in `groups` each step begins; one more than there are steps.
    output_starts: where in `outputs` to store what comes out for each example, if anything.
    """

    inputs: Sequence[float]
    starts: Sequence[int]
    groups: Sequence[int]
    steps: Sequence[int]
    output_starts: Sequence[int]
    outputs: Any


@dataclass
class Task:
    """How to run a plan.

    differentiated: whether to compute gradients, and, with an optimizer, to move the parameters.
    seeds: one for each random number of each program.
    clip: the most that the gradient's length may be, or 0.
    guarded: whether a step whose loss or gradient is not finite ends the run before its update,
        and the machine can go back before the update before that.
    """

    differentiated: bool
    seeds: Sequence[int]
    clip: float = 0.0
    guarded: bool = False


@dataclass
class Outcome:
    """A number for each step that was completed, and one more where a guarded run ended."""

    completed: int
    losses: list[float]
    norms: list[float]


class NativeMachine:
    """Runs programs in machine code, on NumPy arrays.

    parameters: how many there are; the optimizer, if there is one, moves the first `moved`.
    """

    def __init__(self, parameters: int, moved: int, optimizer: Any, update: Update | None) -> None:
        import numpy as np

        self.np = np
        self.run_kernel = _kernel()
        self.parameters, self.moved, self.optimizer = parameters, moved, optimizer
        self.kept, self.counted = (update.kept, update.counted) if update else ([], [])
        self.data = np.zeros(parameters)
        self.grad = np.zeros(parameters)
        self.memory = np.zeros((len(self.kept), moved))
        self.settings = np.zeros(1 + len(self.counted))
        self.guard = np.zeros(moved + self.memory.size + self.settings.size)
        self.remembers = False
        self.updates = [0, 0]
        if update:
            from .native import update_addresses

            self.updates = update_addresses(type(optimizer).__name__, update)

    def load(self, programs: Sequence[Program]) -> None:
        """Takes these programs; a plan names them by their position."""
        np = self.np
        encoder = _Encoder()
        rows = [encoder.add(program) for program in programs]
        lane_begin = max(program.end for program in programs)
        lanes = max(program.width * program.lanes for program in programs)
        region = max(program.region for program in programs)
        room = lane_begin + lanes + region * encoder.most_operands
        data, grad = np.zeros(room + ROOM), np.zeros(room + ROOM)
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
            np.array([lane_begin, lane_begin + lanes, BLOCK, region], np.int64),
        ]
        self.at = np.array([room] + [0] * encoder.most_operands, np.int64)

    def read(self) -> tuple[list[float], list[float]]:
        """The numbers and the gradients of all parameters."""
        return self.data[: self.parameters].tolist(), self.grad[: self.parameters].tolist()

    def write(self, numbers: Sequence[float]) -> None:
        """Sets the numbers of all parameters."""
        self.data[: self.parameters] = numbers

    def read_state(self) -> list[State]:
        """What the optimizer remembers of each parameter that it moves."""
        if not self.remembers:
            return [{} for _ in range(self.moved)]
        numbers = [float(number) for number in self.settings[1:]]
        shared = {
            name: int(number) if number.is_integer() else number
            for name, number in zip(self.counted, numbers)
        }
        return [{**shared, **dict(zip(self.kept, row))} for row in self.memory.T.tolist()]

    def write_state(self, states: Sequence[State]) -> None:
        """Sets what the optimizer remembers: of all parameters, or of none."""
        self.remembers = any(states)
        if self.remembers:
            self.memory[:] = [[state[name] for state in states] for name in self.kept]
            self.settings[1:] = [states[0][name] for name in self.counted]

    def restore(self) -> None:
        """Goes back before the last update of a guarded run."""
        size = self.memory.size
        self.data[: self.moved] = self.guard[: self.moved]
        self.memory[:] = self.guard[self.moved : self.moved + size].reshape(self.memory.shape)
        self.settings[:] = self.guard[self.moved + size :]

    def plan(self, plan: Plan) -> Plan:
        """The plan in the form in which `run` takes it."""
        np = self.np
        return Plan(
            inputs=np.asarray(plan.inputs, np.float64),
            starts=np.array(plan.starts, np.int64),
            groups=np.array(plan.groups, np.int64),
            steps=np.array(plan.steps, np.int64),
            output_starts=np.array(plan.output_starts, np.int64),
            outputs=np.array(plan.outputs, np.float64),
        )

    def run(self, plan: Any, first: int, count: int, task: Task, serial: int) -> Outcome:
        """Runs `count` steps of the plan from step `first` on.

        serial: how many examples have been run before, which the random numbers depend on.
        """
        np = self.np
        losses, norms = np.empty(count), np.zeros(count)
        seeds = np.array(task.seeds, np.int64)
        updates = np.array([self.updates[self.remembers], self.updates[1]], np.int64)
        moved = self.moved if task.differentiated else 0
        if moved:
            self.settings[0] = self.optimizer.lr
        completed = self.run_kernel(
            *[numbers.ctypes.data for numbers in self.arrays], self.at.ctypes.data + 8,
            self.data.ctypes.data, self.grad.ctypes.data, self.parameters,
            plan.inputs.ctypes.data, plan.starts.ctypes.data, plan.groups.ctypes.data,
            plan.steps.ctypes.data + 8 * first, count,
            seeds.ctypes.data, serial,
            plan.outputs.ctypes.data, plan.output_starts.ctypes.data, plan.outputs.size > 0,
            task.differentiated, moved, updates.ctypes.data,
            self.settings.ctypes.data, self.settings.size,
            self.memory.ctypes.data, self.memory.size,
            task.clip, self.guard.ctypes.data, task.guarded,
            losses.ctypes.data, norms.ctypes.data,
        )  # fmt: skip
        self.remembers = self.remembers or (completed > 0 and moved > 0)
        shown = min(completed + 1, count)
        return Outcome(completed, losses[:shown].tolist(), norms[:shown].tolist())


@cache
def _kernel() -> Any:
    """`kernels.run` as a function of whole numbers, addresses among them, and floats."""
    import ctypes

    from .native import run_address

    of: dict[str, Any] = {"int": ctypes.c_int64, "float": ctypes.c_double}
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

    def __init__(self, parameters: int, moved: int, optimizer: Any, update: Update | None) -> None:
        self.parameters, self.moved, self.optimizer = parameters, moved, optimizer
        self.data = [0.0] * parameters
        self.grad = [0.0] * parameters
        self.states: list[State] = [{} for _ in range(moved)]
        self.guard: tuple[list[float], list[State]] = ([], [])

    def load(self, programs: Sequence[Program]) -> None:
        """Takes these programs; a plan names them by their position."""
        self.programs = list(programs)
        room = [0.0] * (max(program.end for program in programs) - self.parameters)
        self.data = self.data[: self.parameters] + room
        self.grad = self.grad[: self.parameters] + room

    def read(self) -> tuple[list[float], list[float]]:
        """The numbers and the gradients of all parameters."""
        return self.data[: self.parameters], self.grad[: self.parameters]

    def write(self, numbers: Sequence[float]) -> None:
        """Sets the numbers of all parameters."""
        self.data[: self.parameters] = map(float, numbers)

    def read_state(self) -> list[State]:
        """What the optimizer remembers of each parameter that it moves."""
        return [dict(state) for state in self.states]

    def write_state(self, states: Sequence[State]) -> None:
        """Sets what the optimizer remembers of each parameter."""
        self.states = [dict(state) for state in states]

    def restore(self) -> None:
        """Goes back before the last update of a guarded run."""
        self.data[: self.moved], self.states = self.guard

    def plan(self, plan: Plan) -> Plan:
        """The plan in the form in which `run` takes it."""
        return replace(plan, inputs=list(map(float, plan.inputs)))

    def run(self, plan: Plan, first: int, count: int, task: Task, serial: int) -> Outcome:
        """Runs `count` steps of the plan from step `first` on, as `NativeMachine` does."""
        losses: list[float] = []
        norms: list[float] = []
        for s in range(first, first + count):
            groups = [plan.groups[3 * g : 3 * g + 3] for g in range(*plan.steps[s : s + 2])]
            examples = sum(size for _, _, size in groups)
            if task.differentiated:
                self.grad[: self.parameters] = [0.0] * self.parameters
            total = 0.0
            for program, begin, size in groups:
                total += self._group(program, plan, begin, size, examples, task, serial)
                serial += size
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
                for i, state in enumerate(self.states):
                    moved = self.optimizer.update(self.grad[i], self.data[i], state)
                    self.data[i] = float(moved)
        return Outcome(count, losses, norms)

    def _group(
        self, number: int, plan: Plan, begin: int, size: int, examples: int, task: Task,
        serial: int,
    ) -> float:  # fmt: skip
        """The sum of the losses of a group; the gradients of their mean are added."""
        program = self.programs[number]
        series = sum(len(before.generators) for before in self.programs[:number])
        self.data[program.base : program.base + len(program.numbers)] = program.numbers
        self.grad[program.base : program.end] = [0.0] * (program.end - program.base)
        data = interpreter.Numbers(self.data, program.width)
        grad = interpreter.Numbers(self.grad, program.width)
        interpreter.forward(program.shared, data)
        total, randoms = 0.0, len(program.generators)
        for lane, example in enumerate(range(begin, begin + size)):
            start = plan.starts[example]
            data.laned[: program.inputs] = plan.inputs[start : start + program.inputs]
            for j in range(randoms):
                number_ = uniform(task.seeds[series + j], (serial + lane) * randoms + j)
                data.laned[program.inputs + j] = number_
            interpreter.forward(program.laned, data)
            if plan.outputs:
                to = plan.output_starts[example]
                plan.outputs[to : to + len(program.outputs)] = [
                    data[place] for place in program.outputs
                ]
            total += data[program.outputs[0]]
            if task.differentiated:
                grad.laned[:] = [0.0] * program.width
                grad[program.outputs[0]] += 1 / examples
                interpreter.backward(program.laned, data, grad)
        if task.differentiated:
            interpreter.backward(program.shared, data, grad)
        return total
