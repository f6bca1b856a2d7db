"""`compile`: a function of one example, recorded once and replayed over whole batches."""

from __future__ import annotations

import gc
import importlib.util
import random
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from inspect import Parameter, signature
from math import prod
from typing import Any, Protocol, overload

from ..context import recorder
from ..engine import Value
from ..optim.updates import Update, trace
from ..support.checks import whole_number
from ..support.nested import shape
from ..support.progress import bar as progress_bar
from .checking import check
from .examples import Examples, has_numpy
from .layout import Program, Store, lay_out
from .recording import Recording, Shape, record, refilled
from .running import NativeMachine, Outcome, PlainMachine, Plan, State, Task
from .simplify import simplify

Key = tuple[Shape, ...]


class Model(Protocol):
    """What compiles to predictions: an `nn.Module`."""

    def parameters(self) -> list[Value]:
        """Every parameter, once."""

    def __call__(self, *inputs: Any) -> Any:
        """What the module computes."""


@overload
def compile(function: Model, optimizer: None = None, *, cache_size: int = 64) -> Predict: ...
@overload
def compile(
    function: Callable[..., Value], optimizer: None = None, *, cache_size: int = 64
) -> LossAndGradient: ...
@overload
def compile(function: Callable[..., Value], optimizer: object, *, cache_size: int = 64) -> Step: ...


def compile(
    function: Callable[..., Any], optimizer: Any = None, *, cache_size: int = 64
) -> Compiled:
    """Records `function` at its first call and replays it, over whole batches, ever after.

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

    The numbers are those of eager code but for the order in which sums are added, with one
    exception. The gradient of what is computed once for each batch is summed over the examples
    before it goes on. Where it meets an infinite derivative, as that of sqrt(w) for w = 0, eager
    code may add inf and -inf, which is nan, and the compiled program multiplies the sum by inf.
    """
    if not callable(function) or isinstance(function, Compiled):
        raise TypeError(f"compile takes a function or a Module, not {function!r}")
    is_module = hasattr(function, "parameters")
    if optimizer is not None:
        if isinstance(optimizer, type) or not hasattr(optimizer, "update"):
            raise TypeError(f"the second argument of compile is an optimizer, not {optimizer!r}")
        return Step(function, optimizer, cache_size)
    return (Predict if is_module else LossAndGradient)(function, cache_size)


@dataclass
class _Entry:
    """A program, and what must be known to use it again.

    modes: the modules that took part, and whether they were in training.
    """

    program: Program
    structure: Any
    recording_size: int
    requirements: list[Any]
    modes: list[tuple[Any, bool]]

    def is_current(self) -> bool:
        """Whether all modules are in the mode in which they were recorded."""
        return all(module.training == mode for module, mode in self.modes)


class Compiled:
    """What every compiled function can do: keep programs, and run them.

    programs: the program of each shape of the arguments, the last used last.
    """

    def __init__(self, function: Callable[..., Any], cache_size: int = 64) -> None:
        self.function = function
        self.cache_size = whole_number("cache_size", cache_size)
        self.argument_names = _argument_names(function)
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._store = Store(self._moved())
        self._machine: Any = None
        self._loaded: dict[Key, Program] = {}  # the programs that the machine has, in its order
        self._order: list[Value] = []

    @property
    def programs(self) -> dict[Key, Program]:
        """The program of each shape of the arguments, the last used last."""
        return {key: entry.program for key, entry in self._entries.items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_name(self.function)})"

    def __str__(self) -> str:
        count = len(self._entries)
        lines = [f"{self!r}: {count} program{'s' * (count != 1)}, at most {self.cache_size}"]
        for key, entry in self._entries.items():
            program = entry.program
            arguments = ", ".join(
                f"{name}: {_described(shape)}" for name, shape in zip(self.argument_names, key)
            )
            instructions = len(program.shared) + len(program.laned)
            lines += [
                "",
                f"{arguments} · {len(self._store):,} parameters",
                f"{entry.recording_size:,} recorded nodes → {program.nodes:,} simplified → "
                f"{instructions} instructions",
                str(program),
            ]
        return "\n".join(lines)

    # ---- what differs

    def _moved(self) -> Sequence[Value]:
        """The parameters that an optimizer moves."""
        return ()

    def _known(self) -> Sequence[Value]:
        """The parameters that are known before recording."""
        return list(self._store.slots)

    # ---- programs

    def _examples(self, batches: Sequence[Any]) -> Examples:
        names = self.argument_names
        if not batches or (names and len(batches) != len(names)):
            raise TypeError(
                f"{self!r} takes {len(names) or 'some'} arguments, {', '.join(names)}, "
                f"and was given {len(batches)}"
            )
        names = names or [f"argument {i}" for i in range(len(batches))]
        return Examples(names, batches)

    def prepare(self, examples: Examples) -> list[_Entry]:
        """The programs for all shapes of these examples, recorded if they are new."""
        if len(examples.shapes) > self.cache_size:
            raise ValueError(
                f"these examples have {len(examples.shapes)} different shapes, and the cache holds "
                f"{self.cache_size}: pass cache_size={len(examples.shapes)} to compile"
            )
        while missing := [key for key in examples.shapes if self._lacks(key)]:
            key = max(missing, key=_size)  # the longest sequence reaches the most parameters
            example = examples[examples.kinds.index(examples.shapes.index(key))]
            self._entries[key] = self._record(key, example)
        for key in examples.shapes:
            self._entries.move_to_end(key)
        while len(self._entries) > self.cache_size:
            self._entries.popitem(last=False)
        entries = [self._entries[key] for key in examples.shapes]
        for kind, entry in enumerate(entries):
            examples.require(entry.requirements, kind)
        programs = zip(examples.shapes, entries)
        if any(self._loaded.get(key) is not entry.program for key, entry in programs):
            self._load()
        return entries

    def _lacks(self, key: Key) -> bool:
        """Whether this shape must be recorded."""
        entry = self._entries.get(key)
        return entry is None or not entry.is_current()

    def _record(self, key: Key, example: Sequence[Any]) -> _Entry:
        with _no_garbage():
            return self._prepared(key, example)

    def _prepared(self, key: Key, example: Sequence[Any]) -> _Entry:
        recording = record(self.function, key, self._known())
        self._accept(recording)
        check(self.function, recording, example)
        known = len(self._store)
        self._store.add(recording.parameters)
        if len(self._store) != known:  # the other programs have their numbers in these places
            self._entries.clear()
            self._forget_machine()
        program = lay_out(simplify(recording), self._store, len(recording.inputs))
        return _Entry(
            program=program,
            structure=recording.structure,
            recording_size=len(recording.order),
            requirements=recording.requirements,
            modes=[(module, module.training) for module in recording.modules],
        )

    def _accept(self, recording: Recording) -> None:
        """Raises an error if the function is not one that can be compiled so."""
        if recording.structure is not None:
            raise TypeError(
                f"{_name(self.function)} is compiled as the loss of one example, and returned "
                "a list: return one Value; for predictions, compile a Module"
            )
        if not recording.parameters:
            raise ValueError(
                f"the loss that {_name(self.function)} returns depends on no parameter: nothing "
                "could be learned"
            )

    def _load(self) -> None:
        """Hands all programs to the machine, a new one if there is none."""
        if self._machine is None:
            self._order = self._store.in_order()
            self._machine = self._new_machine(len(self._store))
        self._loaded = self.programs
        self._machine.load(list(self._loaded.values()))

    def _forget_machine(self) -> None:
        """The next programs get a new machine."""
        self._machine, self._loaded = None, {}

    def _new_machine(self, parameters: int, optimizer: Any = None, update: Any = None) -> Any:
        if not is_native():
            _note_slowness()
        kind = NativeMachine if is_native() else PlainMachine
        return kind(parameters, self._store.moved, optimizer, update)

    # ---- running

    def _plan(
        self, examples: Examples, orders: Sequence[Sequence[int]], batch_size: int,
        repeat: int = 1, stored: bool = False,
    ) -> Any:  # fmt: skip
        """The steps that take these orders of the examples in batches, `repeat` times over.

        With `stored`, the outputs are stored, in the order of the examples.
        """
        numbers = {key: number for number, key in enumerate(self._loaded)}
        programs = [numbers[key] for key in examples.shapes]
        sizes = [len(self._entries[key].program.outputs) for key in examples.shapes]
        kinds, beginnings = examples.kinds, examples.starts
        starts: list[int] = []
        output_starts: list[int] = []
        groups: list[int] = []
        ends: list[int] = []
        stored_before = 0
        for order in orders:
            for begin in range(0, len(order), batch_size):
                alike: dict[int, list[int]] = {}  # the examples of each kind
                for i in order[begin : begin + batch_size]:
                    alike.setdefault(kinds[i], []).append(i)
                for kind, members in alike.items():
                    groups += (programs[kind], len(starts), len(members))
                    starts += [beginnings[i] for i in members]
                ends.append(len(groups) // 3)
                if stored:
                    place = {}
                    for i in order[begin : begin + batch_size]:
                        place[i] = stored_before
                        stored_before += sizes[kinds[i]]
                    output_starts += [place[i] for members in alike.values() for i in members]
        steps = [0, *[end + k * ends[-1] for k in range(repeat) for end in ends]]
        outputs = [0.0] * stored_before
        return self._machine.plan(
            Plan(examples.inputs, starts, groups * repeat, steps, output_starts, outputs)
        )

    def _push(self) -> None:
        self._machine.write([parameter.data for parameter in self._order])

    def _pull(self) -> None:
        data, grad = self._machine.read()
        for parameter, number, gradient in zip(self._order, data, grad):
            parameter.data = number
            parameter.grad = gradient

    def _seeds(self) -> list[int]:
        """A seed for each random number of each program, drawn from its own generator."""
        generators = [g for program in self._loaded.values() for g in program.generators]
        drawn = {g: (g or random).getrandbits(62) for g in dict.fromkeys(generators)}
        return [drawn[g] for g in generators]

    def _outputs(self, kinds: Iterable[int], entries: Sequence[_Entry], flat: Any) -> list[Any]:
        """The outputs of examples of these kinds, as the function returned them."""
        numbers, to = flat.tolist() if hasattr(flat, "tolist") else flat, 0
        rows = []
        for kind in kinds:
            structure, size = entries[kind].structure, len(entries[kind].program.outputs)
            rows.append(refilled(structure, iter(numbers[to : to + size])))
            to += size
        return rows


class Predict(Compiled):
    """The outputs of a Module: predict(X) gives one row for each example.

    An array where NumPy is installed and all rows have one shape, else nested lists.
    """

    def __call__(self, *batches: Any) -> Any:
        """The outputs for every example of the batch."""
        if recorder() is not None:
            return self.function(*batches)
        examples = self._examples(batches)
        entries = self.prepare(examples)
        self._push()
        plan = self._plan(examples, [range(examples.count)], examples.count, stored=True)
        self._machine.run(plan, 0, 1, Task(False, self._seeds()), serial=0)
        if len(entries) == 1 and has_numpy():
            import numpy as np

            with suppress(ValueError):  # lists of different lengths, as an LSTM gives, are no array
                size = shape(entries[0].structure)
                return np.reshape(plan.outputs, (examples.count, *size))
        return self._outputs(examples.kinds, entries, plan.outputs)

    def _known(self) -> Sequence[Value]:
        return list(self.function.parameters())  # type: ignore[attr-defined]

    def _accept(self, recording: Recording) -> None:
        pass


class LossAndGradient(Compiled):
    """The mean loss of a batch; the parameters' `grad` is then its gradient."""

    def __call__(self, *batches: Any) -> float:
        """The mean loss over the examples, each of which is one loss_fn(x, y)."""
        self._refuse_recording()
        examples = self._examples(batches)
        self.prepare(examples)
        self._push()
        plan = self._plan(examples, [range(examples.count)], examples.count)
        outcome = self._machine.run(plan, 0, 1, Task(True, self._seeds()), serial=0)
        self._pull()
        return float(outcome.losses[0])

    def _refuse_recording(self) -> None:
        if recorder() is not None:
            raise TypeError(f"{self!r} cannot be part of a function that is recorded")


class Step(LossAndGradient):
    """One update of the parameters for each call, or many at a stretch by `run`.

    step(X, y) returns the mean loss before the update; the parameters' `grad` is then its
    gradient. What `optimizer` remembers, and its settings, are its own at any time.
    """

    def __init__(self, function: Callable[..., Any], optimizer: Any, cache_size: int = 64) -> None:
        self.optimizer = optimizer
        self._settings: Any = None
        self._memory: Any = None
        super().__init__(function, cache_size)

    def __repr__(self) -> str:
        return f"Step({_name(self.function)}, {self.optimizer!r})"

    def __call__(self, *batches: Any) -> float:
        """One update on a batch; the mean loss before it."""
        return self.run(*batches, progress=False)[0]

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
        """Many updates at a stretch; the mean loss of each step, before its update.

        batch_size: all examples at once unless a number is given.
        shuffle: a new order for each epoch, from `generator`, which starts from seed 0.
        schedule: one of `optim`, moved on after every step.
        progress: whether to show a bar, if it takes longer than a second.

        After Ctrl-C the parameters are those of the last whole step.
        """
        self._refuse_recording()
        if schedule is not None:
            schedule.require(self.optimizer)
        examples = self._examples(batches)
        epochs = whole_number("epochs", epochs)
        size = examples.count if batch_size is None else whole_number("batch_size", batch_size)
        self.prepare(examples)
        shuffler = (generator or random.Random(0)) if shuffle else None
        steps_each = -(-examples.count // size)
        losses: list[float] = []
        with self._running(), progress_bar(epochs * steps_each, "step", progress, delay=1) as bar:
            done = 0
            while done < epochs:
                at_once = max(1, min(epochs - done, _MOST_STEPS // steps_each))
                if shuffler:
                    at_once = min(at_once, max(1, _MOST_SHUFFLED // examples.count))
                    orders = [_shuffled(examples.count, shuffler) for _ in range(at_once)]
                    plan = self._plan(examples, orders, size)
                else:
                    plan = self._plan(examples, [range(examples.count)], size, repeat=at_once)
                task = Task(True, self._seeds())
                for outcome in self._stretches(plan, at_once * steps_each, task, schedule):
                    losses += outcome.losses
                    bar.update(len(outcome.losses))
                done += at_once
        return losses

    def _stretches(
        self, plan: Any, count: int, task: Task, schedule: Any = None
    ) -> Iterator[Outcome]:
        """Runs the plan's steps, so many at a stretch that Ctrl-C is heard in between.

        With a schedule it is one step at a time, as each has a learning rate of its own. A
        guarded run ends early after a step that could not be completed.
        """
        done, stretch = 0, 1
        while done < count:
            started = time.perf_counter()
            at_once = min(stretch, count - done)
            outcome = self._machine.run(plan, done, at_once, task, done << 32)
            done += outcome.completed
            yield outcome
            if outcome.completed < at_once:
                return
            if schedule is not None:
                schedule.step()
                continue
            taken = max(time.perf_counter() - started, 1e-6)
            stretch = int(max(1, min(8 * stretch, stretch * _STRETCH / taken)))

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Hands everything to the machine and takes it back, whatever happens."""
        self._push()
        is_here = self._memory is not None and self._memory.machine is self._machine
        if not (is_here and self.optimizer.has_lent_state_to(self._memory)):
            self._memory = _Memory(self._machine, self._order, self.optimizer)
            self._memory.push(self._update)
        try:
            yield
        finally:
            self._pull()
            self.optimizer.lend_state_to(self._memory)

    # ---- the optimizer

    def _moved(self) -> Sequence[Value]:
        return list(self.optimizer.parameters)

    def _known(self) -> Sequence[Value]:
        return [*self._moved(), *super()._known()]

    def _accept(self, recording: Recording) -> None:
        super()._accept(recording)
        if set(recording.parameters).isdisjoint(self.optimizer.parameters):
            raise ValueError(
                "the optimizer moves none of the parameters that the loss depends on: make it "
                "from model.parameters() of this model"
            )

    def prepare(self, examples: Examples) -> list[_Entry]:
        """As before, and the optimizer's formula, if its settings are new."""
        settings = {**self.optimizer.settings, "lr": None}
        if settings != self._settings:
            self._update = trace(self.optimizer)
            self._settings = settings
            self._forget_machine()
        return super().prepare(examples)

    def _new_machine(self, parameters: int, optimizer: Any = None, update: Any = None) -> Any:
        return super()._new_machine(parameters, self.optimizer, self._update)


class Training(Step):
    """A `Step` for `fit`, whose function returns (loss, prediction).

    An epoch gives the predictions too, and ends before the update of a step whose loss or
    gradient is not finite.
    """

    def epoch(
        self, examples: Examples, order: Sequence[int], batch_size: int, clip: float
    ) -> tuple[list[float], list[float], list[Any]]:
        """The loss and the gradient's length of each step, and the examples' predictions.

        If there are fewer steps than batches, the last one is that which was not completed.
        """
        entries = self.prepare(examples)
        plan = self._plan(examples, [order], batch_size, stored=True)
        task = Task(True, self._seeds(), clip=clip, guarded=True)
        losses: list[float] = []
        norms: list[float] = []
        with self._running():
            for outcome in self._stretches(plan, -(-len(order) // batch_size), task):
                losses += outcome.losses
                norms += outcome.norms
        rows = self._outputs([examples.kinds[i] for i in order], entries, plan.outputs)
        return losses, norms, [prediction for _, prediction in rows]

    def go_back(self) -> None:
        """To where the parameters and the optimizer were before the last update."""
        self._machine.restore()
        self._pull()
        self.optimizer.lend_state_to(self._memory)

    def _accept(self, recording: Recording) -> None:
        loss, _ = recording.structure
        super()._accept(replace(recording, structure=loss))


class _Memory:
    """What an optimizer remembers, in a machine's memory; called, it gives it back."""

    def __init__(self, machine: Any, order: Sequence[Value], optimizer: Any) -> None:
        self.machine, self.optimizer = machine, optimizer
        slots = {parameter: slot for slot, parameter in enumerate(order[: machine.moved])}
        self.slots = [slots[parameter] for parameter in optimizer.parameters]

    def push(self, update: Update) -> None:
        """Copies the optimizer's state into the machine; ValueError if it is not whole."""
        states, names = self.optimizer.state, [*update.kept, *update.counted]
        begun = any(states)
        for state in states:
            if begun and state.keys() != {*names}:
                raise ValueError(
                    f"the optimizer remembers {sorted(state)} of one parameter, and not "
                    f"{sorted(names)}: load a whole state_dict, or make a new optimizer"
                )
        for name in update.counted:
            if begun and len({state[name] for state in states}) > 1:
                raise ValueError(f"the optimizer's parameters differ in {name!r}")
        by_slot = dict(zip(self.slots, states))
        self.machine.write_state([by_slot[slot] for slot in range(len(states))])

    def __call__(self) -> list[State]:
        """The optimizer's state, one dictionary for each parameter."""
        states = self.machine.read_state()
        return [states[slot] for slot in self.slots]


# ---- words and small things

_MOST_STEPS = 20_000  # that are planned at once
_MOST_SHUFFLED = 200_000  # examples, likewise
_STRETCH = 0.1  # seconds between two moments at which Ctrl-C is heard


def is_native() -> bool:
    """Whether numba is there."""
    return has_numpy() and importlib.util.find_spec("numba") is not None


@cache
def _note_slowness() -> None:
    """Says once how to get the speed."""
    warnings.warn(
        "numba is not installed: compiled programs run in plain Python, correct but slow; "
        'pip install "micrograd-plus[fast]" makes them some thousand times faster',
        stacklevel=2,
    )


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Holds off the search for garbage, which a million new objects would start again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _size(key: Key) -> int:
    """How many numbers the arguments hold."""
    return sum(map(prod, key))


def _described(shape: Shape) -> str:
    return " × ".join(map(str, shape)) + " numbers" if shape else "a number"


def _shuffled(count: int, generator: random.Random) -> list[int]:
    order = list(range(count))
    generator.shuffle(order)
    return order
