"""What `fit` returns: the numbers of each epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..support.rich import mimebundle


@dataclass(repr=False)
class History:
    """The history of a training: one number per complete epoch in every list.

    loss, accuracy: means over the examples of the epoch, measured before each update; accuracy is
        empty for regression.
    val_loss, val_accuracy: the same for the validation data; empty without them.
    grad_norm: the mean norm of the gradient, before clipping. lr: the learning rate.
    stopped: the reason, if training ended before its last epoch.
    diverged: whether the loss or the gradient became inf or nan.
    threads: how many threads the last compiled steps used. `fit` chooses them by measuring; no
        other number depends on the choice.

    >>> history = History(loss=[0.9, 0.4], accuracy=[0.5, 0.75])
    >>> history
    History(2 epochs, loss 0.4, accuracy 75.0%)
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    stopped: str = ""
    diverged: bool = False
    threads: int = field(default=1, compare=False)

    def append(self, **numbers: float | None) -> None:
        """Adds an epoch: a number for each list that has one."""
        for name, number in numbers.items():
            if number is not None:
                getattr(self, name).append(number)

    def __repr__(self) -> str:
        parts = [f"{len(self.loss)} epochs"]
        for name in ("loss", "val_loss"):
            if series := getattr(self, name):
                parts.append(f"{name} {series[-1]:.4g}")
        for name in ("accuracy", "val_accuracy"):
            if series := getattr(self, name):
                parts.append(f"{name} {series[-1]:.1%}")
        if self.stopped:
            parts.append(f"stopped: {self.stopped}")
        return f"History({', '.join(parts)})"

    _repr_mimebundle_ = mimebundle
