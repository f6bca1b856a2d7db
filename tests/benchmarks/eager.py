"""How fast and how small is the eager engine, beside micrograd 0.1.0?

    python tests/benchmarks/eager.py [--rounds N] [--steps N] [--examples N]

One full training step of the moons network (MLP 2-16-16-1, 100 examples, hinge loss, L2, SGD)
is timed for micrograd, for micrograd's own nn.py over our Value, and for our MLP; the memory
of one node is that of the loss's graph, by its number of nodes. Every engine runs in processes
of its own, in turn, so that a change in the machine's speed meets all of them; the figures are
medians over the rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import time
import tracemalloc
import types
from collections.abc import Callable
from typing import Any

from micrograd_plus.data import moons

ENGINES = ("micrograd", "micrograd's nn.py over our Value", "our MLP")


def micrograd_nn(engine: types.ModuleType) -> types.ModuleType:
    """micrograd's nn.py, unchanged, over `engine`."""
    spec = importlib.util.find_spec("micrograd.nn")
    if spec is None or spec.origin is None:
        sys.exit("micrograd is missing: pip install micrograd==0.1.0")
    sys.modules["micrograd.engine"] = engine
    module = types.ModuleType("micrograd_nn")
    with open(spec.origin) as file:
        exec(compile(file.read(), spec.origin, "exec"), module.__dict__)
    return module


def with_micrograds_nn(engine: types.ModuleType, examples: int) -> tuple[Any, Callable[[], Any]]:
    """The model, and the loss as micrograd's demo notebook computes it."""
    random.seed(1337)
    model = micrograd_nn(engine).MLP(2, [16, 16, 1])
    X, y = moons(examples, seed=1)

    def loss() -> Any:
        inputs = [list(map(engine.Value, row)) for row in X]
        scores = list(map(model, inputs))
        losses = [(1 + -label * score).relu() for label, score in zip(y, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        return data_loss + 1e-4 * sum(p * p for p in model.parameters())

    return model, loss


def with_our_mlp(examples: int) -> tuple[Any, Callable[[], Any]]:
    """The same model and the same loss as users of micrograd_plus write them."""
    import micrograd_plus as mp

    random.seed(1337)
    model = mp.nn.MLP(2, [16, 16, 1])
    X, y = moons(examples, seed=1)

    def loss() -> Any:
        parameters = model.parameters()
        return mp.losses.hinge(model(X), y) + 1e-4 * mp.dot(parameters, parameters)

    return model, loss


def setup(engine: str, examples: int) -> tuple[Any, Callable[[], Any]]:
    if engine == ENGINES[0]:
        import micrograd.engine

        return with_micrograds_nn(micrograd.engine, examples)
    if engine == ENGINES[1]:
        import micrograd_plus.engine

        return with_micrograds_nn(micrograd_plus.engine, examples)
    return with_our_mlp(examples)


def count_nodes(root: Any) -> int:
    seen, stack = {root}, [root]
    while stack:
        for operand in stack.pop()._prev:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return len(seen)


def measure(engine: str, steps: int, examples: int) -> dict[str, float]:
    """Seconds per step (median) and bytes per node, in this process."""
    model, loss = setup(engine, examples)
    parameters = model.parameters()
    times = []
    for _ in range(steps + 1):  # the first warms up
        start = time.perf_counter()
        total = loss()
        model.zero_grad()
        total.backward()
        for parameter in parameters:
            parameter.data -= 0.1 * parameter.grad
        times.append(time.perf_counter() - start)
    final = total.data
    del total
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    total = loss()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "seconds": statistics.median(times[1:]),
        "bytes per node": (after - before) / count_nodes(total),
        "loss": final,
    }


def linted_share(rounds: int, steps: int, examples: int) -> float:
    """How many times as long our MLP takes for so many steps inside `mp.lint()`, in turn."""
    import micrograd_plus as mp

    def loop() -> float:
        model, loss = with_our_mlp(examples)
        start = time.perf_counter()
        for _ in range(steps):
            total = loss()
            model.zero_grad()
            total.backward()
            for parameter in model.parameters():
                parameter.data -= 0.1 * parameter.grad
        return time.perf_counter() - start

    shares = []
    for _ in range(rounds + 1):  # the first warms up
        plain = loop()
        with mp.lint(quiet=True):
            shares.append(loop() / plain)
    return statistics.median(shares[1:])


def import_seconds() -> float:
    code = (
        "import time; start = time.perf_counter(); import micrograd_plus; "
        "print(time.perf_counter() - start)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes per engine [5]")
    parser.add_argument("--steps", type=int, default=5, help="training steps per process [5]")
    parser.add_argument("--examples", type=int, default=100, help="of the moons [100]")
    parser.add_argument("--engine", choices=ENGINES, help="measure this one, as JSON")
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(measure(options.engine, options.steps, options.examples)))
        return

    results: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    for _ in range(options.rounds):
        for engine in ENGINES:
            numbers = ["--steps", str(options.steps), "--examples", str(options.examples)]
            command = [sys.executable, __file__, "--engine", engine, *numbers]
            printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
            results[engine].append(json.loads(printed))

    def median(engine: str, what: str) -> float:
        return statistics.median(result[what] for result in results[engine])

    peer = ENGINES[0]
    print(
        f"| {'one training step of the moons network':40} |      time |  faster | bytes per node |"
    )
    print(f"|{'-' * 42}|----------:|--------:|---------------:|")
    for engine in ENGINES:
        seconds, size = median(engine, "seconds"), median(engine, "bytes per node")
        faster = f"{median(peer, 'seconds') / seconds:5.1f} ×"
        print(f"| {engine:40} | {seconds * 1e3:6.1f} ms | {faster:>7} | {size:14.0f} |")
    share = median(ENGINES[1], "bytes per node") / median(peer, "bytes per node")
    imports = statistics.median(import_seconds() for _ in range(7))
    print(f"\nA node takes {share:.2f} of micrograd's memory, in the same network.")
    print(f"import micrograd_plus: {imports * 1e3:.0f} ms")
    count = 8 * options.steps
    share = linted_share(options.rounds, count, options.examples)
    print(f"{count} steps of our MLP inside mp.lint(): {share:.2f} times as long as without")
    print("loss after the last step:", ", ".join(f"{median(e, 'loss'):.9f}" for e in ENGINES))


if __name__ == "__main__":
    main()
