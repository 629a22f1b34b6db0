"""The command line as a whole: help, versions, mistakes, and what every command owes its user."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from packetfs import __version__, errors
from packetfs.errors import PacketFSError
from packetfs.errors.system import translate
from packetfs.frontends.cli import reference
from packetfs.frontends.cli.commands import BY_NAME, COMMANDS, GROUPS
from packetfs.frontends.cli.declared import all_arguments, load, split_command
from packetfs.frontends.cli.exit_codes import ExitCode
from packetfs.frontends.cli.main import main
from packetfs.frontends.cli.records import RECORDS
from packetfs.net.link.carrier import Carrier
from tests.frontends.command import COMMAND, HANGS, Pfs, environment

NAMES = [command.name for command in COMMANDS]
DOCS = Path(__file__).resolve().parents[2] / "docs"
HEAVY = ("asyncio", "msgspec", "rich", "typer", "ctypes", "json", "difflib", "shlex", "unittest", "email", "ssl")


# help and versions


def test_overview_lists_every_command_in_its_group(pfs: Pfs) -> None:
    text = pfs.good("--help").text
    assert all(re.search(rf"^  {name} +\w", text, re.MULTILINE) for name in NAMES)
    assert [line for line in text.splitlines() if line in GROUPS] == list(GROUPS)
    assert pfs.good("help").text == text


def test_without_arguments_the_overview_is_a_usage_error(pfs: Pfs) -> None:
    ended = pfs()
    assert ended.code == ExitCode.USAGE
    assert "FILES" in ended.text


def test_version(pfs: Pfs) -> None:
    assert pfs.good("--version").text == f"pfs {__version__}\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself_with_examples(name: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([name, "--help"]) == 0
    text = capsysbinary.readouterr().out.decode()
    assert text.startswith(f"usage: pfs {name} ")
    assert re.search(rf"examples:\n.*\bpfs {name}\b", text, re.DOTALL)
    assert main(["help", name]) == 0
    assert capsysbinary.readouterr().out.decode() == text


@pytest.mark.parametrize("name", NAMES)
def test_every_example_parses(name: str) -> None:
    module = load(BY_NAME[name])
    parsed = 0
    for line, why in module.EXAMPLES:
        assert why
        for part in re.split(r"\||&&|[<>]", line):
            words = shlex.split(part)
            if words[:2] == ["pfs", name]:
                assert all_arguments(module).read(words[2:]) or name == "vms", "only --freeze is argparse's"
                parsed += 1
    assert parsed or name == "serve"


def test_modules_and_table_agree() -> None:
    folder = Path(load(COMMANDS[0]).__file__ or "").parent  # type: ignore[attr-defined]
    modules = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    assert modules == sorted(name.replace("-", "_") for name in NAMES)
    assert {command.group for command in COMMANDS} == set(GROUPS)


# mistakes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("snyc",), "did you mean sync?"),
        (("disassm", "x"), "did you mean disasm?"),
        (("xyzzy",), "There is no command xyzzy\n"),
        (("ls", "--recusive"), "did you mean --recursive?"),
        (("ls", "--color", "blue"), "invalid choice"),
        (("cat",), "the following arguments are required: PATH"),
        (("--pool", "/nowhere"), "a command is missing"),
        (("--quiet",), "a command is missing after '--quiet'\n"),
        (("--hlep",), "did you mean --help?"),
        (("mount", "--pool", "a", "b"), "POOL is written without --pool"),
        (("ls", "--json=1"), "hint: `pfs ls --help` shows"),
        (("init", "--mean", "5"), "power of two"),
        (("init", "--mean", "many"), "is not a size"),
        (("sync", "a:b", "c:d"), "both on other machines"),
        (("sync", "http://x/y", "b"), "URLs of daemons are"),
        (("sync", "-e", "'", "a", "b"), "No closing quotation"),
        (("sync", "--keep", "much", "a", "b"), "is not a size"),
        (("ls", "pfs:a/../b"), "no '..'"),
        (("cat", ""), "an empty path"),
        (("snapshots", "docs"), "--take"),
        (("serve",), "--stdio"),
        (("disasm", "--snapshot", "x", "file"), "pfs:PATH only"),
    ],
)
def test_mistakes_are_usage_errors(pfs: Pfs, arguments: tuple[str, ...], said: str) -> None:
    ended = pfs(*arguments)
    assert ended.code == ExitCode.USAGE, ended.err
    assert ended.out == b""
    assert said in ended.err
    assert ended.err.startswith("pfs: ")
    assert "\nhint: " in ended.err
    assert list(pfs.home.iterdir()) == []


def test_shared_options_stand_before_or_after_the_command() -> None:
    assert split_command(["--pool", "p", "-v", "ls", "-l"]) == ("ls", ["--pool", "p", "-v", "-l"])
    assert split_command(["ls", "--pool", "p"]) == ("ls", ["--pool", "p"])
    assert split_command(["--pool", "ls"]) == (None, ["--pool", "ls"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("info",),
        ("ls",),
        ("cat", "x"),
        ("stat", "x"),
        ("rm", "x"),
        ("get", "x", "y"),
        ("put", "/etc/hostname", "x"),
        ("snapshots",),
        ("check",),
        ("repair",),
        ("gc",),
        ("disasm", "pfs:x"),
    ],
)
def test_a_missing_pool_is_named_with_the_remedy(pfs: Pfs, arguments: tuple[str, ...]) -> None:
    ended = pfs(*arguments)
    assert ended.code == ExitCode.NO_POOL, ended.err
    assert str(pfs.pool) in ended.err
    assert "pfs init" in ended.err
    assert list(pfs.home.iterdir()) == []


def test_errors_in_json(pfs: Pfs) -> None:
    ended = pfs("ls", "--json")
    fields = __import__("json").loads(ended.err)
    assert (fields["type"], fields["code"], fields["error"]) == ("error", 10, "NotAPool")
    assert set(fields) - {"type"} == {"code", "error", "message", "hint"}


def test_a_fault_of_ours_is_one_sentence_unless_a_traceback_is_wanted(pfs: Pfs) -> None:
    (pfs.home / "sitecustomize.py").write_text(
        "import packetfs.frontends.doctor.examine as e\ndef broken(pool):\n    raise ZeroDivisionError('oops')\n"
        "e.examine = broken\n"
    )
    path = f"{environment(pfs.home)['PYTHONPATH']}:{pfs.home}"
    ended = pfs("doctor", PYTHONPATH=path)
    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("pfs: This is a fault in PacketFS: ZeroDivisionError: oops\nhint: ")
    assert "Traceback" in pfs("doctor", PYTHONPATH=path, PACKETFS_TRACEBACK="1").err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (FileNotFoundError(2, "No such file or directory", "/a/b"), 4, "/a/b: there is no such file or directory"),
        (PermissionError(13, "Permission denied", b"/a/\x1b"), 15, "/a/\\x1b: permission denied"),
        (OSError(28, "No space left on device", "/a", None, "/b"), 12, "/a and /b: no space left"),
        (OSError(5, "Input/output error"), 16, "the system refused: the disk failed to read or write"),
        (IsADirectoryError(21, "Is a directory", "/a"), 1, "/a: is a directory"),
        (ImportError("No module named 'x'", name="x"), 17, "The library x cannot be loaded: No module named 'x'"),
        (RuntimeError("can't start new thread"), 1, "The system lets no thread begin."),
        (RuntimeError("other"), 1, "This is a fault in PacketFS: RuntimeError: other"),
        (MemoryError(), 1, "PacketFS failed: this machine has no memory left"),
    ],
)
def test_the_systems_errors_in_words(error: Exception, code: int, message: str) -> None:
    known = translate(error)
    assert (known.exit_code, known.message) == (code, message)


# signals and pipes


def test_a_reader_that_leaves_is_no_error(pooled: Pfs) -> None:
    pooled.good("put", "-", "zeros", stdin=bytes(4_000_000))
    pooled.good("put", "-", "text", stdin=b"".join(b"%d\n" % i for i in range(1_000_000)))
    for arguments in (("cat", "zeros"), ("disasm", "--flat", "pfs:text"), ("--help",)):
        running = pooled.start(*arguments)
        assert running.stdout is not None
        assert running.stderr is not None
        if arguments != ("--help",):
            assert running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == b""
        running.stderr.close()
        assert running.wait(HANGS) in (0, ExitCode.CLOSED)


def test_closed_and_full_streams(pfs: Pfs) -> None:
    command = shlex.join([*COMMAND, "--help"])
    full = in_shell(pfs, f"{command} > /dev/full")
    assert full.returncode == ExitCode.FULL
    assert full.stderr.startswith(b"pfs: standard output: no space left\n")
    assert in_shell(pfs, f"{command} >&-").returncode == 0
    assert in_shell(pfs, f"{command} 2>&-").returncode == 0


def test_a_file_that_takes_nothing_more_is_named(pooled: Pfs) -> None:
    pooled.good("put", "-", "there", stdin=b"x\n")
    full = pooled("run", "grep", "--arg", "pattern=x", "-o", "/dev/full", "pfs:there")
    assert full.code == ExitCode.FULL
    assert full.err.startswith("pfs: /dev/full: no space left\n")


def test_words_that_nobody_hears_change_no_exit_code(pooled: Pfs, tmp_path: Path) -> None:
    pooled.good("put", "-", "there", stdin=b"x")
    command = shlex.join(COMMAND)
    assert in_shell(pooled, f"{command} cat lost 2> /dev/full").returncode == ExitCode.NOT_FOUND
    verbose = in_shell(pooled, f"{command} sync -v pfs:there {tmp_path}/copy 2> /dev/full")
    assert verbose.returncode == 0
    assert (tmp_path / "copy").read_bytes() == b"x"


def in_shell(pfs: Pfs, line: str) -> subprocess.CompletedProcess[bytes]:
    command = ["sh", "-c", line]
    return subprocess.run(command, env=environment(pfs.home), capture_output=True, check=False, timeout=HANGS)


@pytest.mark.parametrize("arguments", [("asm", "-"), ("put", "-", "x"), ("disasm", "-")])
def test_control_c_ends_with_130_and_a_valid_pool(pooled: Pfs, arguments: tuple[str, ...], tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with open(fifo, "r+b", buffering=0) as stdin:
        running = pooled.start(*arguments, stdin=stdin.fileno())
        wait_until_asleep(running.pid)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=HANGS)
    assert running.returncode == ExitCode.INTERRUPTED
    assert said == b"pfs: interrupted\n"
    pooled.good("check")
    assert pooled.good("ls").out == b""


INTERRUPTED = """
import os, signal, {module}
from packetfs.__main__ import process
{module}.{step} = lambda: os.kill(os.getpid(), signal.SIGINT)
{before}
process()
"""
LOADS = ("packetfs.frontends.cli.finder", "install")
BEGINS = ("packetfs.frontends.cli.main", "standard_streams")
ENDS = ("atexit", "_run_exitfuncs")


def interrupted(step: tuple[str, str], before: str = "") -> tuple[int, bytes]:
    """Run `pfs` with Ctrl-C at a step; return its exit code and what it said."""
    code = INTERRUPTED.format(module=step[0], step=step[1], before=before)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("step", [LOADS, BEGINS, ENDS])
def test_control_c_around_a_command_ends_it_without_a_word(step: tuple[str, str]) -> None:
    assert interrupted(step) == (-signal.SIGINT, b"")


def test_control_c_that_is_ignored_stays_so() -> None:
    assert interrupted(LOADS, "signal.signal(signal.SIGINT, signal.SIG_IGN)") == (ExitCode.USAGE, b"")


def test_little_is_loaded_before_control_c_is_seen_to() -> None:
    code = "import sys, packetfs.__main__; print(*sorted(name for name in sys.modules if name.startswith('packetfs')))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["packetfs", "packetfs.__main__", "packetfs.typing"]


def test_control_c_at_a_terminal_is_not_for_the_other_side_on_this_machine() -> None:
    with Carrier(None, None, "pfs") as carrier:
        assert os.getpgid(carrier._process.pid) == carrier._process.pid != os.getpgid(0)


def wait_until_asleep(pid: int) -> None:
    """Return when a process waits in a read of a pipe."""
    while b"pipe_read" not in Path(f"/proc/{pid}/wchan").read_bytes():
        os.sched_yield()


# costs


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("ls",), ("serve", "--help")])
def test_nothing_heavy_is_imported(pooled: Pfs, arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom packetfs.frontends.cli.main import main\n"
        f"main({list(arguments)!r})\nsys.stderr.write(' '.join(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(pooled.home), capture_output=True, check=True, timeout=HANGS)
    loaded = done.stderr.decode().split()
    assert [name for name in HEAVY if name in loaded] == []
    commands = [name for name in loaded if name.startswith("packetfs.frontends.cli.commands.")]
    assert len(commands) == (0 if arguments[0].startswith("-") else 1)


# documents


def test_exit_codes_are_unique_and_cover_every_error() -> None:
    assert len({code.value for code in ExitCode}) == len(ExitCode.__members__)
    assert all(code.meaning for code in ExitCode)
    known = {code.value for code in ExitCode}
    assert [error.__name__ for error in errors.error_classes() if error.exit_code not in known] == []


def test_every_error_says_what_happened() -> None:
    for error in errors.error_classes():
        assert error.__doc__, error
        message = error(**dict.fromkeys(re.findall(r"{(\w+)}", error.__doc__), "X")).message
        assert message
        assert "{" not in message
    assert issubclass(errors.UsageError, PacketFSError)


def test_records_are_unique() -> None:
    assert len({record.type for record in RECORDS}) == len(RECORDS)


@pytest.mark.parametrize("page", ["cli.md", "exit-codes.md"])
def test_the_reference_is_what_the_code_says(page: str) -> None:
    text = (DOCS / page).read_text()
    mark = r"<!-- generated: packetfs\.frontends\.cli\.reference:(\w+) -->\n(.*?)<!-- end -->"
    parts = re.findall(mark, text, re.DOTALL)
    assert parts
    for function, body in parts:
        assert body.strip() == getattr(reference, function)().strip(), f"{page} is stale: run `make docs`"
