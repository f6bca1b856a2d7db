"""The error for a library that is missing: on a computer, and in a notebook in the browser."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from micrograd_plus.support.libraries import NotInBrowserError, missing


class Shell:
    """What a notebook's kernel offers for exceptions of one's own."""

    def set_custom_exc(self, kinds: tuple[type, ...], handler: Callable[..., None]) -> None:
        self.kinds, self.handler = kinds, handler


def test_on_a_computer_the_command_is_named() -> None:
    error = missing("plots are made with", "matplotlib", "pip install matplotlib")
    assert type(error) is ImportError
    assert str(error) == "plots are made with matplotlib: pip install matplotlib"


def test_in_the_browser_a_notebook_shows_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ipython = pytest.importorskip("IPython")
    shell = Shell()
    monkeypatch.setattr("sys.platform", "emscripten")
    monkeypatch.setattr(ipython, "get_ipython", lambda: shell)
    error: Any = missing("plots are made with", "matplotlib", "pip install matplotlib")
    assert isinstance(error, NotInBrowserError)
    assert shell.kinds == (NotInBrowserError,)
    shell.handler(shell, type(error), error, None, tb_offset=None)
    said = (
        "Not available here: plots are made with matplotlib, which does not run in the browser.\n"
    )
    assert capsys.readouterr().out == said


def test_in_the_browser_without_a_notebook_it_is_an_import_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "emscripten")
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert "does not run in the browser" in str(missing("x comes with", "y", "pip install y"))
