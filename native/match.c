/* The delta kernel: copies from a window of the old file, runs and literals; packet/match.py is the definition.
 *
 * Copies wait in a short list before they are written: a better one that reaches back over them takes their place. */
#include <stdlib.h>

#include "kernels.h"

enum {
    SHIFTS = 3,          /* recent shifts that are tried first, besides the home shift */
    PENDING = 16,        /* copies that may still be replaced */
    LONG = 512,          /* a copy that is certainly right: it becomes home, and all pending is written */
    TRIED_MIN = 4,       /* bytes that a tried shift must match */
    RUN_MIN = 32,        /* bytes of a FILL */
    WEIGHT_MAX = 6,      /* what a literal byte costs after compression, in 1/16 bytes: log2 of how many values occur */
    SAMPLES = 4096,      /* bytes at least that are looked at to know */
    BYTE = 16,           /* an instruction byte, in the same unit */
    NEAR_WIDTH = 8,      /* bytes hashed in the near index, at every NEAR_STRIDE-th position */
    NEAR_STRIDE = 4,
    NEAR_REACH = 32768,  /* old bytes on both sides of home that are indexed */
    NEAR_BITS = 15,      /* heads of chains */
    NEAR_RING = 1 << 15, /* links; 2 * NEAR_REACH / NEAR_STRIDE and some */
    NEAR_TRIES = 8,
    FAR_WIDTH = 24,      /* bytes hashed in the far index, at every FAR_STRIDE-th position of the window */
    FAR_STRIDE = 16,
    FAR_BITS_MIN = 10,
    FAR_BITS_MAX = 18,
    FAR_GAP = 32,        /* bytes unexplained before the far index is asked */
    STEP_SHIFT = 9,      /* a gap of 512 bytes more is searched 2 positions coarser, up to STEP_MAX; odd steps meet */
    STEP_MAX = 31        /* every residue of FAR_STRIDE */
};
#define NOWHERE UINT32_MAX
#define MIX1 0x9E3779B185EBCA87u
#define MIX2 0xC2B2AE3D27D4EB4Fu

/* new[at : at + length] is old[from : from + length], or the byte new[at] repeated. */
struct op {
    size_t at, from, length;
    int fill;
};

struct matcher {
    const uint8_t *old, *new;
    size_t old_size, new_size;
    struct pfs_delta *delta;
    int64_t weight;
    size_t floor;    /* new bytes below it are written */
    int64_t written; /* shift of the last copy written: expected source offset minus position */
    struct op pending[PENDING];
    size_t count;
    int64_t shifts[SHIFTS], home;
    uint32_t *heads, *links, *far;
    size_t indexed; /* the near index has seen the old positions below, as far as they were in reach */
    int far_bits;   /* 0: not built yet */
};

struct choice {
    struct op op;
    int64_t worth;
};

/* output */

static int varint_size(uint64_t value) {
    int size = 1;
    for (; value >= 0x80; value >>= 7) size++;
    return size;
}

static int64_t shift_of(const struct op *op) { return (int64_t)op->from - (int64_t)op->at; }

static size_t end_of(const struct op *op) { return op->at + op->length; }

static void write_literal(struct matcher *m, size_t end) {
    if (end == m->floor) return;
    pfs_put_varint(m->delta, (uint64_t)(end - m->floor) << 2);
    pfs_put_bytes(m->delta, &m->delta->literals, m->new + m->floor, end - m->floor);
    m->floor = end;
}

static void write_op(struct matcher *m, const struct op *op) {
    write_literal(m, op->at);
    pfs_put_varint(m->delta, (uint64_t)op->length << 2 | (op->fill ? 2 : 1));
    if (op->fill) {
        pfs_put_bytes(m->delta, &m->delta->instructions, m->new + op->at, 1);
    } else {
        pfs_put_varint(m->delta, pfs_zigzag(shift_of(op) - m->written));
        m->written = shift_of(op);
    }
    m->floor = end_of(op);
}

static void write_pending(struct matcher *m, size_t count) {
    for (size_t i = 0; i < count; i++) write_op(m, &m->pending[i]);
    m->count -= count;
    memmove(m->pending, m->pending + count, m->count * sizeof m->pending[0]);
}

/* what a copy is worth */

static size_t made(const struct matcher *m) { return m->count ? end_of(&m->pending[m->count - 1]) : m->floor; }

/* The shift that is expected after the first `count` pending. */
static int64_t shift_after(const struct matcher *m, size_t count) {
    while (count > 0)
        if (!m->pending[--count].fill) return shift_of(&m->pending[count]);
    return m->written;
}

/* Bytes of the instruction, and one for the head of the literal after it. */
static int64_t cost_after(const struct matcher *m, const struct op *op, size_t count) {
    int operand = op->fill ? 1 : varint_size(pfs_zigzag(shift_of(op) - shift_after(m, count)));
    return BYTE * (varint_size((uint64_t)op->length << 2) + operand + 1);
}

/* How many pending stay when op is taken: one that it covers goes, and one whose rest does not pay. */
static size_t kept_before(const struct matcher *m, const struct op *op) {
    size_t kept = m->count;
    for (; kept > 0; kept--) {
        const struct op *last = &m->pending[kept - 1];
        if (last->at >= op->at) continue;
        if (end_of(last) > op->at && (int64_t)(op->at - last->at) * m->weight <= cost_after(m, last, kept - 1)) continue;
        break;
    }
    return kept;
}

/* Literal bytes saved and instructions spared, less the instruction; literal bytes that dropped ones leave are paid. */
static int64_t worth_of(const struct matcher *m, const struct op *op) {
    size_t kept = kept_before(m, op);
    int64_t covered = (int64_t)op->length, worth = 0;
    for (size_t i = kept; i < m->count; i++) {
        covered -= (int64_t)m->pending[i].length;
        worth += cost_after(m, &m->pending[i], i);
    }
    if (kept > 0 && end_of(&m->pending[kept - 1]) > op->at) covered -= (int64_t)(end_of(&m->pending[kept - 1]) - op->at);
    return worth + covered * m->weight - cost_after(m, op, kept);
}

static void remember_shift(struct matcher *m, int64_t shift) {
    int i = 0;
    while (i < SHIFTS - 1 && m->shifts[i] != shift) i++;
    for (; i > 0; i--) m->shifts[i] = m->shifts[i - 1];
    m->shifts[0] = shift;
}

static void take(struct matcher *m, const struct op *op) {
    m->count = kept_before(m, op);
    if (made(m) > op->at) m->pending[m->count - 1].length = op->at - m->pending[m->count - 1].at;
    if (m->count == PENDING) write_pending(m, 1);
    m->pending[m->count++] = *op;
    if (!op->fill) remember_shift(m, shift_of(op));
    if (op->length < LONG) return;
    if (!op->fill) m->home = shift_of(op);
    write_pending(m, m->count);
}

/* search */

/* An entry is a position in strides, and more bits of its hash: most false candidates are not even looked at. */
enum { NEAR_TAG = 4, FAR_TAG = 6 };

static uint64_t hash_near(const uint8_t *at) { return pfs_load64(at) * MIX1; }

static uint64_t hash_far(const uint8_t *at) {
    uint64_t hash = (pfs_load64(at) * MIX1 ^ pfs_load64(at + 8)) * MIX2;
    return (hash ^ hash >> 29 ^ pfs_load64(at + 16)) * MIX1;
}

static uint32_t tag_of(uint64_t hash, int bits, int tag) {
    return (uint32_t)(hash >> (64 - bits - tag)) & ((1u << tag) - 1);
}

static uint32_t entry_of(size_t strides, uint64_t hash, int bits, int tag) {
    return (uint32_t)strides << tag | tag_of(hash, bits, tag);
}

/* Index what came into reach; positions only go up, so a chain goes down and its links are fresh while in the ring. */
static void index_near(struct matcher *m, int64_t middle) {
    int64_t from = middle - NEAR_REACH, end = middle + NEAR_REACH, last = (int64_t)m->old_size - NEAR_WIDTH;
    if (from < (int64_t)m->indexed) from = (int64_t)m->indexed;
    if (end > last + 1) end = last + 1;
    if (from >= end) return;
    size_t p = ((size_t)from + NEAR_STRIDE - 1) / NEAR_STRIDE * NEAR_STRIDE;
    for (; p < (size_t)end; p += NEAR_STRIDE) {
        uint64_t hash = hash_near(m->old + p);
        uint32_t *head = &m->heads[hash >> (64 - NEAR_BITS)];
        m->links[p / NEAR_STRIDE % NEAR_RING] = *head;
        *head = entry_of(p / NEAR_STRIDE, hash, NEAR_BITS, NEAR_TAG);
    }
    m->indexed = p;
}

static void index_far(struct matcher *m) {
    m->far_bits = FAR_BITS_MIN;
    while (m->far_bits < FAR_BITS_MAX && m->old_size / FAR_STRIDE >> m->far_bits) m->far_bits++;
    size_t bytes = sizeof *m->far << m->far_bits;
    m->far = malloc(bytes);
    if (m->far == NULL) {
        m->delta->failed = 1;
        return;
    }
    memset(m->far, 0xFF, bytes);
    for (size_t p = 0; p + FAR_WIDTH <= m->old_size; p += FAR_STRIDE) {
        uint64_t hash = hash_far(m->old + p);
        m->far[hash >> (64 - m->far_bits)] = entry_of(p / FAR_STRIDE, hash, m->far_bits, FAR_TAG);
    }
}

static void choose(const struct matcher *m, struct op op, struct choice *best) {
    int64_t worth = worth_of(m, &op);
    if (worth > best->worth) *best = (struct choice){op, worth};
}

/* Widen a match of new[at] and old[from] to both sides; it may reach back over what is pending. */
static void try(const struct matcher *m, size_t at, int64_t from, size_t least, struct choice *best) {
    if (from < 0 || from >= (int64_t)m->old_size) return;
    size_t start = (size_t)from, room = m->new_size - at, before = at - m->floor;
    if (m->old_size - start < room) room = m->old_size - start;
    if (start < before) before = start;
    size_t length = pfs_common_prefix(m->new + at, m->old + start, room);
    if (length < least) return;
    size_t back = pfs_common_suffix(m->new + at, m->old + start, before);
    choose(m, (struct op){at - back, start - back, back + length, 0}, best);
}

static void try_shifts(const struct matcher *m, size_t at, struct choice *best) {
    for (int i = 0; i <= SHIFTS; i++) {
        int64_t from = (int64_t)at + (i < SHIFTS ? m->shifts[i] : m->home);
        if (from < 0 || from > (int64_t)m->old_size - TRIED_MIN) continue;
        if (pfs_load32(m->old + from) == pfs_load32(m->new + at)) try(m, at, from, TRIED_MIN, best);
    }
}

static void try_run(const struct matcher *m, size_t at, struct choice *best) {
    if (pfs_load64(m->new + at) != 0x0101010101010101u * (uint64_t)m->new[at]) return;
    size_t length = pfs_run_length(m->new + at, m->new[at], m->new_size - at);
    if (length >= RUN_MIN) choose(m, (struct op){at, 0, length, 1}, best);
}

static void try_near(struct matcher *m, size_t at, struct choice *best) {
    index_near(m, (int64_t)at + m->home);
    uint64_t hash = hash_near(m->new + at);
    uint32_t entry = m->heads[hash >> (64 - NEAR_BITS)], tag = tag_of(hash, NEAR_BITS, NEAR_TAG);
    for (int tries = NEAR_TRIES; tries > 0 && entry != NOWHERE; tries--) {
        size_t strides = entry >> NEAR_TAG, p = strides * NEAR_STRIDE;
        if (p + (size_t)NEAR_STRIDE * NEAR_RING <= m->indexed) return;
        if ((entry & ((1u << NEAR_TAG) - 1)) == tag) try(m, at, (int64_t)p, NEAR_WIDTH, best);
        entry = m->links[strides % NEAR_RING];
    }
}

static void try_far(struct matcher *m, size_t at, struct choice *best) {
    if (m->far_bits == 0) index_far(m);
    if (m->delta->failed) return;
    uint64_t hash = hash_far(m->new + at);
    uint32_t entry = m->far[hash >> (64 - m->far_bits)];
    if (entry == NOWHERE || (entry & ((1u << FAR_TAG) - 1)) != tag_of(hash, m->far_bits, FAR_TAG)) return;
    try(m, at, (int64_t)(entry >> FAR_TAG) * FAR_STRIDE, FAR_WIDTH, best);
}

static struct choice search(struct matcher *m, size_t at) {
    struct choice best = {.worth = 0};
    size_t left = m->new_size - at;
    if (left >= TRIED_MIN) try_shifts(m, at, &best);
    if (left >= NEAR_WIDTH) {
        try_run(m, at, &best);
        try_near(m, at, &best);
    }
    if (left >= FAR_WIDTH && at - m->floor >= FAR_GAP) try_far(m, at, &best);
    return best;
}

/* Bits, letters of DNA and digits compress far better than words do, so short copies of them do not pay. */
static int64_t weigh(const uint8_t *data, size_t size) {
    uint8_t seen[256] = {0};
    int64_t values = 0, weight = 1;
    size_t stride = size < SAMPLES ? 1 : size / SAMPLES;
    for (size_t at = 0; at < size; at += stride) {
        values += !seen[data[at]];
        seen[data[at]] = 1;
    }
    while (weight < WEIGHT_MAX && (values - 1) >> weight > 0) weight++;
    return weight;
}

static void match_all(struct matcher *m) {
    size_t at = 0;
    while (at < m->new_size && !m->delta->failed) {
        struct choice best = search(m, at);
        if (best.worth > 0) {
            take(m, &best.op);
            at = made(m);
        } else {
            size_t step = 1 + 2 * ((at - made(m)) >> STEP_SHIFT);
            at += step < STEP_MAX ? step : STEP_MAX;
        }
    }
    write_pending(m, m->count);
    write_literal(m, m->new_size);
}

void pfs_match(const uint8_t *old, size_t old_size, uint64_t old_base, const uint8_t *new, size_t new_size,
               uint64_t expected, struct pfs_delta *delta) {
    struct matcher m = {.old = old, .new = new, .old_size = old_size, .new_size = new_size, .delta = delta};
    m.weight = weigh(new, new_size);
    size_t near_bytes = sizeof *m.heads << NEAR_BITS;
    m.home = m.written = (int64_t)expected - (int64_t)old_base;
    for (int i = 0; i < SHIFTS; i++) m.shifts[i] = m.home;
    m.heads = malloc(near_bytes);
    m.links = malloc(sizeof *m.links * NEAR_RING); /* read only where it was written */
    delta->failed = m.heads == NULL || m.links == NULL;
    if (!delta->failed) {
        memset(m.heads, 0xFF, near_bytes);
        match_all(&m);
    }
    free(m.heads);
    free(m.links);
    free(m.far);
    delta->expected = (uint64_t)(m.written + (int64_t)new_size + (int64_t)old_base);
}
