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
    """Uniform between -1 and 1, as in micrograd.

    >>> -1 <= uniform(3, 2, random.Random(0)) <= 1
    True
    """
    return generator.uniform(-1.0, 1.0)


def pytorch_default(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Uniform between ±1/√fan_in, as in torch.nn.Linear (LeCun et al. 1998, section 4.6).

    >>> -0.5 <= pytorch_default(4, 2, random.Random(0)) <= 0.5
    True
    """
    bound = 1 / math.sqrt(fan_in)
    return generator.uniform(-bound, bound)


def xavier_uniform(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Uniform between ±√(6 / (fan_in + fan_out)), for tanh (Glorot & Bengio 2010, formula 16).

    >>> -1 <= xavier_uniform(4, 2, random.Random(0)) <= 1
    True
    """
    bound = math.sqrt(6 / (fan_in + fan_out))
    return generator.uniform(-bound, bound)


def xavier_normal(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Normal with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010).

    >>> generator = random.Random(0)
    >>> weights = [xavier_normal(5, 5, generator) for _ in range(1000)]
    >>> round(sum(w * w for w in weights) / 1000, 1)  # 2 / (5 + 5)
    0.2
    """
    return generator.gauss(0.0, math.sqrt(2 / (fan_in + fan_out)))


def kaiming_uniform(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Uniform between ±√(6 / fan_in), for relu (He et al. 2015).

    >>> -1 <= kaiming_uniform(6, 2, random.Random(0)) <= 1
    True
    """
    bound = math.sqrt(6 / fan_in)
    return generator.uniform(-bound, bound)


def kaiming_normal(fan_in: int, fan_out: int, generator: random.Random) -> float:
    """Normal with variance 2 / fan_in, for relu (He et al. 2015, formula 10).

    >>> generator = random.Random(0)
    >>> weights = [kaiming_normal(4, 2, generator) for _ in range(1000)]
    >>> round(sum(w * w for w in weights) / 1000, 1)  # 2 / 4
    0.5
    """
    return generator.gauss(0.0, math.sqrt(2 / fan_in))
