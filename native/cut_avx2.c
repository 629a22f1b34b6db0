/* The argmin of H with AVX2: 8 lanes. */
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))
#define LANES __m256i
#define COUNT 8
#define ARGMIN pfs_argmin_avx2

INLINE LANES lanes_load(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)(const void *)at); }
INLINE LANES lanes_of(uint32_t value) { return _mm256_set1_epi32((int)value); }
INLINE LANES lanes_add(LANES a, LANES b) { return _mm256_add_epi32(a, b); }
INLINE LANES lanes_times(LANES a, uint32_t factor) { return _mm256_mullo_epi32(a, lanes_of(factor)); }
INLINE LANES lanes_min(LANES a, LANES b) { return _mm256_min_epu32(a, b); }
INLINE LANES lanes_mixed(LANES a) { return _mm256_xor_si256(a, _mm256_srli_epi32(a, PFS_SHIFT)); }
INLINE LANES lanes_16_bytes_on(LANES a, LANES next) { return _mm256_permute2x128_si256(a, next, 0x21); }

INLINE uint32_t lanes_least(LANES lanes) {
    __m128i low = _mm_min_epu32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    low = _mm_min_epu32(low, _mm_shuffle_epi32(low, 0x4E));
    low = _mm_min_epu32(low, _mm_shuffle_epi32(low, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(low);
}

#include "cut_lanes.h"
#endif
