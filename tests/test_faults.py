"""The deliberate faults: each does the damage it describes, is found, and leaves no trace."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

import micrograd_plus as mp
from micrograd_plus import Value, faults, gradcheck
from micrograd_plus.classroom.faults import ALL, Fault
from micrograd_plus.engine import apply
from micrograd_plus.ops import TABLE

SWITCHES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    **{fault.name: fault for fault in ALL[:-1]},
    **{f"change_forward_only {op}": lambda op=op: faults.change_forward_only(op) for op in TABLE},
}


def what_faults_replace() -> list[object]:
    zero_grads = [vars(mp.nn.Module)["zero_grad"], vars(mp.optim.Optimizer)["zero_grad"]]
    # An op's functions are looked up by what they give: they are compiled when first called.
    return [vars(Value)["backward"], *zero_grads]


@pytest.fixture(autouse=True)
def everything_is_as_before() -> Iterator[None]:
    for op in TABLE.values():  # compiles them
        numbers = [0.7] * len(op.operands)
        op.partials(op.forward(*numbers), *numbers)
    before = [*what_faults_replace(), *((op.forward, op.partials) for op in TABLE.values())]
    yield
    after = [*what_faults_replace(), *((op.forward, op.partials) for op in TABLE.values())]
    assert after == before


def gradients(root: Value, *leaves: Value) -> list[float]:
    for leaf in leaves:
        leaf.grad = 0.0
    root.backward()
    return [leaf.grad for leaf in leaves]


# ---- what each one does, on graphs that were computed by hand


def test_overwriting_keeps_one_use_alone() -> None:
    a, b = Value(2.0), Value(-3.0)
    root = a * b + a  # first 1 from the +, then -3 from the *
    assert gradients(root, a, b) == [-2.0, 2.0]
    with mp.faults.overwrite_gradients():
        assert gradients(root, a, b) == [-3.0, 2.0]
    assert gradients(root, a, b) == [-2.0, 2.0]


def test_overwriting_forgets_the_pass_before() -> None:
    a = Value(3.0)
    with faults.overwrite_gradients():
        (2 * a).backward()
        (5 * a).backward()
    assert a.grad == 5.0


def test_overwriting_harms_no_tree() -> None:
    with faults.overwrite_gradients():
        assert gradcheck((Value(2.0) * Value(0.5) + Value(1.0)).tanh())


def test_recursion_hands_on_what_was_there_again() -> None:
    a = Value(2.0)
    b = 3 * a
    root = b + b  # from the first b, a gets 3 · 1; from the second, 3 · 2
    with faults.recurse_without_order():
        assert gradients(root, a) == [9.0]
    assert gradients(root, a) == [6.0]


def test_recursion_over_leaves_alone_is_right() -> None:
    a, b = Value(2.0), Value(-3.0)
    with faults.recurse_without_order():
        assert gradients(a * b + a, a, b) == [-2.0, 2.0]


def test_recursion_over_exponentially_many_paths_is_cut_off() -> None:
    root = a = Value(1.0)
    for _ in range(40):
        root = root + root
    with faults.recurse_without_order(), pytest.raises(RecursionError, match="exponentially many"):
        root.backward()
    assert gradients(root, a) == [2.0**40]


def test_recursion_needs_no_deep_stack() -> None:
    root = a = Value(1.0)
    for _ in range(5000):
        root = root + 1
    with faults.recurse_without_order():
        assert gradients(root, a) == [1.0]


def test_the_wrong_sign_turns_what_is_subtracted() -> None:
    a, b = Value(2.0), Value(5.0)
    with faults.wrong_sign():
        assert gradients(a - b, a, b) == [1.0, 1.0]
        assert gradients(-a, a) == [1.0]
        assert (a - b).data == -3.0
    assert gradients(a - b, a, b) == [1.0, -1.0]


def test_forward_changed_alone() -> None:
    x = Value(0.5)
    with faults.change_forward_only("tanh"):
        y = x.tanh()
        assert y.data == 2 * math.tanh(0.5)
        assert gradients(y, x) == [pytest.approx(1 - math.tanh(0.5) ** 2)]


def test_forward_of_an_op_whose_rule_uses_its_result() -> None:
    x = Value(0.0)
    with faults.change_forward_only("exp"):  # out, which the rule gives, is twice too large
        assert gradients(x.exp(), x) == [1.0]
        assert not gradcheck(x.exp())


def test_an_op_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"no op 'tan_h'; the ops are add, sub, .*logsumexp"):
        faults.change_forward_only("tan_h")


def test_zero_grad_is_forgotten_by_modules_and_optimizers() -> None:
    model = mp.nn.MLP(1, [1], generator=random.Random(0))
    optimizer = mp.optim.SGD(model.parameters(), lr=0.1)
    adam = mp.optim.Adam(model.parameters(), lr=0.1)
    for owner in (model, model.layers[0], optimizer, adam):
        for p in model.parameters():
            p.grad = 1.5
        with faults.forget_zero_grad():
            owner.zero_grad()
            assert {p.grad for p in model.parameters()} == {1.5}
        owner.zero_grad()
        assert {p.grad for p in model.parameters()} == {0.0}


def test_a_step_without_zero_grad_takes_both_passes() -> None:
    w = Value(1.0)
    optimizer = mp.optim.SGD([w], lr=0.1)
    with faults.forget_zero_grad():
        for _ in range(2):
            optimizer.zero_grad()
            (3 * w).backward()
    optimizer.step()
    assert w.data == pytest.approx(1 - 0.1 * 6)


# ---- how they are found


def shared() -> Value:
    """A graph with shared values at every depth, and each sign."""
    a, b = Value(0.7, label="a"), Value(0.4, label="b")
    c = a * b - a
    return (c * c + (-c)).tanh() * c


@pytest.mark.parametrize("fault", ALL[:-1], ids=lambda fault: fault.name)
def test_gradcheck_finds_it(fault: Fault) -> None:
    root = shared()
    assert gradcheck(root)
    with fault():
        report = gradcheck(root)
    if fault is faults.forget_zero_grad:  # a matter of the loop around the engine
        assert report
    elif fault is faults.wrong_sign:
        assert {check.op for check in report.wrong if check.op} == {"sub", "neg"}
    else:
        assert not report
        assert "gradients are lost or doubled" in report.verdict
    assert gradcheck(root)


FLAT = ("lt", "le")  # two times 0 or 1 has no slope either


@pytest.mark.parametrize("name", [name for name in TABLE if name not in FLAT])
@pytest.mark.parametrize("made", ["inside", "before"])
def test_gradcheck_finds_a_forward_pass_that_was_changed(name: str, made: str) -> None:
    op = TABLE[name]
    labels = "abcd" if op.nary else "abc"[: len(op.operands)]
    leaves = [Value(x, label) for x, label in zip((0.7, 0.4, 1.3, 0.9), labels, strict=False)]
    root = apply(op, *leaves)
    assert gradcheck(root)
    with faults.change_forward_only(name):
        report = gradcheck(apply(op, *leaves) if made == "inside" else root)
    assert not report
    assert {check.op for check in report.wrong if check.op} == {name}
    assert gradcheck(root)


# ---- on and off


@pytest.mark.parametrize("name", SWITCHES)
def test_an_exception_ends_it(name: str) -> None:
    with pytest.raises(ZeroDivisionError), SWITCHES[name]():
        raise ZeroDivisionError
    assert gradcheck(shared())


def test_nested_faults() -> None:
    a = Value(2.0)
    root = a - a * a
    with faults.wrong_sign():
        with faults.overwrite_gradients():
            with faults.overwrite_gradients():
                assert gradients(root, a) == [2.0]
            assert gradients(root, a) == [2.0]
        assert gradients(root, a) == [5.0]
        with faults.change_forward_only("sub"):
            assert (a - 1.5).data == 1.0
            with faults.change_forward_only("sub"):
                assert (a - 1.5).data == 2.0
                assert gradients(a - 1.5 * a, a) == [2.5]
    assert gradients(root, a) == [-3.0]


def test_as_a_decorator() -> None:
    @faults.overwrite_gradients()
    def slope_of_a_square(x: float) -> float:
        a = Value(x)
        return gradients(a * a, a)[0]

    assert [slope_of_a_square(3.0), slope_of_a_square(4.0)] == [3.0, 4.0]


def test_a_fault_can_be_switched_on_twice() -> None:
    for _ in range(2):
        with faults.wrong_sign():
            assert not gradcheck(Value(1.0) - Value(2.0))


def test_each_has_its_name_and_its_words() -> None:
    for fault in ALL[:-1]:
        assert getattr(faults, fault.name) is fault
    assert hasattr(faults, ALL[-1].name)
    for fault in ALL:
        assert fault.title
        assert fault.right != fault.wrong
        assert fault.story.endswith(".")
