/* Every kind of reference: maps, constants, variables that are zero or not, functions. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct counters {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __be32);
	__type(value, struct counters);
} by_source SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
} by_kind SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __s32);
} hidden SEC(".maps");

static const __u32 weights[8] = {3, 1, 4, 1, 5, 9, 2, 6};
const volatile __u16 limit = 200;
static volatile __u64 longest;
__u64 seen;
__s32 balance = -5;
struct counters last = {7, 9};

static __noinline int weigh(__u32 byte)
{
	return weights[byte & 7] * 2;
}

__noinline int deeper(__u32 byte)
{
	return weigh(byte >> 3) - weigh(byte) + balance;
}

static __noinline int of_context(struct xdp_md *ctx)
{
	return deeper(ctx->rx_queue_index + 5) + ctx->ingress_ifindex;
}

static void count(__u32 key, __u64 size)
{
	struct counters first = {1, size}, *held = bpf_map_lookup_elem(&by_source, &key);

	if (held) {
		__sync_fetch_and_add(&held->packets, 1);
		held->bytes += size;
	} else {
		bpf_map_update_elem(&by_source, &key, &first, BPF_NOEXIST);
	}
}

SEC("xdp") int references(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 size = end - data, *kind;
	__u32 key = 0;
	__s32 *slot;

	seen++;
	if (size > longest)
		longest = size;
	if (data + 34 > end)
		return XDP_DROP;
	key = data[23];
	kind = bpf_map_lookup_elem(&by_kind, &key);
	if (kind)
		*kind += 1;
	key &= 3;
	slot = bpf_map_lookup_elem(&hidden, &key);
	if (slot)
		*slot += deeper(data[23]);
	balance += weigh(data[30]) - of_context(ctx);
	last.bytes = size;
	__builtin_memcpy(&key, data + 26, 4);
	count(key, size);
	bpf_printk("size %d", (int)size);
	if (size > limit)
		return XDP_TX;
	return deeper(data[14]) & 1 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
