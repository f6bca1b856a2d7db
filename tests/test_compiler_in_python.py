"""The kernels and the reader, run by Python as they stand, give what their machine code gives."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from every_op import sum_of_every_op
from kernels_in_python import kernels_in_python, reading_in_python

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.compiler import reading
from micrograd_plus.compiler.examples import Reader
from micrograd_plus.compiler.recording import Requirement
from micrograd_plus.engine import Value

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")

Made = tuple[list[Value], Callable[[Any], Value], Sequence[Any]]
"""Parameters, the loss of one example, and examples."""


def drawn(count: int, seed: int = 0) -> list[float]:
    generator = random.Random(seed)
    return [generator.uniform(-1, 1) for _ in range(count)]


def values(count: int, seed: int = 0) -> list[Value]:
    return [Value(number) for number in drawn(count, seed)]


def every_op() -> Made:
    w = [Value(0.3), Value(1.7), Value(0.8)]  # inside all domains
    return w, lambda x: sum_of_every_op(w, x), [[0.5 + i / 40, 0.25] for i in range(17)]


def layers(*sizes: int, examples: int = 19) -> Made:
    generator = random.Random(0)
    model = nn.MLP(sizes[0], [*sizes[1:]], activation="tanh", generator=generator)
    p = model.parameters()
    return (
        p,
        lambda x: mp.mean(model(x)) ** 2 + 1e-3 * mp.dot(p, p),
        [drawn(sizes[0], seed) for seed in range(examples)],
    )


def texts() -> Made:
    """Of two lengths, with dropout."""
    model = nn.Sequential(
        nn.GPT(5, 8, 2, 1, 8, generator=random.Random(0)),
        nn.Dropout(0.2, generator=random.Random(2)),
    )
    X = [[1, 2, 0, 3], [3, 4], [4, 0, 1, 2], [2, 2], [0, 3], [1, 4]]
    return model.parameters(), lambda x: losses.cross_entropy(model(x), x), X


def images() -> Made:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, generator=random.Random(0)), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    X = [[[drawn(5, 5 * seed + row) for row in range(5)]] for seed in range(9)]
    return model.parameters(), lambda x: mp.mean(model(x)), X


def mixed_rows() -> Made:
    """Vectors whose numbers are far apart, shared, and of the example, in no order."""
    w, v = values(6), values(6, 1)

    def loss(x: Any) -> Value:
        rows = [[w[0], x[1], w[4], w[2] * x[0]], [x[0] * v[1], v[5], x[2], v[0]]]
        dots = [mp.dot(rows[0], rows[1]), mp.dot(w[::2], v[1::2]), mp.dot(w[::-1], v)]
        grid = [mp.dot(a, b) for a in (w[:3], w[2:5], w[1:4]) for b in (v[:3], v[3:], x[:3])]
        picked = mp.pick([w[3], x[0] * w[1], v[2]], x[3])
        return mp.max(dots) + mp.mean([dot.tanh() for dot in grid]) + picked

    return w + v, loss, [[*drawn(3, seed), seed % 3] for seed in range(11)]


def trained(made: Callable[[], Made], threads: int | None, batch_size: int | None) -> list[float]:
    """The losses, parameters and gradients of some steps."""
    parameters, loss, X = made()
    step = mp.compile(loss, optim.Adam(parameters, lr=0.01), threads=threads)
    got = step.run(X, epochs=2, batch_size=batch_size, progress=False)
    return [*got, *(p.data for p in parameters), *(p.grad for p in parameters)]


@pytest.mark.parametrize(
    ("made", "threads", "batch_size"),
    [
        (every_op, None, None),
        (lambda: layers(3, 5, 2), 1, None),
        (lambda: layers(3, 5, 2), 2, None),
        (lambda: layers(9, 17, 3), None, None),
        (lambda: layers(20, 3, 9, examples=2), None, 1),
        (lambda: layers(4, 8, 5, examples=16), None, None),
        (texts, None, 3),
        (texts, None, None),
        (images, None, None),
        (mixed_rows, None, 6),
        (mixed_rows, None, 1),
    ],
)
def test_a_training(made: Callable[[], Made], threads: int | None, batch_size: int | None) -> None:
    native = trained(made, threads, batch_size)
    with kernels_in_python():
        python = trained(made, threads, batch_size)
    assert python == pytest.approx(native, rel=1e-10, abs=1e-12)


def test_predictions() -> None:
    model = nn.MLP(3, [9, 2], activation="tanh", generator=random.Random(0))
    X = [drawn(3, seed) for seed in range(6)]
    native = mp.compile(model)(X)
    with kernels_in_python():
        python = mp.compile(model)(X)
    np.testing.assert_allclose(python, native, rtol=1e-12)


@pytest.mark.parametrize("lr", [0.1, 1e160], ids=["clipped", "diverged"])
def test_a_guarded_training(lr: float) -> None:
    results = []
    for in_python in (False, True):
        model = nn.MLP(2, [6, 1], generator=random.Random(0))
        adam = optim.Adam(model.parameters(), lr=lr)
        X, y = [drawn(2, seed) for seed in range(20)], [*drawn(20)]
        with (
            kernels_in_python() if in_python else nullcontext(),
            pytest.warns(RuntimeWarning, match="became") if lr > 1 else nullcontext(),
        ):
            history = mp.fit(
                model, X, y, loss="mse", optimizer=adam, epochs=2, batch_size=8,
                clip_grad_norm=0.1, progress=False, compiled=True,
            )  # fmt: skip
        results.append([*history.loss, *(p.data for p in model.parameters())])
    assert results[1] == pytest.approx(results[0], rel=1e-10, abs=1e-12, nan_ok=True)


# ---- reading

ROWS = [[[1.0, 2], (3, -4.0)], [[5.5, 6.0], [7.0, 8.0]]]
LABELS = np.array([1, -2])
READ = [
    (ROWS, LABELS),
    (tuple(ROWS), [0.5, -1]),
    (np.array(ROWS), (0, 1)),
    (np.arange(8).reshape(2, 2, 2), np.array([0.5, -1.0])),
]
REFUSED: list[Any] = [
    (ROWS,),
    (ROWS, 1.0),
    (ROWS, [1.0, None]),
    (ROWS, [1.0, True]),
    (ROWS, [1.0, math.nan]),
    (ROWS, [1.0, 10**400]),
    (ROWS, [1.0, 2.0, 3.0]),
    (ROWS, np.array([1.0, math.nan])),
    (ROWS, np.array([1.0, 2.0], np.float32)),
    (ROWS, np.array([1, 2], np.uint64)),
    (ROWS, np.array([1.0, 2.0, 3.0])),
    (ROWS, np.array(ROWS)),
    (np.array(ROWS).T, LABELS),
    ([ROWS[0], [[5.5, 6.0], [7.0]]], LABELS),
    ([ROWS[0], [[5.5, 6.0], 7.0]], LABELS),
]


def reader(numbers: Any) -> Reader:
    """What reads a list with 2 × 2 numbers and one for each of two examples."""
    return Reader([SimpleNamespace(shape=shape) for shape in ((2, 2, 2), (2,))], numbers)


def read(batches: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whether they are read, and into what."""
    numbers = np.zeros(10)
    return reader(numbers).read(batches) != reading.REFUSED, numbers


@pytest.mark.parametrize(
    ("batches", "is_read"), [*[(b, True) for b in READ], *[(b, False) for b in REFUSED]]
)
def test_what_is_read(batches: tuple[Any, ...], is_read: bool) -> None:
    native, numbers = read(batches)
    with reading_in_python():
        python, same_numbers = read(batches)
    assert native == python == is_read
    np.testing.assert_array_equal(numbers, same_numbers)
    if is_read:
        wanted = [[*np.ravel(row), label] for row, label in zip(*batches)]
        np.testing.assert_array_equal(numbers, np.ravel(wanted))


@pytest.mark.parametrize("way", [nullcontext, reading_in_python])
def test_which_numbers_are_known(way: Callable[[], Any]) -> None:
    """Those that have met the requirements, as long as there is room for them."""
    requirements = [Requirement(position, lambda number: True, "{}") for position in (4, 0, 4)]

    def found(*numbers: float) -> int:
        (a, b), labels = numbers[:2], numbers[2:]
        return own.read(([[[a, 7.0], [8.0, 9.0]], [[b, 7.0], [8.0, 9.0]]], labels))

    with way():
        own = reader(np.zeros(10))
        assert found(5.0, 5.0, -1, 1) == reading.READ_AND_KNOWN  # nothing is required yet
        own.learn(requirements)
        assert found(5.0, 5.0, 1, 1) == found(5.0, 5.0, 1, -1) == reading.READ_AND_KNOWN
        assert found(5.0, 1.0, 1, 1) == found(5.0, 5.0, 2, 1) == reading.READ
        own.learn(requirements)
        assert found(5.0, 5.0, -1, 2) == reading.READ_AND_KNOWN
        for number in range(100):
            found(number, 5.0, 1, 1)
            own.learn(requirements)
        assert found(5.0, 5.0, 1, -1) == reading.READ_AND_KNOWN
        assert found(99.0, 5.0, 1, 1) == reading.READ
        own.learn(requirements[1:2])
        assert found(99.0, 5.0, 3, 4) == reading.READ_AND_KNOWN
