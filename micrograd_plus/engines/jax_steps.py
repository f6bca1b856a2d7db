"""Training steps in JAX: gradient and update, traced once, in a loop that runs many of them.

The loop is a `while_loop`: how many steps it runs is a number, so that one compiled program serves
every count, and a guarded run can end early. `lax.scan` would be compiled again for each count.
Batches of one step have a program without the loop, which a CPU begins faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..compiler.dtypes import Dtype
from ..compiler.kernels import first_serial, uniform
from ..optim.updates import Update
from .jax_code import JaxCode, update_function
from .pieces import Pieces

MOST_STEPS = 1024  # that one call of the loop runs
SMALL = 16_384  # how many numbers a gradient has at most that a call joins
AXIS = "batch"  # of the mesh of devices


class State(NamedTuple):
    """What a step changes.

    data: of all parameters, in pieces: those that the program uses as one array.
    memory: what the optimizer keeps of each piece that it moves, by name; counted: what it counts,
    by name.
    """

    data: list[Any]
    memory: dict[str, list[Any]]
    counted: dict[str, Any]


class Result(NamedTuple):
    """What a call of the loop returns.

    state, grad: None if nothing is differentiated; a small gradient of a call that has no loop is
    one array. before: the state before the last update;
    completed, norms: the steps done, and the gradient's length for each. These three are None
    unless a run is guarded. Each array of a result takes its time.
    """

    state: State | None
    grad: list[Any] | None
    before: State | None
    completed: Any
    losses: Any
    norms: Any
    outputs: list[Any]


class Kind(NamedTuple):
    """How a call of the loop treats its steps; each kind is a compiled program of its own.

    loops: whether there may be more than one. masked: whether some batches are filled up with
    examples that do not count. devices: how many share each batch. The others are as in
    `batches.Task`.
    """

    loops: bool
    differentiated: bool
    guarded: bool
    clips: bool
    stored: bool
    masked: bool
    devices: int

    @property
    def most(self) -> int:
        """How many steps one call runs at most."""
        return MOST_STEPS if self.loops else 1


class Steps:
    """The loop for examples of one shape, or of several, each with its program.

    pieces: how the parameters are cut.
    """

    def __init__(
        self, codes: Sequence[JaxCode], pieces: Pieces, update: Update | None, dtype: Dtype,
        kind: Kind,
    ) -> None:  # fmt: skip
        self.codes, self.pieces, self.update, self.dtype = codes, pieces, update, dtype
        self.moved, self.kind = pieces.moved_pieces, kind
        if update:
            self.first = update_function(update, update.first, dtype.name)
            self.later = update_function(update, update.later, dtype.name)

    def __call__(
        self, state: State, before: State | None, rows: list[Any], table: Any, numbers: Any,
        seeds: list[Any],
    ) -> Result:  # fmt: skip
        """Runs the steps.

        rows: for each program [groups, examples, inputs]. table: [3, programs, steps]: the group
        that a step takes, how many of its examples count, and how many come before them.
        numbers: the first step, their count, the largest norm of the gradient, 1 if the optimizer
        has moved the parameters before, and the learning rate of each step. seeds: for each program
        those of its random numbers.
        """
        import jax
        import jax.numpy as jnp

        at, put = jax.lax.dynamic_index_in_dim, jax.lax.dynamic_update_index_in_dim
        first, count = numbers[0].astype("int64"), numbers[1].astype("int64")
        zeros, none = jnp.zeros(self.kind.most, "float64"), jnp.int64(0)
        grad = list(map(jnp.zeros_like, state.data))
        start = Result(state, grad, before, none, zeros, zeros, self._room(rows)), jnp.bool_(True)

        def goes_on(carry: Any) -> Any:
            result, is_finite = carry
            return (result.completed < count) & is_finite

        def step(carry: Any) -> Any:
            done, _ = carry
            i, now = done.completed, done.state
            loss, grad, outputs = self._gradient(
                now.data, rows, at(table, first + i, 2, keepdims=False), first_serial(first + i),
                seeds, done.outputs,
            )  # fmt: skip
            done = done._replace(losses=put(done.losses, loss, i, 0), outputs=outputs)
            if self.kind.guarded or self.kind.clips:
                squares = [jnp.square(g.astype("float64")).sum() for g in grad[: self.moved]]
                norm = jnp.sqrt(sum(squares))
                done = done._replace(norms=put(done.norms, norm, i, 0))
            is_finite = jnp.bool_(True)
            if not self.kind.differentiated:
                return done._replace(completed=i + 1), is_finite
            if self.kind.clips:
                scale = jnp.minimum(numbers[2] / (norm + 1e-6), 1.0)
                scale = scale.astype(self.dtype.name)
                grad = [g * scale if j < self.moved else g for j, g in enumerate(grad)]
            lr, started = at(numbers, 4 + i, keepdims=False), (numbers[3] > 0) | (i > 0)
            after = self._updated(now, grad, lr, started)
            if not self.kind.guarded:
                return done._replace(state=after, grad=grad, completed=i + 1), is_finite
            is_finite = jnp.isfinite(loss) & jnp.isfinite(norm)
            state, before = (
                jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), *pair)
                for pair in ((after, now), (now, done.before))
            )
            return (
                done._replace(state=state, grad=grad, before=before, completed=i + is_finite),
                is_finite,
            )

        loop = partial(jax.lax.while_loop, goes_on, step) if self.kind.loops else step
        result, _ = loop(start)
        if self.kind.devices > 1:
            gather = jax.lax.all_gather
            outputs = [gather(out, AXIS, axis=1, tiled=True) for out in result.outputs]
            result = result._replace(outputs=outputs)
        if not self.kind.differentiated:
            result = result._replace(state=None, grad=None)
        elif not self.kind.loops and sum(map(len, result.grad)) <= SMALL:
            result = result._replace(grad=[jnp.concatenate(result.grad)])
        if not self.kind.guarded:
            result = result._replace(completed=None, norms=None)
        return result

    def _room(self, rows: list[Any]) -> list[Any]:
        """Zeros for the outputs of each program, if they are stored."""
        import jax.numpy as jnp

        if not self.kind.stored:
            return []
        return [
            jnp.zeros((*own.shape[:2], len(code.program.outputs)), own.dtype)
            for code, own in zip(self.codes, rows)
        ]

    def _gradient(
        self, data: list[Any], rows: list[Any], table: Any, serial: Any, seeds: list[Any],
        outputs: list[Any],
    ) -> tuple[Any, list[Any], list[Any]]:  # fmt: skip
        """The mean loss of a step, its gradient, and the outputs with those of this step."""
        import jax
        import jax.numpy as jnp

        examples = table[1].sum()
        if len(self.codes) == 1 and not self.kind.masked:  # a number that XLA knows
            examples = rows[0].shape[1] * self.kind.devices
        at, put = jax.lax.dynamic_index_in_dim, jax.lax.dynamic_update_index_in_dim
        loss, grad = jnp.float64(0.0), list(map(jnp.zeros_like, data))
        outputs = list(outputs)
        for k, code in enumerate(self.codes):
            group, size, offset = table[:, k]
            own = (
                data,
                at(rows[k], group, keepdims=False),
                size,
                examples,
                serial + offset,
                seeds[k] if seeds else (),
            )
            part_of = partial(self._part, code)
            if len(self.codes) == 1:
                part = part_of(*own)
            else:  # a step may have no examples of this shape
                part = jax.lax.cond(size > 0, part_of, partial(_zeros_like, part_of), *own)
            loss, grad = jax.tree.map(jnp.add, (loss, grad), part[:2])
            if self.kind.stored:
                stored = jnp.where(size > 0, part[2], at(outputs[k], group, keepdims=False))
                outputs[k] = put(outputs[k], stored, group, 0)
        if self.kind.devices > 1:
            loss, grad = jax.lax.psum((loss, grad), AXIS)
        return loss, grad, outputs

    def _part(
        self, code: JaxCode, data: list[Any], rows: Any, size: Any, examples: Any, serial: Any,
        seeds: Any,
    ) -> tuple[Any, list[Any], Any]:  # fmt: skip
        """What the examples of one program add to the mean loss and the gradient; their outputs."""
        import jax
        import jax.numpy as jnp

        lanes = jnp.arange(len(rows))
        if self.kind.devices > 1:
            lanes = lanes + len(rows) * jax.lax.axis_index(AXIS)
        randoms = self._randoms(serial + lanes, seeds)

        def loss_of(data: list[Any]) -> tuple[Any, Any]:
            outputs = code.outputs(code.arrays_of(self.pieces, data), rows, randoms)
            losses = outputs[:, 0]
            if self.kind.masked:
                losses = jnp.where(lanes < size, losses, 0.0)
            return losses.astype("float64").sum() / examples, outputs

        if not self.kind.differentiated:
            loss, outputs = loss_of(data)
            return loss, list(map(jnp.zeros_like, data)), outputs
        (loss, outputs), grad = jax.value_and_grad(loss_of, has_aux=True)(data)
        return loss, grad, outputs

    def _randoms(self, serials: Any, seeds: Any) -> Any:
        """The random numbers of each example, which are those of the compiler's own machines."""
        import jax.numpy as jnp

        count = len(seeds)
        if not count:
            return jnp.zeros((len(serials), 0), self.dtype.name)
        drawn = [uniform(seed, serials * count + j) for j, seed in enumerate(seeds)]
        numbers: Any = jnp.stack(drawn, axis=1)
        return jnp.minimum(numbers, self.dtype.below_one).astype(self.dtype.name)

    def _updated(self, state: State, grad: list[Any], lr: Any, started: Any) -> State:
        """The state after the optimizer's update."""
        import jax.numpy as jnp

        if not self.update:
            return state
        data, counted = list(state.data), state.counted
        memory = {name: list(rows) for name, rows in state.memory.items()}
        for j in range(self.moved):
            kept = {name: rows[j] for name, rows in state.memory.items()}
            given = {"lr": lr, "gradient": grad[j], "data": data[j], **kept, **state.counted}
            new = self.later(**given)
            if not self.update.starts_at_zero:
                first = self.first(**given)
                new = {name: jnp.where(started, new[name], first[name]) for name in new}
            data[j] = new["data"]
            for name, rows in memory.items():
                rows[j] = new[name]
            counted = {name: new[name] for name in counted}
        return State(data, memory, counted)


def _zeros_like(function: Callable[..., Any], *arguments: Any) -> Any:
    """Zeros in place of what the function returns."""
    import jax
    import jax.numpy as jnp

    shapes = jax.eval_shape(function, *arguments)
    return jax.tree.map(lambda result: jnp.zeros(result.shape, result.dtype), shapes)


def compiled(steps: Steps, mesh: Any) -> Callable[..., Result]:
    """The loop, compiled for each shape of what it is given; with a mesh, for all its devices.

    Products of float32 numbers have all their digits, whatever the user's settings are.
    """
    import jax
    from jax.sharding import PartitionSpec

    precision = "highest" if steps.dtype.name == "float32" else None

    def run(*given: Any) -> Result:
        with jax.default_matmul_precision(precision):
            return steps(*given)

    if mesh is None:
        return jax.jit(run)
    everywhere, shared = PartitionSpec(), PartitionSpec(None, AXIS)
    given = (everywhere, everywhere, shared, *[everywhere] * 3)
    return jax.jit(
        jax.shard_map(run, mesh=mesh, in_specs=given, out_specs=everywhere, check_vma=False)
    )
