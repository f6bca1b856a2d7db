"""The parameters in pieces: each is an array of its own, as in a model that is written by hand.

An array that a program uses is one piece, so that a step neither joins nor cuts it. Where programs
use the parameters in other arrays, the pieces are what all have in common.

>>> pieces = Pieces(6, moved=5, programs=[[[2, 0, 1], [3]]])
>>> [piece.tolist() for piece in pieces.slots]
[[2, 0, 1], [3], [4], [5]]
>>> [piece.tolist() for piece in Pieces(4, 4, [[[0, 1, 2]], [[0, 1]]]).slots]
[[0, 1], [2], [3]]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class Pieces:
    """How `count` parameters are cut into pieces.

    moved: how many of them, the first ones, the optimizer moves. programs: for each program the
    slots of each of its arrays.

    slots: those of each piece; first those that are moved, in so many `moved_pieces`.
    """

    def __init__(self, count: int, moved: int, programs: Iterable[Iterable[Sequence[int]]]) -> None:
        import numpy as np

        # Two slots are in one piece if every program that uses one of them has both in an array,
        # one after the other.
        unused, order, positions = -2, [], []
        for arrays in programs:
            position = np.full(count, unused)  # with a gap between arrays
            begin = 0
            for slots in map(np.asarray, arrays):
                position[slots] = np.arange(begin, begin + len(slots))
                begin += len(slots) + 1
                order.append(slots)
            positions.append(position)
        every = np.concatenate([*order, np.arange(count)])
        _, first = np.unique(every, return_index=True)
        every = every[np.sort(first)]
        before, after = every[:-1], every[1:]
        is_cut = (before < moved) != (after < moved)
        for position in positions:
            a, b = position[before], position[after]
            is_cut |= (b != a + 1) & ((a >= 0) | (b >= 0))
        pieces = np.split(every, np.flatnonzero(is_cut) + 1) if count else []
        self.slots: list[Any] = sorted(pieces, key=lambda piece: bool(piece[0] >= moved))
        self.moved_pieces = sum(bool(piece[0] < moved) for piece in self.slots)
        self._number = {int(piece[0]): number for number, piece in enumerate(self.slots)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pieces) and [*map(bytes, self.slots)] == [*map(bytes, other.slots)]

    __hash__ = None  # type: ignore[assignment]

    def cut(self, numbers: Any) -> list[Any]:
        """The numbers of all parameters, or of those that are moved, in pieces."""
        return [numbers[slots] for slots in self.slots if slots[0] < len(numbers)]

    def whole(self, arrays: Sequence[Any], dtype: str) -> Any:
        """The numbers of some or all pieces, from the first on, as one NumPy array.

        arrays: of the pieces, or of several pieces one after the other.
        """
        import numpy as np

        given = np.concatenate([np.empty(0, dtype), *arrays])
        order = np.concatenate([np.empty(0, np.int64), *self.slots])
        numbers = np.empty_like(given)
        numbers[order[: len(given)]] = given
        return numbers

    def array(self, arrays: Sequence[Any], slots: Sequence[int]) -> Any:
        """A program's array of the arrays of the pieces."""
        import jax.numpy as jnp

        own, at = [], 0
        while at < len(slots):
            own.append(arrays[self._number[slots[at]]])
            at += len(own[-1])
        return own[0] if len(own) == 1 else jnp.concatenate(own)
