"""Saves a model as a readable JSON file, and loads it.

>>> import pathlib, tempfile
>>> from micrograd_plus.nn import MLP
>>> path = pathlib.Path(tempfile.mkdtemp()) / "model.json"
>>> model = MLP(2, [3, 1], activation="tanh")
>>> save(model, path)
>>> load(path).state_dict() == model.state_dict()
True

The file contains the class and the constructor's arguments of every module, and the numbers of the
parameters. To load a model of your own class, make one first: `load(path, model)`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import nn
from ..support.files import write_atomically
from .linear import Sequential
from .module import Module

_FORMAT = "micrograd_plus model 1"
OWN = frozenset({"format", "model", "parameters"})
"""The names in a file that are not those of more data."""


def save(model: Module, path: str | Path, **about: Any) -> None:
    """Writes `model` to `path`; a crash while saving leaves the old file as it was.

    about: more data for the file, of types that JSON supports.

    >>> import random, tempfile
    >>> from micrograd_plus.nn import MLP
    >>> model = MLP(2, [3, 1], generator=random.Random(0))
    >>> path = Path(tempfile.mkdtemp()) / "model.json"
    >>> save(model, path)
    >>> load(path)([1.0, 2.0]).data == model([1.0, 2.0]).data
    True
    """
    write_atomically(path, text_of(model, **about))


def text_of(model: Module, **about: Any) -> str:
    """The content of the file that `save` writes."""
    if not isinstance(model, Module):
        raise TypeError(f"save takes a model, a Module, not {model!r}")
    if taken := about.keys() & OWN:
        raise ValueError(f"{', '.join(taken)} is a reserved name in the file: use another name")
    content = {
        "format": _FORMAT,
        "model": _describe(model),
        **about,
        "parameters": model.state_dict(),
    }
    return _readable(content) + "\n"


def load(path: str | Path, model: Module | None = None) -> Module:
    """Returns the model that `save` wrote to `path`; with `model`, only loads its parameters.

    ValueError for a file that is truncated or of another kind, or whose parameters do not fit; then
    `model` does not change.

    >>> import random, tempfile
    >>> from micrograd_plus.nn import Linear
    >>> path = Path(tempfile.mkdtemp()) / "model.json"
    >>> save(Linear(2, 1, generator=random.Random(0)), path)
    >>> load(path)
    Linear(in_features=2, out_features=1)  3 parameters
    """
    return model_in(read(path), path, model)


def model_in(content: dict[str, Any], path: str | Path, model: Module | None = None) -> Module:
    """As `load`, but with the content that `read` returned."""
    try:
        made = _build(content["model"]) if model is None else model
        made.load_state_dict(content["parameters"])
    except KeyError as error:
        raise ValueError(f"{path} cannot be loaded: it contains no {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    return made


def read(path: str | Path) -> dict[str, Any]:
    """Returns the content of a file: the model's description, its parameters, and other data."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, not text, nested too deeply
        raise ValueError(f"{path} is not a complete JSON file: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a model saved by micrograd_plus")
    return content


def _describe(model: Module) -> dict[str, Any]:
    described: dict[str, Any] = {"class": type(model).__name__}
    if isinstance(model, Sequential):
        return {**described, "modules": [_describe(module) for module in model]}
    return {**described, **model.config()}


def _build(description: dict[str, Any]) -> Module:
    arguments = dict(description)
    name = arguments.pop("class")
    kind = getattr(nn, name, None) if name in nn.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, Module)):
        raise ValueError(
            f"its model is a {name}, which is not a class of micrograd_plus.nn: "
            f"make one and write load(path, model)"
        )
    if kind is Sequential:
        return Sequential(*[_build(module) for module in arguments["modules"]])
    return kind(**arguments)


def _readable(content: Any, margin: str = "\n") -> str:
    """Writes JSON with one line for each row of numbers, and for each of the smallest objects."""
    inner = margin + " "
    if isinstance(content, dict) and any(map(_is_nested, content.values())):
        lines = [f"{_line(name)}: {_readable(item, inner)}" for name, item in content.items()]
        return f"{{{inner}{f',{inner}'.join(lines)}{margin}}}"
    if isinstance(content, (list, tuple)) and any(map(_is_nested, content)):
        lines = [_readable(item, inner) for item in content]
        return f"[{inner}{f',{inner}'.join(lines)}{margin}]"
    return _line(content)


_line = json.JSONEncoder(ensure_ascii=False).encode


def _is_nested(item: Any) -> bool:
    return isinstance(item, (dict, list, tuple))
