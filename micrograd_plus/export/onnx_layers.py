"""The nodes of layers over rows, channels and images: weighted sums, norms, convolutions, pooling.

Each function adds the nodes of a module that is applied to the array x, and returns the result.
onnxruntime has Conv and AveragePool in float32 only; here they are slices and a product of
matrices, which are the same numbers in float64.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..ops import TABLE
from .onnx_formulas import apply
from .onnx_graph import Graph

_END = 2**63 - 1  # of a slice that goes to the end of an axis
_FIRST = 2  # of the axes along which a kernel moves, after the batch and the channels


def linear(graph: Graph, module: Any, x: str) -> str:
    """x · weightᵀ + bias."""
    return graph.linear(x, **module.state_dict())


def activation(graph: Graph, module: Any, x: str) -> str:
    """The op of an activation, by its formula."""
    return apply(graph, TABLE[module.op], x, [*module.config().values()])


def gelu(graph: Graph, module: Any, x: str) -> str:
    """GELU, exact or by tanh."""
    return apply(graph, TABLE["gelu_tanh" if module.approximate == "tanh" else "gelu"], x)


def softmax(graph: Graph, module: Any, x: str) -> str:
    """Over the last axis."""
    return graph.add("Softmax", x, axis=-1)


def same(graph: Graph, module: Any, x: str) -> str:
    """Dropout in evaluation."""
    return x


# ---- norms


def rms_norm(graph: Graph, module: Any, x: str) -> str:
    """Divides a row by the root of its mean square; then weight and bias."""
    mean = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[-1])
    size = graph.add("Sqrt", graph.add("Add", mean, graph.constant(module.eps)))
    x = graph.add("Div", x, size)
    for name, op in (("weight", "Mul"), ("bias", "Add")):
        if name in (state := module.state_dict()):
            x = graph.add(op, x, graph.constant(state[name]))
    return x


def layer_norm(graph: Graph, module: Any, x: str) -> str:
    """As RMSNorm, of the distances from the mean."""
    return rms_norm(graph, module, graph.add("Sub", x, graph.add("ReduceMean", x, axes=[-1])))


def batch_norm(graph: Graph, module: Any, x: str) -> str:
    """In evaluation: a scale and a shift of each feature, or channel."""
    state = module.state_dict()

    def each(numbers: Any) -> str:  # along the second axis
        return graph.constant(graph.numpy.reshape(numbers, (-1, *[1] * (graph.axes - 2))))

    spread = [(variance + module.eps) ** -0.5 for variance in state["running_var"]]
    x = graph.add("Sub", x, each(state["running_mean"]))
    x = graph.add("Mul", x, each([w * s for w, s in zip(state["weight"], spread)]))
    return graph.add("Add", x, each(state["bias"]))


# ---- windows


def conv(graph: Graph, module: Any, x: str) -> str:
    """The channels of all places of the kernel side by side, then a weighted sum of them."""
    x = _padded(graph, module, x)
    weight = graph.numpy.array(module.state_dict()["weight"])
    spatial = range(_FIRST, weight.ndim)
    for axis in spatial:
        x = graph.add("Concat", *_windows(graph, module, x, axis), axis=1)
    rows = weight.transpose(0, *reversed(spatial), 1).reshape(len(weight), -1)
    x = graph.add("Transpose", x, perm=[0, *spatial, 1])
    x = graph.linear(x, rows, module.state_dict().get("bias"))
    return graph.add("Transpose", x, perm=[0, weight.ndim - 1, *range(1, weight.ndim - 1)])


def max_pool(graph: Graph, module: Any, x: str) -> str:
    """The largest number of each window."""
    return graph.add(
        "MaxPool",
        x,
        kernel_shape=module.kernel_size,
        strides=module.stride,
        pads=[*module.padding, *module.padding],
    )


def average_pool(graph: Graph, module: Any, x: str) -> str:
    """The mean of each window, with the zeros of the padding."""
    x = _padded(graph, module, x)
    for axis in range(_FIRST, _FIRST + len(module.kernel_size)):
        x = graph.add("Sum", *_windows(graph, module, x, axis))
    return graph.add("Div", x, graph.constant(prod(module.kernel_size)))


def flatten(graph: Graph, module: Any, x: str) -> str:
    """All axes from one on as one axis."""
    start = module.start_dim % graph.axes
    graph.axes = start + 1
    return graph.add("Reshape", x, graph.whole(*[0] * start, -1))


def _padded(graph: Graph, module: Any, x: str) -> str:
    """With zeros on each side."""
    if not any(module.padding):
        return x
    sides = [0, 0, *module.padding]
    return graph.add("Pad", x, graph.whole(*sides, *sides))


def _windows(graph: Graph, module: Any, x: str, axis: int) -> list[str]:
    """For each place of the kernel along an axis, what is below it as the kernel moves: slices."""
    settings = module.kernel_size, module.stride, module.dilation
    kernel, stride, dilation = (setting[axis - _FIRST] for setting in settings)
    reach = dilation * (kernel - 1)
    return [
        graph.add(
            "Slice",
            x,
            graph.whole(start),
            graph.whole(start - reach or _END),
            graph.whole(axis),
            graph.whole(stride),
        )
        for start in range(0, reach + 1, dilation)
    ]
