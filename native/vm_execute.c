/* The interpreter's loop. An instruction ends with a jump to the next one's code (GNU C), or back to a switch.
 *
 * What a run costs is not counted: `paid` + the address of the instruction is 16 times the slots executed in this call,
 * so a taken jump subtracts its distance, and only backward ones and local calls compare. An address is looked up by
 * its region's number, then one comparison says whether all bytes of the access are inside; what is rarer (the record
 * context, the first store into a record, a deeper stack, every fault) is in vm_memory.c. */
#include "vm.h"

#define R(at) (*(uint64_t *)(void *)((char *)vm + (at)))
#define DST R(ip->dst)
#define SRC R(ip->src)
#define STEP ((intptr_t)sizeof(struct pfs_vm_insn))

_Static_assert(offsetof(struct pfs_vm, r) == 0, "registers are reached by their offset");
_Static_assert(sizeof(struct pfs_vm_insn) == 16, "distances are slots of 16 bytes");
_Static_assert(sizeof(struct pfs_vm_range) == 32, "the region's number is scaled by a shift");

#if defined(__GNUC__) && !defined(PFS_VM_SWITCH)
#define THREADED 1
#else
#define THREADED 0
#endif

#if THREADED
#define CASE(name) at_##name:
#define DISPATCH() goto *ip->handler.label
#else
#define CASE(name) case PFS_VM_H_##name:
#define DISPATCH() goto dispatch
#endif

#define NEXT()                                                                                                         \
    do {                                                                                                               \
        ip++;                                                                                                          \
        DISPATCH();                                                                                                    \
    } while (0)

#define JUMP(distance)                                                                                                 \
    do {                                                                                                               \
        intptr_t jump_ = (intptr_t)(distance) * STEP;                                                                  \
        paid -= jump_;                                                                                                 \
        ip = (const struct pfs_vm_insn *)(const void *)((const char *)(ip + 1) + jump_);                               \
    } while (0)

#define TEST_FUEL()                                                                                                    \
    do {                                                                                                               \
        if (!PFS_LIKELY(paid + (intptr_t)ip < limit)) goto limited;                                                    \
        DISPATCH();                                                                                                    \
    } while (0)

/* Two forms of an operand in two widths; `a` is the register, `b` the operand. */
#define ALU(name, wide, narrow)                                                                                        \
    CASE(name##64K) { uint64_t a = DST, b = (uint64_t)(int64_t)ip->imm; DST = wide; } NEXT();                          \
    CASE(name##64X) { uint64_t a = DST, b = SRC; DST = wide; } NEXT();                                                 \
    CASE(name##32K) { uint32_t a = (uint32_t)DST, b = (uint32_t)ip->imm; DST = (uint32_t)(narrow); } NEXT();           \
    CASE(name##32X) { uint32_t a = (uint32_t)DST, b = (uint32_t)SRC; DST = (uint32_t)(narrow); } NEXT();
#define SAME(name, both) ALU(name, both, both)

#define CONDITION(name, unsigned_type, signed_type, operand, truth, go)                                                \
    CASE(name) {                                                                                                       \
        unsigned_type a = (unsigned_type)DST, b = (unsigned_type)(operand);                                            \
        signed_type sa = (signed_type)a, sb = (signed_type)b;                                                          \
        (void)a, (void)b, (void)sa, (void)sb;                                                                          \
        if (truth) {                                                                                                   \
            JUMP(ip->offset);                                                                                          \
            go;                                                                                                        \
        }                                                                                                              \
        NEXT();                                                                                                        \
    }
#define COMPARE(name, truth)                                                                                           \
    CONDITION(name##64K, uint64_t, int64_t, (int64_t)ip->imm, truth, DISPATCH())                                       \
    CONDITION(name##64X, uint64_t, int64_t, SRC, truth, DISPATCH())                                                    \
    CONDITION(name##32K, uint32_t, int32_t, ip->imm, truth, DISPATCH())                                                \
    CONDITION(name##32X, uint32_t, int32_t, SRC, truth, DISPATCH())                                                    \
    CONDITION(name##64KB, uint64_t, int64_t, (int64_t)ip->imm, truth, TEST_FUEL())                                     \
    CONDITION(name##64XB, uint64_t, int64_t, SRC, truth, TEST_FUEL())                                                  \
    CONDITION(name##32KB, uint32_t, int32_t, ip->imm, truth, TEST_FUEL())                                              \
    CONDITION(name##32XB, uint32_t, int32_t, SRC, truth, TEST_FUEL())

#define ADDRESS(base) ((base) + (uint64_t)(int64_t)ip->offset)
#define RANGE(table, address) (&vm->table[(address) >> PFS_VM_REGION_SHIFT & 15])

#define LOAD(name, log2, type, extended)                                                                               \
    CASE(name) {                                                                                                       \
        uint64_t address = ADDRESS(SRC), value;                                                                        \
        const struct pfs_vm_range *range = RANGE(loads, address);                                                      \
        uint64_t at = address - range->first;                                                                          \
        if (PFS_LIKELY(at < range->room[log2])) {                                                                      \
            type word;                                                                                                 \
            memcpy(&word, range->host + at, sizeof word);                                                              \
            DST = (uint64_t)(extended)word;                                                                            \
            NEXT();                                                                                                    \
        }                                                                                                              \
        stop = pfs_vm_load(vm, address, sizeof(type), &value);                                                         \
        if (stop != PFS_VM_STOP_DONE) goto stopped;                                                                    \
        DST = (uint64_t)(extended)(type)value;                                                                         \
        NEXT();                                                                                                        \
    }

#define STORE(name, log2, type, operand)                                                                               \
    CASE(name) {                                                                                                       \
        uint64_t address = ADDRESS(DST);                                                                               \
        const struct pfs_vm_range *range = RANGE(stores, address);                                                     \
        uint64_t at = address - range->first;                                                                          \
        type word = (type)(operand);                                                                                   \
        if (PFS_LIKELY(at < range->room[log2])) {                                                                      \
            memcpy(range->host + at, &word, sizeof word);                                                              \
            NEXT();                                                                                                    \
        }                                                                                                              \
        stop = pfs_vm_store(vm, address, sizeof(type), word);                                                          \
        if (stop != PFS_VM_STOP_DONE) goto stopped;                                                                    \
        NEXT();                                                                                                        \
    }

/* `old` is what lies there, `b` the operand; `then` what happens to registers. Nobody else sees this memory. */
#define ATOMIC(name, log2, type, change, then)                                                                         \
    CASE(name) {                                                                                                       \
        uint64_t address = ADDRESS(DST);                                                                               \
        const struct pfs_vm_range *range = RANGE(stores, address);                                                     \
        uint64_t at = address - range->first;                                                                          \
        uint8_t *host;                                                                                                 \
        type old, b = (type)SRC, word;                                                                                 \
        if (PFS_LIKELY(at < range->room[log2])) {                                                                      \
            host = range->host + at;                                                                                   \
        } else {                                                                                                       \
            stop = pfs_vm_writable(vm, address, sizeof(type), &host);                                                  \
            if (stop != PFS_VM_STOP_DONE) goto stopped;                                                                \
        }                                                                                                              \
        memcpy(&old, host, sizeof old);                                                                                \
        word = (type)(change);                                                                                         \
        memcpy(host, &word, sizeof word);                                                                              \
        then;                                                                                                          \
        NEXT();                                                                                                        \
    }
#define ATOMICS(bits, log2, type)                                                                                      \
    ATOMIC(A##bits##ADD, log2, type, old + b, (void)0)                                                                 \
    ATOMIC(A##bits##OR, log2, type, old | b, (void)0)                                                                  \
    ATOMIC(A##bits##AND, log2, type, old & b, (void)0)                                                                 \
    ATOMIC(A##bits##XOR, log2, type, old ^ b, (void)0)                                                                 \
    ATOMIC(A##bits##FETCH_ADD, log2, type, old + b, SRC = old)                                                         \
    ATOMIC(A##bits##FETCH_OR, log2, type, old | b, SRC = old)                                                          \
    ATOMIC(A##bits##FETCH_AND, log2, type, old & b, SRC = old)                                                         \
    ATOMIC(A##bits##FETCH_XOR, log2, type, old ^ b, SRC = old)                                                         \
    ATOMIC(A##bits##XCHG, log2, type, b, SRC = old)                                                                    \
    ATOMIC(A##bits##CMPXCHG, log2, type, old == (type)vm->r[0] ? b : old, vm->r[0] = old)

/* Division: by zero 0, the remainder then is the dividend; the least number by -1 is itself, without a remainder. */
static inline uint64_t signed_divide(uint64_t a, uint64_t b) {
    if (b + 1 <= 1) return b == 0 ? 0 : 0 - a;
    return (uint64_t)((int64_t)a / (int64_t)b);
}

static inline uint64_t signed_remainder(uint64_t a, uint64_t b) {
    if (b + 1 <= 1) return b == 0 ? a : 0;
    return (uint64_t)((int64_t)a % (int64_t)b);
}

static inline uint32_t signed_divide32(uint32_t a, uint32_t b) {
    return (uint32_t)signed_divide((uint64_t)(int32_t)a, (uint64_t)(int32_t)b);
}

static inline uint32_t signed_remainder32(uint32_t a, uint32_t b) {
    return (uint32_t)signed_remainder((uint64_t)(int32_t)a, (uint64_t)(int32_t)b);
}

static inline uint64_t swap(uint64_t value, unsigned bits) {
    uint64_t swapped = 0;
    for (unsigned at = 0; at < bits; at += 8) swapped |= (value >> at & 0xFF) << (bits - 8 - at);
    return swapped;
}

static void enter(struct pfs_vm *vm, uint64_t back) {
    struct pfs_vm_frame *frame = &vm->frames[vm->depth++];
    frame->back = back;
    memcpy(frame->saved, &vm->r[6], sizeof frame->saved);
    vm->r[10] -= PFS_VM_FRAME_BYTES;
}

static uint64_t leave(struct pfs_vm *vm) {
    const struct pfs_vm_frame *frame = &vm->frames[--vm->depth];
    memcpy(&vm->r[6], frame->saved, sizeof frame->saved);
    vm->r[10] += PFS_VM_FRAME_BYTES;
    return frame->back;
}

/* callx: 1 and the target's slot, or -1 - the helper's index, or 0 after a fault. */
static int64_t resolve(struct pfs_vm *vm, uint64_t value) {
    uint64_t slot = value - PFS_VM_BASE(CODE);
    if (value < PFS_VM_BASE(CTX)) {
        int index = pfs_vm_helper_index(value);
        if (index < 0) pfs_vm_fail(vm, PFS_VM_FAULT_HELPER, value);
        return index < 0 ? 0 : -1 - (int64_t)index;
    }
    if (slot < vm->image->slots && vm->image->starts[slot]) return (int64_t)slot + 1;
    pfs_vm_fail(vm, PFS_VM_FAULT_TARGET, value);
    return 0;
}

enum pfs_vm_stop pfs_vm_run_out(struct pfs_vm *vm) {
    return vm->spent > vm->fuel ? pfs_vm_fail(vm, PFS_VM_FAULT_FUEL, 0) : PFS_VM_STOP_SLICE;
}

static enum pfs_vm_stop loop(struct pfs_vm *vm, const void *const **table) {
#if THREADED
#define LABEL(name) &&at_##name,
    static const void *const labels[] = {PFS_VM_HANDLERS(LABEL)};
    if (table != NULL) {
        *table = labels;
        return PFS_VM_STOP_DONE;
    }
#else
    (void)table;
#endif
    const struct pfs_vm_insn *const code = vm->image->code, *ip = code + vm->pc;
    const int64_t slots = vm->fuel < vm->slice ? vm->fuel + 1 : vm->slice;
    const intptr_t limit = (intptr_t)slots * STEP;
    intptr_t paid = -(intptr_t)ip;
    int64_t distance;
    enum pfs_vm_stop stop;

#if THREADED
    DISPATCH();
#else
dispatch:
    switch (ip->handler.index) {
#endif
    SAME(ADD, a + b)
    SAME(SUB, a - b)
    SAME(MUL, a * b)
    SAME(DIV, b ? a / b : 0)
    SAME(MOD, b ? a % b : a)
    ALU(SDIV, signed_divide(a, b), signed_divide32(a, b))
    ALU(SMOD, signed_remainder(a, b), signed_remainder32(a, b))
    SAME(OR, a | b)
    SAME(AND, a & b)
    SAME(XOR, a ^ b)
    SAME(MOV, ((void)a, b))
    ALU(LSH, a << (b & 63), a << (b & 31))
    ALU(RSH, a >> (b & 63), a >> (b & 31))
    ALU(ARSH, (uint64_t)((int64_t)a >> (b & 63)), (uint32_t)((int32_t)a >> (b & 31)))

    CASE(NEG64) DST = 0 - DST; NEXT();
    CASE(NEG32) DST = (uint32_t)(0 - (uint32_t)DST); NEXT();
    CASE(TRUNCATE16) DST = (uint16_t)DST; NEXT();
    CASE(TRUNCATE32) DST = (uint32_t)DST; NEXT();
    CASE(TRUNCATE64) NEXT();
    CASE(SWAP16) DST = swap(DST, 16); NEXT();
    CASE(SWAP32) DST = swap(DST, 32); NEXT();
    CASE(SWAP64) DST = swap(DST, 64); NEXT();
    CASE(MOVSX8_64) DST = (uint64_t)(int64_t)(int8_t)SRC; NEXT();
    CASE(MOVSX16_64) DST = (uint64_t)(int64_t)(int16_t)SRC; NEXT();
    CASE(MOVSX32_64) DST = (uint64_t)(int64_t)(int32_t)SRC; NEXT();
    CASE(MOVSX8_32) DST = (uint32_t)(int32_t)(int8_t)SRC; NEXT();
    CASE(MOVSX16_32) DST = (uint32_t)(int32_t)(int16_t)SRC; NEXT();
    CASE(LDDW) DST = ip[1].handler.value; ip++; NEXT();

    COMPARE(JEQ, a == b)
    COMPARE(JNE, a != b)
    COMPARE(JGT, a > b)
    COMPARE(JGE, a >= b)
    COMPARE(JLT, a < b)
    COMPARE(JLE, a <= b)
    COMPARE(JSET, a & b)
    COMPARE(JSGT, sa > sb)
    COMPARE(JSGE, sa >= sb)
    COMPARE(JSLT, sa < sb)
    COMPARE(JSLE, sa <= sb)
    CASE(JA) JUMP(ip->imm); DISPATCH();
    CASE(JAB) JUMP(ip->imm); TEST_FUEL();

    LOAD(LD8, 0, uint8_t, uint8_t)
    LOAD(LD16, 1, uint16_t, uint16_t)
    LOAD(LD32, 2, uint32_t, uint32_t)
    LOAD(LD64, 3, uint64_t, uint64_t)
    LOAD(LDS8, 0, uint8_t, int8_t)
    LOAD(LDS16, 1, uint16_t, int16_t)
    LOAD(LDS32, 2, uint32_t, int32_t)
    STORE(STK8, 0, uint8_t, ip->imm)
    STORE(STK16, 1, uint16_t, ip->imm)
    STORE(STK32, 2, uint32_t, ip->imm)
    STORE(STK64, 3, uint64_t, (int64_t)ip->imm)
    STORE(STX8, 0, uint8_t, SRC)
    STORE(STX16, 1, uint16_t, SRC)
    STORE(STX32, 2, uint32_t, SRC)
    STORE(STX64, 3, uint64_t, SRC)
    ATOMICS(32, 2, uint32_t)
    ATOMICS(64, 3, uint64_t)

    CASE(CALL)
        vm->spent = (paid + (intptr_t)ip) / STEP;
        stop = pfs_vm_call_helper(vm, ip->imm);
    called:
        if (!PFS_LIKELY(stop == PFS_VM_STOP_DONE)) goto stopped;
        if (PFS_LIKELY(vm->extra == 0)) NEXT();
        paid += (intptr_t)vm->extra * STEP;
        vm->extra = 0;
        ip++;
        TEST_FUEL();
    CASE(CALLX)
        distance = resolve(vm, DST);
        stop = PFS_VM_STOP_FAULT;
        if (distance == 0) goto stopped;
        if (distance < 0) {
            vm->spent = (paid + (intptr_t)ip) / STEP;
            stop = pfs_vm_call_helper(vm, (int)(-1 - distance));
            goto called;
        }
        distance -= 1 + (ip + 1 - code);
        goto local;
    CASE(LOCAL)
        distance = ip->imm;
    local:
        stop = PFS_VM_STOP_FAULT;
        if (vm->depth == PFS_VM_FRAMES - 1) {
            pfs_vm_fail(vm, PFS_VM_FAULT_DEPTH, 0);
            goto stopped;
        }
        enter(vm, (uint64_t)(ip + 1 - code));
        JUMP(distance);
        TEST_FUEL();
    CASE(EXIT)
        if (vm->depth == 0) {
            vm->spent = (paid + (intptr_t)(ip + 1)) / STEP;
            return PFS_VM_STOP_DONE;
        }
        distance = (int64_t)leave(vm) - (ip + 1 - code);
        JUMP(distance);
        DISPATCH();
    CASE(ILLEGAL)
        stop = pfs_vm_fail(vm, PFS_VM_FAULT_INSTRUCTION, 0);
        goto stopped;
#if !THREADED
    default: return pfs_vm_fail(vm, PFS_VM_FAULT_INSTRUCTION, 0);
    }
#endif

limited:
    vm->spent = (paid + (intptr_t)ip) / STEP;
    vm->pc = (uint32_t)(ip - code);
    return pfs_vm_run_out(vm);

stopped: /* before the instruction, but a helper that Python answers is behind it */
    if (stop == PFS_VM_STOP_HELPER) ip++;
    vm->spent = (paid + (intptr_t)ip) / STEP;
    vm->pc = (uint32_t)(ip - code);
    return stop;
}

enum pfs_vm_stop pfs_vm_execute(struct pfs_vm *vm) { return loop(vm, NULL); }

const void *const *pfs_vm_labels(void) {
    const void *const *labels = NULL;
    if (THREADED) loop(NULL, &labels);
    return labels;
}
