/* Open addressing in a caller's buffer, which may be a shared or damaged mapping: every probe is bounded.
 *
 * A slot is u64 fingerprint, u64 value + 1. (any, 0) is empty and ends a search, (0, any but 0) was removed and does
 * not. One writer, any readers: the half that makes a slot visible is stored last. */
#include "kernels.h"
#include "packet.h"

static inline uint64_t load(const uint8_t *at) { return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE); }

static inline void store(uint8_t *at, uint64_t word) {
    __atomic_store_n((uint64_t *)(void *)at, word, __ATOMIC_RELEASE);
}

/* Fingerprints are uniform, so the high half of key * capacity is a slot for any capacity, without a division. */
static inline size_t slot_of(const struct pfs_index *index, uint64_t key) {
    return (size_t)(((unsigned __int128)key * index->capacity) >> 64);
}

static inline size_t probes(const struct pfs_index *index) {
    return index->capacity < PFS_PROBES ? index->capacity : PFS_PROBES;
}

static inline uint8_t *slot_at(const struct pfs_index *index, size_t slot) { return index->slots + slot * PFS_SLOT; }

static inline size_t next_slot(const struct pfs_index *index, size_t slot) {
    return slot + 1 == index->capacity ? 0 : slot + 1;
}

int pfs_index_put(const struct pfs_index *index, uint64_t key, uint64_t value) {
    uint8_t *target = NULL;
    size_t slot = slot_of(index, key);
    for (size_t i = probes(index); i > 0; i--, slot = next_slot(index, slot)) {
        uint8_t *here = slot_at(index, slot);
        uint64_t held = load(here), stored = load(here + 8);
        if (stored == 0) {
            if (target == NULL) target = here;
            break;
        }
        if (held == key && stored == value + 1) return 0;
        if (held == 0 && target == NULL) target = here;
    }
    if (target == NULL) return -1;
    if (load(target + 8) == 0) {
        store(target, key);
        store(target + 8, value + 1);
    } else { /* removed before: invisible until its fingerprint is there */
        store(target + 8, value + 1);
        store(target, key);
    }
    return 1;
}

int pfs_index_remove(const struct pfs_index *index, uint64_t key, uint64_t value) {
    size_t slot = slot_of(index, key);
    for (size_t i = probes(index); i > 0; i--, slot = next_slot(index, slot)) {
        uint8_t *here = slot_at(index, slot);
        uint64_t stored = load(here + 8);
        if (stored == 0) return 0;
        if (load(here) == key && stored == value + 1) {
            store(here, 0);
            return 1;
        }
    }
    return 0;
}

size_t pfs_index_get(const struct pfs_index *index, uint64_t key, size_t skip, uint64_t *values, size_t room) {
    size_t found = 0, slot = slot_of(index, key);
    for (size_t i = probes(index); i > 0 && found < room; i--, slot = next_slot(index, slot)) {
        uint8_t *here = slot_at(index, slot);
        uint64_t stored = load(here + 8);
        if (stored == 0) break;
        if (load(here) != key) continue;
        if (skip > 0)
            skip--;
        else
            values[found++] = stored - 1;
    }
    return found;
}

size_t pfs_index_put_extents(const struct pfs_index *index, const uint8_t *leaves, size_t count, uint64_t value,
                             uint64_t limit, size_t most) {
    size_t added = 0;
    uint64_t held[PFS_CANDIDATES];
    for (const uint8_t *leaf = leaves; count > 0 && value < limit; count--, leaf += PFS_PACKET) {
        uint64_t key = pfs_load64(leaf + PFS_AT_BODY);
        uint64_t length = pfs_load32(leaf + PFS_AT_LENGTH), operand = pfs_load64(leaf + PFS_AT_OPERAND);
        uint64_t made = leaf[PFS_AT_OP] == PFS_OP_FILL ? operand : length;
        if (key == 0) key = 1;
        if (leaf[PFS_AT_OP] == PFS_OP_COPY && pfs_index_get(index, key, 0, held, most) < most)
            added += pfs_index_put(index, key, value) > 0;
        if (made >= limit - value) break;
        value += made;
    }
    return added;
}

size_t pfs_index_lacking(const struct pfs_index *index, const uint8_t *leaves, size_t from, size_t count) {
    uint64_t held;
    for (size_t number = from; number < count; number++) {
        const uint8_t *leaf = leaves + number * PFS_PACKET;
        uint64_t key = pfs_load64(leaf + PFS_AT_BODY);
        if (leaf[PFS_AT_OP] == PFS_OP_COPY && pfs_index_get(index, key == 0 ? 1 : key, 0, &held, 1) == 0) return number;
    }
    return count;
}

size_t pfs_index_count(const struct pfs_index *index) {
    size_t count = 0;
    for (size_t slot = 0; slot < index->capacity; slot++)
        count += load(slot_at(index, slot)) != 0 && load(slot_at(index, slot) + 8) != 0;
    return count;
}
