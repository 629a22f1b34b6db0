/* Helper 4103: count numbers that lie at equal distances, in an array of 64-bit counts. vm/tally.py is the definition. */
#include "vm.h"

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define FETCH(at) __builtin_prefetch(at)
#else
#define INLINE static inline
#define FETCH(at) (void)(at)
#endif

enum { AHEAD = 4096 };

struct tally {
    const uint8_t *data;
    uint64_t numbers, stride;
    uint8_t *counts;
    uint64_t entries;
};

INLINE uint64_t number_at(const uint8_t *data, unsigned width, int big) {
    uint64_t value = 0;
    if (!big) {
        memcpy(&value, data, width);
        return value;
    }
    for (unsigned at = 0; at < width; at++) value = value << 8 | data[at];
    return value;
}

/* One after the other: the data may be the counts themselves. Returns how many numbers have no entry. */
INLINE uint64_t count_each(const struct tally *tally, unsigned width, int big) {
    uint64_t outside = 0;
    const uint8_t *at = tally->data;
    for (uint64_t left = tally->numbers; left > 0; left--, at += tally->stride) {
        FETCH(at + AHEAD);
        uint64_t value = number_at(at, width, big);
        if (value < tally->entries) {
            uint8_t *count = tally->counts + 8 * value;
            pfs_store64(count, pfs_load64(count) + 1);
        } else {
            outside++;
        }
    }
    return outside;
}

static uint64_t count_all(const struct tally *tally, int64_t width) {
    switch (width) {
    case 1: case -1: return count_each(tally, 1, 0);
    case 2: return count_each(tally, 2, 0);
    case 4: return count_each(tally, 4, 0);
    case 8: return count_each(tally, 8, 0);
    case -2: return count_each(tally, 2, 1);
    case -4: return count_each(tally, 4, 1);
    default: return count_each(tally, 8, 1);
    }
}

static int is_counted(const struct pfs_vm_map *map) {
    int array = map->type == PFS_VM_MAP_TYPE_ARRAY || map->type == PFS_VM_MAP_TYPE_PERCPU_ARRAY;
    return array && map->value_size == 8 && !(map->flags & PFS_VM_MAP_FLAG_READ_ONLY);
}

enum pfs_vm_stop pfs_vm_tally(struct pfs_vm *vm) {
    const struct pfs_vm_map *map = pfs_vm_find_map(vm, vm->r[1]);
    uint64_t size = vm->r[3], stride = vm->r[4];
    int64_t width = (int64_t)vm->r[5];
    uint64_t bytes = (uint64_t)(width < 0 ? -(uint64_t)width : (uint64_t)width);
    struct tally tally = {.stride = stride};
    if (map == NULL) return PFS_VM_STOP_FAULT;
    if (!is_counted(map) || stride == 0 || (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)) {
        vm->r[0] = (uint64_t)-22;
        return PFS_VM_STOP_DONE;
    }
    enum pfs_vm_stop stop = pfs_vm_readable(vm, vm->r[2], size, &tally.data);
    if (stop != PFS_VM_STOP_DONE) return stop;
    tally.numbers = size < bytes ? 0 : (size - bytes) / stride + 1;
    tally.counts = vm->stores[PFS_VM_REGION_MAPS].host + map->offset;
    tally.entries = map->max_entries;
    vm->r[0] = count_all(&tally, width);
    pfs_vm_pay(vm, PFS_VM_BYTES_A_SLOT * tally.numbers, 0);
    return PFS_VM_STOP_DONE;
}
