"""Training of a language model on lines of text, shared by `train gpt`, `lstm` and `rnn`."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from .. import compiler, data, show
from ..data import train_test_split
from ..losses import cross_entropy
from ..nn import LanguageModel, generate
from ..optim import Adam, LinearLR
from ..support.files import write_atomically
from ..text import CharacterTokenizer
from ..training.steps import run_steps
from .arguments import add_number, checkpoint_of
from .output import write_model, write_pictures

_LONGEST = 63  # a compiled step keeps programs for this many lengths
_WRITTEN = 20


def add_texts(parser: Any, steps: int) -> None:
    """Adds the training text and the number of steps to a parser or to a group of its arguments."""
    parser.add_argument(
        "--text", type=Path, help="a file to learn from instead of names, one text per line"
    )
    add_number(parser, "--steps", steps, "training steps, one text each")


def read_texts(path: Path | None) -> list[str]:
    """Returns the lines of a file, or names; ValueError if a line is too long to compile."""
    texts = data.text(path) if path else data.names()
    for text in texts:
        if len(text) > _LONGEST:
            raise ValueError(
                f"{path} has a line of {len(text)} characters, {text[:20]!r}…: "
                f"write one text per line, of at most {_LONGEST} characters"
            )
    return texts


def learn_to_write(
    texts: list[str],
    make: Callable[[int, int, random.Random], LanguageModel],
    lr: float,
    options: Any,
) -> Any:
    """Trains a model on `texts`; returns the model, its tokenizer and texts that it wrote.

    make: called with the size of the vocabulary, the number of tokens of the longest text and a
        generator; returns the model.
    lr: the learning rate of the first step.

    Each step trains on one text, with Adam and a learning rate that falls linearly to 0. A tenth
    of the texts is held out to measure the loss.
    """
    going_on = checkpoint_of(options, "texts")
    tokenizer = CharacterTokenizer(texts)
    X, X_held_out, y, y_held_out = train_test_split(
        *tokenizer.examples(texts), test_size=0.1, seed=options.seed
    )
    longest = 1 + max(map(len, texts))
    model = make(len(tokenizer), longest, random.Random(options.seed))
    print(f"{len(X):,} texts to learn from, {len(X_held_out)} held out\n{model}")

    def loss_fn(tokens: Any, targets: Any) -> Any:
        return cross_entropy(model(tokens), targets)

    optimizer = Adam(model.parameters(), lr=lr, betas=(0.85, 0.99))
    schedule = LinearLR(optimizer, 1.0, 0.0, options.steps)
    X, y = (list(islice(cycle(tokens), options.steps)) for tokens in (X, y))
    started = time.perf_counter()
    step = compiler.compile(loss_fn, optimizer)
    losses = run_steps(step, model, X, y, schedule, **going_on)
    seconds = time.perf_counter() - started
    taken = "" if options.resume else f" in {seconds:.1f} s, including the recording"
    loss = step.loss(X_held_out, y_held_out)
    print(
        f"\n{options.steps:,} steps{taken}\n"
        f"loss on the held-out texts: {loss:.3f}; if all letters were equally likely: "
        f"{math.log(len(tokenizer)):.3f}\n"
    )
    write_model(model, options.out, alphabet=tokenizer.alphabet)

    writer = _Compiled(model, longest) if compiler.is_native() else model
    written = [
        tokenizer.decode(generate(writer, length=longest, temperature=0.7, seed=seed))
        for seed in range(_WRITTEN)
    ]
    path = write_atomically(options.out / "written.txt", "\n".join([*written, ""]))
    print(f"wrote {path}: {', '.join(written)}")
    print(f"{len({*texts}.intersection(written))} of these {_WRITTEN} are among the texts")
    write_pictures({"loss": lambda: show.plot_loss(losses, unit="step")}, options.out)
    return model, tokenizer, written


class _Compiled(LanguageModel):
    """A model whose texts of up to `longest` tokens all run through one compiled program."""

    def __init__(self, model: LanguageModel, longest: int) -> None:
        self.predict = compiler.compile(model)
        self.longest = longest

    def read(self, tokens: Sequence[Any], cache: list[Any]) -> Any:
        """The cache contains all tokens; what comes after them changes none of their logits."""
        cache += tokens
        padded = [*cache, *[0] * (self.longest - len(cache))]
        return self.predict([padded])[0][: len(cache)]
