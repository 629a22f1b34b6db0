/* Values of shards become one, element by element: plain loops, which the compiler turns into vectors. */
#include "vm_snapshot.h"

#define EACH(type, change)                                                                                             \
    for (size_t at = 0; at < size; at += sizeof(type)) {                                                               \
        type a, b;                                                                                                     \
        memcpy(&a, into + at, sizeof a);                                                                               \
        memcpy(&b, value + at, sizeof b);                                                                              \
        a = (type)(change);                                                                                            \
        memcpy(into + at, &a, sizeof a);                                                                               \
    }

#define REDUCTION(name, change)                                                                                        \
    static void name(uint8_t *into, const uint8_t *value, size_t size, unsigned width) {             \
        switch (width) {                                                                                               \
        case 1: EACH(uint8_t, change) break;                                                                           \
        case 2: EACH(uint16_t, change) break;                                                                          \
        case 4: EACH(uint32_t, change) break;                                                                          \
        default: EACH(uint64_t, change) break;                                                                         \
        }                                                                                                              \
    }

#define SIGNED_REDUCTION(name, change)                                                                                 \
    static void name(uint8_t *into, const uint8_t *value, size_t size, unsigned width) {             \
        switch (width) {                                                                                               \
        case 1: EACH(int8_t, change) break;                                                                            \
        case 2: EACH(int16_t, change) break;                                                                           \
        case 4: EACH(int32_t, change) break;                                                                           \
        default: EACH(int64_t, change) break;                                                                          \
        }                                                                                                              \
    }

REDUCTION(keep_last, ((void)a, b))
REDUCTION(add, a + b)
REDUCTION(least, a < b ? a : b)
REDUCTION(most, a > b ? a : b)
SIGNED_REDUCTION(signed_least, a < b ? a : b)
SIGNED_REDUCTION(signed_most, a > b ? a : b)
REDUCTION(any, a | b)
REDUCTION(all, a & b)
REDUCTION(odd, a ^ b)
REDUCTION(keep_first, ((void)b, a))

typedef void reduction(uint8_t *into, const uint8_t *value, size_t size, unsigned width);

static reduction *const reductions[] = {
    [PFS_VM_REDUCER_LAST] = keep_last,           [PFS_VM_REDUCER_SUM] = add,
    [PFS_VM_REDUCER_MIN] = least,                [PFS_VM_REDUCER_MAX] = most,
    [PFS_VM_REDUCER_SIGNED_MIN] = signed_least,  [PFS_VM_REDUCER_SIGNED_MAX] = signed_most,
    [PFS_VM_REDUCER_OR] = any,                   [PFS_VM_REDUCER_AND] = all,
    [PFS_VM_REDUCER_XOR] = odd,                  [PFS_VM_REDUCER_FIRST] = keep_first,
};

int pfs_vm_reduce(uint8_t *into, size_t size, const uint8_t *values, size_t count, size_t stride, unsigned reducer,
                  unsigned width) {
    if (reducer >= sizeof reductions / sizeof *reductions) return -1;
    if (reducer == PFS_VM_REDUCER_FIRST) return 0;
    if (reducer == PFS_VM_REDUCER_LAST && count > 1) {
        values += (count - 1) * stride;
        count = 1;
    }
    for (size_t i = 0; i < count; i++) reductions[reducer](into, values + i * stride, size, width);
    return 0;
}

/* Zeros change nothing here. */
static int passes_zeros(unsigned reducer) {
    return reducer == PFS_VM_REDUCER_SUM || reducer == PFS_VM_REDUCER_OR || reducer == PFS_VM_REDUCER_XOR ||
           reducer == PFS_VM_REDUCER_MAX || reducer == PFS_VM_REDUCER_FIRST;
}

int pfs_vm_reduce_narrow(uint8_t *into, size_t size, const struct pfs_narrow *given, size_t start, unsigned reducer,
                         unsigned width) {
    uint64_t words[PFS_NARROW_BLOCK];
    struct pfs_narrow narrow = *given;
    struct pfs_narrow_block block;
    size_t stop = start + size / sizeof *words;
    int more;
    if (reducer >= sizeof reductions / sizeof *reductions || start > given->count || stop > given->count) return -1;
    while ((more = pfs_narrow_next(&narrow, (uint8_t *)words, &block)) > 0) {
        size_t first = block.start > start ? block.start : start, last = block.start + block.count;
        if (last > stop) last = stop;
        if (first >= last || (block.width == 0 && passes_zeros(reducer))) continue;
        reductions[reducer](into + (first - start) * sizeof *words, (const uint8_t *)(words + (first - block.start)),
                            (last - first) * sizeof *words, width);
    }
    return more;
}
