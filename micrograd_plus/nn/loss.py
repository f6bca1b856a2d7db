"""The losses under PyTorch's names, as modules: `nn.BCELoss()(prediction, target)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import losses
from .module import Module


class Loss(Module):
    """Wraps a loss of `losses` as a module; reduction is "mean", "sum" or "none"."""

    function: Callable[..., Any]

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = losses.check_reduction(reduction)

    def forward(self, prediction: Any, target: Any) -> Any:
        """One Value; with reduction="none" a list of them."""
        return type(self).function(prediction, target, **self.config())

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"reduction": self.reduction}


class MSELoss(Loss):
    """(prediction - target)².

    >>> MSELoss()([1.0, 3.0], [1.0, 1.0]).data
    2.0
    """

    function = losses.mse


class L1Loss(Loss):
    """|prediction - target|.

    >>> L1Loss()([1.0, 3.0], [1.0, 1.0]).data
    1.0
    """

    function = losses.l1


class HuberLoss(Loss):
    """Half the squared error up to the distance delta, linear beyond it.

    >>> HuberLoss()([1.0, 3.0], [1.0, 1.0]).data
    0.75
    """

    function = losses.huber

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().config(), "delta": self.delta}


class HingeLoss(Loss):
    """max(0, 1 - target * score) for a target of -1 or 1.

    >>> HingeLoss()([0.25, 3.0], [1, 1]).data
    0.375
    """

    function = losses.hinge


class BCELoss(Loss):
    """Binary cross-entropy of a probability.

    >>> print(f"{BCELoss()([0.9, 0.2], [1, 0]):.4f}")
    0.1643
    """

    function = losses.bce


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of a logit.

    >>> print(f"{BCEWithLogitsLoss()([2.0, -1.0], [1, 0]):.4f}")
    0.2201
    """

    function = losses.bce_with_logits


class CrossEntropyLoss(Loss):
    """Cross-entropy of a row of logits and the index of the right class.

    >>> print(f"{CrossEntropyLoss()([2.0, 0.0, -1.0], 0):.4f}")
    0.1698
    """

    function = losses.cross_entropy
