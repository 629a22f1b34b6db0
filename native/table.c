/* Hash tables of shards become one: rows are sorted by key, a byte at a time, and merged. */
#include "table.h"

#include <stdlib.h>

#include "vm_snapshot.h"

enum { NEXT_FREE = 0, KEY = 8 }; /* of an entry, as vm_maps.c has it; the value follows the key */

static size_t value_at(const struct pfs_table_kind *kind) { return KEY + pfs_up8(kind->key_size); }
static size_t stride_of(const struct pfs_table_kind *kind) { return value_at(kind) + pfs_up8(kind->value_size); }

static void reduce(uint8_t *into, const uint8_t *values, size_t count, const struct pfs_table_kind *kind) {
    (void)pfs_vm_reduce(into, count * kind->value_size, values, 1, 0, kind->reducer, kind->width);
}

/* memcpy, which takes its time for sizes that it does not know. */
static void put(uint8_t *to, const uint8_t *from, size_t size) {
    if (size == 8)
        memcpy(to, from, 8);
    else if (size == 4)
        memcpy(to, from, 4);
    else
        memcpy(to, from, size);
}

/* Less than, equal to or greater than zero, as memcmp. */
static int compare(const uint8_t *a, const uint8_t *b, size_t size) {
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (size == 4) {
        uint32_t left = __builtin_bswap32(pfs_load32(a)), right = __builtin_bswap32(pfs_load32(b));
        return (left > right) - (left < right);
    }
    if (size == 8) {
        uint64_t left = __builtin_bswap64(pfs_load64(a)), right = __builtin_bswap64(pfs_load64(b));
        return (left > right) - (left < right);
    }
#endif
    return memcmp(a, b, size);
}

/* sorting */

/* One pass: rows by byte `at` of their keys, those with the same one as they were. 0 where all have the same one. */
static int pass(uint32_t *to, const uint32_t *from, const uint8_t *keys, size_t count, size_t size, size_t at) {
    size_t place[256] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++) place[keys[i * size + at]]++;
    if (place[keys[at]] == count) return 0;
    for (size_t byte = 0; byte < 256; byte++) {
        size_t here = place[byte];
        place[byte] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++) to[place[keys[from[i] * size + at]]++] = from[i];
    return 1;
}

int pfs_table_is_rising(const uint8_t *keys, size_t count, size_t size) {
    for (size_t i = 1; i < count; i++)
        if (compare(keys + (i - 1) * size, keys + i * size, size) >= 0) return 0;
    return 1;
}

/* Returns the one of two arrays that has the numbers of all rows, by key. */
static uint32_t *sort(uint32_t *order, uint32_t *spare, const uint8_t *keys, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    for (size_t at = size; at-- > 0;) {
        if (!pass(spare, order, keys, count, size, at)) continue;
        uint32_t *sorted = spare;
        spare = order;
        order = sorted;
    }
    return order;
}

/* columns of a table */

/* Copies what is held, as others may write to the entries meanwhile. */
static size_t take(uint8_t *keys, uint8_t *values, const uint8_t *entries, size_t used,
                   const struct pfs_table_kind *kind) {
    size_t count = 0, behind = value_at(kind), stride = stride_of(kind);
    for (size_t i = 0; i < used; i++, entries += stride) {
        if (pfs_load32(entries + NEXT_FREE) != 0) continue;
        put(keys + count * kind->key_size, entries + KEY, kind->key_size);
        put(values + count * kind->value_size, entries + behind, kind->value_size);
        count++;
    }
    return count;
}

static size_t gather(uint8_t *keys, uint8_t *values, const struct pfs_columns *rows, const uint32_t *order,
                     const struct pfs_table_kind *kind) {
    size_t done = 0, size = kind->key_size;
    for (size_t i = 0; i < rows->count; i++) {
        const uint8_t *key = rows->keys + order[i] * size, *value = rows->values + order[i] * kind->value_size;
        if (done > 0 && compare(keys + (done - 1) * size, key, size) == 0) { /* only in a table that is damaged */
            reduce(values + (done - 1) * kind->value_size, value, 1, kind);
            continue;
        }
        put(keys + done * size, key, size);
        put(values + done * kind->value_size, value, kind->value_size);
        done++;
    }
    return done;
}

/* Put rows in order where they are; -1 without memory. */
static ptrdiff_t arrange(uint8_t *keys, uint8_t *values, size_t count, const struct pfs_table_kind *kind) {
    size_t keys_bytes = count * kind->key_size, values_bytes = count * kind->value_size;
    uint32_t *order = malloc(2 * count * sizeof *order + keys_bytes + values_bytes);
    if (order == NULL) return -1;
    uint8_t *taken = (uint8_t *)(order + 2 * count);
    memcpy(taken, keys, keys_bytes);
    memcpy(taken + keys_bytes, values, values_bytes);
    struct pfs_columns rows = {taken, taken + keys_bytes, count};
    count = gather(keys, values, &rows, sort(order, order + count, taken, count, kind->key_size), kind);
    free(order);
    return (ptrdiff_t)count;
}

ptrdiff_t pfs_table_columns(uint8_t *keys, uint8_t *values, const uint8_t *entries, size_t used,
                            const struct pfs_table_kind *kind) {
    size_t count = take(keys, values, entries, used, kind);
    return pfs_table_is_rising(keys, count, kind->key_size) ? (ptrdiff_t)count : arrange(keys, values, count, kind);
}

/* merging */

/* Where rows are written, one behind the other. */
struct out {
    uint8_t *keys, *values;
    size_t count;
};

static void copy(struct out *out, const struct pfs_columns *from, size_t at, size_t count,
                 const struct pfs_table_kind *kind) {
    put(out->keys + out->count * kind->key_size, from->keys + at * kind->key_size, count * kind->key_size);
    put(out->values + out->count * kind->value_size, from->values + at * kind->value_size, count * kind->value_size);
    out->count += count;
}

/* How many rows from here on have the same keys: these are reduced as arrays are. */
static size_t alike(const struct pfs_columns *a, size_t i, const struct pfs_columns *b, size_t j, size_t size) {
    size_t most = a->count - i < b->count - j ? a->count - i : b->count - j, count = 0;
    while (count < most && compare(a->keys + (i + count) * size, b->keys + (j + count) * size, size) == 0) count++;
    return count;
}

size_t pfs_table_merge(uint8_t *keys, uint8_t *values, const struct pfs_columns *a, const struct pfs_columns *b,
                       const struct pfs_table_kind *kind) {
    struct out out = {keys, values, 0};
    size_t i = 0, j = 0, size = kind->key_size;
    while (i < a->count && j < b->count) {
        int order = compare(a->keys + i * size, b->keys + j * size, size);
        if (order < 0) {
            copy(&out, a, i++, 1, kind);
        } else if (order > 0) {
            copy(&out, b, j++, 1, kind);
        } else {
            size_t count = alike(a, i, b, j, size);
            copy(&out, a, i, count, kind);
            reduce(out.values + (out.count - count) * kind->value_size, b->values + j * kind->value_size, count, kind);
            i += count;
            j += count;
        }
    }
    copy(&out, a, i, a->count - i, kind);
    copy(&out, b, j, b->count - j, kind);
    return out.count;
}

void pfs_table_lay(uint8_t *entries, const struct pfs_columns *columns, const struct pfs_table_kind *kind) {
    size_t behind = value_at(kind), stride = stride_of(kind);
    memset(entries, 0, columns->count * stride);
    for (size_t i = 0; i < columns->count; i++, entries += stride) {
        put(entries + KEY, columns->keys + i * kind->key_size, kind->key_size);
        put(entries + behind, columns->values + i * kind->value_size, kind->value_size);
    }
}
