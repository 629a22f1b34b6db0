"""Stands for ssh: `shell.py DATA HOST COMMAND...` runs the command here, with a data directory of its own."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    data, _, *command = sys.argv[1:]
    os.environ["XDG_DATA_HOME"] = data
    os.execvp(command[0], command)
