"""`compile`: a function of one example, recorded once and replayed over whole batches."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from inspect import Parameter, signature
from typing import Any, NoReturn, Protocol, overload

from ..context import recorder
from ..engine import Value
from ..support.checks import generator_or, whole_number
from ..support.progress import bar as progress_bar
from ..support.rich import mimebundle
from ..support.words import in_short
from .batches import Batches, Outcome, Task, shuffled
from .dtypes import FLOAT64, dtype_of
from .examples import Examples, Sizes, has_numpy, sizes_of
from .layout import Program
from .programs import Entry, Key, Programs, outputs_of, rows_of
from .recording import Recording, Shape
from .running import engine_of
from .threads import MOST_PARTS, Choice


class Model(Protocol):
    """An `nn.Module`, which compiles to predictions."""

    def parameters(self) -> list[Value]:
        """Every parameter, once."""

    def __call__(self, *inputs: Any) -> Any:
        """What the module computes."""


@overload
def compile(
    function: Model,
    optimizer: None = None,
    *,
    cache_size: int = 64,
    threads: int | None = None,
    dtype: Any = "float64",
    engine: str = "native",
    devices: int | str | None = None,
) -> Predict: ...
@overload
def compile(
    function: Callable[..., Value],
    optimizer: None = None,
    *,
    cache_size: int = 64,
    threads: int | None = None,
    dtype: Any = "float64",
    engine: str = "native",
    devices: int | str | None = None,
) -> LossAndGradient: ...
@overload
def compile(
    function: Callable[..., Value],
    optimizer: object,
    *,
    cache_size: int = 64,
    threads: int | None = None,
    dtype: Any = "float64",
    engine: str = "native",
    devices: int | str | None = None,
) -> Step: ...


def compile(
    function: Callable[..., Any],
    optimizer: Any = None,
    *,
    cache_size: int = 64,
    threads: int | None = None,
    dtype: Any = "float64",
    engine: str = "native",
    devices: int | str | None = None,
) -> Compiled:
    """Records `function` at its first call and replays it, over whole batches, from then on.

    With an optimizer, `function` is the loss of ONE example, as loss_fn(x, y), and the result
    a `Step`: step(X, y) updates the parameters once. Without one, a Module becomes `Predict`:
    predict(X) gives its outputs; and a function that gives a loss becomes `LossAndGradient`:
    it returns the mean loss and sets the parameters' `grad`.

    >>> from micrograd_plus import losses, nn, optim
    >>> model = nn.MLP(2, [8, 1], generator=random.Random(0))
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> step = compile(lambda x, y: losses.hinge(model(x), y), optimizer)
    >>> X, y = [[0.0, 1.0], [1.0, 0.0]], [1, -1]
    >>> losses_ = step.run(X, y, epochs=50)
    >>> round(losses_[-1], 3)
    0.0

    The parameters are those Values that `function` reaches. What does not depend on the
    example, as a penalty on the weights, is computed once for each batch. While it is recorded,
    the function cannot read numbers: `mp.where`, `mp.pick` and `mp.rand` take the place of
    `if`, of an index, and of a random number. Each new shape of the arguments is recorded
    once; the `cache_size` shapes that were used last are kept, in `programs`.

    Recording calls the function twice, and it must do the same both times: ValueError if it counts
    its calls, reads a clock or draws random numbers. What changes later only, such as the date, a
    setting, or a number in a list, is not found: the program keeps what was there when it was
    recorded. Make it an argument of the function, or a parameter; or compile again.

    threads: how many threads share the examples of a batch; worth it for batches of a hundred and
    more, on as many free cores, up to 16. The batch is cut into parts, which do not depend on the
    number of threads: the results are the same, to the last bit, for every number from 1 on. What
    does not depend on the example is computed once for each part. By default one thread takes the
    whole batch in one part: the same results but for the order of the sums. In plain Python,
    without llvmlite, that is so for any number of threads.

    dtype: "float64", or "float32" for numbers of 7 digits and up to 3.4e38, PyTorch's default;
    NumPy's and PyTorch's own names of them are taken, too. Twice as many float32 fit into a vector
    unit and into the cache. Inputs and parameters are rounded to float32 at each call, and so is
    all that is computed of them, gradients and the optimizer's memory included. After it, `grad`
    and the `data` of what the optimizer moves are such numbers. Gradients and what an optimizer
    computes become 0 below 1.2e-38, as after `torch.set_flush_denormal(True)`: some processors are
    much slower for such numbers. The first use of float32 on a machine compiles the kernels once
    more.

    engine: "native", which is described here, or "jax": the same program in JAX, for a GPU, many
    devices, and models whose steps are large. Each instruction becomes an operation of jax.numpy
    over the batch, JAX finds the gradients, and the update is traced. Calls, errors and numbers
    are the same, random numbers too: they depend on the generators alone. In float32 the results
    differ in the last digits. The first call with a shape, or with another batch size, takes
    seconds; so does the first `run`, after a call with one batch. JAX's settings stay as they are.
    It needs pip install "micrograd-plus[jax]".

    >>> in_jax = compile(step.function, optimizer, engine="jax")  # doctest: +SKIP
    >>> round(in_jax(X, y), 3)  # doctest: +SKIP
    0.0

    devices: for engine="jax", how many share each batch, or "all"; by default JAX's first device
    takes it whole. A batch that cannot be shared equally is filled up with examples that do not
    count. After jax.distributed.initialize() "all" means those of all processes. Each process
    makes the same calls with all examples, and gets the same results. If one of them ends, the
    others raise RuntimeError; they can catch it, save, and end. JAX then aborts the program at its
    end, with its own exit status, unless jax.config.update("jax_enable_recoverability", True)
    comes before initialize.

    The numbers are those of eager code but for the order in which sums are added, with one
    exception. The gradient of what is computed once for each batch is summed over the examples
    before it goes on. Where it meets an infinite derivative, as that of sqrt(w) for w = 0, eager
    code may add inf and -inf, which is nan, and the compiled program multiplies the sum by inf.
    """
    if not callable(function) or isinstance(function, Compiled):
        raise TypeError(f"compile takes a function or a Module, not {in_short(function)}")
    is_module = hasattr(function, "parameters")
    if optimizer is not None:
        if isinstance(optimizer, type) or not hasattr(optimizer, "update"):
            raise TypeError(
                "the second argument of compile is an optimizer, as "
                f"optim.SGD(model.parameters(), lr=0.1), not {in_short(optimizer)}"
            )
        return Step(function, optimizer, cache_size, threads, dtype, engine, devices)
    kind = Predict if is_module else LossAndGradient
    return kind(function, cache_size, threads, dtype, engine, devices)


class Compiled:
    """A compiled function: it keeps its programs, and runs them.

    >>> from micrograd_plus.engine import Value
    >>> w = Value(2.0)
    >>> loss = compile(lambda x: (w * x) ** 2)
    >>> isinstance(loss, Compiled), loss([1.0])
    (True, 4.0)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        cache_size: int = 64,
        threads: int | None = None,
        dtype: Any = "float64",
        engine: str = "native",
        devices: int | str | None = None,
        optimizer: Any = None,
    ) -> None:
        self.function, self.engine = function, engine
        self._settings = cache_size, threads, dtype, engine, devices
        new_machine = engine_of(engine, devices)
        if engine != "native" and threads is not None:
            raise ValueError(f"threads are for engine='native'; {engine} has its own")
        self.threads = None if threads is None else whole_number("threads", threads)
        self._tasks = {d: Task(d, (), threads=self.threads) for d in (False, True)}
        self.dtype = dtype_of(dtype)
        self.argument_names = _argument_names(function)
        self._spare: list[Examples] = []  # the last call's, whose memory the next may use
        self._others: OrderedDict[Sizes | None, Examples] = OrderedDict()  # those of other sizes
        size = whole_number("cache_size", cache_size)
        self._programs = Programs(
            function, size, self._known, self._accept, optimizer, self.dtype, new_machine
        )

    @property
    def programs(self) -> dict[Key, Program]:
        """The program of each shape of the arguments, the last used last."""
        return {key: entry.program for key, entry in self._programs.entries.items()}

    def __reduce__(self) -> Any:
        """A copy of it, and what a pickle gives, records its function again."""
        return type(self), (self.function, *self._settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._shown())})"

    def _shown(self) -> list[str]:
        """What `repr` shows: of dtypes and engines only another one than the default."""
        shown = [name_of(self.function)]
        shown += [f"dtype={self.dtype.name!r}"] * (self.dtype is not FLOAT64)
        return [*shown, *[f"engine={self.engine!r}"] * (self.engine != "native")]

    _repr_mimebundle_ = mimebundle

    def __str__(self) -> str:
        entries, most = self._programs.entries, self._programs.most
        lines = [f"{self!r}: {len(entries)} program{'s' * (len(entries) != 1)}, at most {most}"]
        for key, entry in entries.items():
            program = entry.program
            arguments = ", ".join(
                f"{name}: {_described(shape)}" for name, shape in zip(self.argument_names, key)
            )
            instructions = len(program.shared) + len(program.per_example)
            lines += [
                "",
                f"{arguments} · {len(self._programs.store):,} parameters",
                f"{entry.recording_size:,} recorded nodes → {program.nodes:,} simplified → "
                f"{instructions} instructions",
                str(program),
            ]
        return "\n".join(lines)

    def prepare(self, examples: Examples) -> list[Entry]:
        """The programs for all shapes of these examples, recorded if they are new."""
        return self._programs.prepare(examples)

    def examples(self, batches: Sequence[Any]) -> Examples:
        """The arguments of a call; an error if they are none."""
        names = self.argument_names
        if not batches or (names and len(batches) != len(names)):
            raise TypeError(
                f"{self!r} takes {len(names) or 'some'} arguments, {', '.join(names)}, "
                f"and was given {len(batches)}"
            )
        names = names or [f"argument {i}" for i in range(len(batches))]
        return Examples(names, batches)

    def _examples_of_a_call(self, batches: tuple[Any, ...]) -> Examples:
        """The examples of a call, in the memory of an earlier call's, if that can be."""
        try:
            examples = self._spare.pop()
        except IndexError:  # at the first call, or while that of another thread is not done
            return self.examples(batches)
        if examples.read(batches):
            return examples
        known: Examples | None = examples
        if (sizes := sizes_of(batches)) != examples.sizes:
            self._others[examples.sizes] = examples
            if len(self._others) > self._programs.most:
                self._others.popitem(last=False)
            known = self._others.pop(sizes, None)
        return known if known and known.take(batches) else self.examples(batches)

    def _keep_for_the_next_call(self, examples: Examples) -> None:
        """Keeps the memory of a call's examples, but not the user's lists and arrays."""
        examples.batches = ()
        self._spare.append(examples)

    def examples_of_the_last_call(self) -> Examples | None:
        """None before the first call, and where it would have to be recorded again."""
        last = self._spare[-1] if self._spare else None
        return last if last and not any(map(self._programs.lacks, last.shapes)) else None

    def copies(self) -> tuple[list[Value], list[Any]]:
        """As `Programs.copies`."""
        return self._programs.copies()

    def _task(self, differentiated: bool = True) -> Task:
        """How to run batches."""
        if self._programs.generators:
            return Task(differentiated, self._programs.seeds(), threads=self.threads)
        return self._tasks[differentiated]

    def _known(self) -> Sequence[Value]:
        """The parameters that are known before recording."""
        return self._programs.store.parameters

    def _accept(self, recording: Recording) -> None:
        """Raises an error if the function is not one that can be compiled so."""
        if recording.structure is not None:
            raise TypeError(
                f"{name_of(self.function)} is compiled as the loss of one example, and returned "
                "a list: return one Value; for predictions, compile a Module"
            )
        if not any(recording.graph.used()):
            raise ValueError(
                f"the loss that {name_of(self.function)} returns depends on no parameter: nothing "
                "could be learned"
            )


class Predict(Compiled):
    """The outputs of a Module: predict(X) gives one row for each example.

    An array where NumPy is installed and all rows have one shape, else nested lists.

    >>> from micrograd_plus.nn import Linear
    >>> layer = Linear(2, 1)
    >>> layer.load_state_dict({"weight": [[3.0, -1.0]], "bias": [0.5]})
    >>> predict = compile(layer)
    >>> [float(y) for (y,) in predict([[1.0, 2.0], [0.0, 0.0]])]
    [1.5, 0.5]
    """

    def __call__(self, *batches: Any) -> Any:
        """The outputs for every example of the batch."""
        if recorder() is not None:
            return self.function(*batches)
        examples = self._examples_of_a_call(batches)
        programs = self._programs
        entries = programs.prepare(examples)
        batch = programs.in_one_batch(examples, stored=True)
        programs.run(batch, 0, 1, self._task(differentiated=False))
        self._keep_for_the_next_call(examples)
        if len(entries) == 1 and has_numpy() and (size := entries[0].output_shape) is not None:
            import numpy as np

            return np.reshape(batch.outputs, (examples.count, *size))
        return outputs_of(examples.kinds, entries, batch.outputs)

    def _known(self) -> Sequence[Value]:
        return list(self.function.parameters())  # type: ignore[attr-defined]

    def _accept(self, recording: Recording) -> None:
        pass


class LossAndGradient(Compiled):
    """The mean loss of a batch; the parameters' `grad` is then its gradient.

    >>> from micrograd_plus.engine import Value
    >>> w = Value(2.0)
    >>> loss = compile(lambda x, y: (w * x - y) ** 2)
    >>> loss([1.0, 2.0], [0.0, 0.0]), w.grad
    (10.0, 10.0)
    """

    def __call__(self, *batches: Any) -> float:
        """The mean loss over the examples, each of which is one loss_fn(x, y)."""
        return self._mean_loss(batches, differentiated=True)

    def loss(self, *batches: Any) -> float:
        """The mean loss over the examples, as of held-out ones: no `grad` and no parameter changes.

        It runs the programs of the calls: only new shapes of the arguments are recorded.
        """
        return self._mean_loss(batches, differentiated=False)

    def _mean_loss(self, batches: tuple[Any, ...], differentiated: bool) -> float:
        if recorder() is not None:
            self._refuse_recording()
        examples = self._examples_of_a_call(batches)
        programs = self._programs
        programs.prepare(examples)
        batch = programs.in_one_batch(examples)
        loss = programs.run(batch, 0, 1, self._task(differentiated)).losses[0]
        self._keep_for_the_next_call(examples)
        return loss

    def _refuse_recording(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be part of a function that is recorded")


class Step(LossAndGradient):
    """One update of the parameters for each call, or many updates in one call of `run`.

    step(X, y) returns the mean loss before the update; the parameters' `grad` is then its
    gradient. These, and the optimizer's state and settings, can be read and changed at any time.
    Their numbers stay in the program's memory until then, so that a call copies nothing.

    >>> from micrograd_plus.engine import Value
    >>> from micrograd_plus.optim import SGD
    >>> w = Value(2.0)
    >>> step = compile(lambda x, y: (w * x - y) ** 2, SGD([w], lr=0.1))
    >>> step([1.0, 2.0], [0.0, 0.0]), w.data
    (10.0, 1.0)
    >>> losses = step.run([1.0, 2.0], [0.0, 0.0], epochs=50, progress=False)
    >>> len(losses), abs(w.data) < 1e-6
    (50, True)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        optimizer: Any,
        cache_size: int = 64,
        threads: int | None = None,
        dtype: Any = "float64",
        engine: str = "native",
        devices: int | str | None = None,
    ) -> None:
        self.optimizer = optimizer
        self._pace: tuple[tuple[Any, ...], int] = (), 1  # of the last run: its kind, a part's steps
        super().__init__(function, cache_size, threads, dtype, engine, devices, optimizer)

    def __reduce__(self) -> Any:
        return type(self), (self.function, self.optimizer, *self._settings)

    def __repr__(self) -> str:
        name, *others = self._shown()
        return f"Step({', '.join([name, repr(self.optimizer), *others])})"

    def run(
        self,
        *batches: Any,
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: random.Random | None = None,
        schedule: Any = None,
        progress: bool = True,
    ) -> list[float]:
        """Runs many updates; returns the mean loss of each step, before its update.

        batch_size: all examples at once unless a number is given.
        shuffle: a new order for each epoch, from `generator`, which starts from seed 0.
        schedule: one of `optim`, stepped after every step.
        progress: whether to show a bar, if it takes longer than a second.

        After Ctrl-C the parameters, the optimizer and the schedule are as after the last whole
        step.
        """
        settings = (epochs, batch_size, shuffle, generator, schedule, progress)
        return [loss for part in self.parts(batches, *settings) for loss in part]

    def parts(
        self,
        batches: Sequence[Any],
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: random.Random | None = None,
        schedule: Any = None,
        progress: bool = True,
    ) -> Iterator[list[float]]:
        """As `run`, in parts of about 0.1 s: yields the losses of each part.

        Between two parts, what the steps change can be read and saved.
        """
        if recorder() is not None:
            self._refuse_recording()
        if schedule is not None:
            schedule.require(self.optimizer)
        examples = self.examples(batches)
        epochs = whole_number("epochs", epochs)
        size = examples.count if batch_size is None else whole_number("batch_size", batch_size)
        self.prepare(examples)
        generator = generator_or(random.Random(0), generator)
        shuffler = generator if shuffle else None
        steps_each = -(-examples.count // size)
        with progress_bar(epochs * steps_each, "step", progress, delay=1) as bar:
            done = 0
            while done < epochs:
                at_once = max(1, min(epochs - done, _MOST_STEPS // steps_each))
                if shuffler:
                    at_once = min(at_once, max(1, _MOST_SHUFFLED // examples.count))
                    orders = [shuffled(examples.count, shuffler) for _ in range(at_once)]
                    batches_ = self._programs.in_batches(examples, orders, size)
                else:
                    batches_ = self._programs.in_batches(
                        examples, [range(examples.count)], size, repeat=at_once
                    )
                task = self._task()
                count = at_once * steps_each
                for outcome in self._in_parts(batches_, count, task, examples, size, schedule):
                    bar.update(len(outcome.losses))
                    yield outcome.losses
                done += at_once

    def _in_parts(
        self, batches: Batches, count: int, task: Task, examples: Examples, batch_size: int,
        schedule: Any = None, first: int = 0,
    ) -> Iterator[Outcome]:  # fmt: skip
        """Runs steps `first` to `count` in parts of about 0.1 s: Ctrl-C is handled between them.

        The first part is as long as the last one's time suggests, if the last run had such batches,
        of examples of the same shapes. A guarded run ends early after a step that could not be
        completed.
        """
        kind = batch_size, frozenset(examples.shapes)
        done, part = first, self._pace[1] if self._pace[0] == kind else 1
        while done < count:
            started = time.perf_counter()
            at_once = min(part, count - done)
            with self._ahead(schedule, at_once) as rates:
                outcome = self._run_steps(batches, done, at_once, replace(task, rates=rates))
            done += outcome.completed
            yield outcome
            if outcome.completed < at_once:
                return
            taken = max(time.perf_counter() - started, 1e-6)
            part = int(max(1, min(8 * part, at_once * _PART / taken)))
            self._pace = kind, part

    def _run_steps(self, batches: Batches, first: int, count: int, task: Task) -> Outcome:
        """Runs `count` steps from step `first` on."""
        return self._programs.run(batches, first, count, task)

    @contextmanager
    def _ahead(self, schedule: Any, count: int) -> Iterator[list[float]]:
        """The learning rates of the next `count` steps; none without a schedule.

        The schedule is stepped ahead for them. If fewer steps are completed, as after Ctrl-C, it
        starts again from where it was, and is stepped as often as there were steps.
        """
        rates: list[float] = []
        if schedule is None:
            yield rates
            return
        machine, optimizer = self._programs.machine, self.optimizer
        before, lr = dict(vars(schedule)), optimizer.lr
        machine.completed = 0
        try:
            for _ in range(count):
                rates.append(optimizer.lr)
                schedule.step()
            yield rates
        finally:
            if machine.completed < count:
                vars(schedule).update(before)
                optimizer.lr = lr
                for _ in range(machine.completed):
                    schedule.step()

    def _accept(self, recording: Recording) -> None:
        super()._accept(recording)
        if not self._programs.store.moves_any(recording.graph):
            raise ValueError(
                "the optimizer moves none of the parameters that the loss depends on: make it "
                "from model.parameters() of this model"
            )


class Training(Step):
    """A `Step` for `fit`, whose function returns (loss, prediction).

    An epoch gives the predictions too, can begin in its middle, and ends before the update of a
    step whose loss or gradient is not finite. The first steps measure how many threads are the
    fastest.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        optimizer: Any,
        most_threads: int,
        engine: str = "native",
        devices: int | str | None = None,
    ) -> None:
        self._choice = Choice(min(most_threads, MOST_PARTS))
        super().__init__(function, optimizer, engine=engine, devices=devices)
        self.threads = self._choice.threads

    @property
    def parameters(self) -> list[Value]:
        """Those whose gradients an epoch sets."""
        return self._programs.store.parameters

    def seeds(self, examples: Examples) -> list[int]:
        """New seeds for the random numbers of an epoch."""
        self.prepare(examples)
        return self._programs.seeds()

    def epoch(
        self,
        examples: Examples,
        order: Sequence[int],
        batch_size: int,
        clip: float,
        seeds: Sequence[int],
        first: int = 0,
    ) -> Iterator[tuple[list[float], list[float], Any]]:
        """Runs the steps of an epoch from step `first` on, in parts of about 0.1 s.

        Yields, for each part, the loss and the gradient's length of each step, and for each of
        their examples a row of outputs: the loss, and the numbers of the prediction. If there are
        fewer steps than batches, the last step was not completed.
        """
        entries = self.prepare(examples)
        self._programs.require_seeds(seeds)
        if batch_size >= len(order) and order == list(range(len(order))):
            batches = self._programs.in_one_batch(examples, stored=True)
        else:
            batches = self._programs.in_batches(examples, [order], batch_size, stored=True)
        task = Task(True, seeds, clip=clip, guarded=True, threads=self.threads)
        kinds = [examples.kinds[i] for i in order]
        sizes = [len(entry.program.outputs) for entry in entries]
        begin = first * batch_size
        stored = sum(sizes[kind] for kind in kinds[:begin])
        count = -(-len(order) // batch_size)
        for outcome in self._in_parts(batches, count, task, examples, batch_size, first=first):
            part = kinds[begin : begin + len(outcome.losses) * batch_size]
            end = stored + sum([sizes[kind] for kind in part])
            rows = rows_of(part, entries, batches.outputs[stored:end])
            begin, stored = begin + len(part), end
            yield outcome.losses, outcome.norms, rows

    def loss_of(self, examples: Examples, order: Sequence[int]) -> float:
        """The mean loss of these examples, with the parameters as they are now.

        It draws no random numbers from the generators: those of this loss begin with the seeds 0.
        """
        self.prepare(examples)
        programs = self._programs
        batches = programs.in_batches(examples, [order], len(order))
        return programs.run(batches, 0, 1, Task(False, programs.no_seeds())).losses[0]

    def go_back(self) -> None:
        """Restores the parameters and the optimizer to their state before the last update."""
        self._programs.go_back()

    def _run_steps(self, batches: Batches, first: int, count: int, task: Task) -> Outcome:
        machine = self._programs.machine
        if machine.parts(batches, first) == 1:  # for one thread
            return super()._run_steps(batches, first, count, task)
        started = time.perf_counter()
        self.threads = self._choice.threads
        outcome = super()._run_steps(batches, first, count, replace(task, threads=self.threads))
        self._choice.took(time.perf_counter() - started, count)
        return outcome

    def _accept(self, recording: Recording) -> None:
        loss, _ = recording.structure
        super()._accept(replace(recording, structure=loss))


_MOST_STEPS = 20_000  # that are put into batches at once
_MOST_SHUFFLED = 200_000  # examples that are shuffled at once
_PART = 0.1  # seconds until Ctrl-C is handled


def _argument_names(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments; none if there may be any number of them."""
    called = getattr(function, "forward", function)
    try:
        parameters = signature(called).parameters.values()
    except (TypeError, ValueError):
        return []
    if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
        return []
    return [p.name for p in parameters if p.default is Parameter.empty]


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in texts: a Module by its class."""
    return getattr(function, "__name__", type(function).__name__)


def _described(shape: Shape) -> str:
    return " × ".join(map(str, shape)) + " numbers" if shape else "a number"
