/* Whether bytes of a file are in memory: the kernel is asked without reading anything, as a look by a read would. Linux
 * 6.5 tells it of a file (cachestat); others tell it of a mapping (mincore), which must be made first: eight times the
 * cost. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "kernels.h"

enum { PAGES = 512, UNKNOWN = -1 };

#if defined(__linux__)
enum { CACHESTAT = 451 }; /* the same everywhere, and in no header that is older */

static int all_cached(int fd, uint64_t offset, size_t size, size_t page) {
    struct { uint64_t offset, length; } range = {offset, size};
    struct { uint64_t cached, dirty, writeback, evicted, recently; } found;
    if (syscall(CACHESTAT, fd, &range, &found, 0) != 0) return UNKNOWN;
    return found.cached == (offset % page + size + page - 1) / page;
}
#else
static int all_cached(int fd, uint64_t offset, size_t size, size_t page) {
    (void)fd, (void)offset, (void)size, (void)page;
    return UNKNOWN;
}
#endif

static int all_resident(uint8_t *at, size_t pages, size_t page) {
    unsigned char found[PAGES];
    while (pages != 0) {
        size_t count = pages < PAGES ? pages : PAGES;
        if (mincore(at, count * page, found) != 0) return 0;
        for (size_t i = 0; i < count; i++)
            if ((found[i] & 1) == 0) return 0;
        at += count * page;
        pages -= count;
    }
    return 1;
}

static int is_mapping_resident(int fd, uint64_t offset, size_t size, size_t page) {
    size_t before = (size_t)(offset % page), whole = before + size;
    uint8_t *at = mmap(NULL, whole, PROT_READ, MAP_SHARED, fd, (off_t)(offset - before));
    if (at == MAP_FAILED) return 0;
    int resident = all_resident(at, (whole + page - 1) / page, page);
    munmap(at, whole);
    return resident;
}

int pfs_is_resident(int fd, uint64_t offset, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size == 0) return 1;
    int cached = all_cached(fd, offset, size, page);
    return cached != UNKNOWN ? cached : is_mapping_resident(fd, offset, size, page);
}
