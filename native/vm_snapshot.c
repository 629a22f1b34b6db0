/* Frozen microVMs: vm/snapshot.py defines the packets. One stream of context, stack, reserve, private record and maps,
 * cut into chunks of 48 bytes, zero chunks joined. What is read back is hostile until all of it was looked at. */
#include "vm_snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "packet.h"

enum { AT_IDENTITY = 48, IDENTITY = 16, COPY_END_MAX = PFS_VM_COPY_BYTES, ALL_FLAGS = 7, AT_VERSION = 20 };

static const uint8_t head_packet[PFS_PACKET] = PFS_VM_HEAD_PACKET;

static int say(struct pfs_vm_message *wrong, const char *words, unsigned long long a, unsigned long long b) {
    snprintf(wrong->text, sizeof wrong->text, words, a, b);
    return -1;
}

static uint16_t load16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

/* Which bytes of its spill a microVM needs: stack, reserve, private copy. 0 if its context cannot be. */
struct parts {
    size_t from[3], size[3], total;
};

static int parts_of(const uint8_t *context, struct parts *parts) {
    uint32_t flags = load16(context + PFS_VM_AT_FLAGS), low = pfs_load32(context + PFS_VM_AT_STACK_LOW);
    uint32_t reserved = pfs_load32(context + PFS_VM_AT_RESERVED), end = pfs_load32(context + PFS_VM_AT_DATA_END);
    int inside = (flags & PFS_VM_FLAG_IN_RECORD) != 0, copied = (flags & PFS_VM_FLAG_COPIED) != 0;
    if (flags & ~(uint32_t)ALL_FLAGS || low > PFS_VM_STACK_BYTES || reserved > PFS_VM_RESERVE_BYTES) return 0;
    if (!inside && (flags || low || reserved || end)) return 0;
    if (copied && end > COPY_END_MAX) return 0;
    *parts = (struct parts){{low, PFS_VM_STACK_BYTES, PFS_VM_COPY_AT},
                            {flags & PFS_VM_FLAG_SPILLED ? PFS_VM_STACK_BYTES - low : 0, reserved, copied ? end : 0},
                            0};
    parts->total = parts->size[0] + parts->size[1] + parts->size[2];
    return 1;
}

static int movable(uint32_t state) {
    return state == PFS_VM_STATE_READY || state == PFS_VM_STATE_PAUSED || state == PFS_VM_STATE_DONE ||
           state == PFS_VM_STATE_FAULTED;
}

static size_t stream_most(const struct pfs_vm_table *table) {
    return PFS_VM_CONTEXT_BYTES + PFS_VM_COPY_AT + COPY_END_MAX + table->maps_bytes;
}

static int holds(const struct pfs_vm_table *table, size_t slot) {
    return slot < table->context_slots && slot < table->spill_slots &&
           (table->maps_bytes == 0 || slot < table->map_slots);
}

/* freeze */

static void put_packet(struct pfs_vm_sink *sink, unsigned op, uint32_t length, uint64_t operand, const uint8_t *body,
                       size_t size) {
    if (sink->data != NULL && sink->used < sink->room) {
        uint8_t *at = sink->data + sink->used;
        memset(at, 0, PFS_PACKET);
        at[PFS_AT_OP] = (uint8_t)op;
        pfs_store32(at + PFS_AT_LENGTH, length);
        pfs_store64(at + PFS_AT_OPERAND, operand);
        memcpy(at + PFS_AT_BODY, body, size);
    }
    sink->used += PFS_PACKET;
}

static int is_zero(const uint8_t *chunk, size_t size) {
    uint64_t seen = 0;
    size_t at = 0;
    for (; size - at >= 8; at += 8) seen |= pfs_load64(chunk + at);
    while (at < size) seen |= chunk[at++];
    return seen == 0;
}

static void put_stream(struct pfs_vm_sink *sink, const uint8_t *stream, size_t size) {
    uint64_t zeros = 0;
    for (size_t at = 0; at < size; at += PFS_BODY) {
        size_t chunk = size - at < PFS_BODY ? size - at : PFS_BODY;
        if (is_zero(stream + at, chunk)) {
            zeros += chunk;
            continue;
        }
        if (zeros) put_packet(sink, PFS_OP_FILL, 1, zeros, head_packet, 0);
        zeros = 0;
        put_packet(sink, PFS_OP_DATA, (uint32_t)chunk, 0, stream + at, chunk);
    }
    if (zeros) put_packet(sink, PFS_OP_FILL, 1, zeros, head_packet, 0);
}

static void put_head(struct pfs_vm_sink *sink, const uint8_t *context, uint32_t slot, uint64_t size,
                     size_t maps_bytes) {
    size_t at = sink->used;
    put_packet(sink, 0, 0, 0, head_packet, 0);
    if (sink->data == NULL || sink->used > sink->room) return;
    uint8_t *packet = sink->data + at;
    memcpy(packet, head_packet, PFS_PACKET);
    pfs_store64(packet + PFS_AT_OPERAND, size);
    memcpy(packet + AT_IDENTITY, context + PFS_VM_AT_VM, 2);
    pfs_store32(packet + AT_IDENTITY + 4, slot);
    pfs_store32(packet + AT_IDENTITY + 8, (uint32_t)maps_bytes);
}

static int freeze_one(const struct pfs_vm_table *table, uint32_t slot, uint8_t *stream, struct pfs_vm_sink *sink) {
    struct parts parts;
    if (!holds(table, slot)) return -1;
    const uint8_t *spill = table->spill + slot * (size_t)PFS_VM_SPILL_STRIDE;
    memcpy(stream, table->contexts + slot * (size_t)PFS_VM_CONTEXT_BYTES, PFS_VM_CONTEXT_BYTES);
    pfs_store32(stream + PFS_VM_AT_OWNER, 0);
    if (!movable(pfs_load32(stream + PFS_VM_AT_STATE)) || !parts_of(stream, &parts)) return -1;
    size_t size = PFS_VM_CONTEXT_BYTES;
    for (int i = 0; i < 3; i++) {
        memcpy(stream + size, spill + parts.from[i], parts.size[i]);
        size += parts.size[i];
    }
    if (table->maps_bytes) memcpy(stream + size, table->maps + slot * table->maps_bytes, table->maps_bytes);
    size += table->maps_bytes;
    put_head(sink, stream, slot, size, table->maps_bytes);
    put_stream(sink, stream, size);
    return 0;
}

int pfs_vm_freeze(const struct pfs_vm_table *table, const uint8_t *slots, size_t count, struct pfs_vm_sink *sink,
                  struct pfs_vm_message *wrong) {
    uint8_t *stream = malloc(stream_most(table));
    int failed = 0;
    if (stream == NULL) return say(wrong, "no memory for a microVM of %llu bytes", stream_most(table), 0);
    for (size_t i = 0; i < count && !failed; i++) {
        uint32_t slot = pfs_load32(slots + i * 4);
        failed = freeze_one(table, slot, stream, sink);
        if (failed) say(wrong, "slot %llu holds no microVM that can be frozen", slot, 0);
    }
    free(stream);
    return failed;
}

/* thaw */

struct reader {
    const uint8_t *data;
    size_t size, at;
};

static const uint8_t *next_packet(struct reader *reader) {
    if (reader->size - reader->at < PFS_PACKET) return NULL;
    reader->at += PFS_PACKET;
    return reader->data + reader->at - PFS_PACKET;
}

/* The HEAD that is due: all its bytes but length and identity are known. */
static int read_head(const uint8_t *packet, const struct pfs_vm_table *table, uint16_t *vm, uint32_t *slot,
                     uint64_t *size, struct pfs_vm_message *wrong) {
    uint8_t plain[PFS_PACKET];
    if (packet == NULL) return say(wrong, "fewer than 64 bytes", 0, 0);
    memcpy(plain, packet, sizeof plain);
    memset(plain + PFS_AT_OPERAND, 0, 8);
    memset(plain + AT_IDENTITY, 0, IDENTITY);
    if (plain[0] == head_packet[0] && plain[AT_VERSION] != head_packet[AT_VERSION])
        return say(wrong, "format version %llu is newer than this PacketFS", plain[AT_VERSION], 0);
    if (memcmp(plain, head_packet, sizeof plain) != 0 || load16(packet + AT_IDENTITY + 2) ||
        pfs_load32(packet + AT_IDENTITY + 12))
        return say(wrong, "a HEAD of kind MICROVM is due, without reserved bits", 0, 0);
    *vm = load16(packet + AT_IDENTITY);
    *slot = pfs_load32(packet + AT_IDENTITY + 4);
    *size = pfs_load64(packet + PFS_AT_OPERAND);
    uint64_t maps_bytes = pfs_load32(packet + AT_IDENTITY + 8);
    if (maps_bytes != table->maps_bytes)
        return say(wrong, "it has %llu bytes of maps, this program %llu", maps_bytes, table->maps_bytes);
    if (*size < PFS_VM_CONTEXT_BYTES + maps_bytes || *size > stream_most(table))
        return say(wrong, "microVM %llu has %llu bytes", *vm, *size);
    return 0;
}

/* Bytes that a DATA or a FILL of zeros produces; 0 if it is neither. */
static uint64_t produces(const uint8_t *packet) {
    uint32_t length = pfs_load32(packet + PFS_AT_LENGTH);
    uint64_t operand = pfs_load64(packet + PFS_AT_OPERAND);
    if (packet[PFS_AT_FLAGS] || load16(packet + 2) || length == 0 || length > PFS_BODY) return 0;
    if (packet[PFS_AT_OP] == PFS_OP_DATA)
        return operand == 0 && is_zero(packet + PFS_AT_BODY + length, PFS_BODY - length) ? length : 0;
    return packet[PFS_AT_OP] == PFS_OP_FILL && length == 1 && is_zero(packet + PFS_AT_BODY, PFS_BODY) ? operand : 0;
}

static int read_stream(struct reader *reader, uint8_t *stream, uint64_t size, struct pfs_vm_message *wrong) {
    for (uint64_t made = 0; made < size;) {
        const uint8_t *packet = next_packet(reader);
        uint64_t length = packet == NULL ? 0 : produces(packet);
        if (length == 0) return say(wrong, "DATA or a FILL of zeros is due", 0, 0);
        if (length > size - made) return say(wrong, "its packets produce more than its HEAD says", 0, 0);
        if (packet[PFS_AT_OP] == PFS_OP_DATA)
            memcpy(stream + made, packet + PFS_AT_BODY, length);
        else
            memset(stream + made, 0, length);
        made += length;
    }
    return 0;
}

static int can_be(const uint8_t *context, uint16_t vm, uint64_t size, struct parts *parts) {
    if (!movable(pfs_load32(context + PFS_VM_AT_STATE)) || load16(context + PFS_VM_AT_VM) != vm) return 0;
    if (pfs_load32(context + PFS_VM_AT_OWNER) || pfs_load32(context + PFS_VM_AT_FAULT) > PFS_VM_FAULT_MAP) return 0;
    return parts_of(context, parts) && size == PFS_VM_CONTEXT_BYTES + parts->total;
}

static void put_back(const struct pfs_vm_table *table, uint32_t slot, const uint8_t *stream,
                     const struct parts *parts) {
    uint8_t *spill = table->spill + slot * (size_t)PFS_VM_SPILL_STRIDE;
    const uint8_t *at = stream + PFS_VM_CONTEXT_BYTES;
    for (int i = 0; i < 3; i++) {
        memcpy(spill + parts->from[i], at, parts->size[i]);
        at += parts->size[i];
    }
    if (table->maps_bytes) memcpy(table->maps + slot * table->maps_bytes, at, table->maps_bytes);
    memcpy(table->contexts + slot * (size_t)PFS_VM_CONTEXT_BYTES, stream, PFS_VM_CONTEXT_BYTES);
}

static uint8_t *state_of(const struct pfs_vm_table *table, uint32_t slot) {
    return table->contexts + slot * (size_t)PFS_VM_CONTEXT_BYTES + PFS_VM_AT_STATE;
}

static int thaw_one(const struct pfs_vm_table *table, struct reader *reader, uint8_t *stream, uint32_t *slot,
                    struct pfs_vm_message *wrong) {
    uint16_t vm;
    uint64_t size;
    struct parts parts;
    if (read_head(next_packet(reader), table, &vm, slot, &size, wrong)) return -1;
    if (!holds(table, *slot)) return say(wrong, "slot %llu is outside the table", *slot, 0);
    if (pfs_load32(state_of(table, *slot)) != PFS_VM_STATE_FREE)
        return say(wrong, "slot %llu of the table is not free", *slot, 0);
    if (read_stream(reader, stream, size, wrong)) return -1;
    if (!can_be(stream, vm, size - table->maps_bytes, &parts))
        return say(wrong, "microVM %llu cannot be like that", vm, 0);
    put_back(table, *slot, stream, &parts);
    return 0;
}

static void give_back(const struct pfs_vm_table *table, const uint8_t *slots, size_t count) {
    for (size_t i = 0; i < count; i++) pfs_store32(state_of(table, pfs_load32(slots + i * 4)), PFS_VM_STATE_FREE);
}

int pfs_vm_thaw(const struct pfs_vm_table *table, const uint8_t *packets, size_t size, uint8_t **slots, size_t *count,
                struct pfs_vm_message *wrong) {
    struct reader reader = {packets, size, 0};
    uint8_t *stream = malloc(stream_most(table));
    size_t most = size / PFS_PACKET; /* a microVM has two packets at the least */
    *slots = malloc((most + 1) * 4);
    *count = 0;
    int failed = stream == NULL || *slots == NULL ? say(wrong, "no memory", 0, 0) : 0;
    while (!failed && reader.at < reader.size) {
        uint32_t slot;
        failed = thaw_one(table, &reader, stream, &slot, wrong);
        if (!failed) pfs_store32(*slots + 4 * (*count)++, slot);
    }
    if (failed && *slots != NULL) give_back(table, *slots, *count);
    free(stream);
    return failed;
}
