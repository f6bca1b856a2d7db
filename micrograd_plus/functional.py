"""Every op of the table as a function, and the functions that are made of them.

>>> from micrograd_plus.functional import dot, softmax, tanh
>>> print(f"{tanh(0.5):.4f}")
0.4621
>>> print(f"{dot([1, 2, 3], [4, 5, 6]):g}")
32
>>> [f"{p:.4f}" for p in softmax([1.0, 2.0, 3.0])]
['0.0900', '0.2447', '0.6652']

An op of a fixed number of operands takes Values or numbers: `tanh(x)`, `maximum(a, b)`,
`leaky_relu(x, slope=0.2)`. An op of vectors takes one sequence for each: `sum(x)`, `dot(w, x)`.
An op that is added to the table is a function here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from .engine import Operand, Value, apply, as_value, engine_in_use
from .ops import TABLE, Op

Vector = Iterable[Operand]


def __getattr__(name: str) -> Callable[..., Value]:
    if name not in TABLE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return function_of(TABLE[name])


def __dir__() -> list[str]:
    return [*globals(), *TABLE]


@cache
def function_of(op: Op) -> Callable[..., Value]:
    """`op` as a function of Values and numbers."""

    def function(*operands: Operand, **named: Operand) -> Value:
        if is_unary and len(operands) == 1 and not named and isinstance(operands[0], Value):
            return engine_in_use().node(op, operands)  # type: ignore[arg-type]  # as below, faster
        return apply(op, *operands, **named)

    is_unary = len(op.operands) == 1

    def function_of_vectors(*vectors: Vector) -> Value:
        rows = [_row(op.name, vector) for vector in vectors]
        if len(rows) != len(op.operands):
            raise TypeError(f"{op.name} takes {len(op.operands)} sequences, not {len(rows)}")
        lengths = [len(row) for row in rows]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"{op.name} takes sequences of equal length, and was given "
                f"{' and '.join(map(str, lengths))} numbers"
            )
        return apply(op, *[value for row in rows for value in row])

    made = function_of_vectors if op.nary else function
    made.__name__ = made.__qualname__ = op.name
    made.__doc__ = f"{op.signature}: {op.doc}.\n\n{_example(op)}"
    return made


def _example(op: Op) -> str:
    """A call of `op`, its result, and the derivative by its first operand, as a doctest."""
    rows = [[0.5 + i, 2.5 + i] if op.nary else [0.5 + i] for i in range(len(op.operands))]
    numbers = [number for row in rows for number in row]
    values = [", ".join(f"Value({number})" for number in row) for row in rows]
    out = op.forward(*numbers)
    slope = op.partials(out, *numbers)[0] + 0.0  # no minus before a 0
    names = ", ".join(op.operands)
    first = op.operands[0] + "[0]" * op.nary
    return f""">>> import micrograd_plus as mp
>>> from micrograd_plus import Value
>>> {names} = {", ".join(f"[{row}]" if op.nary else row for row in values)}
>>> out = mp.{op.name}({names})
>>> out.backward()
>>> print(f"{{out:.4f}}, derivative by {first}: {{{first}.grad:.4f}}")
{out:.4f}, derivative by {first}: {slope:.4f}"""


def _call(op: Op, *operands: Operand | Vector, **named: Operand) -> Value:
    """The result of `op` for Values and numbers, as `swish(v)` for a new op."""
    return function_of(op)(*operands, **named)


Op.__call__ = _call  # type: ignore[method-assign, assignment]


def _row(function: str, vector: Vector) -> Sequence[Operand]:
    try:
        row = vector if isinstance(vector, (list, tuple)) else list(vector)
    except TypeError:
        raise TypeError(
            f"{function} takes a sequence of Values or numbers, not the single {vector!r}"
        ) from None
    if not row:
        raise ValueError(f"{function} takes at least one value, and was given none")
    return row


_sum, _logsumexp = function_of(TABLE["sum"]), function_of(TABLE["logsumexp"])


def where(condition: Operand | bool, a: Operand, b: Operand) -> Value:
    """where(condition, a, b): a where the condition is not 0, else b.

    A bool, Python's or NumPy's, chooses at once: the result is a or b itself, as a Value. In a
    compiled program both are computed, and so are their gradients, as in PyTorch: an infinite
    derivative of what was not chosen gives 0 * inf = nan.

    >>> x = Value(-2.0)
    >>> where(x < 0, -x, x)
    Value(data=2.0, grad=0.0)
    """
    if type(condition).__name__ in ("bool", "bool_"):
        return as_value(a if condition else b)
    return apply(TABLE["where"], condition, a, b)


def mean(values: Vector) -> Value:
    """The arithmetic mean.

    >>> mean([1.0, 2.0, 6.0])
    Value(data=3.0, grad=0.0)
    """
    values = _row("mean", values)
    return _sum(values) / len(values)


def var(values: Vector, correction: int = 1) -> Value:
    """The variance: squared distances from the mean, summed and divided by n - correction.

    >>> var([1.0, 2.0, 6.0])
    Value(data=7.0, grad=0.0)
    """
    values = _row("var", values)
    if len(values) <= correction:
        raise ValueError(f"var of {len(values)} values with correction={correction} is 0 / 0")
    centre = mean(values)
    return _sum([(value - centre) ** 2 for value in values]) / (len(values) - correction)


def log_softmax(values: Vector) -> list[Value]:
    """log(softmax(values)), exact where softmax itself rounds to 0.

    >>> [f"{value:.4f}" for value in log_softmax([1.0, 1.0])]
    ['-0.6931', '-0.6931']
    """
    return _log_softmax(_row("log_softmax", values))


def softmax(values: Vector) -> list[Value]:
    """exp(x) / (sum of all exp(x)) for each x: positive numbers that add up to 1.

    >>> [f"{value:.3f}" for value in softmax([0.0, 1.0, 3.0])]
    ['0.042', '0.114', '0.844']
    """
    return [value.exp() for value in _log_softmax(_row("softmax", values))]


def _log_softmax(row: Sequence[Operand]) -> list[Value]:
    values = list(map(as_value, row))
    normaliser = _logsumexp(values)
    return [value - normaliser for value in values]
