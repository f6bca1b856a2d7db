"""The functions that a file of array code begins with, as far as it calls them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import fill
from typing import Any

IMPORTS = {
    "numpy": "import numpy as np",
    "jax": 'import jax\nimport jax.numpy as jnp\n\njax.config.update("jax_enable_x64", True)',
    "torch": "import torch",
}
"""With what the file begins; JAX computes with doubles only if it is told to."""

_AS_BATCH = {
    "numpy": "np.asarray({}, dtype=float)",
    "jax": "jnp.asarray({}, dtype=float)",
    "torch": "torch.as_tensor({}, dtype=torch.float64)",
}
_AS_INTEGERS = {"numpy": "{}.astype(int)", "jax": "{}.astype(int)", "torch": "{}.long()"}
_ARRAY = {
    "numpy": "np.array({})",
    "jax": "jnp.array({})",
    "torch": "torch.tensor({}, dtype={})",
}
_WIDTH = 99  # of the lines of data, after which a comma may follow

_HELPERS = '''
def batch(x):
    """The arguments of a batch, a row of numbers for each example."""
    x = AS_BATCH
    return x.reshape(len(x), -1)


def rows(x, count):
    """Each example's numbers as a matrix with so many rows."""
    return x.reshape(len(x), count, -1)


def flat(x):
    """Each example's numbers in one row."""
    return x.reshape(len(x), -1)


def dot(x, y):
    """The dot product of each row of x and of y."""
    return (x * y).sum(axis=-1)


def join(count, *parts):
    """The parts side by side for each of so many examples; what they share is repeated."""
    wide = [np.broadcast_to(part, (count, part.shape[-1])) for part in parts]
    return np.concatenate(wide, axis=1)


def pick(rows, index):
    """From each row the number at an index, which each example has for itself."""
    index = AS_INTEGERS
    return rows[:, index].T if rows.ndim == 2 else rows[np.arange(len(index)), :, index]


def pick_backward(g, rows, index):
    """The gradient of what was picked goes to where it was picked from."""
    index = AS_INTEGERS
    result = np.zeros_like(rows)
    if rows.ndim == 2:
        np.add.at(result.T, index, g)
    else:
        result[np.arange(len(index)), :, index] = g
    return result


def add_at(result, index, g):
    """Adds each number of g to the column from which it was taken; returns the result."""
    np.add.at(result, (..., index), g)
    return result
'''

_DIFFERENTIABLE = {
    "numpy": "",
    "jax": '''
def differentiable(*backwards):
    """Gives a function its derivatives: one function for each operand."""

    def decorate(forward):
        function = jax.custom_vjp(forward)

        def keep(*operands):
            out = forward(*operands)
            return out, (out, *operands)

        function.defvjp(keep, lambda kept, g: tuple(part(g, *kept) for part in backwards))
        return lambda *operands: function(*jnp.broadcast_arrays(*operands))

    return decorate
''',
    "torch": '''
def differentiable(*backwards):
    """Gives a function its derivatives: one function for each operand."""

    def decorate(forward):
        class Function(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *operands):
                out = forward(*operands)
                ctx.save_for_backward(out, *operands)
                return out

            @staticmethod
            def backward(ctx, g):
                return tuple(part(g, *ctx.saved_tensors) for part in backwards)

        def function(*operands):
            tensors = [torch.as_tensor(operand, dtype=torch.float64) for operand in operands]
            return Function.apply(*torch.broadcast_tensors(*tensors))

        return function

    return decorate
''',
}


def helpers(library: str) -> dict[str, str]:
    """The text of each helper, by its name."""
    text = _HELPERS.replace("AS_BATCH", _AS_BATCH[library].format("x"))
    text = text.replace("AS_INTEGERS", _AS_INTEGERS[library].format("index"))
    parts = [part.strip() for part in re.split(r"\n\n\n", text + "\n\n" + _DIFFERENTIABLE[library])]
    return {re.findall(r"def (\w+)", part)[0]: part for part in parts if part}


def array_of(library: str, numbers: Any, whole: bool = False, before: str = "") -> str:
    """`before` and an array of these numbers, which may be nested lists, in short lines.

    whole: whether they are whole numbers, by which one takes elements.
    """
    written = re.sub("(inf|nan)", r"float('\1')", repr(numbers))
    kind = "torch.int64" if whole else "torch.float64"
    text = before + _ARRAY[library].format(written, kind)
    indent = " " * (4 + len(text) - len(text.lstrip()))
    return fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False)


def nested(numbers: Sequence[Any], length: int) -> list[list[Any]]:
    """The numbers in rows of this length."""
    return [list(numbers[i : i + length]) for i in range(0, len(numbers), length)]
