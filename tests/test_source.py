"""A program as a file of array code gives the losses, gradients and outputs of eager code."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from every_op import sum_of_every_op
from hypothesis import given, settings
from hypothesis import strategies as st
from own_rows import sum_of_squares

import micrograd_plus as mp
from micrograd_plus import losses, nn
from micrograd_plus.engine import Value
from micrograd_plus.ops import TABLE, op
from micrograd_plus.symbols import FUNCTIONS, ON_FLOATS

np = pytest.importorskip("numpy")
LIBRARIES = ["numpy", "jax", "torch"]


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def run(source: str) -> dict[str, Any]:
    """What the file defines."""
    names: dict[str, Any] = {}
    exec(compile(source, "<exported>", "exec"), names)
    return names


def eager(
    function: Callable[..., Value], parameters: Sequence[Value], batches: Sequence[Sequence[Any]]
) -> tuple[float, dict[float, float]]:
    """The mean loss, and the gradient of each parameter by its number, which is its own."""
    total, count = 0.0, len(batches[0])
    for parameter in parameters:
        parameter.grad = 0.0
    for example in zip(*batches):
        loss = function(*example)
        loss.backward(1 / count)
        total += loss.data
    gradients = {parameter.data: parameter.grad for parameter in parameters}
    assert len(gradients) == len(parameters)
    return total / count, gradients


def assert_alike(
    library: str,
    function: Callable[..., Value],
    parameters: Sequence[Value],
    *batches: Sequence[Any],
) -> str:
    """Compares the file with eager code; returns its source."""
    wanted, gradients = eager(function, parameters, batches)
    source = mp.as_source(function, library, *[batch[0] for batch in batches])
    names = run(source)
    loss, found = names["loss_and_gradients"](names["PARAMETERS"], *batches)
    assert float(loss) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    by_number: dict[float, float] = {}
    for name, array in names["PARAMETERS"].items():
        assert np.shape(array) == np.shape(found[name])
        by_number |= zip(np.ravel(array).tolist(), np.ravel(found[name]).tolist())
    unused = dict.fromkeys(gradients.keys() - by_number.keys(), 0.0)
    assert by_number | unused == pytest.approx(gradients, rel=1e-9, abs=1e-9)
    return source


def numbers(*size: int) -> Any:
    return np.random.default_rng(0).normal(size=size).tolist()


def shuffled(model: nn.Module) -> list[Value]:
    """The parameters, each with a number of its own, also those that begin as 0 or 1."""
    generator = random.Random(1)
    for parameter in model.parameters():
        parameter.data = generator.uniform(-1, 1)
    return list(model.parameters())


# ---- models


def test_a_network_with_hinge_and_a_penalty(library: str) -> None:
    model = nn.MLP(2, [3, 1])
    parameters = shuffled(model)

    def loss(x: Any, y: Any) -> Value:
        return losses.hinge(model(x), y) + 1e-2 * mp.sum([p * p for p in parameters])

    source = assert_alike(library, loss, parameters, numbers(5, 2), [1, -1, 1, 1, -1])
    assert "# MLP.Layer.Neuron\n" in source
    assert " @ layers_0_neurons_w.T + layers_0_neurons_b\n" in source
    assert "micrograd" not in source
    assert "NUMBERS" not in source  # a number stands where it is used
    assert max(map(len, source.splitlines())) <= 100


def test_a_convolutional_network(library: str) -> None:
    layers = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)]
    model = nn.Sequential(*layers)
    parameters = shuffled(model)
    images, labels = numbers(3, 1, 6, 6), [0, 1, 1]
    assert_alike(
        library, lambda x, y: losses.cross_entropy(model(x), y), parameters, images, labels
    )


def test_a_recurrent_network(library: str) -> None:
    model = nn.LSTM(2, 3)
    assert_alike(
        library,
        lambda x, y: losses.mse(model(x)[0][-1], y),
        shuffled(model),
        numbers(4, 3, 2),
        numbers(4, 3),
    )


def test_a_language_model(library: str) -> None:
    model = nn.GPT(5, width=4, heads=2, layers=1, context=3)
    assert_alike(
        library,
        lambda tokens, y: losses.cross_entropy(model(tokens), y),
        shuffled(model),
        [[0, 1, 2], [4, 4, 1]],
        [[1, 2, 3], [4, 1, 0]],
    )


# ---- ops


def test_every_op_also_at_its_kinks(library: str) -> None:
    """Where the formula is not smooth, the gradient is that of the table, not of the formula."""
    w = [Value(0.3), Value(1.7), Value(0.8)]

    def loss(x: Any) -> Value:
        return sum_of_every_op(w, x)

    # 0.5 and 1.5 are inside all domains; at 0 are the kinks of relu, abs and the like
    assert_alike(library, loss, w, [[0.5, 0.5], [1.5, 0.25]])
    smooth = ("relu", "leaky_relu", "elu", "softplus", "sigmoid", "silu", "gelu", "abs", "tanh")

    def kinks(x: Any) -> Value:
        ties = [mp.maximum(w[0] * x, w[1] * x), mp.minimum(w[2] * x, w[1] * x)]
        ties += [mp.max([w[0] * x, w[1] * x]), mp.min([w[2] * x, w[1] * x])]
        return mp.sum([TABLE[name](w[0] * x + x) for name in smooth] + ties) + mp.sum(
            [TABLE[name](w[i] + x) * w[i] for i, name in enumerate(("relu", "abs", "sigmoid"))]
        )

    assert_alike(library, kinks, w, [0.0, 1.0, -1.0])
    tied = [Value(0.5), Value(0.25)]
    assert_alike(
        library,
        lambda x: mp.maximum(tied[0] * x[0], tied[1] * x[1]) + mp.max([t * t for t in tied]),
        tied,
        [[1.0, 2.0], [2.0, 1.0]],
    )


def test_an_op_and_a_reduction_of_ones_own(library: str) -> None:
    squares = sum_of_squares()
    energy = op("energy", lambda x: squares(x), lambda out, x: 2 * x, nary=True)
    try:
        w = [Value(0.5), Value(-2.0)]
        assert_alike(library, lambda x: energy([w[0] * x, w[1], w[0]]), w, [1.0, 3.0])
    finally:
        del TABLE["energy"], FUNCTIONS["sum_of_squares"], ON_FLOATS["sum_of_squares"]


def test_a_gradient_that_is_stopped(library: str) -> None:
    w = [Value(0.5), Value(-2.0)]

    def loss(x: Any) -> Value:
        with mp.no_grad():
            fixed = (w[0] * x).exp()
        return fixed * w[1] + w[0] * w[1]

    assert_alike(library, loss, w, [1.0, 3.0])


@pytest.mark.parametrize("seed", range(8))
def test_operands_in_any_order(seed: int) -> None:
    """Numbers of several arrays, in all orders: slices, joins and index arrays, there and back."""
    generator = random.Random(seed)
    w = [Value(generator.uniform(-1, 1)) for _ in range(6)]

    def loss(x: Any) -> Value:
        order = random.Random(seed)
        values = [*w, *x, *[v.tanh() for v in w], *[v * w[0] for v in x]]
        for _ in range(4):
            chosen = [order.choice(values) for _ in range(6)]
            values += [a * b for a, b in itertools.pairwise(chosen)]
            values.append(mp.dot(chosen[:3], chosen[3:]))
            values.append(mp.logsumexp(chosen))
        return mp.sum(values[-9:])

    assert_alike("numpy", loss, w, numbers(3, 4))


BETWEEN: list[Callable[[int], nn.Module]] = [
    *(lambda width: nn.Tanh(), lambda width: nn.GELU(), lambda width: nn.LeakyReLU(0.1)),
    *(lambda width: nn.Softmax(), nn.LayerNorm, nn.RMSNorm),
    lambda width: nn.LayerNorm(width, bias=False),
]


@st.composite
def networks(draw: st.DrawFn) -> nn.Sequential:
    """A small network, in which layers may share their weights, or their biases alone."""
    layers: list[Any] = []
    for size in itertools.pairwise(draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))):
        layer = nn.Linear(*size, draw(st.booleans()), generator=random.Random(0))
        for other in layers:
            if type(other) is nn.Linear and other.config() == layer.config():
                layer.weight = draw(st.sampled_from([layer.weight, other.weight]))
            if type(other) is nn.Linear and layer.bias and len(other.bias or []) == size[1]:
                layer.bias = draw(st.sampled_from([layer.bias, other.bias]))
        between = draw(st.lists(st.sampled_from(BETWEEN), max_size=2))
        layers += [layer, *(make(size[1]) for make in between)]
    return nn.Sequential(*layers)


@given(networks(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_small_networks_of_any_kind(model: nn.Sequential, penalised: bool) -> None:
    parameters = shuffled(model)

    def loss(x: Any, y: Any) -> Value:
        error = mp.sum([(out - y) ** 2 * (i + 1) for i, out in enumerate(model(x))])
        return error + 0.1 * mp.dot(parameters, parameters) if penalised else error

    width = model[0].config()["in_features"]
    assert_alike("numpy", loss, parameters, numbers(3, width), numbers(3))


def test_parameters_that_are_no_finite_numbers(library: str) -> None:
    model = nn.Linear(3, 1, bias=False)
    model.load_state_dict({"weight": [[math.inf, -math.inf, math.nan]]})
    kept = run(mp.as_source(model, library, [1.0, 2.0, 3.0]))["PARAMETERS"]["weight"]
    assert np.array_equal(np.asarray(kept), [[math.inf, -math.inf, math.nan]], equal_nan=True)


# ---- outputs


def test_the_outputs_of_a_model(library: str) -> None:
    model = nn.Conv2d(1, 2, 2)
    images = numbers(3, 1, 3, 4)
    names = run(mp.as_source(model, library, images[0]))
    found = np.asarray(names["predict"](names["PARAMETERS"], images))
    wanted = [[[[v.data for v in row] for row in map_] for map_ in model(x)] for x in images]
    assert found.shape == (3, 2, 2, 3)
    assert found.ravel().tolist() == pytest.approx(np.ravel(wanted).tolist(), rel=1e-9)


def test_outputs_of_several_lengths_stay_in_one_row() -> None:
    model = nn.LSTM(1, 2)
    names = run(mp.as_source(model, "numpy", [[0.5], [1.0]]))
    x = numbers(3, 2, 1)
    outputs, (hidden, cell) = model(x[1])
    wanted = [v.data for part in (outputs, hidden, cell) for v in np.ravel(part)]
    assert names["predict"](names["PARAMETERS"], x)[1].tolist() == pytest.approx(wanted)


# ---- how it is called


def test_the_file_runs_alone(tmp_path: Path) -> None:
    model = nn.MLP(2, [2, 1], generator=random.Random(0))
    path = tmp_path / "model.py"
    source = mp.as_source(model, "numpy", [1.0, 2.0])
    path.write_text(f"{source}print(predict(PARAMETERS, [[1, 2]])[0])", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, cwd=tmp_path, env={}, check=False
    )
    assert float(done.stdout) == pytest.approx(model([1.0, 2.0]).data), done.stderr


def test_a_compiled_function_knows_its_shape() -> None:
    model = nn.MLP(2, [2, 1], generator=random.Random(0))
    step = mp.compile(model)
    with pytest.raises(ValueError, match=r"pass one example .* called so far: none"):
        mp.as_source(step, "numpy")
    step([[1.0, 2.0]])
    assert mp.as_source(step, "numpy") == mp.as_source(model, "numpy", [0.0, 0.0])
    rnn = mp.compile(nn.RNN(1, 1))
    rnn([[[1.0]], [[1.0], [2.0]]])
    with pytest.raises(ValueError, match=r"so far: \(1, 1\); \(2, 1\)"):
        mp.as_source(rnn, "numpy")


def test_what_cannot_be_exported() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"call eval\(\) of the model first"):
        mp.as_source(model, "numpy", [1.0, 2.0])
    model.eval()
    assert "predict" in run(mp.as_source(model, "numpy", [1.0, 2.0]))
    with pytest.raises(ValueError, match="library is 'numpy', 'jax', 'torch', not 'tensorflow'"):
        mp.as_source(model, "tensorflow", [1.0, 2.0])
    with pytest.raises(TypeError, match="takes 1 arguments, x, and the example has 2"):
        mp.as_source(model, "numpy", [1.0, 2.0], 1)
    with pytest.raises(TypeError, match="this one returned a list"):
        mp.as_source(lambda x: model(x), "numpy", [1.0, 2.0])
    with pytest.raises(ValueError, match="depends on no parameter"):
        mp.as_source(lambda x: x * x, "numpy", 1.0)


def test_matrix_products_that_depend_on_no_example(library: str) -> None:
    generator = random.Random(0)
    w = [[Value(generator.uniform(-1, 1)) for _ in range(3)] for _ in range(4)]
    v = [[Value(generator.uniform(-1, 1)) for _ in range(3)] for _ in range(2)]

    def loss(x: Any) -> Value:
        products = [mp.dot(a, b) for a in w for b in v]
        return mp.mean([(p * x).tanh() for p in products]) + mp.sum([p * p for p in products])

    assert_alike(library, loss, [value for row in w + v for value in row], [0.5, -1.0])
