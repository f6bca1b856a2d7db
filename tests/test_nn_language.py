"""GPT and CharRNN: their shape, their caches, their twins in PyTorch, and what they write."""

from __future__ import annotations

import collections
import math
import random
import statistics
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parity import (
    AFTER_TRAINING,
    assert_alike,
    assert_compiled_loss,
    assert_compiled_outputs,
    assert_reads_no_number_while_recording,
    assert_same_state,
    gpt_in_torch,
    numbers,
    pytorch,
    seeded,
    train,
    twin_of,
)

import micrograd_plus as mp
from micrograd_plus import data, gradcheck, losses, nn, no_grad, optim
from micrograd_plus.engine import Constant
from micrograd_plus.text import CharacterTokenizer

ADAM = {"lr": 1e-2, "betas": (0.85, 0.99)}


def small(**changed):
    shape = {"vocabulary": 5, "width": 4, "heads": 2, "layers": 2, "context": 6, **changed}
    return nn.GPT(**shape, generator=seeded(1))


def small_rnn(cell="lstm", **changed):
    return nn.CharRNN(5, 4, **{"layers": 2, **changed}, cell=cell, generator=seeded(1))


SMALL = [
    small,
    *[pytest.param(partial(small_rnn, cell), id=cell) for cell in ("rnn", "lstm", "gru")],
]
each = pytest.mark.parametrize("make", SMALL)


def louder(model):
    """The same model with larger weights, so that it is sure of what it says."""
    for parameter in model.parameters():
        parameter.data *= 10
    return model


def test_by_default_it_is_the_well_known_one():
    model = nn.GPT(27, generator=seeded())
    assert len(model.parameters()) == 4192
    assert model.config() == {
        "vocabulary": 27, "width": 16, "heads": 4, "layers": 1, "context": 16,
    }  # fmt: skip
    drawn = [parameter.data for parameter in model.parameters()]
    assert sum(drawn) / len(drawn) == pytest.approx(0.0, abs=0.005)
    assert math.sqrt(sum(x * x for x in drawn) / len(drawn)) == pytest.approx(0.08, rel=0.05)
    assert nn.GPT(27, generator=seeded()).state_dict() == model.state_dict()
    with no_grad():
        logits = numbers(model([0, 5, 13, 13, 1]))
    assert [len(row) for row in logits] == [27] * 5


@given(
    st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=5),
)  # fmt: skip
def test_loss_and_gradients_like_torch(more, heads, size, layers, pairs):
    tokens, targets = zip(*[(a % more, b % more) for a, b in pairs])
    model = louder(small(vocabulary=more, width=heads * size, heads=heads, layers=layers))
    loss_in_torch, w = gpt_in_torch(model)
    ours = losses.cross_entropy(model(tokens), targets)
    assert_alike(ours, loss_in_torch(tokens, targets), model.parameters(), w.values())


def test_a_thousand_names_like_torch():
    """Adam with linear decay, a name a step, compiled: every loss is PyTorch's."""
    pytest.importorskip("llvmlite")
    torch = pytorch()
    names = data.names()
    seeded().shuffle(names)
    X, y = CharacterTokenizer(names).examples(names[:1000])
    model = nn.GPT(27, generator=seeded())
    loss_in_torch, w = gpt_in_torch(model)
    their_optimizer = torch.optim.Adam(w.values(), **ADAM)
    their_schedule = torch.optim.lr_scheduler.LinearLR(their_optimizer, 1.0, 0.0, 1000)
    theirs = train(their_optimizer, loss_in_torch, zip(X, y), their_schedule)
    optimizer = optim.Adam(model.parameters(), **ADAM)
    schedule = optim.LinearLR(optimizer, 1.0, 0.0, 1000)
    step = mp.compile(lambda x, y: losses.cross_entropy(model(x), y), optimizer)
    ours = step.run(X, y, batch_size=1, schedule=schedule)
    assert ours == pytest.approx(theirs, rel=1e-7)
    assert statistics.mean(ours[-100:]) == pytest.approx(2.2994, abs=1e-4)
    assert_same_state(model, w, **AFTER_TRAINING)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_char_rnn_like_torch(cell):
    torch = pytorch()
    model = small_rnn(cell)
    tokens, targets = [0, 3, 1, 4], [3, 1, 4, 0]
    parts = torch.nn.ModuleDict(
        {
            "tokens": torch.nn.Embedding(5, 4),
            "recurrent": getattr(torch.nn, cell.upper())(4, 4, 2, batch_first=True),
            "head": torch.nn.Linear(4, 5),
        }
    )
    parts = twin_of(model, parts)
    output, _ = parts["recurrent"](parts["tokens"](torch.tensor([tokens])))
    theirs = torch.nn.functional.cross_entropy(parts["head"](output)[0], torch.tensor(targets))
    ours = losses.cross_entropy(model(tokens), targets)
    assert_alike(ours, theirs, model.parameters(), parts.parameters())


@each
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_with_a_cache_it_says_the_same(make, tokens, cuts):
    model = louder(make())
    whole = numbers(model(tokens))
    cache, rows = [], []
    while len(rows) < len(tokens):
        many = cuts.draw(st.integers(1, len(tokens) - len(rows)))
        rows += numbers(model(tokens[len(rows) : len(rows) + many], cache))
    assert rows == whole


@each
def test_a_batch_is_its_sequences(make):
    np = pytest.importorskip("numpy")
    model = make()
    batch = [[0, 1, 2], [4], [3, 3, 3, 3, 3, 3]]
    assert numbers(model(batch)) == [numbers(model(tokens)) for tokens in batch]
    assert numbers(model(np.array([[0, 1, 2]]))) == numbers(model(batch[:1]))


@each
def test_no_token_sees_what_follows(make):
    model = louder(make())
    one, other = numbers(model([1, 2, 3, 0])), numbers(model([1, 2, 4, 4]))
    assert one[:2] == other[:2]
    assert one[2] != other[2]


@each
def test_gradcheck_and_recording(make):
    model = louder(make(layers=1))
    report = gradcheck(losses.cross_entropy(model([0, 1, 4]), [1, 4, 0]))
    assert report, report
    assert_reads_no_number_while_recording(model, [0, 1, 4])


@each
def test_compiled_is_eager(make):
    model = louder(make())
    if model.context:
        model = louder(make(context=3))  # no more places than the examples reach
    X, y = [[0, 1, 2], [0, 4], [3, 3, 1]], [[1, 2, 0], [4, 0], [3, 1, 0]]
    assert_compiled_outputs(model, X)
    assert_compiled_loss(lambda x, y: losses.cross_entropy(model(x), y), model, X, y)


def test_what_it_refuses():
    model = small()
    with pytest.raises(IndexError, match=r"GPT\.tokens \(Embedding.* ints from 0 to 4, not 5"):
        model([0, 5])
    with pytest.raises(ValueError, match=r"GPT\.positions .* at most 6 positions, and was given 7"):
        model([0] * 7)
    cache = []
    model([0] * 6, cache)
    with pytest.raises(ValueError, match="at most 6 positions, and was given 7"):
        model([0], cache)
    for wrong in ([], 3, "abc"):
        with pytest.raises(ValueError, match=r"^GPT .* takes a list of at least one token, not "):
            model(wrong)
    with pytest.raises(ValueError, match="a compiled function takes lists of examples"):
        mp.compile(lambda x, y: losses.cross_entropy(model(x), y))([0, 1], [1, 0])
    with pytest.raises(ValueError, match="a cache belongs to one sequence"):
        model([[0, 1], [2]], [])
    with pytest.raises(ValueError, match="layers must be a whole number"):
        small(layers=0)
    with pytest.raises(ValueError, match="must be a multiple of"):
        small(width=5)


def test_what_a_char_rnn_refuses():
    with pytest.raises(ValueError, match="cell must be one of 'rnn', 'lstm', 'gru', not 'LSTM'"):
        nn.CharRNN(5, cell="LSTM")
    with pytest.raises(
        ValueError, match=r"^CharRNN .* takes a list of at least one token, not \[\]"
    ):
        small_rnn()([])
    with pytest.raises(ValueError, match="length must be given: a CharRNN has no maximum length"):
        nn.generate(small_rnn())


# ---- generate


def test_generate_is_a_draw_from_what_the_model_says(monkeypatch):
    model = louder(small(layers=1))
    (logits,) = said = numbers(model([0]))
    monkeypatch.setattr(model, "read", lambda tokens, cache: said)  # without computing it again
    for temperature in (0.5, 1.0, 3.0):
        shares = [math.exp(logit / temperature) for logit in logits]
        drawn = collections.Counter(
            (nn.generate(model, temperature=temperature, seed=seed, length=1) or [0])[0]
            for seed in range(2000)
        )
        for token, share in enumerate(shares):
            expected = share / sum(shares)
            assert drawn[token] / 2000 == pytest.approx(expected, abs=0.04)


@each
def test_generate_takes_the_likeliest(make):
    model = louder(make())
    tokens = [0]
    while len(tokens) <= 6:
        last = numbers(model(tokens))[-1]
        tokens.append(last.index(max(last)))
    assert nn.generate(model, stop=-1, length=6, top_k=1) == tokens[1:]
    assert nn.generate(model, tokens[:3], stop=-1, length=4, top_k=1) == tokens[3:]
    until = tokens.index(tokens[4], 1)
    assert nn.generate(model, stop=tokens[4], length=6, top_k=1) == tokens[1:until]
    top = sorted(range(5), key=lambda token: -numbers(model([0]))[0][token])[:2]
    hot = {"stop": -1, "length": 1, "temperature": 10.0}
    assert {nn.generate(model, **hot, top_k=2, seed=seed)[0] for seed in range(50)} == {*top}
    assert {nn.generate(model, **hot, top_k=9, seed=seed)[0] for seed in range(50)} == {*range(5)}


def test_generate_repeats_itself_with_a_seed():
    model = small()
    state = random.getstate()
    written = [nn.generate(model, stop=-1, seed=seed) for seed in (1, 1, 2)]
    assert written[0] == written[1] != written[2]
    assert all(len(tokens) == model.context for tokens in written)
    assert random.getstate() == state


def test_generate_keeps_no_graph(monkeypatch):
    model, seen = small(), []
    read = model.read
    monkeypatch.setattr(nn.GPT, "read", lambda _, *given: seen.append(read(*given)) or seen[-1])
    nn.generate(model, stop=-1, seed=0)
    assert len(seen) == model.context
    assert all(type(logit) is Constant for rows in seen for row in rows for logit in row)


def test_generate_with_lengths():
    model = small()
    assert len(nn.generate(model, stop=-1, length=3, seed=0)) == 3
    assert len(nn.generate(model, [0, 1, 2], stop=-1, seed=0)) == 4
    with pytest.raises(ValueError, match=r"GPT\.positions .*at most 6 positions"):
        nn.generate(model, stop=-1, length=8, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be above 0, not 0\.0; top_k=1 gives"),
        ({"temperature": math.nan}, "temperature must be above 0, not nan"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, not 0"),
        ({"start": []}, r"GPT .* takes a list of at least one token"),
        ({"length": 0}, "length must be a whole number of at least 1"),
    ],
)
def test_what_generate_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        nn.generate(small(), **options)


def pairs(name):
    """Each letter and what follows it, with "." for both ends."""
    return list(zip(f".{name}", f"{name}."))


def loss_by_pairs(names):
    """The mean loss of the best model of these names that sees one letter only."""
    counts = collections.Counter(pair for name in names for pair in pairs(name))
    first = collections.Counter(a for a, _ in counts.elements())
    each = [[-math.log(counts[a, b] / first[a]) for a, b in pairs(name)] for name in names]
    return statistics.mean(map(statistics.mean, each))


def test_it_learns_to_spell():
    pytest.importorskip("llvmlite")
    names = data.names()[:200]
    letters = CharacterTokenizer(names)
    known = {pair for name in names for pair in pairs(name)}
    model = nn.GPT(len(letters), generator=seeded())

    def written():
        """How long its names are, and the share of their pairs that are in real ones."""
        texts = [letters.decode(nn.generate(model, seed=seed)) for seed in range(50)]
        spelled = [pair in known for text in texts for pair in pairs(text)]
        return statistics.mean(map(len, texts)), statistics.mean(spelled)

    length, share = written()
    assert length > 9
    assert share < 0.5
    optimizer = optim.Adam(model.parameters(), **ADAM)
    step = mp.compile(lambda x, y: losses.cross_entropy(model(x), y), optimizer)
    history = step.run(*letters.examples(names), epochs=10, batch_size=1)
    assert history[0] == pytest.approx(math.log(len(letters)), rel=0.1)
    assert statistics.mean(history[-200:]) < loss_by_pairs(names)
    length, share = written()
    assert 3 < length < 9
    assert share > 0.85
