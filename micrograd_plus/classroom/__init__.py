"""Tools for teaching.

`faults`: deliberate bugs in the engine. `lint`: finds mistakes in a training. `questions`: asks
about the steps of a graph. `check`: checks an answer to an exercise of the course.

Importing this package needs only the standard library.
"""

from . import faults
from .exercises.check import check
from .lint import lint
from .questions import Question, questions

__all__ = ["Question", "check", "faults", "lint", "questions"]
