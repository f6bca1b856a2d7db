"""Numbers of an array in another order, in ways that XLA computes fast, and their gradients, too.

By default the gradient of what is taken by an index is added up number by number.

>>> steps_of([3, 3, 5, 5, 7, 7])
(3, ((3, 2), (2, 0)))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from .merging import PADDING

LONG = 256  # how many numbers a row has at most of which one is picked by comparing
LEAST = 0.4  # the share of the numbers of a product of matrices that must be used

Steps = tuple[tuple[int, int], ...]
"""The dimensions, the outermost first: how long each is, and the step from one number to the next.
"""


def steps_of(index: Sequence[int]) -> tuple[int, Steps] | None:
    """The first number and the steps by which one comes from it to all others, if there are any.

    None, too, if two different steps lead to the same number. A number below 0 means any.
    """
    import numpy as np

    numbers = np.array(index)
    return next(filter(None, map(_steps_of, _without_gaps(numbers))), None)


def _without_gaps(numbers: Any) -> Iterator[Any]:
    """The numbers with others for those below 0: each row, first a long one, has equal steps."""
    import numpy as np

    known = numbers >= 0
    if known.all():
        yield numbers
        return
    for length in range(len(numbers), 0, -1):
        if len(numbers) % length:
            continue
        rows, has = numbers.reshape(-1, length), known.reshape(-1, length)
        if has.any(axis=1).all():
            steps = np.diff(rows)[has[:, 1:] & has[:, :-1]]
            at = has.argmax(axis=1)[:, None]
            away = np.arange(length) - at
            filled = np.take_along_axis(rows, at, 1) + away * (steps[0] if len(steps) else 0)
            if (filled == rows)[has].all() and filled.min() >= 0:
                yield filled.ravel()


def _steps_of(numbers: Any) -> tuple[int, Steps] | None:
    import numpy as np

    steps = []
    while len(numbers) > 1:
        differences = np.diff(numbers)
        step = int(differences[0])
        others = np.flatnonzero(differences != step)
        length = int(others[0]) + 1 if len(others) else len(numbers)
        if len(numbers) % length:
            return None
        rows = numbers.reshape(-1, length)
        if (rows - rows[:, :1] != step * np.arange(length)).any():
            return None
        steps.append((length, step))
        numbers = rows[:, 0]
    moving = sorted([pair for pair in steps if pair[1]], key=lambda pair: -pair[1])
    if any(step < 0 for _, step in moving):
        return None
    for (_, wide), (length, narrow) in pairwise(moving):
        if wide % narrow or length * narrow > wide:
            return None
    return int(numbers[0]), tuple(reversed(steps))


def strided(x: Any, first: int, steps: Steps, size: tuple[int, ...]) -> Any:
    """The numbers of the last axis of x that `steps_of` found, in this size.

    With the steps 48 and 4, x is [..., n, 12, 4]: the numbers are a part of each axis.
    """
    import jax.numpy as jnp

    lead = x.shape[:-1]
    moving = sorted([pair for pair in steps if pair[1]], key=lambda pair: -pair[1])
    if moving:
        lengths, widths = zip(*moving)
        sizes = [wide // narrow for wide, narrow in pairwise(widths)]
        begins, rest = [], first
        for width in widths:
            begin, rest = divmod(rest, width)
            begins.append(begin)
        if any(
            map(lambda begin, length, size: begin + length > size, begins[1:], lengths[1:], sizes)
        ):
            x, begins, rest = x[..., first:], [0] * len(widths), 0
        end = (begins[0] + lengths[0]) * widths[0]
        if x.shape[-1] % widths[0] or x.shape[-1] < end:
            x = x[..., :end]
            x = jnp.pad(x, [*[(0, 0)] * len(lead), (0, end - x.shape[-1])])
        x = x.reshape(*lead, -1, *sizes, widths[-1])
        parts = [slice(begin, begin + length) for begin, length in zip(begins, lengths)]
        x = x[(..., *parts, rest)]
    else:
        x = x[..., first]
    axes = [len(lead) + moving.index(pair) for pair in steps if pair[1]]
    x = x.transpose(*range(len(lead)), *axes)
    repeated = [len(lead) + i for i, (_, step) in enumerate(steps) if not step]
    x = jnp.broadcast_to(jnp.expand_dims(x, repeated), (*lead, *[length for length, _ in steps]))
    return x.reshape(*lead, *size)


def filled(x: Any, index: Any) -> Any:
    """x, but for an index of -1 - i: `PADDING[i]`. Nothing else goes there, and no gradient back.

    What is computed in the place of holes may be inf or nan.
    """
    import jax.numpy as jnp
    import numpy as np

    padding = np.array(PADDING)[np.minimum(index, -1) * -1 - 1]
    return jnp.where(index < 0, padding.astype(x.dtype), x)


def taken(x: Any, index: Any, width: int) -> Any:
    """The numbers of the last axis of x, which has this width, at an index; -1 - i: `PADDING[i]`.

    The gradient of each number is the sum over where it was taken to: by an index, too.
    """
    import jax
    import numpy as np

    def at(x: Any, index: Any) -> Any:
        found = x.at[..., np.maximum(index, 0)].get(mode="promise_in_bounds")
        return filled(found, index) if (index < 0).any() else found

    places = _places(index, width)  # whose -1 is the 0 of PADDING

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def take(x: Any) -> Any:
        return at(x, index)

    def back(_: None, g: Any) -> tuple[Any]:
        g = g.reshape(*g.shape[: g.ndim - index.ndim], index.size)
        own = at(g, places)
        return (own[..., 0] if places.shape[1] == 1 else own.sum(-1),)

    take.defvjp(lambda x: (take(x), None), back)
    return jax.lax.optimization_barrier(take(x))


def _places(index: Any, width: int) -> Any:
    """For each number where it was taken to, in as many columns as any needs; -1 for nowhere."""
    import numpy as np

    flat = index.ravel()
    order = np.argsort(flat, kind="stable")[(flat < 0).sum() :]
    counts = np.bincount(flat[order], minlength=width)
    places = np.full((width, max(counts.max(), 1)), -1, np.int32)
    rank = np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)
    places[flat[order], rank] = order
    return places


@dataclass
class Grids:
    """Dots as the products of pairs of matrices of one size: `count` pairs of them.

    lefts, rights: how many rows each matrix has. left, right: all of them, in the order in which
    `products` takes them. index: where among all products the dots are.
    """

    count: int
    lefts: int
    rights: int
    left: list[Any]
    right: list[Any]
    index: list[int]


def grids_of(left: Sequence[Any], right: Sequence[Any]) -> Grids | None:
    """The dots of these pairs of vectors as products of matrices, or None.

    Vectors are in one matrix if they are in a dot with the same vector.

    >>> grids_of("aabb", "xyxy")
    Grids(count=1, lefts=2, rights=2, left=['a', 'b'], right=['x', 'y'], index=[0, 1, 2, 3])
    """
    rows: list[tuple[dict[Any, None], dict[Any, None]]] = []  # of each pair of matrices
    grid_of: tuple[dict[Any, int], dict[Any, int]] = {}, {}
    for pair in zip(left, right):
        found = sorted({own[vector] for own, vector in zip(grid_of, pair) if vector in own})
        grid = found[0] if found else len(rows)
        if not found:
            rows.append(({}, {}))
        for side in (0, 1):
            for other in found[1:]:  # this dot joins two
                rows[grid][side].update(rows[other][side])
                grid_of[side].update(dict.fromkeys(rows[other][side], grid))
                rows[other][side].clear()
            rows[grid][side][pair[side]] = None
            grid_of[side][pair[side]] = grid
    used = [pair for pair in rows if pair[0]]
    sizes = {(len(lefts), len(rights)) for lefts, rights in used}
    if len(sizes) > 1:
        return None
    ((lefts, rights),) = sizes
    if len(left) < LEAST * len(used) * lefts * rights:
        return None
    sides = [[list(pair[side]) for pair in used] for side in (0, 1)]
    at = [{v: i for i, v in enumerate(chain(*matrices))} for matrices in sides]
    index = [at[0][a] * rights + at[1][b] % rights for a, b in zip(left, right)]
    rows_of = [[*chain(*zip(*matrices))] for matrices in sides]
    return Grids(len(used), lefts, rights, rows_of[0], rows_of[1], index)


def products(left: Any, right: Any, count: int) -> Any:
    """For each example the products of so many pairs of matrices, in one row.

    left, right: the first row of each matrix, then the second row of each, and so on. XLA brings
    them into the order in which its products are fast; in that of the matrices it does not.
    """
    import jax.numpy as jnp

    examples, _, length = left.shape
    left, right = (x.reshape(examples, -1, count, length) for x in (left, right))
    return jnp.einsum("bigk,bjgk->bgij", left, right).reshape(examples, -1)


def picked(rows: Any, index: Any, some: int, batched: bool) -> Any:
    """What each index picks from each of `some` rows: all from the same, or each from its own.

    rows: [count, numbers], with the examples before it if it is `batched`; index: [examples, n].
    From short rows it takes by comparing: the gradient of an index is added up number by number.
    """
    import jax.numpy as jnp

    examples, count = index.shape
    index = index.astype("int32")
    length = rows.shape[-1]
    is_picked = index[..., None] == jnp.arange(length if length <= LONG else 0)
    if not batched and len(rows) == some:
        if length > LONG:
            return rows.T[index].reshape(examples, -1)
        one_hot = is_picked.astype(rows.dtype)
        return jnp.einsum("bin,rn->bir", one_hot, rows).reshape(examples, -1)
    rows = rows.reshape(*rows.shape[:-2], -1, some, length)
    if length > LONG:
        rows = jnp.broadcast_to(rows, (examples, count, some, length))
        return jnp.take_along_axis(rows, index[:, :, None, None], -1).reshape(examples, -1)
    return jnp.where(is_picked[:, :, None, :], rows, 0.0).sum(-1).reshape(examples, -1)


FUNCTIONS = (strided, filled, taken, products, picked)
"""What the lines of a program call."""
