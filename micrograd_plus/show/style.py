"""What all plots share: the colours, the style, and an empty figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support.libraries import missing

if TYPE_CHECKING:
    from .figure import Plot

# The palette of Okabe and Ito (2008), whose colours can be distinguished by the colour-blind.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "os^Dv*PX"
TICK_SIZE, TICK_PAD = 12, 3.5  # of the labels of ticks, and from these to the axes, in points
_STYLE: Any = {
    "figure.dpi": 150,  # enough for a projector
    "font.size": 14,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "xtick.labelsize": TICK_SIZE,
    "ytick.labelsize": TICK_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titley": 1.0,  # where it is anyway: matplotlib would measure all labels to find that out
    "grid.color": "#e0e0e0",
    "lines.linewidth": 2.0,
}


def _require_matplotlib() -> None:
    """ImportError, with the command that installs it, if matplotlib is not there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        command = 'pip install "micrograd-plus[plot]"'
        raise missing("plots are made with", "matplotlib", command) from error


def import_matplotlib() -> None:
    """Imports matplotlib, if it is installed, in half the time: for a command.

    The rest of the time matplotlib looks for the properties of each class, for its docstrings and
    for the signature of `set`. They are left out, so this is not for a notebook.
    """
    try:
        from matplotlib import artist as artists
    except ImportError:  # a plot will say what to install
        return
    left_out: list[tuple[Any, str, Any]] = [
        (artists, "kwdoc", lambda artist: ""),
        (artists.Artist, "_update_set_signature_and_docstring", classmethod(lambda cls: None)),
    ]
    with ExitStack() as afterwards:
        for owner, name, nothing in left_out:
            if name in vars(owner):  # one of them is not public: a later version may lack it
                afterwards.callback(setattr, owner, name, vars(owner)[name])
                setattr(owner, name, nothing)
        import matplotlib.figure  # noqa: F401


@contextmanager
def new_figure(
    width: float,
    height: float,
    rows: int,
    columns: int,
    path: str | Path | None,
    places: dict[str, Any] | None = None,
) -> Iterator[tuple[Plot, list[Any]]]:
    """Yields a new figure and its axes; saves the figure to `path` at the end of the `with`.

    places: where the axes are, as `GridSpec` takes it; by default matplotlib finds room for them.
    """
    _require_matplotlib()
    import matplotlib

    from .figure import Plot

    with matplotlib.rc_context(_STYLE):
        figure = Plot(figsize=(width, height), layout=None if places else "constrained")
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=places)
        yield figure, list(axes.flat)
    if path is not None:
        figure.save(path)


def width_of_ticks(texts: Sequence[str]) -> float:
    """How many inches the widest of these labels of ticks takes."""
    _require_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=TICK_SIZE)
    return max(text_to_path.get_text_width_height_descent(t, font, False)[0] for t in texts) / 72
