/* Where two buffers differ: words first, then memcmp, which libc vectorises for the machine. */
#include "kernels.h"

enum { NEAR = 64, BLOCK = 1024, EQUAL = 8 };

static size_t first_difference(uint64_t left, uint64_t right) { return (size_t)__builtin_ctzll(left ^ right) / 8; }

static size_t prefix_words(const uint8_t *a, const uint8_t *b, size_t at, size_t limit) {
    for (; limit - at >= 8; at += 8) {
        uint64_t left = pfs_load64(a + at), right = pfs_load64(b + at);
        if (left != right) return at + first_difference(left, right);
    }
    while (at < limit && a[at] == b[at]) at++;
    return at;
}

size_t pfs_common_prefix(const uint8_t *a, const uint8_t *b, size_t limit) {
    size_t near = limit < NEAR ? limit : NEAR;
    size_t at = prefix_words(a, b, 0, near);
    if (at < near) return at;
    while (limit - at >= BLOCK && memcmp(a + at, b + at, BLOCK) == 0) at += BLOCK;
    return prefix_words(a, b, at, limit);
}

/* The last of the EQUAL bytes is looked at first: where it differs, none of them begins what is sought. */
size_t pfs_equal_again(const uint8_t *a, const uint8_t *b, size_t limit) {
    size_t at = 0;
    while (limit - at >= EQUAL) {
        size_t same = 0;
        while (same < EQUAL && a[at + EQUAL - 1 - same] == b[at + EQUAL - 1 - same]) same++;
        if (same == EQUAL) return at;
        at += EQUAL - same;
    }
    return limit;
}

int pfs_differ(const uint8_t *a, const uint8_t *b, size_t limit, struct pfs_stretch *stretch) {
    size_t start = stretch->end + pfs_common_prefix(a + stretch->end, b + stretch->end, limit - stretch->end);
    size_t end = start + pfs_equal_again(a + start, b + start, limit - start);
    *stretch = (struct pfs_stretch){start, end};
    return start < limit;
}

size_t pfs_common_suffix(const uint8_t *a_end, const uint8_t *b_end, size_t limit) {
    size_t at = 0;
    for (; limit - at >= 8; at += 8) {
        uint64_t left = pfs_load64(a_end - at - 8), right = pfs_load64(b_end - at - 8);
        if (left != right) return at + (size_t)__builtin_clzll(left ^ right) / 8;
    }
    while (at < limit && a_end[-1 - (ptrdiff_t)at] == b_end[-1 - (ptrdiff_t)at]) at++;
    return at;
}

size_t pfs_run_length(const uint8_t *a, uint8_t value, size_t limit) {
    uint64_t pattern = 0x0101010101010101u * (uint64_t)value;
    size_t at = 0;
    for (; limit - at >= 8; at += 8) {
        uint64_t word = pfs_load64(a + at);
        if (word != pattern) return at + first_difference(word, pattern);
    }
    while (at < limit && a[at] == value) at++;
    return at;
}
