/* The argmin of H with AVX2: lane j of phase k is the window at 4j + k, so each half is computed once per position. */
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))

enum {
    STEP = 32,              /* windows per step: 4 phases of 8 lanes */
    STEPS = 16,             /* steps of a block, whose least H is compared once */
    AHEAD = 1024,           /* the hardware's prefetch stops at pages: 5.7 GB/s became 6.7 */
    REACH = 2 * STEP + 3 + 12 + 4 /* bytes from a step's first window to the end of what it loads */
};

INLINE __m256i load(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)(const void *)at); }

INLINE __m256i pair(const uint8_t *at) {
    return _mm256_add_epi32(_mm256_mullo_epi32(load(at), _mm256_set1_epi32((int)PFS_M1)), load(at + 4));
}

INLINE __m256i half(const uint8_t *at) {
    return _mm256_add_epi32(_mm256_mullo_epi32(pair(at), _mm256_set1_epi32((int)PFS_M2)), pair(at + 8));
}

/* The least of 32 windows lane by lane; halves carries the first halves from step to step. */
INLINE __m256i step(const uint8_t *at, __m256i halves[4], __m256i least) {
    for (int phase = 0; phase < 4; phase++) {
        __m256i first = halves[phase], next = half(at + STEP + phase);
        __m256i last = _mm256_permute2x128_si256(first, next, 0x21); /* 16 bytes on */
        __m256i mixed = _mm256_xor_si256(first, _mm256_srli_epi32(first, PFS_SHIFT));
        __m256i hash = _mm256_add_epi32(_mm256_mullo_epi32(mixed, _mm256_set1_epi32((int)PFS_M3)), last);
        least = _mm256_min_epu32(least, hash);
        halves[phase] = next;
    }
    return least;
}

INLINE void begin(const uint8_t *at, __m256i halves[4]) {
    for (int phase = 0; phase < 4; phase++) halves[phase] = half(at + phase);
}

INLINE uint32_t least_lane(__m256i lanes) {
    __m128i low = _mm_min_epu32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    low = _mm_min_epu32(low, _mm_shuffle_epi32(low, 0x4E));
    low = _mm_min_epu32(low, _mm_shuffle_epi32(low, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(low);
}

/* The first step of the block with the least H; the caller knows that there is one. */
TARGET static size_t find_step(const uint8_t *at, size_t steps, uint32_t least) {
    __m256i halves[4];
    begin(at, halves);
    for (size_t i = 0; i + 1 < steps; i++)
        if (least_lane(step(at + i * STEP, halves, _mm256_set1_epi32(-1))) == least) return i * STEP;
    return (steps - 1) * STEP;
}

TARGET size_t pfs_argmin_avx2(const uint8_t *start, size_t lo, size_t hi) {
    size_t from = lo - PFS_WINDOW, to = hi - PFS_WINDOW + 1, s = from, block = from, block_steps = 1;
    uint32_t least = UINT32_MAX, again = UINT32_MAX;
    __m256i halves[4];
    if (hi - from < REACH) return pfs_argmin_scalar(start, lo, hi);
    begin(start + s, halves);
    for (size_t left = (hi - from - REACH) / STEP + 1, steps; left > 0; left -= steps) {
        __m256i lanes = _mm256_set1_epi32(-1);
        steps = left < STEPS ? left : STEPS;
        for (size_t i = 0; i < steps; i++, s += STEP) {
            _mm_prefetch((const char *)start + s + AHEAD, _MM_HINT_T0);
            lanes = step(start + s, halves, lanes);
        }
        uint32_t found = least_lane(lanes);
        if (found < least) {
            least = found;
            block = s - steps * STEP;
            block_steps = steps;
        }
    }
    size_t found = block + find_step(start + block, block_steps, least), at = found;
    pfs_argmin_range(start, found, found + STEP, &again, &at);
    pfs_argmin_range(start, s, to, &again, &at);
    return at + PFS_WINDOW;
}
#endif
