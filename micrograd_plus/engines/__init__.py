"""Engines that run compiled programs in place of the compiler's own machines: JAX.

`jax_code` makes a function of jax.numpy of each program, `jax_steps` the loop of training steps,
and `jax_machine` has the arrays, and the methods that every machine has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


def jax_engine(devices: Any) -> Callable[..., Any]:
    """Returns what makes machines for JAX.

    devices: None for one, "all", or how many share each batch. ValueError if there are fewer.
    ImportError without JAX.
    """
    from .jax_machine import JaxMachine, chosen_devices

    return partial(JaxMachine, devices=chosen_devices(devices))
