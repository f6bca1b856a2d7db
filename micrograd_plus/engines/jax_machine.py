"""The machine that runs programs in JAX, with the methods that every machine has.

The parameters are on the device, in a few arrays, and so are their gradients. A run is one call of
compiled code for up to a thousand steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

from ..compiler.batches import Batches, Outcome, Task
from ..compiler.dtypes import FLOAT64, Dtype
from ..compiler.layout import Program
from ..compiler.optimizer_memory import numbers_of, states_of
from ..optim.updates import Update
from ..support.checks import whole_number
from .jax_code import JaxCode
from .jax_steps import AXIS, MOST_STEPS, Kind, State, Steps, compiled
from .pieces import Pieces


@dataclass
class Rows:
    """Batches on the device.

    programs: the number of each that is used. rows: for each, [groups, examples, inputs].
    order: where in the inputs of all examples these are, or None where they are in this order.
    table: as `jax_steps.Steps` takes it. masked: whether a batch is filled up.
    places: for each program, where in `outputs` the numbers of each example belong.
    starts: as in `batches.Batches`.
    """

    programs: list[int]
    rows: list[Any]
    order: list[Any]
    table: Any
    masked: bool
    places: list[Any]
    outputs: Any
    starts: Any


class JaxMachine:
    """Runs programs in JAX, as `compiler.running.NativeMachine` does in machine code.

    devices: those that share each batch; none for JAX's default device.
    """

    def __init__(
        self, parameters: int, moved: int, optimizer: Any, update: Update | None, dtype: Dtype,
        devices: Sequence[Any],
    ) -> None:  # fmt: skip
        import jax
        import numpy as np

        self.np, self.jax = np, jax
        self.parameters, self.moved, self.optimizer = parameters, moved, optimizer
        self.update, self.dtype = update, dtype
        self.kept, self.counted = (update.kept, update.counted) if update else ([], [])
        self.mesh: Any = jax.sharding.Mesh(np.array(devices), (AXIS,)) if len(devices) > 1 else None
        self.shares = max(len(devices), 1)  # into which a batch is cut
        self.codes: dict[int, JaxCode] = {}  # by the program's identity
        self.loops: dict[Any, Callable[..., Any]] = {}
        self.widest: dict[JaxCode, int] = {}  # the most examples that a batch of several had
        self.completed = 0  # how many steps of the last run were completed
        self.lock = RLock()  # held while a program runs, and while numbers come or go
        self.pieces = Pieces(parameters, moved, [])
        zeros = np.zeros(parameters, dtype.name)
        with self._in_jax():
            counted = {name: np.float64(0.0) for name in self.counted}
            memory = dict.fromkeys(self.kept, self.pieces.cut(zeros[:moved]))
            data = self.pieces.cut(zeros)
            self.state, self.grad = self._everywhere((State(data, memory, counted), data))
        self.started = False  # whether the optimizer has moved the parameters
        self.before = self.state, self.started  # the last update of a guarded run

    def _in_jax(self) -> AbstractContextManager[Any]:
        """JAX with 64 bits, whatever the user's are."""
        with_64_bits: AbstractContextManager[Any] = self.jax.enable_x64(True)
        return with_64_bits if self.jax.process_count() == 1 else self._with_others(with_64_bits)

    @contextmanager
    def _with_others(self, with_64_bits: AbstractContextManager[Any]) -> Iterator[None]:
        """As `_in_jax`, where an error that ends a run on several machines is one that says so.

        JAX raises ValueError where a program has no loop.
        """
        with with_64_bits:
            try:
                yield
            except (self.jax.errors.JaxRuntimeError, ValueError) as error:
                raise RuntimeError(
                    f"process {self.jax.process_index()} of {self.jax.process_count()} lost the "
                    "others: one of them ended, or cannot be reached. Start all of them again, "
                    f"from the last checkpoint ({error})"
                ) from error

    def _everywhere(self, arrays: Any) -> Any:
        """The arrays on every device."""
        sharding = self.jax.sharding
        if self.mesh is None:
            return self.jax.device_put(arrays)
        return self._placed(arrays, sharding.PartitionSpec())

    def _placed(self, arrays: Any, spec: Any) -> Any:
        """The arrays on the devices, of which other processes may have some."""
        sharding: Any = self.jax.sharding.NamedSharding(self.mesh, spec)

        def place(array: Any) -> Any:
            given = self.np.asarray(array)
            make = self.jax.make_array_from_callback
            return make(given.shape, sharding, lambda part: given[part])

        return self.jax.tree.map(place, arrays)

    def _rounded(self, numbers: Any) -> Any:
        """The numbers as an array of the dtype; inf for those that are too large for it."""
        if self.dtype is FLOAT64:
            return self.np.asarray(numbers, float)
        with self.np.errstate(over="ignore"):
            return self.np.asarray(numbers, self.dtype.name)

    @property
    def data(self) -> Any:
        """The numbers of all parameters, as a NumPy array."""
        return self.pieces.whole(self.state.data, self.dtype.name)

    def load(self, programs: Sequence[Program]) -> None:
        """Takes these programs; a `Group` names them by their position."""
        before = self.codes
        self.codes = {}
        for program in programs:
            code = before.get(id(program))
            self.codes[id(program)] = code or JaxCode(program, self.dtype.name)
        alive = set(self.codes.values())
        self.loops = {key: loop for key, loop in self.loops.items() if alive.issuperset(key[0])}
        self.widest = {code: widest for code, widest in self.widest.items() if code in alive}
        arrays = [code.weights.values() for code in self.codes.values()]
        pieces = Pieces(self.parameters, self.moved, arrays)
        if pieces != self.pieces:
            numbers, states = self.read(), self.read_state()
            self.pieces, self.loops = pieces, {}
            self.write(*numbers)
            self.write_state(states)
            self.before = self.state, self.started

    # ---- what the user sees

    def read(self) -> tuple[list[float], list[float]]:
        """The numbers and the gradients of all parameters."""
        return self.data.tolist(), self.pieces.whole(self.grad, self.dtype.name).tolist()

    def write(self, data: Sequence[float], grad: Sequence[float]) -> None:
        """Sets the numbers and the gradients of all parameters."""
        with self._in_jax():
            both = [self.pieces.cut(self._rounded(numbers)) for numbers in (data, grad)]
            own, self.grad = self._everywhere(both)
            self.state = self.state._replace(data=own)

    def copy_from(self, other: Any, places: Sequence[int]) -> None:
        """Sets the numbers of all parameters to those at these places of another machine."""
        with self._in_jax():
            numbers = self._rounded(self.np.take(other.data, places))
            self.state = self.state._replace(data=self._everywhere(self.pieces.cut(numbers)))

    def read_state(self) -> list[dict[str, float]]:
        """The optimizer's state for each parameter that it moves."""
        if not self.started:
            return [{} for _ in range(self.moved)]
        memory, counted = self.state.memory, self.state.counted
        rows = self.np.array(
            [self.pieces.whole(memory[name], self.dtype.name) for name in self.kept]
        )
        return states_of(
            self.kept, rows.reshape(-1, self.moved), self.counted, list(counted.values())
        )

    def write_state(self, states: Sequence[dict[str, float]]) -> None:
        """Sets the optimizer's state: for all parameters, or for none."""
        self.started = any(states)
        rows: Any = self.np.zeros((len(self.kept), self.moved))
        counts: Any = self.np.zeros(len(self.counted))
        if self.started:
            rows, counts = numbers_of(self.kept, self.counted, states)
        memory = dict(zip(self.kept, map(self.pieces.cut, self._rounded(rows))))
        counted = dict(zip(self.counted, map(self.np.float64, counts)))
        with self._in_jax():
            memory, counted = self._everywhere((memory, counted))
            self.state = self.state._replace(memory=memory, counted=counted)

    def restore(self) -> None:
        """Undoes the last update of a guarded run."""
        self.state, self.started = self.before

    # ---- batches

    def take(self, batches: Batches) -> Rows:
        """The batches on the device, each filled up to as many examples as the largest has."""
        with self._in_jax():
            return self._take(batches)

    def _take(self, batches: Batches) -> Rows:
        np = self.np
        codes = list(self.codes.values())
        group_of: dict[int, dict[int, int]] = {}  # for each program: first example → its group
        for group in batches.groups:
            groups = group_of.setdefault(group.program, {})
            groups.setdefault(group.first, len(groups))
        programs = list(group_of)
        steps = len(batches.steps) - 1
        table = np.zeros((3, len(programs), _power(steps)), np.int32)
        sizes = [np.zeros(len(groups), np.int64) for groups in group_of.values()]
        number = {program: k for k, program in enumerate(programs)}
        for s in range(steps):
            offset = 0
            for group in batches.groups[batches.steps[s] : batches.steps[s + 1]]:
                k = number[group.program]
                d = group_of[group.program][group.first]
                table[:, k, s] = d, group.size, offset
                sizes[k][d] = group.size
                offset += group.size
        inputs, starts = self._rounded(batches.inputs), np.array(batches.starts, np.int64)
        output_starts = np.array(batches.output_starts, np.int64)
        taken = Rows(programs, [], [], self._everywhere(table), False, [], None, starts)
        taken.outputs = np.zeros(len(batches.outputs), self.dtype.name)
        for k, (program, groups) in enumerate(group_of.items()):
            code, widest = codes[program], int(sizes[k].max())
            if len(programs) > 1:  # these differ from shuffle to shuffle
                widest = self.widest[code] = max(_power(widest), self.widest.get(code, 0))
            widest = -(-widest // self.shares) * self.shares
            count = len(groups) if len(groups) == 1 else _power(len(groups))
            firsts = np.resize(np.array(list(groups), np.int64), count)
            lanes = np.minimum(np.arange(widest), np.resize(sizes[k], count)[:, None] - 1)
            examples = firsts[:, None] + lanes
            taken.masked = taken.masked or bool((sizes[k] < widest).any())
            order = starts[examples][:, :, None] + np.arange(code.program.inputs)
            taken.rows.append(self._shared(inputs[order]))
            is_all = order.size == len(inputs) and bool((np.diff(order.ravel()) == 1).all())
            taken.order.append(None if is_all else order)
            if len(taken.outputs):
                places = output_starts[examples][:, :, None] + np.arange(len(code.program.outputs))
                taken.places.append(places)
        return taken

    def _shared(self, rows: Any) -> Any:
        """Rows on the device, or each device's examples there."""
        if self.mesh is None:
            return self.jax.device_put(rows)
        return self._placed(rows, self.jax.sharding.PartitionSpec(None, AXIS))

    def take_again(self, batches: Rows, inputs: Any) -> Rows:
        """Batches that `take` gave, for other examples of the same shapes."""
        numbers = self._rounded(inputs)
        rows = [
            numbers.reshape(rows.shape) if order is None else numbers[order]
            for rows, order in zip(batches.rows, batches.order)
        ]
        if self.mesh is not None:  # else the call takes them there, which is faster
            with self._in_jax():
                rows = list(map(self._shared, rows))
        outputs = self.np.empty_like(batches.outputs)
        return Rows(**{**vars(batches), "rows": rows, "outputs": outputs})

    def parts(self, batches: Rows, step: int) -> int:
        """Into how many parts a step is cut for threads: JAX has its own."""
        return 1

    # ---- the run

    def run(self, batches: Rows, first: int, count: int, task: Task) -> Outcome:
        """Runs `count` steps of the batches from step `first` on."""
        losses: list[float] = []
        norms: list[float] = []
        self.completed = 0
        while self.completed < count:
            at_once = min(count - self.completed, MOST_STEPS)
            rates = task.rates[self.completed : self.completed + at_once]
            done = self._run(batches, first + self.completed, at_once, task, rates)
            self.completed += done.completed
            losses += done.losses
            norms += done.norms
            if done.completed < at_once:
                break
        return Outcome(self.completed, losses, norms)

    def _run(
        self, batches: Rows, first: int, count: int, task: Task, rates: Sequence[float]
    ) -> Outcome:
        """Runs as many steps as one call of the loop can."""
        np, codes = self.np, list(self.codes.values())
        kind = Kind(
            loops=batches.table.shape[2] > 1,
            differentiated=task.differentiated,
            guarded=task.guarded,
            clips=task.clip > 0,
            stored=len(batches.outputs) > 0,
            masked=batches.masked,
            devices=self.shares,
        )
        numbers = np.zeros(4 + kind.most)
        numbers[:4] = first, count, task.clip, self.started
        if task.differentiated and self.optimizer:
            numbers[4 : 4 + count] = rates or self.optimizer.lr
        seeds, state, before = [], self.state, None
        if task.seeds:
            ends = np.cumsum([len(code.program.generators) for code in codes])
            drawn = np.split(np.array(task.seeds, np.int64), ends)
            seeds = [drawn[program] for program in batches.programs]
        if task.guarded:
            before, _ = self.before
        if not task.differentiated:
            state = State(state.data, {}, {})
        with self._in_jax():
            loop = self._loop(tuple([codes[program] for program in batches.programs]), kind)
            result = loop(state, before, batches.rows, batches.table, numbers, seeds)
            completed = int(result.completed) if task.guarded else count
            shown = min(completed + 1, count)
            losses = np.asarray(result.losses)[:shown].tolist()
            norms = np.asarray(result.norms)[:shown].tolist() if task.guarded else []
        for k, outputs in enumerate(result.outputs):
            groups, sizes, _ = np.asarray(batches.table)[:, k, first : first + shown]
            run = groups[sizes > 0]
            batches.outputs[batches.places[k][run]] = np.asarray(outputs)[run]
        if task.differentiated:
            if not task.guarded:
                self.before = result.state, True
            elif completed:
                self.before = result.before, self.started or completed > 1
            self.state, self.grad = result.state, result.grad
            self.started |= bool(self.update) and completed > 0
        return Outcome(completed, losses, norms)

    def _loop(self, codes: tuple[JaxCode, ...], kind: Kind) -> Callable[..., Any]:
        """The compiled loop for these programs."""
        key = codes, kind
        if key not in self.loops:
            steps = Steps(codes, self.pieces, self.update, self.dtype, kind)
            self.loops[key] = compiled(steps, self.mesh)
        return self.loops[key]


def chosen_devices(devices: Any) -> list[Any]:
    """JAX's devices for the argument `devices` of `compile`; none for None.

    ImportError without JAX; ValueError if there are fewer.
    """
    try:
        import jax
    except ImportError as error:
        raise ImportError(
            'engine="jax" needs JAX: pip install "micrograd-plus[jax]", or on a machine with a '
            'GPU pip install "jax[cuda12]"'
        ) from error
    if devices is None:
        return []
    known = jax.devices()
    if devices == "all":
        return known
    count = whole_number("devices", devices)
    if count > len(known):
        raise ValueError(f'devices is "all" or at most {len(known)}, which JAX has, not {count}')
    if count < len(known) and jax.process_count() > 1:
        raise ValueError(
            f"devices={count} would leave out some of the {len(known)} devices of "
            f'{jax.process_count()} processes: pass devices="all"'
        )
    return known[:count]


def _power(number: int) -> int:
    """The smallest power of two that is not below `number`."""
    return 1 << (number - 1).bit_length()
