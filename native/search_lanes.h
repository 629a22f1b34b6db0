/* Searching and counting on vectors of bytes, once for all widths. The file that includes this says what a vector is:
 * LANES (its type), WIDTH (its bytes), MASK (a bit for each byte), TARGET and INLINE (the unit), the names that are
 * made here (FIND, NTH_BYTE, COUNT_BYTE, COUNT_WORDS, COUNT_PARTS), and the operations whose names begin with lanes_.
 *
 * Nothing is prefetched: the hardware does that, and asking for it took 1 to 3 ms more of a mapped gigabyte's 36, with
 * any of these, any distance and any size of pages, also once a page (by hand, Zen 4). */
enum {
    PATIENCE = 256,      /* bytes that wrong guesses may cost at first, */
    PATIENCE_A_BYTE = 4  /* and for each byte that was searched; beyond it the library's search goes on */
};

INLINE unsigned bits_of(MASK mask) { return (unsigned)__builtin_popcountll(mask); }
INLINE unsigned first_of(MASK mask) { return (unsigned)__builtin_ctzll(mask); }

TARGET size_t NTH_BYTE(const uint8_t *data, size_t size, uint8_t byte, uint64_t *nth) {
    LANES wanted = lanes_of(byte);
    size_t at = 0;
    for (; size - at >= WIDTH; at += WIDTH) {
        MASK found = lanes_equal(lanes_load(data + at), wanted);
        if (found == 0) continue;
        unsigned count = bits_of(found);
        if (count < *nth) {
            *nth -= count;
            continue;
        }
        while (--*nth > 0) found &= found - 1;
        return at + first_of(found);
    }
    size_t rest = pfs_nth_byte_scalar(data + at, size - at, byte, nth);
    return rest == SIZE_MAX ? rest : at + rest;
}

TARGET uint64_t COUNT_BYTE(const uint8_t *data, size_t size, uint8_t byte) {
    LANES wanted = lanes_of(byte);
    uint64_t count = 0;
    size_t at = 0;
    for (; size - at >= WIDTH; at += WIDTH) {
        count += bits_of(lanes_equal(lanes_load(data + at), wanted));
    }
    return count + pfs_count_byte_scalar(data + at, size - at, byte);
}

/* White space is 9 to 13 and 32. */
INLINE MASK words_of(LANES bytes) {
    LANES control = lanes_less(bytes, '\t');
    return (MASK) ~(lanes_equal(bytes, lanes_of(' ')) | lanes_equal(lanes_min(control, lanes_of(4)), control));
}

TARGET uint64_t COUNT_WORDS(const uint8_t *data, size_t size, int *inside) {
    uint64_t count = 0;
    size_t at = 0;
    MASK before = (MASK)(*inside != 0);
    for (; size - at >= WIDTH; at += WIDTH) {
        MASK words = words_of(lanes_load(data + at));
        count += bits_of((MASK)(words & ~(MASK)(words << 1 | before)));
        before = (MASK)(words >> (WIDTH - 1));
    }
    *inside = before != 0;
    return count + pfs_count_words_scalar(data + at, size - at, inside);
}

/* How rare a byte is in what people keep, roughly: the rarer, the lower. */
INLINE unsigned commonness(uint8_t byte) {
    static const uint8_t letters[26] = {8, 3, 5, 5, 9, 4, 4, 5, 8, 1, 2, 6, 4, 8, 8, 4, 1, 7, 8, 9, 5, 2, 3, 1, 4, 1};
    if (byte >= 'a' && byte <= 'z') return letters[byte - 'a'];
    if (byte == ' ' || byte == 0) return 10;
    if (byte >= '0' && byte <= '9') return 5;
    return byte >= '!' && byte <= 'Z' ? 3 : 1;
}

/* The two places of a word whose bytes are rarest, the lower one first. */
INLINE void choose(const uint8_t *word, size_t length, size_t *low, size_t *high) {
    size_t looked = length < 64 ? length : 64, best = 0, next = 1;
    for (size_t at = 1; at < looked; at++) {
        if (commonness(word[at]) < commonness(word[best])) {
            next = best;
            best = at;
        } else if (at > 1 && commonness(word[at]) < commonness(word[next])) {
            next = at;
        }
    }
    *low = best < next ? best : next;
    *high = best < next ? next : best;
}

/* What a search looks for: where both of two bytes of the word stand, it is compared. */
struct wanted {
    const uint8_t *word;
    size_t length, low, high;
    LANES first, second;
    size_t guessed; /* bytes that were compared in vain */
};

INLINE struct wanted want(const uint8_t *word, size_t length) {
    struct wanted wanted = {.word = word, .length = length};
    if (length > 1) choose(word, length, &wanted.low, &wanted.high);
    wanted.first = lanes_of(word[wanted.low]);
    wanted.second = lanes_of(word[wanted.high]);
    return wanted;
}

INLINE MASK maybe_at(const struct wanted *wanted, const uint8_t *at) {
    return lanes_both(lanes_load(at + wanted->low), wanted->first, lanes_load(at + wanted->high), wanted->second);
}

INLINE size_t found_among(MASK maybe, struct wanted *wanted, const uint8_t *at) {
    for (; maybe != 0; maybe &= maybe - 1) {
        if (memcmp(at + first_of(maybe), wanted->word, wanted->length) == 0) return first_of(maybe);
        wanted->guessed += wanted->length;
    }
    return SIZE_MAX;
}

INLINE int is_patient(const struct wanted *wanted, size_t at) {
    return wanted->guessed <= PATIENCE + PATIENCE_A_BYTE * at;
}

/* Two vectors a step: with one, a mapped gigabyte took 51 ms instead of 46, 13 of them for its pages (by hand). */
TARGET size_t FIND(const uint8_t *data, size_t size, const uint8_t *word, size_t length) {
    struct wanted wanted = want(word, length);
    size_t last = size - length, at = 0, found = SIZE_MAX;
    for (; last - at >= 2 * WIDTH && is_patient(&wanted, at); at += 2 * WIDTH) {
        MASK here = maybe_at(&wanted, data + at), behind = maybe_at(&wanted, data + at + WIDTH);
        if ((here | behind) == 0) continue;
        if ((found = found_among(here, &wanted, data + at)) != SIZE_MAX) return at + found;
        if ((found = found_among(behind, &wanted, data + at + WIDTH)) != SIZE_MAX) return at + WIDTH + found;
    }
    if (last - at >= WIDTH && is_patient(&wanted, at)) {
        if ((found = found_among(maybe_at(&wanted, data + at), &wanted, data + at)) != SIZE_MAX) return at + found;
        at += WIDTH;
    }
    size_t rest = pfs_find_scalar(data + at, size - at, word, length);
    return rest == SIZE_MAX ? rest : at + rest;
}

/* The bits up to the lowest one, with it. */
INLINE MASK through_first(MASK mask) { return (MASK)(mask ^ (mask - 1)); }

INLINE size_t behind_byte(const uint8_t *data, size_t size, size_t at, uint8_t byte) {
    uint64_t first = 1;
    size_t found = NTH_BYTE(data + at, size - at, byte, &first);
    return found == SIZE_MAX ? size : at + found + 1;
}

/* Count the parts whose first word begins in one vector, where none of the part that it begins in was found before;
 * returns where to go on: behind the vector, or behind the part that the last of these words is in. */
INLINE size_t parts_among(MASK maybe, struct wanted *wanted, const uint8_t *data, size_t size, size_t at, uint8_t byte,
                          uint64_t *count) {
    MASK ends = lanes_equal(lanes_load(data + at), lanes_of(byte));
    while (maybe != 0) {
        if (memcmp(data + at + first_of(maybe), wanted->word, wanted->length) != 0) {
            wanted->guessed += wanted->length;
            maybe &= maybe - 1;
            continue;
        }
        MASK later = ends & (MASK)~through_first(maybe);
        ++*count;
        if (later == 0) return behind_byte(data, size, at + WIDTH, byte);
        maybe &= (MASK)~through_first(later);
    }
    return at + WIDTH;
}

/* Where nothing may be a word, two vectors a step; where most parts have the word, looking at a second one too took 35 ms
 * more of a gigabyte's 220 (by hand, Zen 4). */
INLINE size_t pass_nothing(const struct wanted *wanted, const uint8_t *data, size_t last, size_t at) {
    while (at + 2 * WIDTH <= last && (maybe_at(wanted, data + at) | maybe_at(wanted, data + at + WIDTH)) == 0)
        at += 2 * WIDTH;
    return at;
}

TARGET uint64_t COUNT_PARTS(const uint8_t *data, size_t size, uint8_t byte, const uint8_t *word, size_t length) {
    struct wanted wanted = want(word, length);
    size_t last = size - length, at = 0;
    uint64_t count = 0;
    while (at + WIDTH <= last && is_patient(&wanted, at)) {
        MASK maybe = maybe_at(&wanted, data + at);
        if (maybe != 0)
            at = parts_among(maybe, &wanted, data, size, at, byte, &count);
        else
            at = pass_nothing(&wanted, data, last, at + WIDTH);
    }
    return count + pfs_count_parts_scalar(data + at, size - at, byte, word, length);
}
