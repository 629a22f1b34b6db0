/* Reading mapped files: a page that is not there any more, or that the disk does not give, is an answer, not the end. */
#ifndef PFS_GUARD_H
#define PFS_GUARD_H

#include <stddef.h>
#include <stdint.h>

/* Before the first run of a thread, with Python's lock held: let SIGBUS come here. */
void pfs_guard_install(void);
/* Run `run(given)`; 0 when it ended, -1 when a page of [data, data + size) could not be read and it was left there. */
int pfs_guarded(const uint8_t *data, size_t size, void (*run)(void *given), void *given);

#endif
