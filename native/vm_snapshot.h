/* MicroVMs as packets and back, and what shards leave in their maps made one. */
#ifndef PFS_VM_SNAPSHOT_H
#define PFS_VM_SNAPSHOT_H

#include "kernels.h"
#include "vm.h"

/* A table of microVMs in memory; each part has room for so many slots. */
struct pfs_vm_table {
    uint8_t *contexts, *spill, *maps;
    size_t context_slots, spill_slots, map_slots, maps_bytes;
};

/* Where packets go; without data they are only counted. */
struct pfs_vm_sink {
    uint8_t *data;
    size_t room, used;
};

struct pfs_vm_message {
    char text[120];
};

/* Freeze `count` slots (u32 each); 0, or -1 with words. */
int pfs_vm_freeze(const struct pfs_vm_table *table, const uint8_t *slots, size_t count, struct pfs_vm_sink *sink,
                  struct pfs_vm_message *wrong);
/* Put microVMs back. *slots: u32 each of the *count taken, the caller frees it. 0, or -1 with words, none taken. */
int pfs_vm_thaw(const struct pfs_vm_table *table, const uint8_t *packets, size_t size, uint8_t **slots, size_t *count,
                struct pfs_vm_message *wrong);

/* into[e] = REDUCE(into[e], values[i * stride + e]) for i = 0 .. count - 1; size: multiple of width (1, 2, 4, 8). */
int pfs_vm_reduce(uint8_t *into, size_t size, const uint8_t *values, size_t count, size_t stride, unsigned reducer,
                  unsigned width);
/* The same of words `start` and on of what was narrowed; -1 where it is not that, or there are fewer. */
int pfs_vm_reduce_narrow(uint8_t *into, size_t size, const struct pfs_narrow *narrow, size_t start, unsigned reducer,
                         unsigned width);

#endif
