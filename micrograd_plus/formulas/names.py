"""Gives every value of a graph its own name, for texts about the graph.

>>> from micrograd_plus.engine import Value, topological_order
>>> a = Value(2.0, label="a")
>>> list(names_of(topological_order((a * a + a).tanh())).values())
['a', 'v1', 'v2', 'L']

A parameter is named by its place in the model: the weight `layers.0.neurons.3.w[0]` of an MLP is
`w₁,₄⁽¹⁾`, with the weight and the neuron as lower indices and the layer as upper index. In words it
is "layer 1, neuron 4, weight 1".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from ..context import scope
from ..engine import Constant, Value

_LOWER = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_UPPER = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


class Name(str):
    """The name of a value; as a str it is the short text, such as `w₁,₄⁽¹⁾`.

    words: the name in words, for screen readers, such as "layer 1, neuron 4, weight 1".
    path: for a parameter its name in `named_parameters()`; otherwise empty.

    The LaTeX and MathML writers set the indices of the text as indices.
    """

    __slots__ = ("path", "words")

    words: str
    path: str

    def __new__(cls, text: str, words: str = "", path: str = "") -> Name:
        """Makes the words of the text if none are given."""
        name = super().__new__(cls, text)
        name.words = words or text.translate(_PLAIN)
        name.path = path
        return name


def with_indices(base: str, lower: Sequence[int] = (), upper: Sequence[int] = ()) -> str:
    """Returns the text of a name with indices: `w₁,₄⁽¹⁾`."""
    below = ",".join(str(i).translate(_LOWER) for i in lower)
    above = ",".join(str(i).translate(_UPPER) for i in upper)
    return base + below + (f"⁽{above}⁾" if above else "")


def names_of(order: Sequence[Value]) -> dict[Value, Name]:
    """Returns a different name for each value of a topological order, in that order.

    The name is the value's label; for a parameter without label, its place in the model; for a
    Constant, its number; for the root, L; for all others, v1, v2, … A name that occurs twice is
    numbered: w, w_2.
    """
    wanted: dict[Value, Name] = parameter_names(order)
    wanted = {value: wanted[value] for value in order if value in wanted}
    wanted |= {value: Name(value.label) for value in order if value.label}
    taken = {_look(name) for name in wanted.values()}
    root = order[-1]
    if root not in wanted and root.op is not None and "L" not in taken:
        wanted[root] = Name("L")
        taken.add("L")
    unnamed = (v for i in count(1) if (v := f"v{i}") not in taken)
    candidates: dict[str, Iterator[str]] = {}
    names: dict[Value, Name] = {}
    used: set[str] = set()
    for value in order:
        name = wanted.get(value, Name(""))
        if not name and isinstance(value, Constant):
            names[value] = Name(f"{value.data:g}")
        else:
            possible = candidates.setdefault(name, _numbered(name, taken)) if name else unnamed
            text = next(candidate for candidate in possible if _look(candidate) not in used)
            names[value] = name if text == name else Name(text, path=name.path)
            used.add(_look(text))
    return names


def _look(name: str) -> str:
    # x_1, x1 and x₁ are all shown as x with an index
    return re.sub(r"_(\d+)$", r"\1", name).translate(_PLAIN)


def _numbered(name: str, taken: set[str]) -> Iterator[str]:
    yield name
    yield from (other for i in count(2) if _look(other := f"{name}_{i}") not in taken)


# ---- parameters


def parameter_names(order: Sequence[Value]) -> dict[Value, Name]:
    """Returns the names of the parameters of all models in the graph, by their place in the model.

    If the values of several models are in the graph, the names begin with `model1.`, `model2.`, …
    """
    named: list[dict[Value, Name]] = []
    known: set[Value] = set()
    models = [(model, dict(model.named_parameters())) for model in models_of(order)]
    for model, parameters in sorted(models, key=lambda pair: -len(pair[1])):
        if not known.issuperset(parameters.values()):
            named.append(_named_in(model, parameters))
            known.update(parameters.values())
    if len(named) > 1:
        named = [
            {value: _of_model(i, name) for value, name in names.items()}
            for i, names in enumerate(named, 1)
        ]
    first: dict[Value, Name] = {}
    for names in named:
        first = {**names, **first}
    return first


def models_of(order: Sequence[Value]) -> list[Any]:
    """Returns the outermost modules whose calls computed the graph."""
    seen: set[scope] = set()
    models: dict[int, Any] = {}
    for value in order:
        around, outermost = value.scope, None
        while around is not None and around not in seen:
            seen.add(around)
            if hasattr(around.owner, "named_parameters"):
                outermost = around.owner
            around = around.parent
        if outermost is not None and around is None:
            models[id(outermost)] = outermost
    return list(models.values())


def _of_model(number: int, name: Name) -> Name:
    return Name(f"model{number}.{name}", f"model {number}, {name.words}", name.path)


def place_among(name: str, siblings: Mapping[str, bool]) -> tuple[str, int]:
    """Returns the kind of a module and its number: ("layer", 1) for `layers.0`; 0 for no number.

    siblings: the names of all modules beside it, and for each whether it has parameters. In a list
    without a name, as in Sequential, only modules with parameters are counted: the Linear after a
    ReLU is layer 2.
    """
    kind, _, index = name.rpartition(".")
    if not index.isdigit():
        return name, 0
    if kind:
        return kind.rpartition(".")[2].removesuffix("s"), int(index) + 1
    before = [n for n, has in siblings.items() if n.isdigit() and has and int(n) <= int(index)]
    return "layer", len(before)


_MATRICES = {
    "w": ("w", "weight"),
    "b": ("b", "bias"),
    "weight": ("W", "weight"),
    "bias": ("b", "bias"),
    "weight_ih": ("W_i", "input weight"),
    "weight_hh": ("W_h", "hidden weight"),
    "bias_ih": ("b_i", "input bias"),
    "bias_hh": ("b_h", "hidden bias"),
    "in_proj_weight": ("W_", "weight"),
    "in_proj_bias": ("b_", "bias"),
}
"""The letter and the words for a parameter's name in its module; if it is stacked, a part's letter
follows."""

_AXES = {
    1: ("",),
    2: ("row", "column"),
    3: ("output channel", "input channel", "place"),
    4: ("output channel", "input channel", "row", "column"),
}

_Parts = tuple[tuple[str, int], ...]  # the modules on the way, as `place_among` returns them


class _Place(NamedTuple):
    """The place of a parameter in its model, from the outside in."""

    parts: _Parts
    letter: str
    words: str
    indices: tuple[int, ...]

    def text(self, numbered: set[str], modules: int) -> str:
        """The short name, with the names of up to so many modules; `numbered`: see `_named_in`."""
        names = [kind for kind, number in self.parts if not number]
        numbers = [(kind, number) for kind, number in self.parts if number and kind in numbered]
        neurons = [number for kind, number in numbers if kind == "neuron"]
        others = [number for kind, number in numbers if kind != "neuron"]
        prefix = names[len(names) - modules :] if modules < len(names) else names
        return with_indices(
            ".".join([*prefix, self.letter]), [*self.indices, *neurons], upper=others
        )

    def in_words(self, numbered: set[str]) -> str:
        """The name in words, from the outside in."""
        parts = [
            f"{kind} {number}" if number else kind.replace("_", " ")
            for kind, number in self.parts
            if not number or kind in numbered
        ]
        axes = _AXES.get(len(self.indices), ("index",) * len(self.indices))
        where = [f"{axis} {i}".strip() for axis, i in zip(axes, self.indices)]
        last = [f"{self.words} {where[0]}"] if len(where) == 1 else [self.words, *where]
        return ", ".join([*parts, *last])


def _named_in(model: Any, parameters: Mapping[str, Value]) -> dict[Value, Name]:
    """Names a model's parameters, as short as possible without repetition.

    Modules are numbered where the model has several of a kind: one layer has no number.
    """
    places = dict(_places(model, parameters))
    numbers: dict[str, set[int]] = {}
    for place in places.values():
        for kind, number in place.parts:
            numbers.setdefault(kind, set()).add(number)
    numbered = {kind for kind, found in numbers.items() if len(found) > 1}
    deepest = max(len(place.parts) for place in places.values())
    for modules in range(deepest + 1):
        texts = {path: place.text(numbered, modules) for path, place in places.items()}
        if len({*texts.values()}) == len(texts):
            break
    return {
        value: Name(texts[path], places[path].in_words(numbered), path)
        for path, value in parameters.items()
    }


def _places(model: Any, parameters: Iterable[str]) -> Iterator[tuple[str, _Place]]:
    modules = dict(_modules(model))
    split = {path: _split(path, modules) for path in parameters}
    rows: dict[tuple[str, str], int] = {}
    for module_path, member, indices in split.values():
        key = module_path, member
        rows[key] = max(rows.get(key, 0), *indices[:1], 0)
    for path, (module_path, member, indices) in split.items():
        parts, matrices = modules[module_path]
        stacked = matrices.get(member, {})
        if stacked and (layer := re.fullmatch(r"(.*)_l(\d+)", member)):
            member, parts = layer[1], (*parts, ("layer", int(layer[2]) + 1))
        letter, words = _MATRICES.get(member, (member, member.replace("_", " ")))
        if stacked:
            height = rows[module_path, split[path][1]] // len(stacked)
            k, row = divmod(indices[0] - 1, height)
            symbol, name = list(stacked.items())[k]
            letter, indices = letter + symbol, (row + 1, *indices[1:])
            words = f"{name}, {words}" if name else words
        yield path, _Place(parts, letter, words, indices)


def _modules(module: Any, path: str = "", parts: _Parts = ()) -> Iterator[tuple[str, Any]]:
    """Yields each module's path, with the parts of the path, and its stacked matrices."""
    yield path, (parts, getattr(module, "stacked", {}))
    if not hasattr(module, "named_children"):
        return
    children = dict(module.named_children())
    siblings = {name: bool(child.parameters()) for name, child in children.items()}
    for name, child in children.items():
        inner = f"{path}.{name}".strip(".")
        yield from _modules(child, inner, (*parts, place_among(name, siblings)))


def _split(path: str, modules: Mapping[str, Any]) -> tuple[str, str, tuple[int, ...]]:
    """Splits `layers.0.neurons.3.w[0]` into the module's path, "w" and its indices from 1 on."""
    name, *indices = re.split(r"[][]+", path.rstrip("]"))
    module_path = name.rpartition(".")[0]
    while module_path not in modules:
        module_path = module_path.rpartition(".")[0]
    member = name[len(module_path) :].removeprefix(".")
    return module_path, member, tuple(int(i) + 1 for i in indices)
