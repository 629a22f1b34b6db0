/* Chunks that changed inside; src/packetfs/packet/rivals.py is the definition. */
#include "kernels.h"

static int is_constant(const uint8_t *data, size_t size) { return pfs_run_length(data, data[0], size) == size; }

/* A run has a whole block, and mostly the first look at one tells that it is none. */
static int has_constant_block(const uint8_t *new, size_t at, size_t stop, size_t block) {
    for (; at < stop; at += block)
        if (new[at] == new[at + block / 2] && new[at] == new[at + block - 1] && is_constant(new + at, block)) return 1;
    return 0;
}

static int may_have_run(const uint8_t *new, size_t size, const struct pfs_span *span, size_t shortest) {
    size_t block = shortest / 2, first = span->start > shortest ? span->start - shortest : 0;
    size_t last = size < block ? 0 : size - block + 1;
    return has_constant_block(new, first / block * block, span->end + shortest < last ? span->end + shortest : last,
                              block);
}

uint64_t pfs_least_changed(const uint8_t *new, const struct pfs_span *spans, size_t count, size_t low, size_t high,
                           pfs_argmin_fn *argmin) {
    uint64_t least = PFS_NO_RIVAL;
    for (size_t i = 0; i < count; i++) {
        size_t first = spans[i].start + 1, last = spans[i].end + PFS_WINDOW - 1, ignored;
        if (first < low) first = low;
        if (last > high) last = high;
        if (first > last) continue;
        uint32_t hash = UINT32_MAX;
        size_t window = argmin(new, first, last) - PFS_WINDOW;
        pfs_argmin_range(new, window, window + 1, &hash, &ignored);
        if (hash < least) least = hash;
    }
    return least;
}

int pfs_is_chunk_still(const uint8_t *new, size_t size, const struct pfs_span *spans, size_t count, size_t mean,
                       pfs_argmin_fn *argmin) {
    const uint8_t *last = new + size - PFS_WINDOW;
    uint32_t hash = UINT32_MAX;
    size_t ignored;
    if (is_constant(new, PFS_WINDOW) || is_constant(last, PFS_WINDOW)) return 0;
    for (size_t i = 0; i < count; i++)
        if (may_have_run(new, size, &spans[i], mean / 8)) return 0;
    pfs_argmin_range(last, 0, 1, &hash, &ignored);
    return pfs_least_changed(new, spans, count, mean / 2, size - 1, argmin) > hash;
}
