"""The picture that is written without Graphviz, with the page's layout under Node."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from drawings import read, read_svg
from pages import HOSTILE, neuron

from micrograd_plus import losses, nn
from micrograd_plus.engine import Constant, Value
from micrograd_plus.show import draw
from micrograd_plus.show.boxes import boxes_of
from micrograd_plus.show.dot import NO_GRADIENTS
from micrograd_plus.show.render import RenderError
from micrograd_plus.show.sketch import sketch
from micrograd_plus.show.svg import Layout, SvgPicture, as_svg, layout_source


@pytest.fixture(scope="session")
def layout(run_javascript: Callable[[str], str]) -> Layout:
    def run(boxes: Any, edges: Any) -> Any:
        call = f"layOut({json.dumps(boxes)}, {json.dumps(edges)})"
        return json.loads(
            run_javascript(f"{layout_source()}\nconsole.log(JSON.stringify({call}));")
        )

    return run


def written(
    root: Value, layout: Layout, direction: str = "LR", color: str | None = "gradient"
) -> str:
    return as_svg(sketch(boxes_of(root), direction, 4, color), layout)


def backward(root: Value) -> Value:
    root.backward()
    return root


def residual() -> Value:
    x = Value(1.5, label="x")
    y = x
    for i in range(3):
        y = y + (y * Value(0.5, label=f"w{i}")).tanh() * 2
    return y


def folded() -> Value:
    model = nn.MLP(2, [8, 8, 1], generator=random.Random(0))
    return losses.hinge(model([0.5, -0.8]), 1.0)


def with_infinity() -> Value:
    return Value(0.0, label="a").log() * Constant(2.0, label="rate")


@pytest.mark.parametrize("make", [neuron, residual, folded, with_infinity])
@pytest.mark.parametrize("has_gradients", [True, False])
def test_it_shows_what_graphviz_shows(
    layout: Layout, make: Callable[[], Value], has_gradients: bool
) -> None:
    root = backward(make()) if has_gradients else make()
    ours, theirs = read_svg(written(root, layout)), read(draw(root))
    legends = [" ".join(drawn.boxes.pop("legend", [])).split() for drawn in (ours, theirs)]
    assert legends[0] == legends[1]
    assert ours.boxes == theirs.boxes
    for name, fill in theirs.fills.items():
        assert fill in [ours.fills[name], *ours.stripes[name]]
    assert sorted((tail, head, line["stroke"]) for tail, head, line in ours.arrows) == sorted(
        (tail, head, line["stroke"]) for tail, head, line in theirs.arrows
    )
    assert (NO_GRADIENTS in ours.texts) == (NO_GRADIENTS in theirs.texts) != has_gradients


@pytest.mark.parametrize("direction", ["LR", "RL", "TB", "BT"])
def test_directions(layout: Layout, direction: str) -> None:
    svg = written(backward(neuron()), layout, direction)
    places = {
        title: (float(x), float(y))
        for x, y, title in re.findall(
            r'class="node" transform="translate\((.*?),(.*?)\)"><title>(\w+)<', svg
        )
    }
    drawn = read_svg(svg)
    x1, root = places[drawn.find("x1")], places[drawn.find("tanh")]
    axis, sign = {"LR": (0, 1), "RL": (0, -1), "TB": (1, 1), "BT": (1, -1)}[direction]
    assert sign * (root[axis] - x1[axis]) > 300
    left, top, width, height = map(float, re.findall(r'viewBox="([^"]*)"', svg)[0].split())
    for x, y in places.values():
        assert left < x < left + width
        assert top < y < top + height


def test_arrow_heads_touch_boxes(layout: Layout) -> None:
    """Each arrow's tip lies on the left side of a box, and its line ends at the head's base."""
    svg = written(backward(residual()), layout)
    for path, corners in re.findall(
        r'<path d="(M[^"]*)" fill="none"[^>]*/><polygon points="([^"]*)"', svg
    ):
        tip, above, below = [tuple(map(float, corner.split(","))) for corner in corners.split()]
        end = tuple(map(float, path.rpartition(" ")[2].split(",")))
        assert end[0] == pytest.approx(above[0], abs=0.2)
        assert end[1] == pytest.approx((above[1] + below[1]) / 2, abs=0.2)
        assert tip[0] > end[0]


@pytest.mark.parametrize("label", [*HOSTILE, "a\x1b\x00b"])
def test_hostile_labels_stay_texts(layout: Layout, label: str) -> None:
    svg = written(backward(Value(2.0, label=label) * Value(3.0, label="b")), layout)
    drawn = read_svg(svg)  # it is well-formed
    assert "b" in drawn.texts
    assert "<script" not in svg
    assert "<img" not in svg


def test_without_colours(layout: Layout) -> None:
    drawn = read_svg(written(backward(neuron()), layout, color=None))
    assert "legend" not in drawn.boxes
    assert {line["stroke"] for _, _, line in drawn.arrows} == {"#757575"}
    assert {drawn.fills[drawn.find(name)] for name in ("x1", "w1")} == {"#ffffff"}


def test_a_leaf_alone(layout: Layout) -> None:
    assert read_svg(written(Value(1.5), layout)).boxes == {"value0": ["data 1.5", "grad –"]}


def test_the_picture_is_svg_only(tmp_path: Any) -> None:
    picture = SvgPicture("<svg/>")
    assert picture.save(tmp_path / "x.svg").read_text() == "<svg/>"
    assert picture._repr_mimebundle_()["image/svg+xml"] == "<svg/>"
    with pytest.raises(RenderError, match="written as svg, not as 'png'"):
        picture.save(tmp_path / "x.png")
