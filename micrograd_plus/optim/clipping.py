"""The length of a gradient, and clipping it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..engine import Value


def clip_grad_norm_(parameters: Iterable[Value], max_norm: float) -> float:
    """Scales all gradients together so that their norm is at most max_norm.

    Returns the norm before (Pascanu et al. 2013, algorithm 1).

    >>> a, b = Value(3.0), Value(4.0)
    >>> (0.5 * a * a + 0.5 * b * b).backward()
    >>> clip_grad_norm_([a, b], max_norm=1.0)
    5.0
    >>> print(f"{a.grad:.3f}, {b.grad:.3f}")
    0.600, 0.800
    """
    parameters = list(parameters)
    norm = grad_norm(parameters)
    scale = max_norm / (norm + 1e-6)
    if scale < 1:
        for parameter in parameters:
            parameter.grad *= scale
    return norm


def grad_norm(parameters: Iterable[Value]) -> float:
    """The length of the gradient: the root of the sum of all squared `grad`s.

    >>> a, b = Value(3.0), Value(4.0)
    >>> (0.5 * a * a + 0.5 * b * b).backward()
    >>> grad_norm([a, b])
    5.0
    """
    return math.hypot(*[parameter.grad for parameter in parameters])
