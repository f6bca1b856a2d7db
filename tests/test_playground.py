"""The playground: the page reads, names and draws an expression as Python does, and trains."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from browser import Visit, let_pass, until
from hypothesis import given, settings
from hypothesis import strategies as st
from measures import CONTRASTS, OUTSIDE, TEXTS_OUTSIDE
from pages import close, numbers_in

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.__main__ import main
from micrograd_plus.engine import Value, topological_order
from micrograd_plus.explorer.lesson import Lesson, functions, language
from micrograd_plus.explorer.playground import playground
from micrograd_plus.explorer.views import Views
from micrograd_plus.formulas.parse import grammar, parse
from micrograd_plus.ops import TABLE
from micrograd_plus.support.files import write_atomically

# ---- the reader in the page, under Node, beside Python's

PLAIN = """(k, x) => (ArrayBuffer.isView(x) ? [...x]
  : typeof x === "number" && !Number.isFinite(x) ? String(x) : x)"""
READ = """
const read = ([text, numbers]) => {
  try {
    const nodes = readExpression(text, LANGUAGE);
    for (const node of nodes) if (node.name) node.data = numbers[node.name];
    const lesson = LESSON = lessonOf(nodes, LANGUAGE);
    const { data, grad } = run(nodes.map(({ data }) => data));
    const { views, leafGroups, update } = lesson;
    return { nodes, views, leafGroups, update, data, grad };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return { message: error.message, column: error.column };
  }
};
"""


@pytest.fixture(scope="session")
def run_page(run_javascript: Callable[[str], str]) -> Callable[[str], Any]:
    """What an expression in JavaScript gives, where the page's engine and reader are."""
    names = ("tape.js", "words.js", "boxes.js", "reading.js")
    sources = [files("micrograd_plus.explorer").joinpath(name).read_text("utf-8") for name in names]
    model = nn.MLP(1, [1])
    page = "\n".join(
        [
            f"let LESSON; const LANGUAGE = {json.dumps(_language())};",
            functions(TABLE.values(), optim.SGD(model.parameters(), lr=0.5)),
            *sources,
            READ,
        ]
    )

    def evaluate(expression: str) -> Any:
        # Twice, as a replacer does not see what it has put in place of a typed array.
        plain = f"JSON.parse(JSON.stringify({expression}, {PLAIN}), {PLAIN})"
        return numbers_in(
            json.loads(run_javascript(f"{page}\nconsole.log(JSON.stringify({plain}))"))
        )

    return evaluate


def _language() -> dict[str, Any]:
    return {**language(TABLE.values()), "grammar": grammar()}


def number_for(name: str) -> float:
    return random.Random(name).uniform(-2, 2)


def read_by_python(text: str) -> tuple[Value | dict[str, Any], dict[str, float]]:
    """The graph, or what is wrong, and the numbers of all names."""
    numbers: dict[str, float] = {}
    while True:
        try:
            return parse(text, numbers), numbers
        except ValueError as error:
            message, _, pointer = str(error).split("\n")
            if missing := re.fullmatch(r".* has no number: add (.*)=\.\.\.", message):
                numbers[missing[1]] = number_for(missing[1])
                continue
            return {"message": message, "column": len(pointer) - 3}, numbers


NAMES = st.sampled_from(["a", "b", "x1", "x_1", "x_1_2", "x12", "L", "v1", "v_2", "tanh", "é"])
NUMBERS = st.sampled_from(["2", "0.25", "1e3", ".5", "1_000", "0x10", "3.", "1e-7", "123456789"])
CALLS = st.sampled_from(sorted(TABLE))
GOOD = st.recursive(
    NAMES | NUMBERS,
    lambda smaller: st.one_of(
        st.builds("{} {} {}".format, smaller, st.sampled_from([*"+-*/", "**"]), smaller),
        st.builds("({})".format, smaller),
        st.builds("{}{}".format, st.sampled_from("-+"), smaller),
        st.builds(
            lambda name, given: f"{name}({', '.join(given)})",
            CALLS,
            st.lists(smaller, min_size=1, max_size=4),
        ),
    ),
    max_leaves=8,
)
BAD = st.text(alphabet="ab01.+-*/(), ^<é٣#\ntanhmx_", max_size=30) | st.lists(
    NAMES | NUMBERS | st.sampled_from([*"+-*/(),", "**", "tanh(", "max(", "foo(", " "]), max_size=7
).map("".join)


@given(st.lists(GOOD, min_size=20, max_size=60), st.lists(BAD, min_size=20, max_size=60))
@settings(max_examples=12)
def test_the_page_reads_as_python_does(
    run_page: Callable[[str], Any], good: list[str], bad: list[str]
) -> None:
    texts = [text for text in [*good, *bad] if len(text) < 40 or text in good]
    pythons = [read_by_python(text) for text in texts]
    given_ = json.dumps([[text, numbers] for text, (_, numbers) in zip(texts, pythons)])
    for text, (root, _), found in zip(texts, pythons, run_page(f"{given_}.map(read)"), strict=True):
        if isinstance(root, dict):
            assert found.get("message") == root["message"], text
            assert len(text) > 40 or found["column"] == root["column"], text
        else:
            same_lesson(root, found, text)


def same_lesson(root: Value, found: dict[str, Any], text: str) -> None:
    assert "message" not in found, (text, found)
    lesson = Lesson(root)
    wanted = lesson.data()
    wanted["views"] = Views(lesson, fold=False, around=None, depth=0).data()
    for nodes in (wanted["nodes"], found["nodes"]):
        for node in nodes:
            del node["data"]
            if node.get("constant"):
                del node["name"]
                node.pop("math", None)
    for key, part in wanted.items():
        assert found[key] == part, text
    root.backward()
    order = topological_order(root)
    for got, value in zip(found["data"], order, strict=True):
        assert close(got, value.data), text
    for got, value in zip(found["grad"], order, strict=True):
        if not isinstance(value, mp.Constant):
            scale = max((abs(x.grad) for x in order if math.isfinite(x.grad)), default=0.0)
            assert close(got, value.grad, scale), text


def test_every_op_can_be_typed(run_page: Callable[[str], Any]) -> None:
    counts = {op: 4 if op.nary else len(op.operands) - len(op.defaults) for op in TABLE.values()}
    texts = [f"{op.name}({', '.join('abcd'[:count])})" for op, count in counts.items()]
    pythons = [read_by_python(text) for text in texts]
    given_ = json.dumps([[text, numbers] for text, (_, numbers) in zip(texts, pythons)])
    for text, (root, _), found in zip(texts, pythons, run_page(f"{given_}.map(read)"), strict=True):
        assert isinstance(root, Value)
        same_lesson(root, found, text)


def test_a_long_text_is_refused_in_the_same_words(run_page: Callable[[str], Any]) -> None:
    with pytest.raises(ValueError, match="10,000 are allowed") as error:
        parse("1" + "+1" * 5000)
    assert run_page("read(['1' + '+1'.repeat(5000), {}])")["message"] == str(error.value)


# ---- training


def test_the_page_trains_as_eager_python_does(run_page: Callable[[str], Any]) -> None:
    (moons,) = (x for x in library() if x["id"] == "moons")
    lesson, steps = moons["lesson"], 40
    rows = lesson["examples"]["rows"]
    model = nn.MLP(2, [5, 1], activation="tanh", generator=random.Random(2))
    optimizer = optim.SGD(model.parameters(), lr=lesson["update"]["rate"])
    wanted = []
    for _ in range(steps):
        loss = losses.hinge(model([x for x, _ in rows]), [y for _, y in rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        wanted.append(loss.data)
    start = "LESSON.nodes.map(({ data }) => Number(data))"
    found = run_page(
        f"(LESSON = {{ ...LANGUAGE, ...{json.dumps(lesson)} }}, "
        "(({ numbers, training }) => "
        "({ numbers, training, mean: meanOverExamples(numbers).loss }))"
        f"(trained({start}, beginning(), {steps})))"
    )
    assert found["training"]["losses"] == pytest.approx(wanted, abs=1e-9)
    ours = dict(model.named_parameters())
    for i, node in enumerate(lesson["nodes"]):
        if path := node.get("path"):
            assert found["numbers"][i] == pytest.approx(ours.pop(path).data, abs=1e-9)
    assert not ours
    after = losses.hinge(model([x for x, _ in rows]), [y for _, y in rows])
    assert found["mean"] == pytest.approx(after.data, abs=1e-9)


def library() -> list[dict[str, Any]]:
    html = playground()
    found = re.search(r'id="lesson">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    entries: list[dict[str, Any]] = json.loads(found[1])["library"]
    return entries


# ---- the page


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_atomically(tmp_path_factory.mktemp("playground") / "page.html", playground())


@pytest.fixture(scope="module")
def open_page(browser: Any) -> Iterator[Any]:
    visit = Visit(browser)
    yield visit
    visit.close()


@pytest.fixture
def page(open_page: Visit, path: Path) -> Any:
    """The page, opened again in the same window."""
    return open_page.go(path)


def at(page: Any, path: Path, address: str) -> Any:
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}{address}")
    return page


def address(page: Any) -> str:
    let_pass(page, 350)
    return str(page.evaluate("decodeURIComponent(location.hash)"))


def problem(page: Any) -> str:
    return str(page.inner_text("#said-below")) if page.is_visible("#said-below") else ""


def test_the_page_is_small_and_whole(path: Path) -> None:
    html = path.read_text("utf-8")
    assert len(html.encode()) < 300_000
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "deep" / "page.html"
    assert main(["playground", "--out", str(page)]) == 0
    assert re.fullmatch(rf"wrote {re.escape(str(page))}, \d+ kB: .*\n", capsys.readouterr().out)
    assert page.read_text("utf-8") == playground()


def test_an_expression_is_typed_and_stepped_through(page: Any) -> None:
    page.fill("#formula", "p*q + tanh(p)")
    assert page.evaluate("LEAVES.map((i) => LESSON.nodes[i].name)") == ["p", "q"]
    p, q = page.evaluate("LEAVES.map((i) => shown.numbers[i])")
    assert page.inner_text("#result") == f"= {round(p * q + math.tanh(p), 5)}".replace("-", "−")
    page.fill('[aria-label="p, number"]', "2")
    page.fill('[aria-label="q, number"]', "-3")
    assert page.inner_text("#result") == "= −5.036"
    page.focus("#stage")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#count").startswith("Step 3 of 9: forward pass")
    page.keyboard.press("End")
    assert "grad −2.9293" in page.inner_text("#leaf-list")  # -3 + 1 - tanh(2)**2
    assert address(page) == "#f=p*q+tanh(p)&p=2&q=-3"


def test_a_name_keeps_its_number_while_one_types(page: Any) -> None:
    page.fill("#formula", "p*q")
    page.fill('[aria-label="q, number"]', "7")
    page.fill("#formula", "log(q) + r")
    assert page.evaluate("LEAVES.map((i) => shown.numbers[i])")[0] == 7
    page.fill("#formula", "log(s) + sqrt(t)")
    assert page.evaluate("Number.isFinite(passes.data.at(-1))")


def test_a_wrong_expression_gets_pythons_sentence(page: Any) -> None:
    page.fill("#formula", "2 * (a + b")
    page.keyboard.press("Enter")
    with pytest.raises(ValueError, match="was never closed") as error:
        parse("2 * (a + b", a=1, b=1)
    assert problem(page).lower().startswith(str(error.value).split("\n")[0])
    assert page.inner_text("#said-below mark") == "("
    assert not page.is_visible("#result")
    assert page.get_attribute("#formula", "aria-invalid") == "true"
    assert page.locator("#graph .box").count() == 10  # the neuron is still there
    page.fill("#formula", "2 * (a + b)")
    assert problem(page) == ""
    assert page.locator("#graph .box").count() == 5
    page.fill("#formula", "+".join(["a*b"] * 300))
    page.keyboard.press("Enter")
    assert "at most 400 can be drawn" in problem(page)


def test_names_that_javascript_knows_are_names(page: Any) -> None:
    page.fill("#formula", "toString * __proto__ + constructor")
    assert page.inner_text("#result") == "= 1.25"  # 0.5 * -1.5 + 2
    page.fill("#formula", "toString(__proto__)")
    page.keyboard.press("Enter")
    assert "There is no function 'toString'" in problem(page)


def test_an_error_waits_until_the_typing_ends(page: Any) -> None:
    typed = "$('formula').value = 'a*'; $('formula').dispatchEvent(new Event('input')); "
    assert page.evaluate(typed + "$('said-below').textContent") == ""  # with no time in between
    let_pass(page, 900)
    assert "is missing here" in problem(page)


def test_a_link_opens_with_its_numbers(open_page: Visit, path: Path) -> None:
    page = at(open_page.page, path, "#f=tanh(x*w+b)&x=2&w=-0.5&b=1e-3")
    assert page.input_value("#formula") == "tanh(x*w+b)"
    assert page.inner_text("#result").startswith(f"= {math.tanh(-0.999):.5f}".replace("-", "−"))
    at(page, path, "#example=gate&c=10")
    assert page.input_value("#example") == "gate"
    assert page.evaluate("shown.numbers[LEAVES.at(-1)]") == 10
    at(page, path, "?present#f=f*g&f=2&g=3")
    assert page.inner_text("#result") == "= 6"
    assert page.evaluate("isPresenting()")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("#f=tanh(", "missing here"),
        ("#f=a*b&c=2", "There is no c in 'a*b'."),
        ("#f=a&a=two", "The address says a=two; a finite number must be there, as in a=2.5."),
        ("#f=a&a=1e999", "a finite number must be there"),
        ("#example=nothing", "There is no example nothing; the examples are neuron, gate"),
        ("#example=attention&z=1", "There is no z in the example attention."),
        ("#formel=a", "An address begins with #f=formula or #example=name"),
        ("#f=%E0%A4%A", "This address is damaged"),
        ("#f=__proto__&toString=1", "There is no toString in"),
        ("#f=<img src=x onerror=alert(1)>", "are allowed here"),
    ],
)
def test_a_bad_address_gives_a_sentence_and_a_page_that_works(
    open_page: Visit, path: Path, wrong: str, sentence: str
) -> None:
    page = at(open_page.page, path, wrong)
    assert sentence in problem(page)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("shown.stop") == 1
    page.fill("#formula", "a*b")
    assert problem(page) == ""


def test_the_back_button_goes_to_the_last_formula_or_example(page: Any) -> None:
    page.select_option("#example", "gate")
    page.focus("#formula")
    page.keyboard.press("End")
    page.keyboard.type(" + 1")
    page.keyboard.press("Enter")
    page.select_option("#example", "moons")
    assert page.evaluate("LESSON.examples.rows.length") == 60
    page.go_back()
    assert page.input_value("#formula").replace(" ", "") == "sigmoid(w*x+u*h+b)*c+1"
    page.go_back()
    assert page.input_value("#example") == "gate"
    assert page.input_value("#formula").endswith("* c")
    page.go_back()
    assert page.input_value("#example") == "neuron"
    page.go_forward()
    assert page.input_value("#example") == "gate"


def test_who_chooses_a_formula_of_ones_own_can_type_it(page: Any) -> None:
    page.select_option("#example", "gate")
    page.select_option("#example", label="Your formula")
    assert page.input_value("#example") == "gate"  # which is still there
    page.keyboard.insert_text("p/q")
    assert page.inner_text("#result") == "= −0.33333"
    assert page.input_value("#example") == ""
    page.select_option("#example", "moons")
    page.select_option("#example", label="Your formula")
    assert page.evaluate("document.activeElement.id") == "formula"


def test_the_link_is_copied_or_shown(page: Any) -> None:
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', { configurable: true, "
        "value: { writeText: async (words) => { window.copied = words; } } })"
    )
    page.fill("#formula", "p/q")
    soon = "new Promise((done) => setTimeout(() => done($('copy').textContent), 100))"
    assert page.evaluate(f"$('copy').click(); {soon}") == "Copied"  # for two seconds
    assert page.evaluate("copied").endswith("#f=p/q&p=0.5&q=-1.5")
    page.evaluate("void (navigator.clipboard.writeText = async () => { throw new Error('no'); })")
    page.click("#copy")
    assert page.input_value('[aria-label="The link"]') == page.evaluate("location.href")


@pytest.mark.parametrize("name", ["neuron", "gate", "attention", "moons"])
def test_each_example_opens_and_steps(page: Any, name: str) -> None:
    page.select_option("#example", name)
    assert page.title() == page.text_content("h1")
    page.click("#forward")
    at_the_end, outside = page.evaluate(
        f"""() => {{
          while (shown.stop < stops.length) $("forward").click();
          return [countAt(shown.stop) === passes.steps.length,
            LESSON.views.map((_, view) => (open(view), ({TEXTS_OUTSIDE})()))];
        }}"""
    )
    assert at_the_end
    assert not any(outside)
    page.click("#mode-predict")
    assert page.inner_text("#result") == ""
    page.click("#mode-break")
    page.evaluate("setFault(LESSON.faults[0])")
    assert page.is_visible("#fault-story table")


def test_the_attention_weights_add_up_to_1(page: Any) -> None:
    page.select_option("#example", "attention")
    weights = page.evaluate(
        "LESSON.nodes.flatMap(({ name }, i) => (/^weight/.test(name) ? [passes.data[i]] : []))"
    )
    assert len(weights) == 3
    assert sum(weights) == pytest.approx(1, abs=1e-12)


def test_two_moons_are_learned_before_ones_eyes(page: Any) -> None:
    page.select_option("#example", "moons")
    before = page.inner_text("#separated"), page.get_attribute("#points .zero", "d")
    page.click("#train")
    until(page, lambda: page.evaluate("shown.training.losses.length") >= 2)
    page.click("#train")
    steps = page.evaluate("shown.training.losses.length")
    let_pass(page, 100)
    assert page.evaluate("shown.training.losses.length") == steps  # paused
    page.click("#train-again")  # how many steps there were depends on the time
    for _ in range(4):
        page.click('[data-steps="100"]')
    assert page.inner_text("#separated") == "60 of 60 right" != before[0]
    assert page.get_attribute("#points .zero", "d") != before[1]
    losses_seen = page.evaluate("shown.training.losses")
    assert losses_seen[-1] < 0.1 * losses_seen[0]
    assert page.evaluate("knownLosses().length") == len(losses_seen) + 1
    page.click("#train-again")
    assert (page.inner_text("#separated"), page.get_attribute("#points .zero", "d")) == before


def test_a_point_is_chosen_by_click_and_by_key(page: Any) -> None:
    page.select_option("#example", "moons")
    inputs = "LESSON.examples.inputs.map((i) => shown.numbers[i])"
    page.locator("#points .positive").last.dispatch_event("click")
    rows = page.evaluate("LESSON.examples.rows")
    assert page.evaluate(inputs) == rows[-1][0]
    page.focus("#points")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(inputs) == rows[0][0]
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(inputs) == rows[-1][0]
    assert page.evaluate("shown.stop") == 0
    assert address(page).startswith(f"#example=moons&x1={rows[-1][0][0]}")


@pytest.mark.parametrize(("size", "scheme"), [((390, 844), "dark"), ((1280, 720), "light")])
def test_it_can_be_read_everywhere(
    window: Callable[..., Visit], path: Path, scheme: str, size: tuple[int, int]
) -> None:
    width, height = size
    viewport = {"width": width, "height": height}
    page = window(viewport=viewport, color_scheme=scheme).go(path)
    for address_ in ("#example=moons", "#example=neuron", "#f=foo(a)"):
        page.goto(f"{path.as_uri()}{address_}")
        for on in ("true", "false"):
            outside, wide, poor = page.evaluate(
                f"""() => {{
                  present({on});
                  go(stops.length);
                  return [({OUTSIDE})(), document.documentElement.scrollWidth, ({CONTRASTS})()];
                }}"""
            )
            assert outside == []
            assert wide <= width
            assert poor == []


def test_a_sheet_is_printed_of_what_is_shown(page: Any) -> None:
    page.fill("#formula", "a*b")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.text_content("#sheet h1") == "a*b"
    assert page.locator("#sheet li").count() == 4
