"""Errors are values: they cross from process to process with all that they say."""

from __future__ import annotations

import pickle
from importlib import import_module
from pathlib import Path

import pytest

from packetfs import errors
from packetfs.errors import BadMessage, BadSnapshotName, DestinationFull, NotAFile, NotFound, PacketFSError, UsageError


@pytest.mark.parametrize(
    "error",
    [
        UsageError(reason="no such engine"),
        NotFound(path=b"a\xff"),
        BadMessage(reason="odd"),
        DestinationFull(path="/d"),
    ],
)
def test_an_error_survives_pickling(error: PacketFSError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    assert (type(again), again.message, again.fields) == (type(error), error.message, error.fields)


def test_a_root_is_named_as_one() -> None:
    assert NotAFile(path=b"").message.startswith("the root is not a regular file")
    assert BadSnapshotName(name=b"").message == "'' cannot be the name of a snapshot."


def test_every_error_is_found_by_its_name_alone() -> None:
    names = {path.stem for path in Path(errors.__file__).parent.glob("*.py")} - {"__init__"}
    modules = [import_module(f"{errors.__name__}.{name}") for name in sorted(names)]
    defined = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    assert {error.__name__: error for error in errors.error_classes()} == defined
    assert set(defined) <= set(dir(errors))
    with pytest.raises(AttributeError, match="NoSuchError"):
        getattr(errors, "NoSuchError")  # noqa: B009
