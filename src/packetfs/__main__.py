"""`python -m packetfs` is `pfs`."""

from __future__ import annotations

import sys

from packetfs.frontends.cli.main import main

sys.exit(main())
