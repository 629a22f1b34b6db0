/* Patches: an extent as COPY packets of what it is like, with DATA and FILL packets where its bytes are others. */
#include "kernels.h"
#include "packet.h"

/* The body of one more packet; NULL where there is no room for it. */
static uint8_t *append(struct pfs_bytes *patch, enum pfs_op op, size_t length, uint64_t operand) {
    if (patch->room - patch->size < PFS_PACKET) return NULL;
    uint8_t *packet = patch->data + patch->size;
    uint32_t bytes = (uint32_t)length;
    memset(packet, 0, PFS_PACKET);
    packet[PFS_AT_OP] = (uint8_t)op;
    memcpy(packet + PFS_AT_LENGTH, &bytes, sizeof bytes);
    memcpy(packet + PFS_AT_OPERAND, &operand, sizeof operand);
    patch->size += PFS_PACKET;
    return packet + PFS_AT_BODY;
}

static int copy(struct pfs_bytes *patch, const struct pfs_piece *old, size_t start, size_t end) {
    uint8_t *body = append(patch, PFS_OP_COPY, end - start, old->offset + start);
    if (body == NULL) return -1;
    memcpy(body, old->digest, PFS_DIGEST);
    return 0;
}

static int literal(struct pfs_bytes *patch, const uint8_t *data, size_t size) {
    if (size > PFS_BODY && pfs_run_length(data, data[0], size) == size) {
        uint8_t *body = append(patch, PFS_OP_FILL, 1, size);
        if (body == NULL) return -1;
        body[0] = data[0];
        return 0;
    }
    while (size > 0) {
        size_t part = size < PFS_BODY ? size : PFS_BODY;
        uint8_t *body = append(patch, PFS_OP_DATA, part, 0);
        if (body == NULL) return -1;
        memcpy(body, data, part);
        data += part, size -= part;
    }
    return 0;
}

static int changes(struct pfs_bytes *patch, const uint8_t *new, const struct pfs_piece *old) {
    size_t kept = 0;
    for (struct pfs_stretch other = {0}; pfs_differ(new, old->data, old->size, &other); kept = other.end) {
        if (other.start > kept && copy(patch, old, kept, other.start)) return -1;
        if (literal(patch, new + other.start, other.end - other.start)) return -1;
    }
    return kept < old->size ? copy(patch, old, kept, old->size) : 0;
}

int pfs_patch_make(const uint8_t *new, size_t size, const struct pfs_piece *pieces, size_t count,
                   struct pfs_bytes *patch) {
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (literal(patch, new + done, pieces[i].at - done)) return -1;
        if (changes(patch, new + pieces[i].at, &pieces[i])) return -1;
        done = pieces[i].at + pieces[i].size;
    }
    if (literal(patch, new + done, size - done)) return -1;
    for (size_t at = 0; at < patch->size; at += PFS_PACKET)
        if (patch->data[at + PFS_AT_OP] == PFS_OP_COPY) return 0;
    return -1;
}
