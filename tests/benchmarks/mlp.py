"""Multi-layer perceptrons in Values, micrograd, PyTorch and JAX, with the same numbers.

Each `with_…` function gives `train(epochs)`, which goes on with the training and returns the
loss of each step.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import micrograd_plus as mp

Train = Callable[[int], Sequence[Any]]


class Task(NamedTuple):
    """What is trained, by SGD: hinge loss for one output, cross-entropy for several.

    data: "moons", "digits", or "noise" for rows of any width.
    penalty: what the sum of all squared parameters is multiplied by and added to the loss.
    """

    widths: list[int]
    data: str
    examples: int
    batch: int
    lr: float = 0.1
    penalty: float = 0.0

    def model(self) -> mp.nn.MLP:
        init = mp.nn.init.uniform if self.data == "moons" else mp.nn.init.kaiming_uniform
        generator = random.Random(1337)
        return mp.nn.MLP(self.widths[0], self.widths[1:], init=init, generator=generator)

    def layers(self) -> list[tuple[list[list[float]], list[float]]]:
        """The numbers of each layer: weights, as rows, and biases."""
        return [
            (
                [[w.data for w in neuron.w] for neuron in layer.neurons],
                [neuron.b.data for neuron in layer.neurons],
            )
            for layer in self.model().layers
        ]

    def examples_and_targets(self) -> tuple[list[list[float]], list[Any]]:
        if self.data == "moons":
            X, y = mp.data.moons(self.examples, seed=1)
        elif self.data == "digits":
            X, y = mp.data.digits()
        else:
            draw = random.Random(0)
            X = [[draw.gauss(0, 1) for _ in range(self.widths[0])] for _ in range(self.examples)]
            y = [draw.choice((-1, 1)) for _ in X]
        targets = map(float if self.widths[-1] == 1 else int, y)
        return X[: self.examples], list(targets)[: self.examples]

    def batches(self) -> list[tuple[list[list[float]], list[Any]]]:
        return list(mp.data.batches(*self.examples_and_targets(), self.batch))


def compiled(task: Task, **how: Any) -> tuple[Any, Any, Any]:
    """`step`, `X` and `y`, as users of micrograd_plus make them."""
    import numpy as np

    model = task.model()
    parameters = model.parameters()

    def loss_fn(x: Any, y: Any) -> mp.Value:
        if task.widths[-1] > 1:
            return mp.losses.cross_entropy(model(x), y)
        loss = mp.losses.hinge(model(x), y)
        return loss + task.penalty * mp.dot(parameters, parameters) if task.penalty else loss

    X, y = map(np.array, task.examples_and_targets())
    return mp.compile(loss_fn, mp.optim.SGD(parameters, lr=task.lr), **how), X, y


def with_compile(task: Task, **how: Any) -> Train:
    step, X, y = compiled(task, **how)
    return lambda epochs: step.run(X, y, epochs=epochs, batch_size=task.batch, progress=False)


def with_compile_calls(task: Task, **how: Any) -> Train:
    step, X, y = compiled(task, **how)
    return lambda epochs: [step(X, y) for _ in range(epochs)]


def with_compile_lists(task: Task) -> Train:
    step, *arrays = compiled(task)
    X, y = (array.tolist() for array in arrays)
    return lambda epochs: [step(X, y) for _ in range(epochs)]


def with_micrograd(task: Task) -> Train:
    """The moons network alone, as eager.py has it."""
    import micrograd.engine
    from eager import with_micrograds_nn

    model, loss = with_micrograds_nn(micrograd.engine, task.examples)

    def train(epochs: int) -> list[float]:
        losses = []
        for _ in range(epochs):
            total = loss()
            model.zero_grad()
            total.backward()
            for parameter in model.parameters():
                parameter.data -= task.lr * parameter.grad
            losses.append(total.data)
        return losses

    return train


def with_torch(task: Task, dtype: str = "float64") -> Train:
    import torch
    from torch.nn.functional import cross_entropy, linear, relu

    floats = getattr(torch, dtype)

    def tensor(numbers: Any) -> Any:
        return torch.tensor(numbers, dtype=floats, requires_grad=True)

    layers = [(tensor(weight), tensor(bias)) for weight, bias in task.layers()]
    parameters = [parameter for layer in layers for parameter in layer]
    optimizer = torch.optim.SGD(parameters, lr=task.lr)
    steps = [(torch.tensor(X, dtype=floats), torch.tensor(y)) for X, y in task.batches()]

    def loss(X: Any, y: Any) -> Any:
        for weight, bias in layers[:-1]:
            X = relu(linear(X, weight, bias))
        scores = linear(X, *layers[-1])
        if task.widths[-1] > 1:
            return cross_entropy(scores, y)
        loss = relu(1 - y * scores[:, 0]).mean()
        return (
            loss + task.penalty * sum((p * p).sum() for p in parameters) if task.penalty else loss
        )

    def train(epochs: int) -> list[Any]:
        losses = []
        for X, y in steps * epochs:
            optimizer.zero_grad()
            total = loss(X, y)
            total.backward()
            optimizer.step()
            losses.append(total.detach())
        return losses

    return train


def with_jax(task: Task) -> Train:
    """Gradient and update in one compiled function, called once for each step."""
    import jax
    from jax import numpy as jnp

    layers, update = jax_update(task)
    compiled = jax.jit(update, donate_argnums=0)
    steps = [(jnp.array(X), jnp.array(y)) for X, y in task.batches()]

    def train(epochs: int) -> list[Any]:
        nonlocal layers
        losses = []
        for batch in steps * epochs:
            layers, total = compiled(layers, batch)
            losses.append(total)
        return jax.block_until_ready(losses)

    return train


def with_jax_calls(task: Task) -> Train:
    """As `with_jax`, with what a call of ours takes and returns: NumPy arrays, and a float."""
    import jax
    import numpy as np

    layers, update = jax_update(task)
    compiled = jax.jit(update, donate_argnums=0)
    X, y = map(np.array, task.examples_and_targets())

    def train(epochs: int) -> list[float]:
        nonlocal layers
        losses = []
        for _ in range(epochs):
            layers, total = compiled(layers, (X, y))
            losses.append(float(total))
        return losses

    return train


def with_jax_scan(task: Task) -> Train:
    """As `with_jax`, but a hundred steps at a time are one call: JAX's fastest form."""
    import jax
    from jax import numpy as jnp

    layers, update = jax_update(task)
    batches = task.batches()
    at_once = -(-100 // len(batches))  # epochs
    X, y = (jnp.array(rows) for rows in zip(*batches * at_once))
    compiled = jax.jit(lambda layers: jax.lax.scan(update, layers, (X, y)), donate_argnums=0)

    def train(epochs: int) -> Any:
        nonlocal layers
        losses = []
        for _ in range(0, epochs, at_once):
            layers, totals = compiled(layers)
            losses.append(totals)
        return jax.block_until_ready(jnp.concatenate(losses))

    return train


def jax_update(task: Task) -> tuple[Any, Any]:
    import jax
    from jax import numpy as jnp

    def loss(layers: Any, X: Any, y: Any) -> Any:
        for weight, bias in layers[:-1]:
            X = jax.nn.relu(X @ weight.T + bias)
        weight, bias = layers[-1]
        scores = X @ weight.T + bias
        if task.widths[-1] > 1:
            return -jnp.mean(jax.nn.log_softmax(scores)[jnp.arange(len(y)), y])
        loss = jnp.mean(jax.nn.relu(1 - y * scores[:, 0]))
        return loss + task.penalty * sum(jnp.sum(p * p) for layer in layers for p in layer)

    def update(layers: Any, batch: Any) -> Any:
        total, gradients = jax.value_and_grad(loss)(layers, *batch)
        return jax.tree.map(lambda p, g: p - task.lr * g, layers, gradients), total

    return [(jnp.array(weight), jnp.array(bias)) for weight, bias in task.layers()], update
