"""A kernel: one thread runs a program over one record.

Arguments are pointers to device memory, then numbers (ARGUMENTS). What a thread leaves lies in RESULTS arrays of
`count` words each, so that neighbouring threads write neighbouring words. Stacks are local memory, which hardware
interleaves by thread.
"""

from __future__ import annotations

from packetfs.engines.ir.module import program, shared
from packetfs.engines.ir.program import called
from packetfs.engines.ir.reserve import NEEDS
from packetfs.engines.ir.written import STOPPED, filled
from packetfs.typing import Final, Sequence
from packetfs.vm.image import Image
from packetfs.vm.layout import HEADROOM, REGION_SHIFT, RESERVE_BYTES, VMS_MAX, ContextKind, Region

ARGUMENTS: Final = (
    ("window", "ptr", "bytes of the file"),
    ("bounds", "ptr", "pairs of u64: where in the window each record begins and ends"),
    ("maps", "ptr", "maps of each thread, one behind the other"),
    ("out", "ptr", "room for what each thread emits"),
    ("results", "ptr", "RESULTS arrays of `count` words"),
    ("count", "i64", "records"),
    ("room", "i64", "bytes of `out` that a thread has"),
    ("fuel", "i64", "slots that a record may execute"),
    ("window_start", "i64", "where in the file the window begins"),
    ("record_base", "i64", "index of the first record"),
    ("shard", "i64", "index of the first thread's shard"),
    ("file_id", "i64", "number of the file"),
    ("random", "i64", "state of helper 7 in the first thread's shard; that of each later one is one more"),
)
RESULTS: Final = (
    ("result", "%r0", "r0; 0 where it faulted"),
    ("fault", "%fault", f"a fault's number; from {STOPPED} on, {STOPPED} + why the host must run this record"),
    ("pc", "%pc", "slot where it faulted"),
    ("address", "%address", "what could not be reached, as fault_address"),
    ("executed", "%executed", "slots executed"),
    ("emitted", "%bytes", "bytes of output"),
)
"""Arrays of u64: name, the value in IR, meaning."""

_ONCE: Final = """
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
"""

_ENTRY: Final = """
entry:
  %tid = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %ntid = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %ctaid = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %tid64 = zext i32 %tid to i64
  %ntid64 = zext i32 %ntid to i64
  %ctaid64 = zext i32 %ctaid to i64
  %before = mul i64 %ctaid64, %ntid64
  %thread = add i64 %before, %tid64
  %one = icmp ult i64 %thread, %count
  br i1 %one, label %go, label %end_of_lane
go:
  %vm = alloca %state, align 16
  %stack = alloca [$STACK_BYTES x i8], align 16
  %reserve = alloca [$RESERVE_ROOM x i8], align 16
  %random_here = add i64 %random, %thread
  %pair = shl i64 %thread, 4
  %begin_at = getelementptr i8, ptr addrspace(1) %bounds, i64 %pair
  %end_at = getelementptr i8, ptr addrspace(1) %begin_at, i64 8
  %begin = load i64, ptr addrspace(1) %begin_at, align 8
  %end = load i64, ptr addrspace(1) %end_at, align 8
  %length = sub i64 %end, %begin
  %window_g = addrspacecast ptr addrspace(1) %window to ptr
  %maps_g = addrspacecast ptr addrspace(1) %maps to ptr
  %out_g = addrspacecast ptr addrspace(1) %out to ptr
  %record = getelementptr i8, ptr %window_g, i64 %begin
  %maps_at = mul i64 %thread, $MAPS_BYTES
  %own = getelementptr i8, ptr %maps_g, i64 %maps_at
  %out_at = mul i64 %thread, %room
  %emitted = getelementptr i8, ptr %out_g, i64 %out_at
  set record %record
  set length %length
  set maps %own
  set stack %stack
  set stack_low $STACK_BYTES
  set out %emitted
  set reserve %reserve
  set reserved 0
  set room %room
  set random %random_here
  set emitted 0
  set granted %fuel
  set fuel %fuel
  set extra 0
  set fault 0
  set address 0
  set pc 0
  set depth 0
"""
_END: Final = """
  %r0 = call i64 @program$N(ptr %vm, i64 %r1, i64 %length)
  %left = get fuel
  %executed = sub i64 %fuel, %left
  %fault = get fault
  %pc = get pc
  %address = get address
  %bytes = get emitted
"""
_TAIL: Final = """  br label %end_of_lane
end_of_lane:
  ret void
}
"""


def module(images: Sequence[Image]) -> str:
    """Return IR with a kernel `runN` for each image."""
    return _ONCE + shared(aligned=True) + "".join(_kernel(number, image) for number, image in enumerate(images))


def _kernel(number: int, image: Image) -> str:
    parameters = ", ".join(f"{'ptr addrspace(1)' if kind == 'ptr' else kind} %{name}" for name, kind, _ in ARGUMENTS)
    begin = _ENTRY.replace("$RESERVE_ROOM", str(RESERVE_BYTES if called(image) & NEEDS else 8))
    body = filled(begin + _context(image) + _END + _results() + _TAIL, number, image)
    return f"{program(number, image)}define ptx_kernel void @run{number}({parameters}) {{{body}"


def _results() -> str:
    lines = ["  %base0 = getelementptr i64, ptr addrspace(1) %results, i64 %thread"]
    for at, value in enumerate(value for _, value, _ in RESULTS):
        lines.append(f"  store i64 {value}, ptr addrspace(1) %base{at}, align 8")
        lines.append(f"  %base{at + 1} = getelementptr i64, ptr addrspace(1) %base{at}, i64 %count")
    return "\n".join(lines) + "\n"


def _context(image: Image) -> str:
    """Return IR that fills the record context and makes %r1."""
    data = (Region.DATA << REGION_SHIFT) + HEADROOM
    lines = ["  %c = get context", f"  %data_end = add i64 %length, {data}"]
    if image.context == ContextKind.RAW:
        return f"  %some = icmp ne i64 %length, 0\n  %r1 = select i1 %some, i64 {data}, i64 0\n"
    out = Region.RESERVE << REGION_SHIFT
    lines += [
        "  %index = add i64 %record_base, %thread", "  %offset = add i64 %window_start, %begin",
        "  %shard_here = add i64 %shard, %thread", f"  %turn = urem i64 %shard_here, {VMS_MAX}",
        "  %vm_id = add i64 %turn, 1", "  %vm_high = shl i64 %vm_id, 32", "  %ids = or i64 %file_id, %vm_high",
        f"  %r1 = add i64 {Region.CTX << REGION_SHIFT}, 0",
    ]  # fmt: skip
    words = {0: str(data), 8: "%data_end", 16: str(data), 24: "%index", 32: "%offset", 40: "%ids", 48: str(out),
             56: str(out + RESERVE_BYTES)}  # fmt: skip
    if image.context == ContextKind.XDP:
        lines += ["  %high_end = shl i64 %data_end, 32", f"  %both = or i64 %high_end, {data}"]
        words = {0: "%both", 8: str(data | 1 << 32), 16: "0"}
    for at, value in words.items():
        lines.append(f"  %c{at} = getelementptr i8, ptr %c, i64 {at}")
        lines.append(f"  store i64 {value}, ptr %c{at}, align 8")
    return "\n".join(lines) + "\n"
