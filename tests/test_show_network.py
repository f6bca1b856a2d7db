"""network: circles and lines of every kind of model, elided where there are too many."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from drawings import read, read_svg, rgb
from pictures import png_size

from micrograd_plus import nn
from micrograd_plus.engine import Value
from micrograd_plus.show import network
from micrograd_plus.show.dot import NO_GRADIENTS


@pytest.fixture(autouse=True)
def _without_dot(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)


def weights(*numbers):
    return [Value(number) for number in numbers]


def linear(*rows, bias=None):
    layer = nn.Linear(len(rows[0]), len(rows), bias=bias is not None)
    layer.weight = [weights(*row) for row in rows]
    layer.bias = None if bias is None else weights(*bias)
    return layer


def test_an_mlp_has_a_circle_for_each_neuron_and_a_line_for_each_weight(tmp_path):
    picture = network(nn.MLP(2, [16, 16, 1], generator=random.Random(0)))
    drawn = read(picture)
    circles = [title for title in drawn.boxes if title.startswith("n")]
    assert len(circles) == 2 + 16 + 16 + 1
    assert len(drawn.arrows) == 2 * 16 + 16 * 16 + 16
    assert drawn.boxes["n0_0"] == ["x1"]
    assert drawn.boxes["n3_0"] == ["y"]
    assert drawn.boxes["caption0"][:2] == ["inputs", "2"]
    assert drawn.boxes["caption2"] == ["layer 2", "16", "relu"]
    assert drawn.boxes["caption3"] == ["layer 3", "1", "linear"]
    width, height, tones = png_size(picture.save(tmp_path / "x.png"))
    assert width > height > 500
    assert tones > 100


def test_in_pyodide_the_picture_is_the_same_without_graphviz(monkeypatch):
    models = [
        nn.MLP(2, [40, 3, 1], generator=random.Random(0)),
        linear([2.0, -1.0, 0.0], bias=[-3.0]),
    ]
    pictures = [network(model) for model in models]
    pictures.append(network(models[0], color="gradient"))
    monkeypatch.setattr("sys.platform", "emscripten")
    written = [network(model) for model in models]
    written.append(network(models[0], color="gradient"))
    for picture, svg in zip(pictures, written):
        expected, drawn = read(picture), read_svg(svg.pipe("svg", encoding="utf-8"))
        assert {name: " ".join(lines).split() for name, lines in drawn.boxes.items()} == {
            name: " ".join(lines).split() for name, lines in expected.boxes.items()
        }
        assert sorted(arrow[:2] for arrow in drawn.arrows) == sorted(
            arrow[:2] for arrow in expected.arrows
        )


def test_lines_show_sign_and_size_and_circles_the_bias():
    drawn = read(network(linear([2.0, -1.0, 0.0], bias=[-3.0])))
    line = {tail: attributes for tail, _, attributes in drawn.arrows}
    two, one, zero = line["n0_0"], line["n0_1"], line["n0_2"]
    assert rgb(two["stroke"])[2] > rgb(two["stroke"])[0]
    assert rgb(one["stroke"])[0] > rgb(one["stroke"])[2]
    assert float(two["stroke-width"]) > float(one["stroke-width"])
    assert "stroke-dasharray" in one, "the sign is seen without colours too"
    assert "stroke-dasharray" not in two
    assert "stroke-dasharray" in zero
    assert zero["stroke-dasharray"] != one["stroke-dasharray"]
    assert "weights (lines), biases (circles); negative lines are dashed" in drawn.texts
    assert drawn.fills["n1_0"] == drawn.fills[drawn.find("−3")]
    assert drawn.boxes["legend4"] == ["3"]


def test_by_gradient():
    model = nn.Linear(2, 1)
    assert NO_GRADIENTS in read(network(model, color="gradient")).texts
    model([1.0, -5.0])[0].backward()
    drawn = read(network(model, color="gradient"))
    line = {tail: attributes for tail, _, attributes in drawn.arrows}
    assert rgb(line["n0_0"]["stroke"])[2] > rgb(line["n0_0"]["stroke"])[0]
    assert rgb(line["n0_1"]["stroke"])[0] > rgb(line["n0_1"]["stroke"])[2]
    assert "gradients; negative lines are dashed" in drawn.texts
    assert NO_GRADIENTS not in drawn.texts


def test_large_layers_show_their_first_and_last_neurons():
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Dropout(), nn.Linear(128, 10))
    drawn = read(network(model))
    assert drawn.boxes["n0_0"] == ["x1"]
    assert drawn.boxes["n0_783"] == ["x784"]
    assert drawn.boxes["gap0"] == ["… 766 more …"]
    assert drawn.boxes["gap1"] == ["… 110 more …"]
    assert drawn.boxes["caption1"] == ["layer 1", "128", "ReLU, Dropout"]
    assert drawn.boxes["n2_9"] == ["y10"]
    assert len(drawn.arrows) == 18 * 18 + 18 * 10


def test_a_deep_network_keeps_the_number_of_lines_small():
    drawn = read(network(nn.MLP(30, [30] * 30)))
    assert len(drawn.arrows) <= 600
    with pytest.raises(ValueError, match=r"60 layers, but at most 40 can be drawn.*model\.layers"):
        network(nn.MLP(1, [1] * 60))


@pytest.mark.parametrize(
    "model",
    [nn.Neuron(3), nn.Layer(3, 2), nn.Linear(3, 2, bias=False), nn.Sequential(nn.Layer(3, 2))],
    ids=lambda model: type(model).__name__,
)
def test_parts_of_networks(model):
    drawn = read(network(model))
    assert [drawn.boxes[f"n0_{i}"] for i in range(3)] == [["x1"], ["x2"], ["x3"]]
    assert len(drawn.arrows) % 3 == 0


def test_micrograds_own_model():
    micrograd = pytest.importorskip("micrograd.nn")
    drawn = read(network(micrograd.MLP(2, [3, 1])))
    assert drawn.boxes["caption1"] == ["layer 1", "3", "relu"]
    assert len(drawn.arrows) == 9


def test_what_is_no_network_is_refused():
    with pytest.raises(TypeError, match=r"Neuron, Layer, MLP or Linear.*not a float"):
        network(3.0)
    with pytest.raises(TypeError, match="not a ReLU"):
        network(nn.Sequential(nn.ReLU()))
    with pytest.raises(TypeError, match="this model has none"):
        network(nn.Sequential())
    with pytest.raises(TypeError, match="not a SimpleNamespace"):
        network(SimpleNamespace())
    with pytest.raises(ValueError, match="returns 4 numbers, but the next layer takes 3"):
        network(nn.Sequential(nn.Linear(2, 4), nn.Linear(3, 1)))
    with pytest.raises(ValueError, match="color is 'weight' or 'gradient', not 'data'"):
        network(nn.Linear(1, 1), color="data")
