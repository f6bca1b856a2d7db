"""What the tests of layers share: examples, and PyTorch's, compiled and eager numbers side by side.

A module is compared on its outputs and on the gradients of `weighted`, a sum to which each output
adds another share: were all shares alike, the gradients of a norm or a softmax would be zeros.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from sealed import Computing, reveal, sealed

import micrograd_plus as mp
from micrograd_plus import Value, functional, gradcheck, nn
from micrograd_plus.context import recording
from micrograd_plus.support.nested import flatten, shape

NEAR = {"rel": 1e-9, "abs": 1e-9}  # PyTorch adds up in another order
AFTER_TRAINING = {"rel": 1e-7, "abs": 1e-7}  # and after 100 steps that shows


# ---- examples


def seeded(seed: int = 0) -> random.Random:
    return random.Random(seed)


def noise(*lengths: int, seed: int = 0) -> Any:
    """Nested lists of Values between -1 and 1; no two are equal, so that no maximum ties.

    A module made with `seeded(seed)` draws other numbers.
    """
    generator = random.Random(f"noise {seed}")

    def filled(lengths: Sequence[int]) -> Any:
        if not lengths:
            return Value(generator.uniform(-1, 1))
        return [filled(lengths[1:]) for _ in range(lengths[0])]

    return filled(lengths)


def shaken(module: nn.Module) -> Any:
    """The module, with other parameters than the ones and zeros with which some begin."""
    generator = seeded(3)
    for parameter in module.parameters():
        parameter.data += generator.uniform(-0.5, 0.5)
    return module


# ---- numbers of nested lists


def flat(x: Any) -> list[Any]:
    """What lists, arrays or tensors hold, nested or not, in one list."""
    return list(flatten(x))


def numbers(x: Any) -> Any:
    """The numbers of nested lists of Values."""
    return [numbers(item) for item in x] if isinstance(x, (list, tuple)) else x.data


def gradients(x: Any) -> list[float]:
    """The gradients of nested lists of Values, in one list."""
    return [value.grad for value in flatten(x)]


def parts(x: Any) -> list[Any]:
    """What tuples hold, nested or not: output, h and c of (output, (h, c))."""
    return [part for item in x for part in parts(item)] if isinstance(x, tuple) else [x]


def weighted(outputs: Any) -> Value:
    """A sum of all outputs in which each counts differently."""
    values = flat(outputs)
    return functional.dot(values, _shares(len(values)))


def _shares(count: int) -> list[float]:
    return [math.cos(i + 1) for i in range(count)]


# ---- PyTorch


def pytorch() -> Any:
    """PyTorch, if it is there, on one thread: more only wait for each other over so few numbers."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch


def in_torch(x: Any) -> Any:
    """Nested lists of Values as a tensor that wants a gradient; tuples of them as tuples."""
    torch = pytorch()
    if isinstance(x, tuple):
        return tuple(map(in_torch, x))
    return torch.tensor(numbers(x), dtype=torch.float64, requires_grad=True)


def twin_of(module: nn.Module, twin: Any = None) -> Any:
    """The same module in PyTorch: `twin`, or the one of its name, with the numbers of `module`.

    Their states have the same names, in one order, and go from one to the other and back.
    """
    torch = pytorch()
    if twin is None:
        twin = _made_in_torch(module)
    twin, state = twin.double(), module.state_dict()
    assert list(state) == list(twin.state_dict())
    twin.load_state_dict({k: torch.tensor(v, dtype=torch.float64) for k, v in state.items()})
    module.load_state_dict(twin.state_dict())
    assert module.state_dict() == state
    return twin


def _made_in_torch(module: nn.Module) -> Any:
    torch = pytorch()
    if isinstance(module, nn.Sequential):
        return torch.nn.Sequential(*map(_made_in_torch, module))
    return getattr(torch.nn, type(module).__name__)(**module.config())


def gpt_in_torch(
    model: nn.GPT, dtype: str = "float64"
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The loss of the same GPT, from PyTorch's own functions; and its parameters by name."""
    torch = pytorch()
    from torch.nn.functional import (
        cross_entropy,
        embedding,
        linear,
        relu,
        rms_norm,
        scaled_dot_product_attention,
    )

    w = {
        name: torch.tensor(rows, dtype=getattr(torch, dtype), requires_grad=True)
        for name, rows in model.state_dict().items()
    }
    heads = model.config()["heads"]

    def norm(x: Any) -> Any:
        return rms_norm(x, x.shape[-1:], eps=1e-5)

    def loss(tokens: Any, targets: Any) -> Any:
        tokens, targets = torch.tensor(tokens), torch.tensor(targets)
        x = norm(embedding(tokens, w["tokens.weight"]) + w["positions.weight"][: len(tokens)])
        for i in range(len(model.blocks)):
            block = f"blocks.{i}"
            together = linear(norm(x), w[f"{block}.self_attn.in_proj_weight"])
            q, k, v = (
                part.unflatten(-1, (heads, -1)).transpose(0, 1) for part in together.chunk(3, -1)
            )
            heard = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(0, 1)
            x = x + linear(heard.flatten(-2), w[f"{block}.self_attn.out_proj.weight"])
            hidden = relu(linear(norm(x), w[f"{block}.linear1.weight"]))
            x = x + linear(hidden, w[f"{block}.linear2.weight"])
        return cross_entropy(linear(x, w["head.weight"]), targets)

    return loss, w


def assert_alike(
    ours: Any, theirs: Any, leaves: Any, their_leaves: Iterable[Any], near: Any = NEAR
) -> None:
    """Equal outputs, and equal gradients of the leaves: nested lists of Values, and tensors.

    Outputs are nested lists and tensors, or tuples of them.
    """
    torch = pytorch()
    for part, their_part in zip(parts(ours), parts(theirs), strict=True):
        assert shape(part) == tuple(their_part.shape)
        assert flat(numbers(part)) == pytest.approx(flat(their_part), **near)
    weighted(parts(ours)).backward()
    outputs = torch.cat([part.reshape(-1) for part in parts(theirs)])
    (outputs * torch.tensor(_shares(len(outputs)), dtype=torch.float64)).sum().backward()
    their_gradients = flat([leaf.grad for leaf in their_leaves])
    assert gradients(leaves) == pytest.approx(their_gradients, **near)


def assert_like_torch(module: Any, *inputs: Any, twin: Any = None) -> None:
    """A module does what its twin in PyTorch does; gradients of inputs and parameters included."""
    twin, their_inputs = twin_of(module, twin), in_torch(inputs)
    assert_alike(
        module(*inputs),
        twin(*their_inputs),
        [parts(inputs), module.parameters()],
        [*parts(their_inputs), *twin.parameters()],
    )


def assert_same_state(module: nn.Module, theirs: dict[str, Any], **near: float) -> None:
    """The parameters and buffers of a module are near the tensors of these names."""
    state = module.state_dict()
    assert list(state) == list(theirs)
    for name, ours in state.items():
        assert flat(ours) == pytest.approx(flat(theirs[name]), **near), name


def train(
    optimizer: Any, loss: Callable[..., Any], examples: Iterable[Any], schedule: Any = None
) -> list[float]:
    """A step for each of the examples: all losses. It trains in PyTorch as it does here."""
    seen = []
    for example in examples:
        optimizer.zero_grad()
        found = loss(*example)
        found.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        seen.append(float(found.data))
    return seen


# ---- gradients, recording, compiling


def gradchecked(module: Any, x: Any) -> Any:
    """The report of a gradient check of the module at x, once it has found no mistake."""
    report = gradcheck(weighted(module(x)))
    assert report, report
    return report


def assert_reads_no_number_while_recording(module: Any, x: Any) -> None:
    """x: nested lists of numbers."""
    with recording(Computing()):
        recorded = module(sealed(x))
    assert reveal(recorded) == numbers(module(x))


def assert_compiled_outputs(module: Any, X: Sequence[Any]) -> None:
    """A compiled module gives for each of the examples what the module itself gives."""
    pytest.importorskip("llvmlite")
    for ours, x in zip(mp.compile(module)(X), X, strict=True):
        assert flat(ours) == pytest.approx(flat(numbers(module(x))), rel=1e-12, abs=1e-15)


def assert_compiled_loss(
    loss: Callable[..., Value], module: nn.Module, *columns: Sequence[Any]
) -> None:
    """A compiled loss is the mean of the loss of each example, and sets the mean's gradients.

    The examples must reach all parameters of the module.
    """
    pytest.importorskip("llvmlite")
    parameters = module.parameters()
    total = functional.mean([loss(*example) for example in zip(*columns, strict=True)])
    module.zero_grad()
    total.backward()
    expected = gradients(parameters)
    assert any(expected)
    for parameter in parameters:
        parameter.grad = 7.0  # what was there before does not count
    assert mp.compile(loss)(*columns) == pytest.approx(total.data, rel=1e-12)
    assert gradients(parameters) == pytest.approx(expected, rel=1e-12, abs=1e-13)


def assert_compiled_is_eager(module: Any, X: Sequence[Any]) -> None:
    """Outputs, and the gradients of a loss, if there are parameters."""
    assert_compiled_outputs(module, X)
    if module.parameters():
        assert_compiled_loss(lambda x: weighted(nn.Tanh()(flat(module(x)))), module, X)
