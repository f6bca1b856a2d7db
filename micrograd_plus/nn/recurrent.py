"""Recurrent networks, which read a sequence step by step and update a state: RNN, LSTM and GRU.

A cell computes the next state from the previous state and one row of numbers. `RNN`, `LSTM` and
`GRU` run a whole sequence through layers of cells. A cell uses the same weights at every step, so
the gradients of all steps are added: backpropagation through time is the chain rule over a long
graph.

>>> import random
>>> lstm = LSTM(1, 2, generator=random.Random(0))
>>> output, (h_n, c_n) = lstm([[0.5], [-1.0], [2.0]])  # three steps, of one number each
>>> len(output), output[-1] == h_n[-1]
(3, True)
>>> h_n[-1][0].backward()
>>> lstm
LSTM(input_size=1, hidden_size=2)  40 parameters

Names, shapes, formulas and the order of the gates are PyTorch's, with `batch_first=True`, so the
state of a `torch.nn.LSTM` can be loaded. The sequences of a batch may have different lengths.

A training step of an LSTM of width 8 on 20 sequences of length 30 takes half a second in eager
mode. `mp.fit` and `mp.compile` are a thousand times faster, with one program for each length.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from ..context import scope
from ..engine import Constant, Value, apply
from ..ops import TABLE
from ..recordable import stamped
from ..support.checks import whole_number
from ..support.nested import is_nested, plain
from ..support.words import in_short
from .init import GLOBAL, generator_or, pytorch_default
from .linear import weighted_sums
from .module import Module, misfit, row_of_values, values_of, where

Row = list[Value]


class _Cell(Module):
    """One step through time, from state to state; a subclass defines it in `step`.

    weight_ih, for the input, and weight_hh, for the hidden state, are lists of rows of Values:
    `hidden_size` rows for the first gate, then for the next. bias_ih and bias_hh are lists of
    Values, or None. The initial numbers lie between ±1/√hidden_size.
    """

    gates: ClassVar[Mapping[str, str]] = {"h": ""}  # the letter and the name of each
    parts = 1  # of a state: h, or h and c

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        generator: random.Random | None = None,
    ) -> None:
        self.input_size = input_size = whole_number("input_size", input_size)
        self.hidden_size = hidden_size = whole_number("hidden_size", hidden_size)
        draw = generator_or(GLOBAL, generator)
        rows = len(self.gates) * hidden_size

        def start(width: int) -> Row:
            return [Value(pytorch_default(hidden_size, 1, draw)) for _ in range(width)]

        self.weight_ih = [start(input_size) for _ in range(rows)]
        self.weight_hh = [start(hidden_size) for _ in range(rows)]
        self.bias_ih = start(rows) if bias else None
        self.bias_hh = start(rows) if bias else None

    @property
    def stacked(self) -> Mapping[str, Mapping[str, str]]:
        """The gates, one above the other in each matrix."""
        return {name: self.gates for name, _ in self.named_members()}

    def step(self, x: Row, *state: Row) -> Sequence[Row]:
        """Returns the state after the input x, given the state before it."""
        raise NotImplementedError

    def forward(self, x: Any, hx: Any = None) -> Any:
        """Returns the state after the input x, given the state hx before it, by default zeros.

        x has `input_size` numbers, and each part of a state has `hidden_size`; for a batch, they
        are lists of such rows.
        """
        x = plain(x)
        if not is_nested(x):
            state = _state(self.parts, hx, (self.hidden_size,))
            return _packed(self.step(row_of_values(x, self.input_size), *state))
        state = _state(self.parts, hx, (len(x), self.hidden_size))
        rows = [row_of_values(plain(row), self.input_size) for row in x]
        return _packed([list(part) for part in zip(*map(self.step, rows, *state))])

    def gate(self, index: int, activation: str, x: Row, h: Row) -> Row:
        """Returns activation(W_ih · x + b_ih + W_hh · h + b_hh) with the rows of one gate."""
        return _gate(*self.rows(index), activation, x, h)

    def rows(self, index: int) -> tuple[list[Row], list[Row], Row, Row]:
        """Returns the rows of weight_ih, weight_hh, bias_ih and bias_hh for one gate."""
        own = slice(index * self.hidden_size, (index + 1) * self.hidden_size)
        biases = (self.bias_ih or [])[own], (self.bias_hh or [])[own]
        return self.weight_ih[own], self.weight_hh[own], *biases

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        return sizes if self.bias_ih else {**sizes, "bias": False}


class RNNCell(_Cell):
    """h' = tanh(W_ih · x + b_ih + W_hh · h + b_hh), or with relu (Elman 1990).

    >>> cell = RNNCell(1, 2, generator=random.Random(0))
    >>> h = cell([0.5])
    >>> h = cell([-1.0], h)
    >>> len(h), len(cell.parameters())
    (2, 10)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        generator: random.Random | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', not {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, generator=generator)
        self.nonlinearity = nonlinearity

    def step(self, x: Row, *state: Row) -> Sequence[Row]:
        """The hidden state, as the only part."""
        (h,) = state
        return [self.gate(0, self.nonlinearity, x, h)]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().config(), "nonlinearity": self.nonlinearity}


@stamped(fixed=4)
def _gate(
    w_ih: list[Row], w_hh: list[Row], b_ih: Row, b_hh: Row, activation: str, x: Row, h: Row
) -> Row:
    weight = [[*a, *b] for a, b in zip(w_ih, w_hh)]
    bias = [a + b for a, b in zip(b_ih, b_hh)]  # compiled code computes it once for all steps
    return [apply(TABLE[activation], s) for s in weighted_sums(weight, bias, [*x, *h])]


class LSTMCell(_Cell):
    """A cell with two states: the output h and the memory c (Hochreiter & Schmidhuber 1997).

    c' = f · c + i · g and h' = o · tanh(c'). The forget gate f, the input gate i and the output
    gate o are sigmoids of weighted sums of x and h; the candidate g is a tanh of such a sum. The
    rows of the weights are those of i, f, g and o, in this order.

    `draw(h[0], fold="forget gate")` shows every gate as one box.

    >>> cell = LSTMCell(1, 2, generator=random.Random(0))
    >>> h, c = cell([0.5])
    >>> h, c = cell([-1.0], (h, c))
    >>> len(h), len(c), len(cell.parameters())
    (2, 2, 40)
    """

    gates: ClassVar = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}
    parts = 2

    def step(self, x: Row, *state: Row) -> Sequence[Row]:
        """h and c."""
        h, c = state
        with scope("input gate"):
            i = self.gate(0, "sigmoid", x, h)
        with scope("forget gate"):
            f = self.gate(1, "sigmoid", x, h)
        with scope("candidate"):
            g = self.gate(2, "tanh", x, h)
        with scope("output gate"):
            o = self.gate(3, "sigmoid", x, h)
        return _updated(i, f, g, o, c)


@stamped(fixed=0)
def _updated(i: Row, f: Row, g: Row, o: Row, c: Row) -> tuple[Row, Row]:
    """h and c of an LSTM, from its gates and the c before."""
    c = [f * c + i * g for i, f, g, c in zip(i, f, g, c)]
    return [o * c.tanh() for o, c in zip(o, c)], c


class GRUCell(_Cell):
    """h' = (1 - z) · n + z · h, a weighted mean of new and old (Cho et al. 2014).

    The reset gate r and the update gate z are sigmoids of weighted sums of x and h, and the
    candidate n = tanh(W_in · x + b_in + r · (W_hn · h + b_hn)). The rows of the weights are
    those of r, z and n, in this order.

    >>> cell = GRUCell(1, 2, generator=random.Random(0))
    >>> h = cell([0.5])
    >>> h = cell([-1.0], h)
    >>> len(h), len(cell.parameters())
    (2, 30)
    """

    gates: ClassVar = {"r": "reset gate", "z": "update gate", "n": "candidate"}

    def step(self, x: Row, *state: Row) -> Sequence[Row]:
        """The hidden state, as the only part."""
        (h,) = state
        with scope("reset gate"):
            r = self.gate(0, "sigmoid", x, h)
        with scope("update gate"):
            z = self.gate(1, "sigmoid", x, h)
        with scope("candidate"):
            w_in, w_hn, b_in, b_hn = self.rows(2)
            seen, kept = weighted_sums(w_in, b_in, x), weighted_sums(w_hn, b_hn, h)
            n = [(s + r * k).tanh() for r, s, k in zip(r, seen, kept)]
        return [[(1 - z) * n + z * h for z, n, h in zip(z, n, h)]]


class _Layers(Module):
    """Runs a sequence through layers of cells; the input of a layer is the output of the previous.

    The weights have the names of the cells' weights, with _l0, _l1, … at the end.
    """

    cell: type[_Cell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        *,
        generator: random.Random | None = None,
        **options: Any,
    ) -> None:
        num_layers = whole_number("num_layers", num_layers)
        self.cells = [
            self.cell(size, hidden_size, bias, generator=generator, **options)
            for size in [input_size, *[hidden_size] * (num_layers - 1)]
        ]

    def named_members(self) -> Iterator[tuple[str, Any]]:
        """Yields the weights; the names in layer k end with _lk, as in PyTorch."""
        for k, cell in enumerate(self.cells):
            for name, member in cell.named_members():
                yield f"{name}_l{k}", member

    @property
    def stacked(self) -> Mapping[str, Mapping[str, str]]:
        """The gates, one above the other in each matrix."""
        return {name: self.cell.gates for name, _ in self.named_members()}

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        """Returns the last layer's hidden states at every step, and the last state of all layers.

        x: a sequence of any length, which is a list of rows of `input_size` numbers; or a batch of
            sequences.
        hx: the initial state, by default zeros.

        Each part of a state has a row of `hidden_size` numbers for each layer, or a list of rows
        for a batch. h_n[-1] is the state of the last layer after the whole sequence.
        """
        x = plain(x)
        first, layers = self.cells[0], len(self.cells)
        if not (is_nested(x) and is_nested(plain(x[0]))):
            start = _state(first.parts, hx, (layers, first.hidden_size))
            output, last = self._read(_sequence(x, first.input_size), start)
            return output, _packed(last)
        start = _state(first.parts, hx, (layers, len(x), first.hidden_size))
        batch = [_sequence(sequence, first.input_size) for sequence in x]
        each = [self._read(*one) for one in zip(batch, zip(*map(_turned, start)))]
        outputs, lasts = zip(*each)
        return list(outputs), _packed([_turned(part) for part in zip(*lasts)])

    def _read(self, sequence: list[Row], start: Sequence[Sequence[Row]]) -> tuple[list[Row], Any]:
        """Runs one sequence through all layers; each part of a state has a row for each layer."""
        last = []
        for cell, *state in zip(self.cells, *start):
            output = []
            for x in sequence:
                with scope(cell):
                    state = cell.step(x, *state)
                output.append(state[0])
            sequence = output
            last.append(state)
        return sequence, _turned(last)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        layers = {"num_layers": len(self.cells)} if len(self.cells) > 1 else {}
        return {**self.cells[0].config(), **layers}


class RNN(_Layers):
    """Layers of `RNNCell`; returns (output, h_n).

    >>> rnn = RNN(1, 2, generator=random.Random(0))
    >>> output, h_n = rnn([[0.5], [-1.0], [2.0]])
    >>> len(output), output[-1] == h_n[-1]
    (3, True)
    """

    cell = RNNCell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        *,
        generator: random.Random | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            generator=generator,
            nonlinearity=nonlinearity,
        )


class LSTM(_Layers):
    """Layers of `LSTMCell`; returns (output, (h_n, c_n)), and takes a pair (h_0, c_0).

    >>> lstm = LSTM(1, 2, generator=random.Random(0))
    >>> output, (h_n, c_n) = lstm([[0.5], [-1.0], [2.0]])
    >>> len(output), output[-1] == h_n[-1]
    (3, True)
    """

    cell = LSTMCell


class GRU(_Layers):
    """Layers of `GRUCell`; returns (output, h_n).

    >>> gru = GRU(1, 2, num_layers=2, generator=random.Random(0))
    >>> output, h_n = gru([[0.5], [-1.0], [2.0]])
    >>> len(output), len(h_n), output[-1] == h_n[-1]
    (3, 2, True)
    """

    cell = GRUCell


# ---- inputs and states


def _sequence(x: Any, width: int) -> list[Row]:
    """Returns a sequence as rows of Values; ValueError if one does not have `width` numbers."""
    x = plain(x)
    if not is_nested(x):
        raise ValueError(
            f"{where()} takes a sequence of at least one step, a list of rows of {width} numbers, "
            f"or a batch of such lists, not {in_short(x)}"
        )
    return [row_of_values(plain(row), width, "step") for row in x]


def _state(parts: int, hx: Any, size: tuple[int, ...]) -> list[Any]:
    """Returns each part of the state hx as nested lists of Values of this size; or zeros."""
    zeros = _zeros(size)
    if hx is None:
        return [zeros] * parts
    if parts > 1 and not (isinstance(hx, (list, tuple)) and len(hx) == parts):
        raise TypeError(f"{where()} takes its state as a pair (h, c), not {in_short(hx)}")
    given = hx if parts > 1 else [hx]
    for part in given:
        if problem := misfit(part, zeros):
            raise ValueError(f"{where()} was given a state that {problem}")
    return [values_of(part) for part in given]


def _zeros(size: tuple[int, ...]) -> Any:
    return [_zeros(size[1:]) for _ in range(size[0])] if size else Constant(0.0)


def _packed(state: Sequence[Any]) -> Any:
    """Returns a state as PyTorch does: h alone, or (h, c)."""
    return state[0] if len(state) == 1 else tuple(state)


def _turned(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turns rows into columns."""
    return [list(column) for column in zip(*rows)]
