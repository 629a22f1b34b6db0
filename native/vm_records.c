/* From one record to the next: find it in the window, run the program on it, count, or pause. */
#include "vm.h"

enum { VERDICTS = 6, BLOCKS_SINGLY = 1024, LINE = 64 /* bytes that memory moves together */ };

static uint64_t window_end(const struct pfs_vm_job *job) { return job->window_start + job->window_size; }

/* The record at `position` is [record_start, record_stop) then; STOP_WINDOW, STOP_FAULT (no record), or DONE. */

static enum pfs_vm_stop cut_off(struct pfs_vm *vm, uint64_t seen) {
    return seen > PFS_VM_RECORD_MAX ? pfs_vm_fail(vm, PFS_VM_FAULT_RECORD, 0) : PFS_VM_STOP_WINDOW;
}

static enum pfs_vm_stop accept(struct pfs_vm *vm, uint64_t start, uint64_t stop) {
    if (stop - start > PFS_VM_RECORD_MAX) return pfs_vm_fail(vm, PFS_VM_FAULT_RECORD, 0);
    vm->record_start = start;
    vm->record_stop = stop;
    return PFS_VM_STOP_DONE;
}

static enum pfs_vm_stop find_fixed(struct pfs_vm *vm, uint64_t start, uint64_t end) {
    const struct pfs_vm_job *job = vm->job;
    if (job->size <= end - start) return accept(vm, start, start + job->size);
    return job->final ? accept(vm, start, end) : cut_off(vm, end - start);
}

/* Bring near where the record after this one will be looked for an end: no pattern of loads foretells that place, and
 * waiting for it took 2 ms of a gigabyte in 100 (by hand). */
static void fetch_end(const struct pfs_vm_job *job, uint64_t start, uint64_t end) {
    const uint8_t *from = job->window + (start - job->window_start);
    if (job->framing != PFS_VM_FRAMING_LINES || end - start < job->size + LINE) return;
    __builtin_prefetch(from + job->size - 1);
    __builtin_prefetch(from + job->size - 1 + LINE);
}

/* Up to the end of the last line that begins in the `within` bytes from `start` on. */
static enum pfs_vm_stop find_lines(struct pfs_vm *vm, uint64_t start, uint64_t within, uint64_t end) {
    const struct pfs_vm_job *job = vm->job;
    const uint8_t *from = job->window + (start - job->window_start);
    const uint8_t *newline = within <= end - start ? memchr(from + within - 1, '\n', end - start - within + 1) : NULL;
    if (newline == NULL) return job->final ? accept(vm, start, end) : cut_off(vm, end - start);
    uint64_t stop = start + (uint64_t)(newline - from) + 1;
    fetch_end(job, stop, end);
    return accept(vm, start, stop);
}

static enum pfs_vm_stop find_listed(struct pfs_vm *vm) {
    const struct pfs_vm_job *job = vm->job;
    uint64_t end = window_end(job);
    if (vm->position >= job->pairs) return pfs_vm_fail(vm, PFS_VM_FAULT_RECORD, 0);
    const uint8_t *pair = job->bounds + vm->position * 16;
    uint64_t start = pfs_load64(pair), stop = pfs_load64(pair + 8);
    if (stop < start) return pfs_vm_fail(vm, PFS_VM_FAULT_RECORD, 0);
    if (job->final && start > end) start = end;
    if (job->final && stop > end) stop = end;
    if (start < job->window_start || start > end) return PFS_VM_STOP_WINDOW;
    return stop > end ? cut_off(vm, end - start) : accept(vm, start, stop);
}

static int at_end(const struct pfs_vm *vm) {
    const struct pfs_vm_job *job = vm->job;
    return vm->position >= vm->stop ||
           (job->framing != PFS_VM_FRAMING_LIST && job->final && vm->position >= window_end(job));
}

static enum pfs_vm_stop find_record(struct pfs_vm *vm) {
    const struct pfs_vm_job *job = vm->job;
    uint64_t end = window_end(job);
    if (job->framing == PFS_VM_FRAMING_LIST) return find_listed(vm);
    if (vm->position < job->window_start || vm->position > end) return PFS_VM_STOP_WINDOW;
    if (job->framing == PFS_VM_FRAMING_FIXED) return find_fixed(vm, vm->position, end);
    uint64_t left = vm->stop - vm->position, within = job->size < left ? job->size : left;
    return find_lines(vm, vm->position, job->framing == PFS_VM_FRAMING_LINES ? within : 1, end);
}

/* What r1 points to. data and data_end move only while Python has the context: once a record or resume is enough. */
static void describe(struct pfs_vm *vm) {
    uint8_t *at = vm->record_context;
    uint64_t first = PFS_VM_BASE(DATA) | vm->data, end = PFS_VM_BASE(DATA) | vm->data_end;
    if (vm->image->kind == PFS_VM_KIND_PACKETFS) {
        pfs_store64(at + PFS_VM_RECORD_DATA, first);
        pfs_store64(at + PFS_VM_RECORD_DATA_END, end);
        pfs_store64(at + PFS_VM_RECORD_DATA_META, first);
        pfs_store64(at + PFS_VM_RECORD_RECORD_INDEX, vm->record_base + vm->records);
        pfs_store64(at + PFS_VM_RECORD_FILE_OFFSET, vm->record_start);
    } else if (vm->image->kind == PFS_VM_KIND_XDP) {
        pfs_store32(at + PFS_VM_XDP_DATA, (uint32_t)first);
        pfs_store32(at + PFS_VM_XDP_DATA_END, (uint32_t)end);
        pfs_store32(at + PFS_VM_XDP_DATA_META, (uint32_t)first);
    }
}

/* What stays the same for all records of a shard. */
static void describe_shard(struct pfs_vm *vm) {
    uint8_t *at = vm->record_context;
    memset(at, 0, sizeof vm->record_context);
    switch (vm->image->kind) {
    case PFS_VM_KIND_PACKETFS:
        vm->context_size = PFS_VM_RECORD_BYTES;
        pfs_store32(at + PFS_VM_RECORD_FILE_ID, vm->job->file_id);
        memcpy(at + PFS_VM_RECORD_VM, vm->context + PFS_VM_AT_VM, 2);
        pfs_store64(at + PFS_VM_RECORD_OUT, PFS_VM_BASE(RESERVE));
        pfs_store64(at + PFS_VM_RECORD_OUT_END, PFS_VM_BASE(RESERVE) + PFS_VM_RESERVE_BYTES);
        break;
    case PFS_VM_KIND_XDP:
        vm->context_size = PFS_VM_XDP_BYTES;
        pfs_store32(at + PFS_VM_XDP_INGRESS_IFINDEX, 1);
        break;
    default: vm->context_size = 0;
    }
}

static void clear_stack(struct pfs_vm *vm) {
    if (vm->stack_low < PFS_VM_STACK_BYTES) {
        memset(vm->stack + vm->stack_low, 0, PFS_VM_STACK_BYTES - vm->stack_low);
        vm->stack_low = PFS_VM_STACK_BYTES;
        pfs_vm_map_stack(vm);
    }
}

/* Most records are as long as the one before, and were not changed: then only their place differs. */
static void show_record(struct pfs_vm *vm, uint32_t length) {
    struct pfs_vm_range *loads = &vm->loads[PFS_VM_REGION_DATA];
    if (loads->room[0] == length && loads->first == (PFS_VM_BASE(DATA) | PFS_VM_HEADROOM) &&
        vm->stores[PFS_VM_REGION_DATA].room[0] == 0)
        loads->host = (uint8_t *)(uintptr_t)vm->job->window + (vm->record_start - vm->job->window_start);
    else
        pfs_vm_map_data(vm);
}

static void begin_record(struct pfs_vm *vm) {
    uint64_t length = vm->record_stop - vm->record_start;
    vm->flags = PFS_VM_FLAG_IN_RECORD;
    vm->fuel = vm->job->fuel;
    vm->pc = vm->image->entry;
    vm->depth = 0;
    vm->data = PFS_VM_HEADROOM;
    vm->data_end = PFS_VM_HEADROOM + (uint32_t)length;
    memset(vm->r, 0, sizeof vm->r);
    vm->r[1] = PFS_VM_BASE(CTX);
    if (vm->image->kind == PFS_VM_KIND_RAW) vm->r[1] = length ? PFS_VM_BASE(DATA) | vm->data : 0;
    vm->r[2] = length;
    vm->r[10] = PFS_VM_BASE(STACK) | PFS_VM_STACK_BYTES;
    clear_stack(vm);
    show_record(vm, (uint32_t)length);
    if (vm->reserved != 0) {
        vm->reserved = 0;
        pfs_vm_map_reserve(vm);
    }
    describe(vm);
}

static void end_record(struct pfs_vm *vm) {
    uint64_t result = vm->r[0];
    uint8_t *verdict = vm->context + PFS_VM_AT_VERDICTS + 8 * (result < VERDICTS - 1 ? result : VERDICTS - 1);
    pfs_store64(verdict, pfs_load64(verdict) + 1);
    pfs_store64(vm->context + PFS_VM_AT_RESULT, result);
    vm->records++;
    vm->position = vm->job->framing == PFS_VM_FRAMING_LIST ? vm->position + 1 : vm->record_stop;
    vm->flags = 0;
}

static enum pfs_vm_stop run_record(struct pfs_vm *vm) {
    enum pfs_vm_stop stop = pfs_vm_execute(vm);
    vm->executed += (uint64_t)vm->spent;
    vm->fuel -= vm->spent;
    vm->slice -= vm->spent;
    if (stop == PFS_VM_STOP_HELPER) vm->helper_pc = vm->pc;
    return stop;
}

void pfs_vm_enter(struct pfs_vm *vm, uint64_t start) {
    vm->record_start = start;
    vm->record_stop = start + vm->job->size;
    begin_record(vm);
}

void pfs_vm_leave(struct pfs_vm *vm) {
    clear_stack(vm);
    vm->flags = 0;
}

/* Let machine code run, and count what it did. DONE: it goes on between two records or, in the middle of one, in the
 * interpreter. */
static enum pfs_vm_stop run_code(struct pfs_vm *vm, pfs_vm_code *code, enum pfs_vm_left *left) {
    *left = (enum pfs_vm_left)code(vm);
    enum pfs_vm_stop stop = *left == PFS_VM_LEFT_LIMITED ? pfs_vm_run_out(vm) : PFS_VM_STOP_DONE;
    vm->executed += (uint64_t)vm->spent;
    vm->fuel -= vm->spent;
    vm->slice -= vm->spent;
    pfs_vm_map_stack(vm);
    return stop;
}

/* Blocks of records in lanes; the records of one that was dropped run one after the other, and more of them each time
 * that the next is dropped too. */
static enum pfs_vm_stop run_blocks(struct pfs_vm *vm, const struct pfs_vm_compiled *compiled) {
    const uint64_t stop = vm->stop, block = compiled->width * compiled->size;
    uint64_t singly = block;
    enum pfs_vm_left left;
    for (;;) {
        uint64_t before = vm->position;
        run_code(vm, compiled->lanes, &left);
        if (left == PFS_VM_LEFT_BETWEEN) return at_end(vm) ? PFS_VM_STOP_DONE : run_code(vm, compiled->records, &left);
        singly = vm->position != before ? block : singly < BLOCKS_SINGLY * block ? 2 * singly : singly;
        if (stop - vm->position > singly) vm->stop = vm->position + singly;
        enum pfs_vm_stop why = run_code(vm, compiled->records, &left);
        vm->stop = stop;
        if (why != PFS_VM_STOP_DONE || left != PFS_VM_LEFT_BETWEEN || vm->slice <= 0 || at_end(vm)) return why;
    }
}

/* Run records in machine code as far as they lie in the window, where there is code for records of this size. */
static enum pfs_vm_stop run_many(struct pfs_vm *vm) {
    const struct pfs_vm_compiled *compiled = &vm->image->compiled;
    enum pfs_vm_left left;
    if (compiled->records == NULL || vm->job->framing != PFS_VM_FRAMING_FIXED || compiled->size != vm->job->size)
        return PFS_VM_STOP_DONE;
    clear_stack(vm); /* a record before them may have been the interpreter's */
    return compiled->lanes ? run_blocks(vm, compiled) : run_code(vm, compiled->records, &left);
}

/* Begin the next record; with machine code for one it may be over at once. */
static enum pfs_vm_stop run_one(struct pfs_vm *vm) {
    enum pfs_vm_left left;
    begin_record(vm);
    if (vm->image->compiled.record == NULL) return PFS_VM_STOP_DONE;
    enum pfs_vm_stop stop = run_code(vm, vm->image->compiled.record, &left);
    if (left == PFS_VM_LEFT_BETWEEN) {
        vm->job->compiled++;
        end_record(vm);
    }
    return stop;
}

/* Machine code as far as it goes; then a record has begun, if there is one and no code ended it. */
static enum pfs_vm_stop next_records(struct pfs_vm *vm) {
    uint64_t before = vm->position;
    enum pfs_vm_stop stop = run_many(vm);
    int over = vm->position != before && (vm->slice <= 0 || at_end(vm)); /* a slice of nothing is good for one record */
    if (stop != PFS_VM_STOP_DONE || vm->flags & PFS_VM_FLAG_IN_RECORD || over) return stop;
    stop = find_record(vm);
    return stop == PFS_VM_STOP_DONE ? run_one(vm) : stop;
}

/* Until the shard is done, or something stops it. */
static enum pfs_vm_stop run_records(struct pfs_vm *vm) {
    enum pfs_vm_stop stop;
    for (;;) {
        if (!(vm->flags & PFS_VM_FLAG_IN_RECORD)) {
            if (at_end(vm)) return PFS_VM_STOP_DONE;
            if ((stop = next_records(vm)) != PFS_VM_STOP_DONE) return stop;
        }
        if (vm->flags & PFS_VM_FLAG_IN_RECORD) {
            if ((stop = run_record(vm)) != PFS_VM_STOP_DONE) return stop;
            vm->job->interpreted++;
            end_record(vm);
        }
        if (vm->slice <= 0) return vm->position >= vm->stop ? PFS_VM_STOP_DONE : PFS_VM_STOP_SLICE;
    }
}

static void map_regions(struct pfs_vm *vm, size_t slot) {
    const struct pfs_vm_image *image = vm->image;
    uint8_t *maps = vm->job->maps + slot * image->maps_bytes, *shared = (uint8_t *)(uintptr_t)image->shared;
    memset(vm->loads, 0, sizeof vm->loads);
    memset(vm->stores, 0, sizeof vm->stores);
    pfs_vm_set_range(&vm->loads[PFS_VM_REGION_STACK], PFS_VM_BASE(STACK), vm->stack, PFS_VM_STACK_BYTES);
    pfs_vm_set_range(&vm->loads[PFS_VM_REGION_MAPS], PFS_VM_BASE(MAPS), maps, image->maps_bytes);
    pfs_vm_set_range(&vm->stores[PFS_VM_REGION_MAPS], PFS_VM_BASE(MAPS), maps, image->maps_bytes);
    pfs_vm_set_range(&vm->loads[PFS_VM_REGION_SHARED], PFS_VM_BASE(SHARED), shared, image->shared_size);
    pfs_vm_map_stack(vm);
    pfs_vm_map_reserve(vm);
}

static int inside_window(const struct pfs_vm *vm) {
    return vm->record_start >= vm->job->window_start && vm->record_stop <= window_end(vm->job);
}

/* Python is to answer the call in the slot before the pc, if any; the number is one of those that stop with HELPER. */
static int can_have_asked(const struct pfs_vm *vm, uint64_t number) {
    int known = number == PFS_VM_CALL_TRACE_PRINTK || number == PFS_VM_CALL_CSUM_DIFF ||
                number == PFS_VM_CALL_XDP_ADJUST_HEAD || number == PFS_VM_CALL_XDP_ADJUST_TAIL;
    if (vm->helper_pc == 0) return 1;
    return known && vm->helper_pc == vm->pc && vm->image->starts[vm->pc - 1];
}

/* A microVM that stopped within a record. DONE: it may go on. helper_pc is only kept while Python owes an answer. */
static enum pfs_vm_stop resume(struct pfs_vm *vm, size_t slot) {
    uint64_t asked = pfs_load64(vm->context + PFS_VM_AT_FAULT_ADDRESS);
    vm->helper_pc = pfs_load64(vm->context + PFS_VM_AT_HELPER_PC);
    if (!pfs_vm_thaw_record(vm) || !can_have_asked(vm, asked)) {
        vm->flags = 0;
        vm->helper_pc = 0;
        return pfs_vm_fail(vm, PFS_VM_FAULT_INSTRUCTION, 0);
    }
    if (vm->helper_pc != 0) vm->fault_address = asked;
    if (!inside_window(vm)) return PFS_VM_STOP_WINDOW;
    if (vm->helper_pc != 0) return PFS_VM_STOP_HELPER;
    map_regions(vm, slot);
    pfs_vm_map_data(vm);
    describe(vm);
    return PFS_VM_STOP_DONE;
}

static enum pfs_vm_state state_after(enum pfs_vm_stop stop) {
    if (stop == PFS_VM_STOP_FAULT) return PFS_VM_STATE_FAULTED;
    return stop == PFS_VM_STOP_DONE ? PFS_VM_STATE_DONE : PFS_VM_STATE_PAUSED;
}

static enum pfs_vm_stop run_slot(struct pfs_vm *vm, size_t slot) {
    struct pfs_vm_job *job = vm->job;
    enum pfs_vm_stop stop = PFS_VM_STOP_DONE;
    uint16_t flags;
    vm->context = job->contexts + slot * PFS_VM_CONTEXT_BYTES;
    vm->spill = job->spill + slot * PFS_VM_SPILL_STRIDE;
    vm->slice = job->slice;
    memcpy(&flags, vm->context + PFS_VM_AT_FLAGS, sizeof flags);
    vm->flags = flags;
    pfs_vm_thaw_context(vm);
    describe_shard(vm);
    pfs_store32(vm->context + PFS_VM_AT_STATE, PFS_VM_STATE_RUNNING);
    pfs_store32(vm->context + PFS_VM_AT_OWNER, job->owner);
    if (flags & PFS_VM_FLAG_IN_RECORD) {
        stop = resume(vm, slot);
    } else {
        memset(vm->stack, 0, sizeof vm->stack);
        map_regions(vm, slot);
    }
    if (stop == PFS_VM_STOP_DONE) stop = run_records(vm);
    pfs_vm_freeze_context(vm, state_after(stop), vm->flags & PFS_VM_FLAG_IN_RECORD);
    return stop;
}

/* Who else must do something before this microVM goes on. */
static int asks(enum pfs_vm_stop stop) {
    return stop == PFS_VM_STOP_OUTPUT || stop == PFS_VM_STOP_WINDOW || stop == PFS_VM_STOP_HELPER ||
           stop == PFS_VM_STOP_INDEX;
}

enum pfs_vm_stop pfs_vm_run(struct pfs_vm_job *job, size_t *slot) {
    struct pfs_vm vm;
    vm.image = job->image;
    vm.job = job;
    vm.services = pfs_vm_services;
    for (*slot = job->first; *slot < job->first + job->count; ++*slot) {
        uint32_t state = pfs_load32(job->contexts + *slot * PFS_VM_CONTEXT_BYTES + PFS_VM_AT_STATE);
        if (state != PFS_VM_STATE_READY && state != PFS_VM_STATE_PAUSED) continue;
        enum pfs_vm_stop stop = run_slot(&vm, *slot);
        if (asks(stop)) return stop;
    }
    return PFS_VM_STOP_DONE;
}
