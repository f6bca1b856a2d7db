"""A network that was trained on a table as an ONNX file that takes the columns as they are.

The file has an input for each column, a row of numbers or of texts, and prepares them as in the
training. Its first output has the name of the target: the class, or the number in its unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from ..export.onnx_file import written
from ..export.onnx_graph import Graph
from ..export.parts import in_parts
from ..nn import Module
from ..support.files import write_atomically
from .tables import Column, Encoder


def write(
    model: Module, encoder: Encoder, path: Path, dtype: str, about: Mapping[str, Any]
) -> None:
    """Writes the file.

    A text that is not in the table's column is an error of onnxruntime. For classes there is a
    second output, "probabilities", in the order of the metadata.
    """
    graph, target = Graph(dtype), encoder.target
    names = [column.name for column in encoder.columns]
    probabilities = "probabilities" + "_" * ("probabilities" in (*names, target.name))
    graph.reserve(*names, target.name, probabilities)
    parts = []
    for are_texts, columns in groupby(encoder.columns, key=lambda column: bool(column.texts)):
        if are_texts:
            parts += [_choices(graph, column) for column in columns]
        else:
            parts.append(_standardised(graph, list(columns)))
    graph.axes = 2
    y = written(graph, in_parts(model), graph.add("Concat", *parts, axis=1))
    if target.texts:
        best = graph.add("ArgMax", y, axis=-1, keepdims=0)
        chosen = graph.add("Gather", graph.constant(target.texts, "object"), best)
        graph.add_output(target.name, chosen, "text")
        graph.add_output(probabilities, graph.add("Softmax", y, axis=-1))
    else:
        y = graph.add("Mul", graph.add("Squeeze", y, graph.whole(-1)), graph.constant(target.std))
        graph.add_output(target.name, graph.add("Add", y, graph.constant(target.mean)))
    write_atomically(path, graph.model(about).SerializeToString())


def _standardised(graph: Graph, columns: list[Column]) -> str:
    """Columns of numbers, with a mean of 0 and a deviation of 1."""
    cells = [graph.add_input(column.name, ["batch"]) for column in columns]
    side_by_side = [graph.add("Unsqueeze", cell, graph.whole(1)) for cell in cells]
    x = graph.add("Concat", *side_by_side, axis=1)
    x = graph.add("Sub", x, graph.constant([column.mean for column in columns]))
    return graph.add("Div", x, graph.constant([column.std for column in columns]))


def _choices(graph: Graph, column: Column) -> str:
    """A column of texts: for each of them a 1 where it is the cell, else a 0."""
    cells = graph.add_input(column.name, ["batch"], "text")
    ones = graph.add(
        "OneHotEncoder", cells, domain="ai.onnx.ml", cats_strings=column.texts, zeros=0
    )
    return graph.cast(ones)
