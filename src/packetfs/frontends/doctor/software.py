"""Python, the libraries that PacketFS stands on, and its native core."""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata, util

from packetfs import __version__, accel
from packetfs.accel import native
from packetfs.frontends.doctor.verdict import Need, Verdict
from packetfs.typing import Final

_DEFINED: Final = re.compile(r"^(?:def |class )?(\w+)[(:]", re.MULTILINE)
"""What a stub says that a module has."""
PYTHON_MIN: Final = (3, 11)
LIBRARIES: Final = (
    ("blake3", "blake3", "1.0"),
    ("apsw", "apsw", "3.51.3.0"),
)
"""Distribution, module, least version; a test compares them with pyproject.toml."""
ZSTD: Final = ("backports.zstd", "backports.zstd", "1.0")
"""Before Python 3.14, which has compression.zstd."""
EXTRAS: Final = (
    ("llvmlite", "llvmlite", "programs", "programs in Python (`pfs run FILE.py`)"),
    ("pyarrow", "pyarrow", "arrow", "`pfs run --format arrow`"),
    ("fsspec", "fsspec", "fsspec", "`packetfs://` in pandas, dask and pyarrow"),
    ("cryptography", "cryptography", "daemon", "certificates of `pfs keys` and `pfs serve --listen`"),
)
"""Distribution, module, the extra that brings it, and what it is for; a test compares them with pyproject.toml."""


def check_python(version: tuple[int, int, int] | None = None) -> Verdict:
    """The interpreter."""
    found = version or sys.version_info[:3]
    text = ".".join(map(str, found))
    good = found[:2] >= PYTHON_MIN
    return Verdict("python", Need.REQUIRED, good, f"{text} ({sys.executable})", "Install Python 3.11 or newer.")


def check_packetfs() -> Verdict:
    """This package and where it lies."""
    return Verdict("packetfs", Need.REQUIRED, True, f"{__version__} ({os.path.dirname(util_origin('packetfs'))})")


def check_library(distribution: str, module: str, minimum: str) -> Verdict:
    """One library: there, and new enough."""
    advice = f"Run: {sys.executable} -m pip install '{distribution}>={minimum}'"
    if not is_importable(module):
        return Verdict(distribution, Need.REQUIRED, False, "not installed", advice)
    version = _version(distribution)
    good = numbers(version) >= numbers(minimum)
    return Verdict(distribution, Need.REQUIRED, good, version or "unknown version", advice)


def check_zstd() -> Verdict:
    """Compression: in the standard library from 3.14 on, a library before."""
    if sys.version_info >= (3, 14):
        return Verdict("zstd", Need.REQUIRED, is_importable("compression.zstd"), "in the standard library")
    return check_library(*ZSTD)


def check_extra(distribution: str, module: str, extra: str, purpose: str) -> Verdict:
    """A library that one feature needs, and no other."""
    advice = f"For {purpose}: {sys.executable} -m pip install 'packetfs[{extra}]'"
    if not is_importable(module):
        return Verdict(distribution, Need.OPTIONAL, False, "not installed", advice)
    return Verdict(distribution, Need.OPTIONAL, True, f"{_version(distribution) or 'unknown version'}, for {purpose}")


def check_clang() -> Verdict:
    """The compiler that programs in C need, where they are no objects yet."""
    from packetfs.toolchain.clang import find_clang

    found, purpose = find_clang(), "programs in C (`pfs run FILE.c`)"
    advice = f"For {purpose}: apt install clang; objects (FILE.o) and program files need none."
    words = f"{found}, for {purpose}" if found else "not installed"
    return Verdict("clang", Need.OPTIONAL, found is not None, words, advice)


def check_native() -> Verdict:
    """The C core and the widest vector instructions that it uses here."""
    if native is not None:
        lacking = [name for name in core_functions() if not hasattr(native, name)]
        if lacking:
            words = f"older than this PacketFS: it lacks {', '.join(lacking)}"
            return Verdict("native core", Need.REQUIRED, False, words, "Install packetfs again, which builds it.")
        return Verdict("native core", Need.ADVISED, True, f"uses {native.simd()}")
    if os.environ.get("PACKETFS_PURE"):
        return Verdict("native core", Need.ADVISED, False, "switched off", "Unset PACKETFS_PURE.")
    advice = "Install a C compiler (apt install gcc python3-dev) and install packetfs again; until then it is slower."
    return Verdict("native core", Need.ADVISED, False, "not built; the Python twins run instead", advice)


def core_functions() -> list[str]:
    """Return what a core has by its stub, which comes along."""
    with open(os.path.join(os.path.dirname(accel.__file__), "_native.pyi"), encoding="utf-8") as stub:
        return _DEFINED.findall(stub.read())


def check_processor(path: str = "/proc/cpuinfo") -> Verdict:
    """Vector instructions of the processor."""
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            words = set(lines.read().split())
    except OSError:
        words = set()
    best = next((name for name in ("avx512bw", "avx2", "asimd", "sse4_2") if name in words), "none known")
    cores = f"{os.cpu_count()} cores"
    advice = "Nothing to do: the scalar code gives the same results, slower."
    return Verdict("processor", Need.OPTIONAL, best.startswith("avx"), f"{cores}, vectors: {best}", advice)


def is_importable(module: str) -> bool:
    """Tell whether a module can be found, without running it."""
    try:
        return util.find_spec(module) is not None
    except ImportError:
        return False


def util_origin(module: str) -> str:
    """Return the file that a module comes from."""
    spec = util.find_spec(module)
    return (spec.origin if spec else None) or "?"


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparison."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", version)[0]))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
