"""What commands say and write: what became of a training, pictures, a line for each file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..train import History


def require_an_epoch(history: History) -> None:
    """ValueError if a training ended before there was anything to measure."""
    if not history.loss:
        raise ValueError(f"no epoch was completed, and nothing is written: {history.stopped}")


def write_pictures(
    pictures: Mapping[str, Any], out: Path, formats: Iterable[str] = ("png",)
) -> None:
    """Saves each picture under its name, and says so."""
    for name, picture in pictures.items():
        for ending in formats:
            print(f"wrote {picture.save(out / f'{name}.{ending}')}")
