/* Our own context and helper, with our own header alone. */
#include "packetfs.h"

_Static_assert(sizeof(struct packetfs_md) == 64, "one packet");
_Static_assert(__builtin_offsetof(struct packetfs_md, out_end) == 56, "the last field");
_Static_assert(sizeof(struct xdp_md) == 24, "as in Linux");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, char[8]);
	__type(value, __u32);
} words SEC(".maps") PACKETFS_REDUCE(max);

struct sizes {
	__u64 wide;
	__u32 narrow, more;
};

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sizes);
} mixed SEC(".maps");

__noinline int twice(int value)
{
	return value * 2;
}

/* Not for records, and called from another section. */
SEC("struct_ops") __noinline int four_times(int value)
{
	return twice(twice(value));
}

SEC("packetfs") int echo(struct packetfs_md *ctx)
{
	char *data = (char *)ctx->data, key[8] = {};
	__u32 zero = 0, size = ctx->data_end - ctx->data;

	if (size < 8)
		return XDP_DROP;
	__builtin_memcpy(key, data, 8);
	bpf_map_update_elem(&words, key, &size, BPF_ANY);
	if (!bpf_map_lookup_elem(&mixed, &zero))
		return XDP_ABORTED;
	packetfs_emit(data, size);
	return four_times((int)ctx->record_index);
}

SEC("packetfs") long address(struct packetfs_md *ctx)
{
	long where;

	asm volatile("%0 = twice ll" : "=r"(where));
	return where >> 28;
}

SEC("tc") int shaper(void *skb)
{
	return 0;
}
