"""The compiler: record a function of scalars once, replay it over whole batches.

In the order in which a function passes through: `recording` (the function becomes its graph),
`checking` (the function, called again with numbers, does the same), `simplify` (the same numbers
from fewer nodes), `layout` (nodes become a few instructions over numbers that lie side by side),
`running` (memory, and what starts the programs). `tape` defines what machine code reads. The
programs are run by `kernels`, which `native` turns into machine code together with `loops`, and
which `machine_code` stores; or by `interpreter`, in plain Python.

For the user, `compiled` has the public classes. Behind them, `programs` is the cache of programs,
`examples` and `batches` say what they run on, and `optimizer_memory` holds an optimizer's state.
"""

from .compiled import Compiled, LossAndGradient, Predict, Step, Training, compile
from .examples import Examples
from .running import is_native

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
