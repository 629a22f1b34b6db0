"""Where settings come from, and which wins."""

from __future__ import annotations

import pytest

from packetfs.frontends import settings


@pytest.mark.parametrize(
    ("chosen", "environment", "path"),
    [
        ("/chosen", {"PACKETFS_POOL": "/named", "HOME": "/home/me"}, "/chosen"),
        (None, {"PACKETFS_POOL": "/named", "HOME": "/home/me"}, "/named"),
        (None, {"XDG_DATA_HOME": "/data", "HOME": "/home/me"}, "/data/packetfs/pool"),
        (None, {"XDG_DATA_HOME": "relative", "HOME": "/home/me"}, "/home/me/.local/share/packetfs/pool"),
        (None, {"PACKETFS_POOL": "", "HOME": "/home/me"}, "/home/me/.local/share/packetfs/pool"),
    ],
)
def test_the_pool(chosen: str | None, environment: dict[str, str], path: str) -> None:
    assert settings.pool_path(chosen, environment) == path


@pytest.mark.parametrize(
    ("choice", "terminal", "environment", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {}, False),
    ],
)
def test_color(choice: str, terminal: bool, environment: dict[str, str], wanted: bool) -> None:
    assert settings.wants_color(choice, terminal, environment) is wanted


def test_traceback_and_shell() -> None:
    assert settings.wants_traceback({"PACKETFS_TRACEBACK": "1"})
    assert not settings.wants_traceback({"PACKETFS_TRACEBACK": "0"})
    assert not settings.wants_traceback({})
    assert settings.remote_shell(None, {}) is None
    assert settings.remote_shell(None, {"PACKETFS_RSH": "ssh -4"}) == "ssh -4"
    assert settings.remote_shell("rsh", {"PACKETFS_RSH": "ssh -4"}) == "rsh"
