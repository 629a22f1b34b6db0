/* The functions that programs call by number. What needs Python (text, checksums, moving a record's ends) stops with
 * HELPER; the context then says which, and vm/helpers.py answers. */
#include "vm.h"

enum { OPEN = 1, SUBMITTED = 2, ROOM_HEADER = 8, ACTION_MASK = 3 };

static enum pfs_vm_stop answer(struct pfs_vm *vm, uint64_t result) {
    vm->r[0] = result;
    return PFS_VM_STOP_DONE;
}

/* 5, 7, 8: impure elsewhere, the same in every run here */

static enum pfs_vm_stop clock_now(struct pfs_vm *vm) { return answer(vm, vm->executed + (uint64_t)vm->spent); }

static enum pfs_vm_stop draw(struct pfs_vm *vm) {
    uint64_t z = vm->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return answer(vm, (uint32_t)(z ^ z >> 31));
}

static enum pfs_vm_stop processor(struct pfs_vm *vm) { return answer(vm, 0); }

/* 6, 28, 44, 65: Python's */

static enum pfs_vm_stop ask(struct pfs_vm *vm, uint64_t number) {
    vm->fault_address = number;
    return PFS_VM_STOP_HELPER;
}

static enum pfs_vm_stop trace(struct pfs_vm *vm) {
    return vm->traced >= PFS_VM_TRACED_MAX ? answer(vm, 0) : ask(vm, PFS_VM_CALL_TRACE_PRINTK);
}

static enum pfs_vm_stop checksum(struct pfs_vm *vm) { return ask(vm, PFS_VM_CALL_CSUM_DIFF); }
static enum pfs_vm_stop adjust_head(struct pfs_vm *vm) { return ask(vm, PFS_VM_CALL_XDP_ADJUST_HEAD); }
static enum pfs_vm_stop adjust_tail(struct pfs_vm *vm) { return ask(vm, PFS_VM_CALL_XDP_ADJUST_TAIL); }

/* As in Linux for a key that no map has: the action in the flags, and ABORTED for flags that are none. */
static enum pfs_vm_stop redirect(struct pfs_vm *vm) { return answer(vm, vm->r[3] > ACTION_MASK ? 0 : vm->r[3]); }

/* 4096, 130-133: output */

static enum pfs_vm_stop put_out(struct pfs_vm *vm, const uint8_t *bytes, uint64_t size) {
    struct pfs_vm_job *job = vm->job;
    if (size > job->out_size - job->out_used) {
        vm->fault_address = size;
        return PFS_VM_STOP_OUTPUT;
    }
    if (size > 0) memcpy(job->out + job->out_used, bytes, size);
    job->out_used += size;
    vm->emitted += size;
    pfs_vm_pay(vm, size, 0);
    return PFS_VM_STOP_DONE;
}

static enum pfs_vm_stop output(struct pfs_vm *vm, uint64_t address, uint64_t size) {
    const uint8_t *bytes;
    enum pfs_vm_stop stop = pfs_vm_readable(vm, address, size, &bytes);
    if (stop == PFS_VM_STOP_DONE) stop = put_out(vm, bytes, size);
    return stop == PFS_VM_STOP_DONE ? answer(vm, 0) : stop;
}

static enum pfs_vm_stop emit(struct pfs_vm *vm) { return output(vm, vm->r[1], vm->r[2]); }

static enum pfs_vm_stop find_ring(struct pfs_vm *vm) {
    const struct pfs_vm_map *map = pfs_vm_find_map(vm, vm->r[1]);
    if (map == NULL) return PFS_VM_STOP_FAULT;
    return map->type == PFS_VM_MAP_TYPE_RINGBUF ? PFS_VM_STOP_DONE : pfs_vm_fail(vm, PFS_VM_FAULT_MAP, vm->r[1]);
}

static enum pfs_vm_stop ring_output(struct pfs_vm *vm) {
    enum pfs_vm_stop stop = find_ring(vm);
    return stop == PFS_VM_STOP_DONE ? output(vm, vm->r[2], vm->r[3]) : stop;
}

static enum pfs_vm_stop ring_reserve(struct pfs_vm *vm) {
    uint64_t size = vm->r[2], left = PFS_VM_RESERVE_BYTES - vm->reserved;
    enum pfs_vm_stop stop = find_ring(vm);
    if (stop != PFS_VM_STOP_DONE) return stop;
    if (size > PFS_VM_RESERVE_BYTES || ROOM_HEADER + pfs_up8(size) > left) return answer(vm, 0);
    uint8_t *at = vm->spill + PFS_VM_STACK_BYTES + vm->reserved;
    uint64_t offset = vm->reserved + ROOM_HEADER;
    memset(at + ROOM_HEADER, 0, pfs_up8(size));
    pfs_store32(at, (uint32_t)size);
    pfs_store32(at + 4, OPEN);
    vm->reserved += (uint32_t)(ROOM_HEADER + pfs_up8(size));
    pfs_vm_map_reserve(vm);
    pfs_vm_pay(vm, size, 0);
    return answer(vm, PFS_VM_BASE(RESERVE) | offset);
}

/* The header of the open room at r1, 0 if there is none; *size is copied before it is checked. */
static uint8_t *open_room(struct pfs_vm *vm, uint32_t *size) {
    uint64_t at = vm->r[1] - PFS_VM_BASE(RESERVE);
    if (at < ROOM_HEADER || at > vm->reserved || at % 8) return NULL;
    uint8_t *room = vm->spill + PFS_VM_STACK_BYTES + at - ROOM_HEADER;
    *size = pfs_load32(room);
    return pfs_load32(room + 4) == OPEN && *size <= vm->reserved - at ? room : NULL;
}

static enum pfs_vm_stop close_room(struct pfs_vm *vm, int submit) {
    uint32_t size;
    uint8_t *room = open_room(vm, &size);
    if (room == NULL) return pfs_vm_fail(vm, PFS_VM_FAULT_ADDRESS, vm->r[1]);
    enum pfs_vm_stop stop = submit ? put_out(vm, room + ROOM_HEADER, size) : PFS_VM_STOP_DONE;
    if (stop != PFS_VM_STOP_DONE) return stop;
    pfs_store32(room + 4, SUBMITTED);
    return answer(vm, 0);
}

static enum pfs_vm_stop ring_submit(struct pfs_vm *vm) { return close_room(vm, 1); }
static enum pfs_vm_stop ring_discard(struct pfs_vm *vm) { return close_room(vm, 0); }

/* 189, 190: bytes of the record */

static int in_record(const struct pfs_vm *vm, uint64_t offset, uint64_t size) {
    uint64_t length = vm->data_end - vm->data;
    return offset <= length && size <= length - offset;
}

static enum pfs_vm_stop load_bytes(struct pfs_vm *vm) {
    uint64_t offset = vm->r[2], size = vm->r[4];
    uint8_t *to;
    if (size == 0) return answer(vm, 0);
    if (!in_record(vm, offset, size)) return answer(vm, (uint64_t)-22);
    enum pfs_vm_stop stop = pfs_vm_writable(vm, vm->r[3], size, &to);
    if (stop != PFS_VM_STOP_DONE) return stop;
    memmove(to, vm->loads[PFS_VM_REGION_DATA].host + offset, size);
    pfs_vm_pay(vm, size, 0);
    return answer(vm, 0);
}

static enum pfs_vm_stop store_bytes(struct pfs_vm *vm) {
    uint64_t offset = vm->r[2], size = vm->r[4];
    const uint8_t *from;
    if (size == 0) return answer(vm, 0);
    if (!in_record(vm, offset, size)) return answer(vm, (uint64_t)-22);
    enum pfs_vm_stop stop = pfs_vm_readable(vm, vm->r[3], size, &from);
    if (stop == PFS_VM_STOP_DONE) stop = pfs_vm_make_private(vm, PFS_VM_BASE(DATA) | (vm->data + offset));
    if (stop != PFS_VM_STOP_DONE) return stop;
    memmove(vm->stores[PFS_VM_REGION_DATA].host + offset, from, size);
    pfs_vm_pay(vm, size, 0);
    return answer(vm, 0);
}

static const struct {
    uint32_t number;
    pfs_vm_helper *call;
} numbered[] = {
    {PFS_VM_CALL_MAP_LOOKUP_ELEM, pfs_vm_map_lookup},   {PFS_VM_CALL_MAP_UPDATE_ELEM, pfs_vm_map_update},
    {PFS_VM_CALL_MAP_DELETE_ELEM, pfs_vm_map_delete},   {PFS_VM_CALL_KTIME_GET_NS, clock_now},
    {PFS_VM_CALL_TRACE_PRINTK, trace},                  {PFS_VM_CALL_GET_PRANDOM_U32, draw},
    {PFS_VM_CALL_GET_SMP_PROCESSOR_ID, processor},      {PFS_VM_CALL_CSUM_DIFF, checksum},
    {PFS_VM_CALL_XDP_ADJUST_HEAD, adjust_head},         {PFS_VM_CALL_REDIRECT_MAP, redirect},
    {PFS_VM_CALL_XDP_ADJUST_TAIL, adjust_tail},         {PFS_VM_CALL_RINGBUF_OUTPUT, ring_output},
    {PFS_VM_CALL_RINGBUF_RESERVE, ring_reserve},        {PFS_VM_CALL_RINGBUF_SUBMIT, ring_submit},
    {PFS_VM_CALL_RINGBUF_DISCARD, ring_discard},        {PFS_VM_CALL_XDP_LOAD_BYTES, load_bytes},
    {PFS_VM_CALL_XDP_STORE_BYTES, store_bytes},         {PFS_VM_CALL_EMIT, emit},
    {PFS_VM_CALL_FIND, pfs_vm_find},                    {PFS_VM_CALL_FIND_BYTE, pfs_vm_find_byte},
    {PFS_VM_CALL_FIND_LAST_BYTE, pfs_vm_find_last_byte}, {PFS_VM_CALL_COUNT_BYTE, pfs_vm_count_byte},
    {PFS_VM_CALL_COUNT_WORDS, pfs_vm_count_words},      {PFS_VM_CALL_DECIMAL, pfs_vm_decimal},
    {PFS_VM_CALL_TALLY, pfs_vm_tally},                  {PFS_VM_CALL_COUNT_PARTS, pfs_vm_count_parts},
};

int pfs_vm_helper_index(uint64_t number) {
    for (size_t i = 0; i < sizeof numbered / sizeof *numbered; i++)
        if (numbered[i].number == number) return (int)i;
    return -1;
}

enum pfs_vm_stop pfs_vm_call_helper(struct pfs_vm *vm, int index) { return numbered[index].call(vm); }
