"""A graph of ONNX as it is written: nodes, which are operations over arrays, and constants.

ONNX is a format for trained networks that many programs run: opset 17, IR version 8.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..support.libraries import missing

States = list[str]


class Graph:
    """The nodes and constants so far. Every result has a name of its own.

    axes: the number of axes of the array that the next module takes.
    """

    def __init__(self, dtype: str) -> None:
        self.numpy, self.onnx = _libraries()
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.names: set[str] = set()
        self.axes = 0

    # ---- what a module adds

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node; returns the name of its result."""
        (name,) = self.add_several(1, op, *inputs, **attributes)
        return name

    def add_several(self, count: int, op: str, *inputs: str, **attributes: Any) -> list[str]:
        """Adds a node of so many results; returns their names."""
        names = [self._name(op.lower()) for _ in range(count)]
        self.nodes.append(self.onnx.helper.make_node(op, inputs, names, **attributes))
        return names

    def constant(self, numbers: Any, dtype: str | None = None) -> str:
        """Adds nested lists of numbers, of the graph's type or another; returns their name."""
        name = self._name("constant")
        array = self.numpy.array(numbers, dtype=dtype or self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def whole(self, *numbers: int) -> str:
        """Adds a row of whole numbers, as indices and sizes are; returns its name."""
        return self.constant(numbers, "int64")

    def cast(self, x: str, dtype: str | None = None) -> str:
        """The same numbers, in the graph's type or another."""
        return self.add("Cast", x, to=self._kind(dtype or self.dtype))

    def linear(self, x: str, weight: Any, bias: Any = None) -> str:
        """x · weightᵀ + bias, over the last axis."""
        x = self.add("MatMul", x, self.constant([list(column) for column in zip(*weight)]))
        return x if bias is None else self.add("Add", x, self.constant(bias))

    def places(self, x: str, axis: int) -> str:
        """The numbers 0, 1, … along an axis of x."""
        size = self.add("Squeeze", self.add("Shape", x, start=axis, end=axis + 1))
        return self.add("Range", self.constant(0, "int64"), size, self.constant(1, "int64"))

    def scan(
        self, step: Callable[[Graph, str, States], States], x: str, states: States
    ) -> tuple[str, States]:
        """Runs `step` over the second axis of x, from the first states; it returns the next ones.

        Returns the first of the states after every step, and all states after the last step.
        """
        body = copy.copy(self)  # the names and the constants are those of the whole file
        body.nodes = []
        now, *before = [self._name(name) for name in ("now", *["state"] * len(states))]
        after = step(body, now, before)
        seen = body.add("Identity", after[0])
        value = self.onnx.helper.make_tensor_value_info
        inside = self.onnx.helper.make_graph(
            body.nodes,
            self._name("step"),
            [value(name, self._kind(), [None, None]) for name in (*before, now)],
            [value(name, self._kind(), [None, None]) for name in (*after, seen)],
        )
        *last, all_seen = self.add_several(
            len(states) + 1,
            "Scan",
            *states,
            x,
            body=inside,
            num_scan_inputs=1,
            scan_input_axes=[1],
            scan_output_axes=[1],
        )
        return all_seen, last

    # ---- the whole

    def add_input(self, name: str, axes: Sequence[str | int], dtype: str | None = None) -> str:
        """Declares an input; returns its name."""
        self.names.add(name)
        value = self.onnx.helper.make_tensor_value_info
        self.inputs.append(value(name, self._kind(dtype or self.dtype), axes))
        return name

    def add_output(self, name: str, result: str, dtype: str | None = None) -> None:
        """Declares that a result is an output, under this name."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [result], [name]))
        value = self.onnx.helper.make_tensor_value_info
        self.outputs.append(value(name, self._kind(dtype or self.dtype), None))

    def model(self, about: Mapping[str, Any]) -> Any:
        """Returns the model, checked, with the sizes of its arrays; `about` becomes metadata."""
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes, "micrograd_plus", self.inputs, self.outputs, self.constants
        )
        domains = {node.domain for node in self.nodes} | {""}
        versions = [helper.make_opsetid(domain, _VERSIONS[domain]) for domain in sorted(domains)]
        made = helper.make_model(graph, ir_version=8, opset_imports=versions)
        made = self.onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True)
        for array in (*made.graph.value_info, *made.graph.output):
            for axis in array.type.tensor_type.shape.dim:
                if axis.dim_param.startswith("unk__"):  # a name that says nothing
                    axis.Clear()
        texts = {name: json.dumps(thing, ensure_ascii=False) for name, thing in about.items()}
        helper.set_model_props(made, texts)
        self.onnx.checker.check_model(made, full_check=True)
        return made

    def reserve(self, *names: str) -> None:
        """No result will have one of these names."""
        self.names |= {*names}

    def _name(self, wanted: str) -> str:
        name = f"{wanted}_{len(self.names)}"
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    def _kind(self, dtype: str | None = None) -> int:
        if dtype == "text":
            return int(self.onnx.TensorProto.STRING)
        numpy_type = self.numpy.dtype(dtype or self.dtype)
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(numpy_type))


_VERSIONS = {"": 17, "ai.onnx.ml": 3}
"""The version of each set of operations."""


def _libraries() -> tuple[Any, Any]:
    try:
        import numpy
        import onnx
        import onnx.checker
        import onnx.shape_inference
    except ImportError:
        command = 'pip install "micrograd-plus[export]"'
        raise missing("a graph is written by", "onnx", command) from None
    return numpy, onnx
