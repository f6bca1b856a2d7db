"""A compiled function gives the numbers and the gradients of the eager one."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from machines import on, values
from micrograd_nn import nn_over
from parity import seeded

import micrograd_plus as mp
from micrograd_plus import engine, losses, nn, optim
from micrograd_plus.engine import Value, apply, topological_order
from micrograd_plus.ops import TABLE

inf, nan = math.inf, math.nan
SIZES = [1, 2, 7, 64]
FIXED = [name for name, entry in TABLE.items() if not entry.nary]
NARY = [name for name, entry in TABLE.items() if entry.nary]
EDGES = [
    0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 30.0, -30.0, 700.0, -750.0, 1e-9, -1e-9, 1e-160,
    5e-324, -5e-324, 1e16, 1e160, 1e308, -1e308, inf, -inf, nan,
]  # fmt: skip


# ---- what is compared


def eager(
    function: Callable[..., Value], parameters: Sequence[Value], batches: Sequence[Sequence[Any]]
) -> tuple[float, list[float]]:
    """The mean loss over all examples, and its gradient, as the engine has them."""
    for parameter in parameters:
        parameter.grad = 0.0
    count, total = len(batches[0]), 0.0
    for one in zip(*batches):
        loss = function(*one)
        loss.backward(1 / count)
        total += loss.data
    return total / count, [parameter.grad for parameter in parameters]


def is_close(a: float, b: float, scale: float = 1.0) -> bool:
    """Whether a and b agree to 1e-12; scale: the size of what was added up to get them."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= 1e-12 * max(scale, abs(a), abs(b)) < inf


def assert_alike(
    function: Callable[..., Value],
    parameters: Sequence[Value],
    *batches: Sequence[Any],
    scale: float = 1.0,
    compiled: Any = None,
    wanted: tuple[float, list[float]] | None = None,
) -> None:
    """wanted: what `eager` would give, where it is known."""
    loss, gradients = wanted or eager(function, parameters, batches)
    numbers = [parameter.data for parameter in parameters]
    for parameter in parameters:
        parameter.grad = 0.0
    compiled_loss = (compiled or mp.compile(function))(*batches)
    assert type(compiled_loss) is float
    assert is_close(compiled_loss, loss, scale), f"loss {compiled_loss} and not {loss}"
    for i, (parameter, gradient) in enumerate(zip(parameters, gradients)):
        grad = parameter.grad
        assert is_close(grad, gradient, scale), f"{i}: {grad} and not {gradient}"
    assert [str(parameter.data) for parameter in parameters] == list(map(str, numbers))


def drawn(count: int, seed: int) -> list[float]:
    generator = random.Random(seed)
    return [generator.uniform(-2, 2) for _ in range(count)]


# ---- every op of the table


def edge_rows(width: int) -> list[tuple[float, ...]]:
    """Operands at the edges: all pairs of them, ties among them, or enough random ones."""
    if width <= 2:
        return list(itertools.product(EDGES, repeat=width))
    generator = random.Random(width)
    mixed = [tuple(generator.choice(EDGES) for _ in range(width)) for _ in range(200)]
    return [*[(edge,) * width for edge in EDGES], *mixed]


def widths(name: str) -> list[int]:
    """How many operands the op is tried with."""
    op = TABLE[name]
    return [len(op.operands) * n for n in (1, 2, 7)] if op.nary else [len(op.operands)]


OPS = [(name, width) for name in TABLE for width in widths(name)]


def assert_as_the_op(name: str, row: Sequence[float], number: float, gradient: list[float]) -> None:
    """Holds the number and the gradient of one op to the table's own functions."""
    op = TABLE[name]
    wanted = op.forward(*row)
    terms = [abs(x) for x in row] if name == "sum" else [0.0]
    if name == "dot":
        pairs = list(zip(row, row[len(row) // 2 :]))
        terms = [abs(x * y) for x, y in pairs if inf not in (abs(x), abs(y))]
    size = max([x for x in terms if x == x and (x < inf or name == "dot")], default=0.0)
    overflows = size * len(terms) > 1e308  # then the order of the terms decides
    where = f"{name}{tuple(row)}"
    if not overflows:
        assert is_close(number, wanted, max(size, 1e-308)) or tiny_by_cancellation(
            name, number, wanted
        ), f"{where} is {number} and not {wanted}"
    for i, (got, partial) in enumerate(zip(gradient, op.partials(wanted, *row))):
        assert is_close(got, 0.0 + partial, 1e-308) or tiny_by_cancellation(name, got, partial), (
            f"the derivative of {where} by operand {i} is {got} and not {partial}"
        )


def tiny_by_cancellation(name: str, a: float, b: float) -> bool:
    """For formulas that lose digits by themselves, as 1 - out * out, the absolute error counts."""
    lossy = {"gelu", "gelu_tanh", "tanh", "silu", "sigmoid", "tan", "softplus", "logsumexp", "max"}
    return name in lossy and abs(a - b) <= 1e-12


@pytest.mark.parametrize(("name", "width"), OPS)
def test_an_op_of_parameters_at_the_edges(machine: str, name: str, width: int) -> None:
    operands = values(*[0.5] * width)
    compiled = mp.compile(lambda x: apply(TABLE[name], *operands))
    rows = edge_rows(width)
    for row in rows if machine == "native" else rows[:: 1 + len(rows) // 60]:
        for operand, number in zip(operands, row):
            operand.data = number
        loss = compiled([0.0])
        assert_as_the_op(name, row, loss, [operand.grad for operand in operands])


@pytest.mark.parametrize(("name", "width"), OPS)
def test_an_op_of_each_example_at_the_edges(machine: str, name: str, width: int) -> None:
    # The operands of example i are parameters of its own, so that its gradient can be seen. There
    # are 64 examples at a time, as each call hands over all parameters.
    rows = edge_rows(width)
    rows = rows if machine == "native" else rows[:: 1 + len(rows) // 60]
    for start in range(0, len(rows), 64):
        part = rows[start : start + 64]
        operands = [values(*row) for row in part]
        compiled = mp.compile(lambda i, all_=operands: apply(TABLE[name], *mp.pick(all_, i)))
        for i, row in enumerate(part):
            loss = compiled([i])
            assert_as_the_op(name, row, loss, [operand.grad for operand in operands[i]])
        compiled(list(range(len(part))))
        for row, own in zip(part, operands):
            partials = TABLE[name].partials(TABLE[name].forward(*row), *row)
            for operand, partial in zip(own, partials):
                wanted = 0.0 + 1 / len(part) * partial
                assert is_close(operand.grad, wanted, 1e-308) or tiny_by_cancellation(
                    name, operand.grad, wanted
                )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "width"), OPS)
def test_an_op_of_parameters_inputs_and_numbers(
    machine: str, name: str, width: int, size: int
) -> None:
    # Every operand is a parameter, an input, a number, or a result, in turn.
    generator = random.Random(width)
    X = [[generator.uniform(0.1, 2) for _ in range(width)] for _ in range(size)]
    p = values(*[generator.uniform(0.1, 2) for _ in range(width)])
    kinds = [
        lambda x, k: p[k],
        lambda x, k: x[k],
        lambda x, k: 0.75,
        lambda x, k: p[k] * x[k],
    ]
    for shift in range(4):

        def loss(x: Any, shift: int = shift) -> Value:
            operands = [kinds[(shift + k) % 4](x, k) for k in range(width)]
            return apply(TABLE[name], *operands) * p[0]

        assert_alike(loss, p, X)


@pytest.mark.parametrize("name", [name for name in NARY if name != "dot"])
@pytest.mark.parametrize("size", [1, 9])
def test_vectors_are_reduced_one_by_one_or_all_at_once(machine: str, name: str, size: int) -> None:
    """Of long vectors, the machine code takes one after the other; of short ones, all together."""
    lengths = [27, 27, 27, 3, 3, 3, 3, 3]
    p, X = values(*drawn(sum(lengths), 1)), [drawn(1, seed) for seed in range(size)]

    def loss(x: Any) -> Value:
        mixed = iter([w * x[0] for w in p])
        rows = [list(itertools.islice(mixed, length)) for length in lengths]
        return sum(apply(TABLE[name], *row) * w for row, w in zip(rows, p))

    assert_alike(loss, p, X)


@pytest.mark.parametrize("size", [1, 9, 16])
def test_dots_of_attention(machine: str, size: int) -> None:
    """Rows of queries and keys by fours, and weights with columns of values."""
    attention = nn.MultiHeadAttention(16, 2, generator=seeded(1))
    p, draw = attention.parameters(), random.Random(2)
    X = [[[draw.gauss(0, 1) for _ in range(16)] for _ in range(5)] for _ in range(size)]

    def loss(x: Any) -> Value:
        return sum(sum(y * y for y in row) for row in attention(x, is_causal=True))

    assert_alike(loss, p, X, scale=10.0)


class Log(nn.Module):
    """The natural logarithm of each input."""

    def forward(self, x: Any) -> Any:
        return [x.log()]


def test_log_is_exact_to_the_last_digits() -> None:
    draw = random.Random(0)
    X = [math.exp(draw.uniform(-700, 700)) for _ in range(5_000)]
    X += [draw.uniform(0.5, 2) for _ in range(5_000)] + [5e-324, 1e-310, 1.0, 1.7e308]
    with on("native"):
        found = mp.compile(Log())(X).tolist()
    for x, (y,) in zip(X, found):
        assert y == pytest.approx(math.log(x), rel=5e-16, abs=0)


@pytest.mark.parametrize("size", SIZES)
def test_many_ops_in_one_graph(machine: str, size: int) -> None:
    p = values(*drawn(9, 1))
    X = [drawn(9, seed) for seed in range(size)]

    def loss(x: Any) -> Value:
        mixed = [w.sigmoid() + 0.1 for w in p] + [(w * v).sigmoid() + 0.1 for w, v in zip(p, x)]
        results = []
        for i, (name, width) in enumerate(OPS):
            operands = [mixed[(7 * i + k) % len(mixed)] for k in range(width)]
            results.append(apply(TABLE[name], *operands))
        return mp.mean(results)

    assert_alike(loss, p, X)


# ---- random graphs

UNARY = [name for name in FIXED if len(TABLE[name].operands) - len(TABLE[name].defaults) == 1]
BINARY = [name for name in FIXED if len(TABLE[name].operands) == 2 and name not in UNARY]
KINDS = ["unary", "unary", "binary", "binary", "binary", "nary", "nary", "chain", "power",
         "number", "where", "pick", "no_grad", "detach", "again"]  # fmt: skip
number = st.integers(-12, 12).map(lambda n: n / 4)  # sums of such numbers are exact


STEP = 13  # bytes: what to do, with which op, a number, and up to ten operands


@st.composite
def plans(draw: st.DrawFn, most: int) -> list[tuple[Any, ...]]:
    """What to do, step by step; operands are counted back from the newest result.

    All steps are drawn as one string of bytes: a draw for each choice takes several times as long.
    """
    size = STEP * draw(st.integers(1, most))
    drawn_ = draw(st.binary(min_size=size, max_size=size))
    steps = []
    for at in range(0, size, STEP):
        what, which, constant, *places = drawn_[at : at + STEP]
        kind = KINDS[what % len(KINDS)]
        names = {"unary": UNARY, "binary": BINARY, "nary": NARY}.get(kind, [""])
        operands = places[: 4 + places[-1] % 7]
        steps.append((kind, names[which % len(names)], operands, (constant % 25 - 12) / 4))
    return steps


def follow(plan: list[tuple[Any, ...]], p: Sequence[Value], x: Sequence[Any], i: Any) -> Value:
    """The graph of a plan over parameters, an example, and an index."""
    known: list[Any] = [*x, *p]
    results: list[Any] = [p[0]]
    for kind, name, places, constant in plan:
        chosen = [known[-1 - place % len(known)] for place in places]
        a, b, c, d = map(mp.engine.as_value, chosen[:4])
        if kind in ("unary", "binary"):
            made = apply(TABLE[name], *(a, b)[: 1 + (kind == "binary")])
        elif kind == "nary":
            chosen = chosen[: len(chosen) // 2 * 2]
            made = apply(TABLE[name], *chosen)
        elif kind == "chain":
            made = sum(u * v for u, v in zip(chosen, reversed(p))) + a + b * c
        elif kind == "power":
            made = a ** (2 if constant > 0 else 3)
        elif kind == "number":
            made = constant * a + (constant - b)
        elif kind == "where":
            made = mp.where((a < b) if constant > 0 else (a >= b), c, d)
        elif kind == "pick":
            made = mp.pick([a, b, c, d], i)
        elif kind == "no_grad":
            with mp.no_grad():
                made = a * b + c
        elif kind == "detach":
            made = a.detach() * b
        else:  # what is there already, once more
            made = a * b + a * b
        known.append(made)
        results.append(made)
    return mp.sum(results)


def size_of_graphs(roots: Iterable[Value]) -> float:
    """How large numbers and gradients are in graphs, at most; assumed to be moderate.

    The first one that is not ends the test: the others are not built.
    """
    data, grad = 1.0, 1.0
    for root in roots:
        root.backward()
        for node in topological_order(root):
            data, grad = max(data, abs(node.data)), max(grad, abs(node.grad))
            assume(abs(node.data) < 1e3 and abs(node.grad) < 1e3)  # neither inf nor nan
    return data * grad


def check_random_graph(plan: Any, numbers: list[float], size: int) -> None:
    p = values(*numbers)
    generator = random.Random(size)
    X = [[generator.randint(-8, 8) / 4 for _ in range(3)] for _ in range(size)]
    indices = [generator.randrange(4) for _ in range(size)]

    def loss(x: Any, i: Any) -> Value:
        return follow(plan, p, x, i)

    roots: list[Value] = []

    def each_root() -> Iterator[Value]:
        for x, i in zip(X, indices):
            roots.append(loss(x, i))
            yield roots[-1]

    scale = size_of_graphs(each_root())
    wanted = sum(root.data for root in roots) / size, [value.grad / size for value in p]
    assert_alike(loss, p, X, indices, scale=scale, wanted=wanted)


PARAMETERS = st.lists(number, min_size=1, max_size=4)
FILTERED = [HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large]


REPEATED = [("nary", "sum", [0, 0, 0, 0, 0, 60], -3.0), ("chain", "", [0, 2, 0, 0], -3.0)]


@given(plans(25), PARAMETERS, st.sampled_from([1, 2, 7]))
@example(REPEATED, [0.0, 0.0, 0.25, 0.0], 16)  # the rows of a product are one and the same
@settings(max_examples=480, suppress_health_check=FILTERED)
def test_random_graphs_in_machine_code(plan: Any, numbers: list[float], size: int) -> None:
    with on("native"):
        check_random_graph(plan, numbers, size)


@given(plans(60), PARAMETERS, st.just(64))
@settings(max_examples=40, suppress_health_check=FILTERED)
def test_large_random_graphs_in_machine_code(plan: Any, numbers: list[float], size: int) -> None:
    with on("native"):
        check_random_graph(plan, numbers, size)


@given(plans(20), PARAMETERS, st.sampled_from([1, 2, 7]))
@settings(max_examples=120, suppress_health_check=FILTERED)
def test_random_graphs_in_plain_python(plan: Any, numbers: list[float], size: int) -> None:
    with on("plain"):
        check_random_graph(plan, numbers, size)


# ---- graphs by hand


def test_a_parameter_in_many_places(machine: str) -> None:
    a, b = p = values(0.5, -1.5)

    def loss(x: Any) -> Value:
        square = a * a
        return square + square * x + a * x + (a + b) * (a + b) + a + a - b / a + sum([a] * 9)

    assert_alike(loss, p, [0.5, 2.0, -1.0])


def test_the_loss_is_a_parameter(machine: str) -> None:
    w = Value(3.0)
    assert_alike(lambda x: w, [w], [1.0, 2.0])


def test_the_loss_does_not_depend_on_the_example(machine: str) -> None:
    w = values(3.0, -2.0)
    assert_alike(lambda x: mp.dot(w, w).tanh() + w[0], w, [1.0, 2.0, 5.0])


def test_a_deep_chain(machine: str) -> None:
    a, b = p = values(0.3, 0.99)

    def loss(x: Any) -> Value:
        y = a * x
        for _ in range(400):
            y = (b * y + 0.01).tanh()
        return y

    assert_alike(loss, p, [0.5, -1.0])


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9, 63, 64, 65, 1000])
def test_long_sums_and_dots(machine: str, length: int) -> None:
    w, v = values(*drawn(length, 1)), values(*drawn(length, 2))
    X = [drawn(length, seed) for seed in range(3, 5)]
    assert_alike(lambda x: sum(wi * xi for wi, xi in zip(w, x)) ** 2, w, X, scale=length)
    assert_alike(lambda x: mp.dot(w, x) * mp.sum(w) + mp.logsumexp(w), w, X, scale=length)
    assert_alike(lambda x: mp.dot(w, v) + mp.dot(v, x), [*w, *v], X, scale=length)
    assert_alike(lambda x: mp.dot(w, w) + mp.sum([wi.tanh() * xi for wi, xi in zip(w, x)]), w, X)
    assert_alike(lambda x: mp.max(w) * mp.max([wi * xi for wi, xi in zip(w, x)]), w, X)


@pytest.mark.parametrize("examples", [8, 19])
def test_examples_enough_for_the_vector_units(machine: str, examples: int) -> None:
    """Reductions of several rows, where they are and packed; numbers that many others meet."""
    weight, scale = [values(*drawn(3, seed)) for seed in range(4)], Value(0.7)

    def loss(x: Any) -> Value:
        scores = [[mp.dot(w, row) for w in weight] for row in x]
        rows = [mp.logsumexp(row) for row in scores]
        columns = [mp.max(column) for column in zip(*scores)]
        shares = [s - rows[i] for i, row in enumerate(scores) for s in row]
        return mp.mean(columns) - scale * mp.sum(rows) + mp.mean([s * scale for s in shares])

    X = [[drawn(3, 10 * i + j) for j in range(2)] for i in range(examples)]
    assert_alike(loss, [scale, *itertools.chain(*weight)], X, scale=examples)


@pytest.mark.parametrize("rows", [1, 2, 5, 17])
@pytest.mark.parametrize("inner", [1, 2, 5, 33])
def test_matrix_products(machine: str, rows: int, inner: int) -> None:
    """Parameters × inputs, parameters × parameters, and results × results."""
    generator = random.Random(inner)
    weight = [values(*drawn(inner, seed)) for seed in range(7)]
    p = [w for row in weight for w in row]
    X = [[[generator.uniform(-1, 1) for _ in range(inner)] for _ in range(rows)] for _ in range(3)]

    def loss(x: Any) -> Value:
        hidden = [[mp.dot(w, row).tanh() for w in weight] for row in x]
        scores = [[mp.dot(a, b) for b in hidden] for a in hidden]
        gram = [mp.dot(a, b) for a in weight for b in weight]
        return mp.mean([s * s for row in scores for s in row]) + mp.mean(gram)

    assert_alike(loss, p, X, scale=inner)


# Tiles, strips, panels and blocks of `kernels.multiply`: sizes at which each is used, begins again,
# and is not whole. The limits are in `tape`.
LARGE = [
    *[(30, 304, 128), (260, 140, 56), (16, 300, 128), (18, 300, 37), (96, 56, 128)],
    *[(64, 128, 64), (80, 192, 72), (7, 260, 3), (64, 131, 9), (5, 24, 12), (3, 9, 70)],
    *[(5, 24, 100), (12, 40, 28)],
]


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize(("hidden", "inner", "size"), LARGE)
def test_large_matrix_products(
    hidden: int, inner: int, size: int, dtype: str, digits: float
) -> None:
    """Two layers on a batch, with a relu between, and their gradients, as NumPy has them."""
    pytest.importorskip("llvmlite")
    np = pytest.importorskip("numpy")
    generator = seeded(size)
    sizes = (4, inner), (inner, hidden)
    layers = [nn.Linear(*both, generator=generator) for both in sizes]
    X = np.array([[generator.gauss(0, 1) for _ in range(4)] for _ in range(size)])

    def loss_of(x: Any) -> Value:
        return mp.mean([s.tanh() for s in layers[1]([h.relu() for h in layers[0](x)])])

    loss = mp.compile(loss_of, dtype=dtype)(X)

    first, second = (np.array([[w.data for w in row] for row in one.weight]) for one in layers)
    biases = [np.array([b.data for b in one.bias]) for one in layers]
    between = np.maximum(X @ first.T + biases[0], 0)
    scores = np.tanh(between @ second.T + biases[1])
    upstream = (1 - scores**2) / scores.size
    down = upstream @ second * (between > 0)
    assert loss == pytest.approx(scores.mean(), abs=digits)
    for parameters, wanted in (
        (layers[0].weight, down.T @ X),
        (layers[0].bias, down.sum(0)),
        (layers[1].weight, upstream.T @ between),
        (layers[1].bias, upstream.sum(0)),
    ):
        grads = np.array([[p.grad for p in row] for row in np.atleast_2d(parameters)])
        np.testing.assert_allclose(grads, np.atleast_2d(wanted), rtol=digits, atol=digits / 10)


@pytest.mark.parametrize("readers", ["one layer", "two layers", "a layer of some", "a square too"])
def test_relus_that_layers_read(machine: str, readers: str) -> None:
    """Products compute them, too, if there are so many examples as they take at once."""
    sizes = (3, 10), (10, 10), (10, 4), (9, 4)
    first, second, third, of_some = (nn.Linear(*both, generator=seeded(both[0])) for both in sizes)
    parameters = [p for layer in (first, second, third, of_some) for p in layer.parameters()]

    def loss(x: Any) -> Value:
        hidden = [h.relu() for h in second([h.relu() for h in first(x)])]
        scores = third(hidden)
        if readers == "two layers":
            scores += second(hidden)
        elif readers == "a layer of some":
            scores += of_some([score.tanh() for score in hidden[1:]])
        elif readers == "a square too":
            scores.append(hidden[2] * hidden[2])
        return mp.mean([score.tanh() for score in scores])

    compiled = mp.compile(loss)
    for size in (8, 16, 20):
        X = [drawn(3, seed) for seed in range(size)]
        assert_alike(loss, parameters, X, compiled=compiled)


@pytest.mark.parametrize("use", ["once", "in two layers", "as a bias too", "in a penalty too"])
def test_gradients_of_weights_are_written_or_added(machine: str, use: str) -> None:
    """For several examples at a time, of two lengths, each with weights that only it uses."""
    matrices = [[values(*drawn(8, 9 * m + seed)) for seed in range(8)] for m in range(2)]
    parameters = [w for matrix in matrices for row in matrix for w in row]

    def loss(x: Any) -> Value:
        weight = matrices[len(x) == 4]
        scores = [mp.dot(row[: len(x)], x).tanh() for row in weight]
        if use == "in two layers":
            scores = [mp.dot(row, scores) for row in weight]
        elif use == "as a bias too":
            scores = [mp.dot(row, scores) + row[0] for row in weight]
        elif use == "in a penalty too":
            scores.append(mp.dot(weight[0], weight[0]))
        return mp.mean(scores)

    compiled = mp.compile(loss)
    long, short = ([drawn(length, seed) for seed in range(20)] for length in (8, 4))
    for X in ([*long, *short], long, short, [*short, *long]):
        assert_alike(loss, parameters, X, compiled=compiled)


@pytest.mark.parametrize("tokens", [1, 3, 4, 7, 17])
def test_matrix_products_of_one_long_example(tokens: int) -> None:
    """One text at a time: its tokens are the rows."""
    pytest.importorskip("llvmlite")
    first, second = nn.Linear(6, 90, generator=seeded(1)), nn.Linear(90, 70, generator=seeded(2))
    parameters = [*first.parameters(), *second.parameters()]

    def loss(x: Any) -> Value:
        scores = [second([h.relu() for h in first(token)]) for token in x]
        return mp.mean([score.tanh() for row in scores for score in row])

    assert_alike(loss, parameters, [[drawn(6, seed) for seed in range(tokens)]])


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("inner", [4, 8, 12, 32])
@pytest.mark.parametrize("tokens", [3, 4, 7])
def test_short_dots_of_one_text(tokens: int, inner: int, has_bias: bool) -> None:
    """Their vectors have few numbers; the columns are fewer than a vector's, or not whole ones."""
    pytest.importorskip("llvmlite")
    layers = [nn.Linear(inner, n, has_bias, generator=seeded(n)) for n in (4, 5, 19, 27, 48)]
    parameters = [p for layer in layers for p in layer.parameters()]

    def loss(x: Any) -> Value:
        rows = [layer(token) for layer in layers for token in x]
        return mp.mean([score.tanh() for row in rows for score in row])

    assert_alike(loss, parameters, [[drawn(inner, seed) for seed in range(tokens)]])


@pytest.mark.parametrize("size", [1, 5, 64])
@pytest.mark.parametrize("hidden", [3, 40])
def test_infinite_weights_meet_zeros(hidden: int, size: int) -> None:
    """No product is left out and none is made up: 0 times inf is nan, and only in its place."""
    pytest.importorskip("llvmlite")
    layer = nn.Linear(300, hidden, generator=seeded())
    layer.weight[2][7].data, layer.weight[0][299].data = inf, nan
    X = [[0.0 if k in (7, i) else 1.0 for k in range(300)] for i in range(size)]
    for x, row in zip(X, mp.compile(layer)(X)):
        for j, number in enumerate(row):
            assert math.isnan(number) == (j in (0, 2)), j
            wanted = math.fsum(w.data * a for w, a in zip(layer.weight[j], x))
            assert j in (0, 2) or is_close(float(number), wanted + layer.bias[j].data, 10.0)


def test_a_matrix_is_used_in_both_directions(machine: str) -> None:
    weight = [values(*drawn(4, seed)) for seed in range(3)]

    def loss(x: Any) -> Value:
        there = [mp.dot(row, x).tanh() for row in weight]
        back = [mp.dot(column, there) for column in zip(*weight)]
        return losses.mse(back, x)

    assert_alike(loss, [w for row in weight for w in row], [drawn(4, s) for s in range(7)])


def test_gradients_stop_where_they_stop_eagerly(machine: str) -> None:
    a, b = p = values(2.0, 3.0)

    def loss(x: Any) -> Value:
        with mp.no_grad():
            frozen = a * b + x
            penalty = mp.dot(p, p)
        return a * frozen + b.detach() * a + b * (a * b).detach() + penalty * (x * a + a * b)

    assert_alike(loss, p, [0.5, -1.0])


def test_a_sum_keeps_its_dead_terms_dead(machine: str) -> None:
    a, b = p = values(2.0, 3.0)

    def loss(x: Any) -> Value:
        with mp.no_grad():
            dead = a * x + b * b
        return dead + a * x + b

    assert_alike(loss, p, [0.5, -1.0])


def test_a_branch_that_is_not_taken_can_spoil_the_gradient(machine: str) -> None:
    # As eagerly: 0 · inf is nan, and only a condition that is known chooses before.
    w = Value(0.0)
    loss = mp.compile(lambda x: mp.where(x, w.sqrt(), 1.0))
    assert loss([0.0]) == 1.0
    eagerly = mp.where(Value(0.0), w.sqrt(), 1.0)
    loss_grad, w.grad = w.grad, 0.0
    eagerly.backward()
    assert math.isnan(loss_grad) == math.isnan(w.grad)


def test_comparisons_combined(machine: str) -> None:
    a, b = p = values(0.25, -0.5)

    def loss(x: Any) -> Value:
        inside = (x > b) & (x <= a)
        outside = (x <= b) | (x > a)
        return mp.where(inside, a * x, b) + mp.where(outside, b * x, a) + mp.where(a > b, a, b)

    assert_alike(loss, p, [-1.0, -0.5, 0.0, 0.25, 0.3, 2.0])


def test_picks(machine: str) -> None:
    table = [values(*drawn(3, seed)) for seed in range(5)]
    bias = values(*drawn(5, 9))

    def loss(i: Any, j: Any, x: Any) -> Value:
        row, other = mp.pick(table, i), mp.pick(table, j)
        shifted = mp.pick([mp.dot(r, x) for r in table], i) + mp.pick(bias, j)
        return mp.dot(row, other) + shifted * mp.pick([1.0, 2.0, 3.0, 4.0, 5.0], i)

    p = [*bias, *itertools.chain(*table)]
    assert_alike(loss, p, [0, 4, 2, 2], [1, 4, 3, 0], [drawn(3, seed) for seed in range(4)])


@pytest.mark.parametrize("size", [1, 3, 4, 11])
def test_an_embedding(machine: str, size: int) -> None:
    table = [values(*drawn(8, seed)) for seed in range(5)]
    tokens = random.Random(size).choices(range(5), k=size)  # some of them twice

    def loss(i: Any, j: Any) -> Value:
        return mp.dot(mp.pick(table, i), mp.pick(table, j)).tanh()

    assert_alike(loss, [*itertools.chain(*table)], tokens, tokens[::-1])


@pytest.mark.parametrize("size", [1, 5, 24])
def test_dots_of_one_vector_with_many(machine: str, size: int) -> None:
    """As those of a query with all keys; the rows overlap, and some are the same."""
    w = values(*drawn(24, 1))

    def loss(x: Any) -> Value:
        h = [wi * x for wi in w]
        dots = [mp.dot(h[:5], h[i : i + 5]) for i in range(19)]
        squares = [mp.dot(h[i : i + 5], h[i : i + 5]) for i in range(4)]
        pairs = [mp.dot(h[i : i + 2], [h[i], h[j]]) for i, j in ((0, 0), (1, 1), (4, 5))]
        return mp.sum([dot * c for dot, c in zip([*dots, *squares, *pairs], drawn(26, 2))])

    assert_alike(loss, w, drawn(size, 3), scale=100.0)


def test_examples_of_different_shapes_in_one_batch(machine: str) -> None:
    embedding = [values(*drawn(2, seed)) for seed in range(6)]
    w = values(*drawn(2, 8))

    def loss(tokens: Any, y: Any) -> Value:
        rows = [mp.pick(embedding, token) for token in tokens]
        return (mp.sum([mp.dot(w, row).tanh() for row in rows]) - y) ** 2

    X = [[0, 1, 2], [5], [3, 3], [1, 2], [0], [4, 5, 0], [2]]
    assert_alike(loss, [*w, *itertools.chain(*embedding)], X, [1, 0, 2, 1, 0, 2, 1])


def test_longer_examples_reach_more_parameters(machine: str) -> None:
    w = values(*drawn(4, 1))

    def loss(x: Any) -> Value:
        return mp.dot(w[: len(x)], x) ** 2

    assert_alike(loss, w, [[1.0], [1.0, 2.0], [0.5], [0.5, -1.0, 2.0, 3.0]])
    compiled = mp.compile(loss)
    for X in ([[1.0]], [[1.0, 2.0], [2.0, 0.0]], [[0.5]], [[1.0, 2.0, 3.0, 4.0], [1.0]]):
        assert_alike(loss, w, X, compiled=compiled)


def test_gradients_that_are_nan_stay_in_their_program(machine: str) -> None:
    """Programs share their memory; what one leaves there, another must not add to."""
    w, v = values(*drawn(3, 1)), values(*drawn(6, 2))

    def loss(x: Any) -> Value:
        hidden = [mp.dot(w, [a, 1.0, a * a]).relu() for a in x]
        return mp.dot(v[: len(x)], hidden).exp() + mp.logsumexp([h * h for h in hidden])

    compiled = mp.compile(loss)
    for X in ([[inf] * 6] * 8, [[0.5, 2.0]] * 8, [[inf] * 3] * 5, [[1.0] * 4, [2.0] * 6] * 8):
        assert_alike(loss, [*w, *v], X, compiled=compiled)


def test_nested_lists_and_several_arguments(machine: str) -> None:
    w = values(*drawn(3, 1))

    def loss(image: Any, scale: Any, mask: Any) -> Value:
        rows = [mp.dot(w, row) * m for row, m in zip(image, mask)]
        return mp.sum(rows) * scale

    images = [[drawn(3, 10 * k + s) for s in range(2)] for k in range(3)]
    assert_alike(loss, w, images, [1, 2, 0.5], [(1, 0), (0, 1), (1, 1)])


def test_arrays_of_many_kinds(machine: str) -> None:
    np = pytest.importorskip("numpy")
    w = values(*drawn(3, 1))
    compiled = mp.compile(lambda x, i: mp.dot(w, x) * mp.pick(w, i))
    X, indices = [drawn(3, seed) for seed in range(4)], [0, 1, 2, 1]
    wanted = compiled(X, indices)
    array = np.array(X)
    assert compiled(array, np.array(indices)) == wanted
    assert compiled(np.asfortranarray(array), np.array(indices, np.int8)) == wanted
    assert compiled(np.repeat(array, 2, axis=0)[::2], np.array(indices, np.uint64)) == wanted
    assert compiled(list(array), list(np.array(indices))) == wanted
    assert compiled(array.astype(np.float32), indices) == pytest.approx(wanted, rel=1e-6)
    assert compiled([tuple(x) for x in X], tuple(indices)) == wanted


def test_numbers_are_handed_over_at_every_call(machine: str) -> None:
    w, v = Value(2.0), Value(3.0)
    compiled = mp.compile(lambda x: w * v * x)
    for number in (1.0, -5.0, 0.25):
        w.data = number
        assert compiled([1.0, 3.0]) == number * 3.0 * 2.0
        assert (w.grad, v.grad) == (6.0, number * 2.0)
        assert type(w.data) is type(w.grad) is float


def test_infinite_inputs(machine: str) -> None:
    a, b = p = values(0.5, -2.0)
    for x in (inf, -inf, 1e308, 5e-324, -0.0):
        assert_alike(lambda x: (a * x).tanh() + mp.maximum(b * x, a), p, [x])


# ---- the framework's models and losses

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "elu": lambda: nn.ELU(1.5),
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "softmax": nn.Softmax,
    "dropout": lambda: nn.Dropout(0.5).eval(),
}


def sequential(activation: str, outputs: int) -> nn.Module:
    generator = seeded()
    return nn.Sequential(
        nn.Linear(3, 4, generator=generator),
        ACTIVATIONS[activation](),
        nn.Linear(4, outputs, bias=activation != "relu", generator=generator),
    )


MODELS: dict[str, Callable[[int], nn.Module]] = {
    **{name: lambda outputs, name=name: sequential(name, outputs) for name in ACTIVATIONS},
    "Linear": lambda outputs: nn.Linear(3, outputs, generator=seeded()),
    "MLP": lambda outputs: nn.MLP(3, [5, 4, outputs], generator=seeded()),
    "MLP of tanh": lambda outputs: nn.MLP(3, [5, outputs], "tanh", generator=seeded()),
    "Layer": lambda outputs: nn.Layer(3, outputs, activation="gelu", generator=seeded()),
}

LOSSES: dict[str, tuple[Callable[..., Any], Callable[[random.Random], Any]]] = {
    "mse": (losses.mse, lambda r: [r.uniform(-1, 1), r.uniform(-1, 1)]),
    "l1": (losses.l1, lambda r: [r.uniform(-1, 1), r.uniform(-1, 1)]),
    "huber": (
        lambda p, t: losses.huber(p, t, delta=0.3),
        lambda r: [r.uniform(-1, 1), r.uniform(-1, 1)],
    ),
    "hinge": (losses.hinge, lambda r: [r.choice([-1, 1]), r.choice([-1, 1])]),
    "bce": (
        lambda p, t: losses.bce([v.sigmoid() for v in p], t),
        lambda r: [r.random(), r.choice([0, 1])],
    ),
    "bce_with_logits": (losses.bce_with_logits, lambda r: [r.random(), r.choice([0, 1])]),
    "cross_entropy": (losses.cross_entropy, lambda r: r.randrange(2)),
    "sum": (lambda p, t: losses.mse(p, t, "sum"), lambda r: [r.uniform(-1, 1)] * 2),
    "MSELoss": (nn.MSELoss(), lambda r: [r.uniform(-1, 1)] * 2),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_with_every_loss(machine: str, name: str, loss: str) -> None:
    model = MODELS[name](2)
    function, target = LOSSES[loss]
    compiled = mp.compile(lambda x, y: function(model(x), y))
    for size in SIZES if machine == "native" else [1, 7]:
        generator = seeded(size)
        X = [[generator.gauss(0, 1) for _ in range(3)] for _ in range(size)]
        y = [target(generator) for _ in range(size)]
        parameters = model.parameters()
        assert_alike(lambda x, y: function(model(x), y), parameters, X, y, compiled=compiled)


@pytest.mark.parametrize("name", MODELS)
def test_predictions(machine: str, name: str) -> None:
    for outputs in (1, 3):
        model = MODELS[name](outputs)
        predict = mp.compile(model)
        for size in SIZES:
            X = [drawn(3, seed) for seed in range(size)]
            predicted = predict(X)
            assert len(predicted) == size
            for x, row in zip(X, predicted):
                wanted = model(x)
                if isinstance(wanted, Value):
                    assert is_close(float(row), wanted.data)
                else:
                    assert len(row) == outputs
                    assert all(is_close(float(a), b.data) for a, b in zip(row, wanted))


@pytest.mark.parametrize("name", ["softmax", "dropout", "relu"])
def test_predictions_of_a_last_activation(machine: str, name: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4, generator=seeded()), ACTIVATIONS[name]())
    X = [drawn(3, seed) for seed in range(5)]
    for x, row in zip(X, mp.compile(model)(X)):
        assert all(is_close(float(a), b.data) for a, b in zip(row, model(x)))


def test_predictions_are_an_array_where_there_is_numpy(machine: str) -> None:
    np = pytest.importorskip("numpy")
    X = np.array([drawn(3, seed) for seed in range(5)])
    assert mp.compile(nn.MLP(3, [4, 1]))(X).shape == (5,)
    assert mp.compile(nn.MLP(3, [4, 2]))(X).shape == (5, 2)
    assert mp.compile(nn.Linear(3, 1))(X).shape == (5, 1)
    assert mp.compile(nn.Linear(3, 2))(X.reshape(1, 5, 3)).shape == (1, 5, 2)


def test_predictions_without_a_parameter(machine: str) -> None:
    rows = mp.compile(nn.Softmax())([[0.0, 0.0], [math.log(3.0), 0.0]])
    assert [[float(n) for n in row] for row in rows] == [
        pytest.approx([0.5, 0.5]),
        pytest.approx([0.75, 0.25]),
    ]


@pytest.mark.parametrize("edge", EDGES)
def test_a_network_with_an_edge_among_its_parameters(machine: str, edge: float) -> None:
    X, y = [[0.5, -1.0], [0.0, 2.0]], [1, -1]
    model = nn.MLP(2, [3, 1], generator=seeded())
    compiled = mp.compile(lambda x, y: losses.l1(model(x), y))  # a square would overflow
    for parameter in model.parameters():
        before, parameter.data = parameter.data, edge
        for size in (1, 2):
            function = compiled.function
            assert_alike(
                function, model.parameters(), X[:size], y[:size], compiled=compiled,
                scale=max(1.0, edge * edge) if edge * edge < inf else 1.0,
            )  # fmt: skip
        parameter.data = before


def test_kinks_and_ties(machine: str) -> None:
    model = nn.MLP(2, [3, 2], generator=seeded())
    for parameter in model.parameters():
        parameter.data = 0.0  # every neuron is at its kink, and all are tied

    def loss(x: Any, y: Any) -> Value:
        scores = model(x)
        return mp.max(scores) + mp.maximum(*scores) + mp.min(scores) + losses.l1(scores[0], y)

    assert_alike(loss, model.parameters(), [[0.5, -1.0], [0.0, 0.0]], [0.0, 1.0])


def test_penalties_on_the_weights(machine: str) -> None:
    model = nn.MLP(2, [4, 1], generator=seeded())
    p = model.parameters()
    X, y = [drawn(2, seed) for seed in range(7)], [1, -1, 1, 1, -1, -1, 1]
    for penalty in (
        lambda: 1e-2 * sum(w * w for w in p),
        lambda: 1e-2 * sum(w**2 for w in p),
        lambda: 1e-2 * mp.sum([abs(w) for w in p]),
        lambda: mp.sqrt(mp.dot(p, p)),
    ):
        assert_alike(lambda x, y, f=penalty: losses.hinge(model(x), y) + f(), p, X, y)


# ---- code that never heard of dot


def test_a_number_that_is_made_a_value_inside(machine: str) -> None:
    w, calls = values(*drawn(3, 1)), []

    def loss(x: Any) -> Value:
        calls.append(1)
        if len(calls) > 50:
            pytest.fail("the function is recorded again and again")
        return sum((wi * xi for wi, xi in zip(w, x)), Value(0.0)) * Value(2.0)

    assert_alike(loss, w, [drawn(3, seed) for seed in range(7)])


def test_what_inputs_alone_make(machine: str) -> None:
    w = values(2.0, -1.0)
    X = [drawn(2, seed) for seed in range(7)]
    assert_alike(lambda x: w[0] * (x[0] - x[1]) + w[1] * (1 - x[0]) ** 2, w, X)


def test_a_choice_inside_a_choice(machine: str) -> None:
    a, b = p = values(0.5, -2.0)

    def loss(x: Any, flag: Any) -> Value:
        return mp.where(x < 0, mp.where(flag, a * x, b), mp.where(flag, a * a, b * x))

    assert_alike(loss, p, [-1.0, -1.0, 1.0, 1.0], [1, 0, 1, 0])


def test_sums_of_products_as_in_micrograd(machine: str) -> None:
    w, b = values(*drawn(5, 1)), Value(0.3)
    X = [drawn(5, seed) for seed in range(7)]
    p = [*w, b]
    for neuron in (
        lambda x: sum((wi * xi for wi, xi in zip(w, x)), b).relu(),
        lambda x: (sum(wi * xi for wi, xi in zip(w, x)) + b).tanh(),
        lambda x: sum([xi * wi for wi, xi in zip(w, x)]) ** 2 - b,
        lambda x: (w[0] * x[0] + w[1] * x[1] - w[2] * x[2]) / (1 + abs(b)),
    ):
        assert_alike(neuron, p, X)


def test_the_nn_of_micrograd_compiles_and_trains(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("micrograd")
    micrograd = nn_over(engine, monkeypatch)

    def made() -> Any:
        random.seed(3)  # no neuron is dead from the start, at a kink by rounding alone
        return micrograd.MLP(2, [4, 4, 1])

    def loss_of(model: Any) -> Callable[..., Value]:
        def loss(x: Any, y: Any) -> Value:
            return (1 + -y * model(x)).relu() + 1e-4 * sum(p * p for p in model.parameters())

        return loss

    X = [drawn(2, seed) for seed in range(20)]
    y = [1 if a * b > 0 else -1 for a, b in X]
    one, other, third = made(), made(), made()
    assert_alike(loss_of(third), third.parameters(), X, y)

    optimizer = optim.SGD(other.parameters(), lr=0.5)
    step = mp.compile(loss_of(other), optimizer)
    trained = [step(X, y) for _ in range(15)]
    for loss in trained:
        wanted, gradients = eager(loss_of(one), one.parameters(), [X, y])
        assert is_close(loss, wanted)
        for parameter, gradient in zip(one.parameters(), gradients):
            parameter.data -= 0.5 * gradient
    assert trained[-1] < 0.8 * trained[0]
    for parameter, twin in zip(one.parameters(), other.parameters()):
        assert is_close(parameter.data, twin.data)

    predicted = mp.compile(other)(X)
    assert all(is_close(float(a), other(x).data) for x, a in zip(X, predicted))


# ---- random numbers


def test_random_numbers_are_drawn_at_every_call(machine: str) -> None:
    w = Value(1.0)
    generator = random.Random(3)
    compiled = mp.compile(lambda x: w * mp.rand(generator))
    drawn_ = [compiled([0.0]) for _ in range(50)]
    assert len(set(drawn_)) == 50
    assert all(0 <= number < 1 for number in drawn_)
    means = [compiled([0.0] * 64) for _ in range(20)]  # every example has its own
    assert all(0.3 < mean < 0.7 for mean in means)
    assert len(set(means)) == 20


def test_random_numbers_are_spread_evenly(machine: str) -> None:
    count = 20_000 if machine == "native" else 2_000
    model = Noise()
    numbers = sorted(float(n) for n in mp.compile(model)([0.0] * count))
    assert numbers[0] >= 0.0
    assert numbers[-1] < 1.0
    assert max(abs(n - i / count) for i, n in enumerate(numbers)) < 2.5 / math.sqrt(count)


class Noise(nn.Module):
    """Gives a random number for whatever it is given."""

    def __init__(self) -> None:
        self.generator = random.Random(0)

    def forward(self, x: Any) -> Value:
        return mp.rand(self.generator)


def test_two_random_numbers_of_one_example_differ(machine: str) -> None:
    w, generator = Value(1.0), random.Random(3)
    compiled = mp.compile(lambda x: w * (mp.rand(generator) - mp.rand(generator)) ** 2)
    assert compiled([0.0] * 64) == pytest.approx(1 / 6, abs=0.1)
    same = mp.compile(lambda x: w * (mp.rand(generator) - mp.rand()) ** 2)
    assert same([0.0] * 64) == pytest.approx(1 / 6, abs=0.1)


def test_a_seed_reproduces_random_numbers(machine: str) -> None:
    def run(seed: int) -> list[float]:
        w, generator = Value(1.0), random.Random(seed)
        compiled = mp.compile(lambda x: w * mp.rand(generator) * x)
        return [compiled([1.0, 2.0]) for _ in range(5)]

    assert run(1) == run(1)
    assert run(1) != run(2)

    def run_global(seed: int) -> float:
        random.seed(seed)
        w = Value(1.0)
        return mp.compile(lambda x: w * mp.rand())([1.0])

    assert run_global(1) == run_global(1) != run_global(2)


def test_a_call_draws_one_number_from_the_generator(machine: str) -> None:
    w, generator, twin = Value(1.0), random.Random(7), random.Random(7)
    compiled = mp.compile(lambda x: w * mp.rand(generator) * mp.rand(generator))
    for size in (1, 7, 64):  # and neither recording nor checking draws any
        compiled([0.0] * size)
        twin.getrandbits(62)
        assert generator.getstate() == twin.getstate()


def test_both_machines_draw_the_same_numbers() -> None:
    def run(machine: str) -> list[float]:
        with on(machine):
            generator = random.Random(5)
            model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.4, generator=generator))
            for i, p in enumerate(model.parameters()):
                p.data = float(i)
            compiled = mp.compile(lambda x: mp.sum(model(x)) * mp.rand(generator))
            return [compiled([[0.5, 1.0], [1.0, 2.0], [3.0, 0.0]]) for _ in range(4)]

    assert run("native") == pytest.approx(run("plain"), rel=1e-12)


def test_dropout_drops_its_share_and_scales_the_rest(machine: str) -> None:
    w, generator = Value(1.0), random.Random(1)
    model = nn.Sequential(nn.Dropout(0.25, generator=generator))
    predict = mp.compile(model)
    rows = [[float(n) for n in row] for row in predict([[1.0, 1.0, w.data, 1.0]] * 500)]
    assert {n for row in rows for n in row} == {0.0, 1 / 0.75}
    assert sum(n == 0 for row in rows for n in row) / 2000 == pytest.approx(0.25, abs=0.04)
    assert len({tuple(row) for row in rows}) == 16  # every example has masks of its own


def test_the_gradient_is_that_of_the_numbers_that_were_drawn(machine: str) -> None:
    w, generator = values(*drawn(6, 1)), random.Random(1)
    dropout = nn.Dropout(0.5, generator=generator)
    compiled = mp.compile(lambda x: mp.sum(dropout([wi * x for wi in w])))
    for _ in range(5):
        loss = compiled([2.0] * 9)
        assert loss == pytest.approx(sum(wi.data * wi.grad for wi in w), rel=1e-12)
        # each of the 9 examples adds 0 or 2 / 0.5 to every gradient
        assert all((wi.grad * 9 / 4) == pytest.approx(round(wi.grad * 9 / 4)) for wi in w)
