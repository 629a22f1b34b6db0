"""Build the native core where there is a compiler; without one, or with PACKETFS_PURE set, the twins serve.

The limited API gives one wheel (cp311-abi3) for all Pythons from 3.11 on.
"""

from __future__ import annotations

import os
import sys
from glob import glob

from setuptools import Extension, setup

GNU_FLAGS = ["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"]


def build_native() -> Extension:
    return Extension(
        "packetfs._native",
        sources=sorted(f for f in glob("native/*.c") if not f.endswith("driver.c")),
        depends=glob("native/*.h"),
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
        libraries=[] if sys.platform == "win32" else ["m"],
        extra_compile_args=[] if sys.platform == "win32" else GNU_FLAGS,
        py_limited_api=True,
        optional=True,
    )


if os.environ.get("PACKETFS_PURE"):
    setup()
else:
    setup(ext_modules=[build_native()], options={"bdist_wheel": {"py_limited_api": "cp311"}})
