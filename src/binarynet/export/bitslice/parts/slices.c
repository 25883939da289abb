#ifdef VECTORS
typedef uint64_t row __attribute__((vector_size(64))); /* of squares side by side, one in each word */
#else
typedef uint64_t row;
#endif
#define CHUNK ((int)sizeof(row))
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BYTE(n) (7 - (n) % 8)
#else
#define BYTE(n) ((n) % 8)
#endif

/* 64 rows of 64 bits: bit b of row r becomes bit r of row b. */
static void turn(row square[64])
{
    static const uint64_t masks[6] = {0x00000000ffffffffull, 0x0000ffff0000ffffull, 0x00ff00ff00ff00ffull,
        0x0f0f0f0f0f0f0f0full, 0x3333333333333333ull, 0x5555555555555555ull};
    for (int stage = 0; stage < 6; stage++) {
        const int half = 32 >> stage;
        const row mask = (row){0} + masks[stage];
        for (int k = 0; k < 64; k = (k + half + 1) & ~half) {
            const row upper = square[k], lower = square[k + half], moved = ((upper >> half) ^ lower) & mask;
            square[k] = upper ^ (moved << half);
            square[k + half] = lower ^ moved;
        }
    }
}

/* One square of 64 images, and CHUNK inputs of them from ``first`` on. */
static void load(row square[64], const uint8_t *images, int count, int first)
{
    for (int k = 0; k < 64; k++) {
        const uint8_t *const image = images + (long)k * INPUTS;
        square[k] = (row){0};
        if (k >= count)
            continue;
        memcpy(&square[k], image + first, INPUTS < CHUNK ? INPUTS : CHUNK);
        PREFETCH(image + (first + 2 * CHUNK < INPUTS ? first + 2 * CHUNK : INPUTS - 1));
    }
    turn(square);
}

#if LANES == 512
/* Word l of row k becomes word k of row l. */
static void exchange(row rows[8])
{
    for (int half = 4; half; half /= 2) {
        const __m512i lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), step = _mm512_set1_epi64(half);
        const __mmask8 odd = _mm512_test_epi64_mask(lane, step);
        const __m512i low = _mm512_mask_add_epi64(lane, odd, lane, _mm512_set1_epi64(8 - half));
        const __m512i high = _mm512_mask_add_epi64(_mm512_add_epi64(lane, step), odd, lane, _mm512_set1_epi64(8));
        for (int k = 0; k < 8; k = (k + half + 1) & ~half) {
            const __m512i a = (__m512i)rows[k], b = (__m512i)rows[k + half];
            rows[k] = (row)_mm512_permutex2var_epi64(a, low, b);
            rows[k + half] = (row)_mm512_permutex2var_epi64(a, high, b);
        }
    }
}
#endif

/* Up to LANES images of INPUTS codes each: a bit of a code goes to the register where that digit of the input lies. */
static void slice(const uint8_t *images, int count, reg *m)
{
    const int whole = INPUTS < CHUNK ? INPUTS : CHUNK;
    for (int chunk = 0; chunk < INPUTS; chunk += CHUNK) {
        /* The last chunk overlaps the one before it, so that no image is left within a chunk. */
        const int first = chunk + whole > INPUTS ? INPUTS - whole : chunk;
        row squares[WORDS][64];
        for (int word = 0; word < WORDS; word++)
            load(squares[word], images + (long)word * 64 * INPUTS, count - word * 64, first);
#if LANES == 512
        for (int k = 0; k < 64; k++) {
            row rows[8];
            if (k % 8 >= DIGITS)
                continue;
            for (int word = 0; word < 8; word++)
                rows[word] = squares[word][k];
            exchange(rows);
            for (int n = k / 8; n < whole; n += 8)
                m[INPUT_PLACE(first + n) + k % 8] = (reg)rows[n / 8];
        }
#else
        for (int n = 0; n < whole; n++) {
            char *const place = (char *)(m + INPUT_PLACE(first + n));
            for (int digit = 0; digit < DIGITS; digit++)
                for (int word = 0; word < WORDS; word++)
                    memcpy(place + digit * (long)sizeof(reg) + 8 * word,
                        (char *)&squares[word][8 * BYTE(n) + digit] + n / 8 * 8, 8);
        }
#endif
    }
}

/* The answers' digits, one behind the other in registers, as a number for each image and answer. */
static void unslice(const reg *digits, int count, int32_t *numbers)
{
    for (int answer = 0; answer < OUTPUTS; answer++) {
        for (int word = 0; word * 64 < count; word++) {
            uint64_t found[64] = {0};
            for (int digit = 0; digit < ANSWER_DIGITS; digit++) {
                uint64_t bits;
                memcpy(&bits, (const char *)(digits + answer_places[answer][digit]) + 8 * word, 8);
                for (int k = 0; k < 64; k++)
                    found[k] += (bits >> k & 1) << digit;
            }
            for (int k = 0; k < 64 && word * 64 + k < count; k++)
                numbers[(long)(word * 64 + k) * OUTPUTS + answer] = (int32_t)found[k];
        }
    }
}
