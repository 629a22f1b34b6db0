"""What this package uses of the standard library's `contextlib`, for a twentieth of its cost at the start.

Its import brings functools and collections: 2 ms (measured). To type checkers these names are its own, so they mean the
same, as far as they are used here: a context manager is used in one `with`, and not as a decorator.
"""

from __future__ import annotations

from packetfs.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import contextmanager as contextmanager
    from contextlib import suppress as suppress
else:

    class _Opened:
        """A generator that yields once, within `with`."""

        __slots__ = ("_steps",)

        def __init__(self, steps):
            self._steps = steps

        def __enter__(self):
            for given in self._steps:
                return given
            raise RuntimeError("generator didn't yield")

        def __exit__(self, kind, error, trace):
            if error is None:
                for _ in self._steps:
                    raise RuntimeError("generator didn't stop")
                return False
            try:
                self._steps.throw(error)
            except StopIteration as ended:
                return ended is not error
            except BaseException as raised:
                if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                    error.__traceback__ = trace
                    return False
                raise
            raise RuntimeError("generator didn't stop after throw()")

    def contextmanager(steps):
        def opened(*arguments, **named):
            return _Opened(steps(*arguments, **named))

        opened.__name__, opened.__doc__, opened.__wrapped__ = steps.__name__, steps.__doc__, steps
        return opened

    class suppress:  # noqa: N801
        """Errors of these classes end what is within `with`, and no more."""

        __slots__ = ("_classes",)

        def __init__(self, *classes):
            self._classes = classes

        def __enter__(self):
            pass

        def __exit__(self, kind, error, trace):
            return kind is not None and issubclass(kind, self._classes)
