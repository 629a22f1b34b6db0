"""PTX text as tokens, with one token of sight ahead."""

from __future__ import annotations

import re
from typing import Final

from fuzz.ptx.syntax import Refused

_TOKEN: Final = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/"
    r'|(?P<token>"[^"]*"|-?0[xX][0-9a-fA-F]+U?|-?\d+\.\d+|-?\d+U?|@?!?[.%$_A-Za-z][\w.$%]*|[][(){},;:+=|<>])',
    re.DOTALL,
)
_NUMBER: Final = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|\d+)U?")


class Tokens:
    """A module's tokens in order."""

    def __init__(self, text: str) -> None:
        self.tokens, self.at = _split(text), 0

    def __bool__(self) -> bool:
        return self.at < len(self.tokens)

    def peek(self, ahead: int = 0) -> str:
        """Return a token that is not taken yet; "" behind the last."""
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, *expected: str) -> str:
        """Take the next token; Refused when it is none of those expected."""
        token = self.peek()
        if not token or (expected and token not in expected):
            raise Refused(f"{token or 'the end'}, where {' or '.join(expected) or 'more'} should be")
        self.at += 1
        return token

    def drop(self, token: str) -> bool:
        """Take the next token if it is this one, and tell."""
        found = self.peek() == token
        self.at += found
        return found

    def number(self) -> int:
        token = self.take()
        if not is_number(token):
            raise Refused(f"{token}, where a number should be")
        return int(token.removesuffix("U"), 0)


def is_number(token: str) -> bool:
    """Tell whether a token is an integer."""
    return _NUMBER.fullmatch(token) is not None


def _split(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refused(f"{text[at : at + 20]!r} is no token of PTX")
        if match["token"]:
            tokens.append(match["token"])
        at = match.end()
    return tokens
