"""Kernels from IR, on lanes in Python and, for comparison, as native code of the same IR."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]  # it ships no types
import pytest

from fuzz.ptx.launch import Launch
from packetfs.toolchain.python.backend import GPUS, translate

ARCHITECTURES = tuple(GPUS)
LANE = "declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n"
"""What kernels in IR declare, once."""
HEAD = ".version 6.3\n.target sm_75\n.address_size 64\n"
"""How PTX written by hand begins."""


def ptx_of(ir: str, architecture: str = "sm_90") -> str:
    return translate(ir, GPUS[architecture]).decode()


def pointwise(name: str) -> str:
    """Return `kernel_NAME`, which puts @name(a, b, c) of 64 bits each into its lane's place."""
    loads = "\n".join(
        f"  %p{i} = getelementptr i64, ptr addrspace(1) %in, i64 %at{i}\n"
        f"  %v{i} = load i64, ptr addrspace(1) %p{i}\n"
        f"  %at{i + 1} = add i64 %at{i}, 1"
        for i in range(3)
    )
    return f"""
define ptx_kernel void @kernel_{name}(ptr addrspace(1) %in, ptr addrspace(1) %out) {{
  %lane32 = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %lane = zext i32 %lane32 to i64
  %at0 = mul i64 %lane, 3
{loads}
  %r = call i64 @{name}(i64 %v0, i64 %v1, i64 %v2)
  %o = getelementptr i64, ptr addrspace(1) %out, i64 %lane
  store i64 %r, ptr addrspace(1) %o
  ret void
}}
"""


def run_pointwise(launch: Launch, kernel: str, inputs: list[tuple[int, int, int]]) -> list[int]:
    """Run such a kernel, one lane for each input."""
    data = b"".join(value.to_bytes(8, "little") for values in inputs for value in values)
    out = bytearray(8 * len(inputs))
    launch.run(kernel, (launch.memory.place(bytearray(data)), launch.memory.place(out)), blocks=1, threads=len(inputs))
    return [int.from_bytes(out[at : at + 8], "little") for at in range(0, len(out), 8)]


class Native:
    """Functions of three numbers of 64 bits, as this machine's own code, which lives as long as this."""

    def __init__(self, ir: str) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(opt=0)
        self.engine: Any = llvm.create_mcjit_compiler(llvm.parse_assembly(ir), machine)
        self.engine.finalize_object()

    def call(self, name: str, values: tuple[int, int, int]) -> int:
        made = ctypes.CFUNCTYPE(*(ctypes.c_uint64,) * 4)
        return int(made(self.engine.get_function_address(name))(*values))


needs_ptxas = pytest.mark.skipif(shutil.which("ptxas") is None, reason="no ptxas here: only our own reader judges PTX")
"""Skips visibly: what such a test asserts is asked nowhere else."""


def assemble(ptx: str, architecture: str, folder: Path) -> None:
    """Let ptxas judge."""
    text = folder / "kernel.ptx"
    text.write_text(ptx)
    command = ["ptxas", f"-arch={architecture}", "--warning-as-error", str(text), "-o", str(folder / "kernel.cubin")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
