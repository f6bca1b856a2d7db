"""A course of one small notebook, its exercises, and answers to them: right, wrong and hostile."""

import json
import random

from micrograd_plus import Value
from micrograd_plus.classroom.exercises import unit_02
from micrograd_plus.classroom.exercises.exercise import (
    Behaviour,
    Choice,
    Exercise,
    Number,
)

NAME = "02-small.ipynb"
FACTOR = 2.0


def right_double(x):
    return FACTOR * x


def right_total(values):
    return sum(values)


def a_number(generator: random.Random):
    return (generator.uniform(1, 5),)


def some_values(generator: random.Random):
    return ([Value(generator.uniform(-2, 2)) for _ in range(3)],)


def scenario(answer, values):
    """Uses a helper of this module, and changes its arguments."""
    values[0].data += doubled(1.0)
    return [answer(values), values[0]]


def doubled(x):
    return x * FACTOR


for function in (right_double, right_total, a_number, some_values, scenario, doubled):
    function.__module__ = unit_02.__name__  # as if they stood there, and were not to be imported

EXERCISES = (
    Exercise("02.1", "The slope", 1, Number(-4.0, ((4.0, "Which sign does it have?"),))),
    Exercise(
        "02.2", "Twice", 2,
        Behaviour(right_double, a_number, ((lambda x: x, "Multiply by 2."),)),
    ),
    Exercise(
        "02.3", "The sum", 3,
        Behaviour(right_total, some_values, ((lambda v: 0.0, "Add all."),), run=scenario),
    ),
    Exercise("02.q1", "Which one?", 1, Choice("b", {"a": "No: too small.", "b": "Yes."})),
)  # fmt: skip
MOST = 7

SOLUTIONS = {
    "slope": "slope = ...\n### BEGIN SOLUTION\nslope = -4.0\n### END SOLUTION",
    "double": "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION",
    "total": (
        'def total(values):\n    """Their sum."""\n    ### BEGIN SOLUTION\n    result = 0.0\n'
        "    for value in values:\n        result = result + value\n    return result\n"
        "    ### END SOLUTION"
    ),
    "q1": 'q1 = ...\n### BEGIN SOLUTION\nq1 = "b"\n### END SOLUTION',
}
ANSWERS = {  # without the marks
    "slope": "slope = -4.0",
    "double": "def double(x):\n    return 2 * x",
    "total": "def total(values):\n    return sum(values)",
    "q1": "q1 = 'b'",
}
IDS = {"slope": "02.1", "double": "02.2", "total": "02.3", "q1": "02.q1"}


def code(source, **more):
    return {
        "cell_type": "code", "execution_count": None, "id": f"c{random.getrandbits(40):x}",
        "metadata": {}, "outputs": [], "source": source, **more,
    }  # fmt: skip


def text(source):
    return {
        "cell_type": "markdown", "id": f"m{random.getrandbits(40):x}", "metadata": {},
        "source": source,
    }  # fmt: skip


def notebook(*cells):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def check(name):
    return code(f'mp.classroom.check("{IDS[name]}", {name})')


def with_answers(**answers):
    """The notebook with these answers; the right one where none is given."""
    opening = (
        "# 02 · Small\n\n| | |\n|---|---|\n| **Time** | 20 minutes, the core 10 |\n\n"
        "![A neuron](figures/neuron.svg)"
    )
    cells = [text(opening), code("import micrograd_plus as mp")]
    for name in IDS:
        cells += [text(f"### Exercise {IDS[name]}"), code(answers.get(name, ANSWERS[name]))]
        cells += [check(name)]
    return notebook(*cells)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
