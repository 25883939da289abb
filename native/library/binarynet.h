/* binarynet: run a .bnn model from C.
 *
 *     bnn_model* model;
 *     if (bnn_load("mnist-small.bnn", NULL, &model)) { fprintf(stderr, "%s\n", bnn_error()); return 2; }
 *     const bnn_value* out = bnn_outputs(model);               // 10 numbers, float
 *     float logits[10];
 *     bnn_run(model, image, 1, logits);                        // image: 784 bytes
 *     bnn_free(model);
 *
 * Every function may be called from any thread; any number of threads may run one model at once, and get the
 * same answers. Nothing is printed, no signal is sent, no C++ exception comes out. docs/embed.md says more.
 */
#ifndef BINARYNET_H
#define BINARYNET_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define BNN_API __attribute__((visibility("default")))
#else
#define BNN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What became of a call. 1 to 9 are the kinds of error of docs/format.md. */
typedef enum bnn_status {
    BNN_OK = 0,
    BNN_FILE = 1,         /* cannot be read, or is not the file that is meant */
    BNN_SAFETENSORS = 2,  /* not a safetensors file, not whole, or none of binarynet */
    BNN_JSON = 3,         /* the graph is not JSON */
    BNN_VERSION = 4,      /* of a format that this release does not read */
    BNN_CHECKSUM = 5,     /* damaged or edited */
    BNN_FIELDS = 6,       /* an op is unknown, or has other fields or types than it needs */
    BNN_TENSORS = 7,      /* a tensor is missing, left over, or not what its op needs */
    BNN_RULES = 8,        /* the ops do not make a network */
    BNN_LIMITS = 9,       /* asks for more than it may */
    BNN_ARGUMENT = 10,    /* a call with something else than it takes */
    BNN_INPUT = 11,       /* an image holds what is no code of the model, or a number that is not finite */
    BNN_UNAVAILABLE = 12, /* this CPU or this build has no such instruction set or kernel */
    BNN_MEMORY = 13,      /* not enough of it */
    BNN_INTERNAL = 14     /* a fault of this library */
} bnn_status;

/* How to load. Begin with BNN_OPTIONS, so that a program goes on working with a later library that has more.
 */
typedef struct bnn_options {
    size_t size;        /* sizeof(bnn_options) */
    const char* isa;    /* an instruction set, as bnn_isas lists them; NULL: BINARYNET_ISA, else the best */
    const char* kernel; /* what every product must run on (docs/kernels.md); NULL: the cheapest of each */
    int threads;        /* that one call of bnn_run may use; 0: BINARYNET_NUM_THREADS, else the CPUs */
    const char* sha256; /* 64 hexadecimal digits: the one file that is meant; NULL: any */
    /* The most that the file may ask for; 0: BINARYNET_LIMITS, else the defaults of docs/format.md. */
    uint64_t most_ops, most_values, most_macs, most_memory;
    /* The op whose value is the answer, by name: what a layer inside sees. NULL: as the file says. */
    const char* output;
} bnn_options;
#define BNN_OPTIONS {sizeof(bnn_options), NULL, NULL, 0, NULL, 0, 0, 0, 0, NULL}

typedef struct bnn_model bnn_model;

typedef enum bnn_type { BNN_UINT8 = 0, BNN_INT32 = 1, BNN_FLOAT32 = 2 } bnn_type;

/* What one image is, or one answer. Owned by the model; later releases may append to it. */
typedef struct bnn_value {
    bnn_type type;
    const char* encoding; /* "b8": raw bytes; "b1": 0 and 1; "u4": 0 to 15; "f32"; "i32" … (docs/format.md) */
    size_t rank;          /* 1: features; 3: height, width, channels */
    size_t shape[3];      /* outermost first; 1 behind the last */
    size_t numbers;       /* of one image: the product of the shape */
    size_t bytes;         /* of one image */
    int32_t highest;      /* the largest byte that is a code; 0 where the type is another */
} bnn_value;

/* Reads and checks a file. On success *model is to be given to bnn_free; else it is NULL.
 * options: NULL for the defaults. */
BNN_API bnn_status bnn_load(const char* path, const bnn_options* options, bnn_model** model);
/* The same from memory, which is not needed any more afterwards. */
BNN_API bnn_status bnn_load_bytes(const void* bytes, size_t count, const bnn_options* options,
                                  bnn_model** model);
/* NULL is allowed. No thread may still run the model. */
BNN_API void bnn_free(bnn_model* model);

BNN_API const bnn_value* bnn_inputs(const bnn_model* model);
BNN_API const bnn_value* bnn_outputs(const bnn_model* model);
/* A file may have several answers, which stand one behind the other in what bnn_run writes. How many there
 * are (1 in most files), and the name and value of each; NULL behind the last. The first is what bnn_classify
 * reads. */
BNN_API size_t bnn_answers(const bnn_model* model);
BNN_API const char* bnn_answer_name(const bnn_model* model, size_t index);
BNN_API const bnn_value* bnn_answer(const bnn_model* model, size_t index);

/* images: count · bnn_inputs()->bytes, one image behind the other, each in the order height, width, channels.
 * answers: room for count · bnn_outputs()->bytes. int32 and float must be aligned to 4 bytes.
 * Where the status is not BNN_OK, what stands in answers means nothing. */
BNN_API bnn_status bnn_run(const bnn_model* model, const void* images, size_t count, void* answers);
/* The class of each image: where its (first) answer is largest, the first of equals. */
BNN_API bnn_status bnn_classify(const bnn_model* model, const void* images, size_t count, size_t* classes);
/* The name of a class, UTF-8, or NULL where the file names none. */
BNN_API const char* bnn_class_name(const bnn_model* model, size_t index);

/* Which instruction set and how many threads a model runs on. */
BNN_API const char* bnn_isa(const bnn_model* model);
BNN_API int bnn_threads(const bnn_model* model);
/* The instruction sets of this CPU, best first; NULL behind the last. */
BNN_API const char* bnn_isas(size_t index);

/* Why the last call of this thread that did not end in BNN_OK failed: one line, UTF-8, "" if none did. */
BNN_API const char* bnn_error(void);
/* "safetensors" for BNN_SAFETENSORS, and so on. */
BNN_API const char* bnn_status_name(bnn_status status);
/* "0.1.0" */
BNN_API const char* bnn_version(void);

#ifdef __cplusplus
}
#endif

#endif
