"""Language models, which predict the next token of a text and so can write: GPT and CharRNN.

Given a sequence of tokens, small whole numbers, a language model has for each of them a row of
logits: the larger the logit of a token, the more likely it comes next. `generate` draws a token,
appends it, and repeats.

>>> model = GPT(27, generator=random.Random(0))
>>> logits = model([0, 5, 3])
>>> len(model.parameters()), len(logits), len(logits[0])
(4192, 3, 27)
>>> len(generate(model, length=5, stop=-1, seed=0))
5

`text.CharacterTokenizer` makes tokens of text. A step of training on one name takes a GPT of this
size 36 ms in eager mode: `mp.compile` the loss of one sequence, and it takes 0.04 ms.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from ..context import no_grad
from ..engine import Value
from ..support.checks import whole_number
from ..support.nested import is_nested, plain
from .attention import Embedding, LearnedPositions, TransformerBlock
from .init import GLOBAL, generator_or
from .linear import Linear
from .module import Module, where
from .normalization import RMSNorm
from .recurrent import GRU, LSTM, RNN

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
"""What a CharRNN can be made of."""


class LanguageModel(Module):
    """For each token of a sequence the logits of the next; a subclass defines `read`."""

    context: int | None = None  # the most tokens that it can look at, if there is such a number

    def read(self, tokens: Sequence[Any], cache: list[Any]) -> Any:
        """A row of logits for each token, where `cache` holds what is kept of the tokens before."""
        raise NotImplementedError

    def forward(self, tokens: Any, cache: list[Any] | None = None) -> Any:
        """For each token of a sequence a row of `vocabulary` logits, for the next token.

        tokens: a list of ints, or a batch of such lists, of any lengths up to `context`.
        cache: a list, at first empty, that keeps what later calls need of these tokens. The
            next call takes the tokens that follow, so that no token is computed twice.
        """
        tokens = plain(tokens)
        if is_nested(tokens):
            if cache is not None:
                raise ValueError(
                    f"{where()} takes no batch with a cache: a cache belongs to one sequence"
                )
            return [self.forward(sequence) for sequence in tokens]
        if not isinstance(tokens, (list, tuple)) or not tokens:
            hint = ": a compiled function takes lists of examples" * isinstance(tokens, Value)
            raise ValueError(f"{where()} takes a list of at least one token, not {tokens!r}{hint}")
        return self.read(tokens, [] if cache is None else cache)


class GPT(LanguageModel):
    """The smallest network that has all of a GPT's parts (Radford et al. 2019).

    vocabulary: how many tokens there are.
    width: how many numbers stand for a token, at each place and in each layer.
    heads, layers: how many attention heads each of how many `TransformerBlock` has.
    context: the most tokens it can look at.

    As a modern GPT it has RMSNorm, without weights, in LayerNorm's place, and no biases; and as
    small ones do well with it, ReLU in GELU's. All weights start normally distributed around 0
    with a standard deviation of 0.08.
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
        """The cache holds, for each block, the keys and the values of all tokens so far."""
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
    """A recurrent network that reads text: all that it knows of it is in its state.

    vocabulary: how many tokens there are.
    width: how many numbers stand for a token, and how many a state has.
    layers: how many layers of cells; cell: "lstm", "gru" or "rnn".
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
        """The cache holds the state after the last token."""
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
    """Tokens that the model writes after `start`, each drawn by its probability.

    It ends before the token `stop`, or when it is `length` tokens long: as many as the model's
    context allows if that is left out.

    temperature: logits are divided by it: below 1 likely tokens become likelier.
    top_k: only so many of the likeliest tokens are drawn from; 1 always takes the likeliest.
    seed: the same seed, the same tokens.
    """
    if not temperature > 0:
        raise ValueError(
            f"temperature must be above 0, not {temperature!r}: top_k=1 takes the likeliest token"
        )
    if top_k is not None:
        whole_number("top_k", top_k)
    if length is not None:
        whole_number("length", length)
    elif model.context is not None:
        length = model.context + 1 - len(start)
    else:
        raise ValueError(f"length must be given: a {type(model).__name__} could write for ever")
    generator = random.Random(seed)
    written: list[int] = []
    cache: list[Any] = []
    new = list(start)
    with no_grad():
        while len(written) < length:
            logits = [logit.data / temperature for logit in model(new, cache)[-1]]
            likeliest = sorted(range(len(logits)), key=lambda token: -logits[token])[:top_k]
            weights = [math.exp(logits[token] - logits[likeliest[0]]) for token in likeliest]
            new = generator.choices(likeliest, weights)
            if new[0] == stop:
                break
            written += new
    return written
