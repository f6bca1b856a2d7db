"""The exercises of notebook 09, convolutions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from ...engine import Value
from .exercise import Behaviour, Choice, Exercise, Number

Row = Sequence[Any]
Image = Sequence[Sequence[Any]]


def _row(generator: random.Random, size: int) -> list[float]:
    return [round(generator.uniform(-3, 3), 1) for _ in range(size)]


def _image(generator: random.Random, rows: int, columns: int) -> list[list[float]]:
    """Small whole numbers, so that a student can compute a result by hand."""
    return [[float(generator.randint(-3, 3)) for _ in range(columns)] for _ in range(rows)]


# ---- along a row


def convolve(x: Row, w: Row) -> list[Any]:
    """The weighted sum at each place of the kernel."""
    return [sum(w[k] * x[i + k] for k in range(len(w))) for i in range(len(x) - len(w) + 1)]


def _row_and_kernel(generator: random.Random) -> tuple[Any, ...]:
    size = generator.choice((2, 3))
    x, w = _row(generator, size + generator.choice((2, 3))), _row(generator, size)
    kind = generator.choice((float, float, Value))
    return list(map(kind, x)), list(map(kind, w))


# ---- the gradient of a shared weight, for x = (2, 3, 5, 5) and w = (-1, 1)


def _contributions(weight: int) -> list[float]:
    """One for each place: dL/dw for L, the sum of the squared results."""
    x, w = (2.0, 3.0, 5.0, 5.0), (-1.0, 1.0)
    return [2 * result * x[i + weight] for i, result in enumerate(convolve(x, w))]


# ---- over an image


def convolve_image(image: Image, kernel: Image, stride: int) -> list[list[Any]]:
    """The weighted sum at each place of the kernel."""
    return _over_the_image(image, kernel, stride, stride)


def _over_the_image(
    image: Image,
    kernel: Image,
    down: int,
    right: int,
    at: Callable[[Image, int, int], Any] = lambda kernel, k, m: kernel[k][m],
    size: tuple[int, int] | None = None,
) -> list[list[Any]]:
    rows, columns = size or (len(kernel), len(kernel[0]))
    return [
        [
            sum(
                at(kernel, k, m) * image[top + k][left + m]
                for k in range(rows)
                for m in range(columns)
            )
            for left in range(0, len(image[0]) - columns + 1, right)
        ]
        for top in range(0, len(image) - rows + 1, down)
    ]


def _turned(image: Image) -> list[list[Any]]:
    return [list(column) for column in zip(*image)]


def _image_and_kernel(generator: random.Random) -> tuple[Any, ...]:
    rows, columns = generator.choice(((4, 7), (6, 5)))
    kernel = _image(generator, *generator.choice(((2, 3), (3, 2))))
    return _image(generator, rows, columns), kernel, generator.choice((1, 2, 2, 3))


# ---- pooling


def max_pool(
    image: Image,
    size: int,
    step: int | None = None,
    of: Callable[[list[Any]], Any] = max,
) -> list[list[Any]]:
    """The largest number of each window; wrong answers have another step, or another number."""
    step = step or size
    return [
        [
            of([image[top + k][left + m] for k in range(size) for m in range(size)])
            for left in range(0, len(image[0]) - size + 1, step)
        ]
        for top in range(0, len(image) - size + 1, step)
    ]


def _image_to_pool(generator: random.Random) -> tuple[Any, ...]:
    size = generator.choice((2, 3))
    image = _image(generator, size * 2, size * generator.choice((1, 3)))
    for row in image[:size]:  # the first window: all numbers are below 0
        row[:size] = [-abs(number) - 1 for number in row[:size]]
    return image, size


# ---- parameters


def parameters(in_channels: int, out_channels: int, size: int) -> int:
    """The weights and the biases of a convolution with square kernels."""
    return out_channels * (in_channels * size * size + 1)


def _sizes(generator: random.Random) -> tuple[Any, ...]:
    return generator.randint(2, 8), generator.randint(9, 20), generator.choice((3, 5))


# ---- the backward pass


def kernel_gradient(x: Row, size: int, result_grads: Row) -> list[Any]:
    """The gradient of each weight."""
    return [sum(_parts(x, k, result_grads)) for k in range(size)]


def _parts(x: Row, k: int, result_grads: Row) -> list[Any]:
    """The contribution of each place to the gradient of weight k."""
    return [g * x[i + k] for i, g in enumerate(result_grads)]


def _row_and_gradients(generator: random.Random) -> tuple[Any, ...]:
    size, places = generator.choice((2, 3)), generator.choice((3, 4))
    return _row(generator, size + places - 1), size, _row(generator, places)


EXERCISES = (
    Exercise(
        "09.1",
        "Your own convolution",
        2,
        Behaviour(
            convolve,
            _row_and_kernel,
            (
                (
                    lambda x, w: convolve(x, w)[:-1],
                    "The last place is missing. Put the kernel at the very end of the row: with "
                    "which number of x does it begin there?",
                ),
                (
                    lambda x, w: convolve(x, w[::-1]),
                    "Your kernel is the wrong way round: its first weight belongs on the first "
                    "of the numbers below it.",
                ),
                (
                    lambda x, w: [
                        sum(w[k] * x[i + k] for k in range(len(w))) for i in range(len(x))
                    ],
                    "At the end of the row your kernel hangs over the edge. At which place does it "
                    "stand when its last weight lies on the last number?",
                ),
                (
                    lambda x, w: [
                        sum(w[k] * x[i + k] for k in range(len(w))) for i in range(len(x) - 1)
                    ],
                    "With a kernel of two weights it is right. How many places has a kernel of "
                    "three?",
                ),
                (
                    lambda x, w: [w[0] * x[i] + w[1] * x[i + 1] for i in range(len(x) - 1)],
                    "Your function uses only the first two weights. A kernel can have any length.",
                ),
                (
                    lambda x, w: [sum(convolve(x, w)[: i + 1]) for i in range(len(x) - len(w) + 1)],
                    "The sum is kept from place to place. Each place begins with 0.",
                ),
                (
                    lambda x, w: convolve(x, w)[:1],
                    "The list ends after one place. Is the return inside the loop?",
                ),
                (
                    lambda x, w: convolve(x, w)[0],
                    "This is the result at the first place only. Move the kernel on.",
                ),
                (
                    lambda x, w: [
                        [w[k] * x[i + k] for k in range(len(w))] for i in range(len(x) - len(w) + 1)
                    ],
                    "The products are right. What becomes of the products of one place?",
                ),
                (
                    lambda x, w: convolve(x, w)[:: len(w)],
                    "You move the kernel by its own length. It moves by one number at a time.",
                ),
                (
                    lambda x, w: [sum(w) * number for number in x],
                    "Each weight meets another number: weight k lies on the number k places "
                    "further.",
                ),
            ),
        ),
    ),
    Exercise(
        "09.2",
        "The gradient of a shared weight",
        1,
        Number(
            lambda: sum(_contributions(1)),
            (
                (lambda: sum(_contributions(0)), "This is the derivative with respect to w0."),
                (
                    lambda: _contributions(1)[0],
                    "This is the contribution of the first place. A path comes from each place.",
                ),
                (
                    lambda: _contributions(1)[1],
                    "This is the contribution of one place. A path comes from each place.",
                ),
                (
                    0.0,
                    "This is the contribution of the last place alone. Contributions are added.",
                ),
                (
                    lambda: sum(_contributions(1)) / 2,
                    "The derivative of a square has a factor that is missing here.",
                ),
                (
                    lambda: sum(result**2 for result in convolve((2, 3, 5, 5), (-1, 1))),
                    "This is the loss itself. How fast does it grow with w1?",
                ),
                (
                    lambda: sum(_contributions(1)) / 3,
                    "The loss is the sum of the squares, not their mean.",
                ),
            ),
        ),
    ),
    Exercise(
        "09.3",
        "A convolution over an image",
        2,
        Behaviour(
            convolve_image,
            _image_and_kernel,
            (
                (
                    lambda image, kernel, stride: convolve_image(image, kernel, 1),
                    "The stride is not used: your kernel moves by one pixel.",
                ),
                (
                    lambda image, kernel, stride: _over_the_image(image, kernel, 1, stride),
                    "The stride holds in both directions. Yours moves down by one pixel.",
                ),
                (
                    lambda image, kernel, stride: _over_the_image(image, kernel, stride, 1),
                    "The stride holds in both directions. Yours moves right by one pixel.",
                ),
                (
                    lambda image, kernel, stride: _over_the_image(
                        image, kernel, stride, stride, lambda kernel, k, m: kernel[-1 - k][-1 - m]
                    ),
                    "The kernel is turned by half a turn: its first row belongs on the upper row "
                    "of pixels.",
                ),
                (
                    lambda image, kernel, stride: _over_the_image(
                        image, kernel, stride, stride, size=(len(kernel), len(kernel))
                    ),
                    "You use len(kernel) for both directions. How wide is a kernel that is not "
                    "square?",
                ),
                (
                    lambda image, kernel, stride: [
                        row[: len(places)]
                        for row, places in zip(
                            convolve_image(image, kernel, 1), convolve_image(image, kernel, stride)
                        )
                    ],
                    "There are as many places as there should be. But where is the kernel at the "
                    "second place? Its position moves by the stride.",
                ),
                (
                    lambda image, kernel, stride: [
                        number for row in convolve_image(image, kernel, stride) for number in row
                    ],
                    "The numbers are right, but in one list. The result is a list of rows.",
                ),
                (
                    lambda image, kernel, stride: _turned(convolve_image(image, kernel, stride)),
                    "Rows and columns of the result are exchanged: which loop is the outer one?",
                ),
                (
                    lambda image, kernel, stride: [
                        row[:-1] for row in convolve_image(image, kernel, stride)
                    ],
                    "The last column of the result is missing. Where does the kernel begin when "
                    "it touches the right edge?",
                ),
                (
                    lambda image, kernel, stride: convolve_image(image, kernel, stride)[:-1],
                    "The last row of the result is missing. Where does the kernel begin when it "
                    "touches the lower edge?",
                ),
            ),
        ),
    ),
    Exercise(
        "09.4",
        "How many places",
        1,
        Number(
            (22 + 2 * 4 - (9 - 1) - 1) // 2 + 1,
            (
                (10, "How many places has a kernel that does not move at all? Not 0."),
                (9, "The padding is added at both ends."),
                (7, "You left the padding out."),
                (22, "The kernel moves by 2, not by 1."),
                (12, "The last place must have room for the whole kernel: round the other way."),
                (10.5, "Round this quotient, and count the place of the kernel before it moves."),
                (21, "These are the moves without a stride. How far does each go?"),
                (14, "This is without padding and stride."),
                (30, "This is the row with its zeros. How many places has the kernel on it?"),
                (11.5, "A number of places is whole. Where do you round?"),
            ),
        ),
    ),
    Exercise(
        "09.5",
        "Your own pooling",
        2,
        Behaviour(
            max_pool,
            _image_to_pool,
            (
                (
                    lambda image, size: max_pool(image, size, step=1),
                    "Your windows overlap: by how many pixels does a window move?",
                ),
                (
                    lambda image, size: max_pool(image, size, of=lambda window: window[0]),
                    "You take the first number of each window. Look at the others too.",
                ),
                (
                    lambda image, size: max_pool(
                        image, size, of=lambda window: sum(window) / len(window)
                    ),
                    "This is the mean of each window: average pooling.",
                ),
                (
                    lambda image, size: max_pool(
                        image, size, of=lambda window: max(window, key=abs)
                    ),
                    "You compare sizes without signs. -3 is not larger than 1.",
                ),
                (
                    lambda image, size: max_pool(
                        image, size, of=lambda window: max([0.0, *window])
                    ),
                    "A window can have only numbers below 0. What is the largest number in it? "
                    "Look at the number that your search begins with.",
                ),
                (
                    lambda image, size: max_pool(image, size, of=min),
                    "This is the smallest number of each window.",
                ),
                (
                    lambda image, size: [
                        [max(row[left : left + size]) for left in range(0, len(row), size)]
                        for row in image
                    ],
                    "You look along the rows only. A window has several rows too.",
                ),
                (
                    lambda image, size: max(map(max, image)),
                    "This is the largest number of the image. Each window has its own.",
                ),
                (
                    lambda image, size: max_pool(image, 2),
                    "Your windows are always 2 × 2. The second argument gives their size.",
                ),
                (
                    lambda image, size: _turned(max_pool(image, size)),
                    "Rows and columns of the result are exchanged: which loop is the outer one?",
                ),
                (
                    lambda image, size: [max(row) for row in max_pool(image, size)],
                    "Each row of the result has one number for each window, not one in all.",
                ),
            ),
        ),
    ),
    Exercise(
        "09.6",
        "The parameters of a convolution",
        1,
        Behaviour(
            parameters,
            _sizes,
            (
                (
                    lambda in_channels, out_channels, size: out_channels * in_channels * size**2,
                    "The weights are right. What else has each kernel?",
                ),
                (
                    lambda in_channels, out_channels, size: out_channels * (size**2 + 1),
                    "A kernel covers all channels of its input: how many weights is that?",
                ),
                (
                    lambda in_channels, out_channels, size: out_channels * (in_channels * size + 1),
                    "The kernel is a square: how many weights has it for one channel?",
                ),
                (
                    lambda in_channels, out_channels, size: (
                        out_channels * in_channels * (size**2 + 1)
                    ),
                    "There is one bias for each channel of the output, not one for each pair of "
                    "channels.",
                ),
                (
                    lambda in_channels, out_channels, size: (
                        out_channels * in_channels * size**2 + in_channels
                    ),
                    "The weights are right. Which channels have a bias: those that go in, or those "
                    "that come out?",
                ),
                (
                    lambda in_channels, out_channels, size: (
                        out_channels * in_channels * size**2 + 1
                    ),
                    "The weights are right, but there is more than one bias.",
                ),
                (
                    lambda in_channels, out_channels, size: in_channels * size**2 + 1,
                    "This is one kernel. How many are there?",
                ),
            ),
        ),
    ),
    Exercise(
        "09.7",
        "The backward pass of a convolution",
        3,
        Behaviour(
            kernel_gradient,
            _row_and_gradients,
            (
                (
                    lambda x, size, result_grads: [
                        _parts(x, k, result_grads)[-1] for k in range(size)
                    ],
                    "You keep the contribution of the last place only: = where += is needed?",
                ),
                (
                    lambda x, size, result_grads: [
                        sum(_parts(x, k, result_grads)) / len(result_grads) for k in range(size)
                    ],
                    "You take the mean over the places. Do contributions of several paths become "
                    "smaller when there are more of them?",
                ),
                (
                    lambda x, size, result_grads: [
                        _parts(x, k, result_grads)[0] for k in range(size)
                    ],
                    "You use the first place only. A path comes from each place.",
                ),
                (
                    lambda x, size, result_grads: [_parts(x, k, result_grads) for k in range(size)],
                    "The contributions are right. What becomes of the contributions of one weight?",
                ),
                (
                    lambda x, size, result_grads: [
                        sum(x[i + k] for i in range(len(result_grads))) for k in range(size)
                    ],
                    "Your result does not use result_grads: each path begins with one of them.",
                ),
                (
                    lambda x, size, result_grads: kernel_gradient(x, size, result_grads)[::-1],
                    "The gradients are right, but in the wrong order: the last weight comes first.",
                ),
                (
                    lambda x, size, result_grads: [sum(result_grads)] * size,
                    "The gradient of each result arrives. With which number was the weight "
                    "multiplied there?",
                ),
                (
                    lambda x, size, result_grads: [
                        sum(g * x[i] for i, g in enumerate(result_grads)) for _ in range(size)
                    ],
                    "All your weights have the same gradient. At place i, which number lies under "
                    "weight k?",
                ),
            ),
        ),
    ),
    Exercise(
        "09.q1",
        "The size of a kernel",
        1,
        Choice(
            "a",
            {
                "a": "Nine weights and a bias, the same at every place.",
                "b": "A Linear with one output would have 28 × 28 weights and a bias.",
                "c": "There are 26 × 26 places, but they share their weights.",
                "d": "Padding adds places, not weights.",
            },
        ),
    ),
    Exercise(
        "09.q2",
        "A weight with many places",
        1,
        Choice(
            "c",
            {
                "a": "The chain rule adds; a mean would make it 36 times too small.",
                "b": "This is what = instead of += would give.",
                "c": "One path comes from each place, and contributions are added.",
                "d": "There is only one weight. This is what sharing means.",
            },
        ),
    ),
    Exercise(
        "09.q3",
        "Padding",
        1,
        Choice(
            "b",
            {
                "a": "This would be without padding: 8 - 3 + 1.",
                "b": "With the zeros there are 10 pixels along an axis: 10 - 3 + 1.",
                "c": "The padding adds one zero at both ends, not at one.",
                "d": "This is the size of the image with its zeros. How many places are there?",
            },
        ),
    ),
    Exercise(
        "09.q4",
        "The gradient of a max pooling",
        1,
        Choice(
            "c",
            {
                "a": "Only one of the four decides the result.",
                "b": "This would be average pooling.",
                "c": "The result is a copy of the largest number: its derivative is 1, that of "
                "the others 0.",
                "d": "The derivative does not depend on how large the number is.",
            },
        ),
    ),
)
