/* The interpreter's handlers: one for each meaning of an instruction, in the order that vm_load.c counts on. */
#ifndef PFS_VM_OPCODES_H
#define PFS_VM_OPCODES_H

/* 64 bits with an immediate, with a register; then 32 bits */
#define PFS_VM_FOUR(X, name) X(name##64K) X(name##64X) X(name##32K) X(name##32X)
/* the same for forward jumps, then for backward ones, which test fuel */
#define PFS_VM_EIGHT(X, name) PFS_VM_FOUR(X, name) X(name##64KB) X(name##64XB) X(name##32KB) X(name##32XB)
/* 1, 2, 4, 8 bytes */
#define PFS_VM_SIZES(X, name) X(name##8) X(name##16) X(name##32) X(name##64)

#define PFS_VM_ALU(X)                                                                                                  \
    PFS_VM_FOUR(X, ADD) PFS_VM_FOUR(X, SUB) PFS_VM_FOUR(X, MUL) PFS_VM_FOUR(X, DIV) PFS_VM_FOUR(X, OR)                 \
    PFS_VM_FOUR(X, AND) PFS_VM_FOUR(X, LSH) PFS_VM_FOUR(X, RSH) PFS_VM_FOUR(X, MOD) PFS_VM_FOUR(X, XOR)                \
    PFS_VM_FOUR(X, MOV) PFS_VM_FOUR(X, ARSH) PFS_VM_FOUR(X, SDIV) PFS_VM_FOUR(X, SMOD)

#define PFS_VM_JUMPS(X)                                                                                                \
    PFS_VM_EIGHT(X, JEQ) PFS_VM_EIGHT(X, JGT) PFS_VM_EIGHT(X, JGE) PFS_VM_EIGHT(X, JSET) PFS_VM_EIGHT(X, JNE)          \
    PFS_VM_EIGHT(X, JSGT) PFS_VM_EIGHT(X, JSGE) PFS_VM_EIGHT(X, JLT) PFS_VM_EIGHT(X, JLE) PFS_VM_EIGHT(X, JSLT)        \
    PFS_VM_EIGHT(X, JSLE)

#define PFS_VM_HANDLERS(X)                                                                                             \
    X(ILLEGAL) X(LDDW) X(EXIT) X(CALL) X(LOCAL) X(CALLX) X(JA) X(JAB)                                                  \
    X(NEG64) X(NEG32) X(TRUNCATE16) X(TRUNCATE32) X(TRUNCATE64) X(SWAP16) X(SWAP32) X(SWAP64)                          \
    X(MOVSX8_64) X(MOVSX16_64) X(MOVSX32_64) X(MOVSX8_32) X(MOVSX16_32)                                                \
    PFS_VM_SIZES(X, LD) X(LDS8) X(LDS16) X(LDS32) PFS_VM_SIZES(X, STK) PFS_VM_SIZES(X, STX)                            \
    X(A32ADD) X(A32OR) X(A32AND) X(A32XOR) X(A32FETCH_ADD) X(A32FETCH_OR) X(A32FETCH_AND) X(A32FETCH_XOR)              \
    X(A32XCHG) X(A32CMPXCHG)                                                                                           \
    X(A64ADD) X(A64OR) X(A64AND) X(A64XOR) X(A64FETCH_ADD) X(A64FETCH_OR) X(A64FETCH_AND) X(A64FETCH_XOR)              \
    X(A64XCHG) X(A64CMPXCHG)                                                                                           \
    PFS_VM_ALU(X) PFS_VM_JUMPS(X)

#define PFS_VM_NUMBER(name) PFS_VM_H_##name,
enum pfs_vm_handler { PFS_VM_HANDLERS(PFS_VM_NUMBER) PFS_VM_HANDLER_COUNT };

#endif
