"""Norms, embeddings, positions and attention: parity with PyTorch, compiled and eager."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parity import (
    NEAR,
    assert_alike,
    assert_compiled_is_eager,
    assert_compiled_outputs,
    assert_like_torch,
    assert_reads_no_number_while_recording,
    assert_same_state,
    flat,
    gradchecked,
    in_torch,
    noise,
    numbers,
    pytorch,
    seeded,
    shaken,
    twin_of,
)

import micrograd_plus as mp
from micrograd_plus import Value, nn, no_grad
from micrograd_plus.nn.attention import attend
from micrograd_plus.support.nested import shape

small = st.integers(1, 5)


# ---- norms


@given(
    width=small,
    around=st.lists(st.integers(1, 3), max_size=2),
    eps=st.sampled_from([1e-5, 0.1]),
    affine=st.booleans(),
    bias=st.booleans(),
)
def test_layer_norm_like_torch(width, around, eps, affine, bias):
    torch = pytorch()
    module = shaken(nn.LayerNorm(width, eps, affine, bias))
    twin = torch.nn.LayerNorm(width, eps, affine, bias)
    assert_like_torch(module, noise(*around, width), twin=twin)


@given(
    width=small,
    around=st.lists(st.integers(1, 3), max_size=2),
    eps=st.sampled_from([None, 1e-5]),
    affine=st.booleans(),
)
def test_rms_norm_like_torch(width, around, eps, affine):
    torch = pytorch()
    options = {"elementwise_affine": affine} | ({} if eps is None else {"eps": eps})
    module, twin = shaken(nn.RMSNorm(width, **options)), torch.nn.RMSNorm(width, **options)
    assert_like_torch(module, noise(*around, width), twin=twin)


def test_rms_norm_of_tiny_numbers_like_torch():  # there eps is what counts
    torch = pytorch()
    x = [[Value(1e-8), Value(-2e-8)]]
    assert_like_torch(nn.RMSNorm(2), x, twin=torch.nn.RMSNorm(2))


@given(
    batch=st.integers(2, 4),
    features=small,
    places=st.sampled_from([(), (1,), (3,)]),
    momentum=st.sampled_from([0.1, 0.5]),
)
def test_batch_norm_like_torch(batch, features, places, momentum):
    torch = pytorch()
    module = shaken(nn.BatchNorm1d(features, momentum=momentum))
    twin = torch.nn.BatchNorm1d(features, momentum=momentum)
    for seed in range(3):
        assert_like_torch(module, noise(batch, features, *places, seed=seed), twin=twin)
        assert_same_state(module, twin.state_dict(), **NEAR)
        module.zero_grad()
        twin.zero_grad()
    assert module.num_batches_tracked.data == 3
    before = module.state_dict()
    x = noise(1, features, *places, seed=7)
    assert_like_torch(module.eval(), x, twin=twin.eval())
    assert module.state_dict() == before
    if not places:  # in evaluation one example will do
        assert numbers(module(x[0])) == numbers(module(x))[0]


def test_batch_norm_needs_a_batch_in_training():
    norm = nn.BatchNorm1d(2)
    before = norm.state_dict()
    for x in ([1.0, 2.0], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match=r"BatchNorm1d .* at least two examples.*eval\(\)"):
            norm(x)
    with pytest.raises(ValueError, match=r"takes 2 features for each example of a batch, and .* 3"):
        norm([[1.0, 2.0, 3.0]] * 2)
    assert norm.state_dict() == before


def test_buffers_are_no_parameters(tmp_path):
    norm = nn.BatchNorm1d(2)
    assert [name for name, _ in norm.named_parameters()] == [
        "weight[0]", "weight[1]", "bias[0]", "bias[1]",
    ]  # fmt: skip
    norm([[1.0, 5.0], [3.0, 2.0]])
    assert norm.running_mean[0].data == pytest.approx(0.2)
    assert norm.running_var[0].data == pytest.approx(0.9 + 0.1 * 2.0)
    nn.save(norm, tmp_path / "norm.json")
    assert nn.load(tmp_path / "norm.json").state_dict() == norm.state_dict()
    norm.eval()([[1.0, 5.0]])[0][0].backward()
    assert norm.running_mean[0].grad == 0.0


def test_batch_norm_compiled():
    pytest.importorskip("llvmlite")
    generator = seeded()
    model = nn.Sequential(nn.Linear(3, 4, generator=generator), nn.BatchNorm1d(4), nn.Tanh())
    predict = mp.compile(model)
    with pytest.raises(TypeError, match=r"BatchNorm1d.*train in eager mode, or call model.eval"):
        predict([[1.0, 2.0, 3.0]])
    X = numbers(noise(5, 3))
    for _ in range(2):  # the program goes by the statistics as they are now
        model.train()(X)
        model.eval()
        assert flat(predict(X)) == pytest.approx(flat(numbers(model(X))), rel=1e-12)


@pytest.mark.parametrize("length", [2, 3, 4, 6])  # 4: as many places as channels
def test_batch_norm_compiled_behind_a_convolution(length):
    """Where compiled, one example is channels × places, as in eager mode those of a batch."""
    pytest.importorskip("llvmlite")
    torch = pytorch()
    norm = nn.BatchNorm1d(3)
    layers = nn.Conv1d(2, 3, 2, generator=seeded()), norm, nn.Tanh(), nn.Flatten(-2)
    model = shaken(nn.Sequential(*layers, nn.Linear(3 * (length - 1), 1, generator=seeded())))
    predict = mp.compile(model)
    X = numbers(noise(5, 2, length))
    with pytest.raises(TypeError, match=r"BatchNorm1d.*train in eager mode, or call model.eval"):
        predict(X)
    model(X)  # moves the statistics
    model.eval()
    predicted = flat(predict(X))
    assert predicted == pytest.approx(flat(numbers(model(X))), rel=1e-12)
    twin = twin_of(model).eval()
    assert predicted == pytest.approx(flat(twin(torch.tensor(X, dtype=torch.float64))), **NEAR)
    total = mp.compile(lambda x: model([x])[0][0])  # a batch of one
    assert total.loss(X) == pytest.approx(statistics.fmean(predicted), rel=1e-12)


def test_batch_norm_compiled_takes_no_batch():
    model = nn.BatchNorm1d(3).eval()
    loss = mp.compile(lambda rows: mp.dot(*model(rows)))
    with pytest.raises(ValueError, match=r"takes 3 features .* given 2\. .* a compiled"):
        loss([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])


def test_fit_trains_batch_norm_in_eager_mode():
    generator = seeded()
    model = nn.Sequential(
        nn.Linear(2, 4, generator=generator), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)
    )
    X, y = mp.data.moons(20, seed=1)
    with pytest.warns(UserWarning, match=r"fit trains with eager code.*BatchNorm1d"):
        history = mp.fit(model, X, y, loss="hinge", epochs=5, progress=False)
    assert history.loss[-1] < history.loss[0]
    assert model[1].num_batches_tracked.data == 5


# ---- tokens and places


@given(tokens=st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=3))
def test_embedding_like_torch(tokens):
    torch = pytorch()
    module = nn.Embedding(5, 3, generator=seeded())
    twin = twin_of(module)
    ours, theirs = module(tokens), twin(torch.tensor(tokens))
    assert_alike(ours, theirs, module.parameters(), twin.parameters())
    assert module(tokens[0][0])[0] is module.weight[tokens[0][0]][0]
    assert numbers(module(torch.tensor(tokens))) == numbers(module(tokens))


@pytest.mark.parametrize("token", [5, -1, 1.5, "a", None, Value(1.0)])
def test_a_token_that_is_none(token):
    model = nn.Sequential(nn.Embedding(5, 2))
    with pytest.raises((IndexError, TypeError), match=r"Sequential\.0 .* ints from 0 to 4, not "):
        model([0, token])


@pytest.mark.parametrize("token", [5, -1, 1.5])
def test_a_token_that_is_none_compiled(token):
    pytest.importorskip("llvmlite")
    model = nn.Sequential(nn.Embedding(5, 2, generator=seeded()))
    predict = mp.compile(model)
    assert predict([[0, 4, 2]]).tolist() == [numbers(model([0, 4, 2]))]
    with pytest.raises(ValueError, match=rf"Sequential\.0 .* from 0 to 4, not {token}"):
        predict([[0, token, 2]])


def test_embedding_starts_as_in_torch():
    drawn = flat(nn.Embedding(100, 50, generator=seeded()).state_dict()["weight"])
    assert statistics.mean(drawn) == pytest.approx(0.0, abs=0.05)
    assert statistics.stdev(drawn) == pytest.approx(1.0, abs=0.05)


def test_learned_positions_like_torch():
    torch = pytorch()
    module = nn.LearnedPositions(6, 2, generator=seeded())
    twin = twin_of(module, torch.nn.Embedding(6, 2))
    x = noise(2, 4, 2)
    their_x = in_torch(x)
    theirs = their_x + twin(torch.arange(4))
    assert_alike(module(x), theirs, [x, module.parameters()], [their_x, *twin.parameters()])
    assert numbers(module(x[0], start=2)) == [
        [a.data + b.data for a, b in zip(row, place)] for row, place in zip(x[0], module.weight[2:])
    ]
    with pytest.raises(ValueError, match=r"context=6.* at most 6 positions, and was given 7"):
        module(noise(4, 2), start=3)


@given(width=st.integers(1, 7), length=small, start=st.integers(0, 30))
def test_sinusoidal_positions(width, length, start):
    module = nn.SinusoidalPositions(width)
    x = noise(length, width)
    for place, (row, out) in enumerate(zip(x, module(x, start)), start=start):
        for i in range(0, width, 2):
            angle = place / 10000 ** (i / width)
            assert out[i].data == pytest.approx(row[i].data + math.sin(angle))
            if i + 1 < width:
                assert out[i + 1].data == pytest.approx(row[i + 1].data + math.cos(angle))
    assert numbers(module([x, x])) == [numbers(module(x))] * 2
    assert not module.parameters()


@pytest.mark.parametrize("make", [nn.SinusoidalPositions, lambda w: nn.LearnedPositions(5, w)])
def test_rows_of_another_width(make):
    with pytest.raises(ValueError, match="takes 3 numbers for each example, and was given 2"):
        make(3)([[1.0, 2.0]])


# ---- attention


@st.composite
def masks(draw, queries, keys):
    """For each query which keys are True: at least one."""
    rows = []
    for _ in range(queries):
        row = draw(st.lists(st.booleans(), min_size=keys, max_size=keys))
        row[draw(st.integers(0, keys - 1))] = True
        rows.append(row)
    return rows


@given(st.data(), st.lists(st.integers(1, 2), max_size=2), small, small, small, small)
def test_scaled_dot_product_attention_like_torch(data, around, queries, keys, size, value_size):
    torch = pytorch()
    mask = data.draw(st.none() | masks(queries, keys))
    is_causal = mask is None and data.draw(st.booleans())
    x = [
        noise(*around, queries, size, seed=1),
        noise(*around, keys, size, seed=2),
        noise(*around, keys, value_size, seed=3),
    ]
    their_x = [in_torch(part) for part in x]
    their_mask = None if mask is None else torch.tensor(mask)
    expected = torch.nn.functional.scaled_dot_product_attention(
        *their_x, attn_mask=their_mask, is_causal=is_causal
    )
    assert_alike(nn.scaled_dot_product_attention(*x, mask, is_causal), expected, x, their_x)


@given(st.data(), st.integers(1, 3), st.integers(1, 3), small, small, st.booleans())
def test_multi_head_attention_like_torch(data, heads, size, queries, keys, bias):
    torch = pytorch()
    width = heads * size
    itself = data.draw(st.booleans())
    around = data.draw(st.sampled_from([(), (1,), (2,)]))
    keys = queries if itself else keys
    mask = data.draw(st.none() | masks(queries, keys))
    is_causal = mask is None and data.draw(st.booleans())
    module = shaken(nn.MultiHeadAttention(width, heads, bias, generator=seeded()))
    twin = torch.nn.MultiheadAttention(width, heads, bias=bias, batch_first=True)
    twin = twin_of(module, twin)
    x = [noise(*around, queries, width, seed=1)]
    if not itself:
        x += [noise(*around, keys, width, seed=2), noise(*around, keys, width, seed=3)]
    their_x = [in_torch(part) for part in x]
    left_out = None if mask is None else [[not may for may in row] for row in mask]
    their_mask = None if mask is None else torch.tensor(left_out)
    if is_causal:
        their_mask = ~torch.ones(queries, keys, dtype=torch.bool).tril()
    expected, weights = twin(
        *(their_x * 3 if itself else their_x), attn_mask=their_mask, average_attn_weights=False
    )
    out = module(*x, attn_mask=left_out, is_causal=is_causal)
    assert_alike(out, expected, [x, module.parameters()], [*their_x, *twin.parameters()])
    last = weights[-1] if around else weights
    assert shape(module.weights) == tuple(last.shape)
    assert flat(module.weights) == pytest.approx(flat(last.detach()), **NEAR)


@given(
    st.integers(1, 2), st.integers(1, 2), small, st.sampled_from([(), (2,)]), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_transformer_block_like_torch(heads, size, length, around, bias, is_causal):
    torch = pytorch()
    width = heads * size
    module = shaken(nn.TransformerBlock(width, heads, bias, generator=seeded()))
    twin = torch.nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0, norm_first=True, batch_first=True, bias=bias
    )
    twin, x = twin_of(module, twin), noise(*around, length, width)
    their_x = in_torch(x)
    mask = ~torch.ones(length, length, dtype=torch.bool).tril() if is_causal else None
    ours, theirs = module(x, is_causal=is_causal), twin(their_x, src_mask=mask)
    assert_alike(ours, theirs, [x, module.parameters()], [their_x, *twin.parameters()])


def test_multi_head_attention_starts_as_in_torch():
    module = nn.MultiHeadAttention(16, 4, generator=seeded())
    state = module.state_dict()
    bound = math.sqrt(6 / (16 + 48))
    assert 0.97 * bound < max(flat(state["in_proj_weight"])) <= bound
    assert 0.23 < max(flat(state["out_proj.weight"])) <= 0.25
    assert set(state["in_proj_bias"]) == set(state["out_proj.bias"]) == {0.0}


def test_sequences_of_a_batch_may_have_different_lengths():
    block = nn.TransformerBlock(4, 2, generator=seeded())
    batch = [noise(n, 4, seed=n) for n in (3, 1, 5)]
    assert numbers(block(batch)) == [numbers(block(sequence)) for sequence in batch]


def test_arrays_and_tensors_count_as_lists():
    np = pytest.importorskip("numpy")
    torch = pytorch()
    x = numbers(noise(2, 3, 4))
    for module in (
        nn.TransformerBlock(4, 2),
        nn.LearnedPositions(3, 4),
        nn.SinusoidalPositions(4),
        nn.BatchNorm1d(3),
    ):
        expected = numbers(module(x))
        for same in (np.array(x), torch.tensor(x, dtype=torch.float64), list(np.array(x))):
            assert flat(numbers(module(same))) == pytest.approx(flat(expected), rel=1e-12)
    expected = nn.scaled_dot_product_attention(x, x, x)
    ours = nn.scaled_dot_product_attention(*[np.array(x)] * 3, np.ones((3, 3), bool))
    assert numbers(ours) == numbers(expected)


def test_a_cache_is_for_one_sequence():
    attention, X = nn.MultiHeadAttention(4, 2), [[[1.0] * 4] * 2]
    with pytest.raises(ValueError, match="cannot use a cache with a batch"):
        attention(X, cache=([], []))


def test_a_cache_continues_a_sequence():
    attention = nn.MultiHeadAttention(4, 2, generator=seeded())
    x = noise(5, 4)
    whole = numbers(attention(x, is_causal=True))
    cache = ([], [])
    parts = [attention(x[:2], is_causal=True, cache=cache)]
    parts += [attention(x[i : i + 1], is_causal=True, cache=cache) for i in (2, 3, 4)]
    assert [row for part in parts for row in numbers(part)] == whole


def test_weights_add_up_to_one():
    answer, weights = attend([1.0, 2.0], [[0.5, 1.0], [3.0, -1.0]], [[1.0], [5.0]])
    assert sum(weight.data for weight in weights) == pytest.approx(1.0)
    assert answer[0].data == pytest.approx(weights[0].data + 5 * weights[1].data)


def test_what_attention_refuses():
    attention = nn.MultiHeadAttention(4, 2)
    with pytest.raises(ValueError, match="embed_dim, 4, must be a multiple of num_heads, 3"):
        nn.MultiHeadAttention(4, 3)
    with pytest.raises(ValueError, match=r"MultiHeadAttention .*takes 4 numbers .* given 3"):
        attention([[1.0, 2.0, 3.0]])
    with pytest.raises(TypeError, match=r"MultiHeadAttention .*takes a list of 4 numbers"):
        attention([1.0, 2.0, 3.0, 4.0])
    x = numbers(noise(2, 4))
    with pytest.raises(
        ValueError, match="takes one value for each key, and was given 2 keys and 1 values"
    ):
        attention(x, x, x[:1])
    for mask in ([[True, False]], [[True]] * 2):
        with pytest.raises(
            ValueError, match="attn_mask with 2 lists, one for each query, of 2 bools"
        ):
            attention(x, attn_mask=mask)
    with pytest.raises(ValueError, match=r"MultiHeadAttention.*: query 1 attends to no key"):
        attention(x, attn_mask=[[False, True], [True, True]])
    with pytest.raises(ValueError, match="norm must be 'layer' or 'rms', not 'batch'"):
        nn.TransformerBlock(4, 2, norm="batch")


# ---- every layer: gradients, recording, compiling

LAYERS = {
    "LayerNorm": lambda: nn.LayerNorm(4),
    "RMSNorm": lambda: nn.RMSNorm(4),
    "LearnedPositions": lambda: nn.LearnedPositions(3, 4, generator=seeded()),
    "SinusoidalPositions": lambda: nn.SinusoidalPositions(4),
    "MultiHeadAttention": lambda: nn.MultiHeadAttention(4, 2, generator=seeded()),
    "TransformerBlock": lambda: nn.TransformerBlock(4, 2, generator=seeded()),
    "rms": lambda: nn.TransformerBlock(4, 2, bias=False, norm="rms", generator=seeded()),
    "Sequential": lambda: nn.Sequential(
        nn.SinusoidalPositions(4), nn.TransformerBlock(4, 1, generator=seeded()), nn.RMSNorm(4)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradcheck(name):
    module = shaken(LAYERS[name]())
    assert len(gradchecked(module, noise(3, 4)).leaves) == len(module.parameters()) + 12


@pytest.mark.parametrize("training", [True, False])
def test_gradcheck_of_batch_norm(training):
    norm, x = shaken(nn.BatchNorm1d(2)), noise(3, 2)
    norm(x)
    assert len(gradchecked(norm.train(training), x).leaves) == 4 + 6


@pytest.mark.parametrize("name", LAYERS)
def test_no_number_is_read_while_recording(name):
    assert_reads_no_number_while_recording(shaken(LAYERS[name]()), numbers(noise(3, 4)))


@pytest.mark.parametrize("name", LAYERS)
def test_compiled_is_eager(name):
    assert_compiled_is_eager(shaken(LAYERS[name]()), numbers(noise(4, 3, 4)))


def test_compiled_for_each_length():
    block = nn.TransformerBlock(4, 2, generator=seeded())
    assert_compiled_outputs(block, [numbers(noise(n, 4, seed=n)) for n in (2, 5, 2, 1)])


def test_weights_are_numbers_also_without_a_graph():
    attention = nn.MultiHeadAttention(4, 2)
    with no_grad():
        attention(noise(3, 4), is_causal=True)
    assert shape(attention.weights) == (2, 3, 3)
    assert attention.weights[1][0] == [1.0, 0.0, 0.0]
    assert "weights" not in attention.state_dict()
