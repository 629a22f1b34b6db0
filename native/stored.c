/* What lies in an arena beside what comes: whole extents at a time. */
#include "kernels.h"
#include "packet.h"

/* A COPY of a whole extent has nothing in its flags and operand, one that is stored as it is nothing in its flags. */
static int is_named(const uint8_t *header, const uint8_t *leaf) {
    return pfs_load32(header) == PFS_OP_EXTENT && pfs_load32(leaf) == PFS_OP_COPY &&
           pfs_load64(leaf + PFS_AT_OPERAND) == 0 &&
           pfs_load32(header + PFS_AT_LENGTH) == pfs_load32(leaf + PFS_AT_LENGTH) &&
           pfs_load64(header + PFS_AT_OPERAND) == pfs_load32(leaf + PFS_AT_LENGTH) &&
           memcmp(header + PFS_AT_BODY, leaf + PFS_AT_BODY, PFS_DIGEST) == 0;
}

/* The bytes of an extent that ends, or is padded, within `room`; 0 where it does not fit. */
static size_t taken_by(size_t length, size_t room) {
    size_t padded = (length + PFS_PACKET - 1) / PFS_PACKET * PFS_PACKET;
    if (room < PFS_PACKET + length) return 0;
    return room < PFS_PACKET + padded ? room : PFS_PACKET + padded;
}

struct pfs_same pfs_same_extents(struct pfs_source leaves, struct pfs_source stored, struct pfs_source stream) {
    struct pfs_same same = {0, 0, 0};
    for (; (same.count + 1) * PFS_PACKET <= leaves.size; same.count++) {
        const uint8_t *leaf = leaves.data + same.count * PFS_PACKET, *header = stored.data + same.stored;
        size_t length = pfs_load32(leaf + PFS_AT_LENGTH), taken = taken_by(length, stored.size - same.stored);
        if (taken == 0 || length > stream.size - same.stream || !is_named(header, leaf)) break;
        if (memcmp(header + PFS_PACKET, stream.data + same.stream, length) != 0) break;
        same.stored += taken;
        same.stream += length;
    }
    return same;
}
