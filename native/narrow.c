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

size_t pfs_narrow(uint8_t *out, size_t room, const uint8_t *words, size_t count) {
    size_t size = 0;
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t here = least(count - at, BLOCK);
        unsigned width = width_of_block(words + at * WORD, here);
        if (room - size >= 1 + here * width && size <= room) { /* looked at once: others may write to the words */
            out[size] = (uint8_t)width;
            narrow(out + size + 1, words + at * WORD, here, width);
        }
        size += 1 + here * width;
    }
    return size;
}

int pfs_narrow_next(struct pfs_narrow *narrow, uint8_t *words, struct pfs_narrow_block *block) {
    if (narrow->done == narrow->count) return 0;
    size_t here = least(narrow->count - narrow->done, BLOCK);
    if (narrow->size == 0) return -1;
    unsigned width = narrow->data[0];
    if (width > WORD || (width & (width - 1)) != 0 || here * width > narrow->size - 1) return -1;
    if (words != NULL) widen(words, narrow->data + 1, here, width);
    *block = (struct pfs_narrow_block){narrow->done, here, width};
    narrow->data += 1 + here * width;
    narrow->size -= 1 + here * width;
    narrow->done += here;
    return 1;
}

int pfs_widen(uint8_t *words, size_t count, const uint8_t *data, size_t size) {
    struct pfs_narrow narrow = {.data = data, .size = size, .count = count};
    struct pfs_narrow_block block;
    int more;
    do more = pfs_narrow_next(&narrow, words == NULL ? NULL : words + narrow.done * WORD, &block);
    while (more > 0);
    return more < 0 || narrow.size != 0 ? -1 : 0;
}
