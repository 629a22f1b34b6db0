/* Helpers 4097 to 4102 and 4104: what a loop of instructions is bad at. vm/search.py is the definition; all of the span
 * must be readable, and who asks pays for the bytes that decided the answer, however they were looked at. */
#include "search.h"
#include "vm.h"

static enum pfs_vm_stop answer(struct pfs_vm *vm, uint64_t result, uint64_t looked_at) {
    pfs_vm_pay(vm, looked_at, 0);
    vm->r[0] = result;
    return PFS_VM_STOP_DONE;
}

/* r1 and r2 say the bytes of every one of these helpers. */
static enum pfs_vm_stop span(struct pfs_vm *vm, const uint8_t **data) {
    return pfs_vm_readable(vm, vm->r[1], vm->r[2], data);
}

/* Where something of `length` bytes was found, the bytes behind it decided nothing. */
static enum pfs_vm_stop found(struct pfs_vm *vm, size_t at, uint64_t length) {
    return at == SIZE_MAX ? answer(vm, UINT64_MAX, vm->r[2]) : answer(vm, at, at + length);
}

enum pfs_vm_stop pfs_vm_find(struct pfs_vm *vm) {
    const uint8_t *data, *word;
    uint64_t size = vm->r[2], length = vm->r[4];
    enum pfs_vm_stop stop = span(vm, &data);
    if (stop == PFS_VM_STOP_DONE) stop = pfs_vm_readable(vm, vm->r[3], length, &word);
    return stop == PFS_VM_STOP_DONE ? found(vm, pfs_find(data, size, word, length), length) : stop;
}

enum pfs_vm_stop pfs_vm_find_byte(struct pfs_vm *vm) {
    const uint8_t *data;
    enum pfs_vm_stop stop = span(vm, &data);
    if (stop != PFS_VM_STOP_DONE) return stop;
    return found(vm, pfs_nth_byte(data, vm->r[2], (uint8_t)vm->r[3], vm->r[4]), 1);
}

enum pfs_vm_stop pfs_vm_find_last_byte(struct pfs_vm *vm) {
    const uint8_t *data;
    enum pfs_vm_stop stop = span(vm, &data);
    if (stop != PFS_VM_STOP_DONE) return stop;
    size_t at = pfs_last_byte(data, vm->r[2], (uint8_t)vm->r[3]);
    return at == SIZE_MAX ? found(vm, at, 0) : answer(vm, at, vm->r[2] - at);
}

enum pfs_vm_stop pfs_vm_count_byte(struct pfs_vm *vm) {
    const uint8_t *data;
    enum pfs_vm_stop stop = span(vm, &data);
    if (stop != PFS_VM_STOP_DONE) return stop;
    return answer(vm, pfs_count_byte(data, vm->r[2], (uint8_t)vm->r[3]), vm->r[2]);
}

enum pfs_vm_stop pfs_vm_count_words(struct pfs_vm *vm) {
    const uint8_t *data;
    enum pfs_vm_stop stop = span(vm, &data);
    return stop == PFS_VM_STOP_DONE ? answer(vm, pfs_count_words(data, vm->r[2]), vm->r[2]) : stop;
}

enum pfs_vm_stop pfs_vm_count_parts(struct pfs_vm *vm) {
    const uint8_t *data, *word;
    uint64_t size = vm->r[2], length = vm->r[5];
    enum pfs_vm_stop stop = span(vm, &data);
    if (stop == PFS_VM_STOP_DONE) stop = pfs_vm_readable(vm, vm->r[4], length, &word);
    if (stop != PFS_VM_STOP_DONE) return stop;
    return answer(vm, pfs_count_parts(data, size, (uint8_t)vm->r[3], word, length), size);
}

/* A digit takes longer to look at, and costs as much as 8 bytes. */
enum pfs_vm_stop pfs_vm_decimal(struct pfs_vm *vm) {
    const uint8_t *data;
    enum pfs_vm_stop stop = span(vm, &data);
    return stop == PFS_VM_STOP_DONE ? answer(vm, (uint64_t)pfs_decimal(data, vm->r[2], vm->r[3]), 8 * vm->r[2]) : stop;
}
