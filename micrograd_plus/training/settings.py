"""The settings of a training: what loggers note, and what must be the same to continue it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

from ..nn import Module
from ..optim import Schedule
from ..support.nested import plain
from .runs import Run


def settings_of(
    run: Run, schedule: Schedule | None, validation: Any, **arguments: Any
) -> dict[str, Any]:
    """The settings by their names, in types that JSON has.

    arguments: those of `fit` that are numbers.

    Of the examples, and of the places in the model of the parameters that the optimizer moves,
    there is a digest. A function counts by its name alone.
    """
    optimizer = run.optimizer
    places = {parameter: place for place, parameter in enumerate(run.model.parameters())}
    settings = {
        **optimizer.settings,
        "model": repr(run.model),
        "loss": run.loss,
        "optimizer": type(optimizer).__name__,
        "parameters": _digest([places.get(parameter) for parameter in optimizer.parameters]),
        "lr": schedule.base_lr if schedule else optimizer.lr,  # a schedule changes the other one
        "schedule": schedule,
        "clip_grad_norm": run.clip,
        **arguments,
        "engine": run.engine,
        "examples": _digest(zip(run.X, run.y)),
        "validation": validation and _digest(zip(*validation)),
    }
    return json.loads(json.dumps(settings, default=_described))  # type: ignore[no-any-return]


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A phrase for each setting that is another one in a checkpoint, there, than here."""
    found = []
    for name in dict.fromkeys([*here, *there]):
        texts = [str(settings.get(name)) for settings in (there, here)]
        for one, other in zip_longest(*[text.splitlines() for text in texts], fillvalue="nothing"):
            if one != other:
                found.append(f"{name} is {one.strip()} there and {other.strip()} here")
                break
    return found


def _described(thing: Any) -> Any:
    """What JSON does not have: a schedule by its settings, a function by its name."""
    if isinstance(thing, Schedule):
        own = {k: v for k, v in vars(thing).items() if k not in ("optimizer", "last_epoch")}
        return {"class": type(thing).__name__, **own}
    if isinstance(thing, Module):
        return repr(thing)
    named = getattr(thing, "__qualname__", type(thing).__name__)
    return plain(thing) if hasattr(thing, "tolist") else named


def _digest(things: Iterable[Any]) -> str:
    """How many they are, and a text that changes with any of their numbers."""
    digest, count = hashlib.sha256(), 0
    for thing in things:
        digest.update(json.dumps(thing, default=_described).encode())
        count += 1
    return f"{count}, sha256 {digest.hexdigest()[:12]}"
