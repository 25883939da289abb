/* -DPLAIN_WORDS leaves the compiler's vectors aside: 64 images in a word, as any compiler of C99 has it. */
#if defined(__GNUC__) && !defined(PLAIN_WORDS)
#define VECTORS
#endif
#if defined(VECTORS) && defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#define LANES 512
typedef uint64_t reg __attribute__((vector_size(64)));
#define TERNARY(a, b, c, table) ((reg)_mm512_ternarylogic_epi64((__m512i)(a), (__m512i)(b), (__m512i)(c), table))
#define XOR3(a, b, c) TERNARY(a, b, c, 0x96)
#define MAJ(a, b, c) TERNARY(a, b, c, 0xe8)
#define MAJN(a, b, c) TERNARY(a, b, c, 0xd4) /* of a, b and not c */
#elif defined(VECTORS) && defined(__AVX2__)
#define LANES 256
typedef uint64_t reg __attribute__((vector_size(32)));
#elif defined(VECTORS) && (defined(__SSE2__) || defined(__ARM_NEON))
#define LANES 128
typedef uint64_t reg __attribute__((vector_size(16)));
#else
#define LANES 64
typedef uint64_t reg;
#endif
#ifndef XOR3
#define XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define MAJ(a, b, c) (((a) & (b)) | ((c) & ((a) | (b))))
#define MAJN(a, b, c) (((a) & (b)) | (~(c) & ((a) | (b))))
#endif
#define WORDS (LANES / 64)
#define ZEROS ((reg){0})
#define ONES (~ZEROS)
#define SPLAT(bit) ((bit) ? ONES : ZEROS)

#ifdef __GNUC__
#define APART __attribute__((noinline))
#define PREFETCH(address) __builtin_prefetch(address) /* rows lie too far apart for the processor to guess */
#else
#define APART
#define PREFETCH(address) (void)(address)
#endif
