"""The tape: what the layout makes is what the machine code reads, field by field."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from ctypes import sizeof
from typing import Any

import pytest

import micrograd_plus as mp
from micrograd_plus import nn
from micrograd_plus.compiler import kernels, tape
from micrograd_plus.compiler.dtypes import FLOAT64
from micrograd_plus.compiler.layout import Program, Store, lay_out, overwriting
from micrograd_plus.compiler.passes import NO_SLOT, PARAMETERS, UNKNOWN
from micrograd_plus.compiler.recording import record
from micrograd_plus.compiler.rows import Places
from micrograd_plus.compiler.simplify import simplify
from micrograd_plus.engine import Value

pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def program() -> Program:
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5), nn.Softmax())
    parameters = model.parameters()
    return lay_out(simplify(record(model, [(3,)], parameters)), Store(parameters), inputs=3)


def test_every_number_of_a_record_is_found_by_its_name(program: Program) -> None:
    instructions = program.per_example
    patterns = [pattern for instruction in instructions for pattern in instruction.operands]
    assert len(instructions) > 4
    assert len(patterns) > 8
    for rows in (instructions, patterns):
        record_ = type(rows[0])
        array = tape.packed(record_, rows)
        assert array.dtype == tape.numpy_type(record_)
        for name in array.dtype.names:
            assert array[name].tolist() == [int(getattr(row, name)) for row in rows]


def test_gradients_are_written_where_none_was_added(program: Program) -> None:
    """Those of the first layer, of relu and of the second layer, whose softmax reads them twice."""
    first, relu, second, *softmax = program.per_example
    assert [i.op and i.op.name for i in (first, relu, second)] == ["dot", "relu", "dot"]
    assert not first.is_cleared
    assert relu.operands[0].is_first
    assert not relu.is_cleared
    assert second.operands[1].is_first
    # The last to read it is the first on the way back.
    reading = [x for i in softmax for x in i.operands if x.base == second.out]
    assert [x.is_first for x in reading] == [False, True]
    assert softmax[-1].is_cleared  # no instruction gives it a gradient


def test_gradients_of_parameters_are_written_once(program: Program) -> None:
    """Of a matrix that two layers use, by the second; of what else it is used for, by none."""
    first, _, second, *_ = program.per_example
    assert program.written == [0, 24, 32, 72]  # without the biases
    assert [i.operands[0].is_first for i in (first, second)] == [True, True]

    layer = nn.Linear(4, 4)
    parameters = layer.parameters()

    def twice(x: Any) -> Any:
        return layer(layer(x))

    def with_its_own_bias(x: Any) -> Any:
        return [score + row[0] for score, row in zip(layer(x), layer.weight)]

    for function, marks in ((twice, [False, True]), (with_its_own_bias, [False])):
        laid_out = lay_out(
            simplify(record(function, [(4,)], parameters)), Store(parameters), inputs=4
        )
        products = [i for i in laid_out.per_example if i.kind == tape.MATMUL]
        assert [i.operands[0].is_first for i in products] == marks
        assert laid_out.written == ([0, 16] if any(marks) else [])


LAYERS = [nn.Linear(3, 8), nn.Linear(8, 5), nn.Linear(8, 5)]


@pytest.mark.parametrize(
    ("activate", "is_over"),
    [
        (mp.relu, True),
        (mp.tanh, True),  # its slope needs the result alone
        (mp.silu, False),  # its slope needs the product
        (lambda v: v + mp.relu(v), False),  # and so does the sum
        (lambda v: mp.relu(v) * mp.tanh(v), False),
    ],
)
def test_activations_overwrite_a_product_that_nothing_else_needs(
    activate: Callable[[Value], Value], is_over: bool
) -> None:
    def loss(x: Any) -> Value:
        hidden = [activate(v) for v in LAYERS[0](x)]
        return mp.mean([a * b for a, b in zip(LAYERS[1](hidden), LAYERS[2](hidden))])

    parameters = [p for layer in LAYERS for p in layer.parameters()]
    laid_out = lay_out(simplify(record(loss, [(3,)], parameters)), Store(parameters), inputs=3)
    product, activation, *others = laid_out.per_example
    written = overwriting(laid_out.per_example, laid_out.outputs)
    assert written[0].out == product.out
    assert (written[1].out == product.out) == is_over
    # The product computes relu, too, and no other op.
    assert [i.joins for i in written] == [activate is mp.relu] * 2 + [False] * len(others)
    if is_over:  # both layers read what is there
        reading = [
            new.operands[1] for new, old in zip(written[2:], others) if old.kind == tape.MATMUL
        ]
        assert [x.base for x in reading] == [product.out] * len(reading)
        assert reading
        with_product = [*laid_out.outputs, product.out]  # which a caller wants to see
        assert overwriting(laid_out.per_example, with_product) == laid_out.per_example
    else:
        assert written == laid_out.per_example
    assert activation.out != product.out


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_product_passes_relu_back_if_nothing_else_reads_it(is_alone: bool) -> None:
    parameters = [p for layer in LAYERS[:2] for p in layer.parameters()]

    def loss(x: Any) -> Value:
        hidden = [mp.relu(v) for v in LAYERS[0](x)]
        scores = [score.tanh() for score in LAYERS[1](hidden)]
        return mp.mean(scores if is_alone else [*scores, hidden[2] * hidden[2]])

    laid_out = lay_out(simplify(record(loss, [(3,)], parameters)), Store(parameters), inputs=3)
    written = overwriting(laid_out.per_example, laid_out.outputs)
    passed = [i.op and i.op.name for i in written if i.joins_back]
    assert passed == (["relu", "dot"] if is_alone else [])


@pytest.mark.parametrize("record_", tape.RECORDS)
def test_all_fields_are_numbers_but_those_that_only_python_reads(record_: Any) -> None:
    fields = {field.name for field in dataclasses.fields(record_)}
    python = {"op", "operands", "scope", "places", "bounds"}
    array, structure = tape.numpy_type(record_), tape.structure(record_)
    assert {*array.names} == fields - python
    assert array.isalignedstruct
    begins = [(getattr(structure, name).offset, name) for name in array.names]
    assert begins == [(array.fields[name][1], name) for name in array.names]
    assert sizeof(structure) == array.itemsize


def test_a_kernel_that_reads_an_unknown_field_is_not_compiled() -> None:
    pytest.importorskip("llvmlite")
    from micrograd_plus.compiler.native import _compiled

    def compiled(field: str) -> None:
        text = f"def kernel(x: Pattern) -> int:\n    return x.{field}"
        _compiled(FLOAT64, None, {}, ["kernel"], "unknown_field", text)

    compiled("stride")
    with pytest.raises(TypeError, match=r"x\.stribe: Pattern has nothing there"):
        compiled("stribe")


def test_the_state_of_a_run_is_one_argument() -> None:
    assert list(inspect.signature(kernels.run).parameters) == ["address"]
    functions = [f for _, f in inspect.getmembers(kernels, inspect.isfunction)]
    kernels_ = [f for f in functions if f.__module__ == kernels.__name__]
    taking_work = [f for f in kernels_ if "work" in inspect.signature(f).parameters]
    assert len(taking_work) > 20
    assert max(len(inspect.signature(f).parameters) for f in taking_work) <= 8


@pytest.mark.parametrize("shape", [(3,), (2, 1000), (10**5,)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_begins_a_line_of_the_cache(shape: tuple[int, ...], dtype: str) -> None:
    np = pytest.importorskip("numpy")
    numbers = tape.zeros(shape, dtype)
    assert (numbers.shape, numbers.dtype) == (shape, np.dtype(dtype))
    assert numbers.ctypes.data % tape.LINE == 0
    assert not numbers.any()
    fewest = tape.whole_lines(numbers.size)
    assert fewest >= numbers.size
    assert fewest * numbers.itemsize % tape.LINE == 0


def test_memory_begins_at_different_places_of_a_page() -> None:
    pytest.importorskip("numpy")
    rows = [tape.zeros((10**5,), "float64") for _ in range(4)]
    assert len({tape.address(numbers) % tape.PAGE for numbers in rows}) == 4


def test_parameters_keep_their_slots_when_another_list_is_asked_for() -> None:
    a, b, c, d = (Value(float(i)) for i in range(4))
    store = Store([c, a])
    slots, is_moved = store.rows([a, b, c])
    assert slots[:3].tolist() == [NO_SLOT, UNKNOWN, NO_SLOT]
    assert is_moved[:3].tolist() == [1, 0, 1]
    slots[0], slots[1], slots[2] = 1, 2, 0
    assert store.slots([c, a, d]) == [0, 1, UNKNOWN]
    assert store.slots([a, b]) == [1, 2]
    assert set(store.parameters) == {a, b, c}


def test_a_parameter_is_known_once() -> None:
    a, b, c = (Value(float(i)) for i in range(3))
    places = Places()
    places.know([a, b])
    places.know([a, b])
    places.know([c, b, c])
    assert places.parameters == [a, b, c]
    assert [number - PARAMETERS for number in places.of([c, a, b])] == [2, 0, 1]
