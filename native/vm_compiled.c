/* Where machine code that was made of a program meets the interpreter: the functions that it calls, and the places of the
 * fields that it reads and writes. It does the common; whatever is rare it leaves to the interpreter, with registers, pc
 * and what was spent in struct pfs_vm, so that rare things have one meaning. */
#include "vm.h"

/* Function pointers are not data pointers in ISO C; POSIX says that they are as wide. */
#define SERVICE(function) __extension__(const void *) & function

const void *const pfs_vm_services[PFS_VM_SERVICE_COUNT] = {
    [PFS_VM_SERVICE_LOAD] = SERVICE(pfs_vm_load),
    [PFS_VM_SERVICE_STORE] = SERVICE(pfs_vm_store),
    [PFS_VM_SERVICE_WRITABLE] = SERVICE(pfs_vm_writable),
    [PFS_VM_SERVICE_HELPER] = SERVICE(pfs_vm_call_helper),
    [PFS_VM_SERVICE_ENTER] = SERVICE(pfs_vm_enter),
    [PFS_VM_SERVICE_LEAVE] = SERVICE(pfs_vm_leave),
    [PFS_VM_SERVICE_INDEX] = SERVICE(pfs_vm_helper_index),
};

#define VM(name, field) {name, offsetof(struct pfs_vm, field)},
#define JOB(name, field) {"job." name, offsetof(struct pfs_vm_job, field)},
#define RANGE(name, field) {"range." name, offsetof(struct pfs_vm_range, field)},

const struct pfs_vm_place pfs_vm_places[] = {
    VM("r", r) VM("loads", loads) VM("job", job) VM("context", context) VM("services", services) VM("pc", pc)
    VM("depth", depth) VM("frames", frames) VM("fuel", fuel) VM("slice", slice) VM("spent", spent) VM("extra", extra)
    VM("executed", executed) VM("fields_read", fields_read) VM("record_base", record_base) VM("records", records)
    VM("position", position) VM("stop", stop) VM("record_start", record_start) VM("record_stop", record_stop)
    VM("stack_low", stack_low) VM("flags", flags) VM("stack", stack)
    VM("record_context", record_context)
    JOB("window", window) JOB("window_size", window_size) JOB("window_start", window_start) JOB("fuel", fuel)
    JOB("file_id", file_id) JOB("compiled", compiled) JOB("lanes", lanes)
    RANGE("first", first) RANGE("host", host) RANGE("room", room)
    {"range.bytes", sizeof(struct pfs_vm_range)}, {"frame.bytes", sizeof(struct pfs_vm_frame)}, {NULL, 0},
};
