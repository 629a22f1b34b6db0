/* Maps in the form from before BTF. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_map_def {
	unsigned int type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") first_byte = {BPF_MAP_TYPE_HASH, 1, 4, 16, 0};
struct bpf_map_def SEC("maps") sizes = {BPF_MAP_TYPE_ARRAY, 4, 8, 8, 0};
struct bpf_map_def SEC("maps") a_name_that_is_too_long = {BPF_MAP_TYPE_LRU_HASH, 8, 8, 4, BPF_F_NO_PREALLOC & 0};
struct bpf_map_def SEC("maps") devices = {BPF_MAP_TYPE_DEVMAP, 4, 4, 64, 0};

SEC("xdp") int legacy(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, key = 0;
	__u64 *size, wide = 3, one = 1;
	__u32 index, *held, first = 1;

	if (data + 15 > end)
		return XDP_ABORTED;
	key = data[14];
	held = bpf_map_lookup_elem(&first_byte, &key);
	if (held)
		*held += 1;
	else if (bpf_map_update_elem(&first_byte, &key, &first, BPF_ANY))
		return XDP_TX;
	index = (end - data) & 7;
	size = bpf_map_lookup_elem(&sizes, &index);
	if (size)
		*size += end - data;
	bpf_map_update_elem(&a_name_that_is_too_long, &wide, &one, BPF_ANY);
	if (key & 1)
		bpf_map_delete_elem(&first_byte, &key);
	return bpf_redirect_map(&devices, index, key & 3);
}

char _license[] SEC("license") = "GPL";
