/* Maps in a microVM's memory, as vm/maps.py defines them. The program may write anywhere in that memory, so every word
 * of an index is checked when it is used: damage gives wrong answers, never an access outside. */
#include "vm.h"

enum { COUNT = 0, FREE = 4, HIGH = 8, REMOVED = 12, HEADER = 32 };
enum { NEXT_FREE = 0, HASH_LOW = 4, KEY = 8 };
enum { ANY = 0, NEW = 1, HELD = 2 };
#define GONE 0xFFFFFFFFu
#define MIX 0x9E3779B97F4A7C15u

static uint64_t no_such_entry(void) { return (uint64_t)-2; }
static uint64_t too_big(void) { return (uint64_t)-7; }
static uint64_t exists(void) { return (uint64_t)-17; }
static uint64_t invalid(void) { return (uint64_t)-22; }

static int is_hash(const struct pfs_vm_map *map) {
    return map->type == PFS_VM_MAP_TYPE_HASH || map->type == PFS_VM_MAP_TYPE_PERCPU_HASH ||
           map->type == PFS_VM_MAP_TYPE_LRU_HASH;
}

static int is_array(const struct pfs_vm_map *map) {
    return map->type == PFS_VM_MAP_TYPE_ARRAY || map->type == PFS_VM_MAP_TYPE_PERCPU_ARRAY;
}

static size_t entries_at(const struct pfs_vm_map *map) { return HEADER + pfs_up8((size_t)map->capacity * 4); }
static size_t value_at(const struct pfs_vm_map *map) { return KEY + pfs_up8(map->key_size); }

const char *pfs_vm_map_check(const struct pfs_vm_map *map, uint64_t memory) {
    uint64_t needed = 0, stride = 0, capacity = map->capacity;
    if (map->type == PFS_VM_MAP_TYPE_RINGBUF) return NULL;
    if (!is_hash(map) && !is_array(map)) return "there is no such type of map";
    if (map->key_size == 0 || map->key_size > PFS_VM_KEY_MAX) return "a key has 1 to 512 bytes";
    if (map->value_size == 0 || map->value_size > PFS_VM_VALUE_MAX) return "a value has 1 to 65536 bytes";
    if (is_array(map)) {
        if (map->key_size != 4) return "the key of an array has 4 bytes";
        stride = pfs_up8(map->value_size);
        needed = stride * map->max_entries;
    } else {
        if (capacity == 0 || capacity & (capacity - 1) || capacity < 2 * (uint64_t)map->max_entries)
            return "the capacity of a hash is a power of two, twice its entries at the least";
        stride = value_at(map) + pfs_up8(map->value_size);
        needed = entries_at(map) + stride * map->max_entries;
    }
    if (map->stride != stride || map->size < needed) return "a map's place is too small";
    if (map->offset % 8 || map->offset > memory || map->size > memory - map->offset)
        return "a map lies outside its memory";
    return NULL;
}

/* A map where it lies. */
struct held {
    const struct pfs_vm_map *map;
    uint8_t *at;
    uint64_t address; /* of its first byte, as the program sees it */
};

const struct pfs_vm_map *pfs_vm_find_map(struct pfs_vm *vm, uint64_t handle) {
    uint64_t index = handle - PFS_VM_BASE(MAP);
    if (index < vm->image->map_count) return &vm->image->maps[index];
    pfs_vm_fail(vm, PFS_VM_FAULT_MAP, handle);
    return NULL;
}

static struct held locate(const struct pfs_vm *vm, const struct pfs_vm_map *map) {
    int shared = (map->flags & PFS_VM_MAP_FLAG_READ_ONLY) != 0;
    const struct pfs_vm_range *range = &vm->loads[shared ? PFS_VM_REGION_SHARED : PFS_VM_REGION_MAPS];
    return (struct held){map, range->host + map->offset, range->first + map->offset};
}

static uint32_t word_at(const struct held *held, size_t at) { return pfs_load32(held->at + at); }
static void set_word(const struct held *held, size_t at, uint32_t word) { pfs_store32(held->at + at, word); }

/* hash */

/* A key, padded with zeros, and its hash. */
struct key {
    uint8_t bytes[PFS_VM_KEY_MAX];
    uint64_t hash;
};

static void take_key(struct key *key, const uint8_t *bytes, size_t size) {
    uint64_t hash = 0;
    pfs_store64(key->bytes + (size - 1) / 8 * 8, 0);
    memcpy(key->bytes, bytes, size);
    for (size_t at = 0; at < size; at += 8) {
        hash = (hash ^ pfs_load64(key->bytes + at)) * MIX;
        hash ^= hash >> 32;
    }
    hash *= MIX; /* else keys that differ in the last bytes of a word share their low bits */
    key->hash = hash ^ hash >> 32;
}

/* What a probe found: the index slot of the key and its entry, or the slot where it may go. */
struct probe {
    size_t slot, room, words; /* words: that were looked at */
    uint32_t entry;
    int found;
};

static uint8_t *entry_of(const struct held *held, uint32_t entry) {
    return held->at + entries_at(held->map) + (size_t)entry * held->map->stride;
}

static int same(const struct held *held, uint32_t entry, const struct key *key) {
    const uint8_t *at = entry_of(held, entry);
    return pfs_load32(at + HASH_LOW) == (uint32_t)key->hash && memcmp(at + KEY, key->bytes, held->map->key_size) == 0;
}

static struct probe find(const struct held *held, const struct key *key) {
    size_t capacity = held->map->capacity, mask = capacity - 1;
    struct probe probe = {key->hash & mask, capacity, 0, 0, 0};
    for (; probe.words < capacity; probe.slot = (probe.slot + 1) & mask) {
        probe.words++;
        uint32_t word = word_at(held, HEADER + probe.slot * 4);
        if ((word == 0 || word == GONE) && probe.room == capacity) probe.room = probe.slot;
        if (word == 0) break;
        if (word == GONE || word - 1 >= held->map->max_entries || !same(held, word - 1, key)) continue;
        probe.entry = word - 1;
        probe.found = 1;
        break;
    }
    return probe;
}

/* Of an index just written anew: at most half of it is used. Whoever fills it meanwhile does not stop the search. */
static size_t first_empty(const struct held *held, size_t slot) {
    for (size_t seen = 0; seen < held->map->capacity && word_at(held, HEADER + slot * 4) != 0; seen++)
        slot = (slot + 1) & (held->map->capacity - 1);
    return slot;
}

/* Too many removed words make probes long: the index is written anew from the entries that are held. Returns how many
 * entries were looked at. */
static size_t rebuild(const struct held *held) {
    size_t mask = held->map->capacity - 1;
    uint32_t used = word_at(held, HIGH); /* once: others may write to this memory */
    uint32_t high = used < held->map->max_entries ? used : held->map->max_entries;
    memset(held->at + HEADER, 0, (size_t)held->map->capacity * 4);
    set_word(held, REMOVED, 0);
    for (uint32_t entry = 0; entry < high; entry++) {
        if (pfs_load32(entry_of(held, entry) + NEXT_FREE) != 0) continue;
        size_t slot = pfs_load32(entry_of(held, entry) + HASH_LOW) & mask;
        set_word(held, HEADER + first_empty(held, slot) * 4, entry + 1);
    }
    return high;
}

static void set_entry(const struct held *held, uint32_t entry, const struct key *key) {
    uint8_t *at = entry_of(held, entry);
    pfs_store32(at + NEXT_FREE, 0);
    pfs_store32(at + HASH_LOW, (uint32_t)key->hash);
    memcpy(at + KEY, key->bytes, pfs_up8(held->map->key_size));
}

/* memmove first: the value may lie in this very map. */
static void set_value(const struct pfs_vm_map *map, uint8_t *to, const uint8_t *value) {
    memmove(to, value, map->value_size);
}

static void pad_value(const struct pfs_vm_map *map, uint8_t *to) {
    memset(to + map->value_size, 0, pfs_up8(map->value_size) - map->value_size);
}

static void pop_free(const struct held *held, uint32_t entry, uint32_t free) {
    if (free == 0) {
        set_word(held, HIGH, word_at(held, HIGH) + 1);
    } else {
        uint32_t next = pfs_load32(entry_of(held, entry) + NEXT_FREE);
        set_word(held, FREE, next == GONE ? 0 : next);
    }
}

static uint64_t insert(const struct held *held, const struct key *key, const uint8_t *value, struct probe *probe) {
    const struct pfs_vm_map *map = held->map;
    uint32_t count = word_at(held, COUNT), removed = word_at(held, REMOVED), free = word_at(held, FREE);
    uint32_t entry = free ? free - 1 : word_at(held, HIGH);
    if (count >= map->max_entries || entry >= map->max_entries) return too_big();
    int full = ((uint64_t)count + 1 + removed) * 8 > (uint64_t)map->capacity * 7;
    if (!full && probe->room == map->capacity) return too_big();
    set_value(map, entry_of(held, entry) + value_at(map), value);
    if (full) {
        probe->words += map->capacity + rebuild(held);
        probe->room = first_empty(held, key->hash & (map->capacity - 1));
    }
    if (word_at(held, HEADER + probe->room * 4) == GONE && word_at(held, REMOVED) > 0)
        set_word(held, REMOVED, word_at(held, REMOVED) - 1);
    pop_free(held, entry, free);
    set_word(held, COUNT, count + 1);
    set_word(held, HEADER + probe->room * 4, entry + 1);
    set_entry(held, entry, key);
    pad_value(map, entry_of(held, entry) + value_at(map));
    return 0;
}

static uint64_t update_hash(struct pfs_vm *vm, const struct held *held, const struct key *key, const uint8_t *value) {
    uint64_t flags = vm->r[4], result = 0;
    struct probe probe = find(held, key);
    if (!probe.found)
        result = flags == HELD ? no_such_entry() : insert(held, key, value, &probe);
    else if (flags == NEW)
        result = exists();
    else
        set_value(held->map, entry_of(held, probe.entry) + value_at(held->map), value);
    pfs_vm_pay(vm, (uint64_t)held->map->key_size + held->map->value_size, probe.words);
    return result;
}

static uint64_t delete_hash(struct pfs_vm *vm, const struct held *held, const struct key *key) {
    struct probe probe = find(held, key);
    pfs_vm_pay(vm, held->map->key_size, probe.words);
    if (!probe.found) return no_such_entry();
    uint32_t free = word_at(held, FREE);
    set_word(held, HEADER + probe.slot * 4, GONE);
    set_word(held, REMOVED, word_at(held, REMOVED) + 1);
    set_word(held, COUNT, word_at(held, COUNT) - 1);
    pfs_store32(entry_of(held, probe.entry) + NEXT_FREE, free ? free : GONE);
    set_word(held, FREE, probe.entry + 1);
    return 0;
}

static uint64_t lookup_hash(struct pfs_vm *vm, const struct held *held, const uint8_t *bytes) {
    struct key key;
    take_key(&key, bytes, held->map->key_size);
    struct probe probe = find(held, &key);
    pfs_vm_pay(vm, held->map->key_size, probe.words);
    if (!probe.found) return 0;
    return held->address + entries_at(held->map) + (uint64_t)probe.entry * held->map->stride + value_at(held->map);
}

/* array */

static uint64_t update_array(const struct held *held, uint32_t index, const uint8_t *value, uint64_t flags) {
    if (index >= held->map->max_entries) return too_big();
    if (flags == NEW) return exists();
    set_value(held->map, held->at + (size_t)index * held->map->stride, value);
    return 0;
}

/* helpers 1, 2, 3 */

enum pfs_vm_stop pfs_vm_map_lookup(struct pfs_vm *vm) {
    const struct pfs_vm_map *map = pfs_vm_find_map(vm, vm->r[1]);
    const uint8_t *key;
    uint64_t result = 0;
    if (map == NULL) return PFS_VM_STOP_FAULT;
    if (map->type != PFS_VM_MAP_TYPE_RINGBUF) {
        enum pfs_vm_stop stop = pfs_vm_readable(vm, vm->r[2], map->key_size, &key);
        if (stop != PFS_VM_STOP_DONE) return stop;
        struct held held = locate(vm, map);
        if (!is_array(map))
            result = lookup_hash(vm, &held, key);
        else if (pfs_load32(key) < map->max_entries)
            result = held.address + (uint64_t)pfs_load32(key) * map->stride;
    }
    vm->r[0] = result;
    return PFS_VM_STOP_DONE;
}

static int fixed(const struct pfs_vm_map *map) {
    return map->type == PFS_VM_MAP_TYPE_RINGBUF || (map->flags & PFS_VM_MAP_FLAG_READ_ONLY) != 0;
}

enum pfs_vm_stop pfs_vm_map_update(struct pfs_vm *vm) {
    const struct pfs_vm_map *map = pfs_vm_find_map(vm, vm->r[1]);
    const uint8_t *bytes, *value;
    uint64_t result = invalid(), flags = vm->r[4];
    if (map == NULL) return PFS_VM_STOP_FAULT;
    if (!fixed(map) && flags <= HELD) {
        enum pfs_vm_stop stop = pfs_vm_readable(vm, vm->r[2], map->key_size, &bytes);
        if (stop == PFS_VM_STOP_DONE) stop = pfs_vm_readable(vm, vm->r[3], map->value_size, &value);
        if (stop != PFS_VM_STOP_DONE) return stop;
        struct held held = locate(vm, map);
        if (is_array(map)) {
            result = update_array(&held, pfs_load32(bytes), value, flags);
            pfs_vm_pay(vm, (uint64_t)map->key_size + map->value_size, 0);
        } else {
            struct key key;
            take_key(&key, bytes, map->key_size);
            result = update_hash(vm, &held, &key, value);
        }
    }
    vm->r[0] = result;
    return PFS_VM_STOP_DONE;
}

enum pfs_vm_stop pfs_vm_map_delete(struct pfs_vm *vm) {
    const struct pfs_vm_map *map = pfs_vm_find_map(vm, vm->r[1]);
    const uint8_t *bytes;
    uint64_t result = invalid();
    if (map == NULL) return PFS_VM_STOP_FAULT;
    if (!fixed(map) && !is_array(map)) {
        enum pfs_vm_stop stop = pfs_vm_readable(vm, vm->r[2], map->key_size, &bytes);
        if (stop != PFS_VM_STOP_DONE) return stop;
        struct held held = locate(vm, map);
        struct key key;
        take_key(&key, bytes, map->key_size);
        result = delete_hash(vm, &held, &key);
    }
    vm->r[0] = result;
    return PFS_VM_STOP_DONE;
}
