/* Runs DATA, FILL and COPY packets into a buffer; every bound is checked before a byte moves. */
#include "kernels.h"
#include "packet.h"

/* Doubles what is there: log2(length) copies, whatever the pattern's length. */
static void fill(uint8_t *out, size_t length, const uint8_t *pattern, size_t period) {
    if (period == 1) {
        memset(out, pattern[0], length);
        return;
    }
    size_t done = period < length ? period : length;
    memcpy(out, pattern, done);
    while (done < length) {
        size_t more = done < length - done ? done : length - done;
        memcpy(out + done, out, more);
        done += more;
    }
}

const char *pfs_expand(const uint8_t *program, size_t packets, const struct pfs_source *sources, size_t source_count,
                       uint8_t *out, size_t out_size, size_t *produced) {
    size_t at = 0, used = 0;
    *produced = 0;
    for (size_t i = 0; i < packets; i++, *produced = at) {
        const uint8_t *packet = program + i * PFS_PACKET;
        const uint8_t *body = packet + PFS_AT_BODY;
        uint32_t length = pfs_load32(packet + PFS_AT_LENGTH);
        uint64_t operand = pfs_load64(packet + PFS_AT_OPERAND);
        size_t room = out_size - at;
        if (packet[PFS_AT_FLAGS] != 0) return "a packet has unknown flags";
        switch (packet[PFS_AT_OP]) {
        case PFS_OP_DATA:
            if (length > PFS_BODY) return "DATA is longer than its body";
            if (length > room) return "the program produces more than the output holds";
            memcpy(out + at, body, length);
            at += length;
            break;
        case PFS_OP_FILL:
            if (length == 0 || length > PFS_BODY) return "FILL has no pattern of 1 to 48 bytes";
            if (operand > room) return "the program produces more than the output holds";
            if (operand > 0) fill(out + at, (size_t)operand, body, length);
            at += (size_t)operand;
            break;
        case PFS_OP_COPY: {
            if (used == source_count) return "there are more COPY packets than sources";
            const struct pfs_source *source = &sources[used++];
            if (operand > source->size || length > source->size - operand) return "COPY reaches past its source";
            if (length > room) return "the program produces more than the output holds";
            /* memmove: a caller may hand in one buffer as source and output */
            if (length > 0) memmove(out + at, source->data + operand, length);
            at += length;
            break;
        }
        default:
            return "only DATA, FILL and COPY can be expanded";
        }
    }
    return used == source_count ? NULL : "there are more sources than COPY packets";
}
