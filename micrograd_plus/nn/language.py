"""Language models, which predict the next token of a text: GPT and CharRNN.

The input of a language model is a sequence of tokens, which are small whole numbers. Its output is,
for each of them, a row of logits for the next token: a token with a larger logit is more likely.
`generate` writes text: it draws a token, appends it, and repeats.

>>> model = GPT(27, generator=random.Random(0))
>>> logits = model([0, 5, 3])
>>> len(model.parameters()), len(logits), len(logits[0])
(4192, 3, 27)
>>> len(generate(model, length=5, stop=-1, seed=0))
5

`text.CharacterTokenizer` turns text into tokens. A training step of this GPT on one name takes
36 ms in eager mode, and 0.04 ms if the loss of one sequence is compiled with `mp.compile`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from ..context import no_grad
from ..engine import Value
from ..numbers import number_of
from ..support.checks import whole_number
from ..support.nested import is_nested, plain
from .attention import Embedding, LearnedPositions, TransformerBlock
from .init import GLOBAL, generator_or
from .linear import Linear
from .module import Module, where
from .normalization import RMSNorm
from .recurrent import GRU, LSTM, RNN

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
"""The recurrent networks that a CharRNN can contain, by name."""


class LanguageModel(Module):
    """Predicts the next token after each token of a sequence; a subclass defines `read`.

    >>> class Uniform(LanguageModel):
    ...     def read(self, tokens, cache):
    ...         return [[Value(0.0)] * 3 for _ in tokens]
    >>> len(generate(Uniform(), length=4, stop=-1, seed=0))
    4
    """

    context: int | None = None  # the maximum number of tokens, if there is one

    def read(self, tokens: Sequence[Any], cache: list[Any]) -> Any:
        """Returns a row of logits for each token; `cache` has the data of the earlier tokens."""
        raise NotImplementedError

    def forward(self, tokens: Any, cache: list[Any] | None = None) -> Any:
        """Returns for each token of a sequence a row of `vocabulary` logits for the next token.

        tokens: a list of ints, or a batch of such lists, of any lengths up to `context`.
        cache: a list, initially empty, that stores data for later calls. Pass only the new tokens
            to the next call, so that no token is computed twice.
        """
        tokens = plain(tokens)
        if is_nested(tokens):
            if cache is not None:
                raise ValueError(
                    f"{where()} cannot use a cache with a batch: a cache belongs to one sequence"
                )
            return [self.forward(sequence) for sequence in tokens]
        if not isinstance(tokens, (list, tuple)) or not tokens:
            hint = ": a compiled function takes lists of examples" * isinstance(tokens, Value)
            raise ValueError(f"{where()} takes a list of at least one token, not {tokens!r}{hint}")
        return self.read(tokens, [] if cache is None else cache)


class GPT(LanguageModel):
    """A small network with all parts of a GPT (Radford et al. 2019).

    vocabulary: the number of different tokens.
    width: the number of numbers that represent a token, in every layer.
    heads: the number of attention heads in each layer.
    layers: the number of `TransformerBlock`s.
    context: the maximum number of tokens in a sequence.

    Like modern GPTs it has RMSNorm without weights instead of LayerNorm, and no biases. It has ReLU
    instead of GELU, which is good enough in a small network. The initial weights are normally
    distributed around 0 with a standard deviation of 0.08.

    >>> model = GPT(27, generator=random.Random(0))
    >>> logits = model([0, 5, 3])
    >>> len(model.parameters()), len(logits), len(logits[0])
    (4192, 3, 27)
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 16,
        heads: int = 4,
        layers: int = 1,
        context: int = 16,
        *,
        generator: random.Random | None = None,
    ) -> None:
        draw = generator_or(GLOBAL, generator)
        self.context = whole_number("context", context)
        self.tokens = Embedding(vocabulary, width, generator=generator)
        self.positions = LearnedPositions(context, width, generator=generator)
        self.norm = RMSNorm(width, eps=1e-5, elementwise_affine=False)
        self.blocks = [
            TransformerBlock(width, heads, bias=False, norm="rms", generator=generator)
            for _ in range(whole_number("layers", layers))
        ]
        self.head = Linear(width, vocabulary, bias=False, generator=generator)
        for parameter in self.parameters():
            parameter.data = draw.gauss(0.0, 0.08)

    def read(self, tokens: Sequence[Any], cache: list[Any]) -> Any:
        """The cache contains, for each block, the keys and the values of all tokens so far."""
        cache += [([], []) for _ in self.blocks[len(cache) :]]
        start = len(cache[0][0])
        x = self.norm(self.positions(self.tokens(tokens), start))
        for block, kept in zip(self.blocks, cache):
            x = block(x, is_causal=True, cache=kept)
        return self.head(x)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        block = self.blocks[0].self_attn
        return {
            "vocabulary": self.tokens.num_embeddings,
            "width": block.embed_dim,
            "heads": block.num_heads,
            "layers": len(self.blocks),
            "context": self.context,
        }


class CharRNN(LanguageModel):
    """A recurrent network that reads text and stores in its state what it has read.

    vocabulary: the number of different tokens.
    width: the number of numbers that represent a token, and the size of the state.
    layers: the number of layers. cell: "lstm", "gru" or "rnn".

    >>> model = CharRNN(27, generator=random.Random(0))
    >>> logits = model([0, 5, 3])
    >>> len(logits), len(logits[0])
    (3, 27)
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 32,
        layers: int = 1,
        cell: str = "lstm",
        *,
        generator: random.Random | None = None,
    ) -> None:
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(map(repr, CELLS))}, not {cell!r}")
        self.tokens = Embedding(vocabulary, width, generator=generator)
        self.recurrent = CELLS[cell](width, width, layers, generator=generator)
        self.head = Linear(width, vocabulary, generator=generator)

    def read(self, tokens: Sequence[Any], cache: list[Any]) -> Any:
        """The cache contains the state after the last token."""
        output, state = self.recurrent(self.tokens(tokens), *cache)
        cache[:] = [state]
        return self.head(output)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "vocabulary": self.tokens.num_embeddings,
            "width": self.tokens.embedding_dim,
            "layers": len(self.recurrent.cells),
            "cell": type(self.recurrent).__name__.lower(),
        }


def generate(
    model: LanguageModel,
    start: Sequence[int] = (0,),
    *,
    length: int | None = None,
    stop: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> list[int]:
    """Returns tokens that the model writes after `start`, drawn with the model's probabilities.

    The text ends before the token `stop`, or after `length` tokens; the default of `length` is the
    largest that the model's context allows.

    temperature: the logits are divided by it; below 1, likely tokens become more likely.
    top_k: only the `top_k` most likely tokens can be drawn; with 1, always the most likely one.
    seed: the same seed gives the same tokens.

    >>> model = GPT(27, generator=random.Random(0))
    >>> tokens = generate(model, length=5, stop=-1, seed=0)
    >>> len(tokens), all(0 <= token < 27 for token in tokens)
    (5, True)
    """
    if not temperature > 0:
        raise ValueError(
            f"temperature must be above 0, not {temperature!r}; top_k=1 gives the most likely token"
        )
    if top_k is not None:
        whole_number("top_k", top_k)
    if length is not None:
        whole_number("length", length)
    elif model.context is not None:
        length = model.context + 1 - len(start)
    else:
        raise ValueError(f"length must be given: a {type(model).__name__} has no maximum length")
    generator = random.Random(seed)
    written: list[int] = []
    cache: list[Any] = []
    new = list(start)
    with no_grad():
        while len(written) < length:
            logits = [number_of(logit) / temperature for logit in model(new, cache)[-1]]
            likeliest = sorted(range(len(logits)), key=lambda token: -logits[token])[:top_k]
            weights = [math.exp(logits[token] - logits[likeliest[0]]) for token in likeliest]
            new = generator.choices(likeliest, weights)
            if new[0] == stop:
                break
            written += new
    return written
