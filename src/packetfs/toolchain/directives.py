"""Directives that say what a program in assembler is and takes; `notes.py` keeps them in its packets.

    .summary "Write the records whose first byte is small."
    .records fixed:8
    .argument most u64 default 9 least 0 most 255 meaning "the largest byte"
    .argument how bytes default "a" choices "a" "b"
    .decimals total digits                   ; the argument `digits` says where the point of map total's numbers is

Arguments lie one behind the other in the read-only map `args`, 8 bytes each: bytes have their length there and 256
bytes behind it. Where no `.map args` stands, one is made behind the other maps.
"""

from __future__ import annotations

import re

from packetfs.dataclass import replace
from packetfs.packet.text import quote, unquote
from packetfs.toolchain.allowed import ANY, KINDS, Allowed, Content
from packetfs.toolchain.arguments import MAP, Argument, pack
from packetfs.toolchain.notes import Notes
from packetfs.typing import Final, Iterator
from packetfs.vm.layout import MapFlag, MapType
from packetfs.vm.program import MapDefinition

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|;.*|[^\s;"]+')
"""A string that is not closed matches to the end of its line: were it no token, the next quote would be tried, too."""
DIRECTIVES: Final = (".summary", ".records", ".argument", ".decimals")
_WORDS: Final = ("default", "least", "most", "choices", "meaning")


def split_words(line: str) -> list[str]:
    """Return the words of a line, a text in quotes as one, without the comment behind them."""
    return [token for token in _TOKEN.findall(line) if token[0] != ";"]


def write_notes(notes: Notes) -> Iterator[str]:
    """Yield the directives of a program's notes."""
    if notes.summary:
        yield f".summary {quote(notes.summary.encode())}"
    if notes.records:
        yield f".records {notes.records}"
    for argument in notes.arguments:
        yield " ".join((".argument", argument.name, argument.kind, *_parts(argument)))
    for name, wanted in notes.decimals.items():
        yield f".decimals {name} {wanted}"


def _parts(argument: Argument) -> Iterator[str]:
    yield f"default {_written(argument.default)}"
    for word, number in (("least", argument.allowed.least), ("most", argument.allowed.most)):
        if number is not None:
            yield f"{word} {number}"
    if argument.allowed.choices:
        yield f"choices {' '.join(map(_written, argument.allowed.choices))}"
    if argument.meaning:
        yield f"meaning {quote(argument.meaning.encode())}"


def _written(value: Content) -> str:
    return quote(value) if isinstance(value, bytes) else str(value)


def read_note(notes: Notes, directive: str, words: list[str]) -> Notes:
    """Return notes with what one line adds; ValueError or IndexError where it cannot be read."""
    if directive == ".argument":
        return replace(notes, arguments=(*notes.arguments, _argument(notes, words)))
    if directive == ".decimals":
        name, wanted = words
        return replace(notes, decimals={**notes.decimals, name: wanted})
    (word,) = words
    if directive == ".records":
        return replace(notes, records=word)
    return replace(notes, summary=unquote(word).decode())


def _argument(notes: Notes, words: list[str]) -> Argument:
    name, kind, *rest = words
    if kind not in KINDS:
        raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
    said: dict[str, list[Content]] = {}
    for word in rest:
        if word in _WORDS:
            said[word] = []
        else:
            list(said.values())[-1].append(unquote(word) if word[0] == '"' else int(word, 0))
    offset = sum(each.size for each in notes.arguments)
    allowed = Allowed(_number(said, "least"), _number(said, "most"), tuple(said.get("choices", ())))
    (meaning,) = said.get("meaning", [b""])
    (default,) = said["default"]
    if not isinstance(meaning, bytes):
        raise TypeError("a meaning stands in quotes")
    made = Argument(name, kind, offset, default, meaning.decode(), ANY if allowed == ANY else allowed)
    if not allowed.is_possible(kind) or not allowed.fits(kind, default):
        raise ValueError(f"{name} does not take its default, or what it takes is no {kind}")
    return made


def _number(said: dict[str, list[Content]], word: str) -> int | None:
    if word not in said:
        return None
    (number,) = said[word]
    if not isinstance(number, int):
        raise TypeError(f"{word} is a number")
    return number


def with_room(maps: tuple[MapDefinition, ...], notes: Notes) -> tuple[MapDefinition, ...]:
    """Return the maps of a program with one for its arguments, where it has any and none was written."""
    if not notes.arguments or any(each.name == MAP for each in maps):
        return maps
    content = pack(notes.arguments, {})
    return (*maps, MapDefinition(MAP, MapType.ARRAY, 4, len(content), 1, int(MapFlag.READ_ONLY), initial=content))
