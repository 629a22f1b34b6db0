"""People and other programs: what turns arguments, names and the environment into plain calls, and results into words.

Nouns: settings (environment and paths, read here and in no lower layer), command (one verb of `pfs`), output (text or
JSON lines), verdict (what `pfs doctor` says about one property of this machine).
Rule: nothing here knows how bytes are stored or moved; every command is arguments in, one call below, words out.
May import: everything below.
"""

from __future__ import annotations
