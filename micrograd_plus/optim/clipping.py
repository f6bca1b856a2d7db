"""The length of a gradient, and clipping it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..engine import Value


def clip_grad_norm_(parameters: Iterable[Value], max_norm: float) -> float:
    """Scales all gradients together so that their norm is at most max_norm.

    Returns the norm before (Pascanu et al. 2013, algorithm 1).
    """
    parameters = list(parameters)
    norm = grad_norm(parameters)
    scale = max_norm / (norm + 1e-6)
    if scale < 1:
        for parameter in parameters:
            parameter.grad *= scale
    return norm


def grad_norm(parameters: Iterable[Value]) -> float:
    """The length of the gradient: the root of the sum of all squared `grad`s."""
    return math.hypot(*[parameter.grad for parameter in parameters])
