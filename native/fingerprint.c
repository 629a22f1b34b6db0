/* Fingerprints of bytes, and how far a stream has the ones that are known: packet/fingerprint.py says what they are. */
#include "kernels.h"
#include "packet.h"
#include "prime.h"

enum {
    BLOCK = 4096,          /* bytes that are summed with the same part of the key: it stays in the first-level cache */
    SHIFT = 16,            /* bytes of the key between the two sums */
    POINTS = BLOCK + SHIFT /* where the two points of the polynomials stand in the key */
};

static uint64_t product(uint64_t word, uint64_t key) {
    uint32_t low = (uint32_t)word + (uint32_t)key, high = (uint32_t)(word >> 32) + (uint32_t)(key >> 32);
    return (uint64_t)low * high;
}

void pfs_fingerprint_scalar(const uint8_t *data, size_t size, const uint8_t *key, uint64_t sums[2]) {
    size_t at = 0;
    for (; size - at >= 8; at += 8) {
        uint64_t word = pfs_load64(data + at);
        sums[0] += product(word, pfs_load64(key + at));
        sums[1] += product(word, pfs_load64(key + at + SHIFT));
    }
    if (at < size) {
        uint8_t last[8] = {0};
        memcpy(last, data + at, size - at);
        sums[0] += product(pfs_load64(last), pfs_load64(key + at));
        sums[1] += product(pfs_load64(last), pfs_load64(key + at + SHIFT));
    }
}

static pfs_fingerprint_fn *chosen = pfs_fingerprint_scalar;

void pfs_fingerprint_choose(enum pfs_simd simd) {
    chosen = pfs_fingerprint_scalar;
#if defined(__x86_64__)
    if (simd != PFS_SCALAR) chosen = pfs_fingerprint_avx2;
#endif
    (void)simd;
}

/* The value that a polynomial, which begins with such numbers, has at a point. */
static uint64_t append(uint64_t value, uint64_t point, uint64_t sum) {
    return times_plus(times_plus(value, point, sum >> 32), point, (uint32_t)sum);
}

void pfs_fingerprint(const uint8_t *data, size_t size, const uint8_t *key, uint8_t out[PFS_FINGERPRINT]) {
    uint64_t values[2] = {0, 0}, points[2] = {pfs_load64(key + POINTS) & PRIME, pfs_load64(key + POINTS + 8) & PRIME};
    for (size_t at = 0; at < size; at += BLOCK) {
        uint64_t sums[2] = {0, 0};
        chosen(data + at, size - at < BLOCK ? size - at : BLOCK, key, sums);
        for (int i = 0; i < 2; i++) values[i] = append(values[i], points[i], sums[i]);
    }
    for (int i = 0; i < 2; i++) values[i] = canonical(values[i]);
    memcpy(out, values, sizeof values);
}

size_t pfs_same_fingerprints(struct pfs_source leaves, struct pfs_source known, const uint8_t *key, struct pfs_source stream,
                             uint8_t *same) {
    size_t count = 0, done = 0, others = 0;
    for (; (count + 1) * PFS_PACKET <= leaves.size && (count + 1) * PFS_FINGERPRINT <= known.size; count++) {
        size_t length = pfs_load32(leaves.data + count * PFS_PACKET + PFS_AT_LENGTH);
        uint8_t found[PFS_FINGERPRINT];
        if (length > stream.size - done || others == PFS_OTHERS) break;
        pfs_fingerprint(stream.data + done, length, key, found);
        same[count] = memcmp(found, known.data + count * PFS_FINGERPRINT, PFS_FINGERPRINT) == 0;
        others = same[count] ? 0 : others + 1;
        done += length;
    }
    return count;
}
