"""The models that torch.nn does not have, made of its modules: GPT, CharRNN and positions.

`to_torch` returns them. This module needs PyTorch, and is imported only where PyTorch is there. The
classes have the constructor, the names of the parameters and the behaviour of those in
`micrograd_plus.nn`, except that a batch is a tensor, so its sequences have one length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def transformer_block(width: int, heads: int, bias: bool, norm: str) -> nn.TransformerEncoderLayer:
    """Returns a layer like `micrograd_plus.nn.TransformerBlock`."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, norm_first=True, batch_first=True, bias=bias
    )
    if norm == "rms":
        layer.norm1, layer.norm2 = [
            nn.RMSNorm(width, eps=1e-5, elementwise_affine=False) for _ in range(2)
        ]
        layer.activation_relu_or_gelu = 0  # PyTorch's faster path computes LayerNorm
    return layer


class LearnedPositions(nn.Module):
    """Adds a learned row of `weight` to the row at each position of (batch of) sequences."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.context, self.width = context, width
        self.weight = nn.Parameter(torch.randn(context, width))

    def forward(self, x: Tensor) -> Tensor:
        """x: … × length × width."""
        return x + self.weight.narrow(0, 0, x.shape[-2])  # an error beyond the context


class SinusoidalPositions(nn.Module):
    """Adds waves to the row at each position (Vaswani et al. 2017, section 3.5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """x: … × length × width."""
        place = torch.arange(x.shape[-2], dtype=x.dtype, device=x.device)[:, None]
        i = torch.arange(self.width, device=x.device)
        angles = place / 10000 ** (2 * (i // 2).to(x.dtype) / self.width)
        return x + torch.where(i % 2 == 0, angles.sin(), angles.cos())


class GPT(nn.Module):
    """A GPT with RMSNorm without weights, and without biases."""

    def __init__(self, vocabulary: int, width: int, heads: int, layers: int, context: int) -> None:
        super().__init__()
        self.vocabulary, self.width, self.heads = vocabulary, width, heads
        self.layers, self.context = layers, context
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = LearnedPositions(context, width)
        self.norm = nn.RMSNorm(width, eps=1e-5, elementwise_affine=False)
        self.blocks = nn.ModuleList(
            [transformer_block(width, heads, bias=False, norm="rms") for _ in range(layers)]
        )
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits of the next token after each one; tokens: … × length."""
        length = tokens.shape[-1]
        later = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
        x = self.norm(self.positions(self.tokens(tokens)))
        for block in self.blocks:
            x = block(x, src_mask=later)
        return self.head(x)


class CharRNN(nn.Module):
    """A recurrent network that reads text."""

    def __init__(self, vocabulary: int, width: int, layers: int, cell: str) -> None:
        super().__init__()
        self.vocabulary, self.width, self.layers, self.cell = vocabulary, width, layers, cell
        self.tokens = nn.Embedding(vocabulary, width)
        kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.recurrent = kind(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits of the next token after each one; tokens: … × length."""
        output, _ = self.recurrent(self.tokens(tokens))
        return self.head(output)
