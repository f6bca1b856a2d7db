"""The picture of a profile: how long each module of a compiled step takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..support.words import in_short
from .scale import NEUTRAL_LINE
from .style import PALETTE, new_figure

if TYPE_CHECKING:
    from .figure import Plot

_MOST_MODULES = 20


def plot_profile(profile: Any, *, path: str | Path | None = None) -> Plot:
    """Plots the times of the modules of a compiled step as bars, forward and backward.

    profile: the result of `profile`. Of more than 20 modules, those that take the least time are
        one bar together.

    >>> import random
    >>> from micrograd_plus import compiler, nn
    >>> predict = compiler.compile(nn.MLP(2, [4, 1], generator=random.Random(0)))
    >>> figure = plot_profile(compiler.profile(predict, [[0.0, 1.0], [1.0, 0.0]]))
    """
    modules = list(getattr(profile, "modules", ()))
    if not modules:
        raise ValueError(f"plot_profile takes the result of profile(step), not {in_short(profile)}")
    size, unit = profile.unit
    longest = sorted(modules, key=lambda part: part.seconds, reverse=True)[:_MOST_MODULES]
    shown = [part for part in modules if part in longest]
    others = {**profile.others, "rest": max(0.0, profile.rest)}
    if len(shown) < len(modules):
        left = [part.seconds for part in modules if part not in longest]
        others = {f"{len(left)} other modules": sum(left), **others}
    forward, backward = ([part[i] / size for part in shown] for i in (2, 3))
    gray = [seconds / size for seconds in others.values()]
    names = [*[part.module for part in shown], *others]
    ends = [*map(sum, zip(forward, backward)), *gray]
    places, behind = range(len(shown)), range(len(shown), len(names))
    with new_figure(11, 1.5 + 0.42 * len(names), 1, 1, path) as (figure, (ax,)):
        ax.barh(places, forward, color=PALETTE[0], label="forward")
        if any(backward):
            ax.barh(places, backward, left=forward, color=PALETTE[4], label="backward")
        ax.barh(behind, gray, color=NEUTRAL_LINE, label="other")
        for place, end in enumerate(ends):
            text = f" {end:.2f} {unit}, {end * size / profile.step:.0%}"
            ax.text(end, place, text, va="center", fontsize=12)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.tick_params(left=False)
        ax.set(xlim=(0, 1.25 * max(ends)), xlabel=unit)
        ax.margins(y=0.02)
        ax.grid(visible=True, axis="x")
        figure.suptitle(profile.title, fontsize=14)
        figure.legend(loc="outside lower center", ncols=3)
    return figure
