"""What this package uses of the standard library's `typing` in nearly every module, for nothing of its cost.

Annotations are never evaluated here, so most of these words need only be there; importing the standard library's takes
a tenth of `pfs --version`, and a Protocol of it twice as long as a class. To type checkers these names are its own.
What else a module needs of `typing` it imports from there, as few do. Python has the abstract collections when it
begins, but `collections.abc` brings `collections`, 1.5 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable as Callable
    from collections.abc import Collection as Collection
    from collections.abc import Container as Container
    from collections.abc import Iterable as Iterable
    from collections.abc import Iterator as Iterator
    from collections.abc import Mapping as Mapping
    from collections.abc import Sequence as Sequence
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import ClassVar as ClassVar
    from typing import Final as Final
    from typing import Generic as Generic
    from typing import NamedTuple as NamedTuple
    from typing import NewType as NewType
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import Self as Self
    from typing import TypeAlias as TypeAlias
    from typing import TypeVar as TypeVar
    from typing import cast as cast
    from typing import overload as overload
else:
    from _collections_abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence  # noqa: F401

    class Any:
        """A word of annotations."""

    BinaryIO = ClassVar = Final = NoReturn = Self = TypeAlias = Any

    class Generic:
        """What depends on a kind, which only type checkers look at."""

        __slots__ = ()

        def __class_getitem__(cls, _kinds):
            return cls

    class Protocol(Generic):
        """What a class has to have; nothing asks for that while it runs."""

        __slots__ = ()

    class _Named(type):
        """Makes a tuple whose elements have names of each class that says it is one."""

        def __new__(cls, name, _bases, body):
            from collections import namedtuple  # comes with the first

            fields = body["__annotations__"]
            defaults = [body.pop(each) for each in fields if each in body]
            made = namedtuple(name, fields, defaults=defaults)
            for each, value in body.items():
                setattr(made, each, value)
            return made

    NamedTuple = type.__new__(_Named, "NamedTuple", (), {})

    def NewType(_name, _kind):  # noqa: N802
        return lambda value: value

    def TypeVar(_name, **_bound):  # noqa: N802
        return Any

    def cast(_kind, value):
        return value

    def overload(method):
        return method
