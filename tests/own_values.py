"""Classes `Value` as students write them: a right one, and typical wrong ones.

Each wrong one is the right one's source with replacements.
"""

from __future__ import annotations

import math
from typing import Any

RIGHT = """
class Value:
    def __init__(self, data, operands=()):
        self.data = data
        self.grad = 0.0
        self.operands = operands
        self.pass_on = lambda: None

    def __add__(self, other):
        out = Value(self.data + other.data, (self, other))
        def pass_on():
            self.grad += out.grad
            other.grad += out.grad
        out.pass_on = pass_on
        return out

    def __mul__(self, other):
        out = Value(self.data * other.data, (self, other))
        def pass_on():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out.pass_on = pass_on
        return out

    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,))
        def pass_on():
            self.grad += (1 - t**2) * out.grad
        out.pass_on = pass_on
        return out

    def backward(self):
        order, visited = [], set()
        def visit(node):
            if node not in visited:
                visited.add(node)
                for operand in node.operands:
                    visit(operand)
                order.append(node)
        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            node.pass_on()
"""

PLAIN = "other = other if isinstance(other, Value) else Value(other)"
WITH_NUMBERS = [
    ("def __add__(self, other):", f"def __add__(self, other):\n        {PLAIN}"),
    ("def __mul__(self, other):", f"def __mul__(self, other):\n        {PLAIN}"),
]
REFLECTED = [("def tanh", "__radd__ = __add__\n    __rmul__ = __mul__\n    def tanh")]
MINUS = (
    "def tanh",
    "def __sub__(self, other):\n        return self + other * Value(-1.0)\n    def tanh",
)
POWER = """def __pow__(self, n):
        out = Value(self.data**n, (self,))
        def pass_on():
            self.grad += n * self.data**(n - 1) * out.grad
        out.pass_on = pass_on
        return out
    def tanh"""

VISIT = """                visited.add(node)
                for operand in node.operands:
                    visit(operand)
                order.append(node)
"""
TOO_EARLY = """                visited.add(node)
                order.append(node)
                for operand in node.operands:
                    visit(operand)
"""
RECURSION = """
def go(node):
    node.pass_on()
    for operand in node.operands:
        go(operand)

class Value"""
LOOP = """        for node in reversed(order):
            node.pass_on()
"""
ADD = """            self.grad += out.grad
            other.grad += out.grad
"""


def written(*replacements: tuple[str, str]) -> Any:
    """The class, with these replacements in its source."""
    source = RIGHT
    for right, wrong in replacements:
        if right not in source:
            raise ValueError(f"not in the source: {right}")
        source = source.replace(right, wrong)
    names: dict[str, Any] = {"math": math}
    exec(source, names)
    return names["Value"]


WRONG = {
    "= for +=": ([(".grad += ", ".grad = ")], "assigned"),
    "the sign of tanh": ([("+= (1 - t**2)", "-= (1 - t**2)")], "sign"),
    "upstream forgotten in +": ([("+= out.grad", "+= 1.0")], "upstream"),
    "upstream forgotten in *": (
        [("other.data * out.grad", "other.data"), ("self.data * out.grad", "self.data")],
        "upstream",
    ),
    "local derivative forgotten": ([("(1 - t**2) * out.grad", "out.grad")], "local"),
    "tanh of the input": ([("t**2", "self.data**2")], "input"),
    "tanh without the square": ([("t**2", "t")], "square"),
    "another derivative of tanh": ([("1 - t**2", "1 + t**2")], "rule"),
    "the other operand": (
        [
            ("self.grad += other.data", "self.grad += self.data"),
            ("other.grad += self.data", "other.grad += other.data"),
        ],
        "other",
    ),
    "data in place of grad": ([("other.data * out.grad", "other.data * out.data")], "result"),
    "an op that knows no operands": (
        [("            self.grad += (1 - t**2) * out.grad\n", "            pass\n")],
        "nothing",
    ),
    "no gradient at the root": ([("        self.grad = 1.0\n", "")], "root"),
    "the order not reversed": ([("reversed(order)", "order")], "stops"),
    "one step only": ([(LOOP, "        self.pass_on()\n")], "stops"),
    "an operand forgotten": ([("            other.grad += out.grad\n", "")], "nothing"),
    "recursion, all operands first": (
        [
            (LOOP, "        go(self)\n"),
            ("class Value", RECURSION),
        ],
        "recursion",
    ),
    "each value once, but too early": (
        [
            (VISIT, TOO_EARLY),
            ("reversed(order)", "order"),
        ],
        "order",
    ),
    "a use forgotten": (
        [
            (
                ADD,
                ADD.replace(
                    "other.grad += out.grad", "other.grad += out.grad * (other is not self)"
                ),
            )
        ],
        "assigned",
    ),
    "the list is kept": (
        [
            ("        order, visited = [], set()\n", ""),
            ("backward(self):", "backward(self, order=[], visited=set()):"),
        ],
        "again",
    ),
    "a wrong sum": ([("self.data + other.data", "self.data - other.data")], "data"),
    "a number instead of a Value": (
        [("return out\n\n    def __mul__", "return out.data\n\n    def __mul__")],
        "no value",
    ),
    "a Value instead of a number": ([("self.data = data", "self.data = [data]")], None),
    "no tanh": ([("def tanh", "def than")], None),
    "an error": ([("t = math.tanh(self.data)", "t = math.tanh(self.date)")], None),
}
"""For each mistake the replacements, and the kind of its hint; None for an error."""
