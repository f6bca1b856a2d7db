"""Characters as tokens."""

from __future__ import annotations

import pytest
from any_text import ANY_TEXT
from hypothesis import given
from hypothesis import strategies as st

from micrograd_plus.text import CharacterTokenizer


@given(st.lists(ANY_TEXT, min_size=1).filter(any))
def test_what_is_encoded_can_be_decoded(texts):
    letters = CharacterTokenizer(texts)
    X, y = letters.examples(texts)
    for text, tokens, targets in zip(texts, X, y, strict=True):
        assert letters.decode(tokens) == letters.decode(targets) == text
        assert tokens == [0, *letters.encode(text)]
        assert targets == [*tokens[1:], 0]
        assert all(0 < token < len(letters) for token in letters.encode(text))


def test_tokens_are_in_alphabetical_order():
    letters = CharacterTokenizer(["zoé", "ann"])
    assert letters.alphabet == "anozé"
    assert len(letters) == 6
    assert repr(letters) == "CharacterTokenizer('anozé')"
    again = CharacterTokenizer(letters.alphabet)
    assert again.encode("zoé") == letters.encode("zoé") == [4, 3, 5]


def test_it_takes_any_iterable():
    assert CharacterTokenizer(text for text in ("b", "a")).alphabet == "ab"


@pytest.mark.parametrize("texts", [[], "", [""]])
def test_no_characters(texts):
    with pytest.raises(ValueError, match="texts must contain at least one character"):
        CharacterTokenizer(texts)


def test_an_unknown_character():
    with pytest.raises(ValueError, match=r"'cab!' contains \['!', 'c'\], but the alphabet is 'ab'"):
        CharacterTokenizer("ab").encode("cab!")


@pytest.mark.parametrize("token", [3, -1])
def test_an_unknown_token(token):
    with pytest.raises(ValueError, match="tokens are ints from 0 to 2, not "):
        CharacterTokenizer("ab").decode([1, token])
