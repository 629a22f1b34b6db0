/* Signatures of blocks, found again at any place of new bytes; packet/blocks.py is the definition.
 *
 * The sum of a block is a polynomial in a key that nobody knows beforehand, modulo 2**61 - 1; what travels are its low
 * bytes. Four lanes take a quarter of a block each, as one product waits for the last. */
#include "kernels.h"
#include "prime.h"

#define MIX 0x9E3779B185EBCA87u
enum { LANES = 4, PROBES = 64 };

static uint64_t power(uint64_t key, size_t exponent) {
    uint64_t result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) result = times_plus(result, key, 0);
        key = times_plus(key, key, 0);
    }
    return canonical(result);
}

/* `jump` is the key to the power of a quarter of the block. */
static uint64_t sum_of(const uint8_t *data, size_t block, uint64_t key, uint64_t jump) {
    size_t quarter = block / LANES;
    uint64_t lanes[LANES] = {0};
    for (size_t i = 0; i < quarter; i++)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] = times_plus(lanes[lane], key, data[(size_t)lane * quarter + i]);
    uint64_t sum = lanes[0];
    for (int lane = 1; lane < LANES; lane++) sum = times_plus(sum, jump, lanes[lane]);
    return canonical(sum);
}

static uint64_t mask_of(size_t width) { return ((uint64_t)1 << 8 * width) - 1; }

static uint64_t load_sum(const uint8_t *sums, size_t width, size_t number) {
    uint64_t sum = 0;
    memcpy(&sum, sums + number * width, width);
    return sum;
}

void pfs_block_sums(const uint8_t *data, size_t count, size_t block, size_t width, uint64_t key, uint8_t *sums) {
    uint64_t jump = power(key, block / LANES);
    for (size_t i = 0; i < count; i++) {
        uint64_t sum = sum_of(data + i * block, block, key, jump);
        memcpy(sums + i * width, &sum, width);
    }
}

/* A table is a byte of filter and four of a block's number + 1 for each slot; slots are a power of two. */

size_t pfs_block_slots(size_t count) {
    size_t slots = 64;
    while (slots < 2 * count) slots *= 2;
    return slots;
}

static int shift_of(size_t slots) {
    int shift = 64;
    while (slots > 1) slots >>= 1, shift--;
    return shift;
}

static inline size_t filter_bit(uint64_t hash, int shift) { return hash >> (shift - 3); }

static uint32_t number_at(const uint8_t *numbers, size_t slot) { return pfs_load32(numbers + 4 * slot); }

void pfs_block_index(const uint8_t *sums, size_t count, size_t width, uint8_t *table, size_t slots) {
    uint8_t *numbers = table + slots;
    int shift = shift_of(slots);
    memset(table, 0, 5 * slots);
    for (size_t i = 0; i < count; i++) {
        uint64_t sum = load_sum(sums, width, i), hash = sum * MIX;
        size_t slot = hash >> shift;
        for (int probe = 0; probe < PROBES; probe++, slot = (slot + 1) & (slots - 1)) {
            uint32_t held = number_at(numbers, slot), number = (uint32_t)i + 1;
            if (held != 0 && load_sum(sums, width, held - 1) == sum) break; /* the first of equals is found */
            if (held != 0) continue;
            memcpy(numbers + 4 * slot, &number, 4);
            table[filter_bit(hash, shift) >> 3] |= (uint8_t)(1 << (filter_bit(hash, shift) & 7));
            break;
        }
    }
}

static int64_t look_up(const struct pfs_blocks *blocks, uint64_t sum, uint64_t hash, int shift) {
    size_t slot = hash >> shift;
    for (int probe = 0; probe < PROBES; probe++, slot = (slot + 1) & (blocks->slots - 1)) {
        uint32_t held = number_at(blocks->table + blocks->slots, slot);
        if (held == 0 || held > blocks->count) return -1;
        if (load_sum(blocks->sums, blocks->width, held - 1) == sum) return held - 1;
    }
    return -1;
}

static inline int64_t find(const struct pfs_blocks *blocks, uint64_t sum, size_t expected, int shift) {
    sum = canonical(sum) & mask_of(blocks->width);
    uint64_t hash = sum * MIX;
    size_t bit = filter_bit(hash, shift);
    if (!(blocks->table[bit >> 3] >> (bit & 7) & 1)) return -1;
    if (expected < blocks->count && load_sum(blocks->sums, blocks->width, expected) == sum) return (int64_t)expected;
    return look_up(blocks, sum, hash, shift);
}

/* Roll over the bytes from *at on until a block is found that begins at *at; its number, or -1 at the end. */
static int64_t roll(const struct pfs_blocks *blocks, const uint8_t *data, size_t size, size_t *at, size_t expected,
                    const uint64_t leaving[256], uint64_t jump, int shift) {
    size_t block = blocks->block, here = *at;
    if (size < block || here > size - block) return -1;
    uint64_t sum = sum_of(data + here, block, blocks->key, jump);
    for (;;) {
        int64_t found = find(blocks, sum, expected, shift);
        if (found >= 0 || here == size - block) {
            *at = found >= 0 ? here : here + 1;
            return found;
        }
        sum = times_plus(sum, blocks->key, leaving[data[here]] + data[here + block]);
        here++;
    }
}

size_t pfs_block_find(const struct pfs_blocks *blocks, const uint8_t *data, size_t size, size_t expected,
                      struct pfs_found *found, size_t room) {
    uint64_t leaving[256], jump = power(blocks->key, blocks->block / LANES), whole = power(blocks->key, blocks->block);
    int shift = shift_of(blocks->slots);
    size_t at = 0, count = 0;
    for (uint64_t byte = 0; byte < 256; byte++) leaving[byte] = PRIME - canonical(times_plus(whole, byte, 0));
    while (count < room) {
        int64_t number = roll(blocks, data, size, &at, expected, leaving, jump, shift);
        if (number < 0) break;
        struct pfs_found *last = count > 0 ? &found[count - 1] : NULL;
        if (last != NULL && last->number + last->count == (uint64_t)number && last->at + last->count * blocks->block == at)
            last->count++;
        else
            found[count++] = (struct pfs_found){at, (uint64_t)number, 1};
        at += blocks->block;
        expected = (size_t)number + 1;
    }
    return count;
}
