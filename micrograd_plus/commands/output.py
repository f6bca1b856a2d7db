"""What commands write: pictures, and a line for each file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_pictures(
    pictures: Mapping[str, Any], out: Path, formats: Iterable[str] = ("png",)
) -> None:
    """Saves each picture under its name, and says so."""
    for name, picture in pictures.items():
        for ending in formats:
            print(f"wrote {picture.save(out / f'{name}.{ending}')}")
