"""Enumerations of ours do what the standard library's do, as far as this package uses them."""

from __future__ import annotations

import copy
import enum
import json
import pickle
import subprocess
import sys
from types import ModuleType

import pytest

import packetfs.enum as lean
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.packet.layout import EntryFlag, Op
from packetfs.vm.isa import Group

SOURCE = '''
class Word(lib.Enum):
    """Words."""
    ONE = "one"
    TWO = "two"

class Pair(lib.Enum):
    LEFT = ("l", 1)
    RIGHT = ("r", 2)

    def __init__(self, letter, number):
        self.letter, self.number = letter, number

    @property
    def both(self):
        return self.letter * self.number

class Number(lib.IntEnum):
    NONE = 0
    SOME = 7

class Code(lib.IntEnum):
    def __new__(cls, number, meaning):
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code

    DONE = 0, "done"
    FAILED = 1, "failed"

class Bit(lib.IntFlag):
    A = 1
    B = 2
    C = 8
'''
USES = (
    "list(Word), len(Word), Word('two') is Word.TWO, Word['ONE'] is Word.ONE, Word.ONE == 'one', Word.ONE != Word.TWO",
    "repr(Word.ONE), str(Word.ONE), f'{Word.ONE}', Word.ONE.name, Word.ONE.value, hash(Word.ONE) == hash(Word.ONE)",
    "Word.ONE in Word, dict(Word.__members__), list(Word.__members__.values()), bool(Word.ONE)",
    "Word('three')",
    "Word['THREE']",
    "Pair.RIGHT.both, Pair.LEFT.value, Pair(('r', 2)) is Pair.RIGHT, [each.letter for each in Pair]",
    "list(Number), Number(7) is Number.SOME, Number.SOME + 1, Number.SOME == 7, hash(Number.SOME), bool(Number.NONE)",
    "repr(Number.SOME), str(Number.SOME), f'{Number.SOME}', f'{Number.SOME:03}'",
    "'%d' % Number.SOME, json.dumps([Number.SOME])",
    "5 in Number.__members__.values(), 7 in Number.__members__.values(), {Number.SOME: 1}[7]",
    "sorted(Number, reverse=True)",
    "Number(5)",
    "Code(1) is Code.FAILED, Code.FAILED.meaning, Code.FAILED.value, int(Code.FAILED), [code.meaning for code in Code]",
    "Bit.A | Bit.B, 8 | Bit.A, Bit(3) & Bit.B, Bit(3) & 6, 6 & Bit(3), Bit(8) is Bit.C, Bit(11) & ~Bit.A",
    "Bit.A in Bit(3), Bit.C in Bit(3), Bit.A | Bit.B in Bit(11), bool(Bit(0)), Bit(3) == 3, type(Bit.A | Bit.C) is Bit",
    "list(Bit), int(Bit.A | Bit.C), (Bit.A | Bit.B).name, Bit(0).name, int(Bit(0)), int(Bit(17)), int(Bit(5) | Bit.B)",
)


def made(lib: ModuleType) -> dict[str, object]:
    names: dict[str, object] = {"lib": lib, "json": json, "__name__": __name__}
    exec(SOURCE, names)  # noqa: S102 (the source above)
    return names


def answer(lib: ModuleType, use: str) -> str:
    try:
        return repr(eval(use, made(lib)))  # noqa: S307 (the uses above)
    except (ValueError, KeyError) as error:
        return repr(error)


@pytest.mark.parametrize("use", USES)
def test_both_libraries_answer_the_same(use: str) -> None:
    found, known = answer(lean, use), answer(enum, use)
    assert found == known


@pytest.mark.parametrize(
    "member", [Op.COPY, EntryFlag.GROUP, EntryFlag.GROUP | EntryFlag.RDEV, Group.CALLX, ExitCode.FULL]
)
def test_members_are_copied_and_pickled(member: lean.Enum) -> None:
    again = pickle.loads(pickle.dumps(member))  # noqa: S301 (our own bytes)
    for each in (again, copy.copy(member), copy.deepcopy(member)):
        assert each == member
        assert type(each) is type(member)


def test_the_standard_librarys_is_not_loaded() -> None:
    code = "import packetfs.packet.layout, sys; print('enum' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
