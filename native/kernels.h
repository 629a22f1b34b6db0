/* The native kernels: plain C11, no Python, no allocation that the caller does not see. */
#ifndef PFS_KERNELS_H
#define PFS_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the native core is for little-endian machines; others run the Python twins"
#endif

static inline uint32_t pfs_load32(const void *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t pfs_load64(const void *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* cut: content-defined chunks and runs */

/* The window hash is H = mix(A(first 16 bytes)) + A(last 16 bytes); cut.py defines it. */
#define PFS_WINDOW 32
#define PFS_M1 0x9E3779B1u
#define PFS_M2 0x85EBCA77u
#define PFS_M3 0x165667B1u
#define PFS_SHIFT 15

/* The offset c in [lo, hi] whose window [c - 32, c) has the least H, the smallest such; lo >= 32. */
typedef size_t pfs_argmin_fn(const uint8_t *start, size_t lo, size_t hi);
pfs_argmin_fn pfs_argmin_scalar, pfs_argmin_avx2, pfs_argmin_avx512;

/* The scalar loop over window starts [from, to), improving on (*least, *at): the vector paths end with it. */
void pfs_argmin_range(const uint8_t *start, size_t from, size_t to, uint32_t *least, size_t *at);

enum pfs_simd { PFS_SCALAR, PFS_AVX2, PFS_AVX512 };
enum pfs_simd pfs_simd_best(void);
pfs_argmin_fn *pfs_argmin_of(enum pfs_simd simd);

struct pfs_cutter {
    const uint8_t *data;
    size_t size, mean;
    int final, run;
    pfs_argmin_fn *argmin;
    size_t at;                 /* start of the next segment */
    size_t probed;             /* every long run that covers a probe point below it is known */
    size_t run_start, run_end; /* the next long run, if run_start < run_end */
    size_t known;              /* end of the bytes whose run is known */
};

void pfs_cutter_begin(struct pfs_cutter *cutter, const uint8_t *data, size_t size, size_t mean, int final, int run);
/* The next segment: +bytes of a chunk, -bytes of a run, 0 when no more can be decided. */
int64_t pfs_cutter_next(struct pfs_cutter *cutter);

/* rivals: windows that changed inside a chunk, [start, end) of whose bytes are others */
struct pfs_span {
    size_t start, end;
};
#define PFS_NO_RIVAL ((uint64_t)1 << 32) /* greater than any hash */
/* The least hash of those that end in [low, high], low >= 32. */
uint64_t pfs_least_changed(const uint8_t *new, const struct pfs_span *spans, size_t count, size_t low, size_t high,
                           pfs_argmin_fn *argmin);
/* Whether it ends where it did, and has no run; no span reaches into its first or last 32 bytes. */
int pfs_is_chunk_still(const uint8_t *new, size_t size, const struct pfs_span *spans, size_t count, size_t mean,
                       pfs_argmin_fn *argmin);

/* compare: bytes that two buffers share at their front, further on, or before their ends */
size_t pfs_common_prefix(const uint8_t *a, const uint8_t *b, size_t limit);
/* Where 8 bytes or more are equal for the first time; the limit where they never are. */
size_t pfs_equal_again(const uint8_t *a, const uint8_t *b, size_t limit);
size_t pfs_common_suffix(const uint8_t *a_end, const uint8_t *b_end, size_t limit);
/* The first stretch from `stretch->end` on in which the buffers differ, and which 8 equal bytes end; 0 where there is none. */
struct pfs_stretch {
    size_t start, end;
};
int pfs_differ(const uint8_t *a, const uint8_t *b, size_t limit, struct pfs_stretch *stretch);
/* Bytes at the front equal to `value`. */
size_t pfs_run_length(const uint8_t *a, uint8_t value, size_t limit);

struct pfs_source {
    const uint8_t *data;
    size_t size;
};

/* fingerprint: 16 bytes of data that only who has the key can foresee */
#define PFS_FINGERPRINT 16
#define PFS_FINGERPRINT_KEY 4128
void pfs_fingerprint(const uint8_t *data, size_t size, const uint8_t *key, uint8_t out[PFS_FINGERPRINT]);
/* Adds to the sums what the data makes. */
typedef void pfs_fingerprint_fn(const uint8_t *data, size_t size, const uint8_t *key, uint64_t sums[2]);
pfs_fingerprint_fn pfs_fingerprint_scalar, pfs_fingerprint_avx2;
void pfs_fingerprint_choose(enum pfs_simd simd); /* scalar until then */
/* Which of the extents that leaves name are where they would be, one behind the other, in the stream: 1 for each that has
 * the fingerprint that is known of it, else 0. Returns how many were looked at: not those behind some that are not. */
#define PFS_OTHERS 4
size_t pfs_same_fingerprints(struct pfs_source leaves, struct pfs_source known, const uint8_t *key, struct pfs_source stream,
                             uint8_t *same);

/* expand: run DATA, FILL and COPY packets */
/* 0, or what is wrong; *produced bytes of out are then written. */
const char *pfs_expand(const uint8_t *program, size_t packets, const struct pfs_source *sources, size_t source_count,
                       uint8_t *out, size_t out_size, size_t *produced);

/* A string of bytes, and room for more. */
struct pfs_bytes {
    uint8_t *data;
    size_t size, room;
};

/* patch: an extent as what it differs in from others */
struct pfs_piece {
    const uint8_t *data, *digest; /* old bytes, and of which extent */
    size_t size, at;              /* `at`: where they would stand in the new bytes, behind the piece before */
    uint64_t offset;              /* where they begin in their extent */
};
/* The patch, in the room that there is; -1 where it takes more, or copies nothing. */
int pfs_patch_make(const uint8_t *new, size_t size, const struct pfs_piece *pieces, size_t count,
                   struct pfs_bytes *patch);

/* packed: a delta as it travels (net/wire/packed.py) */
struct pfs_delta {
    struct pfs_bytes instructions, literals; /* whoever has them made frees them */
    uint64_t expected;                       /* where the next copy from the base costs least */
    int failed;                              /* memory was short: what is there is no delta */
};
void pfs_put_bytes(struct pfs_delta *delta, struct pfs_bytes *to, const uint8_t *data, size_t size);
void pfs_put_varint(struct pfs_delta *delta, uint64_t value); /* to the instructions */
static inline uint64_t pfs_zigzag(int64_t n) { return (uint64_t)n << 1 ^ (n < 0 ? UINT64_MAX : 0); }

struct pfs_copy {
    uint64_t source, offset, size; /* source 0 is the base */
};
/* Copies at the ends stand apart, as they may go on what is beside them; those of no bytes are none. */
struct pfs_packed {
    struct pfs_copy head;
    struct pfs_delta delta;
    struct pfs_copy tail;
};
/* Old bytes that lie at `at` of the base, as new ones that stand there. */
void pfs_pack_in_place(const uint8_t *new, const uint8_t *old, size_t size, uint64_t at, struct pfs_packed *packed);
/* Where the extent is that a COPY of a patch is from, one for each. */
struct pfs_place {
    uint64_t source, start;
};
/* 0, or what is wrong with the patch of an extent of `size` bytes. */
const char *pfs_pack_patch(const uint8_t *patch, size_t packets, size_t size, const struct pfs_place *places,
                           struct pfs_packed *packed);

/* resident: whether the page cache has all these bytes of a file; also 0 where nobody can tell */
int pfs_is_resident(int fd, uint64_t offset, size_t size);

/* index: fingerprints to values in 16-byte slots */
#define PFS_SLOT 16
#define PFS_PROBES 4096
#define PFS_CANDIDATES 64 /* values that one search gives */
struct pfs_index {
    uint8_t *slots;
    size_t capacity;
};
int pfs_index_put(const struct pfs_index *index, uint64_t key, uint64_t value); /* 1 added, 0 held, -1 full */
int pfs_index_remove(const struct pfs_index *index, uint64_t key, uint64_t value);
/* Put the digest of each COPY with `value` and its offset, below `limit`; no digest gets more than `most` values. */
size_t pfs_index_put_extents(const struct pfs_index *index, const uint8_t *leaves, size_t count, uint64_t value,
                             uint64_t limit, size_t most);
/* The number of the first leaf from `from` on that copies an extent to which nothing leads; `count` where none does. */
size_t pfs_index_lacking(const struct pfs_index *index, const uint8_t *leaves, size_t from, size_t count);
/* Values of up to `room` candidates after the first `skip`; returns how many. */
size_t pfs_index_get(const struct pfs_index *index, uint64_t key, size_t skip, uint64_t *values, size_t room);
size_t pfs_index_count(const struct pfs_index *index);

/* match: a delta, found by searching; its `failed` says whether memory was short */
void pfs_match(const uint8_t *old, size_t old_size, uint64_t old_base, const uint8_t *new, size_t new_size,
               uint64_t expected, struct pfs_delta *delta);

/* blocks: signatures of old blocks, found again anywhere; a block is a power of two, 64 bytes at the least */
struct pfs_blocks {
    const uint8_t *sums, *table;
    size_t count, slots, block, width; /* width: bytes of a sum, 1 to 7 */
    uint64_t key;                      /* below 2**61 - 1 */
};
/* Blocks number, number + 1, ... stand one behind the other from `at` on. */
struct pfs_found {
    uint64_t at, number, count;
};
void pfs_block_sums(const uint8_t *data, size_t count, size_t block, size_t width, uint64_t key, uint8_t *sums);
size_t pfs_block_slots(size_t count); /* a table has 5 bytes a slot */
void pfs_block_index(const uint8_t *sums, size_t count, size_t width, uint8_t *table, size_t slots);
/* From the left, the block `expected` first; returns how many were written. */
size_t pfs_block_find(const struct pfs_blocks *blocks, const uint8_t *data, size_t size, size_t expected,
                      struct pfs_found *found, size_t room);

/* narrow: words of 8 bytes, in blocks of as many bytes each as the largest one needs (engines/results/narrow.py) */
#define PFS_NARROW_BLOCK 64
/* How many bytes; what they have no room for is not written. */
size_t pfs_narrow(uint8_t *out, size_t room, const uint8_t *words, size_t count);
/* 0, or -1 for what is not that; `words` may be NULL. */
int pfs_widen(uint8_t *words, size_t count, const uint8_t *data, size_t size);
/* Block by block: `size` bytes and `done` of `count` words so far. */
struct pfs_narrow {
    const uint8_t *data;
    size_t size, count, done;
};
struct pfs_narrow_block {
    size_t start, count;
    unsigned width;
};
/* 1, 0 behind the last one, or -1; `words` has room for a block, or is NULL. */
int pfs_narrow_next(struct pfs_narrow *narrow, uint8_t *words, struct pfs_narrow_block *block);

/* sketch: coded symbols of a set of ids */
struct pfs_symbol {
    uint64_t sum;
    uint32_t check;
    int32_t count;
};
/* Symbols [start, end) of `count` ids of 8 bytes. */
void pfs_sketch(const uint8_t *ids, size_t count, size_t start, size_t end, struct pfs_symbol *symbols);
/* Take the ids out of a difference of symbols: ids[0 .. *ours) are on the one side, ids[count - (found - *ours) .. count)
 * on the other; returns how many were found. */
size_t pfs_sketch_peel(struct pfs_symbol *symbols, size_t count, uint32_t *waiting, uint64_t *ids, size_t *ours);

#endif
