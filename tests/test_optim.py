"""Optimizers and schedules, step by step against PyTorch; their state, and their errors."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimizers import CASES, SCHEDULES, STEPS, ids, start, valley

from micrograd_plus import Value, nn, optim
from micrograd_plus.optim import clip_grad_norm_, grad_norm


def train(optimizer, steps, schedule=None):
    """The parameters after each step."""
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        valley(optimizer.parameters).backward()
        optimizer.step()
        if schedule:
            schedule.step()
        path.append([p.data for p in optimizer.parameters])
    return path


# ---- against PyTorch


@pytest.mark.parametrize(("name", "settings"), CASES, ids=ids)
def test_trajectory(name, settings):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start()]
    torch_optimizer = getattr(torch.optim, name)(theirs, **settings)
    ours = [Value(x) for x in start()]
    for numbers in train(getattr(optim, name)(ours, **settings), STEPS):
        torch_optimizer.zero_grad()
        valley(theirs).backward()
        torch_optimizer.step()
        assert numbers == pytest.approx([p.item() for p in theirs], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_defaults(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, name)([torch.zeros(1)]).defaults
    ours = getattr(optim, name)([Value(0.0)]).state_dict()["settings"]
    assert ours == {setting: theirs[setting] for setting in ours}


def test_changing_lr_midway():
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start()]
    torch_optimizer = torch.optim.Adam(theirs, lr=0.1)
    optimizer = optim.Adam([Value(x) for x in start()], lr=0.1)
    for lr in (0.1, 0.03):
        optimizer.lr = torch_optimizer.param_groups[0]["lr"] = lr
        for numbers in train(optimizer, 10):
            torch_optimizer.zero_grad()
            valley(theirs).backward()
            torch_optimizer.step()
            assert numbers == pytest.approx([p.item() for p in theirs], rel=1e-9, abs=1e-9)


def _learning_rates(module, parameter, make, epochs=30):
    optimizer = module.SGD([parameter], lr=0.4)
    schedule = make(module if module is optim else module.lr_scheduler, optimizer)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.lr if module is optim else optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    "make",
    [
        lambda m, o: m.StepLR(o, step_size=7),
        lambda m, o: m.StepLR(o, step_size=1, gamma=0.9),
        lambda m, o: m.ExponentialLR(o, gamma=0.93),
        lambda m, o: m.CosineAnnealingLR(o, T_max=30),
        lambda m, o: m.CosineAnnealingLR(o, T_max=10, eta_min=0.05),  # up and down again
        lambda m, o: m.CosineAnnealingLR(o, T_max=7),
        lambda m, o: m.LinearLR(o),
        lambda m, o: m.LinearLR(o, start_factor=0.01, total_iters=12),
        lambda m, o: m.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=20),
        lambda m, o: m.SequentialLR(
            o,
            [m.LinearLR(o, start_factor=0.1, total_iters=5), m.CosineAnnealingLR(o, T_max=20)],
            milestones=[5],
        ),
        lambda m, o: m.SequentialLR(
            o,
            [m.LinearLR(o, 0.1, 1.0, 4), m.ExponentialLR(o, 0.9), m.StepLR(o, 3, 0.5)],
            milestones=[4, 15],
        ),
        lambda m, o: m.SequentialLR(
            o, [m.StepLR(o, 3, 0.5), m.CosineAnnealingLR(o, T_max=9, eta_min=0.1)], milestones=[10]
        ),
    ],
)
def test_learning_rates_like_torch(make):
    torch = pytest.importorskip("torch")
    theirs = _learning_rates(torch.optim, torch.zeros(1, requires_grad=True), make)
    assert _learning_rates(optim, Value(0.0), make) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_trajectory_with_a_schedule(name):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start()]
    torch_optimizer = torch.optim.Adam(theirs, lr=0.1)
    torch_schedule = getattr(torch.optim.lr_scheduler, name)(torch_optimizer, **SCHEDULES[name])
    optimizer = optim.Adam([Value(x) for x in start()], lr=0.1)
    schedule = getattr(optim, name)(optimizer, **SCHEDULES[name])
    for numbers in train(optimizer, 30, schedule):
        torch_optimizer.zero_grad()
        valley(theirs).backward()
        torch_optimizer.step()
        torch_schedule.step()
        assert numbers == pytest.approx([p.item() for p in theirs], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 100.0])
def test_clipping_like_torch(max_norm):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start()]
    ours = [Value(x) for x in start()]
    valley(theirs).backward()
    valley(ours).backward()
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert clip_grad_norm_(ours, max_norm) == pytest.approx(expected.item(), rel=1e-12)
    assert [p.grad for p in ours] == pytest.approx([p.grad.item() for p in theirs], rel=1e-12)
    assert grad_norm(ours) <= max_norm or max_norm > expected


# ---- by hand


def test_sgd_by_hand():
    w = Value(4.0)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.5)
    for expected in (4 - 0.1 * 8, 3.2 - 0.1 * (0.5 * 8 + 6.4)):
        optimizer.zero_grad()
        (w * w).backward()
        optimizer.step()
        assert w.data == pytest.approx(expected)


def test_zero_grad():
    ours = [Value(x) for x in start()]
    optimizer = optim.SGD(ours)
    valley(ours).backward()
    assert any(p.grad for p in ours)
    optimizer.zero_grad()
    assert [p.grad for p in ours] == [0.0, 0.0, 0.0]


def test_a_generator_of_parameters_will_do():
    ours = [Value(x) for x in start()]
    assert optim.SGD(p for p in ours).parameters == ours


def test_a_parameter_given_twice_moves_once():
    w = Value(1.0)
    w.grad = 1.0
    optim.SGD([w, w], lr=0.5).step()
    assert w.data == 0.5


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5))
def test_norm_of_any_gradients(gradients):
    values = [Value(0.0) for _ in gradients]
    for value, gradient in zip(values, gradients):
        value.grad = gradient
    largest = max(map(abs, gradients))
    assert largest <= grad_norm(values) <= largest * math.sqrt(len(gradients)) * (1 + 1e-12)


def test_repr():
    assert repr(optim.Adam([Value(1.0)], lr=0.1)) == (
        "Adam(1 parameter, lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)"
    )


# ---- state


@pytest.mark.parametrize(("name", "settings"), CASES, ids=ids)
def test_state_through_json_continues_bit_for_bit(name, settings):
    whole = train(getattr(optim, name)([Value(x) for x in start()], **settings), 20)

    first = getattr(optim, name)([Value(x) for x in start()], **settings)
    halfway = train(first, 10)[-1]
    kept = json.loads(json.dumps(first.state_dict()))
    second = getattr(optim, name)([Value(x) for x in halfway])  # the settings come back too
    second.load_state_dict(kept)
    assert train(second, 10) == whole[10:]


def test_state_is_a_copy():
    optimizer = optim.Adam([Value(x) for x in start()])
    train(optimizer, 2)
    kept = optimizer.state_dict()
    as_it_was = json.dumps(kept)
    train(optimizer, 2)
    assert json.dumps(kept) == as_it_was
    optimizer.load_state_dict(kept)
    train(optimizer, 2)
    assert json.dumps(kept) == as_it_was


def test_state_of_another_optimizer():
    adam = optim.Adam([Value(1.0)])
    for other in (optim.AdamW([Value(1.0)]), optim.SGD([Value(1.0)])):
        before = adam.state_dict()
        with pytest.raises(ValueError, match="not the state of Adam"):
            adam.load_state_dict(other.state_dict())
        assert adam.state_dict() == before
    with pytest.raises(ValueError, match="of 2 parameters, not of 1"):
        adam.load_state_dict(optim.Adam([Value(1.0), Value(2.0)]).state_dict())
    for foreign in ({}, {"w": [1.0]}, None, "adam.json"):
        with pytest.raises(ValueError, match="not the state of Adam"):
            adam.load_state_dict(foreign)


def _warm_up_then_cosine(optimizer):
    return optim.SequentialLR(
        optimizer,
        [optim.LinearLR(optimizer, 0.1, 1.0, 4), optim.CosineAnnealingLR(optimizer, 20)],
        milestones=[4],
    )


@pytest.mark.parametrize(
    "make",
    [
        *[lambda o, n=n, s=s: getattr(optim, n)(o, **s) for n, s in SCHEDULES.items()],
        _warm_up_then_cosine,
    ],
)
@pytest.mark.parametrize("schedule_first", [False, True])
def test_a_schedule_goes_on_from_its_state(make, schedule_first):
    optimizer = optim.SGD([Value(x) for x in start()], lr=0.01, momentum=0.9)
    schedule = make(optimizer)
    train(optimizer, 7, schedule)
    kept = json.loads(json.dumps([optimizer.state_dict(), schedule.state_dict()]))
    halfway = [p.data for p in optimizer.parameters]
    expected = train(optimizer, 10, schedule)

    optimizer = optim.SGD([Value(x) for x in halfway])
    if schedule_first:
        schedule = make(optimizer)
        optimizer.load_state_dict(kept[0])
    else:
        optimizer.load_state_dict(kept[0])
        schedule = make(optimizer)
    schedule.load_state_dict(kept[1])
    assert train(optimizer, 10, schedule) == expected


def test_get_last_lr():
    optimizer = optim.SGD([Value(1.0)], lr=1.0)
    schedule = optim.ExponentialLR(optimizer, gamma=0.5)
    schedule.step()
    assert schedule.get_last_lr() == [optimizer.lr] == [0.5]
    assert schedule.base_lr == 1.0


def test_only_the_schedule_sets_the_learning_rate():
    """Unlike in PyTorch, where a change from outside is multiplied on."""
    optimizer = optim.SGD([Value(1.0)], lr=1.0)
    schedule = optim.ExponentialLR(optimizer, gamma=0.5)
    optimizer.lr = 100.0
    schedule.step()
    assert optimizer.lr == 0.5


# ---- what does not fit


@pytest.mark.parametrize("wrong", [[1.0], 0.1, None, Value(1.0).tanh, [[Value(1.0)]]])
def test_parameters_that_are_no_values(wrong):
    with pytest.raises(TypeError, match=r"takes a list of Values, as model.parameters\(\)"):
        optim.SGD(wrong, lr=0.1)


def test_the_model_instead_of_its_parameters():
    for model in (nn.MLP(2, [1]), nn.Sequential(nn.Linear(2, 1))):
        with pytest.raises(TypeError, match=r"model.parameters\(\)"):
            optim.SGD(model, lr=0.1)


@pytest.mark.parametrize("none", [[], (), iter(())])
def test_no_parameters(none):
    with pytest.raises(ValueError, match="given no parameters"):
        optim.Adam(none)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("SGD", {"lr": -0.1}, "lr must not be below 0, but is -0.1"),
        ("SGD", {"lr": math.nan}, "lr must not be below 0, but is nan"),
        ("SGD", {"momentum": -1.0}, "momentum must not be below 0"),
        ("SGD", {"nesterov": True}, "nesterov needs a momentum above 0 and no dampening"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas are two numbers .* not \(0.9, 1.0\)"),
        ("Adam", {"betas": (-0.1, 0.9)}, "betas are two numbers"),
        ("Adam", {"betas": (0.9,)}, "betas are two numbers"),
        ("AdamW", {"betas": 0.9}, "betas are two numbers .* not 0.9"),
        ("Adam", {"eps": -1.0}, "eps must not be below 0"),
        ("AdamW", {"weight_decay": -1.0}, "weight_decay must not be below 0"),
        ("RMSprop", {"alpha": -0.1}, "alpha must not be below 0"),
        ("Adagrad", {"lr_decay": -0.1}, "lr_decay must not be below 0"),
    ],
)
def test_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([Value(1.0)], **settings)


@pytest.mark.parametrize("lr", ["0.1", None, Value(0.1)])
def test_a_learning_rate_is_a_number(lr):
    with pytest.raises(TypeError, match="lr must be a number, not "):
        optim.SGD([Value(1.0)], lr=lr)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: optim.StepLR(o, 0), "step_size must be a whole number of at least 1, not 0"),
        (lambda o: optim.CosineAnnealingLR(o, 0), "T_max must be a whole number of at least 1"),
        (lambda o: optim.LinearLR(o, total_iters=-1), "total_iters must be a whole number"),
        (
            lambda o: optim.SequentialLR(o, [optim.LinearLR(o), optim.StepLR(o, 1)], [3, 4]),
            r"2 schedules take 1 rising milestones, not \[3, 4\]",
        ),
        (
            lambda o: optim.SequentialLR(o, [optim.LinearLR(o)] * 3, [4, 3]),
            r"3 schedules take 2 rising milestones, not \[4, 3\]",
        ),
    ],
)
def test_schedule_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make(optim.SGD([Value(1.0)], lr=random.random()))


def test_base_classes_say_what_to_define():
    with pytest.raises(NotImplementedError):
        optim.Optimizer([Value(1.0)], lr=0.1).step()
    with pytest.raises(NotImplementedError):
        optim.Schedule(optim.SGD([Value(1.0)]))
