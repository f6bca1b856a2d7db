"""Examples in, results out: lists and arrays as one long row of numbers.

>>> examples = Examples(("x", "y"), ([[1.0, 2.0], [3.0, 4.0]], [0, 1]))
>>> [float(number) for number in examples.inputs], list(examples.starts), examples.shapes
([1.0, 2.0, 0.0, 3.0, 4.0, 1.0], [0, 3], [((2,), ())])
"""

from __future__ import annotations

import importlib.util
import math
from array import array
from bisect import bisect
from collections.abc import Sequence
from ctypes import addressof
from functools import cache
from itertools import accumulate, chain
from typing import Any

from ..numbers import as_number
from ..support.nested import flatten, plain, shape
from .native import is_installed, reader
from .reading import KNOWN, READ_AND_KNOWN, VIEW
from .recording import Requirement, Shape
from .tape import Columns, address, structure

Sizes = tuple[tuple[int, ...], ...]
"""The shape of each argument, with the number of examples first."""


class Examples:
    """The arguments of many calls.

    inputs: all numbers, in one row; starts: where each example's begin.
    shapes: the different shapes of the arguments; kinds: for each example, which of them.
    """

    def __init__(self, names: Sequence[str], batches: Sequence[Any]) -> None:
        self.names, self.batches = names, batches
        self.count: int
        self.inputs: Any
        self.starts: Sequence[int]
        self.kinds: Sequence[int]
        self.shapes: list[tuple[Shape, ...]]
        self.sizes: Sizes | None = None  # of what `take` takes
        self.met: Sequence[Requirement] | None = None  # which these are known to meet
        self._columns: list[Any] = []  # each argument's place in `inputs`, if that is an array
        self._reader: Reader | None = None
        if not (has_numpy() and self._as_one_array()):
            self._one_by_one()

    def read(self, batches: tuple[Any, ...]) -> bool:
        """As `take`, but fast; False also for what `take` takes and the reader does not."""
        reader = self._reader
        if reader and (found := reader.read(batches)):
            self.batches = batches
            self.met = reader.requirements if found == READ_AND_KNOWN else None
            return True
        return False

    def take(self, batches: tuple[Any, ...]) -> bool:
        """Takes other examples of these shapes into the same memory; False if they are none."""
        if self.read(batches):
            return True
        self.met = None
        if sizes_of(batches) != self.sizes:
            return False
        for batch, column in zip(batches, self._columns):
            numbers = _as_array(batch)
            if numbers is None or numbers.shape != column.shape:
                return False
            column[...] = numbers
        self.batches = batches
        self._refuse_any_nan()
        if not self._reader and is_installed():
            self._reader = Reader(self._columns, self.inputs)
        return True

    def __getitem__(self, i: int) -> list[Any]:
        """The arguments of example i, as they were given."""
        return [batch[i] for batch in self.batches]

    def _as_one_array(self) -> bool:
        """The fast way, with NumPy, for examples of one shape; False if it does not apply."""
        import numpy as np

        arrays = [_as_array(batch) for batch in self.batches]
        counts = {0 if numbers is None else len(numbers) for numbers in arrays}
        if 0 in counts or len(counts) > 1:
            return False
        self.count = count = counts.pop()
        self.sizes = tuple([numbers.shape for numbers in arrays])
        self.shapes = [tuple([sizes[1:] for sizes in self.sizes])]
        self.kinds = bytes(count)
        width = sum(numbers.size for numbers in arrays) // count
        self.starts = range(0, count * width, width) if width else [0] * count
        self.inputs, end = np.empty(count * width), 0
        for numbers in arrays:
            begin, end = end, end + numbers.size // count
            column = self.inputs.reshape(count, width)[:, begin:end].reshape(numbers.shape)
            column[...] = numbers
            self._columns.append(column)
        self._refuse_any_nan()
        return True

    def _one_by_one(self) -> None:
        names = self.names
        self.batches = [_sequence(name, batch) for name, batch in zip(names, self.batches)]
        lengths = [len(batch) for batch in self.batches]
        if 0 in lengths:
            raise ValueError(f"{names[lengths.index(0)]} has no examples")
        if len(set(lengths)) > 1:
            counts = ", ".join(f"{name} has {count}" for name, count in zip(names, lengths))
            raise ValueError(f"every argument needs as many examples as the others: {counts}")
        self.count = lengths[0]
        inputs = array("d")
        starts, kinds = [], []
        known: dict[tuple[Shape, ...], int] = {}
        for i, arguments in enumerate(zip(*self.batches)):
            starts.append(len(inputs))
            shapes = []
            for name, argument in zip(names, arguments):
                try:
                    shapes.append(_add(argument, inputs))
                except (TypeError, ValueError) as error:
                    raise type(error)(f"example {i} of {name}: {error}") from None
            kinds.append(known.setdefault(tuple(shapes), len(known)))
        for position, number in enumerate(inputs) if any(map(math.isnan, inputs)) else ():
            if math.isnan(number):
                example = bisect(starts, position) - 1
                self._refuse_nan(example, position - starts[example])
        self.inputs, self.starts, self.kinds, self.shapes = inputs, starts, kinds, list(known)

    def _refuse_any_nan(self) -> None:
        """ValueError if a number of the array is nan: NumPy takes the first one for the least."""
        least = int(self.inputs.argmin()) if self.inputs.size else 0
        if self.inputs.size and math.isnan(self.inputs[least]):
            self._refuse_nan(*divmod(least, self.inputs.size // self.count))

    def _refuse_nan(self, example: int, position: int) -> None:
        raise ValueError(
            f"number {position} of example {example} ({' and '.join(self.names)} taken together) "
            "is nan: remove or replace such examples before training"
        )

    def require(self, requirements: Sequence[Requirement], kind: int) -> None:
        """ValueError if an input of this kind of examples breaks a requirement."""
        self._require(requirements, kind)
        if self._reader:
            self._reader.learn(requirements)

    def _require(self, requirements: Sequence[Requirement], kind: int) -> None:
        if self.count == 1:
            inputs = self.inputs.tolist()
            for requirement in requirements:
                requirement.check(inputs[requirement.position])
            return
        starts = self.starts
        if len(self.shapes) > 1:
            starts = [start for start, own in zip(starts, self.kinds) if own == kind]
        position, given = -1, b""
        column: Any = None
        for requirement in requirements:
            if requirement.position != position:  # the same input often has the next one, too
                position = requirement.position
                column = (
                    self.inputs[position :: starts.step]
                    if isinstance(starts, range)  # at equal distances
                    else array("d", [self.inputs[start + position] for start in starts])
                )
                given = column.tobytes()
            if given != requirement.met_by:
                for number in set(column.tolist()):
                    requirement.check(number)
                requirement.met_by = given


class Reader:
    """Copies the arguments of calls to the columns of an array, in machine code, as `reading` does.

    It compares those that must meet requirements with numbers that have met them before.
    """

    def __init__(self, columns: Sequence[Any], numbers: Any) -> None:
        import numpy as np

        shapes = [column.shape for column in columns]
        ends = np.array(list(accumulate(map(len, shapes))), np.int64)
        sizes = np.array(list(chain.from_iterable(shapes)), np.int64)
        view = np.zeros(VIEW, np.int64)
        self._rooms = {"ends": ends, "sizes": sizes, "numbers": numbers, "view": view}
        types = (list, tuple, float, int, np.ndarray)
        names = ("list", "tuple", "float", "int", "array")
        self._given = given = structure(Columns)(
            count=sizes[0],
            width=len(numbers) // sizes[0],
            arguments=len(shapes),
            **{name: address(room) for name, room in self._rooms.items()},
            **{f"{name}_type": id(type_) for name, type_ in zip(names, types)},
        )
        # Gives REFUSED for arguments of other sizes or types, or with a nan.
        self.read = reader((addressof(given), given))
        self.requirements: Sequence[Requirement] | None = None  # those that numbers are known for
        self._known: list[tuple[int, set[float], Any]] = []  # by their position, and where for C
        self._learns = True  # as long as there is room for them

    def learn(self, requirements: Sequence[Requirement]) -> None:
        """Learns that the numbers that are there meet these requirements."""
        import numpy as np

        if requirements is not self.requirements:
            checked = np.array(sorted({each.position for each in requirements}), np.int64)
            known = np.full((len(checked), KNOWN), np.nan)
            self._rooms |= {"checked": checked, "known": known}
            self._given.checked, self._given.known = address(checked), address(known)
            self._given.checks = len(checked)
            self.requirements, self._learns = requirements, True
            self._known = [(k, set[float](), room) for k, room in zip(checked.tolist(), known)]
        if self._learns:
            numbers, width = self._rooms["numbers"], self._given.width
            for position, found, room in self._known:
                new = {*numbers[position::width].tolist()} - found
                if len(found) + len(new) > KNOWN:
                    self._learns = False
                elif new:
                    room[len(found) : len(found) + len(new)] = [*new]
                    found |= new


def sizes_of(batches: Sequence[Any]) -> Sizes:
    """The `sizes` of examples that take these batches, if each has rows of one length."""
    return tuple(map(_sizes_of_one, batches))


def _sizes_of_one(batch: Any) -> tuple[int, ...]:
    sizes = []
    while isinstance(batch, (list, tuple)) and batch:
        sizes.append(len(batch))
        batch = batch[0]
    return (*sizes, *getattr(batch, "shape", ()))


def _add(argument: Any, inputs: array[float]) -> Shape:
    """Adds the numbers of an argument to the inputs; its shape."""
    if isinstance(argument, list) and {*map(type, argument)} <= {float, int}:
        try:
            inputs.extend(argument)
            return (len(argument),)
        except OverflowError:
            pass  # for which there is a better error below
    size = shape(argument)
    inputs.extend([as_number(number) for number in flatten(argument)])
    return size


def _has_rows(batch: Any) -> bool:
    """Whether a batch is a list of examples, or an array of them."""
    return isinstance(batch, (list, tuple)) or bool(getattr(batch, "shape", ()))


def _sequence(name: str, batch: Any) -> Any:
    """A batch as something with a length."""
    if _has_rows(batch):
        return batch
    batch = plain(batch)
    if not isinstance(batch, (list, tuple)):
        raise TypeError(
            f"{name} is a list or array of examples, also for a single one, and not {batch!r}"
        )
    return batch


def _as_array(batch: Any) -> Any:
    """A batch as a NumPy array; None if that would not be one of numbers."""
    import numpy as np

    try:
        numbers = np.asarray(batch if _has_rows(batch) else None)
    except ValueError:  # rows of different shapes
        return None
    return numbers if numbers.dtype.kind in "iuf" else None


@cache
def has_numpy() -> bool:
    """Whether NumPy is there."""
    return importlib.util.find_spec("numpy") is not None
