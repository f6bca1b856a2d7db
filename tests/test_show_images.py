"""Pictures of convolutional networks: what is in the figures."""

from __future__ import annotations

import random

import pytest
from pictures import png_size, smallest_text

from micrograd_plus import nn
from micrograd_plus.engine import Value
from micrograd_plus.show import plot_feature_maps, plot_filters, plot_mistakes

matplotlib = pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("matplotlib_as_it_was")


def small_cnn():
    generator = random.Random(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, generator=generator),
        nn.Dropout(0.9),
        nn.ReLU(),
        nn.Conv2d(2, 20, 2, generator=generator),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 3, generator=generator),
    )


IMAGE = [[[(i * j) % 3 / 2 for j in range(5)] for i in range(5)]]


def tiles(axes):
    """Each picture with its place, column and row."""
    return {
        (int(image.get_extent()[0]), image.get_extent()[3]): image.get_array().tolist()
        for image in axes.images
    }


def test_filters(tmp_path):
    conv = small_cnn()[3]
    figure = plot_filters(conv, path=tmp_path / "filters.png")
    axes = figure.axes[0]
    drawn = {(column, round(row)): plane for (column, row), plane in tiles(axes).items()}
    assert len(drawn) == 2 * 20
    weights = conv.state_dict()["weight"]
    assert all(drawn[out, read] == weights[out][read] for out, read in drawn)
    largest = max(abs(p.data) for p in conv.parameters()[: 2 * 20 * 4])
    assert {image.get_clim() for image in axes.images} == {(-largest, largest)}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("output channel", "input channel")
    assert smallest_text(figure) >= 12
    width, height, tones = png_size(tmp_path / "filters.png")
    assert min(width, height) > 200
    assert tones > 16


def test_the_labels_of_one_row_of_filters_fit():
    figure = plot_filters(nn.Conv2d(1, 4, 3, generator=random.Random(0)))
    figure.canvas.draw()
    label = figure.axes[0].yaxis.label.get_window_extent()
    assert figure.bbox.y0 <= label.y0
    assert label.y1 <= figure.bbox.y1


def test_feature_maps(tmp_path):
    model = small_cnn()
    figure = plot_feature_maps(model, IMAGE, path=tmp_path / "maps.png")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "input\n1 × 5 × 5",
        "Conv2d\n2 × 3 × 3",
        "Dropout\n2 × 3 × 3",
        "ReLU\n2 × 3 × 3",
        "Conv2d\n20 × 2 × 2",
        "MaxPool2d\n20 × 1 × 1",
    ]
    assert len(axes.images) == 1 + 3 * 2 + 2 * 20
    assert axes.get_xlim() == (0, 16)  # the other 4 of 20 are in a second row
    model.eval()
    seen = [[[value.data for value in row] for row in plane] for plane in model[0](IMAGE)]
    assert [image.get_array().tolist() for image in axes.images[:3]] == [*IMAGE, *seen]
    assert [image.get_array().tolist() for image in axes.images[3:5]] == seen  # nothing dropped
    assert smallest_text(figure) >= 12
    assert png_size(tmp_path / "maps.png")[2] > 16


def test_feature_maps_leave_each_module_in_its_mode():
    model = small_cnn()
    model[1].eval()
    before = [module.training for module in model.modules()]
    plot_feature_maps(model, IMAGE)
    assert [module.training for module in model.modules()] == before


def test_feature_maps_leave_the_model_in_training():
    model = small_cnn()
    plot_feature_maps(model, [[[Value(x) for x in row] for row in IMAGE[0]]])
    assert all(module.training for module in model.modules())


def test_a_black_image_is_drawn():
    model = nn.Sequential(nn.Conv2d(1, 1, 2, init=lambda *_: 0.0, bias=False))
    for figure in (plot_feature_maps(model, [[[0, 0], [0, 0]]]), plot_filters(model[0])):
        figure.canvas.draw()
        for image in figure.axes[0].images:
            assert not image.get_array().any()


def test_mistakes(tmp_path):
    X = [IMAGE, IMAGE[0], IMAGE, IMAGE]
    path = tmp_path / "mistakes.svg"
    figure = plot_mistakes(X, [0, 1, 2, 1], [1, 1, 0, 0], ["cat", "dog", "cow"], path=path)
    (axes,) = figure.axes
    assert axes.get_title() == "3 of 4 mistaken"
    assert [text.get_text() for text in axes.texts] == ["cat as dog", "cow as cat", "dog as cat"]
    assert [image.get_array().tolist() for image in axes.images] == [IMAGE[0]] * 3
    assert smallest_text(figure) >= 12
    assert path.read_text(encoding="utf-8").startswith("<?xml")


def test_no_mistakes_and_many():
    assert plot_mistakes([IMAGE], [0], [0], "ab").axes[0].get_title() == "0 of 1 mistaken"
    (axes,) = plot_mistakes([IMAGE] * 30, [0] * 30, [1] * 30, "ab", most=20).axes
    assert axes.get_title() == "30 of 30 mistaken, the first 20"
    assert len(axes.images) == 20


@pytest.mark.parametrize("layer", [nn.Linear(2, 3), nn.Conv1d(1, 1, 2), nn.ReLU(), 3.0])
def test_only_a_conv2d_has_filters(layer):
    with pytest.raises(TypeError, match=r"plot_filters takes a Conv2d, such as model\[0\], not"):
        plot_filters(layer)


def test_what_does_not_fit():
    with pytest.raises(TypeError, match="takes a Sequential, not a Conv2d"):
        plot_feature_maps(nn.Conv2d(1, 1, 2), IMAGE)
    with pytest.raises(ValueError, match="one image, channels × height × width, and was given 5"):
        plot_feature_maps(small_cnn(), IMAGE[0])
    with pytest.raises(ValueError, match="plot_mistakes takes images with one channel, not 2"):
        plot_mistakes([IMAGE * 2], [0], [1], "ab")
    with pytest.raises(ValueError, match="zip"):
        plot_mistakes([IMAGE], [0], [1, 2], "ab")
