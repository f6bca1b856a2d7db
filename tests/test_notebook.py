"""What a notebook shows of the library's objects, and the sliders of `interact`."""

import random
import re
import sys

import pytest

import micrograd_plus as mp
from micrograd_plus import Value, nn
from micrograd_plus.gradcheck import Check, Report
from micrograd_plus.support import progress


def html(value):
    return value._repr_mimebundle_()["text/html"]


def cells(page):
    return re.findall(r"<t[dh] [^>]*>([^<]*)</t[dh]>", page)


def graph():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    return a * b + a.tanh()


def test_a_model_shows_its_modules_and_its_network():
    model = nn.MLP(2, [3, 1], generator=random.Random(0))
    shown = html(model)
    assert cells(shown) == [
        *("", "module", "parameters"),
        *("", "MLP(2 → 3 → 1, relu)", "13"),
        *("  layers.0", "Layer(2 → 3, relu)", "9"),
        *("  layers.1", "Layer(3 → 1, linear)", "4"),
    ]
    assert "<summary>network</summary><img src=" in shown
    assert model._repr_mimebundle_()["text/plain"] == repr(model)


def test_a_model_without_a_network_shows_its_modules_alone():
    shown = html(nn.LSTM(1, 2, generator=random.Random(0)))
    assert "LSTM(input_size=1, hidden_size=2)" in shown
    assert "<img" not in shown


def test_a_model_of_many_modules_is_cut():
    model = nn.Sequential(*[nn.Linear(1, 1, generator=random.Random(0)) for _ in range(50)])
    shown = html(model)
    assert shown.count("<tr>") == 1 + 20
    assert "… and 31 more" in shown


def test_a_report_shows_what_is_wrong_first():
    checks = [Check("leaf a", 1.0, 1.0, "ok"), Check("leaf <b>", 2.0, 3.0, "WRONG")]
    shown = html(Report(checks, [], 2))
    assert cells(shown)[4:] == [
        *("leaf &lt;b&gt;", "2", "3", "✗ WRONG"),
        *("leaf a", "1", "1", "✓ ok"),
    ]
    assert html(mp.gradcheck(graph())).startswith("<p>gradcheck: all right (2 leaves, 3 ops)")


def test_a_report_explains_its_verdicts():
    x = Value(0.0, label="x")
    assert "<p>kink: the slopes on the two sides differ" in html(mp.gradcheck(x.relu() * 2))


def test_a_history_shows_its_curves():
    pytest.importorskip("matplotlib")
    X, y = mp.data.moons(20, seed=0)
    model = nn.MLP(2, [2, 1], generator=random.Random(0))
    history = mp.fit(model, X, y, loss="hinge", epochs=2, progress=False, compiled=False)
    assert re.fullmatch(
        r'<p>History\(2 epochs, .*\)</p><img src="data:image/png;base64,[\w+/=]+".*>', html(history)
    )


def test_a_history_without_matplotlib_is_a_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    history = mp.train.History(loss=[1.0])
    assert list(history._repr_mimebundle_()) == ["text/plain"]


def test_a_question_does_not_show_its_answer():
    question = mp.questions(graph(), n=1, seed=1)[0]
    bundle = question._repr_mimebundle_()
    for text in bundle.values():
        assert "What is" in text
        assert f"{question.answer:.4g}"[:5] not in text
        assert "answer=" not in text
        assert "mistakes=" not in text


def test_an_optimizer_shows_settings_and_state():
    w, b = Value(1.0), Value(2.0)
    optimizer = mp.optim.SGD([w, b], lr=0.1, momentum=0.9)
    assert "<p>SGD of 2 parameters</p>" in html(optimizer)
    assert "state" not in html(optimizer)
    (w * b).backward()
    optimizer.step()
    rows = dict(zip(cells(html(optimizer))[::2], cells(html(optimizer))[1::2]))
    assert rows["lr"] == "0.1"
    assert [rows[name] for name in rows if name.startswith("state: ")] == ["1 … 2"]


def test_a_compiled_program_shows_its_instructions():
    pytest.importorskip("llvmlite")
    w = Value(2.0, label="w")
    step = mp.compile(lambda x: (w * mp.sum(x)) ** 2, mp.optim.SGD([w], lr=0.1))
    step([[1.0, 2.0]])
    step([[1.0, 2.0, 3.0]])
    shown = html(step)
    assert shown.count("<details>") == 1
    assert shown.count("<details open>") == 1
    assert "<summary>x: 3 numbers · 1 parameters</summary><pre>" in shown


def test_what_is_shown_can_be_chosen():
    report = mp.gradcheck(graph())
    assert list(report._repr_mimebundle_(include=["text/html"])) == ["text/html"]
    assert list(report._repr_mimebundle_(exclude=["text/html"])) == ["text/plain"]


def test_only_public_names_are_listed():
    import types

    listed = {name: getattr(mp, name) for name in dir(mp)}
    assert {"Value", "tanh", "fit", "interact", "nn"} <= listed.keys()
    for name, thing in listed.items():
        place = thing.__name__ if isinstance(thing, types.ModuleType) else thing.__module__
        assert place.startswith("micrograd_plus"), name


# ---- interact


@pytest.fixture
def widgets():
    return pytest.importorskip("ipywidgets")


def test_a_slider_moves_its_leaf_and_every_number_follows(widgets):
    root = graph()
    box = mp.interact(root)
    *sliders, picture = box.children
    assert [(s.description, s.value, s.min, s.max) for s in sliders] == [
        ("a", 2.0, -5.0, 5.0),
        ("b", -3.0, -6.0, 6.0),
    ]
    before = picture.value
    sliders[0].value = 0.5
    again = Value(0.5, label="a"), Value(-3.0, label="b")
    expected = again[0] * again[1] + again[0].tanh()
    expected.backward()
    assert box.root.data == expected.data
    moved = [v for v in mp.engine.topological_order(box.root) if v.label]
    assert [v.grad for v in moved] == [v.grad for v in again]
    assert picture.value != before
    assert "<img" in picture.value
    assert root.data == graph().data  # the graph that was given stays as it is


def test_interact_refuses_what_has_no_sliders(widgets):
    with pytest.raises(TypeError, match=r"interact takes a Value, not 3\.0"):
        mp.interact(3.0)
    with pytest.raises(ValueError, match="the graph has 21 leaves; interact shows from 1 to 20"):
        mp.interact(mp.sum([Value(float(i)) for i in range(21)]))


def test_interact_without_ipywidgets_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match="pip install ipywidgets"):
        mp.interact(graph())


# ---- the progress bar


def test_the_bar_is_the_one_for_this_place():
    pytest.importorskip("tqdm")
    from tqdm.auto import tqdm

    with progress.bar(2, "epoch", wanted=True) as bar:
        assert isinstance(bar, tqdm)
