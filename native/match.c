/* The delta kernel (first cut: the expected diagonal only). */
#include <stdlib.h>

#include "kernels.h"

static int reserve(struct pfs_bytes *bytes, size_t more) {
    if (bytes->room - bytes->size >= more) return 0;
    size_t room = bytes->room * 2 + more + 64;
    uint8_t *data = realloc(bytes->data, room);
    if (data == NULL) return -1;
    bytes->data = data;
    bytes->room = room;
    return 0;
}

static int put_varint(struct pfs_bytes *bytes, uint64_t value) {
    if (reserve(bytes, 10)) return -1;
    for (; value >= 0x80; value >>= 7) bytes->data[bytes->size++] = (uint8_t)(value | 0x80);
    bytes->data[bytes->size++] = (uint8_t)value;
    return 0;
}

int pfs_match(const uint8_t *old, size_t old_size, uint64_t old_base, const uint8_t *new, size_t new_size,
              uint64_t expected, struct pfs_delta *delta) {
    size_t at = 0;
    delta->expected = expected;
    if (expected >= old_base && expected - old_base < old_size) {
        size_t from = (size_t)(expected - old_base);
        at = pfs_common_prefix(old + from, new, old_size - from < new_size ? old_size - from : new_size);
    }
    if (at && (put_varint(&delta->instructions, (uint64_t)at << 2 | 1) || put_varint(&delta->instructions, 0))) return -1;
    if (at < new_size) {
        if (put_varint(&delta->instructions, (uint64_t)(new_size - at) << 2)) return -1;
        if (reserve(&delta->literals, new_size - at)) return -1;
        memcpy(delta->literals.data, new + at, new_size - at);
        delta->literals.size = new_size - at;
    }
    delta->expected = expected + new_size;
    return 0;
}
