"""The data sets: sizes, shapes, seeds; and cutting them into batches and parts."""

import math
import random
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_plus import data

SETS = {
    "moons": (2, [-1, 1]),
    "circles": (2, [-1, 1]),
    "spirals": (2, [0, 1, 2]),
    "blobs": (2, [0, 1, 2]),
    "xor": (2, [0, 1]),
    "linear": (1, None),
    "sine": (1, None),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("n", [1, 2, 5, 12, 101])
def test_size_and_kind(name, n):
    width, classes = SETS[name]
    X, y = getattr(data, name)(n)
    assert len(X) == len(y) == n
    assert all(type(x) is float for row in X for x in row)
    assert {len(row) for row in X} == {width}
    kind = float if classes is None else int
    assert all(type(target) is kind for target in y)
    if classes and name != "xor":
        counts = Counter(y)
        assert set(counts) <= set(classes)
        sizes = [counts[label] for label in classes]
        assert max(sizes) - min(sizes) <= 1  # as balanced as n allows


@pytest.mark.parametrize("name", SETS)
def test_seed(name):
    make = getattr(data, name)
    noise = {"std" if name == "blobs" else "noise": 0.1}
    assert make(20, seed=3, **noise) == make(20, seed=3, **noise)
    assert make(20, seed=3, **noise) != make(20, seed=4, **noise)


@pytest.mark.parametrize("name", SETS)
def test_a_set_leaves_the_global_generator_alone(name):
    random.seed(5)
    before = random.getstate()
    getattr(data, name)(10)
    assert random.getstate() == before


def test_rows_are_not_shared():
    X, _ = data.xor(8)
    X[0][0] = 99.0
    assert X[4] == [0.0, 0.0]


def test_moons_are_two_half_circles():
    X, y = data.moons(51, noise=0.0)
    for (a, b), label in zip(X, y):
        if label == -1:
            assert math.hypot(a, b) == pytest.approx(1)
            assert b >= -1e-12
        else:
            assert math.hypot(a - 1, b - 0.5) == pytest.approx(1)
            assert b <= 0.5 + 1e-12


def test_circles_have_their_radii():
    X, y = data.circles(30, noise=0.0, factor=0.3)
    for row, label in zip(X, y):
        assert math.hypot(*row) == pytest.approx(1.0 if label == -1 else 0.3)


def test_spirals_turn_outwards():
    X, y = data.spirals(60, classes=4, noise=0.0)
    for label in range(4):
        arm = [row for row, target in zip(X, y) if target == label]
        radii = [math.hypot(*row) for row in arm]
        assert radii == sorted(radii)
        assert radii[-1] == pytest.approx(1)
        end = 2 * math.pi * label / 4 + 4
        assert arm[-1] == pytest.approx([math.cos(end), math.sin(end)])


def test_blobs_stand_on_a_circle():
    X, y = data.blobs(3000, centers=4, std=0.2, seed=1)
    for label in range(4):
        cloud = [row for row, target in zip(X, y) if target == label]
        middle = [sum(column) / len(cloud) for column in zip(*cloud)]
        angle = 2 * math.pi * label / 4
        assert middle == pytest.approx([math.cos(angle), math.sin(angle)], abs=0.03)
        variance = sum((row[0] - middle[0]) ** 2 for row in cloud) / len(cloud)
        assert math.sqrt(variance) == pytest.approx(0.2, rel=0.1)


def test_xor_is_xor():
    assert data.xor() == ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    X, y = data.xor(40, noise=0.1)
    assert [round(a) ^ round(b) for a, b in X] == y


def test_lines_and_waves():
    X, y = data.linear(11, slope=3.0, intercept=0.5, noise=0.0)
    assert [x for (x,) in X] == pytest.approx([-1 + 0.2 * k for k in range(11)])
    assert y == pytest.approx([3 * x + 0.5 for (x,) in X])
    X, y = data.sine(9, noise=0.0)
    assert (X[0][0], X[-1][0]) == pytest.approx((-math.pi, math.pi))
    assert y == pytest.approx([math.sin(x) for (x,) in X])


def test_noise_is_a_standard_deviation():
    X, y = data.linear(4000, noise=0.5, seed=2)
    errors = [t - (2 * x - 1) for (x,), t in zip(X, y)]
    assert math.sqrt(sum(e * e for e in errors) / len(errors)) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("name", SETS)
def test_errors(name):
    make = getattr(data, name)
    for n in (0, -3, 1.5, True):
        with pytest.raises(ValueError, match=f"must be a whole number of at least 1, not {n}"):
            make(n)
    with pytest.raises(ValueError, match="must not be below 0, but is -1"):
        make(10, **{"std" if name == "blobs" else "noise": -1})
    with pytest.raises(TypeError, match=r"must be a number, not '0\.1'"):
        make(10, **{"std" if name == "blobs" else "noise": "0.1"})


def test_at_least_one_class():
    with pytest.raises(ValueError, match="classes must be a whole number of at least 1, not 0"):
        data.spirals(10, classes=0)
    with pytest.raises(ValueError, match="centers must be a whole number of at least 1, not 0"):
        data.blobs(10, centers=0)


# ---- sets that scikit-learn carries


def test_iris_and_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_iris()
    assert data.iris() == (theirs.data.tolist(), theirs.target.tolist())
    theirs = datasets.load_digits()
    assert data.digits() == ((theirs.data / 16).tolist(), theirs.target.tolist())
    assert data.digits(images=True)[0] == (theirs.images[:, None] / 16).tolist()
    X, y = data.iris()
    assert (len(X), len(X[0]), Counter(y)) == (150, 4, {0: 50, 1: 50, 2: 50})
    assert X[0] == [5.1, 3.5, 1.4, 0.2]  # the first iris of Fisher's table
    means = [round(sum(column) / 150, 3) for column in zip(*X)]
    assert means == [5.843, 3.057, 3.758, 1.199]
    X, y = data.digits()
    assert (len(X), {len(x) for x in X}) == (1797, {64})
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as scikit-learn says
    assert Counter(y) == dict(enumerate(counts))
    assert {type(x) for x in X[0]} == {float}
    assert {type(t) for t in y} == {int}
    assert max(map(max, X)) == 1.0
    assert min(map(min, X)) == 0.0


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_without_scikit_learn(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "micrograd-plus\[data\]"'):
        getattr(data, name)()


# ---- cutting up


@given(n=st.integers(1, 40), batch_size=st.integers(1, 50), shuffled=st.booleans())
def test_batches_hold_every_example_once(n, batch_size, shuffled):
    X, y = [[float(k)] for k in range(n)], list(range(n))
    generator = random.Random(n) if shuffled else None
    made = list(data.batches(X, y, batch_size, generator))
    assert all(row == [float(t)] for rows, targets in made for row, t in zip(rows, targets))
    targets = [t for _, targets in made for t in targets]
    assert sorted(targets) == y
    if not shuffled:
        assert targets == y
    sizes = [len(rows) for rows, _ in made]
    assert all(size == batch_size for size in sizes[:-1])
    assert 0 < sizes[-1] <= batch_size


def test_a_generator_shuffles_anew_each_time():
    X, y = data.linear(30)
    generator = random.Random(0)
    first, second = (list(data.batches(X, y, 30, generator)) for _ in range(2))
    assert first != second
    assert first == list(data.batches(X, y, 30, random.Random(0)))


def test_batches_of_arrays():
    np = pytest.importorskip("numpy")
    X, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    rows, targets = next(data.batches(X, y, 3))
    assert [row.tolist() for row in rows] == X[:3].tolist()
    assert targets == [0, 1, 2]


@given(n=st.integers(2, 60), share=st.floats(0.02, 0.98), seed=st.integers(0, 5))
def test_split_is_disjoint_and_complete(n, share, seed):
    X, y = [[float(k)] for k in range(n)], list(range(n))
    if not 0 < round(n * share) < n:
        with pytest.raises(ValueError, match="both must be at least 1"):
            data.train_test_split(X, y, share, seed)
        return
    X_train, X_test, y_train, y_test = data.train_test_split(X, y, share, seed)
    assert sorted(y_train + y_test) == y
    assert len(y_test) == round(n * share)
    assert X_train == [[float(t)] for t in y_train]
    assert X_test == [[float(t)] for t in y_test]
    assert data.train_test_split(X, y, share, seed)[3] == y_test


def test_split_is_shuffled():
    X, y = data.moons(100)
    assert set(data.train_test_split(X, y)[3]) == {-1, 1}


@pytest.mark.parametrize("cut", [lambda X, y: next(data.batches(X, y, 2)), data.train_test_split])
def test_lengths(cut):
    with pytest.raises(ValueError, match=r"2 examples.* 3 targets"):
        cut([[1.0], [2.0]], [1, 2, 3])
    with pytest.raises(ValueError, match="no examples"):
        cut([], [])


def test_batch_size():
    for size in (0, -1, 2.5, "2"):
        with pytest.raises(
            ValueError, match=f"batch_size must be a whole number of at least 1, not {size!r}"
        ):
            next(data.batches([[1.0]], [1], size))


# ---- text


def test_names():
    names = data.names()
    assert len(names) == len(set(names)) == 5163
    assert all(name.isascii() and name.isalpha() and name.islower() for name in names)
    assert max(map(len, names)) == 11
    assert {"james", "mary", "emma", "zonia"} <= {*names}
    names.clear()
    assert data.names()


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_text_is_one_item_a_line(tmp_path, bom):
    path = tmp_path / "towns.txt"
    path.write_bytes(f"{bom}Zürich\r\n\n  Bad Ischl \nÅ".encode())
    assert data.text(path) == data.text(str(path)) == ["Zürich", "Bad Ischl", "Å"]


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "letters.txt").write_bytes("größe".encode("cp1252"))
    with pytest.raises(ValueError, match=r"letters\.txt is not a text file in UTF-8: .*0xf6"):
        data.text(tmp_path / "letters.txt")


def test_text_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        data.text(tmp_path / "nothing.txt")


# ---- sequences


@pytest.mark.parametrize("length", [2, 3, 30])
def test_adding_asks_for_the_sum_of_the_marked(length):
    X, y = data.adding(200, length=length, seed=1)
    assert len(X) == len(y) == 200
    for sequence, target in zip(X, y):
        assert [len(step) for step in sequence] == [2] * length
        assert all(type(x) is float and 0 <= x <= 1 for step in sequence for x in step)
        marked = [t for t, (_, mark) in enumerate(sequence) if mark]
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert target == sum(number * mark for number, mark in sequence)
    assert data.adding(5, seed=1) == data.adding(5, seed=1)
    assert data.adding(5, seed=1) != data.adding(5, seed=2)


def test_to_guess_the_mean_of_adding_leaves_a_sixth():
    _, y = data.adding(20_000, length=4)
    assert sum((t - 1) ** 2 for t in y) / len(y) == pytest.approx(1 / 6, abs=0.005)


def test_adding_needs_two_steps():
    with pytest.raises(ValueError, match="length must be a whole number of at least 2, not 1"):
        data.adding(5, length=1)


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=30), size=st.integers(1, 7))
def test_bucketed_batches_hold_every_example_once_and_one_length_each(lengths, size):
    X = [[i] * length for i, length in enumerate(lengths)]
    y = list(range(len(X)))
    for generator in (None, random.Random(1)):
        seen = []
        cut = list(data.bucketed_batches(X, y, size, generator))
        for sequences, targets in cut:
            assert len({len(sequence) for sequence in sequences}) == 1
            assert [sequence[0] for sequence in sequences] == targets
            seen += targets
        assert sorted(seen) == y
        fewest = sum(-(-count // size) for count in Counter(lengths).values())
        assert len(cut) == fewest
        assert all(len(targets) <= size for _, targets in cut)


def test_bucketed_batches_are_shuffled_by_the_generator():
    X = [[0] * (1 + i % 4) for i in range(40)]
    y = list(range(40))
    in_order = list(data.bucketed_batches(X, y, 5))
    assert [len(sequences[0]) for sequences, _ in in_order] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert in_order[0][1] == [0, 4, 8, 12, 16]
    once = list(data.bucketed_batches(X, y, 5, random.Random(3)))
    assert once == list(data.bucketed_batches(X, y, 5, random.Random(3)))
    assert [len(sequences[0]) for sequences, _ in once] != [1, 1, 2, 2, 3, 3, 4, 4]
    assert sorted(once[0][1]) != once[0][1]
