"""The two machines that run compiled programs, and Values to run them on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from micrograd_plus.engine import Value

MACHINES = ["native", "plain"]


@contextmanager
def on(machine: str) -> Iterator[None]:
    """Inside, programs run in machine code, or in plain Python."""
    if machine == "native":
        pytest.importorskip("llvmlite")
        yield
        return
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the note that this is slow
        patch.setattr("micrograd_plus.compiler.running.is_native", lambda: False)
        yield


def values(*numbers: float) -> list[Value]:
    return [Value(number) for number in numbers]
