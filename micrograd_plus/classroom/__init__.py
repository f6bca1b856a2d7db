"""For the class: deliberate faults, questions made from a graph, and the gradient linter.

Importing this package imports nothing but the standard library.
"""

from . import faults
from .lint import lint
from .questions import Question, questions

__all__ = ["Question", "faults", "lint", "questions"]
