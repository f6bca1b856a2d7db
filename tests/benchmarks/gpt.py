"""A GPT that learns to spell names, `nn.GPT`, and its twins in PyTorch and in JAX.

4,192 parameters at width 16. All three start with the same numbers. Each `with_…` function
gives `train(epochs)`, which goes on with the training and returns the loss of each step.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import micrograd_plus as mp

HEADS, CONTEXT, VOCABULARY = 4, 16, 27

_NAMES = """
ada adam adrian aidan alejandra alex alexander alexandra alice amelia amir amy ana anastasia andrea
andrew angela annabelle anthony antonio ariana audrey aurora austin ava barbara beatrice ben
benjamin bernadette bianca brandon camila carmen caroline cassandra catherine cecilia charles
charlotte chloe christina christopher claire cynthia daisy daniel daniela david deborah diego
dominic dorothy edward eleanor elias elijah elizabeth ella ellen emilia emily emma erin ethan evelyn
felix fiona florence frances francisco gabriel gabriella gerald giovanni hannah harper hector helen
henry hugo ian ingrid irene iris isaac isabella ivan ivy jack jacob jacqueline james jane jasmine
jason jennifer jesse john jonathan jordan joseph josephine joshua julia katherine kenneth khadija
kimberly laila laura lauren leo leonard liam lily lorenzo louis lucas lucy luna madeline marcus
margaret maria martin mary matthew melissa mia michael michelle miguel mohammed monica morgan nadia
naomi natalia natalie nathan nathaniel nicholas nicole noah nora oliver olivia oscar owen patricia
patrick paul penelope peter philip quinn rachel raphael rebecca richard robert rosa ruby ryan
samantha samuel santiago sara savannah sebastian serena simon sophia stella stephanie susan teresa
theo theodore thomas timothy tristan valentina vanessa veronica victor victoria vincent violet
virginia walter wendy william xavier yasmin yvonne zachary zoe zuri
"""
NAMES = _NAMES.split()


def adam_of(width: int) -> dict[str, Any]:
    """What Adam is made with; a wider network learns with smaller steps."""
    return {"lr": 0.16 / width, "betas": (0.85, 0.99), "eps": 1e-8}


def model_of(width: int) -> mp.nn.GPT:
    return mp.nn.GPT(VOCABULARY, width, HEADS, 1, CONTEXT, generator=random.Random(0))


def first_weights(width: int) -> dict[str, Any]:
    """What all three start with."""
    state = model_of(width).state_dict()
    query, key, value = chunks(state["blocks.0.self_attn.in_proj_weight"], width)
    return {
        "tokens": state["tokens.weight"],
        "positions": state["positions.weight"],
        "query": query,
        "key": key,
        "value": value,
        "out": state["blocks.0.self_attn.out_proj.weight"],
        "widen": state["blocks.0.linear1.weight"],
        "narrow": state["blocks.0.linear2.weight"],
        "head": state["head.weight"],
    }


def chunks(x: Any, size: int) -> list[Any]:
    return [x[i : i + size] for i in range(0, len(x), size)]


# ---- what is trained on


examples = mp.text.CharacterTokenizer("abcdefghijklmnopqrstuvwxyz").examples


def in_batches(names: Sequence[str], batch: int) -> list[tuple[Any, Any]]:
    """Tokens and targets of each step: flat lists for single names, else lists of lists."""
    X, y = examples(names)
    if batch == 1:
        return list(zip(X, y))
    return list(zip(chunks(X, batch), chunks(y, batch)))


Train = Callable[[int], list[Any]]


def with_compile(width: int, names: Sequence[str], batch: int, **how: Any) -> Train:
    model = model_of(width)
    X, y = examples(names)

    def loss_fn(tokens: Any, targets: Any) -> mp.Value:
        return mp.losses.cross_entropy(model(tokens), targets)

    step = mp.compile(loss_fn, mp.optim.Adam(model.parameters(), **adam_of(width)), **how)
    return lambda epochs: step.run(X, y, epochs=epochs, batch_size=batch, progress=False)


def with_torch(width: int, names: Sequence[str], batch: int, dtype: str = "float64") -> Train:
    import torch
    from torch.nn.functional import (
        cross_entropy,
        embedding,
        linear,
        relu,
        rms_norm,
        scaled_dot_product_attention,
    )

    w = {
        name: torch.tensor(numbers, dtype=getattr(torch, dtype), requires_grad=True)
        for name, numbers in first_weights(width).items()
    }
    # The fastest of its three forms.
    optimizer = torch.optim.Adam(w.values(), **adam_of(width), fused=True)

    def normalise(x: Any) -> Any:
        return rms_norm(x, (width,), eps=1e-5)

    def split(x: Any) -> Any:
        return x.unflatten(-1, (HEADS, -1)).transpose(-2, -3)

    def loss(tokens: Any, targets: Any) -> Any:
        x = normalise(embedding(tokens, w["tokens"]) + w["positions"][: tokens.shape[-1]])
        h = normalise(x)
        q, k, v = (split(linear(h, w[name])) for name in ("query", "key", "value"))
        attended = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(attended.transpose(-2, -3).flatten(-2), w["out"])
        h = relu(linear(normalise(x), w["widen"]))
        x = x + linear(h, w["narrow"])
        logits = linear(x, w["head"])
        return cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1))

    steps = [(torch.tensor(X), torch.tensor(y)) for X, y in in_batches(names, batch)]

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


def with_jax(width: int, names: Sequence[str], batch: int) -> Train:
    """Gradient and update in one compiled function, called once for each step."""
    import jax

    state, update, X, y = jax_update(width, names, batch)
    compiled = jax.jit(update, donate_argnums=0)
    steps = list(zip(X, y))

    def train(epochs: int) -> list[Any]:
        nonlocal state
        losses = []
        for step in steps * epochs:
            state, total = compiled(state, step)
            losses.append(total)
        return jax.block_until_ready(losses)

    return train


def with_jax_scan(width: int, names: Sequence[str], batch: int) -> Train:
    """As `with_jax`, but an epoch is one call: JAX's fastest form."""
    import jax
    from jax import numpy as jnp

    state, update, X, y = jax_update(width, names, batch)
    compiled = jax.jit(lambda state: jax.lax.scan(update, state, (X, y)), donate_argnums=0)

    def train(epochs: int) -> Any:
        nonlocal state
        losses = []
        for _ in range(epochs):
            state, totals = compiled(state)
            losses.append(totals)
        return jax.block_until_ready(jnp.concatenate(losses))

    return train


def jax_update(width: int, names: Sequence[str], batch: int) -> tuple[Any, Any, Any, Any]:
    """What Adam starts with, its step, and all tokens and targets.

    Names of different lengths are padded to the longest, and the loss leaves the padding out,
    so that one compiled program serves them all.
    """
    import jax
    from jax import numpy as jnp

    adam = adam_of(width)

    def normalise(x: Any) -> Any:
        return x * (jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5) ** -0.5

    def split(x: Any) -> Any:
        return x.reshape(*x.shape[:-1], HEADS, -1)

    def loss(w: Any, tokens: Any, targets: Any) -> Any:
        n = tokens.shape[-1]
        x = normalise(w["tokens"][tokens] + w["positions"][:n])
        h = normalise(x)
        q, k, v = (split(h @ w[name].T) for name in ("query", "key", "value"))
        fits = jnp.einsum("...qhd,...khd->...hqk", q, k) / (width // HEADS) ** 0.5
        weights = jax.nn.softmax(jnp.where(jnp.tri(n, dtype=bool), fits, -jnp.inf))
        attended = jnp.einsum("...hqk,...khd->...qhd", weights, v)
        x = x + attended.reshape(x.shape) @ w["out"].T
        x = x + jax.nn.relu(normalise(x) @ w["widen"].T) @ w["narrow"].T
        logits = jax.nn.log_softmax(x @ w["head"].T)
        chosen = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
        real = targets >= 0
        return -jnp.sum(jnp.where(real, chosen, 0.0)) / jnp.sum(real)

    def update(state: Any, step: Any) -> Any:
        """One step of Adam (Kingma & Ba 2015)."""
        (w, m, v, t), (b1, b2) = state, adam["betas"]
        total, g = jax.value_and_grad(loss)(w, *step)
        t = t + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, g)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)

        def moved(w: Any, m: Any, v: Any) -> Any:
            return w - adam["lr"] / (1 - b1**t) * m / (jnp.sqrt(v / (1 - b2**t)) + adam["eps"])

        return (jax.tree.map(moved, w, m, v), m, v, t), total

    X, y = zip(*in_batches(names, batch))

    def padded(row: list[int], filler: int) -> list[int]:
        return row + [filler] * (max(map(len, X)) - len(row))

    if batch == 1:
        X, y = [padded(tokens, 0) for tokens in X], [padded(targets, -1) for targets in y]
    w = {name: jnp.array(numbers) for name, numbers in first_weights(width).items()}
    m, v = jax.tree.map(jnp.zeros_like, w), jax.tree.map(jnp.zeros_like, w)
    return (w, m, v, jnp.array(0.0)), update, jnp.array(X), jnp.array(y)
