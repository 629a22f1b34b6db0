/* uBPF's interpreter for bench/vm.py, which builds this with the sources of a uBPF tree into a shared library. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ubpf.h"

static uint64_t values[16];

/* map_lookup_elem of an array of 16 counters. */
static uint64_t look_up(uint64_t map, uint64_t key, uint64_t c, uint64_t d, uint64_t e) {
    uint32_t index;
    (void)map, (void)c, (void)d, (void)e;
    memcpy(&index, (const void *)(uintptr_t)key, sizeof index);
    return index < 16 ? (uint64_t)(uintptr_t)&values[index] : 0;
}

static bool allow_values(void *context, uint64_t address, uint64_t size) {
    uint64_t at = address - (uint64_t)(uintptr_t)values;
    (void)context;
    return at < sizeof values && size <= sizeof values - at;
}

static int add_map(struct ubpf_vm *vm, int safe) {
    struct ubpf_safe_region region = {0};
    struct ubpf_safe_helper_descriptor helper = {0};
    if (!safe) {
        ubpf_register_data_bounds_check(vm, NULL, allow_values);
        return ubpf_register(vm, 1, "map_lookup_elem", look_up);
    }
    region.base = values;
    region.size = sizeof values;
    region.kind = UBPF_SAFE_REGION_POINTER;
    region.permissions = UBPF_SAFE_REGION_READ | UBPF_SAFE_REGION_WRITE;
    region.id = 1;
    helper.index = 1;
    helper.name = "map_lookup_elem";
    helper.fn = look_up;
    helper.result_kind = UBPF_SAFE_HELPER_RESULT_POINTER;
    helper.region_id = 1;
    helper.region_size = 8;
    return ubpf_register_safe_region(vm, &region) ? -1 : ubpf_register_safe_helper(vm, &helper);
}

/* Seconds for `rounds` times all records; -1 if it cannot load, -2 if a run fails. *sum: of all r0, to compare. */
double bench_ubpf(const void *code, uint32_t code_size, uint8_t *records, size_t record, size_t count, int rounds, int safe,
                  uint64_t *sum) {
    char *message = NULL;
    struct ubpf_vm *vm = ubpf_create();
    struct timespec begun, ended;
    double seconds = -1;
    *sum = 0;
    memset(values, 0, sizeof values);
    if (vm == NULL) return -1;
    ubpf_set_execution_profile(vm, safe ? UBPF_EXECUTION_PROFILE_SAFE : UBPF_EXECUTION_PROFILE_LEGACY);
    if (add_map(vm, safe) == 0 && ubpf_load(vm, code, code_size, &message) == 0) {
        clock_gettime(CLOCK_MONOTONIC, &begun);
        for (int round = 0; round < rounds; round++) {
            for (size_t i = 0; i < count; i++) {
                uint64_t result;
                if (ubpf_exec(vm, records + i * record, record, &result) != 0) goto failed;
                *sum += result;
            }
        }
        clock_gettime(CLOCK_MONOTONIC, &ended);
        seconds = (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
    }
    free(message);
    ubpf_destroy(vm);
    return seconds;
failed:
    ubpf_destroy(vm);
    return -2;
}
