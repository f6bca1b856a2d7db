"""A graph as the page needs it: plain data, and the ops' functions in JavaScript.

The page computes everything itself, so that leaves can be edited there; every formula in it, to
run and to read, is written from the op table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..classroom.faults import ALL, Fault
from ..classroom.questions import (
    BACKWARD_HINTS,
    HINTS,
    backward_mistakes,
    is_near,
    operand_mistake,
)
from ..engine import Constant, Value, topological_order
from ..formulas.names import Name, names_of
from ..formulas.symbolic import opens, substitute
from ..formulas.writers import JavaScript, MathML
from ..ops import Op
from ..optim import Optimizer
from ..optim.updates import Update, symbols_in, trace
from ..show.scale import Scale, strength
from ..symbols import Expression, Symbol
from .leaves import groups_of

_MOST_TERMS = 6  # of an op of vectors that a formula shows
_NEXT = "next_"  # before the name of what an optimizer has just remembered


class Lesson:
    """A graph in topological order, each value's name, and an optimizer's step if there is one."""

    def __init__(self, root: Value, optimizer: Optimizer | None = None) -> None:
        self.root = root
        self.optimizer = optimizer
        self.order = topological_order(root)
        self.index = {value: i for i, value in enumerate(self.order)}
        self.names = names_of(self.order)
        self.ops: dict[Op, None] = {value.op: None for value in self.order if value.op is not None}

    def data(self) -> dict[str, Any]:
        """What the page reads as JSON of this graph; see also `language`."""
        return {
            "nodes": [
                {
                    "name": self.names[value],
                    "data": as_json(value.data),
                    **self._written(value),
                    **_described(self.names[value]),
                    **({"constant": True} if isinstance(value, Constant) else {}),
                    **(self._made(value, value.op) if value.op is not None else {}),
                }
                for value in self.order
            ],
            "leafGroups": self._leaf_groups(),
            "update": self._update(),
        }

    def _written(self, value: Value) -> dict[str, str]:
        """The name in a formula; a Constant without one is written as its number."""
        is_number = isinstance(value, Constant) and not value.label
        return {} if is_number else {"math": MathML().write(Symbol(self.names[value]))}

    def _made(self, value: Value, op: Op) -> dict[str, Any]:
        return {"op": op.name, "operands": [self.index[operand] for operand in value.operands]}

    def _leaf_groups(self) -> list[dict[str, Any]]:
        trained = self.optimizer.parameters if self.optimizer else []
        return [
            {
                "title": group.title,
                "path": group.path,
                "leaves": [self.index[leaf] for leaf in group.leaves],
            }
            for group in groups_of(self.order, trained)
        ]

    def _update(self) -> dict[str, Any] | None:
        """The optimizer's formulas, and what it remembers of each parameter in the graph."""
        if self.optimizer is None:
            return None
        update = trace(self.optimizer)
        names = _remembered(update)
        settings = {name: x for name, x in self.optimizer.settings.items() if name != "lr" and x}
        return {
            "optimizer": ", ".join(
                [type(self.optimizer).__name__, *(f"{name} {x}" for name, x in settings.items())]
            ),
            "rate": as_json(self.optimizer.lr),
            "remembered": names,
            "first": _assignments(update.first),
            "later": _assignments(update.later),
            "parameters": [
                {
                    "node": self.index[parameter],
                    "state": [as_json(state[name]) for name in names] if state else None,
                }
                for parameter, state in zip(self.optimizer.parameters, self.optimizer.state)
                if parameter in self.index
            ],
        }


def language(ops: Iterable[Op]) -> dict[str, Any]:
    """What the page reads as JSON of these ops, and of all graphs: how each is written and told."""
    ops = list(ops)
    return {
        "ops": {op.name: _rules(op) for op in ops},
        "formulas": {key: formula for op in ops for key, formula in _formulas(op)},
        "faults": [_fault(fault) for fault in ALL],
        "hints": HINTS,
        "backwardHints": BACKWARD_HINTS,
        "power": Scale(0).power,
    }


def functions(ops: Iterable[Op], optimizer: Optimizer | None) -> str:
    """The functions of these ops, and of the optimizer's update, in JavaScript."""
    ops = list(ops)
    entries = [
        f"  {op.name}: {{ forward: {op.name}_forward, partials: {op.name}_partials }},\n"
        for op in ops
    ]
    sources = [op.javascript for op in ops]
    sources += [shared.javascript for shared in _SHARED]
    if optimizer is not None:
        sources += _update_functions(trace(optimizer))
    return f"{JavaScript().prelude()}{''.join(sources)}const OPS = {{\n{''.join(entries)}}};\n"


_SHARED = (is_near, backward_mistakes, operand_mistake, strength)
"""Formulas that Python and the page have in common."""


def _remembered(update: Update) -> list[str]:
    return [name for name in update.first if name != "data"]


def _update_functions(update: Update) -> Iterator[str]:
    """`firstUpdate` and `laterUpdate` give a parameter's new number, and what is remembered."""
    names = _remembered(update)
    arguments = [Symbol(name) for name in ("gradient", "data", "lr")]
    for name, formulas, more in (
        ("firstUpdate", update.first, []),
        ("laterUpdate", update.later, [Symbol(name) for name in names]),
    ):
        results = tuple(formulas[x] for x in ("data", *names))
        yield JavaScript().function(name, [*arguments, *more], results)


def _assignments(formulas: Mapping[str, Any]) -> dict[str, str]:
    """What is remembered, and at last "data": each as a formula with places for its numbers.

    A formula that needs what has just been remembered has the place "next_velocity" for it.
    """
    known: dict[Any, Symbol] = {}
    written = {}
    for name in [*(name for name in formulas if name != "data"), "data"]:
        short = _shortened(formulas[name], known)
        places = {symbol: f'data-u="{symbol}"' for symbol in symbols_in(short)}
        written[name] = _Template(places).write(short)
        known[formulas[name]] = Symbol(f"{_NEXT}{name}")
    return written


def _shortened(formula: Any, known: Mapping[Any, Symbol]) -> Any:
    """The formula with names for its known parts, and without "0 +" and "1 ·"."""
    if not isinstance(formula, Expression) or not formula.args:
        return formula
    if formula in known:
        return known[formula]
    args = [_shortened(x, known) for x in formula.args]
    for name, neutral in (("+", 0.0), ("*", 1.0)):
        if formula.name == name and neutral in args:
            args.remove(neutral)
            return args[0]
    return Expression(formula.name, *args)


def _described(name: Name) -> dict[str, str]:
    """What a name also tells, in addition to its text."""
    more = {"words": name.words if name.words != name else "", "path": name.path}
    return {key: text for key, text in more.items() if text}


def as_json(number: float) -> float | str:
    """A number as JSON can hold it: inf and nan as what JavaScript's Number() reads."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


class _Template(MathML):
    """Formulas with places to be filled in: the page puts an operand's name or number there.

    Operand k is written as <mi data-k="k">; element i of a vector as <mi data-v="v">, v being the
    vector's place among the op's operands; the op's own result as <mi data-k="out">. What an
    optimizer's step needs is written as <mi data-u="lr">.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = places

    def symbol(self, symbol: Symbol) -> str:
        return f"<mi {self.places[symbol.name]}>{symbol.name.removeprefix(_NEXT)}</mi>"


def _rules(op: Op) -> dict[str, Any]:
    """How an op's derivatives are written and explained."""
    kind = "data-v" if op.nary else "data-k"
    places = {name: f'{kind}="{k}"' for k, name in enumerate(op.operands)}
    writer = _Template({**places, "out": 'data-k="out"'})
    return {
        "symbol": op.symbol,
        "inline": op.inline,
        "signature": op.signature,
        "defaults": list(op.defaults),
        "operands": list(op.operands),
        "vectors": len(op.operands) if op.nary else 0,
        "doc": op.doc,
        "partials": [writer.write(derivative) for derivative in op.derivatives],
        "reasons": op.why,
    }


def _formulas(op: Op) -> Iterator[tuple[str, str]]:
    """The op's formula as a template, with its key.

    The key is the op's name. An op of vectors also has formulas that are written out, for short
    vectors: "dot/4" is the dot product of four operands.
    """
    if op.nary:
        yield op.name, _Template({}).write(op.expression)
        for length in range(1, _MOST_TERMS + 1):
            yield f"{op.name}/{length * len(op.operands)}", _written_out(op, length)
        return
    places = {x: f'data-k="{k}"' for k, x in enumerate(op.operands)}
    call = Expression(op.symbol, *[Symbol(x) for x in op.operands])
    yield op.name, _Template(places).write(op.expression if opens(op) else call)


def _written_out(op: Op, length: int) -> str:
    """The formula of an op of vectors of this length, with a place for each element."""
    elements = {x: [Symbol(f"{x}{i}") for i in range(length)] for x in op.operands}
    every = [element for x in op.operands for element in elements[x]]
    places = {element.name: f'data-k="{k}"' for k, element in enumerate(every)}
    if not opens(op):
        return _Template(places).write(Expression(op.symbol, *every))
    return _Template(places).write(substitute(op.expression, elements))


def _fault(fault: Fault) -> dict[str, Any]:
    """A fault as the page plays it."""
    return {
        "name": fault.name,
        "title": fault.title,
        "right": fault.right,
        "wrong": fault.wrong,
        "story": fault.story,
        "assigns": fault.assigns,
        "recurses": fault.recurses,
        "keeps": fault.keeps,
        "signs": fault.signs,
        "doubles": fault is ALL[-1],
    }
