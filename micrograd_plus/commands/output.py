"""What commands say and write: what became of a training, pictures, a line for each file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..nn import Module, save
from ..train import History


def require_an_epoch(history: History) -> None:
    """ValueError if a training ended before there was anything to measure."""
    if not history.loss:
        raise ValueError(f"no epoch was completed, and nothing is written: {history.stopped}")


def write_model(model: Module, out: Path, **about: Any) -> None:
    """Saves the model, with what `nn.save` is to keep beside it, and says so."""
    path = out / "model.json"
    save(model, path, **about)
    print(f"wrote {path}")


def write_pictures(
    pictures: Mapping[str, Any], out: Path, formats: Iterable[str] = ("png",)
) -> None:
    """Saves each picture under its name, and says so."""
    for name, picture in pictures.items():
        for ending in formats:
            print(f"wrote {picture.save(out / f'{name}.{ending}')}")
