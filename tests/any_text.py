"""Texts of any characters, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

CHARACTERS = st.one_of(st.integers(0, 0xD7FF), st.integers(0xE000, 0x10FFFF)).map(chr)
"""All but surrogates. `st.text()` has them, too, and first takes seconds to put them in order."""

ANY_TEXT = st.text(CHARACTERS, max_size=30)
