"""How fast is the compiled engine, beside micrograd 0.1.0, PyTorch and JAX?

    python tests/benchmarks/compiled.py [--rounds N] [--only NAME] [--chart] [--quick]

Training steps, optimizer included, in float64 on one processor, all sides: the moons network,
a GPT that spells names, a network that reads digits (mlp.py and gpt.py have them in every
engine). Then float32, what a call, a schedule and a change of program cost, a thousand names with
all that comes before the first step, what a graph of 100,000 nodes costs, the first call on a
machine, and models of a million parameters; and, with no peer, what two threads gain. Every engine
runs in processes of its own, in turn, so that a change in the machine's speed meets all of them;
the figures are medians over the rounds. For float32, and for what a schedule and a change of
program cost, they come from minima of runs that alternate in one process. A peer that is not
installed is left out. --quick only shows that all of this runs: there are few examples, the
processes are forks that find the libraries imported, and each peer has one task of a kind.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
import multiprocessing
import operator
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import micrograd_plus as mp

FIGURES = Path(__file__).parents[2] / "notebooks" / "figures"
ONE_THREAD = {
    "JAX_ENABLE_X64": "1",
    "JAX_PLATFORMS": "cpu",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
NAMES = {
    "with_micrograd": "micrograd 0.1.0",
    "with_torch": "PyTorch, eager",
    "with_jax": "jax.jit",
    "with_jax_scan": "jax.jit over lax.scan, many steps a call",
    "with_compile_lists": "ours: step(X, y), of lists",
    "with_compile_calls": "ours: step(X, y)",
    "with_compile": "ours: step.run",
}
PEERS = ("with_torch", "with_jax", "with_jax_scan")
TRIED: set[tuple[str, str]] = set()
"""Module and engine of all that a quick run has measured."""
MOONS = {"widths": [2, 16, 16, 1], "data": "moons", "examples": 100, "batch": 100, "penalty": 1e-4}
DIGITS = {"widths": [64, 128, 64, 10], "data": "digits", "examples": 1792, "batch": 128}
NOISE = {"data": "noise", "lr": 1e-3}


# ---- in a process of its own: one figure or a few, as JSON


def time_of_step(module: str, engine: str, task: Any, seconds: float, epochs: int) -> Any:
    """Seconds per step, and the losses of the first step and of the last of `epochs`."""
    if module == "mlp":
        from mlp import Task

        arguments: tuple[Any, ...] = (Task(**task),)
        steps = task["examples"] // task["batch"] * epochs
    else:
        names = chosen_names(task["width"], task["batch"])
        arguments = (task["width"], names, task["batch"])
        steps = len(names) // task["batch"] * epochs
    train = getattr(importlib.import_module(module), engine)(*arguments)
    losses = train(epochs)  # this warms up, too; one call of lax.scan may give more than asked
    times: list[float] = []
    at_once, spent = 1, 0.0
    while spent < seconds:
        start = time.perf_counter()
        taken = len(train(at_once))
        elapsed = time.perf_counter() - start
        if elapsed < seconds / 5:  # what a call costs once, and not for each step, must not count
            at_once *= 2
        else:
            times.append(elapsed / taken)
            spent += elapsed
    return {
        "seconds": statistics.median(times),
        "first": float(losses[0]),
        "last": float(losses[steps - 1]),
    }


def epochs_at_once(train: Any, seconds: float) -> int:
    """For how many epochs it trains for so long: what a call costs once must hardly count."""
    epochs, elapsed = 1, 0.0
    while elapsed < seconds:
        epochs *= 2
        start = time.perf_counter()
        train(epochs)
        elapsed = time.perf_counter() - start
    return epochs


def times_in_float32(module: str, task: Any, rounds: int, seconds: float) -> dict[str, float]:
    """The shortest time of a step, ours in each dtype and PyTorch's; their runs alternate.

    And the largest relative difference of our losses from PyTorch's, in float32, over ten steps:
    training makes differences in the last digit larger and larger, in float64 too.
    """
    if module == "mlp":
        from mlp import Task

        arguments: tuple[Any, ...] = (Task(**task),)
    else:
        arguments = (task["width"], chosen_names(task["width"], task["batch"]), task["batch"])
    engines = importlib.import_module(module)
    trains = {
        "float64": engines.with_compile(*arguments),
        "float32": engines.with_compile(*arguments, dtype="float32"),
        "PyTorch": engines.with_torch(*arguments, dtype="float32"),
    }
    losses = {name: [float(loss) for loss in train(1)[:10]] for name, train in trains.items()}
    epochs = {name: epochs_at_once(train, seconds) for name, train in trains.items()}
    times = dict.fromkeys(trains, math.inf)
    for _ in range(rounds):
        for name, train in trains.items():
            start = time.perf_counter()
            steps = len(train(epochs[name]))
            times[name] = min(times[name], (time.perf_counter() - start) / steps)
    pairs = zip(losses["float32"], losses["PyTorch"])
    return {**times, "difference": max(abs(a - b) / abs(b) for a, b in pairs)}


def from_scratch(engine: str, width: int, count: int) -> dict[str, float]:
    """Seconds for learning so many names one by one, all that is compiled or recorded included.

    And the mean losses of the first hundred, and of the last.
    """
    build = getattr(importlib.import_module("gpt"), engine)
    names = mp.data.names()
    random.Random(0).shuffle(names)
    for library in ("numpy", "llvmlite.binding"):  # the clock starts when all that is needed is
        importlib.import_module(library)  # imported; `build` imports PyTorch or JAX
    build(width, names[:1], 1)
    start = time.perf_counter()
    losses = [float(loss) for loss in build(width, names[:count], 1)(1)]
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "first": sum(losses[:100]) / 100, "last": sum(losses[-100:]) / 100}


def chosen_names(width: int, batch: int) -> list[str]:
    """All names; for batches, and a wide model, as many of six letters as fill some."""
    from gpt import NAMES

    if batch == 1 and width < 100:
        return NAMES
    six = [name for name in NAMES if len(name) == 6]
    return six[: len(six) // batch * batch]


def digits_mlp() -> tuple[Any, Any]:
    return mp.nn.MLP(64, [128, 64, 10], generator=random.Random(0)), mp.data.digits()


def digits_cnn() -> tuple[Any, Any]:
    """As the command `train cnn` has it, with half as many kernels."""
    X, y = mp.data.digits()
    generator = random.Random(0)
    model = mp.nn.Sequential(
        mp.nn.Conv2d(1, 8, kernel_size=3, padding=1, generator=generator), mp.nn.ReLU(),
        mp.nn.MaxPool2d(2),
        mp.nn.Conv2d(8, 16, kernel_size=3, padding=1, generator=generator), mp.nn.ReLU(),
        mp.nn.MaxPool2d(2), mp.nn.Flatten(), mp.nn.Linear(64, 10, generator=generator),
    )  # fmt: skip
    return model, ([[[row[8 * i : 8 * i + 8] for i in range(8)]] for row in X], y)


NETWORKS = {"64-128-64-10": digits_mlp, "CNN": digits_cnn}


def time_of_threads(network: str, batch: int, epochs: int, seconds: float) -> dict[str, float]:
    """The least seconds per step, by the number of threads, measured in turn.

    "apart" are two trainings at the same time, one thread each, that share nothing: what the
    machine's processors can gain at most.
    """
    import numpy as np

    def training(threads: int | None) -> Any:
        model, (X, y) = NETWORKS[network]()  # of its own, so that no other step moves it
        adam = mp.optim.Adam(model.parameters(), lr=1e-4)
        step = mp.compile(lambda x, t: mp.losses.cross_entropy(model(x), t), adam, threads=threads)
        arrays = np.array(X[:1024]), np.array(y[:1024])  # each run takes 2 ms to read lists
        return lambda: len(step.run(*arrays, epochs=epochs, batch_size=batch, progress=False))

    trainings = {"default": [training(None)], "one": [training(1)], "two": [training(2)]}
    trainings["apart"] = [*trainings["default"], training(None)]
    least = dict.fromkeys(trainings, float("inf"))
    for train in (*trainings["one"], *trainings["two"], *trainings["apart"]):
        train()  # records the model
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(2) as pool:
        while time.perf_counter() < end:
            for name, at_once in trainings.items():
                start = time.perf_counter()
                taken = sum(pool.map(operator.call, at_once))
                least[name] = min(least[name], (time.perf_counter() - start) / taken)
    return least


def sums_of_products() -> tuple[Any, list[mp.Value]]:
    """micrograd's neurons, w1*x1 + w2*x2 + … one by one: most nodes are links of long sums."""
    widths = [128, 196, 125, 1]
    model = mp.nn.MLP(widths[0], widths[1:], generator=random.Random(0))

    def loss_fn(x: Any, y: Any) -> mp.Value:
        for layer in model.layers:
            x = [sum((w * v for w, v in zip(n.w, x)), n.b) for n in layer.neurons]
            x = [a.relu() for a in x] if layer is not model.layers[-1] else x
        return x[0] - y

    return loss_fn, model.parameters()


def tangle(count: int = 34_850) -> tuple[Any, list[mp.Value]]:
    """tanh(a * b - c) of any three of the last thousand values, in which little can be joined.

    By default it has 100,000 nodes, as not every value is used before it is replaced. Which three
    is drawn before: that takes longer than the function itself.
    """
    parameters = [mp.Value(random.Random(i).uniform(-1, 1)) for i in range(1000)]
    places, choice = range(len(parameters)), random.Random(0).choice
    chosen = [(choice(places), choice(places), choice(places)) for _ in range(count)]

    def loss_fn(x: Any, y: Any) -> mp.Value:
        values = [p * x[0] for p in parameters]
        for i, (a, b, c) in enumerate(chosen):
            values[i % len(values)] = mp.tanh(values[a] * values[b] - values[c])
        return sum(values) - y

    return loss_fn, parameters


GRAPHS = {
    "sums": sums_of_products,
    "tangle": tangle,
    "small tangle": lambda: tangle(1_000),
}
ONE_EXAMPLE = [[random.Random(1).gauss(0, 1) for _ in range(128)]], [1.0]


def seconds_of_graph(graph: str) -> dict[str, float]:
    """How many nodes it has, and how long the first call takes."""
    compile_something_small()
    loss_fn, parameters = GRAPHS[graph]()
    (x,), (y,) = ONE_EXAMPLE
    nodes = sum(node.op is not None for node in mp.engine.topological_order(loss_fn(x, y)))
    gc.collect()
    step = mp.compile(loss_fn, mp.optim.SGD(parameters, lr=1e-6))
    start = time.perf_counter()
    step(*ONE_EXAMPLE)
    return {"nodes": nodes, "seconds": time.perf_counter() - start}


def bytes_of_graph(graph: str, lanes: int) -> dict[str, float]:
    """What stays in memory after the first call, with room for so many examples at once."""
    from micrograd_plus.compiler import layout

    layout.FEWEST_LANES = layout.MOST_LANES = lanes
    compile_something_small()
    loss_fn, parameters = GRAPHS[graph]()
    step = mp.compile(loss_fn, mp.optim.SGD(parameters, lr=1e-6))
    gc.collect()
    tracemalloc.start()
    step(*ONE_EXAMPLE)
    gc.collect()
    return {"bytes": tracemalloc.get_traced_memory()[0]}


def compile_something_small() -> None:
    w = mp.Value(1.0)
    mp.compile(lambda x, y: (w * x - y) ** 2, mp.optim.SGD([w]))([1.0, 2.0], [1.0, 2.0])


def first_call() -> dict[str, float]:
    """Seconds for compiling the moons step and its first call, with what they import."""
    from mlp import Task, compiled

    task = Task(**MOONS)
    task.model()  # imports nn, and the next line NumPy, before the clock starts
    importlib.import_module("numpy")
    start = time.perf_counter()
    step, X, y = compiled(task)
    step(X, y)
    return {"seconds": time.perf_counter() - start}


def ways_to_run_names(width: int, turns: int) -> dict[str, float]:
    """Seconds for a name, in `step.run`: the fastest of several turns of each way."""
    from gpt import NAMES, adam_of, examples, model_of

    model = model_of(width)
    adam = mp.optim.Adam(model.parameters(), **adam_of(width))
    step = mp.compile(lambda tokens, targets: mp.losses.cross_entropy(model(tokens), targets), adam)
    by_length = sorted(NAMES, key=len)
    half = len(by_length) // 2
    alternating = [name for pair in zip(by_length[:half], by_length[half:]) for name in pair]
    schedule = mp.optim.CosineAnnealingLR(adam, T_max=10**6)
    ways: dict[str, Any] = {
        "sorted by length": (by_length, None),
        "lengths alternate": (alternating, None),
        "sorted, with a schedule": (by_length, schedule),
    }
    seconds = dict.fromkeys(ways, math.inf)
    for _ in range(turns):
        for way, (names, schedule) in ways.items():
            X, y = examples(names)
            start = time.perf_counter()
            step.run(X, y, batch_size=1, schedule=schedule, progress=False)
            seconds[way] = min(seconds[way], (time.perf_counter() - start) / len(names))
    return seconds


def peak_of_blas(turns: int) -> dict[str, float]:
    """Operations per second in float64 that NumPy's BLAS reaches with matrices of 1024 rows."""
    import numpy as np

    a, b, c = np.random.default_rng(0).random((3, 1024, 1024))
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        np.matmul(a, b, out=c)
        times.append(time.perf_counter() - start)
    return {"operations": 2 * 1024**3 / min(times)}


JOBS: dict[str, Callable[..., Any]] = {
    "time_of_step": time_of_step,
    "time_of_threads": time_of_threads,
    "times_in_float32": times_in_float32,
    "from_scratch": from_scratch,
    "seconds_of_graph": seconds_of_graph,
    "bytes_of_graph": bytes_of_graph,
    "first_call": first_call,
    "ways_to_run_names": ways_to_run_names,
    "peak_of_blas": peak_of_blas,
}


def do_job(function: str, arguments: dict[str, Any]) -> Any:
    """What a function of JOBS returns, or which library it misses.

    It has one processor, as JAX uses all that there are, whatever it is told; only threads need
    more.
    """
    if function != "time_of_threads" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        return JOBS[function](**arguments)
    except ModuleNotFoundError as error:
        return {"missing": str(error)}


# ---- in the process that was started: the tables


def in_a_process(
    function: str, arguments: dict[str, Any], options: argparse.Namespace, **environment: str
) -> Any:
    """What a function of JOBS returns in a process of its own; None if it misses a library."""
    if options.quick:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            result = pool.apply(do_job, (function, arguments))
    else:
        command = [sys.executable, __file__, "--job", json.dumps([function, arguments])]
        variables = {**os.environ, **ONE_THREAD, **environment}
        printed = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, text=True, env=variables
        ).stdout
        result = json.loads(printed.splitlines()[-1])
    if "missing" in result:
        left_out = NAMES[arguments["engine"]] if "engine" in arguments else function
        print(f"left out: {left_out}, {result['missing']}", flush=True)
        return None
    return result


def prepare_quick_run() -> None:
    """Takes few examples, and imports what takes long: PyTorch's optimizers need torch._dynamo.

    Not JAX, whose threads do not survive a fork.
    """
    import gpt

    del gpt.NAMES[20:]
    MOONS.update(examples=20, batch=20)
    DIGITS.update(examples=256)
    os.environ |= ONE_THREAD
    for library in ("numpy", "torch._dynamo"):
        with suppress(ModuleNotFoundError):
            importlib.import_module(library)


def medians(results: Sequence[dict[str, float]]) -> dict[str, float]:
    return {what: statistics.median(result[what] for result in results) for what in results[0]}


def compare(
    module: str, engines: Sequence[str], task: Any, epochs: int, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Engine → the medians over the rounds of what `time_of_step` measures."""
    seconds = 0.02 if options.quick else 0.4
    arguments = {"module": module, "task": task, "seconds": seconds, "epochs": epochs}
    return in_turn("time_of_step", engines, arguments, options)


def in_turn(
    function: str, engines: Sequence[str], arguments: dict[str, Any], options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Engine → the medians over the rounds of what a function of JOBS measures of it."""
    if options.quick:  # each peer once for each kind of task, and ours beside it
        kind = arguments.get("module", "gpt")
        engines = [e for e in engines if e == engines[-1] or (kind, e) not in TRIED]
        TRIED.update((kind, engine) for engine in engines)
    results: dict[str, list[Any]] = {engine: [] for engine in engines}
    if options.quick:
        results.pop("with_jax_scan", None)
    for _ in range(options.rounds):
        for engine in list(results):
            result = in_a_process(function, {"engine": engine, **arguments}, options)
            if result is None:
                del results[engine]
            else:
                results[engine].append(result)
    return {engine: medians(measured) for engine, measured in results.items()}


def print_table(title: str, results: dict[str, dict[str, float]], names_per_step: int = 1) -> None:
    """One row for each engine; the last is ours, by which the others are divided."""
    ours = list(results.values())[-1]["seconds"]
    print(f"\n| {title:45} |       time | ours is faster | first loss  | last loss   |")
    print(f"|{'-' * 47}|-----------:|---------------:|------------:|------------:|")
    for engine, result in results.items():
        shown = in_words(result["seconds"] / names_per_step)
        faster = f"{result['seconds'] / ours:,.1f} ×"
        losses = f"{result['first']:.9f} | {result['last']:.9f}"
        print(f"| {NAMES[engine]:45} | {shown:>10} | {faster:>14} | {losses} |", flush=True)


def in_words(seconds: float, decimals: int = 1) -> str:
    size, unit = next(
        (pair for pair in ((1.0, "s"), (1e-3, "ms")) if seconds > 0.999 * pair[0]), (1e-6, "µs")
    )
    return f"{seconds / size:.{decimals}f} {unit}"


def moons(options: argparse.Namespace) -> None:
    results = compare("mlp", list(NAMES), MOONS, 1 if options.quick else 3, options)
    print_table("one step of the moons network", results)


def calls(options: argparse.Namespace) -> None:
    engines = ("with_torch", "with_jax", "with_compile_lists", "with_compile_calls")
    results = compare("mlp", engines, MOONS, 1 if options.quick else 3, options)
    print_table("a call of the moons network's step", results)
    arguments = {"width": 16, "turns": 3 if options.quick else 100}
    rounds = [in_a_process("ways_to_run_names", arguments, options) for _ in range(options.rounds)]
    print(f"\n| {'a name of the GPT of width 16, in step.run':45} |       time |    more |")
    print(f"|{'-' * 47}|-----------:|--------:|")
    for way, taken in medians(rounds).items():
        # The difference is taken in each process: another one may have found a slower machine.
        more = statistics.median(seconds[way] - seconds["sorted by length"] for seconds in rounds)
        print(f"| {way:45} | {in_words(taken):>10} | {more * 1e6:4.1f} µs |", flush=True)


def digits(options: argparse.Namespace) -> None:
    results = compare("mlp", (*PEERS, "with_compile"), DIGITS, 1, options)
    print_table("one step of 64-128-64-10, 128 digits", results)


def gpt(options: argparse.Namespace) -> None:
    for width, batch in ((16, 1), (64, 1), (16, 16)):
        if options.quick and (width, batch) != (16, 1):
            continue
        task = {"width": width, "batch": batch}
        results = compare("gpt", (*PEERS, "with_compile"), task, 1, options)
        how = "one by one" if batch == 1 else f"in batches of {batch}"
        print_table(f"GPT of width {width}, a name, {how}", results, batch)


def threads(options: argparse.Namespace) -> None:
    print(f"\n| {'one step':24} | default    | threads=1  | threads=2  | faster | at most |")
    print(f"|{'-' * 26}|-----------:|-----------:|-----------:|-------:|--------:|")
    for network in NETWORKS:
        for batch in (128, 512)[: 1 if options.quick else 2]:
            epochs, seconds = (1, 0.01) if options.quick else (16, 6)
            arguments = {"network": network, "batch": batch, "epochs": epochs, "seconds": seconds}
            rounds = [
                in_a_process("time_of_threads", arguments, options) for _ in range(options.rounds)
            ]
            default, one, two, apart = medians(rounds).values()
            times = " | ".join(f"{in_words(seconds):>10}" for seconds in (default, one, two))
            gains = " | ".join((f"{default / two:4.2f} ×", f"{default / apart:5.2f} ×"))
            print(f"| {f'{network}, {batch} digits':24} | {times} | {gains} |", flush=True)


def float32(options: argparse.Namespace) -> None:
    """Ours in both dtypes beside PyTorch in float32, in one process: the shortest of many runs."""
    tasks: dict[str, tuple[str, Any]] = {"64-128-64-10, 128 digits": ("mlp", DIGITS)}
    for width, batch in ((16, 1), (64, 1), (16, 16)):
        how = "one by one" if batch == 1 else f"in batches of {batch}"
        tasks[f"GPT of width {width}, {how}"] = ("gpt", {"width": width, "batch": batch})
    print(
        f"\n| {'one step':34} |    float64 |    float32 |  ratio | PyTorch, 32 |  losses differ |"
    )
    print(f"|{'-' * 36}|-----------:|-----------:|-------:|------------:|---------------:|")
    for title, (module, task) in list(tasks.items())[: 2 if options.quick else 4]:
        turns = {"rounds": 1, "seconds": 0.0} if options.quick else {"rounds": 20, "seconds": 0.05}
        arguments = {"module": module, "task": task, **turns}
        times = in_a_process("times_in_float32", arguments, options)
        if times is None:
            return
        wide, narrow, theirs = (in_words(times[x]) for x in ("float64", "float32", "PyTorch"))
        ratio = f"{times['float64'] / times['float32']:.2f} ×"
        print(
            f"| {title:34} | {wide:>10} | {narrow:>10} | {ratio:>6} | {theirs:>11} "
            f"| {times['difference']:14.1e} |",
            flush=True,
        )


def names(options: argparse.Namespace) -> None:
    if not options.quick:  # the loops of the GPT's ops are compiled once on a machine
        one = {"engine": "with_compile", "width": 16, "count": 1}
        in_a_process("from_scratch", one, options)
    for width, count in ((16, 20),) if options.quick else ((16, 1000), (64, 500), (16, 3000)):
        task = {"width": width, "count": count}
        results = in_turn("from_scratch", (*PEERS, "with_compile"), task, options)
        print_table(f"GPT of width {width}, {count:,} names, from scratch", results)


def graph(options: argparse.Namespace) -> None:
    print(f"\n| {'preparing a graph':40} |   nodes | first call | bytes per node | and lane |")
    print(f"|{'-' * 42}|--------:|-----------:|---------------:|---------:|")
    titles = {"tangle": "tanh(a*b - c), tangled", "sums": "w*x + …, one by one"}
    for name, title in ({"small tangle": "a small one"} if options.quick else titles).items():
        graph = {"graph": name}
        rounds = [in_a_process("seconds_of_graph", graph, options) for _ in range(options.rounds)]
        few, many = (
            in_a_process("bytes_of_graph", {**graph, "lanes": lanes}, options)["bytes"]
            for lanes in (16, 48)
        )
        lane, result = (many - few) / 32, medians(rounds)
        nodes, seconds = round(result["nodes"]), in_words(result["seconds"])
        print(
            f"| {title:40} | {nodes:7,} | {seconds:>10} | {(few - 16 * lane) / nodes:14.0f} "
            f"| {lane / nodes:8.1f} |",
            flush=True,
        )


def million(options: argparse.Namespace) -> None:
    """Models of a million parameters, and the share of the machine's peak that a step reaches."""
    engines = ("with_torch", "with_jax", "with_compile")
    hidden = 91 if options.quick else 990
    inputs, parameters = 16, hidden * (hidden + 19) + 1
    for batch in (32, 128)[: 1 if options.quick else 2]:
        turns = {"turns": 1 if options.quick else 20}
        rounds = [in_a_process("peak_of_blas", turns, options) for _ in range(options.rounds)]
        peak = medians(rounds)["operations"]
        task = {"widths": [inputs, hidden, hidden, 1], "examples": batch, "batch": batch, **NOISE}
        results = compare("mlp", engines, task, 2, options)
        print_table(f"MLP of {parameters:,} parameters, batch of {batch}", results)
        # Forward, and by the weights and by the inputs of each layer, of which the first has none.
        operations = 2 * batch * (3 * parameters - inputs * hidden)
        reached = {engine: operations / result["seconds"] for engine, result in results.items()}
        shares = ", ".join(f"{NAMES[engine]} {r / peak:.0%}" for engine, r in reached.items())
        print(f"of the {peak / 1e9:.0f} Gflop/s that NumPy's BLAS reaches: {shares}", flush=True)
    width = 32 if options.quick else 288
    results = compare("gpt", engines, {"width": width, "batch": 1}, 1, options)
    print_table(f"GPT of width {width}, a name, one by one", results)


def first(options: argparse.Namespace) -> None:
    if options.quick:  # the first on a machine takes ten seconds
        in_a_process("first_call", {}, options)
        return
    results: dict[str, list[Any]] = {"the first on a machine": [], "with the disk cache": []}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            caches = {"MICROGRAD_PLUS_CACHE": folder}
            for measured in results.values():
                measured.append(in_a_process("first_call", {}, options, **caches))
    print(f"\n| {'compile and the first step, in a new process':45} |       time |")
    print(f"|{'-' * 47}|-----------:|")
    for title, measured in results.items():
        print(f"| {title:45} | {in_words(medians(measured)['seconds']):>10} |")


# ---- how it grows


def growth(options: argparse.Namespace) -> None:
    engines = ("with_torch", "with_jax", "with_compile")
    panels = []
    for title, tasks in growing_tasks(options.quick).items():
        print(f"\n| {title:30} | {' | '.join(f'{NAMES[engine]:>14}' for engine in engines)} |")
        print(f"|{'-' * 31}:|{'|'.join(['-' * 15 + ':'] * len(engines))}|")
        points: dict[str, list[tuple[int, float]]] = {engine: [] for engine in engines}
        for size, task in tasks:
            results = compare("mlp", engines, task, 2, options)
            for engine, result in results.items():
                points[engine].append((size, result["seconds"]))
            row = [
                in_words(results[engine]["seconds"]) if engine in results else "-"
                for engine in engines
            ]
            print(f"| {size:30,} | {' | '.join(f'{cell:>14}' for cell in row)} |", flush=True)
        panels.append((title, points))
    if options.chart:
        draw(panels)


def growing_tasks(quick: bool) -> dict[str, list[tuple[int, Any]]]:
    """The title of an axis → sizes along it, each with its task."""
    by_parameters, by_batch, by_graph = [], [], []
    for hidden in (5, 23, 91) if quick else (5, 23, 91, 307, 990):
        task = {"widths": [16, hidden, hidden, 1], "examples": 32, "batch": 32, **NOISE}
        by_parameters.append((hidden * (hidden + 19) + 1, task))
    for batch in (1, 64) if quick else (1, 4, 16, 64, 256, 1024, 4096):
        by_batch.append((batch, {**MOONS, "examples": batch, "batch": batch}))
    for depth in (1, 4) if quick else (1, 4, 16, 64, 256):
        task = {"widths": [*[16] * (depth + 1), 1], "examples": 1, "batch": 1, **NOISE}
        per_neuron, at_the_end = 3, 5  # w · x, + b, relu; and the last neuron, the hinge loss
        by_graph.append((per_neuron * 16 * depth + at_the_end, task))
    return {
        "parameters (batch of 32)": by_parameters,
        "batch (337 parameters)": by_batch,
        "nodes of the graph (one example)": by_graph,
    }


def draw(panels: Sequence[tuple[str, dict[str, list[tuple[int, float]]]]]) -> None:
    """The chart, as PNG and SVG; a line carries its name, in a colour that all can tell apart."""
    import matplotlib

    from micrograd_plus.show.figure import Plot

    matplotlib.rcParams.update(
        {"font.size": 15, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": ""}
    )
    figure = Plot(figsize=(16, 5.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    styles = {
        "with_torch": ("PyTorch", "#D55E00", "s", "--"),
        "with_jax": ("jax.jit", "#009E73", "^", "-."),
        "with_compile": ("ours", "#0072B2", "o", "-"),
    }  # Okabe and Ito's palette
    heights = [seconds for _, points in panels for line in points.values() for _, seconds in line]
    apart = (max(heights) / min(heights)) ** 0.055  # a line of text, on the axis that all share
    for ax, (title, points) in zip(axes, panels):
        drawn = {engine: line for engine, line in points.items() if line}
        beside = 0.0
        for engine, line in sorted(drawn.items(), key=lambda item: item[1][-1][1]):
            name, color, marker, dashes = styles[engine]
            sizes, seconds = zip(*line)
            ax.plot(sizes, seconds, dashes, color=color, marker=marker, linewidth=2.5)
            beside = max(seconds[-1], apart * beside)  # where lines meet, names keep apart
            shift = {"xytext": (10, 0), "textcoords": "offset points", "va": "center"}
            ax.annotate(name, (sizes[-1], beside), color=color, weight="bold", **shift)
        ax.set(xscale="log", yscale="log", xlabel=title)
        ax.margins(x=0.08)
        ax.grid(color="#e0e0e0")
        ax.set_axisbelow(True)
    axes[0].set_ylabel("time of one step")
    axes[0].yaxis.set_major_formatter(lambda seconds, _: in_words(seconds, 0))
    for suffix in (".png", ".svg"):
        print(figure.save(FIGURES / f"compiled-growth{suffix}"))


SECTIONS = {
    "moons": moons,
    "calls": calls,
    "gpt": gpt,
    "float32": float32,
    "names": names,
    "digits": digits,
    "threads": threads,
    "graph": graph,
    "first": first,
    "million": million,
    "growth": growth,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="processes per engine [3]")
    parser.add_argument("--only", choices=SECTIONS, help="this table alone")
    parser.add_argument("--chart", action="store_true", help="growth, too, and its chart")
    parser.add_argument("--quick", action="store_true", help="shorter: does it run at all?")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(do_job(*json.loads(options.job))))
        return
    if options.quick:
        prepare_quick_run()
    for name, section in SECTIONS.items():
        if options.only == name or (not options.only and (name != "growth" or options.chart)):
            section(options)


if __name__ == "__main__":
    main()
