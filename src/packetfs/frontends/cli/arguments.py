"""What a command takes, as it declares it, and the reading of command lines that plainly fit that.

argparse costs more to load, and to be told all arguments, than most commands take in all. So it is asked only where
somebody wants help or may have made a mistake, and about what is rarely written (parser.py): `read` leaves that alone.
"""

from __future__ import annotations

from packetfs.dataclass import dataclass
from packetfs.typing import TYPE_CHECKING, Any, Final, Iterator, Sequence

_LEAST: Final = {None: 1, "?": 0, "*": 0, "+": 1}
"""Words that a positional argument takes at the least, by its nargs."""


class Options:
    """What a command line says: the value of each argument under its name."""

    json: bool = False
    pool: str | None = None

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its names, and what else argparse's `add_argument` takes."""

    names: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def is_option(self) -> bool:
        return self.names[0].startswith("-")

    @property
    def dest(self) -> str:
        """The name of its value."""
        long = next((name for name in self.names if name.startswith("--")), self.names[0])
        return self.settings.get("dest") or long.lstrip("-").replace("-", "_")

    @property
    def default(self) -> Any:
        return self.settings.get("default", False if self.is_flag else None)

    @property
    def is_flag(self) -> bool:
        return self.settings.get("action") == "store_true"

    @property
    def nargs(self) -> Any:
        return self.settings.get("nargs")

    def value(self, word: str) -> Any:
        """Return what a word says; ValueError where it cannot be."""
        found = self.settings.get("type", str)(word)
        if found not in self.settings.get("choices", (found,)):
            raise ValueError(word)
        return found


class Arguments:
    """All arguments of a command."""

    def __init__(self) -> None:
        self.declared: list[Argument] = []

    def add(self, *names: str, **settings: Any) -> None:
        """Declare one, in the words of argparse's `add_argument`."""
        self.declared.append(Argument(names, settings))

    def read(self, words: Sequence[str]) -> Options | None:
        """Return what a command line says, as argparse would; None where that has to be asked."""
        options = Options()
        for each in self.declared:
            setattr(options, each.dest, each.default)
        by_name = {name: each for each in self.declared if each.is_option for name in each.names}
        plain: list[str] = []
        left = iter(words)
        try:
            for word in left:
                if word[:1] != "-" or word == "-":
                    plain.append(word)
                else:
                    _take(options, by_name, word, left)
            _place(options, [each for each in self.declared if not each.is_option], plain)
        except (ValueError, KeyError):
            return None
        return options


def _take(options: Options, by_name: dict[str, Argument], word: str, left: Iterator[str]) -> None:
    """Set what an option says, with the next word if it takes one; KeyError or ValueError where that is not plain."""
    name, equals, word = word.partition("=") if word.startswith("--") else (word, "", "")
    found = by_name[name]
    if found.is_flag and not equals:
        setattr(options, found.dest, True)
        return
    word = word if equals else next(left, "")
    if found.is_flag or found.nargs is not None or not word or (word[0] == "-" and not equals and word != "-"):
        raise ValueError(word)
    value = found.value(word)
    many = found.settings.get("action") == "append"
    setattr(options, found.dest, [*(getattr(options, found.dest) or ()), value] if many else value)


def _place(options: Options, places: Sequence[Argument], words: list[str]) -> None:
    """Give words to positional arguments, each as many as the ones behind it leave; ValueError where some are left."""
    least = [_LEAST[each.nargs] for each in places]
    for number, each in enumerate(places):
        room = len(words) - sum(least[number + 1 :])
        count = min(room, 1) if each.nargs in (None, "?") else room
        if count < least[number]:
            raise ValueError(each.dest)
        taken, words = [each.value(word) for word in words[:count]], words[count:]
        if taken:
            setattr(options, each.dest, taken[0] if each.nargs in (None, "?") else taken)
    if words:
        raise ValueError(words[0])
