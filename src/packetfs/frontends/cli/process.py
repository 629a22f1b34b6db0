"""The process `pfs`: what it does before anything is loaded, and how it ends."""

from __future__ import annotations

import atexit
import gc
import os

from packetfs.frontends.cli.finder import install
from packetfs.typing import NoReturn


def process() -> NoReturn:
    """Be the process `pfs`, which ends without taking Python apart: that would be a fifteenth of a short command."""
    gc.set_threshold(50_000)  # modules are loaded: going over them again and again takes 5 % of a start
    install()
    from packetfs.frontends.cli.main import main

    code = main()
    atexit._run_exitfuncs()
    os._exit(code)
