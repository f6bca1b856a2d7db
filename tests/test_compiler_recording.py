"""What a compiled function may not do, how it is simplified and laid out, and what is kept."""

from __future__ import annotations

import copy
import gc
import math
import random
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from machines import on, values

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.compiler.layout import Store, lay_out
from micrograd_plus.compiler.passes import NUMBER
from micrograd_plus.compiler.programs import _Collector
from micrograd_plus.compiler.recording import Recording, in_reach, record
from micrograd_plus.compiler.simplify import simplify
from micrograd_plus.engine import Constant, Value

nan, inf = math.nan, math.inf


class Watched:
    """A model in the middle of its training, of which nothing may change."""

    def __init__(self) -> None:
        self.w = values(2.0, -1.0, 0.5)
        self.optimizer = optim.Adam(self.w, lr=0.1)
        for parameter, gradient in zip(self.w, (0.1, 0.2, 0.3)):
            parameter.grad = gradient
        self.optimizer.step()

    def state(self) -> Any:
        of_parameters = [(p.data, p.grad, p.label, type(p)) for p in self.w]
        return copy.deepcopy((of_parameters, list(map(dict, self.optimizer.state))))


def assert_refused(
    function: Callable[..., Any],
    error: type[Exception],
    message: str,
    watched: Watched,
    *batches: Any,
) -> None:
    """The call raises the error, of a function with and without optimizer; nothing has changed."""
    before = watched.state()
    for compiled in (mp.compile(function, watched.optimizer), mp.compile(function)):
        for _ in range(2):  # and does so again
            with pytest.raises(error, match=message):
                compiled(*batches)
            assert watched.state() == before


# ---- what needs a number

REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "data": (lambda v: v.data, "compute with the Value itself"),
    "item": (lambda v: v.item(), "compute with the Value itself"),
    "float": (lambda v: float(v), "mp.pick"),
    "int": (lambda v: int(v), "mp.pick"),
    "range": (lambda v: range(v), "mp.pick"),
    "index": (lambda v: [1, 2, 3][v], "mp.pick"),
    "if": (lambda v: 1 if v > 0 else 2, "mp.where"),
    "and": (lambda v: v > 0 and v < 1, "mp.where"),
    "not": (lambda v: not v <= 0, "mp.where"),
    "bool": (lambda v: bool(v), "mp.where"),
    "max": (lambda v: max(v, 0), "mp.maximum"),
    "min": (lambda v: min([v, 0]), "mp.minimum"),
    "sorted": (lambda v: sorted([v, 2.0]), "mp.where"),
    "exp": (lambda v: math.exp(v), re.escape("v.exp()")),
    "floor": (lambda v: math.floor(v), "mp.pick"),
    "f-string": (lambda v: f"{v:.2f}", "after the step"),
    "percent": (lambda v: "%f" % v, "mp.pick"),  # noqa: UP031 - as users write it
    "backward": (lambda v: v.backward(), "return the loss"),
    "update": (lambda v: setattr(v, "data", v.data - 0.1), "compute with the Value itself"),
}


def value_of_a_loss(of: str, x: Any, watched: Watched) -> Value:
    return {"input": x[0], "parameter": watched.w[0], "result": x[0] * watched.w[0]}[of]


@pytest.mark.parametrize("of", ["input", "parameter", "result"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_needs_a_number_is_refused(what: str, of: str) -> None:
    read, instead = REFUSED[what]
    watched = Watched()

    def loss(x: Any) -> Value:
        read(value_of_a_loss(of, x, watched))  # here
        return watched.w[0] * x[0] + watched.w[1]

    assert_refused(loss, TypeError, f"(?s){instead}.*", watched, [[1.0, 2.0]])
    with pytest.raises(TypeError, match=r"test_compiler_recording\.py, line \d+: "):
        mp.compile(loss)([[1.0, 2.0]])


@pytest.mark.parametrize("of", ["input", "parameter", "result"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_not_hidden_by_an_except(what: str, of: str) -> None:
    """The function would go on after its `except`, with a choice that no example has made."""
    read, instead = REFUSED[what]
    watched = Watched()

    def loss(x: Any) -> Value:
        value = value_of_a_loss(of, x, watched)
        try:
            read(value)
        except Exception:
            return watched.w[0] * x[0]
        return watched.w[0] * x[0] + watched.w[1]

    message = rf"(?s){instead}.*test_compiler_recording\.py, line \d+: "
    assert_refused(loss, TypeError, message, watched, [[1.0, 2.0]])


def test_a_refused_write_is_not_hidden_by_an_except() -> None:
    watched = Watched()

    def loss(x: Any) -> Value:
        with suppress(AttributeError):
            watched.w[0].data = 1.0
        return watched.w[0] * x

    message = r"writing \.data.*test_compiler_recording\.py, line \d+: watched"
    assert_refused(loss, AttributeError, message, watched, [1.0])


@pytest.mark.parametrize(
    "is_chosen", [lambda y: y == 1, lambda y: y != 0.0, lambda y: y in (1, 2), lambda y: 2 * y == 2]
)
def test_a_target_is_not_compared_with_a_number(is_chosen: Callable[[Any], bool]) -> None:
    """In eager code the target is a float, and the comparison would be true."""
    watched = Watched()

    def loss(x: Any, y: Any) -> Value:
        return watched.w[0] * x if is_chosen(y) else watched.w[1] * x  # here

    message = r"`==`.*mp\.where.*test_compiler_recording\.py, line \d+: "
    assert_refused(loss, TypeError, message, watched, [1.0, 2.0], [1.0, 0.0])


def test_the_values_of_a_recording_are_told_apart_by_what_they_are() -> None:
    w = Value(2.0)

    def loss(x: Any, y: Any) -> Value:
        told_apart = [x == x, x != y, x in [y, x], w not in [x, y], {x: 1, y: 2}[y] == 2, x != "x"]
        assert all(told_apart)
        return w * x * y

    assert mp.compile(loss)([3.0], [5.0]) == 30.0


def test_a_value_that_was_kept_from_a_compiled_function_has_no_number() -> None:
    w, kept = Value(2.0), []

    def loss(x: Any) -> Value:
        kept.append(w * x)
        return kept[-1]

    mp.compile(loss)([3.0])
    message = r"was kept from a function that was compiled.*return it from the function.*, line \d+"
    for read in (lambda v: v.data, lambda v: v + 1, lambda v: f"{v:.2f}"):
        with pytest.raises(TypeError, match=message):
            read(kept[0])


def test_the_line_is_that_of_the_user() -> None:
    w = Value(1.0)

    def loss(x: Any) -> Value:
        doubled = 2 * w * x
        if doubled > 1:  # this is it
            return doubled
        return w

    number = loss.__code__.co_firstlineno + 2
    with pytest.raises(TypeError, match=rf"line {number}: if doubled > 1:  # this is it\)"):
        mp.compile(loss)([1.0])


def test_numpy_cannot_take_a_number_either() -> None:
    np = pytest.importorskip("numpy")
    watched = Watched()
    for read in (np.exp, np.float64, lambda v: np.asarray(v, float)):
        assert_refused(
            lambda x, read=read: watched.w[0] * float(read(x)),
            TypeError,
            "Value|ufunc",
            watched,
            [1.0],
        )


def test_parameters_are_whole_again_whatever_happened() -> None:
    watched = Watched()

    def loss(x: Any) -> Value:
        raise KeyboardInterrupt

    for compiled in (mp.compile(loss), mp.compile(loss, watched.optimizer)):
        with pytest.raises(KeyboardInterrupt):
            compiled([1.0])
    assert [type(w) for w in watched.w] == [Value] * 3
    assert watched.w[0].data + 1 == pytest.approx(2.9)


def test_parameters_of_a_class_of_the_user() -> None:
    class Parameter(Value):
        """As somebody may write it, with a dictionary."""

    w = Parameter(2.0)
    assert mp.compile(lambda x: w * x)([3.0]) == 6.0
    assert (type(w), w.grad) == (Parameter, 3.0)


def test_printing_is_allowed() -> None:
    w = Value(2.0, label="w")
    shown = []

    def loss(x: Any) -> Value:
        shown.extend([str(w), str(x), str(w * x)])
        return w * x

    mp.compile(loss)([3.0])
    assert shown[-6:] != []


# ---- what changes from call to call


def test_a_function_that_counts_its_calls_is_found() -> None:
    watched, calls = Watched(), []

    def loss(x: Any) -> Value:
        calls.append(1)
        return watched.w[0] * x * len(calls)

    message = r"not do the same every time.* the number \d.* the number \d"
    assert_refused(loss, ValueError, message, watched, [1.0, 2.0])


def test_a_function_that_draws_its_own_numbers_is_found() -> None:
    watched = Watched()
    message = r"not do the same every time.* the number 0\.\d+.*mp\.rand"
    assert_refused(
        lambda x: watched.w[0] * x + random.random(), ValueError, message, watched, [1.0]
    )


def test_a_function_that_reads_a_clock_is_found() -> None:
    watched = Watched()
    message = r"not do the same every time.* the number (\S+), .* the number (?!\1)\S+ there"
    assert_refused(lambda x: watched.w[0] * x * time.time(), ValueError, message, watched, [1.0])


def test_a_function_that_changes_its_structure_is_found() -> None:
    watched, calls = Watched(), []
    a, b, c = watched.w
    a.label, b.label, c.label = "a", "b", "c"

    def other_op(x: Any) -> Value:
        calls.append(1)
        return (a * x).tanh() if len(calls) % 2 else (a * x).exp()

    def other_parameter(x: Any) -> Value:
        calls.append(1)
        return (a if len(calls) % 2 else b) * x + c

    def more_terms(x: Any) -> Value:
        calls.append(1)
        return mp.sum([a * x, b * x, c * x][: 1 + len(calls)])

    for function, message in (
        (other_op, r"tanh\(.*exp\("),
        (other_parameter, "the same every time.* (a|b) .* (a|b) "),
        (more_terms, "the same every time"),
    ):
        calls.clear()
        with pytest.raises(ValueError, match=message):
            mp.compile(function, watched.optimizer)([1.0])


def test_the_first_difference_is_named() -> None:
    w, calls = Value(2.0, label="w"), []

    def loss(x: Any) -> Value:
        calls.append(1)
        inner = (w * x).tanh() if len(calls) < 2 else (w * x).sigmoid()
        return (inner * 3 + 1).exp() * w

    optimizer = optim.SGD([w], lr=0.1)
    with pytest.raises(ValueError, match=r"recorded with tanh\(.*it had sigmoid\(") as raised:
        mp.compile(loss, optimizer)([1.0])
    assert "exp" not in str(raised.value)


# ---- wrong arguments

BAD_BATCHES: list[tuple[Any, type[Exception], str]] = [
    ([], ValueError, "no examples"),
    (None, TypeError, "None"),
    ("ab", TypeError, "'ab'"),
    (3.0, TypeError, "also for a single one"),
    (["a"], TypeError, "'a'"),
    ([None], TypeError, "None"),
    ([1.0, None], TypeError, "example 1 of x"),
    ([True], TypeError, "True"),
    ([nan], ValueError, "nan"),
    ([1.0, 2.0, nan], ValueError, "example 2 .*nan"),
    ([[1.0, [2.0]]], ValueError, "different shapes"),
    ([1 + 2j], TypeError, "complex"),
    ([Value(1.0)], TypeError, "Value"),
    ([10**400], TypeError, "largest float"),
    ([{}], TypeError, "dict"),
]


@pytest.mark.parametrize(("batch", "error", "message"), BAD_BATCHES)
def test_wrong_batches(machine: str, batch: Any, error: type[Exception], message: str) -> None:
    watched = Watched()
    assert_refused(lambda x: watched.w[0] * x, error, message, watched, batch)
    compiled = mp.compile(lambda x: watched.w[0] * x, watched.optimizer)
    compiled([1.0])
    before = watched.state()
    with pytest.raises(error, match=message):
        compiled(batch)
    assert watched.state() == before


def test_wrong_arrays(machine: str) -> None:
    np = pytest.importorskip("numpy")
    for batch, error, message in (
        (np.array([True]), TypeError, "True"),
        (np.array(["a"]), TypeError, "'a'"),
        (np.array([1 + 2j]), TypeError, "complex"),
        (np.array([None]), TypeError, "None"),
        (np.array([1.0, nan]), ValueError, "example 1 .*nan"),
        (np.zeros((0, 2)), ValueError, "no examples"),
        (np.array(3.0), TypeError, "also for a single one"),
    ):
        watched = Watched()
        assert_refused(lambda x, w=watched.w: w[0] * x, error, message, watched, batch)


def test_examples_without_numbers(machine: str) -> None:
    watched = Watched()
    function = lambda x: mp.sum([watched.w[0] * v for v in x])  # noqa: E731
    assert_refused(function, ValueError, "sum|number|empty", watched, [[], []])
    assert mp.compile(lambda x: watched.w[0] * len(x))([[], []]) == 0.0


def test_batches_of_different_lengths(machine: str) -> None:
    watched = Watched()
    message = "x has 2, y has 3"
    assert_refused(
        lambda x, y: watched.w[0] * x * y, ValueError, message, watched, [1.0, 2.0], [1.0, 2.0, 3.0]
    )


def test_too_many_or_too_few_arguments() -> None:
    watched = Watched()
    function = lambda x, y: watched.w[0] * x * y  # noqa: E731
    assert_refused(function, TypeError, "takes 2 arguments, x, y, and was given 1", watched, [1.0])
    assert_refused(function, TypeError, "and was given 3", watched, [1.0], [1.0], [1.0])
    for none in (lambda *xs: watched.w[0] * 1, lambda: watched.w[0] * 1):
        assert_refused(none, TypeError, "argument", watched)


def test_rows_of_a_wrong_width(machine: str) -> None:
    watched = Watched()
    neuron = nn.Neuron(2)
    neuron.w, neuron.b = watched.w[:2], watched.w[2]
    assert_refused(neuron.forward, ValueError, "takes 2 numbers", watched, [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="takes 2 numbers for each example, and was given 3"):
        mp.compile(nn.MLP(2, [3, 1]))([[1.0, 2.0, 3.0]])
    assert_refused(
        lambda x, y: losses.mse(x, y) * watched.w[0], ValueError, "2 predictions, but 1 targets",
        watched, [[1.0, 2.0]], [[1.0]],
    )  # fmt: skip


def test_a_function_that_gives_no_loss() -> None:
    watched = Watched()
    w = watched.w[0]
    for returned, error, message in (
        (lambda x: None, TypeError, "returned NoneType None: is a `return` missing"),
        (lambda x: 3.0, TypeError, "returned float 3.0"),
        (lambda x: "loss", TypeError, "returned str 'loss'"),
        (lambda x: [w * x], TypeError, "returned a list"),
        (lambda x: (w * x, w), TypeError, "returned a list"),
        (lambda x: [], TypeError, "returned a list"),
        (lambda x: x, ValueError, "depends on no parameter"),
        (lambda x: x * 2 + 1, ValueError, "depends on no parameter"),
        (lambda x: w.detach() * 0 + x if False else x.tanh(), ValueError, "no parameter"),
    ):
        assert_refused(returned, error, message, watched, [1.0])


def test_an_optimizer_of_another_model() -> None:
    watched = Watched()
    other = Value(1.0)
    step = mp.compile(lambda x: other * x, watched.optimizer)
    before = watched.state()
    with pytest.raises(ValueError, match="moves none of the parameters"):
        step([1.0])
    assert (watched.state(), other.data, other.grad) == (before, 1.0, 0.0)


def test_what_cannot_be_compiled() -> None:
    w = Value(1.0)
    for wrong in (None, 3, w, [w], "loss", mp.compile(lambda x: w * x)):
        with pytest.raises(TypeError, match="function or a Module"):
            mp.compile(wrong)  # type: ignore[arg-type]
    for optimizer in (0.1, "SGD", [w] * 10, optim.SGD):
        with pytest.raises(TypeError, match=r"an optimizer, as optim.SGD\(.*, not .{,60}$"):
            mp.compile(lambda x: w * x, optimizer)
    for size in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="cache_size"):
            mp.compile(lambda x: w * x, cache_size=size)  # type: ignore[arg-type]


def test_a_compiled_function_is_no_part_of_another() -> None:
    w = Value(1.0)
    inner = mp.compile(lambda x: w * x)
    with pytest.raises(TypeError, match="cannot be part"):
        mp.compile(lambda x: w * inner([x]))([1.0])


def test_an_index_that_is_a_result() -> None:
    w = values(1.0, 2.0)
    with pytest.raises(TypeError, match=r"straight from the inputs.*line \d+"):
        mp.compile(lambda i: mp.pick(w, i + 1))([0])


# ---- what an input must be, at every replay


@pytest.mark.parametrize("index", [3, -1, 0.5, 1e300, inf])
def test_an_index_is_checked_at_every_replay(machine: str, index: float) -> None:
    watched = Watched()
    step = mp.compile(lambda i: mp.pick(watched.w, i) ** 2, watched.optimizer)
    step([0, 1, 2])
    before = watched.state()
    for batch in ([index], [0, 1, index, 2]):
        with pytest.raises(ValueError, match="there is no index"):
            step(batch)
        with pytest.raises(ValueError, match="there is no index"):
            step.run(batch, epochs=2, batch_size=1)
    assert watched.state() == before


@pytest.mark.parametrize(
    ("loss", "fine", "wrong"),
    [
        (losses.hinge, [1, -1], 0),
        (losses.hinge, [1, -1], 2),
        (losses.bce_with_logits, [0, 0.5], 1.5),
        (losses.bce_with_logits, [0, 1], -1),
    ],
)
def test_a_target_is_checked_at_every_replay(
    machine: str, loss: Callable[..., Value], fine: list[float], wrong: float
) -> None:
    watched = Watched()
    step = mp.compile(lambda x, y: loss(watched.w[0] * x, y), watched.optimizer)
    step([1.0, 2.0], fine)
    before = watched.state()
    with pytest.raises(ValueError, match="the target of"):
        step([1.0, 2.0], [fine[0], wrong])
    assert watched.state() == before
    assert_refused(
        lambda x, y: loss(watched.w[0] * x, y), ValueError, "the target of", watched, [1.0], [wrong]
    )


def test_a_class_is_checked_at_every_replay(machine: str) -> None:
    watched = Watched()
    step = mp.compile(
        lambda x, y: losses.cross_entropy([w * x for w in watched.w], y), watched.optimizer
    )
    step([1.0, 2.0], [0, 2])
    before = watched.state()
    for wrong in (3, -1, 0.5):
        with pytest.raises(ValueError, match="no index"):
            step([1.0, 2.0], [0, wrong])
    assert watched.state() == before


def test_after_an_error_all_is_as_before() -> None:
    """A new shape whose first call fails is ready when its second one is right."""
    with on("plain"):  # where a program that is not loaded is an error, and no crash
        w = values(1.0, 2.0)
        for optimizer in (None, optim.SGD(w, lr=0.0)):
            compiled = mp.compile(lambda x, i: mp.pick(w, i) * mp.sum(x), optimizer)
            assert compiled([[1.0]], [0]) == 1.0
            with pytest.raises(ValueError, match="there is no index 5"):
                compiled([[1.0, 2.0], [1.0, 2.0]], [0, 5])
            assert compiled([[1.0, 2.0], [1.0, 2.0]], [0, 1]) == 4.5
            assert compiled([[1.0]], [1]) == 2.0


def test_after_an_error_in_the_function_all_is_as_before() -> None:
    with on("plain"):  # where a program that is not loaded is an error, and no crash
        w = Value(2.0)

        def loss(x: Any) -> Value:
            if len(x) == 3:
                raise RuntimeError("three")
            return mp.sum(x) * w

        compiled = mp.compile(loss)
        assert compiled([[1.0]]) == 2.0
        with pytest.raises(RuntimeError, match="three"):
            compiled([[1.0, 2.0], [1.0, 2.0, 3.0]])
        assert compiled([[1.0, 2.0], [3.0, 4.0]]) == 10.0
        assert compiled([[2.0], [4.0]]) == 6.0


# ---- recording


def recorded(function: Callable[..., Any], *shapes: Any) -> Recording:
    return record(function, shapes, [])


def simplified(function: Callable[..., Any], *shapes: Any) -> list[str]:
    """The lines of the simplified graph that are no leaves, without their names."""
    lines = [
        line.split(maxsplit=1)[1] for line in str(simplify(recorded(function, *shapes))).split("\n")
    ]
    return [
        line for line in lines if not line.startswith(("parameter", "input", "number", "random"))
    ]


def names(lines: list[str]) -> list[str]:
    return [line.split("(")[0] for line in lines]


def test_a_recording_is_a_list_of_what_was_done() -> None:
    w = Value(2.0, label="w")
    assert str(recorded(lambda x: (w * x[1] + 3).relu(), (2,))).splitlines() == [
        "a0     parameter w",
        "a1     input 1",
        "a2     mul(a0, a1)",
        "a3     number 3",
        "a4     add(a2, a3)",
        "a5     relu(a4)",
    ]


def test_the_order_of_a_recording_has_the_values_and_their_operands() -> None:
    w = Value(2.0, label="w")
    recording = recorded(lambda x: (mp.dot([w, w], x) + 3) * mp.pick([w, x[1]], x[0]), (2,))
    made = {
        value: (value.op and value.op.name, [*map(recording.order.index, value.operands)])
        for value in recording.order
    }
    assert [row for row in made.values() if row[1]] == [
        ("dot", [0, 0, 1, 2]),
        ("add", [3, 4]),
        (None, [1, 0, 2]),
        ("mul", [5, 6]),
    ]
    assert recording.order[:3] == [w, *recording.inputs]
    assert recording.order[4].data == 3.0


def test_parameters_are_those_that_are_reached() -> None:
    a, b, c = values(1.0, 2.0, 3.0)

    def loss(x: Any) -> Value:
        c * x  # leads nowhere
        return a * x + b

    assert recorded(loss, ()).parameters == [a, b]


def test_nothing_but_the_recorded_values_remains() -> None:
    w = Value(2.0)
    assert mp.context.recorder() is None
    recorded(lambda x: w * x, ())
    with pytest.raises(TypeError):
        recorded(lambda x: w * float(x), ())
    assert mp.context.recorder() is None
    assert (w * 2).data == 4.0


# ---- simplifying


def test_a_neuron_becomes_one_dot() -> None:
    w, b = values(1.0, 2.0), Value(3.0)
    assert names(simplified(lambda x: w[0] * x[0] + w[1] * x[1] + b, (2,))) == ["dot"]
    assert names(simplified(lambda x: b + w[0] * x[0] + x[1] * w[1], (2,))) == ["dot"]
    assert names(simplified(lambda x: sum(a * v for a, v in zip(w, x)), (2,)))[0] == "dot"


@pytest.mark.parametrize("count", [10, 1000, 20_000])
def test_a_sum_of_products_becomes_one_dot(count: int) -> None:
    w = values(*[1.0] * count)
    made = (
        lambda x: sum((a * v for a, v in zip(w[1:], x[1:])), w[0] * x[0]),
        lambda x: mp.sum([a * v for a, v in zip(w, x)]),
        lambda x: mp.dot(w[:5], x[:5]) + mp.sum([mp.dot(w[5:], x[5:])]),
    )
    for function in made:
        lines = simplified(function, (count,))
        assert names(lines) == ["dot"]
        assert lines[0].count(",") == 2 * count - 1


def test_a_product_that_is_used_twice_stays() -> None:
    w = values(1.0, 2.0)

    def loss(x: Any) -> Value:
        product = w[0] * x[0]
        return (product + w[1] * x[1]) * product

    assert names(simplified(loss, (2,))).count("mul") >= 2


def test_what_is_the_same_is_computed_once() -> None:
    a, b = values(1.0, 2.0)
    assert names(simplified(lambda x: (a * x).tanh() / (a * x).tanh(), ())) == [
        "mul",
        "tanh",
        "div",
    ]
    two = simplified(lambda x: mp.maximum((a * 2.0).exp() + b, (a * 2).exp() - x), ())
    assert names(two).count("exp") == 1
    halves = simplified(lambda x: (a / (x + 0.0)) - (a / (x + -0.0)), ())
    assert names(halves).count("div") == 2  # the two zeros are not the same number


def test_with_and_without_a_graph_is_not_the_same() -> None:
    a = Value(2.0)

    def loss(x: Any) -> Value:
        with mp.no_grad():
            frozen = (a * x).tanh()
        return frozen / (a * x).tanh()

    assert names(simplified(loss, ())).count("tanh") == 2


def test_a_first_call_inside_no_grad_is_recorded_with_gradients(machine: str) -> None:
    w = Value(2.0)
    step = mp.compile(lambda x: (w * x) ** 2, optim.SGD([w], lr=0.125))
    with mp.no_grad():
        assert step.loss([1.0]) == 4.0
    assert (step([1.0]), w.grad, w.data) == (4.0, 4.0, 1.5)


def test_numbers_are_computed_once_and_for_all() -> None:
    a = Value(2.0)
    graph = simplify(recorded(lambda x: a * (mp.exp(1.0) * 2 + mp.sum([1.0, 2.0])) * x, ()))
    numbers = [
        graph.numbers[tag] for kind, tag in zip(graph.kinds, graph.nodes.tags) if kind == NUMBER
    ]
    assert numbers == [math.e * 2 + 3]
    assert names(simplified(lambda x: a * mp.log(0.0) + x, ()))[-1] == "add"


def test_dead_code_goes() -> None:
    a, b = values(1.0, 2.0)

    def loss(x: Any) -> Value:
        (a * b).exp().tanh()
        return mp.pick([a * x, b.exp() * x], 0)

    assert names(simplified(loss, ())) == ["mul"]


def test_a_square_is_a_product() -> None:
    a = Value(2.0)
    assert names(simplified(lambda x: (a * x) ** 2, ())) == ["mul", "mul"]
    assert names(simplified(lambda x: (a * x) ** 3, ())) == ["mul", "pow"]
    assert names(simplified(lambda x: a**2 + (a * x) ** 2 + a, ())).count("pow") == 0


# ---- laying out


def program(function: Callable[..., Any], parameters: list[Value], *shapes: Any) -> Any:
    recording = record(function, shapes, parameters)
    store = Store(parameters)
    store.add(recording.graph)
    return lay_out(simplify(recording), store, len(recording.inputs))


def test_a_network_is_a_short_program() -> None:
    model = nn.MLP(2, [16, 16, 1])
    made = program(lambda x, y: losses.hinge(model(x), y), model.parameters(), (2,), ())
    assert len(made.per_example) <= 16
    assert made.shared == []
    assert [str(i).split()[0] for i in made.per_example][:4] == ["matmul", "relu", "matmul", "relu"]


def test_micrograds_way_of_writing_gives_the_same_program() -> None:
    model = nn.MLP(2, [16, 16, 1])

    def by_hand(x: Any) -> Any:
        for layer in model.layers:
            made = [sum((w * v for w, v in zip(n.w, x)), n.b) for n in layer.neurons]
            x = [v.relu() for v in made] if layer.neurons[0].nonlin else made
        return x[0]

    one, other = (program(f, model.parameters(), (2,)) for f in (model, by_hand))
    shapes = [[(i.kind, i.count, i.length) for i in made.per_example] for made in (one, other)]
    assert shapes[0] == shapes[1]


def test_a_layer_on_several_rows_is_one_matrix_product() -> None:
    model = nn.Linear(4, 3, bias=False)
    made = program(model, model.parameters(), (5, 4))
    assert [str(i).split(maxsplit=1)[0] for i in made.per_example] == ["matmul"]
    (matmul,) = made.per_example
    assert sorted((matmul.rows, matmul.columns)) == [3, 5]
    assert (matmul.count, matmul.length) == (15, 4)


def test_a_penalty_is_computed_once_per_batch() -> None:
    model = nn.MLP(2, [4, 1])
    p = model.parameters()

    def loss(x: Any, y: Any) -> Value:
        return losses.hinge(model(x), y) + 1e-4 * mp.sum([w * w for w in p])

    made = program(loss, p, (2,), ())
    assert len(made.shared) == 2
    once, each = str(made).split("for each example")
    assert once.startswith("once per batch")
    assert f"dot        1 of {len(p)}" in once
    assert f"of {len(p)}" not in each


def test_a_step_prints_its_programs() -> None:
    model = nn.MLP(2, [4, 1])
    p = model.parameters()
    step = mp.compile(
        lambda x, y: losses.hinge(model(x), y) + 1e-4 * sum(w * w for w in p), optim.SGD(p, lr=0.1)
    )
    assert "0 programs" in str(step)
    step([[1.0, 2.0]], [1])
    shown = str(step)
    for part in (
        "1 program,", "x: 2 numbers, y: a number", "17 parameters", "once per batch",
        "for each example", "matmul", "4 dots of 2", "MLP.Layer.Neuron", "hinge",
    ):  # fmt: skip
        assert part in shown
    assert all(len(line) <= 100 for line in shown.splitlines()[1:])


# ---- what is kept


def test_a_shape_is_recorded_once(machine: str) -> None:
    w, calls = values(1.0, 2.0, 3.0), []

    def loss(x: Any) -> Value:
        calls.append(len(x))
        return mp.dot(w[: len(x)], x)

    compiled = mp.compile(loss, optim.SGD(w, lr=0.1))
    compiled([[1.0]])
    assert 1 <= len(calls) <= 2  # recorded, and checked
    del calls[:]
    compiled([[2.0], [3.0]])
    compiled.run([[2.0], [3.0], [4.0]], epochs=5, batch_size=2)
    assert calls == []
    compiled([[2.0, 1.0], [3.0], [4.0, 0.0]])
    assert set(calls) == {2}
    del calls[:]
    compiled([[2.0, 1.0], [3.0], [4.0, 0.0]])
    compiled([[2.0]])
    assert calls == []
    assert list(compiled.programs) == [((2,),), ((1,),)]


def test_of_several_lengths_each_is_recorded_once(machine: str) -> None:
    """Without an optimizer nobody says beforehand that longer rows reach more parameters."""
    w, calls = values(1.0, 2.0, 3.0, 4.0), []

    def loss(x: Any) -> Value:
        calls.append(len(x))
        return mp.dot(w[: len(x)], x)

    assert mp.compile(loss)([[1.0] * n for n in (1, 2, 3, 4)]) == (1 + 3 + 6 + 10) / 4
    assert sorted(calls) == [1, 1, 2, 2, 3, 3, 4, 4]  # recorded, and checked


def test_the_cache_is_bounded(machine: str) -> None:
    w, calls = values(1.0, 2.0, 3.0), []

    def loss(x: Any) -> Value:
        calls.append(len(x))
        return mp.dot(w, [*x, *[0.0] * (3 - len(x))])

    for optimizer in (None, optim.SGD(w, lr=0.0)):
        compiled = mp.compile(loss, optimizer, cache_size=2)
        rows = [[1.0], [1.0, 1.0], [1.0, 1.0, 1.0]]
        for row, wanted in zip(rows, (1.0, 3.0, 6.0)):
            assert compiled([row]) == wanted
        assert list(compiled.programs) == [((2,),), ((3,),)]
        assert "2 programs, at most 2" in str(compiled)
        del calls[:]
        assert compiled([rows[1]]) == 3.0  # now the last used
        assert calls == []
        assert compiled([rows[0]]) == 1.0
        assert list(compiled.programs) == [((2,),), ((1,),)]
        with pytest.raises(ValueError, match="cache_size=3"):
            compiled(rows)
        assert compiled([rows[2]]) == 6.0


def test_each_shape_keeps_its_program(machine: str) -> None:
    w = values(1.0, 2.0)

    def loss(x: Any) -> Value:
        return w[0] * x[0] if len(x) == 1 else mp.dot(w, x).exp()

    compiled = mp.compile(loss, optim.SGD(w, lr=0.0))
    one, two = [[3.0]], [[0.5, -0.25]]
    for batch, wanted in ((one, 3.0), (two, 1.0), (one, 3.0), (two, 1.0), (two, 1.0), (one, 3.0)):
        assert compiled(batch) == wanted
    assert compiled([*one, *two]) == 2.0


def test_dropout_is_recorded_for_each_mode(machine: str) -> None:
    model = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5, generator=random.Random(0)))
    predict = mp.compile(model)

    def row() -> list[float]:
        return [float(n) for n in predict([[1.0, 2.0]])[0]]

    dropped = row()
    assert 0.0 in dropped
    assert row() != dropped
    model.eval()
    kept = row()
    assert kept == [v.data for v in model([1.0, 2.0])]
    assert row() == kept
    model.train()
    assert 0.0 in row()


def test_dropout_alone_is_switched(machine: str) -> None:
    # As for Monte Carlo dropout: all but the dropout evaluates.
    model = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5, generator=random.Random(0)))
    model.eval()
    predict = mp.compile(model)
    kept = [float(n) for n in predict([[1.0, 2.0]])[0]]
    model[1].train()
    assert [float(n) for n in predict([[1.0, 2.0]])[0]] != kept
    model[1].eval()
    assert [float(n) for n in predict([[1.0, 2.0]])[0]] == kept


def test_a_dropout_of_a_loss_function_is_switched(machine: str) -> None:
    w, dropout = Value(1.0), nn.Dropout(0.5, generator=random.Random(0)).eval()
    compiled = mp.compile(lambda x: dropout(w * x))
    assert compiled([1.0] * 64) == 1.0
    dropout.train()
    assert compiled([1.0] * 64) != 1.0


def test_a_mode_that_a_loss_function_reads(machine: str) -> None:
    w, model = Value(1.0), nn.Linear(1, 1)  # which is not called
    compiled = mp.compile(lambda x: w * x if model.training else -w * x)
    for mode, expected in ((True, 3.0), (False, -3.0), (False, -3.0), (True, 3.0)):
        model.train(mode)
        assert compiled.loss([3.0]) == expected


def test_checks_leave_generators_alone() -> None:
    generator, twin = random.Random(3), random.Random(3)
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5, generator=generator))
    with pytest.raises(TypeError):
        mp.compile(lambda x: mp.sum(model(x)) * float(x[0]))([[1.0, 2.0]])
    assert generator.getstate() == twin.getstate()


def test_an_input_may_stand_for_the_same_number_twice(machine: str) -> None:
    w = Value(1.0)
    assert mp.compile(lambda x, y: w * mp.where(x < y, 1.0, 2.0))([1.0, 2.0], [1.0, 3.0]) == 1.5


# ---- inputs have the methods of Values; other threads are not disturbed


def test_methods_of_inputs() -> None:
    w = Value(0.5)
    loss = mp.compile(lambda x: x[0].tanh() * w)
    assert loss([[1.0], [2.0]]) == pytest.approx((math.tanh(1) + math.tanh(2)) / 4)
    table = [Value(1.0), Value(3.0)]
    assert mp.compile(lambda x: mp.pick(table, x) * w)([1, 0, 1]) == pytest.approx(7 / 6)


def test_another_thread_may_use_the_parameters_while_a_function_is_recorded() -> None:
    w = Value(2.0, label="w")
    inside, done = threading.Event(), threading.Event()
    found: list[Any] = []

    def loss(x: Any) -> Value:
        inside.set()
        done.wait(60)
        return w * x

    def other() -> None:
        inside.wait(60)
        w.data = 3.0
        found.extend([w.data, w > 2, (w * 2).data, f"{w:.1f}", repr(w)])
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert mp.compile(loss)([1.0, 2.0]) == pytest.approx(4.5)
    finally:
        done.set()
        thread.join()
    assert found[:4] == [3.0, True, 6.0, "3.0"]
    assert (w.data, type(w)) == (3.0, Value)


def test_two_threads_record_functions_of_the_same_parameters() -> None:
    w = Value(2.0)
    results: list[float] = []

    def run(n: int) -> None:
        results.append(mp.compile(lambda x: w * x * n)([1.0]))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [2.0 * n for n in range(1, 9)]
    assert (w.data, type(w)) == (2.0, Value)


def test_a_thread_records_a_function_whose_parameters_another_thread_trains() -> None:
    weights = [Value(2.0) for _ in range(300)]
    losses: list[float] = []

    def train() -> None:
        step = mp.compile(lambda x: (mp.sum(weights) - x) ** 2, mp.optim.SGD(weights, lr=0.0))
        while not done.is_set():
            losses.append(step([599.0]))

    done, thread, interval = (
        threading.Event(),
        threading.Thread(target=train),
        sys.getswitchinterval(),
    )
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        results = [mp.compile(lambda x, n=n: mp.sum(weights) * x * n)([1.0]) for n in range(30)]
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
    assert results == [600.0 * n for n in range(30)]
    assert {*losses} == {1.0}
    assert {(w.data, type(w)) for w in weights} == {(2.0, Value)}


def test_where_a_sum_over_examples_meets_an_infinite_derivative() -> None:
    """The exception that the docstring of `compile` names."""
    w = Value(0.0)
    X = [1.0, -1.0, 2.0]

    def loss(x: Any) -> Value:
        return w.sqrt() * x

    mp.compile(loss)(X)
    assert w.grad == math.inf
    w.grad = 0.0
    for x in X:
        loss(Value(x)).backward(1 / 3)
    assert math.isnan(w.grad)


class Node:
    itself: Any


def test_objects_count_as_old_after_a_recording_and_garbage_goes() -> None:
    collector = _Collector(many=1000, most=5000)
    gone, kept = list[Any](), list[Any]()
    gc.collect()  # and the count of new objects begins at 0
    for _ in range(4):
        with collector.paused():
            kept.append([[i] for i in range(2000)])
            circle = Node()
            circle.itself = circle
            gone.append(weakref.ref(circle))
            del circle
        assert gc.isenabled()
        assert gc.get_count()[0] < 1000
    assert gc.get_freeze_count() == 0
    assert [reference() for reference in gone[:3]] == [None] * 3


def test_a_backward_of_a_value_that_the_function_makes_is_refused() -> None:
    def loss(x: Any) -> Value:
        made = Value(2.0)
        made.backward()
        return made * x

    with pytest.raises(
        TypeError, match=r"backward\(\) cannot be called inside a function that is compiled"
    ):
        mp.compile(loss)([1.0])


def test_a_pick_of_rows_of_different_lengths_is_refused() -> None:
    w = values(1.0, 2.0)
    with pytest.raises(ValueError, match="pick takes values, or rows of one length"):
        mp.compile(lambda i: mp.sum(mp.pick([w, w[:1]], i)))([0])


def test_a_number_of_results_that_changes_is_refused() -> None:
    class Growing(nn.Module):
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, x: Any) -> list[Value]:
            self.calls += 1
            return [x * 2.0] * self.calls

    with pytest.raises(ValueError, match="returned 1 Values when it was recorded, and 2 when"):
        mp.compile(Growing())([1.0])


def test_a_compiled_model_is_a_part_of_another_function() -> None:
    layer, w = nn.Linear(2, 1, generator=random.Random(0)), Value(3.0)
    predict = mp.compile(layer)
    X = [[1.0, -2.0], [0.5, 4.0]]
    wanted = [layer(x)[0].data * 3.0 for x in X]
    loss = mp.compile(lambda x: predict(x)[0] * w)
    assert [loss([x]) for x in X] == pytest.approx(wanted)


def test_an_input_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(TypeError, match="larger than the largest float"):
        mp.compile(lambda x: x[0] * 2.0)([[10**400], [1, 2]])


def test_parameters_in_reach_are_found_in_any_lists() -> None:
    w = values(1.0, 2.0, 3.0, 4.0)
    data: list[Any] = [[[0.5, 1], "name"], (w[1], [w[2], w[2] * 2.0, Constant(1.0)]), []]
    data.append(data)

    class Holder:
        def __init__(self) -> None:
            self.first, self.rest = w[0], [{}, [[w[3]]]]

    holder = Holder()
    found = in_reach(lambda: (holder, data))
    assert {*found} == {*w}


def test_all_is_collected_only_when_a_quarter_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = _Collector(many=1000, most=1000)
    collected_at, kept = list[int](), list[Any]()
    monkeypatch.setattr(gc, "collect", lambda: collected_at.append(len(kept)))
    for _ in range(5):
        with collector.paused():
            kept.append([[i] for i in range(2000)])
    assert collected_at == [1]  # nothing was known before; there are more than 40,000 objects
    assert collector.alive == pytest.approx(len(gc.get_objects()), rel=0.2)
    collector.alive = 20_000
    with collector.paused():
        kept.append([[i] for i in range(2000)])
    assert collected_at == [1, 6]
