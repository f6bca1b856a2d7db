"""`micrograd-plus train gpt`: trains a GPT that writes names."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from .. import show
from ..context import no_grad
from ..nn import GPT
from ..support.files import make_folder
from .arguments import add_checkpoint, add_command, add_lr, add_number, add_output
from .output import write_pictures
from .writing import add_texts, learn_to_write, read_texts


def add(models: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "a GPT that writes names, letter by letter"
    example = "micrograd-plus train gpt --width 32 --steps 10000 --lr 0.003"
    parser = add_command(models, "gpt", help_, example)
    add_checkpoint(parser)
    add_output(parser, "trained-gpt")
    add_texts(parser, steps=1000)
    add_lr(parser, 0.01)
    add_number(parser, "--width", 16, "numbers for each letter")
    add_number(parser, "--heads", 4, "attention heads")
    add_number(parser, "--layers", 1, "Transformer blocks")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, writes names, and draws the attention weights."""
    texts = read_texts(options.text)
    make_folder(options.out)
    model, tokenizer, written = learn_to_write(
        texts,
        lambda vocabulary, context, generator: GPT(
            vocabulary,
            options.width,
            options.heads,
            options.layers,
            max(context, 16),
            generator=generator,
        ),
        options.lr,
        options,
    )
    text = max(written, key=len)[: model.context - 1]
    with no_grad():
        model([0, *tokenizer.encode(text)])
    write_pictures(
        {
            f"attention-layer-{i}": partial(
                show.plot_attention, block.self_attn.weights, ["^", *text]
            )
            for i, block in enumerate(model.blocks)
        },
        options.out,
    )
    return 0
