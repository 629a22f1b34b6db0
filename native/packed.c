/* Deltas as they travel: what is different in place, and stored patches, as instructions and literals. */
#include <stdlib.h>

#include "kernels.h"
#include "packet.h"

enum { LITERAL = 0, COPY = 1, FILL = 2, SOURCE = 3 };

/* output */

static int reserve(struct pfs_bytes *bytes, size_t more) {
    if (bytes->room - bytes->size >= more) return 0;
    size_t room = bytes->room * 2 + more + 64;
    uint8_t *data = realloc(bytes->data, room);
    if (data == NULL) return -1;
    bytes->data = data;
    bytes->room = room;
    return 0;
}

void pfs_put_bytes(struct pfs_delta *delta, struct pfs_bytes *to, const uint8_t *data, size_t size) {
    if (delta->failed || reserve(to, size)) {
        delta->failed = 1;
        return;
    }
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

void pfs_put_varint(struct pfs_delta *delta, uint64_t value) {
    uint8_t bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    pfs_put_bytes(delta, &delta->instructions, bytes, size);
}

/* The last copy waits: it may be the end. */
static void write_waiting(struct pfs_packed *packed) {
    struct pfs_delta *delta = &packed->delta;
    struct pfs_copy *copy = &packed->tail;
    if (copy->size == 0) return;
    pfs_put_varint(delta, copy->size << 2 | (copy->source ? SOURCE : COPY));
    if (copy->source) {
        pfs_put_varint(delta, copy->source);
        pfs_put_varint(delta, copy->offset);
        delta->expected += copy->size;
    } else {
        pfs_put_varint(delta, pfs_zigzag((int64_t)copy->offset - (int64_t)delta->expected));
        delta->expected = copy->offset + copy->size;
    }
    copy->size = 0;
}

static void copy(struct pfs_packed *packed, struct pfs_copy copy) {
    struct pfs_delta *delta = &packed->delta;
    if (packed->head.size == 0 && packed->tail.size == 0 && delta->instructions.size == 0) {
        packed->head = copy;
        delta->expected = copy.source ? delta->expected + copy.size : copy.offset + copy.size;
        return;
    }
    write_waiting(packed);
    packed->tail = copy;
}

/* The head of a literal, whose bytes are put beside it. */
static void begin_literal(struct pfs_packed *packed, size_t size) {
    write_waiting(packed);
    pfs_put_varint(&packed->delta, (uint64_t)size << 2 | LITERAL);
    packed->delta.expected += size;
}

static void fill(struct pfs_packed *packed, uint8_t byte, uint64_t size) {
    struct pfs_delta *delta = &packed->delta;
    write_waiting(packed);
    pfs_put_varint(delta, size << 2 | FILL);
    pfs_put_bytes(delta, &delta->instructions, &byte, 1);
    delta->expected += size;
}

/* in place */

void pfs_pack_in_place(const uint8_t *new, const uint8_t *old, size_t size, uint64_t at, struct pfs_packed *packed) {
    size_t kept = 0;
    packed->delta.expected = at;
    for (struct pfs_stretch other = {0}; pfs_differ(new, old, size, &other); kept = other.end) {
        const uint8_t *data = new + other.start;
        size_t length = other.end - other.start;
        if (other.start > kept) copy(packed, (struct pfs_copy){0, at + kept, other.start - kept});
        if (length > PFS_BODY && pfs_run_length(data, data[0], length) == length)
            fill(packed, data[0], length);
        else
            begin_literal(packed, length), pfs_put_bytes(&packed->delta, &packed->delta.literals, data, length);
    }
    if (kept < size) copy(packed, (struct pfs_copy){0, at + kept, size - kept});
}

/* patches */

static uint64_t produced(const uint8_t *packet) {
    return packet[PFS_AT_OP] == PFS_OP_FILL ? pfs_load64(packet + PFS_AT_OPERAND) : pfs_load32(packet + PFS_AT_LENGTH);
}

/* Whether the packets say that they make so many bytes, which `size_t` can count. */
static int makes(const uint8_t *patch, size_t packets, size_t size) {
    size_t made = 0;
    for (size_t i = 0; i < packets; i++) {
        uint64_t more = produced(patch + i * PFS_PACKET);
        if (more > size - made) return 0;
        made += (size_t)more;
    }
    return made == size;
}

static int is_run(const uint8_t *packet) {
    return packet[PFS_AT_OP] == PFS_OP_FILL && pfs_load32(packet + PFS_AT_LENGTH) == 1;
}

/* How many packets, from the first on, make bytes of the patch's own that are no run. */
static size_t literals(const uint8_t *packet, size_t packets) {
    size_t count = 0;
    while (count < packets && packet[PFS_AT_OP] != PFS_OP_COPY && !is_run(packet)) count++, packet += PFS_PACKET;
    return count;
}

/* What such packets make, which are checked here. */
static const char *expand(struct pfs_packed *packed, const uint8_t *program, size_t packets) {
    struct pfs_bytes *literals = &packed->delta.literals;
    size_t size = 0, made;
    for (size_t i = 0; i < packets; i++) size += (size_t)produced(program + i * PFS_PACKET);
    if (reserve(literals, size + 1)) {
        packed->delta.failed = 1;
        return NULL;
    }
    const char *wrong = pfs_expand(program, packets, NULL, 0, literals->data + literals->size, size, &made);
    if (wrong != NULL || size == 0) return wrong;
    begin_literal(packed, size);
    literals->size += size;
    return NULL;
}

/* A COPY or a run. */
static const char *pack(struct pfs_packed *packed, const uint8_t *packet, const struct pfs_place *place) {
    uint64_t length = produced(packet), offset = pfs_load64(packet + PFS_AT_OPERAND);
    if (packet[PFS_AT_FLAGS] != 0) return "a packet has unknown flags";
    if (place != NULL && offset > UINT32_MAX) return "COPY reaches past its source";
    if (length > 0 && place != NULL) copy(packed, (struct pfs_copy){place->source, place->start + offset, length});
    if (length > 0 && place == NULL) fill(packed, packet[PFS_AT_BODY], length);
    return NULL;
}

const char *pfs_pack_patch(const uint8_t *patch, size_t packets, size_t size, const struct pfs_place *places,
                           struct pfs_packed *packed) {
    if (!makes(patch, packets, size)) return "a patch does not make the bytes of its extent";
    for (size_t at = 0, count; at < packets && !packed->delta.failed; at += count) {
        const uint8_t *packet = patch + at * PFS_PACKET;
        const char *wrong;
        count = literals(packet, packets - at);
        if (count > 0) {
            wrong = expand(packed, packet, count);
        } else {
            wrong = pack(packed, packet, is_run(packet) ? NULL : places++);
            count = 1;
        }
        if (wrong != NULL) return wrong;
    }
    return NULL;
}
