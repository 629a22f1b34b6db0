"""The process `pfs`, and `python -m packetfs`: what it does before anything is loaded, and how it ends.

Ctrl-C shows a traceback until `process` runs: for some 3 ms of Python's own, and 0.7 ms in which this is found. So it
lies at the top of the package, as each package on the way would take 0.3 ms more, and loads nothing before.
"""

from __future__ import annotations

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
    import atexit
    import gc
    import os

    from packetfs.frontends.cli.finder import install

    gc.set_threshold(50_000)  # modules are loaded: going over them again and again takes 5 % of a start
    install()
    from packetfs.frontends.cli.main import main

    code = main(begin=lambda: raises and signal(SIGINT, default_int_handler))
    if raises:
        signal(SIGINT, SIG_DFL)
    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    process()
