"""The profile of a compiled step: whose time is whose, and nothing that is trained changes."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from machines import on

import micrograd_plus as mp
from micrograd_plus import data, losses, nn, optim
from micrograd_plus.compiler import interpreter, profiling

X, Y = data.moons(20, seed=1)


@pytest.fixture(autouse=True)
def few_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "_MOST_TURNS", 3)
    monkeypatch.setattr(profiling, "_AT_ONCE", 0.0)


@pytest.fixture
def results_are_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """In plain Python, each result that is computed, forward or backward, takes a second."""
    now = [0.0]
    results = interpreter._results

    def counted(*arguments: Any) -> Iterator[Any]:
        for result in results(*arguments):
            now[0] += 1.0
            yield result

    monkeypatch.setattr(interpreter, "_results", counted)
    monkeypatch.setattr(profiling, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(profiling, "_SECONDS", 1e9)


def moons(*, dropout: bool = False, **settings: Any) -> tuple[nn.Module, Any, Any]:
    draw = random.Random(0)
    layers = [nn.Linear(2, 4, generator=draw), nn.Tanh(), nn.Linear(4, 1, generator=draw)]
    model = nn.Sequential(*layers[:2], *[nn.Dropout(0.5, generator=draw)] * dropout, layers[2])
    adam = optim.Adam(model.parameters(), lr=0.1)
    step = mp.compile(lambda x, y: losses.hinge(model(x), [y]), adam, **settings)
    return model, adam, step


# ---- nothing changes


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_profile_changes_no_number(machine: str, dtype: str) -> None:
    """Weights, gradients, the optimizer's state, losses and random numbers: to the last bit."""
    ends = []
    for profiled in (False, True):
        model, adam, step = moons(dropout=True, dtype=dtype)
        seen: list[Any] = []
        for i in range(4):
            seen.append(step(X, Y))
            if profiled:
                mp.profile(step, *[(X, Y), (X[:7], Y[:7]), ()][min(i, 2)])
            if i == 2:
                seen += step.run(X, Y, epochs=2, batch_size=8, shuffle=True)
        grads = [p.grad for p in model.parameters()]
        ends.append([seen, model.state_dict(), grads, adam.state_dict()])
    assert ends[0] == ends[1]


def test_a_profile_before_the_first_step_changes_no_number(machine: str) -> None:
    (_, _, plain), (_, _, profiled) = moons(), moons()
    mp.profile(profiled, X, Y)
    assert [profiled(X, Y) for _ in range(3)] == [plain(X, Y) for _ in range(3)]


# ---- the parts


@pytest.mark.usefixtures("results_are_seconds")
def test_each_instruction_takes_the_time_of_its_results() -> None:
    with on("plain"):
        _, _, step = moons()
        measured = mp.profile(step, X, Y)
    (program,) = step.programs.values()
    instructions = [*program.shared, *program.per_example]
    expected = [20.0 * i.count if i.per_example else float(i.count) for i in instructions]
    assert [part.forward for part in measured.instructions] == expected
    assert [part.backward for part in measured.instructions] == expected
    assert measured.others == {"examples": 0.0, "gradients to 0": 0.0, "Adam update": 0.0}
    assert (measured.step, measured.rest) == (2 * sum(expected), 0.0)
    assert [(part.module, part.forward) for part in measured.modules] == [
        ("Sequential.0 (Linear)", 20.0 * 4),
        ("Sequential.1 (Tanh)", 20.0 * 4),
        ("Sequential.2 (Linear)", 20.0),
        ("hinge", 20.0 * 3),
    ]


@pytest.mark.usefixtures("results_are_seconds")
def test_examples_of_different_shapes_have_instructions_of_their_own() -> None:
    w = mp.Value(1.0)
    with on("plain"):
        step = mp.compile(lambda x: w * mp.sum([n.tanh() for n in x]), optim.SGD([w]))
        measured = mp.profile(step, [[1.0], [1.0, 2.0], [3.0]])
    tanh = [part.forward for part in measured.instructions if part.instruction.startswith("tanh")]
    assert tanh == [2.0 * 1, 1.0 * 2]
    assert measured.rest == 0.0


def test_the_parts_add_up(machine: str) -> None:
    _, _, step = moons()
    measured = mp.profile(step, X, Y)
    (program,) = step.programs.values()
    assert len(measured.instructions) == len(program.shared) + len(program.per_example)
    parts = [part.seconds for part in measured.instructions]
    assert sum(part.seconds for part in measured.modules) == pytest.approx(sum(parts))
    whole = sum(parts) + sum(measured.others.values()) + measured.rest
    assert whole == pytest.approx(measured.step)
    assert min(*parts, *measured.others.values()) >= 0.0 < measured.step


def test_what_has_no_optimizer_or_gradient_has_no_time_of_it(machine: str) -> None:
    model, _, _ = moons()
    predicted = mp.profile(mp.compile(model), X)
    assert [part.backward for part in predicted.instructions] == [0.0] * len(predicted.instructions)
    assert list(predicted.others) == ["examples"]
    loss = mp.profile(mp.compile(lambda x, y: losses.hinge(model(x), [y])), X, Y)
    assert list(loss.others) == ["examples", "gradients to 0"]


# ---- names


def gpt() -> Callable[..., Any]:
    model = nn.GPT(5, 4, 2, context=4, generator=random.Random(0))
    return lambda tokens: losses.cross_entropy(model(tokens[:-1]), tokens[1:])


def two_models() -> Callable[..., Any]:
    first, second = nn.MLP(1, [2, 1], generator=random.Random(0)), nn.RNN(1, 1)
    return lambda x: (first(x) * second([x])[0][0][0]).exp()


def scopes() -> Callable[..., Any]:
    w = mp.Value(1.0)

    def penalized(x: Any) -> mp.Value:
        with mp.scope("fit"):
            loss = (w * x).tanh()
        with mp.scope(random.Random(0)):
            return loss + (w * w).exp()

    return penalized


@pytest.mark.parametrize(
    ("function", "example", "expected"),
    [
        (
            gpt,
            [0, 1, 2],
            [
                *("GPT.tokens (Embedding)", "GPT.positions (LearnedPositions)"),
                *("GPT.norm (RMSNorm)", "GPT.blocks.0.norm1 (RMSNorm)"),
                "GPT.blocks.0.self_attn (MultiHeadAttention)",
                *("GPT.blocks.0.self_attn.out_proj (Linear)", "GPT.blocks.0 (TransformerBlock)"),
                *("GPT.blocks.0.norm2 (RMSNorm)", "GPT.blocks.0.linear1 (Linear)"),
                *("GPT.blocks.0.relu (ReLU)", "GPT.blocks.0.linear2 (Linear)"),
                *("GPT.head (Linear)", "cross_entropy"),
            ],
        ),
        (two_models, [1.0], ["MLP.layers.0 (Layer)", "MLP.layers.1 (Layer)", "RNN", "loss"]),
        (scopes, 1.0, ["fit", "Random"]),
    ],
)
def test_modules_have_their_names(function: Any, example: Any, expected: list[str]) -> None:
    with on("plain"):
        measured = mp.profile(mp.compile(function()), [example])
    assert sorted(part.module for part in measured.modules) == sorted(expected)


# ---- errors


def test_only_what_is_compiled_has_a_profile() -> None:
    with pytest.raises(TypeError, match="takes what compile returned, as profile"):
        mp.profile(nn.MLP(1, [1]), [[1.0]])  # type: ignore[arg-type]


def test_without_examples_there_is_nothing_to_measure(machine: str) -> None:
    _, _, step = moons()
    with pytest.raises(ValueError, match="was not called yet: call it first, or pass"):
        mp.profile(step)
    step(X, Y)
    assert mp.profile(step).examples == 20
    with pytest.raises(ValueError, match="x has 20"):
        mp.profile(step, X, Y[:3])


def test_the_last_call_counts_only_in_its_mode(machine: str) -> None:
    model, _, step = moons(dropout=True)
    step(X, Y)
    model.eval()
    with pytest.raises(ValueError, match="call it first, or pass"):
        mp.profile(step)


# ---- what is shown


def some_profile(modules: int = 2) -> profiling.Profile:
    parts = [
        profiling.Part(f"MLP.layers.{i} (Layer)", text, 1e-6 * (1 + i), 2e-6)
        for i in range(modules)
        for text in ("matmul 1 × 16 dots of 2", "relu 16")
    ]
    others = {"examples": 0.5e-6, "SGD update": 0.25e-6}
    return profiling.Profile("loss_fn", 100, 20e-6, parts, others)


def test_the_table() -> None:
    assert (
        str(some_profile())
        == """\
loss_fn: 20.0 µs for a step of 100 examples
                           forward  backward     µs  share
MLP.layers.0 (Layer)          2.00      4.00   6.00    30%
  matmul 1 × 16 dots of 2     1.00      2.00   3.00    15%
  relu 16                     1.00      2.00   3.00    15%
MLP.layers.1 (Layer)          4.00      4.00   8.00    40%
  matmul 1 × 16 dots of 2     2.00      2.00   4.00    20%
  relu 16                     2.00      2.00   4.00    20%
examples                                       0.50     2%
SGD update                                     0.25     1%
rest                                           5.25    26%
step                                          20.00   100%"""
    )


def test_a_notebook_shows_table_picture_and_instructions() -> None:
    html = some_profile()._repr_mimebundle_()["text/html"]
    rows = re.findall(r"<tr><td[^>]*>([^<]*)", html)
    assert rows == [row[0] for row in some_profile().table(instructions=False)[1:]]
    assert "data:image/png;base64," in html
    assert "relu 16" in html.partition("<details>")[2]


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_the_picture(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    figure = mp.plot_profile(some_profile(), path=tmp_path / "profile.png")
    assert (tmp_path / "profile.png").exists()
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [row[0] for row in some_profile().table(instructions=False)[1:-1]]
    widths = {c.get_label(): [bar.get_width() for bar in c] for c in axes.containers}
    assert widths["forward"] == pytest.approx([2.0, 4.0])
    assert widths["backward"] == pytest.approx([4.0, 4.0])
    assert widths["other"] == pytest.approx([0.5, 0.25, 5.25])
    assert [text.get_text() for text in axes.texts][:2] == [" 6.00 µs, 30%", " 8.00 µs, 40%"]


@pytest.mark.usefixtures("matplotlib_as_it_was")
def test_the_picture_of_many_modules_names_the_longest() -> None:
    pytest.importorskip("matplotlib")
    (axes,) = mp.plot_profile(some_profile(modules=30)).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "MLP.layers.10 (Layer)"
    assert names[20:] == ["10 other modules", "examples", "SGD update", "rest"]


def test_only_a_profile_has_this_picture() -> None:
    with pytest.raises(ValueError, match="takes the result of profile"):
        mp.plot_profile([1.0])
