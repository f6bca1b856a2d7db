"""The picture of a sweep: what the settings do, and how much the seeds differ.

>>> from micrograd_plus.sweeps import sweep
>>> def train(lr, seed):
...     return [(1 + seed) * (1 - lr) ** step for step in range(4)]
>>> figure = plot_sweep(sweep(train, {"lr": [0.1, 0.5]}, seeds=3, jobs=1, progress=False))
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from math import ceil, inf, isfinite, log10, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support import words
from ..support.words import in_short
from .style import MARKERS, PALETTE, new_figure

if TYPE_CHECKING:
    from .figure import Plot

_DASHES = ("-", "--", "-.", ":") * 2
_MOST_PANELS = 9
_MOST_TICKS = 10
_GROWTH = 3  # a curve that is this many times the largest start has left the picture
_SPAN = 1e8  # as has a number that is this many times the smallest
_LEFT = "runs that failed, are\nnot finite, or too large"
_CROSS: Any = {"marker": "X", "markersize": 11, "markeredgecolor": "white", "linestyle": ""}


def plot_sweep(
    sweep: Any, *, name: str = "result", unit: str = "epoch", path: str | Path | None = None
) -> Plot:
    """Plots the result of `sweep`: the median over the seeds, and the range from lowest to highest.

    If `train` returned curves, each setting of the first name in the grid is a line with a band,
    and each combination of the other names a panel. If it returned single numbers, the first name
    is the x axis, each setting of the second name is a line with a dot for each run, and each
    combination of the others a panel. Names with a single setting do not count. An x axis is
    logarithmic if its numbers span a factor of 10 or more. A cross is where runs failed, became
    inf or nan, or are too large for the picture.

    name: what the numbers are, such as "loss". unit: what a curve has one number for.

    ValueError for more than 8 lines or more than 9 panels.

    >>> from micrograd_plus.sweeps import sweep
    >>> def train(lr, width, seed):
    ...     return lr / width + 0.1 * seed
    >>> grid = {"lr": [0.01, 0.1, 1.0], "width": [4, 8]}
    >>> figure = plot_sweep(sweep(train, grid, seeds=3, jobs=1, progress=False), name="loss")
    """
    rows = list(getattr(sweep, "rows", ()))
    if not rows:
        raise ValueError(
            f"plot_sweep takes the result of sweep, with a finished run, not {in_short(sweep)}"
        )
    varied = _varied(rows)
    curves = any(len(row.spreads) > 1 for row in rows)
    keys = list(varied)
    x_key = "" if curves else keys.pop(0) if keys else next(iter(rows[0].settings))
    choices = varied.get(x_key, [rows[0].settings.get(x_key)])
    line_key = keys.pop(0) if keys else ""
    lines = varied[line_key] if line_key else [None]
    panels = [dict(zip(keys, chosen)) for chosen in product(*[varied[key] for key in keys])]
    if len(lines) > len(PALETTE) or len(panels) > _MOST_PANELS:
        raise ValueError(
            f"plot_sweep draws at most {len(PALETTE)} lines in at most {_MOST_PANELS} panels, not "
            f"{len(lines)} in {len(panels)}. Sweep fewer settings, or put the name with the most "
            "settings first and let train return the last number instead of a curve"
        )
    top = _top(rows, curves) if sweep.mode == "min" else inf
    across = min(len(panels), 3)
    down = ceil(len(panels) / across)
    with new_figure(3.2 + 4.8 * across, 1 + 3.8 * down, down, across, path) as (figure, axes):
        for ax, panel in zip(axes, panels):
            if curves:
                ax.set_xlabel(unit)
            else:
                _x_axis(ax, x_key, choices)
            for i, line in enumerate(lines):
                wanted = panel | ({line_key: line} if line_key else {})
                chosen = [row for row in rows if wanted.items() <= row.settings.items()]
                style: Any = {"color": PALETTE[i], "marker": MARKERS[i], "linestyle": _DASHES[i]}
                style["label"] = words.setting(line)
                if curves:
                    for row in chosen:
                        _draw_curve(ax, row, style, top)
                else:
                    if not _are_numbers(choices):  # there is nothing between them
                        style["linestyle"] = ""
                    aside = 0.4 * ((i + 0.5) / len(lines) - 0.5)
                    _draw_points(ax, chosen, _xs(chosen, x_key, choices, aside), style, top)
            ax.sharey(axes[0])
            ax.set_title(words.settings(panel))
            ax.grid(visible=True)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        seeds = max(len(row.outcomes) for row in rows)
        for ax in axes[: len(panels) : across]:
            ax.set_ylabel(name + f"\nmedian and range of {seeds} seeds" * (seeds > 1))
        _y_axis(axes[0], rows, top)
        _legend(figure, axes, line_key)
    return figure


def _varied(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """The settings of each name that has several, in the order of the rows."""
    varied = {}
    for name in rows[0].settings:
        distinct = {repr(row.settings[name]): row.settings[name] for row in rows}
        if len(distinct) > 1:
            varied[name] = list(distinct.values())
    return varied


def _top(rows: Sequence[Any], curves: bool) -> float:
    """The largest number in the picture: the runs that diverge must not flatten the others."""
    if curves:
        starts = [row.spreads[0].highest for row in rows]
        return _GROWTH * max((abs(start) for start in starts if isfinite(start)), default=inf)
    lowest = [abs(row.spread.lowest) for row in rows]
    return _SPAN * min((number for number in lowest if number > 0), default=inf)


def _are_numbers(choices: list[Any]) -> bool:
    return all(isinstance(c, (int, float)) and not isinstance(c, bool) for c in choices)


def _places(choices: list[Any]) -> list[float]:
    """Settings as places on an axis: numbers as they are, anything else by its turn."""
    return [float(x) for x in (choices if _are_numbers(choices) else range(len(choices)))]


def _is_logarithmic(places: list[float]) -> bool:
    return 0 < 10 * min(places) <= max(places)


def _x_axis(ax: Any, key: str, choices: list[Any]) -> None:
    """Sets the scale, and ticks at the settings."""
    places = _places(choices)
    if _is_logarithmic(places):
        ax.set_xscale("log")
    if len(places) <= _MOST_TICKS:
        ax.set_xticks(places, map(words.setting, choices))
        ax.minorticks_off()
    ax.set_xlabel(key)


def _xs(rows: Sequence[Any], key: str, choices: list[Any], aside: float) -> list[float]:
    """The places of rows on the x axis, moved aside by a share of the distance of neighbours."""
    places = _places(choices)
    logarithmic = _is_logarithmic(places)
    scaled = [log10(place) for place in places] if logarithmic else places
    gap = min((b - a for a, b in pairwise(sorted(scaled))), default=0.0)
    turns = {repr(choice): i for i, choice in enumerate(choices)}
    moved = [scaled[turns[repr(row.settings[key])]] + aside * gap for row in rows]
    return [10**x for x in moved] if logarithmic else moved


def _draw_curve(ax: Any, row: Any, style: dict[str, Any], top: float) -> None:
    """A line for the median, and a band for the range."""
    color = style["color"]
    low, high = ([min(spread[i], 2 * top) for spread in row.spreads] for i in (1, 2))
    middle = [min(spread.median, 2 * top) for spread in row.spreads]
    places = range(1, len(middle) + 1)
    ax.plot(places, middle, markevery=max(1, len(middle) // 8), markersize=7, **style)
    ax.fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)
    inside = [i for i, number in enumerate(middle) if number <= top]
    if inside and (row.remarks or inside[-1] < len(middle) - 1):
        ax.plot(places[inside[-1]], middle[inside[-1]], color=color, **_CROSS)


def _draw_points(
    ax: Any, rows: Sequence[Any], xs: list[float], style: dict[str, Any], top: float
) -> None:
    """A line through the medians, a bar for each range, and a dot for each run."""
    color = style["color"]
    middle = [row.spread.median if row.spread.median <= top else nan for row in rows]
    ax.plot(xs, middle, markersize=8, **style)
    for x, row in zip(xs, rows):
        numbers = [outcome.number for outcome in row.outcomes.values()]
        shown = [number for number in numbers if isfinite(number) and number <= top]
        if len(shown) > 1:
            ax.plot([x, x], [min(shown), max(shown)], color=color, linewidth=4, alpha=0.35)
            ax.plot([x] * len(shown), shown, "o", color=color, markersize=4, alpha=0.6)
        if len(shown) < len(numbers):
            at_the_top = {"transform": ax.get_xaxis_transform(), "clip_on": False}
            ax.plot(x, 1.0, color=color, **at_the_top, **_CROSS)


def _y_axis(ax: Any, rows: Sequence[Any], top: float) -> None:
    """Logarithmic if the numbers span a factor of 100; from 0 if that costs little room."""
    numbers = [number for row in rows for spread in row.spreads for number in spread]
    shown = [number for number in numbers if isfinite(number) and number <= top]
    if not shown:
        return
    low, high = min(shown), max(shown)
    if 0 < 100 * low < high:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.3, high * 1.3)
    else:
        margin = 0.05 * ((high - low) or abs(high) or 1.0)
        ax.set_ylim(0 if 0 <= low < high / 2 else low - margin, high + margin)


def _legend(figure: Plot, axes: Sequence[Any], title: str) -> None:
    """One legend beside all panels, with the cross if there is one."""
    handles = [line for line in axes[0].lines if not line.get_label().startswith("_")]
    handles *= bool(title)
    lines = [line for ax in axes for line in ax.lines]
    if any(line.get_marker() == "X" for line in lines):
        from matplotlib.lines import Line2D

        handles.append(Line2D([], [], color="#555555", label=_LEFT, **_CROSS))
    if handles:
        figure.legend(handles=handles, title=title, handlelength=3, loc="outside right upper")
