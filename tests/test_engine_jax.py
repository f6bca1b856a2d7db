"""engine="jax" gives the numbers of the library's own engine, on one device and on several."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from every_op import sum_of_every_op

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.engine import Value
from micrograd_plus.engines import jax_arrays
from micrograd_plus.engines.jax_code import JaxCode

np = pytest.importorskip("numpy")
jax = pytest.importorskip("jax")
NEAR = {"rel": 1e-9, "abs": 1e-9}
IN_FLOAT32 = {"rel": 1e-4, "abs": 1e-4}

Numbers = list[float]
Training = Callable[..., Numbers]


def noise(*size: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=size).tolist()


def seeded() -> random.Random:
    return random.Random(0)


def numbers_of(model: nn.Module) -> Numbers:
    """The parameters' numbers, and their gradients."""
    parameters = model.parameters()
    return [p.data for p in parameters] + [p.grad for p in parameters]


def assert_alike(training: Training, near: dict[str, float] = NEAR, **how: Any) -> None:
    """Compares what a training gives on both engines."""
    given = {engine: training(engine=engine, **how) for engine in ("native", "jax")}
    assert len(given["jax"]) > 1
    assert given["jax"] == pytest.approx(given["native"], **near)


# ---- numbers in another order


@pytest.mark.parametrize(
    "index",
    [
        [5, 5, 5],
        [1, 9, 17, 3, 11, 19],
        [6, 7, 8, 9, 14, 15, 16, 17, 22, 23, 24, 25],  # over the end of a row of 8
    ],
)
def test_numbers_that_follow_in_steps(index: list[int]) -> None:
    found = jax_arrays.steps_of(index)
    assert found
    x = np.arange(52.0).reshape(2, 26)
    np.testing.assert_array_equal(jax_arrays.strided(x, *found, (len(index),)), x[:, index])


@pytest.mark.parametrize("length", [5, jax_arrays.LONG + 1])
@pytest.mark.parametrize("own", [False, True], ids=["all from the same", "each from its own"])
def test_picked_numbers(own: bool, length: int) -> None:
    """Three indices for each of four examples; each picks from two rows."""
    generator = np.random.default_rng(0)
    index = generator.integers(0, length, (4, 3))
    rows = jax.numpy.asarray(generator.normal(size=(6 if own else 2, length)), "float32")
    wanted = [
        [rows[2 * i * own + r, chosen] for i, chosen in enumerate(chosens) for r in range(2)]
        for chosens in index
    ]
    np.testing.assert_allclose(jax_arrays.picked(rows, index, 2, False), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("left", "right", "are_grids"),
    [
        ("abac", "xyyx", True),  # the third dot joins the first two
        ("abb", "xyz", False),  # grids of two sizes
        ("abbccddee", "ppqqrrsst", False),  # a grid of 25 dots for 9
    ],
)
def test_dots_in_grids(left: str, right: str, are_grids: bool) -> None:
    grids = jax_arrays.grids_of(left, right)
    assert (grids is not None) == are_grids
    if grids is None:
        return
    generator = np.random.default_rng(0)
    vectors = {name: generator.normal(size=3) for name in {*left, *right}}
    rows = [np.array([[vectors[name] for name in side]]) for side in (grids.left, grids.right)]
    dots = jax_arrays.products(*rows, grids.count)[0][np.array(grids.index)]
    wanted = [vectors[a] @ vectors[b] for a, b in zip(left, right)]
    np.testing.assert_allclose(dots, wanted, rtol=1e-5)


# ---- models


def training_of(
    make: Callable[[], nn.Module], loss: Callable[..., Value], X: Any, y: Any, batch: int = 2
) -> Training:
    """A run in batches, the last of which may be smaller."""

    def training(**how: Any) -> Numbers:
        model = make()
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        step = mp.compile(lambda x, t: loss(model(x), t), optimizer, **how)
        given = step.run(X, y, epochs=2, batch_size=batch, shuffle=True, progress=False)
        return given + numbers_of(model)

    return training


def images() -> tuple[Any, list[int]]:
    return noise(3, 1, 6, 6), [0, 1, 1]


def mlp() -> nn.Module:
    return nn.MLP(2, [5, 4, 3], activation="tanh", generator=seeded())


def cnn() -> nn.Module:
    convolution = nn.Conv2d(1, 2, 3, generator=seeded())
    last = nn.Linear(8, 2, generator=seeded())
    return nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), last)


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4, generator=seeded()), nn.LayerNorm(4), nn.GELU())


def gpt() -> nn.Module:
    return nn.GPT(5, width=4, heads=2, layers=1, context=4, generator=seeded())


TEXTS = [[0, 1, 2], [4, 4, 1, 3], [2, 1, 0], [1, 0, 3, 3]]
SHORTER = [text[1:] for text in TEXTS]  # XLA compiles them in three quarters of the time
TRAININGS = {
    "MLP": training_of(mlp, losses.cross_entropy, noise(5, 2), [0, 1, 2, 1, 0]),
    "CNN": training_of(cnn, losses.cross_entropy, *images()),
    "norms": training_of(normalised, losses.mse, noise(4, 3), noise(4, 4, seed=1)),
    "RNN": training_of(
        lambda: nn.RNN(2, 3, generator=seeded()),
        lambda given, y: losses.mse(given[0][-1], y),
        noise(3, 3, 2),
        noise(3, 3, seed=1),
    ),
    "LSTM": training_of(
        lambda: nn.LSTM(2, 2, generator=seeded()),
        lambda given, y: losses.huber(given[0][-1], y),
        noise(3, 2, 2),
        noise(3, 2, seed=1),
    ),
    "GPT, two lengths": training_of(gpt, losses.cross_entropy, SHORTER, SHORTER),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_the_same(name: str) -> None:
    assert_alike(TRAININGS[name])


def test_what_is_computed_in_holes_stays_there() -> None:
    """Where attention hides what comes later, exp is inf here; the gradient must not be nan."""
    x, y = [[[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]], [0.0]
    w = [Value(1000.0), Value(0.5)]

    def loss(rows: Any, t: Any) -> Value:
        keys = [[w[0] * place, w[1] * one] for place, one in rows]
        total = t
        for i, (place, one) in enumerate(rows):
            fits = [mp.dot([one, place], key) for key in keys[: i + 1]]
            shares = [(fit - mp.logsumexp(fits)).exp() for fit in fits]
            total = total + mp.dot(shares, [key[0] for key in keys[: i + 1]])
        return total

    def gradient(engine: str) -> Numbers:
        step = mp.compile(loss, engine=engine)
        value = step(x, y)
        if engine == "jax":
            (code,) = step._programs.machine.codes.values()
            assert code.spread
        return [value, *[p.grad for p in w]]

    assert all(map(math.isfinite, gradient("native")))
    assert_alike(gradient)


@pytest.mark.parametrize(
    ("make", "X", "y"), [(mlp, noise(5, 2), [0, 1, 2, 1, 0]), (gpt, TEXTS, TEXTS)]
)
def test_no_number_is_taken_by_an_index(make: Callable[[], nn.Module], X: Any, y: Any) -> None:
    """XLA is slow with it, and with parameters that are joined in each step."""
    model = make()
    weights = model.parameters()

    def loss(x: Any, t: Any) -> Value:
        return losses.cross_entropy(model(x), t) + 0.1 * mp.dot(weights, weights)

    step = mp.compile(loss, optim.SGD(weights))
    step.prepare(step.examples([X, y]))
    for program in step.programs.values():
        source = JaxCode(program, "float64").source
        assert "taken(" not in source
        assert "concatenate(" not in source


def test_float32_to_four_digits() -> None:
    assert_alike(TRAININGS["MLP"], IN_FLOAT32, dtype="float32")
    model = mlp()
    step = mp.compile(lambda x: mp.sum(model(x)), optim.SGD(model.parameters()),
                      engine="jax", dtype="float32")  # fmt: skip
    assert repr(step).endswith("dtype='float32', engine='jax')")
    step([[1.0, 2.0]])
    assert all(p.data == float(np.float32(p.data)) for p in model.parameters())


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "hinge", "bce", "bce_with_logits"])
def test_a_loss_is_the_same(loss: str) -> None:
    X, y = noise(4, 2), [1.0, -1.0 if loss == "hinge" else 0.0, 1.0, 1.0]

    def training(engine: str) -> Numbers:
        model = nn.Linear(2, 1, generator=seeded())

        def loss_fn(x: Any, t: Any) -> Value:
            (score,) = model(x)
            return getattr(losses, loss)(score.sigmoid() if loss == "bce" else score, t)

        value = mp.compile(loss_fn, engine=engine)(X, y)
        return [value, *numbers_of(model)]

    assert_alike(training)


def test_every_op_also_at_its_kinks() -> None:
    def gradients(engine: str) -> Numbers:
        w = [Value(0.3), Value(1.7), Value(0.8)]

        def loss(x: Any) -> Value:
            return sum_of_every_op(w, x)

        value = mp.compile(loss, engine=engine)([[0.5, 0.25], [0.0, 0.75]])
        return [value, *[p.grad for p in w]]

    assert gradients("jax") == pytest.approx(gradients("native"), nan_ok=True, **NEAR)


# ---- optimizers, schedules, random numbers


class Halving(optim.Optimizer):
    """An optimizer of a user, with a state of its own."""

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        state["mean"] = (state.get("mean", data) + data) / 2
        return state["mean"] - self.lr * gradient


OPTIMIZERS: list[tuple[type[optim.Optimizer], dict[str, Any]]] = [
    (optim.SGD, {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.5}),
    (optim.Adam, {"weight_decay": 0.1}),
    (optim.AdamW, {}),
    (optim.RMSprop, {"momentum": 0.5}),
    (optim.Adagrad, {"lr_decay": 0.1}),
    (Halving, {}),
]


@pytest.mark.parametrize(("kind", "settings"), OPTIMIZERS)
def test_an_optimizer_is_the_same(kind: type[optim.Optimizer], settings: Any) -> None:
    X, y = noise(3), noise(3, seed=1)

    def training(engine: str) -> Numbers:
        w, b = Value(0.5), Value(-0.25)
        optimizer = kind([w, b], lr=0.1, **settings)
        step = mp.compile(lambda x, t: (w * x + b - t) ** 2, optimizer, engine=engine)
        given = [step(X, y), step(X, y)]
        state = optimizer.state_dict()
        w.data += 0.5
        given.append(step(X, y))
        optimizer.load_state_dict(state)
        optimizer.lr = 0.05
        given.append(step(X, y))
        return [*given, w.data, b.data, *[n for s in optimizer.state for n in s.values()]]

    assert_alike(training)


def test_an_optimizer_that_needs_numbers_is_refused() -> None:
    class Signed(optim.Optimizer):
        def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
            return data - math.copysign(self.lr, gradient)

    w = Value(1.0)
    step = mp.compile(lambda x: w * x, Signed([w], lr=0.1), engine="jax")
    with pytest.raises(TypeError, match=r"Signed\.update cannot be compiled"):
        step([1.0])


def test_a_schedule_and_dropout_are_the_same() -> None:
    X, y = noise(5, 2), noise(5, 1, seed=1)

    def training(engine: str) -> Numbers:
        dropout = nn.Dropout(0.4, generator=random.Random(4))
        first, last = nn.Linear(2, 6, generator=seeded()), nn.Linear(6, 1, generator=seeded())
        model = nn.Sequential(first, dropout, last)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        schedule = optim.ExponentialLR(optimizer, 0.9)
        step = mp.compile(lambda x, t: losses.mse(model(x), t), optimizer, engine=engine)
        given = step.run(X, y, epochs=3, batch_size=2, schedule=schedule, progress=False)
        predict = mp.compile(model.eval(), engine=engine)
        return [*given, *numbers_of(model), *np.ravel(predict(X)).tolist(), optimizer.lr]

    assert_alike(training)


# ---- fit


def test_fit_is_the_same_and_clips() -> None:
    X, y = mp.data.moons(20, seed=0)

    def training(engine: str) -> Numbers:
        model = nn.MLP(2, [3, 1], generator=seeded())
        history = mp.fit(
            model, X, y, loss="hinge", epochs=3, batch_size=6, clip_grad_norm=0.1,
            validation=(X[:5], y[:5]), engine=engine, progress=False,
        )  # fmt: skip
        return [
            *history.loss, *history.accuracy, *history.grad_norm, *history.val_loss,
            *numbers_of(model),
        ]  # fmt: skip

    assert_alike(training)


def test_fit_goes_back_when_it_diverges() -> None:
    X, y = [[1.0], [2.0]], [1.0, 3.0]

    def training(engine: str) -> Numbers:
        model = nn.Linear(1, 1, generator=seeded())
        sgd = optim.SGD(model.parameters(), lr=1e80, momentum=0.9)
        with pytest.warns(RuntimeWarning, match="the parameters are back"):
            history = mp.fit(
                model, X, y, loss="mse", optimizer=sgd, epochs=9, engine=engine, progress=False
            )
        assert history.diverged
        return [p.data for p in model.parameters()] + [s["velocity"] for s in sgd.state]

    assert_alike(training)


# ---- what the user sees


def test_many_steps_in_one_call() -> None:
    """More than one call of the loop runs, and a batch of its own stays as it is."""
    w = Value(1.0)
    step = mp.compile(lambda x: (w * x) ** 2, optim.SGD([w], lr=1e-4), engine="jax")
    given = step.run([1.0, 2.0], epochs=1500, progress=False)
    assert len(given) == 1500
    assert w.data == pytest.approx((1 - 5e-4) ** 1500, rel=1e-9)
    assert given[-1] == pytest.approx(2.5 * (1 - 5e-4) ** 2998, rel=1e-9)


def test_one_program_for_each_shape() -> None:
    w = [Value(1.0), Value(2.0)]
    step = mp.compile(lambda x: mp.dot(w[: len(x)], x), optim.SGD(w, lr=0.1), engine="jax")
    for x in ([[1.0]], [[1.0, 1.0]], [[3.0]]):
        step(x)
    assert list(step.programs) == [((2,),), ((1,),)]
    machine = step._programs.machine
    loops = list(machine.loops.values())
    step([[5.0]])
    step([[2.0, 2.0]])
    assert list(machine.loops.values())[: len(loops)] == loops
    assert [p.data for p in w] == pytest.approx([1 - 0.1 * 12, 2 - 0.1 * 3])


def test_the_users_settings_of_jax_stay() -> None:
    before = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision
    w = Value(1.0)
    mp.compile(lambda x: w * x, optim.SGD([w]), engine="jax")([1.0])
    after = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision
    assert after == before


def test_the_recording_is_refused_in_the_same_words() -> None:
    w = Value(1.0)
    step = mp.compile(lambda x: w * x if x > 0 else w, optim.SGD([w]), engine="jax")
    with pytest.raises(TypeError, match=r"write mp\.where"):
        step([1.0])


def test_mistakes_in_the_arguments() -> None:
    w = Value(1.0)

    def loss(x: Any) -> Value:
        return w * x

    with pytest.raises(ValueError, match="engine is 'native' or 'jax', not 'jaks'"):
        mp.compile(loss, engine="jaks")
    with pytest.raises(ValueError, match=re.escape('devices=2 is for engine="jax"')):
        mp.compile(loss, devices=2)
    with pytest.raises(ValueError, match='devices is "all" or at most 1, which JAX has, not 4'):
        mp.compile(loss, engine="jax", devices=4)
    with pytest.raises(ValueError, match="devices must be a whole number"):
        mp.compile(loss, engine="jax", devices="some")
    with pytest.raises(ValueError, match="threads are for engine='native'"):
        mp.compile(loss, engine="jax", threads=2)
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="leave out compiled=False"):
        mp.fit(model, [[1.0]], [1.0], loss="mse", compiled=False, engine="jax")


def test_the_profile_is_of_the_own_engine() -> None:
    w = Value(1.0)
    step = mp.compile(lambda x: w * x, optim.SGD([w]), engine="jax")
    with pytest.raises(ValueError, match="profile measures the library's own engine"):
        mp.profile(step, [1.0])


def test_without_jax_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=re.escape('pip install "micrograd-plus[jax]"')):
        mp.compile(lambda x: x, engine="jax")


# ---- several devices, several processes

SCRIPT = Path(__file__).with_name("jax_processes.py")


def environment(**more: str) -> dict[str, str]:
    path = [str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(path), **more}


def shown_by(process: subprocess.Popen[str], said: list[str]) -> Iterator[Any]:
    """The JSON that a process prints; `said` gets each line, JAX's own, too."""
    for line in process.stdout or ():
        said.append(line)
        if line.startswith(("[[", '"')):
            yield json.loads(line)


def test_eight_devices_give_the_numbers_of_one() -> None:
    from jax_processes import fitted, mlp, predicted, trained

    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False,
        env=environment(XLA_FLAGS="--xla_force_host_platform_device_count=8"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, by_eight, by_one, by_fit = map(json.loads, done.stdout.splitlines())
    assert count == [8]
    assert by_eight == [pytest.approx(numbers, **NEAR) for numbers in trained()]
    assert by_one == pytest.approx(predicted(mlp()), **NEAR)
    assert by_fit == pytest.approx(fitted(), **NEAR)


def test_a_gpt_on_eight_devices_goes_on_after_a_kill_and_goes_to_pytorch(tmp_path: Path) -> None:
    from jax_processes import names_gpt

    first, second = (
        subprocess.run(
            [sys.executable, str(SCRIPT), str(tmp_path), epochs], capture_output=True, text=True,
            env=environment(XLA_FLAGS="--xla_force_host_platform_device_count=8"), check=False,
        )
        for epochs in ("2", "0")
    )  # fmt: skip
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, ""), first.stderr
    assert second.returncode == 0, second.stderr
    model, history = names_gpt(compiled=True)
    assert json.loads(second.stdout) == pytest.approx(history.loss, **NEAR)

    torch = pytest.importorskip("torch")
    theirs = mp.to_torch(mp.load(tmp_path / "model.json"))
    text = [0, 10, 1, 13]
    ours = [[logit.data for logit in row] for row in model(text)]
    with torch.no_grad():
        assert theirs(torch.tensor([text]))[0].tolist() == [
            pytest.approx(row, **NEAR) for row in ours
        ]


def test_two_processes_and_the_end_of_one() -> None:
    """Both have the numbers of one; when one is killed, the other says so."""
    from jax_processes import trained

    said: list[str] = []
    with socket.socket() as held:
        # Until it is closed, the system gives this port to nobody else, and JAX may share it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        processes = first, second = [
            subprocess.Popen(
                [sys.executable, str(SCRIPT), address, "2", str(number)], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(),
            )
            for number in range(2)
        ]  # fmt: skip
        try:
            given = []
            for process in processes:
                given.append(next(shown_by(process, said), None))
                assert given[-1], f"{process.wait()}: {''.join(said)}"
            second.kill()
            message = [None, *shown_by(first, said)][-1]
            assert first.wait() == 3, "".join(said)
        finally:
            for process in processes:
                process.kill()
                process.communicate()
    assert given[0] == given[1]
    assert given[0] == [pytest.approx(numbers, **NEAR) for numbers in trained()]
    assert message.startswith("process 0 of 2 lost the others: one of them ended")
