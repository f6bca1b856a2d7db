"""Initialisers: each is a function that draws one weight from (fan_in, fan_out, generator).

fan_in is the number of inputs of a neuron, fan_out the number of neurons in its layer. Any such
function that returns a float can be used.

>>> import random
>>> from micrograd_plus.nn import Linear
>>> layer = Linear(3, 2, init=kaiming_normal, generator=random.Random(0))
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import cast

from ..support.checks import generator_or as generator_or

Initializer = Callable[[int, int, random.Random], float]

GLOBAL = cast(random.Random, random)
"""Python's global generator, which `random.seed` seeds; used if no generator is passed."""


def uniform(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Uniform between -1 and 1, as in micrograd."""
    return generator.uniform(-1.0, 1.0)


def pytorch_default(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Uniform between ±1/√fan_in, as in torch.nn.Linear (LeCun et al. 1998, section 4.6)."""
    bound = 1 / math.sqrt(fan_in)
    return generator.uniform(-bound, bound)


def xavier_uniform(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Uniform between ±√(6 / (fan_in + fan_out)), for tanh (Glorot & Bengio 2010, formula 16)."""
    bound = math.sqrt(6 / (fan_in + fan_out))
    return generator.uniform(-bound, bound)


def xavier_normal(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Normal with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""
    return generator.gauss(0.0, math.sqrt(2 / (fan_in + fan_out)))


def kaiming_uniform(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Uniform between ±√(6 / fan_in), for relu (He et al. 2015)."""
    bound = math.sqrt(6 / fan_in)
    return generator.uniform(-bound, bound)


def kaiming_normal(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Normal with variance 2 / fan_in, for relu (He et al. 2015, formula 10)."""
    return generator.gauss(0.0, math.sqrt(2 / fan_in))
