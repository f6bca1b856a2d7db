"""Small data sets, generated or from scikit-learn, and functions that split them.

Every set is a pair X, y of plain lists: X has one row of floats per example, y one target. An
example that is a sequence or an image is a list of rows. The same seed gives the same numbers
everywhere.

>>> X, y = moons(4, noise=0.0, seed=0)
>>> X[0], y
([1.0, 0.0], [-1, -1, 1, 1])
>>> for rows, targets in batches(X, y, batch_size=3):
...     print(len(rows), targets)
3 [-1, -1, 1]
1 [1]
"""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import Any

from .support.checks import whole_number
from .support.libraries import missing

__all__ = [
    *("moons", "circles", "spirals", "blobs", "xor", "linear", "sine", "adding"),
    *("iris", "digits", "names", "text"),
    *("batches", "bucketed_batches", "train_test_split"),
]

Rows = list[list[float]]


def moons(n: int = 100, noise: float = 0.1, seed: int = 0) -> tuple[Rows, list[int]]:
    """Two half circles that interlock; classes -1 and 1.

    noise: the standard deviation of the noise on every coordinate.

    >>> moons(4, noise=0.0)[1]
    [-1, -1, 1, 1]
    """
    generator = _generator(n, noise, seed)
    outer = [math.pi * t for t in _spread(n - n // 2)]
    inner = [math.pi * t for t in _spread(n // 2)]
    X = [[math.cos(t), math.sin(t)] for t in outer]
    X += [[1 - math.cos(t), 0.5 - math.sin(t)] for t in inner]
    return _jitter(X, noise, generator), [-1] * len(outer) + [1] * len(inner)


def circles(
    n: int = 100, noise: float = 0.05, factor: float = 0.5, seed: int = 0
) -> tuple[Rows, list[int]]:
    """A circle of radius 1, class -1, around one of radius `factor`, class 1.

    >>> X, y = circles(4, noise=0.0)
    >>> X[0], X[2], y
    ([1.0, 0.0], [0.5, 0.0], [-1, -1, 1, 1])
    """
    generator = _generator(n, noise, seed)
    X, y = [], []
    for count, radius, label in ((n - n // 2, 1.0, -1), (n // 2, factor, 1)):
        for k in range(count):
            angle = 2 * math.pi * k / count
            X.append([radius * math.cos(angle), radius * math.sin(angle)])
            y.append(label)
    return _jitter(X, noise, generator), y


def spirals(
    n: int = 150, classes: int = 3, noise: float = 0.02, seed: int = 0
) -> tuple[Rows, list[int]]:
    """Spiral arms from the origin outwards, one per class: 0, 1, …

    >>> spirals(6, classes=3)[1]
    [0, 0, 1, 1, 2, 2]
    """
    generator = _generator(n, noise, seed)
    X, y = [], []
    for label in range(whole_number("classes", classes)):
        for t in _spread(n // classes + (label < n % classes)):
            angle = 2 * math.pi * label / classes + 4 * t
            X.append([t * math.cos(angle), t * math.sin(angle)])
            y.append(label)
    return _jitter(X, noise, generator), y


def blobs(n: int = 90, centers: int = 3, std: float = 0.3, seed: int = 0) -> tuple[Rows, list[int]]:
    """Normally distributed points around centres on a circle of radius 1; classes 0, 1, …

    std: the standard deviation of both coordinates.

    >>> blobs(6, centers=3)[1]
    [0, 1, 2, 0, 1, 2]
    """
    generator = _generator(n, std, seed)
    whole_number("centers", centers)
    X, y = [], []
    for k in range(n):
        label = k % centers
        angle = 2 * math.pi * label / centers
        X.append([math.cos(angle), math.sin(angle)])
        y.append(label)
    return _jitter(X, std, generator), y


def xor(n: int = 4, noise: float = 0.0, seed: int = 0) -> tuple[Rows, list[int]]:
    """The corners of a square; the target is 1 where exactly one coordinate is 1, else 0.

    >>> xor()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    generator = _generator(n, noise, seed)
    corners = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    X = [list(corners[k % 4]) for k in range(n)]
    return _jitter(X, noise, generator), [int(a != b) for a, b in X]


def linear(
    n: int = 50, slope: float = 2.0, intercept: float = -1.0, noise: float = 0.1, seed: int = 0
) -> tuple[Rows, list[float]]:
    """Points around a straight line over x from -1 to 1, for regression.

    >>> linear(3, slope=2.0, intercept=-1.0, noise=0.0)
    ([[-1.0], [0.0], [1.0]], [-3.0, -1.0, 1.0])
    """
    generator = _generator(n, noise, seed)
    X = [[2 * t - 1] for t in _spread(n)]
    return X, [slope * x + intercept + generator.gauss(0.0, noise) for (x,) in X]


def sine(n: int = 100, noise: float = 0.1, seed: int = 0) -> tuple[Rows, list[float]]:
    """Points around one wave of a sine over x from -π to π, for regression.

    >>> X, y = sine(5, noise=0.0)
    >>> print(f"{X[3][0]:.2f} {y[3]:.2f}")  # the sine of π/2
    1.57 1.00
    """
    generator = _generator(n, noise, seed)
    X = [[math.pi * (2 * t - 1)] for t in _spread(n)]
    return X, [math.sin(x) + generator.gauss(0.0, noise) for (x,) in X]


def adding(n: int = 1000, length: int = 30, seed: int = 0) -> tuple[list[Rows], list[float]]:
    """The adding problem, a test of memory (Hochreiter & Schmidhuber 1997, section 5.4).

    Each step has a number from 0 to 1 and a mark. The mark is 1 once in the first half and once in
    the second half, and 0 otherwise. The target is the sum of the two marked numbers. A model that
    always predicts the mean, 1, has a mean squared error of 1/6.

    >>> X, y = adding(1, length=4)
    >>> len(X[0]), y[0] == sum(number for number, mark in X[0] if mark)
    (4, True)
    """
    generator = _generator(n, 0.0, seed)
    half = whole_number("length", length, at_least=2) // 2
    X, y = [], []
    for _ in range(n):
        marked = {generator.randrange(half), generator.randrange(half, length)}
        X.append([[generator.random(), float(t in marked)] for t in range(length)])
        y.append(sum(number for number, mark in X[-1] if mark))
    return X, y


def iris() -> tuple[Rows, list[int]]:
    """Fisher's 150 irises: 4 lengths in cm, 3 species 0, 1, 2; needs scikit-learn.

    >>> X, y = iris()
    >>> len(X), X[0], y[0]
    (150, [5.1, 3.5, 1.4, 0.2], 0)
    """
    return _scikit_learn("iris.csv", begin=1)  # the first line has the names of the species


def digits(images: bool = False) -> tuple[list[Any], list[int]]:
    """1,797 scanned digits: 64 grey values from 0 to 1, row by row; needs scikit-learn.

    images: whether each digit has the shape for Conv2d, 1 channel × 8 rows × 8 columns.

    >>> X, y = digits()
    >>> len(X), len(X[0]), y[:3]
    (1797, 64, [0, 1, 2])
    """
    rows, y = _scikit_learn("digits.csv.gz")
    X = [[grey / 16 for grey in row] for row in rows]
    return [[[row[i : i + 8] for i in range(0, 64, 8)]] for row in X] if images else X, y


def names() -> list[str]:
    """5,163 given names in lower case, the most common first.

    In the census of 1990, 90 % of the people in the United States had one of these names. The
    source is the Census Bureau (its lists dist.male.first and dist.female.first, public domain).

    >>> names()[:4]
    ['james', 'john', 'robert', 'michael']
    """
    return text(Path(__file__).parent / "datasets" / "names.txt")


def text(path: str | Path) -> list[str]:
    """The lines of a text file in UTF-8, without empty lines; ValueError for another file.

    >>> text(Path(__file__).parent / "datasets" / "names.txt")[:2]
    ['james', 'john']
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def batches(
    X: Sequence[Any], y: Sequence[Any], batch_size: int, generator: random.Random | None = None
) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yields the examples in batches, shuffled if there is a `generator`.

    The last batch may be smaller.

    >>> list(batches([[1.0], [2.0], [3.0]], [0, 1, 0], batch_size=2))
    [([[1.0], [2.0]], [0, 1]), ([[3.0]], [0])]
    """
    check_lengths(X, y)
    whole_number("batch_size", batch_size)
    order = list(range(len(X)))
    if generator:
        generator.shuffle(order)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield [X[i] for i in chosen], [y[i] for i in chosen]


def bucketed_batches(
    X: Sequence[Any], y: Sequence[Any], batch_size: int, generator: random.Random | None = None
) -> Iterator[tuple[list[Any], list[Any]]]:
    """As `batches`, for sequences of different lengths: each batch has sequences of one length.

    A compiled step then runs one program for each batch. Without a `generator` the shortest
    sequences come first; with one, the examples of each length and the batches are shuffled.

    >>> X = [[1, 2, 3], [4], [5, 6, 7], [8]]
    >>> [rows for rows, _ in bucketed_batches(X, [0, 1, 0, 1], batch_size=2)]
    [[[4], [8]], [[1, 2, 3], [5, 6, 7]]]
    """
    check_lengths(X, y)
    buckets: dict[int, tuple[list[Any], list[Any]]] = {}
    for x, target in zip(X, y):
        sequences, targets = buckets.setdefault(len(x), ([], []))
        sequences.append(x)
        targets.append(target)
    cut = [
        batch
        for _, bucket in sorted(buckets.items())
        for batch in batches(*bucket, batch_size, generator)
    ]
    if generator:
        generator.shuffle(cut)
    yield from cut


def train_test_split(
    X: Sequence[Any], y: Sequence[Any], test_size: float = 0.25, seed: int = 0
) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Returns X_train, X_test, y_train, y_test, shuffled; test_size is a share of the examples.

    >>> X, y = [[1.0], [2.0], [3.0], [4.0]], [0, 1, 0, 1]
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y)
    >>> len(X_train), len(y_test)
    (3, 1)
    """
    check_lengths(X, y)
    held_out = round(len(X) * test_size)
    if not 0 < held_out < len(X):
        raise ValueError(
            f"test_size={test_size!r} of {len(X)} examples gives {held_out} test examples and "
            f"{len(X) - held_out} training examples: both must be at least 1"
        )
    order = list(range(len(X)))
    random.Random(seed).shuffle(order)
    test, train = order[:held_out], order[held_out:]
    return [X[i] for i in train], [X[i] for i in test], [y[i] for i in train], [y[i] for i in test]


def _generator(n: int, noise: float, seed: int) -> random.Random:
    whole_number("n, the number of examples,", n)
    if not isinstance(noise, Real):
        raise TypeError(f"a standard deviation must be a number, not {noise!r}")
    if noise < 0:
        raise ValueError(f"a standard deviation must not be below 0, but is {noise!r}")
    return random.Random(seed)


def _spread(n: int) -> list[float]:
    """Returns n evenly spaced numbers from 0 to 1."""
    return [k / max(n - 1, 1) for k in range(n)]


def _jitter(X: Rows, noise: float, generator: random.Random) -> Rows:
    return [[x + generator.gauss(0.0, noise) for x in row] for row in X]


def check_lengths(X: Sequence[Any], y: Sequence[Any]) -> None:
    """ValueError if there are no examples, or not one target for each."""
    if not len(X):
        raise ValueError("X has no examples")
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} examples, but y has {len(y)} targets")


def _scikit_learn(name: str, begin: int = 0) -> tuple[Rows, list[int]]:
    """The examples and their classes in a file of scikit-learn, from line `begin` on.

    scikit-learn itself is not imported: that takes a second, and reading the file 0.03 s.
    """
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        command = 'pip install "micrograd-plus[data]"'
        raise missing("this data set comes with", "scikit-learn", command)
    path = Path(spec.origin).parent / "datasets" / "data" / name
    read = gzip.open if path.suffix == ".gz" else open
    with read(path, "rt") as lines:
        rows = [list(map(float, line.split(","))) for line in islice(lines, begin, None)]
    return [row[:-1] for row in rows], [int(row[-1]) for row in rows]
