"""The error for a library that is not installed: it says what to install, or what a page lacks."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any


class NotInBrowserError(ImportError):
    """A library is needed that does not run in the browser."""


def missing(what: str, library: str, command: str) -> ImportError:
    """The error to raise: "`what` `library`", and the command that installs it.

    In a notebook in the browser nothing can be installed. There the error is shown as one sentence,
    and the cells after it still run: JupyterLite would stop at an error.

    >>> missing("plots are made with", "matplotlib", "pip install matplotlib")
    ImportError('plots are made with matplotlib: pip install matplotlib')
    """
    if sys.platform != "emscripten":
        return ImportError(f"{what} {library}: {command}")
    with suppress(ImportError):
        from IPython import get_ipython

        if shell := get_ipython():
            shell.set_custom_exc((NotInBrowserError,), _say)
    return NotInBrowserError(f"{what} {library}, which does not run in the browser")


def _say(shell: Any, kind: Any, error: NotInBrowserError, *_: Any, **__: Any) -> None:
    """What the notebook shows in place of a traceback."""
    print(f"Not available here: {error}.")
