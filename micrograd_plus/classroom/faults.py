"""The classic bugs of an autograd engine, to switch on, observe and find.

>>> from micrograd_plus.engine import Value
>>> a = Value(3.0, label="a")
>>> with overwrite_gradients():
...     (a * a).backward()
>>> a.grad  # should be 6: the second use of a overwrote the gradient from the first
3.0

`gradcheck` finds each of them except `forget_zero_grad`, which `lint` finds. A fault affects all
eager code of the program until its `with` block ends. The explorer's page shows the same bugs, from
the same descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..engine import Value, local_derivatives, topological_order
from ..nn import Module
from ..numbers import as_number
from ..ops import TABLE, Op
from ..optim import Optimizer

MOST_VISITS = 1_000_000
"""The limit for a recursion without topological order, which may visit exponentially many."""


@dataclass(frozen=True)
class Fault:
    """A bug; `with fault():` switches it on.

    name: its name in `mp.faults`. title: a short title. right, wrong: the line of code, without and
        with the bug. story: the consequence.

    assigns: a new gradient replaces the old one instead of being added.
    recurses: each value passes its gradient on as soon as it receives a part of it.
    keeps: nothing sets gradients to 0 between two passes.
    drops_minus: a derivative of -1 becomes 1.
    doubled: the op whose forward pass returns twice its formula.

    >>> a = Value(3.0)
    >>> with overwrite_gradients():
    ...     (a * a).backward()
    >>> a.grad  # should be 6
    3.0
    """

    name: str
    title: str
    right: str
    wrong: str
    story: str
    assigns: bool = False
    recurses: bool = False
    keeps: bool = False
    drops_minus: bool = False
    doubled: str = ""

    @property
    def signs(self) -> dict[str, tuple[int, ...]]:
        """For each op that is wrong, the factor by which each of its derivatives is wrong."""
        if not self.drops_minus:
            return {}
        return {
            op.name: tuple(-1 if derivative == -1 else 1 for derivative in op.derivatives)
            for op in TABLE.values()
            if -1 in op.derivatives
        }

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Switches the fault on until the `with` block ends."""
        with ExitStack() as stack:
            for owner, attribute, wrong in self._replacements():
                right = vars(owner)[attribute]
                setattr(owner, attribute, wrong)
                stack.callback(setattr, owner, attribute, right)
            yield

    def _replacements(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        """Yields what to replace: the owner, the name of its attribute, and the wrong function."""
        if self.assigns:
            yield Value, "backward", _backward_that_overwrites
        if self.recurses:
            yield Value, "backward", _backward_that_recurses
        if self.keeps:
            yield Module, "zero_grad", _does_nothing
            yield Optimizer, "zero_grad", _does_nothing
        for name, factors in self.signs.items():
            yield TABLE[name], "partials", _times(TABLE[name], factors)
        if self.doubled:
            op = TABLE[self.doubled]
            yield op, "partials", _of_the_old_formula(op)  # before op.forward is replaced
            yield op, "forward", _twice(op)


overwrite_gradients = Fault(
    "overwrite_gradients",
    "= instead of +=",
    right="operand.grad += upstream * local",
    wrong="operand.grad = upstream * local",
    story="A value that is used twice keeps only the gradient from one use. The chain rule adds up "
    "the gradients from all uses.",
    assigns=True,
)

forget_zero_grad = Fault(
    "forget_zero_grad",
    "no zero_grad between two passes",
    right="model.zero_grad(); loss.backward()",
    wrong="loss.backward()",
    story="Each backward pass adds to the grad of a leaf. Without zero_grad, grad is the sum "
    "of the gradients of all passes, and the step is wrong.",
    keeps=True,
)

recurse_without_order = Fault(
    "recurse_without_order",
    "plain recursion, no topological order",
    right="for node in reversed(topological_order(root)): ...",
    wrong="def visit(node): ...; visit(operand)",
    story="A value that is used twice passes its gradient on before all of it has arrived. Later "
    "it passes the first part on again, so that part counts twice.",
    recurses=True,
)

wrong_sign = Fault(
    "wrong_sign",
    "a wrong sign in −",
    right="a - b: the derivative with respect to b is -1",
    wrong="a - b: the derivative with respect to b is 1",
    story="All gradients that come back through the subtracted value have the wrong sign, so the "
    "parameters before it move in the wrong direction.",
    drops_minus=True,
)

_FORWARD_ONLY = Fault(
    "change_forward_only",
    "forward changed, backward not",
    right="both passes changed",
    wrong="only the forward pass changed",
    story="The forward pass now returns twice the formula, but the derivative is still that of the "
    "old formula. The loss looks plausible, but the gradients belong to another function.",
)

ALL = (overwrite_gradients, forget_zero_grad, recurse_without_order, wrong_sign, _FORWARD_ONLY)
"""All faults; the last one has no op yet."""


def change_forward_only(op: str) -> AbstractContextManager[None]:
    """In `with change_forward_only("tanh"):` tanh returns 2 tanh(x), with its old derivative.

    op: the name of a primitive. ValueError if there is no primitive of this name.

    >>> with change_forward_only("tanh"):
    ...     print(f"{Value(0.5).tanh():.4f}")  # should be 0.4621
    0.9242
    """
    if op not in TABLE:
        raise ValueError(f"there is no op {op!r}; the ops are {', '.join(TABLE)}")
    return replace(_FORWARD_ONLY, doubled=op)()


# ---- the wrong functions


def _backward_that_overwrites(self: Value, gradient: float = 1.0) -> None:
    for node in reversed(_prepared(self, gradient)):
        for operand, contribution in _contributions(node):
            operand.grad = contribution


def _backward_that_recurses(self: Value, gradient: float = 1.0) -> None:
    _prepared(self, gradient)
    visits, stack = 0, [_contributions(self)]  # an explicit stack, so that deep graphs work
    while stack:
        for operand, contribution in stack[-1]:
            operand.grad += contribution
            stack.append(_contributions(operand))
            break
        else:
            stack.pop()
            continue
        visits += 1
        if visits > MOST_VISITS:
            raise RecursionError(
                f"the recursion was stopped after {MOST_VISITS:,} visits: it follows every path "
                "separately, and there may be exponentially many"
            )


def _prepared(root: Value, gradient: float) -> list[Value]:
    """Sets the computed gradients to 0 and the root's to `gradient`; returns topological order."""
    order = topological_order(root)
    for node in order:
        if node.op is not None:
            node.grad = 0.0
    root.grad += as_number(gradient)
    return order


def _contributions(node: Value) -> Iterator[tuple[Value, float]]:
    """Yields each operand of `node` with its contribution: upstream × local derivative."""
    for operand, local in local_derivatives(node):
        yield operand, node.grad * local


def _does_nothing(self: Any) -> None:
    pass


def _times(op: Op, factors: tuple[int, ...]) -> Callable[..., list[float]]:
    right = op.partials
    return lambda *numbers: [f * partial for f, partial in zip(factors, right(*numbers))]


def _twice(op: Op) -> Callable[..., float]:
    right = op.forward
    return lambda *numbers: 2.0 * right(*numbers)


def _of_the_old_formula(op: Op) -> Callable[..., list[float]]:
    formula, right = op.forward, op.partials
    return lambda out, *numbers: right(formula(*numbers), *numbers)
