"""Command lines that are read without argparse say what argparse would have said."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import UsageError
from packetfs.frontends.cli.arguments import Arguments, Options
from packetfs.frontends.cli.commands import BY_NAME, COMMANDS
from packetfs.frontends.cli.declared import all_arguments, load
from packetfs.frontends.cli.parser import build_parser

WORDS = ("", "-", "--", "a", "pfs:b", "7", "-7", "clear", "--x", "-q", "a b", "-a b", "x=y", "auto", "always", "-vq")


def said(name: str, options: Options) -> dict[str, object]:
    return {each.dest: getattr(options, each.dest) for each in all_arguments(load(BY_NAME[name])).declared}


def judged(name: str, words: list[str]) -> dict[str, object] | None:
    """Return what argparse says of a command line; None where it refuses it."""
    try:
        return said(name, build_parser(BY_NAME[name], load(BY_NAME[name])).parse(words))
    except UsageError:
        return None


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a command and words of which many are its options, and what may stand behind them."""
    command = draw(st.sampled_from(COMMANDS))
    names = [name for each in all_arguments(load(command)).declared if each.is_option for name in each.names]
    value = st.sampled_from(WORDS)
    option = st.sampled_from(names)
    word = st.one_of(value, option, st.builds("{}={}".format, option, value), st.builds("{}{}".format, option, value))
    return command.name, draw(st.lists(word, max_size=6))


@given(lines())
def test_what_is_read_is_what_argparse_says(line: tuple[str, list[str]]) -> None:
    name, words = line
    found = all_arguments(load(BY_NAME[name])).read(words)
    judgement = judged(name, words)
    if found is not None:
        assert said(name, found) == judgement


@pytest.mark.parametrize("word", ["", " ", " --x", "\n"])
def test_blank_words_that_no_argument_takes_are_mistakes(word: str) -> None:
    with pytest.raises(UsageError, match="unrecognized arguments"):
        build_parser(BY_NAME["gc"], load(BY_NAME["gc"])).parse([word])


def test_two_dashes_behind_an_option_are_its_value_whoever_reads_them() -> None:
    read, parsed = (judged("rm", [*words, "--pool=--", "a"]) for words in ([], ["-rq"]))
    assert read is not None
    assert parsed is not None
    assert read["pool"] == parsed["pool"] == "--"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("run -q wc --records line a b", {"quiet": True, "program": "wc", "records": "line", "files": ["a", "b"]}),
        ("run a.py --arg x=1 -a y=2 - --top=3", {"files": ["-"], "arg": ["x=1", "y=2"], "top": 3}),
        ("sync --pool p a b c", {"pool": "p", "source": "a", "destinations": ["b", "c"]}),
        ("ls", {"paths": ["pfs:"], "json": False, "pool": None}),
        ("memo clear", {"action": "clear"}),
    ],
)
def test_plain_command_lines_are_read(line: str, meant: dict[str, object]) -> None:
    name, *words = shlex.split(line)
    found = all_arguments(load(BY_NAME[name])).read(words)
    assert found is not None
    assert meant.items() <= said(name, found).items()


@pytest.mark.parametrize(
    "line",
    [
        "run",
        "run wc --top x",
        "run wc --engine fast",
        "run wc -afile",
        "run wc --arg -x",
        "run wc --arg",
        "run -- wc",
        "ls --lnog",
        "memo --clear=yes",
        "memo other",
        "mount a b c",
        "vms --freeze a b",
    ],
)
def test_others_are_left_to_argparse(line: str) -> None:
    name, *words = shlex.split(line)
    assert all_arguments(load(BY_NAME[name])).read(words) is None


def test_lists_of_two_command_lines_are_two() -> None:
    arguments = Arguments()
    arguments.add("--arg", action="append", default=[], help="")
    first, second = arguments.read(["--arg", "a"]), arguments.read(["--arg", "b"])
    assert isinstance(first, Options)
    assert isinstance(second, Options)
    assert (first.arg, second.arg) == (["a"], ["b"])


def test_plain_command_lines_load_no_argparse() -> None:
    code = "import sys; from packetfs.frontends.cli.main import main; main(['ls', '--pool', '/nowhere'])"
    code += "; print({'argparse', 'gettext', 'locale'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
