"""Compiled with dtype="float32": the numbers are those of float64, rounded, and PyTorch's."""

from __future__ import annotations

import dataclasses
import itertools
import math
import platform
import random
import re
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from machines import on, values
from optimizers import CASES, ids, start, valley
from parity import gpt_in_torch, numbers, pytorch, seeded, train, twin_of

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.compiler import dtypes, interpreter, machine_code
from micrograd_plus.compiler.batches import Task
from micrograd_plus.compiler.compiled import Step
from micrograd_plus.compiler.dtypes import FLOAT32, FLOAT64
from micrograd_plus.compiler.loops import OpLoops, joins, update_loop
from micrograd_plus.engine import Value, apply
from micrograd_plus.ops import TABLE
from micrograd_plus.optim.updates import trace

inf, nan = math.inf, math.nan
EDGES = [0.0, -0.0, 1.0, -1.0, 30.0, -30.0, inf, -inf, nan]
WIDTHS = {name: len(op.operands) * (3 if op.nary else 1) for name, op in TABLE.items()}


def rounded(number: float) -> float:
    """The nearest float32."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return math.copysign(inf, number)


def assert_near(got: float, wanted: float, where: str, near: float = 1e-5) -> None:
    """That a float32 is `wanted` but for its last digits; an inf must be one, and nan be nan."""
    wanted = rounded(wanted)
    assert got == rounded(got) or got != got, f"{where}: {got} is no float32"
    assert got == pytest.approx(wanted, rel=near, abs=near, nan_ok=True), where


# ---- every op of the table


def rows_of(width: int) -> list[tuple[float, ...]]:
    """Operands: edges, ties among them, and ordinary numbers."""
    draw = random.Random(width)
    drawn = [tuple(rounded(draw.uniform(0.1, 2)) for _ in range(width)) for _ in range(20)]
    if width <= 2:
        return [*itertools.product(EDGES, repeat=width), *drawn]
    mixed = [tuple(draw.choice(EDGES) for _ in range(width)) for _ in range(60)]
    return [*[(edge,) * width for edge in EDGES], *mixed, *drawn]


@pytest.mark.parametrize(("name", "width"), WIDTHS.items())
def test_an_op_at_the_edges(machine: str, name: str, width: int) -> None:
    op, operands = TABLE[name], values(*[0.5] * width)
    compiled = mp.compile(lambda x: apply(op, *operands), dtype="float32")
    rows = rows_of(width)
    for row in rows if machine == "native" else rows[:: 1 + len(rows) // 40]:
        for operand, number in zip(operands, row):
            operand.data = number
        where, wanted = f"{name}{row}", op.forward(*row)
        assert_near(compiled([0.0]), wanted, where)
        partials = [0.0 + partial for partial in op.partials(rounded(wanted), *row)]
        for i, (operand, partial) in enumerate(zip(operands, partials)):
            assert_near(operand.grad, partial, f"the derivative of {where} by operand {i}")


@pytest.mark.parametrize(("name", "width"), WIDTHS.items())
def test_an_op_of_many_examples(machine: str, name: str, width: int) -> None:
    """More of them than a vector holds, with operands of all kinds, and some left over."""
    draw = random.Random(width)
    X = [[draw.uniform(0.1, 1.2) for _ in range(width)] for _ in range(37)]
    p = values(*[draw.uniform(0.1, 1.2) for _ in range(width + 1)])
    kinds = [lambda x, k: p[k], lambda x, k: x[k], lambda x, k: p[k] * x[k]]

    def loss(x: Any) -> Value:
        operands = [kinds[k % 3](x, k) for k in range(1, width + 1)]
        return apply(TABLE[name], *operands) * p[0]

    rows = [[0.0, *row] for row in X]
    for parameter in p:
        parameter.grad = 0.0
    total = sum(loss(row) for row in rows) / len(rows)
    total.backward()
    gradients = [parameter.grad for parameter in p]
    found = mp.compile(loss, dtype="float32")(rows)
    assert found == pytest.approx(total.data, rel=2e-6, abs=1e-6)
    for parameter, wanted in zip(p, gradients):
        assert_near(parameter.grad, wanted, name)


class Exp(nn.Module):
    """e to the power of each input."""

    def forward(self, x: Any) -> Any:
        return [x.exp()]


def test_exp_is_exact_to_the_last_digits(fast: None) -> None:
    predict, draw = mp.compile(Exp(), dtype="float32"), random.Random(0)
    X = [rounded(draw.uniform(-104, 89)) for _ in range(20_000)]
    for x, (y,) in zip(X, predict(X).tolist()):
        assert abs(y - rounded(math.exp(x))) <= max(1.2e-7 * math.exp(x), 1.5e-45) or y == inf
    least, most = -103.97, 88.72283  # beyond them, e**x is nearer to 0, and larger than any
    edges = [most, 88.72284, 89.0, 1e30, inf, -87.4, least, -103.98, -1e30, -inf, -0.0]
    found = [y for (y,) in predict(edges).tolist()]
    assert found[:5] == [pytest.approx(3.4028e38, rel=1e-4), inf, inf, inf, inf]
    assert found[5:] == [pytest.approx(1.103e-38, rel=1e-3), rounded(5e-324 + 1e-45), 0, 0, 0, 1]


@pytest.mark.parametrize("name", TABLE)
def test_no_loop_has_a_number_of_64_bits(name: str) -> None:
    """One would make 64 bits of all that is computed with it, at half the speed."""
    lines = "\n".join(joins(FLOAT32).values()).splitlines()
    for of_row in {False, TABLE[name].nary}:
        writer = OpLoops(TABLE[name], FLOAT32, of_row)
        lines += writer.forward()
        for j in range(len(TABLE[name].operands)):
            lines += writer.backward(j)
    found = re.findall(r"(\w*\(?-?)\b(\d+\.\d*(?:e[-+]?\d+)?|inf|nan)\b", "\n".join(lines))
    assert all(before.rstrip("-") == "float32(" for before, _ in found), found


def test_an_update_has_numbers_of_64_bits_only_for_all_parameters_together() -> None:
    """They are rounded before the loop over the parameters."""
    update = trace(optim.Adam([Value(1.0)], lr=0.1, weight_decay=0.1))
    lines = update_loop(update, update.later, FLOAT32)
    begin = lines.index("for i in range(begin, end):")
    wide = [line.split(" = ")[0] for line in lines[:begin] if " = float32(" not in line]
    assert "lr_once" in wide
    assert not [line for line in lines[begin:] for name in wide if name in line]


# ---- trajectories


def assert_like_torch(ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Equal by PyTorch's own tolerance for float32."""
    torch = pytorch()
    torch.testing.assert_close(*[torch.tensor(x, dtype=torch.float32) for x in (ours, theirs)])


@pytest.mark.parametrize(("name", "settings"), CASES, ids=ids)
def test_an_optimizer_like_torch(fast: None, name: str, settings: dict[str, Any]) -> None:
    torch = pytorch()
    theirs = torch.tensor(start(), requires_grad=True)
    their_optimizer = getattr(torch.optim, name)([theirs], **settings)
    examples = [(1.0,), (0.5,)] * 10
    ours = values(*start())
    step = mp.compile(
        lambda scale: valley(ours, scale), getattr(optim, name)(ours, **settings), dtype="float32"
    )
    found = step.run([scale for (scale,) in examples], batch_size=1)
    expected = train(their_optimizer, lambda scale: valley(theirs, scale), examples)
    assert_like_torch(found, expected)
    assert_like_torch([parameter.data for parameter in ours], theirs.tolist())


def images(count: int, *shape: int) -> tuple[Any, list[int]]:
    import numpy as np

    draw = np.random.default_rng(0)
    return draw.normal(size=(count, *shape)), draw.integers(0, 3, count).tolist()


def networks() -> dict[str, tuple[nn.Module, Any, tuple[Any, list[int]]]]:
    """By name: a module, its twin's layers if it has another name in PyTorch, examples."""
    g = seeded(1)
    mlp = nn.Sequential(
        nn.Linear(12, 20, generator=g), nn.Tanh(), nn.Linear(20, 20, generator=g), nn.ReLU(),
        nn.Linear(20, 3, generator=g),
    )  # fmt: skip
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3, generator=g), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16, 3, generator=g),
    )  # fmt: skip
    return {"MLP": (mlp, images(40, 12)), "CNN": (cnn, images(40, 1, 6, 6))}


@pytest.mark.parametrize("name", ["MLP", "CNN"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_network_like_torch(fast: None, name: str, optimizer: str) -> None:
    torch = pytorch()
    model, (X, y) = networks()[name]
    twin = twin_of(model).float()
    how = {"SGD": {"lr": 0.1, "momentum": 0.9}, "Adam": {"lr": 0.01}}[optimizer]
    loss = torch.nn.CrossEntropyLoss()
    batches = [(torch.tensor(X[i : i + 10]).float(), torch.tensor(y[i : i + 10]))
               for i in range(0, 40, 10)]  # fmt: skip
    theirs = train(
        getattr(torch.optim, optimizer)(twin.parameters(), **how),
        lambda rows, targets: loss(twin(rows), targets),
        batches * 10,
    )
    step = mp.compile(
        lambda x, t: losses.cross_entropy(model(x), t),
        getattr(optim, optimizer)(model.parameters(), **how),
        dtype="float32",
    )
    assert_like_torch(step.run(X, y, batch_size=10, epochs=10), theirs)


def test_an_lstm_like_torch(fast: None) -> None:
    torch = pytorch()
    model = nn.CharRNN(5, 6, layers=1, cell="lstm", generator=seeded(1))
    parts = {
        "tokens": torch.nn.Embedding(5, 6),
        "recurrent": torch.nn.LSTM(6, 6, 1, batch_first=True),
        "head": torch.nn.Linear(6, 5),
    }
    twin = twin_of(model, torch.nn.ModuleDict(parts)).float()
    X, y = [[0, 3, 1, 4, 2], [2, 2, 0, 1, 3]], [[3, 1, 4, 2, 0], [2, 0, 1, 3, 4]]

    def their_loss(tokens: Any, targets: Any) -> Any:
        output, _ = twin["recurrent"](twin["tokens"](torch.tensor(tokens)))
        scores = twin["head"](output).flatten(0, 1)
        return torch.nn.functional.cross_entropy(scores, torch.tensor(targets).flatten())

    theirs = train(torch.optim.Adam(twin.parameters(), lr=0.01), their_loss, [(X, y)] * 40)
    step = mp.compile(
        lambda x, t: losses.cross_entropy(model(x), t),
        optim.Adam(model.parameters(), lr=0.01),
        dtype="float32",
    )
    assert_like_torch(step.run(X, y, epochs=40), theirs)


def test_a_gpt_like_torch(fast: None) -> None:
    torch = pytorch()
    model = nn.GPT(27, generator=seeded())
    names = mp.data.names()[:60]
    X, y = mp.text.CharacterTokenizer("abcdefghijklmnopqrstuvwxyz").examples(names)
    their_loss, w = gpt_in_torch(model, "float32")
    adam = {"lr": 1e-3, "betas": (0.85, 0.99)}
    theirs = train(torch.optim.Adam(w.values(), **adam), their_loss, zip(X, y))
    step = mp.compile(
        lambda x, t: losses.cross_entropy(model(x), t),
        optim.Adam(model.parameters(), **adam),
        dtype="float32",
    )
    assert_like_torch(step.run(X, y, batch_size=1), theirs)


def test_both_machines_train_alike(fast: None) -> None:
    X, y = mp.data.moons(12, seed=1)

    def trained(machine: str) -> list[float]:
        model = nn.MLP(2, [5, 1], activation="tanh", generator=seeded())
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        with on(machine):
            step = mp.compile(lambda x, t: (model(x) - t) ** 2, optimizer, dtype="float32")
            found = step.run(X, y, batch_size=5, epochs=4)
        for parameter in model.parameters():
            assert parameter.data == rounded(parameter.data)
            assert parameter.grad == rounded(parameter.grad)
        return found

    assert trained("native") == pytest.approx(trained("plain"), rel=1e-5)


# ---- numbers below the smallest normal float, for which some processors take very long

FLUSHED = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="other processors keep tiny numbers"
)


@FLUSHED
@pytest.mark.parametrize("size", [1, 16])
def test_a_tiny_gradient_is_0(fast: None, size: int) -> None:
    w = Value(1.0)
    predict = mp.compile(lambda x: w * 1e-20 * x, dtype="float32")
    assert predict([1e-20] * size) == pytest.approx(rounded(1e-40), rel=1e-4)
    assert w.grad == 0.0
    mp.compile(lambda x: w * 1e-20 * x)([1e-20] * size)
    assert w.grad == pytest.approx(1e-40)


@FLUSHED
def test_a_momentum_that_decays_becomes_0(fast: None) -> None:
    """Rounded, 0.9 times the smallest floats would be the same again, for ever."""
    w = Value(1.0)
    optimizer = optim.SGD([w], lr=1.0, momentum=0.9)
    step = mp.compile(lambda x: w * x, optimizer, dtype="float32")
    step.run([1.0] + [0.0] * 1200, batch_size=1, progress=False)
    (state,) = optimizer.state_dict()["state"]
    assert set(state.values()) == {0.0}


# ---- what a caller sees


def test_what_is_not_moved_keeps_its_number(machine: str) -> None:
    a, b = values(0.1, 0.2)
    loss = mp.compile(lambda x: a * b * x, dtype="float32")([3.0])
    assert (a.data, b.data) == (0.1, 0.2)
    assert loss != 0.06
    assert loss == pytest.approx(0.06, rel=1e-6)
    assert a.grad == pytest.approx(0.6, rel=1e-6)
    mp.compile(lambda x: a * b * x, optim.SGD([a], lr=0.1), dtype="float32")([3.0])
    assert a.data == rounded(a.data) != 0.1
    assert b.data == 0.2


def test_predictions_in_64_bits_of_what_a_step_in_32_bits_does_not_move(machine: str) -> None:
    a, b = values(0.1, 0.2)

    class Product(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = a, b

        def forward(self, x: Any) -> Any:
            return self.a * self.b * x

    model = Product()
    predict = mp.compile(model)
    step = mp.compile(lambda x: model(x), optim.SGD([a], lr=0.1), dtype="float32")
    for _ in range(2):
        step([3.0])
        assert b.data == 0.2
        assert a.data == rounded(a.data)
        assert predict([3.0])[0] == a.data * 0.2 * 3.0


def test_a_gradient_whose_square_is_too_large_is_clipped(machine: str) -> None:
    class Clipped(Step):
        def _task(self, differentiated: bool = True) -> Task:
            return dataclasses.replace(super()._task(differentiated), clip=1.0)

    a, b = values(1.0, 2.0)
    step = Clipped(lambda x: (a * 3e25 + b * 4e25) * x, optim.SGD([a, b], lr=1.0), dtype="float32")
    step([1.0])
    assert [a.data, b.data] == pytest.approx([1 - 0.6, 2 - 0.8], rel=1e-6)


def test_predictions_have_the_dtype(machine: str) -> None:
    np = pytest.importorskip("numpy")
    model = nn.Linear(2, 3)
    X = [[0.1, 0.2], [0.3, 0.4]]
    for dtype in ("float32", "float64"):
        found = mp.compile(model, dtype=dtype)(X)
        assert found.dtype == np.dtype(dtype)
        assert found == pytest.approx(np.array([numbers(model(x)) for x in X]), abs=1e-6)


def test_numbers_that_are_too_large_become_infinite(machine: str) -> None:
    w = Value(1e300)
    loss = mp.compile(lambda x: w * x, dtype="float32")
    assert loss([1.0]) == inf
    w.data = 2.0
    assert loss([-1e300]) == -inf
    assert loss([1e-50]) == 0.0
    assert mp.compile(lambda x: w * x - 1e300, dtype="float32")([1.0]) == -inf


def test_random_numbers_are_below_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "uniform", lambda seed, count: 1 - 2.0**-53)
    with on("plain"):
        for dtype in (FLOAT32, FLOAT64):
            w = Value(1.0)
            compiled = mp.compile(lambda x, w=w: mp.rand() * w, dtype=dtype.name)
            assert compiled([0.0]) == dtype.below_one < 1
    assert FLOAT32.below_one == rounded(FLOAT32.below_one)


def test_indices_stay_exact(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few = dataclasses.replace(FLOAT32, digits=3)  # all whole numbers up to 8
    w = values(*range(9))
    loss = mp.compile(lambda i: mp.pick(w, i), dtype="float32")
    assert [loss([i]) for i in range(9)] == list(range(9))
    monkeypatch.setattr(dtypes, "dtype_of", lambda given: few)
    compiled = mp.compile(lambda i: mp.pick(w[:8], i), dtype="float32")
    compiled._programs.dtype = few
    assert compiled._programs.prepare(compiled.examples([[7]]))
    compiled = mp.compile(lambda i: mp.pick([*w, *w], i), dtype="float32")
    compiled._programs.dtype = few
    with pytest.raises(ValueError, match=r"from 18 Values .* up to 17, .* only up to 8: .*float64"):
        compiled([1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dtype_may_be_a_librarys_own(dtype: str) -> None:
    np, torch = pytest.importorskip("numpy"), pytorch()
    for given in (dtype, np.dtype(dtype), getattr(np, dtype), getattr(torch, dtype)):
        assert dtypes.dtype_of(given).name == dtype


@pytest.mark.parametrize("dtype", ["float16", "double", "float", 32, None, float, int])
def test_other_dtypes_are_refused(dtype: Any) -> None:
    with pytest.raises(ValueError, match='dtype is "float64" or "float32", and not'):
        mp.compile(lambda x: x, dtype=dtype)


def test_another_dtype_than_the_default_is_shown() -> None:
    model = nn.Linear(1, 1)
    sgd = optim.SGD(model.parameters())
    assert repr(mp.compile(model)) == "Predict(Linear)"
    assert repr(mp.compile(model, dtype="float32")) == "Predict(Linear, dtype='float32')"
    step = mp.compile(model.forward, sgd, dtype="float32")
    assert repr(step) == f"Step(forward, {sgd!r}, dtype='float32')"
    assert str(step).startswith(repr(step))


def test_machine_code_of_each_dtype_has_its_own_place(
    fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from micrograd_plus.compiler import native

    made = []

    def load(title: str, text: str, compiled: Any) -> dict[str, int]:
        made.append((title, machine_code.key(text)))
        return {"run": 0}

    monkeypatch.setattr(machine_code, "load", load)
    monkeypatch.setattr(native, "_addresses", native._addresses.__wrapped__)
    for dtype in (FLOAT32, FLOAT64):
        native.run_kernel(dtype)
        native.loops_of.__wrapped__(TABLE["exp"], dtype)
    assert len(set(made)) == 4
