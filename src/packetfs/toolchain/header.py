"""The C header `packetfs.h` that programs include: the record context, map types, helpers; made from vm/layout.py.

It needs no other header, so clang alone compiles a program. Names are Linux's where Linux has them; what includes
<linux/bpf.h> and <bpf/bpf_helpers.h> instead compiles as well.
"""

from __future__ import annotations

from packetfs.packet.layout import Field
from packetfs.typing import Final, Iterator
from packetfs.vm.layout import HELPERS, RECORD_CONTEXT, XDP_CONTEXT, MapFlag, MapType

NAME: Final = "packetfs.h"

_TYPES: Final = """\
typedef __UINT8_TYPE__ __u8;
typedef __UINT16_TYPE__ __u16;
typedef __UINT32_TYPE__ __u32;
typedef __UINT64_TYPE__ __u64;
typedef __INT8_TYPE__ __s8;
typedef __INT16_TYPE__ __s16;
typedef __INT32_TYPE__ __s32;
typedef __INT64_TYPE__ __s64;
typedef __u16 __be16;
typedef __u32 __be32;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
#define __noinline __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))
/* How the maps of shards become one: sum, min, max, signed_min, signed_max, or, and, xor, first, last. */
#define PACKETFS_REDUCE(how) __attribute__((btf_decl_tag("packetfs: " #how)))
/* An argument, of 8 bytes or struct packetfs_bytes: const volatile __u64 n PACKETFS_ARGUMENT("least 1 most 9") = 5; */
#define PACKETFS_ARGUMENT(takes) __attribute__((section(".rodata.args"), used, btf_decl_tag("packetfs: " takes)))
struct packetfs_bytes { __u64 length; char text[256]; };

enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };
enum { BPF_ANY, BPF_NOEXIST, BPF_EXIST };
"""

_HELPER_TYPES: Final = {
    1: "void *(*{})(const void *map, const void *key)",
    2: "long (*{})(const void *map, const void *key, const void *value, __u64 flags)",
    3: "long (*{})(const void *map, const void *key)",
    5: "__u64 (*{})(void)",
    6: "long (*{})(const char *format, __u32 size, ...)",
    7: "__u32 (*{})(void)",
    8: "__u32 (*{})(void)",
    28: "__s64 (*{})(const void *from, __u32 from_size, const void *to, __u32 to_size, __u32 seed)",
    44: "long (*{})(struct xdp_md *ctx, int delta)",
    51: "long (*{})(const void *map, __u64 key, __u64 flags)",
    65: "long (*{})(struct xdp_md *ctx, int delta)",
    130: "long (*{})(const void *ring, const void *data, __u64 size, __u64 flags)",
    131: "void *(*{})(const void *ring, __u64 size, __u64 flags)",
    132: "void (*{})(void *data, __u64 flags)",
    133: "void (*{})(void *data, __u64 flags)",
    189: "long (*{})(struct xdp_md *ctx, __u32 offset, void *to, __u32 size)",
    190: "long (*{})(struct xdp_md *ctx, __u32 offset, const void *from, __u32 size)",
    4096: "long (*{})(const void *data, __u64 size)",
    4097: "__s64 (*{})(const void *data, __u64 size, const void *word, __u64 word_size)",
    4098: "__s64 (*{})(const void *data, __u64 size, __u8 byte, __u64 n)",
    4099: "__s64 (*{})(const void *data, __u64 size, __u8 byte)",
    4100: "__u64 (*{})(const void *data, __u64 size, __u8 byte)",
    4101: "__u64 (*{})(const void *data, __u64 size)",
    4102: "__s64 (*{})(const void *text, __u64 size, __u64 decimals)",
    4103: "__s64 (*{})(const void *array, const void *data, __u64 size, __u64 stride, __s64 width)",
    4104: "__u64 (*{})(const void *data, __u64 size, __u8 byte, const void *word, __u64 word_size)",
}
_OURS: Final = 4096


def header() -> str:
    """Return the text of `packetfs.h`."""
    return "\n".join((_TYPES, *_constants(), "", *_struct("packetfs_md", RECORD_CONTEXT), *_xdp(), *_helpers()))


def _constants() -> Iterator[str]:
    yield from (f"#define BPF_MAP_TYPE_{member.name} {int(member)}" for member in MapType)
    yield f"#define BPF_F_RDONLY_PROG {int(MapFlag.READ_ONLY)}"


def _xdp() -> Iterator[str]:
    yield from _struct("xdp_md", XDP_CONTEXT)


def _struct(name: str, fields: tuple[Field, ...]) -> Iterator[str]:
    yield f"struct {name} {{"
    for row in fields:
        declared = f"__u{8 * row.size} {row.name};"
        yield f"\t{declared:<24}/* {row.meaning} */"
    yield "};\n"


def _helpers() -> Iterator[str]:
    """Yield each helper as a constant pointer: the call needs no relocation."""
    for helper in HELPERS:
        name = f"packetfs_{helper.name}" if helper.number >= _OURS else f"bpf_{helper.name}"
        declared = _HELPER_TYPES.get(helper.number)
        if declared is not None:
            yield f"/* {helper.meaning} */"
            yield f"static {declared.format(f'const {name}')} = (void *){helper.number};"


if __name__ == "__main__":
    print(header(), end="")
