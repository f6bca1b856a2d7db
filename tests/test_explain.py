"""The derivation in words: its numbers are the engine's, and it can be read."""

from __future__ import annotations

import math
import random
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import micrograd_plus as mp
from micrograd_plus.engine import Value, topological_order
from micrograd_plus.formulas.parse import parse
from micrograd_plus.ops import TABLE, Op
from micrograd_plus.show.explain import explain

NEURON = """\
Given
  x1 = 2, w1 = −3, x2 = 0, w2 = 1, b = 6.881

Forward: each value, computed from earlier values
  v1 = x1 · w1  = 2 × (−3)     = −6
  v2 = x2 · w2  = 0 × 1        = 0
  v3 = v1 + v2  = −6 + 0       = −6
  v4 = v3 + b   = −6 + 6.881   = 0.8814
  L  = tanh(v4) = tanh(0.8814) = 0.7071

Local derivatives: the slope of each value with respect to each operand
  ∂v1/∂x1 = w1     = −3
  ∂v1/∂w1 = x1     = 2
  ∂v2/∂x2 = w2     = 1
  ∂v2/∂w2 = x2     = 0
  ∂v3/∂v1 = 1
  ∂v3/∂v2 = 1
  ∂v4/∂v3 = 1
  ∂v4/∂b  = 1
  ∂L/∂v4  = 1 − L² = 1 − 0.7071² = 0.5

Chain rule: multiply along each path from L down, then add all paths
  ∂L/∂x1 = ∂L/∂v4 · ∂v4/∂v3 · ∂v3/∂v1 · ∂v1/∂x1 = 0.5 × 1 × 1 × (−3) = −1.5
  ∂L/∂w1 = ∂L/∂v4 · ∂v4/∂v3 · ∂v3/∂v1 · ∂v1/∂w1 = 0.5 × 1 × 1 × 2    = 1
  ∂L/∂x2 = ∂L/∂v4 · ∂v4/∂v3 · ∂v3/∂v2 · ∂v2/∂x2 = 0.5 × 1 × 1 × 1    = 0.5
  ∂L/∂w2 = ∂L/∂v4 · ∂v4/∂v3 · ∂v3/∂v2 · ∂v2/∂w2 = 0.5 × 1 × 1 × 0    = 0
  ∂L/∂b  = ∂L/∂v4 · ∂v4/∂b                      = 0.5 × 1            = 0.5

Gradients, the same as those of backward()
  ∂L/∂x1 = −1.5
  ∂L/∂w1 = 1
  ∂L/∂x2 = 0.5
  ∂L/∂w2 = 0
  ∂L/∂b  = 0.5"""


def neuron() -> Value:
    return parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0, w1=-3, w2=1, b=6.8813735870195432)


def leaf_of(root: Value, label: str) -> Value:
    return {value.label: value for value in topological_order(root)}[label]


def test_the_neuron_that_everybody_knows() -> None:
    derivation = explain(neuron())
    assert str(derivation) == repr(derivation) == NEURON


def test_the_paths_are_told_apart_and_added_up() -> None:
    text = str(explain(parse("(a*b + a)*c", a=2, b=-3, c=0.5)))
    assert (
        """\
  ∂L/∂a: 2 paths
    ∂L/∂v2 · ∂v2/∂v1 · ∂v1/∂a = 0.5 × 1 × (−3) = −1.5   through v2, v1
    ∂L/∂v2 · ∂v2/∂a           = 0.5 × 1        = 0.5    through v2
    sum                       = −1.5 + 0.5     = −1
  ∂L/∂b = ∂L/∂v2 · ∂v2/∂v1 · ∂v1/∂b = 0.5 × 1 × 2 = 1
  ∂L/∂c = −4
"""
        in text
    )
    text = str(explain(parse("a*a", a=2)))
    assert "  ∂L/∂a = a = 2   as operand 1\n  ∂L/∂a = a = 2   as operand 2\n" in text
    assert "    ∂L/∂a = 2           directly, as operand 1\n" in text


def test_wrt_leaves_out_what_does_not_depend_on_it() -> None:
    root = parse("tanh(x*w + b) * exp(c)", x=1, w=2, b=3, c=4)
    text = str(explain(root, wrt=leaf_of(root, "b")))
    assert text.startswith("Given\n  v1 = 2, b = 3, v4 = 54.6\n\nForward")
    assert "  L  = v3 · v4  = 0.9999 × 54.6 = 54.59\n" in text
    assert "∂L/∂v4" not in text
    assert "exp" not in text
    assert text.count("∂L/∂b =") == 2


def test_wrt_may_be_computed_itself() -> None:
    a = Value(2.0, label="a")
    square = a * a
    square.label = "s"
    text = str(explain(square * 3 + square, wrt=square))
    assert text.startswith("Given\n  s = 4\n")
    assert "∂L/∂s: 2 paths" in text
    assert "∂L/∂s = 4" in text
    assert "∂s/∂s = 1" in str(explain(square, wrt=square))


def test_many_paths_are_summed_up() -> None:
    leaf = value = Value(0.1, label="x")
    for _ in range(7):
        value = value * value + value
    text = str(explain(value))
    assert "∂L/∂x: 2,187 paths, the 8 largest first" in text
    assert "the last from the other 2,179 paths" in text
    leaf.grad = 0.0
    value.backward()
    assert f"= {leaf.grad:.4g}" in text


def test_lines_fit_a_terminal() -> None:
    random.seed(1)
    for root in (neuron(), mp.nn.Neuron(4)([1.0, 2.0, 3.0, 4.0]),
                 mp.nn.MLP(2, [2, 1])([1.0, -2.0])):  # fmt: skip
        for line in str(explain(root)).splitlines():
            assert len(line) <= 100, line


def test_no_gradient_is_touched() -> None:
    root = neuron()
    for i, value in enumerate(topological_order(root)):
        value.grad = float(i)
    derivation = explain(root)
    str(derivation)
    derivation._repr_markdown_()
    assert [value.grad for value in topological_order(root)] == [float(i) for i in range(10)]


def test_a_leaf_and_a_constant() -> None:
    assert "∂a/∂a = 1" in str(explain(Value(2.0, label="a")))
    assert "L = 2 · 3 = 2 × 3 = 6" in str(explain(mp.Constant(2.0) * 3))


def test_numbers_that_are_not_finite() -> None:
    text = str(explain(parse("log(a) * 0 + b / 0", a=0, b=-1)))
    assert "log(0)" in text
    assert "−∞" in text
    assert "∂L/∂a = " in text
    assert "nan" in text


def test_a_wrong_rule_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    root = parse("a * a + a", a=3)

    def forgetful(self: Value, gradient: float = 1.0) -> None:
        for node in topological_order(self):
            node.grad = 1.0

    monkeypatch.setattr(Value, "backward", forgetful)
    assert "∂L/∂a = 7   but backward() gives 1" in str(explain(root))


def test_what_is_refused() -> None:
    value = leaf = Value(0.5, label="x")
    for _ in range(61):
        value = value.tanh()
        if _ == 30:
            middle = value
    with pytest.raises(ValueError, match=r"61 computed values.*wrt=.*step_through"):
        explain(value)
    with pytest.raises(ValueError, match="61 computed values"):
        explain(value, wrt=leaf)
    explain(value, wrt=middle)
    with pytest.raises(ValueError, match="61 gradients"):
        explain(mp.sum([Value(float(i)) for i in range(61)]))
    with pytest.raises(ValueError, match="is not part of the graph"):
        explain(value, wrt=Value(1.0))
    with pytest.raises(TypeError, match="explain takes Values"):
        explain(3.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not 'x'"):
        explain(value, wrt="x")  # type: ignore[arg-type]


# ---- Markdown


def test_markdown_has_balanced_formulas() -> None:
    markdown = explain(parse("(a*b + a)*relu(c)", a=2, b=-3, c=0.5))._repr_markdown_()
    assert r"v_{1} &= a \cdot b = 2 \times \left(-3\right) = -6" in markdown
    assert r"\frac{\partial L}{\partial a}" in markdown
    assert r"\text{through}\ v_{2}" in markdown
    assert markdown.count(r"\begin{aligned}") == markdown.count(r"\end{aligned}")
    assert markdown.count("{") == markdown.count("}")
    assert markdown.count("$$") % 2 == 0


def test_hostile_labels_stay_in_their_line() -> None:
    root = Value(2.0, label="a\n\n# b") * Value(3.0, label="</script>$$")
    text = str(explain(root))
    assert "a # b = 2" in text
    assert "</script>$$ = 3" in text
    markdown = explain(root)._repr_markdown_()
    assert "\n# b" not in markdown
    assert not re.search(r"[^\\]\$\$ =", markdown)


# ---- every op


@pytest.mark.parametrize("entry", TABLE.values(), ids=lambda entry: entry.name)
def test_every_op(entry: Op) -> None:
    names = "abcd" if entry.nary else "abcd"[: len(entry.operands)]
    operands = [Value(0.5 + 0.25 * i, label=name) for i, name in enumerate(names)]
    root = Value.apply(entry, *operands)
    text = str(explain(root))
    root.backward()
    last = text.split("\n\n")[-1]
    assert "but backward()" not in text
    for operand in operands:
        shown = f"{float(f'{operand.grad:.4g}'):.4g}".replace("-", "−")
        assert re.search(rf"∂L/∂{operand.label} += {re.escape(shown)}$", last, re.M), text
    assert explain(root)._repr_markdown_()


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.integers(0, 10**6))
def test_random_graphs_agree_with_the_engine(numbers: list[float], seed: int) -> None:
    draw = random.Random(seed)
    values = [Value(number, label=name) for number, name in zip(numbers, "abc")]
    for _ in range(draw.randint(1, 8)):
        p, q = draw.choice(values), draw.choice(values)
        values.append(draw.choice([p + q, p * q, p - q, p.tanh(), p.relu(), p * 2]))
    root = values[-1]
    root.backward()
    assume(all(math.isfinite(value.grad) for value in values))
    text = str(explain(root))
    assert "but backward()" not in text
