"""Examples in, results out: lists and arrays as one long row of numbers.

>>> examples = Examples(("x", "y"), ([[1.0, 2.0], [3.0, 4.0]], [0, 1]))
>>> [float(number) for number in examples.inputs], list(examples.starts), examples.shapes
([1.0, 2.0, 0.0, 3.0, 4.0, 1.0], [0, 3], [((2,), ())])
"""

from __future__ import annotations

import importlib.util
import math
from array import array
from collections.abc import Sequence
from typing import Any

from ..numbers import as_number
from ..support.nested import flatten, plain, shape
from .recording import Requirement, Shape


class Examples:
    """The arguments of many calls.

    inputs: all numbers, in one row; starts: where each example's begin.
    shapes: the different shapes of the arguments; kinds: for each example, which of them.
    """

    def __init__(self, names: Sequence[str], batches: Sequence[Any]) -> None:
        self.names = names
        self.batches = [_sequence(name, batch) for name, batch in zip(names, batches)]
        lengths = [len(batch) for batch in self.batches]
        if 0 in lengths:
            raise ValueError(f"{names[lengths.index(0)]} has no examples")
        if len(set(lengths)) > 1:
            counts = ", ".join(f"{name} has {count}" for name, count in zip(names, lengths))
            raise ValueError(f"every argument needs as many examples as the others: {counts}")
        self.count = lengths[0]
        self.inputs: Any
        self.starts: Sequence[int]
        self.kinds: Sequence[int]
        self.shapes: list[tuple[Shape, ...]]
        if not self._as_one_array():
            self._one_by_one()

    def __getitem__(self, i: int) -> list[Any]:
        """The arguments of example i, as they were given."""
        return [batch[i] for batch in self.batches]

    def _as_one_array(self) -> bool:
        """The fast way, with NumPy, for examples of one shape; False if it does not apply."""
        if not has_numpy():
            return False
        import numpy as np

        try:
            arrays = [np.asarray(batch) for batch in self.batches]
        except ValueError:  # of different shapes
            return False
        if any(a.dtype.kind not in "iuf" for a in arrays):
            return False
        rows = np.concatenate([a.reshape(self.count, -1) for a in arrays], axis=1, dtype=np.float64)
        if np.isnan(rows).any():
            example, position = np.argwhere(np.isnan(rows))[0]
            self._refuse_nan(int(example), int(position))
        self.inputs = rows.ravel()
        self.starts = [i * rows.shape[1] for i in range(self.count)]
        self.shapes = [tuple(a.shape[1:] for a in arrays)]
        self.kinds = bytes(self.count)
        return True

    def _one_by_one(self) -> None:
        inputs = array("d")
        starts, kinds = [], []
        known: dict[tuple[Shape, ...], int] = {}
        for i in range(self.count):
            starts.append(len(inputs))
            shapes = []
            for name, argument in zip(self.names, self[i]):
                try:
                    shapes.append(shape(argument))
                    numbers = [as_number(number) for number in flatten(argument)]
                except (TypeError, ValueError) as error:
                    raise type(error)(f"example {i} of {name}: {error}") from None
                for number in numbers:
                    if math.isnan(number):
                        self._refuse_nan(i, len(inputs) - starts[-1] + numbers.index(number))
                inputs.extend(numbers)
            kinds.append(known.setdefault(tuple(shapes), len(known)))
        self.inputs, self.starts, self.kinds, self.shapes = inputs, starts, kinds, list(known)

    def _refuse_nan(self, example: int, position: int) -> None:
        raise ValueError(
            f"number {position} of example {example} ({' and '.join(self.names)} taken together) "
            "is nan: remove or replace such examples before training"
        )

    def require(self, requirements: Sequence[Requirement], kind: int) -> None:
        """ValueError if an input of this kind of examples breaks a requirement."""
        for requirement in requirements:
            positions = [
                start + requirement.position
                for start, own in zip(self.starts, self.kinds)
                if own == kind
            ]
            for number in {float(self.inputs[position]) for position in positions}:
                if not (math.isfinite(number) and requirement.holds(number)):
                    raise ValueError(requirement.message.format(f"{number:g}"))


def _sequence(name: str, batch: Any) -> Any:
    """A batch as something with a length."""
    if hasattr(batch, "shape") and len(batch.shape):
        return batch
    batch = plain(batch)
    if not isinstance(batch, (list, tuple)):
        raise TypeError(
            f"{name} is a list or array of examples, also for a single one, and not {batch!r}"
        )
    return batch


def has_numpy() -> bool:
    """Whether NumPy is there."""
    return importlib.util.find_spec("numpy") is not None
