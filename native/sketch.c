/* Coded symbols of a set of 64-bit ids, and the difference of two sets from theirs; packet/sketch.py is the definition. */
#include <math.h>

#include "kernels.h"

#define MIX1 0xBF58476D1CE4E5B9u
#define MIX2 0x94D049BB133111EBu
#define STEP 0x9E3779B97F4A7C15u

static uint64_t mix(uint64_t value) {
    value = (value ^ value >> 30) * MIX1;
    value = (value ^ value >> 27) * MIX2;
    return value ^ value >> 31;
}

static uint32_t check_of(uint64_t id) { return (uint32_t)(mix(id ^ STEP) >> 32); }

struct walk {
    uint64_t state, at;
};

/* The next symbol that an id is part of: symbol i has it with a chance of 1 / (1 + i / 2). */
static void next(struct walk *walk) {
    walk->state += STEP;
    double draw = (double)((mix(walk->state) >> 32) + 1) / 4294967296.0;
    double gap = ceil(((double)walk->at + 1.5) * (1.0 / sqrt(draw) - 1.0));
    walk->at += gap < 1.0 ? 1 : (uint64_t)gap; /* below 2**16 times `at`, which is below 2**32 */
}

static void add(struct pfs_symbol *symbol, uint64_t id, int32_t count) {
    symbol->sum ^= id;
    symbol->check ^= check_of(id);
    symbol->count = (int32_t)((uint32_t)symbol->count + (uint32_t)count); /* a peer's counts may be any */
}

void pfs_sketch(const uint8_t *ids, size_t count, size_t start, size_t end, struct pfs_symbol *symbols) {
    memset(symbols, 0, (end - start) * sizeof *symbols);
    for (size_t i = 0; i < count; i++) {
        uint64_t id = pfs_load64(ids + 8 * i);
        for (struct walk walk = {id, 0}; walk.at < end; next(&walk))
            if (walk.at >= start) add(&symbols[walk.at - start], id, 1);
    }
}

static int is_pure(const struct pfs_symbol *symbol) {
    return (symbol->count == 1 || symbol->count == -1) && check_of(symbol->sum) == symbol->check;
}

/* Peel: a symbol of one id gives it, and takes it out of all others. `waiting` and `ids` have room for `count`. */
size_t pfs_sketch_peel(struct pfs_symbol *symbols, size_t count, uint32_t *waiting, uint64_t *ids, size_t *ours) {
    size_t left = 0, found = 0, last = count;
    for (size_t i = count; i-- > 0;)
        if (is_pure(&symbols[i])) waiting[left++] = (uint32_t)i;
    *ours = 0;
    while (left > 0 && found < count) {
        struct pfs_symbol pure = symbols[waiting[--left]];
        if (!is_pure(&pure)) continue;
        if (pure.count > 0)
            ids[(*ours)++] = pure.sum;
        else
            ids[--last] = pure.sum;
        found++;
        for (struct walk walk = {pure.sum, 0}; walk.at < count; next(&walk)) {
            add(&symbols[walk.at], pure.sum, -pure.count);
            if (is_pure(&symbols[walk.at]) && left < count) waiting[left++] = (uint32_t)walk.at;
        }
    }
    return found;
}
