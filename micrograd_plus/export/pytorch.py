"""Models as PyTorch's modules, and back: `to_torch` and `from_torch`.

`EQUIVALENTS` is the table of both directions. An entry says which class of PyTorch computes the
same as one of ours, and where their settings differ. Where it says nothing, the arguments of the
constructors have the same names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .. import nn
from ..support.libraries import missing
from ..support.nested import flatten
from ..support.words import in_short
from .parts import Function, in_parts

if TYPE_CHECKING:
    from torch.nn import Module as TorchModule

Reader = Callable[[Any], Any]


@dataclass(frozen=True)
class Equivalent:
    """A class of ours, and the class of PyTorch that computes the same.

    theirs: the name of their class, if it is another one.
    given: arguments that only their constructor has, with the values that ours stands for.
    only: settings that only their module has, with the values that ours stands for.
    reads: for an argument of our constructor, how to read it from their module.
    make: returns their module, given their class and config(); by default, the class is called.
    """

    ours: type[nn.Module]
    theirs: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Any] = field(default_factory=dict)
    reads: Mapping[str, Reader] = field(default_factory=dict)
    make: Callable[[Any, dict[str, Any]], Any] | None = None

    @property
    def name(self) -> str:
        """The name of their class."""
        return self.theirs or self.ours.__name__

    def kind(self) -> Any:
        """Returns their class: of torch.nn, or, where that has none, of `torch_models`."""
        import torch

        from . import torch_models

        return getattr(torch.nn, self.name, None) or getattr(torch_models, self.name)

    def there(self, module: nn.Module) -> Any:
        """Returns their module, with numbers of its own."""
        if self.make is not None:
            return self.make(self.kind(), module.config())
        return self.kind()(**module.config(), **self.given)

    def back(self, theirs: Any) -> nn.Module:
        """Returns our module, with numbers of its own; ValueError for settings that ours lacks."""
        for name, value in {**self.given, **self.only}.items():
            found = None
            with suppress(AttributeError):  # an activation that is a module has no __name__
                found = attrgetter(name)(theirs)
            if found != value:
                raise ValueError(
                    f"a {self.name} with {name}={found!r} has no equivalent in micrograd_plus.nn, "
                    f"only one with {name}={value!r}"
                )
        parameters = inspect.signature(self.ours).parameters.keys()
        settings = parameters - {"init", "generator", "options"}
        return self.ours(**{name: self._read(name, theirs) for name in settings})

    def _read(self, name: str, theirs: Any) -> Any:
        setting = self.reads.get(name, attrgetter(name))(theirs)
        # The attribute bias is the argument in some classes, and the numbers or None in others.
        return setting if name != "bias" or isinstance(setting, bool) else setting is not None


def _only_number(name: str) -> Reader:
    """Reads a setting that may be a tuple of one number."""

    def read(theirs: Any) -> Any:
        setting = getattr(theirs, name)
        return setting[0] if isinstance(setting, tuple) and len(setting) == 1 else setting

    return read


def _epsilon(theirs: Any) -> float:
    """Reads eps of a RMSNorm; None is the machine epsilon, here of float64."""
    return 2.0**-52 if theirs.eps is None else float(theirs.eps)


def _momentum(theirs: Any) -> float:
    """Reads momentum of a BatchNorm1d; None is an average over all batches, which ours lacks."""
    if theirs.momentum is None:
        raise ValueError(
            "a BatchNorm1d with momentum=None has no equivalent in micrograd_plus.nn, only one "
            "with a number"
        )
    return float(theirs.momentum)


def _block(_: Any, config: dict[str, Any]) -> Any:
    from .torch_models import transformer_block

    return transformer_block(**config)


_WIDTH = {"normalized_shape": _only_number("normalized_shape")}
_SLIDING = {"groups": 1, "padding_mode": "zeros"}
_SEQUENCES = {"batch_first": True, "dropout": 0.0, "bidirectional": False}
_LOSS = {"weight": None}

EQUIVALENTS = (
    Equivalent(nn.Linear),
    Equivalent(nn.ReLU),
    Equivalent(nn.Tanh),
    Equivalent(nn.Sigmoid),
    Equivalent(nn.SiLU),
    # Theirs is x above the threshold; above 40, log(1 + exp(x)) is x to the last bit.
    Equivalent(nn.Softplus, only={"beta": 1.0}, make=lambda kind, _: kind(threshold=40.0)),
    Equivalent(nn.LeakyReLU),
    Equivalent(nn.ELU),
    Equivalent(nn.GELU),
    Equivalent(nn.Softmax, given={"dim": -1}),
    Equivalent(nn.Dropout),
    Equivalent(nn.LayerNorm, reads=_WIDTH),
    Equivalent(nn.RMSNorm, reads={**_WIDTH, "eps": _epsilon}),
    Equivalent(
        nn.BatchNorm1d,
        given={"affine": True, "track_running_stats": True},
        reads={"momentum": _momentum},
    ),
    Equivalent(
        nn.Embedding, given={"padding_idx": None, "max_norm": None, "scale_grad_by_freq": False}
    ),
    Equivalent(nn.Conv1d, given=_SLIDING),
    Equivalent(nn.Conv2d, given=_SLIDING),
    Equivalent(nn.MaxPool2d, given={"dilation": 1, "return_indices": False, "ceil_mode": False}),
    Equivalent(
        nn.AvgPool2d,
        given={"ceil_mode": False, "count_include_pad": True, "divisor_override": None},
    ),
    Equivalent(nn.Flatten, given={"end_dim": -1}),
    Equivalent(nn.RNNCell),
    Equivalent(nn.LSTMCell),
    Equivalent(nn.GRUCell),
    Equivalent(nn.RNN, given=_SEQUENCES),
    Equivalent(nn.LSTM, given=_SEQUENCES, only={"proj_size": 0}),
    Equivalent(nn.GRU, given=_SEQUENCES),
    Equivalent(
        nn.MultiHeadAttention,
        "MultiheadAttention",
        given={"batch_first": True, "dropout": 0.0, "add_zero_attn": False},
        only={"bias_k": None, "_qkv_same_embed_dim": True},
        reads={"bias": attrgetter("in_proj_bias")},
    ),
    Equivalent(
        nn.TransformerBlock,
        "TransformerEncoderLayer",
        only={
            "norm_first": True,
            "self_attn.batch_first": True,
            "dropout.p": 0.0,
            "activation.__name__": "relu",
            "norm1.eps": 1e-5,
            "norm2.eps": 1e-5,
        },
        reads={
            "width": attrgetter("self_attn.embed_dim"),
            "heads": attrgetter("self_attn.num_heads"),
            "bias": attrgetter("self_attn.in_proj_bias"),
            "norm": lambda theirs: "rms" if type(theirs.norm1).__name__ == "RMSNorm" else "layer",
        },
        make=_block,
    ),
    Equivalent(nn.LearnedPositions),
    Equivalent(nn.SinusoidalPositions),
    Equivalent(nn.GPT),
    Equivalent(nn.CharRNN),
    Equivalent(nn.MSELoss),
    Equivalent(nn.L1Loss),
    Equivalent(nn.HuberLoss),
    Equivalent(nn.BCELoss, given=_LOSS),
    Equivalent(nn.BCEWithLogitsLoss, given={**_LOSS, "pos_weight": None}),
    Equivalent(nn.CrossEntropyLoss, given={**_LOSS, "ignore_index": -100, "label_smoothing": 0.0}),
)
"""Every module that has an equivalent; Sequential has one, too, and contains some of these."""


def to_torch(model: nn.Module) -> TorchModule:
    """Returns the same model made of torch.nn modules, with copies of the weights, in float64.

    Its state_dict() has the same names. A Neuron, a Layer and an MLP become a Sequential of Linear
    and activations, whose output has a dimension of 1 where ours is a single Value. Modules are in
    the same mode, training or evaluation.

    A MultiheadAttention of PyTorch is called with three inputs, and returns its weights, too:
    module(x, x, x)[0] is the output of ours.

    TypeError for a module that has no equivalent in torch.nn. ImportError without PyTorch.

    >>> import micrograd_plus as mp  # doctest: +SKIP
    >>> mp.to_torch(mp.nn.MLP(2, [3, 1], activation="tanh"))  # doctest: +SKIP
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Tanh()
      (2): Linear(in_features=3, out_features=1, bias=True)
    )
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"to_torch takes a model, a Module of micrograd_plus, not {in_short(model)}"
        )
    torch = _torch()
    model = in_parts(model)
    with torch.random.fork_rng(devices=[]):  # building draws numbers, which are replaced below
        theirs: TorchModule = _there(model, {}).double()
    _tie_there(theirs, model)
    theirs.load_state_dict(
        {name: torch.tensor(x, dtype=torch.float64) for name, x in model.state_dict().items()}
    )
    return theirs


def from_torch(module: TorchModule) -> nn.Module:
    """Returns the same model made of modules of micrograd_plus, with copies of the weights.

    Weights of any type and on any device become floats, so the outputs are those of
    module.double(). The state_dict() has the same names. The modules are in the same mode, training
    or evaluation.

    TypeError for a module that has no equivalent here, and ValueError for a setting that ours
    lacks, as batch_first=False of a torch.nn.LSTM. ImportError without PyTorch.

    >>> import torch, micrograd_plus as mp  # doctest: +SKIP
    >>> mp.from_torch(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Tanh()))  # doctest: +SKIP
    Sequential()                                3 parameters
      0: Linear(in_features=2, out_features=1)  3
      1: Tanh()
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch takes a torch.nn.Module, not {in_short(module)}")
    ours = _back(module, {})
    ours.load_state_dict(module.state_dict())
    _tie_back(ours, module)
    return ours


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise missing("this needs", "PyTorch", "pip install torch") from None
    return torch


# ---- building


def _there(ours: nn.Module, done: dict[nn.Module, Any]) -> Any:
    """Returns their module; `done` has those that are built, as a module may have two places."""
    if ours not in done:
        if isinstance(ours, nn.Sequential):
            import torch

            if any(isinstance(module, nn.MultiHeadAttention) for module in ours):
                raise TypeError(
                    "a MultiHeadAttention in a Sequential has no equivalent in torch.nn, whose "
                    "class takes three inputs: use a TransformerBlock"
                )
            theirs = torch.nn.Sequential(*[_there(module, done) for module in ours])
            theirs.training = ours.training
        else:
            known = next((each for each in EQUIVALENTS if each.ours is type(ours)), None)
            if known is None:
                allowed = ["Sequential", "MLP", "Layer", "Neuron"]
                allowed += [each.ours.__name__ for each in EQUIVALENTS]
                name = type(ours).__name__
                if isinstance(ours, Function):
                    name = f"the activation {ours.op!r}"
                raise TypeError(_no_equivalent(name, "torch.nn", allowed))
            theirs = known.there(ours).train(ours.training)
        done[ours] = theirs
    return done[ours]


def _back(theirs: Any, done: dict[Any, nn.Module]) -> nn.Module:
    """Returns our module; `done` has those that are built, as a module may have two places."""
    import torch

    if theirs not in done:
        if type(theirs) is torch.nn.Sequential:
            ours: nn.Module = nn.Sequential(*[_back(module, done) for module in theirs])
            ours.training = theirs.training
        else:
            known = next((each for each in EQUIVALENTS if each.kind() is type(theirs)), None)
            if known is None:
                allowed = ["Sequential", *[each.name for each in EQUIVALENTS]]
                raise TypeError(_no_equivalent(type(theirs).__name__, "micrograd_plus.nn", allowed))
            ours = known.back(theirs).train(theirs.training)
        done[theirs] = ours
    return done[theirs]


def _no_equivalent(name: str, where: str, allowed: list[str]) -> str:
    return (
        f"{name} has no equivalent in {where}: build the model from those that have one, which "
        f"are {', '.join(allowed)}; or build it there, and copy the weights by load_state_dict"
    )


# ---- parameters that two modules share


def _members(ours: nn.Module, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every name in the state, and its nested list of Values."""
    for name, member in ours.named_members():
        if isinstance(member, nn.Module):
            yield from _members(member, f"{prefix}{name}.")
        else:
            yield prefix + name, member


def _tie_there(theirs: Any, ours: nn.Module) -> None:
    """Gives their modules one parameter where ours have the same Values."""
    seen: dict[tuple[int, ...], Any] = {}
    parameters = dict(theirs.named_parameters(remove_duplicate=False))
    for name, member in _members(ours):
        if name in parameters:
            owner, _, last = name.rpartition(".")
            same = seen.setdefault(tuple(map(id, flatten(member))), parameters[name])
            setattr(theirs.get_submodule(owner), last, same)


def _tie_back(ours: nn.Module, theirs: Any) -> None:
    """Gives our modules the same Values where theirs have one parameter."""
    seen: dict[Any, Any] = {}
    parameters = dict(theirs.named_parameters(remove_duplicate=False))
    for name, member in _members(ours):
        if name in parameters:
            member[:] = seen.setdefault(parameters[name], member)
