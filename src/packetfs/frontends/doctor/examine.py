"""All checks, in the order in which a user reads them."""

from __future__ import annotations

from packetfs.frontends.doctor import devices, software, storage, system
from packetfs.frontends.doctor.verdict import Verdict
from packetfs.typing import Iterator


def examine(pool: str) -> Iterator[Verdict]:
    """Yield one verdict a property; nothing is changed but for trial files that have no name."""
    yield system.check_kernel()
    yield system.check_shared_memory()
    yield system.check_memory()
    yield software.check_packetfs()
    yield software.check_python()
    for library in software.LIBRARIES:
        yield software.check_library(*library)
    yield software.check_zstd()
    for extra in software.EXTRAS:
        yield software.check_extra(*extra)
    yield software.check_clang()
    yield software.check_native()
    yield software.check_processor()
    yield from storage.examine_storage(pool)
    yield devices.check_fuse()
    yield devices.check_gpu()
    yield devices.check_loopback()
    yield devices.check_ssh()
