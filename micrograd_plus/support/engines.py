"""More engines that run compiled programs than the compiler's own: rooms above add theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

makers: dict[str, Callable[[Any], Callable[..., Any]]] = {}
"""For each engine what takes `devices`, and returns what makes its machines."""
