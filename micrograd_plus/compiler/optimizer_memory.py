"""The memory of an optimizer: what it remembers of each parameter, while a machine runs its steps.

The state is in the machine's memory, in the order of the parameters' slots. The optimizer
lends it there, and gets it back, by calling this object, when somebody reads `optimizer.state`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..optim.updates import Update


def states_of(
    kept: Sequence[str], rows: Any, counted: Sequence[str], numbers: Any
) -> list[dict[str, float]]:
    """The state of each parameter, from NumPy arrays: what is kept of each, and counted of all."""
    given = [float(number) for number in numbers]
    shared = {
        name: int(number) if number.is_integer() else number for name, number in zip(counted, given)
    }
    return [{**shared, **dict(zip(kept, row))} for row in rows.T.tolist()]


def numbers_of(
    kept: Sequence[str], counted: Sequence[str], states: Sequence[dict[str, float]]
) -> tuple[list[list[float]], list[float]]:
    """What `states_of` was given, as lists."""
    rows = [[state[name] for state in states] for name in kept]
    return rows, [states[0][name] for name in counted]


class OptimizerMemory:
    """What an optimizer remembers, in a machine's memory; called, it gives it back."""

    def __init__(self, machine: Any, slots: Sequence[int], optimizer: Any, update: Update) -> None:
        self.machine, self.slots = machine, slots  # of the optimizer's parameters
        self.optimizer, self.update = optimizer, update

    def is_ready(self) -> bool:
        """Whether the state is in the machine."""
        return self.optimizer.has_lent_state_to(self)  # type: ignore[no-any-return]

    def push(self) -> None:
        """Copies the optimizer's state into the machine; ValueError if it is not whole."""
        by_slot: list[dict[str, float]] = [{}] * len(self.slots)
        if not self.optimizer.has_no_state:
            states = self.optimizer.state
            if any(states):
                self._require_whole(states)
            for slot, state in zip(self.slots, states):
                by_slot[slot] = state
        with self.machine.lock:
            self.machine.write_state(by_slot)
        self.keep()

    def _require_whole(self, states: Sequence[dict[str, float]]) -> None:
        """ValueError if a state lacks something, or differs where all must be equal."""
        names = {*self.update.kept, *self.update.counted}
        for state in states:
            if state.keys() != names:
                raise ValueError(
                    f"the optimizer remembers {sorted(state)} of one parameter, and not "
                    f"{sorted(names)}: load a whole state_dict, or make a new optimizer"
                )
        for name in self.update.counted:
            if len({state[name] for state in states}) > 1:
                raise ValueError(f"the optimizer's parameters differ in {name!r}")

    def keep(self) -> None:
        """The machine's state is the optimizer's, from now on."""
        self.optimizer.lend_state_to(self)

    def __call__(self) -> list[dict[str, float]]:
        """The optimizer's state, one dictionary for each parameter."""
        with self.machine.lock:
            states = self.machine.read_state()
        return [states[slot] for slot in self.slots]

    def __reduce__(self) -> Any:
        """In a copy of the optimizer, which has no machine, stands what gives the state."""
        return partial, (list, self())
