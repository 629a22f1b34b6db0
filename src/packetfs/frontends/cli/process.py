"""The process `pfs`: what it does before anything is loaded, and how it ends."""

from __future__ import annotations

import atexit
import gc
import os

from packetfs.frontends.cli.finder import install
from packetfs.typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal
else:
    from _signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal  # without the enum


def process() -> NoReturn:
    """Be the process `pfs`, which ends without taking Python apart: that would be a fifteenth of a short command."""
    raises = getsignal(SIGINT) is default_int_handler  # it may be ignored
    if raises:
        signal(SIGINT, SIG_DFL)  # nothing has begun: Ctrl-C while modules load ends it without a traceback
    gc.set_threshold(50_000)  # modules are loaded: going over them again and again takes 5 % of a start
    install()
    from packetfs.frontends.cli.main import main

    if raises:
        signal(SIGINT, default_int_handler)
    code = main()
    atexit._run_exitfuncs()
    os._exit(code)
