"""The exercises of notebook 08, record once, replay."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from ...engine import Value
from ...functional import where
from .exercise import Behaviour, Choice, Exercise, Number

Program = list[tuple[Any, ...]]
"""Lines such as ("input", 0), ("number", 0.5), ("add", 0, 1), ("mul", 0, 1) and ("tanh", 2)."""


# ---- when compiling pays off


def break_even(first: float, eager: float, compiled: float) -> int:
    """The smallest number of steps for which compiling does not take longer."""
    return math.ceil(first / (eager - compiled))


def _times(generator: random.Random) -> tuple[Any, ...]:
    if generator.random() < 0.3:  # both trainings take exactly the same time
        return 0.375 * generator.randint(8, 20), 0.5, 0.125
    eager = round(generator.uniform(0.04, 0.2), 3)
    return round(eager * generator.uniform(20, 60), 2), eager, round(eager / 4, 3)


# ---- the lines of a recording


def _lines() -> int:
    from ...compiler.recording import record

    return len(record(lambda x: x * x + x, [()], known=[]).order)


# ---- a replay

Compute = Mapping[str, Callable[..., float]]

_COMPUTE: Compute = {"add": lambda a, b: a + b, "mul": lambda a, b: a * b, "tanh": math.tanh}


def _numbers(
    program: Program,
    x: Sequence[float],
    compute: Compute = _COMPUTE,
    enter: Callable[[Sequence[float], int], float] = lambda x, k: x[k],
) -> list[float]:
    """The number of each line."""
    numbers: list[float] = []
    for kind, *operands in program:
        if kind == "input":
            numbers.append(enter(x, operands[0]))
        elif kind == "number":
            numbers.append(operands[0])
        else:
            numbers.append(compute[kind](*(numbers[i] for i in operands)))
    return numbers


def replay(program: Program, x: Sequence[float]) -> float:
    """The number of the last line."""
    return _numbers(program, x)[-1]


def _program(generator: random.Random) -> tuple[Any, ...]:
    """A program in which each op uses the line before it, and the numbers of one example."""
    numbers = [round(generator.uniform(0.3, 1.5) * generator.choice((-1, 1)), 1) for _ in range(4)]
    program: Program = [("input", 0), ("number", numbers[0]), ("input", 1), ("number", numbers[1])]
    kinds = ["add", "mul", "mul", "add"]
    generator.shuffle(kinds)
    for kind in [*kinds[:2], "tanh", *kinds[2:]]:
        last = len(program) - 1
        operands = [last, generator.randrange(last)]
        generator.shuffle(operands)
        program.append((kind, last) if kind == "tanh" else (kind, *operands))
    return program, numbers[2:]


# ---- levels and instructions

_LEAVES = ("input", "number")


def _levels(program: Program, of: Callable[[list[int]], int] = max) -> list[int]:
    """The level of each line; a wrong answer takes that of another operand."""
    found: list[int] = []
    for kind, *operands in program:
        found.append(0 if kind in _LEAVES else 1 + of([found[i] for i in operands]))
    return found


def instructions(program: Program, of: Callable[[list[int]], int] = max) -> int:
    """How many pairs of a kind and a level there are among the ops."""
    pairs = zip(program, _levels(program, of))
    return len({(row[0], level) for row, level in pairs if row[0] not in _LEAVES})


def _wide_program(generator: random.Random) -> tuple[Any, ...]:
    """A program with several ops on a level."""
    program: Program = [("input", 0), ("input", 1)]
    first, last = 0, len(program)
    for kinds in (("mul", "mul"), ("tanh", "add"), ("tanh", "tanh"), ("add",)):
        for kind in generator.sample(kinds, k=len(kinds)):
            operands = [generator.randrange(first, last), generator.randrange(last)]
            generator.shuffle(operands)
            program.append((kind, *(operands[:1] if kind == "tanh" else operands)))
        first, last = last, len(program)
    return (program,)


# ---- a choice that can be recorded


def _recorded(function: Callable[[Value], Any], error: float) -> Any:
    """The result; or a text if the compiler cannot record the function."""
    from ...compiler.recording import record

    result = function(Value(error))
    if isinstance(result, (int, float)):
        return "a plain number: the result must be a Value, so that it has a graph"
    if isinstance(result, Value):
        try:
            record(function, [()], known=[])
        except TypeError:
            return "the compiler cannot record this function"
    return result


def cost(error: Value) -> Any:
    """The square of an error, three times if the error is not above 0."""
    return where(error > 0, error**2, 3 * error**2)


def _cost_with_if(error: Value) -> Value:
    return error**2 if error > 0 else 3 * error**2


# ---- gradients over the list

Derivatives = Mapping[str, Callable[..., Sequence[float]]]

_DERIVATIVES: Derivatives = {
    "add": lambda y, a, b: (1.0, 1.0),
    "mul": lambda y, a, b: (b, a),
    "tanh": lambda y, a: (1 - y**2,),
}


def gradients(
    program: Program,
    x: Sequence[float],
    derivatives: Derivatives = _DERIVATIVES,
    join: Callable[[float, float], float] = lambda before, new: before + new,
    order: Callable[[range], Any] = reversed,
    start: float = 1.0,
    upstream: Callable[[float], float] = lambda gradient: gradient,
) -> list[float]:
    """The derivative of the last line with respect to each line; wrong answers change a part."""
    numbers = _numbers(program, x)
    grads = [0.0] * len(program)
    grads[-1] = start
    for line in order(range(len(program))):
        kind, *operands = program[line]
        if kind in derivatives:
            slopes = derivatives[kind](numbers[line], *(numbers[i] for i in operands))
            for i, slope in zip(operands, slopes):
                grads[i] = join(grads[i], upstream(grads[line]) * slope)
    return grads


EXERCISES = (
    Exercise(
        "08.1",
        "When compiling pays off",
        1,
        Behaviour(
            break_even,
            _times,
            (
                (
                    lambda first, eager, compiled: math.ceil(first / eager),
                    "A compiled step takes time too. How many seconds does each step save?",
                ),
                (
                    lambda first, eager, compiled: math.ceil(first / compiled),
                    "You compare with the compiled step alone. How much longer does an eager step "
                    "take than a compiled one?",
                ),
                (
                    lambda first, eager, compiled: int(first / (eager - compiled)),
                    "With this number of steps the saved time is still a little too short: in "
                    "which direction must you round?",
                ),
                (
                    lambda first, eager, compiled: round(first / (eager - compiled)),
                    "Rounding to the nearest number is often one step too few: in which direction "
                    "must you round?",
                ),
                (
                    lambda first, eager, compiled: int(first / (eager - compiled)) + 1,
                    "If both trainings take exactly the same time, the compiled one does not take "
                    "longer: your number is then one too large.",
                ),
                (
                    lambda first, eager, compiled: math.ceil(first / (eager + compiled)),
                    "How many seconds does each step save? This is a difference, not a sum.",
                ),
                (
                    lambda first, eager, compiled: first / (eager - compiled),
                    "The quotient is right. But a training has a whole number of steps.",
                ),
            ),
        ),
    ),
    Exercise(
        "08.2",
        "The lines of a recording",
        1,
        Number(
            _lines,
            (
                (5, "x is one leaf and has one line, however often it is used."),
                (4, "Count leaves and operations separately: how many different leaves are there?"),
                (
                    2,
                    "These are the operations. What else has a line in the list of the neuron?",
                ),
            ),
        ),
    ),
    Exercise(
        "08.3",
        "Your own replay",
        2,
        Behaviour(
            replay,
            _program,
            (
                (
                    lambda program, x: _numbers(program, x, enter=lambda x, k: float(k))[-1],
                    'In ("input", k) the k is a place. Which number of the example is there?',
                ),
                (
                    lambda program, x: float(_COMPUTE[program[-1][0]](*program[-1][1:])),
                    'In ("mul", 0, 1) the 0 and the 1 are lines. Multiply the numbers that these '
                    "lines gave, not 0 and 1.",
                ),
                (
                    lambda program, x: _numbers(program, x, {**_COMPUTE, "tanh": float})[-1],
                    'Look at the lines with "tanh": your result is that of a program without them.',
                ),
                (
                    lambda program, x: _numbers(
                        program, x, {**_COMPUTE, "add": _COMPUTE["mul"], "mul": _COMPUTE["add"]}
                    )[-1],
                    'Look at "add" and "mul": they are exchanged.',
                ),
                (
                    lambda program, x: _numbers(program[4:], x)[-1],
                    "Each line puts one number into your list, a line with an input or a number "
                    "too. Otherwise line 5 is not at place 5.",
                ),
                (
                    _numbers,
                    "You return the numbers of all lines. Which of them is the result?",
                ),
                (
                    lambda program, x: _numbers(program, x)[0],
                    "This is the number of the first line. The result is at the other end. Is "
                    "the return inside the loop?",
                ),
            ),
        ),
    ),
    Exercise(
        "08.4",
        "How many instructions",
        2,
        Behaviour(
            instructions,
            _wide_program,
            (
                (
                    lambda program: sum(row[0] not in _LEAVES for row in program),
                    "You count every line. Lines of one kind and one level share an instruction.",
                ),
                (
                    lambda program: max(_levels(program)),
                    "You count levels. A sum and a product on one level need two instructions.",
                ),
                (
                    lambda program: len({row[0] for row in program if row[0] not in _LEAVES}),
                    "You count kinds. A product that needs another product must wait for it.",
                ),
                (
                    lambda program: len({(row[0], k) for row, k in zip(program, _levels(program))}),
                    "Your count has inputs and numbers in it. They are there before the program "
                    "begins.",
                ),
                (
                    lambda program: instructions(program, of=lambda levels: levels[0]),
                    "You look at the first operand only. A line waits for all of its operands.",
                ),
                (
                    lambda program: instructions(program, of=lambda levels: levels[-1]),
                    "You look at the last operand only. A line waits for all of its operands.",
                ),
                (
                    lambda program: len(
                        [*groupby(row[0] for row in program if row[0] not in _LEAVES)]
                    ),
                    "Lines of one kind and one level share an instruction even if they do not "
                    "are next to each other, and neighbours may have different levels.",
                ),
                (
                    lambda program: instructions(program, of=min),
                    "You take the lowest level of the operands. Which of them is ready last?",
                ),
            ),
        ),
    ),
    Exercise(
        "08.5",
        "A choice that can be recorded",
        2,
        Behaviour(
            cost,
            lambda generator: (round(generator.uniform(0.2, 3) * generator.choice((-1, 1)), 2),),
            (
                (
                    _cost_with_if,
                    "An `if` reads the number of the error. Compute both costs, and let mp.where "
                    "choose one.",
                ),
                (
                    lambda error: where(error > 0, 3 * error**2, error**2),
                    "The two cases are exchanged: mp.where takes the condition, then the result if "
                    "it holds, then the other one.",
                ),
                (
                    lambda error: where(error > 0, error**2, (3 * error) ** 2),
                    "For errors below 0 the cost is 9 times the square: what is squared first?",
                ),
                (
                    lambda error: where(error > 0, error**2, 3 * error**2).data,
                    "The number is right, but only a Value has a graph. Which part of your "
                    "function leaves the graph?",
                ),
                (
                    lambda error: where(error > 0, error**2, 3 * error),
                    "For errors below 0 your cost is not a square. A cost is never below 0.",
                ),
                (
                    lambda error: where(error > 0, error, 3 * error),
                    "The cost grows with the square of the error; yours grows with the error.",
                ),
            ),
            run=_recorded,
        ),
    ),
    Exercise(
        "08.6",
        "Your own backward pass over the list",
        3,
        Behaviour(
            gradients,
            _program,
            (
                (
                    lambda program, x: gradients(program, x, join=lambda before, new: new),
                    "A line that is used twice gets two contributions. Yours keeps only the last "
                    "one: do you write = where += is needed?",
                ),
                (
                    lambda program, x: gradients(
                        program, x, {**_DERIVATIVES, "mul": lambda y, a, b: (a, b)}
                    ),
                    "For a product a * b: if a grows by 1, the product grows by how much?",
                ),
                (
                    lambda program, x: gradients(
                        program, x, {**_DERIVATIVES, "tanh": lambda y, a: (1.0,)}
                    ),
                    'At a "tanh" line the gradient passes unchanged. What is the slope of tanh?',
                ),
                (
                    lambda program, x: gradients(
                        program, x, {**_DERIVATIVES, "tanh": lambda y, a: (1 - a**2,)}
                    ),
                    "The slope of tanh is 1 minus the square of its result, not of its operand.",
                ),
                (
                    lambda program, x: gradients(
                        program, x, {**_DERIVATIVES, "tanh": lambda y, a: (1 - y,)}
                    ),
                    "The slope of tanh is 1 minus the square of its result. Is the square there?",
                ),
                (
                    lambda program, x: gradients(program, x, start=0.0),
                    "All gradients are 0. Which gradient does the last line begin with?",
                ),
                (
                    lambda program, x: gradients(program, x, upstream=lambda gradient: 1.0),
                    "These are local slopes. A line passes on its own gradient times the slope.",
                ),
                (
                    lambda program, x: gradients(program, x)[::-1],
                    "The gradients are right, but in the order from the last line to the first.",
                ),
                (
                    lambda program, x: [
                        gradient
                        for row, gradient in zip(program, gradients(program, x))
                        if row[0] == "input"
                    ],
                    "These are the gradients of the inputs. Return one for each line.",
                ),
                (
                    lambda program, x: gradients(program, x, order=iter),
                    "You go from the first line to the last. When a line hands its gradient on, "
                    "its own gradient must be complete.",
                ),
            ),
        ),
    ),
    Exercise(
        "08.q1",
        "One recording for a batch",
        1,
        Choice(
            "b",
            {
                "a": "The points differ: their coordinates are the inputs of the list.",
                "b": "The list holds operations, not numbers, so it fits every point.",
                "c": "There is one list. Each point is put into it.",
                "d": "Recording happens before training, and needs no point at all.",
            },
        ),
    ),
    Exercise(
        "08.q2",
        "A loop that is recorded",
        1,
        Choice(
            "c",
            {
                "a": "The loop does not read the number of a Value, so it is allowed.",
                "b": "Only operations on Values become lines. A loop is not one.",
                "c": "Python runs the loop as always, and each operation in it adds a line.",
                "d": "A replay does not run your Python code, only the list.",
            },
        ),
    ),
    Exercise(
        "08.q3",
        "Nodes of one level",
        1,
        Choice(
            "a",
            {
                "a": "A node that needs another one has a higher level than that one.",
                "b": "One level can have products and sums. Only those with the same operation "
                "become one instruction.",
                "c": "The level counts steps of the computation and says nothing about numbers.",
                "d": "The level comes from the operands' levels; the operands can differ.",
            },
        ),
    ),
    Exercise(
        "08.q4",
        "The danger of an if",
        1,
        Choice(
            "b",
            {
                "a": "It would be as fast as any other program. Being fast does not make it right.",
                "b": "The decision of one point would be frozen, and nobody would notice.",
                "c": "This is what mp.where does, and it is right.",
                "d": "The gradient would be that of the wrong branch, not twice the right one.",
            },
        ),
    ),
)
