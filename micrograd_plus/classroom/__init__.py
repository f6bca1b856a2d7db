"""Tools for teaching: deliberate faults, questions, the gradient linter, checks of exercises.

Importing this package needs only the standard library.
"""

from . import faults
from .exercises.check import check
from .lint import lint
from .questions import Question, questions

__all__ = ["Question", "check", "faults", "lint", "questions"]
