"""Writes the model and the pictures of a command, and prints a line for each file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..nn import Module, save
from ..show.render import RenderError
from ..show.style import import_matplotlib
from ..train import History


def require_an_epoch(history: History) -> None:
    """ValueError if a training ended before its first epoch was complete."""
    if not history.loss:
        raise ValueError(f"no epoch was completed, so nothing is written: {history.stopped}")


def write_model(model: Module, out: Path, **about: Any) -> None:
    """Saves the model together with `about`, as `nn.save` does, and prints the path."""
    path = out / "model.json"
    save(model, path, **about)
    print(f"wrote {path}")


def write_pictures(
    pictures: Mapping[str, Callable[[], Any]], out: Path, formats: Sequence[str] = ("png",)
) -> None:
    """Draws each picture, saves it under its name in each format, and prints the paths.

    pictures: for each name a function that draws. A picture whose library is not installed does
    not stop the others: its files are listed on stderr, with the command that installs the library.
    """
    import_matplotlib()
    missing: dict[str, list[str]] = {}  # reason → files
    for name, draw in pictures.items():
        files = [f"{name}.{ending}" for ending in formats]
        try:
            picture = draw()
            while files:
                print(f"wrote {picture.save(out / files[0])}")
                del files[0]
        except (ImportError, RenderError) as error:  # matplotlib, or Graphviz
            missing.setdefault(str(error), []).extend(files)
    for reason, files in missing.items():
        print(f"micrograd-plus: {', '.join(files)} not written: {reason}", file=sys.stderr)
