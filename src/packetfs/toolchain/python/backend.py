"""LLVM's part. For other targets it is a process of its own: IR text on stdin, what the target makes of it on stdout.
Run as a file, it loads only LLVM. Code for this processor is made here, and stays in this process.

A backend for eBPF or a GPU ends its process when it meets what it cannot translate, so it must not be the user's.
There nothing is unrolled or vectorised: eBPF has no vectors, lanes of a GPU are scalar, and long code costs every
microVM's cache.
"""

from __future__ import annotations

import subprocess
import sys

from packetfs.typing import Any, Final, NamedTuple


class Target(NamedTuple):
    """What LLVM makes code for. features: of the processor, and of the language that describes it."""

    triple: str
    cpu: str
    features: str
    layout: str
    text: bool = False


def _gpu(architecture: str, ptx: int) -> Target:
    layout = "e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
    return Target("nvptx64-nvidia-cuda", architecture, f"+ptx{ptx}", layout, text=True)


EBPF: Final = Target("bpfel", "v4", "+allows-misaligned-mem-access", "e-m:e-p:64:64-i64:64-i128:128-n32:64-S128")
"""Cpu v4 has all that RFC 9669 has. Unaligned loads and stores are one instruction here; without the feature, each
becomes eight, and without the layout 64-bit loads fall apart."""
GPUS: Final = {
    gpu.cpu: gpu
    for gpu in (_gpu("sm_75", 63), _gpu("sm_80", 70), _gpu("sm_90", 78), _gpu("sm_100", 86), _gpu("sm_120", 87))
}
"""By architecture; each with the oldest PTX that describes it, so that the oldest drivers take it."""
_TARGETS: Final = {"ebpf": EBPF} | GPUS
_UNAVAILABLE: Final = 3


class BackendError(Exception):
    """Why LLVM gave up; `missing` when it is not there at all."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


def compile_ir(text: str, seconds: float, target: str = "ebpf") -> bytes:
    """Return the eBPF object of an IR module, or its PTX for one of GPUS; BackendError says why there is none."""
    command = [sys.executable, "-P", __file__, target]  # -P: the modules beside this file must not stand in for others
    try:
        ended = subprocess.run(command, input=text.encode(), capture_output=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BackendError(f"LLVM took more than {seconds:.0f} seconds") from None
    if ended.returncode or not ended.stdout:
        reason = ended.stderr.decode(errors="replace").strip().splitlines()
        raise BackendError(reason[0] if reason else "LLVM said nothing", missing=ended.returncode == _UNAVAILABLE)
    return ended.stdout


def translate(text: str, target: Target) -> bytes:
    """Do it in this process: ImportError without LLVM, RuntimeError for what is no IR; some IR ends the process."""
    import llvmlite.binding as llvm  # type: ignore[import-untyped]  # it ships no types

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(f'target datalayout = "{target.layout}"\ntarget triple = "{target.triple}"\n{text}')
    module.verify()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2
    )
    _optimise(module, machine)
    return machine.emit_assembly(module).encode() if target.text else bytes(machine.emit_object(module))


def _optimise(module: Any, machine: Any) -> None:
    import llvmlite.binding as llvm

    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)


def _tidy(module: Any, machine: Any) -> None:
    """Put cells into registers, simplify, and drop what cannot be reached. That is what the code of programs needs: all
    of level 2 takes three to six times as long, and its loops gain 0 to 10 % (`python -m bench.engines`)."""
    import llvmlite.binding as llvm

    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))


def host() -> tuple[str, str]:
    """Return the name of this machine's processor and what it can do, as LLVM says both."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _own_machine(opt: int = 2) -> Any:
    """Position-independent code of the small model: it needs no linker (engines/compiled/flat.py)."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = host()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=features, opt=opt, reloc="pic", codemodel="small"
    )


def make_object(text: str, *, draft: bool = False) -> bytes:
    """Return an IR module as an object for this processor, with all that it has; a draft as it stands there, its cells
    in memory."""
    import llvmlite.binding as llvm

    machine = _own_machine(opt=0 if draft else 2)
    module = llvm.parse_assembly(text)
    module.verify()
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    if not draft:
        _tidy(module, machine)
    return bytes(machine.emit_object(module))


def load_object(made: bytes, name: str) -> tuple[int, Any]:
    """Return the address of the function `name` of an object that make_object made, and LLVM's engine, which holds it
    in memory and knows the module's variables."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _own_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(made))
    engine.finalize_object()
    return engine.get_function_address(name), engine


def _main() -> int:
    try:
        made = translate(sys.stdin.read(), _TARGETS[sys.argv[1]])
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
