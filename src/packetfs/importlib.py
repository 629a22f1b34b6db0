"""What this package uses of the standard library's `importlib`, for nothing of its cost at the start.

Python has all of it when it begins; the standard library's modules add 0.7 ms of others to say so (measured). To type
checkers these names are its own.
"""

from __future__ import annotations

from packetfs.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib import import_module as import_module
    from importlib.machinery import ModuleSpec as ModuleSpec
    from importlib.machinery import SourceFileLoader as SourceFileLoader
    from importlib.util import MAGIC_NUMBER as MAGIC_NUMBER
    from importlib.util import find_spec as find_spec
else:
    import sys
    from _frozen_importlib import ModuleSpec as ModuleSpec
    from _frozen_importlib import _find_spec
    from _frozen_importlib import _gcd_import as import_module  # noqa: F401
    from _frozen_importlib_external import MAGIC_NUMBER as MAGIC_NUMBER
    from _frozen_importlib_external import SourceFileLoader as SourceFileLoader

    def find_spec(name):
        """Return how a module of no package would be found, None where it is not there."""
        module = sys.modules.get(name, name)
        return _find_spec(name, None) if module is name else module and module.__spec__
