"""The layout of graphs, `layout.js`, under Node: what holds for every graph, and known pictures."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import chain, diamonds, in_the_page, mlp, neuron

import micrograd_plus as mp
from micrograd_plus import losses, nn
from micrograd_plus.engine import Value
from micrograd_plus.explorer import Explorer, step_through

Point = tuple[float, float]
_APART = 8  # pixels, at least, between two boxes and between a line and a box that it passes


class Laid(NamedTuple):
    """A graph and its layout."""

    boxes: list[dict[str, float]]
    edges: list[dict[str, int]]
    places: list[Point]
    curves: list[list[Point]]
    tips: list[Point]
    width: float
    height: float

    def rectangle(self, i: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        x, y = self.places[i]
        return x, y, x + self.boxes[i]["w"], y + self.boxes[i]["h"]

    def find(self, tail: int, head: int) -> list[Point]:
        """The tips of the arrows from one box to another."""
        ends = [(edge["from"], edge["to"]) for edge in self.edges]
        return [tip for end, tip in zip(ends, self.tips) if end == (tail, head)]


LayOut = Callable[[Sequence[Any], Sequence[Any]], Laid]


@pytest.fixture(scope="session")
def lay_out(run_javascript: Callable[[str], str]) -> LayOut:
    source = files("micrograd_plus.explorer").joinpath("layout.js").read_text("utf-8")

    def run(boxes: Sequence[Any], edges: Sequence[Any]) -> Laid:
        boxes = [box if isinstance(box, dict) else {"w": box[0], "h": box[1]} for box in boxes]
        edges = [edge if isinstance(edge, dict) else ordered(*edge) for edge in edges]
        call = f"layOut({json.dumps(boxes)}, {json.dumps(edges)})"
        found = json.loads(
            run_javascript(
                f"{source}\nconst [a, b] = [{call}, {call}].map((x) => JSON.stringify(x));\n"
                "console.log(a === b ? a : 'two calls differ');"
            )
        )
        return Laid(boxes, edges, **found)

    return run


def ordered(tail: int, head: int, port: int | None = None) -> dict[str, int]:
    return {"from": tail, "to": head, **({} if port is None else {"port": port})}


def samples(curve: list[Point], count: int = 40) -> list[Point]:
    """Points on a chain of cubic Bézier pieces."""
    found = [curve[0]]
    for k in range(1, len(curve), 3):
        a, b, c, d = curve[k - 1 : k + 3]
        for i in range(1, count + 1):
            t = i / count
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            found.append(
                tuple(sum(w * p[axis] for w, p in zip(weights, (a, b, c, d))) for axis in (0, 1))  # type: ignore[arg-type]
            )
    return found


def check(laid: Laid) -> None:
    """What must hold for every graph."""
    rectangles = [laid.rectangle(i) for i in range(len(laid.boxes))]
    for left, top, right, bottom in rectangles:
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= laid.width + 1e-6
        assert bottom <= laid.height + 1e-6
    for i, (left, top, right, bottom) in enumerate(rectangles):
        for other in rectangles[:i]:
            apart = (left - other[2], other[0] - right, top - other[3], other[1] - bottom)
            assert max(apart) >= _APART, (i, other)
    for edge, curve, tip in zip(laid.edges, laid.curves, laid.tips):
        tail, head = edge["from"], edge["to"]
        points = [*samples(curve), tip]
        for i, (left, top, right, bottom) in enumerate(rectangles):
            near = 0 if i in (tail, head) else 4
            for x, y in points[1:-1]:
                inside = left - near < x < right + near and top - near < y < bottom + near
                assert not inside, (edge, i)
        assert on_the_edge(curve[0], rectangles[tail])
        assert on_the_edge(tip, rectangles[head])
        assert points_are_smooth(curve)


def on_the_edge(point: Point, rectangle: tuple[float, float, float, float]) -> bool:
    left, top, right, bottom = rectangle
    x, y = point
    return min(abs(x - left), abs(x - right)) < 1e-6 and top < y < bottom


def points_are_smooth(curve: list[Point]) -> bool:
    """At each joint the curve is level: it goes on in the direction in which it arrives."""
    return all(
        curve[k - 1][1] == curve[k][1] == curve[k + 1][1] for k in range(3, len(curve) - 3, 3)
    )


@st.composite
def graphs(draw: Any) -> tuple[list[tuple[int, int]], list[tuple[int, int, int | None]]]:
    """Boxes and edges of a graph as operations make one: each box has operands before it."""
    count = draw(st.integers(1, 14))
    boxes = draw(
        st.lists(
            st.tuples(st.integers(20, 200), st.integers(20, 90)), min_size=count, max_size=count
        )
    )
    edges: list[tuple[int, int, int | None]] = []
    for head in range(1, count):
        operands = draw(st.lists(st.integers(0, head - 1), max_size=4))
        has_order = draw(st.booleans())
        edges += [(tail, head, k if has_order else None) for k, tail in enumerate(operands)]
    return boxes, edges


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_what_holds_for_every_graph(lay_out: LayOut, graph: Any) -> None:
    laid = lay_out(*graph)
    check(laid)
    for head in range(len(laid.boxes)):
        arriving = [(e["port"], tip[1]) for e, tip in zip(laid.edges, laid.tips)
                    if e["to"] == head and "port" in e]  # fmt: skip
        heights = [height for _, height in sorted(arriving)]
        assert heights == sorted(set(heights)), "operands arrive in their order, each by itself"
    for edge, tip in zip(laid.edges, laid.tips):
        assert laid.places[edge["from"]][0] < tip[0], "edges lead to the right"


@pytest.mark.parametrize("seed", range(4))
def test_large_random_graphs(lay_out: LayOut, seed: int) -> None:
    check(lay_out(*random_graph(120, seed)))


def random_graph(count: int, seed: int) -> tuple[list[Any], list[Any]]:
    chance = random.Random(seed)
    boxes = [(chance.choice([60, 150, 180]), chance.choice([26, 59])) for _ in range(count)]
    edges = []
    for head in range(count // 3, count):
        tails = [chance.randrange(max(0, head - 40), head) for _ in range(2)]
        edges += [(tail, head, k) for k, tail in enumerate(tails)]
    return boxes, edges


def test_cycles_are_drawn_as_well(lay_out: LayOut) -> None:
    boxes = [(100, 50)] * 4
    laid = lay_out(boxes, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 2), (1, 0)])
    check(laid)
    assert laid.places[0][0] < laid.places[1][0] < laid.places[2][0] < laid.places[3][0]
    (back,) = laid.find(2, 0)
    assert back[0] == laid.rectangle(0)[2], "it arrives at the right side"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_boxes_without_edges(lay_out: LayOut, count: int) -> None:
    check(lay_out([(100, 50)] * count, []))


def test_operands_stand_in_their_order(lay_out: LayOut) -> None:
    """(a - b) / (c - d), with boxes given in another order."""
    d, c, b, a, right, left, root = range(7)
    edges = [(d, right, 1), (c, right, 0), (b, left, 1), (a, left, 0), (right, root, 1),
             (left, root, 0)]  # fmt: skip
    laid = lay_out([(100, 50)] * 7, edges)
    heights = [y for _, y in laid.places]
    assert heights[a] < heights[b] < heights[c] < heights[d]
    assert heights[left] < heights[right]


def test_parallel_edges_are_apart(lay_out: LayOut) -> None:
    laid = lay_out([(100, 50), (100, 50)], [(0, 1, 0), (0, 1, 1)])
    (first, second) = laid.find(0, 1)
    assert second[1] - first[1] >= 10


def test_leaves_stand_beside_their_first_user(lay_out: LayOut) -> None:
    """x1 -> a long chain -> a product with w, which is used there alone."""
    steps = 6
    edges = [(i, i + 1) for i in range(steps)] + [(steps, steps + 2, 0), (steps + 1, steps + 2, 1)]
    laid = lay_out([(100, 50)] * (steps + 3), edges)
    assert laid.places[steps + 1][0] == laid.places[steps][0]


def test_a_long_edge_is_straight_in_its_middle(lay_out: LayOut) -> None:
    """A residual connection around a chain of boxes, one below the other."""
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5, 1), (0, 5, 0)]
    laid = lay_out([(100, 50)] * 6, edges)
    curve = laid.curves[-1]
    assert len({y for x, y in curve if laid.rectangle(1)[0] <= x <= laid.rectangle(4)[2]}) == 1
    assert len({y for _, y in laid.places[1:5]}) == 1, "and so is the chain"


def test_what_is_symmetric_stays_so(lay_out: LayOut) -> None:
    laid = lay_out(
        [(100, 50)] * 7, [(0, 4, 0), (1, 4, 1), (2, 5, 0), (3, 5, 1), (4, 6, 0), (5, 6, 1)]
    )
    heights = [y for _, y in laid.places]
    assert heights[4] == pytest.approx((heights[0] + heights[1]) / 2)
    assert heights[6] == pytest.approx((heights[4] + heights[5]) / 2)


def test_a_chain_and_diamonds_are_straight(lay_out: LayOut) -> None:
    laid = lay_out([(100, 50)] * 5, [(i, i + 1, k) for i in range(4) for k in (0, 1)])
    assert {y for _, y in laid.places} == {0}
    assert laid.height == 50


# ---- the explorer's views


def lstm() -> Value:
    cell = nn.LSTM(1, 1, generator=random.Random(0))
    _, (h, _) = cell([[Value(1.0, label="x1")], [Value(-0.5, label="x2")]])
    return h[0][0]


def attention() -> Value:
    rows = [[Value(0.5 * i - j, label=f"t{i}{j}") for j in range(2)] for i in range(3)]
    return nn.scaled_dot_product_attention(rows, rows, rows, is_causal=True)[2][0]


def gpt() -> Any:
    model = nn.GPT(3, 2, 1, 1, 4, generator=random.Random(0))
    return step_through(model, [0, 1, 2], [1, 2, 0], losses.cross_entropy, fold=True)


EXPLORERS: dict[str, Callable[[], Any]] = {
    "expression": lambda: step_through(mp.parse("(a - b) / (b - a*c) - a", a=2, b=-3, c=4)),
    "neuron": lambda: step_through(neuron()),
    "diamonds": lambda: step_through(diamonds(5)),
    "layers": lambda: step_through(mlp(2, 8, 8, 1), [0.5, -0.8], 1.0, losses.hinge, fold=True),
    "values": lambda: step_through(mlp(2, 8, 8, 1), [0.5, -0.8], 1.0, losses.hinge, fold=False),
    "lstm": lambda: step_through(lstm(), fold=False),
    "attention": lambda: step_through(attention(), fold=False),
    "gpt": gpt,
}


def measured(run_javascript: Callable[[str], str], explorer: Explorer) -> Any:
    """The views of an explorer, whose boxes have their sizes."""
    views = "LESSON.views.map((view) => ({ ...view, boxes: view.boxes.map(sized) }))"
    return json.loads(run_javascript(in_the_page(explorer, views)))


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_explorers_graphs(
    run_javascript: Callable[[str], str], lay_out: LayOut, name: str
) -> None:
    for view in measured(run_javascript, EXPLORERS[name]()):
        check(lay_out(view["boxes"], view["edges"]))


@pytest.mark.parametrize("name", ["wide", "long", "random"])
def test_three_hundred_boxes_take_well_under_a_tenth_of_a_second(
    run_javascript: Callable[[str], str], name: str
) -> None:
    """Processor time of one of ten runs: the machine may be busy with other things."""
    if name == "random":
        boxes, edges = random_graph(300, 0)
        boxes = [{"w": w, "h": h} for w, h in boxes]
        edges = [ordered(*edge) for edge in edges]
    else:
        root = chain(299) if name == "long" else mp.sum([Value(i) * Value(0.5) for i in range(99)])
        (view,) = measured(run_javascript, step_through(root, fold=False))
        boxes, edges = view["boxes"], view["edges"]
    source = files("micrograd_plus.explorer").joinpath("layout.js").read_text("utf-8")
    times = json.loads(
        run_javascript(
            f"{source}\nconst [B, E] = [{json.dumps(boxes)}, {json.dumps(edges)}];\n"
            "const times = [];"
            "while (times.length < 10 && !(times.at(-1) < 100)) { const t = process.cpuUsage();"
            "layOut(B, E); times.push(process.cpuUsage(t).user / 1000); }\n"
            "console.log(JSON.stringify(times));"
        )
    )
    assert times[-1] < 100, times
