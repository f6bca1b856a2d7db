"""Sweeps: the same training with many settings and seeds, in several processes or on a cluster.

>>> def train(lr, seed):
...     return [(1 - lr) ** step for step in range(4)]  # the losses
>>> print(sweep(train, {"lr": [0.1, 0.5]}, jobs=1, progress=False))
Sweep of 2 settings × 1 seed, best: lr=0.5 (0.125)
   lr  result
  0.1   0.729
  0.5   0.125
"""

from .grid import sweep
from .results import Outcome, Row, Spread, Sweep

__all__ = ["Outcome", "Row", "Spread", "Sweep", "sweep"]
