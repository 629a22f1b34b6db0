/* The delta kernel: copies from a window of the old file, runs and literals; kernels.py is the definition. */
#include <stdlib.h>

#include "kernels.h"

/* tunables while experimenting */
static int T(const char *name, int value) {
    const char *set = getenv(name);
    return set ? atoi(set) : value;
}

enum { REPS = 3 };
#define NONE UINT32_MAX

struct matcher {
    const uint8_t *old, *new;
    size_t old_size, new_size;
    struct pfs_delta *delta;
    int failed;
    int64_t expected; /* old index where the next copy costs least, for position `made` */
    size_t made;      /* bytes emitted; literals pend from here on */
    int64_t reps[REPS];
    uint32_t *head, *prev, *grid;
    size_t frontier; /* old positions below it that are in reach are in head and prev */
    int grid_built;
    int hbits, gbits, ringbits;
    int W, GW, depth, back, ahead, gstride, good, wt, diagmin, stepshift, stepmax;
};

struct found {
    size_t at, from, length; /* new[at : at + length] == old[from : from + length] */
    int64_t score;
    int fill;
};

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

static void emit_literal(struct matcher *m, size_t to) {
    size_t length = to - m->made;
    if (length == 0) return;
    struct pfs_bytes *out = &m->delta->literals;
    if (put_varint(&m->delta->instructions, (uint64_t)length << 2) || reserve(out, length)) {
        m->failed = 1;
        return;
    }
    memcpy(out->data + out->size, m->new + m->made, length);
    out->size += length;
    m->made = to;
    m->expected += (int64_t)length;
}

static void emit(struct matcher *m, const struct found *f) {
    emit_literal(m, f->at);
    struct pfs_bytes *out = &m->delta->instructions;
    if (put_varint(out, (uint64_t)f->length << 2 | (f->fill ? 2 : 1))) m->failed = 1;
    if (f->fill) {
        if (reserve(out, 1)) { m->failed = 1; return; }
        out->data[out->size++] = m->new[f->at];
        m->expected += (int64_t)f->length;
    } else {
        if (put_varint(out, zigzag((int64_t)f->from - m->expected))) m->failed = 1;
        m->expected = (int64_t)(f->from + f->length);
        int64_t shift = (int64_t)f->from - (int64_t)f->at;
        if (shift != m->reps[0]) {
            int i = 1;
            while (i < REPS - 1 && m->reps[i] != shift) i++;
            for (; i > 0; i--) m->reps[i] = m->reps[i - 1];
            m->reps[0] = shift;
        }
    }
    m->made = f->at + f->length;
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
    int64_t from = middle - m->back, to = middle + m->ahead, most = (int64_t)m->old_size - 7;
    if (from < (int64_t)m->frontier) from = (int64_t)m->frontier;
    if (to > most) to = most;
    if (to <= (int64_t)m->frontier) return;
    if (from >= to) return;
    for (int64_t p = from; p < to; p++) {
        uint32_t h = hash_near(m, m->old + p);
        m->prev[(size_t)p & ((1u << m->ringbits) - 1)] = m->head[h];
        m->head[h] = (uint32_t)p;
    }
    m->frontier = (size_t)to;
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
    size_t before = at - m->made < (size_t)from ? at - m->made : (size_t)from;
    size_t back = pfs_common_suffix(m->new + at, m->old + from, before);
    length += back;
    int64_t shift = (from - (int64_t)at) - (m->expected - (int64_t)m->made);
    int cost = varint_size((uint64_t)length << 2) + varint_size(zigzag(shift));
    int64_t score = (int64_t)length * m->wt - 16 * (cost + 1);
    if (score > best->score) *best = (struct found){at - back, (size_t)from - back, length, score, 0};
}

static struct found search(struct matcher *m, size_t at, size_t gap) {
    struct found best = {.score = 0};
    size_t left = m->new_size - at;
    for (int i = 0; i < REPS; i++) {
        int64_t from = (int64_t)at + m->reps[i];
        if (from >= 0 && from + 4 <= (int64_t)m->old_size && left >= 4 && pfs_load32(m->old + from) == pfs_load32(m->new + at))
            consider(m, at, from, i ? (size_t)m->W : (size_t)m->diagmin, &best);
    }
    if (left >= 32 && pfs_load64(m->new + at) == 0x0101010101010101u * m->new[at]) {
        size_t length = pfs_run_length(m->new + at, m->new[at], left);
        int64_t score = (int64_t)length * m->wt - 16 * 5;
        if (length >= 32 && score > best.score) best = (struct found){at, 0, length, score, 1};
    }
    if (left >= 8) {
        index_near(m, (int64_t)at + (m->expected - (int64_t)m->made));
        uint32_t p = m->head[hash_near(m, m->new + at)];
        for (int d = m->depth; d > 0 && p != NONE && p + ((size_t)1 << m->ringbits) > m->frontier; d--) {
            consider(m, at, p, (size_t)m->W, &best);
            uint32_t q = m->prev[p & ((1u << m->ringbits) - 1)];
            if (q == NONE || q >= p) break;
            p = q;
        }
    }
    if (gap >= (size_t)T("GG", 32) && left >= (size_t)m->GW) {
        if (!m->grid_built) build_grid(m);
        uint32_t p = m->grid[hash_far(m, m->new + at)];
        if (p != NONE) consider(m, at, p, (size_t)m->GW, &best);
    }
    return best;
}

static void run(struct matcher *m) {
    size_t at = 0;
    while (at < m->new_size && !m->failed) {
        /* on the diagonal */
        struct found f = {.score = 0};
        int64_t from = (int64_t)at + m->reps[0];
        if (at == m->made && from >= 0 && from < (int64_t)m->old_size) {
            size_t room = m->new_size - at, old_room = m->old_size - (size_t)from;
            size_t length = pfs_common_prefix(m->new + at, m->old + from, room < old_room ? room : old_room);
            if (length >= (size_t)m->diagmin) {
                f = (struct found){at, (size_t)from, length, 1, 0};
                emit(m, &f);
                at = m->made;
                continue;
            }
        }
        size_t gap = at - m->made;
        f = search(m, at, gap);
        if (f.score > 0) {
            while (f.length < (size_t)m->good && at + 1 < m->new_size) {
                struct found g = search(m, at + 1, gap + 1);
                if (g.score <= f.score) break;
                f = g;
                at++;
            }
            emit(m, &f);
            at = m->made;
            continue;
        }
        size_t step = 1 + 2 * (gap >> m->stepshift);
        at += step > (size_t)m->stepmax ? (size_t)m->stepmax : step;
    }
    emit_literal(m, m->new_size);
}

int pfs_match(const uint8_t *old, size_t old_size, uint64_t old_base, const uint8_t *new, size_t new_size,
              uint64_t expected, struct pfs_delta *delta) {
    struct matcher m = {.old = old, .new = new, .old_size = old_size, .new_size = new_size, .delta = delta};
    m.expected = (int64_t)expected - (int64_t)old_base;
    for (int i = 0; i < REPS; i++) m.reps[i] = m.expected;
    m.W = T("W", 6); m.GW = T("GW", 24); m.depth = T("DEPTH", 16); m.back = T("BACK", 8192); m.ahead = T("AHEAD", 8192);
    m.gstride = T("GS", 16); m.good = T("GOOD", 64); m.wt = T("WT", 8); m.diagmin = T("DM", 4); m.stepshift = T("SS", 9); m.stepmax = T("SM", 31);
    m.hbits = T("HB", 14); m.gbits = T("GB", 16); m.ringbits = T("RB", 16);
    m.head = malloc(4u << m.hbits); m.prev = malloc(4u << m.ringbits); m.grid = malloc(4u << m.gbits);
    memset(m.head, 255, 4u << m.hbits); memset(m.prev, 255, 4u << m.ringbits); memset(m.grid, 255, 4u << m.gbits);
    run(&m);
    free(m.head); free(m.prev); free(m.grid);
    delta->expected = (uint64_t)(m.expected + (int64_t)old_base);
    return m.failed ? -1 : 0;
}
