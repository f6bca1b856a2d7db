"""Text as tokens: the small whole numbers that a language model reads and writes.

>>> letters = CharacterTokenizer(["ada", "bea"])
>>> letters.alphabet, letters.encode("bad")
('abde', [2, 1, 3])
>>> letters.decode([2, 4, 1])
'bea'

For training, `examples` returns the tokens of each text with token 0 at the beginning, and the
targets: for each token the next token, with 0 at the end. A model trained on them also learns where
texts begin and end.

>>> letters.examples(["ada"])
([[0, 1, 3, 1]], [[1, 3, 1, 0]])
"""

from __future__ import annotations

from collections.abc import Iterable

Tokens = list[list[int]]


class CharacterTokenizer:
    """Numbers the characters of `texts` in alphabetical order: 1, 2, …

    Token 0 marks the beginning and the end of a text. `len(tokenizer)` is the number of tokens, the
    size of a model's vocabulary. `CharacterTokenizer(tokenizer.alphabet)` is an equal tokenizer.

    >>> letters = CharacterTokenizer(["ada", "bea"])
    >>> letters.alphabet, letters.encode("bad"), letters.decode([2, 4, 1])
    ('abde', [2, 1, 3], 'bea')
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.alphabet = "".join(sorted({character for text in texts for character in text}))
        if not self.alphabet:
            raise ValueError("texts must contain at least one character")
        self._tokens = {character: i for i, character in enumerate(self.alphabet, start=1)}

    def __len__(self) -> int:
        return 1 + len(self.alphabet)

    def __repr__(self) -> str:
        return f"CharacterTokenizer({self.alphabet!r})"

    def encode(self, text: str) -> list[int]:
        """Returns the token of each character; ValueError if one is not in the alphabet."""
        if unknown := sorted(set(text) - self._tokens.keys()):
            raise ValueError(f"{text!r} contains {unknown}, but the alphabet is {self.alphabet!r}")
        return [self._tokens[character] for character in text]

    def decode(self, tokens: Iterable[int]) -> str:
        """Returns the text with these tokens; token 0 is left out."""
        characters = ("", *self.alphabet)
        try:
            return "".join(characters[len(characters) if t < 0 else t] for t in tokens)
        except IndexError:
            raise ValueError(
                f"tokens are ints from 0 to {len(self.alphabet)}, not {tokens}"
            ) from None

    def examples(self, texts: Iterable[str]) -> tuple[Tokens, Tokens]:
        """Returns X, the tokens of each text after a 0, and y, the same tokens before a 0."""
        encoded = [self.encode(text) for text in texts]
        return [[0, *tokens] for tokens in encoded], [[*tokens, 0] for tokens in encoded]
