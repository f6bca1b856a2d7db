"""The exercises of notebook 11, attention and a GPT."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from ...functional import dot, softmax
from .exercise import Behaviour, Choice, Exercise, Number

Row = Sequence[Any]
Rows = Sequence[Row]


def _row(generator: random.Random, size: int) -> list[float]:
    return [round(generator.uniform(-2, 2), 1) for _ in range(size)]


def _rows(generator: random.Random, count: int, size: int) -> list[list[float]]:
    return [_row(generator, size) for _ in range(count)]


# ---- attention


def attend(
    query: Row,
    keys: Rows,
    values: Rows,
    scale: Callable[[int], float] = math.sqrt,
    weigh: Callable[[list[Any]], list[Any]] = softmax,
) -> list[Any]:
    """The mean of the values, weighted by how well the query fits the keys."""
    weights = weigh([dot(query, key) / scale(len(query)) for key in keys])
    return [dot(weights, column) for column in zip(*values)]


def _hard(fits: list[Any]) -> list[Any]:
    best = max(fit.data for fit in fits)
    return [float(fit.data == best) for fit in fits]


def _query_keys_values(generator: random.Random) -> tuple[Any, ...]:
    count, size = generator.choice((3, 4)), generator.choice((2, 3))
    return _row(generator, size), _rows(generator, count, size), _rows(generator, count, size)


# ---- the causal mask


def mask(n: int) -> list[list[bool]]:
    """Whether token i, a row, may use token k, a column."""
    return [[k <= i for k in range(n)] for i in range(n)]


# ---- the loss of a text


def loss(probabilities: Sequence[float]) -> float:
    """The mean surprise."""
    return sum(-math.log(p) for p in probabilities) / len(probabilities)


def _text(generator: random.Random) -> tuple[Any, ...]:
    return ([round(generator.uniform(0.02, 0.9), 2) for _ in range(generator.choice((3, 4)))],)


# ---- temperature


def probabilities(scores: Row, temperature: float) -> list[Any]:
    """The probabilities of all tokens."""
    return softmax([score / temperature for score in scores])


def _scores(generator: random.Random) -> tuple[Any, ...]:
    return _row(generator, 3), generator.choice((0.25, 0.5, 2.0, 4.0))


# ---- a head


def _projected(rows: Rows, weights: Rows) -> list[list[Any]]:
    return [[dot(w, row) for w in weights] for row in rows]


def head(
    rows: Rows,
    w_query: Rows,
    w_key: Rows,
    w_value: Rows,
    *,
    sees: Callable[[int, int], bool] = lambda i, k: k <= i,
    scale: Callable[[int], float] = math.sqrt,
    project: Callable[[Rows, Rows], list[list[Any]]] = _projected,
) -> list[list[Any]]:
    """The answer of each token, which attends to itself and the tokens before it."""
    queries, keys, values = (project(rows, weights) for weights in (w_query, w_key, w_value))
    answers = []
    for i, query in enumerate(queries):
        seen = [k for k in range(len(rows)) if sees(i, k)]
        answers.append(
            attend(query, [keys[k] for k in seen], [values[k] for k in seen], scale=scale)
        )
    return answers


def _masked(rows: Rows, w_query: Rows, w_key: Rows, w_value: Rows, *, late: bool) -> Any:
    """A head that masks with zeros: the weights after the softmax, or the fits before it."""
    queries, keys, values = (_projected(rows, weights) for weights in (w_query, w_key, w_value))
    answers = []
    for i, query in enumerate(queries):
        fits = [dot(query, key) / math.sqrt(len(query)) for key in keys]
        weights: Row = softmax([fit if late or k <= i else 0.0 for k, fit in enumerate(fits)])
        weights = [weight if not late or k <= i else 0.0 for k, weight in enumerate(weights)]
        answers.append([dot(weights, column) for column in zip(*values)])
    return answers


def _identity(size: int) -> list[list[float]]:
    return [[float(i == k) for k in range(size)] for i in range(size)]


def _rows_and_weights(generator: random.Random) -> tuple[Any, ...]:
    return (
        _rows(generator, generator.choice((3, 4)), 2),
        *(_rows(generator, 2, 2) for _ in range(3)),
    )


EXERCISES = (
    Exercise(
        "11.1",
        "A weight by hand",
        1,
        Number(
            lambda: softmax([0.0, math.log(3)])[1].data,
            (
                (0.25, "This is the weight of the first key."),
                (1.0, "Softmax takes the exponential of the fits first, also of the 0."),
                (
                    1 / 3,
                    "This is one weight divided by the other. Which part of both is the second?",
                ),
                (3.0, "This is the exponential of the fit. The weights must add up to 1."),
                (math.log(3), "This is the fit itself. A weight comes from softmax."),
                (0.5, "The weights are equal only if the fits are equal."),
            ),
        ),
    ),
    Exercise(
        "11.2",
        "Your own attention",
        2,
        Behaviour(
            attend,
            _query_keys_values,
            (
                (
                    lambda query, keys, values: attend(query, keys, values, scale=lambda d: 1.0),
                    "The fits are too large: by what are the dot products divided?",
                ),
                (
                    lambda query, keys, values: attend(query, keys, values, scale=float),
                    "You divide by d. The formula has a root.",
                ),
                (
                    lambda query, keys, values: attend(query, keys, values, weigh=_hard),
                    "You take the value of the best key alone. All values count, each with its "
                    "weight.",
                ),
                (
                    lambda query, keys, values: attend(query, keys, values, weigh=list),
                    "Your weights do not add up to 1: what turns fits into weights?",
                ),
                (
                    lambda query, keys, values: [
                        dot(softmax([dot(query, key) / math.sqrt(len(query)) for key in keys]), row)
                        for row in values
                    ],
                    "A row of values has no place for all weights. Each number of the answer is a "
                    "mean down one column, with one weight for each row.",
                ),
                (
                    lambda query, keys, values: attend(query, keys, values, scale=lambda d: 2**0.5),
                    "You always divide by the root of 2. How many numbers has a key here?",
                ),
                (
                    lambda query, keys, values: attend(
                        query, keys, values, scale=lambda d: math.sqrt(len(keys))
                    ),
                    "You divide by the root of the number of keys. d is the length of one key.",
                ),
                (
                    lambda query, keys, values: [
                        number / math.sqrt(len(query))
                        for number in attend(query, keys, values, scale=lambda d: 1.0)
                    ],
                    "You divide after the softmax, so the weights no longer add up to 1.",
                ),
                (
                    lambda query, keys, values: attend(query, values, keys),
                    "Keys and values are exchanged: which ones does the query look at?",
                ),
                (
                    lambda query, keys, values: softmax(
                        [dot(query, key) / math.sqrt(len(query)) for key in keys]
                    ),
                    "These are the attention weights. The answer is the mean of the values.",
                ),
                (
                    lambda query, keys, values: [
                        dot([1 / len(keys)] * len(keys), column) for column in zip(*values)
                    ],
                    "Every value has the same weight in your answer. The query decides.",
                ),
            ),
        ),
    ),
    Exercise(
        "11.3",
        "The causal mask",
        1,
        Behaviour(
            mask,
            lambda generator: (generator.randint(3, 5),),
            (
                (
                    lambda n: [[k < i for k in range(n)] for i in range(n)],
                    "Your first token may use nothing at all. May a token use itself?",
                ),
                (
                    lambda n: [[k >= i for k in range(n)] for i in range(n)],
                    "Your tokens look into the future: the row is the token that looks.",
                ),
                (
                    lambda n: [[k > i for k in range(n)] for i in range(n)],
                    "You mark what is hidden. True means that a token may be used.",
                ),
                (
                    lambda n: [[True] * n for _ in range(n)],
                    "Here every token may use every other one.",
                ),
                (
                    lambda n: _identity(n),
                    "Here every token may use only itself. What is before it is allowed too.",
                ),
            ),
        ),
    ),
    Exercise(
        "11.4",
        "The loss of a text",
        2,
        Behaviour(
            loss,
            _text,
            (
                (
                    lambda probabilities: sum(-math.log(p) for p in probabilities),
                    "This is the sum. A long text must not have a larger loss only because it is "
                    "long.",
                ),
                (
                    lambda probabilities: (
                        sum(math.log(p) for p in probabilities) / len(probabilities)
                    ),
                    "A logarithm of a probability is below 0. A surprise is not.",
                ),
                (
                    lambda probabilities: -math.log(sum(probabilities) / len(probabilities)),
                    "You take the mean first and then the logarithm. It is the other way round.",
                ),
                (
                    lambda probabilities: (
                        sum(-math.log2(p) for p in probabilities) / len(probabilities)
                    ),
                    "This is the loss in bits: a logarithm with base 2.",
                ),
                (
                    lambda probabilities: (
                        sum(-math.log10(p) for p in probabilities) / len(probabilities)
                    ),
                    "This is a logarithm with base 10. math.log is the natural one.",
                ),
                (
                    lambda probabilities: math.exp(loss(probabilities)),
                    "This is e to the power of the loss. The loss itself is asked for.",
                ),
                (
                    lambda probabilities: (
                        sum(-p * math.log(p) for p in probabilities) / len(probabilities)
                    ),
                    "You weight each surprise with its probability. In a mean all count the same.",
                ),
                (
                    lambda probabilities: sum(1 - p for p in probabilities) / len(probabilities),
                    "The surprise grows without limit when a probability goes to 0. Yours ends "
                    "at 1.",
                ),
            ),
        ),
    ),
    Exercise(
        "11.5",
        "Temperature",
        2,
        Behaviour(
            probabilities,
            _scores,
            (
                (
                    lambda scores, temperature: probabilities(scores, 1 / temperature),
                    "With your function a high temperature makes likely tokens more likely. It is "
                    "the other way round.",
                ),
                (
                    lambda scores, temperature: softmax(scores),
                    "The temperature changes nothing in your function.",
                ),
                (
                    lambda scores, temperature: [p / temperature for p in softmax(scores)],
                    "You divide the probabilities, so they no longer add up to 1. What is divided "
                    "instead?",
                ),
                (
                    lambda scores, temperature: [math.exp(s / temperature) for s in scores],
                    "The exponentials are right. Probabilities add up to 1.",
                ),
                (
                    lambda scores, temperature: [score / temperature for score in scores],
                    "These are the divided scores. What turns scores into probabilities?",
                ),
            ),
        ),
    ),
    Exercise(
        "11.6",
        "A causal attention head",
        3,
        Behaviour(
            head,
            _rows_and_weights,
            (
                (
                    lambda *arguments: head(*arguments, sees=lambda i, k: True),
                    "Your first token uses tokens that come after it.",
                ),
                (
                    lambda *arguments: head(*arguments, sees=lambda i, k: k == i),
                    "Each of your tokens attends only to itself.",
                ),
                (
                    lambda *arguments: head(*arguments, sees=lambda i, k: k < i),
                    "Your first token may use nothing, and softmax of nothing is an error. May a "
                    "token use itself?",
                ),
                (
                    lambda *arguments: head(*arguments, sees=lambda i, k: k >= i),
                    "Your tokens use themselves and the tokens after them.",
                ),
                (
                    lambda *arguments: _masked(*arguments, late=False),
                    "You set the fits of later tokens to 0. The exponential of 0 is 1, so they "
                    "still get a weight.",
                ),
                (
                    lambda *arguments: _masked(*arguments, late=True),
                    "You remove later tokens after the softmax, so the weights that are left do "
                    "not add up to 1.",
                ),
                (
                    lambda *arguments: head(
                        *arguments, project=lambda rows, _: [list(row) for row in rows]
                    ),
                    "The three matrices are not used: first make queries, keys and values.",
                ),
                (
                    lambda *arguments: head(*arguments, scale=lambda d: 1.0),
                    "The fits are too large: by what are the dot products divided?",
                ),
                (
                    lambda rows, w_query, w_key, w_value: head(rows, w_query, w_query, w_value),
                    "Queries and keys are made with the same weights. w_key is not used.",
                ),
                (
                    lambda rows, w_query, w_key, w_value: head(
                        rows, w_query, w_key, _identity(len(rows[0]))
                    ),
                    "The values are the rows themselves. w_value is not used.",
                ),
                (
                    lambda rows, w_query, w_key, w_value: head(rows, w_key, w_query, w_value),
                    "Queries and keys are exchanged: the token that looks has the query.",
                ),
                (
                    lambda rows, *weights: head(
                        rows, *[[list(column) for column in zip(*matrix)] for matrix in weights]
                    ),
                    "You use the columns of the matrices. Each number of a query is the dot "
                    "product with one of their rows.",
                ),
            ),
        ),
    ),
    Exercise(
        "11.q1",
        "The sum of the weights",
        1,
        Choice(
            "b",
            {
                "a": "Each weight is below 1; together they are one whole.",
                "b": "Softmax divides by the sum, so the answer is a mean.",
                "c": "The fits decide how the weights are shared out, not their sum.",
                "d": "The values are used only after the weights are there.",
            },
        ),
    ),
    Exercise(
        "11.q2",
        "Why a causal mask",
        1,
        Choice(
            "b",
            {
                "a": "The mask saves some work, but this is not its reason.",
                "b": "It would copy the next token, and learn nothing for writing.",
                "c": "Softmax makes the sum 1, with or without a mask.",
                "d": "The order comes from the positions that are added.",
            },
        ),
    ),
    Exercise(
        "11.q3",
        "The gradient of a fit",
        1,
        Choice(
            "c",
            {
                "a": "This is the derivative with respect to the value of the token.",
                "b": "If the fit grows, the other weights shrink: the answer loses their part.",
                "c": "The weight times how far the value lies above the answer.",
                "d": "The value lies above the answer, so a better fit makes the answer larger.",
            },
        ),
    ),
    Exercise(
        "11.q4",
        "The loss of a guess",
        1,
        Choice(
            "c",
            {
                "a": "A loss of 0 needs a probability of 1 for each right token.",
                "b": "This is the probability. The loss is minus its logarithm.",
                "c": "-ln(1/10) = ln 10 at every place.",
                "d": "This is the number of tokens. The loss is a logarithm.",
            },
        ),
    ),
)
