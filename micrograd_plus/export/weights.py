"""Weights in the safetensors format: named arrays, which many libraries read and write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..nn import Module
from ..support.files import write_atomically
from ..support.libraries import missing
from .parts import in_parts


def write(model: Module, path: Path, dtype: str, about: Mapping[str, Any]) -> None:
    """Writes the weights of `model`; `about` becomes metadata."""
    numpy, safetensors = _libraries()
    state = in_parts(model).state_dict()
    arrays = {name: numpy.array(x, dtype=dtype) for name, x in state.items()}
    texts = {name: json.dumps(thing, ensure_ascii=False) for name, thing in about.items()}
    write_atomically(path, safetensors.numpy.save(arrays, texts or None))


def read(model: Module, path: Path) -> None:
    """Copies the weights in a file to `model`; ValueError if they do not fit."""
    _, safetensors = _libraries()
    content = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from error
    except KeyError as error:  # safetensors looks up NumPy's type
        raise ValueError(
            f"{path} has numbers of the type {error}, which NumPy lacks: write them as F32 or F64"
        ) from error
    try:
        in_parts(model).load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error


def _libraries() -> Any:
    try:
        import numpy
        import safetensors.numpy
    except ImportError:
        command = 'pip install "micrograd-plus[export]"'
        raise missing("a file of weights is written by", "safetensors", command) from None
    return numpy, safetensors
