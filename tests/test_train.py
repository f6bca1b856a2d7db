"""`fit` and `evaluate`: against loops written by hand, and when things go wrong."""

import math
import random
import sys
import warnings

import pytest

from micrograd_plus import Value, data, evaluate, fit, losses, nn, no_grad, optim
from micrograd_plus.support.progress import bar
from micrograd_plus.train import LOSSES, History


def network(seed=0, **options):
    return nn.MLP(2, [4, 1], activation="tanh", generator=random.Random(seed), **options)


def moons(n=20):
    return data.moons(n, noise=0.05, seed=1)


def numbers(model):
    return [p.data for p in model.parameters()]


def quiet(*args, **options):
    return fit(*args, progress=False, **options)


pytestmark = pytest.mark.filterwarnings("ignore:fit trains with eager code:UserWarning")


class Weight(nn.Module):
    """One weight, times the input. It takes batches alone: `fit` cannot compile it, and says so."""

    def __init__(self, w=1.0):
        self.w = Value(w)

    def forward(self, x):
        return [row[0] * self.w for row in x]


# ---- what it learns


def test_moons():
    X, y = data.moons(100, noise=0.1, seed=0)
    model = nn.MLP(2, [16, 16, 1], generator=random.Random(0))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    history = quiet(model, X, y, loss="hinge", optimizer=optimizer, epochs=80)
    loss, accuracy = evaluate(model, X, y, loss="hinge")
    assert accuracy == history.accuracy[-1] == 1.0
    assert loss < 0.1
    decided = [1 if model(row).data > 0 else -1 for row in X]
    assert decided == y


def test_three_classes():
    X, y = data.blobs(30, std=0.1)
    model = nn.Sequential(nn.Linear(2, 3, generator=random.Random(0)))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    history = quiet(model, X, y, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=40)
    assert history.accuracy[-1] == 1.0
    assert evaluate(model, X, y, loss="cross_entropy")[1] == 1.0


def test_regression_has_no_accuracy():
    X, y = data.linear(20, slope=2.0, intercept=-1.0, noise=0.0)
    model = nn.Linear(1, 1, generator=random.Random(0))
    optimizer = optim.SGD(model.parameters(), lr=0.3)
    history = quiet(model, X, y, loss="mse", optimizer=optimizer, epochs=60, validation=(X, y))
    assert model.state_dict()["weight"][0][0] == pytest.approx(2.0, abs=1e-3)
    assert model.state_dict()["bias"][0] == pytest.approx(-1.0, abs=1e-3)
    assert history.accuracy == history.val_accuracy == []
    assert evaluate(model, X, y, loss="mse")[1] is None


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_by_its_name(loss):
    X, y = moons(6)
    if loss in ("bce", "bce_with_logits", "cross_entropy"):
        y = [int(target == 1) for target in y]
    outputs = 2 if loss == "cross_entropy" else 1
    last = [nn.Sigmoid()] if loss == "bce" else []
    model = nn.Sequential(nn.Linear(2, outputs, generator=random.Random(0)), *last)
    history = quiet(model, X, y, loss=loss, epochs=10)
    assert history.loss[-1] < history.loss[0]
    assert bool(history.accuracy) == (loss not in ("mse", "l1", "huber"))


def test_column_targets_as_in_pytorch():
    X, y = moons(6)
    flat, column = network(), network()
    one = quiet(flat, X, y, loss="hinge", epochs=3)
    other = quiet(column, X, [[t] for t in y], loss="hinge", epochs=3)
    assert one == other
    assert numbers(flat) == numbers(column)


def test_arrays_and_tensors():
    np = pytest.importorskip("numpy")
    X, y = moons(10)
    expected, model = network(), network()
    one = quiet(expected, X, y, loss="hinge", epochs=3, batch_size=4, validation=(X, y))
    X, y = np.array(X), np.array(y)
    other = quiet(model, X, y, loss="hinge", epochs=3, batch_size=4, validation=(X, y))
    assert one == other
    assert numbers(model) == numbers(expected)
    assert evaluate(model, X, y, loss="hinge")[0] < one.loss[0]


# ---- against a loop written by hand


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("batch_size", [None, 6])
def test_a_loop_by_hand(batch_size, compiled):
    X, y = moons(20)
    X_val, y_val = data.moons(11, seed=9)
    by_hand, model = network(), network()

    optimizer = optim.Adam(by_hand.parameters(), lr=0.05)
    schedule = optim.ExponentialLR(optimizer, gamma=0.9)
    generator = random.Random(7)
    expected = History()
    for _ in range(5):
        loss_sum = right = norm_sum = steps = 0
        for rows, targets in data.batches(X, y, batch_size or 20, batch_size and generator):
            optimizer.zero_grad()
            scores = by_hand(rows)
            loss = losses.hinge(scores, targets)
            loss.backward()
            norm_sum += math.sqrt(sum(p.grad**2 for p in by_hand.parameters()))
            optim.clip_grad_norm_(by_hand.parameters(), 0.5)
            optimizer.step()
            loss_sum += loss.data * len(rows)
            right += sum((s.data > 0) == (t > 0) for s, t in zip(scores, targets))
            steps += 1
        expected.loss.append(loss_sum / 20)
        expected.accuracy.append(right / 20)
        expected.grad_norm.append(norm_sum / steps)
        expected.lr.append(optimizer.lr)
        schedule.step()
        scores = by_hand(X_val)
        expected.val_loss.append(losses.hinge(scores, y_val).data)
        expected.val_accuracy.append(
            sum((s.data > 0) == (t > 0) for s, t in zip(scores, y_val)) / 11
        )

    optimizer = optim.Adam(model.parameters(), lr=0.05)
    history = quiet(
        model,
        X,
        y,
        loss="hinge",
        optimizer=optimizer,
        epochs=5,
        batch_size=batch_size,
        generator=random.Random(7),
        validation=(X_val, y_val),
        schedule=optim.ExponentialLR(optimizer, gamma=0.9),
        clip_grad_norm=0.5,
        compiled=compiled,
    )
    # A compiled sum is added in another order, and Adam divides small gradients by themselves.
    rel = 1e-8 if compiled else 1e-12
    for name in ("loss", "accuracy", "grad_norm", "lr", "val_loss", "val_accuracy"):
        assert getattr(history, name) == pytest.approx(getattr(expected, name), rel=rel), name
    assert numbers(model) == pytest.approx(numbers(by_hand), rel=rel, abs=rel if compiled else 0)
    assert history.stopped == ""


def test_validation_does_not_train():
    X, y = moons()
    with_it, without = network(), network()
    quiet(with_it, X, y, loss="hinge", epochs=4, batch_size=5, validation=data.moons(9, seed=5))
    quiet(without, X, y, loss="hinge", epochs=4, batch_size=5)
    assert numbers(with_it) == numbers(without)


def test_one_seed_reproduces_a_run():
    X, y = moons()
    runs = [quiet(network(), X, y, loss="hinge", epochs=3, batch_size=7) for _ in range(2)]
    assert runs[0] == runs[1]


def test_the_default_optimizer():
    X, y = moons(6)
    default, given = network(), network()
    quiet(default, X, y, loss="hinge", epochs=3)
    quiet(given, X, y, loss="hinge", epochs=3, optimizer=optim.Adam(given.parameters(), lr=0.01))
    assert numbers(default) == numbers(given)


def test_parameters_that_the_optimizer_leaves_out():
    """A frozen layer neither moves nor counts in the gradient's norm."""
    X, y = moons(6)
    model = network()
    head = model.layers[1].parameters()
    frozen = numbers(model.layers[0])
    history = quiet(
        model, X, y, loss="hinge", epochs=3, optimizer=optim.SGD(head, lr=0.1), clip_grad_norm=1e-3
    )
    assert numbers(model.layers[0]) == frozen
    by_hand = network()
    losses.hinge(by_hand(X), y).backward()
    assert history.grad_norm[0] == pytest.approx(optim.grad_norm(by_hand.layers[1].parameters()))
    assert max(p.grad for p in model.layers[0].parameters()) < 1  # of one step, not of all


# ---- modes


def test_the_model_is_left_in_evaluation():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            self.w = Value(1.0)

        def forward(self, x):
            seen.append(self.training)
            return [row[0] * self.w for row in x]

    model = Spy()
    validation = [[1.0]], [2.0]
    quiet(model, [[1.0]], [2.0], loss="mse", epochs=2, validation=validation, compiled=False)
    assert not model.training
    assert seen[:4] == [True, False, True, False]


def test_evaluate_leaves_every_mode_as_it_was():
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.9), nn.Dropout(0.9))
    model[2].eval()
    first = evaluate(model, [[1.0], [2.0]], [1.0, 2.0], loss="mse")
    assert first == evaluate(model, [[1.0], [2.0]], [1.0, 2.0], loss="mse")  # nothing dropped
    assert [m.training for m in model.modules()] == [True, True, True, False]


def test_evaluate_by_hand():
    model = Weight(2.0)
    loss, accuracy = evaluate(model, [[1.0], [2.0]], [1.0, 1.0], loss=nn.MSELoss())
    assert (loss, accuracy) == ((1 + 9) / 2, None)
    assert evaluate(model, [[1.0], [-2.0], [3.0]], [1, 1, -1], loss="hinge")[1] == 1 / 3
    assert model.w.grad == 0.0


# ---- stopping


def test_callbacks():
    X, y = moons(6)
    lengths = []

    def count(history):
        lengths.append(len(history.loss))

    history = quiet(
        network(), X, y, loss="hinge", epochs=9, callbacks=[count, lambda h: len(h.loss) == 3]
    )
    assert lengths == [1, 2, 3]
    assert len(history.loss) == 3
    assert history.stopped == "by a callback after epoch 3"
    assert repr(history).endswith("stopped: by a callback after epoch 3)")


def test_early_stop_goes_back_to_the_best_validation_loss():
    """Training pulls the weight to 10, past 3, where the validation loss is smallest."""
    model = Weight(0.0)
    path = []
    history = quiet(
        model,
        [[1.0]],
        [10.0],
        loss="mse",
        optimizer=optim.SGD(model.parameters(), lr=0.05),
        epochs=100,
        validation=([[1.0]], [3.0]),
        early_stop=4,
        callbacks=[lambda h: path.append(model.w.data)],
    )
    best = history.val_loss.index(min(history.val_loss))
    assert len(history.val_loss) == best + 1 + 4
    assert model.w.data == path[best]
    assert evaluate(model, [[1.0]], [3.0], loss="mse")[0] == min(history.val_loss)
    assert f"no improvement for 4 epochs; the parameters are those of epoch {best + 1}" == (
        history.stopped
    )


@pytest.mark.parametrize("epochs", [3, 50])
def test_early_stop_goes_back_to_the_best_training_loss(epochs):
    """A learning rate that jumps ever further away: the first parameters were the best."""
    model = Weight(1.1)
    optimizer = optim.SGD(model.parameters(), lr=1.1)
    history = quiet(
        model, [[1.0]], [1.0], loss="mse", optimizer=optimizer, epochs=epochs, early_stop=5
    )
    assert history.loss == sorted(history.loss)
    assert len(history.loss) == min(epochs, 6)
    assert model.w.data == 1.1
    assert evaluate(model, [[1.0]], [1.0], loss="mse")[0] == min(history.loss)


# ---- divergence


def test_divergence():
    model = Weight(1.0)
    optimizer = optim.SGD(model.parameters(), lr=1e60)
    with pytest.warns(RuntimeWarning) as caught:
        history = quiet(
            model, [[1.0]], [0.0], loss="mse", optimizer=optimizer, epochs=100, compiled=False
        )
    (warning,) = caught
    message = str(warning.message)
    assert warning.filename == __file__  # it points at the line that called fit
    assert history.stopped == message
    steps = len(history.loss) + 1
    assert f"at step {steps} with lr=1e+60" in message
    for advice in (
        "Try lr=0.01",
        "clip_grad_norm=1.0",
        "inputs and targets scaled",
        "detect_anomaly",
    ):
        assert advice in message
    assert all(map(math.isfinite, history.loss))
    assert all(map(math.isfinite, history.grad_norm))
    assert math.isfinite(model.w.data)
    assert evaluate(model, [[1.0]], [0.0], loss="mse")[0] == history.loss[-1]
    assert not model.training


def test_divergence_of_a_network():
    X, y = moons()
    model = nn.MLP(2, [4, 1], generator=random.Random(0))
    optimizer = optim.SGD(model.parameters(), lr=1e200)
    with pytest.warns(RuntimeWarning, match="lr=1e\\+200"):
        history = quiet(model, X, y, loss="mse", optimizer=optimizer, epochs=20)
    assert all(map(math.isfinite, numbers(model)))
    assert evaluate(model, X, y, loss="mse")[0] == pytest.approx(history.loss[-1])


@pytest.mark.parametrize("how", ["nan", "inf"])
def test_divergence_at_the_first_step(how):
    model = Weight(1.0)
    with pytest.warns(RuntimeWarning, match=r"at step 1 with lr=0.01, before any update\. Look"):
        history = quiet(model, [[float(how)]], [0.0], loss="mse", epochs=5)
    assert model.w.data == 1.0
    assert history.loss == []


@pytest.mark.parametrize(
    ("lr", "what"),
    [(1e200, "the loss became inf"), (1e308, "the loss became (inf|nan)")],
)
@pytest.mark.parametrize("stop", [False, True])
def test_divergence_after_the_very_last_step(lr, what, stop):
    model = Weight(5.0)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    with pytest.warns(RuntimeWarning, match=f"{what} at step 1 with lr={lr:g}".replace("+", r"\+")):
        history = quiet(
            model,
            [[1.0]],
            [0.0],
            loss="mse",
            optimizer=optimizer,
            epochs=2 if stop else 1,
            callbacks=[lambda h: stop],
        )
    assert model.w.data == 5.0
    assert history.loss == [25.0]


def test_a_parameter_that_no_loss_shows():
    class Squashed(Weight):
        def forward(self, x):
            return [(row[0] * self.w).sigmoid() for row in x]

    model = Squashed(0.0)
    optimizer = optim.SGD(model.parameters(), lr=1e308)
    with pytest.warns(RuntimeWarning, match="a parameter became inf at step 1"):
        quiet(
            model,
            [[1.0]],
            [2.0],
            loss=lambda p, t: 100 * losses.l1(p, t),  # 0.25 * 100 * 1e308 is inf, its sigmoid 1
            optimizer=optimizer,
            epochs=1,
        )
    assert model.w.data == 0.0


def test_a_gradient_that_is_not_finite():
    class Root(Weight):
        def forward(self, x):
            return [(row[0] * self.w).sqrt() for row in x]

    model = Root(0.0)
    with pytest.warns(RuntimeWarning, match="the gradient's norm became inf at step 1"):
        quiet(model, [[1.0]], [4.0], loss="mse", epochs=3)
    assert model.w.data == 0.0


def test_a_gradient_as_large_as_a_double_can_be_is_clipped():
    model = Weight(1.0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    history = quiet(
        model, [[1e200]], [0.0], loss="l1", optimizer=optimizer, epochs=1, clip_grad_norm=1.0
    )
    assert history.grad_norm == [pytest.approx(1e200)]
    assert model.w.data == pytest.approx(0.9)


# ---- Ctrl-C


def _interrupt(*args):
    raise KeyboardInterrupt


def test_interrupted_in_a_callback():
    X, y = moons(6)
    expected, model = network(), network()
    quiet(expected, X, y, loss="hinge", epochs=2)
    history = quiet(
        model, X, y, loss="hinge", epochs=9, callbacks=[lambda h: len(h.loss) == 2 and _interrupt()]
    )
    assert numbers(model) == numbers(expected)
    assert len(history.loss) == 2
    assert history.stopped == "by Ctrl-C after 2 whole epochs"
    assert not model.training


def test_interrupted_in_the_loss():
    X, y = moons(6)
    expected, model = network(), network()
    quiet(expected, X, y, loss="hinge", epochs=3, compiled=False)
    calls = []

    def loss(prediction, target):
        calls.append(1)
        return losses.hinge(prediction, target) if len(calls) < 4 else _interrupt()

    history = quiet(model, X, y, loss=loss, epochs=9)
    assert numbers(model) == numbers(expected)
    assert len(history.loss) == 3


def test_interrupted_half_way_through_a_step():
    X, y = moons(6)
    expected, model = network(), network()
    sgd = optim.SGD(expected.parameters(), 0.1)
    quiet(expected, X, y, loss="hinge", epochs=2, optimizer=sgd, compiled=False)

    class Interrupted(optim.SGD):
        updates = 0

        def update(self, gradient, data, state):
            self.updates += 1
            if self.updates > 2.5 * len(self.parameters):
                raise KeyboardInterrupt
            return super().update(gradient, data, state)

    sgd = Interrupted(model.parameters(), 0.1)
    history = quiet(model, X, y, loss="hinge", epochs=9, optimizer=sgd, compiled=False)
    assert numbers(model) == numbers(expected)
    assert len(history.loss) == 2


def test_training_goes_on_after_ctrl_c():
    """Half a step is undone in the optimizer's memory too: the path is the uninterrupted one."""
    X, y = moons(6)
    expected, model = network(), network()
    whole = optim.Adam(expected.parameters(), lr=0.1)
    quiet(expected, X, y, loss="hinge", epochs=5, optimizer=whole, compiled=False)

    optimizer = optim.Adam(model.parameters(), lr=0.1)
    update, updates, half_way = optimizer.update, [], 5 * len(numbers(model)) // 2

    def interrupted(*arguments):
        updates.append(1)
        return _interrupt() if len(updates) == half_way else update(*arguments)

    optimizer.update = interrupted
    history = quiet(model, X, y, loss="hinge", epochs=5, optimizer=optimizer, compiled=False)
    assert len(history.loss) == 2
    quiet(model, X, y, loss="hinge", epochs=3, optimizer=optimizer, compiled=False)
    assert numbers(model) == numbers(expected)
    assert optimizer.state == whole.state


def test_interrupted_in_the_validation():
    """Every list of the history is as long as the others."""
    model = Weight()

    def loss(prediction, target):
        if not model.training:
            raise KeyboardInterrupt
        return losses.mse(prediction, target)

    history = quiet(model, [[1.0]], [2.0], loss=loss, epochs=3, validation=([[1.0]], [2.0]))
    assert (history.loss, history.lr, history.val_loss) == ([], [], [])
    assert repr(history) == "History(0 epochs, stopped: by Ctrl-C after 0 whole epochs)"


# ---- the bar


def test_progress_bar(capsys):
    X, y = moons(6)
    history = fit(network(), X, y, loss="hinge", epochs=3, validation=(X, y))
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert f"loss {history.loss[-1]:.4f}" in shown
    assert f"accuracy {history.accuracy[-1]:.1%}" in shown
    assert f"val_loss {history.val_loss[-1]:.4f}" in shown


def test_a_bar_that_appears_late_shows_all_steps(capsys):
    with bar(3, "step", wanted=True, delay=1e-9) as late:
        for _ in range(3):
            late.update(1)
    assert "3/3" in capsys.readouterr().err


def test_no_progress_bar(capsys):
    X, y = moons(6)
    quiet(network(), X, y, loss="hinge", epochs=3)
    assert capsys.readouterr() == ("", "")


def test_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    X, y = moons(6)
    history = fit(network(), X, y, loss="hinge", epochs=3)
    assert len(history.loss) == 3
    assert capsys.readouterr() == ("", "")


def test_the_bar_is_closed_after_an_error(capsys):
    with pytest.raises(RuntimeError, match="mine"):
        fit(Weight(), [[1.0]], [1.0], loss="mse", epochs=3, callbacks=[_fail])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(Weight(), [[1.0]], [1.0], loss="mse", epochs=1, compiled=False)
    assert capsys.readouterr().err.endswith("\n")


def _fail(history):
    raise RuntimeError("mine")


# ---- what does not fit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mean"}, "there is no loss 'mean'; the losses are mse, l1, huber, hinge, bce"),
        ({"epochs": -1}, "epochs must be a whole number of at least 0, not -1"),
        ({"epochs": 1.5}, "epochs must be a whole number of at least 0, not 1.5"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"batch_size": -2}, "batch_size must be a whole number of at least 1, not -2"),
        ({"early_stop": 0}, "early_stop must be a whole number of at least 1, not 0"),
        ({"X": [], "y": []}, "X has no examples"),
        ({"y": [1.0, 2.0]}, "X has 1 examples, but y has 2 targets"),
        ({"validation": ([], [])}, "X has no examples"),
        ({"validation": ([[1.0]], [])}, "X has 1 examples, but y has 0 targets"),
        ({"optimizer": optim.SGD([Value(1.0)])}, "updates none of the model's parameters"),
        ({"schedule": optim.StepLR(optim.SGD([Value(1.0)]), 2)}, "of another optimizer"),
    ],
)
def test_errors(options, message):
    model = Weight()
    arguments = {"X": [[1.0]], "y": [2.0], "loss": "mse", "progress": False, **options}
    with pytest.raises(ValueError, match=message):
        fit(model, **arguments)
    assert model.w.data == 1.0


@pytest.mark.parametrize("loss", [None, 3, nn.MSELoss])
def test_a_loss_that_is_none(loss):
    for function in (quiet, evaluate):
        with pytest.raises(TypeError, match=r"a function, or a module such as nn.BCELoss\(\)"):
            function(Weight(), [[1.0]], [2.0], loss=loss)


def test_a_loss_that_gives_no_value():
    with pytest.raises(TypeError, match=r"the loss must be one Value, not \[Value"):
        quiet(Weight(), [[1.0]], [2.0], loss=nn.MSELoss(reduction="none"))
    with pytest.raises(TypeError, match=r"the loss must be one Value, not \[Constant"):
        evaluate(Weight(), [[1.0]], [2.0], loss=nn.MSELoss(reduction="none"))


def test_a_model_without_parameters():
    with pytest.raises(ValueError, match="given no parameters"):
        quiet(nn.ReLU(), [[1.0]], [2.0], loss="mse")


def test_no_epochs():
    model = Weight()
    history = quiet(model, [[1.0]], [2.0], loss="mse", epochs=0)
    assert repr(history) == "History(0 epochs)"
    assert model.w.data == 1.0


def test_a_loss_without_a_graph():
    with no_grad(), pytest.raises(RuntimeError, match=r"depend on any parameter: .*no_grad"):
        quiet(Weight(), [[1.0]], [2.0], loss="mse")
    with pytest.raises(RuntimeError, match="does not depend on any parameter"):
        quiet(Weight(), [[1.0]], [2.0], loss=lambda p, t: Value(losses.mse(p, t).data))


def test_repr_of_a_history():
    history = History(loss=[2.0, 1.0], accuracy=[0.5, 0.75], val_loss=[3.0], val_accuracy=[0.5])
    assert repr(history) == (
        "History(2 epochs, loss 1, val_loss 3, accuracy 75.0%, val_accuracy 50.0%)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": [[0.0, 1.0]] * 3}, "validation must be a pair"),
        ({"validation": 0.2}, "validation must be a pair"),
        ({"optimizer": "adam"}, r"optim\.Adam\(model\.parameters\(\)"),
        ({"optimizer": optim.Adam}, r"optim\.Adam\(model\.parameters\(\)"),
        ({"schedule": 0.1}, "schedule must be a Schedule"),
        ({"callbacks": print}, r"callbacks=\[function\]"),
        ({"callbacks": 3}, r"callbacks=\[function\]"),
        ({"model": print}, "fit takes a model, a Module of micrograd_plus.nn, not <built-in"),
        ({"generator": 3}, r"random\.Random\(0\), not 3"),
        ({"clip_grad_norm": 0}, "clip_grad_norm must be above 0"),
    ],
)
def test_mistaken_arguments_are_named(arguments, message):
    X, y = data.moons(10)
    model = nn.MLP(2, [1])
    with pytest.raises((TypeError, ValueError), match=message):
        fit(**{"model": model, "X": X, "y": y, "loss": "hinge", "epochs": 1, **arguments})


def test_a_loss_that_grows_without_end_is_reported():
    X, y = data.linear(20)
    model = nn.MLP(1, [1], generator=random.Random(0))
    optimizer = optim.SGD(model.parameters(), lr=3.0)
    with pytest.warns(RuntimeWarning, match=r"the loss grew from .* to .* with lr=3: try lr=0\.01"):
        fit(model, X, y, loss="mse", optimizer=optimizer, epochs=10, progress=False)


# ---- eager code in place of a compiled step


def test_fit_says_why_it_does_not_compile():
    pytest.importorskip("llvmlite")

    class Odd(nn.Module):
        def __init__(self):
            self.w = Value(0.5)

        def forward(self, x):
            if isinstance(x[0], list):
                return [self.forward(row) for row in x]
            return self.w * x[0] if float(getattr(x[0], "data", x[0])) > 0 else self.w

    X, y = [[1.0], [-1.0]], [1.0, 0.5]
    with pytest.warns(UserWarning, match=r"compiling it failed: .*compiled=False"):
        fit(Odd(), X, y, loss="mse", epochs=2, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(Odd(), X, y, loss="mse", epochs=2, progress=False, compiled=False)
        fit(nn.MLP(1, [1]), X, y, loss="mse", epochs=2, progress=False)
