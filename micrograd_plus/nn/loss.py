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
    """(prediction - target)²."""

    function = losses.mse


class L1Loss(Loss):
    """|prediction - target|."""

    function = losses.l1


class HuberLoss(Loss):
    """Half the squared error up to the distance delta, linear beyond it."""

    function = losses.huber

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().config(), "delta": self.delta}


class HingeLoss(Loss):
    """max(0, 1 - target * score) for a target of -1 or 1."""

    function = losses.hinge


class BCELoss(Loss):
    """Binary cross-entropy of a probability."""

    function = losses.bce


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of a logit."""

    function = losses.bce_with_logits


class CrossEntropyLoss(Loss):
    """Cross-entropy of a row of logits and the index of the right class."""

    function = losses.cross_entropy
