"""Pick the native core once: `native` is the C module, or None where each Python twin runs instead.

A core has every function of `_native.pyi`, so nobody asks for one by name: one that is missing, in a core older than
this source, is an error of its module (errors/system.py says what to do), not a slow way taken in silence.
"""

from __future__ import annotations

import os

from packetfs.importlib import import_module
from packetfs.typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType


def _load() -> ModuleType | None:
    if os.environ.get("PACKETFS_PURE"):
        return None
    try:
        return import_module("packetfs._native")
    except ImportError:
        return None


native: Final = _load()
