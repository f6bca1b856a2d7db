"""Training in the explorer's page: its reward, its repeats, the loss curve; the list of leaves."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import Visit, after_each_press
from pages import in_the_page, mlp

from micrograd_plus import losses, nn, optim
from micrograd_plus.engine import Value, topological_order
from micrograd_plus.explorer import Explorer, step_through
from micrograd_plus.explorer.leaves import groups_of

Open = Callable[..., Any]
X, Y = [0.5, -0.8], 1.0

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "weight decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.2),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "RMSprop with momentum": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
    "Adam": lambda p: optim.Adam(p, lr=0.05, weight_decay=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05),
}


@pytest.fixture
def visit(window: Callable[..., Visit], page_file: Path) -> Open:
    """Opens an explorer's page."""

    def start(explorer: Explorer, **settings: Any) -> Any:
        return window(**settings).show(explorer, page_file)

    return start


class Run:
    """A model, its page, and the same training with the eager engine."""

    def __init__(self, make: Callable[[Any], optim.Optimizer], steps_before: int = 0) -> None:
        self.model = mlp(2, 2, 1, activation="tanh")
        self.optimizer = make(self.model.parameters())
        self.losses: list[float] = []
        self.go_on(steps_before)
        self.losses.clear()
        self.explorer = step_through(self.model, X, Y, losses.mse, optimizer=self.optimizer)
        self.index = self.explorer.lesson.index

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = losses.mse(self.model(X), Y)
            loss.backward()
            self.losses.append(loss.data)
            self.optimizer.step()

    def loss(self) -> float:
        return float(losses.mse(self.model(X), Y).data)

    def numbers(self) -> list[float]:
        return [p.data for p in self.model.parameters()]

    def numbers_in(self, page: Any) -> list[float]:
        numbers = page.evaluate("shown.numbers")
        return [numbers[self.index[p]] for p in self.model.parameters()]

    def memory(self) -> list[float]:
        return [number for state in self.optimizer.state for number in state.values()]


def sgd(lr: float = 0.1) -> Run:
    return Run(lambda p: optim.SGD(p, lr=lr))


def exactly(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


def step(page: Any) -> Any:
    return page.evaluate("passes.steps[countAt(shown.stop) - 1] ?? null")


def run_steps(page: Any, count: int) -> None:
    """By the button; `test_several_steps_at_once_stay_at_their_place` clicks on it as one does."""
    page.evaluate(f"document.querySelector('#training [data-steps=\"{count}\"]').click()")


# ---- the same numbers as the eager optimizer


@pytest.mark.parametrize("steps_before", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_page_trains_as_the_optimizer_does(
    run_javascript: Callable[[str], str], name: str, steps_before: int
) -> None:
    run = Run(OPTIMIZERS[name], steps_before)
    trainings = """(() => {
      let state = { numbers: NUMBERS, training: beginning() };
      return [1, 1, 1, 10].map((count) =>
        (state = trained(state.numbers, state.training, count)));
    })()"""
    found = json.loads(run_javascript(in_the_page(run.explorer, trainings)))
    for steps, state in zip((1, 1, 1, 10), found, strict=True):
        run.go_on(steps)
        numbers = [state["numbers"][run.index[p]] for p in run.model.parameters()]
        assert numbers == exactly(run.numbers())
        assert state["training"]["losses"] == exactly(run.losses)
    memory = [number for kept in found[-1]["training"]["memory"] for number in kept]
    assert memory == exactly(run.memory())


@pytest.mark.parametrize(("name", "steps_before"), [("SGD", 0), ("momentum", 0), ("Adam", 3)])
def test_repeats_are_the_steps_of_the_optimizer(visit: Open, name: str, steps_before: int) -> None:
    run = Run(OPTIMIZERS[name], steps_before)
    page = visit(run.explorer)
    parameters = [run.index[p] for p in run.model.parameters()]
    for numbers in after_each_press(page, "r", 3, f"{parameters}.map((i) => shown.numbers[i])"):
        run.go_on(1)
        assert numbers == exactly(run.numbers())
    run_steps(page, 10)
    run.go_on(10)
    assert run.numbers_in(page) == exactly(run.numbers())
    assert page.evaluate("shown.training.losses") == exactly(run.losses)
    assert page.evaluate("shown.training.memory.flat()") == exactly(run.memory())


def test_each_kind_of_step_in_formulas_with_its_numbers(visit: Open) -> None:
    """What the formula of a line gives is the number at its end."""
    run = Run(OPTIMIZERS["momentum"])
    page = visit(run.explorer)
    page.keyboard.press("r")
    page.evaluate("go(stopAt(passes.steps.findIndex(({ kind }) => kind === 'update') + 1))")
    lines = page.locator("#sentence p").all_text_contents()
    velocity, data = (line.replace(" ", "") for line in lines)
    update = step(page)
    gradient, before, [old] = (update[x] for x in ("gradient", "before", "old"))
    assert velocity.startswith("velocity←0.9·velocity+0.8·gradient=0.9×")
    new = 0.9 * old + 0.8 * gradient
    assert velocity.endswith(f"={page.evaluate(f'format({new!r})')}")
    assert "←data−lr·velocity=" in data
    assert data.endswith(f"={page.evaluate(f'format({before - 0.05 * new!r})')}")


# ---- the reward


def test_a_training_step_ends_with_its_reward(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    before = run.loss()
    run.go_on(1)
    after = run.loss()
    assert after < before
    page.keyboard.press("End")
    a, b, less = (page.evaluate(f"format({x!r})") for x in (before, after, before - after))
    assert page.locator("#sentence math").text_content().replace("\xa0", " ") == f"loss {a}→{b}"
    assert page.text_content("#sentence .words") == f"The step has lowered the loss by {less}."
    assert page.text_content("#live").startswith(f"The loss goes from {a} to {b}.")
    assert f"data {b}" in page.get_attribute('#graph .box[aria-label^="L,"]', "aria-label")


def test_the_second_forward_pass_is_stepped_like_the_first(visit: Open) -> None:
    page = visit(sgd().explorer)
    page.evaluate("go(stopAt(passes.steps.findIndex(({ second }) => second)))")
    assert step(page)["kind"] == "update"
    left = page.evaluate("stops.length - shown.stop")
    *forward, last = after_each_press(
        page, "ArrowRight", left,
        """(({ kind, node, after }) => [kind, node, LESSON.nodes[node].name, format(after),
          ...["count", "live", "sentence"].map((id) => $(id).textContent),
          document.querySelectorAll("#graph .waiting").length,
          passes.steps.length - 1 - shown.stop])(passes.steps[shown.stop - 1])""",
    )  # fmt: skip
    assert last[0] == "reward"
    seen = []
    for kind, node, name, number, count, live, sentence, waiting, to_come in forward:
        assert kind == "forward"
        assert "second forward pass" in count
        seen.append(node)
        assert live == f"Forward: {name} is {number}."
        assert sentence.endswith(f"={number}")
        assert waiting == to_come
    assert seen == page.evaluate("LESSON.nodes.flatMap(({ op }, i) => (op ? [i] : []))")


def test_a_loss_that_rises_is_said_to_rise(visit: Open) -> None:
    run = sgd(lr=3.0)
    page = visit(run.explorer)
    before = run.loss()
    run.go_on(1)
    assert run.loss() > before
    page.keyboard.press("End")
    words = page.text_content("#sentence .words")
    assert words.startswith("The loss rose by ")
    assert "with a smaller learning rate the step is shorter" in words
    page.fill("#rate", "1e200")
    assert "the training has diverged" in page.text_content("#sentence .words")
    page.fill("#rate", "0")
    assert page.text_content("#sentence .words") == "The step has not changed the loss."


def test_repeat_begins_the_next_step(visit: Open) -> None:
    page = visit(sgd().explorer)
    assert not page.is_visible("#repeat")
    page.keyboard.press("End")
    assert page.text_content("#count").endswith("training step 1")
    page.click("#repeat")
    assert page.evaluate("shown.stop") == 0
    assert page.text_content("#count").endswith("training step 2")
    assert page.evaluate("document.activeElement.id") == "stage"
    page.keyboard.press("End")
    page.keyboard.press("R")
    assert page.text_content("#count").endswith("training step 3")
    assert page.evaluate("shown.stop") == 0


def test_several_steps_at_once_stay_at_their_place(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    page.keyboard.press("End")
    for count in (1, 10, 100):
        page.click(f'#training [data-steps="{count}"]')
        run.go_on(count)
        assert step(page)["kind"] == "reward"
        assert run.numbers_in(page) == exactly(run.numbers())
    page.evaluate("go(5)")
    run_steps(page, 1)
    assert page.evaluate("shown.stop") == 5


def test_reset_returns_to_the_start(visit: Open) -> None:
    page = visit(Run(OPTIMIZERS["Adam"], 2).explorer)
    everything = "JSON.stringify([shown.numbers, shown.training, [...passes.data], passes.next])"
    start = page.evaluate(everything)
    page.keyboard.press("End")
    run_steps(page, 10)
    page.fill("#rate", "0.7")
    page.keyboard.press("r")
    assert page.evaluate(everything) != start
    page.click("#reset")
    assert page.evaluate(everything) == start
    assert page.input_value("#rate") == "0.05"


# ---- one state, one number


def test_the_graph_and_the_list_show_the_same_numbers(visit: Open) -> None:
    page = visit(sgd().explorer)
    page.keyboard.press("r")
    differing = """
    () => [...document.querySelectorAll("#leaf-list li")].filter((item) => {
      const words = inWords(item.dataset.node);
      const box = [...document.querySelectorAll("#graph .box")].find((x) =>
        x.ariaLabel.startsWith(`${words}, data`));
      const [data, grad] = [...box.querySelectorAll(".number")].map((x) => x.textContent);
      return data !== format(Number(item.children[1].title)) ||
        item.querySelector(".grad").textContent !== `grad ${grad}`;
    }).map((item) => LESSON.nodes[item.dataset.node].name)
    """
    at_each_stop = f"""
    Array.from({{ length: stops.length + 1 }}, (_, stop) => (go(stop), ({differing})()))
    """
    assert not any(page.evaluate(at_each_stop))
    assert page.locator("#leaf-list li").count() == 11


def test_a_number_that_the_optimizer_has_moved_is_edited(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    page.keyboard.press("End")
    first = run.model.parameters()[0]
    row = page.locator(f'#leaf-list li[data-node="{run.index[first]}"]')
    row.locator(".number").fill("0.25")
    run.go_on(1)
    first.data = 0.25
    assert run.numbers_in(page) == exactly(run.numbers())
    assert page.evaluate("shown.training.losses") == exactly(run.losses)
    assert step(page)["kind"] == "backward"
    row.locator(".drag").fill("0.5")
    first.data = 0.5
    assert run.numbers_in(page) == exactly(run.numbers())
    assert page.evaluate("shown.training.losses.length") == 1
    page.keyboard.press("Escape")
    page.click("#last")
    run.go_on(1)
    assert page.evaluate("passes.nextData.at(-1)") == exactly(run.loss())


def test_an_input_is_edited_at_the_end(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    page.keyboard.press("End")
    page.locator('#leaf-list [aria-label="x1, number"]').fill("-1.5")
    assert step(page)["kind"] == "reward"
    assert page.evaluate("shown.training.losses.length") == 0
    model, optimizer = run.model, run.optimizer
    loss = losses.mse(model([-1.5, -0.8]), Y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert step(page)["before"] == exactly(loss.data)
    assert step(page)["after"] == exactly(losses.mse(model([-1.5, -0.8]), Y).data)


def test_a_nudge_is_made_at_the_numbers_that_are_shown(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    page.keyboard.press("End")
    run.go_on(1)
    first = run.model.parameters()[0]
    run.optimizer.zero_grad()
    losses.mse(run.model(X), Y).backward()
    gradient = page.evaluate(f"format({first.grad!r})")
    page.locator(f'#leaf-list li[data-node="{run.index[first]}"] .nudge').click()
    said = page.text_content("#leaf-list .slope:visible")
    assert said.endswith(f"beside the chain rule’s {gradient}")


# ---- the curve


def heights(page: Any) -> list[float]:
    return [float(x) for x in page.eval_on_selector_all(
        "#curve .point", "all => all.map((x) => x.getAttribute('cy'))")]  # fmt: skip


def test_the_curve_grows_by_a_point_with_each_step(visit: Open) -> None:
    page = visit(sgd().explorer)
    assert heights(page) == []
    page.evaluate("go(passes.steps.findIndex(({ kind }) => kind === 'seed'))")
    assert len(heights(page)) == 1
    page.keyboard.press("End")
    assert len(heights(page)) == 2
    page.keyboard.press("r")
    assert len(heights(page)) == 2
    page.keyboard.press("End")
    assert len(heights(page)) == 3
    page.keyboard.press("ArrowLeft")
    assert len(heights(page)) == 2


def test_the_points_are_the_losses(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    page.keyboard.press("End")
    run_steps(page, 10)
    run.go_on(11)
    expected = [*run.losses, run.loss()]
    found = heights(page)
    assert len(found) == 12
    scale = (found[-1] - found[0]) / (expected[-1] - expected[0])
    assert found == pytest.approx([found[0] + scale * (y - expected[0]) for y in expected])
    assert scale < 0  # a larger loss is further up
    across = page.eval_on_selector_all("#curve .point", "all => all.map((x) => x.cx.baseVal.value)")
    apart = [b - a for a, b in pairwise(across)]
    assert apart == pytest.approx([apart[0]] * 11, rel=1e-3)
    now = page.locator("#curve .now")
    assert float(now.get_attribute("cy")) == found[-1]
    assert page.text_content("#curve .value") == page.evaluate(f"format({expected[-1]!r})")
    assert [page.locator("#curve .axis").nth(i).text_content() for i in (0, 1)] == [
        "loss",
        "training step",
    ]
    label = page.get_attribute("#curve", "aria-label")
    assert label.endswith(f"{page.evaluate(f'format({expected[-1]!r})')} at step 11")


def test_with_a_too_large_learning_rate_the_curve_rises(visit: Open) -> None:
    model = nn.Linear(1, 1, generator=random.Random(0))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    page = visit(step_through(model, [1.5], 2.0, losses.mse, optimizer=optimizer))
    page.keyboard.press("End")
    run_steps(page, 10)
    found = heights(page)
    assert all(later >= earlier for earlier, later in pairwise(found))
    page.click("#reset")
    page.fill("#rate", "0.33")  # above 2 / (2 · (1.5² + 1)), where the quadratic loss diverges
    run_steps(page, 10)
    found = heights(page)
    assert all(later <= earlier for earlier, later in pairwise(found))
    assert found[-1] < found[0] - 20
    assert page.locator("#curve .axis").first.text_content() == "loss"
    page.fill("#rate", "0.7")
    run_steps(page, 10)
    assert page.locator("#curve .axis").first.text_content() == "loss (log scale)"
    found, known = heights(page), page.evaluate("knownLosses()")
    logs = [math.log10(loss) for loss in known]
    scale = (found[-1] - found[0]) / (logs[-1] - logs[0])
    assert found == pytest.approx([found[0] + scale * (x - logs[0]) for x in logs])
    for _ in range(4):
        run_steps(page, 100)
    assert page.evaluate("Number.isFinite(passes.nextData.at(-1))") is False
    assert page.text_content("#curve .value") in ("∞", "nan")
    assert "NaN" not in page.inner_html("#curve")


def test_a_learning_rate_that_is_none_is_refused(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    rate = 0.1
    for given in ("", "fast", "-0.1", "inf", "nan"):
        page.fill("#rate", given)
        assert page.get_attribute("#rate", "aria-invalid") == "true", given
        assert page.is_visible("#rate-problem"), given
        assert page.evaluate("shown.training.rate") == rate, given
        page.fill("#rate", "0,2")
        assert not page.is_visible("#rate-problem")
        rate = 0.2
    page.keyboard.press("Escape")
    run_steps(page, 1)
    run.optimizer.lr = 0.2
    run.go_on(1)
    assert run.numbers_in(page) == exactly(run.numbers())


# ---- with the other modes, and with folded boxes


def test_other_modes_at_a_later_step(visit: Open) -> None:
    run = sgd()
    page = visit(run.explorer)
    run_steps(page, 10)
    run.go_on(10)
    page.click("#mode-break")
    assert page.is_visible("#training")
    page.check("[value=overwrite_gradients]")
    assert not page.is_visible("#training")
    page.keyboard.press("r")
    assert page.evaluate("passes.data.at(-1)") == exactly(run.loss())
    assert page.evaluate("shown.training.losses.length") == 10
    page.check("[value=none]")
    assert page.is_visible("#training")
    page.click("#mode-predict")
    assert not page.is_visible("#training")
    asked = 0
    while page.evaluate("shown.stop < stops.length"):
        assert page.evaluate("Boolean(nextQuestion().second)") is False
        page.evaluate("$('reveal').click()")
        asked += 1
    steps = page.evaluate("passes.steps.filter(({ kind, second }) => "
                          "!second && ['forward', 'backward'].includes(kind)).length")  # fmt: skip
    assert asked == steps
    page.click("#mode-step")
    assert run.numbers_in(page) == exactly(run.numbers())


def test_a_graph_without_an_optimizer_has_no_training(visit: Open) -> None:
    a = Value(2.0, label="a")
    page = visit(step_through(a * a))
    page.keyboard.press("r")
    assert not page.is_visible("#training")
    assert "training" not in page.text_content("#count")
    page.keyboard.press("End")
    assert not page.is_visible("#again")


def test_a_folded_training_step(visit: Open) -> None:
    model = mlp(2, 4, 4, 1)
    page = visit(step_through(model, X, Y, losses.mse, fold=True))
    for view in range(page.evaluate("LESSON.views.length")):
        page.evaluate(f"open({view}); go(stops.length)")
        assert step(page)["kind"] == "reward"
        kinds = page.evaluate(
            "stops.map((count) => passes.steps[count - 1])"
            ".map(({ kind, second }) => (second && kind === 'forward' ? 'second' : kind))"
        )
        assert [kind for kind, before in zip(kinds, ["", *kinds]) if kind != before] in (
            ["forward", "seed", "backward", "update", "second", "reward"],
            ["forward", "backward", "update", "second", "reward"],  # the seed is out of sight
        )
        page.keyboard.press("r")
        assert page.evaluate("shown.stop") == 0
        assert page.evaluate("shown.view") == view


# ---- the list of leaves


def gpt() -> Explorer:
    model = nn.GPT(4, 4, 2, 1, 4, generator=random.Random(0))
    return step_through(model, [0, 1, 2], [1, 2, 0], losses.cross_entropy, fold=True)


def titles(page: Any) -> list[str]:
    return list(page.locator("#leaf-list summary").all_text_contents())


def rows(page: Any) -> int:
    return int(page.locator("#leaf-list li").count())


def test_every_leaf_is_in_one_group() -> None:
    loose = Value(1.0, label="scale")
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    first.bias = second.bias  # tied
    model = nn.Sequential(first, nn.Tanh(), second)
    x = [Value(float(i), label=f"x{i}") for i in (0, 10, 2)]
    root = losses.mse(model([x[1] * x[2], x[0] * loose]), [1.0, 0.0])
    order = topological_order(root)
    groups = groups_of(order, [loose])
    assert [(group.title, group.path, len(group.leaves)) for group in groups] == [
        ("inputs", "", 3),
        ("parameters", "", 1),
        ("layer 1 · Linear(2 → 2)", "0", 6),
        ("layer 2 · Linear(2 → 2)", "2", 4),
    ]
    assert [leaf.label for leaf in groups[0].leaves] == ["x0", "x2", "x10"]
    listed = [leaf for group in groups for leaf in group.leaves]
    assert len(listed) == len(set(listed))


def test_groups_of_leaves_open_and_close(visit: Open) -> None:
    page = visit(step_through(mlp(2, 8, 8, 1), X, Y, losses.mse, fold=False))
    assert titles(page) == [
        "inputs 2",
        "layer 1 · Layer(2 → 8, relu) 24",
        "layer 2 · Layer(8 → 8, relu) 72",
        "layer 3 · Layer(8 → 1, linear) 9",
    ]
    before = rows(page)
    assert 2 <= before <= 40
    last = page.locator("#leaf-list details").last
    last.locator("summary").click()
    assert rows(page) == before + 9
    number = last.locator(".number").first
    number.fill("0.125")
    assert page.evaluate("shown.numbers.includes(0.125)")
    assert last.locator(".grad").first.text_content().startswith("grad ")
    last.locator("summary").click()
    assert rows(page) == before
    second = page.locator("#leaf-list details").nth(2)
    second.locator("summary").click()
    assert rows(page) == before + 50
    second.get_by_role("button", name="22 more").click()
    assert rows(page) == before + 72
    assert page.evaluate("document.activeElement.matches('.number')")


def test_what_was_opened_by_hand_stays_open(visit: Open) -> None:
    page = visit(step_through(mlp(2, 16, 16, 1), X, Y, losses.mse, fold=True))
    page.locator("#leaf-list summary", has_text="layer 3").click()
    page.locator("#graph .group", has_text="Layer 1").click()
    opened = page.locator("#leaf-list details[open] summary").all_text_contents()
    assert "layer 3 · Layer(16 → 1, linear) 17" in opened
    assert "layer 1 · Layer(2 → 16, relu) 48" not in opened[0]


def test_a_search_from_twenty_leaves_on(visit: Open) -> None:
    page = visit(step_through(mlp(2, 2, 1), X, Y, losses.mse))
    assert not page.is_visible("#leaf-search")
    page = visit(step_through(mlp(2, 8, 8, 1), X, Y, losses.mse, fold=False))
    assert page.text_content("#leaf-count") == "107 leaves"
    page.fill("#leaf-search", "layer 3")
    assert titles(page) == ["layer 3 · Layer(8 → 1, linear) 9"]
    assert rows(page) == 9
    page.fill("#leaf-search", page.evaluate("LESSON.nodes[LEAVES.at(-1)].name"))
    assert page.text_content("#leaf-count") == "1 of 107 leaves"
    page.fill("#leaf-search", "layers.1")  # the module's path
    assert titles(page) == ["layer 2 · Layer(8 → 8, relu) 72"]
    page.fill("#leaf-search", "Layer 2, layer(8")
    assert page.text_content("#leaf-count") == "72 of 107 leaves"
    page.fill("#leaf-search", "no such thing")
    assert rows(page) == 0
    assert page.text_content("#leaf-count") == "0 of 107 leaves"
    page.fill("#leaf-search", "")
    assert len(titles(page)) == 4


def test_the_leaves_of_a_gpt_are_listed(visit: Open) -> None:
    page = visit(gpt())
    found = titles(page)
    assert found[0].startswith("tokens · Embedding(")
    assert any(title.startswith("block 1 · self_attn · out_proj · Linear(4 → 4") for title in found)
    assert found[-1].startswith("head · Linear(4 → 4")
    page.locator("#leaf-list summary").last.click()
    assert rows(page) == 16


def test_thousands_of_leaves_have_few_rows(visit: Open) -> None:
    leaves = [Value(float(i), label=f"p{i}") for i in range(2400)]
    root = added(leaves)
    page = visit(step_through(root, around=root, depth=2))
    assert rows(page) == 50
    page.fill("#leaf-search", "p239")
    assert rows(page) == 11
    page.locator('#leaf-list [aria-label="p2399, number"]').fill("-5")
    assert page.evaluate("passes.data.at(-1)") == sum(range(2399)) - 5


def added(values: list[Value]) -> Value:
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2])
        values = [a + b for a, b in pairs] + values[len(values) // 2 * 2 :]
    return values[0]


# ---- the room that there is

ROOMS = [
    pytest.param({"width": width, "height": height}, id=f"{width}x{height}")
    for width, height in [(1280, 720), (1920, 1080), (860, 720), (390, 844)]
]

CROWDED = """
() => {
  const room = (x) => x.getBoundingClientRect();
  const overlap = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 &&
    a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
  const out = (x, frame) => x.left < frame.left - 0.5 || x.right > frame.right + 0.5 ||
    x.top < frame.top - 0.5 || x.bottom > frame.bottom + 0.5;
  const found = [];
  const curve = document.getElementById("curve");
  const texts = [...curve.querySelectorAll("text")];
  texts.forEach((a, i) => {
    if (out(room(a), room(curve))) found.push(`${a.textContent} is outside of the curve`);
    if (parseFloat(getComputedStyle(a).fontSize) < 12) found.push(`${a.textContent} is small`);
    if (a.matches(".value")) return; // it stands on the curve
    texts.slice(i + 1).filter((b) => !b.matches(".value") && overlap(room(a), room(b)))
      .forEach((b) => found.push(`${a.textContent} lies on ${b.textContent}`));
  });
  for (const card of document.querySelectorAll("#training, #leaves, #said")) {
    const parts = [...card.querySelectorAll("button, input, label, summary, output, .name, svg")]
      .filter((x) => x.getClientRects().length && !x.closest(".slope"))
      .map((x) => [x, room(x)]);
    const frame = room(card);
    for (const [x, place] of parts) {
      if (place.left < frame.left || place.right > frame.right) found.push(x.outerHTML);
      for (const [y, other] of parts) {
        if (overlap(place, other) && x !== y && !x.contains(y) && !y.contains(x)) {
          found.push(`${x.outerHTML.slice(0, 60)} lies on ${y.outerHTML.slice(0, 60)}`);
        }
      }
    }
  }
  return found;
}
"""


@pytest.mark.parametrize("viewport", ROOMS)
def test_nothing_lies_on_another(visit: Open, viewport: dict[str, int]) -> None:
    def assert_room() -> None:
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CROWDED) == [], scheme
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]

    page = visit(Run(OPTIMIZERS["Adam"]).explorer, viewport=viewport)
    assert page.evaluate(CROWDED) == []
    page.keyboard.press("End")
    assert page.evaluate(CROWDED) == []
    for count in (1, 10, 100):
        run_steps(page, count)
        assert page.evaluate(CROWDED) == []
    assert_room()
    page.fill("#rate", "1e5")
    run_steps(page, 10)
    page.fill("#rate", "-")
    assert_room()
    page = visit(gpt(), viewport=viewport)
    page.locator("#leaf-list summary").last.click()
    page.keyboard.press("End")
    assert_room()
