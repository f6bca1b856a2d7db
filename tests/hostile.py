"""Answers to an exercise that raise or loop whatever they are asked."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any


class Hostile:
    """Raises whatever it is asked."""

    def __init__(self, error: type[BaseException]) -> None:
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> Any:
        raise object.__getattribute__(self, "error")(name)

    def _raise(self, *_: Any) -> Any:
        raise object.__getattribute__(self, "error")

    __eq__ = __lt__ = __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = _raise
    __repr__ = __str__ = __hash__ = __call__ = __getitem__ = __format__ = _raise


class HostileClass(type):
    """A metaclass that raises."""

    def __getattribute__(cls, name: str) -> Any:
        raise ValueError(name)

    def __instancecheck__(cls, instance: Any) -> bool:
        raise ValueError

    def __call__(cls, *_: Any) -> Any:
        raise ValueError


class HostileError(Exception):
    def __str__(self) -> str:
        raise SystemExit


class Looping:
    @property
    def data(self) -> float:
        while True:
            pass


def raising(error: BaseException) -> Callable[..., Any]:
    def answer(*_: Any) -> Any:
        raise error

    return answer


def nested(depth: int) -> Any:
    row: Any = 1.0
    for _ in range(depth):
        row = [row]
    return row


def hostile_answers() -> list[Any]:
    """Made when they are needed: pytest, too, stumbles over them."""
    itself: list[Any] = []
    itself.append(itself)
    return [
        *(Hostile(ValueError), Hostile(KeyboardInterrupt), Hostile(RecursionError)),
        *(HostileClass("Raises", (), {}), Looping(), itself, nested(100_000), [0.0] * 200_000),
        *(10**5000, -(10**400), math.nan, math.inf, 1j, b"4", "", "x" * 10**6, object(), type),
        *(raising(SystemExit(1)), raising(KeyboardInterrupt()), raising(HostileError())),
        *(raising(GeneratorExit()), lambda *_: Hostile(ValueError), lambda *_: 10**5000),
        *(lambda *_: itself, lambda *_: (yield), exec, print, sys.exit, iter([])),
    ]
