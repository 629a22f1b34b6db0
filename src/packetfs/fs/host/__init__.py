"""The host's own directories: read and written so that nothing outside the given root is ever touched.

Nouns: Beneath (a root and every operation below it), metadata (lstat and xattrs <-> Entry), Signature (what a stat says
of unchanged content), Staging (temporary files of one job, committed by rename).
Rule: names and paths come from peers and from disks that change while they are read; no symlink is ever followed.
May import: packet and below.
"""

from __future__ import annotations
