/* Searching and counting with AVX-512: 64 bytes. */
#include "search.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,popcnt,bmi")))
#define INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw,popcnt,bmi")))
#define LANES __m512i
#define WIDTH 64
#define MASK uint64_t
#define FIND pfs_find_avx512
#define NTH_BYTE pfs_nth_byte_avx512
#define COUNT_BYTE pfs_count_byte_avx512
#define COUNT_WORDS pfs_count_words_avx512
#define COUNT_PARTS pfs_count_parts_avx512

INLINE LANES lanes_load(const uint8_t *at) { return _mm512_loadu_si512(at); }
INLINE LANES lanes_of(uint8_t byte) { return _mm512_set1_epi8((char)byte); }
INLINE LANES lanes_min(LANES a, LANES b) { return _mm512_min_epu8(a, b); }
INLINE LANES lanes_less(LANES a, uint8_t byte) { return _mm512_sub_epi8(a, lanes_of(byte)); }
INLINE MASK lanes_equal(LANES a, LANES b) { return _mm512_cmpeq_epi8_mask(a, b); }
INLINE MASK lanes_both(LANES a, LANES of_a, LANES b, LANES of_b) {
    return _mm512_mask_cmpeq_epi8_mask(_mm512_cmpeq_epi8_mask(a, of_a), b, of_b);
}

#include "search_lanes.h"
#endif
