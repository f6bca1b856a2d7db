"""Worksheets and solutions: that nothing runs off the paper, and what stands on them."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import Visit
from pages import HOSTILE, chain, diamonds, mlp, neuron

import micrograd_plus as mp
from micrograd_plus import losses, nn, optim
from micrograd_plus.__main__ import main
from micrograd_plus.engine import Constant, Value
from micrograd_plus.explorer import Explorer, step_through
from micrograd_plus.explorer import paper as printing

MM = 96 / 25.4  # pixels
MARGIN = 12 * MM
PAPER = {"A4": (210 * MM, 297 * MM), "Letter": (215.9 * MM, 279.4 * MM)}
KINDS = ["worksheet", "solution"]


def inside(width: float, height: float) -> dict[str, int]:
    """A window as wide as what is inside the margins of a paper."""
    return {"width": int(width - 2 * MARGIN), "height": int(height - 2 * MARGIN)}


def expression() -> Explorer:
    return step_through(mp.parse("a*b + tanh(a)", a=2, b=-3), title="a*b + tanh(a)")


def logistic() -> Explorer:
    return step_through(mp.parse("log(1 + exp(-(w*x + b)*y))", w=0.5, x=2, b=-1, y=1))


def training() -> Explorer:
    return step_through(mlp(2, 3, 1), [0.5, -0.8], 1.0, losses.mse)


def adam() -> Explorer:
    model = mlp(2, 1)
    optimizer = optim.Adam(model.parameters(), lr=0.05, weight_decay=0.01)
    losses.mse(model([0.5, -0.8]), 1.0).backward()
    optimizer.step()
    return step_through(model, [0.5, -0.8], 1.0, losses.mse, optimizer=optimizer)


def lstm() -> Explorer:
    outputs, _ = nn.LSTM(1, 1, generator=random.Random(0))([[0.5], [-1.0]])
    return step_through(outputs[-1][0])


def folded() -> Explorer:
    return step_through(mlp(2, 8, 4, 1), [0.5, -0.8], 1.0, losses.hinge)


def hostile() -> Explorer:
    root = Value(1.0, label="a")
    for i, label in enumerate(HOSTILE):
        leaf = Value(i - 2.5, label=label)
        root = root * leaf + leaf
    return step_through(root, title=HOSTILE[0] + HOSTILE[-1])


SHEETS: dict[str, Callable[[], Explorer]] = {
    "expression": expression,
    "neuron": lambda: step_through(neuron()),
    "logistic": logistic,
    "training": training,
    "adam": adam,
    "lstm": lstm,
    "chain": lambda: step_through(chain(25)),
    "folded": folded,
    "hostile": hostile,
    "a leaf": lambda: step_through(Value(2.0, label="a")),
}


@pytest.fixture
def sheet(window: Callable[..., Visit], page_file: Path) -> Callable[..., Any]:
    """Opens a sheet as it is on upright paper."""

    def start(explorer: Explorer, kind: str = "worksheet", **settings: Any) -> Any:
        worksheet, solution = explorer.worksheet(page_file)
        visit = window(viewport=inside(*PAPER["A4"]), **settings)
        visit.page.emulate_media(media="print")
        return visit.go(worksheet if kind == "worksheet" else solution)

    return start


def text_of(pdf: Path) -> list[str]:
    """The text of each page."""
    if shutil.which("pdftotext") is None:
        pytest.skip("there is no pdftotext")
    command = ["pdftotext", "-layout", str(pdf), "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return text.split("\f")[:-1]


def sizes_of(pdf: Path) -> set[tuple[float, float]]:
    """The sizes of the pages, in millimetres."""
    found = re.findall(rb"/MediaBox ?\[([^]]+)\]", pdf.read_bytes())
    boxes = [[float(number) * 25.4 / 72 for number in box.split()] for box in found]
    return {(round(right - left), round(top - bottom)) for left, bottom, right, top in boxes}


# ---- it fits

OUTSIDE = """
() => [...document.querySelectorAll("#sheet *:not(svg *):not(math *)")].flatMap((x) => {
  const own = x.getBoundingClientRect();
  const room = (x.closest("li") ?? document.documentElement).getBoundingClientRect();
  return own.left < room.left - 1 || own.right > room.right + 1
    ? [`${x.outerHTML.slice(0, 200)}: ${own.left} to ${own.right}, ${room.left} to ${room.right}`]
    : [];
})
"""

CUT_BOXES = """
() => [...document.querySelectorAll("#sheet .box")].flatMap((box) => {
  const [own, room] = [box, box.ownerSVGElement].map((x) => x.getBoundingClientRect());
  return own.left < room.left - 1 || own.right > room.right + 1 ||
    own.top < room.top - 1 || own.bottom > room.bottom + 1 ? [box.ariaLabel] : [];
})
"""

SMALL_TEXTS = """
() => [...document.querySelectorAll("#sheet, #sheet :not(svg title)")].flatMap((x) => {
  const scale = x.closest("svg") ? x.getScreenCTM().a : 1;
  const points = parseFloat(getComputedStyle(x).fontSize) * scale * 72 / 96;
  const isIndex = x.closest("msup, msub, msubsup");
  return x.textContent && !isIndex && points < 8 - 0.01 ? [`${x.textContent}: ${points}`] : [];
})
"""


LOOK = f"""
() => {{
  const all = (selector, of) => [...document.querySelectorAll(selector)].map(of);
  const breaks = (x) => getComputedStyle(x).breakInside;
  return {{
    outside: ({OUTSIDE})(),
    wider: document.documentElement.scrollWidth - innerWidth,
    cut: ({CUT_BOXES})(),
    small: ({SMALL_TEXTS})(),
    breaks: [...new Set([...all("#sheet li", breaks), ...all("#sheet figure", breaks)])],
    highest: Math.max(...all("#sheet figure", (x) => x.getBoundingClientRect().height)),
  }};
}}
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SHEETS)
def test_nothing_runs_off_the_paper(sheet: Callable[..., Any], name: str, kind: str) -> None:
    explorer = SHEETS[name]()
    page = sheet(explorer, kind)
    if kind == "worksheet" and name != "folded":
        assert_every_box_is_there(page, explorer)
    is_wide = page.evaluate("document.querySelector('#sheet').classList.contains('wide')")
    for short, long in PAPER.values():
        room = inside(long, short) if is_wide else inside(short, long)
        page.set_viewport_size(room)
        found = page.evaluate(LOOK)
        assert found.pop("highest") <= room["height"] + 1
        assert found == {"outside": [], "wider": 0, "cut": [], "small": [], "breaks": ["avoid"]}


def assert_every_box_is_there(page: Any, explorer: Explorer) -> None:
    found = page.eval_on_selector_all("#sheet .box", "all => all.map((x) => x.ariaLabel)")
    whole = step_through(explorer.lesson.root, fold=False).views.data()[0]["boxes"]
    assert len(set(found)) == len({explorer.lesson.order[box["node"]] for box in whole})


def test_a_cut_never_goes_through_a_box_and_loses_nothing(
    sheet: Callable[..., Any],
) -> None:
    page = sheet(expression())
    rng = random.Random(0)
    asked = []
    for _ in range(200):
        spans, most = [], rng.uniform(100, 400)
        for _ in range(rng.randint(1, 30)):
            start = rng.uniform(0, 1500)
            spans.append([start, start + rng.uniform(5, 45)])
        asked.append([-12, max(stop for _, stop in spans) + 12, most, spans])
    answers = page.evaluate("asked => asked.map((given) => stretches(...given))", asked)
    for (_, end, most, spans), found in zip(asked, answers, strict=True):
        assert found[0][0] == -12
        assert found[-1][0] < end - 12 <= found[-1][1]  # and no margin has a part of its own
        assert all(start < stop <= start + most + 1e-9 for start, stop in found)
        assert all(later[0] <= earlier[1] for earlier, later in pairwise(found))
        for start, stop in spans:
            assert any(left <= start and stop <= right for left, right in found)


@pytest.mark.parametrize("kind", KINDS)
def test_black_on_white_in_the_dark(sheet: Callable[..., Any], kind: str) -> None:
    page = sheet(expression(), kind, color_scheme="dark")
    colours = page.evaluate(
        """() => [...document.querySelectorAll("#sheet *:not(svg, svg *), #sheet text")]
          .filter((x) => x.textContent && x.checkVisibility({ visibilityProperty: true }))
          .map((x) => getComputedStyle(x)[x.localName === "text" ? "fill" : "color"])"""
    )
    assert set(colours) == {"rgb(0, 0, 0)"}
    frames = page.eval_on_selector_all(
        "#sheet .frame", "all => all.map((x) => getComputedStyle(x).fill)"
    )
    assert set(frames) <= {"rgb(255, 255, 255)", "color(srgb 1 1 1)"}


def test_the_sign_of_a_gradient_is_seen_without_colours(sheet: Callable[..., Any]) -> None:
    page = sheet(expression(), "solution")
    lines = page.evaluate(
        """() => [...document.querySelectorAll("#sheet .edge")].map((x) =>
          [x.classList.contains("negative"), getComputedStyle(x.firstChild).strokeDasharray])"""
    )
    assert [negative for negative, _ in lines].count(True) == 1  # from a*b to a, as b is -3
    assert all((dashes != "none") == negative for negative, dashes in lines)


# ---- what stands on it


def numbers_on(page: Any, within: str) -> Counter[str]:
    words = page.eval_on_selector_all(within, "all => all.map((x) => x.textContent)")
    return Counter(filter(None, words))


def in_picture(explorer: Explorer) -> list[Value]:
    """The values that are drawn: all but exponents and the like."""
    (view,) = explorer.views.data()
    return [explorer.lesson.order[box["node"]] for box in view["boxes"]]


@pytest.mark.parametrize("name", ["expression", "neuron", "logistic", "chain"])
def test_a_worksheet_has_a_blank_for_each_computed_number(
    sheet: Callable[..., Any], name: str
) -> None:
    explorer = SHEETS[name]()
    page = sheet(explorer)
    order = explorer.lesson.order
    constants = [value for value in order if isinstance(value, Constant)]
    computed = [value for value in order if value.op is not None]
    count = "all => all.length"
    in_graph = len(computed) + len(order) - len(constants)
    assert page.eval_on_selector_all("#sheet svg .blank", count) == in_graph
    uses = Counter(operand for value in computed for operand in value.operands)
    for constant in constants:
        del uses[constant]
    several = sum(count for value, count in uses.items() if count > 1)
    in_steps = len(computed) + 1 + 3 * sum(uses.values()) + several
    assert page.eval_on_selector_all("#sheet li .blank", count) == in_steps
    leaves = [value.data for value in in_picture(explorer) if value.op is None]
    assert numbers_on(page, "#sheet .number, #sheet .constant text") == Counter(
        page.evaluate("given => given.map(format)", leaves)
    )


def test_a_worksheet_does_not_give_the_results_away(sheet: Callable[..., Any]) -> None:
    root = neuron()
    root.backward()
    explorer = step_through(root)
    results = [f"{value.data:.5g}" for value in explorer.lesson.order if value.op is not None]
    results += [f"{value.grad:.5g}" for value in explorer.lesson.order]
    results = [number.replace("-", "−") for number in results if len(number) > 5]
    assert len(results) >= 8
    worksheet = sheet(explorer).text_content("#sheet")
    solution = sheet(explorer, "solution").text_content("#sheet")
    for number in results:
        assert number not in worksheet
        assert number in solution


@pytest.mark.parametrize("name", ["expression", "neuron", "logistic", "training"])
def test_a_solution_has_the_engine_s_numbers(sheet: Callable[..., Any], name: str) -> None:
    explorer = SHEETS[name]()
    root = explorer.lesson.root
    for value in explorer.lesson.order:
        value.grad = 0.0
    root.backward()
    page = sheet(explorer, "solution")
    format_ = "given => given.map(format)"
    expected: Counter[str] = Counter()
    for value in in_picture(explorer):
        shown = [value.data] if isinstance(value, Constant) else [value.data, value.grad]
        expected.update(page.evaluate(format_, shown))
    assert numbers_on(page, "#sheet .number, #sheet .constant text") == expected
    assert page.eval_on_selector_all("#sheet .blank", "all => all.length") == 0
    count = page.evaluate("play(LESSON.nodes.map(({ data }) => Number(data)), null).steps.length")
    assert page.eval_on_selector_all("#sheet li", "all => all.length") == count


def test_a_title_and_room_for_a_name(sheet: Callable[..., Any]) -> None:
    worksheet = sheet(expression()).inner_text(".head")
    assert worksheet.split("\n")[0] == "a*b + tanh(a)"
    assert "Name" in worksheet
    assert "Date" in worksheet
    assert "Solution" in sheet(expression(), "solution").inner_text(".head")


def test_a_pass_of_absurdly_many_steps_is_cut_off(sheet: Callable[..., Any]) -> None:
    page = sheet(step_through(diamonds(250)))
    assert page.eval_on_selector_all("#sheet li", "all => all.length") == 400
    headings = page.eval_on_selector_all("#sheet h2", "all => all.map((x) => x.textContent)")
    assert headings == ["Forward pass: 250 steps", "Backward pass: 501 steps"]
    notes = page.eval_on_selector_all("#sheet .note", "all => all.map((x) => x.textContent)")
    assert "The first 200 of 501 steps; the others go the same way." in notes
    assert page.get_attribute("#sheet section:last-child ol", "start") == "251"


def test_many_pictures_are_cut_off_with_a_sentence(sheet: Callable[..., Any]) -> None:
    page = sheet(folded())
    assert page.eval_on_selector_all("#sheet figure", "all => all.length") == 12
    assert "the first 12 pictures" in page.inner_text("#sheet .figures .note")


def test_a_training_step_of_the_page_with_what_its_update_needs(
    window: Callable[..., Visit], tmp_path: Path
) -> None:
    model = mlp(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.25, momentum=0.5)
    explorer = step_through(model, [2.0, -1.0], 1.0, losses.mse, optimizer=optimizer)
    page = window().go(explorer.save(tmp_path / "lesson.html"))
    page.evaluate("runSteps(1)")
    page.emulate_media(media="print")
    found = {}
    for kind in KINDS:
        page.evaluate(f"fillSheet($('sheet'), '{kind}', shown.numbers, shown.training)")
        found[kind] = page.eval_on_selector_all(
            "#sheet section", "all => all.map((x) => x.innerText)"
        )

    def train() -> float:
        optimizer.zero_grad()
        loss = losses.mse(model([2.0, -1.0]), 1.0)
        loss.backward()
        optimizer.step()
        return float(loss.data)

    train()
    velocities = [state["velocity"] for state in optimizer.state]
    update = re.sub(r"\s", "", found["worksheet"][2])
    assert "withlr0.25:3steps" in update
    for velocity in page.evaluate("given => given.map(format)", velocities):
        assert f"velocity={velocity}" in update
    expected = page.evaluate("given => given.map(format)", [train(), train()])
    before_and_after = re.sub(r"\s", "", found["solution"][3])
    assert before_and_after.endswith("loss" + "→".join(expected))


# ---- printing


def test_the_command_prints(
    tmp_path: Path, browser: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new folder" / "sheet.pdf"
    assert main(["worksheet", "a*b + tanh(a)", "a=2", "b=-3", "-o", str(path)]) == 0
    paths = [path, path.with_name("sheet-solution.pdf")]
    assert capsys.readouterr().out == (
        f"a*b + tanh(a) = -5.03597\nwrote {paths[0]}\nwrote {paths[1]}\n"
    )
    assert sorted(path.parent.iterdir()) == sorted(paths)
    assert [path.read_bytes()[:4] for path in paths] == [b"%PDF"] * 2
    assert [sizes_of(path) for path in paths] == [{(210, 297)}, {(210, 297)}]
    (worksheet,), (solution,) = map(text_of, paths)
    for words in ("a*b + tanh(a)", "Forward pass: 3 steps", "Backward pass: 6 steps"):
        assert words in worksheet
        assert words in solution
    assert re.search("1 ?/ ?1", worksheet)
    assert "Name" in worksheet
    assert "0.96403" not in worksheet  # tanh(2)
    assert "0.96403" in solution


def test_a_wide_graph_goes_on_pages_on_their_side(
    sheet: Callable[..., Any], tmp_path: Path
) -> None:
    printed = tmp_path / "sheet.pdf"
    for kind in KINDS:
        sheet(step_through(neuron()), kind).pdf(path=printed, prefer_css_page_size=True)
        assert sizes_of(printed) == {(297, 210)}
    pages = text_of(printed)
    assert re.search(rf"{len(pages)} ?/ ?{len(pages)}", pages[-1])
    steps = [int(number) for page in pages for number in re.findall(r"(?:^|\s)(\d+)\. ", page)]
    assert set(range(1, max(steps) + 1)) == set(steps)


def test_the_browser_s_own_command_prints_the_solution(
    window: Callable[..., Visit], tmp_path: Path
) -> None:
    page = window(color_scheme="dark").go(expression().save(tmp_path / "lesson.html"))
    page.fill('#leaf-list [aria-label="a, number"]', "0.5")
    page.pdf(path=tmp_path / "printed.pdf", prefer_css_page_size=True)
    assert page.text_content("#sheet") == ""
    (text,) = text_of(tmp_path / "printed.pdf")
    assert "Solution" in text
    assert "0.46212" in text  # tanh(0.5)
    assert "nudge" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_print_control(window: Callable[..., Visit], tmp_path: Path, kind: str) -> None:
    path = expression().save(tmp_path / "lesson.html")
    page = window(viewport={"width": 390, "height": 844}).go(path)
    page.evaluate("present", kind == "worksheet")
    page.evaluate("window.print = () => dispatchEvent(new Event('beforeprint'))")
    assert not page.is_visible(f"#print-{kind}")
    page.click("#print summary")
    left, right = page.eval_on_selector(
        "#print div", "x => [x.getBoundingClientRect().left, x.getBoundingClientRect().right]"
    )
    assert 0 <= left < right <= 390
    page.click(f"#print-{kind}")
    assert not page.is_visible(f"#print-{kind}")
    assert not page.is_visible("#sheet")
    page.emulate_media(media="print")
    assert page.is_visible(f"#sheet.{kind}")
    assert not page.is_visible("main")
    assert ("0.96403" in page.inner_text("#sheet")) == (kind == "solution")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.text_content("#sheet") == ""


# ---- the command


@pytest.mark.parametrize(
    "place",
    [
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "C:/Programs/Microsoft/Edge/Application/msedge.exe",
    ],
)
def test_a_browser_is_found_where_the_system_installs_it(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROGRAMFILES(X86)", "C:/Programs")
    monkeypatch.setattr(printing.shutil, "which", lambda path: path if path == place else None)
    assert printing.find_browser() == place


def test_the_command_without_a_browser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing.shutil, "which", lambda name: None)
    assert main(["worksheet", "a*b", "a=2", "b=-3", "-o", str(tmp_path / "sheet.pdf")]) == 0
    printed = capsys.readouterr().out
    assert "no PDF: a PDF is printed by Chromium, Chrome or Edge, and none of them was" in printed
    assert "open each in a browser, and print it there" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "sheet-solution.html",
        "sheet.html",
    ]


def test_a_browser_that_does_not_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(printing.shutil, "which", lambda name: str(broken))
    with pytest.raises(OSError, match="broken printed nothing: no display"):
        expression().worksheet(tmp_path / "sheet.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_another_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"a sheet is a \.pdf or a \.html file, not 'sheet\.png'"):
        expression().worksheet(tmp_path / "sheet.png")
    assert main(["worksheet", "a*b", "a=2", "b=3", "-o", str(tmp_path / "sheet")]) == 2
    assert "not 'sheet'" in capsys.readouterr().err
