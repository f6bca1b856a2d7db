"""How fast is engine="jax", beside JAX written by hand?

    python tests/benchmarks/jax_engine.py [--float32] [--turns N] [--only TEXT] [--quick]

The rows of the README's table, in float64 unless --float32 is given: training steps, optimizer
included, many in a call (mlp.py and gpt.py have both sides; by hand it is jax.jit over lax.scan).
"calls" is a call for each step, which takes NumPy arrays and returns the loss as a float. Where JAX
sees a GPU, also batches of 32 to 65,536 and GPTs with a width of 16 to 1,024. Both sides run in one
process, in turn; each figure is the least of all turns: of the time on a GPU, of the processor's
time without one.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from compiled import DIGITS, MOONS, NOISE, ONE_THREAD, chosen_names, in_words

ENGINE = {"engine": "jax"}


class Row(NamedTuple):
    """What both sides train; module has them; epochs of it are one turn."""

    title: str
    module: Any
    arguments: tuple[Any, ...]
    epochs: int
    ours: str = "with_compile"
    theirs: str = "with_jax_scan"


def rows(quick: bool, has_gpu: bool) -> list[Row]:
    import gpt
    import mlp

    def names(width: int, batch: int, count: int) -> tuple[Any, ...]:
        return width, chosen_names(max(width, 100), batch)[: max(count // batch, 1) * batch], batch

    calls = ("with_compile_calls", "with_jax_calls")
    found = [
        Row("moons", mlp, (mlp.Task(**MOONS),), 100 if quick else 1000),
        Row("moons, calls", mlp, (mlp.Task(**MOONS),), 1000, *calls),
        Row("64-128-64-10, 128 digits", mlp, (mlp.Task(**DIGITS),), 10),
        Row("GPT of width 16, a name of six letters", gpt, names(16, 1, 32), 10),
        Row("GPT of width 16, 16 names", gpt, names(16, 16, 32), 20),
    ]
    if quick:
        return found[:1]
    found.append(Row("GPT of width 64, a name of six letters", gpt, names(64, 1, 32), 4))
    million = {"widths": [16, 990, 990, 1], **NOISE}
    for batch in (32, 128):
        task = mlp.Task(**million, examples=batch, batch=batch)
        found.append(Row(f"MLP of 998,911 parameters, {batch}", mlp, (task,), 100))
    found.append(Row("GPT of width 288, a name", gpt, names(288, 1, 8), 2))
    if has_gpu:
        for batch in (32, 256, 2048, 16_384, 65_536):
            task = mlp.Task(**million, examples=batch, batch=batch)
            found.append(Row(f"MLP, batch of {batch:,}", mlp, (task,), 100))
        for width in (16, 64, 256, 1024):
            found.append(Row(f"GPT of width {width}, 16 names", gpt, names(width, 16, 32), 10))
    return found


def measured(row: Row, turns: int, clock: Callable[[], float], dtype: str) -> None:
    """Prints the line of a row."""
    build = getattr(row.module, row.ours), getattr(row.module, row.theirs)
    trains = build[0](*row.arguments, **ENGINE, dtype=dtype), build[1](*row.arguments)
    firsts, losses = [], []
    for train in trains:
        start = time.perf_counter()
        losses.append([float(loss) for loss in train(1)])
        firsts.append(time.perf_counter() - start)
    least = [math.inf, math.inf]
    for _ in range(turns):
        for side, train in enumerate(trains):
            start = clock()
            steps = len(train(row.epochs))
            least[side] = min(least[side], (clock() - start) / steps)
    ours, theirs = map(in_words, least)
    first, by_hand = map(in_words, firsts)
    ratio, difference = least[0] / least[1], abs(losses[0][0] - losses[1][0])
    print(
        f"| {row.title:40} | {ours:>9} | {theirs:>9} | {ratio:6.2f} | {first:>7} | {by_hand:>7} "
        f"| {difference:12.1e} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--float32", action="store_true", help="both sides in float32")
    parser.add_argument("--turns", type=int, default=5, help="of each side [5]")
    parser.add_argument("--only", default="", help="rows whose title has this text")
    parser.add_argument("--quick", action="store_true", help="shorter: does it run at all?")
    options = parser.parse_args()
    os.environ |= {name: text for name, text in ONE_THREAD.items() if name != "JAX_PLATFORMS"}
    os.environ["JAX_ENABLE_X64"] = str(int(not options.float32))
    import jax

    has_gpu = jax.default_backend() == "gpu"
    clock = time.perf_counter if has_gpu else time.process_time
    print(f"On {jax.devices()[0].device_kind}; a step, and what comes before the second one")
    print(f"| {'a step':40} |      ours |   by hand |  ratio | first   | by hand | loss differs |")
    print(f"|{'-' * 42}|----------:|----------:|-------:|--------:|--------:|-------------:|")
    for row in rows(options.quick, has_gpu):
        if options.only in row.title:
            turns = 1 if options.quick else options.turns
            measured(row, turns, clock, "float32" if options.float32 else "float64")


if __name__ == "__main__":
    main()
