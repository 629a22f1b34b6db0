/* What changes a packet: its bytes, its head and its tail, and sums over it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("xdp") int swap(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, kept[6];

	if (data + 14 > end)
		return XDP_ABORTED;
	__builtin_memcpy(kept, data, 6);
	__builtin_memcpy(data, data + 6, 6);
	__builtin_memcpy(data + 6, kept, 6);
	return XDP_TX;
}

SEC("xdp") int head(struct xdp_md *ctx)
{
	__u8 *data, *end;

	if (bpf_xdp_adjust_head(ctx, -20))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + 34 > end)
		return XDP_DROP;
	__builtin_memset(data, 0x45, 20);
	if (data[32] & 1 && bpf_xdp_adjust_head(ctx, 4))
		return XDP_DROP;
	return bpf_xdp_adjust_head(ctx, 2000) ? XDP_PASS : XDP_TX;
}

SEC("xdp") int tail(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	int size = end - data;

	if (size & 1)
		return bpf_xdp_adjust_tail(ctx, -(size & 7)) ? XDP_DROP : XDP_PASS;
	if (bpf_xdp_adjust_tail(ctx, size & 15))
		return XDP_ABORTED;
	return bpf_xdp_adjust_tail(ctx, -4000) ? XDP_TX : XDP_DROP;
}

SEC("xdp") int bytes(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 words[4] = {1, 2, 3, 4}, more[2] = {9, 9};
	__s64 sum;

	if (bpf_xdp_load_bytes(ctx, 18, words, 16))
		return XDP_DROP;
	if (bpf_xdp_store_bytes(ctx, 14, words, 16))
		return XDP_ABORTED;
	sum = bpf_csum_diff(more, 8, words, 16, words[0]);
	if (sum < 0)
		return XDP_TX;
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff);
	more[0] = (sum & 0xffff) + (sum >> 16);
	return bpf_xdp_store_bytes(ctx, (end - data) - 2, more, 2) ? XDP_DROP : XDP_PASS;
}

SEC("xdp") int reports(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 *room = bpf_ringbuf_reserve(&ring, 16, 0), two[2] = {5, 6};

	if (room) {
		room[0] = end - data;
		room[1] = 0x1234;
		if (room[0] & 1)
			bpf_ringbuf_submit(room, 0);
		else
			bpf_ringbuf_discard(room, 0);
	}
	return bpf_ringbuf_output(&ring, two, sizeof(two), 0) ? XDP_PASS : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
