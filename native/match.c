/* The delta kernel: copies from a window of the old file, runs and literals; kernels.py is the definition. */
#include <stdlib.h>

#include "kernels.h"

/* tunables while experimenting */
static int T(const char *name, int value) {
    const char *set = getenv(name);
    return set ? atoi(set) : value;
}

enum { REPS = 3, OPS = 16 };
#define NONE UINT32_MAX

struct op {
    size_t at, from, length; /* new[at : at + length] == old[from : from + length], or one byte repeated */
    int fill;
};

struct matcher {
    const uint8_t *old, *new;
    size_t old_size, new_size;
    struct pfs_delta *delta;
    int failed;
    size_t floor; /* what lies below is written */
    int64_t written; /* shift of the last copy written */
    struct op ops[OPS];
    size_t count;
    int64_t reps[REPS], home;
    uint32_t *head, *prev, *grid;
    size_t frontier; /* old positions below it that are in reach are in head and prev */
    int grid_built;
    int hbits, gbits, ringbits;
    int ns, W, GW, depth, back, ahead, gstride, wt, diagmin, stepshift, stepmax, lng, gg;
};

struct found {
    struct op op;
    int64_t score;
};

static inline int64_t shift_of(const struct op *op) { return (int64_t)op->from - (int64_t)op->at; }

static int reserve(struct pfs_bytes *bytes, size_t more) {
    if (bytes->room - bytes->size >= more) return 0;
    size_t room = bytes->room * 2 + more + 64;
    uint8_t *data = realloc(bytes->data, room);
    if (data == NULL) return -1;
    bytes->data = data;
    bytes->room = room;
    return 0;
}

static int put_varint(struct pfs_bytes *bytes, uint64_t value) {
    if (reserve(bytes, 10)) return -1;
    for (; value >= 0x80; value >>= 7) bytes->data[bytes->size++] = (uint8_t)(value | 0x80);
    bytes->data[bytes->size++] = (uint8_t)value;
    return 0;
}

static uint64_t zigzag(int64_t n) { return ((uint64_t)n << 1) ^ (uint64_t)(n >> 63); }

static int varint_size(uint64_t value) {
    int size = 1;
    while (value >= 0x80) value >>= 7, size++;
    return size;
}

static void write_literal(struct matcher *m, size_t to) {
    size_t length = to - m->floor;
    if (length == 0) return;
    struct pfs_bytes *out = &m->delta->literals;
    if (put_varint(&m->delta->instructions, (uint64_t)length << 2) || reserve(out, length)) {
        m->failed = 1;
        return;
    }
    memcpy(out->data + out->size, m->new + m->floor, length);
    out->size += length;
    m->floor = to;
}

static void write_op(struct matcher *m, const struct op *op) {
    write_literal(m, op->at);
    struct pfs_bytes *out = &m->delta->instructions;
    if (put_varint(out, (uint64_t)op->length << 2 | (op->fill ? 2 : 1))) m->failed = 1;
    if (op->fill) {
        if (reserve(out, 1)) { m->failed = 1; return; }
        out->data[out->size++] = m->new[op->at];
    } else {
        if (put_varint(out, zigzag(shift_of(op) - m->written))) m->failed = 1;
        m->written = shift_of(op);
    }
    m->floor = op->at + op->length;
}

static void write_ops(struct matcher *m, size_t count) {
    for (size_t i = 0; i < count; i++) write_op(m, &m->ops[i]);
    m->count -= count;
    memmove(m->ops, m->ops + count, m->count * sizeof *m->ops);
}

static size_t made(const struct matcher *m) {
    return m->count ? m->ops[m->count - 1].at + m->ops[m->count - 1].length : m->floor;
}

/* shift of the last copy among the first `count` pending */
static int64_t shift_before(const struct matcher *m, size_t count) {
    while (count > 0)
        if (!m->ops[--count].fill) return shift_of(&m->ops[count]);
    return m->written;
}

static int64_t cost(const struct op *op, int64_t before) {
    return varint_size((uint64_t)op->length << 2) + (op->fill ? 1 : varint_size(zigzag(shift_of(op) - before))) + 1;
}

/* what taking op is worth, in 1/16 bytes: literal bytes it saves, and pending ops that it makes needless. */
static int64_t worth(const struct matcher *m, const struct op *op, size_t *keep, size_t *cut) {
    size_t i = m->count, end = op->at + op->length;
    int64_t gain = 0;
    *cut = 0;
    size_t upto = end;
    while (i > 0) {
        const struct op *p = &m->ops[i - 1];
        size_t pend = p->at + p->length;
        int64_t before = shift_before(m, i - 1);
        if (pend <= op->at) break;
        /* bytes after p that op newly covers */
        gain += (int64_t)(upto - pend) * m->wt;
        upto = p->at;
        if (p->at >= op->at) { gain += 16 * cost(p, before); i--; continue; }
        size_t rest = op->at - p->at;
        if ((int64_t)rest * m->wt <= 16 * cost(p, before)) { gain += 16 * cost(p, before) - (int64_t)rest * m->wt; i--; upto = op->at; }
        else { *cut = rest; upto = op->at; }
        break;
    }
    if (upto > op->at) gain += (int64_t)(upto - op->at) * m->wt;
    *keep = i;
    return gain - 16 * cost(op, shift_before(m, i));
}

static void take(struct matcher *m, const struct op *op) {
    size_t keep, cut;
    worth(m, op, &keep, &cut);
    m->count = keep;
    if (cut) m->ops[keep - 1].length = cut;
    if (m->count == OPS) write_ops(m, 1);
    m->ops[m->count++] = *op;
    if (!op->fill) {
        int64_t shift = shift_of(op);
        if (shift != m->reps[0]) {
            int i = 1;
            while (i < REPS - 1 && m->reps[i] != shift) i++;
            for (; i > 0; i--) m->reps[i] = m->reps[i - 1];
            m->reps[0] = shift;
        }
    }
    if (op->length >= (size_t)m->lng) {
        if (!op->fill) m->home = shift_of(op);
        write_ops(m, m->count);
    }
}

static inline uint32_t hash_near(const struct matcher *m, const uint8_t *at) {
    return (uint32_t)(((pfs_load64(at) << (64 - 8 * m->W)) * 0x9E3779B185EBCA87u) >> (64 - m->hbits));
}

static inline uint32_t hash_far(const struct matcher *m, const uint8_t *at) {
    uint64_t h = (pfs_load64(at) * 0x9E3779B185EBCA87u ^ pfs_load64(at + 8)) * 0xC2B2AE3D27D4EB4Fu;
    h = (h ^ h >> 29 ^ pfs_load64(at + m->GW - 8)) * 0x9E3779B185EBCA87u;
    return (uint32_t)(h >> (64 - m->gbits));
}

static void index_near(struct matcher *m, int64_t middle) {
    int64_t from = middle - m->back, to = middle + m->ahead, most = (int64_t)m->old_size - 7, ns = m->ns;
    if (from < (int64_t)m->frontier) from = (int64_t)m->frontier;
    if (to > most) to = most;
    from = (from + ns - 1) / ns * ns;
    if (from >= to) return;
    int64_t p = from;
    for (; p < to; p += ns) {
        uint32_t h = hash_near(m, m->old + p);
        m->prev[(size_t)(p / ns) & ((1u << m->ringbits) - 1)] = m->head[h];
        m->head[h] = (uint32_t)p;
    }
    m->frontier = (size_t)p;
}

static void build_grid(struct matcher *m) {
    m->grid_built = 1;
    if (m->old_size < (size_t)m->GW) return;
    for (size_t p = 0; p + (size_t)m->GW <= m->old_size; p += (size_t)m->gstride) m->grid[hash_far(m, m->old + p)] = (uint32_t)p;
}

static void consider(struct matcher *m, size_t at, int64_t from, size_t least, struct found *best) {
    if (from < 0 || from >= (int64_t)m->old_size) return;
    size_t room = m->new_size - at, old_room = m->old_size - (size_t)from;
    if (old_room < room) room = old_room;
    size_t length = pfs_common_prefix(m->new + at, m->old + from, room);
    if (length < least) return;
    size_t before = at - m->floor < (size_t)from ? at - m->floor : (size_t)from;
    size_t back = pfs_common_suffix(m->new + at, m->old + from, before), keep, cut;
    struct op op = {at - back, (size_t)from - back, length + back, 0};
    int64_t score = worth(m, &op, &keep, &cut);
    if (score > best->score) *best = (struct found){op, score};
}

static struct found search(struct matcher *m, size_t at) {
    struct found best = {.score = 0};
    size_t left = m->new_size - at;
    for (int i = 0; i <= REPS; i++) {
        int64_t from = (int64_t)at + (i < REPS ? m->reps[i] : m->home);
        if (from >= 0 && from + 4 <= (int64_t)m->old_size && left >= 4 && pfs_load32(m->old + from) == pfs_load32(m->new + at))
            consider(m, at, from, (size_t)m->diagmin, &best);
    }
    if (left >= 32 && pfs_load64(m->new + at) == 0x0101010101010101u * m->new[at]) {
        size_t length = pfs_run_length(m->new + at, m->new[at], left), keep, cut;
        struct op op = {at, 0, length, 1};
        int64_t score = worth(m, &op, &keep, &cut);
        if (length >= 32 && score > best.score) best = (struct found){op, score};
    }
    if (left >= 8) {
        index_near(m, (int64_t)at + m->home);
        uint32_t p = m->head[hash_near(m, m->new + at)];
        for (int d = m->depth; d > 0 && p != NONE && p + ((size_t)m->ns << m->ringbits) > m->frontier; d--) {
            consider(m, at, p, (size_t)m->W, &best);
            uint32_t q = m->prev[p / (uint32_t)m->ns & ((1u << m->ringbits) - 1)];
            if (q == NONE || q >= p) break;
            p = q;
        }
    }
    if (at - m->floor >= (size_t)m->gg && left >= (size_t)m->GW) {
        if (!m->grid_built) build_grid(m);
        uint32_t p = m->grid[hash_far(m, m->new + at)];
        if (p != NONE) consider(m, at, p, (size_t)m->GW, &best);
    }
    return best;
}

static void run(struct matcher *m) {
    struct found f = {.score = 0};
    size_t at = 0;
    consider(m, 0, m->home, 4, &f);
    if (f.score > 0) { take(m, &f.op); at = made(m); }
    while (at < m->new_size && !m->failed) {
        size_t gap = at - made(m);
        f = search(m, at);
        if (f.score > 0) {
            take(m, &f.op);
            at = made(m);
            continue;
        }
        size_t step = 1 + 2 * (gap >> m->stepshift);
        at += step > (size_t)m->stepmax ? (size_t)m->stepmax : step;
    }
    write_ops(m, m->count);
    write_literal(m, m->new_size);
}

int pfs_match(const uint8_t *old, size_t old_size, uint64_t old_base, const uint8_t *new, size_t new_size,
              uint64_t expected, struct pfs_delta *delta) {
    struct matcher m = {.old = old, .new = new, .old_size = old_size, .new_size = new_size, .delta = delta};
    m.home = m.written = (int64_t)expected - (int64_t)old_base;
    for (int i = 0; i < REPS; i++) m.reps[i] = m.home;
    m.ns = T("NS", 1); m.W = T("W", 6); m.GW = T("GW", 24); m.depth = T("DEPTH", 16); m.back = T("BACK", 8192); m.ahead = T("AHEAD", 8192);
    m.gstride = T("GS", 16); m.wt = T("WT", 5); m.lng = T("LONG", 128); m.gg = T("GG", 32); m.diagmin = T("DM", 4); m.stepshift = T("SS", 9); m.stepmax = T("SM", 31);
    m.hbits = T("HB", 14); m.gbits = T("GB", 16); m.ringbits = T("RB", 16);
    m.head = malloc(4u << m.hbits); m.prev = malloc(4u << m.ringbits); m.grid = malloc(4u << m.gbits);
    memset(m.head, 255, 4u << m.hbits); memset(m.prev, 255, 4u << m.ringbits); memset(m.grid, 255, 4u << m.gbits);
    run(&m);
    free(m.head); free(m.prev); free(m.grid);
    delta->expected = (uint64_t)(m.written + (int64_t)new_size + (int64_t)old_base);
    return m.failed ? -1 : 0;
}
