"""What this package uses of the standard library's `dataclasses`, for a twenty-fifth of its cost at the start.

Every process pays for each class of each module that it imports. The standard library's decorator compiles five methods
for a class, and its import brings inspect, ast, dis and tokenize: 4 million instructions a class and 47 million once
(valgrind). Here comparing, hashing and showing are shared methods, and `__init__` is compiled when a class has so many
instances that this pays: most classes of a short process have a few.

To type checkers these names are the standard library's own, so `dataclass` means the same, as far as it is used here:
fields with defaults, `field`, ClassVar, `__post_init__`; always slots, no inheritance between such classes, no order.
The functions of `dataclasses` (`replace`, `fields`, `is_dataclass` ...) take these classes too.
"""

from __future__ import annotations

from packetfs.typing import TYPE_CHECKING, Any, Callable, Final, NoReturn, TypeVar

if TYPE_CHECKING:
    from operator import attrgetter
    from types import MethodType
    from typing import Literal
else:
    from _operator import attrgetter  # what both modules have is there before they are loaded

    MethodType = type((lambda _self: None).__get__(0))

T = TypeVar("T")
_UNSET: Final[Any] = object()
_ONE_BY_ONE: Final = 32
"""The instance of a class for which its `__init__` is compiled, at the cost of some 70 without it."""
_set: Final = object.__setattr__


class Field:
    """One field of a class: its annotation as text, its default, and where it counts. Most say no more than a name."""

    default: Any = _UNSET
    default_factory: Any = _UNSET
    init = repr = compare = True
    name = type = ""

    def __init__(self, **said: Any) -> None:
        vars(self).update(said)

    def given(self) -> Any:
        """Return the value of an instance that was given none; _UNSET where it must be."""
        return self.default if self.default_factory is _UNSET else self.default_factory()

    @property
    def _field_type(self) -> object:
        """What tells the standard library's functions that this is a field, and no ClassVar."""
        import dataclasses

        return getattr(dataclasses, "_FIELD")  # noqa: B009  # it has no public name


def _dataclass(*, slots: Literal[True], frozen: bool = False) -> Callable[[type[T]], type[T]]:
    del slots  # said by every class, as the standard library has another default
    return lambda cls: _remade(cls, frozen=frozen)


def _fields(record: Any) -> tuple[Field, ...]:
    return tuple(record.__dataclass_fields__.values())


def _replace(record: T, **changes: object) -> T:
    for each in _fields(record):
        if each.init:
            changes.setdefault(each.name, getattr(record, each.name))
    return type(record)(**changes)


def _asdict(record: object) -> dict[str, Any]:
    return {each.name: _plain(getattr(record, each.name)) for each in _fields(record)}


def _plain(value: Any) -> Any:
    if hasattr(type(value), "__dataclass_fields__"):
        return _asdict(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _remade(cls: type[T], *, frozen: bool) -> type[T]:
    """Return the class once more: slots cannot be added to one that is there."""
    declared = _declared(cls)
    body = dict(vars(cls))
    for name in ("__dict__", "__weakref__", *declared):
        body.pop(name, None)
    body["__slots__"] = tuple(declared)
    body["__match_args__"] = tuple(name for name, each in declared.items() if each.init)
    body["__dataclass_fields__"] = declared
    equal, hashed = _comparing(declared)
    body.setdefault("__eq__", equal)
    body.setdefault("__repr__", _shown)
    if body.get("__hash__") is None:
        body["__hash__"] = hashed if frozen else None
    if frozen:
        body["__setattr__"] = body["__delattr__"] = _refused
        body.setdefault("__setstate__", _restored)
    begin = body.setdefault("__init__", _Init(declared, frozen=frozen, follows="__post_init__" in body))
    metaclass: Any = type(cls)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    if isinstance(begin, _Init):
        begin.owner = made
    return made


def _declared(cls: type) -> dict[str, Field]:
    """Return the fields by name, in the order in which they are annotated."""
    declared, body = {}, vars(cls)
    for name, annotation in cls.__annotations__.items():
        if str(annotation).startswith("ClassVar"):
            continue
        given = body.get(name, _UNSET)
        each = given if isinstance(given, Field) else Field() if given is _UNSET else Field(default=given)
        if type(each.default).__hash__ is None:
            raise ValueError(f"all instances would share the default of {cls.__name__}.{name}: use default_factory")
        each.name, each.type = name, annotation
        declared[name] = each
    return declared


class _Init:
    """The `__init__` of a class: it sets the fields of the first instances one by one, until the compiled one takes its
    place, which also says what is wrong with arguments."""

    def __init__(self, declared: dict[str, Field], *, frozen: bool, follows: bool) -> None:
        self.declared = declared
        self.frozen = frozen
        self.owner: Any = None
        self._names = [name for name, each in declared.items() if each.init]
        self._follows = follows
        self._left = _ONE_BY_ONE

    def __get__(self, instance: object, owner: type) -> object:
        self._left -= 1
        if instance is not None and self._left > 0:
            return MethodType(self, instance)
        begin = self._compiled()
        self.owner.__init__ = begin
        return begin.__get__(instance, owner)

    def __call__(self, instance: object, *given: object, **named: object) -> None:
        whole = len(given) == len(self._names) and not named
        for name, value in zip(self._names, given if whole else self._completed(instance, given, named), strict=False):
            _set(instance, name, value)
        if self._follows:
            self.owner.__post_init__(instance)

    def _completed(self, instance: object, given: tuple[object, ...], named: dict[str, object]) -> list[object]:
        """Return a value for each field."""
        values, left, missing = [*given], len(named), False
        for name in self._names[len(given) :]:
            if name in named:
                value = named[name]
                left -= 1
            else:
                value = self.declared[name].given()
                missing = missing or value is _UNSET
            values.append(value)
        if left or missing or len(values) > len(self._names):
            self._compiled()(instance, *given, **named)
        return values

    def _compiled(self) -> Any:
        parameters, lines = ["self"], []
        scope: dict[str, Any] = {"_UNSET": _UNSET}
        for name in self._names:
            each = self.declared[name]
            value = name
            if each.default_factory is not _UNSET:
                scope[f"_new_{name}"] = each.default_factory
                value = f"_new_{name}() if {name} is _UNSET else {name}"
            default = _UNSET if each.default_factory is not _UNSET else each.default
            scope[f"_{name}"] = default
            needed = each.default_factory is _UNSET and default is _UNSET
            parameters.append(name if needed else f"{name}=_{name}")
            if self.frozen:  # by the slot itself: half of what it takes by name
                scope[f"_set_{name}"] = vars(self.owner)[name].__set__
            lines.append(f"_set_{name}(self, {value})" if self.frozen else f"self.{name} = {value}")
        if self._follows:
            lines.append("self.__post_init__()")
        exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), scope)  # noqa: S102  # names of fields
        scope["__init__"].__qualname__ = f"{self.owner.__qualname__}.__init__"
        return scope["__init__"]


def _comparing(declared: dict[str, Field]) -> tuple[object, object]:
    """Return `__eq__` and `__hash__`: by class and by the fields that count."""
    compared = attrgetter("__class__", *(name for name, each in declared.items() if each.compare))

    def equal(self: object, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(compared(self))

    return equal, hashed


def _shown(self: object) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in _fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _restored(self: object, state: tuple[None, dict[str, object]]) -> None:
    """Take what pickle and copy saw of another instance: they would set attributes, which a frozen one refuses."""
    for name, value in state[1].items():
        _set(self, name, value)


def _refused(self: object, name: str, value: object = None) -> NoReturn:
    del self, value
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


if TYPE_CHECKING:
    from dataclasses import asdict as asdict
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import replace as replace
else:
    asdict, dataclass, field, fields, replace = _asdict, _dataclass, Field, _fields, _replace
