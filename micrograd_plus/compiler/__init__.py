"""The compiler: record a function of scalars once, replay it over whole batches.

In the order in which a function passes through: `recording` (the function becomes its graph),
`checking` (the function, called again with numbers, does the same), `simplify` (the same numbers
from fewer nodes), `layout` (nodes become a few instructions over numbers that lie side by side),
`running` (memory, and what starts the programs). `tape` defines what machine code reads. The
programs are run by `kernels`, which `native` turns into machine code together with `loops`, and
which `machine_code` stores; or by `interpreter`, in plain Python. `dtypes` has what they must
know of float64 and float32. The loss tanh(w * x + b) of two examples passes through these
functions:

    record        → Recording   the graph: mul, add, tanh on w, b and the input x
    check                       compares it with an eager call on the first example
    simplify      → Graph       the same nodes by number: what a sum or dot can merge is merged
    lay_out       → Program     three instructions, and the slots of w, b, x and the results
    machine.load                writes the program as the records of `tape`, in NumPy arrays
    in_batches    → Batches     one step, whose one group is both examples
    machine.run   → Outcome     writes a `Work`, and calls `kernels.run` with its address, or
                                runs the instructions in Python

In `kernels`, `run` passes each group of a step to `run_group`, which copies the examples to their
lanes and calls `forward` and `backward`; these call, for mul, add and tanh, the loops that are
written from the op table. After the last group, `run` calls the optimizer's loop.

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
