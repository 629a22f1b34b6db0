"""What a mistaken word was meant to be."""

from __future__ import annotations

from packetfs.typing import Iterable


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` where something known is close, else nothing."""
    from difflib import get_close_matches  # only mistakes pay for it

    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
