"""What stands in for modules of the standard library that cost much at the start: it does the same."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import packetfs.contextlib
import packetfs.importlib
import packetfs.threading
import packetfs.typing

ENDINGS: tuple[BaseException | None, ...] = (
    None,
    ValueError("ours"),
    StopIteration("ours"),
    RuntimeError("ours"),
    KeyboardInterrupt(),
)


def plain() -> Iterator[int]:
    yield 1


def cleaning() -> Iterator[int]:
    try:
        yield 1
    finally:
        pass


def swallowing() -> Iterator[int]:
    with contextlib.suppress(BaseException):
        yield 1


def raising_another() -> Iterator[int]:
    try:
        yield 1
    except BaseException:
        raise LookupError("another") from None


def from_it() -> Iterator[int]:
    try:
        yield 1
    except BaseException as error:
        raise RuntimeError("from it") from error


def yielding_twice() -> Iterator[int]:
    with contextlib.suppress(BaseException):
        yield 1
    yield 2


def yielding_nothing() -> Iterator[int]:
    yield from ()


def outcome(module: Any, steps: Callable[[], Iterator[int]], ending: BaseException | None) -> object:
    try:
        with module.contextmanager(steps)() as given:
            if ending is not None:
                raise ending  # noqa: TRY301
    except BaseException as error:
        return type(error), str(error), error is ending, type(error.__cause__)
    return given


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
@pytest.mark.parametrize(
    "steps", [plain, cleaning, swallowing, raising_another, from_it, yielding_twice, yielding_nothing]
)
def test_generators_are_context_managers(steps: Callable[[], Iterator[int]], ending: BaseException | None) -> None:
    assert outcome(packetfs.contextlib, steps, ending) == outcome(contextlib, steps, ending)


@pytest.mark.parametrize("classes", [(), (OSError,), (LookupError, FileNotFoundError)])
def test_errors_of_some_classes_are_suppressed(classes: tuple[type[Exception], ...]) -> None:
    def ends(module: Any, error: Exception | None) -> bool:
        try:
            with module.suppress(*classes):
                if error is not None:
                    raise error  # noqa: TRY301
        except Exception:
            return True
        return False

    for error in (None, FileNotFoundError(), KeyError(), ValueError()):
        assert ends(packetfs.contextlib, error) == ends(contextlib, error)


BOTH = pytest.mark.parametrize("module", [packetfs.threading, threading])


@BOTH
def test_a_thread_runs_once_and_ends(module: Any) -> None:
    go = module.Event()
    seen: list[object] = []

    def wait(*given: object) -> None:
        go.wait()
        seen.append(given)

    thread = module.Thread(target=wait, args=(1, 2), daemon=True)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="before it is started"):
        thread.join()
    thread.start()
    thread.join(0.01)
    assert thread.is_alive()
    go.set()
    thread.join()
    assert not thread.is_alive()
    thread.join(-1)
    assert seen == [(1, 2)]


INTERRUPTED = """
import random, signal, sys, time
from packetfs.threading import Event, Thread

signal.signal(signal.SIGALRM, signal.default_int_handler)
sys.unraisablehook = lambda raised: print(raised.exc_value)
for _ in range(500):
    event = Event()
    thread = Thread(target=event.wait, daemon=True)
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4))
        thread.start()
        while True:
            time.sleep(0)
    except KeyboardInterrupt:
        time.sleep(0)
    event.set()
    if thread.is_alive():
        thread.join(10)
    if thread.is_alive():
        print("it lives on")
"""


def test_an_interrupt_while_a_thread_begins_leaves_no_half() -> None:
    shown = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True)
    assert shown.stdout == ""


def test_an_interrupt_while_a_wait_ends_is_what_is_raised() -> None:
    class Interrupted:
        """A lock that an interrupt keeps from being taken again."""

        def __init__(self, lock: Any) -> None:
            self._lock = lock

        def __getattr__(self, name: str) -> Any:
            return getattr(self._lock, name)

        def acquire(self) -> None:
            raise KeyboardInterrupt

    condition: Any = packetfs.threading.Condition()
    condition._lock = Interrupted(condition._lock)
    with pytest.raises(KeyboardInterrupt), condition:
        condition.wait(0)


@BOTH
def test_an_event_is_waited_for(module: Any) -> None:
    event = module.Event()
    assert not event.wait(0.01)
    assert not event.is_set()
    threads = [module.Thread(target=event.wait, daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert event.is_set()
    assert event.wait(0)


@BOTH
def test_who_is_notified_wakes_up_once(module: Any) -> None:
    condition = module.Condition()
    left: list[int] = []
    taken: list[int] = []

    def take() -> None:
        with condition:
            while not left:
                condition.wait(5)
            taken.append(left.pop())

    threads = [module.Thread(target=take, daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    for number in range(20):
        with condition:
            left.append(number)
            condition.notify()
    for thread in threads:
        thread.join(10)
    assert sorted(taken) == list(range(20))
    with condition:
        begun = time.monotonic()
        assert not condition.wait(0.02)
        assert time.monotonic() - begun > 0.01
        condition.notify_all()


@pytest.mark.parametrize("name", ["os", "llvmlite", "blake3", "no_such_module", "json"])
def test_modules_are_found(name: str) -> None:
    mine, found = packetfs.importlib.find_spec(name), importlib.util.find_spec(name)
    assert (mine and (mine.name, mine.origin)) == (found and (found.name, found.origin))
    if found is not None:
        assert packetfs.importlib.import_module(name) is sys.modules[name]


def test_a_module_that_must_not_be_loaded_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    assert packetfs.importlib.find_spec("llvmlite") is None
    monkeypatch.setitem(sys.modules, "llvmlite", ModuleType("llvmlite"))
    assert packetfs.importlib.find_spec("llvmlite") is None


def test_names_are_those_of_the_standard_library() -> None:
    assert packetfs.importlib.ModuleSpec is importlib.machinery.ModuleSpec
    assert packetfs.importlib.SourceFileLoader is importlib.machinery.SourceFileLoader
    assert packetfs.importlib.MAGIC_NUMBER == importlib.util.MAGIC_NUMBER


def test_the_standard_librarys_are_not_loaded() -> None:
    dear = {"contextlib", "threading", "importlib", "functools", "collections", "types", "operator"}
    code = f"import sys, packetfs.contextlib, packetfs.threading, packetfs.dataclass; print({dear} & {{*sys.modules}})"
    code = code.replace("packetfs.dataclass", "packetfs.importlib, packetfs.dataclass, packetfs.enum")
    shown = subprocess.run(
        [sys.executable, "-S", "-c", "import sys; sys.path[:0] = " + repr(sys.path) + "\n" + code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "set()\n"


class Ours(packetfs.typing.NamedTuple):
    """A place."""

    x: int
    y: int = 2

    @property
    def both(self) -> int:
        return self.x + self.y


class Theirs(NamedTuple):
    """A place."""

    x: int
    y: int = 2

    @property
    def both(self) -> int:
        return self.x + self.y


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_elements_of_a_tuple_have_names(kind: Any) -> None:
    one: Any = kind(1)
    assert (one.x, one.y, one.both, *one) == (1, 2, 3, 1, 2)
    assert one == (1, 2) == kind(y=2, x=1)
    assert issubclass(kind, tuple)
    assert repr(one) == f"{kind.__name__}(x=1, y=2)"
    assert kind.__doc__ == "A place."
    assert one._replace(x=5) == (5, 2)
    assert kind._fields == ("x", "y")
    again = pickle.loads(pickle.dumps(one))  # noqa: S301
    assert again == one
    assert type(again) is kind
    with pytest.raises(AttributeError):
        one.x = 3
    for wrong in ((), (1, 2, 3)):
        with pytest.raises(TypeError):
            kind(*wrong)
