"""What this machine has and lacks for PacketFS: each check looks at one property and returns a verdict with a remedy.

In order: verdict -> system (kernel, shared memory), software (Python, libraries, native core), storage (where the pool
lies), devices (FUSE, GPU, network) -> examine.
"""

from __future__ import annotations
