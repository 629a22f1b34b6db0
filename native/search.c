/* Searching and counting in bytes, one byte at a time, and which of the paths this machine runs. */
#define _GNU_SOURCE /* memmem, memrchr */
#include "search.h"

static int is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

size_t pfs_nth_byte_scalar(const uint8_t *data, size_t size, uint8_t byte, uint64_t *nth) {
    for (size_t at = 0; at < size; at++)
        if (data[at] == byte && --*nth == 0) return at;
    return SIZE_MAX;
}

uint64_t pfs_count_byte_scalar(const uint8_t *data, size_t size, uint8_t byte) {
    uint64_t count = 0;
    for (size_t at = 0; at < size; at++) count += data[at] == byte;
    return count;
}

uint64_t pfs_count_words_scalar(const uint8_t *data, size_t size, int *inside) {
    uint64_t count = 0;
    for (size_t at = 0; at < size; at++) {
        int word = !is_space(data[at]);
        count += (uint64_t)(word && !*inside);
        *inside = word;
    }
    return count;
}

/* The library's search has no worst case: the vector paths go over to it where their guesses are bad. */
size_t pfs_find_scalar(const uint8_t *data, size_t size, const uint8_t *word, size_t length) {
    const uint8_t *found = memmem(data, size, word, length);
    return found == NULL ? SIZE_MAX : (size_t)(found - data);
}

/* The library prepares each search anew, for as long as the word is, and behind each there lies a part with that word:
 * at worst, with parts of four bytes, this took 5 ns a byte (by hand). */
uint64_t pfs_count_parts_scalar(const uint8_t *data, size_t size, uint8_t byte, const uint8_t *word, size_t length) {
    const uint8_t *end = data + size, *found;
    uint64_t count = 0;
    while (data != NULL && (found = memmem(data, (size_t)(end - data), word, length)) != NULL) {
        count++;
        data = memchr(found + length, byte, (size_t)(end - found) - length);
        if (data != NULL) data++;
    }
    return count;
}

static const struct pfs_search scalar = {pfs_find_scalar, pfs_nth_byte_scalar, pfs_count_byte_scalar,
                                         pfs_count_words_scalar, pfs_count_parts_scalar};

const struct pfs_search *pfs_search_of(enum pfs_simd simd) {
#if defined(__x86_64__)
    static const struct pfs_search avx2 = {pfs_find_avx2, pfs_nth_byte_avx2, pfs_count_byte_avx2, pfs_count_words_avx2,
                                           pfs_count_parts_avx2};
    static const struct pfs_search avx512 = {pfs_find_avx512, pfs_nth_byte_avx512, pfs_count_byte_avx512,
                                             pfs_count_words_avx512, pfs_count_parts_avx512};
    if (simd == PFS_AVX512) return &avx512;
    if (simd == PFS_AVX2) return &avx2;
#endif
    (void)simd;
    return &scalar;
}

static const struct pfs_search *chosen = &scalar;

void pfs_search_choose(enum pfs_simd simd) { chosen = pfs_search_of(simd); }

size_t pfs_find(const uint8_t *data, size_t size, const uint8_t *word, size_t length) {
    uint64_t first = 1;
    if (length > size) return SIZE_MAX;
    if (length == 0) return 0;
    return length == 1 ? chosen->nth_byte(data, size, *word, &first) : chosen->find(data, size, word, length);
}

size_t pfs_nth_byte(const uint8_t *data, size_t size, uint8_t byte, uint64_t nth) {
    return nth == 0 ? SIZE_MAX : chosen->nth_byte(data, size, byte, &nth);
}

size_t pfs_last_byte(const uint8_t *data, size_t size, uint8_t byte) {
    const uint8_t *found = size ? memrchr(data, byte, size) : NULL;
    return found == NULL ? SIZE_MAX : (size_t)(found - data);
}

uint64_t pfs_count_byte(const uint8_t *data, size_t size, uint8_t byte) {
    return chosen->count_byte(data, size, byte);
}

uint64_t pfs_count_words(const uint8_t *data, size_t size) {
    int inside = 0;
    return chosen->count_words(data, size, &inside);
}

uint64_t pfs_count_parts(const uint8_t *data, size_t size, uint8_t byte, const uint8_t *word, size_t length) {
    if (length > size || size == 0) return 0;
    if (length == 0) return chosen->count_byte(data, size, byte) + (uint64_t)(data[size - 1] != byte);
    return memchr(word, byte, length) != NULL ? 0 : chosen->count_parts(data, size, byte, word, length);
}

static uint64_t scaled(uint64_t total, const uint8_t *digits, size_t count, size_t places) {
    for (size_t at = 0; at < places; at++) {
        if (total >= PFS_DECIMAL_END / 10) return PFS_DECIMAL_END;
        total = 10 * total + (at < count ? (uint64_t)(digits[at] - '0') : 0);
        if (total == 0 && at >= count) return 0;
    }
    return total;
}

static size_t digits_at(const uint8_t *text, size_t size) {
    size_t count = 0;
    while (count < size && text[count] >= '0' && text[count] <= '9') count++;
    return count;
}

static int is_blank(uint8_t byte) { return byte == ' ' || byte == '\t'; }

int64_t pfs_decimal(const uint8_t *text, size_t size, uint64_t decimals) {
    if (decimals > PFS_DECIMALS_MAX) return INT64_MIN;
    while (size > 0 && is_blank(*text)) text++, size--;
    while (size > 0 && is_blank(text[size - 1])) size--;
    int negative = size > 0 && *text == '-';
    if (size > 0 && (negative || *text == '+')) text++, size--;
    size_t whole = digits_at(text, size), point = whole < size && text[whole] == '.';
    const uint8_t *behind = text + whole + point;
    size_t left = size - whole - point, fraction = point ? digits_at(behind, left) : 0;
    if (whole + fraction == 0 || fraction != left) return INT64_MIN;
    uint64_t total = scaled(scaled(0, text, whole, whole), behind, fraction, (size_t)decimals);
    if (total >= PFS_DECIMAL_END) return INT64_MIN;
    if (fraction > decimals && behind[decimals] >= '5') total++;
    return negative ? -(int64_t)total : (int64_t)total;
}
