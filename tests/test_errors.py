"""Errors are values: they cross from process to process with all that they say."""

from __future__ import annotations

import pickle

import pytest

from packetfs.errors import BadMessage, DestinationFull, NotFound, PacketFSError, UsageError


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
