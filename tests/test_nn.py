"""Modules: what they compute, their parameters and states, their words, and PyTorch parity."""

import copy
import math
import pickle
import random

import micrograd.nn
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealed import Computing, reveal, sealed

from micrograd_plus import Constant, Value, functional, gradcheck, nn, no_grad, optim
from micrograd_plus.context import recording
from micrograd_plus.nn import MLP, Layer, Linear, Module, Neuron, Sequential, init
from micrograd_plus.support.nested import plain

ACTIVATIONS = [
    nn.ReLU(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.SiLU(),
    nn.Softplus(),
    nn.LeakyReLU(),
    nn.LeakyReLU(0.2),
    nn.ELU(),
    nn.ELU(0.5),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
]
IN_MLP = ["relu", "tanh", "sigmoid", "silu", "softplus", "leaky_relu", "elu", "gelu", "gelu_tanh"]


def numbers(x):
    """The numbers of nested lists of Values."""
    return [numbers(item) for item in x] if isinstance(x, list) else x.data


def seeded(seed=0):
    return random.Random(seed)


# ---- parity with PyTorch


def _torch_twin(model):
    """The same Sequential in PyTorch, with the same weights."""
    torch = pytest.importorskip("torch")
    modules = [getattr(torch.nn, type(m).__name__)(**m.config()) for m in model]
    twin = torch.nn.Sequential(*modules).double()
    twin.load_state_dict(
        {k: torch.tensor(v, dtype=torch.float64) for k, v in model.state_dict().items()}
    )
    return twin


def _copy_parameters(model, twin):
    torch = pytest.importorskip("torch")
    state = {k: torch.tensor(v, dtype=torch.float64) for k, v in model.state_dict().items()}
    twin.load_state_dict(state)


def _assert_same_parameters(model, twin):
    theirs = twin.state_dict()
    assert list(theirs) == list(model.state_dict())
    for name, ours in model.state_dict().items():
        flat = list(nn.module.flatten(ours))
        assert flat == pytest.approx(theirs[name].reshape(-1).tolist(), rel=1e-9, abs=1e-9)


def _assert_same_trajectory(model, loss, X, y, epochs, class_indices=False):
    torch = pytest.importorskip("torch")
    twin = _torch_twin(model)
    if isinstance(loss, nn.HingeLoss):  # PyTorch has none of this form
        reduce = torch.sum if loss.reduction == "sum" else torch.mean
        torch_loss = lambda score, t: reduce(torch.relu(1 - score * t))  # noqa: E731
    else:
        torch_loss = getattr(torch.nn, type(loss).__name__)(**loss.config())
    torch_X = torch.tensor(X, dtype=torch.float64)
    torch_y = torch.tensor(y, dtype=torch.int64 if class_indices else torch.float64)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    torch_optimizer = torch.optim.Adam(twin.parameters(), lr=0.01)
    seen = []
    for _ in range(epochs):
        optimizer.zero_grad()
        ours = loss(model(X), y)
        ours = functional.sum(ours) if loss.reduction == "none" else ours
        ours.backward()
        optimizer.step()
        torch_optimizer.zero_grad()
        theirs = torch_loss(twin(torch_X), torch_y).sum()
        theirs.backward()
        torch_optimizer.step()
        assert ours.data == pytest.approx(theirs.item(), rel=1e-9, abs=1e-9)
        _assert_same_parameters(model, twin)
        seen.append(ours.data)
    assert seen[-1] < seen[0]  # something was learned, or nothing would be shown


X43 = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]


def test_the_classic_trajectory():
    model = Sequential(
        Linear(3, 8, generator=seeded(1)),
        nn.ReLU(),
        Linear(8, 1, generator=seeded(2)),
        nn.Sigmoid(),
    )
    y = [[1.0], [0.0], [0.0], [1.0]]
    _assert_same_trajectory(model, nn.BCELoss(), X43, y, epochs=100)


@pytest.mark.parametrize(
    ("loss", "width"),
    [
        *[(kind(r), 2) for kind in (nn.MSELoss, nn.L1Loss) for r in ("mean", "sum", "none")],
        *[(nn.HuberLoss(r, delta=0.3), 2) for r in ("mean", "sum", "none")],
        *[(nn.BCELoss(r), 1) for r in ("mean", "sum", "none")],
        *[(nn.BCEWithLogitsLoss(r), 1) for r in ("mean", "sum", "none")],
        *[(nn.HingeLoss(r), 1) for r in ("mean", "sum")],
        *[(nn.CrossEntropyLoss(r), 3) for r in ("mean", "sum", "none")],
    ],
    ids=repr,
)
def test_trajectory_of_every_loss(loss, width):
    y = {
        1: [[1.0], [0.0], [0.0], [1.0]],
        2: [[1.0, -2.0], [0.0, 1.0], [0.5, 0.5], [1.0, 3.0]],
        3: [2, 0, 1, 2],
    }[width]
    if isinstance(loss, nn.HingeLoss):
        y = [[2 * t - 1] for (t,) in y]
    generator = seeded(3)
    layers = [Linear(3, 5, generator=generator), nn.Tanh(), Linear(5, width, generator=generator)]
    last = [nn.Sigmoid()] if isinstance(loss, nn.BCELoss) else []
    model = Sequential(*layers, *last)
    _assert_same_trajectory(model, loss, X43, y, epochs=30, class_indices=width == 3)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_trajectory_of_every_activation(activation):
    generator = seeded(4)
    model = Sequential(
        Linear(3, 4, generator=generator), activation, Linear(4, 1, bias=False, generator=generator)
    )
    y = [[1.0], [0.0], [0.0], [1.0]]
    _assert_same_trajectory(model, nn.MSELoss(), X43, y, epochs=30)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_activation_and_gradient_like_torch(activation):
    torch = pytest.importorskip("torch")
    points = [0.0, -0.0, 1.0, -1.0, 1e-8, -1e-8, 3.7, -3.7, 40.0, -40.0, 800.0, -800.0]
    theirs = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    twin = getattr(torch.nn, type(activation).__name__)(**activation.config())
    expected = twin(theirs)
    expected.sum().backward()
    ours = [Value(x) for x in points]
    out = activation(ours)
    for value in out:
        value.backward()
    # PyTorch's softplus is linear from 20 on, which leaves out at most 2e-9
    near = {"rel": 1e-9, "abs": 3e-9 if isinstance(activation, nn.Softplus) else 1e-12}
    assert numbers(out) == pytest.approx(expected.tolist(), **near)
    assert [v.grad for v in ours] == pytest.approx(theirs.grad.tolist(), **near)


@pytest.mark.parametrize(
    "model",
    [
        *ACTIVATIONS,
        nn.Softmax(),
        *[MLP(3, [4, 2], activation=name, generator=seeded()) for name in IN_MLP],
        Sequential(Linear(3, 4, generator=seeded()), nn.Tanh(), Linear(4, 2, generator=seeded())),
    ],
    ids=str,
)
def test_a_module_reads_no_number_while_recording(model):
    rows = [[0.5, -1.0, 2.0], [0.0, 3.0, -0.25]]
    with recording(Computing()):
        recorded = model(sealed(rows))
        one_row = model(sealed(rows[0]))
    assert reveal(recorded) == numbers(model(rows))
    assert reveal(one_row) == numbers(model(rows[0]))


def test_every_activation_module_is_tested():
    elementwise = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type)
        and issubclass(getattr(nn, name), nn.activations.Elementwise)
    }
    assert {type(a).__name__ for a in ACTIVATIONS} | {"Dropout"} == elementwise


def test_softmax_like_torch():
    torch = pytest.importorskip("torch")
    rows = [[1.0, 2.0, -1.0], [1000.0, 0.0, 999.0]]
    theirs = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.Softmax(dim=-1)(theirs)
    expected[:, 0].sum().backward()
    ours = [[Value(x) for x in row] for row in rows]
    out = nn.Softmax()(ours)
    for row in out:
        row[0].backward()
    for row, out_row, their_row, grad in zip(ours, out, expected.tolist(), theirs.grad.tolist()):
        assert numbers(out_row) == pytest.approx(their_row, rel=1e-9)
        assert [v.grad for v in row] == pytest.approx(grad, rel=1e-9, abs=1e-15)
    assert numbers(nn.Softmax()(rows[0])) == numbers(out[0])


def test_tied_layers_like_torch():
    torch = pytest.importorskip("torch")
    tied = Linear(2, 2, generator=seeded(5))
    model = Sequential(tied, nn.Tanh(), tied)
    assert len(model.parameters()) == 6
    their_tied = torch.nn.Linear(2, 2).double()
    twin = torch.nn.Sequential(their_tied, torch.nn.Tanh(), their_tied)
    twin.load_state_dict(
        {k: torch.tensor(v, dtype=torch.float64) for k, v in model.state_dict().items()}
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    torch_optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for _ in range(5):
        model.zero_grad()
        nn.MSELoss()(model([1.0, 2.0]), [0.0, 1.0]).backward()
        optimizer.step()
        torch_optimizer.zero_grad()
        goal = torch.tensor([0.0, 1.0]).double()
        torch.nn.MSELoss()(twin(torch.tensor([1.0, 2.0]).double()), goal).backward()
        torch_optimizer.step()
        _assert_same_parameters(model, twin)


# ---- neurons, layers, networks


def test_the_single_neuron_by_hand():
    neuron = Neuron(3, activation="sigmoid")
    neuron.load_state_dict({"w": [0.4, 0.7, 0.1], "b": -0.3})
    out = neuron([0.5, 0.9, 0.2])
    assert f"{out.data:.3f}" == "0.634"
    assert out.data == pytest.approx(1 / (1 + math.exp(-(0.2 + 0.63 + 0.02 - 0.3))))
    out.backward()
    slope = out.data * (1 - out.data)
    assert [w.grad for w in neuron.w] == pytest.approx([0.5 * slope, 0.9 * slope, 0.2 * slope])
    assert neuron.b.grad == pytest.approx(slope)


@given(seed=st.integers(0, 1000), nin=st.integers(1, 4), hidden=st.lists(st.integers(1, 4)))
def test_same_network_as_micrograd(seed, nin, hidden):
    random.seed(seed)
    theirs = micrograd.nn.MLP(nin, [*hidden, 1])
    random.seed(seed)
    ours = MLP(nin, [*hidden, 1])
    assert [p.data for p in ours.parameters()] == [p.data for p in theirs.parameters()]
    x = [random.uniform(-2, 2) for _ in range(nin)]
    # micrograd's layers of one neuron give a bare Value, which its next layer cannot take
    if 1 not in hidden:
        their_out, our_out = theirs(x), ours(x)
        their_out.backward()
        our_out.backward()
        assert our_out.data == pytest.approx(their_out.data, rel=1e-9, abs=1e-9)
        gradients = [p.grad for p in theirs.parameters()]
        assert [p.grad for p in ours.parameters()] == pytest.approx(gradients, rel=1e-9, abs=1e-9)


def test_constructors_as_in_micrograd():
    linear = Neuron(2, nonlin=False)
    assert not linear.nonlin
    assert Neuron(2).nonlin
    linear.load_state_dict({"w": [1.0, -3.0], "b": 0.5})
    assert linear([1.0, 2.0]).data == -4.5
    layer = Layer(2, 3, nonlin=False)
    assert [neuron.nonlin for neuron in layer.neurons] == [False] * 3
    assert isinstance(Layer(2, 1)([1.0, 2.0]), Value)
    assert [p.data for p in layer.parameters()][2] == 0.0  # a neuron's bias, after its weights


@pytest.mark.parametrize("name", IN_MLP)
def test_mlp_by_hand(name):
    model = MLP(2, [3, 1], activation=name, generator=seeded())
    x = [0.3, -1.2]
    hidden, last = model.layers
    fired = []
    for neuron in hidden.neurons:
        sum_ = Value(neuron.w[0].data * x[0] + neuron.w[1].data * x[1] + neuron.b.data)
        fired.append(getattr(sum_, name)().data)
    expected = sum(w.data * h for w, h in zip(last.neurons[0].w, fired)) + last.neurons[0].b.data
    assert model(x).data == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", IN_MLP)
def test_gradcheck_of_a_network(name):
    model = MLP(2, [3, 2, 1], activation=name, generator=seeded(7))
    report = gradcheck(model([Value(0.4), Value(-0.7)]))
    assert report, report
    assert len(report.leaves) == len(model.parameters()) + 2


def test_inner_layers_of_one_neuron():
    assert isinstance(MLP(2, [1, 1])([1.0, 2.0]), Value)
    assert isinstance(MLP(1, [2, 1])(3.0), Value)  # one input may come bare


def test_linear_by_hand():
    linear = Linear(2, 3)
    weight, bias = [[1.0, 2.0], [0.0, -1.0], [0.5, 0.5]], [0.0, 1.0, -1.0]
    linear.load_state_dict({"weight": weight, "bias": bias})
    assert numbers(linear([3.0, 4.0])) == [11.0, -3.0, 2.5]
    without = Linear(2, 3, bias=False)
    assert without.bias is None
    without.load_state_dict({"weight": weight})
    assert numbers(without([3.0, 4.0])) == [11.0, -4.0, 3.5]


# ---- one example, a batch; lists, arrays, Values

MODELS = {
    "neuron": lambda: Neuron(2, generator=seeded()),
    "layer": lambda: Layer(2, 3, generator=seeded()),
    "mlp": lambda: MLP(2, [3, 2], generator=seeded()),
    "linear": lambda: Linear(2, 3, generator=seeded()),
    "sequential": lambda: Sequential(Linear(2, 3, generator=seeded()), nn.Tanh(), nn.Softmax()),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_its_examples(name):
    np = pytest.importorskip("numpy")
    model = MODELS[name]()
    rows = [[1.0, -2.0], [0.5, 0.25], [3.0, 3.0]]
    expected = [numbers(model(row)) for row in rows]
    assert numbers(model(rows)) == expected
    assert numbers(model(tuple(tuple(row) for row in rows))) == expected
    assert numbers(model(np.array(rows))) == expected
    assert numbers(model(list(np.array(rows)))) == expected
    assert numbers(model([[np.float64(x) for x in row] for row in rows])) == expected
    assert numbers(model([[Value(x) for x in row] for row in rows])) == expected
    assert numbers(model(np.array(rows[0]))) == expected[0]
    assert numbers(model(np.array([[1, -2]]))) == expected[:1]


@pytest.mark.parametrize("name", MODELS)
def test_tensors_count_as_lists(name):
    torch = pytest.importorskip("torch")
    rows = [[1.0, -2.0], [0.5, 0.25]]
    model = MODELS[name]()
    assert numbers(model(torch.tensor(rows))) == numbers(model(rows))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_the_inputs(name):
    row = [Value(1.0), Value(2.0)]
    outputs = nn.module.flatten(MODELS[name]()(row))
    next(outputs).backward()
    assert any(x.grad for x in row)


def test_activations_take_any_nesting():
    assert nn.ReLU()(-2.0).data == 0.0
    assert numbers(nn.ReLU()([[-1.0, 2.0], [[3.0]]])) == [[0.0, 2.0], [[3.0]]]


def test_no_grad():
    model = MLP(2, [3, 1])
    with no_grad():
        out = model([1.0, 2.0])
    assert isinstance(out, Constant)
    assert out.data == model([1.0, 2.0]).data


# ---- what does not fit


@pytest.mark.parametrize(
    ("model", "x", "message"),
    [
        (
            MLP(3, [4, 1]),
            [1.0, 2.0],
            r"MLP.layers.0 (Layer(3 → 4, relu)) takes 3 numbers for each example, "
            r"and was given 2: [1.0, 2.0]",
        ),
        (
            Sequential(Linear(2, 3), nn.ReLU(), Linear(4, 1)),
            [1.0, 2.0],
            r"Sequential.2 (Linear(in_features=4, out_features=1)) takes 4 numbers for each "
            r"example, and was given 3: [",
        ),
        (
            Sequential(Linear(2, 2), Sequential(nn.Tanh(), Linear(3, 1))),
            [1.0, 2.0],
            r"Sequential.1.1 (Linear(in_features=3, out_features=1)) takes 3",
        ),
        (Linear(2, 1), [[1.0, 2.0], [1.0]], r"Linear (Linear(in_features=2, out_features=1))"),
        (Neuron(3), [1.0], r"Neuron (Neuron(3 → 1, relu)) takes 3 numbers"),
        (MLP(2, [1]), [0.5] * 7, r"was given 7: [0.5, 0.5, 0.5, 0.5, ...]"),
        (MLP(2, [1]), [], r"was given 0: []"),
        (MLP(2, [1]), 3.0, r"was given 1: [3.0]"),
    ],
)
def test_a_wrong_width_names_the_layer(model, x, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - compared below, without regex
        model(x)
    assert message in str(error.value)


@pytest.mark.parametrize(("model", "replace", "place"), [
    (Neuron(2), lambda model: model.w, "w[1] of this Neuron"),
    (MLP(2, [3, 1]), lambda model: model.layers[0].neurons[2].w, "w[1] of this Neuron"),
    (Sequential(Linear(2, 2)), lambda model: model[0].weight[0], "weight[0][1] of this Linear"),
])  # fmt: skip
def test_a_number_in_the_place_of_a_parameter_is_named(model, replace, place):
    replace(model)[1] = 0.5
    with pytest.raises(AttributeError) as error:
        model([1.0, 2.0])
    assert error.value.__notes__ == [
        f"{place} is the number 0.5, not a Value: to give a parameter a number, write "
        f"{place.split()[0]}.data = 0.5"
    ]


def test_an_error_of_your_own_module_gets_no_note():
    class Net(Module):
        def forward(self, x):
            return self.lost(x)

    with pytest.raises(AttributeError) as error:
        Net()([1.0])
    assert not hasattr(error.value, "__notes__")


def test_numbers_that_are_one_example_are_one_argument():
    with pytest.raises(TypeError, match="2 positional arguments but 3 were given") as error:
        MLP(2, [1])(1.0, 2.0)
    assert error.value.__notes__ == ["numbers that are one example are one argument: model([1, 2])"]


def test_a_tied_layer_is_named_once():
    tied = Linear(2, 3)
    with pytest.raises(ValueError, match=r"^Sequential\.0 \(Linear"):
        Sequential(tied, nn.ReLU(), tied)([1.0, 2.0])


def test_a_layer_in_a_module_of_your_own_is_named():
    class Net(Module):
        def __init__(self):
            self.heads = {"left": [Linear(2, 1)]}

        def forward(self, x):
            return self.heads["left"][0](x)

    with pytest.raises(ValueError, match=r"^Net\.heads\.left\.0 \(Linear"):
        Net()([1.0])


@pytest.mark.parametrize("x", [3.0, None, "ab", Value(1.0)])
def test_an_input_that_is_no_row(x):
    with pytest.raises(TypeError, match="takes a list of 2 numbers or Values, not "):
        Linear(2, 1)(x)


def test_an_input_that_holds_no_numbers():
    with pytest.raises(TypeError, match="a Value takes an int, a float"):
        Linear(2, 1)(["a", "b"])


@pytest.mark.parametrize("width", [0, -1, 2.0, "3", None, True])
def test_widths(width):
    for make in (
        lambda: Neuron(width),
        lambda: Layer(2, width),
        lambda: MLP(width, [1]),
        lambda: MLP(2, [width]),
        lambda: Linear(width, 1),
        lambda: Linear(1, width),
    ):
        with pytest.raises(ValueError, match=r"must be a whole number of at least 1, not "):
            make()


def test_widths_may_be_numpy_integers():
    np = pytest.importorskip("numpy")
    assert numbers(Linear(np.int64(1), np.int32(2), init=lambda *_: 1.0, bias=False)([3])) == [3, 3]
    assert MLP(np.int64(2), [np.int64(3), 1]).config()["nouts"] == [3, 1]
    assert type(Linear(np.int64(1), 2).config()["in_features"]) is int


@pytest.mark.parametrize("nouts", [1, [], (), "ab", None])
def test_nouts(nouts):
    with pytest.raises(ValueError, match=r"nouts must be a list of .* like \[16, 16, 1\]"):
        MLP(2, nouts)


@pytest.mark.parametrize("name", ["rellu", "maximum", "sum", "linear", None, ["relu"]])
def test_unknown_activation(name):
    for make in (lambda: MLP(2, [1], activation=name), lambda: Neuron(2, activation=name)):
        with pytest.raises(
            ValueError, match=r"there is no function of one number called .*; there are .*relu.*elu"
        ):
            make()


def test_sequential_takes_modules():
    for wrong in ([Linear(1, 1)], abs, "relu"):
        with pytest.raises(TypeError, match=r"Sequential takes modules, as in Sequential\(a, b\)"):
            Sequential(wrong)


def test_a_module_without_forward():
    with pytest.raises(NotImplementedError, match=r"Module defines no forward\(\)"):
        Module()(1.0)


def test_gelu_approximation():
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', not 'erf'"):
        nn.GELU(approximate="erf")


# ---- scopes


def test_every_call_opens_a_scope():
    model = MLP(2, [2, 1])
    out = model([1.0, 2.0])
    names, opened = [], out.scope
    while opened:
        names.append((opened.name, opened.owner))
        opened = opened.parent
    last = model.layers[1]
    assert names == [("Neuron", last.neurons[0]), ("Layer", last), ("MLP", model)]


def test_a_failed_call_closes_its_scopes():
    with pytest.raises(ValueError, match="takes 2"):
        MLP(2, [2, 1])([1.0])
    assert (Value(1.0) + 1.0).scope is None


# ---- parameters and states


class Attention(Module):
    """A module as a user may write it."""

    def __init__(self):
        super().__init__()  # as in PyTorch; not needed here
        self.scale = Value(2.0)
        self.table = [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]]
        self.inner = Linear(1, 1, bias=False, init=lambda *_: 5.0)
        self.blocks = [Layer(1, 1, init=lambda *_: 6.0), nn.ReLU()]
        self.mixed = [Linear(1, 1, bias=False, init=lambda *_: 7.0), None, math.tanh, "text"]
        self.grid = [[Linear(1, 1, bias=False, init=lambda *_: 8.0)], []]
        self.heads = {"left": Value(9.0), "right": (nn.Tanh(), Value(10.0))}
        self.half_learned = [Value(11.0), Constant(12.0), 13.0]
        self.name, self.width, self.fixed = "attention", 3, Constant(1.0)
        self.seen = self.scale * 2  # something computed, kept to be looked at

    def forward(self, x, factor=1.0):
        return self.scale * x * factor


STATE = {
    "scale": 2.0,
    "table": [[1.0, 2.0], [3.0, 4.0]],
    "inner.weight": [[5.0]],
    "blocks.0.neurons.0.w": [6.0],
    "blocks.0.neurons.0.b": 0.0,
    "mixed.0.weight": [[7.0]],
    "grid.0.0.weight": [[8.0]],
    "heads.left": 9.0,
    "heads.right.1": 10.0,
    "half_learned.0": 11.0,
}


def test_a_module_of_your_own():
    module = Attention()
    assert module.state_dict() == STATE
    assert list(module.state_dict()) == list(STATE)
    names, parameters = zip(*module.named_parameters())
    assert list(parameters) == module.parameters()
    assert names[:5] == ("scale", "table[0][0]", "table[0][1]", "table[1][0]", "table[1][1]")
    assert module(3.0).data == 6.0
    assert module(3.0, factor=2.0).data == 12.0  # options reach forward
    new = {name: plain(_shifted(n)) for name, n in STATE.items()}
    module.load_state_dict(new)
    assert module.state_dict() == new
    module.eval()
    assert not any(m.training for m in module.modules())


def _shifted(n):
    return [_shifted(item) for item in n] if isinstance(n, list) else n + 100.0


def test_a_sequential_with_more_in_it():
    class Scaled(Sequential):
        def __init__(self):
            super().__init__(Linear(1, 1), nn.ReLU())
            self.scale = Value(3.0)

    assert list(Scaled().state_dict()) == ["0.weight", "0.bias", "scale"]


def test_names_of_parameters():
    model = MLP(2, [1, 1])
    assert [name for name, _ in model.named_parameters()] == [
        "layers.0.neurons.0.w[0]",
        "layers.0.neurons.0.w[1]",
        "layers.0.neurons.0.b",
        "layers.1.neurons.0.w[0]",
        "layers.1.neurons.0.b",
    ]


def test_names_and_shapes_are_pytorchs():
    torch = pytest.importorskip("torch")
    ours = Sequential(Linear(2, 3), nn.ReLU(), Sequential(Linear(3, 1, bias=False))).state_dict()
    theirs = torch.nn.Sequential(
        torch.nn.Linear(2, 3),
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.Linear(3, 1, bias=False)),
    ).state_dict()
    assert {k: nn.module.shape(v) for k, v in ours.items()} == {
        k: tuple(v.shape) for k, v in theirs.items()
    }
    assert list(ours) == list(theirs)


def test_load_from_tensors_and_arrays():
    torch = pytest.importorskip("torch")
    np = pytest.importorskip("numpy")
    theirs = torch.nn.Linear(2, 3).double()
    ours = Linear(2, 3)
    ours.load_state_dict(theirs.state_dict())
    x = [0.3, -0.7]
    expected = theirs(torch.tensor(x, dtype=torch.float64)).tolist()
    assert numbers(ours(x)) == pytest.approx(expected, rel=1e-12)
    ours.load_state_dict({"weight": np.ones((3, 2)), "bias": [np.float32(1), np.array(2.0), 3]})
    assert ours.state_dict() == {"weight": [[1.0, 1.0]] * 3, "bias": [1.0, 2.0, 3.0]}
    ours.load_state_dict({"weight": [torch.ones(2)] * 3, "bias": tuple(torch.zeros(3))})
    assert ours.state_dict() == {"weight": [[1.0, 1.0]] * 3, "bias": [0.0, 0.0, 0.0]}


GOOD = {"weight": [[1.0, 2.0], [3.0, 4.0]], "bias": [5.0, 6.0]}


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({}, ValueError, "does not fit this Linear: bias is missing, weight is missing"),
        ({**GOOD, "scale": 1.0}, ValueError, "scale is unknown"),
        ({**GOOD, "bias": [1.0]}, ValueError, r"bias has shape \(1,\), not \(2,\)"),
        ({**GOOD, "bias": 1.0}, ValueError, r"bias has shape \(\), not \(2,\)"),
        ({**GOOD, "bias": []}, ValueError, r"bias has shape \(0,\), not \(2,\)"),
        ({**GOOD, "bias": [[], []]}, ValueError, r"bias has shape \(2, 0\), not \(2,\)"),
        ({**GOOD, "weight": [[1.0, 2.0], [3.0]]}, ValueError, "weight has rows of different"),
        ({**GOOD, "weight": [[1.0, 2.0], 3.0]}, ValueError, "weight has rows of different"),
        ({**GOOD, "bias": [7.0, "x"]}, TypeError, "a Value takes an int, a float"),
        ({**GOOD, "bias": [7.0, None]}, TypeError, "a Value takes an int, a float"),
        ("model.json", TypeError, r"takes a dictionary.*not a str.*load\(path, model\)"),
        (None, TypeError, "takes a dictionary"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, error, message):
    model = Linear(2, 2)
    before = model.state_dict()
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    assert model.state_dict() == before


def test_an_empty_list_is_not_a_number():
    neuron = Neuron(1)
    with pytest.raises(ValueError, match=r"b has shape \(0,\), not \(\)"):
        neuron.load_state_dict({"w": [1.0], "b": []})


def test_zero_grad():
    model = MLP(2, [2, 1], activation="tanh")
    model([1.0, 2.0]).backward()
    assert all(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())


def test_sequential_is_a_sequence():
    parts = [Linear(1, 1), nn.ReLU()]
    model = Sequential(*parts)
    assert list(model) == parts
    assert len(model) == 2
    assert model[1] is parts[1]
    assert Sequential()(3.0) == 3.0


# ---- training and evaluation


def test_train_and_eval_reach_every_module():
    model = Sequential(Linear(1, 1), Sequential(nn.Dropout()))
    assert all(m.training for m in model.modules())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert model.train() is model
    assert all(m.training for m in model.modules())


def test_a_class_that_would_hide_the_mode_of_its_modules() -> None:
    with pytest.raises(TypeError, match=r"of Frozen hides the mode.*in __init__"):
        type("Frozen", (Module,), {"training": False})

    class Evaluated(Module):
        def __init__(self) -> None:
            self.training = False

    assert not Evaluated().training
    assert Evaluated().train().training


def test_dropout():
    n = 4000
    dropout = nn.Dropout(0.25, generator=seeded(1))
    x = [Value(2.0) for _ in range(n)]
    out = dropout(x)
    assert {v.data for v in out} == {0.0, 2.0 / 0.75}
    dropped = sum(v.data == 0 for v in out)
    assert abs(dropped - 0.25 * n) < 4 * math.sqrt(0.25 * 0.75 * n)  # four standard deviations
    for v, source in zip(out[:20], x):
        v.backward()
        assert source.grad == (0.0 if v.data == 0 else 1 / 0.75)
    assert numbers(nn.Dropout(0.25, generator=seeded(1))(x)) == numbers(out)
    assert dropout.eval()(x) == x  # the very same Values
    assert set(numbers(nn.Dropout(0.0)(x))) == {2.0}


def test_dropout_follows_the_global_seed():
    x = [1.0] * 50
    random.seed(3)
    first = numbers(nn.Dropout()(x))
    random.seed(3)
    assert numbers(nn.Dropout()(x)) == first


def test_dropout_draws_one_number_for_each():
    drawn = seeded(4)
    by_hand = [3.0 * (0.0 if drawn.random() < 0.25 else 1 / 0.75) for _ in range(50)]
    assert numbers(nn.Dropout(0.25, generator=seeded(4))([3.0] * 50)) == by_hand


def test_dropout_is_recorded():
    generator = seeded(4)
    active, dropout = Computing(), nn.Dropout(0.25, generator=generator)
    with recording(active):
        recorded = dropout(sealed([3.0] * 50))
    assert reveal(recorded) == numbers(nn.Dropout(0.25, generator=seeded(4))([3.0] * 50))
    one = [("random", generator), ("lt", True), ("where", True), ("mul", True)]
    assert active.asked == one * 50


@pytest.mark.parametrize("p", [1, 1.0, -0.1, 2, math.nan])
def test_dropout_rate(p):
    with pytest.raises(ValueError, match=r"p is a probability in \[0, 1\), not "):
        nn.Dropout(p)


# ---- where weights start


@pytest.mark.parametrize(
    ("initializer", "bound"),
    [
        (init.uniform, 1.0),
        (init.pytorch_default, 1 / math.sqrt(30)),
        (init.xavier_uniform, math.sqrt(6 / 50)),
        (init.kaiming_uniform, math.sqrt(6 / 30)),
    ],
)
def test_uniform_initializers(initializer, bound):
    generator = seeded()
    drawn = [initializer(30, 20, generator) for _ in range(20_000)]
    assert 0.99 * bound < max(drawn) <= bound
    assert -bound <= min(drawn) < -0.99 * bound
    assert sum(drawn) / len(drawn) == pytest.approx(0.0, abs=0.03 * bound)
    assert sum(x * x for x in drawn) / len(drawn) == pytest.approx(bound**2 / 3, rel=0.03)


@pytest.mark.parametrize(
    ("initializer", "variance"), [(init.xavier_normal, 2 / 50), (init.kaiming_normal, 2 / 30)]
)
def test_normal_initializers(initializer, variance):
    generator = seeded()
    drawn = [initializer(30, 20, generator) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.0, abs=0.03 * math.sqrt(variance))
    assert sum(x * x for x in drawn) / len(drawn) == pytest.approx(variance, rel=0.05)


def test_initializers_see_the_width_of_their_layer():
    seen = set()

    def spy(fan_in, fan_out, generator):
        seen.add((fan_in, fan_out))
        return generator.random()

    MLP(2, [5, 3], init=spy)
    assert seen == {(2, 5), (5, 3)}
    seen.clear()
    Linear(4, 7, init=spy)
    assert seen == {(4, 7)}


def test_linear_starts_as_in_pytorch():
    linear = Linear(16, 200, generator=seeded())
    weights = list(nn.module.flatten(linear.state_dict()["weight"]))
    assert 0.24 < max(weights) <= 0.25
    assert 0.2 < max(linear.state_dict()["bias"]) <= 0.25


@pytest.mark.parametrize(
    "make", [lambda g: MLP(2, [3, 1], generator=g), lambda g: Linear(2, 3, generator=g)]
)
def test_equal_seeds_equal_weights(make):
    assert make(seeded(1)).state_dict() == make(seeded(1)).state_dict()
    assert make(seeded(1)).state_dict() != make(seeded(2)).state_dict()


# ---- words


def test_repr_of_an_mlp():
    assert repr(MLP(2, [16, 16, 1])) == (
        "MLP(2 → 16 → 16 → 1, relu)         337 parameters\n"
        "  layers.0: Layer(2 → 16, relu)     48\n"
        "  layers.1: Layer(16 → 16, relu)   272\n"
        "  layers.2: Layer(16 → 1, linear)   17"
    )


def test_repr_of_a_sequential():
    model = Sequential(Linear(3, 8), nn.LeakyReLU(0.2), Sequential(Linear(8, 1, bias=False)))
    assert repr(model) == (
        "Sequential()                                              40 parameters\n"
        "  0: Linear(in_features=3, out_features=8)                32\n"
        "  1: LeakyReLU(negative_slope=0.2)\n"
        "  2: Sequential()                                          8\n"
        "    0: Linear(in_features=8, out_features=1, bias=False)   8"
    )


def test_repr_of_one_module():
    assert repr(Neuron(3, activation="tanh")) == "Neuron(3 → 1, tanh)  4 parameters"
    assert repr(Linear(1, 1, bias=False)).endswith("  1 parameter")
    assert repr(nn.Dropout(0.1)) == "Dropout(p=0.1)"
    assert repr(nn.BCELoss()) == "BCELoss(reduction='mean')"
    assert repr(Linear(40, 30)).endswith("1,230 parameters")


def test_repr_of_tied_layers_counts_them_once():
    tied = Linear(1, 1)
    assert repr(Sequential(tied, tied)).splitlines()[0].split() == [
        "Sequential()",
        "2",
        "parameters",
    ]


@pytest.mark.parametrize("name", nn.__all__)
def test_every_module_can_be_copied_and_pickled(name):
    kind = getattr(nn, name)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)) or kind is nn.Module:
        return
    arguments = {"Neuron": (2,), "Layer": (2, 3), "Linear": (2, 3), "MLP": (2, [3, 1])}
    arguments |= {"Conv1d": (1, 2, 3), "Conv2d": (1, 2, 3), "MaxPool2d": (2,), "AvgPool2d": (2,)}
    arguments |= {"BatchNorm1d": (2,), "LayerNorm": (2,), "RMSNorm": (2,), "Embedding": (3, 2)}
    arguments |= {
        "LearnedPositions": (3, 2),
        "SinusoidalPositions": (2,),
        "GPT": (3, 4),
        "CharRNN": (3, 4),
    }
    arguments |= {"MultiHeadAttention": (4, 2), "TransformerBlock": (4, 2)}
    arguments |= dict.fromkeys(("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"), (2, 3))
    module = kind(*arguments.get(name, ()))
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert type(copied) is kind
        assert copied.state_dict() == module.state_dict()
        assert not set(copied.parameters()) & set(module.parameters())


@pytest.mark.parametrize("make", [nn.Neuron, lambda n, **o: nn.MLP(n, [1], **o), nn.Dropout])
@pytest.mark.parametrize("seed", [0, 42])
def test_a_seed_is_no_generator(make, seed):
    with pytest.raises(TypeError, match=rf"random\.Random\(0\), not {seed}"):
        make(0.5 if make is nn.Dropout else 2, generator=seed)
