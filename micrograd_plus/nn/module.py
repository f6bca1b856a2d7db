"""`Module`: what every network and every part of one can do.

A module is an object whose attributes hold its parameters: Values, other modules, and lists or
dictionaries of them. `Module` finds them there, so a class of your own only needs an `__init__`
that makes them and a `forward` that uses them:

>>> from micrograd_plus.engine import Value
>>> class Line(Module):
...     def __init__(self):
...         self.slope, self.intercept = Value(2.0), Value(-1.0)
...     def forward(self, x):
...         return self.slope * x + self.intercept
>>> line = Line()
>>> print(line(3.0).data, line.state_dict())
5.0 {'slope': 2.0, 'intercept': -1.0}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from ..context import current_scope, recorder, scope
from ..engine import Constant, Value, as_value
from ..numbers import as_number
from ..support.nested import flatten, is_nested, plain, shape
from ..support.rich import mimebundle


class Buffer(Value):
    """A number that a module keeps beside its parameters, such as a running mean; not learned.

    It is part of `state_dict()`, and not of `parameters()`.
    """

    __slots__ = ()


class Module:
    """The base class of networks and their parts."""

    training = True
    in_tree = True  # whether repr lists it below its parent

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; a subclass defines it, and calls go through `__call__`."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """`forward`, in a scope of its own: pictures show its values as one group."""
        with scope(self):
            return self.forward(*inputs, **options)

    # ---- parameters

    def named_members(self) -> Iterator[tuple[str, Any]]:
        """What holds parameters or buffers, by name: modules, Values, nested lists of Values."""
        return _members(vars(self))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one, by name."""
        for name, member in self.named_members():
            if isinstance(member, Module):
                yield name, member

    def modules(self) -> Iterator[Module]:
        """This module and every module inside it."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Every parameter with its name, as `layers.0.neurons.3.w[1]`.

        A parameter with two names, as in tied layers, comes once, under its first name.
        """
        seen: set[Value] = set()
        for name, parameter in self._named_places(""):
            if parameter not in seen and not isinstance(parameter, Buffer):
                seen.add(parameter)
                yield name, parameter

    def _named_places(self, prefix: str) -> Iterator[tuple[str, Value]]:
        """Every name of a parameter or buffer, in the order of `state_dict`."""
        for name, member in self.named_members():
            if isinstance(member, Module):
                yield from member._named_places(f"{prefix}{name}.")
            else:
                yield from _named_values(member, prefix + name)

    def parameters(self) -> list[Value]:
        """Every parameter, once."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Sets every parameter's `grad` to 0, as before each `backward()` of a training loop."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self, mode: bool = True) -> Self:
        """Sets training mode: Dropout drops, BatchNorm1d uses the statistics of the batch."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Sets evaluation mode: Dropout drops nothing, BatchNorm1d uses its running statistics."""
        return self.train(False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode inside a `with`; at its end each module returns to its mode before."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode

    # ---- state

    def save(self, path: str | Path) -> None:
        """Writes the module to a JSON file, as `save(module, path)`."""
        from .saving import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The module in the file that `save` wrote; TypeError if it is of another class."""
        from .saving import load

        model = load(path)
        if not isinstance(model, cls):
            raise TypeError(
                f"{path} holds a {type(model).__name__}, not a {cls.__name__}: write "
                f"{type(model).__name__}.load(path), or load(path) for a model of any class"
            )
        return model

    def state_dict(self) -> dict[str, Any]:
        """The parameters' and buffers' numbers by name, in nested lists; names as in PyTorch."""
        state: dict[str, Any] = {}
        for name, member in self.named_members():
            if isinstance(member, Module):
                state |= {f"{name}.{inner}": n for inner, n in member.state_dict().items()}
            else:
                state[name] = _numbers(member)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the numbers of `state`, which must have this module's names and shapes.

        NumPy arrays and PyTorch tensors count as nested lists. ValueError, with the module
        unchanged, if names or shapes differ.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                "load_state_dict takes a dictionary, as state_dict() gives it, not a "
                f"{type(state).__name__}; a saved file is read by load(path, model)"
            )
        expected = self.state_dict()
        problems = [f"{name} is missing" for name in expected.keys() - state.keys()]
        problems += [f"{name} is unknown" for name in state.keys() - expected.keys()]
        for name in expected.keys() & state.keys():
            if problem := misfit(state[name], expected[name]):
                problems.append(f"{name} {problem}")
        if problems:
            raise ValueError(
                f"the state does not fit this {type(self).__name__}: {', '.join(sorted(problems))}"
            )
        numbers = [as_number(n) for name in expected for n in flatten(state[name])]
        for (_, parameter), number in zip(self._named_places(""), numbers):
            parameter.data = number

    # ---- words

    def config(self) -> dict[str, Any]:
        """The constructor's arguments that make a module of this shape; `save` keeps them."""
        return {}

    def extra_repr(self) -> str:
        """The text between the brackets in `repr`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.config().items())

    def __repr__(self) -> str:
        rows = [
            ("  " * depth + f"{name}: " * bool(name) + text, count)
            for depth, name, text, count in self.tree()
        ]
        width = max(len(text) for text, _ in rows)
        digits = max(len(count) for _, count in rows)
        unit = " parameter" + "s" * (rows[0][1] != "1")
        lines = [f"{text:{width}}  {count:>{digits}}" for text, count in rows]
        if rows[0][1]:
            lines[0] += unit
        return "\n".join(line.rstrip() for line in lines)

    _repr_mimebundle_ = mimebundle

    def tree(self, name: str = "", depth: int = 0) -> Iterator[tuple[int, str, str, str]]:
        """Depth, name, kind and number of parameters of this module and of those inside it."""
        count = len(self.parameters())
        yield depth, name, f"{type(self).__name__}({self.extra_repr()})", f"{count:,}" * bool(count)
        for child_name, child in self.named_children():
            if child.in_tree:
                yield from child.tree(child_name, depth + 1)


def _members(named: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, member in named.items():
        if isinstance(member, Module) or _holds_parameters(member):
            yield f"{prefix}{name}", member
        elif isinstance(member, dict):
            yield from _members(member, f"{prefix}{name}.")
        elif isinstance(member, (list, tuple)):
            yield from _members(dict(enumerate(member)), f"{prefix}{name}.")


def _holds_parameters(member: Any) -> bool:
    """Whether this is a Value that nothing computed, or a nested list of such."""
    if isinstance(member, (list, tuple)):
        return bool(member) and all(_holds_parameters(item) for item in member)
    return isinstance(member, Value) and member.op is None and not isinstance(member, Constant)


def _named_values(member: Any, name: str) -> Iterator[tuple[str, Value]]:
    if isinstance(member, Value):
        yield name, member
    else:
        for i, item in enumerate(member):
            yield from _named_values(item, f"{name}[{i}]")


def misfit(given: Any, wanted: Any) -> str:
    """What is wrong with the shape of `given`, or nothing."""
    try:
        found = shape(given)
    except ValueError as ragged:
        return str(ragged)
    return "" if found == shape(wanted) else f"has shape {found}, not {shape(wanted)}"


def _numbers(member: Any) -> Any:
    return float(member.data) if isinstance(member, Value) else [_numbers(m) for m in member]


# ---- what modules do with their inputs


class Rowwise(Module):
    """Applies `row`, which a subclass defines, to every example."""

    def row(self, x: Any) -> Any:
        """The output for one example."""
        raise NotImplementedError

    def forward(self, x: Any) -> Any:
        """The output for one example; for a batch, a list of outputs."""
        x = plain(x)
        return [self.forward(item) for item in x] if is_nested(x) else self.row(x)


def row_of_values(x: Any, width: int, of: str = "example") -> list[Value]:
    """One example as Values; ValueError unless it has `width` numbers.

    of: the noun for the row in the error message.
    """
    if not isinstance(x, (list, tuple)):
        raise TypeError(f"{where()} takes a list of {width} numbers or Values, not {x!r}")
    if len(x) != width:
        numbers = [v.data if isinstance(v, Value) and recorder() is None else v for v in x[:4]]
        shown = "[" + ", ".join(map(str, numbers))
        raise ValueError(
            f"{where()} takes {width} numbers for each {of}, and was given {len(x)}: "
            f"{shown}{', ...' * (len(x) > 4)}]"
        )
    return [as_value(v) for v in x]


def values_of(x: Any) -> Any:
    """Nested lists of numbers and Values as nested lists of Values."""
    x = plain(x)
    return [values_of(item) for item in x] if isinstance(x, (list, tuple)) else as_value(x)


def where() -> str:
    """Which module is being called, as `MLP.layers.1 (Layer(16 → 1, linear))`."""
    owners: list[Module] = []
    opened = current_scope()
    while opened is not None:
        if isinstance(opened.owner, Module):
            owners.insert(0, opened.owner)
        opened = opened.parent
    owners = [owner for owner in owners if owner.in_tree] or owners
    if not owners:
        return "the module"
    path = type(owners[0]).__name__
    for parent, child in pairwise(owners):
        path += next((f".{name}" for name, c in parent.named_children() if c is child), "")
    last = owners[-1]
    return f"{path} ({type(last).__name__}({last.extra_repr()}))"
