/* Searching and counting with AVX2: 32 bytes. */
#include "search.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,popcnt,bmi")))
#define INLINE static inline __attribute__((always_inline, target("avx2,popcnt,bmi")))
#define LANES __m256i
#define WIDTH 32
#define MASK uint32_t
#define FIND pfs_find_avx2
#define NTH_BYTE pfs_nth_byte_avx2
#define COUNT_BYTE pfs_count_byte_avx2
#define COUNT_WORDS pfs_count_words_avx2
#define COUNT_PARTS pfs_count_parts_avx2

INLINE LANES lanes_load(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)(const void *)at); }
INLINE LANES lanes_of(uint8_t byte) { return _mm256_set1_epi8((char)byte); }
INLINE LANES lanes_min(LANES a, LANES b) { return _mm256_min_epu8(a, b); }
INLINE LANES lanes_less(LANES a, uint8_t byte) { return _mm256_sub_epi8(a, lanes_of(byte)); }
INLINE MASK lanes_equal(LANES a, LANES b) { return (MASK)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)); }
INLINE MASK lanes_both(LANES a, LANES of_a, LANES b, LANES of_b) {
    return (MASK)_mm256_movemask_epi8(_mm256_and_si256(_mm256_cmpeq_epi8(a, of_a), _mm256_cmpeq_epi8(b, of_b)));
}

#include "search_lanes.h"
#endif
