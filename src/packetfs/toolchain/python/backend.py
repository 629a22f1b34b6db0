"""LLVM's part, in a process of its own: IR text on stdin, an eBPF object on stdout. Run as a file, it loads only LLVM.

The BPF backend ends its process when it meets what it cannot translate, so it must not be the user's. Cpu v4 has all
that RFC 9669 has; without the data layout, 64-bit loads would fall apart. Nothing is unrolled or vectorised: eBPF has
no vectors, and long code costs every microVM's cache.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

LAYOUT: Final = 'target datalayout = "e-m:e-p:64:64-i64:64-i128:128-n32:64-S128"\ntarget triple = "bpfel"\n'
CPU: Final = "v4"
FEATURES: Final = "+allows-misaligned-mem-access"
"""Unaligned loads and stores are one instruction here; without this, each becomes eight."""
_UNAVAILABLE: Final = 3


class BackendError(Exception):
    """Why LLVM gave up; `missing` when it is not there at all."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


def compile_ir(text: str, seconds: float) -> bytes:
    """Return the object of an IR module; BackendError says why there is none."""
    command = [sys.executable, "-P", __file__]  # -P: the modules beside this file must not stand in for others
    try:
        ended = subprocess.run(command, input=text.encode(), capture_output=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BackendError(f"LLVM took more than {seconds:.0f} seconds") from None
    if ended.returncode or not ended.stdout:
        reason = ended.stderr.decode(errors="replace").strip().splitlines()
        raise BackendError(reason[0] if reason else "LLVM said nothing", missing=ended.returncode == _UNAVAILABLE)
    return ended.stdout


def _translate(text: str) -> bytes:
    import llvmlite.binding as llvm  # type: ignore[import-untyped]  # it ships no types

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(LAYOUT + text)
    module.verify()
    machine = llvm.Target.from_triple("bpfel").create_target_machine(cpu=CPU, features=FEATURES, opt=2)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


def _main() -> int:
    try:
        made = _translate(sys.stdin.read())
    except ImportError as error:
        print(error, file=sys.stderr)
        return _UNAVAILABLE
    except RuntimeError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 1
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
