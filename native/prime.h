/* Arithmetic modulo 2**61 - 1. */
#ifndef PFS_PRIME_H
#define PFS_PRIME_H

#include <stdint.h>

#define PRIME (((uint64_t)1 << 61) - 1)

/* a * b + c, below 2**61 + 8 for a below 2**62, b below 2**61 and c below 2**62. */
static inline uint64_t times_plus(uint64_t a, uint64_t b, uint64_t c) {
    unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t sum = ((uint64_t)product & PRIME) + (uint64_t)(product >> 61) + c;
    return (sum & PRIME) + (sum >> 61);
}

static inline uint64_t canonical(uint64_t sum) { return sum >= PRIME ? sum - PRIME : sum; }

#endif
