"""The C functions that layers share. Each is emitted once, and only if a layer calls it."""

from __future__ import annotations

import re

_COUNT = """
/* How many bits are set in {what}. */
static int32_t {name}({arguments}, int32_t words)
{{
    int32_t sum = 0;
    for (int32_t begin = 0; begin < words; begin += 31) {{ /* 31 words: the sums of a byte stay below 256 */
        const int32_t end = words - begin < 31 ? words : begin + 31;
        word counts = 0;
        for (int32_t k = begin; k < end; k++)
            counts += byte_counts({bits});
        sum += sum_of_bytes(counts);
    }}
    return sum;
}}
"""

_POOL = """
/* The {largest} number under the window at one place of the image, in channel c; outside never wins. */
static {type} {name}(const window *v, const {type} *x, int32_t row, int32_t column, int32_t c)
{{
    {type} best = 0;
    int32_t found = 0;
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++) {{
            const int32_t at = pixel(v, row, column, ky, kx);
            if (at < 0)
                continue;
            const {type} number = x[at * v->channels + c];
            if (!found || number {sign} best)
                best = number;
            found = 1;
        }}
    return best;
}}
"""

_SUM = """
/* The sum under the window at one place of the image, in channel c; outside counts 0. */
static {made} {name}(const window *v, const {type} *x, int32_t row, int32_t column, int32_t c{more})
{{
    {made} sum = 0;
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++) {{
            const int32_t at = pixel(v, row, column, ky, kx);
            if (at >= 0)
                sum += {number};
        }}
    return sum;
}}
"""

_GATHER = """
/* The part of an image of {what} under a window, as {made}. {outside} */
static void {name}(const window *v, const {type} *x, int32_t row, int32_t column, int32_t group,
    {made_type} *patch, {made_type} fill{more})
{{
    int32_t k = 0;
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++) {{
            const int32_t at = pixel(v, row, column, ky, kx);
            const int32_t first = at * v->channels + group * v->group_channels;
            for (int32_t c = 0; c < v->group_channels; c++)
                patch[k++] = at < 0 ? fill : {element};
        }}
}}
"""

_REAL_DOT = """
/* The dot product of reals with {what}, added in the order of the depth. */
static float {name}(const float *x, {arguments}, int32_t depth)
{{
    float sum = 0;
    for (int32_t k = 0; k < depth; k++)
        {step}
    return sum;
}}
"""

_TYPES = {"codes": "uint8_t", "i32": "int32_t", "f32": "float"}

# In the order in which they are emitted: each stands behind what it calls.
HELPERS: dict[str, str] = {
    "byte_counts": """
/* Counting bits. byte_counts gives sums that can be added up, 31 of them; sum_of_bytes finishes. With a popcount
 * instruction the first does all; without, each byte of the word counts its own bits. */
#if defined(__POPCNT__) || defined(__aarch64__)
static word byte_counts(word x) { return (word)BUILTIN_POPCOUNT(x); }
static int32_t sum_of_bytes(word x) { return (int32_t)x; }
#else
static word byte_counts(word x)
{
    const word twos = ALL_ONES / 3, fours = ALL_ONES / 5, eights = ALL_ONES / 17; /* 0x55..., 0x33..., 0x0f... */
    x -= (x >> 1) & twos;
    x = (x & fours) + ((x >> 2) & fours);
    return (x + (x >> 4)) & eights;
}
static int32_t sum_of_bytes(word x)
{
    const word sixteens = ALL_ONES / 257; /* 0x00ff... */
    x = (x & sixteens) + ((x >> 8) & sixteens);
    return (int32_t)(x * (ALL_ONES / 65535) >> (WORD - 16)); /* times 0x0001... adds them up in the highest */
}
#endif
""",
    "xor_count": _COUNT.format(
        name="xor_count",
        what="x ^ w: where the digits differ",
        arguments="const word *x, const word *w",
        bits="x[k] ^ w[k]",
    ),
    "xor_count_where": _COUNT.format(
        name="xor_count_where",
        what="x ^ w, at the places that `where` names",
        arguments="const word *x, const word *w, const word *where",
        bits="(x[k] ^ w[k]) & where[k]",
    ),
    "and_count": _COUNT.format(
        name="and_count", what="x & w", arguments="const word *x, const word *w", bits="x[k] & w[k]"
    ),
    "get_bit": """
static int32_t get_bit(const word *x, int32_t i) { return (int32_t)(x[i / WORD] >> (i % WORD) & 1); }
""",
    "set_bit": """
static void set_bit(word *x, int32_t i) { x[i / WORD] |= (word)1 << (i % WORD); }
""",
    "set_bits": """
/* Set `count` bits of x from bit `at` on. */
static void set_bits(word *x, int32_t at, int32_t count)
{
    while (count > 0) {
        const int32_t to = at % WORD, part = count < WORD - to ? count : WORD - to;
        x[at / WORD] |= (ALL_ONES >> (WORD - part)) << to;
        at += part;
        count -= part;
    }
}
""",
    "copy_bits": """
/* Copy `count` bits of x from bit `from` on to y, where they begin at bit `at`. y is 0 there. */
static void copy_bits(word *y, int32_t at, const word *x, int32_t from, int32_t count)
{
    while (count > 0) {
        const int32_t to = at % WORD, shift = from % WORD;
        const int32_t part = count < WORD - to ? count : WORD - to; /* up to the end of a word of y */
        word bits = x[from / WORD] >> shift;
        if (shift && shift + part > WORD)
            bits |= x[from / WORD + 1] << (WORD - shift);
        y[at / WORD] |= (bits & (ALL_ONES >> (WORD - part))) << to;
        at += part;
        from += part;
        count -= part;
    }
}
""",
    "split": """
/* Codes -> binary digits: bit k of plane n is digit n of code k. A plane has `words` words, the first plane first. */
static void split(const uint8_t *codes, int32_t count, int32_t planes, word *digits, int32_t words)
{
    for (int32_t n = 0; n < planes; n++)
        for (int32_t j = 0; j < words; j++) {
            const int32_t left = count - j * WORD, end = left < WORD ? left : WORD;
            word bits = 0;
            for (int32_t k = 0; k < end; k++)
                bits |= (word)(codes[j * WORD + k] >> n & 1) << k;
            digits[n * words + j] = bits;
        }
}
""",
    "window": """
/* A window that slides over an image of height x width pixels. A product sees the channels of one group at a time. */
typedef struct {
    int32_t height, width, channels, group_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_down, stride_right;
    int32_t dilation_down, dilation_right;
    int32_t top, left; /* padding */
} window;
""",
    "pixel": """
/* The pixel under place (ky, kx) of the window that makes (row, column); -1 if it is outside the image. */
static int32_t pixel(const window *v, int32_t row, int32_t column, int32_t ky, int32_t kx)
{
    const int32_t y = row * v->stride_down + ky * v->dilation_down - v->top;
    const int32_t x = column * v->stride_right + kx * v->dilation_right - v->left;
    return y < 0 || y >= v->height || x < 0 || x >= v->width ? -1 : y * v->width + x;
}
""",
    "gather_bits": """
/* The bits of an image under a window: whole words, the tail 0. Places outside the image are 0. */
static void gather_bits(const window *v, const word *x, int32_t row, int32_t column, int32_t group, word *patch)
{
    const int32_t depth = v->kernel_height * v->kernel_width * v->group_channels;
    int32_t to = 0;
    memset(patch, 0, (size_t)((depth + WORD - 1) / WORD) * sizeof *patch);
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++, to += v->group_channels) {
            const int32_t at = pixel(v, row, column, ky, kx);
            if (at >= 0)
                copy_bits(patch, to, x, at * v->channels + group * v->group_channels, v->group_channels);
        }
}
""",
    "gather_outside": """
/* Set the bits of `mask` that are outside the image; returns how many. */
static int32_t gather_outside(const window *v, int32_t row, int32_t column, word *mask)
{
    int32_t to = 0, count = 0;
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++, to += v->group_channels)
            if (pixel(v, row, column, ky, kx) < 0) {
                set_bits(mask, to, v->group_channels);
                count += v->group_channels;
            }
    return count;
}
""",
    "gather_inside": """
/* The bits of `mask` that are inside the image are set, the others 0; returns how many. */
static int32_t gather_inside(const window *v, int32_t row, int32_t column, word *mask)
{
    const int32_t depth = v->kernel_height * v->kernel_width * v->group_channels;
    int32_t to = 0, count = 0;
    memset(mask, 0, (size_t)((depth + WORD - 1) / WORD) * sizeof *mask);
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++, to += v->group_channels)
            if (pixel(v, row, column, ky, kx) >= 0) {
                set_bits(mask, to, v->group_channels);
                count += v->group_channels;
            }
    return count;
}
""",
    "gather_codes": _GATHER.format(
        name="gather_codes",
        what="codes",
        made="codes",
        outside="Outside lies `fill`.",
        type="uint8_t",
        made_type="uint8_t",
        more="",
        element="x[first + c]",
    ),
    "gather_f32": _GATHER.format(
        name="gather_f32",
        what="reals",
        made="reals",
        outside="Outside lies `fill`.",
        type="float",
        made_type="float",
        more="",
        element="x[first + c]",
    ),
    "gather_f32_of_codes": _GATHER.format(
        name="gather_f32_of_codes",
        what="codes",
        made="the numbers low + step * code",
        outside="Outside lies `fill`.",
        type="uint8_t",
        made_type="float",
        more=", int32_t low, int32_t step",
        element="(float)(low + step * x[first + c])",
    ),
    "gather_f32_of_bits": _GATHER.format(
        name="gather_f32_of_bits",
        what="bits",
        made="the numbers +1 and -1",
        outside="Outside lies `fill`.",
        type="word",
        made_type="float",
        more="",
        element="(float)(2 * get_bit(x, first + c) - 1)",
    ),
    "real_dot_b1": _REAL_DOT.format(
        name="real_dot_b1",
        what="weights of +1 and -1",
        arguments="const word *w",
        step="sum += get_bit(w, k) ? x[k] : -x[k];",
    ),
    "real_dot_t2": _REAL_DOT.format(
        name="real_dot_t2",
        what="weights of -1, 0 and +1: plane 0 is not 0, plane 1 is +1",
        arguments="const word *w, const word *plus",
        step="sum += !get_bit(w, k) ? 0.0f : get_bit(plus, k) ? x[k] : -x[k];",
    ),
    "real_dot_i8": _REAL_DOT.format(
        name="real_dot_i8", what="small integers", arguments="const int8_t *w", step="sum += x[k] * (float)w[k];"
    ),
    "real_dot_f32": _REAL_DOT.format(
        name="real_dot_f32", what="reals", arguments="const float *w", step="sum += x[k] * w[k];"
    ),
    **{
        f"{side}_{kind}": _POOL.format(name=f"{side}_{kind}", type=kind_type, largest=word, sign=sign)
        for kind, kind_type in _TYPES.items()
        for side, word, sign in (("largest", "largest", ">"), ("smallest", "smallest", "<"))
    },
    "pool_bits": """
/* OR and AND of all pixels' bits under a window, each of `words` words; outside counts for neither. */
static void pool_bits(const window *v, const word *x, int32_t row, int32_t column, word *any, word *all, int32_t words)
{
    memset(any, 0, (size_t)words * sizeof *any);
    memset(all, 0xff, (size_t)words * sizeof *all);
    for (int32_t ky = 0; ky < v->kernel_height; ky++)
        for (int32_t kx = 0; kx < v->kernel_width; kx++) {
            const int32_t at = pixel(v, row, column, ky, kx);
            for (int32_t k = 0; at >= 0 && k < words; k++) {
                const int32_t left = v->channels - k * WORD;
                word bits = 0;
                copy_bits(&bits, 0, x, at * v->channels + k * WORD, left < WORD ? left : WORD);
                any[k] |= bits;
                all[k] &= bits;
            }
        }
}
""",
    "sum_i32": _SUM.format(name="sum_i32", type="int32_t", made="int32_t", more="", number="x[at * v->channels + c]"),
    "sum_f32": _SUM.format(name="sum_f32", type="float", made="float", more="", number="x[at * v->channels + c]"),
    "sum_bits": _SUM.format(
        name="sum_bits", type="word", made="int32_t", more="", number="2 * get_bit(x, at * v->channels + c) - 1"
    ),
    "sum_codes": _SUM.format(
        name="sum_codes",
        type="uint8_t",
        made="int32_t",
        more=", int32_t low, int32_t step",
        number="low + step * x[at * v->channels + c]",
    ),
    "multiply": """
/* x * y, rounded to float before anything is added to it: volatile keeps the compiler from fusing the two. */
static float multiply(float x, float y)
{
    const volatile float product = x * y;
    return product;
}
""",
}


def chosen(text: str) -> str:
    """The helpers that a text calls, and those that they call, in order."""
    needed: set[str] = set()
    waiting = [text]
    while waiting:
        found = {name for name in re.findall(r"\b[a-z]\w*\b", waiting.pop()) if name in HELPERS} - needed
        needed |= found
        waiting += [HELPERS[name] for name in found]
    return "".join(body for name, body in HELPERS.items() if name in needed)
