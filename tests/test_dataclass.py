"""packetfs.dataclass: what it makes behaves as the standard library's dataclasses do, at a fraction of their cost."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import ClassVar

import pytest

from packetfs.dataclass import asdict, dataclass, field, fields, replace


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is."""

    KIND: ClassVar[str] = "place"
    offset: int
    size: int = 8
    names: list[str] = field(default_factory=list, compare=False)

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(slots=True)
class Count:
    """Something that grows."""

    done: int = 0
    secret: str = field(default="", repr=False)
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """A field that follows from another."""

    text: str
    length: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.text))


@dataclass(frozen=True, slots=True)
class Empty:
    """No fields."""


def test_an_instance_has_its_fields_and_defaults() -> None:
    place = Place(3, names=["a"])
    assert (place.offset, place.size, place.names, place.end, place.KIND) == (3, 8, ["a"], 11, "place")
    assert Place(1).names is not Place(1).names
    assert not hasattr(place, "__dict__")
    assert (Place.__name__, Place.__doc__, Derived("abc").length) == ("Place", "Where something is.", 3)


def test_wrong_arguments_are_refused_as_by_any_function() -> None:
    with pytest.raises(TypeError, match="__init__"):
        Place()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="__init__"):
        Place(1, 2, [], 4)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="length"):
        Derived("a", length=1)  # type: ignore[call-arg]
    assert list(inspect.signature(Place).parameters) == ["offset", "size", "names"]


def test_frozen_instances_stay_as_they_are() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="offset"):
        Place(1).offset = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Place(1).size
    count = Count()
    count.done += 1
    assert count == Count(1)
    with pytest.raises(AttributeError):
        count.other = 1  # type: ignore[attr-defined]


def test_equality_and_hash_are_by_class_and_compared_fields() -> None:
    assert Place(1, 2, ["a"]) == Place(1, 2, ["b"])
    assert Place(1, 2) != Place(1, 3)
    assert hash(Place(1, 2, ["a"])) == hash(Place(1, 2))
    assert len({Empty(), Empty(), Derived("a"), Derived("a")}) == 2
    others: list[object] = [Derived(""), (1, 8), None]
    assert Empty() not in others
    assert Place(1) not in others
    with pytest.raises(TypeError, match="unhashable"):
        hash(Count())


def test_it_shows_itself_as_it_is_written() -> None:
    assert repr(Place(1)) == "Place(offset=1, size=8, names=[])"
    assert repr(Count(1, "x")) == "Count(done=1, places=())"
    assert repr(Empty()) == "Empty()"


def test_own_methods_are_kept() -> None:
    @dataclass(frozen=True, slots=True)
    class Own:
        value: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    assert (Own(1) == 3, hash(Own(1)), repr(Own(1))) == (True, 7, "own")


def test_a_match_takes_fields_in_their_order() -> None:
    match Place(1, 2):
        case Place(offset, size):
            assert (offset, size) == (1, 2)


def test_a_default_that_all_would_share_is_refused() -> None:
    with pytest.raises(ValueError, match="default_factory"):

        @dataclass(slots=True)
        class Shared:
            values: list[int] = []  # noqa: RUF012


@pytest.mark.parametrize("library", [dataclasses, sys.modules["packetfs.dataclass"]])
def test_functions_of_the_standard_library_take_them_too(library: object) -> None:
    place, count = Place(1, names=["a"]), Count(1, "x", (Place(2),))
    assert getattr(library, "replace")(place, size=3) == Place(1, 3)  # noqa: B009
    assert [each.name for each in getattr(library, "fields")(Count)] == ["done", "secret", "places"]  # noqa: B009
    plain = {"done": 1, "secret": "x", "places": ({"offset": 2, "size": 8, "names": []},)}
    assert getattr(library, "asdict")(count) == plain  # noqa: B009
    assert dataclasses.is_dataclass(Place)


def test_the_same_functions_from_here() -> None:
    assert replace(Derived("a"), text="ab").length == 2
    assert [(each.name, each.type) for each in fields(Derived)] == [("text", "str"), ("length", "int")]
    assert asdict(Empty()) == {}
    count = Count(1)
    assert copy.copy(count) == count


@pytest.mark.parametrize("made", [Place(1, 2, ["a"]), Count(1, "x", (Place(3),)), Derived("abc"), Empty()])
def test_instances_are_copied_and_pickled(made: object) -> None:
    again = pickle.loads(pickle.dumps(made))  # noqa: S301 (our own bytes)
    for each in (copy.copy(made), copy.deepcopy(made), again):
        assert each == made
        assert repr(each) == repr(made)


def test_it_loads_nothing_of_what_makes_dataclasses_slow() -> None:
    code = "import packetfs.dataclass, sys; print({'dataclasses', 'inspect', 'ast'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"


def test_the_first_instances_are_made_as_those_after_them() -> None:
    @dataclass(frozen=True, slots=True)
    class Many:
        offset: int
        size: int = 8
        names: list[str] = field(default_factory=list)
        end: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "end", self.offset + self.size)

    made = [Many(number, names=["a"]) if number % 2 else Many(number) for number in range(100)]
    expected = [(number, 8, ["a"] * (number % 2), number + 8) for number in range(100)]
    assert [(each.offset, each.size, each.names, each.end) for each in made] == expected
    assert len({id(each.names) for each in made}) == 100


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"offset": 1}), ((1,), {"sizes": 2}), ((), {"size": 2})],
)
def test_the_first_instance_refuses_arguments_as_those_after_it(given: tuple[int, ...], named: dict[str, int]) -> None:
    @dataclass(slots=True)
    class Pair:
        offset: int
        size: int = 8

    def refusal() -> str:
        with pytest.raises(TypeError) as raised:
            Pair(*given, **named)
        return str(raised.value)

    first = refusal()
    assert Pair.__init__ is Pair.__init__  # compiled now
    assert refusal() == first
    assert "Pair.__init__" in first
