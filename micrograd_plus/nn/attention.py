"""Attention: every position of a sequence reads from the other positions.

Each position has a query, a key and a value. The better a key fits a query, the larger is its
attention weight. The output is the mean of the values with these weights, which add up to 1:

>>> keys, values = [[1.0, 0.0], [0.0, 1.0]], [[10.0], [20.0]]
>>> answer, weights = attend([4.0, 0.0], keys, values)
>>> print(f"{answer[0]:.2f} = {weights[0]:.2f} * 10 + {weights[1]:.2f} * 20")
10.56 = 0.94 * 10 + 0.06 * 20

A sequence is a list of rows of numbers, and a batch a list of sequences, which may have different
lengths: nothing is padded. Parameters have PyTorch's names and shapes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ..context import recorder, scope
from ..engine import Value
from ..functional import dot, softmax
from ..recordable import pick, require, stamped
from ..support.checks import whole_number
from ..support.nested import is_nested, plain
from .activations import ReLU
from .init import GLOBAL, generator_or, xavier_uniform
from .linear import Linear, weighted_sums
from .module import Module, row_of_values, where
from .normalization import LayerNorm, RMSNorm

Rows = Sequence[Sequence[Any]]


# ---- tokens and positions as rows of numbers


class Embedding(Module):
    """A table with a row of `embedding_dim` learned numbers for each token.

    A token is a whole number in [0, `num_embeddings`), the index of a row of `weight`. The input is
    a token, or a nested list of tokens. In a compiled function tokens may be inputs. The initial
    numbers are normally distributed around 0, with variance 1.

    >>> table = Embedding(10, 3, generator=random.Random(0))
    >>> rows = table([7, 2, 7])
    >>> len(rows), len(rows[0]), rows[0] == rows[2]
    (3, 3, True)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        generator: random.Random | None = None,
    ) -> None:
        self.num_embeddings = whole_number("num_embeddings", num_embeddings)
        self.embedding_dim = whole_number("embedding_dim", embedding_dim)
        draw = generator_or(GLOBAL, generator)
        self.weight = [
            [Value(draw.gauss(0.0, 1.0)) for _ in range(embedding_dim)]
            for _ in range(num_embeddings)
        ]

    def forward(self, tokens: Any) -> Any:
        """The row of each token."""
        tokens = plain(tokens)
        if isinstance(tokens, (list, tuple)):
            return [self.forward(token) for token in tokens]
        if isinstance(
            tokens, Value
        ):  # an input of a compiled function, which is checked at each call
            there = range(self.num_embeddings)
            require(tokens, lambda token: token in there, self._unknown("{}"))
        try:
            return pick(self.weight, tokens)
        except (IndexError, TypeError) as error:
            raise type(error)(self._unknown(tokens)) from None

    def _unknown(self, token: Any) -> str:
        return f"{where()} takes tokens, ints from 0 to {self.num_embeddings - 1}, not {token}"

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim}


class _Positions(Module):
    """Adds a row of numbers to the row at each position; a subclass defines them in `rows`."""

    def rows(self, start: int, count: int) -> tuple[int, Rows]:
        """Returns the width, and the rows to add at `count` positions, beginning at `start`."""
        raise NotImplementedError

    def forward(self, x: Any, start: int = 0) -> Any:
        """The sequence or batch plus its positions; `start` is the position of the first row."""
        x = plain(x)
        if _is_batch(x):
            return [self.forward(sequence, start) for sequence in x]
        width, places = self.rows(start, len(x))
        return add([row_of_values(plain(row), width) for row in x], places)


class LearnedPositions(_Positions):
    """Adds a learned row of `weight` to the row at each position of a sequence.

    Attention alone does not depend on the order of its inputs. A sequence has at most `context`
    positions. The initial numbers are those of Embedding.

    >>> positions = LearnedPositions(8, 2, generator=random.Random(0))
    >>> rows = positions([[1.0, 2.0], [1.0, 2.0]])
    >>> len(rows), rows[0][0].data == rows[1][0].data
    (2, False)
    """

    def __init__(self, context: int, width: int, *, generator: random.Random | None = None) -> None:
        self.weight = Embedding(context, width, generator=generator).weight

    def rows(self, start: int, count: int) -> tuple[int, Rows]:
        """Rows of `weight`; ValueError if the sequence is longer than the context."""
        context, width = self._size()
        if start + count > context:
            raise ValueError(
                f"{where()} takes sequences of at most {context} positions, and was given "
                f"{start + count}"
            )
        return width, self.weight[start : start + count]

    def _size(self) -> tuple[int, int]:
        return len(self.weight), len(self.weight[0])

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(zip(("context", "width"), self._size()))


class SinusoidalPositions(_Positions):
    """Adds waves to the rows of a sequence, so that each position has its own pattern.

    At position p, it adds sin(p / 10000^(2i / width)) to number 2i of the row, and the cosine of
    the same angle to number 2i + 1: waves from short to long (Vaswani et al. 2017, section 3.5). It
    has no parameters, and a sequence may have any length.

    >>> rows = SinusoidalPositions(2)([[0.0, 0.0], [0.0, 0.0]])
    >>> [[f"{number:.4f}" for number in row] for row in rows]
    [['0.0000', '1.0000'], ['0.8415', '0.5403']]
    """

    def __init__(self, width: int) -> None:
        self.width = whole_number("width", width)

    def rows(self, start: int, count: int) -> tuple[int, Rows]:
        """The waves at these positions."""
        return self.width, [self.wave(start + place) for place in range(count)]

    def wave(self, place: int) -> list[float]:
        """Returns the row to add at a position."""
        angles = [place / 10000 ** (2 * (i // 2) / self.width) for i in range(self.width)]
        return [math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(angles)]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"width": self.width}


# ---- attention


@stamped(fixed=0)
def attend(query: Sequence[Any], keys: Rows, values: Rows) -> tuple[list[Value], list[Value]]:
    """Returns the answer to one query, which is a weighted mean of `values`, and the weights.

    The weights are softmax(query · key / √d) for keys of d numbers (Vaswani et al. 2017,
    formula 1).
    """
    fits = [dot(query, key) / math.sqrt(len(query)) for key in keys]
    weights = softmax(fits)
    return [dot(weights, column) for column in zip(*values)], weights


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, is_causal: bool = False
) -> Any:
    """Returns the answer to each query of a sequence, or of nested lists of sequences.

    query: rows of d numbers. key: any number of such rows. value: one row for each key.
    attn_mask: for each query a list of bools, one for each key: True if the query attends to it.
    is_causal: no query attends to keys at later positions.

    The same as torch.nn.functional.scaled_dot_product_attention.

    >>> rows = [[1.0, 0.0], [0.0, 1.0]]
    >>> answers = scaled_dot_product_attention(rows, rows, [[10.0], [20.0]])
    >>> [f"{answer:.2f}" for (answer,) in answers]
    ['13.30', '16.70']
    """
    query, key, value = plain(query), plain(key), plain(value)
    if _is_batch(query):
        return [
            scaled_dot_product_attention(*one, attn_mask, is_causal)
            for one in zip(query, key, value)
        ]
    _require_pairs(key, value)
    seen = _seen(len(query), len(key), attn_mask, 0 if is_causal else None)
    return [
        attend(q, [key[k] for k in looks], [value[k] for k in looks])[0]
        for q, looks in zip(query, seen)
    ]


def _require_pairs(keys: Rows, values: Rows) -> None:
    """ValueError if there is not one value for each key."""
    if len(keys) != len(values):
        raise ValueError(
            f"{where()} takes one value for each key, and was given {len(keys)} keys and "
            f"{len(values)} values"
        )


def _seen(queries: int, keys: int, allowed: Any, before: int | None) -> list[list[int]]:
    """Returns for each query the indices of the keys that it attends to.

    before: if it is not None, query i attends to the first before + i + 1 keys at most.
    """
    if allowed is not None and [len(row) for row in allowed] != [keys] * queries:
        raise ValueError(
            f"{where()} takes an attn_mask with {queries} lists, one for each query, of {keys} "
            "bools, one for each key"
        )
    seen = [
        [
            key
            for key in range(keys if before is None else min(keys, before + query + 1))
            if allowed is None or allowed[query][key]
        ]
        for query in range(queries)
    ]
    if [] in seen:
        raise ValueError(f"{where()}: query {seen.index([])} attends to no key")
    return seen


class MultiHeadAttention(Module):
    """Several attention heads in parallel, each with its own part of the numbers in a row.

    Queries, keys and values are each a weighted sum of the input rows. Every head uses its own
    `embed_dim / num_heads` numbers of them, and a Linear joins the outputs of the heads (Vaswani
    et al. 2017, section 3.2.2).

    in_proj_weight contains the rows for the queries, then for the keys, then for the values, and so
    does in_proj_bias; out_proj is a Linear. This is as in torch.nn.MultiheadAttention with
    batch_first=True, whose state can be loaded.

    After a call in eager mode `weights` contains the attention weights of the (last) sequence as
    numbers, weights[head][query][key], for `mp.plot_attention`.

    >>> attention = MultiHeadAttention(4, 2, generator=random.Random(0))
    >>> answers = attention([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]], is_causal=True)
    >>> len(answers), len(answers[0])
    (2, 4)
    >>> attention.weights[0][0]  # of head 0, for the first query: it attends to itself
    [1.0, 0.0]
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        *,
        generator: random.Random | None = None,
    ) -> None:
        self.embed_dim = width = whole_number("embed_dim", embed_dim)
        self.num_heads = whole_number("num_heads", num_heads)
        if width % num_heads:
            raise ValueError(f"embed_dim, {width}, must be a multiple of num_heads, {num_heads}")
        draw = generator_or(GLOBAL, generator)
        self.in_proj_weight = [
            [Value(xavier_uniform(width, 3 * width, draw)) for _ in range(width)]
            for _ in range(3 * width)
        ]
        self.in_proj_bias = [Value(0.0) for _ in range(3 * width)] if bias else None
        self.out_proj = Linear(width, width, bias, generator=generator)
        for number in self.out_proj.bias or []:
            number.data = 0.0
        self.weights: list[list[list[float]]] = []

    @property
    def stacked(self) -> Mapping[str, Mapping[str, str]]:
        """Queries, keys and values, one above the other."""
        parts = {"q": "query", "k": "key", "v": "value"}
        return {"in_proj_weight": parts, "in_proj_bias": parts}

    def forward(
        self,
        query: Any,
        key: Any = None,
        value: Any = None,
        *,
        attn_mask: Any = None,
        is_causal: bool = False,
        cache: tuple[list[Any], list[Any]] | None = None,
    ) -> Any:
        """The output for each row of `query`, a sequence or a batch.

        key, value: the sequences to attend to; by default the query itself.
        attn_mask: for each query a list of bools, one for each key: True if the query does NOT
            attend to it, as in PyTorch's module; scaled_dot_product_attention has the opposite.
        is_causal: no query attends to keys at later positions.
        cache: two lists, initially empty, of the keys and values of the sequence so far. This
            call appends its keys and values.
        """
        query = plain(query)
        key = query if key is None else plain(key)
        value = key if value is None else plain(value)
        if _is_batch(query):
            if cache is not None:
                raise ValueError(
                    f"{where()} cannot use a cache with a batch: a cache belongs to one sequence"
                )
            options = {"attn_mask": attn_mask, "is_causal": is_causal}
            return [self.forward(*one, **options) for one in zip(query, key, value)]
        _require_pairs(key, value)
        queries, keys, values = (self._projected(*x) for x in enumerate((query, key, value)))
        before = 0
        if cache is not None:
            before = len(cache[0])
            for kept, new in zip(cache, (keys, values)):
                kept += new
            keys, values = cache
        may = attn_mask and [[not left_out for left_out in plain(row)] for row in plain(attn_mask)]
        seen = _seen(len(queries), len(keys), may, before if is_causal else None)
        heads = [self._head(i, queries, keys, values, seen) for i in range(self.num_heads)]
        if recorder() is None:
            self.weights = [weights for _, weights in heads]
        side_by_side = zip(*[answers for answers, _ in heads])
        return self.out_proj([[*chain(*answers)] for answers in side_by_side])

    def _projected(self, part: int, x: Any) -> list[list[Value]]:
        """Returns the queries (part 0), keys (1) or values (2) of the rows of x."""
        own = slice(part * self.embed_dim, (part + 1) * self.embed_dim)
        rows = [row_of_values(plain(row), self.embed_dim) for row in x]
        weight, bias = self.in_proj_weight[own], (self.in_proj_bias or [])[own]
        return weighted_sums.each(weight, bias, rows)

    def _head(
        self, head: int, queries: Rows, keys: Rows, values: Rows, seen: list[list[int]]
    ) -> tuple[list[list[Value]], list[list[float]]]:
        """Returns the output of one head for each query, and its attention weights."""
        size = self.embed_dim // self.num_heads
        own = slice(head * size, (head + 1) * size)
        queries, keys, values = ([row[own] for row in rows] for rows in (queries, keys, values))
        answers, table = [], []
        with scope(f"head {head}"):
            for query, looks in zip(queries, seen):
                answer, weights = attend(
                    query, [keys[k] for k in looks], [values[k] for k in looks]
                )
                answers.append(answer)
                if recorder() is None:
                    counts = {k: weight.data for k, weight in zip(looks, weights)}
                    table.append([counts.get(k, 0.0) for k in range(len(keys))])
        return answers, table

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        shape: dict[str, Any] = {"embed_dim": self.embed_dim, "num_heads": self.num_heads}
        return shape if self.in_proj_bias is not None else {**shape, "bias": False}


# ---- a layer of a Transformer


class TransformerBlock(Module):
    """Attention, then two Linear with a ReLU between them; each adds to its input.

    These residual connections are a direct path through all blocks, for numbers and for
    gradients. Each part normalises its own input (pre-norm; Xiong et al. 2020).

    norm: "layer" for LayerNorm, or "rms" for RMSNorm without weights.
    bias: whether the weighted sums have biases.

    With "layer" it is torch.nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0,
    norm_first=True, batch_first=True), whose state can be loaded.

    >>> block = TransformerBlock(4, 2, generator=random.Random(0))
    >>> rows = block([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]])
    >>> len(rows), len(rows[0]), len(block.parameters())
    (2, 4, 244)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        bias: bool = True,
        norm: str = "layer",
        *,
        generator: random.Random | None = None,
    ) -> None:
        if norm not in ("layer", "rms"):
            raise ValueError(f"norm must be 'layer' or 'rms', not {norm!r}")
        self.norm = norm
        self.self_attn = MultiHeadAttention(width, heads, bias, generator=generator)
        self.linear1 = Linear(width, 4 * width, bias, generator=generator)
        self.relu = ReLU()
        self.linear2 = Linear(4 * width, width, bias, generator=generator)
        self.norm1, self.norm2 = (
            LayerNorm(width, bias=bias)
            if norm == "layer"
            else RMSNorm(width, eps=1e-5, elementwise_affine=False)
            for _ in range(2)
        )

    def forward(
        self, x: Any, *, attn_mask: Any = None, is_causal: bool = False, cache: Any = None
    ) -> Any:
        """The output for a sequence or batch; the options are MultiHeadAttention's."""
        options = {"attn_mask": attn_mask, "is_causal": is_causal, "cache": cache}
        x = add(x, self.self_attn(self.norm1(x), **options))
        return add(x, self.linear2(self.relu(self.linear1(self.norm2(x)))))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        attention = self.self_attn
        shape = {"width": attention.embed_dim, "heads": attention.num_heads}
        return {**shape, "bias": attention.in_proj_bias is not None, "norm": self.norm}


# ---- sums and shapes


def add(x: Any, y: Any) -> Any:
    """Returns x + y, number by number, for nested lists of the same shape."""
    x, y = plain(x), plain(y)
    if _is_batch(x):
        return [add(a, b) for a, b in zip(x, y)]
    if is_nested(x):
        return _sums.each(list(map(plain, x)), list(map(plain, y)))
    return _sums(x, y) if isinstance(x, (list, tuple)) else x + y


@stamped(fixed=0)
def _sums(x: Sequence[Value], y: Sequence[Any]) -> list[Value]:
    return [a + b for a, b in zip(x, y)]


def _is_batch(x: Any) -> bool:
    """Whether x is a list of sequences."""
    return is_nested(x) and is_nested(plain(x[0]))
