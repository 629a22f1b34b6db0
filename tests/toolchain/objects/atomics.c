/* Atomic operations on variables, with and without the old value. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 sum, mask = ~0ULL, any, odd, fetched, swapped = 17, compared;
__u32 small, small_old = 5;

SEC("xdp") int atomics(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 word;

	if (data + 22 > end)
		return XDP_DROP;
	__builtin_memcpy(&word, data + 14, 8);
	__sync_fetch_and_add(&sum, word);
	__sync_fetch_and_and(&mask, word | 0xff00);
	__sync_fetch_and_or(&any, word);
	__sync_fetch_and_xor(&odd, word);
	fetched ^= __sync_fetch_and_add(&small, (__u32)word) * 3;
	fetched += __sync_fetch_and_xor(&odd, word >> 3);
	fetched += __sync_fetch_and_or(&any, word << 7);
	fetched += __sync_lock_test_and_set(&swapped, word);
	compared += __sync_val_compare_and_swap(&swapped, word, sum);
	compared += __sync_val_compare_and_swap(&small_old, 5, (__u32)word);
	return (fetched ^ compared) & 3;
}

char _license[] SEC("license") = "GPL";
