"""Optimizers, learning-rate schedules and gradient clipping, named and defined as PyTorch's.

>>> from micrograd_plus.engine import Value
>>> w = Value(4.0)
>>> optimizer = SGD([w], lr=0.25)
>>> for _ in range(3):
...     optimizer.zero_grad()
...     (w * w).backward()
...     optimizer.step()
>>> w.data
0.5

An optimizer keeps its state of a parameter (a velocity, a mean of squares) in `state`, one
dictionary per parameter; `state_dict` and `load_state_dict` save and restore it;
a schedule has them too.
"""

from .clipping import clip_grad_norm_, grad_norm
from .optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    Schedule,
    SequentialLR,
    StepLR,
)
from .updates import Update as Update  # for the compiler
from .updates import trace as trace

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LinearLR",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "grad_norm",
]
