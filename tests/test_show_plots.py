"""The plots: what is in the figures, by asking matplotlib's own objects."""

from __future__ import annotations

import inspect
import math
import random
import re
import sys
from types import SimpleNamespace

import pytest
from pictures import png_size, smallest_text

from micrograd_plus import compiler, nn
from micrograd_plus.engine import Value
from micrograd_plus.ops import TABLE
from micrograd_plus.show import (
    plot_activations,
    plot_attention,
    plot_decision_boundary,
    plot_gradient_through_time,
    plot_gradients,
    plot_loss,
    plots,
)
from micrograd_plus.show.style import import_matplotlib

matplotlib = pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("matplotlib_as_it_was")


def curves(axes):
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


# ---- loss


def test_plot_loss_of_a_list(tmp_path):
    figure = plot_loss([0.9, 0.5, 0.25], path=tmp_path / "new" / "loss.png")
    (axes,) = figure.axes
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert list(axes.lines[0].get_ydata()) == [0.9, 0.5, 0.25]
    assert axes.get_xlabel() == "epoch"
    width, height, tones = png_size(tmp_path / "new" / "loss.png")
    assert min(width, height) > 500
    assert tones > 16
    assert smallest_text(figure) >= 12


def test_plot_loss_of_steps_draws_means_over_them():
    (axes,) = plot_loss([float(k % 2) for k in range(1000)], unit="step").axes
    single, means = axes.lines
    assert len(single.get_ydata()) == 1000
    assert list(means.get_ydata()) == [0.5] * 20
    assert list(means.get_xdata())[:2] == [25.5, 75.5]
    assert axes.get_xlabel() == "step"


def test_plot_loss_compares_trainings_by_name():
    (axes,) = plot_loss(
        {"RNN": [0.5, 0.4], "LSTM": SimpleNamespace(loss=[0.5, 0.1], val_loss=[1, 1])}
    ).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["RNN", "LSTM"]
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.5, 0.4], [0.5, 0.1]]
    assert len({line.get_linestyle() for line in axes.lines}) == 2
    with pytest.raises(ValueError, match="at least one epoch"):
        plot_loss({"RNN": []})


def test_plot_loss_of_a_history():
    history = SimpleNamespace(
        loss=[1.0, 0.5], val_loss=[1.1, 0.7], accuracy=[0.5, 0.9], val_accuracy=[], grad_norm=[3, 1]
    )
    loss, accuracy, norm = plot_loss(history).axes
    assert curves(loss) == {"training": [1.0, 0.5], "validation": [1.1, 0.7]}
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]
    assert curves(accuracy) == {"training": [0.5, 0.9]}
    assert [axes.get_title() for axes in (loss, accuracy, norm)] == [
        "loss",
        "accuracy",
        "gradient norm",
    ]


def test_a_wide_range_is_logarithmic():
    assert plot_loss([100.0, 1e-3]).axes[0].get_yscale() == "log"
    assert plot_loss([1.0, 0.1]).axes[0].get_yscale() == "linear"
    assert plot_loss([100.0, -1e-3]).axes[0].get_yscale() == "linear"


def test_a_run_that_diverged_says_where():
    (axes,) = plot_loss([1.0, 3.0, math.inf, math.nan]).axes
    assert [text.get_text().strip() for text in axes.texts] == ["inf at epoch 3"]
    assert all(map(math.isnan, axes.lines[0].get_ydata()[2:]))
    assert plot_loss([math.nan]).axes


def test_plot_loss_refuses_what_is_no_history():
    for nothing in ([], 3.0, SimpleNamespace(loss=[])):
        with pytest.raises(ValueError, match=r"the history of at least one epoch.*list of losses"):
            plot_loss(nothing)


# ---- decision boundary


class Slope(nn.Module):
    """The score x1 - x2."""

    def forward(self, x):
        return Value(x[0]) - x[1]


def line_of(axes):
    """The points of the black boundary."""
    (contour,) = [c for c in axes.collections if list(c.get_edgecolor()[:, :3].flat) == [0, 0, 0]]
    return contour.get_paths()[0].vertices


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_the_boundary_is_where_the_score_crosses_the_threshold(threshold):
    X, y = [[0.0, 1.0], [1.0, 0.0], [0.2, 0.9]], [-1, 1, -1]
    figure = plot_decision_boundary(Slope(), X, y, threshold=threshold, resolution=12)
    for x1, x2 in line_of(figure.axes[0]):
        assert x1 - x2 == pytest.approx(threshold)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["class -1", "class 1"]
    assert smallest_text(figure) >= 12


def points_of(axes):
    return [c for c in axes.collections if isinstance(c, matplotlib.collections.PathCollection)]


def test_classes_differ_in_marker_and_colour():
    X = [[float(i), float(i % 3)] for i in range(9)]
    model = nn.Sequential(nn.Linear(2, 3))
    figure = plot_decision_boundary(model, X, [i % 3 for i in range(9)], resolution=8)
    drawn = points_of(figure.axes[0])
    assert [len(points.get_offsets()) for points in drawn] == [3, 3, 3]
    assert len({tuple(points.get_facecolor()[0]) for points in drawn}) == 3
    assert len({points.get_paths()[0].vertices.tobytes() for points in drawn}) == 3


def test_the_largest_output_wins_its_region():
    class Nearest(nn.Module):
        def forward(self, x):
            return [-Value(x[0]), Value(x[0])]

    X = [[-1.0, 0.0], [1.0, 1.0]]
    figure = plot_decision_boundary(Nearest(), X, [[0], [1]], resolution=10)
    filled = [c for c in figure.axes[0].collections if len(c.get_facecolor()) == 1][:4]
    regions = {
        matplotlib.colors.to_hex(c.get_facecolor()[0]).lower(): c.get_paths()[0].vertices[:, 0]
        for c in filled
        if c.get_alpha() == 0.35
    }
    assert regions["#0072b2"].max() <= 1e-9
    assert regions["#d55e00"].min() >= -1e-9


def test_a_constant_model_and_one_that_gives_nan_are_drawn():
    X, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    for answer in (0.0, 1.0, -1.0, math.nan):
        figure = plot_decision_boundary(lambda x, a=answer: Value(a), X, y, resolution=4)
        figure.canvas.draw()
        assert len(points_of(figure.axes[0])) == 2


def test_the_model_is_evaluated_without_graph_and_without_dropout():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append((self.training, (Value(1.0) * 2).operands))
            return Value(x[0])

    spy = Spy()
    plot_decision_boundary(spy, [[0.0, 0.0], [1.0, 1.0]], [0, 1], resolution=3)
    assert set(seen) == {(False, ())}
    assert len(seen) >= 9  # it does not compile, as it makes a Value of its input
    assert spy.training


@pytest.mark.parametrize("native", [True, False])
def test_a_module_is_compiled_for_its_thousands_of_points(native, monkeypatch):
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "is_native", lambda: native)
    calls = []

    class Counted(nn.MLP):
        def forward(self, x):
            calls.append(x)
            return super().forward(x)

    model = Counted(2, [4, 3], activation="tanh")
    rows = [[i / 7, -i / 3] for i in range(50)]
    eager = [[output.data for output in model(row)] for row in rows]
    calls.clear()
    answers = plots._answers(model, rows)
    assert [x for row in answers for x in row] == pytest.approx(
        [x for row in eager for x in row], rel=1e-12, abs=1e-12
    )
    assert len(calls) < 5 if native else len(calls) == 50


def test_points_that_do_not_lie_in_a_plane_are_refused():
    with pytest.raises(ValueError, match=r"rows of two numbers.*not of \[3\]"):
        plot_decision_boundary(Slope(), [[1, 2, 3]], [1])
    with pytest.raises(ValueError, match="X has 2 rows, but y has 1 classes"):
        plot_decision_boundary(Slope(), [[1, 2], [3, 4]], [1])
    with pytest.raises(ValueError, match="10 different classes, but at most 8"):
        plot_decision_boundary(Slope(), [[i, i] for i in range(10)], range(10))


# ---- activations


def test_an_activation_and_its_derivative_come_from_the_table(tmp_path):
    figure = plot_activations("tanh", path=tmp_path / "x.svg")
    shown = curves(figure.axes[0])
    xs = [i / 50 for i in range(-250, 251)]
    assert shown["f(x)"] == pytest.approx([math.tanh(x) for x in xs])
    assert shown["f′(x)"] == pytest.approx([1 - math.tanh(x) ** 2 for x in xs])
    assert (tmp_path / "x.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert smallest_text(figure) >= 12


def test_every_function_of_one_number_can_be_plotted():
    names = [op.name for op in TABLE.values() if not op.nary and op.operands in (("x",), ("a",))]
    figure = plot_activations(names)
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes][: len(names)] == names


def test_outside_its_domain_nothing_is_drawn():
    shown = curves(plot_activations("log").axes[0])
    assert all(map(math.isnan, shown["f′(x)"][:200]))


def test_unknown_activations_are_refused():
    with pytest.raises(ValueError, match=r"no function of one number called 'swish'.*tanh"):
        plot_activations(["tanh", "swish"])
    with pytest.raises(ValueError, match="called 'add'"):
        plot_activations("add")
    with pytest.raises(ValueError, match="at least one name"):
        plot_activations([])


# ---- gradients


def test_gradients_are_grouped_by_layer():
    model = nn.MLP(2, [3, 1], activation="tanh", generator=random.Random(0))
    model([1.0, 2.0]).backward()
    figure = plot_gradients(model)
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["layers.0.w", "layers.0.b", "layers.1.w", "layers.1.b"]
    assert axes.get_yscale() == "log"
    biases = sorted(abs(neuron.b.grad) for neuron in model.layers[0].neurons)
    medians = [
        line for line in axes.lines if line.get_linewidth() == 2 and line.get_color() == "black"
    ]
    assert medians[1].get_ydata()[0] == pytest.approx(biases[1])
    assert smallest_text(figure) >= 9.8  # the powers of ten


def test_zeros_and_nan_are_counted():
    model = nn.Linear(2, 1)
    model.weight[0][0].grad, model.weight[0][1].grad = 1.0, 0.0
    model.bias[0].grad = math.nan
    figure = plot_gradients(model)
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["weight\n1 of 2 are 0", "bias\n1 inf or nan"]


def test_without_gradients_there_is_advice():
    with pytest.raises(ValueError, match=r"every gradient is 0: call backward\(\)"):
        plot_gradients(nn.Linear(2, 1))
    with pytest.raises(TypeError, match=r"a module with named_parameters\(\), not a list"):
        plot_gradients([1.0])


# ---- gradients through time


def states_of(kind, *sequences):
    """The hidden states of each sequence, after backward() from a loss of the last."""
    model, states = kind(1, 2, generator=random.Random(0)), []
    for sequence in sequences:
        output, _ = model([[x] for x in sequence])
        sum(output[-1]).backward()
        states.append(output)
    return states


def test_the_gradient_of_every_step_is_shown():
    states = {kind.__name__: states_of(kind, [0.5, 1.0, -1.0])[0] for kind in (nn.RNN, nn.LSTM)}
    figure = plot_gradient_through_time(states)
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    for (name, output), (label, shares) in zip(states.items(), curves(axes).items()):
        lengths = [math.hypot(*[v.grad for v in h]) for h in output]
        assert shares == pytest.approx([length / lengths[-1] for length in lengths])
        factor = math.sqrt(shares[0])  # of one of the two steps back
        assert label == f"{name}: × {factor:.2f} per step"
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert smallest_text(figure) >= 9.8  # the powers of ten


def test_of_many_sequences_the_median_and_the_spread_are_shown():
    many = {"RNN": states_of(nn.RNN, [0.5, 1.0], [-2.0, 0.1], [0.0, 3.0])}
    figure = plot_gradient_through_time({"before": many, "after": {"GRU": states_of(nn.GRU, [1])}})
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("before", "after")
    assert left.get_ylim() == right.get_ylim()
    first = [
        math.hypot(*[v.grad for v in h1]) / math.hypot(*[v.grad for v in h2])
        for h1, h2 in many["RNN"]
    ]
    assert list(curves(left).values()) == [pytest.approx([sorted(first)[1], 1.0])]
    band = left.collections[0].get_paths()[0].vertices
    at_first = [y for x, y in band if x == 1]
    assert (min(at_first), max(at_first)) == pytest.approx((min(first), max(first)))
    assert list(curves(right).values()) == [[1.0]]


def test_a_gradient_through_time_that_is_not_there():
    output, _ = nn.RNN(1, 2)([[1.0]])
    with pytest.raises(ValueError, match=r"the last state of RNN is 0: call backward\(\)"):
        plot_gradient_through_time({"RNN": output})
    with pytest.raises(ValueError, match="the sequences of RNN have different lengths"):
        plot_gradient_through_time({"RNN": states_of(nn.RNN, [1.0], [1.0, 2.0])})
    for nothing in (output, {}):
        with pytest.raises(TypeError, match="a dictionary of hidden states"):
            plot_gradient_through_time(nothing)


# ---- the figure


def test_a_figure_shows_and_saves_itself(tmp_path):
    figure = plot_loss([1.0, 0.5])
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert figure.save(tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    assert figure.get_layout_engine() is not None  # it is laid out again after a change
    with pytest.raises(ValueError, match="docx"):
        figure.save(tmp_path / "x.docx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdf"]


def test_more_classes_than_outputs_are_refused():
    with pytest.raises(ValueError, match="one output can separate two classes, but y has 3"):
        plot_decision_boundary(lambda row: row[0], [[0.0, 1.0]] * 3, [0, 1, 2])


# ---- attention


def labels(axes, along):
    """The texts below the columns of a heat map, or beside its rows, by the cell where they are."""
    axes.figure.draw_without_rendering()
    found = {}
    for text in axes.texts:
        at = text.get_window_extent().get_points().mean(axis=0)
        x, y = axes.transData.inverted().transform(at)
        if (y > axes.get_ylim()[0]) if along == 0 else (x < axes.get_xlim()[0]):
            found[round((x, y)[along])] = text.get_text()
    return found


def test_plot_attention(tmp_path):
    attention = nn.MultiHeadAttention(4, 2, generator=random.Random(0))
    attention([[0.1, -0.2, 0.3, 0.5]] * 3, is_causal=True)
    figure = plot_attention(attention.weights, "·ab", path=tmp_path / "attention.png")
    *heads, bar = figure.axes
    assert [axes.get_title() for axes in heads] == ["head 0", "head 1"]
    for axes, weights in zip(heads, attention.weights):
        (image,) = axes.images
        assert image.get_array().tolist() == weights
        assert image.get_clim() == (0, 1)
        assert axes.get_xlabel() == "key"
        assert labels(axes, along=0) == {0: "·", 1: "a", 2: "b"}
    assert heads[0].get_ylabel() == "query"
    assert labels(heads[0], along=1) == {0: "·", 1: "a", 2: "b"}
    assert not labels(heads[1], along=1)
    assert bar.get_ylabel() == "attention weight"
    assert min(png_size(tmp_path / "attention.png")[:2]) > 400
    assert smallest_text(figure) >= 12


def test_plot_attention_of_one_head_to_another_sequence():
    figure = plot_attention([[Value(0.25), Value(0.75)]], ["who"], ["she", "sings"])
    axes = figure.axes[0]
    assert axes.get_title() == ""
    assert axes.images[0].get_array().tolist() == [[0.25, 0.75]]
    assert labels(axes, along=0) == {0: "she", 1: "sings"}


def test_plot_attention_of_many_heads():
    figure = plot_attention([[[1.0]]] * 6, "a")
    assert sum(axes.axison and bool(axes.images) for axes in figure.axes) == 6


@pytest.mark.parametrize(
    ("heads", "tokens", "keys"),
    [
        (1, "a b", None),
        (1, "a", "abcdefghijklmnop"),
        (2, ["who"], ["everybody", ""]),
        (2, ["the", "longest", "of", "all", "words"], None),
        (5, "abcdefghij", "a"),
    ],
)
def test_no_part_of_an_attention_plot_is_cut_or_covered(heads, tokens, keys):
    row = [1 / len(keys or tokens)] * len(keys or tokens)
    figure = plot_attention([[row] * len(tokens)] * heads, tokens, keys)
    places = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
    for i, place in enumerate(places):
        assert min(place.min) > 0
        assert all(place.max < figure.bbox.max)
        assert not any(place.overlaps(other) for other in places[:i])


def test_plot_attention_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=re.escape('pip install "micrograd-plus[plot]"')):
        plot_attention([[1.0]], "a")


def test_plot_attention_with_other_lengths():
    with pytest.raises(ValueError, match=r"2 queries and 2 keys, .* must be 2 rows of 2 numbers"):
        plot_attention([[1.0]], "ab")


def test_import_matplotlib_leaves_its_docstrings_as_they_were():
    artist = pytest.importorskip("matplotlib.artist")
    import_matplotlib()
    assert "visible: bool" in artist.kwdoc(artist.Artist)

    class Later(artist.Artist):
        def set_size_of_all(self, size):
            """Sets it."""

    assert "size_of_all" in inspect.signature(Later.set).parameters
    assert "size_of_all" in Later.set.__doc__
