"""Calls are recorded once and stamped; the passes over the nodes are the same in both languages."""

from __future__ import annotations

import gc
import random
import weakref
from array import array
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.compiler import native
from micrograd_plus.compiler import passes as python_passes
from micrograd_plus.compiler.layout import Store, lay_out
from micrograd_plus.compiler.numbering import Base
from micrograd_plus.compiler.recording import Recording, record
from micrograd_plus.compiler.simplify import simplify
from micrograd_plus.engine import Value
from micrograd_plus.recordable import stamped


def program(recording: Recording, parameters: list[Value]) -> Any:
    store = Store(parameters)
    store.add(recording.graph)
    return lay_out(simplify(recording), store, len(recording.inputs))


# ---- what is stamped


def test_a_second_layer_of_the_same_shape_is_stamped() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())
    base = Base()
    made = record(model, [(4,)], model.parameters(), base).stamps
    assert len(made) == 4
    assert len(base.templates.templates) == 2  # calls that were run
    first, tanh, second, again = made
    assert first.template is second.template
    for binding, layer in ((first, model[0]), (second, model[2])):
        weights = [*[w for row in layer.weight for w in row], *(layer.bias or [])]
        assert binding.numbers == base.places.of(weights)
    assert tanh is again


def test_a_call_runs_once_for_all_tokens_and_all_lengths() -> None:
    runs = []

    @stamped(fixed=1)
    def scaled(weights: list[Value], x: list[Value]) -> list[Value]:
        runs.append(len(x))
        return [w * v for w, v in zip(weights, x)]

    w = [Value(0.5), Value(2.0)]
    step = mp.compile(lambda tokens: mp.sum([mp.sum(scaled(w, token)) for token in tokens]))
    tokens = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]
    assert step([tokens]) == 48.0
    assert [v.grad for v in w] == [16.0, 20.0]
    assert len(runs) == 2  # once to record it, and once to check the function
    assert step([tokens[:3], tokens[:2], tokens[1:]]) == (28.5 + 14.0 + 43.5) / 3
    assert len(runs) == 2


def test_the_calls_of_each_run_once_for_each_shape() -> None:
    runs = []

    @stamped(fixed=1)
    def scaled(weights: list[Value], x: list[Value], power: int) -> list[Value]:
        runs.append(len(x))
        return [w * v**power for w, v in zip(weights, x)]

    w = [Value(0.5), Value(2.0)]

    def loss(tokens: Any, alone: Any) -> Value:
        rows = scaled.each(w, [*tokens, [alone]], 3)
        return mp.sum([mp.sum(row) for row in rows])

    tokens = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    eager = loss(tokens, 7.0)
    eager.backward()
    gradients = [v.grad for v in w]
    del runs[:]
    assert mp.compile(loss)([tokens], [7.0]) == pytest.approx(eager.data, rel=1e-12)
    assert [v.grad for v in w] == pytest.approx(gradients, rel=1e-12)
    assert runs == [2, 1] * 2  # to record them, and to check the function


def test_calls_of_each_that_differ_are_made_one_by_one() -> None:
    @stamped(fixed=0)
    def total(x: Any, y: Any) -> Value:
        return mp.sum(x) * y

    w = Value(0.5)

    def loss(x: Any) -> Value:
        several = [
            total.each([[w, x[0]], [x[1], w]], [w, x[0]]),  # a Value is no setting
            total.each([[w, 1.0], [x[1], 2.0]], 3.0),  # a number among Values
            total.each([[w, x[0]], [x[1]]], 2.0),
        ]
        return mp.sum([value for values in several for value in values])

    assert mp.compile(loss)([[0.3, -0.7]]) == pytest.approx(loss([0.3, -0.7]).data, rel=1e-12)
    with mp.no_grad():
        assert total.each([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0])[1].data == 42.0


def test_many_calls_of_each_that_cannot_be_stamped() -> None:
    w = [Value(0.5), Value(2.0)]
    add = nn.attention.add  # one Value as two arguments: the first call makes no template
    step = mp.compile(lambda x: mp.sum([mp.sum(row) for row in add([w] * 2000, [w] * 2000)]) * x)
    assert step([1.0]) == 2 * 2000 * 2.5


def test_a_recording_is_freed_at_once() -> None:
    model = nn.MLP(2, [4, 1])
    gc.collect()
    gc.disable()
    try:
        recording = record(model, [(2,)], model.parameters(), Base())
        rows = weakref.ref(recording.rows)
        del recording
        assert rows() is None
    finally:
        gc.enable()


GENERATOR = random.Random(0)
GPT = nn.GPT(6, 8, 2, 2, 8, generator=GENERATOR)
LSTM = nn.LSTM(3, 5, generator=GENERATOR)
REPEATING: dict[str, tuple[nn.Module, Callable[[Any], Value], tuple[int, ...]]] = {
    "gpt": (GPT, lambda x: losses.cross_entropy(GPT(x), [1, 2, 3, 4, 5, 0, 1]), (7,)),
    "lstm": (LSTM, lambda x: mp.sum(LSTM(x)[0][-1]), (6, 3)),
}


@pytest.mark.parametrize("name", REPEATING)
def test_stamped_and_run_the_program_is_the_same(name: str) -> None:
    model, function, shape = REPEATING[name]
    parameters, base = model.parameters(), Base()
    plain = program(record(function, [shape], parameters), parameters)
    for _ in range(2):  # in the second round nothing is run
        recording = record(function, [shape], parameters, base)
        assert recording.stamps
        assert str(program(recording, parameters)) == str(plain)


def test_what_is_not_used_is_not_counted() -> None:
    model = nn.MLP(2, [4, 1])
    lines = set()
    for more in (0, 5):
        parameters = [*model.parameters(), *[Value(1.0) for _ in range(more)]]
        step = mp.compile(lambda x: mp.sum([model(x)]), optim.SGD(parameters, lr=0.1))
        step([[1.0, 2.0]])
        lines.add(str(step).splitlines()[3])
    assert len(lines) == 1


# ---- what must not be stamped


def test_weights_that_change_between_two_calls() -> None:
    linear = nn.Linear(2, 2, bias=False)
    a, b, c, d = (w for row in linear.weight for w in row)
    extra = Value(0.25)

    def loss(x: Any) -> Value:
        first = linear(x)
        linear.weight[0][0] = extra
        second = linear(first)
        linear.weight[0][0] = a
        return mp.sum(second)

    x = [1.0, 2.0]
    eager = loss([Value(v) for v in x])
    eager.backward()
    gradients = [v.grad for v in (a, b, c, d, extra)]
    for v in (a, b, c, d, extra):
        v.grad = 0.0
    compiled = mp.compile(loss)
    assert compiled([x]) == pytest.approx(eager.data, rel=1e-12)
    assert [v.grad for v in (a, b, c, d, extra)] == pytest.approx(gradients, rel=1e-12)


def test_weights_that_are_computed() -> None:
    linear, scale = nn.Linear(2, 2, bias=False), Value(3.0)
    own = linear.weight

    def loss(x: Any) -> Value:
        linear.weight = [[w * scale for w in row] for row in own]
        try:
            return mp.sum(linear(x)) + mp.sum(linear(linear(x)))
        finally:
            linear.weight = own

    x = [1.0, -2.0]
    eager = loss([Value(v) for v in x])
    eager.backward()
    gradient, scale.grad = scale.grad, 0.0
    assert mp.compile(loss)([x]) == pytest.approx(eager.data, rel=1e-12)
    assert scale.grad == pytest.approx(gradient, rel=1e-12)


def test_one_value_in_two_places() -> None:
    attend = nn.attention.attend
    w = Value(0.5)

    def loss(x: Any) -> Value:
        q = [w * x[0], w * x[1]]
        same, _ = attend(q, [q, q], [q, q])
        other, _ = attend(q, [q, [x[0], x[1]]], [[x[1], x[0]], q])
        return mp.sum(same) + mp.sum(other)

    x = [0.3, -0.7]
    eager = loss([Value(v) for v in x])
    assert mp.compile(loss)([x]) == pytest.approx(eager.data, rel=1e-12)


def test_numbers_among_the_arguments() -> None:
    attend = nn.attention.attend
    w = Value(0.5)

    def loss(x: Any) -> Value:
        first, _ = attend([w, 1.0], [[x[0], 2.0]], [[w, x[1]]])
        second, _ = attend([w, 3.0], [[x[0], 4.0]], [[w, x[1]]])
        return mp.sum(first) * 2 + mp.sum(second)

    x = [0.3, -0.7]
    eager = loss([Value(v) for v in x])
    assert mp.compile(loss)([x]) == pytest.approx(eager.data, rel=1e-12)


def test_a_call_under_no_grad_has_no_gradient() -> None:
    linear = nn.Linear(2, 2)

    def loss(x: Any) -> Value:
        with mp.no_grad():
            frozen = linear(x)
        return mp.sum(linear(x)) + mp.sum(linear(frozen))

    x = [0.3, -0.7]
    eager = loss([Value(v) for v in x])
    eager.backward()
    gradients = [p.grad for p in linear.parameters()]
    linear.zero_grad()
    assert mp.compile(loss)([x]) == pytest.approx(eager.data, rel=1e-12)
    assert [p.grad for p in linear.parameters()] == pytest.approx(gradients, rel=1e-12)


def test_a_label_can_be_given_to_what_a_call_returned() -> None:
    linear = nn.Linear(2, 2)

    def loss(x: Any) -> Value:
        linear(x)
        y = linear(x)
        assert (y[0].label, y[0].grad) == ("", 0.0)
        y[0].label = "y0"
        assert repr(y[0]) == "<Value y0>"
        return mp.sum(y)

    mp.compile(loss)([[1.0, 2.0]])


class Counting(nn.Module):
    """A module that does something else from its third call on."""

    def __init__(self) -> None:
        self.linear = nn.Linear(2, 2)
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        y = self.linear(x)
        return y if self.calls < 3 else self.linear(y)


def test_a_module_that_changes_is_refused() -> None:
    model = Counting()
    step = mp.compile(
        lambda x: mp.sum(model(x)) + mp.sum(model(x)), optim.SGD(model.parameters(), lr=0.1)
    )
    with pytest.raises(ValueError, match="not do the same every time"):
        step([[1.0, 2.0]])


@pytest.mark.parametrize("second", ["another op", "another number", "more"])
def test_a_stamped_call_that_changes_is_refused(second: str) -> None:
    calls = []

    @stamped(fixed=0)
    def changing(x: Value) -> Value:
        calls.append(1)
        if len(calls) == 1:
            return x * 2.0
        made = {"another op": x / 2.0, "another number": x * 3.0, "more": x * 2.0 * x}
        return made[second]

    w = Value(1.0)
    with pytest.raises(ValueError, match="not do the same every time"):
        mp.compile(lambda x: changing(w * x) + changing(x))([1.0])


def test_a_function_that_changes_for_a_later_shape_is_refused() -> None:
    linear, calls = nn.Linear(1, 1), []

    def loss(x: Any) -> Value:
        calls.append(1)
        return mp.sum([linear([v])[0] for v in x]) * (1 if len(calls) != 4 else 2)

    step = mp.compile(loss)
    step([[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="not do the same every time"):
        step([[1.0, 2.0]])


@pytest.mark.parametrize("kept", ["input", "result", "stamped"])
def test_a_value_of_an_earlier_call_is_refused(kept: str) -> None:
    linear, state = nn.Linear(1, 1), list[Value]()

    def loss(x: Any) -> Value:
        before = state[0] if state else 0.0
        made = {"input": x[0], "result": x[0] * 2, "stamped": linear([x[0]])[0]}
        state[:] = [made[kept]]
        return mp.sum(x) * linear.weight[0][0] + before

    step = mp.compile(loss)
    for rows in ([[1.0]], [[1.0, 2.0]], [[1.0]]):
        with pytest.raises(ValueError, match="not do the same every time"):
            step(rows)


# ---- the passes, in Python and in machine code


PLACES = st.integers(0, 40)
OPS = ("add", "mul", "sub", "tanh", "relu", "sum", "dot", "square", "number", "frozen")


def random_function(choices: list[tuple[str, int, int]]) -> Callable[[Any], Value]:
    parameters = [Value(0.5 * i - 1, label=f"w{i}") for i in range(3)]

    def function(x: Any) -> Value:
        made: list[Any] = [*parameters, *x]
        for name, i, j in choices:
            a, b = made[i % len(made)], made[j % len(made)]
            if name == "number":
                made.append(a * (j % 3) + mp.exp(Value.detach(Value(1.0))))
            elif name == "square":
                made.append(a**2)
            elif name == "frozen":
                with mp.no_grad():
                    made.append(a * b)
            elif name == "sum":
                made.append(mp.sum([a, b, *made[-3:]]))
            elif name == "dot":
                made.append(mp.dot([a, b, a], [b, *made[:2]]))
            elif name in ("tanh", "relu"):
                made.append(getattr(a, name)())
            else:
                made.append({"add": a + b, "mul": a * b, "sub": a - b}[name])
        return mp.sum(made[-4:]) + mp.sum([w * v for w, v in zip(parameters, x)])

    return function


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(OPS), st.integers(0, 40), st.integers(0, 40)), max_size=40)
)
def test_both_languages_give_the_same_program(choices: list[tuple[str, int, int]]) -> None:
    native_, python = programs_in_both_languages(random_function(choices), (2,))
    assert native_ == python


def test_both_languages_stamp_and_pick_alike() -> None:
    """Layers, a softmax, an embedding, and matrix products that cross."""
    embedding, layer = nn.Embedding(4, 3), nn.Linear(3, 3)
    w = [[Value(0.5 * i + k) for k in range(3)] for i in range(3)]

    def function(tokens: Any) -> Value:
        rows = [layer(layer(embedding(token))) for token in tokens]
        scores = [mp.softmax([mp.dot(a, b) for b in rows]) for a in rows]
        shared = [mp.dot(a, b) for a in w for b in w]
        crossed = [mp.dot(a, column) for a in w for column in zip(*rows)]
        picked = mp.pick([mp.max(row) for row in rows], tokens[0])
        return mp.sum([*shared, *crossed, *[s for row in scores for s in row], picked])

    native_, python = programs_in_both_languages(function, (3,))
    assert native_ == python


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_how_many_places_are_the_same(places: list[int]) -> None:
    lengths = [len(list(group)) for _, group in groupby(places)]
    wanted = [left for length in lengths for left in range(length, 0, -1)]
    for language in (native.passes(), python_passes):
        runs = array("i", bytes(4 * len(places)))
        assert language.find_runs(len(places), array("i", places), runs) == len(lengths)
        assert runs.tolist() == wanted


def programs_in_both_languages(function: Callable[[Any], Value], shape: tuple[int, ...]) -> Any:
    pytest.importorskip("llvmlite")
    programs = []
    for find_spec in (native.importlib.util.find_spec, lambda name: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native.importlib.util, "find_spec", find_spec)
            native.passes.cache_clear()
            recording = record(function, [shape], [], Base())
            made = program(recording, recording.parameters)
            instructions = [*made.shared, *made.per_example]
            programs.append((str(simplify(recording)), [repr(i.operands) for i in instructions]))
    native.passes.cache_clear()
    return programs
