/* The argmin of H on vectors, once for all widths: lane j of phase k is the window at 4j + k, so each half is computed
 * once per position. The file that includes this says what a vector is: LANES (its type), COUNT (its 32-bit lanes),
 * TARGET (the unit), ARGMIN (the name of the function made here), and the operations whose names begin with lanes_. */
enum {
    STEP = 4 * COUNT,       /* windows per step: 4 phases */
    STEPS = 512 / STEP,     /* steps of a block, whose least H is compared once */
    AHEAD = 1024,           /* the hardware's prefetch stops at pages: 5.7 GB/s became 6.7 */
    REACH = 2 * STEP + 3 + 12 + 4 /* bytes from a step's first window to the end of what it loads */
};

INLINE LANES pair(const uint8_t *at) {
    return lanes_add(lanes_times(lanes_load(at), PFS_M1), lanes_load(at + 4));
}

INLINE LANES half(const uint8_t *at) { return lanes_add(lanes_times(pair(at), PFS_M2), pair(at + 8)); }

/* The least of STEP windows lane by lane; halves carries the first halves from step to step. */
INLINE LANES step(const uint8_t *at, LANES halves[4], LANES least) {
    for (int phase = 0; phase < 4; phase++) {
        LANES first = halves[phase], next = half(at + STEP + phase);
        LANES hash = lanes_add(lanes_times(lanes_mixed(first), PFS_M3), lanes_16_bytes_on(first, next));
        least = lanes_min(least, hash);
        halves[phase] = next;
    }
    return least;
}

INLINE void begin(const uint8_t *at, LANES halves[4]) {
    for (int phase = 0; phase < 4; phase++) halves[phase] = half(at + phase);
}

/* The first step of the block with the least H; the caller knows that there is one. */
TARGET static size_t find_step(const uint8_t *at, size_t steps, uint32_t least) {
    LANES halves[4];
    begin(at, halves);
    for (size_t i = 0; i + 1 < steps; i++)
        if (lanes_least(step(at + i * STEP, halves, lanes_of(UINT32_MAX))) == least) return i * STEP;
    return (steps - 1) * STEP;
}

TARGET size_t ARGMIN(const uint8_t *start, size_t lo, size_t hi) {
    size_t from = lo - PFS_WINDOW, to = hi - PFS_WINDOW + 1, s = from, block = from, block_steps = 1;
    uint32_t least = UINT32_MAX, again = UINT32_MAX;
    LANES halves[4];
    if (hi - from < REACH) return pfs_argmin_scalar(start, lo, hi);
    begin(start + s, halves);
    for (size_t left = (hi - from - REACH) / STEP + 1, steps; left > 0; left -= steps) {
        LANES lanes = lanes_of(UINT32_MAX);
        steps = left < STEPS ? left : STEPS;
        for (size_t i = 0; i < steps; i++, s += STEP) {
            _mm_prefetch((const char *)start + s + AHEAD, _MM_HINT_T0);
            lanes = step(start + s, halves, lanes);
        }
        uint32_t found = lanes_least(lanes);
        if (found < least) {
            least = found;
            block = s - steps * STEP;
            block_steps = steps;
        }
    }
    size_t found = block + find_step(start + block, block_steps, least), at = found;
    pfs_argmin_range(start, found, found + STEP, &again, &at);
    pfs_argmin_range(start, s, to, &again, &at);
    return at + PFS_WINDOW;
}
