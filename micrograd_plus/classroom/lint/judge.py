"""Judges a model by its graphs after `backward()`: dead units, gradient sizes, unused parameters.

A `Judge` analyses one graph after another and stores only numbers: how often each unit was dead
or saturated, how large the gradients of each layer are, and which parameters no gradient reached,
with the reason. `conclude` turns these numbers into findings.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from ...engine import Constant, Value, topological_order
from ...formulas.description import formula
from ...formulas.names import models_of
from ...nn import Module
from ...ops import Op
from .findings import Place, Report
from .graphs import (
    Layer,
    below_parameters,
    depths,
    in_a_model,
    in_reach,
    layers_of,
    reasons,
    squashing,
)

EXAMPLES = 16
"""Fewer outputs, as in a small batch, prove nothing: a healthy ReLU gives 0 for half of them."""
MOSTLY = 0.5
"""The smallest share of a layer's units that is reported. Healthy layers have some dead units: in
networks for two moons up to 40 %, a share that the course notes of cs231n call common."""
SATURATED_EXAMPLES = 0.9
"""A unit counts as saturated if it is so for this share of the examples."""
VANISHING = 5e-3
"""A limit for the mean |gradient| of the first layer divided by that of the last. New networks of
relu or tanh stay above 1/10 at any depth; sigmoid has 1/50 with two hidden layers, 1/1000 with
five."""
EXPLODING = 1e3
"""The opposite limit: in new networks the quotient is far smaller."""
HUGE = 1e4
"""With this mean |gradient| even a learning rate of 0.001 moves weights by 10."""

_MOST_NAMES = 3
_MOST_STEPS = 1000  # from a unit down to its first parameter


@dataclass
class _Activity:
    """The units of one kind in a layer: how many there are, and how many are dead or saturated."""

    units: int
    bad: int
    place: Place | None


class Judge:
    """Analyses graphs and remembers what they show about the parameters in them."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.layers: dict[Value, Layer] = {}  # of every known parameter
        self.names: dict[Value, str] = {}
        self.wanted: dict[Value, None] = {}  # parameters that are to be trained
        self.called: dict[int, tuple[Module, Place | None]] = {}  # by id, with first place
        self.leaves: set[Value] = set()  # of the last graph
        self._models: dict[int, Module] = {}
        self._by_depth: dict[int, Layer] = {}
        self._used: set[Value] = set()  # known parameters that occurred in a graph
        self._untouched: set[Value] = set()  # wanted parameters that no gradient has reached
        self._reasons: dict[Value, frozenset[str]] = {}
        self._silent: Counter[Value] = Counter()  # outputs in a row that pass no gradient, by unit
        self._examples = 0  # of the last graph
        self._activity: dict[tuple[Layer, Op], _Activity] = {}
        self._sizes: dict[int, tuple[Place | None, list[tuple[Layer, float]]]] = {}

    # ---- the known parameters

    def learn(self, model: Module) -> None:
        """Stores the names and the layers of a model's parameters."""
        if id(model) not in self._models:
            self._models[id(model)] = model
            for name, parameter in model.named_parameters():
                self.names.setdefault(parameter, parameter.label or name)
            for parameter, layer in layers_of(model, model, type(model).__name__, None):
                self.layers.setdefault(parameter, layer)

    def want(self, parameters: Iterable[Value]) -> None:
        """Expects gradients for these parameters from now on."""
        new = [p for p in parameters if p not in self.wanted]
        self.wanted.update(dict.fromkeys(new))
        self._untouched.update(p for p in new if p.grad == 0)

    def want_models(self) -> None:
        """Expects gradients for all parameters of each model that occurred in a graph."""
        models = {id(self.layers[p].model) for p in self._used}
        self.want(p for p, layer in self.layers.items() if id(layer.model) in models)

    def want_only(self, parameters: Iterable[Value]) -> None:
        """Expects gradients for these parameters only."""
        self.wanted = dict.fromkeys(parameters)

    @property
    def known(self) -> dict[Value, None]:
        """All known parameters, named or wanted."""
        return dict.fromkeys(chain(self.layers, self.wanted))

    def touch(self) -> None:
        """Notes which parameters the last backward() reached."""
        if self._untouched:
            self._untouched = {p for p in self._untouched if p.grad == 0}

    # ---- analysis

    def look(self, root: Value, place: Place | None) -> None:
        """Analyses the graph of `root` right after `root.backward()`."""
        nodes, below = self.look_at_units(root, place)
        self._see_changes(nodes, place)
        self._see_ends(nodes, below, place)
        self._see_sizes(self._layers_in(nodes), place)
        self.touch()
        without = {leaf for leaf in self.leaves if leaf.grad == 0}
        if root.data != 0 or len(without) < len(
            self.leaves
        ):  # at a loss of 0 all gradients may be 0
            unexplained = without - (self.wanted.keys() - self._untouched)
            self._reasons.update(reasons(nodes, unexplained))

    def look_at_units(self, root: Value, place: Place | None) -> tuple[list[Value], set[Value]]:
        """Analyses the outputs of the activations in the graph of `root`.

        Returns the computed values in topological order, and the set of those inside the model.
        """
        order = topological_order(root)
        for model in models_of(order):
            self.learn(model)
        nodes = [node for node in order if node.op is not None]
        self.leaves = {v for v in order if v.op is None and not isinstance(v, Constant)}
        parameters = self.leaves.intersection(self.known)
        self._used |= parameters
        for parameter, depth in depths(nodes, parameters - self.layers.keys()).items():
            title = f"layer {depth + 1}, counted from the inputs"
            self.layers[parameter] = self._by_depth.setdefault(depth, Layer(title))
        below = below_parameters(nodes, parameters)
        self._see_units(nodes, below, place)
        return nodes, below

    def look_at_gradients(self, place: Place | None) -> None:
        """Analyses the gradients only, without a graph."""
        layers = dict.fromkeys(self.layers.values())
        self._see_sizes(list(layers), place)
        for layer in layers:
            members = [p for p, owner in self.layers.items() if owner is layer]
            if not any(p.grad for p in members):
                self.report.add(
                    "no-gradient",
                    f"{self._named(layer, members)} received no gradient.",
                    "use them in forward(), without .data, detach() and no_grad(); "
                    "lint(model, X, y, loss=...) can tell the reason.",
                    place,
                    layer,
                )

    def _see_changes(self, nodes: Sequence[Value], place: Place | None) -> None:
        for node in nodes:
            if node.op is not None:
                now = node.op.forward(*[operand.data for operand in node.operands])
                if now != node.data and (now == now or node.data == node.data):
                    self.report.add(
                        "data-changed-before-backward",
                        "a number was changed between the forward pass and backward(): in the "
                        f"graph, {formula(node, 1, self.names)} is {node.data:.6g}, but computed "
                        f"from the present numbers it is {now:.6g}. The gradients mix old and new "
                        "numbers.",
                        "call backward() right after the forward pass, and change data, as step() "
                        "does, only after that; or compute the loss again after the change.",
                        place,
                    )
                    return

    def _layers_in(self, nodes: Sequence[Value]) -> list[Layer]:
        """Returns the layers that a graph uses, starting at the inputs."""
        remaining = self.leaves & self.layers.keys()
        found: dict[Layer, None] = {}
        for node in nodes:
            if not remaining:
                break
            for parameter in remaining.intersection(node.operands):
                remaining.remove(parameter)
                found[self.layers[parameter]] = None
        return list(found)

    def _see_units(self, nodes: Sequence[Value], below: set[Value], place: Place | None) -> None:
        outputs: dict[tuple[Op, Value], list[float]] = defaultdict(list)
        for node in nodes:
            op = node.op
            if op is None or (op.saturates is None and op.dies_at is None):
                continue
            if node in below and (unit := self._unit(node.operands[0])):
                outputs[op, unit].append(node.data)
        self._examples = max(map(len, outputs.values()), default=0)
        bad: dict[tuple[Layer, Op], list[bool]] = defaultdict(list)
        for (op, unit), numbers in outputs.items():
            is_bad = self._is_dead if op.dies_at is not None else self._is_saturated
            bad[self.layers[unit], op].append(is_bad(op, unit, numbers))
        for key, flags in bad.items():
            self._activity[key] = _Activity(len(flags), sum(flags), place)

    def _unit(self, weighted_sum: Value) -> Value | None:
        """Returns the first parameter of a weighted sum, which identifies the unit."""
        stack = [weighted_sum]
        for _ in range(_MOST_STEPS):
            if not stack:
                break
            node = stack.pop()
            if node in self.layers:
                return node
            if node.op is not None and node.op.linear:
                stack.extend(reversed(node.operands))
        return None

    def _is_dead(self, op: Op, unit: Value, numbers: Sequence[float]) -> bool:
        alive = any(y != op.dies_at for y in numbers)
        self._silent[unit] = 0 if alive else self._silent[unit] + len(numbers)
        return self._silent[unit] >= EXAMPLES

    def _is_saturated(self, op: Op, unit: Value, numbers: Sequence[float]) -> bool:
        low, high = op.saturates or (-math.inf, math.inf)
        saturated = sum(not low <= y <= high for y in numbers)
        return len(numbers) >= EXAMPLES and saturated >= SATURATED_EXAMPLES * len(numbers)

    def _see_sizes(self, layers: Sequence[Layer], place: Place | None) -> None:
        """Stores the mean |gradient| of each layer, in the order given."""
        members: dict[Layer, list[float]] = {layer: [] for layer in layers}
        for parameter, layer in self.layers.items():
            if layer in members:
                members[layer].append(abs(parameter.grad))
        by_model: dict[int, list[tuple[Layer, float]]] = defaultdict(list)
        for layer, sizes in members.items():
            by_model[id(layer.model)].append((layer, sum(sizes) / len(sizes)))
        self._sizes.update({model: (place, sizes) for model, sizes in by_model.items()})

    def _see_ends(self, nodes: Sequence[Value], below: set[Value], place: Place | None) -> None:
        """Checks the outputs that go from the model to the loss: ReLUs and probabilities."""
        reached: dict[Value, bool] = {}  # whether the ReLU of a last layer can reach its label
        squashed: set[tuple[str, str]] = set()
        for node in nodes:
            loss = node.scope.owner if node.scope and isinstance(node.scope.owner, str) else ""
            name = node.op.name if node.op else ""
            if _TAKES_LOGITS.get(loss) == name:
                squashed.update((by, loss) for x in node.operands if (by := squashing(x)))
            if name in ("sub", "mul"):  # how a loss compares an output with a label
                for end, label in zip(node.operands, reversed(node.operands)):
                    is_relu = end.op is not None and end.op.dies_at == 0 and end not in below
                    if is_relu and label.op is None and in_a_model(end):
                        reached[end] = in_reach(end, name, loss, label.data)
        for by, loss in sorted(squashed):
            self._add_squashed(by, loss, place)
        if not all(reached.values()):
            count = list(reached.values()).count(False)
            self.report.add(
                "final-relu",
                "the last layer of the model has a ReLU, which is never negative, but "
                f"{count} of {len(reached)} labels need a negative output. At 0 the ReLU passes no "
                "gradient back.",
                "remove the ReLU from the last layer (nonlin=False), as MLP does; or use labels "
                "and a loss that need no negative outputs.",
                place,
            )

    def _add_squashed(self, by: str, loss: str, place: Place | None) -> None:
        instead = {"bce_with_logits": "bce"}.get(loss, "-log of the right class's probability")
        self.report.add(
            "squashed-before-logits-loss",
            f"the output of a {by} goes into {loss}, which expects logits (any real numbers) "
            f"and applies a {by} itself. After two of them the probabilities stay near the "
            "middle, and the model learns slowly.",
            f"remove the {by} and pass the outputs of the last layer to {loss}; or keep it and "
            f"use {instead}.",
            place,
            by,
        )

    # ---- findings

    def conclude(self) -> None:
        """Adds the findings to the report."""
        self._conclude_units()
        self._conclude_sizes()
        self._conclude_untouched()

    def _conclude_units(self) -> None:
        for (layer, op), seen in self._activity.items():
            if not seen.bad or seen.bad < MOSTLY * seen.units:
                continue
            counted = f"{layer.title}: {seen.bad} of {seen.units} {op.name} units"
            if op.dies_at is not None:
                self.report.add(
                    "dead-relu",
                    f"{counted} give {op.dies_at:g} for every example. They pass no gradient back, "
                    "so their weights cannot change any more.",
                    "lower the learning rate, initialise the weights again "
                    "(nn.init.kaiming_normal, with biases of 0 or slightly above 0), scale the "
                    "inputs to about -1 to 1, or use leaky_relu.",
                    seen.place,
                    layer,
                )
            else:
                self.report.add(
                    "saturated",
                    f"{counted} are saturated: for nearly every example their input is so large "
                    "that the curve is flat, and they pass almost no gradient back.",
                    "initialise with smaller weights (nn.init.xavier_uniform), scale the inputs "
                    "to about -1 to 1, or lower the learning rate.",
                    seen.place,
                    layer,
                )

    def _conclude_sizes(self) -> None:
        for place, sizes in self._sizes.values():
            (first, size), (last, last_size) = sizes[0], sizes[-1]
            largest = max(mean if math.isfinite(mean) else math.inf for _, mean in sizes)
            rows = ", ".join(f"{layer.title} {mean:.1e}" for layer, mean in sizes)
            listed = f"Mean |gradient| of each layer, from the first to the last: {rows}."
            if largest > HUGE or size > EXPLODING * last_size > 0:
                happened = (
                    f"gradients are as large as {largest:.1e}."
                    if largest > HUGE
                    else f"gradients grow from the last layer to the first: those of {first.title} "
                    f"are {size / last_size:,.0f} times as large as those of {last.title}."
                )
                self.report.add(
                    "exploding-gradients",
                    f"{happened} {listed}",
                    "initialise with smaller weights (nn.init.xavier_uniform, kaiming_normal), "
                    "scale inputs and targets to about -1 to 1, or clip with "
                    "optim.clip_grad_norm_ before step().",
                    place,
                    first,
                )
            elif 0 < size < VANISHING * last_size:
                self.report.add(
                    "vanishing-gradients",
                    f"gradients shrink from the last layer to the first: those of {last.title} are "
                    f"{last_size / size:,.0f} times as large as those of {first.title}, which "
                    f"hardly learns. {listed}",
                    "use relu or tanh instead of sigmoid, an initialisation for this activation "
                    "(nn.init.xavier_uniform, kaiming_normal), or fewer layers.",
                    place,
                    first,
                )

    def _conclude_untouched(self) -> None:
        if not self.leaves:  # no graph was analysed
            return
        untouched = {p for p in self._untouched if p.grad == 0}
        groups: dict[tuple[Layer | None, str], list[Value]] = defaultdict(list)
        for parameter in self.wanted:
            if parameter in untouched and (reason := self._reason(parameter, untouched)):
                groups[self.layers.get(parameter), reason].append(parameter)
        for (layer, reason), parameters in groups.items():
            _, place = self.called.get(id(layer.module), (None, None)) if layer else (None, None)
            them = "it" if len(parameters) == 1 else "them"
            happened, fix = (text.replace("{them}", them) for text in _REASONS[reason])
            self.report.add(
                "no-gradient",
                f"{self._named(layer, parameters)} received no gradient: {happened}",
                fix,
                place,
                (layer, reason),
            )

    def _reason(self, parameter: Value, untouched: set[Value]) -> str:
        """Returns why no gradient reached a parameter, or an empty string if that is no mistake."""
        layer = self.layers.get(parameter)
        if parameter not in self._used and parameter not in self.leaves:
            if layer is None:
                return "unused"
            # In a table of parameters, only the rows that are picked take part.
            member = self._member(parameter)
            rows = (p for p, owner in self.layers.items() if owner is layer)
            if any(p in self._used for p in rows if self._member(p) == member):
                return ""
            return "cut" if id(layer.module) in self.called else "unused"
        stopped = self._reasons.get(parameter, frozenset())
        for reason in ("zero", "flat"):
            if reason in stopped:
                return reason
        if "dead" in stopped and layer and self._examples >= EXAMPLES:
            # Single dead units are reported as dead-relu.
            whole = all(p in untouched for p, owner in self.layers.items() if owner is layer)
            return "dead" if whole else ""
        return ""

    def _member(self, parameter: Value) -> str:
        return re.sub(r"\[.*", "", self.names.get(parameter, ""))

    def _named(self, layer: Layer | None, parameters: Sequence[Value]) -> str:
        count = len(parameters)
        if layer and layer.module and count > 1:
            whole = sum(owner is layer for owner in self.layers.values())
            shown = f"all {count}" if count == whole else f"{count} of the {whole}"
            return f"{shown} parameters of {layer.title}"
        names = [self.names.get(p) or p.label or f"{p.data:.4g}" for p in parameters]
        more = f" and {count - _MOST_NAMES} more" if count > _MOST_NAMES else ""
        return f"the parameter{'s' * (count > 1)} {', '.join(names[:_MOST_NAMES])}{more}"


_REASONS = {
    "unused": (
        "no graph that backward() ran over contains {them}.",
        "use {them} in forward(), or remove {them} from the optimizer. If the loss should depend "
        "on {them}, look for .data, detach() and no_grad() between {them} and the loss.",
    ),
    "cut": (
        "the module was called, but its output is not connected to the loss: a number was taken "
        "out of its Value (.data, item()), or was computed with detach() or inside no_grad().",
        "pass on the Values themselves, without .data and detach(), and outside of no_grad().",
    ),
    "zero": (
        "on every path to the loss there is a multiplication by 0.",
        "look for a factor or a weight of 0: it stops every gradient. If all layers start with "
        "weights of 0, each of them stops the gradients of the others.",
    ),
    "flat": (
        "on every path to the loss there is a function whose slope is 0: a comparison, the "
        "branch of where() that was not chosen, or a sigmoid with a very large input.",
        "use a function with a slope, such as sigmoid instead of a comparison, and keep its input "
        "small.",
    ),
    "dead": (
        "the ReLUs after it give 0 for every example.",
        "lower the learning rate, initialise the weights again, or use leaky_relu. If the last "
        "layer of the model has a ReLU, remove it.",
    ),
}
"""Reason → what happened, and what to do."""

_TAKES_LOGITS = {"bce_with_logits": "softplus", "cross_entropy": "logsumexp"}
"""Loss → the op in it that takes the logits."""
