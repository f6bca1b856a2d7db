"""Tools for teaching: deliberate faults, questions about a graph, and the gradient linter.

Importing this package needs only the standard library.
"""

from . import faults
from .lint import lint
from .questions import Question, questions

__all__ = ["Question", "faults", "lint", "questions"]
