"""The optimizers, with PyTorch's formulas: `update` computes how one parameter moves."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from ..engine import Constant, Value
from ..support.rich import mimebundle
from ..support.words import many
from ..symbols import sqrt


class Optimizer:
    """The base class: a subclass defines `update`, which moves one parameter.

    parameters: the Values to move, as `model.parameters()`. lr: the learning rate, which a
    program may change at any time. Further settings are attributes too.

    >>> class SignSGD(Optimizer):
    ...     def update(self, gradient, data, state):
    ...         return data - self.lr * ((gradient > 0) - (gradient < 0))
    >>> w = Value(4.0)
    >>> optimizer = SignSGD([w], lr=0.5)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w.data
    3.5
    """

    def __init__(self, parameters: Iterable[Value], lr: float, **settings: Any) -> None:
        given = list(parameters) if isinstance(parameters, Iterable) else [parameters]
        if wrong := [type(p).__name__ for p in given if not isinstance(p, Value)]:
            raise TypeError(
                "an optimizer takes a list of Values, as model.parameters(), "
                f"and was given something of type {wrong[0]}"
            )
        if fixed := [p for p in given if isinstance(p, Constant) or p.op is not None]:
            raise ValueError(f"an optimizer cannot move a Constant or a result: {fixed[0]!r}")
        self.parameters = list(dict.fromkeys(given))
        if not self.parameters:
            raise ValueError("an optimizer was given no parameters")
        self.lr = lr
        self.initial_lr: float | None = None  # what the first schedule found
        self._settings = ["lr", *settings]
        for name, setting in settings.items():
            setattr(self, name, setting)
        for name in self._settings:
            setting = getattr(self, name)
            if isinstance(setting, (list, tuple)):
                continue
            if not isinstance(setting, Real):
                raise TypeError(f"{name} must be a number, not {setting!r}")
            if not float(setting) >= 0:
                raise ValueError(f"{name} must not be below 0, but is {setting!r}")
        self._state: list[dict[str, float]] | None = None  # not before it is needed
        self._fetch: Callable[[], list[dict[str, float]]] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The learning rate and every further setting, by name."""
        return {name: getattr(self, name) for name in self._settings}

    @property
    def state(self) -> list[dict[str, float]]:
        """The state: one dictionary per parameter, empty before the first step."""
        if self._fetch:
            self._state, self._fetch = self._fetch(), None
        if self._state is None:
            self._state = [{} for _ in self.parameters]
        return self._state

    @state.setter
    def state(self, state: list[dict[str, float]]) -> None:
        self._state, self._fetch = state, None

    @property
    def has_no_state(self) -> bool:
        """Whether nothing has been remembered yet, or even asked for."""
        return self._state is None and self._fetch is None

    def lend_state_to(self, fetch: Callable[[], list[dict[str, float]]]) -> None:
        """From now on the state is read from `fetch`, when it is needed: see the compiler."""
        self._fetch = fetch

    def has_lent_state_to(self, fetch: Any) -> bool:
        """Whether the state is still read from `fetch`: it has not been read or set since."""
        return self._fetch is fetch

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        """The new number of a parameter that has the number `data` and this gradient."""
        raise NotImplementedError

    def step(self) -> None:
        """Moves every parameter against its gradient."""
        for parameter, state in zip(self.parameters, self.state):
            parameter.data = float(self.update(parameter.grad, parameter.data, state))

    def zero_grad(self) -> None:
        """Sets every parameter's `grad` to 0."""
        for parameter in self.parameters:
            parameter.grad = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Settings and state, in types that JSON has."""
        return {
            "optimizer": type(self).__name__,
            "settings": self.settings,
            "state": [dict(state) for state in self.state],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Loads settings and state; ValueError if they are another optimizer's."""
        name, count = type(self).__name__, len(self.state)
        if not isinstance(state, Mapping) or state.get("optimizer") != name:
            raise ValueError(f"this is not the state of {name}: {reprlib.repr(state)}")
        if len(state["state"]) != count:
            raise ValueError(f"the state is of {len(state['state'])} parameters, not of {count}")
        for name in self._settings:
            setting = state["settings"][name]
            setattr(self, name, tuple(setting) if isinstance(setting, list) else setting)
        self.state = [dict(remembered) for remembered in state["state"]]

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({many(len(self.parameters), 'parameter')}, {settings})"

    _repr_mimebundle_ = mimebundle


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (1983).

    >>> w = Value(4.0)
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w.data
    2.0
    """

    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov needs a momentum above 0 and no dampening")
        super().__init__(
            parameters,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        """data - lr * velocity, where velocity = momentum * velocity + gradient."""
        if self.weight_decay:
            gradient += self.weight_decay * data
        if self.momentum:
            velocity = gradient
            if "velocity" in state:
                velocity = self.momentum * state["velocity"] + (1 - self.dampening) * gradient
            state["velocity"] = velocity
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        return data - self.lr * gradient


class Adagrad(Optimizer):
    """Divides by the root of the sum of all squared gradients (Duchi et al. 2011).

    >>> w = Value(4.0)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    3.9000
    """

    lr_decay: float
    weight_decay: float
    eps: float

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(parameters, lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        """data - lr * gradient / (√sum + eps), where sum = sum + gradient²."""
        if self.weight_decay:
            gradient += self.weight_decay * data
        steps = state.get("steps", 0)
        state["steps"] = steps + 1
        state["sum"] = state.get("sum", 0.0) + gradient * gradient
        lr = self.lr / (1 + steps * self.lr_decay)
        root: float = sqrt(state["sum"])
        return data - lr * gradient / (root + self.eps)


class RMSprop(Optimizer):
    """Divides by the root of the recent mean of squared gradients (Hinton 2012, lecture 6).

    >>> w = Value(4.0)
    >>> optimizer = RMSprop([w], lr=0.01)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    3.9000
    """

    alpha: float
    eps: float
    weight_decay: float
    momentum: float

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(
            parameters, lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum
        )

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        """data - lr * gradient / (√mean + eps), where mean = alpha * mean + (1 - alpha) * g²."""
        if self.weight_decay:
            gradient += self.weight_decay * data
        mean = self.alpha * state.get("mean", 0.0) + (1 - self.alpha) * gradient * gradient
        state["mean"] = mean
        root: float = sqrt(mean)
        move = gradient / (root + self.eps)
        if self.momentum:
            move = state["velocity"] = self.momentum * state.get("velocity", 0.0) + move
        return data - self.lr * move


class Adam(Optimizer):
    """Momentum divided by the root of the mean of squares (Kingma & Ba 2015, algorithm 1).

    >>> w = Value(4.0)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")
    3.9000
    """

    betas: tuple[float, float]
    eps: float
    weight_decay: float

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not (isinstance(betas, Sequence) and len(betas) == 2 and all(0 <= b < 1 for b in betas)):
            raise ValueError(f"betas are two numbers in [0, 1), not {betas!r}")
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        """data - lr * m̂ / (√v̂ + eps), where m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ)."""
        if self.weight_decay:
            gradient += self.weight_decay * data
        return self._move(gradient, data, state)

    def _move(self, gradient: float, data: float, state: dict[str, float]) -> float:
        beta1, beta2 = self.betas
        steps = state["steps"] = state.get("steps", 0) + 1
        m = state["m"] = beta1 * state.get("m", 0.0) + (1 - beta1) * gradient
        v = state["v"] = beta2 * state.get("v", 0.0) + (1 - beta2) * gradient * gradient
        step: float = self.lr / (1 - beta1**steps)
        root: float = sqrt(v) / sqrt(1 - beta2**steps)
        return data - step * m / (root + self.eps)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself (Loshchilov & Hutter 2019).

    >>> w = Value(4.0)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> print(f"{w:.4f}")  # 0.2 of it by the decay
    3.7000
    """

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
        """Adam's update, after the parameter has been multiplied by 1 - lr * weight_decay."""
        return self._move(gradient, data * (1 - self.lr * self.weight_decay), state)
