/* Words in as few bytes as the largest of 64 needs: counts that follow each other are mostly of one size. */
#include "kernels.h"

enum { BLOCK = PFS_NARROW_BLOCK, WORD = 8 };

static unsigned width_of(uint64_t any) {
    return any == 0 ? 0 : any <= UINT8_MAX ? 1 : any <= UINT16_MAX ? 2 : any <= UINT32_MAX ? 4 : WORD;
}

static unsigned width_of_block(const uint8_t *words, size_t count) {
    uint64_t any = 0;
    for (size_t i = 0; i < count; i++) any |= pfs_load64(words + i * WORD);
    return width_of(any);
}

static void narrow(uint8_t *out, const uint8_t *words, size_t count, unsigned width) {
    switch (width) {
    case 0: break;
    case 1: for (size_t i = 0; i < count; i++) out[i] = words[i * WORD]; break;
    case 2: for (size_t i = 0; i < count; i++) memcpy(out + 2 * i, words + i * WORD, 2); break;
    case 4: for (size_t i = 0; i < count; i++) memcpy(out + 4 * i, words + i * WORD, 4); break;
    default: memcpy(out, words, count * WORD);
    }
}

#define WIDEN(type)                                                                                                    \
    for (size_t i = 0; i < count; i++) {                                                                               \
        type value;                                                                                                    \
        memcpy(&value, from + i * sizeof value, sizeof value);                                                         \
        uint64_t word = value;                                                                                         \
        memcpy(words + i * WORD, &word, WORD);                                                                         \
    }

static void widen(uint8_t *words, const uint8_t *from, size_t count, unsigned width) {
    switch (width) {
    case 0: memset(words, 0, count * WORD); break;
    case 1: WIDEN(uint8_t) break;
    case 2: WIDEN(uint16_t) break;
    case 4: WIDEN(uint32_t) break;
    default: memcpy(words, from, count * WORD);
    }
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

size_t pfs_narrow(uint8_t *out, const uint8_t *words, size_t count) {
    size_t size = 0;
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t here = least(count - at, BLOCK);
        unsigned width = width_of_block(words + at * WORD, here);
        if (out != NULL) {
            out[size] = (uint8_t)width;
            narrow(out + size + 1, words + at * WORD, here, width);
        }
        size += 1 + here * width;
    }
    return size;
}

int pfs_widen(uint8_t *words, size_t count, const uint8_t *data, size_t size) {
    size_t done = 0;
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t here = least(count - at, BLOCK);
        if (done == size) return -1;
        unsigned width = data[done++];
        if (width > WORD || (width & (width - 1)) != 0 || here * width > size - done) return -1;
        widen(words + at * WORD, data + done, here, width);
        done += here * width;
    }
    return done == size ? 0 : -1;
}
