"""Models as programs of PyTorch, .pt2 files, which run there without any class of ours."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import nn
from ..support.files import write_atomically
from .inputs import CELLS, LAYERS, taken
from .parts import in_parts
from .pytorch import to_torch

_SIZES = (*range(32, 0, -1), *range(33, 257))
"""Of the axes that a model leaves open, in the order in which they are tried."""


def write(model: nn.Module, path: Path, dtype: str, about: Mapping[str, Any]) -> None:
    """Writes what PyTorch records of `model` in evaluation; `about` becomes extra files.

    TypeError for a recurrent network, whose length PyTorch would fix.
    """
    if any(isinstance(part, LAYERS) for part in model.modules()):
        raise TypeError(
            f"{type(model).__name__} cannot be exported to .pt2, as PyTorch records a recurrent "
            "network for sequences of one length only: write an .onnx file, which takes any length"
        )
    theirs = to_torch(model).eval()
    import torch

    theirs = theirs.to(getattr(torch, dtype))
    arguments = _arguments(model, theirs, dtype)
    dim = torch.export.Dim
    open_axes: dict[int, Any] = {
        i: dim.DYNAMIC if axis == "batch" else dim.AUTO
        for i, axis in enumerate(taken(in_parts(model)).axes)
        if isinstance(axis, str)
    }
    shapes = torch.utils._pytree.tree_map(lambda _: open_axes, arguments)
    program = torch.export.export(theirs, arguments, dynamic_shapes=shapes)
    content = io.BytesIO()
    extra = {f"{name}.json": json.dumps(x, ensure_ascii=False) for name, x in about.items()}
    torch.export.save(program, content, extra_files=extra)
    write_atomically(path, content.getvalue())


def _arguments(model: nn.Module, theirs: Any, dtype: str) -> tuple[Any, ...]:
    """With what `theirs` can be called: zeros; ValueError if no size fits."""
    import torch

    axes, tokens = taken(in_parts(model))
    kind = torch.int64 if tokens else getattr(torch, dtype)
    for size in _SIZES:
        sizes = [2 if axis == "batch" else size if isinstance(axis, str) else axis for axis in axes]
        arguments = _with_others(model, torch.zeros(sizes, dtype=kind))
        try:
            theirs(*arguments)
        except (RuntimeError, IndexError):  # a network for images may take one size only
            continue
        return arguments
    raise ValueError(
        f"{type(model).__name__} cannot be exported to .pt2: it takes no input of "
        f"{' × '.join(map(str, axes))} whose open sizes are equal and at most {_SIZES[-1]}"
    )


def _with_others(model: nn.Module, x: Any) -> tuple[Any, ...]:
    """x and the other arguments of a call, each a tensor of its own, or PyTorch joins them."""
    if isinstance(model, nn.MultiHeadAttention):
        return x, x.clone(), x.clone()
    if not isinstance(model, CELLS):
        return (x,)
    h, c = (x.new_zeros(len(x), model.hidden_size) for _ in range(2))
    return x, h if model.parts == 1 else (h, c)
