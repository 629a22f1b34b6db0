/* What of a mapped file is in memory: mincore asks without reading anything, as a look by a read would. */
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "kernels.h"

enum { PAGES = 256 };

/* Bytes that lie in memory from `data` on; pages are found from where they begin, so the first one may begin before. */
size_t pfs_resident(const uint8_t *data, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (uintptr_t)data % page, whole = before + size, at = 0;
    unsigned char found[PAGES];
    while (at < whole) {
        size_t rest = (whole - at + page - 1) / page, count = rest < PAGES ? rest : PAGES;
        if (mincore((void *)(uintptr_t)(data - before + at), count * page, found) != 0) break;
        size_t near = 0;
        while (near < count && (found[near] & 1) != 0) near++;
        at += near * page;
        if (near < count) break;
    }
    at = at < whole ? at : whole;
    return at > before ? at - before : 0;
}
