"""The explorer's page, in headless Chromium, opened as a file and without a network."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Visit, after_each_press, let_pass, until
from graphs import LEAVES, STEPS, build, ours
from hypothesis import given, settings
from hypothesis import strategies as st
from measures import CONTRASTS, OUTSIDE, TEXTS_OUTSIDE
from pages import HOSTILE, chain, close, corrected, diamonds, gradients, mlp, neuron, played

from micrograd_plus import losses
from micrograd_plus.classroom import faults
from micrograd_plus.classroom.tape import tape
from micrograd_plus.engine import Constant, Value, apply, topological_order
from micrograd_plus.explorer import Explorer, step_through
from micrograd_plus.ops import TABLE

Open = Callable[..., Any]
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def visit(window: Callable[..., Visit], page_file: Path) -> Open:
    """Opens an explorer's page."""

    def start(explorer: Explorer | Value | Path, **settings: Any) -> Any:
        if isinstance(explorer, Path):
            return window(**settings).go(explorer)
        if isinstance(explorer, Value):
            explorer = step_through(explorer)
        return window(**settings).show(explorer, page_file)

    return start


def small() -> Value:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    return a * b + a


def folded() -> Explorer:
    return step_through(mlp(2, 12, 5, 1), [0.5, -0.8], 1.0, losses.hinge)


def stop(page: Any) -> int:
    return int(page.evaluate("shown.stop"))


def said(page: Any) -> str:
    return str(page.text_content("#live"))


def box(page: Any, name: str) -> Any:
    return page.locator(f'#graph .box[aria-label^="{name},"]')


def leaf(page: Any, name: str) -> Any:
    return page.locator(f'#leaf-list [aria-label="{name}, number"]')


# ---- stepping


def test_stepping_both_ways(visit: Open) -> None:
    root = neuron()
    page = visit(root)
    steps = tape(root)
    sentence = "$('sentence').innerHTML"
    seen = [page.inner_html("#sentence")]
    texts = "$('count').textContent, $('live').textContent, $('sentence').innerText"
    looks = f"[shown.stop, {texts}, format(passes.steps[shown.stop - 1].after), {sentence}]"
    found = after_each_press(page, "ArrowRight", len(steps), looks)
    for i, (step, (place, count, live, words, number, html)) in enumerate(zip(steps, found), 1):
        assert place == i
        assert count.startswith(f"Step {i} of {len(steps)}: ")
        assert live.startswith(
            {"forward": "Forward", "seed": "The backward pass", "backward": "Backward"}[step.kind]
        )
        assert number in words.replace("\n", "")
        seen.append(html)
    page.keyboard.press("ArrowRight")
    assert stop(page) == len(steps)
    assert after_each_press(page, "ArrowLeft", len(steps), sentence) == seen[-2::-1]
    page.keyboard.press("ArrowLeft")
    assert stop(page) == 0
    page.keyboard.press("End")
    assert stop(page) == len(steps)
    page.keyboard.press("Home")
    assert stop(page) == 0


def test_the_numbers_on_the_boxes(visit: Open) -> None:
    page = visit(small())
    assert "data –" in box(page, "L").get_attribute("aria-label")
    page.keyboard.press("End")
    labels = page.eval_on_selector_all("#graph .box", "all => all.map((x) => x.ariaLabel)")
    assert sorted(labels) == [
        "L, data −4, grad 1", "a, data 2, grad −2", "b, data −3, grad 2", "v1, data −6, grad 1",
    ]  # fmt: skip
    assert box(page, "b").locator(".number").all_text_contents() == ["−3", "2"]


def test_buttons_and_slider(visit: Open) -> None:
    page = visit(small())
    assert page.is_disabled("#back")
    assert page.is_disabled("#first")
    page.click("#forward")
    page.click("#forward")
    assert stop(page) == 2
    page.click("#back")
    assert stop(page) == 1
    page.click("#last")
    assert stop(page) == 7
    assert page.is_disabled("#forward")
    page.click("#first")
    assert stop(page) == 0
    page.fill("#slider", "5")
    assert stop(page) == 5
    assert page.get_attribute("#slider", "aria-valuetext") == "5 of 7"


def test_play(visit: Open) -> None:
    page = visit(small())
    page.click("h1")
    page.keyboard.press("Space")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    page.select_option("#speed", "20")
    until(page, lambda: stop(page) == 7)
    assert page.get_attribute("#play", "aria-label") == "Play"
    page.select_option("#speed", "1")  # so that the end is far when the second click comes
    page.click("#play")  # from the start again
    until(page, lambda: 0 < stop(page) < 7)
    page.click("#play")
    here = stop(page)
    let_pass(page, 1200)
    assert stop(page) == here


def test_a_click_jumps_to_a_value_and_to_its_gradient(visit: Open) -> None:
    page = visit(small())
    box(page, "v1").click()
    assert said(page) == "Forward: v1 is −6."
    page.keyboard.press("End")
    box(page, "b").click()
    assert said(page).startswith("Backward: b gets from v1")
    page.get_by_role("button", name="to its gradient").click()
    assert said(page).startswith("Backward: b gets from v1")
    box(page, "v1").click()
    page.get_by_role("button", name="to its value").click()
    assert said(page) == "Forward: v1 is −6."


def test_sentences(visit: Open) -> None:
    page = visit(small())
    found = after_each_press(page, "ArrowRight", 7, "$('sentence').textContent")
    written = [re.sub(r"\s", "", text) for text in found]
    assert written[0] == "v1=a·b=2×(−3)=−6"
    assert written[5] == "a.grad+=v1.gradupstream×∂v1∂alocal=1×(−3)=−3a.grad:1→−2"
    assert page.is_visible("#rule")
    assert (
        "In a product, the slope with respect to one factor is the other factor: a."
        in page.text_content("#rule")
    )


# ---- leaves


NUMBERS = "[[...passes.data], [...passes.grad]]"


def assert_as_the_engine(page: Any, root: Value, scale: float = 0.0) -> None:
    assert_are_the_engines(page.evaluate(NUMBERS), root, scale)


def assert_are_the_engines(numbers: list[list[float]], root: Value, scale: float) -> None:
    order = topological_order(root)
    grads = gradients(root)
    data, grad = numbers
    for value, d, g, wanted in zip(order, data, grad, grads, strict=True):
        assert close(d, value.data, scale), f"{value}: {d}"
        if not isinstance(value, Constant):
            assert close(g, wanted, scale), f"{value}: {g} and not {wanted}"


def recomputed(root: Value, numbers: list[float]) -> Value:
    """The graph with other numbers in its leaves, by the engine."""
    order = topological_order(root)
    leaves = [x for x in order if x.op is None and not isinstance(x, Constant)]
    for value, number in zip(leaves, numbers, strict=True):
        value.data = number
    for value in order:
        if value.op is not None:
            value.data = value.op.forward(*[x.data for x in value.operands])
    return root


def test_editing_a_leaf(visit: Open) -> None:
    root = small()
    page = visit(root)
    page.keyboard.press("End")
    leaf(page, "a").fill("−1,5")
    assert_as_the_engine(page, recomputed(root, [-1.5, -3.0]))
    assert box(page, "L").get_attribute("aria-label") == "L, data 3, grad 1"
    assert stop(page) == 7
    leaf(page, "a").fill("what")
    assert leaf(page, "a").get_attribute("aria-invalid") == "true"
    assert_as_the_engine(page, root)
    assert page.text_content("#leaf-problem") == "Type a number, for example −1.5."
    for endless in ("inf", "−∞", "nan", "1e400"):
        leaf(page, "a").fill(endless)
        assert leaf(page, "a").get_attribute("aria-invalid") == "true"
        assert page.text_content("#leaf-problem").startswith("Type a finite number: ")
        assert_as_the_engine(page, root)
    leaf(page, "a").fill("-0.5")
    assert page.text_content("#leaf-problem") == ""
    assert_as_the_engine(page, recomputed(root, [-0.5, -3.0]))
    leaf(page, "a").fill("what")
    page.locator('[aria-label="b, drag"]').fill("4.5")
    assert leaf(page, "b").input_value() == "4.5"
    assert_as_the_engine(page, recomputed(root, [-0.5, 4.5]))
    page.click("#reset")
    assert leaf(page, "a").input_value() == "2"
    assert page.text_content("#leaf-problem") == ""
    assert leaf(page, "a").get_attribute("aria-invalid") != "true"
    assert_as_the_engine(page, recomputed(root, [2.0, -3.0]))


def test_nudging_is_the_finite_difference(visit: Open) -> None:
    root = neuron()
    page = visit(root)
    page.fill("#h", "0.01")
    page.click('[aria-label="nudge w1 by h"]')
    here = root.data
    there = math.tanh(2 * (-3 + 0.01) + 0.5 * 1 + 6.88)
    shown = page.text_content("#leaf-list .slope:visible")
    difference = page.evaluate(f"format({(there - here) / 0.01!r})")
    assert f"={difference} " in re.sub(r"[ \n]*=[ \n]*", "=", shown)
    gradients(root)
    grad = page.evaluate(
        f"format({next(x for x in topological_order(root) if x.label == 'w1').grad!r})"
    )
    assert shown.strip().endswith(grad)
    page.fill("#h", "0")
    assert "h must be a number other than 0" in page.text_content("#leaf-list .slope:visible")
    for endless in ("∞", "nan", "two"):
        page.fill("#h", endless)
        assert page.text_content("#leaf-list .slope:visible").startswith("Type a ")


@pytest.fixture(scope="module")
def one_page(browser: Any) -> Iterator[Visit]:
    """One page for the graphs of hypothesis, one after the other; it is small and paints little."""
    visit = Visit(browser, viewport={"width": 480, "height": 320})
    yield visit
    visit.close()


FILL = f"""
(numbers) => {{
  [...document.querySelectorAll("#leaf-list .number")].forEach((field, i) => {{
    field.value = numbers[i];
    field.dispatchEvent(new Event("input", {{ bubbles: true }}));
  }});
  return {NUMBERS};
}}
"""
"""Types a number into each leaf's field, and gives what the page computes."""


@given(LEAVES, STEPS, st.lists(st.floats(-3, 3), min_size=4, max_size=4))
@settings(max_examples=8)  # `test_explorer` has more of them, without a browser
def test_random_graphs(
    one_page: Visit, page_file: Path, numbers: list[float], steps: Any, others: list[float]
) -> None:
    root = build([Value(x) for x in numbers], steps[:8], ours)
    page = one_page.go(step_through(root).save(page_file))
    found, shown, count = page.evaluate(
        f"""[passes.steps.map(({{ kind, node }}) => [kind, node]), {NUMBERS},
          document.querySelectorAll("#leaf-list .number").length]"""
    )
    assert found == [[step.kind, topological_order(root).index(step.value)] for step in tape(root)]
    largest = max([1.0, *[abs(step.after) for step in tape(root)]])
    assert_are_the_engines(shown, root, largest)
    shown = page.evaluate(FILL, [repr(number) for number in others])
    recomputed(root, others[:count])
    assert_are_the_engines(shown, root, max(abs(step.after) for step in tape(root)))


ROWS = [
    [0.7, 1.3, -0.4, 2.1], [-1.5, 0.5, 0.5, 0.5], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0],
    [1.0, -1.0, 0.0, -0.0], [-8.0, 1 / 3, 1.0, 1.0], [30.0, -30.0, 1e-9, 1e16],
    [700.0, -750.0, 1e160, -1e160], [math.inf, 1.0, -math.inf, math.inf],
    [math.nan, 1.0, 2.0, math.nan], [1.0, math.nan, math.inf, 0.0],
]  # fmt: skip


def test_every_op(visit: Open) -> None:
    """All ops in one page, each with leaves of its own; their sum hands each the gradient 1."""
    results, places = [], {}
    for op in TABLE.values():
        count = len(ROWS[0]) if op.nary else len(op.operands)
        leaves = [Value(x, label=f"{op.name}{i}") for i, x in enumerate(ROWS[0][:count])]
        places |= {leaf: i for i, leaf in enumerate(leaves)}
        results.append(apply(op, *leaves))
    root = sum(results[1:], results[0])
    page = visit(step_through(root, fold=False))
    assert_as_the_engine(page, root)
    in_order = [places[value] for value in topological_order(root) if value in places]
    given = [[row[i] for i in in_order] for row in ROWS]
    found = page.evaluate(
        f"""(given) => given.map((numbers) => {{
          const left = [...numbers];
          LESSON.nodes.forEach(({{ op }}, i) => {{ if (!op) shown.numbers[i] = left.shift(); }});
          replay();
          return {NUMBERS};
        }})""",
        given,
    )
    for row, numbers in zip(given, found, strict=True):
        assert_are_the_engines(numbers, recomputed(root, row), 1.0)
    page.keyboard.press("End")
    assert page.locator("#graph .box").count() == len(topological_order(root))


# ---- paths


def test_the_paths_of_a_gradient(visit: Open) -> None:
    page = visit(small())
    box(page, "a").click()
    card = re.sub(r"\s+", "", page.text_content("#paths"))
    assert "Wheredoesa.gradcomefrom?" in card
    assert "2pathsfromtheroot" in card
    assert "L→v1→a" in card
    assert "1×(−3)=−3" in card
    assert "a.grad=−3+1=−2" in card
    box(page, "L").click()
    assert "It is the root" in page.text_content("#paths")


def test_too_many_paths_are_counted(visit: Open) -> None:
    page = visit(diamonds(40))
    box(page, "x").click()
    assert "1,099,511,627,776 paths from the root, 12 of them shown" in page.text_content("#paths")
    assert page.locator("#paths li").count() == 12
    assert "⋯" in page.text_content("#paths .sum")
    page.click("#mode-break")
    page.check("[value=recurse_without_order]")
    assert "cut off after 20,000 steps" in page.text_content("#fault-story")


# ---- predict


def answer(page: Any, number: float | str) -> str:
    page.fill("#answer", str(number))
    page.press("#answer", "Enter")
    return str(page.text_content("#verdict"))


def test_predicting_all_of_it(visit: Open) -> None:
    root = neuron()
    page = visit(root)
    page.click("#mode-predict")
    questions = [step for step in tape(root) if step.kind != "seed"]
    for i, step in enumerate(questions):
        assert page.evaluate("document.activeElement.id") == "answer"
        assert page.text_content("#count") == "What comes next?"
        assert "?" in page.text_content("#sentence")
        assert "?" in page.text_content("#graph")
        assert page.text_content("#graph .chip text") in ("", "?")
        verdict = answer(page, step.after)
        assert verdict.startswith("Right" if i + 1 < len(questions) else "That was the last one")
    assert page.text_content("#verdict") == (
        f"That was the last one: {len(questions)} of {len(questions)} right at the first try."
    )
    assert page.is_disabled("#check")


def test_hints_and_reveal(visit: Open) -> None:
    page = visit(small())
    page.click("#mode-predict")
    assert answer(page, 6) == "The size is right, but the sign is wrong."
    assert answer(page, 17) == "Put the numbers of the operands into the formula."
    assert answer(page, "") == "Type a number, for example −1.5."
    assert answer(page, "inf").startswith("Type a finite number: ")
    assert answer(page, "−6").startswith("Right: −6")
    assert page.text_content("#score") == "0 of 1 right at the first try"
    page.click("#reveal")  # L
    assert page.text_content("#verdict") == "It was −4. Next:"
    assert answer(page, 1).startswith("Right")  # v1
    assert answer(page, 1).startswith("Right")  # a, by +
    assert answer(page, -3) == page.evaluate("LESSON.hints['other path']")
    assert answer(page, 2) == page.evaluate("LESSON.hints['local, added']")
    assert answer(page, 4) == page.evaluate("LESSON.hints.subtracted")
    assert answer(page, 99) == page.evaluate("LESSON.hints.backward")
    assert answer(page, -2).startswith("Right")
    assert answer(page, 1) == page.evaluate("LESSON.hints.local")
    assert answer(page, 2.01).startswith("That was the last one: 2 of 6 right")


def test_the_hints_of_upstream_and_operand(visit: Open) -> None:
    a, b = Value(2.0, label="a"), Value(5.0, label="b")
    page = visit((a * b) * 3)
    page.click("#mode-predict")
    for number in (10, 30, 3):
        assert answer(page, number).startswith("Right")
    assert answer(page, 5) == page.evaluate("LESSON.hints.upstream")
    assert answer(page, 6) == page.evaluate("LESSON.hints.operand")
    assert answer(page, 15).startswith("Right")


def test_what_is_not_finite_is_not_asked(visit: Open) -> None:
    a, b = Value(0.0, label="a"), Value(2.0, label="b")
    page = visit(a.log() * b)
    page.click("#mode-predict")
    # log(0) and L are infinite, the gradient of b too; that of v1 is 2, and that of a infinite.
    assert answer(page, 2) == "That was the last one: 1 of 1 right at the first try."
    page = visit(Value(2.0, label="a"))
    page.click("#mode-predict")
    assert page.text_content("#verdict") == "There is nothing to ask here."


def test_editing_while_predicting(visit: Open) -> None:
    page = visit(small())
    page.click("#mode-predict")
    page.evaluate("setLeaf(LEAVES[1], NaN)")
    assert answer(page, 1).startswith("Right")  # v1 and L are nan: the first question is v1.grad
    leaf(page, "b").fill("10")
    assert answer(page, 1).startswith("Right")


def test_predicting_inside_a_folded_box(visit: Open) -> None:
    page = visit(folded())
    page.click("#mode-predict")
    page.click("#reveal")
    page.locator("#graph .group", has_text="Layer 3").click()
    asked = page.evaluate("(({ kind, node }) => [kind, node])(nextQuestion())")
    inside = page.evaluate("LESSON.views[shown.view].boxes.map(({ node }) => node)")
    assert asked[0] == "forward"
    assert asked[1] in inside
    assert answer(page, page.evaluate("nextQuestion().after")).startswith("Right")


# ---- faults


@pytest.mark.parametrize("fault", faults.ALL, ids=lambda fault: fault.name)
def test_each_fault(visit: Open, fault: faults.Fault) -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a - b
    c.label = "c"
    root = (c * c * Value(0.01, label="k") - a).tanh() * c
    page = visit(root)
    page.click("#mode-break")
    page.check(f"[value={fault.name}]")
    if fault is faults.ALL[-1]:
        page.select_option("[aria-label='the op that is changed']", "tanh")
        fault = faults.replace(fault, doubled="tanh")
    should, right = corrected(fault, root)
    data, grad = played(fault, root)
    found = page.evaluate("[[...passes.data], [...passes.grad]]")
    assert all(close(x, y) for x, y in zip(found[0], data, strict=True))
    assert all(close(x, y) for x, y in zip(found[1], grad, strict=True))
    page.click("#last")
    first = page.text_content("#fault-story .first")
    assert first.startswith("The first wrong number: ")
    assert page.locator("#graph .first").count() == 1
    name = first.removeprefix("The first wrong number: ").partition(".")[0]
    assert name in page.locator("#graph .first").get_attribute("aria-label")
    wrong = [not close(x, y, 1.0) for x, y in zip(grad, right, strict=True)]
    for value, is_wrong in zip(topological_order(root), wrong, strict=True):
        if value.label and is_wrong:
            assert ", ✗ right: " in box(page, value.label).get_attribute("aria-label")
    table = page.text_content("#fault-story table")
    assert page.evaluate(f"format({right[0]!r})") in table
    assert page.evaluate(f"format({should[-1]!r})") in table
    page.check("[value=none]")
    assert page.locator("#graph .wrong").count() == 0
    page.click("#mode-step")
    assert page.evaluate("shown.fault") is None


def test_stepping_after_a_fault_is_chosen(visit: Open) -> None:
    """The keys left and right step, as the page says; up and down choose another fault."""
    page = visit(small())
    page.click("#mode-break")
    page.click("[value=overwrite_gradients]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert stop(page) == 2
    page.keyboard.press("ArrowLeft")
    assert stop(page) == 1
    assert page.evaluate("shown.fault.name") == "overwrite_gradients"
    page.keyboard.press("End")
    assert stop(page) == page.evaluate("stops.length")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("shown.fault.name") != "overwrite_gradients"
    page.keyboard.press("Space")  # chooses what has the focus, and does not play
    assert page.evaluate("shown.playing") == 0


def test_a_number_of_six_digits_is_seen_whole(visit: Open) -> None:
    page = visit(Value(-0.139658, label="a").tanh())
    number = leaf(page, "a")
    assert number.input_value() == "-0.139658"
    assert number.evaluate("(field) => field.scrollWidth <= field.clientWidth")


def test_a_fault_that_cannot_show(visit: Open) -> None:
    a = Value(2.0, label="a")
    page = visit(a.tanh())
    page.click("#mode-break")
    assert page.is_disabled("[value=wrong_sign]")
    page.check("[value=overwrite_gradients]")
    assert "Nothing is wrong in this graph" in page.text_content("#fault-story")


def test_a_wrong_gradient_where_the_data_are_nan(visit: Open) -> None:
    a, b = Value(-1.0, label="a"), Value(2.0, label="b")
    page = visit(a.log() + b * 3 + b)
    page.click("#mode-break")
    page.check("[value=overwrite_gradients]")
    assert "b.grad is 1, and 4 is right" in page.text_content(
        "#fault-story .first"
    ) or "b.grad is 3, and 4 is right" in page.text_content("#fault-story .first")


# ---- the optimizer's step


def test_the_update_is_stepped_through(visit: Open) -> None:
    model = mlp(2, 1, activation="tanh")
    page = visit(step_through(model, [0.5, -0.8], 1.0, losses.mse))
    page.evaluate("go(passes.steps.findIndex(({ kind }) => kind === 'update') + 1)")
    assert said(page).startswith("Update: ")
    assert "the optimizer's step" in page.text_content("#count")
    assert "←" in page.text_content("#sentence")


# ---- names


def test_a_parameter_has_words_and_a_tooltip(visit: Open) -> None:
    page = visit(step_through(mlp(2, 4, 1), [0.5, -0.8], 1.0, losses.mse))
    words, path = "layer 1, neuron 4, weight 1", "layers.0.neurons.3.w[0]"
    assert box(page, words).locator("title").text_content() == path
    item = page.locator("#leaf-list li").filter(has=page.locator(f'[aria-label="{words}, number"]'))
    assert item.locator(".name").get_attribute("title") == path
    assert item.locator(".name msubsup").count() == 1


# ---- folding


def test_folded_layers_open(visit: Open) -> None:
    page = visit(folded())
    places = page.evaluate("stops.length")
    assert places < 20  # each folded box is one stop
    layer = page.locator("#graph .group", has_text="Layer 1")
    layer.click()
    assert page.evaluate("LESSON.views[shown.view].title") == "Layer 1"
    page.get_by_role("button", name="the whole graph").click()
    assert page.evaluate("shown.view") == 0
    layer.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("LESSON.views[shown.view].title") == "Layer 1"
    assert page.evaluate("document.activeElement.id") == "stage"
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert stop(page) == page.evaluate("stops.length") - 1
    crumbs = page.locator("#crumbs button").all_text_contents()
    assert crumbs == ["the whole graph", "Layer 1"]


def test_each_view_reaches_the_end(visit: Open) -> None:
    page = visit(step_through(mlp(2, 4, 4, 1), [0.5, -0.8], 1.0, losses.hinge, fold=True))
    ends = page.evaluate(
        """LESSON.views.map((_, view) => {
          open(view);
          for (let i = 0; i < Math.min(20, stops.length); i++) go(shown.stop + 1);
          go(stops.length);
          const waiting = document.querySelectorAll("#graph .waiting").length;
          return [countAt(shown.stop) === passes.steps.length, waiting];
        })"""
    )
    assert ends == [[True, 0]] * len(ends)
    assert len(ends) > 10


def test_three_hundred_nodes(visit: Open) -> None:
    page = visit(chain(299))
    page.keyboard.press("End")
    assert stop(page) == 599
    assert page.locator("#graph .box").count() == 300


# ---- keyboard and screen readers


def test_the_keyboard_is_enough(visit: Open) -> None:
    page = visit(step_through(small(), title="opened now, as Tab goes on from the last click"))
    page.keyboard.press("ArrowRight")
    seen, visible = [], []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(document.activeElement.ariaLabel ?? '') + '#' + document.activeElement.id"
            )
        )
        visible.append(
            page.evaluate(
                "(() => { const x = document.activeElement; "
                "const style = getComputedStyle(x.querySelector('.frame') ?? x); "
                "return style.outlineStyle !== 'none' || style.strokeWidth === '3px'; })()"
            )
        )
        if seen[-1].endswith("#speed"):
            break
    text = " ".join(seen)
    for expected in (
        "#mode-step",
        "a, data",
        "L, data",
        "#first",
        "#slider",
        "#speed",
        "b, number",
    ):
        assert expected in text, expected
    assert all(visible), [x for x, y in zip(seen, visible) if not y]
    box(page, "v1").focus()
    page.keyboard.press("Enter")
    assert said(page) == "Forward: v1 is −6."


def test_the_live_region_speaks_each_step(visit: Open) -> None:
    page = visit(small())
    assert page.get_attribute("#live", "aria-live") == "polite"
    texts = {said(page), *after_each_press(page, "ArrowRight", 7, "$('live').textContent")}
    assert len(texts) == 8


def test_typing_in_a_field_does_not_step(visit: Open) -> None:
    page = visit(small())
    leaf(page, "a").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    assert stop(page) == 0


# ---- the room that a page has, and colours

LESSONS: dict[str, Callable[[], Any]] = {
    "small": small,
    "neuron": neuron,
    "folded": folded,
    "long labels": lambda: Value(2.0, label=HOSTILE[-1]) * Value(3.0, label="x" * 40) + 1,
}


@pytest.mark.parametrize("name", LESSONS)
def test_on_a_phone(visit: Open, name: str) -> None:
    page = visit(LESSONS[name](), viewport=PHONE)
    for mode in ("step", "predict", "break"):
        wide, outside, rooms = page.evaluate(
            f"""() => {{
              $("mode-{mode}").click();
              go(stops.length);
              pick({{ node: LEAVES[0] }});
              shown.nudged = LEAVES[0];
              refresh();
              const buttons = ["first", "back", "play", "forward", "last"].map($);
              return [document.documentElement.scrollWidth, ({OUTSIDE})(),
                buttons.map((button) => button.getBoundingClientRect().toJSON())];
            }}"""
        )
        assert wide <= PHONE["width"], mode
        assert outside == [], mode
        if mode != "predict":
            for room in rooms:
                assert 0 <= room["left"] < room["right"] <= PHONE["width"], mode
                assert 0 <= room["top"] < room["bottom"] <= PHONE["height"], mode


@pytest.mark.parametrize("name", LESSONS)
def test_texts_fit_their_boxes(visit: Open, name: str) -> None:
    page = visit(LESSONS[name]())
    found = page.evaluate(
        f"""LESSON.views.flatMap((_, view) => {{
          open(view);
          go(stops.length);
          const short = ({TEXTS_OUTSIDE})();
          LEAVES.forEach((i) => {{ shown.numbers[i] = -1.23456e-100; }});
          recompute();
          const long = ({TEXTS_OUTSIDE})();
          $("reset").click();
          return [...short, ...long];
        }})"""
    )
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["neuron", "folded"])
def test_contrast(visit: Open, name: str, scheme: str) -> None:
    page = visit(LESSONS[name](), color_scheme=scheme)
    count = page.evaluate("stops.length")
    poor = [
        page.evaluate(CONTRASTS),
        *after_each_press(page, "ArrowRight", count, f"({CONTRASTS})()"),
    ]
    assert poor == [[]] * (count + 1)
    # All in one call: the browser paints nothing in between.
    poor = page.evaluate(
        f"""() => {{
          const show = [
            () => {{ pick({{ node: LEAVES[0] }}); shown.nudged = LEAVES[0]; refresh(); }},
            ...["inf", "nan", "-2", "1e-5"].map((number) => () => {{
              setLeaf(LEAVES[0], readNumber(number));
              go(stops.length);
            }}),
            () => {{
              $("reset").click();
              $("mode-break").click();
              document.querySelector("[value=change_forward_only]").click();
              go(stops.length);
            }},
            () => {{ $("mode-predict").click(); $("answer").value = "1234"; $("check").click(); }},
          ];
          return show.map((change) => (change(), ({CONTRASTS})()));
        }}"""
    )
    assert poor == [[]] * 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_at_every_strength(visit: Open, scheme: str) -> None:
    """Each fill of a box, from faint to full."""
    page = visit(small(), color_scheme=scheme)
    page.keyboard.press("End")
    for hue in ("negative", "positive", "wild"):
        found = page.evaluate(
            f"""Array.from({{ length: 11 }}, (_, i) => 10 * i).flatMap((share) => {{
              const fill = `fill: color-mix(in srgb, var(--{hue}) ${{share}}%, var(--box))`;
              document.querySelectorAll("#graph .frame").forEach((x) =>
                x.setAttribute("style", fill));
              return ({CONTRASTS})().map((poor) => `${{share}}% ${{poor}}`);
            }})"""
        )
        assert found == [], hue


def test_less_motion(visit: Open) -> None:
    moving = "document.getAnimations().length"
    for motion, some in (("no-preference", True), ("reduce", False)):
        page = visit(small(), reduced_motion=motion)
        page.evaluate("go(6)")
        assert bool(page.evaluate(moving)) is some


# ---- hostile labels


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_run_nothing(visit: Open, label: str) -> None:
    a, b = Value(2.0, label=label), Value(3.0, label="b")
    page = visit(step_through((a - b) * a, title=label))
    assert page.evaluate("document.title") == label.replace("\n", " ")
    assert page.text_content("h1") == label
    texts = page.evaluate(
        """() => {
          const texts = (...all) => all.map((x) => document.querySelector(x).textContent);
          go(stops.length);
          pick({ node: 0 });
          const step = texts("#live", "#paths h2", "#rule .reason", "#sentence");
          $("mode-break").click();
          document.querySelector("[value=overwrite_gradients]").click();
          dispatchEvent(new Event("beforeprint"));
          const broken = texts("#fault-story", "#sheet");
          for (const mode of ["predict", "step"]) $(`mode-${mode}`).click();
          return [...step, ...broken];
        }"""
    )
    assert [label in text for text in texts] == [True] * 6
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0


# ---- in notebooks


def test_several_explorers_in_one_page(visit: Open, tmp_path: Path) -> None:
    parts = [step_through(root)._repr_mimebundle_()["text/html"] for root in (small(), neuron())]
    path = tmp_path / "notebook.html"
    path.write_text(
        f"<!DOCTYPE html><meta charset=utf-8><p>a notebook</p>{''.join(parts)}", "utf-8"
    )
    page = visit(path)
    frames = [frame for frame in page.frames if frame != page.main_frame]
    assert len(frames) == 2
    frames[0].click("#forward")
    assert [frame.text_content("#count")[:6] for frame in frames] == ["Step 1", "Step 0"]
    frames[1].click("#last")
    assert frames[1].text_content("#count").startswith("Step 15 of 15")
    assert frames[0].text_content("#count").startswith("Step 1 of 7")


def test_nothing_of_the_notebook_is_lost_without_frames(visit: Open, tmp_path: Path) -> None:
    shown = step_through(small())._repr_mimebundle_()["text/html"]
    path = tmp_path / "untrusted.html"
    path.write_text(re.sub(r"<iframe.*?</iframe>", "", shown, flags=re.DOTALL), "utf-8")
    page = visit(path)
    page.click("summary")
    assert page.evaluate("document.querySelector('img').naturalWidth") > 100
