"""Every public name has an example in its docstring that runs."""

import doctest
import inspect

import pytest

import micrograd_plus as mp
from micrograd_plus import functional
from micrograd_plus.ops import TABLE, Methods, op
from micrograd_plus.reference.names import names

NAMES = {name.written: name.thing for name in names()}  # also those in nn, losses, optim, …


def examples_of(name, thing):
    return doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", {}, name, None, 0)


@pytest.mark.parametrize("name", NAMES)
def test_there_is_an_example(name):
    """pytest's doctests run those that are written in a file."""
    assert examples_of(name, NAMES[name]).examples


@pytest.mark.parametrize("name", sorted(TABLE.keys() - vars(functional)))
def test_the_example_of_an_op_runs(name):
    """It is written from the op's entry."""
    runner = doctest.DocTestRunner()
    runner.run(examples_of(name, getattr(mp, name)))
    assert runner.summarize(verbose=False) == (0, 6)


def test_a_new_op_has_an_example_too():
    op("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
    try:
        runner = doctest.DocTestRunner()
        runner.run(examples_of("cube", mp.cube))
        assert runner.summarize(verbose=False) == (0, 6)
        assert "0.1250, derivative by x: 0.7500" in mp.cube.__doc__
    finally:
        del TABLE["cube"], Methods.cube


@pytest.mark.parametrize(
    ("name", "library", "count"),
    [("to_torch", "torch", 2), ("from_torch", "torch", 2), ("compile", "jax", 9)],
)
def test_an_example_that_needs_a_library_runs(name, library, count):
    """It is left out where the library may be missing: `pytest micrograd_plus`."""
    pytest.importorskip(library)
    test = examples_of(name, getattr(mp, name))
    left_out = [example.options.pop(doctest.SKIP, False) for example in test.examples]
    assert any(left_out)
    test.globs.update(vars(inspect.getmodule(getattr(mp, name))))
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.summarize(verbose=False) == (0, count)
