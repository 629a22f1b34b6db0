"""The temporary file that becomes a file of the destination: written from front to back, with holes where told."""

from __future__ import annotations

import errno
import os
from collections.abc import Buffer
