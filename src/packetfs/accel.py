"""Pick the native core once: `native` is the C module, or None where each Python twin runs instead."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

from packetfs.typing import Final


def _load() -> ModuleType | None:
    if os.environ.get("PACKETFS_PURE"):
        return None
    try:
        return import_module("packetfs._native")
    except ImportError:
        return None


native: Final = _load()
