"""The compiler: record a function of scalars once, replay it over whole batches.

In the order in which a function passes through: `recording` (the function becomes its graph;
`recorded` has the Values that are in it, and `stamping` adds a call that it knows without running
it), `checking` (the function, called again, does the same), `numbering` and `graph` (the nodes by
their numbers), `simplify` (the same numbers from fewer nodes), `layout` (nodes become a few
instructions over numbers that lie side by side), `running` (memory, and what starts the programs).
The loops over all nodes are in `passes`. `tape` defines what machine code reads. The programs are
run by `kernels`; `native` turns kernels, `loops` and passes into machine code: `translate` writes
them in LLVM's language, `machine_code` compiles and stores it. `interpreter` runs programs in plain
Python. `dtypes` has what they must know of float64 and float32. The loss tanh(w * x + b) of two
examples passes through these functions:

    record        → Recording   the graph: mul, add, tanh on w, b and the input x
    check                       compares it with the graph of a second call
    simplify      → Graph       the same nodes by number: what a sum or dot can merge is merged
    lay_out       → Program     three instructions, and the slots of w, b, x and the results
    machine.load                writes the program as the records of `tape`, in NumPy arrays
    in_batches    → Batches     one step, whose one group is both examples
    machine.run   → Outcome     writes a `Work`, and calls `kernels.run` with its address, or
                                runs the instructions in Python

In `kernels`, `run` cuts each step into parts and passes the groups of a part to `run_group`, which
copies the examples to their lanes and calls `forward` and `backward`; these call, for mul, add and
tanh, the loops that are written from the op table. After the last part, `run` adds up the parts'
gradients and calls the optimizer's loop. Several threads can share this; `threads` starts them.

For the user, `compiled` has the public classes. Behind them, `programs` is the cache of programs,
and `examples` and `batches` say what they run on; `reading` copies the lists and arrays of a call.
Between calls the parameters' numbers and the optimizer's state stay in the machine:
`parameter_memory` and `optimizer_memory` give them back when somebody reads them. `profiling`
measures how long each instruction takes.
"""

from .compiled import Compiled, LossAndGradient, Predict, Step, compile
from .compiled import Training as Training  # this, and what follows but `profile`, for `train`
from .examples import Examples as Examples
from .profiling import Profile, profile
from .running import is_native as is_native
from .threads import processors as processors

__all__ = [
    "Compiled",
    "LossAndGradient",
    "Predict",
    "Profile",
    "Step",
    "compile",
    "profile",
]
