"""`as_source`: a recorded program as a file of array code, which runs without this library.

What the compiler records of one example is a list of instructions over numbers side by side. Here
each becomes a line over arrays that hold a whole batch: that is what a tensor framework computes.
For NumPy the backward pass is written out, too; JAX and PyTorch find the gradients themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import compiler
from ..compiler.checking import check
from ..compiler.recording import Shape, in_reach, record
from .array_code import PREFIX
from .array_file import ArrayFile


def as_source(function: Any, library: str, *example: Any) -> str:
    """The source of a Python file that computes what `function` computes, over a whole batch.

    function: what `compile` returned; or a Module, or the loss of one example.
    library: "numpy", "jax" or "torch"; the file imports nothing else.
    example: the arguments of one call, whose shapes the file is written for. It may be left out
        for a compiled function that was called with one shape only.

    For a Module the file defines `predict(parameters, x)`; for a loss, `loss_and_gradients(
    parameters, x, y)`: the mean loss of the batch, and its gradients by the parameters' names. The
    arguments are called as those of the function. `PARAMETERS` holds the numbers of now.

    >>> import random
    >>> from micrograd_plus import nn
    >>> model = nn.MLP(2, [3, 1], generator=random.Random(0))
    >>> source = as_source(model, "numpy", [0.0, 1.0])
    >>> start, end = source.index("# MLP"), source.index("PARAMETERS = ")
    >>> print(source[start:end].strip())
    # MLP.Layer.Neuron
        v1 = x @ layers_0_neurons_w.T + layers_0_neurons_b
        v2 = relu(v1)
        v3 = v2 @ layers_1_neurons_0_w.T + layers_1_neurons_0_b
    <BLANKLINE>
        return v3[:, 0]

    The file is a different one for each shape, and for training and evaluation. Random numbers
    cannot be exported.
    """
    if library not in PREFIX:
        raise ValueError(f"library is {', '.join(map(repr, PREFIX))}, not {library!r}")
    compiled = function if isinstance(function, compiler.Compiled) else compiler.compile(function)
    key = _key(compiled, example)
    known = getattr(compiled.function, "parameters", lambda: in_reach(compiled.function))
    recording = record(compiled.function, key, list(known()))
    if example:
        check(compiled.function, recording, key, example)
    if recording.randoms:
        raise ValueError(
            "random numbers cannot be exported, and this program draws some: leave mp.rand out, "
            "or call eval() of the model first if it has Dropout"
        )
    if not isinstance(compiled, compiler.Predict):
        if recording.structure is not None:
            raise TypeError(
                "a function that is exported returns the loss of one example as one Value, and "
                "this one returned a list: for outputs, export a Module"
            )
        if not recording.parameters:
            raise ValueError(
                "the loss depends on no parameter, so there is no gradient to export: compute it "
                "from the parameters of a Module, or from Values that are made outside"
            )
    names = compiled.argument_names or [f"x{i}" for i in range(len(key))]
    return ArrayFile(recording, library, names, key, isinstance(compiled, compiler.Predict)).text()


def _key(compiled: compiler.Compiled, example: Sequence[Any]) -> tuple[Shape, ...]:
    """The shapes of the arguments that the file is for."""
    if example:
        names = compiled.argument_names or [f"argument {i}" for i in range(len(example))]
        if len(names) != len(example):
            raise TypeError(
                f"{compiled!r} takes {len(names)} arguments, {', '.join(names)}, and the example "
                f"has {len(example)}"
            )
        return compiler.Examples(names, [[argument] for argument in example]).shapes[0]
    if len(compiled.programs) == 1:
        return next(iter(compiled.programs))
    found = "; ".join(", ".join(map(str, key)) for key in compiled.programs) or "none"
    raise ValueError(
        "a file is written for one shape of the arguments: pass one example after the library, as "
        f"as_source(model, 'numpy', x). Shapes that were called so far: {found}"
    )
