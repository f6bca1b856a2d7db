"""The losses, as functions and as modules: by hand, and against PyTorch."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealed import Computing, Sealed, reveal, sealed

from micrograd_plus import Value, losses, nn
from micrograd_plus.context import detect_anomaly, recording
from micrograd_plus.numbers import number_of
from micrograd_plus.support.nested import flatten

MODULES = {
    "mse": nn.MSELoss,
    "l1": nn.L1Loss,
    "huber": nn.HuberLoss,
    "hinge": nn.HingeLoss,
    "bce": nn.BCELoss,
    "bce_with_logits": nn.BCEWithLogitsLoss,
    "cross_entropy": nn.CrossEntropyLoss,
}

# Predictions and targets that a loss accepts; two examples.
EXAMPLES = {
    "mse": ([0.3, -2.0], [1.0, 1.0]),
    "l1": ([0.3, -2.0], [1.0, 1.0]),
    "huber": ([0.3, -2.0], [1.0, 1.0]),
    "hinge": ([0.3, -2.0], [1, 1]),
    "bce": ([0.3, 0.9], [1, 0]),
    "bce_with_logits": ([0.3, -2.0], [1, 0]),
    "cross_entropy": ([[0.3, -2.0, 1.0], [0.0, 5.0, 2.0]], [2, 0]),
}
numbers = st.floats(-50, 50)


def _torch_loss(name):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    return {
        "mse": functional.mse_loss,
        "l1": functional.l1_loss,
        "huber": functional.huber_loss,
        "bce": functional.binary_cross_entropy,
        "bce_with_logits": functional.binary_cross_entropy_with_logits,
        "cross_entropy": functional.cross_entropy,
        "hinge": lambda s, t, reduction: {
            "mean": torch.mean,
            "sum": torch.sum,
            "none": lambda each: each,
        }[reduction](torch.relu(1 - s * t)),
    }[name]


def _values(nested):
    return [_values(x) for x in nested] if isinstance(nested, list) else Value(nested)


def _assert_like_torch(name, prediction, target, reduction="mean", **options):
    """The loss, and the gradient of (the sum of) the loss by every prediction."""
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(prediction, dtype=torch.float64, requires_grad=True)
    kind = torch.int64 if name == "cross_entropy" else torch.float64
    expected = _torch_loss(name)(
        theirs, torch.tensor(target, dtype=kind), reduction=reduction, **options
    )
    expected.sum().backward()

    ours = _values(prediction)
    result = getattr(losses, name)(ours, target, reduction=reduction, **options)
    each = result if isinstance(result, list) else [result]
    for value in each:
        value.backward()
    assert [v.data for v in each] == pytest.approx(expected.detach().reshape(-1).tolist(), rel=1e-9)
    gradients = [v.grad for v in losses.flatten(ours)]
    assert gradients == pytest.approx(theirs.grad.reshape(-1).tolist(), rel=1e-9, abs=1e-12)


# ---- by hand


@pytest.mark.parametrize(
    ("name", "prediction", "target", "by_hand"),
    [
        ("mse", [1.0, 3.0], [1.0, 1.0], 2.0),
        ("l1", [1.0, 4.0], [2.0, 1.0], 2.0),
        ("huber", [0.5, -3.0], [0.0, 0.0], (0.125 + 2.5) / 2),
        ("hinge", [0.3, -2.0, -2.0], [1, -1, 1], (0.7 + 0.0 + 3.0) / 3),
        ("bce", [0.8, 0.1], [1, 0], -(math.log(0.8) + math.log(0.9)) / 2),
        ("bce_with_logits", [0.0, 0.0], [1, 0], math.log(2)),
        ("cross_entropy", [[0.0, 0.0, 0.0], [math.log(3), 0.0]], [1, 0], math.log(3 * 4 / 3) / 2),
    ],
)
def test_by_hand(name, prediction, target, by_hand):
    loss = getattr(losses, name)
    assert loss(prediction, target).data == pytest.approx(by_hand, rel=1e-12)
    assert loss(prediction, target, reduction="sum").data == pytest.approx(by_hand * len(target))
    each = loss(prediction, target, reduction="none")
    assert len(each) == len(target)
    assert sum(v.data for v in each) == pytest.approx(by_hand * len(target))


def test_huber_with_another_delta():
    assert losses.huber(3.0, 0.0, delta=2.0).data == 2 * (3 - 1)
    assert nn.HuberLoss(delta=2.0)(3.0, 0.0).data == 4.0
    with pytest.raises(ValueError, match="delta must be above 0, not 0"):
        losses.huber(1.0, 1.0, delta=0)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_module_is_function(name, reduction):
    prediction, target = EXAMPLES[name]
    module = MODULES[name](reduction=reduction)
    expected = getattr(losses, name)(prediction, target, reduction)
    for one, other in zip(losses.flatten(module(prediction, target)), losses.flatten(expected)):
        assert one.data == other.data


def test_every_loss_is_tested():
    assert {cls.__name__ for cls in MODULES.values()} == {
        name for name in nn.__all__ if name.endswith("Loss")
    }


# ---- one example and batches, and whatever holds numbers


@pytest.mark.parametrize("name", ["mse", "l1", "huber", "hinge", "bce", "bce_with_logits"])
def test_one_number_and_a_column(name):
    prediction, target = EXAMPLES[name]
    loss = getattr(losses, name)
    singles = [loss(Value(p), t).data for p, t in zip(prediction, target)]
    assert loss([[p] for p in prediction], target).data == pytest.approx(sum(singles) / 2)
    column = [[Value(p)] for p in prediction]
    assert loss(column, [[t] for t in target]).data == pytest.approx(sum(singles) / 2)


def test_one_row_of_logits():
    row = [Value(2.0), Value(0.0), Value(-1.0)]
    loss = losses.cross_entropy(row, 0)
    assert loss.data == losses.cross_entropy([row], [0]).data
    assert losses.cross_entropy(row, 0, reduction="sum").data == loss.data
    assert losses.cross_entropy(row, 0, reduction="none").data == loss.data  # as PyTorch: 0-d


@pytest.mark.parametrize("name", EXAMPLES)
def test_numpy(name):
    np = pytest.importorskip("numpy")
    prediction, target = EXAMPLES[name]
    loss = getattr(losses, name)
    assert loss(np.array(prediction), np.array(target)).data == loss(prediction, target).data


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_loss_is_a_scope(name):
    prediction, target = EXAMPLES[name]
    assert getattr(losses, name)(_values(prediction), target).scope.name == name


# ---- against PyTorch


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@given(data=st.data())
def test_value_and_gradient_like_torch(name, reduction, data):
    n = data.draw(st.integers(1, 4))
    row = st.lists(numbers, min_size=3, max_size=3)
    probability = st.floats(1e-5, 1 - 1e-5)
    one = {"bce": probability, "cross_entropy": row}.get(name, numbers)
    goal = {
        "hinge": st.sampled_from([-1, 1]),
        "bce": st.floats(0, 1),
        "bce_with_logits": st.floats(0, 1),
        "cross_entropy": st.integers(0, 2),
    }.get(name, numbers)
    prediction = data.draw(st.lists(one, min_size=n, max_size=n))
    target = data.draw(st.lists(goal, min_size=n, max_size=n))
    _assert_like_torch(name, prediction, target, reduction)


@pytest.mark.parametrize("delta", [0.1, 1.0, 3.5])
def test_huber_like_torch_at_its_joint(delta):
    prediction = [0.0, delta, -delta, 2 * delta, delta / 2, -5.0]
    _assert_like_torch("huber", prediction, [0.0] * 6, delta=delta)


@pytest.mark.parametrize("x", [math.inf, -math.inf, 1e200, 1e-200])
def test_huber_far_away(x):
    _assert_like_torch("huber", [x], [0.0])
    if math.isfinite(x):
        with detect_anomaly():
            losses.huber(Value(x), 0.0).backward()


def test_kinks_like_torch():
    _assert_like_torch("l1", [1.0, 2.0], [1.0, 2.0])
    _assert_like_torch("hinge", [1.0, -1.0], [1, -1])


@pytest.mark.parametrize(("p", "t"), [(0.0, 1), (1.0, 0), (0.0, 0), (1.0, 1), (1e-60, 1)])
def test_bce_is_never_above_100(p, t):
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.binary_cross_entropy(
        torch.tensor(p, dtype=torch.float64), torch.tensor(float(t), dtype=torch.float64)
    )
    assert losses.bce(p, t).data == pytest.approx(expected.item(), rel=1e-12)
    assert losses.bce(p, t).data <= 100


def test_gradient_of_bce_at_its_ends():
    """The one difference from PyTorch: it caps 1 / (p (1 - p)) at 1e12; here it is exact."""
    p = Value(1e-30)
    losses.bce(p, 1).backward()
    assert p.grad == pytest.approx(-1e30, rel=1e-12)
    p = Value(0.0)
    losses.bce(p, 1).backward()
    assert p.grad == 0.0


@pytest.mark.parametrize("z", [0.0, 30.0, -30.0, 745.0, -745.0, 1000.0, -1000.0, 1e300, -1e300])
@pytest.mark.parametrize("t", [0, 1, 0.25])
def test_bce_with_huge_logits(z, t):
    _assert_like_torch("bce_with_logits", [z], [t])


@pytest.mark.parametrize(
    "row", [[1000.0, 0.0, -1000.0], [-1e5, -1e5, -1e5], [1e5, 1e5 - 1, 0.0], [800.0, 799.0, 0.0]]
)
@pytest.mark.parametrize("right", [0, 1, 2])
def test_cross_entropy_with_big_logits(row, right):
    _assert_like_torch("cross_entropy", [row], [right])


@pytest.mark.parametrize("name", EXAMPLES)
def test_nan_stays_nan(name):
    prediction, target = EXAMPLES[name]
    broken = [[math.nan] * 3, prediction[1]] if name == "cross_entropy" else [math.nan, 0.5]
    assert math.isnan(getattr(losses, name)(broken, target).data)


# ---- what does not fit


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("one_example", [False, True])
def test_unknown_reduction(name, one_example):
    prediction, target = EXAMPLES[name]
    if one_example:
        prediction, target = prediction[0], target[0]
    message = "reduction must be 'mean', 'sum' or 'none', not 'average'"
    with pytest.raises(ValueError, match=message):
        getattr(losses, name)(prediction, target, reduction="average")
    with pytest.raises(ValueError, match=message):
        MODULES[name](reduction="average")


@pytest.mark.parametrize("name", EXAMPLES)
def test_lengths_differ(name):
    prediction, target = EXAMPLES[name]
    with pytest.raises(ValueError, match=rf"{name}.* 2 .* 1 target"):
        getattr(losses, name)(prediction, target[:1])


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_at_all(name):
    with pytest.raises(ValueError, match=rf"{name}.* no predictions"):
        getattr(losses, name)([], [])


@pytest.mark.parametrize("target", [0, 2, 0.5])
def test_hinge_target(target):
    with pytest.raises(ValueError, match=f"target of hinge is -1 or 1, not {target}"):
        losses.hinge(0.5, target)


@pytest.mark.parametrize("p", [-0.1, 1.1, 7.0])
def test_bce_of_no_probability(p):
    with pytest.raises(ValueError, match=f"between 0 and 1, not {p:g}.*bce_with_logits"):
        losses.bce(Value(p), 1)


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
@pytest.mark.parametrize("target", [-1, 2, math.nan])
def test_bce_target(name, target):
    with pytest.raises(ValueError, match=f"target of {name} is a number from 0 to 1, not {target}"):
        getattr(losses, name)(0.5, target)


@pytest.mark.parametrize("index", [3, -1])
def test_class_out_of_range(index):
    with pytest.raises(ValueError, match=f"target {index} is not one of the 3 classes, 0 to 2"):
        losses.cross_entropy([1.0, 2.0, 3.0], index)


@pytest.mark.parametrize("index", [1.0, "a", None, [0, 1, 0]])
def test_class_is_no_index(index):
    with pytest.raises(ValueError, match="is a class's index, not "):
        losses.cross_entropy([[1.0, 2.0, 3.0]], [index])


def test_cross_entropy_of_a_model_with_one_output():
    for prediction, target in ((Value(1.0), 0), (1.0, 0), ([Value(1.0), Value(2.0)], [0, 1])):
        with pytest.raises(ValueError, match="a row of logits, one for each class"):
            losses.cross_entropy(prediction, target)


def test_cross_entropy_of_a_batch_of_sequences():
    with pytest.raises(ValueError, match="several sequences: compute the mean of their losses"):
        losses.cross_entropy([[[1.0, 2.0], [0.5, 0.0]], [[1.0, 0.0]]], [[0, 1], [1]])


@pytest.mark.parametrize("target", ["a", None, True])
def test_target_is_no_number(target):
    with pytest.raises((TypeError, ValueError)):
        losses.mse([1.0], [target])


def test_a_value_is_no_class():
    with pytest.raises(TypeError, match=r"an index is an int, as 0 or 3, not Value\(data=1"):
        losses.cross_entropy([1.0, 2.0], Value(1.0))


# ---- targets that are Values, and recording


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "cross_entropy"])
def test_targets_may_be_values(name):
    prediction, target = EXAMPLES[name]
    loss = getattr(losses, name)
    assert loss(prediction, _values(target)).data == loss(prediction, target).data


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_number_is_read_while_recording(name, reduction):
    prediction, target = EXAMPLES[name]
    loss = getattr(losses, name)
    wanted = reveal(loss(prediction, target, reduction))
    for given_target in (target, sealed(target)):
        with recording(Computing()):
            recorded = loss(sealed(prediction), given_target, reduction)
        assert reveal(recorded) == wanted
    with recording(Computing()):
        assert reveal(loss(prediction, sealed(target), reduction)) == wanted
        one = loss(sealed(prediction[0]), sealed(target[0]), "sum")
    assert reveal(one) == loss(prediction[0], target[0], "sum").data


@pytest.mark.parametrize(
    ("name", "bad"), [("hinge", 0.0), ("bce", 2.0), ("bce_with_logits", -1.0), ("hinge", math.nan)]
)
def test_what_a_recorded_target_must_be(name, bad):
    active, target = Computing(), Sealed(bad)
    with recording(active):
        getattr(losses, name)(Sealed(0.5), target)
    (asked,) = [asked for asked in active.asked if asked[:2] == ("require", target)]
    assert asked[2] is False
    with pytest.raises(ValueError, match="^" + asked[3].format(bad)):
        getattr(losses, name)(0.5, bad)


# ---- decisions


@pytest.mark.parametrize(
    ("name", "prediction", "target", "right"),
    [
        ("hinge", Value(0.1), 1, True),
        ("hinge", Value(0.1), -1, False),
        ("hinge", [Value(-3.0)], [-1], True),
        ("bce", 0.6, 1, True),
        ("bce", 0.4, 1, False),
        ("bce", [0.4], [0], True),
        ("bce", [0.4, 0.9], [0, 1], True),
        ("bce", [0.4, 0.9], [0, 0], False),
        ("bce_with_logits", -0.1, 0, True),
        ("bce_with_logits", 0.4, 0, False),
        ("cross_entropy", [Value(1.0), Value(3.0), Value(2.0)], 1, True),
        ("cross_entropy", [1.0, 3.0, 2.0], 2, False),
        ("mse", 1.0, 1.0, None),
        ("l1", 1.0, 1.0, None),
        ("huber", 1.0, 1.0, None),
    ],
)
def test_right_predictions_are_counted(name, prediction, target, right):
    loss = getattr(losses, name)
    decisions = losses.right_decisions(loss, [target, target])
    count = None if right is None else 2 * right
    assert losses.count_correct(loss, [prediction, prediction], decisions) == count
    numpy = pytest.importorskip("numpy")
    row = [number_of(x) for x in flatten(prediction)]
    assert losses.count_correct(loss, numpy.array([row, row]), decisions) == count
