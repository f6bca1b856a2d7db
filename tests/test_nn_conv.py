"""Convolutions and pooling: parity with PyTorch, compiled and eager, and what they refuse."""

from __future__ import annotations

import copy

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from parity import (
    AFTER_TRAINING,
    assert_compiled_is_eager,
    assert_like_torch,
    assert_reads_no_number_while_recording,
    assert_same_state,
    flat,
    gradchecked,
    gradients,
    noise,
    numbers,
    pytorch,
    seeded,
    train,
    twin_of,
    weighted,
)

import micrograd_plus as mp
from micrograd_plus import Value, losses, nn, optim
from micrograd_plus.support.nested import shape

small = st.integers(1, 3)
pads = st.integers(0, 3)


def of_pair(sizes):
    """One number for both axes, or one for each."""
    return st.one_of(sizes, st.tuples(sizes, sizes))


def fits(x, module):
    settings = (module.kernel_size, module.padding, module.dilation)
    return all(
        n + 2 * p >= d * (k - 1) + 1 for n, k, p, d in zip(shape(x)[-len(module.axes) :], *settings)
    )


# ---- parity with PyTorch


@given(
    st.tuples(small, small, st.integers(1, 4), small, pads, small),
    st.booleans(),
    st.integers(1, 9),
    st.sampled_from([(), (1,), (2,)]),
)
def test_conv1d_like_torch(sizes, bias, length, batch):
    conv = nn.Conv1d(*sizes, bias=bias, generator=seeded(1))
    x = noise(*batch, conv.in_channels, length)
    assume(fits(x, conv))
    assert_like_torch(conv, x)


@given(
    st.tuples(small, small, of_pair(small), of_pair(small), of_pair(pads), of_pair(small)),
    st.booleans(),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from([(), (1,), (2,)]),
)
def test_conv2d_like_torch(sizes, bias, image, batch):
    conv = nn.Conv2d(*sizes, bias=bias, generator=seeded(1))
    x = noise(*batch, conv.in_channels, *image)
    assume(fits(x, conv))
    assert_like_torch(conv, x)


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.one_of(st.none(), of_pair(small)),
    st.data(),
    st.tuples(small, st.integers(1, 7), st.integers(1, 7)),
    st.sampled_from([(), (1,), (2,)]),
)
def test_pooling_like_torch(kind, kernel, stride, data, image, batch):
    padding = tuple(data.draw(st.integers(0, size // 2)) for size in kernel)
    pool = kind(kernel, stride, padding)
    x = noise(*batch, *image)
    assume(fits(x, pool))
    assert_like_torch(pool, x)


@pytest.mark.parametrize("start_dim", [-3, -2, -1, 0, 1, 3])
def test_flatten_like_torch(start_dim):
    assert_like_torch(nn.Flatten(start_dim), noise(2, 3, 4, 5))


def test_a_small_network_like_torch():
    generator = seeded(3)
    model = nn.Sequential(
        nn.Conv1d(2, 3, 3, padding=1, generator=generator),
        nn.Tanh(),
        nn.Conv1d(3, 2, 2, stride=2, generator=generator),
        nn.Flatten(-2),
        nn.Linear(6, 2, generator=generator),
    )
    assert_like_torch(model, noise(2, 7))


def small_cnn(seed=0):
    generator = seeded(seed)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 3, 2, stride=(1, 2), generator=generator),
        nn.Tanh(),
        nn.AvgPool2d((2, 1)),
        nn.Flatten(),
        nn.Linear(3, 3, generator=generator),
    )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_the_trajectory_of_a_small_cnn(compiled):
    """100 steps of Adam: every loss and the final parameters, to 1e-7."""
    torch = pytorch()
    model = small_cnn()
    twin = twin_of(model)
    X, y = numbers(noise(6, 1, 6, 5, seed=4)), [0, 1, 2, 2, 1, 0]
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    if compiled:
        pytest.importorskip("llvmlite")
        step = mp.compile(lambda x, y: losses.cross_entropy(model(x), y), optimizer)
        ours = list(step.run(X, y, epochs=100))
    else:
        ours = train(optimizer, lambda: losses.cross_entropy(model(X), y), [()] * 100)
    their_X, their_y = torch.tensor(X, dtype=torch.float64), torch.tensor(y)
    theirs = train(
        torch.optim.Adam(twin.parameters(), lr=0.01),
        lambda: torch.nn.functional.cross_entropy(twin(their_X), their_y),
        [()] * 100,
    )
    assert ours == pytest.approx(theirs, **AFTER_TRAINING)
    assert ours[-1] < 0.5 * ours[0]
    assert_same_state(model, twin.state_dict(), **AFTER_TRAINING)


def test_a_tie_of_zeros_after_relu_has_no_gradient():
    """Where the two share it differently, none is left to share."""
    image = [[[Value(-1.0), Value(-2.0)], [Value(-3.0), Value(-4.0)]]]
    nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))(image)[0][0][0].backward()
    assert gradients(image) == [0.0] * 4


def test_a_tie_shares_the_gradient():
    image = [[[Value(1.0), Value(1.0)], [Value(0.0), Value(1.0)]]]
    nn.MaxPool2d(2)(image)[0][0][0].backward()
    assert gradients(image) == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])


# ---- by hand


def test_conv2d_by_hand():
    conv = nn.Conv2d(1, 1, 2)
    conv.load_state_dict({"weight": [[[[1.0, 2.0], [3.0, 4.0]]]], "bias": [10.0]})
    image = [[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]
    assert numbers(conv(image)) == [[[47.0, 57.0], [77.0, 87.0]]]


def test_one_dot_for_each_number():
    image = noise(2, 3, 3)
    for padding, terms in ((0, 2 * 2 * 2), (1, 2)):  # in the corner one pixel of each channel
        conv = nn.Conv2d(2, 1, 2, padding=padding)
        out = conv(image)[0][0][0]
        assert out.op is mp.TABLE["add"]
        products, bias = out.operands
        assert bias is conv.bias[0]
        assert (products.op.name, len(products.operands)) == ("dot", 2 * terms)
    assert nn.Conv2d(2, 1, 2, bias=False)(image)[0][0][0].op.name == "dot"


def test_a_kernel_on_padding_alone():
    conv = nn.Conv1d(1, 1, 1, padding=1)
    out = conv([[2.0]])
    assert numbers(out)[0][::2] == [conv.bias[0].data] * 2
    out[0][0].backward()
    assert conv.bias[0].grad == 1.0
    assert numbers(nn.Conv1d(1, 1, 1, padding=2, bias=False)([[2.0]]))[0][:2] == [0.0, 0.0]


def test_pooling_by_hand():
    image = [[[1, 2, 5], [4, 3, 6]]]
    assert numbers(nn.MaxPool2d(2)(image)) == [[[4.0]]]
    assert numbers(nn.MaxPool2d(2, 1)(image)) == [[[4.0, 6.0]]]
    assert numbers(nn.AvgPool2d(2)(image)) == [[[2.5]]]
    assert numbers(nn.AvgPool2d(2, 1)(image)) == [[[2.5, 4.0]]]


def test_a_toy_is_drawn_product_by_product():
    pytest.importorskip("graphviz")
    out = nn.Conv2d(1, 1, 2, generator=seeded())([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]])
    source = mp.draw(out[0][1][1]).source
    assert all(name in source for name in ("W₁,₁,₁,₁", "W₁,₁,₂,₂", "b₁"))
    assert source.count("W₁,₁,") == 4


# ---- lists, arrays, batches; recorded and compiled

LAYERS = {
    "conv1d": (lambda: nn.Conv1d(2, 2, 3, 2, 3, 2, generator=seeded()), (2, 5)),
    "conv1d without bias": (
        lambda: nn.Conv1d(2, 2, 1, padding=1, bias=False, generator=seeded()),
        (2, 3),
    ),
    "conv2d": (lambda: nn.Conv2d(2, 2, (3, 2), 2, (1, 2), generator=seeded()), (2, 4, 3)),
    "max": (lambda: nn.MaxPool2d(3, 2, 1), (2, 5, 4)),
    "average": (lambda: nn.AvgPool2d(3, 2, 1), (2, 5, 4)),
    "network": (small_cnn, (1, 6, 5)),
}
EACH = pytest.mark.parametrize("name", LAYERS)


def made(name, *batch):
    make, lengths = LAYERS[name]
    return make(), noise(*batch, *lengths)


@EACH
def test_a_batch_is_its_examples(name):
    np = pytest.importorskip("numpy")
    layer, batch = made(name, 3)
    expected = [numbers(layer(x)) for x in batch]
    given = numbers(batch)
    assert numbers(layer(batch)) == expected
    assert numbers(layer(given)) == expected
    assert numbers(layer(np.array(given))) == expected
    assert numbers(layer([np.array(x) for x in given])) == expected
    assert numbers(layer(tuple(given))) == expected
    assert numbers(layer(np.array(given[0]))) == expected[0]


def test_images_of_a_batch_may_differ_in_size():
    conv = nn.Conv2d(1, 1, 2)
    assert [shape(out) for out in conv([noise(1, 3, 3), noise(1, 2, 5)])] == [(1, 2, 2), (1, 1, 4)]


@EACH
def test_gradcheck(name):
    gradchecked(*made(name))


@EACH
def test_no_number_is_read_while_recording(name):
    layer, x = made(name)
    assert_reads_no_number_while_recording(layer, numbers(x))


@EACH
def test_compiled_is_eager(name):
    layer, X = made(name, 3)
    assert_compiled_is_eager(layer, numbers(X))


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "network"])
def test_compiled_gradients_are_right(name):
    pytest.importorskip("llvmlite")
    layer, X = made(name, 2)
    loss = mp.compile(lambda x: weighted(nn.Tanh()(layer(x))))
    X = numbers(X)
    loss(X)
    exact = gradients(layer.parameters())
    for parameter, gradient in zip(layer.parameters(), exact):
        at, h = parameter.data, 1e-5
        parameter.data = at + h
        above = loss(X)
        parameter.data = at - h
        below = loss(X)
        parameter.data = at
        assert gradient == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-8)


# ---- words, saving, copies

WORDS = [
    (nn.Conv1d(2, 3, 5), "Conv1d(in_channels=2, out_channels=3, kernel_size=5)"),
    (
        nn.Conv2d(1, 8, (3, 2), [2, 2], (0, 1), 2, bias=False),
        "Conv2d(in_channels=1, out_channels=8, kernel_size=(3, 2), stride=2, padding=(0, 1), "
        "dilation=2, bias=False)",
    ),
    (nn.MaxPool2d(2), "MaxPool2d(kernel_size=2)"),
    (nn.MaxPool2d(2, 2), "MaxPool2d(kernel_size=2)"),
    (nn.AvgPool2d((2, 3), 1, (1, 0)), "AvgPool2d(kernel_size=(2, 3), stride=1, padding=(1, 0))"),
    (nn.Flatten(), "Flatten(start_dim=-3)"),
]


@pytest.mark.parametrize(("module", "words"), WORDS, ids=[words for _, words in WORDS])
def test_words_and_files(module, words, tmp_path):
    assert repr(module).split("  ")[0] == words
    assert repr(type(module)(**module.config())) == repr(module)
    mp.save(nn.Sequential(module), tmp_path / "model.json")
    loaded = mp.load(tmp_path / "model.json")
    assert repr(loaded[0]) == repr(module)
    assert loaded.state_dict() == nn.Sequential(module).state_dict()
    assert copy.deepcopy(module).config() == module.config()


def test_parameters_are_named_as_in_torch():
    model = small_cnn()
    assert list(twin_of(model).state_dict()) == list(model.state_dict())
    names = [name for name, _ in model.named_parameters()]
    assert names[:2] == ["0.weight[0][0][0][0]", "0.weight[0][0][0][1]"]
    assert len(names) == 2 * 9 + 2 + 3 * 2 * 4 + 3 + 9 + 3


def test_first_numbers_are_those_of_torch():
    """Uniform between ±1/√fan_in."""
    conv = nn.Conv2d(2, 50, (2, 3), generator=seeded())
    bound = 1 / 12**0.5
    for drawn in (flat(numbers(conv.weight)), numbers(conv.bias)):
        assert 0.8 * bound < max(drawn) <= bound
        assert -bound <= min(drawn) < -0.8 * bound
    assert conv.state_dict() == nn.Conv2d(2, 50, (2, 3), generator=seeded()).state_dict()
    fans = set()
    nn.Conv2d(2, 5, (2, 3), init=lambda *args: fans.add(args[:2]) or 0.0)
    assert fans == {(12, 30)}


# ---- what does not fit

IMAGE = numbers(noise(1, 3, 3))


@pytest.mark.parametrize(
    ("module", "x", "message"),
    [
        (
            nn.Sequential(nn.ReLU(), nn.Conv2d(3, 1, 2)),
            IMAGE,
            "Sequential.1 (Conv2d(in_channels=3, out_channels=1, kernel_size=2)) takes 3 × height "
            "× width numbers for each example, and was given nested lists of 1 × 3 × 3",
        ),
        (
            nn.Conv2d(1, 1, 2),
            IMAGE[0],
            "takes 1 × height × width numbers for each example, and was given nested lists of 3",
        ),
        (nn.Conv1d(2, 1, 2), [IMAGE], "takes 2 × length numbers for each example, and"),
        (nn.Conv1d(2, 1, 2), [1.0, 2.0], "takes 2 × length numbers for each example, and was give"),
        (nn.Conv2d(1, 1, 2), 3.0, "and was given a single number"),
        (nn.Conv2d(1, 1, 2), [], "and was given nested lists of 0"),
        (
            nn.Conv2d(1, 1, 2),
            [[[1.0, 2.0], [1.0]]],
            "takes 1 × height × width numbers; the example has rows of different shapes",
        ),
        (
            nn.Conv2d(1, 1, 4),
            IMAGE,
            "an example of 1 × 3 × 3: this is smaller than the kernel, even with the padding",
        ),
        (nn.Conv2d(1, 1, 2, dilation=3), IMAGE, "smaller than the kernel"),
        (nn.MaxPool2d(4), IMAGE, "MaxPool2d (MaxPool2d(kernel_size=4)) was given an example of"),
        (nn.AvgPool2d(2), [1.0, 2.0], "takes channels × height × width numbers for each example"),
        (
            nn.Sequential(nn.Flatten()),
            [[1.0]],
            "Sequential.0 (Flatten(start_dim=-3)) flattens the dimensions from -3 on",
        ),
    ],
)
def test_a_wrong_input_names_the_layer(module, x, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - compared below, without regex
        module(x)
    assert message in str(error.value)


@pytest.mark.parametrize("x", [[[["a"]]], [[[None]]], "abc"])
def test_an_input_that_holds_no_numbers(x):
    with pytest.raises(TypeError, match="a Value takes an int, a float"):
        nn.Conv2d(1, 1, 1)(x)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "3", None, True, (1, 0), (1, 2, 3)])
def test_wrong_settings(wrong):
    for make in (
        lambda: nn.Conv2d(1, 1, wrong),
        lambda: nn.Conv2d(1, 1, 1, wrong),
        lambda: nn.Conv2d(1, 1, 1, dilation=wrong),
        lambda: nn.Conv1d(1, 1, wrong),
        lambda: nn.MaxPool2d(wrong),
    ):
        with pytest.raises(ValueError, match=r"must be a whole number"):
            make()
    with pytest.raises(ValueError, match=r"_channels must be a whole number of at least 1"):
        nn.Conv2d(1, wrong, 1)


def test_wrong_paddings():
    with pytest.raises(ValueError, match="padding must be a whole number of at least 0, not -1"):
        nn.Conv2d(1, 1, 1, padding=-1)
    with pytest.raises(ValueError, match=r"kernel_size must be a whole number or \('height', 'wid"):
        nn.Conv2d(1, 1, (1, 2, 3))
    with pytest.raises(ValueError, match=r"padding must be at most half of kernel_size=3, not 2"):
        nn.MaxPool2d(3, padding=2)


# ---- the real thing


@pytest.mark.usefixtures("scikit_learn")
def test_digits_as_images():
    X, y = mp.data.digits(images=True)
    rows, targets = mp.data.digits()
    assert (len(X), shape(X[0]), y) == (1797, (1, 8, 8), targets)
    assert all(flat(image) == row for image, row in zip(X, rows))


@pytest.mark.usefixtures("scikit_learn")
def test_a_cnn_reads_digits():
    """At least 97 % of a held-out fifth."""
    pytest.importorskip("llvmlite")
    generator = seeded()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 2 * 2, 10, generator=generator),
    )
    X, y = mp.data.digits(images=True)
    X, X_test, y, y_test = mp.data.train_test_split(X, y, test_size=0.2, seed=0)
    settings = {"loss": "cross_entropy", "epochs": 20, "batch_size": 32}
    optimizer = optim.Adam(model.parameters(), lr=0.005)
    mp.fit(model, X, y, **settings, optimizer=optimizer, compiled=True, progress=False)
    predicted = mp.compile(model)(X_test).argmax(axis=1)
    assert sum(predicted == y_test) >= 0.97 * len(y_test)
