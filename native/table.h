/* Tables as columns: keys in ascending order, and values in the same order (engines/results/columns.py). */
#ifndef PFS_TABLE_H
#define PFS_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* How the values under one key become one. */
struct pfs_table_kind {
    size_t key_size, value_size;
    unsigned reducer, width;
};

struct pfs_columns {
    const uint8_t *keys, *values;
    size_t count;
};

/* Write the columns of `used` entries of a hash table, with room for all of them: those that are held, by key, and what
 * entries of one key are reduced to, in their order. Returns how many keys there are; -1 without memory. */
ptrdiff_t pfs_table_columns(uint8_t *keys, uint8_t *values, const uint8_t *entries, size_t used,
                            const struct pfs_table_kind *kind);
/* Write the union of two, with room for both; where both have a key, b's value is reduced into a's. Returns the same. */
size_t pfs_table_merge(uint8_t *keys, uint8_t *values, const struct pfs_columns *a, const struct pfs_columns *b,
                       const struct pfs_table_kind *kind);
/* Whether keys are in ascending order, and each comes once. */
int pfs_table_is_rising(const uint8_t *keys, size_t count, size_t size);
/* Write columns as entries of a hash table: held, without hashes. */
void pfs_table_lay(uint8_t *entries, const struct pfs_columns *columns, const struct pfs_table_kind *kind);

#endif
