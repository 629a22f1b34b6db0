/* The kernels without Python, on buffers of exact size: an access one byte outside is seen by the sanitizers.
 * native/check.sh builds and runs it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels.h"
#include "packet.h"
#include "search.h"

static uint64_t state;

static uint64_t draw(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % below;
}

/* Noise, few letters, a period, or runs; the caller frees it. */
static uint8_t *make(size_t size) {
    uint8_t *data = malloc(size ? size : 1);
    uint64_t kind = draw(4), period = 1 + draw(300), run = 0, value = 0;
    for (size_t i = 0; i < size; i++) {
        if (run-- == 0) run = draw(3000), value = draw(256);
        data[i] = (uint8_t)(kind == 0 ? draw(256) : kind == 1 ? draw(2) : kind == 2 && i >= period ? data[i - period] : value);
    }
    return data;
}

static void check_cut(void) {
    size_t size = draw(70000), mean = (size_t)4096 << draw(2);
    uint8_t *data = make(size);
    int final = (int)draw(2), run = (int)draw(3) - 1;
    for (int simd = PFS_AVX2; simd <= (int)pfs_simd_best(); simd++) {
        struct pfs_cutter plain, vector;
        pfs_cutter_begin(&plain, data, size, mean, final, run);
        pfs_cutter_begin(&vector, data, size, mean, final, run);
        plain.argmin = pfs_argmin_scalar;
        vector.argmin = pfs_argmin_of((enum pfs_simd)simd);
        int64_t length;
        do {
            length = pfs_cutter_next(&plain);
            assert(length == pfs_cutter_next(&vector));
        } while (length != 0);
        assert(plain.at <= size && (!final || plain.at == size));
    }
    free(data);
}

/* The vector paths beside the plain ones: the word is a part of the data, changed now and then. */
static void check_search(void) {
    size_t size = draw(2000), at = draw(size + 1), length = 2 + draw(70);
    uint8_t *data = make(size), *word = make(length), byte = (uint8_t)draw(3);
    const struct pfs_search *plain = pfs_search_of(PFS_SCALAR);
    if (length <= size && at <= size - length) memcpy(word, data + at, length);
    if (draw(3) == 0) word[draw(length)] ^= 1;
    size_t shorter = draw(2) ? length : 1 + draw(length);
    if (draw(2) == 0) /* parts of many lengths */
        for (size_t i = draw(100); i < size; i += 1 + draw(100)) data[i] = byte;
    for (int simd = PFS_AVX2; simd <= (int)pfs_simd_best(); simd++) {
        const struct pfs_search *vector = pfs_search_of((enum pfs_simd)simd);
        uint64_t one = 1 + draw(40), other = one;
        int inside = (int)draw(2), within = inside;
        if (length <= size)
            assert(plain->find(data, size, word, length) == vector->find(data, size, word, length));
        assert(plain->nth_byte(data, size, byte, &one) == vector->nth_byte(data, size, byte, &other) && one == other);
        assert(plain->count_byte(data, size, byte) == vector->count_byte(data, size, byte));
        assert(plain->count_words(data, size, &inside) == vector->count_words(data, size, &within) && inside == within);
        if (shorter <= size && memchr(word, byte, shorter) == NULL)
            assert(plain->count_parts(data, size, byte, word, shorter) ==
                   vector->count_parts(data, size, byte, word, shorter));
    }
    for (size_t i = 0; i < length; i++) word[i] = (uint8_t)"0123456789+-. x"[word[i] % 15];
    pfs_decimal(word, length, draw(20));
    free(word);
    free(data);
}

/* Words of a few sizes, there and back; then bytes that are hardly any. */
static void check_narrow(void) {
    size_t count = draw(300), bits = draw(65);
    uint8_t *words = make(count * 8), *again = make(count * 8);
    for (size_t i = 0; i < count; i++) {
        uint64_t word = bits == 0 || draw(4) == 0 ? 0 : pfs_load64(words + i * 8) >> (64 - bits);
        if (i % 64 == 0) bits = draw(65);
        memcpy(words + i * 8, &word, sizeof word);
    }
    size_t size = pfs_narrow(NULL, 0, words, count);
    uint8_t *narrowed = malloc(size ? size : 1);
    assert(pfs_narrow(narrowed, size, words, count) == size);
    assert(pfs_widen(again, count, narrowed, size) == 0 && memcmp(words, again, count * 8) == 0);
    if (size) narrowed[draw(size)] = (uint8_t)(1 << draw(8));
    if (pfs_widen(again, count, narrowed, size) == 0) assert(pfs_widen(NULL, count, narrowed, size) == 0);
    pfs_widen(NULL, count + draw(100), narrowed, size);
    free(narrowed);
    free(again);
    free(words);
}

static uint64_t take_varint(const struct pfs_bytes *from, size_t *at) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert(*at < from->size);
        uint8_t byte = from->data[(*at)++];
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
}

static void apply(const struct pfs_delta *delta, const uint8_t *old, size_t old_size, uint64_t base, uint64_t expected,
                  const uint8_t *new, size_t new_size) {
    size_t at = 0, made = 0, taken = 0;
    while (at < delta->instructions.size) {
        uint64_t head = take_varint(&delta->instructions, &at), length = head >> 2;
        assert(length > 0 && length <= new_size - made);
        if ((head & 3) == 0) {
            assert(memcmp(new + made, delta->literals.data + taken, length) == 0);
            taken += length;
        } else if ((head & 3) == 1) {
            uint64_t shift = take_varint(&delta->instructions, &at);
            expected += shift >> 1 ^ -(shift & 1);
            assert(expected >= base && expected - base <= old_size && length <= old_size - (expected - base));
            assert(memcmp(new + made, old + (expected - base), length) == 0);
        } else {
            assert(at < delta->instructions.size);
            assert(pfs_run_length(new + made, delta->instructions.data[at++], length) == length);
        }
        made += length;
        expected += length;
    }
    assert(made == new_size && taken == delta->literals.size && expected == delta->expected);
}

static void check_match(void) {
    size_t old_size = draw(3) ? draw(50000) : draw(40), new_size = draw(3) ? draw(50000) : draw(40);
    uint8_t *old = make(old_size), *new = make(new_size);
    uint64_t base = draw(2) * draw(1000000), expected = base + draw(2) * draw(60000);
    for (uint64_t parts = draw(20); parts > 0 && old_size > 0 && new_size > 0; parts--) {
        size_t from = draw(old_size), to = draw(new_size), size = draw(5000);
        if (size > old_size - from) size = old_size - from;
        if (size > new_size - to) size = new_size - to;
        memcpy(new + to, old + from, size);
    }
    struct pfs_delta delta = {0};
    pfs_match(old, old_size, base, new, new_size, expected, &delta);
    assert(!delta.failed);
    apply(&delta, old, old_size, base, expected, new, new_size);
    free(delta.instructions.data);
    free(delta.literals.data);
    free(old);
    free(new);
}

static void check_expand(void) {
    size_t packets = draw(6), size = draw(200), produced;
    uint8_t *program = make(packets * PFS_PACKET), *out = malloc(size ? size : 1), *source = make(50);
    struct pfs_source sources[3] = {{source, 50}, {source, 0}, {source, 50}};
    for (size_t i = 0; i < packets; i++) {
        uint8_t *packet = program + i * PFS_PACKET;
        packet[PFS_AT_OP] = (uint8_t)(2 + draw(3));
        if (draw(8)) packet[PFS_AT_FLAGS] = 0;
        uint64_t operand = draw(60);
        if (draw(8)) memcpy(packet + PFS_AT_OPERAND, &operand, sizeof operand);
        if (draw(8)) memset(packet + PFS_AT_LENGTH + 1, 0, 3);
    }
    pfs_expand(program, packets, sources, draw(4), out, size, &produced);
    assert(produced <= size);
    free(program);
    free(out);
    free(source);
}

static uint64_t pass(const struct pfs_copy *copy, uint64_t expected) {
    if (copy->size == 0) return expected;
    return copy->source ? expected + copy->size : copy->offset + copy->size;
}

/* What is packed over one base makes the new bytes. */
static void run_packed(const struct pfs_packed *packed, const uint8_t *old, size_t old_size, uint64_t expected,
                       const uint8_t *new, size_t size) {
    const struct pfs_copy *ends[] = {&packed->head, &packed->tail};
    size_t at[] = {0, size - packed->tail.size};
    assert(!packed->delta.failed && packed->head.size + packed->tail.size <= size);
    for (int i = 0; i < 2; i++) {
        if (ends[i]->size == 0) continue;
        assert(ends[i]->offset <= old_size && ends[i]->size <= old_size - ends[i]->offset);
        assert(memcmp(new + at[i], old + ends[i]->offset, ends[i]->size) == 0);
    }
    apply(&packed->delta, old, old_size, 0, pass(&packed->head, expected), new + packed->head.size,
          at[1] - packed->head.size);
    free(packed->delta.instructions.data);
    free(packed->delta.literals.data);
}

/* The pieces lie in one base, which the patch is packed over. */
static void run_patch(const struct pfs_bytes *patch, const uint8_t *base, const struct pfs_piece *pieces, size_t count,
                      const uint8_t *new, size_t size) {
    size_t packets = patch->size / PFS_PACKET, copies = 0;
    struct pfs_place *places = malloc((packets + 1) * sizeof *places);
    for (size_t i = 0; i < packets; i++) {
        const uint8_t *packet = patch->data + i * PFS_PACKET;
        const struct pfs_piece *piece = &pieces[packet[PFS_AT_BODY]];
        if (packet[PFS_AT_OP] != PFS_OP_COPY) continue;
        places[copies++] = (struct pfs_place){0, (uint64_t)(piece->data - base) - piece->offset};
    }
    uint64_t expected = draw(1000);
    struct pfs_packed packed = {.delta.expected = expected};
    assert(pfs_pack_patch(patch->data, packets, size, places, &packed) == NULL);
    run_packed(&packed, base, pieces[count - 1].data + pieces[count - 1].size - base, expected, new, size);
    free(places);
}

static void spoil(uint8_t *data, size_t size) {
    for (uint64_t edits = draw(9); edits > 0 && size > 0; edits--) {
        size_t at = draw(size), length = 1 + draw(300);
        if (length > size - at) length = size - at;
        uint8_t *other = make(length);
        memcpy(data + at, other, length);
        free(other);
    }
}

static void check_patch(void) {
    size_t count = 1 + draw(3), size = draw(60), old_size = 0;
    uint8_t *old = make(30000), digests[3][PFS_DIGEST] = {{0}, {1}, {2}};
    struct pfs_piece pieces[3];
    for (size_t i = 0; i < count; i++) {
        size_t offset = draw(20), length = draw(3) ? draw(9000) : draw(20);
        pieces[i] = (struct pfs_piece){old + old_size + offset, digests[i], length, size, offset};
        old_size += offset + length;
        size += length + draw(2) * draw(200);
    }
    uint8_t *new = make(size);
    for (size_t i = 0; i < count; i++) memcpy(new + pieces[i].at, pieces[i].data, pieces[i].size);
    spoil(new, size);
    struct pfs_bytes patch = {.room = draw(size + 1)};
    patch.data = malloc(patch.room ? patch.room : 1);
    if (pfs_patch_make(new, size, pieces, count, &patch) == 0) run_patch(&patch, old, pieces, count, new, size);
    assert(patch.size <= patch.room);
    free(patch.data), free(new), free(old);
}

/* Any packets are packed, or refused. */
static void check_pack(void) {
    size_t packets = draw(6), size = draw(300), said = 0;
    uint8_t *patch = make(packets * PFS_PACKET);
    struct pfs_place places[6] = {{0, 5}, {3, 7}, {0, 1}, {0, 0}, {1, 1}, {0, 9}};
    for (size_t i = 0; i < packets; i++) {
        uint8_t *packet = patch + i * PFS_PACKET;
        uint64_t length = draw(50);
        packet[PFS_AT_OP] = (uint8_t)(2 + draw(3));
        if (draw(8)) packet[PFS_AT_FLAGS] = 0;
        if (draw(8)) memcpy(packet + PFS_AT_LENGTH, &length, 4);
        if (draw(2) && packet[PFS_AT_OP] == PFS_OP_FILL) memcpy(packet + PFS_AT_LENGTH, &(uint32_t){1}, 4);
        length = draw(100);
        if (draw(8)) memcpy(packet + PFS_AT_OPERAND, &length, sizeof length);
        said += packet[PFS_AT_OP] == PFS_OP_FILL ? pfs_load64(packet + PFS_AT_OPERAND) : pfs_load32(packet + PFS_AT_LENGTH);
    }
    if (draw(4) && said < 1 << 20) size = said;
    struct pfs_packed packed = {0};
    pfs_pack_patch(patch, packets, size, places, &packed);
    free(packed.delta.instructions.data), free(packed.delta.literals.data), free(patch);
}

static void check_in_place(void) {
    size_t size = draw(9000);
    uint8_t *old = make(size), *new = malloc(size ? size : 1);
    memcpy(new, old, size);
    spoil(new, size);
    struct pfs_packed packed = {0};
    pfs_pack_in_place(new, old, size, 0, &packed);
    run_packed(&packed, old, size, 0, new, size);
    free(old), free(new);
}

static void check_index(void) {
    struct pfs_index index = {.capacity = 1 + draw(40)};
    uint64_t values[4];
    index.slots = make(index.capacity * PFS_SLOT);
    if (draw(2)) memset(index.slots, 0, index.capacity * PFS_SLOT);
    for (int i = 0; i < 60; i++) {
        uint64_t key = 1 + draw(9) * 0x1999999999999999u, value = draw(5);
        int added = pfs_index_put(&index, key, value);
        assert(added < 0 || pfs_index_get(&index, key, 0, values, 4) > 0);
        if (draw(2)) assert(pfs_index_remove(&index, key, value) || added < 0);
    }
    assert(pfs_index_count(&index) <= index.capacity);
    free(index.slots);
}

static void check_compare(void) {
    size_t size = draw(3000), at = 0;
    uint8_t *a = make(size), *b = make(size);
    for (uint64_t parts = draw(6); parts > 0 && size > 0; parts--) {
        size_t from = draw(size), length = draw(size - from + 1);
        memcpy(b + from, a + from, length);
    }
    while (at + 8 <= size && memcmp(a + at, b + at, 8) != 0) at++;
    assert(pfs_equal_again(a, b, size) == (at + 8 <= size ? at : size));
    free(a);
    free(b);
}

/* Blocks are found where they stand; whatever is found has the sums of the blocks that it is taken for. */
static void check_blocks(void) {
    size_t block = (size_t)64 << draw(4), count = draw(40), width = 1 + draw(7), size = draw(20000);
    uint64_t key = draw(((uint64_t)1 << 61) - 1);
    uint8_t *old = make(count * block), *sums = malloc(count * width + 1), *new = make(size);
    size_t slots = pfs_block_slots(count);
    uint8_t *table = calloc(slots * 5 + 1, 1), sum[8];
    for (uint64_t parts = draw(5); parts > 0 && count > 0 && size >= block; parts--)
        memcpy(new + draw(size - block + 1), old + draw(count) * block, block);
    pfs_block_sums(old, count, block, width, key, sums);
    pfs_block_index(sums, count, width, table, slots);
    struct pfs_blocks blocks = {sums, table, count, slots, block, width, key};
    size_t room = size / block + 1, end = 0;
    struct pfs_found *found = malloc(room * sizeof *found);
    size_t finds = pfs_block_find(&blocks, new, size, draw(count + 1), found, room);
    assert(finds <= room);
    for (size_t i = 0; i < finds; i++) {
        assert(found[i].at >= end && found[i].count > 0 && found[i].number + found[i].count <= count);
        end = found[i].at + found[i].count * block;
        assert(end <= size);
        for (size_t k = 0; k < found[i].count; k++) {
            pfs_block_sums(new + found[i].at + k * block, 1, block, width, key, sum);
            assert(memcmp(sum, sums + (found[i].number + k) * width, width) == 0);
        }
    }
    free(old), free(sums), free(new), free(table), free(found);
}

/* Two sets that differ in a few ids: what is peeled is that difference, or noise ends within its bounds. */
static void check_sketch(void) {
    size_t common = draw(200), ours = draw(12), theirs = draw(12), symbols = 64 + draw(64), split = 0;
    uint64_t ids[224];
    for (size_t i = 0; i < common + ours + theirs; i++) ids[i] = draw((uint64_t)1 << 53) << 11 | i;
    struct pfs_symbol *a = calloc(symbols, sizeof *a), *b = calloc(symbols, sizeof *b);
    pfs_sketch((const uint8_t *)ids, common + ours, 0, symbols, a);
    memmove(ids + common, ids + common + ours, theirs * sizeof *ids);
    pfs_sketch((const uint8_t *)ids, common + theirs, 0, symbols, b);
    int noisy = draw(4) == 0;
    for (size_t i = 0; i < symbols; i++) {
        a[i].sum ^= b[i].sum, a[i].check ^= b[i].check, a[i].count -= b[i].count;
        if (noisy) a[i] = (struct pfs_symbol){draw(9), (uint32_t)draw(9), (int32_t)draw(3) - 1};
    }
    uint32_t *waiting = malloc(symbols * sizeof *waiting);
    uint64_t *found = malloc(symbols * sizeof *found);
    size_t all = pfs_sketch_peel(a, symbols, waiting, found, &split);
    assert(all <= symbols && split <= all);
    assert(noisy || (all == ours + theirs && split == ours));
    free(a), free(b), free(waiting), free(found);
}

/* A buffer and a key of exact size, on either unit; then a stream of extents that have those fingerprints, but for some. */
static void check_fingerprint(void) {
    enum { EXTENTS = 8 };
    size_t size = draw(10000), changed = draw(EXTENTS + 1);
    uint8_t *data = make(size), *key = malloc(PFS_FINGERPRINT_KEY), *stream = malloc(EXTENTS * size + 1);
    uint8_t leaves[EXTENTS * 64] = {0}, known[EXTENTS * PFS_FINGERPRINT], again[PFS_FINGERPRINT], same[EXTENTS];
    for (size_t i = 0; i < PFS_FINGERPRINT_KEY; i++) key[i] = (uint8_t)draw(256);
    for (size_t i = 0; i < EXTENTS; i++) {
        uint32_t length = (uint32_t)size;
        memcpy(leaves + i * 64 + 4, &length, sizeof length);
        memcpy(stream + i * size, data, size);
        pfs_fingerprint_choose(i % 2 == 0 ? PFS_SCALAR : pfs_simd_best());
        pfs_fingerprint(data, size, key, known + i * PFS_FINGERPRINT);
        pfs_fingerprint(data, size, key, again);
        assert(memcmp(known, again, sizeof again) == 0);
    }
    size_t several = size > 0 ? draw(EXTENTS + 1 - changed) : 0, wanted = several < PFS_OTHERS ? EXTENTS : changed + PFS_OTHERS;
    for (size_t i = changed; i < changed + several; i++) stream[i * size + draw(size)] ^= 1;
    size_t count = pfs_same_fingerprints((struct pfs_source){leaves, sizeof leaves}, (struct pfs_source){known, sizeof known},
                                         key, (struct pfs_source){stream, EXTENTS * size}, same);
    assert(count == wanted);
    for (size_t i = 0; i < count; i++) assert(same[i] == (i < changed || i >= changed + several));
    free(data), free(key), free(stream);
}

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 1000;
    for (int i = 1; i <= rounds; i++) {
        state = 0x9E3779B97F4A7C15u * (uint64_t)i;
        check_cut();
        check_search();
        check_narrow();
        check_match();
        check_expand();
        check_patch();
        check_pack();
        check_in_place();
        check_index();
        check_compare();
        check_blocks();
        check_sketch();
        check_fingerprint();
    }
    printf("native: %d rounds, nothing wrong\n", rounds);
    return 0;
}
