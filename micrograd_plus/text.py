"""Text as tokens: the small whole numbers that a language model reads and writes.

>>> letters = CharacterTokenizer(["ada", "bea"])
>>> letters.alphabet, letters.encode("bad")
('abde', [2, 1, 3])
>>> letters.decode([2, 4, 1])
'bea'

For training, `examples` gives each text's tokens, with token 0 in front, and for each of them the
token that follows, 0 in the end: from them a model learns where texts begin and end, too.

>>> letters.examples(["ada"])
([[0, 1, 3, 1]], [[1, 3, 1, 0]])
"""

from __future__ import annotations

from collections.abc import Iterable

Tokens = list[list[int]]


class CharacterTokenizer:
    """Each character of `texts` is a token: 1, 2, … in their alphabetical order.

    Token 0 stands for the beginning and the end of a text. `len(tokenizer)` is the number of all
    tokens, a model's vocabulary, and `CharacterTokenizer(tokenizer.alphabet)` makes the same again.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.alphabet = "".join(sorted({character for text in texts for character in text}))
        if not self.alphabet:
            raise ValueError("texts hold no character: there is nothing to make tokens of")
        self._tokens = {character: i for i, character in enumerate(self.alphabet, start=1)}

    def __len__(self) -> int:
        return 1 + len(self.alphabet)

    def __repr__(self) -> str:
        return f"CharacterTokenizer({self.alphabet!r})"

    def encode(self, text: str) -> list[int]:
        """The token of each character; ValueError for one that is not in the alphabet."""
        if unknown := sorted(set(text) - set(self.alphabet)):
            raise ValueError(f"{text!r} has {unknown}, and the alphabet is {self.alphabet!r}")
        return [self._tokens[character] for character in text]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that has these tokens; nothing is written for token 0."""
        characters = ("", *self.alphabet)
        try:
            return "".join(characters[len(characters) if t < 0 else t] for t in tokens)
        except IndexError:
            raise ValueError(
                f"tokens are ints from 0 to {len(self.alphabet)}, not {tokens}"
            ) from None

    def examples(self, texts: Iterable[str]) -> tuple[Tokens, Tokens]:
        """X, y: the tokens of each text, 0 in front; and what follows each, 0 in the end."""
        encoded = [self.encode(text) for text in texts]
        return [[0, *tokens] for tokens in encoded], [[*tokens, 0] for tokens in encoded]
