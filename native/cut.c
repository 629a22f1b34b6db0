/* Runs and content-defined chunks; src/packetfs/packet/cut.py is the definition. */
#include "kernels.h"

static inline uint32_t half(const uint8_t *at) {
    uint32_t left = pfs_load32(at) * PFS_M1 + pfs_load32(at + 4);
    uint32_t right = pfs_load32(at + 8) * PFS_M1 + pfs_load32(at + 12);
    return left * PFS_M2 + right;
}

/* The last half of one window is the first half of the window 16 bytes on: each is computed once. */
void pfs_argmin_range(const uint8_t *start, size_t from, size_t to, uint32_t *least, size_t *at) {
    uint32_t halves[16];
    for (size_t i = 0; i < 16 && from + i < to; i++) halves[i] = half(start + from + i);
    for (size_t s = from; s < to; s++) {
        uint32_t first = halves[(s - from) % 16], last = half(start + s + 16);
        uint32_t hash = (first ^ (first >> PFS_SHIFT)) * PFS_M3 + last;
        halves[(s - from) % 16] = last;
        if (hash < *least) {
            *least = hash;
            *at = s;
        }
    }
}

size_t pfs_argmin_scalar(const uint8_t *start, size_t lo, size_t hi) {
    uint32_t least = UINT32_MAX;
    size_t at = lo - PFS_WINDOW;
    pfs_argmin_range(start, lo - PFS_WINDOW, hi - PFS_WINDOW + 1, &least, &at);
    return at + PFS_WINDOW;
}

enum pfs_simd pfs_simd_best(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) return PFS_AVX512;
    if (__builtin_cpu_supports("avx2")) return PFS_AVX2;
#endif
    return PFS_SCALAR;
}

pfs_argmin_fn *pfs_argmin_of(enum pfs_simd simd) {
#if defined(__x86_64__)
    if (simd == PFS_AVX512) return pfs_argmin_avx512;
    if (simd == PFS_AVX2) return pfs_argmin_avx2;
#endif
    (void)simd;
    return pfs_argmin_scalar;
}

/* The start of the run of equal bytes that `at` lies in, no lower than floor. */
static size_t run_before(const uint8_t *data, size_t floor, size_t at) {
    return at - pfs_common_suffix(data + at + 1, data + at, at - floor);
}

/* Bytes up to the tail: equal bytes at the very end may be the beginning of a run that is not all here. A tail of
 * mean/8 is a run already, and is found as one. */
static size_t end_of_known(const uint8_t *data, size_t size, size_t mean) {
    if (size == 0) return 0;
    return run_before(data, size > mean / 8 ? size - mean / 8 : 0, size - 1);
}

void pfs_cutter_begin(struct pfs_cutter *cutter, const uint8_t *data, size_t size, size_t mean, int final, int run) {
    *cutter = (struct pfs_cutter){.data = data, .size = size, .mean = mean, .final = final, .run = run};
    cutter->argmin = pfs_argmin_of(pfs_simd_best());
    cutter->known = final ? size : end_of_known(data, size, mean);
}

static int probe(struct pfs_cutter *cutter, size_t point) {
    const uint8_t *data = cutter->data;
    if (pfs_load64(data + point) != 0x0101010101010101u * (uint64_t)data[point]) return 0;
    size_t start = run_before(data, cutter->at, point);
    size_t end = point + pfs_run_length(data + point, data[point], cutter->size - point);
    if (end - start < cutter->mean / 8) return 0;
    cutter->run_start = start;
    cutter->run_end = end;
    return 1;
}

/* A run of mean/8 is two strides long, so it covers a probe point in its first stride and the 8 bytes after it. */
static void find_run(struct pfs_cutter *cutter, size_t limit) {
    size_t stride = cutter->mean / 16;
    if (cutter->run_start < cutter->run_end && cutter->run_start >= cutter->at) return;
    cutter->run_start = cutter->run_end = 0;
    if (cutter->probed < cutter->at) cutter->probed = cutter->at;
    while (cutter->probed < limit + stride && cutter->size - cutter->at >= 8 && cutter->probed <= cutter->size - 8) {
        size_t point = cutter->probed;
        cutter->probed += stride;
        if (probe(cutter, point)) {
            cutter->probed = cutter->run_end;
            return;
        }
    }
}

static int64_t take(struct pfs_cutter *cutter, size_t length, int sign) {
    cutter->at += length;
    return sign * (int64_t)length;
}

int64_t pfs_cutter_next(struct pfs_cutter *cutter) {
    size_t mean = cutter->mean, left = cutter->size - cutter->at;
    if (left == 0) return 0;
    if (cutter->run >= 0) {
        size_t more = pfs_run_length(cutter->data + cutter->at, (uint8_t)cutter->run, left);
        cutter->run = -1;
        if (more > 0) return take(cutter, more, -1);
    }
    size_t most = mean + mean / 2, n;
    find_run(cutter, cutter->at + most);
    if (cutter->run_start < cutter->run_end) {
        n = cutter->run_start - cutter->at;
        if (n == 0) return take(cutter, cutter->run_end - cutter->run_start, -1);
    } else {
        if (!cutter->final && (cutter->known <= cutter->at || cutter->known - cutter->at < most)) return 0;
        n = left;
    }
    if (n <= mean / 2) return take(cutter, n, 1);
    return take(cutter, cutter->argmin(cutter->data + cutter->at, mean / 2, n < most ? n : most), 1);
}
