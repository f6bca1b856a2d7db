"""Networks over rows of numbers as an ONNX file, which many programs run: opset 17, IR version 8.

`NODES` is the table: for each class, what adds its nodes to the graph. A node is an operation of
ONNX over a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import nn
from ..support.files import write_atomically
from ..support.libraries import missing
from .parts import Function, in_parts


class Graph:
    """The nodes and constants so far. Every result has a name of its own."""

    def __init__(self, libraries: tuple[Any, Any], dtype: str) -> None:
        self.numpy, self.onnx = libraries
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; returns the name of its result."""
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, numbers: Any) -> str:
        """Adds nested lists of numbers; returns their name."""
        name = f"constant_{len(self.constants)}"
        array = self.numpy.array(numbers, dtype=self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def model(self, width: int | str, output: str, out_width: int | str) -> Any:
        """Returns the model: from `x`, batch × width, to `y`, batch × out_width."""
        helper = self.onnx.helper
        self.nodes.append(helper.make_node("Identity", [output], ["y"]))
        kind = helper.np_dtype_to_tensor_dtype(self.numpy.dtype(self.dtype))
        x, y = (
            helper.make_tensor_value_info(name, kind, ["batch", size])
            for name, size in (("x", width), ("y", out_width))
        )
        graph = helper.make_graph(self.nodes, "micrograd_plus", [x], [y], self.constants)
        made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
        self.onnx.checker.check_model(made, full_check=True)
        return made


Writer = Callable[[Graph, Any, str], str]
"""Adds the nodes of a module that is applied to the result of this name; returns the new name."""


def _linear(graph: Graph, module: Any, x: str) -> str:
    state = module.state_dict()
    columns = [list(column) for column in zip(*state["weight"])]
    x = graph.add("MatMul", x, graph.constant(columns))
    return graph.add("Add", x, graph.constant(state["bias"])) if "bias" in state else x


def _silu(graph: Graph, module: Any, x: str) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _softplus(graph: Graph, module: Any, x: str) -> str:
    small = graph.add("Exp", graph.add("Neg", graph.add("Abs", x)))
    rest = graph.add("Log", graph.add("Add", small, graph.constant(1.0)))
    return graph.add("Add", graph.add("Relu", x), rest)


def _leaky_relu(graph: Graph, module: Any, x: str) -> str:
    """relu(x) - slope * relu(-x): LeakyRelu keeps its slope in float32 only."""
    below = graph.add("Relu", graph.add("Neg", x))
    below = graph.add("Mul", below, graph.constant(module.negative_slope))
    return graph.add("Sub", graph.add("Relu", x), below)


def _elu(graph: Graph, module: Any, x: str) -> str:
    """relu(x) + alpha * (exp(min(x, 0)) - 1): onnxruntime has Elu in float32 only."""
    below = graph.add("Exp", graph.add("Min", x, graph.constant(0.0)))
    below = graph.add("Sub", below, graph.constant(1.0))
    below = graph.add("Mul", below, graph.constant(module.alpha))
    return graph.add("Add", graph.add("Relu", x), below)


def _scaled(graph: Graph, module: Any, x: str) -> str:
    """Divides a row by the root of its mean square; then weight and bias."""
    mean = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[-1])
    size = graph.add("Sqrt", graph.add("Add", mean, graph.constant(module.eps)))
    x = graph.add("Div", x, size)
    for name, op in (("weight", "Mul"), ("bias", "Add")):
        if name in (state := module.state_dict()):
            x = graph.add(op, x, graph.constant(state[name]))
    return x


def _layer_norm(graph: Graph, module: Any, x: str) -> str:
    return _scaled(graph, module, graph.add("Sub", x, graph.add("ReduceMean", x, axes=[-1])))


def _batch_norm(graph: Graph, module: Any, x: str) -> str:
    state = module.state_dict()
    spread = [(variance + module.eps) ** -0.5 for variance in state["running_var"]]
    x = graph.add("Sub", x, graph.constant(state["running_mean"]))
    x = graph.add("Mul", x, graph.constant([w * s for w, s in zip(state["weight"], spread)]))
    return graph.add("Add", x, graph.constant(state["bias"]))


def _sequential(graph: Graph, module: Any, x: str) -> str:
    for part in module:
        x = _written(graph, part, x)
    return x


def _of(op: str) -> Writer:
    """The writer of a module that is one operation without settings."""
    return lambda graph, module, x: graph.add(op, x)


NODES: dict[type[nn.Module], Writer] = {
    nn.Sequential: _sequential,
    nn.Linear: _linear,
    nn.ReLU: _of("Relu"),
    nn.Tanh: _of("Tanh"),
    nn.Sigmoid: _of("Sigmoid"),
    nn.SiLU: _silu,
    nn.Softplus: _softplus,
    nn.LeakyReLU: _leaky_relu,
    nn.ELU: _elu,
    nn.Softmax: lambda graph, module, x: graph.add("Softmax", x, axis=-1),
    nn.Dropout: lambda graph, module, x: x,  # a file is for evaluation
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _scaled,
    nn.BatchNorm1d: _batch_norm,
}


def write(model: nn.Module, path: Path, dtype: str) -> None:
    """Writes `model` as a graph; TypeError for a module that is not in the table."""
    graph = Graph(_libraries(), dtype)
    model = in_parts(model)
    output = _written(graph, model, "x")
    made = graph.model(_width(model, "in_features", 0), output, _width(model, "out_features", -1))
    write_atomically(path, made.SerializeToString())


def _written(graph: Graph, module: nn.Module, x: str) -> str:
    if type(module) not in NODES:
        name = f"the activation {module.op!r}" if isinstance(module, Function) else ""
        allowed = ["MLP", "Layer", "Neuron", *[kind.__name__ for kind in NODES]]
        raise TypeError(
            f"{name or type(module).__name__} cannot be exported to ONNX: only models made of "
            f"{', '.join(allowed)} can"
        )
    return NODES[type(module)](graph, module, x)


def _width(model: nn.Module, name: str, place: int) -> int | str:
    """The numbers in a row of the input (place 0) or output (place -1); "width" if any will do."""
    names = (name, "normalized_shape", "num_features")
    settings = [module.config() for module in model.modules()]
    sizes = [setting[name] for setting in settings for name in names if name in setting]
    return sizes[place] if sizes else "width"


def _libraries() -> tuple[Any, Any]:
    try:
        import numpy
        import onnx
        import onnx.checker
    except ImportError:
        command = 'pip install "micrograd-plus[export]"'
        raise missing("a graph is written by", "onnx", command) from None
    return numpy, onnx
