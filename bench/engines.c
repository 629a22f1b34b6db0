/* Native loops of what the programs of bench/engines.py do, and one that calls a function of each record. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { RECORD = 64 };

static inline uint64_t word(const uint8_t *record, size_t at) {
    uint64_t made;
    memcpy(&made, record + at, sizeof made);
    return made;
}

static inline uint16_t half(const uint8_t *record, size_t at) {
    uint16_t made;
    memcpy(&made, record + at, sizeof made);
    return made;
}

static inline uint64_t filter(const uint8_t *record) {
    if (record[12] > 250) return 0;
    return half(record, 14) > 65000 ? 0 : 2;
}

static inline uint64_t sum(const uint8_t *record) {
    uint64_t total = 0;
    for (size_t at = 0; at < RECORD; at += 8) total += word(record, at);
    return total;
}

static inline uint64_t fnv(const uint8_t *record) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t at = 0; at < RECORD; at++) hash = (hash ^ record[at]) * 0x100000001b3;
    return hash;
}

static inline uint64_t toss(const uint8_t *record) {
    if (record[3] > 127) return 1;
    return half(record, 40) < 20000 ? 2 : 0;
}

static inline uint64_t parse(const uint8_t *record) {
    if (half(record, 12) == 8) return 2;
    if ((record[14] & 15) < 5 || record[23] == 17) return 1;
    return record[23] == 6 ? 2 + (half(record, 36) == 443) : 0;
}

static inline uint64_t mix(const uint8_t *record) {
    uint64_t made = word(record, 8);
    made = (made ^ made >> 30) * 0xbf58476d1ce4e5b9;
    made = (made ^ made >> 27) * 0x94d049bb133111eb;
    return (made ^ made >> 31) & 3;
}

/* Both results are needed, so that nothing can be left out: the last one, and the sum of all. */
#define LOOP(name)                                                                                                     \
    uint64_t native_##name(const uint8_t *records, size_t count, uint64_t *last) {                                     \
        uint64_t total = 0, made = 0;                                                                                  \
        for (size_t i = 0; i < count; i++) total += made = name(records + i * RECORD);                                 \
        *last = made;                                                                                                  \
        return total;                                                                                                  \
    }
LOOP(filter)
LOOP(sum)
LOOP(fnv)
LOOP(toss)
LOOP(parse)
LOOP(mix)

typedef uint64_t program(const uint8_t *record, size_t size);

uint64_t call_each(program *code, const uint8_t *records, size_t count, uint64_t *last) {
    uint64_t total = 0, made = 0;
    for (size_t i = 0; i < count; i++) total += made = code(records + i * RECORD, RECORD);
    *last = made;
    return total;
}
