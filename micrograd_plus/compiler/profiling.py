"""`profile`: where the time of a compiled step goes, by module and by instruction.

An instruction is timed by itself: a program that has no other one runs many times, on a copy of the
step's memory, and the time of a program without any is subtracted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple

from ..engine import Value
from ..support.nested import flatten
from ..support.rich import mimebundle
from ..support.words import in_short, many
from .batches import Task, in_batches
from .compiled import Compiled, Predict, name_of
from .examples import Examples
from .layout import Program
from .tape import DOT, MATMUL, Instruction, Pattern, scopes_of


class Part(NamedTuple):
    """The seconds of each step that an instruction takes, or all those of a module."""

    module: str
    instruction: str
    forward: float
    backward: float

    @property
    def seconds(self) -> float:
        """Forward and backward together."""
        return self.forward + self.backward


@dataclass(repr=False)
class Profile:
    """Where the time of a step goes; printed, it is a table, and `plot_profile` draws it.

    name: the compiled function; examples: how many of them the step takes.
    step: the seconds of a whole step.
    instructions: a `Part` for each instruction.
    others: the seconds of what belongs to no instruction, by name.

    >>> Profile("loss", 2, 3e-6, [Part("MLP", "dot", 1e-6, 1e-6)], {"examples": 5e-7})
    <Profile of loss: 3.0 µs for a step of 2 examples>
    """

    name: str
    examples: int
    step: float
    instructions: list[Part]
    others: dict[str, float]

    @property
    def modules(self) -> list[Part]:
        """The instructions of each module, added up."""
        found: dict[str, list[Part]] = {}
        for part in self.instructions:
            found.setdefault(part.module, []).append(part)
        return [
            Part(module, "", sum(p.forward for p in parts), sum(p.backward for p in parts))
            for module, parts in found.items()
        ]

    @property
    def rest(self) -> float:
        """The seconds of the whole step that its parts do not explain.

        Between other instructions an instruction may find its numbers farther from the processor
        than alone. Below 0 if the parts took longer than the whole.
        """
        return (
            self.step - sum(part.seconds for part in self.instructions) - sum(self.others.values())
        )

    @property
    def title(self) -> str:
        """What was measured, and how long it takes."""
        (size, unit), examples = self.unit, many(self.examples, "example")
        return f"{self.name}: {self.step / size:.1f} {unit} for a step of {examples}"

    @property
    def unit(self) -> tuple[float, str]:
        """The unit of the table, in seconds, and its name."""
        return (1e-6, "µs") if self.step < 10e-3 else (1e-3, "ms")

    def table(self, instructions: bool = True) -> list[list[str]]:
        """The rows of the table, the header first; with or without those of instructions."""
        rows = [["", "forward", "backward", self.unit[1], "share"]]
        for module in self.modules:
            rows.append(self._row(module.module, module.forward, module.backward))
            for part in self.instructions if instructions else ():
                if part.module == module.module:
                    rows.append(self._row(f"  {part.instruction}", part.forward, part.backward))
        others = {**self.others, "rest": self.rest, "step": self.step}
        return rows + [self._row(name, seconds) for name, seconds in others.items()]

    def _row(self, name: str, *seconds: float) -> list[str]:
        """The cells of a row; without forward and backward if only their sum is given."""
        numbers = [f"{number / self.unit[0]:.2f}" for number in (*seconds, sum(seconds))]
        cells = numbers if len(seconds) == 2 else ["", "", numbers[-1]]
        return [name, *cells, f"{sum(seconds) / self.step:.0%}"]

    def __str__(self) -> str:
        rows = self.table()
        first, *widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [
            "  ".join([f"{name:{first}}", *[f"{cell:>{n}}" for cell, n in zip(cells, widths)]])
            for name, *cells in rows
        ]
        return "\n".join([self.title, *lines])

    def __repr__(self) -> str:
        return f"<Profile of {self.title}>"

    _repr_mimebundle_ = mimebundle


def profile(compiled: Compiled, *batches: Any) -> Profile:
    """Measures where the time of a compiled function goes, by module and by instruction.

    compiled: what `compile` returned.
    batches: what it is called with, as X and y; by default the examples of the last call.

    A step is measured as `step.run` runs it, in one thread; a call `step(X, y)` takes some
    microseconds more. It runs on a copy of the memory: neither the parameters nor the optimizer's
    state change, and no random number is drawn. Each time is the least of many measurements, which
    take 2 seconds together, or longer if a step takes long.

    A module is called by its place in the model. A neuron counts to its layer, and a head of
    attention, which is computed together with the other heads, to the attention. What is in no
    module is called by its function, as a loss. "rest" is the time of the whole step that the
    parts do not explain.

    TypeError for what `compile` did not return; ValueError if there are no examples, or for
    another engine than "native".

    >>> import random
    >>> from micrograd_plus import compile, losses, nn, optim
    >>> model = nn.MLP(2, [16, 1], generator=random.Random(0))
    >>> step = compile(lambda x, y: losses.hinge(model(x), y), optim.SGD(model.parameters()))
    >>> measured = profile(step, [[0.0, 1.0], [1.0, 0.0]], [1, -1])
    >>> [part.module for part in measured.modules]
    ['MLP.layers.0 (Layer)', 'MLP.layers.1 (Layer)', 'hinge']
    >>> list(measured.others)
    ['examples', 'gradients to 0', 'SGD update']
    """
    if not isinstance(compiled, Compiled):
        raise TypeError(
            f"profile takes what compile returned, as profile(step, X, y), not {in_short(compiled)}"
        )
    if compiled.engine != "native":
        raise ValueError(
            f"profile measures the library's own engine, and {in_short(compiled)} runs in "
            f"{compiled.engine}: compile the function without engine="
        )
    examples = compiled.examples(batches) if batches else compiled.examples_of_the_last_call()
    if examples is None:
        raise ValueError(
            f"{in_short(compiled)} was not called yet: call it first, or pass the arguments of a "
            "call, as profile(step, X, y)"
        )
    stopwatch = _Stopwatch(compiled, examples)
    step, others, seconds = stopwatch.measure()
    name = name_of(compiled.function).replace("<lambda>", "loss")  # only a loss can be one
    names = _Names(stopwatch.parameters, name)
    parts = [
        Part(names.of(i), " ".join(i.summary.split()), *both)
        for (_, i), both in zip(stopwatch.instructions, seconds)
    ]
    return Profile(name, examples.count, step, parts, others)


# ---- the names of modules


class _Names:
    """The module of each instruction, by its place in the model.

    parameters: in the order of their slots.
    function: the name of what is in no scope. A scope without a module, as of a loss, has its own.
    """

    def __init__(self, parameters: Sequence[Value], function: str) -> None:
        self.parameters, self.function = parameters, function

    def of(self, instruction: Instruction) -> str:
        """The name of the innermost module that an instruction belongs to."""
        scopes = scopes_of(instruction.scope)
        owners = [each.owner for each in scopes if hasattr(each.owner, "named_children")]
        functions = [each.name for each in scopes if not hasattr(each.owner, "named_children")]
        if owners and instruction.kind in (DOT, MATMUL):
            owners += self._inside(owners[-1], instruction.operands[:2])
        owners = [owner for owner in owners if getattr(owner, "in_tree", True)]
        return _path(owners) if owners else next(iter(functions), self.function)

    def _inside(self, module: Any, operands: Sequence[Pattern]) -> list[Any]:
        """Those modules in this one that have the weights of a product.

        A sum of the outer module may contain the product: then it is computed with the sum.
        """
        slots = [~pattern.place(0, 0) for pattern in operands if not pattern.per_example]
        weights = [self.parameters[slot] for slot in slots if 0 <= slot < len(self.parameters)]
        return next((found for weight in weights if (found := _way_to(weight, module))), [])


def _way_to(parameter: Value, module: Any) -> list[Any]:
    """The modules inside a module on the way to a parameter; none if there are none."""
    for _, child in module.named_children():
        members = [member for _, member in child.named_members()]
        if any(value is parameter for member in members for value in flatten(member)):
            return [child]
        if further := _way_to(parameter, child):
            return [child, *further]
    return []


def _path(owners: Sequence[Any]) -> str:
    """The place of the last of these modules, each of which was called by the one before."""
    owner, *inner = owners
    path = type(owner).__name__
    for child in inner:
        name = next((name for name, c in owner.named_children() if c is child), "")
        if name:  # else it is no part of the other one
            owner, path = child, f"{path}.{name}"
    return path if owner is owners[0] else f"{path} ({type(owner).__name__})"


# ---- measuring


def _copied(program: Program) -> Program:
    """The program with instructions of its own: a machine writes to those that it loads."""

    def copies(instructions: Sequence[Instruction]) -> list[Instruction]:
        return [replace(i, operands=[replace(p) for p in i.operands]) for i in instructions]

    return replace(program, shared=copies(program.shared), per_example=copies(program.per_example))


_Job = tuple[Sequence[int], bool, bool]
"""The programs that run, whether backward too, and whether the optimizer moves the parameters."""


class _Stopwatch:
    """Runs all instructions of a step, none, or a single one, on copies of the step's memory.

    instructions: each with the kind of examples that it belongs to.
    parameters: in the order of their slots.
    """

    def __init__(self, compiled: Compiled, examples: Examples) -> None:
        whole = [_copied(entry.program) for entry in compiled.prepare(examples)]
        none = [replace(program, shared=[], per_example=[]) for program in whole]
        self.instructions = [
            (kind, instruction)
            for kind, program in enumerate(whole)
            for instruction in (*program.shared, *program.per_example)
        ]
        single = [
            replace(none[kind], per_example=[i])
            if i.per_example
            else replace(none[kind], shared=[i])
            for kind, i in self.instructions
        ]
        programs = [*whole, *none, *single]
        self.whole, self.none = range(len(whole)), range(len(whole), 2 * len(whole))
        self.seeds = [0] * sum(len(program.generators) for program in programs)
        self.optimizer = getattr(compiled, "optimizer", None)
        self.learns = not isinstance(compiled, Predict)
        sizes = None if self.learns else [len(program.outputs) for program in whole]
        order = range(examples.count)
        self.batches = in_batches(examples, [order], examples.count, self.whole, sizes)
        self.parameters, self.machines = compiled.copies()
        for machine in self.machines:
            machine.load(programs)

    def measure(self) -> tuple[float, dict[str, float], list[tuple[float, float]]]:
        """The seconds of a step, of what belongs to no instruction, and of each instruction.

        Those of an instruction are two: forward and backward.
        """
        jobs: dict[Any, _Job] = {
            "step": (self.whole, self.learns, True),
            "examples": (self.none, False, False),
            "gradients": (self.none, self.learns, False),
            "update": (self.none, self.learns, True),
        }
        for place, (kind, _) in enumerate(self.instructions):
            single = [*self.none]
            single[kind] = 2 * len(single) + place
            jobs |= {(place, way): (single, way, False) for way in {False, self.learns}}
        least = self._least_seconds(jobs)
        others = {"examples": least["examples"]}
        if self.learns:
            others["gradients to 0"] = least["gradients"] - least["examples"]
        if self.optimizer:
            others[f"{type(self.optimizer).__name__} update"] = least["update"] - least["gradients"]
        both = []
        for place in range(len(self.instructions)):
            forward = max(0.0, least[place, False] - least["examples"])
            together = least[place, self.learns] - least["gradients"]
            both.append((forward, max(0.0, together - forward) if self.learns else 0.0))
        return least["step"], {name: max(0.0, others[name]) for name in others}, both

    def _least_seconds(self, jobs: Mapping[Any, _Job]) -> dict[Any, float]:
        """The least time of a step of each job, of many measurements in turn."""
        least = dict.fromkeys(jobs, inf)
        # After whole steps, single instructions of both machines find their operands.
        once = [self._seconds(self.whole, self.learns, moves, 1) for moves in (False, True) * 2]
        steps = int(min(_MOST_STEPS, max(1, _AT_ONCE / max(min(once), 1e-9))))
        started = time.perf_counter()
        for turn in range(_MOST_TURNS):
            if turn >= _FEWEST_TURNS and time.perf_counter() - started > _SECONDS:
                break
            for key, job in jobs.items():
                least[key] = min(least[key], self._seconds(*job, steps))
        return least

    def _seconds(self, programs: Sequence[int], learns: bool, moves: bool, steps: int) -> float:
        """The time of each of so many steps; the learning rate is 0, so that all are the same."""
        groups = [replace(group, program=programs[group.program]) for group in self.batches.groups]
        batches = replace(
            self.batches,
            groups=groups * steps,
            steps=range(0, len(groups) * steps + 1, len(groups)),
        )
        machine = self.machines[moves]
        taken = machine.take(batches)
        task = Task(learns, self.seeds, rates=[0.0] * steps if moves and self.optimizer else ())
        started = time.perf_counter()
        machine.run(taken, 0, steps, task)
        return (time.perf_counter() - started) / steps


_SECONDS = 2.0  # for all measurements
_FEWEST_TURNS, _MOST_TURNS = 3, 100
_AT_ONCE, _MOST_STEPS = 0.5e-3, 200  # the seconds of one measurement, and its steps
