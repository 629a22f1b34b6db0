/* The C interpreter of eBPF programs: what vm/interpreter.py defines, at speed. Plain C11, no Python, no allocation
 * but for a loaded image; nothing in code, contexts, maps or records is trusted. */
#ifndef PFS_VM_H
#define PFS_VM_H

#include "isa.h"
#include "kernels.h"
#include "vm_layout.h"
#include "vm_opcodes.h"

#define PFS_VM_SLOTS_MAX 65536
#define PFS_VM_MAPS_MAX 64
#define PFS_VM_KEY_MAX 512
#define PFS_VM_VALUE_MAX 65536
#define PFS_VM_SPILL_STRIDE ((PFS_VM_SPILL_BYTES + 4095) / 4096 * 4096)
#define PFS_VM_COPY_AT (PFS_VM_STACK_BYTES + PFS_VM_RESERVE_BYTES)
#define PFS_VM_COPY_BYTES (PFS_VM_HEADROOM + PFS_VM_RECORD_COPY_MAX + PFS_VM_TAILROOM)
#define PFS_VM_RECORD_MAX (((uint64_t)1 << PFS_VM_REGION_SHIFT) - PFS_VM_HEADROOM - PFS_VM_TAILROOM)
#define PFS_VM_SLOTS_RUN_MAX ((int64_t)1 << 56) /* fuel and slices beyond it are as good as endless */
#define PFS_VM_UNKNOWN UINT64_MAX               /* record_base before the records in front were counted */
#define PFS_VM_TRACED_MAX 1000
#define PFS_VM_BYTES_A_SLOT 64 /* that a helper moves in about the time of one instruction */
#define PFS_VM_BASE(region) ((uint64_t)PFS_VM_REGION_##region << PFS_VM_REGION_SHIFT)

#if defined(__GNUC__)
#define PFS_LIKELY(x) __builtin_expect(!!(x), 1)
#define PFS_COLD __attribute__((cold, noinline))
#else
#define PFS_LIKELY(x) (x)
#define PFS_COLD
#endif

static inline void pfs_store32(void *at, uint32_t word) { memcpy(at, &word, sizeof word); }
static inline void pfs_store64(void *at, uint64_t word) { memcpy(at, &word, sizeof word); }
static inline size_t pfs_up8(size_t size) { return (size + 7) & ~(size_t)7; }

/* A decoded instruction: one a slot, so that slots are distances. lddw takes two: the second holds its value. */
struct pfs_vm_insn {
    union {
        const void *label; /* where its code is, with GNU C */
        size_t index;      /* enum pfs_vm_handler, without */
        uint64_t value;
    } handler;
    uint8_t dst, src; /* byte offsets of registers */
    int16_t offset;
    int32_t imm; /* jumps and local calls: distance in slots; helpers: index; atomics: nothing */
};

struct pfs_vm_map {
    uint32_t type, key_size, value_size, max_entries, flags, capacity;
    uint64_t offset, size;
    uint32_t stride, zero;
};

/* What came back from compiled code: between two records, or in the middle of one with registers, pc and spent set. */
enum pfs_vm_left { PFS_VM_LEFT_BETWEEN, PFS_VM_LEFT_RARE, PFS_VM_LEFT_LIMITED };

struct pfs_vm;
typedef int pfs_vm_code(struct pfs_vm *vm);

/* Machine code of an image, of no use to others: `records` runs FIXED records of `size` bytes from vm->position on, as
 * many as lie in the window; `record` the one that has begun. 0 where there is none. */
struct pfs_vm_compiled {
    pfs_vm_code *records, *record, *lanes; /* lanes: the same in blocks of `width`, 1 when it had to drop one */
    uint64_t size;
    uint32_t width;
};

struct pfs_vm_image {
    struct pfs_vm_insn *code; /* slots + 1: the last one faults */
    uint8_t *starts;          /* 1 where an instruction begins */
    uint32_t slots, entry, kind, map_count;
    struct pfs_vm_map maps[PFS_VM_MAPS_MAX];
    size_t maps_bytes;
    const uint8_t *shared; /* the caller keeps it */
    size_t shared_size;
    struct pfs_vm_compiled compiled;
};

/* 0, or what is wrong; then nothing is held. */
const char *pfs_vm_image_make(struct pfs_vm_image *image, const uint8_t *code, size_t code_size, const uint8_t *places,
                              size_t places_size, const uint8_t *shared, size_t shared_size, uint32_t entry,
                              uint32_t kind);
void pfs_vm_image_free(struct pfs_vm_image *image);

struct pfs_vm_job {
    const struct pfs_vm_image *image;
    uint8_t *contexts, *spill, *maps;
    size_t first, count;
    const uint8_t *window;
    size_t window_size;
    uint64_t window_start;
    int final;
    uint32_t framing;
    uint64_t size;
    const uint8_t *bounds;
    size_t pairs;
    uint8_t *out;
    size_t out_size, out_used;
    int64_t slice, fuel;
    uint32_t file_id, owner;
    uint64_t compiled, interpreted, lanes; /* records that ended in machine code, those that did not, those in blocks */
};

/* Run slots first to first + count - 1; returns why, *slot is the one that asks for something, or first + count. */
enum pfs_vm_stop pfs_vm_run(struct pfs_vm_job *job, size_t *slot);

/* Addresses first to first + length - 1 lie at host; room[k] = offsets where 2**k bytes fit. */
struct pfs_vm_range {
    uint64_t first;
    uint8_t *host;
    uint32_t room[4];
};

struct pfs_vm_frame {
    uint64_t back, saved[4];
};

/* A running microVM: its context taken apart. */
struct pfs_vm {
    uint64_t r[PFS_BPF_REGISTERS];
    struct pfs_vm_range loads[16], stores[16]; /* by region; what is not fast here has no room here */
    const struct pfs_vm_image *image;
    struct pfs_vm_job *job;
    uint8_t *context, *spill;
    const void *const *services; /* what compiled code calls, by enum pfs_vm_service */
    uint32_t pc, depth;
    struct pfs_vm_frame frames[PFS_VM_FRAMES - 1];
    int64_t fuel, slice, spent; /* spent: slots in this call of execute, up to the instruction that stopped it */
    int64_t extra;              /* slots that the last helper costs beside its own */
    uint64_t executed, emitted, fields_read, record_base, records, random, fault_address, helper_pc;
    uint64_t position, stop, record_start, record_stop;
    uint32_t fault, stack_low, reserved, data, data_end, traced, flags, context_size;
    uint8_t record_context[PFS_VM_RECORD_BYTES];
    uint8_t stack[PFS_VM_STACK_BYTES];
};

/* execute: until the record is done (STOP_DONE) or something stops it; pc and spent are set. */
enum pfs_vm_stop pfs_vm_execute(struct pfs_vm *vm);
/* Where the code of each handler is, by enum pfs_vm_handler; 0 where execute is a switch. */
const void *const *pfs_vm_labels(void);

/* compiled: what machine code calls, and where it finds the fields of struct pfs_vm */
#define PFS_VM_SERVICES(X) X(LOAD) X(STORE) X(WRITABLE) X(HELPER) X(ENTER) X(LEAVE) X(INDEX)
#define PFS_VM_SERVICE(name) PFS_VM_SERVICE_##name,
enum pfs_vm_service { PFS_VM_SERVICES(PFS_VM_SERVICE) PFS_VM_SERVICE_COUNT };
extern const void *const pfs_vm_services[PFS_VM_SERVICE_COUNT];
struct pfs_vm_place {
    const char *name;
    size_t offset;
};
extern const struct pfs_vm_place pfs_vm_places[];
/* Begin the record at `start`, which is [start, start + size) of FIXED framing and in the window. */
void pfs_vm_enter(struct pfs_vm *vm, uint64_t start);
/* End a record that was begun so. */
void pfs_vm_leave(struct pfs_vm *vm);
enum pfs_vm_stop pfs_vm_run_out(struct pfs_vm *vm);

/* memory: what the fast path does not know. STOP_DONE is success. */
static inline void pfs_vm_set_range(struct pfs_vm_range *range, uint64_t first, uint8_t *host, uint64_t length) {
    range->first = first;
    range->host = host;
    for (unsigned k = 0; k < 4; k++) range->room[k] = length >= 1u << k ? (uint32_t)length - (1u << k) + 1 : 0;
}
enum pfs_vm_stop pfs_vm_fail(struct pfs_vm *vm, enum pfs_vm_fault fault, uint64_t address);
enum pfs_vm_stop pfs_vm_load(struct pfs_vm *vm, uint64_t address, unsigned size, uint64_t *value);
enum pfs_vm_stop pfs_vm_store(struct pfs_vm *vm, uint64_t address, unsigned size, uint64_t value);
/* Host address of `size` bytes that the program may read or write; size 0 is always right, with an address for show. */
enum pfs_vm_stop pfs_vm_readable(struct pfs_vm *vm, uint64_t address, uint64_t size, const uint8_t **host);
enum pfs_vm_stop pfs_vm_writable(struct pfs_vm *vm, uint64_t address, uint64_t size, uint8_t **host);
void pfs_vm_map_data(struct pfs_vm *vm);
void pfs_vm_map_stack(struct pfs_vm *vm);
void pfs_vm_map_reserve(struct pfs_vm *vm);
enum pfs_vm_stop pfs_vm_make_private(struct pfs_vm *vm, uint64_t address);

/* helpers: index of a helper's number, -1 if there is none; call by index */
int pfs_vm_helper_index(uint64_t number);
typedef enum pfs_vm_stop pfs_vm_helper(struct pfs_vm *vm);
enum pfs_vm_stop pfs_vm_call_helper(struct pfs_vm *vm, int index);
/* A helper that ends well says what it did: bytes moved, words of an index looked at. */
static inline void pfs_vm_pay(struct pfs_vm *vm, uint64_t size, uint64_t words) {
    vm->extra = (int64_t)((size + 8 * words) / PFS_VM_BYTES_A_SLOT);
}
pfs_vm_helper pfs_vm_map_lookup, pfs_vm_map_update, pfs_vm_map_delete;
pfs_vm_helper pfs_vm_find, pfs_vm_find_byte, pfs_vm_find_last_byte, pfs_vm_count_byte, pfs_vm_count_words, pfs_vm_decimal;
pfs_vm_helper pfs_vm_count_parts, pfs_vm_tally;
const struct pfs_vm_map *pfs_vm_find_map(struct pfs_vm *vm, uint64_t handle); /* 0 after FAULT MAP */
/* What is wrong with a map's place, or 0. */
const char *pfs_vm_map_check(const struct pfs_vm_map *map, uint64_t memory);

/* context: between memory that others see and struct pfs_vm */
void pfs_vm_thaw_context(struct pfs_vm *vm);   /* counters, always */
int pfs_vm_thaw_record(struct pfs_vm *vm);     /* the record that it was in; 0 if that cannot be */
void pfs_vm_freeze_context(struct pfs_vm *vm, enum pfs_vm_state state, int in_record);

#endif
