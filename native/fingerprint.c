/* Fingerprints of bytes, and how far a stream has the ones that are known: packet/fingerprint.py says what they are. */
#include "kernels.h"
#include "packet.h"

enum { SHIFT = 16 }; /* bytes of the key between the two sums */

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

size_t pfs_fingerprint_key(size_t size) { return (size + 7) / 8 * 8 + SHIFT; }

void pfs_fingerprint(const uint8_t *data, size_t size, const uint8_t *key, uint8_t out[PFS_FINGERPRINT]) {
    uint64_t sums[2] = {0, 0};
    chosen(data, size, key, sums);
    memcpy(out, sums, sizeof sums);
}

size_t pfs_same_fingerprints(struct pfs_source leaves, struct pfs_source known, struct pfs_source key,
                             struct pfs_source stream, uint8_t *same) {
    size_t count = 0, done = 0, others = 0;
    for (; (count + 1) * PFS_PACKET <= leaves.size && (count + 1) * PFS_FINGERPRINT <= known.size; count++) {
        size_t length = pfs_load32(leaves.data + count * PFS_PACKET + PFS_AT_LENGTH);
        uint8_t found[PFS_FINGERPRINT];
        if (length > stream.size - done || pfs_fingerprint_key(length) > key.size || others == PFS_OTHERS) break;
        pfs_fingerprint(stream.data + done, length, key.data, found);
        same[count] = memcmp(found, known.data + count * PFS_FINGERPRINT, PFS_FINGERPRINT) == 0;
        others = same[count] ? 0 : others + 1;
        done += length;
    }
    return count;
}
