/* SPDX-License-Identifier: MIT */
/*
 * qzoo_base.h - status codes, the context, tensors.
 *
 * Everything in the library reports failure as a qz_status; the text that says what to do is
 * qz_context_message(). The library never prints, aborts or exits.
 */
#ifndef QZOO_BASE_H
#define QZOO_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QZ_VERSION_STRING "0.1.0"
#define QZ_VERSION_MAJOR 0
#define QZ_VERSION_MINOR 1
#define QZ_VERSION_PATCH 0
/* A number that grows with versions, for #if: 1002003 is 1.2.3. */
#define QZ_VERSION_NUMBER (QZ_VERSION_MAJOR * 1000000 + QZ_VERSION_MINOR * 1000 + QZ_VERSION_PATCH)

/* An options struct of which all is zero (the default) but its own size: what the QZ_…_OPTIONS_INIT
 * of each struct is, in C and in C++. */
#ifdef __cplusplus
#define QZ_OPTIONS_INIT(type)     \
    ([] {                         \
        type init = {};           \
        init.size = sizeof(type); \
        return init;              \
    }())
#else
#define QZ_OPTIONS_INIT(type) \
    {                         \
        .size = sizeof(type)  \
    }
#endif

#if defined(__GNUC__)
#define QZ_API __attribute__((visibility("default")))
#define QZ_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define QZ_API
#define QZ_PRINTF(fmt, first)
#endif

/* Codes are stable: numbers are never reused. */
#define QZ_STATUS_MAP(X)                                                 \
    X(OK, 0, "success")                                                  \
    X(ERR_ARGUMENT, 1, "invalid argument or option")                     \
    X(ERR_MEMORY, 2, "out of memory")                                    \
    X(ERR_IO, 3, "a file or folder cannot be read or written")           \
    X(ERR_FORMAT, 4, "a file is damaged or of an unknown format")        \
    X(ERR_MISMATCH, 5, "a file does not fit the model")                  \
    X(ERR_UNKNOWN_NAME, 6, "unknown model, node, option or tag")         \
    X(ERR_UNSUPPORTED, 7, "not supported here, yet, or by this CPU")     \
    X(ERR_NUMERIC, 8, "NaN or infinity where finite numbers are needed") \
    X(ERR_STATE, 9, "called in the wrong order")                         \
    X(ERR_NETWORK, 10, "the network failed")                             \
    X(ERR_CHECKSUM, 11, "a checksum does not match")                     \
    X(ERR_CANCELLED, 12, "cancelled by the caller")                      \
    X(ERR_INTERNAL, 13, "internal error: please report it")              \
    X(ERR_WRITE, 14, "a file cannot be written: the disk is full, or writing failed")

/* What a call reports: QZ_OK, or why it failed. qz_context_message() has the details. */
typedef enum qz_status {
#define QZ_STATUS_ENUM(name, number, text) QZ_##name = number,
    QZ_STATUS_MAP(QZ_STATUS_ENUM)
#undef QZ_STATUS_ENUM
} qz_status;

/* "QZ_ERR_IO", …; never NULL. */
QZ_API const char *qz_status_name(qz_status status);
/* What it means in general ("out of memory"); never NULL. */
QZ_API const char *qz_status_text(qz_status status);

/* Version of the library that runs (QZ_VERSION_STRING is that of the header). */
QZ_API const char *qz_version(void);
/* The same as a number, to compare with QZ_VERSION_NUMBER. */
QZ_API uint32_t qz_version_number(void);

/*
 * Instruction-set bundles. Within one CPU family they are ordered: a ceiling of QZ_ISA_AVX2 allows
 * REF and AVX2. AUTO is the best that the CPU has. AVXVNNI (256-bit VEX) and AVX512 (F, BW, DQ, VL
 * without VNNI) are both above AVX2, but neither contains the other: a ceiling of AVX512 does not
 * use AVX-VNNI.
 */
typedef enum qz_isa {
    QZ_ISA_AUTO = 0,
    QZ_ISA_REF,
    QZ_ISA_AVX2,       /* AVX2 + FMA */
    QZ_ISA_AVXVNNI,    /* AVX2 + FMA + AVX-VNNI */
    QZ_ISA_AVX512,     /* AVX-512 F, BW, DQ, VL */
    QZ_ISA_AVX512VNNI, /* AVX512 + AVX512-VNNI */
    QZ_ISA_AMX,        /* AVX512VNNI + AMX-TILE + AMX-INT8 */
    QZ_ISA_NEON,
    QZ_ISA_DOTPROD,
    QZ_ISA_I8MM,
    QZ_ISA_COUNT
} qz_isa;

/* "ref", "avx2", …; "auto" for AUTO; NULL when out of range. */
QZ_API const char *qz_isa_name(qz_isa isa);
/* The inverse; false for an unknown word. */
QZ_API bool qz_isa_parse(const char *name, qz_isa *isa);
/* Whether this CPU (and its operating system, and this build of the library) runs the bundle; REF
 * and AUTO always. */
QZ_API bool qz_isa_available(qz_isa isa);
/* The best of the bundles that are available. */
QZ_API qz_isa qz_isa_best(void);

/*
 * Replaceable allocator. alloc returns memory aligned to `align` (a power of two, at least
 * sizeof(void *)) or NULL; free receives a pointer that alloc returned, never NULL. Both are called
 * from any thread that uses the context.
 */
typedef struct qz_allocator {
    void *(*alloc)(void *user, size_t size, size_t align);
    void (*free)(void *user, void *ptr);
    void *user;
} qz_allocator;

/* How important a line of the log is. */
typedef enum qz_log_level { QZ_LOG_DEBUG, QZ_LOG_INFO, QZ_LOG_WARNING } qz_log_level;
/* Receives one line without its newline. Called from any thread that uses the context, also from
 * several at once. */
typedef void (*qz_log_fn)(void *user, qz_log_level level, const char *message);

/* How a context is made. Begin with QZ_CONTEXT_OPTIONS_INIT: zero is the default everywhere. */
typedef struct qz_context_options {
    size_t size;                   /* sizeof(qz_context_options) */
    const qz_allocator *allocator; /* NULL: the C library's; copied */
    qz_log_fn log;                 /* NULL: silence */
    void *log_user;
    qz_isa isa; /* ceiling; AUTO: what the CPU has */
    /* of a run; 0: physical cores. More than there are CPUs: a warning. After runs that follow one
     * another within 2 ms the threads stay awake for 2 ms; otherwise they sleep at once. */
    uint32_t threads;
    void *threadpool;      /* a pthreadpool_t that remains the caller's; NULL: own pool */
    const char *cache_dir; /* NULL: $QZOO_HOME, else $XDG_CACHE_HOME/qzoo, else ~/.cache/qzoo */
} qz_context_options;
#define QZ_CONTEXT_OPTIONS_INIT QZ_OPTIONS_INIT(qz_context_options)

/* What everything else is created from: allocator, log, threads, instruction sets. */
typedef struct qz_context qz_context;

/*
 * Creates a context. `options` may be NULL. Errors: QZ_ERR_ARGUMENT, QZ_ERR_MEMORY,
 * QZ_ERR_UNSUPPORTED (an ISA that this CPU lacks). A context may be used by several threads at
 * once; it must outlive everything created from it.
 */
QZ_API qz_status qz_context_create(const qz_context_options *options, qz_context **context);
QZ_API void qz_context_destroy(qz_context *context); /* NULL is fine */

/*
 * One line that says what the last failing call of *this thread* found and what to do; "" before
 * the first failure. Valid until the next call of the library on this thread.
 */
QZ_API const char *qz_context_message(const qz_context *context);

/*
 * Cancels (true) what runs with this context, on all threads, or allows work again (false). Each
 * call that takes long looks at this between two nodes of a network, two tensors of a file or two
 * pieces of a download, and returns QZ_ERR_CANCELLED: run, calibrate, sqnr, convert, load, save,
 * export, fetch. Until the context is allowed to work again, such calls return at once. Models and
 * sessions stay usable; a calibration that was cut short has seen part of an image. May be called
 * from a signal handler and from any thread.
 */
QZ_API void qz_context_cancel(qz_context *context, bool cancel);

/* The ceiling of instruction sets, never AUTO. */
QZ_API qz_isa qz_context_isa(const qz_context *context);
/* Number of threads of a run by default, at least 1: as many as the system grants. Where that is
 * fewer than the options ask for, one warning says so. */
QZ_API uint32_t qz_context_threads(const qz_context *context);
QZ_API const char *qz_context_cache_dir(const qz_context *context); /* NULL where none is known */

/* ---- text ---- */

/* Whether the text is well-formed UTF-8. */
QZ_API bool qz_text_is_utf8(const char *text);
/*
 * A text of any bytes, such as a file's name, as UTF-8: a byte that is not UTF-8 becomes four
 * characters like \\xe9, and a backslash becomes two, so that two texts never become the
 * same. Saved models and ONNX metadata keep texts so. Writes at most `size` bytes, with the NUL;
 * returns the length of the whole, without it. `out` may be NULL where `size` is 0.
 */
QZ_API size_t qz_text_escape(const char *text, char *out, size_t size);
/*
 * A text as a terminal may show it, such as a key of a file that nobody trusts: control characters,
 * marks that change the direction of text and bytes that are not UTF-8 become four characters like
 * \\x1b for each byte. Nothing else changes. Arguments and result as of qz_text_escape.
 */
QZ_API size_t qz_text_printable(const char *text, char *out, size_t size);

/*
 * Bytes of memory that this process may still take: the least of what the system has free (with
 * swap), what the limits of its control groups leave, and what its address space may grow by.
 * UINT64_MAX where nothing is known. The library refuses larger blocks, where it has them from the
 * C library, before it asks for them.
 */
QZ_API uint64_t qz_memory_available(void);

/* ---- tensors ---- */

/* Types of elements. Bool is one byte, 0 or 1. */
typedef enum qz_dtype {
    QZ_F32 = 0,
    QZ_U8,
    QZ_S8,
    QZ_S32,
    QZ_S64,
    QZ_F16,
    QZ_BF16,
    QZ_F64,
    QZ_S16,
    QZ_BOOL,
    QZ_DTYPE_COUNT
} qz_dtype;

QZ_API const char *qz_dtype_name(qz_dtype dtype); /* "float32", "uint8", …; NULL when unknown */
QZ_API size_t qz_dtype_size(qz_dtype dtype);      /* bytes of an element; 0 when unknown */

#define QZ_MAX_DIMS 8

/* A dense row-major tensor: a view, it owns nothing. ndim 0 is a scalar (one element). */
typedef struct qz_tensor {
    qz_dtype dtype;
    int32_t ndim;
    int64_t dims[QZ_MAX_DIMS];
    void *data;
} qz_tensor;

/* Number of elements; -1 when a dimension is negative or the product overflows int64. */
QZ_API int64_t qz_tensor_numel(const qz_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
