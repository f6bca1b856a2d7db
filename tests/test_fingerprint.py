"""Fingerprints: what makes a function another one, and what does not."""

import functools
import subprocess
import sys
import threading

import pytest

from micrograd_plus.support.fingerprint import fingerprint

BASE = """
import functools
LIMIT = 3
UNUSED = 1
WORDS = {"a", "b", "c"}
def helper(x):
    return x + LIMIT
class Model:
    rate = 0.1
    def step(self, x):
        return helper(x) * self.rate
    @property
    def size(self):
        return 4
    @staticmethod
    def make():
        return 5
    @functools.cache
    def kept(self):
        return 6
model = Model()
def train(lr=0.5):
    # a comment
    inner = lambda x: x in {"p", "q", "r"}
    return model.step(lr) if inner(lr) else len(WORDS)
"""


def trained(source):
    space = {"__name__": "lesson"}
    exec(source, space)
    return space["train"]


def test_the_same_source_has_the_same_fingerprint_in_every_process():
    script = (
        "from micrograd_plus.support.fingerprint import fingerprint\n"
        f"space = {{'__name__': 'lesson'}}\nexec({BASE!r}, space)\n"
        "import sys, types; sys.modules['lesson'] = types.SimpleNamespace(**space)\n"
        "print(fingerprint(space['train']))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another\n\n"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("LIMIT = 3", "step = 7\nLIMIT = 3"),  # an attribute's name
    ],
)
def test_what_does_not_count(old, new):
    assert fingerprint(trained(BASE)) == fingerprint(trained(BASE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lr=0.5", "lr=0.6"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("x + LIMIT", "x - LIMIT"),
        ("rate = 0.1", "rate = 0.2"),
        ("* self.rate", "/ self.rate"),
        ("return 4", "return 40"),
        ("return 5", "return 50"),
        ("return 6", "return 60"),
        ('"c"}', '"d"}'),
        ('"r"}', '"s"}'),
    ],
)
def test_what_counts(old, new):
    assert old in BASE
    assert fingerprint(trained(BASE)) != fingerprint(trained(BASE.replace(old, new)))


def test_closures_partials_and_methods():
    def made(n):
        return lambda x: x + n

    def power(x, n):
        return x**n

    assert fingerprint(made(1)) == fingerprint(made(1)) != fingerprint(made(2))
    square, cube = (functools.partial(power, n=n) for n in (2, 3))
    assert fingerprint(square) == fingerprint(functools.partial(power, n=2)) != fingerprint(cube)
    assert fingerprint([1.0].append) != fingerprint([2.0].append)


def test_what_contains_itself_or_cannot_be_pickled():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    lock, ring = threading.Lock(), []
    ring.append(ring)

    def uses():
        return lock, ring

    assert fingerprint(even) == fingerprint(even) != fingerprint(odd)
    assert fingerprint(uses) == fingerprint(uses)


def test_numbers_of_different_kinds_differ():
    assert len({fingerprint(x) for x in (1, 1.0, True, "1", b"1", [1], (1,), {1: 1}, None)}) == 9
