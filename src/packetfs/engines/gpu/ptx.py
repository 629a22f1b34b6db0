"""PTX of a program: text that drivers, or ptxas, turn into code of one architecture and all later ones."""

from __future__ import annotations

from packetfs.engines.gpu.kernel import module
from packetfs.engines.ir.helpers import missing
from packetfs.errors import CompileFailed, LibraryMissing, NoKernel, UsageError
from packetfs.limits import KERNEL_CONSTANTS_MAX, PYTHON_SECONDS
from packetfs.toolchain.python.backend import GPUS, BackendError, compile_ir
from packetfs.vm.image import Image


def make_ptx(image: Image, name: str, architecture: str) -> bytes:
    """Return the kernel `run0` of a program. `architecture`: one of GPUS, sm_75 and later.

    NoKernel names the helpers that it calls and no kernel has, or says that its constants are too many; CompileFailed
    when LLVM takes too long, LibraryMissing without it.
    """
    if architecture not in GPUS:
        raise UsageError(reason=f"there is no architecture {architecture}; there are {', '.join(GPUS)}")
    if lacking := missing(image):
        raise NoKernel(name=name, reason=f"it calls {', '.join(lacking)}")
    if len(image.shared) > KERNEL_CONSTANTS_MAX:
        raise NoKernel(name=name, reason=f"its read-only maps have more than {KERNEL_CONSTANTS_MAX} bytes")
    try:
        return compile_ir(module([image]), PYTHON_SECONDS, architecture)
    except BackendError as error:
        if error.missing:
            reason = f"{error}; kernels need the extra packetfs[programs] (pip install 'packetfs[programs]')"
            raise LibraryMissing(name="llvmlite", reason=reason) from None
        raise CompileFailed(file=name, reason=str(error)) from None
