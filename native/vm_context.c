/* A live context, 1 KiB that others see, and the running microVM: taken apart, put together, never trusted. */
#include "vm.h"

#define AT(field) (vm->context + PFS_VM_AT_##field)

static int64_t clamped(uint64_t word) {
    int64_t value = (int64_t)word;
    if (value > PFS_VM_SLOTS_RUN_MAX) return PFS_VM_SLOTS_RUN_MAX;
    return value < -PFS_VM_SLOTS_RUN_MAX ? -PFS_VM_SLOTS_RUN_MAX : value;
}

void pfs_vm_thaw_context(struct pfs_vm *vm) {
    vm->position = pfs_load64(AT(POSITION));
    vm->stop = pfs_load64(AT(STOP));
    vm->record_start = pfs_load64(AT(RECORD_START));
    vm->record_stop = pfs_load64(AT(RECORD_STOP));
    vm->records = pfs_load64(AT(RECORDS));
    vm->fuel = clamped(pfs_load64(AT(FUEL)));
    vm->executed = pfs_load64(AT(EXECUTED));
    vm->emitted = pfs_load64(AT(EMITTED));
    vm->fields_read = pfs_load64(AT(FIELDS_READ));
    vm->record_base = pfs_load64(AT(RECORD_BASE));
    vm->random = pfs_load64(AT(RANDOM));
    vm->traced = pfs_load32(AT(TRACED));
    vm->fault = PFS_VM_FAULT_NONE;
    vm->fault_address = vm->helper_pc = 0;
    vm->extra = 0;
    vm->pc = vm->depth = vm->reserved = vm->data = vm->data_end = 0;
    vm->stack_low = PFS_VM_STACK_BYTES;
}

static int thaw_frames(struct pfs_vm *vm) {
    if (vm->depth > PFS_VM_FRAMES - 1) return 0;
    memcpy(vm->frames, AT(FRAMES), sizeof vm->frames);
    for (uint32_t i = 0; i < vm->depth; i++)
        if (vm->frames[i].back >= vm->image->slots || !vm->image->starts[vm->frames[i].back]) return 0;
    return 1;
}

static int data_can_be(const struct pfs_vm *vm) {
    uint64_t length = vm->record_stop - vm->record_start;
    if (vm->record_stop < vm->record_start || length > PFS_VM_RECORD_MAX) return 0;
    if (!(vm->flags & PFS_VM_FLAG_COPIED))
        return vm->data == PFS_VM_HEADROOM && vm->data_end == PFS_VM_HEADROOM + length;
    return length <= PFS_VM_RECORD_COPY_MAX && vm->data <= vm->data_end &&
           vm->data_end <= PFS_VM_HEADROOM + length + PFS_VM_TAILROOM;
}

static int thaw_stack(struct pfs_vm *vm) {
    uint32_t low = vm->stack_low;
    if (low > PFS_VM_STACK_BYTES || low % 64) return 0;
    int spilled = vm->flags & PFS_VM_FLAG_SPILLED;
    if (!spilled && PFS_VM_STACK_BYTES - low > PFS_VM_STORE_BYTES) return 0;
    memset(vm->stack, 0, low);
    memcpy(vm->stack + low, spilled ? vm->spill + low : AT(STORE), PFS_VM_STACK_BYTES - low);
    return 1;
}

int pfs_vm_thaw_record(struct pfs_vm *vm) {
    vm->pc = pfs_load32(AT(PC));
    vm->depth = pfs_load32(AT(DEPTH));
    vm->stack_low = pfs_load32(AT(STACK_LOW));
    vm->reserved = pfs_load32(AT(RESERVED));
    vm->data = pfs_load32(AT(DATA));
    vm->data_end = pfs_load32(AT(DATA_END));
    memcpy(vm->r, AT(REGISTERS), sizeof vm->r);
    if (vm->pc >= vm->image->slots || !vm->image->starts[vm->pc] || !thaw_frames(vm) || !data_can_be(vm)) return 0;
    if (vm->reserved > PFS_VM_RESERVE_BYTES || vm->reserved % 8) return 0;
    return thaw_stack(vm);
}

static void freeze_record(struct pfs_vm *vm) {
    size_t used = PFS_VM_STACK_BYTES - vm->stack_low;
    int fits = used <= PFS_VM_STORE_BYTES;
    memcpy(AT(REGISTERS), vm->r, sizeof vm->r);
    memcpy(AT(FRAMES), vm->frames, vm->depth * sizeof *vm->frames);
    memset(AT(FRAMES) + vm->depth * sizeof *vm->frames, 0, sizeof vm->frames - vm->depth * sizeof *vm->frames);
    memcpy(fits ? AT(STORE) : vm->spill + vm->stack_low, vm->stack + vm->stack_low, used);
    memset(AT(STORE) + (fits ? used : 0), 0, PFS_VM_STORE_BYTES - (fits ? used : 0));
    vm->flags = PFS_VM_FLAG_IN_RECORD | (vm->flags & PFS_VM_FLAG_COPIED) | (fits ? 0 : PFS_VM_FLAG_SPILLED);
}

static void clear_record(struct pfs_vm *vm) {
    memset(AT(REGISTERS), 0, sizeof vm->r);
    memset(AT(FRAMES), 0, sizeof vm->frames);
    memset(AT(STORE), 0, PFS_VM_STORE_BYTES);
    vm->pc = vm->depth = vm->stack_low = vm->reserved = vm->data = vm->data_end = vm->flags = 0;
}

void pfs_vm_freeze_context(struct pfs_vm *vm, enum pfs_vm_state state, int in_record) {
    if (in_record)
        freeze_record(vm);
    else
        clear_record(vm);
    pfs_store64(AT(POSITION), vm->position);
    pfs_store64(AT(RECORD_START), vm->record_start);
    pfs_store64(AT(RECORD_STOP), vm->record_stop);
    pfs_store64(AT(RECORDS), vm->records);
    pfs_store64(AT(FUEL), (uint64_t)vm->fuel);
    pfs_store64(AT(EXECUTED), vm->executed);
    pfs_store64(AT(EMITTED), vm->emitted);
    pfs_store64(AT(FIELDS_READ), vm->fields_read);
    pfs_store64(AT(RANDOM), vm->random);
    pfs_store64(AT(FAULT_ADDRESS), vm->fault_address);
    pfs_store64(AT(HELPER_PC), vm->helper_pc);
    pfs_store32(AT(FAULT), vm->fault);
    pfs_store32(AT(PC), vm->pc);
    pfs_store32(AT(DEPTH), vm->depth);
    pfs_store32(AT(STACK_LOW), vm->stack_low);
    pfs_store32(AT(RESERVED), vm->reserved);
    pfs_store32(AT(DATA), vm->data);
    pfs_store32(AT(DATA_END), vm->data_end);
    memcpy(AT(FLAGS), &(uint16_t){(uint16_t)vm->flags}, 2);
    pfs_store32(AT(STATE), state); /* last: who sees it sees the rest */
}
