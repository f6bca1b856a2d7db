"""The public names, each on one page of the reference."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Any, NamedTuple

import micrograd_plus

from ..classroom.faults import Fault

PACKAGE = "micrograd_plus"


class Page(NamedTuple):
    """A page of the reference.

    name: of its file. title: its heading. text: what the names on it are for. rooms: the modules
        whose public names are on it.
    """

    name: str
    title: str
    text: str
    rooms: tuple[str, ...]


PAGES = (
    Page(
        "values",
        "Values and gradients",
        "A `Value` is a number that knows how it was computed; `backward()` computes the gradient "
        "of every number that it was computed from.",
        ("engine", "context", "gradcheck", "formulas"),
    ),
    Page(
        "operations",
        "Operations",
        "Functions of Values. Those of one number are methods too: `mp.tanh(v)` is `v.tanh()`.",
        ("functional", "ops", "recordable"),
    ),
    Page(
        "networks",
        "Networks",
        "Neurons, layers and networks. Most have the names and the arguments of `torch.nn`. Each "
        "takes one example, which is a list of numbers or Values, or a batch of them.",
        ("nn",),
    ),
    Page(
        "losses",
        "Losses",
        "Numbers that measure the error of a prediction, of one example or a batch, by PyTorch's "
        'formulas. `reduction` is "mean", "sum", or "none" for a list of the single losses.',
        ("losses",),
    ),
    Page(
        "optimizers",
        "Optimizers",
        "Optimizers, schedules of the learning rate, and clipping, with PyTorch's names, defaults "
        "and formulas.",
        ("optim",),
    ),
    Page(
        "datasets",
        "Data and text",
        "Small data sets as plain lists, batches of them, and text as tokens.",
        ("data", "text"),
    ),
    Page(
        "train",
        "Training",
        "The training loop as one call, loggers for it, and the same training with many settings "
        "and seeds.",
        ("train", "training", "loggers", "sweeps"),
    ),
    Page(
        "compile",
        "Compiling",
        "A function of one example becomes a program for batches, which runs at native speed.",
        ("compiler",),
    ),
    Page(
        "pictures",
        "Pictures",
        'Each returns a picture, which notebooks show and `.save("x.svg")` writes to a file. The '
        "gallery shows all of them.",
        ("show",),
    ),
    Page(
        "pages",
        "Pages and sliders",
        "A graph as a page that steps through both passes, or with sliders in a notebook.",
        ("explorer", "notebook"),
    ),
    Page(
        "teaching",
        "Teaching",
        "Exercises that check themselves, questions about a graph, deliberate bugs, and a check of "
        "training code.",
        ("classroom",),
    ),
    Page(
        "export",
        "To other libraries",
        "A model or a program for PyTorch, NumPy, JAX and ONNX.",
        ("export",),
    ),
)


MODULES = (
    *("nn", "nn.init", "losses", "optim", "data", "text"),
    *("train", "loggers", "compiler", "classroom", "faults"),
)
"""The modules from which a program takes further names, as `mp.nn.Linear`."""


class Name(NamedTuple):
    """A public name: how a program writes it after `mp.`, what it is, and its page."""

    written: str
    thing: Any
    page: Page

    @property
    def short(self) -> str:
        """The last part of the name."""
        return self.written.rpartition(".")[2]

    @property
    def summary(self) -> str:
        """What it is, in one sentence."""
        fault = isinstance(self.thing, Fault)  # an object, which has no docstring of its own
        return self.thing.title if fault else (inspect.getdoc(self.thing) or "").split("\n")[0]

    @property
    def url(self) -> str:
        """The place in the reference."""
        return f"{self.page.name}.html#{self.short}"


def names() -> list[Name]:
    """Every public name, once; ValueError if there is no page for one."""
    top = _names_of(micrograd_plus, dir(micrograd_plus))
    found = {id(thing): (short, thing) for short, thing in top}
    for written in MODULES:
        module = reduce(getattr, written.split("."), micrograd_plus)
        own = [short for short, thing in vars(module).items() if _home(thing) == module.__name__]
        for short, thing in _names_of(module, getattr(module, "__all__", own)):
            found.setdefault(id(thing), (f"{written}.{short}", thing))
    listed = sorted(found.values(), key=lambda pair: pair[0].casefold())
    return [Name(written, thing, _page_of(thing)) for written, thing in listed]


def _names_of(module: Any, listed: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """What a module gives its users: classes, functions, and what can be called like them."""
    for short in listed:
        thing = getattr(module, short)
        if callable(thing) and _home(thing).startswith(PACKAGE) and not short.startswith("_"):
            yield short, thing


def _home(thing: Any) -> str:
    """The module in which something is defined; for an object, its class."""
    return getattr(thing, "__module__", "")


def _page_of(thing: Any) -> Page:
    room = _home(thing).removeprefix(f"{PACKAGE}.")
    for page in PAGES:
        if any(room == own or room.startswith(f"{own}.") for own in page.rooms):
            return page
    raise ValueError(f"micrograd_plus.{room} is on no page of the reference: add it to PAGES")
