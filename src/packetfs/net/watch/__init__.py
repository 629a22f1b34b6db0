"""A sync that goes on: the connection stands, and a change is sent when it happens.

Nouns: watched tree (the directory and its history, used by one thread at a time), pending (paths that changed, one
entry each), destination (a connection with a thread of its own, and the root that the far side holds).
Rule: the newest root is what is sent: what changed twice while a line was busy goes once.
In the order of the data: pending -> tree -> sharing, destination, backoff -> loop.
"""

from __future__ import annotations
