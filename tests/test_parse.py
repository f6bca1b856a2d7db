"""Text into graphs: what Python would compute, and nothing that Python would run."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from any_text import ANY_TEXT
from hypothesis import given
from hypothesis import strategies as st

from micrograd_plus.engine import Constant, Value, topological_order
from micrograd_plus.formulas.description import formula
from micrograd_plus.formulas.parse import parse
from micrograd_plus.ops import TABLE


def test_the_neuron_of_the_readme() -> None:
    n = parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0, w1=-3, w2=1, b=6.88)
    assert n.data == pytest.approx(math.tanh(0.88))
    n.backward()
    leaves = {node.label: node for node in topological_order(n) if node.op is None}
    assert leaves.keys() == {"x1", "w1", "x2", "w2", "b"}
    assert leaves["x1"].grad == pytest.approx(-3 * (1 - math.tanh(0.88) ** 2))


NUMBERS = {"a": 2.0, "b": -3.0, "long_name": 0.5}
ATOMS = st.sampled_from(["a", "b", "long_name", "2", "0.25", "1e3", ".5", "1_000", "0x10"])
TEXTS = st.recursive(
    ATOMS,
    lambda smaller: st.one_of(
        st.builds("{} {} {}".format, smaller, st.sampled_from("+-*/"), smaller),
        st.builds("({})".format, smaller),
        st.builds("-{}".format, smaller),
        st.builds("+{}".format, smaller),
        st.builds("({})**2".format, smaller),
        st.builds("2**-{}".format, ATOMS),
    ),
    max_leaves=10,
)


@given(TEXTS)
def test_operators_mean_what_they_mean_in_python(text: str) -> None:
    needed = {name: x for name, x in NUMBERS.items() if re.search(rf"\b{name}\b", text)}
    try:
        wanted = float(eval(text, {}, needed))
    except (ZeroDivisionError, OverflowError):
        return
    assert parse(text, needed).data == pytest.approx(wanted, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", TABLE)
def test_every_op_can_be_called(name: str) -> None:
    op = TABLE[name]
    count = 4 if op.nary else len(op.operands)
    names = list(itertools.islice("abcd", count))
    root = parse(f"{name}({', '.join(names)})", dict.fromkeys(names, 0.5))
    assert root.op is op
    assert [operand.label for operand in root.operands] == names


def test_vectors() -> None:
    assert parse("dot(1, 2, 3, 4)").data == 11
    assert parse("max(1, 3, 2) + sum(1, 2) + logsumexp(0)").data == 6
    assert parse("leaky_relu(x)", x=-1).data == -0.01
    assert parse("leaky_relu(x, 0.2)", x=-1).data == -0.2


def test_a_name_is_one_leaf() -> None:
    root = parse("a * a + a", a=3)
    leaves = [node for node in topological_order(root) if node.op is None]
    assert [leaf.label for leaf in leaves] == ["a"]
    root.backward()
    assert leaves[0].grad == 7


def test_numbers_are_constants() -> None:
    root = parse("2 * a + -3", a=1)
    constants = [node.data for node in topological_order(root) if isinstance(node, Constant)]
    assert sorted(constants) == [-3, 2]
    assert formula(root) == "2 * a + (-3)"


def test_single_numbers_and_names() -> None:
    assert (parse("2").data, parse("-2").data, parse("a", a=4).label) == (2, -2, "a")
    assert parse("2 + 3").data == 5
    assert type(parse("7")) is Value


def test_names_may_be_anything_that_python_allows() -> None:
    assert parse("α + self + text + values", {"α": 1}, self=2, text=3, values=4).data == 10
    assert parse("tanh + tanh(tanh)", tanh=0).data == 0  # a name, and a function


def test_space_and_line_breaks() -> None:
    assert parse("  ( 1 +\n 2 )\n").data == 3


def place(text: str, /, **numbers: float) -> tuple[str, str]:
    """The message, and what stands in the text above the ^."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the messages are compared
        parse(text, numbers)
    message, line, pointer = str(error.value).split("\n")
    return message, line[pointer.index("^") :]


@pytest.mark.parametrize(
    ("text", "message", "there"),
    [
        ("a + zzz * 2", "'zzz' has no number: add zzz=...", "zzz * 2"),
        ("1 + a ^ 2", "^ is not a power here: write a ** b", "^ 2"),
        ("a + foo(a)", "there is no function 'foo'; the functions are add, sub, mul", "foo(a)"),
        ("a * tanh(a, 2)", "tanh(x) was called as tanh(a value, a value)", "tanh(a, 2)"),
        ("a * maximum(a)", "maximum(a, b) was called as maximum(a value)", "maximum(a)"),
        ("a + max()", "max(x) was called as max()", "max()"),
        ("a + dot(a, a, a)", "dot(x, y) was called as dot(a value, a value, a value)", "dot("),
        ("a + 1" + "0" * 400, "this number is larger than any float", "10000"),
        ("é*a + open(a)", "'é' has no number", "é*a"),
        ("tanh('ä') + a", "only numbers, names", "'ä') + a"),
    ],
)
def test_errors_point_at_the_place(text: str, message: str, there: str) -> None:
    says, above = place(text, a=1.0)
    assert says.startswith(message)
    assert above.startswith(there)


def test_a_place_far_to_the_right_is_shown() -> None:
    says, above = place("a + " * 500 + "zzz", a=1.0)
    assert says == "'zzz' has no number: add zzz=..."
    assert above == "zzz"


def test_a_place_in_a_later_line_is_shown() -> None:
    says, above = place("(a +\n  a * zzz)", a=1.0)
    assert says == "'zzz' has no number: add zzz=..."
    assert above == "zzz)"


def test_a_place_behind_wide_characters_is_shown() -> None:
    _, above = place("ä + zzz", ä=1.0)
    assert above == "zzz"


HOSTILE = [
    *("__import__('os').system('true')", "().__class__", "a.__class__", "a.data", "lambda: a"),
    *("[a]", "(a, a)", "{a: a}", "[a for a in a]", "f'{a}'", "'a' * 9", "b'a'", "a if a else a"),
    *("a and a", "not a", "a < a", "a == a", "a := 2", "(a := 2)", "a // 2", "a % 2", "a @ a"),
    *(
        "a << 2",
        "~a",
        "a[0]",
        "True",
        "None",
        "...",
        "2j",
        "tanh(x=a)",
        "tanh(*a)",
        "tanh(**a)",
        "max(a, x=a)",
        "leaky_relu(a, slope=a)",
    ),
    *("a; a", "import os", "a = 2", "yield a", "await a", "a(2)", "tanh(a)(a)", "(tanh)(a).x"),
    *(
        "",
        "   ",
        "\n",
        "#",
        "(",
        "a +",
        "a b",
        "1 2",
        "a +* b",
        ")",
        "'",
        "\\",
        "\0",
        "a\0",
        "\ud800",
    ),
    *("tanh(tanh)", "eval('1')", "max([a])", "-'a'", "a$", "…", "٣", "1__0", "01", "1e", "0b2"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_not_an_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its text is examined
        parse(text, a=1.0)
    assert type(error.value) is ValueError
    assert "^" in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["(" * 4900 + "a" + ")" * 4900, "-" * 9000 + "a", "tanh(" * 1600 + "a" + ")" * 1600,
     "a" + "**a" * 3000, "a" + "+a" * 4500],
)  # fmt: skip
def test_brackets_and_operators_may_be_nested_deeply(text: str) -> None:
    assert isinstance(parse(text, a=1.0), Value)


@pytest.mark.parametrize(
    ("text", "message", "there"),
    [
        ("a * (a + 2", "this bracket was never closed", "(a + 2"),
        ("a * tanh(a", "this bracket was never closed", "tanh(a"),
        ("a + 2) * a", "this bracket was never opened", ") * a"),
        ("a * (a, a)", "a comma is only allowed between the values of a function", ", a)"),
        ("a * / a", "a number, a name or an opening bracket is missing here", "/ a"),
        ("a + ", "a number, a name or an opening bracket is missing here", ""),
        ("2 a", "an operator, such as + or *, is missing here", "a"),
        ("a(a)", "there is no function 'a'", "a(a)"),
        ("(a)(a)", "an operator, such as + or *, is missing here", "(a)"),
        ("a < 2", "only numbers, names", "< 2"),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, message: str, there: str) -> None:
    says, above = place(text, a=1.0)
    assert says.startswith(message)
    assert above == there


def test_long_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="has 1,000,001 characters; at most 10,000 are allowed"):
        parse("1" + "+" * 10**6)


def test_large_powers_take_no_time() -> None:
    assert parse("9**9**9**9").data == math.inf


@given(ANY_TEXT)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017 - either is right


@given(st.text(alphabet="ab01.+-*/(), \ntanhmx_", max_size=30))
def test_any_text_of_the_language_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017 - either is right


def test_numbers_for_names_that_do_not_occur() -> None:
    with pytest.raises(ValueError, match="there is no b, c in 'a'"):
        parse("a", a=1, b=2, c=3)


def test_a_number_that_is_none() -> None:
    with pytest.raises(TypeError, match="not the str 'x'"):
        parse("a", {"a": "x"})  # type: ignore[dict-item]
