"""Analyses one graph: its models and layers, the values in them, and what stops gradients."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...engine import Value, local_derivatives
from ...nn import Dropout, Module
from ...support.nested import flatten


@dataclass(frozen=True, eq=False)
class Layer:
    """Parameters that belong together: those of a module, or those at one depth of the graph."""

    title: str
    module: Module | None = None
    model: Module | None = None


def layers_of(
    module: Module, model: Module, path: str, around: Layer | None
) -> Iterator[tuple[Value, Layer]]:
    """Yields each parameter of a module with its layer; a neuron does not count as a layer."""
    layer = around
    if module.in_tree or layer is None:
        layer = Layer(f"{path} ({type(module).__name__}({module.extra_repr()}))", module, model)
    for name, member in module.named_members():
        if isinstance(member, Module):
            yield from layers_of(member, model, f"{path}.{name}", layer)
        else:
            yield from ((parameter, layer) for parameter in flatten(member))


def in_a_model(node: Value) -> bool:
    """Whether a value was computed inside a module that has parameters."""
    around = node.scope
    while around is not None and isinstance(around.owner, Module):
        if around.owner.parameters():
            return True
        around = around.parent
    return False


def depths(nodes: Sequence[Value], parameters: set[Value]) -> dict[Value, int]:
    """Counts, for each parameter, the activations between the inputs and its use."""
    if not parameters:
        return {}
    depth: dict[Value, int] = {}
    found: dict[Value, int] = {}
    for node in nodes:
        depth[node] = max([depth.get(operand, 0) for operand in node.operands])
        for parameter in parameters.intersection(node.operands):
            found[parameter] = max(found.get(parameter, 0), depth[node])
        depth[node] += node.op is not None and not node.op.linear
    return found


def below_parameters(nodes: Sequence[Value], parameters: set[Value]) -> set[Value]:
    """Returns the values inside the model: a later value multiplies them with a parameter."""
    below: set[Value] = set()
    for node in reversed(nodes):
        if node in below or not parameters.isdisjoint(node.operands):
            below.update(node.operands)
    return below


def in_reach(end: Value, op: str, loss: str, label: float) -> bool:
    """Whether the output of a ReLU can reach the target that the loss sets for this label."""
    if op == "sub" or loss == "hinge":
        return label >= 0
    if loss == "bce_with_logits":
        return label >= 0.5  # for smaller labels the logit must be negative
    return not (end.data == 0 and end.grad > 0)


def squashing(value: Value) -> str:
    """Returns the function that made this value a probability, or an empty string."""
    if value.op is None:
        return ""
    low, high = value.op.saturates or (-math.inf, math.inf)
    if low >= 0 and high <= 1:
        return value.op.name
    if value.op.name == "exp" and (log := value.operands[0]).op and log.op.name == "sub":
        normaliser = log.operands[1]
        return "softmax" if normaliser.op and normaliser.op.name == "logsumexp" else ""
    return ""


def reasons(nodes: Sequence[Value], leaves: set[Value]) -> dict[Value, frozenset[str]]:
    """Returns, for each of these leaves without gradient, the kinds of ops that stopped it."""
    if not leaves:
        return {}
    without = set(leaves)  # and the values computed from them that have no gradient either
    above = []
    for node in nodes:
        if not without.isdisjoint(node.operands):
            above.append(node)
            if node.grad == 0:
                without.add(node)
    stopped: dict[Value, set[str]] = defaultdict(set)
    for node in reversed(above):
        for i, (operand, local) in enumerate(local_derivatives(node)):
            if operand in without:
                stopped[operand].update({_stop(node, i)} if local == 0 else stopped[node])
    return {leaf: frozenset(stopped[leaf]) for leaf in leaves}


def _stop(node: Value, i: int) -> str:
    """Returns why the derivative by operand `i` is 0, or an empty string if that is no mistake."""
    op = node.op
    in_module = node.scope is not None and isinstance(node.scope.owner, Module)
    if op is None or not op.linear:
        if op is None or op.dies_at is None:
            return "flat"
        # The ReLU of a loss may be 0: the example is already right.
        return "dead" if in_module or node.scope is None else ""
    factor = node.operands[i - len(node.operands) // 2]
    if node.operands[i].op is not None:
        return "" if node.scope and isinstance(node.scope.owner, Dropout) else "zero"
    # A parameter times 0 is no mistake if an input is 0, or the unit before gives 0.
    is_weighted_sum = in_module or op.nary or factor.op is not None
    return "" if is_weighted_sum else "zero"
