/* The argmin of H with AVX-512: 16 lanes. */
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw")))
#define LANES __m512i
#define COUNT 16
#define ARGMIN pfs_argmin_avx512

INLINE LANES lanes_load(const uint8_t *at) { return _mm512_loadu_si512(at); }
INLINE LANES lanes_of(uint32_t value) { return _mm512_set1_epi32((int)value); }
INLINE LANES lanes_add(LANES a, LANES b) { return _mm512_add_epi32(a, b); }
INLINE LANES lanes_times(LANES a, uint32_t factor) { return _mm512_mullo_epi32(a, lanes_of(factor)); }
INLINE LANES lanes_min(LANES a, LANES b) { return _mm512_min_epu32(a, b); }
INLINE LANES lanes_mixed(LANES a) { return _mm512_xor_si512(a, _mm512_srli_epi32(a, PFS_SHIFT)); }
INLINE LANES lanes_16_bytes_on(LANES a, LANES next) { return _mm512_alignr_epi32(next, a, 4); }
INLINE uint32_t lanes_least(LANES lanes) { return _mm512_reduce_min_epu32(lanes); }

#include "cut_lanes.h"
#endif
