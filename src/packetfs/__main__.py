"""`python -m packetfs` is `pfs`."""

from __future__ import annotations

from packetfs.frontends.cli.process import process

process()
