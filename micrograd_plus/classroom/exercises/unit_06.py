"""The exercises of notebook 06."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

from ... import data, functional, losses, optim
from ...engine import Value
from .exercise import Behaviour, Choice, Exercise, Number

Numbers = Sequence[float]


# ---- 06.3: a loop


def slope_case(generator: random.Random) -> tuple[list[float], list[float], float, int]:
    """Points, a learning rate and a number of steps."""
    xs = [generator.randint(-20, 20) / 10 + 0.05 for _ in range(3)]
    ys = [generator.randint(-20, 20) / 10 for _ in range(3)]
    return xs, ys, generator.choice([0.05, 0.1]), generator.randint(2, 5)


def fit_slope(xs: Numbers, ys: Numbers, lr: float, steps: int) -> float:
    """The slope w of w * x after some steps of gradient descent from 0."""
    return descend(xs, ys, lr, steps)


def descend(
    xs: Numbers,
    ys: Numbers,
    lr: float,
    steps: int,
    *,
    keeps: bool = False,
    reduce: Callable[[Any], Value] = functional.mean,
) -> float:
    """As `fit_slope`; `keeps` is the bug that nothing sets the gradient to 0."""
    w = Value(0.0)
    for _ in range(steps):
        loss = reduce([(w * x - y) ** 2 for x, y in zip(xs, ys)])
        if not keeps:
            w.grad = 0.0
        loss.backward()
        w.data -= lr * w.grad
    return w.data


def _mean_then_square(xs: Numbers, ys: Numbers, lr: float, steps: int) -> float:
    """As `fit_slope`, with the square of the mean error as the loss."""
    w, x, y = 0.0, sum(xs) / len(xs), sum(ys) / len(ys)
    for _ in range(steps):
        w -= lr * 2 * (w * x - y) * x
    return w


def _point_by_point(xs: Numbers, ys: Numbers, lr: float, steps: int) -> float:
    """As `fit_slope`, with a step after each point."""
    w = 0.0
    for _ in range(steps):
        for x, y in zip(xs, ys):
            w -= lr * 2 * (w * x - y) * x
    return w


def _last_loss(xs: Numbers, ys: Numbers, lr: float, steps: int) -> float:
    """The loss before the last step of `fit_slope`."""
    w = descend(xs, ys, lr, steps - 1)
    return sum((w * x - y) ** 2 for x, y in zip(xs, ys)) / len(xs)


# ---- 06.5: batches


def _batch_case(generator: random.Random) -> tuple[list[int], int]:
    size = generator.randint(2, 4)
    rest = generator.randrange(size)
    return [generator.randint(0, 9) for _ in range(size * generator.randint(2, 3) + rest)], size


def _batches(rows: Sequence[Any], size: int) -> list[Any]:
    return [batch for batch, _ in data.batches(rows, rows, size)]


# ---- 06.6 and 06.7: optimizers


def _steps_case(generator: random.Random) -> tuple[list[float], list[float], float]:
    start = [generator.randint(-30, 30) / 10 for _ in range(2)]
    target = [generator.randint(-30, 30) / 10 + 0.05 for _ in range(2)]
    return start, target, generator.choice([0.05, 0.1])


def _run(optimizer_class: Any, start: Numbers, target: Numbers, **settings: Any) -> list[Any]:
    """The parameters after each of five steps."""
    parameters = [Value(number) for number in start]
    optimizer = optimizer_class(parameters, **settings)
    path = []
    for _ in range(5):
        loss = functional.sum([(p - t) ** 2 for p, t in zip(parameters, target)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        path.append([parameter.data for parameter in parameters])
    return path


def _run_sgd(optimizer_class: Any, start: Numbers, target: Numbers, lr: float) -> list[Any]:
    return _run(optimizer_class, start, target, lr=lr, momentum=0.5)


def _run_adam(optimizer_class: Any, start: Numbers, target: Numbers, lr: float) -> list[Any]:
    return _run(optimizer_class, start, target, lr=lr, betas=(0.8, 0.9))


def _show_run(name: str, settings: str) -> Callable[..., str]:
    def show(start: Numbers, target: Numbers, lr: float) -> str:
        return (
            f"parameters {list(start)}, optimizer {name}(parameters, lr={lr}, {settings}), "
            f"loss sum of (p - t)² with t = {[round(t, 2) for t in target]}: "
            "the parameters after each of five steps"
        )

    return show


class _UphillSGD(optim.SGD):
    def step(self) -> None:
        for parameter in self.parameters:
            parameter.grad = -parameter.grad
        super().step()


class _PlainSGD(optim.SGD):
    def __init__(self, parameters: Any, lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)


class _KeepsGradientsSGD(optim.SGD):
    def zero_grad(self) -> None:
        self.grad = 0.0  # an attribute of the optimizer, which nothing reads


class _MeanSGD(optim.SGD):
    """The velocity is a running mean."""

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        velocity = self.momentum * state.get("v", 0.0) + (1 - self.momentum) * gradient
        state["v"] = velocity
        return data - self.lr * velocity


class _NeverSlowsSGD(optim.SGD):
    """The velocity does not decay."""

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        state["v"] = state.get("v", 0.0) + gradient
        return data - self.lr * state["v"]


class _OneVelocitySGD(optim.SGD):
    """All parameters share a velocity."""

    def step(self) -> None:
        shared = self.state[0]
        for parameter in self.parameters:
            shared["v"] = self.momentum * shared.get("v", 0.0) + parameter.grad
            parameter.data -= self.lr * shared["v"]


class _LateSGD(optim.SGD):
    """The parameter moves by the velocity of the step before."""

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        velocity = state.get("v", 0.0)
        state["v"] = self.momentum * velocity + gradient
        return data - self.lr * velocity


class _Still(optim.SGD):
    """The new numbers are not written into the parameters; for Adam too."""

    def __init__(self, parameters: Any, lr: float, **_: Any) -> None:
        super().__init__(parameters, lr)

    def step(self) -> None:
        self.new = [p.data - self.lr * p.grad for p in self.parameters]


class _Adam(optim.Adam):
    """Adam in parts, so that each wrong one below changes one part."""

    def moved(self, data: float, m: float, v: float, t: int) -> float:
        beta1, beta2 = self.betas
        mean, root = m / (1 - beta1**t), sqrt(v / (1 - beta2**t))
        return data - self.lr * mean / (root + self.eps)

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        beta1, beta2 = self.betas
        state["t"] = state.get("t", 0) + 1
        state["m"] = beta1 * state.get("m", 0.0) + (1 - beta1) * gradient
        state["v"] = beta2 * state.get("v", 0.0) + (1 - beta2) * gradient * gradient
        return self.moved(data, state["m"], state["v"], int(state["t"]))


class _NoCorrectionAdam(_Adam):
    def moved(self, data: float, m: float, v: float, t: int) -> float:
        return data - self.lr * m / (sqrt(v) + self.eps)


class _NoRootAdam(_Adam):
    def moved(self, data: float, m: float, v: float, t: int) -> float:
        beta1, beta2 = self.betas
        mean, square = m / (1 - beta1**t), v / (1 - beta2**t)
        return data - self.lr * mean / (square + self.eps)


class _FirstStepAdam(_Adam):
    def moved(self, data: float, m: float, v: float, t: int) -> float:
        return super().moved(data, m, v, 1)


class _ExchangedAdam(_Adam):
    def __init__(self, parameters: Any, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(parameters, lr, (betas[1], betas[0]))


class _UphillAdam(_Adam):
    def moved(self, data: float, m: float, v: float, t: int) -> float:
        return super().moved(data, -m, v, t)


class _CountsParametersAdam(_Adam):
    """t grows with each parameter."""

    def moved(self, data: float, m: float, v: float, t: int) -> float:
        self.count = getattr(self, "count", 0) + 1
        return super().moved(data, m, v, self.count)


class _KeepsGradientsAdam(_Adam):
    def zero_grad(self) -> None:
        self.grad = 0.0  # an attribute of the optimizer, which nothing reads


class _NoPowerAdam(_Adam):
    """β · t in place of β to the power of t."""

    def moved(self, data: float, m: float, v: float, t: int) -> float:
        beta1, beta2 = self.betas
        mean, root = m / (1 - beta1 * t), sqrt(abs(v / (1 - beta2 * t)))
        return data - self.lr * mean / (root + self.eps)


class _ReplacesMeansAdam(_Adam):
    """m and v are replaced by their corrected numbers."""

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        new = super().update(gradient, data, state)
        beta1, beta2 = self.betas
        state["m"] /= 1 - beta1 ** state["t"]
        state["v"] /= 1 - beta2 ** state["t"]
        return new


class _CountsFromZeroAdam(_Adam):
    def moved(self, data: float, m: float, v: float, t: int) -> float:
        return super().moved(data, m, v, t - 1)


class _WholeGradientAdam(_Adam):
    """The factors 1 - beta are forgotten."""

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        beta1, beta2 = self.betas
        state["t"] = state.get("t", 0) + 1
        state["m"] = beta1 * state.get("m", 0.0) + gradient
        state["v"] = beta2 * state.get("v", 0.0) + gradient * gradient
        return self.moved(data, state["m"], state["v"], int(state["t"]))


_KEEPS_GRADIENTS = (
    "The gradients of the last step are still there when backward() adds the new ones: what does "
    "zero_grad do?"
)
_UPHILL = "The parameters move away from the minimum: look at the sign of the step."
_STILL = "The parameters do not move: does the step write into `parameter.data`?"


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "06.1",
        "A hinge loss",
        1,
        Number(
            lambda: losses.hinge([0.25, 3.0], [1, 1]).data,
            (
                (0.75, "This is the sum over both points. A mean is divided by something."),
                (-0.625, "The loss of a point is never below 0: what does the second point cost?"),
                (1.625, "This is the mean of the scores. Put each score into the formula first."),
                (2.625, "Look at the sign of y · score in the formula."),
                (1.375, "max(0, …) makes 0 of a negative number; it does not drop the sign."),
                (0.625, "The first point costs less: how much is left from 0.25 up to 1?"),
                (0.0, "The first point is on the right side, but its margin is below 1."),
                (0.125, "This is half of the first score. Put it into the formula first."),
            ),
        ),
    ),
    Exercise(
        "06.2",
        "One step by hand",
        1,
        Number(
            2.3,
            (
                (1.7, "The gradient is negative, and a parameter moves against it: which way?"),
                (5.0, "How far does it move? The learning rate is missing."),
                (-1.0, "How far, and in which direction? It moves against its gradient."),
                (0.3, "This is the step. Where is the parameter after it?"),
                (-0.3, "This is the learning rate times the gradient. What is done with it?"),
            ),
        ),
    ),
    Exercise(
        "06.3",
        "A loop of your own",
        2,
        Behaviour(
            fit_slope,
            slope_case,
            (
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, lr, steps, keeps=True),
                    "backward() adds to w.grad. What must be done with the gradient of the last "
                    "step?",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, -lr, steps),
                    "w moves away from the minimum: look at the sign of the step.",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, lr, steps - 1),
                    "One step is missing.",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, lr, 1),
                    "This is w after the first step. Is `return` inside the loop?",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, 1.0, steps),
                    "The steps are too large: the learning rate is missing.",
                ),
                (
                    lambda xs, ys, lr, steps: descend(xs, ys, lr, steps, reduce=functional.sum),
                    "The loss is the mean of the squared errors, and not their sum.",
                ),
                (
                    lambda xs, ys, lr, steps: descend(
                        xs, ys, lr, steps, reduce=lambda errors: errors[-1]
                    ),
                    "The loss contains the last point only: collect the errors of all points.",
                ),
                (
                    lambda xs, ys, lr, steps: 0.0,
                    "w does not move. Is the gradient still there when the step is made?",
                ),
                (_mean_then_square, "Square each error first, and then take the mean."),
                (
                    _point_by_point,
                    "w moves after each point. One step uses the mean over all points.",
                ),
                (_last_loss, "This is the last loss. Return the number of w."),
            ),
        ),
    ),
    Exercise(
        "06.4",
        "One step to the minimum",
        2,
        Number(
            1 / 6,
            (
                (1 / 3, "With this one the step is twice too long. What is the slope of 3w²?"),
                (0.5, "This is the answer for w². The slope of 3w² is steeper."),
                (1 / 12, "With this one the step ends half-way."),
                (6.0, "w − lr · 6w must be 0. Solve for lr."),
            ),
            tolerance=0.05,
        ),
    ),
    Exercise(
        "06.5",
        "Cut into batches",
        2,
        Behaviour(
            _batches,
            _batch_case,
            (
                (
                    lambda rows, size: _batches(rows, size)[:-1],
                    "The last batch is missing: it may be smaller than the others.",
                ),
                (
                    lambda rows, size: [rows[i : i + size] for i in range(len(rows))],
                    "The batches overlap. Where does the next one begin?",
                ),
                (
                    lambda rows, size: [rows[i::size] for i in range(size)],
                    "These are `size` batches. Wanted are batches of `size` rows, in order.",
                ),
                (
                    lambda rows, size: _batches(rows, size)[0],
                    "This is the first batch. Collect all of them in a list.",
                ),
                (
                    lambda rows, size: [rows[i : i + size - 1] for i in range(0, len(rows), size)],
                    "A row is lost at the end of each batch: a slice ends before its second "
                    "number.",
                ),
                (
                    lambda rows, size: _batches(rows, size)[: len(rows) // size],
                    "Rows are lost at the end if they do not fill a batch.",
                ),
                (
                    lambda rows, size: [
                        rows[i * size : (i + 1) * size] for i in range(len(rows) // size + 1)
                    ],
                    "There is an empty batch at the end if the rows fill all batches.",
                ),
                (
                    lambda rows, size: [rows[i : i + size + 1] for i in range(0, len(rows), size)],
                    "The batches are one row too long.",
                ),
                (
                    lambda rows, size: [rows[i:size] for i in range(0, len(rows), size)],
                    "Only the first batch is right. A slice ends at an index, not after a number "
                    "of rows.",
                ),
            ),
        ),
    ),
    Exercise(
        "06.6",
        "Your own SGD with momentum",
        2,
        Behaviour(
            optim.SGD,
            _steps_case,
            (
                (_UphillSGD, _UPHILL),
                (_KeepsGradientsSGD, _KEEPS_GRADIENTS),
                (_PlainSGD, "This is SGD without momentum: the velocity is not used."),
                (
                    _MeanSGD,
                    "The gradient is added to the velocity as a whole, without the factor 1 − µ.",
                ),
                (_NeverSlowsSGD, "The old velocity is multiplied by the momentum in each step."),
                (
                    _OneVelocitySGD,
                    "All parameters share one velocity. Each parameter needs its own.",
                ),
                (_Still, _STILL),
                (
                    _LateSGD,
                    "The parameter moves by the old velocity. Which of the two lines comes first?",
                ),
            ),
            run=_run_sgd,
            show=_show_run("SGD", "momentum=0.5"),
        ),
    ),
    Exercise(
        "06.7",
        "Your own Adam",
        3,
        Behaviour(
            optim.Adam,
            _steps_case,
            (
                (_UphillAdam, _UPHILL),
                (_KeepsGradientsAdam, _KEEPS_GRADIENTS),
                (
                    _NoCorrectionAdam,
                    "m and v start at 0, so they are too small at first. What do the two formulas "
                    "with a hat do about it?",
                ),
                (_NoRootAdam, "In the last formula v̂ is below a square root."),
                (_FirstStepAdam, "t is the number of the step: it must grow with each step."),
                (
                    _CountsParametersAdam,
                    "t grows with each parameter. It must grow once in each step, for all of them.",
                ),
                (_ExchangedAdam, "β₁ and β₂ are exchanged: β₁ belongs to m, β₂ to v."),
                (
                    _WholeGradientAdam,
                    "m and v are means: the new part is multiplied by 1 − β.",
                ),
                (_Still, _STILL),
                (_NoPowerAdam, "In the formulas with a hat, β has the power t: it is not β · t."),
                (
                    _ReplacesMeansAdam,
                    "m and v must keep their own numbers for the next step. m̂ and v̂ are used in "
                    "this step only.",
                ),
                (
                    _CountsFromZeroAdam,
                    "In the first step t is 1, so that 1 − βᵗ is not 0: when must t grow?",
                ),
            ),
            run=_run_adam,
            show=_show_run("Adam", "betas=(0.8, 0.9)"),
        ),
    ),
    Exercise(
        "06.q1",
        "A positive gradient",
        1,
        Choice(
            "b",
            {
                "a": "Then the loss would grow: a positive gradient means that both grow together.",
                "b": "A parameter moves against its gradient, so that the loss falls.",
                "c": "It moves by the learning rate times the gradient, and not to 0.",
                "d": "A step uses the gradient and the learning rate; the loss itself does not "
                "occur in it.",
            },
        ),
    ),
    Exercise(
        "06.q2",
        "A loss that hardly falls",
        1,
        Choice(
            "a",
            {
                "a": "Smooth and slow: the steps are too small. Try one that is 10 times as large.",
                "b": "Then it becomes even slower. A smaller one helps if the loss jumps.",
                "c": "Another start changes little if the steps are too small.",
                "d": "Then a step takes less time, but it is as small as before.",
            },
        ),
    ),
    Exercise(
        "06.q3",
        "How many steps",
        1,
        Choice(
            "c",
            {
                "a": "This is the number of epochs. An epoch has many steps here.",
                "b": "This is the number of steps in one epoch.",
                "c": "1,000 / 50 = 20 steps in each epoch, and 3 epochs.",
                "d": "This is 50 · 3. How many batches of 50 are there in 1,000 points?",
            },
        ),
    ),
    Exercise(
        "06.q4",
        "Momentum in a valley",
        1,
        Choice(
            "d",
            {
                "a": "Then the steps across the valley would be too large as well.",
                "b": "This is what zero_grad does, with and without momentum.",
                "c": "The gradients are the same with and without momentum.",
                "d": "The velocity is a sum of gradients: across the valley they cancel, along it "
                "they add up.",
            },
        ),
    ),
)
