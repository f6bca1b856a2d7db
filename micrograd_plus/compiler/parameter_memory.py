"""The memory of parameters: their numbers and gradients, while a machine runs programs on them.

The numbers stay in the machine from one call to the next. Until they are copied back, the
parameters have another class, which looks like `Value`, and in which `data` and `grad` are
properties. The first time that one of them is read or written, by eager code or by another
compiled function, all numbers are copied back to the Values, and these get their class back. If
none is read, nothing is copied.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from ..engine import Value
from .native import lists

class_changes = Lock()
"""Held while parameters get another class: two threads may use the same parameters."""


class ParameterMemory:
    """The parameters of a machine, in its order.

    Their classes change one by one, and Ctrl-C may come in between. The class of the first
    parameter says where the numbers are: it is the last to change when numbers stay in the
    machine, and the first to change when they are copied back.
    """

    def __init__(self, machine: Any, parameters: list[Value]) -> None:
        self.machine, self.parameters = machine, parameters
        self._first = parameters[0] if parameters else None
        self.kind = _class_while_away(self)
        self.is_pushed = False  # whether the machine has a copy, for its next run alone
        self._places: WeakKeyDictionary[ParameterMemory, array[int] | None] = WeakKeyDictionary()

    def is_away(self) -> bool:
        """Whether the numbers are in the machine."""
        return type(self._first) is self.kind

    def is_ready(self) -> bool:
        """Whether the machine can run."""
        return self.is_pushed or type(self._first) is self.kind  # at each call: not by is_away()

    def push(self) -> None:
        """Copies the parameters into the machine, and leaves them there if it can."""
        data = numbers_of(self.parameters, "data")  # which copies it back
        grad = numbers_of(self.parameters, "grad")
        with self.machine.lock:
            self.machine.write(data, grad)
            self._leave()
            self.is_pushed = True

    def borrow(self) -> None:
        """Copies the parameters from the machine where they are now, if it is another one."""
        owner = getattr(type(self.parameters[0]), "_memory", self) if self.parameters else self
        if owner is not self and (places := self._places_in(owner)) is not None:
            with owner.machine.lock:
                if owner.is_away():
                    self.machine.copy_from(owner.machine, places)
                    self.is_pushed = True

    def finish(self, changed: bool) -> None:
        """To be called after a run, with whether it may have changed anything."""
        self.is_pushed = False
        if changed and type(self._first) is not self.kind:
            self.keep()

    def keep(self) -> None:
        """The machine's numbers are the parameters', from now on."""
        if not self.is_away() and not self._leave():
            data, grad = self.machine.read()
            for parameter, number in zip(self.parameters[: self.machine.moved], data):
                parameter.data = number
            for parameter, gradient in zip(self.parameters, grad):
                parameter.grad = gradient

    def come_home(self) -> None:
        """Copies the machine's numbers and gradients back, if they are away."""
        with self.machine.lock:
            if self.is_away():
                data, grad = self.machine.read()
                away: Sequence[Any] = self.parameters
                for parameter, number in zip(away[: self.machine.moved], data):
                    parameter._data = number
                for parameter, gradient in zip(away, grad):
                    parameter._grad = gradient
            self.is_pushed = False
            give_class(self.parameters, self.kind, Value)

    def _leave(self) -> bool:
        """Leaves the numbers in the machine; False for a class of the user.

        It may have a `data` of its own. So has a parameter while it is recorded in a thread.
        """
        with class_changes:
            if set(map(type, self.parameters)) != {Value}:
                return False
            give_class(self.parameters[::-1], Value, self.kind)
        return True

    def _places_in(self, owner: ParameterMemory) -> array[int] | None:
        """Where another machine has these parameters; None if it lacks one of them.

        Of another dtype, it lacks those that it does not move: it has rounded them.
        """
        if owner not in self._places:
            same = owner.machine.dtype is self.machine.dtype
            exact = owner.parameters if same else owner.parameters[: owner.machine.moved]
            places = {parameter: place for place, parameter in enumerate(exact)}
            known = places.keys() >= set(self.parameters)
            found = array("q", [places[p] for p in self.parameters]) if known else None
            self._places[owner] = found
        return self._places[owner]


def numbers_of(values: list[Value], name: str) -> Sequence[float]:
    """The `data` or `grad` of each of these."""
    if (machine := lists()) and (word := _word_of(name)):
        numbers = array("d", (0.0,)) * len(values)
        if machine.copy_floats(values, Value, word, numbers.buffer_info()[0]):
            return numbers
    return [getattr(value, name) for value in values]


@cache
def _word_of(name: str) -> int:
    """At which of its words, of 8 bytes, a Value has this attribute; 0 if that is not known."""
    from ctypes import c_int64

    value, number = Value(0.0), float("1.5")
    setattr(value, name, number)
    words = (c_int64 * (Value.__basicsize__ // 8)).from_address(id(value))
    found = [word for word, address in enumerate(words) if address == id(number)]
    return found[0] if len(found) == 1 else 0


def give_class(values: list[Value], old: type[Value], new: type[Value]) -> None:
    """The values of one class get another."""
    has_slots_alone = old.__dictoffset__ == 0  # else Python must move the attributes
    if has_slots_alone and (machine := lists()):
        first = next((value for value in values if type(value) is old), None)
        if first is not None:
            first.__class__ = new  # Python checks that this is possible
            machine.give_class(values, old, new)
        return
    for value in values:
        if type(value) is old:
            value.__class__ = new


def memories_of(kinds: Iterable[Any]) -> list[ParameterMemory]:
    """The memories in machines that have the numbers of parameters of these classes."""
    return [kind._memory for kind in kinds if hasattr(kind, "_memory")]


def _class_while_away(memory: ParameterMemory) -> Any:
    """The class of the parameters whose numbers are in this memory."""

    def at_home(name: str) -> property:
        def read(self: Value) -> Any:
            memory.come_home()
            return getattr(self, name)

        def write(self: Value, number: float) -> None:
            memory.come_home()
            setattr(self, name, number)

        return property(read, write)

    members = {
        "__slots__": (),
        "__doc__": Value.__doc__,
        "__module__": Value.__module__,
        "_memory": memory,
        "data": at_home("data"),
        "grad": at_home("grad"),
        "_data": vars(Value)["data"],  # the slots
        "_grad": vars(Value)["grad"],
    }
    return type("Value", (Value,), members)
