"""Exports models: to PyTorch's modules and back, and to files that other libraries read.

>>> import tempfile
>>> from pathlib import Path
>>> from micrograd_plus.nn import Linear
>>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
>>> model, other = Linear(2, 1), Linear(2, 1)
>>> export(model, path)
>>> load_weights(other, path)
>>> other.state_dict() == model.state_dict()
True

`pytorch` has the table of classes that compute the same in PyTorch, `weights` the file of weights,
`onnx_file` the file of a graph, and `torch_program` that of a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..support.words import in_short

if TYPE_CHECKING:
    from pathlib import Path

    from ..nn import Module


def export(model: Module, path: str | Path, *, dtype: str = "float64", **about: Any) -> None:
    """Writes `model` to a file of the kind that the ending of `path` says.

    .safetensors: the weights as arrays, which PyTorch, JAX and others read. Names and shapes are
        those of `to_torch(model).state_dict()`: those of `model.state_dict()`, except
        that a Neuron, a Layer or an MLP is a Sequential of Linear and activations.
    .onnx: the model in evaluation, as a graph that onnxruntime and others run, from a batch `x` to
        `y`. Batches, images and sequences may have any size that the model takes; all sequences of
        a batch have one length. An RNN, LSTM or GRU starts with a state of zeros and has the
        outputs `h_n` and `c_n`, too; a cell takes `x`, `h_0` and `c_0`, and gives `h_1` and `c_1`.
    .pt2: the model in evaluation, as a program that `torch.export.load` reads, for batches of any
        size. It needs PyTorch. Recurrent networks have no such file, only their cells.
    dtype: "float64" or "float32", the type of the numbers in the file.
    about: more data for the file, of types that JSON supports: metadata, by name, or in a .pt2
        file extra files such as "classes.json".

    A crash while writing leaves the old file as it was. TypeError for a module that a file cannot
    contain, such as one of your own. ValueError for another ending or type.
    ImportError without the library: pip install "micrograd-plus[export]".

    >>> import micrograd_plus as mp, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> mp.export(mp.nn.MLP(2, [3, 1]), path)
    >>> from safetensors.numpy import load_file
    >>> {name: array.shape for name, array in sorted(load_file(path).items())}
    {'0.bias': (3,), '0.weight': (3, 2), '2.bias': (1,), '2.weight': (1, 3)}
    """
    from pathlib import Path

    from ..nn import Module
    from . import onnx_file, torch_program, weights

    if not isinstance(model, Module):
        raise TypeError(f"export takes a model, a Module, not {in_short(model)}")
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype must be 'float64' or 'float32', not {dtype!r}")
    writers = {
        ".safetensors": weights.write,
        ".onnx": onnx_file.write,
        ".pt2": torch_program.write,
    }
    ending = Path(path).suffix
    if ending not in writers:
        raise ValueError(
            f"export writes files that end in {' or '.join(writers)}, not {Path(path).name!r}"
        )
    writers[ending](model, Path(path), dtype, about)


def load_weights(model: Module, path: str | Path) -> None:
    """Copies the weights in a .safetensors file to `model`.

    The file must have the names and shapes that `export` writes for this model. Arrays of any
    type become floats. ValueError if they differ, or if the file is of another kind; then the
    model does not change. ImportError without the library: pip install "micrograd-plus[export]".

    >>> import micrograd_plus as mp, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> model, other = mp.nn.MLP(2, [3, 1]), mp.nn.MLP(2, [3, 1])
    >>> mp.export(model, path)
    >>> mp.load_weights(other, path)
    >>> other([1.0, 2.0]).data == model([1.0, 2.0]).data
    True
    """
    from pathlib import Path

    from ..nn import Module
    from . import weights

    if not isinstance(model, Module):
        raise TypeError(f"load_weights takes a model, a Module, not {in_short(model)}")
    weights.read(model, Path(path))
