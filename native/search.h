/* Searching and counting in bytes: what the helpers of vm/search.py say, at the speed of memory. SIZE_MAX = nowhere. */
#ifndef PFS_SEARCH_H
#define PFS_SEARCH_H

#include "kernels.h"

#define PFS_DECIMAL_END 9000000000000000000u /* from here on a number is none: one more digit could leave 64 bits */
#define PFS_DECIMALS_MAX 18

size_t pfs_find(const uint8_t *data, size_t size, const uint8_t *word, size_t length);
size_t pfs_nth_byte(const uint8_t *data, size_t size, uint8_t byte, uint64_t nth);
size_t pfs_last_byte(const uint8_t *data, size_t size, uint8_t byte);
uint64_t pfs_count_byte(const uint8_t *data, size_t size, uint8_t byte);
uint64_t pfs_count_words(const uint8_t *data, size_t size); /* the byte before counts as white space */
/* Parts, each ended by the byte or by the end of the data, that contain the word; the byte is not of its part. */
uint64_t pfs_count_parts(const uint8_t *data, size_t size, uint8_t byte, const uint8_t *word, size_t length);
/* A decimal number in units of 10**-decimals, halves rounded away from zero; INT64_MIN where it is none. */
int64_t pfs_decimal(const uint8_t *text, size_t size, uint64_t decimals);

/* The paths. find: length >= 2, and not more than size. nth: what is left of it when the byte is not there so often.
 * inside: whether the byte before is of a word; then, whether the last one is. parts: length >= 1, and not more than
 * size; the word does not hold the byte. */
typedef size_t pfs_find_fn(const uint8_t *data, size_t size, const uint8_t *word, size_t length);
typedef size_t pfs_nth_byte_fn(const uint8_t *data, size_t size, uint8_t byte, uint64_t *nth);
typedef uint64_t pfs_count_byte_fn(const uint8_t *data, size_t size, uint8_t byte);
typedef uint64_t pfs_count_words_fn(const uint8_t *data, size_t size, int *inside);
typedef uint64_t pfs_count_parts_fn(const uint8_t *data, size_t size, uint8_t byte, const uint8_t *word, size_t length);

struct pfs_search {
    pfs_find_fn *find;
    pfs_nth_byte_fn *nth_byte;
    pfs_count_byte_fn *count_byte;
    pfs_count_words_fn *count_words;
    pfs_count_parts_fn *count_parts;
};

const struct pfs_search *pfs_search_of(enum pfs_simd simd);
void pfs_search_choose(enum pfs_simd simd); /* once, before anything is searched; scalar until then */
pfs_find_fn pfs_find_scalar, pfs_find_avx2, pfs_find_avx512;
pfs_nth_byte_fn pfs_nth_byte_scalar, pfs_nth_byte_avx2, pfs_nth_byte_avx512;
pfs_count_byte_fn pfs_count_byte_scalar, pfs_count_byte_avx2, pfs_count_byte_avx512;
pfs_count_words_fn pfs_count_words_scalar, pfs_count_words_avx2, pfs_count_words_avx512;
pfs_count_parts_fn pfs_count_parts_scalar, pfs_count_parts_avx2, pfs_count_parts_avx512;

#endif
