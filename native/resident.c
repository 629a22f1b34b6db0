/* Whether bytes of a file are in memory: mincore asks without reading anything, as a look by a read would. */
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "kernels.h"

enum { PAGES = 512 };

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

int pfs_is_resident(int fd, uint64_t offset, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (size_t)(offset % page), whole = before + size;
    if (size == 0) return 1;
    uint8_t *at = mmap(NULL, whole, PROT_READ, MAP_SHARED, fd, (off_t)(offset - before));
    if (at == MAP_FAILED) return 0;
    int resident = all_resident(at, (whole + page - 1) / page, page);
    munmap(at, whole);
    return resident;
}
