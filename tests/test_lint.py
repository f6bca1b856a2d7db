"""Each finding has tests that provoke it and tests that must stay silent."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from micrograd_nn import nn_over
from micrograd_nn import train as train_as_micrograd_does

import micrograd_plus as mp
from micrograd_plus import Value, losses, nn, optim
from micrograd_plus.classroom.lint.findings import Finding, Place, Report
from micrograd_plus.classroom.lint.watching import _WRAPPED, Watch

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
X, Y = mp.data.moons(40, noise=0.1, seed=0)
Y01 = [max(label, 0) for label in Y]


def watch() -> Watch:
    return mp.lint(quiet=True)


def mlp(*widths: int, seed: int = 0, **options: Any) -> nn.MLP:
    return nn.MLP(2, list(widths or (8, 8, 1)), generator=random.Random(seed), **options)


def set_parameters(module: Any, data: float, bias: float | None = None) -> None:
    for name, parameter in module.named_parameters():
        parameter.data = bias if bias is not None and name.endswith("b") else data


@pytest.fixture(autouse=True)
def everything_is_as_before() -> Iterator[None]:
    before = [vars(owner)[name] for owner, name, _ in _WRAPPED]
    yield
    assert [vars(owner)[name] for owner, name, _ in _WRAPPED] == before


def the_line(text: str) -> int:
    """The number of the one line of this file that ends with the comment `# text`."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [i for i, line in enumerate(lines, start=1) if line.endswith(f"  # {text}")]
    return number


# ---- no update


@pytest.mark.parametrize("sets_to_0", [True, False])
@pytest.mark.parametrize("how", ["p -= ...", "no step"])
def test_parameters_that_never_change(how: str, sets_to_0: bool) -> None:
    model = mlp(2, 1)
    with watch() as report:
        for _ in range(3):
            if sets_to_0:
                model.zero_grad()
            losses.hinge(model(X), Y).backward()  # changes nothing
            for p in model.parameters() if how == "p -= ..." else ():
                p -= 0.1 * p.grad
    (finding,) = report
    assert (finding.kind, finding.count) == ("no-update", 1)
    assert finding.place is not None
    assert finding.place.line == the_line("changes nothing")
    assert "p.data -= lr * p.grad" in finding.fix


@pytest.mark.parametrize("examples", [[X, X], [X[:9], X[9:20], X[20:]]])
def test_gradients_without_an_update_are_silent(examples: list[Any]) -> None:
    model = mlp(2, 1)
    with watch() as report:
        for rows in examples:
            model.zero_grad()
            losses.hinge(model(rows), Y[: len(rows)]).backward()
    assert not report


def test_data_that_is_a_value() -> None:
    model = mlp(2, 1)
    with watch() as report:
        for _ in range(4):
            model.zero_grad()
            losses.hinge(model(X), Y).backward()  # before a Value as data
            for p in model.parameters():
                p.data = p - 0.1 * p.grad  # type: ignore[assignment]
    (finding,) = report
    assert finding.kind == "data-is-a-value"
    assert "layers.0.neurons.0.w" in finding.message
    assert finding.place is not None
    assert finding.place.line == the_line("before a Value as data")
    assert "p.data -= lr * p.grad" in finding.fix


# ---- backward without zero_grad


def test_a_loop_without_zero_grad() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with watch() as report:
        for _ in range(10):
            loss = losses.hinge(model(X), Y)
            loss.backward()  # adds up
            optimizer.step()
    (finding,) = report
    assert finding.kind == "backward-without-zero-grad"
    assert finding.count == 9
    assert finding.place is not None
    assert (finding.place.file, finding.place.line) == (__file__, the_line("adds up"))
    assert finding.place.source == "loss.backward()  # adds up"
    assert "zero_grad()" in finding.fix


def test_a_loop_by_hand_without_zero_grad() -> None:
    w, b = Value(0.5), Value(0.0)
    with watch() as report:
        for _ in range(4):
            loss = sum((w * x + b - 2 * x) ** 2 for x in (1.0, 2.0, 3.0))
            loss.backward()  # by hand
            for p in (w, b):
                p.data += -0.001 * p.grad
    (finding,) = report
    assert (finding.kind, finding.count) == ("backward-without-zero-grad", 3)
    assert finding.place is not None
    assert finding.place.line == the_line("by hand")


def test_the_fault_that_forgets_zero_grad_is_found() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with mp.faults.forget_zero_grad(), watch() as report:
        for _ in range(3):
            optimizer.zero_grad()
            losses.hinge(model(X), Y).backward()
            optimizer.step()
    assert report.kinds == ["backward-without-zero-grad"]


@pytest.mark.parametrize("zero_at", ["begin", "end", "before backward"])
@pytest.mark.parametrize("by", ["optimizer", "model", "hand"])
def test_zero_grad_anywhere_is_enough(zero_at: str, by: str) -> None:
    model = mlp()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def zero() -> None:
        if by == "hand":
            for p in model.parameters():
                p.grad = 0.0
        else:
            {"optimizer": optimizer, "model": model}[by].zero_grad()

    with watch() as report:
        for _ in range(5):
            if zero_at == "begin":
                zero()
            loss = losses.hinge(model(X), Y)
            if zero_at == "before backward":
                zero()
            loss.backward()
            optimizer.step()
            if zero_at == "end":
                zero()
    assert not report, report


@pytest.mark.parametrize("with_optimizer", [True, False])
def test_gradients_may_be_accumulated_on_purpose(with_optimizer: bool) -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with watch() as report:
        for _ in range(5):
            optimizer.zero_grad()
            for begin in range(0, 40, 10):
                part = losses.hinge(model(X[begin : begin + 10]), Y[begin : begin + 10])
                (part / 4).backward()
            if with_optimizer:
                optimizer.step()
            else:
                for p in model.parameters():
                    p.data -= 0.01 * p.grad
    assert not report, report


def test_two_optimizers_taking_turns_are_silent() -> None:
    maker, judge = mlp(4, 2, seed=1), mlp(4, 1, seed=2)
    of_maker = optim.SGD(maker.parameters(), lr=0.01)
    of_judge = optim.SGD(judge.parameters(), lr=0.01)
    noise = [[0.3, -0.2], [0.1, 0.4]]
    with watch() as report:
        for _ in range(6):
            of_judge.zero_grad()
            made = [[v.detach() for v in row] for row in maker(noise)]
            losses.bce_with_logits(judge(X[:2] + made), [1, 1, 0, 0]).backward()
            of_judge.step()
            of_maker.zero_grad()
            losses.bce_with_logits(judge(maker(noise)), [1, 1]).backward()  # also the judge's
            of_maker.step()
    assert not report, report


# ---- a second backward, data that changed


def test_a_second_backward_over_the_same_graph() -> None:
    a = Value(3.0)
    b = a * a
    with watch() as report:
        b.backward()
        b.backward()  # again
    (finding,) = report
    assert finding.kind == "second-backward"
    assert "a second time" in finding.message
    assert finding.place is not None
    assert finding.place.line == the_line("again")


def test_a_forward_pass_outside_of_the_loop() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    loss = losses.hinge(model(X), Y)
    with watch() as report:
        for _ in range(5):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert report.kinds == ["second-backward"]
    assert report[0].count == 4
    assert "have moved since" in report[0].message


def test_two_losses_of_one_forward_pass_are_silent() -> None:
    w = Value(0.5)
    with watch() as report:
        h = (w * 2).tanh()
        first, second = (h - 1) ** 2, h * h
        first.backward()
        second.backward()
    assert not report


def test_the_same_graph_with_gradients_set_to_0_in_between_is_silent() -> None:
    a = Value(3.0)
    b = a * a
    with watch() as report:
        b.backward()
        a.grad = 0.0
        b.backward()
    assert not report
    assert a.grad == 6.0


def test_a_gradient_set_by_hand_is_no_first_backward() -> None:
    a = Value(3.0)
    b = a * a
    with watch() as report:
        b.grad = 1.0
        a.grad = 6.0
        a.grad = 0.0
        b.backward()
    assert not report


@pytest.mark.parametrize("which", ["leaf", "inside"])
def test_data_changed_between_forward_and_backward(which: str) -> None:
    w, x = Value(2.0, label="w"), Value(3.0, label="x")
    n = w * x
    loss = n.tanh()
    with watch() as report:
        if which == "leaf":
            w.data = 0.5
        else:
            n.data = 1.5
        loss.backward()
    (finding,) = report
    assert finding.kind == "data-changed-before-backward"
    assert "w * x is" in finding.message


def test_a_step_between_forward_and_backward() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    losses.hinge(model(X), Y).backward()
    with watch() as report:
        loss = losses.hinge(model(X), Y)
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()
    assert report.kinds == ["data-changed-before-backward"]


def test_nan_is_no_change() -> None:
    a = Value(-1.0)
    with watch() as report:
        (a.log() * 2).backward()
    assert "data-changed-before-backward" not in report.kinds


# ---- step without backward, gradients read early


def test_a_step_without_backward() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    with watch() as report:
        optimizer.zero_grad()
        losses.hinge(model(X), Y).backward()
        optimizer.step()
        optimizer.step()  # too many
    (finding,) = report
    assert finding.kind == "step-without-backward"
    assert "already been used" in finding.message
    assert finding.place is not None
    assert finding.place.line == the_line("too many")


def test_steps_before_any_backward_and_after_zero_grad() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with watch() as report:
        optimizer.step()
        losses.hinge(model(X), Y).backward()
        optimizer.zero_grad()
        optimizer.step()
    assert report.kinds == ["step-without-backward"]
    assert "since the beginning" in report[0].message
    assert "between backward() and step()" in report[1].message


def test_gradients_from_elsewhere_may_be_stepped_with() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    compiled = mp.compile(lambda x, y: losses.hinge(model(x), y))
    losses.hinge(model(X), Y).backward()
    with watch() as report:
        optimizer.step()  # the backward() was before
        for _ in range(3):
            optimizer.zero_grad()
            compiled(X, Y)
            optimizer.step()
    assert not report, report


def test_a_loss_that_has_reached_0_is_silent() -> None:
    w = Value(5.0)
    optimizer = optim.SGD([w], lr=0.01)
    with watch() as report:
        for _ in range(4):
            optimizer.zero_grad()
            losses.hinge([w * 1.0], [1]).backward()
            optimizer.step()
    assert not report, report


def test_a_graph_drawn_before_backward() -> None:
    a = Value(2.0, label="a")
    b = (a * 3).tanh()
    with watch() as report:
        mp.draw(b)
        mp.draw_dot(b)
    assert report.kinds == ["read-before-backward"]
    assert [f.place.line for f in report if f.place] == [
        f.place.line for f in report if f.place and "mp.draw" in f.place.source
    ]


def test_gradients_clipped_before_backward() -> None:
    model = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with watch() as report:
        for _ in range(3):
            loss = losses.hinge(model(X), Y)
            optimizer.zero_grad()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            loss.backward()
            optimizer.step()
    assert report.kinds == ["read-before-backward"]
    assert report[0].count == 3


def test_drawing_and_clipping_in_order_are_silent() -> None:
    model = mlp(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with watch() as report:
        loss = model(X[0]) ** 2
        mp.draw(loss, color=None)
        loss._repr_mimebundle_()  # a notebook shows what stands at the end of a cell
        loss.backward()
        mp.draw(loss)
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mp.draw(Value(1.0))
    assert not report, report


# ---- parameters that no gradient reaches


class TwoHeads(nn.Module):
    """A trunk, and two heads, of which `forward` uses one as `how` says."""

    def __init__(self, how: str) -> None:
        self.how = how
        generator = random.Random(0)
        self.trunk = nn.Linear(2, 4, generator=generator)
        self.head = nn.Linear(4, 1, generator=generator)
        self.other = nn.Linear(4, 1, generator=generator)

    def forward(self, X: Any) -> Any:
        rows = self.trunk(X)
        if self.how == "data":
            rows = [[Value(v.data) for v in row] for row in rows]
        elif self.how == "detach":
            rows = [[v.detach() for v in row] for row in rows]
        elif self.how == "no_grad":
            with mp.no_grad():
                rows = self.trunk(X)
        rows = [[v.tanh() for v in row] for row in rows]
        first, second = self.head(rows), self.other(rows)
        factor = {"zero": 0.0, "unused": None}.get(self.how, 1.0)
        if factor is None:
            return first
        return [[p[0] + factor * q[0]] for p, q in zip(first, second)]


def findings_of(model: nn.Module, steps: int = 3) -> Report:
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with watch() as report:
        for _ in range(steps):
            loss = losses.mse(model(X), Y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return report


@pytest.mark.parametrize(
    ("how", "what", "why"),
    [
        ("data", "TwoHeads.trunk", "its output is not connected to the loss"),
        ("detach", "TwoHeads.trunk", "its output is not connected to the loss"),
        ("no_grad", "TwoHeads.trunk", "its output is not connected to the loss"),
        ("zero", "all 5 parameters of TwoHeads.other", "there is a multiplication by 0"),
    ],
)
def test_parameters_that_no_gradient_reaches(how: str, what: str, why: str) -> None:
    report = findings_of(TwoHeads(how))
    assert report.kinds == ["no-gradient"], report
    assert len(report) == 1
    assert what in report[0].message
    assert why in report[0].message


def test_a_module_that_is_never_called() -> None:
    model = TwoHeads("whole")
    model.forgotten = nn.Linear(2, 3)
    report = findings_of(model)
    assert report.kinds == ["no-gradient"], report
    assert "all 9 parameters of TwoHeads.forgotten" in report[0].message
    assert "no graph that backward() ran over contains them" in report[0].message


def test_a_parameter_of_no_module() -> None:
    w, b, c = Value(0.5, label="w"), Value(0.1, label="b"), Value(0.2, label="c")
    optimizer = optim.SGD([w, b, c], lr=0.01)
    with watch() as report:
        loss = (w * 3 + 0 * c - 1) ** 2
        loss.backward()
        optimizer.step()
    assert report.kinds == ["no-gradient"]
    assert len(report) == 2
    assert any("parameter b" in f.message and "ran over contains it" in f.message for f in report)
    assert any("parameter c" in f.message and "multiplication by 0" in f.message for f in report)


def test_a_whole_layer_behind_dead_relus() -> None:
    model = mlp(4, 4, 1)
    set_parameters(model.layers[1], -1.0, bias=-5.0)
    report = findings_of(model)
    kinds = {(f.kind, f.message.split(":")[0]) for f in report}
    assert any(kind == "dead-relu" and "layers.1" in said for kind, said in kinds)
    assert any(kind == "no-gradient" and "layers.0" in said for kind, said in kinds)


@pytest.mark.parametrize("loss", ["mse", "hinge"])
def test_all_parameters_reached_is_silent(loss: str) -> None:
    model = TwoHeads("whole")
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with watch() as report:
        mp.fit(
            model, X, Y, loss=loss, optimizer=optimizer, epochs=5, compiled=False, progress=False
        )
    assert not report, report


def test_rows_of_a_table_that_are_not_picked_are_silent() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            self.rows = [[Value(0.1), Value(-0.1)] for _ in range(5)]

        def forward(self, i: int) -> Any:
            return mp.pick(self.rows, i)

    model = Table()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with watch() as report:
        for i in (0, 1, 3, 0):
            optimizer.zero_grad()
            losses.cross_entropy(model(i), i % 2).backward()
            optimizer.step()
    assert not report, report


def test_an_input_that_is_always_0_and_a_head_that_starts_at_0_are_silent() -> None:
    model = TwoHeads("whole")
    set_parameters(model.head, 0.0)
    set_parameters(model.other, 0.0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with watch() as report:
        for _ in range(4):
            loss = losses.mse(model([[0.0, x] for _, x in X]), Y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert not report, report


def test_a_dead_unit_before_dropout_is_no_factor_of_0() -> None:
    draw = random.Random(0)
    first, last = nn.Linear(2, 8, generator=draw), nn.Linear(8, 1, generator=draw)
    first.bias[3].data = -99.0
    model = nn.Sequential(first, nn.ReLU(), nn.Dropout(0.5, generator=draw), last)
    assert not findings_of(model)
    with watch() as report:
        losses.mse(model(X[0]), [1.0]).backward()
    assert not report, report


def test_layers_that_all_start_at_0_stop_each_other() -> None:
    model = mlp(4, 4, 1, activation="tanh")
    set_parameters(model, 0.0)
    report = findings_of(model)
    assert "no-gradient" in report.kinds
    assert all("multiplication by 0" in f.message for f in report if f.kind == "no-gradient")


def test_a_teacher_without_gradients_is_silent() -> None:
    teacher, student = mlp(seed=1), mlp(seed=2)
    with watch() as report:
        for _ in range(3):
            with mp.no_grad():
                labels = teacher(X)
            student.zero_grad()
            losses.mse(student(X), labels).backward()
            for p in student.parameters():
                p.data -= 0.01 * p.grad
    assert not report, report


def test_frozen_parameters_are_nobodys_business() -> None:
    model = TwoHeads("detach")
    optimizer = optim.SGD([*model.head.parameters(), *model.other.parameters()], lr=0.01)
    with watch() as report:
        for _ in range(3):
            model.zero_grad()
            losses.mse(model(X), Y).backward()
            optimizer.step()
    assert not report, report


# ---- units


def test_dead_relus_are_counted_per_layer() -> None:
    model = mlp(8, 8, 1)
    for neuron in model.layers[0].neurons[:5]:
        set_parameters(neuron, -1.0, bias=-9.0)
    report = findings_of(model)
    (finding,) = [f for f in report if f.kind == "dead-relu"]
    assert finding.message.startswith("MLP.layers.0 (Layer(2 → 8, relu)): 5 of 8 relu units")


def test_dead_relus_of_a_sequential() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    set_parameters(model[0], -1.0)
    for b in model[0].bias:
        b.data = -9.0
    report = mp.lint(model, X, Y, loss="mse")
    (finding,) = [f for f in report if f.kind == "dead-relu"]
    assert "Sequential.0" in finding.message
    assert "4 of 4" in finding.message


def test_dead_relus_without_modules_are_counted_by_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    from micrograd_plus import engine

    random.seed(1)
    model = nn_over(engine, monkeypatch).MLP(2, [8, 8, 1])
    for neuron in model.layers[0].neurons[1:]:
        neuron.b.data = -9.0
    with watch() as report:
        for _ in range(4):
            loss = hinge_by_hand([model(row) for row in X], Y)
            total = loss + 1e-4 * sum(p * p for p in model.parameters())
            model.zero_grad()
            total.backward()
            for p in model.parameters():
                p.data -= 0.05 * p.grad
    assert report.kinds == ["dead-relu"]
    assert report[0].message.startswith("layer 1, counted from the inputs: 7 of 8 relu units")


def test_some_dead_relus_and_too_few_examples_are_silent() -> None:
    model = mlp(8, 8, 1)
    for neuron in model.layers[0].neurons[:2]:
        set_parameters(neuron, -1.0, bias=-9.0)
    assert not findings_of(model)
    with watch() as report:
        for row in X[:3]:
            model.zero_grad()
            model(row).backward()
    assert not report, report


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_saturated_units(activation: str) -> None:
    model = mlp(6, 6, 1, activation=activation)
    for neuron in model.layers[1].neurons:
        set_parameters(neuron, 9.0, bias=90.0)
    (finding,) = [f for f in mp.lint(model, X, Y, loss="mse") if f.kind == "saturated"]
    assert f"MLP.layers.1 (Layer(6 → 6, {activation})): 6 of 6 {activation}" in finding.message
    assert "saturated" not in mp.lint(mlp(6, 6, 1, activation=activation), X, Y, loss="mse").kinds


def test_an_output_that_is_sure_is_not_saturated() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    set_parameters(model, 50.0)
    assert not mp.lint(model, X, Y01, loss="bce")


def test_units_without_a_loss() -> None:
    model = mlp(4, 4, 1)
    set_parameters(model.layers[0], -1.0, bias=-9.0)
    losses.mse(model(X), Y).backward()
    assert "dead-relu" in mp.lint(model, X).kinds


# ---- the size of gradients and of updates


def test_vanishing_gradients() -> None:
    deep = nn.MLP(2, [8] * 5 + [1], activation="sigmoid", generator=random.Random(0))
    losses.mse(deep(X), Y).backward()
    for report in (mp.lint(deep), mp.lint(deep, X, Y, loss="mse")):
        (finding,) = report
        assert finding.kind == "vanishing-gradients"
        assert "times as large as those of MLP.layers.0" in finding.message
    assert "vanishing-gradients" in findings_of(deep).kinds


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("depth", [1, 2, 6])
def test_healthy_gradients_are_silent(activation: str, depth: int) -> None:
    model = nn.MLP(2, [16] * depth + [1], activation=activation, generator=random.Random(1))
    kinds = mp.lint(model, X, Y, loss="mse").kinds
    assert not {"vanishing-gradients", "exploding-gradients"} & {*kinds}


def test_exploding_gradients() -> None:
    wild = nn.MLP(
        2, [8] * 5 + [1], generator=random.Random(0), init=lambda a, b, draw: draw.gauss(0, 4)
    )
    assert "exploding-gradients" in mp.lint(wild, X, Y, loss="mse").kinds
    chain = nn.Sequential(*[nn.Linear(1, 1, bias=False) for _ in range(3)])
    for layer, weight in zip(chain, (1e-3, 10.0, 10.0)):
        set_parameters(layer, weight)
    (finding,) = mp.lint(chain, [[1.0]], [[1.0]], loss="mse")
    assert finding.kind == "exploding-gradients"
    assert "gradients grow from the last layer to the first" in finding.message


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_learning_rate_that_is_too_large(by_hand: bool) -> None:
    w = Value(1.0)
    optimizer = optim.SGD([w], lr=1.2)
    with watch() as report:
        for _ in range(6):
            loss = (w - 0.01) ** 2
            w.grad = 0.0
            loss.backward()
            if by_hand:
                w.data -= 1.2 * w.grad
            else:
                optimizer.step()
    (finding,) = report
    assert finding.kind == "learning-rate-too-large"
    assert finding.place is not None


def test_a_learning_rate_is_judged_before_its_step() -> None:
    model = mlp()
    losses.mse(model(X), Y).backward()
    before = [(p.data, p.grad) for p in model.parameters()]
    large = optim.Adam(model.parameters(), lr=10.0)
    assert mp.lint(model, optimizer=large).kinds == ["learning-rate-too-large"]
    assert large.state == [{}] * len(before)
    assert not mp.lint(model, optimizer=optim.Adam(model.parameters(), lr=0.01))
    assert [(p.data, p.grad) for p in model.parameters()] == before


def test_parameters_that_start_at_0_may_move_far_at_first() -> None:
    model = nn.Linear(2, 1)
    set_parameters(model, 0.0)
    assert not findings_of(model, steps=8)
    w = Value(0.0)
    optimizer = optim.Adam([w], lr=0.5)
    with watch() as report:
        for _ in range(10):
            optimizer.zero_grad()
            ((w - 3) ** 2).backward()
            optimizer.step()
    assert not report, report


# ---- the end of the model, and the loss


def ends_in_relu() -> nn.Sequential:
    draw = random.Random(1)
    last = nn.Linear(8, 1, generator=draw)
    last.bias[0].data = 0.5
    return nn.Sequential(nn.Linear(2, 8, generator=draw), nn.Tanh(), last, nn.ReLU())


@pytest.mark.parametrize(("loss", "labels"), [("mse", Y), ("hinge", Y), ("bce_with_logits", Y01)])
def test_a_final_relu(loss: str, labels: list[int]) -> None:
    report = mp.lint(ends_in_relu(), X, labels, loss=loss)
    assert report.kinds == ["final-relu"], report
    neuron = nn.Neuron(2)
    set_parameters(neuron, -1.0)
    assert "final-relu" in mp.lint(neuron, X, labels, loss=loss).kinds


def test_a_final_relu_for_labels_from_0_up_is_silent() -> None:
    assert not mp.lint(ends_in_relu(), X, Y01, loss="mse")
    assert not mp.lint(mlp(), X, Y, loss="hinge")  # whose loss is made with a ReLU


def hinge_by_hand(scores: list[Value], labels: list[int]) -> Value:
    return sum((1 - label * score).relu() for score, label in zip(scores, labels)) / len(labels)


def test_a_hinge_loss_by_hand_is_no_final_relu() -> None:
    assert not mp.lint(mlp(), X, Y, loss=hinge_by_hand)


@pytest.mark.parametrize("end", ["Sigmoid", "Softmax"])
def test_probabilities_for_a_loss_that_wants_logits(end: str) -> None:
    width = 1 if end == "Sigmoid" else 2
    model = nn.Sequential(nn.Linear(2, width), getattr(nn, end)())
    name = "bce_with_logits" if end == "Sigmoid" else "cross_entropy"
    (finding,) = mp.lint(model, X, Y01, loss=name)
    assert finding.kind == "squashed-before-logits-loss"
    assert f"{end.lower()} goes into {name}" in finding.message
    assert finding.count == 1
    with watch() as report:
        getattr(losses, name)(model(X), Y01).backward()
    assert report.kinds == ["squashed-before-logits-loss"]


def test_probabilities_and_logits_where_they_belong_are_silent() -> None:
    logits = nn.Linear(2, 1)
    probabilities = nn.Sequential(logits, nn.Sigmoid())
    assert not mp.lint(probabilities, X, Y01, loss="bce")
    assert not mp.lint(logits, X, Y01, loss=nn.BCEWithLogitsLoss())
    assert not mp.lint(nn.Linear(2, 3), X, Y01, loss="cross_entropy")


# ---- no false alarm on what is right


@pytest.mark.parametrize("model", [mlp, lambda: TwoHeads("whole")])
def test_evaluation_validation_and_gradcheck_inside_are_silent(model: Any) -> None:
    model = model()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    with watch() as report:
        for _ in range(3):
            optimizer.zero_grad()
            loss = losses.mse(model(X), Y)
            loss.backward()
            optimizer.step()
            with mp.no_grad():
                model(X)
            mp.evaluate(model, X, Y, loss="mse")
            assert mp.gradcheck(losses.mse(model(X[:2]), Y[:2]))
            assert mp.gradcheck(lambda a: a * a, [3.0])
    assert not report, report


@pytest.mark.parametrize("batch_size", [None, 10])
@pytest.mark.parametrize("compiled", [False, "auto"])
def test_fit_is_silent(batch_size: int | None, compiled: Any) -> None:
    """To the end, where the loss and all its gradients are 0."""
    model = mlp(16, 16, 1)
    with watch() as report:
        history = mp.fit(
            model,
            X,
            Y,
            loss="hinge",
            optimizer=optim.Adam(model.parameters(), lr=0.1),
            epochs=40,
            batch_size=batch_size,
            validation=(X[:9], Y[:9]),
            clip_grad_norm=1.0,
            compiled=compiled,
            progress=False,
        )
    assert history.loss.count(0.0) >= 3
    assert not report, report


def test_mistakes_inside_fit_point_to_its_call() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    with watch() as report:
        mp.fit(  # the call
            model, X, Y01, loss="bce_with_logits", epochs=2, compiled=False, progress=False
        )
    (finding,) = report
    assert finding.kind == "squashed-before-logits-loss"
    assert finding.place is not None
    assert abs(finding.place.line - the_line("the call")) <= 2


def test_a_picture_between_two_compiled_runs_is_silent() -> None:
    model = mlp()
    with watch() as report:
        for _ in range(3):
            mp.fit(model, X, Y, loss="hinge", epochs=3, compiled=True, progress=False)
            model(X[0]).backward()
    assert not report, report


def test_micrograds_own_nn_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    from micrograd_plus import engine

    with watch() as report:
        found, _ = train_as_micrograd_does(nn_over(engine, monkeypatch), Value, steps=12)
    assert found[-1] < found[0]
    assert not report, report


def test_inputs_that_are_values_with_new_numbers_are_silent() -> None:
    w, x = Value(0.5), Value(0.0)
    with watch() as report:
        for number in (1.0, -2.0, 3.0, 0.5, -1.0, 2.0):
            x.data = number
            w.grad = x.grad = 0.0
            ((w * x - 2 * number) ** 2).backward()
            w.data -= 0.01 * w.grad
    assert not report, report


def test_the_mistakes_in_the_notebooks_are_found() -> None:
    a = Value(3.0, label="a")
    b = a + a
    deep = nn.MLP(2, [8, 8, 8, 8, 8, 1], activation="sigmoid", generator=random.Random(0))
    with watch() as report:
        b.backward()
        b.backward()
        losses.mse(deep(X), Y).backward()
    assert report.kinds == ["second-backward", "vanishing-gradients"]


# ---- the `with`


def test_it_prints_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    with mp.lint():
        (Value(2.0) * 3).backward()
    assert capsys.readouterr().out == "lint: no findings (1 backward pass, 0 optimizer steps)\n"
    with mp.lint() as report:
        pass
    assert "backward() was not called" in capsys.readouterr().out
    assert not report
    assert len(report) == 0


def test_an_exception_goes_through_and_everything_is_restored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    a = Value(2.0)
    b = a * a
    b.backward()
    with pytest.raises(TypeError), mp.lint():
        float(b.backward())  # type: ignore[func-returns-value]
    assert "1 backward pass" in capsys.readouterr().out
    assert not hasattr(Value.backward, "__wrapped__")


def test_it_watches_once_at_a_time() -> None:
    with (
        watch(),
        pytest.raises(RuntimeError, match="already active"),
        watch(),
    ):
        pass
    with watch() as report:
        (Value(2.0) * 3).backward()
    assert not report


def test_other_threads_are_not_watched() -> None:
    def mistake() -> None:
        b = Value(2.0) * 3
        b.backward()
        b.backward()

    inner: list[Report] = []

    def watched_mistake() -> None:
        with watch() as report:
            mistake()
        inner.append(report)

    with watch() as outer:
        for target in (mistake, watched_mistake):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert not outer
    assert inner[0].kinds == ["second-backward"]


class Marked(Value):
    """A Value that can be referred to weakly."""

    __slots__ = ("__weakref__",)


def test_graphs_are_not_kept_alive() -> None:
    w = Value(0.5)
    gone: list[weakref.ref[Marked]] = []
    with watch():
        for _ in range(4):
            w.grad = 0.0
            inner = Marked(1.0)
            inner.op, inner.operands = mp.TABLE["mul"], (w, mp.Constant(2.0))
            gone.append(weakref.ref(inner))
            (inner * 3).backward()
            del inner
        gc.collect()
        assert all(reference() is None for reference in gone)


# ---- lint(model)


def test_a_model_before_backward() -> None:
    model = mlp()
    assert mp.lint(model).kinds == ["read-before-backward"]
    assert "lint(model, X, y, loss=...)" in mp.lint(model)[0].fix


def test_a_model_after_a_step() -> None:
    model = TwoHeads("unused")
    losses.mse(model(X), Y).backward()
    (finding,) = mp.lint(model)
    assert finding.kind == "no-gradient"
    assert "all 5 parameters of TwoHeads.other" in finding.message
    whole = TwoHeads("whole")
    losses.mse(whole(X), Y).backward()
    assert not mp.lint(whole)


def test_a_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5, generator=random.Random(0)))
    model.train()
    model(X)[0][0].backward()
    before = [(p.data, p.grad) for p in model.parameters()]
    state = model[1].generator.getstate()
    mp.lint(model, X, [[0.0] * 3] * 40, loss="mse")
    assert [(p.data, p.grad) for p in model.parameters()] == before
    assert model[1].generator.getstate() == state
    assert model[1].training


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mp.lint(loss="mse"), TypeError, "without a model"),
        (lambda: mp.lint([1.0]), TypeError, "a Module.*given a list"),
        (lambda: mp.lint(mlp(), X, Y), TypeError, "X, y and loss"),
        (
            lambda: mp.lint(mlp(), X, Y, loss="mean"),
            ValueError,
            "no loss 'mean'; the losses are",
        ),
    ],
)
def test_what_lint_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- words


def test_a_report_in_words() -> None:
    report = Report()
    place = Place(__file__, the_line("for the report"), "lesson")
    report.add("a-kind", "something `odd` *happened*.", "write <this>.", place)  # for the report
    report.add("a-kind", "something `odd` *happened*.", "write <this>.", place)
    text = str(report)
    assert text.startswith("lint: 1 finding\n\n1. a-kind  (")
    assert f"test_lint.py:{place.line}, in lesson, 2 times)" in text
    assert "What to do: write <this>." in text
    assert repr(report) == text
    markdown = report._repr_markdown_()
    assert r"something \`odd\` \*happened\*." in markdown
    assert "```python\nreport.add(" in markdown
    assert len(report) == 1
    assert report[0].count == 2


def test_source_with_backticks_stays_inside_its_fence(tmp_path: Path) -> None:
    path = tmp_path / "lesson.py"
    path.write_text("x = '```'\n", encoding="utf-8")
    assert (
        "````python\nx = '```'\n````"
        in Finding("k", "m", "f", Place(str(path), 1))._repr_markdown_()
    )


def test_long_lines_are_wrapped() -> None:
    report = Report()
    report.add("a-kind", "word " * 60, "word " * 60)
    assert max(map(len, str(report).splitlines())) <= 92


@pytest.mark.filterwarnings("ignore")
def test_cells_are_called_as_the_notebook_calls_them() -> None:
    from nbclient import NotebookClient

    cells = [
        "import micrograd_plus as mp\na = mp.Value(2.0)",
        "with mp.lint():\n    b = a * a\n    b.backward()\n    b.backward()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=120).execute()
    (out,) = notebook.cells[1].outputs
    assert "second-backward  (In[2], line 4)\n       b.backward()\n" in out["text"]
