"""Observes a training loop: each call of `backward()`, `step()` and `zero_grad()`.

These methods are wrapped inside `with lint():` and restored after it. A step by hand, such as
`p.data -= 0.1 * p.grad`, is noticed at the next `backward()` because the numbers have changed, and
so are gradients that are set to 0 by hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from statistics import median
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple

from ... import optim
from ...context import current_scope
from ...engine import Value
from ...nn import Module
from ...optim import Optimizer, clipping
from ...show import graph
from ...support.words import many
from .findings import Place, Report, called_by_user, user_place
from .judge import Judge

LARGE_STEPS = 3
"""This many updates in a row that are larger than the weights are reported. One or two are common
when the weights start at 0 or are far from a minimum. Karpathy's rule of thumb for an update is a
thousandth of the weights."""

IDLE_PASSES = 2
"""So many new graphs in a row that give the same loss as the one before, to the last bit, are
reported if no parameter has moved."""

_MANY_VISITS = 3**30
"""A power of 3, whose only divisors are 1, 3, 9, 27, …"""

LOWER_THE_RATE = (
    "lower the learning rate, at first by a factor of 10. Training usually works well when an "
    "update is about a thousandth of the weights."
)

_PACKAGE = Path(optim.__file__).parents[1]
_FIT = (str(_PACKAGE / "train.py"), str(_PACKAGE / "training" / "runs.py"))  # its loop


class _Move(NamedTuple):
    """A leaf whose data has changed since the last backward(), with its gradient at that time."""

    leaf: Value
    before: float
    after: float
    gradient: float


class Watch:
    """`with Watch(quiet) as report:` observes the code inside, in this thread."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.report = Report()
        self.judge = Judge(self.report)
        self.passes = 0
        self.steps = 0
        self.is_fresh = False  # whether a backward() has run since the gradients were last used
        self.was_emptied = False  # whether zero_grad() was called after that backward()
        self.moves = 0  # how often parameters have moved
        self.loss = math.nan  # of the last backward()
        self.idle = 0  # how many new graphs in a row gave the same loss
        self.large_steps = 0  # in a row
        self.backward_place: Place | None = None  # of the last backward()
        self.step_place: Place | None = None  # and of the optimizer's step after it
        self.tracked: list[Value] = []  # leaves that may be parameters
        self.data: list[float] = []  # their data after the last backward()
        self.grads: list[float] = []
        self.stale: set[Value] = set()  # leaves that moved after they received their gradient
        self.added: dict[Value, Place | None] = {}  # stale leaves that got a gradient
        self.roots: dict[int, tuple[Place | None, int]] = {}  # by id: its place, and moves
        self.optimizers: dict[int, Optimizer] = {}  # by id
        self.last_steps: dict[int, tuple[int, list[float]]] = {}  # by id: passes, gradients used
        self.visits: Counter[tuple[str, int]] = Counter()

    def __enter__(self) -> Report:
        if _watch.get() is not None:
            raise RuntimeError(
                "lint() is already active: end its `with` block before another begins"
            )
        _install()
        self.token = _watch.set(self)
        return self.report

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _watch.reset(self.token)
        _uninstall()
        self.settle()
        self._judge_idleness()
        if self.optimizers:
            self.judge.want_only(p for o in self.optimizers.values() for p in o.parameters)
        self.judge.conclude()
        self.report.watched = (
            f"{many(self.passes, 'backward pass', 'backward passes')}, "
            f"{many(self.steps, 'optimizer step')}"
            if self.passes or self.steps
            else "backward() was not called; compiled code is not observed"
        )
        if not self.quiet:
            print(self.report)

    # ---- replacements of the wrapped methods

    def backward(self, original: Callable[..., None], root: Value, *args: Any, **kw: Any) -> None:
        """`Value.backward`."""
        if not called_by_user(*_FIT):
            return original(root, *args, **kw)
        place = user_place()
        self.settle()
        before = self.roots.get(id(root)) if root.op is not None and root.grad != 0 else None
        original(root, *args, **kw)
        self.passes += 1
        self.idle = self.idle + 1 if root.data == self.loss and not before else 0
        self.loss = root.data
        self.backward_place = place
        self.is_fresh, self.was_emptied = True, False
        kept = [p for p, old in zip(self.tracked, self.grads) if old and p.grad != old]
        if before:
            self._second_backward(before, bool(kept), place)
        else:
            self.added.update({p: place for p in kept if p in self.stale})
        if not before and self._is_due(place) and not self._nested():
            self.judge.look(root, place)
            if not self.optimizers:
                self.judge.want_models()
            self._track()
        self.roots[id(root)] = place, self.moves
        self.grads = [p.grad for p in self.tracked]
        self.judge.touch()
        return None

    def step(self, original: Callable[..., None], optimizer: Optimizer, *args: Any) -> None:
        """`Optimizer.step`."""
        place = user_place()
        grads = [p.grad for p in optimizer.parameters]
        passes, used = self.last_steps.get(id(optimizer), (0, None))
        if self.passes == passes and (grads == used or not any(grads)):
            self.report.add(
                "step-without-backward",
                "step() was called, but backward() was not called since "
                + ("the last step" if used else "the beginning")
                + (
                    ": the parameters moved by gradients that had already been used."
                    if any(grads)
                    else ": every gradient is 0, so no parameter learns."
                ),
                "call loss.backward() before each step().",
                place,
            )
        elif self.was_emptied and not any(grads):
            self.report.add(
                "step-without-backward",
                "zero_grad() was called between backward() and step(): the gradients were set to 0 "
                "before they were used.",
                "call zero_grad() before backward(), or after step().",
                place,
            )
        self.steps += 1
        self.is_fresh = False
        self.step_place = place
        self._want(optimizer)
        original(optimizer, *args)
        self.last_steps[id(optimizer)] = self.passes, grads

    def zero_grad(self, original: Callable[..., None], owner: Any, *args: Any) -> None:
        """`Optimizer.zero_grad` and `Module.zero_grad`."""
        original(owner, *args)
        self.was_emptied = self.is_fresh
        self.is_fresh = False
        if isinstance(owner, Module):
            self.judge.learn(owner)
        else:
            self._want(owner)

    def call(self, original: Callable[..., Any], module: Module, *args: Any, **kw: Any) -> Any:
        """`Module.__call__`."""
        if id(module) not in self.judge.called:
            self.judge.called[id(module)] = module, user_place()
            if current_scope() is None:
                self.judge.learn(module)
        return original(module, *args, **kw)

    def grad_norm(self, original: Callable[..., float], parameters: Any) -> float:
        """`optim.grad_norm`."""
        norm = original(parameters)
        if norm == 0 and not self.is_fresh and parameters:
            self._read_early("the norm of the gradients was computed or clipped", "")
        return norm

    def sketch(self, original: Callable[..., Any], drawing: Any, *args: Any) -> Any:
        """The function that decides, for `draw`, how a drawing looks."""
        _, _, color = args
        early = drawing.arrows and not drawing.has_gradients and color == "gradient"
        if early and called_by_user(graph.__file__):  # not by a notebook that displays a Value
            self._read_early(
                "a graph was drawn with its gradients",
                "; to draw the graph without gradients, pass color=None",
            )
        return original(drawing, *args)

    # ---- analysis

    def settle(self) -> None:
        """Notes how the parameters have changed since the last backward()."""
        now = [p.data for p in self.tracked]
        if nested := self._nested():
            self.moves += 1
            self.report.add(
                "data-is-a-value",
                f"the data of {self.judge.names.get(nested) or nested.label or 'a parameter'} is a "
                "Value and not a number: each step makes the graph longer, and is slower than the "
                "step before.",
                "write .data on both sides: p.data = p.data - lr * p.grad, or p.data -= lr * "
                "p.grad.",
                self.backward_place,
            )
        elif now != self.data:
            rows = zip(self.tracked, self.data, now, self.grads)
            moved = [_Move(*row) for row in rows if row[1] != row[2]]
            known = self.judge.known
            by_hand = _moved_by_hand([m for m in moved if m.leaf not in known])
            self.judge.want(by_hand)
            steps = [m for m in moved if m.leaf in known or m.leaf in by_hand]
            if steps:
                self._moved(steps)
            self.data = now
        self.stale = {p for p in self.stale if p.grad != 0}
        self.added = {p: where for p, where in self.added.items() if p.grad != 0}
        self.step_place = None
        self.grads = [p.grad for p in self.tracked]

    def _moved(self, steps: Sequence[_Move]) -> None:
        self.moves += 1
        # A compiled step sets the gradients itself, so they differ from the last backward().
        used = [m.leaf for m in steps if self.step_place or m.leaf.grad in (0.0, m.gradient)]
        contaminated = [self.added.pop(leaf) for leaf in used if leaf in self.added]
        if contaminated:
            self.report.add(
                "backward-without-zero-grad",
                "backward() added its gradients to those of the previous step, which had already "
                "been used. The parameters then moved by the sum of both.",
                "call zero_grad() (or set each p.grad = 0.0) before backward(), once per step.",
                contaminated[0],
            )
        self.stale.update(m.leaf for m in steps if m.leaf.grad != 0)
        before = [m.before for m in steps]
        size, step = math.hypot(*before), math.dist(before, [m.after for m in steps])
        self.large_steps = 0 if step <= size else self.large_steps + 1
        if self.large_steps >= LARGE_STEPS:
            self.report.add(
                "learning-rate-too-large",
                f"{LARGE_STEPS} updates in a row were larger than the weights themselves. At the "
                f"last one the norm of the weights was {size:.3g}, and that of the update "
                f"{step:.3g}.",
                LOWER_THE_RATE,
                self.step_place or self.backward_place,
            )

    def _second_backward(
        self, before: tuple[Place | None, int], doubled: bool, place: Place | None
    ) -> None:
        if self.moves != before[1]:
            happened = (
                "the parameters have moved since then, but the graph still contains the old "
                "numbers, so the gradients are wrong for both."
            )
        elif doubled:
            happened = "the same gradients were added a second time."
        else:
            return  # the gradients were set to 0 in between, so they are right
        self.report.add(
            "second-backward",
            "backward() was called again on the same graph, without a new forward pass: "
            + happened,
            "compute the loss again, inside the loop, before each backward().",
            place,
        )

    def _nested(self) -> Value | None:
        """The first parameter whose data is a Value."""
        return next((p for p in self.tracked if isinstance(p.data, Value)), None)

    def _judge_idleness(self) -> None:
        if self.idle >= IDLE_PASSES and not self.moves and not self.steps:
            self.report.add(
                "no-update",
                f"no parameter has changed: the loss was computed {self.idle + 1} times in a row, "
                f"and was {self.loss:.6g} each time.",
                "call optimizer.step(), or write p.data -= lr * p.grad. `p -= lr * p.grad` makes a "
                "new Value with the name p, and the parameter stays as it is.",
                self.backward_place,
            )

    def _read_early(self, what: str, otherwise: str) -> None:
        self.report.add(
            "read-before-backward",
            f"{what} before backward() was called: every gradient is still 0.",
            f"call backward() first{otherwise}.",
            user_place(),
        )

    def _is_due(self, place: Place | None) -> bool:
        """Whether to analyse the whole graph: at the 1st, 3rd, 9th, 27th … backward() of a line."""
        key = (place.file, place.line) if place else ("", 0)
        self.visits[key] += 1
        return _MANY_VISITS % self.visits[key] == 0

    def _want(self, optimizer: Optimizer) -> None:
        if id(optimizer) not in self.optimizers:
            self.optimizers[id(optimizer)] = optimizer
            self.judge.want(optimizer.parameters)
            self._track()

    def _track(self) -> None:
        """Tracks the known parameters and the leaves of the last graph."""
        old = dict(zip(self.tracked, zip(self.data, self.grads)))
        self.tracked = list({**self.judge.known, **dict.fromkeys(self.judge.leaves)})
        remembered = [old.get(p, (p.data, p.grad)) for p in self.tracked]
        self.data = [data for data, _ in remembered]
        self.grads = [grad for _, grad in remembered]


def _moved_by_hand(moved: Sequence[_Move]) -> list[Value]:
    """Returns the leaves that moved against their gradient with one common learning rate.

    The other leaves are inputs that were set to other numbers.
    """
    rates = [(m.before - m.after) / m.gradient if m.gradient else math.nan for m in moved]
    downwards = [rate for rate in rates if rate > 0]
    if not downwards:
        return []
    rate = median(downwards)
    return [m.leaf for m, own in zip(moved, rates) if math.isclose(own, rate, rel_tol=1e-3)]


# ---- wrapping and unwrapping

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)

_WRAPPED: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (Value, "backward", Watch.backward),
    (Optimizer, "step", Watch.step),
    (Optimizer, "zero_grad", Watch.zero_grad),
    (Module, "zero_grad", Watch.zero_grad),
    (Module, "__call__", Watch.call),
    (optim, "grad_norm", Watch.grad_norm),
    (clipping, "grad_norm", Watch.grad_norm),
    (graph, "sketch", Watch.sketch),
)
"""The wrapped methods: owner, name, and the method that is called instead."""

_lock = Lock()
_originals: list[Callable[..., Any]] = []
_watching = 0  # in how many threads


def _install() -> None:
    global _watching
    with _lock:
        if not _watching:
            for owner, name, method in _WRAPPED:
                _originals.append(vars(owner)[name])
                setattr(owner, name, _wrapped(_originals[-1], method))
        _watching += 1


def _uninstall() -> None:
    global _watching
    with _lock:
        _watching -= 1
        if not _watching:
            for (owner, name, _), original in zip(_WRAPPED, _originals):
                setattr(owner, name, original)
            _originals.clear()


def _wrapped(original: Callable[..., Any], method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def wrapper(*args: Any, **options: Any) -> Any:
        watch = _watch.get()
        if watch is None:
            return original(*args, **options)
        return method(watch, original, *args, **options)

    return wrapper
