/* Coverage-guided fuzzing of the C interpreter: code, contexts, maps and records from the same hostile bytes.
 *
 *   clang-19 -g -O1 -std=c11 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I native \
 *     fuzz/vm_fuzzer.c native/vm_context.c native/vm_execute.c native/vm_helpers.c native/vm_load.c native/vm_maps.c \
 *     native/vm_memory.c native/vm_records.c native/vm_search.c native/vm_tally.c native/search*.c -o build/vm_fuzzer
 *   mkdir -p build/vm_corpus && build/vm_fuzzer -max_len=700 -max_total_time=300 build/vm_corpus
 *
 * With -DALONE it has a main of its own, which makes random input (native/check.sh: gcc, no libFuzzer).
 *
 * Input: 16 bytes of settings, then slots of code; what is left is records, and noise for maps and contexts. Half of
 * the inputs are bent into legal code, so that what is behind the checker is reached. Whatever runs is run
 * twice, at once and in slices: both must leave the same. */
#include <assert.h>
#include <stdlib.h>

#include "vm.h"

enum { SETTINGS = 16, MAPS = 5, TURNS = 300, OUT = 600, ALL_OUT = 1 << 14, SLOTS = 60 };

struct settings {
    uint8_t mode, slots, kind, framing, size, slice, fuel, window, base, noise, entry, final, seed[4];
};

/* array 4 x 8, hash 8 -> 8 of 3, ring, LRU hash 13 -> 21 of 2, a read-only array of one: as fuzz/vm_differential.py */
static const struct pfs_vm_map places[MAPS] = {
    {PFS_VM_MAP_TYPE_ARRAY, 4, 8, 4, 0, 0, 0, 32, 8, 0},
    {PFS_VM_MAP_TYPE_HASH, 8, 8, 3, 0, 8, 32, 136, 24, 0},
    {PFS_VM_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, 0, 168, 0, 0, 0},
    {PFS_VM_MAP_TYPE_LRU_HASH, 13, 21, 2, 0, 4, 168, 144, 48, 0},
    {PFS_VM_MAP_TYPE_ARRAY, 4, 8, 1, PFS_VM_MAP_FLAG_READ_ONLY, 0, 0, 8, 8, 0},
};

static uint8_t *copy(const uint8_t *data, size_t size) {
    uint8_t *made = malloc(size ? size : 1);
    assert(made != NULL);
    if (size) memcpy(made, data, size);
    return made;
}

/* code */

static uint8_t bend_op(uint8_t op) {
    static const uint8_t memory[] = {0x61, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91, 0x62, 0x6A,
                                     0x72, 0x7A, 0x63, 0x6B, 0x73, 0x7B, 0xC3, 0xDB};
    static const uint8_t jumps[] = {0x05, 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45, 0x4D, 0x55, 0x5D, 0x65, 0x6D, 0x75,
                                    0x7D, 0x85, 0x85, 0x85, 0x8D, 0x95, 0xA5, 0xAD, 0xB5, 0xBD, 0xC5, 0xCD, 0xD5, 0xDD};
    uint8_t jump = jumps[(op >> 3) % sizeof jumps];
    switch (op & 7) {
    case 0: return 0x18;
    case 1:
    case 2:
    case 3: return memory[(op >> 3) % sizeof memory];
    case 5: return jump;
    case 6: return (jump & 0xF0) == 0x80 || jump == 0x95 ? 0x16 : (uint8_t)((jump & 0xF8) | 6);
    default: return op >= 0xE0 ? (op & 0x1F) | 0xA0 : op;
    }
}

static void put(uint8_t *at, uint8_t op, unsigned dst, unsigned src, int16_t offset, int32_t imm) {
    at[0] = op;
    at[1] = (uint8_t)(dst | src << 4);
    memcpy(at + 2, &offset, 2);
    memcpy(at + 4, &imm, 4);
}

static int16_t target(int16_t offset, size_t slot, size_t slots) {
    return (int16_t)((int)((uint16_t)offset % slots) - (int)slot - 1);
}

/* Addresses that mean something, for lddw. */
static uint32_t address(uint32_t word) {
    static const uint32_t offsets[] = {0, 8, 32, 56, 168, 184, 192, 240, 256, 260, 512, 4088, 4096, 0xFFFFFFF};
    return (word % 9) << 28 | offsets[(word >> 8) % 14];
}

static void bend_jump(uint8_t *at, uint8_t op, unsigned dst, unsigned src, int16_t to, int32_t imm) {
    static const int32_t calls[] = {1,   2,   3,   5,   6,   7,   8,    28, 44, 51, 65,
                                    130, 131, 132, 133, 189, 190, 4096, 1,  2,  3,  4096,
                                    4097, 4098, 4099, 4100, 4101, 4102, 4103, 4104};
    if (op == 0x85 && imm % 5 == 0)
        put(at, op, 0, 1, 0, to);
    else if (op == 0x85)
        put(at, op, 0, 0, 0, calls[(uint32_t)imm % (sizeof calls / sizeof *calls)]);
    else if (op == 0x8D)
        put(at, op, dst, 0, 0, 0);
    else if (op == 0x95)
        put(at, op, 0, 0, 0, 0);
    else if (op == 0x05)
        put(at, op, 0, 0, to, 0);
    else if (op == 0x06)
        put(at, op, 0, 0, 0, to);
    else
        put(at, op, dst, op & 8 ? src : 0, to, op & 8 ? 0 : imm);
}

static void bend_arithmetic(uint8_t *at, uint8_t op, unsigned dst, unsigned src, int16_t offset, int32_t imm) {
    unsigned code = op >> 4;
    int16_t moved = (int16_t)((offset & 3) == 3 ? 16 : (offset & 1) * 8);
    if (code == 8)
        put(at, op & 0xF7, dst, 0, 0, 0);
    else if (code == 13)
        put(at, (op & 7) == 7 ? 0xD7 : op, dst, 0, 0, 16 << (uint32_t)imm % 3);
    else if (code == 11 && op & 8)
        put(at, op, dst, src, moved, 0);
    else
        put(at, op, dst, op & 8 ? src : 0, code == 3 || code == 9 ? offset & 1 : 0, op & 8 ? 0 : imm);
}

static void bend(uint8_t *code, size_t slots) {
    static const int32_t atomics[] = {0, 1, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1, 0xE1, 0xF1};
    for (size_t slot = 0; slot + 1 < slots; slot++) {
        uint8_t *at = code + slot * 8, op = bend_op(at[0]);
        unsigned dst = (at[1] & 15) % 10, src = (at[1] >> 4) % 11;
        int16_t offset, near;
        int32_t imm;
        memcpy(&offset, at + 2, 2);
        memcpy(&imm, at + 4, 4);
        near = (int16_t)(offset % 64);
        if (op == 0x18 && slot + 2 >= slots) {
            put(at, 0xB7, dst, 0, 0, imm);
        } else if (op == 0x18) {
            put(at, op, dst, 0, 0, imm & 1 ? (int32_t)address((uint32_t)imm >> 1) : imm);
            put(at + 8, 0, 0, 0, 0, imm & 1 ? 0 : imm >> 3);
            slot++;
        } else if ((op & 7) == 1) {
            put(at, op, dst, src, near, 0);
        } else if ((op & 7) == 2) {
            put(at, op, src, 0, near, imm);
        } else if ((op & 7) == 3) {
            put(at, op, src, dst, near, op == 0xC3 || op == 0xDB ? atomics[(uint32_t)imm % 10] : 0);
        } else if ((op & 7) == 5 || (op & 7) == 6) {
            bend_jump(at, op, dst, src, target(offset, slot, slots), imm);
        } else {
            bend_arithmetic(at, op, dst, src, offset, imm);
        }
    }
    put(code + (slots - 1) * 8, 0x95, 0, 0, 0, 0);
}

/* memory of one microVM, in blocks of exact size */

struct table {
    uint8_t *context, *spill, *maps, *out;
    size_t used;
};

/* A paused context that someone wrote; numbers stay small, so that some pass. */
static void scribble(uint8_t *at, const uint8_t *noise, size_t size) {
    static const struct {
        uint16_t field, scale, add;
    } fields[] = {
        {PFS_VM_AT_PC, 1, 0},     {PFS_VM_AT_DEPTH, 1, 0},      {PFS_VM_AT_STACK_LOW, 64, 0},
        {PFS_VM_AT_RESERVED, 8, 0}, {PFS_VM_AT_DATA, 1, 250},   {PFS_VM_AT_DATA_END, 1, 256},
        {PFS_VM_AT_FRAMES, 1, 0}, {PFS_VM_AT_RECORD_START, 1, 0}, {PFS_VM_AT_RECORD_STOP, 1, 0},
    };
    pfs_store32(at + PFS_VM_AT_STATE, PFS_VM_STATE_PAUSED);
    at[PFS_VM_AT_FLAGS] = noise[0] | PFS_VM_FLAG_IN_RECORD;
    pfs_store32(at + PFS_VM_AT_DATA, PFS_VM_HEADROOM);
    for (size_t i = 0; i < sizeof fields / sizeof *fields && i + 1 < size; i++) {
        uint32_t number = noise[i + 1];
        if (number != 0x5A) pfs_store32(at + fields[i].field, number * fields[i].scale + fields[i].add);
    }
    for (size_t i = 0; i + 12 < size && i < 88; i++) at[PFS_VM_AT_REGISTERS + i] = noise[i + 12];
}

static struct table open_table(const struct settings *s, const struct pfs_vm_image *image, const uint8_t *noise,
                               size_t size) {
    struct table table = {.context = calloc(1, PFS_VM_CONTEXT_BYTES), .spill = calloc(1, PFS_VM_SPILL_STRIDE)};
    table.maps = calloc(1, image->maps_bytes);
    table.out = malloc(ALL_OUT);
    assert(table.context && table.spill && table.maps && table.out);
    pfs_store32(table.context + PFS_VM_AT_STATE, PFS_VM_STATE_READY);
    table.context[PFS_VM_AT_VM] = 1;
    pfs_store64(table.context + PFS_VM_AT_STOP, s->framing % 3 == 2 ? 8 : 1000);
    pfs_store64(table.context + PFS_VM_AT_RECORD_BASE, s->base & 1 ? PFS_VM_UNKNOWN : s->base);
    if (s->noise & 1) memcpy(table.maps, noise, size < image->maps_bytes ? size : image->maps_bytes);
    if ((s->noise & 6) == 6 && size > 8) scribble(table.context, noise, size);
    return table;
}

static void close_table(struct table *table) {
    free(table->context);
    free(table->spill);
    free(table->maps);
    free(table->out);
}

/* What Python would do. */
static void help(struct table *table, enum pfs_vm_stop stop, struct pfs_vm_job *job, size_t data_size) {
    uint8_t *at = table->context;
    if (stop == PFS_VM_STOP_HELPER) {
        pfs_store64(at + PFS_VM_AT_REGISTERS, pfs_load32(at + PFS_VM_AT_PC) % 3);
        pfs_store64(at + PFS_VM_AT_HELPER_PC, 0);
        pfs_store64(at + PFS_VM_AT_FAULT_ADDRESS, 0);
        pfs_store32(at + PFS_VM_AT_TRACED, pfs_load32(at + PFS_VM_AT_TRACED) + 400);
    } else if (stop == PFS_VM_STOP_INDEX) {
        pfs_store64(at + PFS_VM_AT_RECORD_BASE, 7);
    } else if (stop == PFS_VM_STOP_WINDOW) {
        job->window_size = data_size;
        job->final = 1;
    }
}

static void run(struct table *table, const struct pfs_vm_job *from, int64_t slice, const uint8_t *data,
                size_t data_size) {
    struct pfs_vm_job job = *from;
    job.slice = slice;
    for (int turn = 0; turn < TURNS && table->used <= ALL_OUT - OUT; turn++) {
        size_t slot;
        uint8_t *out = malloc(OUT), *shown = copy(data, job.window_size);
        job.contexts = table->context;
        job.spill = table->spill;
        job.maps = table->maps;
        job.window = shown;
        job.out = out;
        job.out_used = 0;
        enum pfs_vm_stop stop = pfs_vm_run(&job, &slot);
        assert(job.out_used <= OUT);
        memcpy(table->out + table->used, out, job.out_used);
        table->used += job.out_used;
        free(out);
        free(shown);
        uint32_t state = pfs_load32(table->context + PFS_VM_AT_STATE);
        if (state == PFS_VM_STATE_DONE || state == PFS_VM_STATE_FAULTED) break;
        assert(state == PFS_VM_STATE_PAUSED);
        if (stop == PFS_VM_STOP_OUTPUT && pfs_load64(table->context + PFS_VM_AT_FAULT_ADDRESS) > OUT) break;
        if (stop == PFS_VM_STOP_WINDOW && job.window_size == data_size && job.final) break;
        help(table, stop, &job, data_size);
    }
}

static int ended(const struct table *table) {
    uint32_t state = pfs_load32(table->context + PFS_VM_AT_STATE);
    return state == PFS_VM_STATE_DONE || state == PFS_VM_STATE_FAULTED;
}

static void compare(const struct table *a, const struct table *b) {
    if (!ended(a) || !ended(b)) return;
    assert(a->used == b->used && memcmp(a->out, b->out, a->used) == 0);
    assert(memcmp(a->context, b->context, PFS_VM_CONTEXT_BYTES) == 0);
}

static void run_twice(const struct settings *s, const struct pfs_vm_image *image, const uint8_t *rest, size_t size) {
    uint64_t bounds[16];
    for (size_t i = 0; i < 16; i++) bounds[i] = (i / 2) * 12 + (i & 1) * (4 + (s->window & 15));
    struct pfs_vm_job job = {.image = image, .count = 1, .framing = 1 + s->framing % 3, .size = 1 + s->size % 64};
    job.out_size = OUT;
    job.bounds = (const uint8_t *)bounds;
    job.pairs = 8;
    job.fuel = s->fuel * 4;
    job.final = s->final & 1;
    job.window_size = s->window & 0x80 ? size : size * (s->window & 0x7F) / 128;
    struct table whole = open_table(s, image, rest, size), cut = open_table(s, image, rest, size);
    run(&whole, &job, (int64_t)1 << 40, rest, size);
    run(&cut, &job, s->slice % 32, rest, size);
    compare(&whole, &cut);
    close_table(&whole);
    close_table(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct settings s;
    struct pfs_vm_image image;
    static const uint8_t shared[8] = "readonly";
    if (size < SETTINGS + 16) return 0;
    memcpy(&s, data, SETTINGS);
    size_t slots = 2 + s.slots % SLOTS, room = (size - SETTINGS) / 8;
    if (slots > room) slots = room;
    uint8_t *code = copy(data + SETTINGS, slots * 8), *only = copy(shared, 8);
    if (s.mode & 1) bend(code, slots);
    const char *wrong = pfs_vm_image_make(&image, code, slots * 8, (const uint8_t *)places, sizeof places, only, 8,
                                          s.entry < 200 ? 0 : s.entry - 200u, s.kind % 3);
    free(code);
    if (wrong == NULL) {
        run_twice(&s, &image, data + SETTINGS + slots * 8, size - SETTINGS - slots * 8);
        pfs_vm_image_free(&image);
    }
    free(only);
    return 0;
}

#ifdef ALONE
#include <stdio.h>

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 20000;
    uint64_t state = 1;
    uint8_t input[700];
    for (int i = 0; i < rounds; i++) {
        for (size_t at = 0; at < sizeof input; at++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            input[at] = (uint8_t)(state >> 56);
        }
        if (i % 8) input[0] |= 1;
        LLVMFuzzerTestOneInput(input, SETTINGS + 16 + (state >> 40) % (sizeof input - SETTINGS - 15));
    }
    printf("vm: %d random programs, nothing wrong\n", rounds);
    return 0;
}
#endif
