/* Memory of a microVM beyond the fast path: the record context, stores that grow the stack or make the record private,
 * ranges for helpers, and the words of every fault. */
#include "vm.h"

enum pfs_vm_stop pfs_vm_fail(struct pfs_vm *vm, enum pfs_vm_fault fault, uint64_t address) {
    vm->fault = fault;
    vm->fault_address = address;
    return PFS_VM_STOP_FAULT;
}

static int inside(uint64_t at, uint64_t size, uint64_t length) { return at <= length && size <= length - at; }

void pfs_vm_map_data(struct pfs_vm *vm) {
    int copied = vm->flags & PFS_VM_FLAG_COPIED;
    uint64_t first = PFS_VM_BASE(DATA) | vm->data, length = vm->data_end - vm->data;
    uint8_t *host = copied ? vm->spill + PFS_VM_COPY_AT + vm->data
                           : (uint8_t *)(uintptr_t)vm->job->window + (vm->record_start - vm->job->window_start);
    pfs_vm_set_range(&vm->loads[PFS_VM_REGION_DATA], first, host, length);
    pfs_vm_set_range(&vm->stores[PFS_VM_REGION_DATA], first, host, copied ? length : 0);
}

void pfs_vm_map_stack(struct pfs_vm *vm) {
    uint32_t low = vm->stack_low;
    struct pfs_vm_range *stores = &vm->stores[PFS_VM_REGION_STACK];
    pfs_vm_set_range(stores, PFS_VM_BASE(STACK) | low, vm->stack + low, PFS_VM_STACK_BYTES - low);
}

void pfs_vm_map_reserve(struct pfs_vm *vm) {
    uint8_t *host = vm->spill + PFS_VM_STACK_BYTES;
    pfs_vm_set_range(&vm->loads[PFS_VM_REGION_RESERVE], PFS_VM_BASE(RESERVE), host, vm->reserved);
    pfs_vm_set_range(&vm->stores[PFS_VM_REGION_RESERVE], PFS_VM_BASE(RESERVE), host, vm->reserved);
}

enum pfs_vm_stop pfs_vm_make_private(struct pfs_vm *vm, uint64_t address) {
    uint64_t length = vm->data_end - vm->data;
    if (vm->flags & PFS_VM_FLAG_COPIED) return PFS_VM_STOP_DONE;
    if (length > PFS_VM_RECORD_COPY_MAX) return pfs_vm_fail(vm, PFS_VM_FAULT_RECORD, address);
    memset(vm->spill + PFS_VM_COPY_AT, 0, PFS_VM_HEADROOM); /* helper 44 may show it */
    memcpy(vm->spill + PFS_VM_COPY_AT + PFS_VM_HEADROOM, vm->loads[PFS_VM_REGION_DATA].host, length);
    vm->flags |= PFS_VM_FLAG_COPIED;
    pfs_vm_map_data(vm);
    return PFS_VM_STOP_DONE;
}

/* Each byte that is read is remembered: what a program never reads cannot change its result. */
static enum pfs_vm_stop read_context(struct pfs_vm *vm, uint64_t at, uint64_t size, const uint8_t **host) {
    uint64_t bits = size >= 64 ? UINT64_MAX : ((uint64_t)1 << size) - 1;
    int index = vm->image->kind == PFS_VM_KIND_PACKETFS && at < PFS_VM_RECORD_FILE_OFFSET &&
                at + size > PFS_VM_RECORD_RECORD_INDEX;
    if (index && vm->record_base == PFS_VM_UNKNOWN) return PFS_VM_STOP_INDEX;
    vm->fields_read |= bits << at;
    *host = vm->record_context + at;
    return PFS_VM_STOP_DONE;
}

enum pfs_vm_stop pfs_vm_readable(struct pfs_vm *vm, uint64_t address, uint64_t size, const uint8_t **host) {
    const struct pfs_vm_range *range = &vm->loads[address >> PFS_VM_REGION_SHIFT & 15];
    uint64_t at = address - range->first;
    *host = vm->record_context;
    if (size == 0) return PFS_VM_STOP_DONE;
    if (at < range->room[0] && size <= range->room[0] - at) {
        *host = range->host + at;
        return PFS_VM_STOP_DONE;
    }
    at = address - PFS_VM_BASE(CTX);
    if (inside(at, size, vm->context_size)) return read_context(vm, at, size, host);
    return pfs_vm_fail(vm, PFS_VM_FAULT_ADDRESS, address);
}

static enum pfs_vm_stop refuse_store(struct pfs_vm *vm, uint64_t address, uint64_t size) {
    int fixed = inside(address - PFS_VM_BASE(CTX), size, vm->context_size) ||
                inside(address - PFS_VM_BASE(SHARED), size, vm->image->shared_size);
    return pfs_vm_fail(vm, fixed ? PFS_VM_FAULT_READ_ONLY : PFS_VM_FAULT_ADDRESS, address);
}

static void grow_stack(struct pfs_vm *vm, uint64_t at) {
    if (at >= vm->stack_low) return;
    vm->stack_low = (uint32_t)at & ~63u;
    pfs_vm_map_stack(vm);
}

PFS_COLD static enum pfs_vm_stop open_store(struct pfs_vm *vm, uint64_t address, uint64_t size, uint8_t **host) {
    uint64_t in_stack = address - PFS_VM_BASE(STACK), in_data = address - PFS_VM_BASE(DATA) - vm->data;
    if (inside(in_stack, size, PFS_VM_STACK_BYTES)) {
        grow_stack(vm, in_stack);
        *host = vm->stack + in_stack;
    } else if (inside(in_data, size, vm->data_end - vm->data)) {
        enum pfs_vm_stop stop = pfs_vm_make_private(vm, address);
        if (stop != PFS_VM_STOP_DONE) return stop;
        *host = vm->stores[PFS_VM_REGION_DATA].host + in_data;
    } else {
        return refuse_store(vm, address, size);
    }
    return PFS_VM_STOP_DONE;
}

enum pfs_vm_stop pfs_vm_writable(struct pfs_vm *vm, uint64_t address, uint64_t size, uint8_t **host) {
    const struct pfs_vm_range *range = &vm->stores[address >> PFS_VM_REGION_SHIFT & 15];
    uint64_t at = address - range->first;
    *host = vm->stack;
    if (size == 0) return PFS_VM_STOP_DONE;
    if (at < range->room[0] && size <= range->room[0] - at) {
        *host = range->host + at;
        return PFS_VM_STOP_DONE;
    }
    return open_store(vm, address, size, host);
}

enum pfs_vm_stop pfs_vm_load(struct pfs_vm *vm, uint64_t address, unsigned size, uint64_t *value) {
    const uint8_t *host;
    enum pfs_vm_stop stop = pfs_vm_readable(vm, address, size, &host);
    *value = 0;
    if (stop == PFS_VM_STOP_DONE) memcpy(value, host, size);
    return stop;
}

enum pfs_vm_stop pfs_vm_store(struct pfs_vm *vm, uint64_t address, unsigned size, uint64_t value) {
    uint8_t *host;
    enum pfs_vm_stop stop = pfs_vm_writable(vm, address, size, &host);
    if (stop == PFS_VM_STOP_DONE) memcpy(host, &value, size);
    return stop;
}
