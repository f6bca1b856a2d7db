"""Colours and widths: legible, monotonic, and honest about inf and nan."""

from __future__ import annotations

import json
import math
import random
from importlib.resources import files

import pytest
from drawings import contrast, rgb

from micrograd_plus.show import scale
from micrograd_plus.show.scale import Scale, number

NUMBERS = [-2.0, -1.0, -0.3, -1e-6, 0.0, 1e-6, 0.3, 1.0, 2.0]


@pytest.mark.parametrize("x", [*NUMBERS, math.inf, -math.inf, math.nan])
def test_text_is_legible_on_every_fill(x):
    assert contrast(scale.TEXT, Scale(2.0).fill(x)) >= 4.5
    assert contrast(scale.TEXT, Scale(2.0).fill(x, -1.0, 1.0)) >= 4.5


@pytest.mark.parametrize("x", [-2.0, -0.1, 0.0, 0.1, 2.0, math.nan])
def test_lines_are_seen_on_white(x):
    assert contrast(Scale(2.0).line(x)["color"], "#ffffff") >= 3


def test_sign_and_strength():
    fills = [rgb(Scale(2.0).fill(x)) for x in NUMBERS]
    assert fills[4] == [255, 255, 255]
    assert all(red > blue for red, _, blue in fills[:4]), "negative is orange"
    assert all(blue > red for red, _, blue in fills[5:]), "positive is blue"
    whiteness = [sum(fill) for fill in fills]
    assert whiteness[:5] == sorted(whiteness[:5])
    assert whiteness[4:] == sorted(whiteness[4:], reverse=True)
    widths = [float(Scale(2.0).line(x)["penwidth"]) for x in NUMBERS[4:]]
    assert widths == sorted(widths)
    assert widths[-1] == Scale(2.0).thickest
    assert Scale(2.0).line(0.0)["style"] == "dashed"


def test_orange_and_blue_differ_for_the_colour_blind():
    # Brettel's simulation is not needed: the two differ in blue, which red-green blindness
    # leaves alone, and in green against red, which blindness to blue leaves alone.
    negative, positive = rgb(scale.NEGATIVE), rgb(scale.POSITIVE)
    assert abs(negative[2] - positive[2]) > 100
    assert abs(negative[0] - positive[0]) > 100


def test_the_scale_ignores_inf_and_nan_but_shows_them():
    uneven = Scale.over([1.0, -3.0, math.inf, math.nan])
    assert uneven.largest == 3.0
    assert uneven.fill(math.nan) == uneven.fill(math.inf) == scale.NOT_FINITE
    assert uneven.line(math.nan)["color"] == scale.NOT_FINITE_LINE
    assert Scale.over([]).fill(1.0) == "#ffffff"
    assert Scale.over([0.0, 0.0]).key() == []


def test_numbers_of_both_signs_are_neither_orange_nor_blue():
    red, green, blue = rgb(Scale(1.0).fill(-1.0, 0.5))
    assert max(red, green, blue) - min(red, green, blue) < 16
    assert Scale(1.0).fill(0.0, 1.0) == Scale(1.0).fill(1.0)


@pytest.mark.parametrize(
    ("x", "precision", "text"),
    [
        (2.0, 4, "2"),
        (-0.0, 2, "0"),
        (-1.50294, 4, "−1.5029"),
        (-0.00001, 4, "−1e−5"),
        (0.0001234567, 4, "0.00012346"),
        (123456.7, 4, "123460"),
        (999999.5, 4, "1e6"),
        (1234567.0, 2, "1.23e6"),
        (1.6e-9, 0, "2e−9"),
        (2.5, 0, "3"),
        (2.5, 1, "2.5"),
        (math.inf, 3, "∞"),
        (-math.inf, 3, "−∞"),
        (math.nan, 3, "nan"),
    ],
)
def test_number(x, precision, text):
    assert number(x, precision) == text


def test_numbers_are_written_as_in_the_page(run_javascript):
    chance = random.Random(0)
    numbers = [0.0, -0.0, 1e-4, 9.99994e-5, 9.99996e-5, 999994.0, 999995.0, 999996.0, 5e-324]
    numbers += [12344.5, 12345.5, 100005.0, -100005.0, 1.7976931348623157e308, 0.1, 1 / 3]
    numbers += [chance.uniform(-9, 9) * 10.0 ** chance.randint(-12, 12) for _ in range(2000)]
    numbers += [chance.randint(-(10**9), 10**9) / 2 for _ in range(2000)]
    source = files("micrograd_plus.explorer").joinpath("words.js").read_text("utf-8")
    written = json.loads(
        run_javascript(
            f"{source}\nconsole.log(JSON.stringify({json.dumps(numbers)}.map((x) => format(x))));"
        )
    )
    assert written == [number(x) for x in numbers]
