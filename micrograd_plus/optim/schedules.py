"""Learning-rate schedules: the learning rate as a function of the number of epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..support.checks import whole_number
from .optimizers import Optimizer


class Schedule:
    """A learning rate that changes with the number of `step()`s; the base class.

    A subclass defines `lr_at`, the learning rate of an epoch. Unlike in PyTorch it depends on
    nothing else: a second schedule of the same optimizer, or a program that sets `lr`, is
    overwritten at the next step. For several schedules there is `SequentialLR`.

    >>> from micrograd_plus.engine import Value
    >>> from micrograd_plus.optim import SGD
    >>> class Halved(Schedule):
    ...     def lr_at(self, epoch):
    ...         return self.base_lr / 2**epoch
    >>> schedule = Halved(SGD([Value(1.0)], lr=0.8))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.4]
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if optimizer.initial_lr is None:
            optimizer.initial_lr = optimizer.lr
        self.optimizer = optimizer
        self.last_epoch = 0
        optimizer.lr = self.lr_at(0)

    @property
    def base_lr(self) -> float:
        """The optimizer's learning rate before it had any schedule."""
        lr = self.optimizer.initial_lr
        return self.optimizer.lr if lr is None else lr

    def lr_at(self, epoch: int) -> float:
        """The learning rate after `epoch` steps."""
        raise NotImplementedError

    def require(self, optimizer: Optimizer) -> None:
        """ValueError if this is another optimizer's schedule: it would change nothing."""
        if self.optimizer is not optimizer:
            raise ValueError("the schedule is of another optimizer than the one that is used")

    def step(self) -> None:
        """Sets the optimizer's learning rate for the next epoch, or the next step."""
        self.last_epoch += 1
        self.optimizer.lr = self.lr_at(self.last_epoch)

    def get_last_lr(self) -> list[float]:
        """The learning rate as it is now; in a list, as in PyTorch."""
        return [self.optimizer.lr]

    def state_dict(self) -> dict[str, float]:
        """The state from which `load_state_dict` can continue."""
        return {"base_lr": self.base_lr, "last_epoch": self.last_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from `state`."""
        self.optimizer.initial_lr, self.last_epoch = state["base_lr"], state["last_epoch"]
        self.optimizer.lr = self.lr_at(self.last_epoch)


class StepLR(Schedule):
    """Times gamma after every `step_size` epochs.

    >>> from micrograd_plus.engine import Value
    >>> from micrograd_plus.optim import SGD
    >>> schedule = StepLR(SGD([Value(1.0)], lr=0.8), step_size=2, gamma=0.5)
    >>> [schedule.lr_at(epoch) for epoch in range(5)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = whole_number("step_size", step_size), gamma
        super().__init__(optimizer)

    def lr_at(self, epoch: int) -> float:
        """base_lr times gamma to the power of the number of reductions so far."""
        return self.base_lr * float(self.gamma ** (epoch // self.step_size))


class ExponentialLR(Schedule):
    """Times gamma after every epoch.

    >>> from micrograd_plus.engine import Value
    >>> from micrograd_plus.optim import SGD
    >>> schedule = ExponentialLR(SGD([Value(1.0)], lr=0.8), gamma=0.5)
    >>> [schedule.lr_at(epoch) for epoch in range(4)]
    [0.8, 0.4, 0.2, 0.1]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, epoch: int) -> float:
        """base_lr times gamma to the power of the epoch."""
        return self.base_lr * float(self.gamma**epoch)


class CosineAnnealingLR(Schedule):
    """Half a cosine from the first learning rate down to eta_min at epoch T_max.

    (Loshchilov & Hutter 2017, formula 5)

    >>> from micrograd_plus.engine import Value
    >>> from micrograd_plus.optim import SGD
    >>> schedule = CosineAnnealingLR(SGD([Value(1.0)], lr=0.8), T_max=4)
    >>> [f"{schedule.lr_at(epoch):.3f}" for epoch in range(5)]
    ['0.800', '0.683', '0.400', '0.117', '0.000']
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = whole_number("T_max", T_max), eta_min
        super().__init__(optimizer)

    def lr_at(self, epoch: int) -> float:
        """A point of the cosine."""
        height = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return self.eta_min + (self.base_lr - self.eta_min) * height


class LinearLR(Schedule):
    """A straight line from start_factor to end_factor, times base_lr, over total_iters epochs.

    The defaults warm up; LinearLR(optimizer, 1.0, 0.0, n) decays to 0.

    >>> from micrograd_plus.engine import Value
    >>> from micrograd_plus.optim import SGD
    >>> schedule = LinearLR(SGD([Value(1.0)], lr=0.8), 1.0, 0.0, total_iters=4)
    >>> [f"{schedule.lr_at(epoch):.1f}" for epoch in range(5)]
    ['0.8', '0.6', '0.4', '0.2', '0.0']
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = whole_number("total_iters", total_iters)
        super().__init__(optimizer)

    def lr_at(self, epoch: int) -> float:
        """A point of the line; its end from then on."""
        done = min(epoch, self.total_iters) / self.total_iters
        return self.base_lr * (self.start_factor + (self.end_factor - self.start_factor) * done)


class SequentialLR(Schedule):
    """One schedule after another, as a warm-up and then a decay.

    milestones: the epochs at which the next schedule begins, one fewer than schedules.

    >>> from micrograd_plus.engine import Value
    >>> from micrograd_plus.optim import SGD
    >>> optimizer = SGD([Value(1.0)], lr=0.8)
    >>> parts = [LinearLR(optimizer, 0.25, 1.0, 2), ExponentialLR(optimizer, 0.5)]
    >>> schedule = SequentialLR(optimizer, parts, milestones=[2])
    >>> [f"{schedule.lr_at(epoch):.2f}" for epoch in range(5)]
    ['0.20', '0.50', '0.80', '0.40', '0.20']
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]
    ) -> None:
        if len(milestones) != len(schedulers) - 1 or sorted(milestones) != list(milestones):
            raise ValueError(
                f"{len(schedulers)} schedules take {len(schedulers) - 1} rising milestones, "
                f"not {list(milestones)}"
            )
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def lr_at(self, epoch: int) -> float:
        """The rate of the current schedule, counted from its own beginning."""
        turn = sum(epoch >= milestone for milestone in self.milestones)
        begun = self.milestones[turn - 1] if turn else 0
        return self.schedulers[turn].lr_at(epoch - begun)
