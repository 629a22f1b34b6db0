/* Check code and decode it for the interpreter: what vm/check.py accepts, once its lddw are resolved, and nothing else.
 *
 * Whatever passes can be executed without a look at its bytes: registers exist, jumps and local calls hit instructions,
 * the last instruction does not run off the end (and a faulting one stands behind it all the same). */
#include <stdlib.h>

#include "vm.h"

enum { CLASS_LD, CLASS_LDX, CLASS_ST, CLASS_STX, CLASS_ALU32, CLASS_JMP, CLASS_JMP32, CLASS_ALU64 };
enum { MODE_MEM = 0x60, MODE_SIGNED = 0x80, MODE_ATOMIC = 0xC0 };

/* A slot taken apart. */
struct slot {
    uint8_t op, dst, src;
    int16_t offset;
    int32_t imm;
};

/* What an instruction becomes: NONE if it is not legal. */
struct meaning {
    int handler;
    int writes;       /* the register that it changes, or -1 */
    int32_t distance; /* of a jump or local call */
    int jumps;
};

enum { NONE = -1 };

static struct slot take(const uint8_t *code, size_t slot) {
    const uint8_t *at = code + slot * PFS_BPF_SLOT;
    struct slot taken = {at[0], at[1] & 15, at[1] >> 4, 0, 0};
    memcpy(&taken.offset, at + 2, sizeof taken.offset);
    memcpy(&taken.imm, at + 4, sizeof taken.imm);
    return taken;
}

/* NONE unless the operand that is not used is zero: the register of K, the immediate of X. */
static int one_operand(struct slot s) { return s.op & 8 ? s.imm == 0 : s.src == 0; }

static int byte_swap(struct slot s) {
    int wide = (s.op & 7) == CLASS_ALU64, size = s.imm == 16 ? 0 : s.imm == 32 ? 1 : s.imm == 64 ? 2 : NONE;
    if (size == NONE || s.src != 0 || s.offset != 0 || (wide && s.op & 8)) return NONE;
    return (wide || s.op & 8 ? PFS_VM_H_SWAP16 : PFS_VM_H_TRUNCATE16) + size;
}

static int move_signed(struct slot s) {
    int wide = (s.op & 7) == CLASS_ALU64;
    if (!(s.op & 8) || s.imm != 0) return NONE;
    if (s.offset == 8) return wide ? PFS_VM_H_MOVSX8_64 : PFS_VM_H_MOVSX8_32;
    if (s.offset == 16) return wide ? PFS_VM_H_MOVSX16_64 : PFS_VM_H_MOVSX16_32;
    return s.offset == 32 && wide ? PFS_VM_H_MOVSX32_64 : NONE;
}

static int arithmetic(struct slot s) {
    static const int16_t first[16] = {PFS_VM_H_ADD64K, PFS_VM_H_SUB64K, PFS_VM_H_MUL64K, PFS_VM_H_DIV64K,
                                      PFS_VM_H_OR64K,  PFS_VM_H_AND64K, PFS_VM_H_LSH64K, PFS_VM_H_RSH64K,
                                      NONE,            PFS_VM_H_MOD64K, PFS_VM_H_XOR64K, PFS_VM_H_MOV64K,
                                      PFS_VM_H_ARSH64K, NONE,           NONE,            NONE};
    int code = s.op >> 4, wide = (s.op & 7) == CLASS_ALU64, handler = first[code];
    if (code == 13) return byte_swap(s);
    if (code == 8) return s.op & 8 || s.src || s.imm || s.offset ? NONE : wide ? PFS_VM_H_NEG64 : PFS_VM_H_NEG32;
    if (handler == NONE || !one_operand(s)) return NONE;
    if (s.offset != 0) {
        if (code == 11) return move_signed(s);
        if (s.offset != 1 || (code != 3 && code != 9)) return NONE;
        handler = code == 3 ? PFS_VM_H_SDIV64K : PFS_VM_H_SMOD64K;
    }
    return handler + (s.op >> 3 & 1) + (wide ? 0 : 2);
}

static int compare(struct slot s) {
    static const int16_t first[16] = {NONE, PFS_VM_H_JEQ64K, PFS_VM_H_JGT64K, PFS_VM_H_JGE64K, PFS_VM_H_JSET64K,
                                      PFS_VM_H_JNE64K, PFS_VM_H_JSGT64K, PFS_VM_H_JSGE64K, NONE, NONE, PFS_VM_H_JLT64K,
                                      PFS_VM_H_JLE64K, PFS_VM_H_JSLT64K, PFS_VM_H_JSLE64K, NONE, NONE};
    int handler = first[s.op >> 4];
    if (handler == NONE || !one_operand(s)) return NONE;
    return handler + (s.op >> 3 & 1) + ((s.op & 7) == CLASS_JMP ? 0 : 2) + (s.offset < 0 ? 4 : 0);
}

static struct meaning jump(struct slot s) {
    struct meaning none = {NONE, NONE, 0, 0}, found = {compare(s), NONE, s.offset, 1};
    int plain = s.dst == 0 && s.offset == 0;
    switch (s.op) {
    case PFS_BPF_JA:
        found.handler = s.dst || s.src || s.imm ? NONE : s.offset < 0 ? PFS_VM_H_JAB : PFS_VM_H_JA;
        return found;
    case PFS_BPF_JA32:
        found.distance = s.imm;
        found.handler = s.src || !plain ? NONE : s.imm < 0 ? PFS_VM_H_JAB : PFS_VM_H_JA;
        return found;
    case PFS_BPF_CALL:
        if (!plain || s.src > PFS_BPF_LOCAL) return none;
        if (s.src == PFS_BPF_LOCAL) return (struct meaning){PFS_VM_H_LOCAL, NONE, s.imm, 1};
        if (pfs_vm_helper_index((uint32_t)s.imm) < 0) return none;
        return (struct meaning){PFS_VM_H_CALL, NONE, 0, 0};
    case PFS_BPF_CALLX:
        return s.src || s.offset || s.imm ? none : (struct meaning){PFS_VM_H_CALLX, NONE, 0, 0};
    case PFS_BPF_EXIT:
        return s.src || s.imm || !plain ? none : (struct meaning){PFS_VM_H_EXIT, NONE, 0, 0};
    default:
        return found.handler == NONE ? none : found;
    }
}

/* 0 to 3 for 1, 2, 4, 8 bytes. */
static int size_of(uint8_t op) {
    static const uint8_t sizes[4] = {2, 1, 0, 3};
    return sizes[op >> 3 & 3];
}

static int atomic(struct slot s) {
    int size = size_of(s.op), handler = size == 2 ? PFS_VM_H_A32ADD : PFS_VM_H_A64ADD;
    int fetch = s.imm & PFS_BPF_FETCH;
    if (size < 2) return NONE;
    switch (s.imm & ~PFS_BPF_FETCH) {
    case PFS_BPF_ATOMIC_ADD: return handler + 4 * fetch;
    case PFS_BPF_ATOMIC_OR: return handler + 1 + 4 * fetch;
    case PFS_BPF_ATOMIC_AND: return handler + 2 + 4 * fetch;
    case PFS_BPF_ATOMIC_XOR: return handler + 3 + 4 * fetch;
    case PFS_BPF_ATOMIC_XCHG - PFS_BPF_FETCH: return fetch ? handler + 8 : NONE;
    case PFS_BPF_ATOMIC_CMPXCHG - PFS_BPF_FETCH: return fetch ? handler + 9 : NONE;
    default: return NONE;
    }
}

static struct meaning access(struct slot s) {
    struct meaning found = {NONE, NONE, 0, 0};
    int mode = s.op & 0xE0, size = size_of(s.op);
    switch (s.op & 7) {
    case CLASS_LDX:
        found.writes = s.dst;
        if (s.imm == 0 && mode == MODE_MEM) found.handler = PFS_VM_H_LD8 + size;
        if (s.imm == 0 && mode == MODE_SIGNED && size < 3) found.handler = PFS_VM_H_LDS8 + size;
        break;
    case CLASS_ST:
        if (s.src == 0 && mode == MODE_MEM) found.handler = PFS_VM_H_STK8 + size;
        break;
    case CLASS_STX:
        if (s.imm == 0 && mode == MODE_MEM) found.handler = PFS_VM_H_STX8 + size;
        if (mode == MODE_ATOMIC) found.handler = atomic(s);
        if (mode == MODE_ATOMIC && s.imm & PFS_BPF_FETCH && s.imm != PFS_BPF_ATOMIC_CMPXCHG) found.writes = s.src;
        break;
    default: break;
    }
    return found;
}

static struct meaning understand(struct slot s) {
    int class = s.op & 7;
    if (s.op == PFS_BPF_LDDW) return (struct meaning){s.src || s.offset ? NONE : PFS_VM_H_LDDW, s.dst, 0, 0};
    if (class == CLASS_JMP || class == CLASS_JMP32) return jump(s);
    if (class == CLASS_ALU32 || class == CLASS_ALU64) return (struct meaning){arithmetic(s), s.dst, 0, 0};
    return access(s);
}

static void set_handler(struct pfs_vm_insn *insn, int handler) {
    const void *const *labels = pfs_vm_labels();
    if (labels == NULL)
        insn->handler.index = (size_t)handler;
    else
        insn->handler.label = labels[handler];
}

static void fill(struct pfs_vm_insn *insn, struct slot s, struct meaning meaning) {
    insn->dst = (uint8_t)(s.dst * 8);
    insn->src = (uint8_t)(s.src * 8);
    insn->offset = s.offset;
    insn->imm = meaning.jumps && (s.op == PFS_BPF_JA || s.op == PFS_BPF_JA32 || s.op == PFS_BPF_CALL) ? meaning.distance : s.imm;
    if (meaning.handler == PFS_VM_H_CALL) insn->imm = pfs_vm_helper_index((uint32_t)s.imm);
    set_handler(insn, meaning.handler);
}

static const char *wide(struct pfs_vm_insn *insn, const uint8_t *code, size_t slot, size_t slots) {
    if (slot + 1 == slots) return "an instruction is cut off";
    struct slot low = take(code, slot), high = take(code, slot + 1);
    if (high.op || high.dst || high.src || high.offset) return "the second slot of lddw is not empty";
    insn[1] = (struct pfs_vm_insn){.handler = {.value = (uint64_t)(uint32_t)high.imm << 32 | (uint32_t)low.imm}};
    return NULL;
}

static const char *decode(struct pfs_vm_image *image, const uint8_t *code) {
    uint8_t op = 0;
    for (size_t slot = 0; slot < image->slots; slot += op == PFS_BPF_LDDW ? 2 : 1) {
        struct slot s = take(code, slot);
        struct meaning meaning = understand(s);
        op = s.op;
        if (meaning.handler == NONE) return "an instruction is not legal";
        if (s.dst > PFS_BPF_FRAME_POINTER || s.src > PFS_BPF_FRAME_POINTER) return "there is no such register";
        if (meaning.writes == PFS_BPF_FRAME_POINTER) return "r10 is read only";
        image->starts[slot] = 1;
        fill(&image->code[slot], s, meaning);
        const char *wrong = op == PFS_BPF_LDDW ? wide(&image->code[slot], code, slot, image->slots) : NULL;
        if (wrong != NULL) return wrong;
    }
    return op == PFS_BPF_EXIT || op == PFS_BPF_JA || op == PFS_BPF_JA32 ? NULL : "the code runs off its end";
}

/* Targets are looked at when all starts are known. */
static const char *check_targets(const struct pfs_vm_image *image, const uint8_t *code) {
    for (size_t slot = 0; slot < image->slots; slot++) {
        if (!image->starts[slot]) continue;
        struct meaning meaning = understand(take(code, slot));
        if (!meaning.jumps) continue;
        int64_t target = (int64_t)slot + 1 + meaning.distance;
        if (target < 0 || target >= image->slots || !image->starts[target]) return "a target is no instruction";
    }
    return NULL;
}

static const char *take_maps(struct pfs_vm_image *image, const uint8_t *places, size_t size) {
    _Static_assert(sizeof *image->maps == 48, "places are as packed as they lie");
    if (size % sizeof *image->maps || size > sizeof image->maps) return "places are 48 bytes each, 64 at the most";
    memcpy(image->maps, places, size);
    image->map_count = (uint32_t)(size / sizeof *image->maps);
    for (uint32_t i = 0; i < image->map_count; i++) {
        const struct pfs_vm_map *map = &image->maps[i];
        int shared = (map->flags & PFS_VM_MAP_FLAG_READ_ONLY) != 0;
        const char *wrong = pfs_vm_map_check(map, shared ? image->shared_size : (uint64_t)1 << PFS_VM_REGION_SHIFT);
        if (wrong != NULL) return wrong;
        size_t end = (size_t)(map->offset + map->size + 63) & ~(size_t)63;
        if (!shared && end > image->maps_bytes) image->maps_bytes = end;
    }
    return NULL;
}

static const char *make(struct pfs_vm_image *image, const uint8_t *code, const uint8_t *places, size_t places_size) {
    const char *wrong = take_maps(image, places, places_size);
    if (wrong == NULL) wrong = decode(image, code);
    if (wrong == NULL) wrong = check_targets(image, code);
    if (wrong == NULL && (image->entry >= image->slots || !image->starts[image->entry]))
        wrong = "the entry is no instruction";
    set_handler(&image->code[image->slots], PFS_VM_H_ILLEGAL);
    return wrong;
}

const char *pfs_vm_image_make(struct pfs_vm_image *image, const uint8_t *code, size_t code_size, const uint8_t *places,
                              size_t places_size, const uint8_t *shared, size_t shared_size, uint32_t entry,
                              uint32_t kind) {
    size_t slots = code_size / PFS_BPF_SLOT;
    const char *wrong;
    *image = (struct pfs_vm_image){.slots = (uint32_t)slots, .entry = entry, .kind = kind, .shared = shared};
    image->shared_size = shared_size;
    if (code_size % PFS_BPF_SLOT || slots == 0 || slots > PFS_VM_SLOTS_MAX) return "code has 1 to 65536 slots";
    if (kind > PFS_VM_KIND_RAW) return "there is no such kind of context";
    if (shared_size > (size_t)1 << PFS_VM_REGION_SHIFT) return "the shared maps are too large";
    image->code = calloc(slots + 1, sizeof *image->code);
    image->starts = calloc(slots + 1, 1);
    wrong = image->code == NULL || image->starts == NULL ? "no memory" : make(image, code, places, places_size);
    if (wrong != NULL) pfs_vm_image_free(image);
    return wrong;
}

void pfs_vm_image_free(struct pfs_vm_image *image) {
    free(image->code);
    free(image->starts);
    image->code = NULL;
    image->starts = NULL;
}
