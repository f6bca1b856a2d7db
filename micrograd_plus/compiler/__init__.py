"""The compiler: record a function of scalars once, replay it over whole batches.

Four stages, one module each: `recording` (a function becomes its graph), `simplify` (the same
numbers from fewer nodes), `layout` (nodes become a few instructions over numbers that lie side
by side) and `running` (memory, and what starts the programs). What runs them is `kernels`, in
machine code by way of `native`, or `interpreter`, in plain Python. `updates` makes a program of
an optimizer's formula, `checking` compares a recording with the function called again, and
`compiled` is what a user holds in hands.
"""

from .compiled import Compiled, LossAndGradient, Predict, Step, Training, compile, is_native
from .examples import Examples

__all__ = [
    "Compiled",
    "Examples",
    "LossAndGradient",
    "Predict",
    "Step",
    "Training",
    "compile",
    "is_native",
]
