"""The exercises of notebook 10, recurrence and memory."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from ...engine import Value
from .exercise import Behaviour, Choice, Exercise, Number


def _signed(generator: random.Random) -> float:
    return round(generator.uniform(0.3, 1.2) * generator.choice((-1, 1)), 2)


# ---- a recurrent network


def last_state(xs: Sequence[float], w: float, u: float) -> float:
    """The state after the last step."""
    return _states(xs, w, u)[-1]


def _next(x: float, h: float, w: float, u: float) -> float:
    return math.tanh(w * x + u * h)


def _states(
    xs: Sequence[float],
    w: float,
    u: float,
    step: Callable[..., float] = _next,
    start: float = 0.0,
) -> list[float]:
    """The state before the first step, and after each; wrong answers change a part."""
    states = [start]
    for x in xs:
        states.append(step(x, states[-1], w, u))
    return states


def _linear_state(xs: Sequence[float], w: float, u: float) -> float:
    h = 0.0
    for x in xs:
        h = w * x + u * h
    return h


def _sequence(generator: random.Random) -> tuple[Any, ...]:
    xs = [_signed(generator) for _ in range(generator.choice((3, 4)))]
    return xs, _signed(generator), _signed(generator)


# ---- how soon it is forgotten


def steps_until(factor: float, share: float) -> int:
    """The smallest number of steps after which less than a share is left."""
    steps, left = 0, 1.0
    while left >= share:
        left *= factor
        steps += 1
    return steps


def _factor_and_share(generator: random.Random) -> tuple[Any, ...]:
    if generator.random() < 0.3:  # after two steps exactly the share is left, which is not less
        return 0.5, 0.25
    return round(generator.uniform(0.6, 0.95), 3), generator.choice((0.3, 0.1, 0.01))


# ---- an LSTM


def gate(x: Value, h: Value, w: Value, u: Value, b: Value) -> Value:
    """A neuron with a sigmoid, which looks at the input and at the state."""
    return (w * x + u * h + b).sigmoid()


def cell(f: Value, i: Value, g: Value, o: Value, c: Value) -> tuple[Value, Value]:
    """The new state and the new memory."""
    c = f * c + i * g
    return o * c.tanh(), c


def _five_values(generator: random.Random) -> tuple[Any, ...]:
    return tuple(Value(_signed(generator)) for _ in range(5))


def _gates_and_memory(generator: random.Random) -> tuple[Any, ...]:
    f, i, o = (Value(round(generator.uniform(0.1, 0.9), 2)) for _ in range(3))
    return f, i, Value(_signed(generator)), o, Value(_signed(generator))


# ---- backpropagation through time


def slope_of_u(
    xs: Sequence[float],
    w: float,
    u: float,
    through_tanh: Callable[[float, float], float] = lambda before, after: 1 - after**2,
    back: Callable[[float, float], float] = lambda w, u: u,
    join: Callable[[float, float], float] = lambda before, new: before + new,
    factor: Callable[[float, float, float], float] = lambda x, before, after: before,
    order: Callable[[range], Any] = reversed,
) -> float:
    """The derivative of the last state with respect to u; wrong answers change a part.

    before, after: the state before a step, and the one after it. x: the input of the step.
    """
    states = _states(xs, w, u)
    gradient, slope = 1.0, 0.0
    for t in order(range(len(xs))):
        gradient *= through_tanh(states[t], states[t + 1])
        slope = join(slope, gradient * factor(xs[t], states[t], states[t + 1]))
        gradient *= back(w, u)
    return slope


EXERCISES = (
    Exercise(
        "10.1",
        "Your own recurrent network",
        2,
        Behaviour(
            last_state,
            _sequence,
            (
                (
                    lambda xs, w, u: math.tanh(w * xs[-1]),
                    "Only the last input counts in your result. Does the state of the step before "
                    "go into the next one?",
                ),
                (
                    _linear_state,
                    "The sums are right. What does a state pass before the next step uses it?",
                ),
                (
                    lambda xs, w, u: last_state(xs, u, w),
                    "One of the two weights belongs to the input, the other to the state: which?",
                ),
                (
                    lambda xs, w, u: math.tanh(_linear_state(xs, w, u)),
                    "You apply tanh once, at the end. It belongs into every step.",
                ),
                (
                    lambda xs, w, u: _states(xs, w, u, lambda x, h, w, u: math.tanh(w * x) + u * h)[
                        -1
                    ],
                    "Only the input passes the tanh in your step. Look at the brackets.",
                ),
                (
                    lambda xs, w, u: _states(
                        xs, w, u, lambda x, h, w, u: h + math.tanh(w * x + u * h)
                    )[-1],
                    "You add the new state to the old one. It replaces it: = instead of +=.",
                ),
                (
                    lambda xs, w, u: _states(
                        xs, w, u, lambda x, h, w, u: 1 / (1 + math.exp(-(w * x + u * h)))
                    )[-1],
                    "This is a network with sigmoid. Which function is in the formula?",
                ),
                (
                    lambda xs, w, u: _states(xs, w, u, start=1.0)[-1],
                    "Your state begins with 1. What is it before the first step?",
                ),
                (
                    lambda xs, w, u: _states(xs[1:], w, u, start=xs[0])[-1],
                    "Your state begins with the first input. It goes through the formula as well.",
                ),
                (
                    lambda xs, w, u: _states(xs[::-1], w, u)[-1],
                    "You read the numbers from the last to the first.",
                ),
                (
                    lambda xs, w, u: _states(xs, w, u)[1],
                    "This is the state after the first step. Is the return inside the loop?",
                ),
                (
                    lambda xs, w, u: _states(xs, w, u)[1:],
                    "These are all states. Which of them is asked for?",
                ),
            ),
        ),
    ),
    Exercise(
        "10.2",
        "The factor of one step",
        1,
        Number(
            0.8 * (1 - 0.5**2),
            (
                (0.8, "This is u. The gradient passes the tanh as well."),
                (0.75, "This is the slope of tanh. Which other factor is on the path?"),
                (0.4, "This is u times the state. The slope of tanh is not its result."),
                (0.3, "The state is a factor only on the way to u, not to the state before."),
                (
                    lambda: 0.8 * (1 - math.tanh(0.5) ** 2),
                    "0.5 is the new state: it has been through the tanh already.",
                ),
                (
                    0.8 * (1 - 0.8**2),
                    "Which number is squared in the slope of tanh: the weight or the new state?",
                ),
                (0.2, "Look at the formula of the slope once more: 1 minus the square."),
                (1.55, "Two factors that follow each other on a path are multiplied."),
            ),
        ),
    ),
    Exercise(
        "10.3",
        "How soon it is forgotten",
        1,
        Behaviour(
            steps_until,
            _factor_and_share,
            (
                (
                    lambda factor, share: steps_until(factor, share) - 1,
                    "After this number of steps there is still a little more than the share.",
                ),
                (
                    lambda factor, share: steps_until(factor, share) + 1,
                    "One step fewer is enough already: what is left before the first step?",
                ),
                (
                    lambda factor, share: math.ceil(math.log(share) / math.log(factor)),
                    "If exactly the share is left, it is not yet less than the share.",
                ),
                (
                    lambda factor, share: round(math.log(share) / math.log(factor)),
                    "Rounding to the nearest number is often one step too few.",
                ),
                (
                    lambda factor, share: math.log(factor) / math.log(share),
                    "This quotient is upside down. A small share takes many steps.",
                ),
                (
                    lambda factor, share: 0,
                    "Your function counts no step at all: does its loop begin, and does it count?",
                ),
                (
                    lambda factor, share: math.log(share) / math.log(factor),
                    "The quotient of the logarithms is right. But a step is whole.",
                ),
                (
                    lambda factor, share: math.ceil((1 - share) / (1 - factor)),
                    "You subtract the same amount at each step. The gradient is multiplied, so it "
                    "loses less and less.",
                ),
                (
                    lambda factor, share: steps_until(factor, 1 - share),
                    "This is when the share is lost. The question is when only the share is left.",
                ),
            ),
        ),
    ),
    Exercise(
        "10.4",
        "Your own gate",
        2,
        Behaviour(
            gate,
            _five_values,
            (
                (
                    lambda x, h, w, u, b: (w * x + u * h + b).tanh(),
                    "A gate lies between 0 and 1. Which function gives that?",
                ),
                (
                    lambda x, h, w, u, b: w * x + u * h + b,
                    "The sum is right. A gate must lie between 0 and 1.",
                ),
                (
                    lambda x, h, w, u, b: (w * x + u * h).sigmoid(),
                    "With x and h both 0 your gate is always one half: what is missing?",
                ),
                (
                    lambda x, h, w, u, b: (w * x + b).sigmoid(),
                    "Your gate does not look at the state.",
                ),
                (
                    lambda x, h, w, u, b: (w * x).sigmoid() + (u * h).sigmoid() + b,
                    "Add first, then one sigmoid over the whole sum.",
                ),
                (
                    lambda x, h, w, u, b: w * x + u * h + b.sigmoid(),
                    "Only b goes through the sigmoid. Put brackets around the sum.",
                ),
                (
                    lambda x, h, w, u, b: (w * h + u * x + b).sigmoid(),
                    "The two weights are exchanged: which one belongs to the input?",
                ),
            ),
        ),
    ),
    Exercise(
        "10.5",
        "Your own LSTM cell",
        2,
        Behaviour(
            cell,
            _gates_and_memory,
            (
                (
                    lambda f, i, g, o, c: cell(i, f, g, o, c),
                    "Two gates are exchanged: which one decides about the old memory?",
                ),
                (
                    lambda f, i, g, o, c: (o * (f * c + i * g), f * c + i * g),
                    "The memory is right. What does it pass before the output gate?",
                ),
                (
                    lambda f, i, g, o, c: (o * c.tanh(), f * c + i * g),
                    "The state is computed from the old memory. It needs the new one.",
                ),
                (
                    lambda f, i, g, o, c: cell(f, i, g, o, c)[::-1],
                    "Both are right, but in the other order.",
                ),
                (
                    lambda f, i, g, o, c: (
                        o * (f * c + i * g).tanh(),
                        (f * c + i * g).tanh(),
                    ),
                    "The memory passes through no tanh: this is why its gradient survives.",
                ),
                (
                    lambda f, i, g, o, c: cell(1 - f, i, g, o, c),
                    "The forget gate says how much is kept, not how much is lost.",
                ),
                (
                    lambda f, i, g, o, c: (cell(f, i, g, o, c)[0], c),
                    "The state is right, but you return the old memory.",
                ),
                (
                    lambda f, i, g, o, c: ((o * (f * c + i * g)).tanh(), f * c + i * g),
                    "Your tanh is around the product. Which part of it goes through tanh?",
                ),
                (
                    lambda f, i, g, o, c: cell(f.sigmoid(), i.sigmoid(), g, o.sigmoid(), c),
                    "The gates that you are given have been through the sigmoid already.",
                ),
                (
                    lambda f, i, g, o, c: cell(f, i, g.tanh(), o, c),
                    "The candidate that you are given has been through the tanh already.",
                ),
                (
                    lambda f, i, g, o, c: f * c + i * g,
                    "This is the new memory alone. Return the state too.",
                ),
                (
                    lambda f, i, g, o, c: (o * (f * c + g).tanh(), f * c + g),
                    "A gate decides how much of the candidate enters the memory: which one?",
                ),
                (
                    lambda f, i, g, o, c: cell(f, i, g, o, c)[0],
                    "This is the new state alone. Return the memory too.",
                ),
            ),
        ),
    ),
    Exercise(
        "10.6",
        "Backpropagation through time",
        3,
        Behaviour(
            slope_of_u,
            _sequence,
            (
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, back=lambda w, u: 0.0),
                    "Only the last step contributes. The gradient also flows to the state before, "
                    "and from there to u once more.",
                ),
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, through_tanh=lambda *_: 1.0),
                    "The gradient passes the tanh of each step: with which slope?",
                ),
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, back=lambda w, u: w),
                    "With which weight is the earlier state multiplied? This is the factor on the "
                    "way back.",
                ),
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, join=lambda before, new: new),
                    "Each step gives a contribution, and yours replaces the one before: = where "
                    "+= is needed?",
                ),
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, factor=lambda x, before, after: after),
                    "With which number is u multiplied at a step: with the state before it or the "
                    "one after it?",
                ),
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, factor=lambda x, before, after: x),
                    "This is the derivative with respect to w. With which number is u multiplied?",
                ),
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, order=iter),
                    "You go from the first step to the last. Where does the gradient begin?",
                ),
                (
                    lambda xs, w, u: slope_of_u(
                        xs, w, u, through_tanh=lambda before, after: 1 - before**2
                    ),
                    "The slope of tanh needs its result: the state after the step, not before it.",
                ),
                (
                    lambda xs, w, u: slope_of_u(
                        xs, w, u, through_tanh=lambda before, after: 1 - after
                    ),
                    "The slope of tanh is 1 minus the square of its result. Is the square there?",
                ),
                (
                    lambda xs, w, u: slope_of_u(xs, w, u, back=lambda w, u: 1.0),
                    "From a state to the one before it there is one more factor than the slope.",
                ),
            ),
        ),
    ),
    Exercise(
        "10.q1",
        "Paths through time",
        1,
        Choice(
            "c",
            {
                "a": "There is one u, but it is used once at each step.",
                "b": "Gradients only go backwards, and they meet u at every step.",
                "c": "At each step u is a factor, and each of these uses is one path.",
                "d": "The size of u changes how much arrives, not along how many paths.",
            },
        ),
    ),
    Exercise(
        "10.q2",
        "A large u",
        1,
        Choice(
            "b",
            {
                "a": "It would without the tanh. What is the slope of tanh near 1?",
                "b": "The slope 1 - h² is nearly 0 there, and 2 times nearly 0 is still small.",
                "c": "For that the product of both factors would have to be 1.",
                "d": "Both factors are positive.",
            },
        ),
    ),
    Exercise(
        "10.q3",
        "Gates that keep",
        1,
        Choice(
            "b",
            {
                "a": "A forget gate of 0 would do that: it says how much is kept.",
                "b": "c' = 1 · c + 0 · g.",
                "c": "For that the input gate would be 1 and the forget gate 0.",
                "d": "The output gate decides about the output.",
            },
        ),
    ),
    Exercise(
        "10.q4",
        "Why a memory remembers",
        1,
        Choice(
            "c",
            {
                "a": "Four times as many weights do not change the factor of a step.",
                "b": "The largest slope of sigmoid is 0.25, that of tanh is 1.",
                "c": "A product of thirty factors near 1 is not small.",
                "d": "It does: from memory to memory.",
            },
        ),
    ),
)
