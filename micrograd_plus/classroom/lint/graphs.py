"""What can be read off a graph: whose it is, what lies inside the model, what stops gradients."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...context import scope
from ...engine import Value, local_derivatives
from ...nn import Dropout, Module
from ...support.nested import flatten


@dataclass(frozen=True, eq=False)
class Layer:
    """Parameters that belong together: a module's own, or those at one depth of the graph."""

    title: str
    module: Module | None = None
    model: Module | None = None


def layers_of(
    module: Module, model: Module, path: str, around: Layer | None
) -> Iterator[tuple[Value, Layer]]:
    """Each parameter below a module, with the layer it belongs to; a neuron is no layer."""
    layer = around
    if module.in_tree or layer is None:
        layer = Layer(f"{path} ({type(module).__name__}({module.extra_repr()}))", module, model)
    for name, member in module.named_members():
        if isinstance(member, Module):
            yield from layers_of(member, model, f"{path}.{name}", layer)
        else:
            yield from ((parameter, layer) for parameter in flatten(member))


def models_of(order: Sequence[Value]) -> list[Module]:
    """The outermost modules in whose calls a graph was computed."""
    seen: set[scope] = set()
    found: dict[int, Module] = {}
    for node in order:
        around, outermost = node.scope, None
        while around is not None and around not in seen:
            seen.add(around)
            if isinstance(around.owner, Module):
                outermost = around.owner
            around = around.parent
        if outermost is not None and around is None:
            found[id(outermost)] = outermost
    return list(found.values())


def in_a_model(node: Value) -> bool:
    """Whether a value was computed by a module, or inside one, that has parameters."""
    around = node.scope
    while around is not None and isinstance(around.owner, Module):
        if around.owner.parameters():
            return True
        around = around.parent
    return False


def depths(nodes: Sequence[Value], parameters: set[Value]) -> dict[Value, int]:
    """For each parameter, how many activations lie between the inputs and where it is used."""
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
    """The values that are weighted by a parameter further on: those inside the model."""
    below: set[Value] = set()
    for node in reversed(nodes):
        if node in below or not parameters.isdisjoint(node.operands):
            below.update(node.operands)
    return below


def in_reach(end: Value, op: str, loss: str, label: float) -> bool:
    """Whether the output of a ReLU can become what a loss asks for, by comparing with a label."""
    if op == "sub" or loss == "hinge":
        return label >= 0
    if loss == "bce_with_logits":
        return label >= 0.5  # below, the logit must be negative
    return not (end.data == 0 and end.grad > 0)


def squashing(value: Value) -> str:
    """What has made a probability of this value, if anything has."""
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
    """For each of these leaves, without a gradient, what has stopped it on the ways to it."""
    if not leaves:
        return {}
    without = set(leaves)  # and what is computed from them and has no gradient either
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
    """Why the derivative of `node` by its operand `i` is 0; nothing where that is no mistake."""
    op = node.op
    in_module = node.scope is not None and isinstance(node.scope.owner, Module)
    if op is None or not op.linear:
        if op is None or op.dies_at is None:
            return "flat"
        return "dead" if in_module or node.scope is None else ""  # a loss of 0 is no mistake
    factor = node.operands[i - len(node.operands) // 2]
    if node.operands[i].op is not None:
        return "" if node.scope and isinstance(node.scope.owner, Dropout) else "zero"
    # A parameter times 0: a unit before that is off, or an input that is 0; or a mistake.
    is_weighted_sum = in_module or op.nary or factor.op is not None
    return "" if is_weighted_sum else "zero"
