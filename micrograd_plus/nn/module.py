"""`Module`: the base class of networks and of their parts.

A module is an object whose attributes hold its parameters: Values, other modules, and lists or
dictionaries of them. `Module` finds them there, so your own class only needs an `__init__` that
creates them and a `forward` that uses them:

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

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from ..context import current_scope, recorder, scope
from ..engine import Constant, Value, as_value
from ..numbers import as_number
from ..support.nested import flatten, is_nested, plain, shape
from ..support.rich import mimebundle

_op = attrgetter("op")


class Buffer(Value):
    """A number of a module that is not learned, such as a running mean.

    It is part of `state_dict()`, but not of `parameters()`.

    >>> class Counter(Module):
    ...     def __init__(self):
    ...         self.calls = Buffer(0.0)
    >>> Counter().state_dict(), Counter().parameters()
    ({'calls': 0.0}, [])
    """

    __slots__ = ()


class Module:
    """The base class of networks and their parts.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.intercept = Value(2.0), Value(-1.0)
    ...     def forward(self, x):
    ...         return self.slope * x + self.intercept
    >>> line = Line()
    >>> line(3.0).data, line.state_dict()
    (5.0, {'slope': 2.0, 'intercept': -1.0})
    """

    in_tree = True  # whether repr lists it below its parent

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "training" in vars(cls):
            raise TypeError(
                f"the class attribute training of {cls.__name__} hides the mode of its modules: "
                "assign self.training in __init__"
            )

    @property
    def stacked(self) -> Mapping[str, Mapping[str, str]]:
        """For a parameter that is several matrices one above the other: their letters and names."""
        return {}

    @property
    def training(self) -> bool:
        """Whether the module is in training mode; a compiled function notes that this was read."""
        if (active := recorder()) is not None:
            active.reads_mode(self)
        return vars(self).get("training", True)  # type: ignore[no-any-return]

    @training.setter
    def training(self, mode: bool) -> None:
        vars(self)["training"] = mode

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Computes the output; a subclass defines it, and users call the module itself."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Calls `forward` in a new scope: pictures show the values inside as one group."""
        with scope(self):
            try:
                return self.forward(*inputs, **options)
            except AttributeError as error:  # as "'float' object has no attribute 'data'"
                if not hasattr(error, "__notes__") and (place := _number_among_parameters(self)):
                    error.add_note(place)
                raise
            except TypeError as error:  # as "takes 2 positional arguments but 3 were given"
                if len(inputs) > 1 and all(isinstance(x, (int, float, Value)) for x in inputs):
                    error.add_note("numbers that are one example are one argument: model([1, 2])")
                raise

    # ---- parameters

    def named_members(self) -> Iterator[tuple[str, Any]]:
        """Yields all modules, Values and nested lists of Values in the module, with their names."""
        return _members(vars(self))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yields the modules directly inside this one, with their names."""
        for name, member in self.named_members():
            if isinstance(member, Module):
                yield name, member

    def modules(self) -> Iterator[Module]:
        """Yields this module and every module inside it."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Yields every parameter with its name, such as `layers.0.neurons.3.w[1]`.

        A parameter with two names, as in tied layers, is yielded once, with its first name.
        """
        seen: set[Value] = set()
        for name, parameter in self._named_places(""):
            if parameter not in seen and not isinstance(parameter, Buffer):
                seen.add(parameter)
                yield name, parameter

    def _named_places(self, prefix: str) -> Iterator[tuple[str, Value]]:
        """Yields every name of a parameter or buffer, in the order of `state_dict`."""
        for name, member in self.named_members():
            if isinstance(member, Module):
                yield from member._named_places(f"{prefix}{name}.")
            else:
                yield from _named_values(member, prefix + name)

    def parameters(self) -> list[Value]:
        """Returns every parameter once."""
        values = self._values()
        if len({*values}) < len(values):
            values = list(dict.fromkeys(values))
        if any(issubclass(kind, Buffer) for kind in {*map(type, values)}):
            values = [value for value in values if not isinstance(value, Buffer)]
        return values

    def _values(self) -> list[Value]:
        """Returns the parameters and buffers in the order of `state_dict`, some more than once."""
        rows = [
            member._values() if isinstance(member, Module) else _row_of(member)
            for _, member in self.named_members()
        ]
        return list(chain.from_iterable(rows))

    def zero_grad(self) -> None:
        """Sets every parameter's `grad` to 0; call it before each `backward()` in training."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self, mode: bool = True) -> Self:
        """Sets training mode: Dropout is active, BatchNorm1d uses the statistics of the batch."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Sets evaluation mode: Dropout is inactive, BatchNorm1d uses its running statistics."""
        return self.train(False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Sets evaluation mode inside a `with`, and restores the mode of each module at its end."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode

    # ---- state

    def save(self, path: str | Path) -> None:
        """Writes the module to a JSON file, like `save(module, path)`."""
        from .saving import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Returns the module from a file that `save` wrote; TypeError if its class is another."""
        from .saving import load

        model = load(path)
        if not isinstance(model, cls):
            raise TypeError(
                f"{path} contains a {type(model).__name__}, not a {cls.__name__}: write "
                f"{type(model).__name__}.load(path), or load(path) for a model of any class"
            )
        return model

    def state_dict(self) -> dict[str, Any]:
        """Returns the numbers of parameters and buffers in nested lists, with PyTorch's names."""
        state: dict[str, Any] = {}
        for name, member in self.named_members():
            if isinstance(member, Module):
                state |= {f"{name}.{inner}": n for inner, n in member.state_dict().items()}
            else:
                state[name] = _numbers(member)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copies the numbers of `state`, which must have the same names and shapes.

        NumPy arrays and PyTorch tensors count as nested lists. ValueError if names or shapes
        differ; then the module does not change.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                "load_state_dict takes a dictionary, as state_dict() returns it, not a "
                f"{type(state).__name__}; to read a saved file, write load(path, model)"
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

    # ---- text

    def config(self) -> dict[str, Any]:
        """Returns the constructor's arguments for an equal module; `save` stores them."""
        return {}

    def extra_repr(self) -> str:
        """Returns the text between the brackets in `repr`."""
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
    """Whether this is a leaf, or a nested list of leaves."""
    if not isinstance(member, (list, tuple)):
        return isinstance(member, Value) and member.op is None and not isinstance(member, Constant)
    kinds = {*map(type, member)}
    if not all(issubclass(kind, Value) and not issubclass(kind, Constant) for kind in kinds):
        return all(map(_holds_parameters, member))
    return {*map(_op, member)} == {None}  # False for an empty list


def _number_among_parameters(module: Module) -> str:
    """Says which parameter of the module was replaced by a number; nothing if none was."""
    for owner in module.modules():
        for name, member in vars(owner).items():
            for place, number in _numbers_beside_values(member, name):
                return (
                    f"{place} of this {type(owner).__name__} is the number {number}, not a Value: "
                    f"to give a parameter a number, write {place}.data = {number}"
                )
    return ""


def _numbers_beside_values(member: Any, place: str) -> Iterator[tuple[str, float]]:
    """The numbers in nested lists, with their places, that have a Value in the same list."""
    if isinstance(member, list):
        has_values = any(isinstance(item, Value) for item in member)
        for i, item in enumerate(member):
            if has_values and isinstance(item, (int, float)):
                yield f"{place}[{i}]", item
            yield from _numbers_beside_values(item, f"{place}[{i}]")


def _row_of(member: Any) -> Sequence[Value]:
    """The Values of nested lists, one after another."""
    if isinstance(member, Value):
        return [member]
    if all(issubclass(kind, Value) for kind in {*map(type, member)}):
        return member  # type: ignore[no-any-return]
    return list(chain.from_iterable(map(_row_of, member)))


def _named_values(member: Any, name: str) -> Iterator[tuple[str, Value]]:
    if isinstance(member, Value):
        yield name, member
    else:
        for i, item in enumerate(member):
            yield from _named_values(item, f"{name}[{i}]")


def misfit(given: Any, wanted: Any) -> str:
    """Describes why the shape of `given` is wrong; returns an empty string if it is right."""
    try:
        found = shape(given)
    except ValueError as ragged:
        return str(ragged)
    return "" if found == shape(wanted) else f"has shape {found}, not {shape(wanted)}"


def _numbers(member: Any) -> Any:
    return float(member.data) if isinstance(member, Value) else [_numbers(m) for m in member]


# ---- inputs of modules


class Rowwise(Module):
    """Applies the method `row` to every example; a subclass defines it.

    One that computes many examples by fewer calls defines `rows` as well.
    """

    def row(self, x: Any) -> Any:
        """The output for one example."""
        raise NotImplementedError

    def rows(self, x: Sequence[Any]) -> list[Any]:
        """The outputs for several examples."""
        return [self.row(item) for item in x]

    def forward(self, x: Any) -> Any:
        """The output for one example; for a batch, a list of outputs."""
        x = plain(x)
        if not is_nested(x):
            return self.row(x)
        x = [plain(item) for item in x]
        return [self.forward(item) for item in x] if any(map(is_nested, x)) else self.rows(x)


def row_of_values(x: Any, width: int, of: str = "example") -> list[Value]:
    """Returns one example as Values; ValueError if it does not have `width` numbers.

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
    return [v if isinstance(v, Value) else as_value(v) for v in x]  # most are: no call for them


def values_of(x: Any) -> Any:
    """Converts nested lists of numbers and Values to nested lists of Values."""
    x = plain(x)
    return [values_of(item) for item in x] if isinstance(x, (list, tuple)) else as_value(x)


def where() -> str:
    """Returns the path of the module being called, as `MLP.layers.1 (Layer(16 → 1, linear))`."""
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
