/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every other part of the library uses: errors, allocator, arena, strings,
 * threads, floating-point environment. Private; cross-file names begin with qzi_.
 */
#ifndef QZOO_LAYERS_BASE_BASE_H
#define QZOO_LAYERS_BASE_BASE_H

#include "layers/qzoo_base.h"

#include <float.h>
#include <stdarg.h>

/* CONTRACT.md: every operation on floats is one IEEE binary32 operation. */
_Static_assert(FLT_EVAL_METHOD == 0, "float arithmetic must be done in float");

#define QZI_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define QZI_MIN(a, b) ((a) < (b) ? (a) : (b))
#define QZI_MAX(a, b) ((a) > (b) ? (a) : (b))
#define QZI_ROUND_UP(x, m) ((((x) + (m)-1) / (m)) * (m))
#define QZI_DIV_UP(x, m) (((x) + (m)-1) / (m))

/* Alignment of every buffer that a kernel may see: one cache line, one zmm register. */
#define QZI_ALIGN 64

/* ---- errors (error.c) ---- */

/*
 * Records the message of this thread and returns `status`, so that a failing function reads
 * `return qzi_fail(ctx, QZ_ERR_FORMAT, "%s: truncated; download it again", path);`.
 * ctx may be NULL. The message is one line; control characters in it are replaced, so that names
 * that come from a file cannot break a terminal.
 */
qz_status qzi_fail(const qz_context *ctx, qz_status status, const char *fmt, ...) QZ_PRINTF(3, 4);
/*
 * QZ_ERR_MEMORY with the size, for memory that alloc.c did not refuse. The functions of alloc.c
 * record this message themselves: their callers `return QZ_ERR_MEMORY;`.
 */
qz_status qzi_fail_memory(const qz_context *ctx, size_t bytes);
/* Puts "prefix: " before this thread's message, and returns status unchanged. */
qz_status qzi_fail_prefix(const qz_context *ctx, qz_status status, const char *fmt, ...)
    QZ_PRINTF(3, 4);
void qzi_log(const qz_context *ctx, qz_log_level level, const char *fmt, ...) QZ_PRINTF(3, 4);

/* Runs a call and hands its failure on. */
#define QZI_TRY(call)                      \
    do {                                   \
        qz_status qzi_try_status = (call); \
        if (qzi_try_status != QZ_OK)       \
            return qzi_try_status;         \
    } while (0)
/* The same in a function that stores into `st` and cleans up at `fail`. */
#define QZI_GOTO(st, call) \
    do {                   \
        (st) = (call);     \
        if ((st) != QZ_OK) \
            goto fail;     \
    } while (0)

/* ---- memory (alloc.c) ---- */

/* Aligned to QZI_ALIGN. Size 0 returns a valid pointer. NULL: out of memory, and the message is
 * recorded. */
void *qzi_alloc(const qz_context *ctx, size_t size);
void *qzi_calloc(const qz_context *ctx, size_t count, size_t size); /* zeroed, overflow-checked */
/* Grows or shrinks: new block, copy of min(old, new) bytes, old block freed only on success. */
void *qzi_realloc(const qz_context *ctx, void *ptr, size_t old_size, size_t new_size);
void qzi_free(const qz_context *ctx, void *ptr); /* NULL is fine */
char *qzi_strdup(const qz_context *ctx, const char *text);
char *qzi_format(const qz_context *ctx, const char *fmt, ...) QZ_PRINTF(2, 3); /* allocated */

/* Overflow-checked size arithmetic: false on overflow, *out untouched. */
bool qzi_mul_size(size_t a, size_t b, size_t *out);
bool qzi_add_size(size_t a, size_t b, size_t *out);

/*
 * Makes room for one more element in an array that doubles. `items` is the address of the array
 * pointer; returns QZ_ERR_MEMORY with the array unchanged.
 */
qz_status qzi_grow(const qz_context *ctx, void *items, size_t *capacity, size_t count,
                   size_t item_size);

/* QZ_ERR_CANCELLED where the caller has cancelled the context's work (context.c). */
qz_status qzi_check_cancelled(const qz_context *ctx);

/* ---- arena (arena.c): many small pieces, freed together ---- */

typedef struct qzi_arena {
    const qz_context *ctx;
    struct qzi_arena_block *head;
} qzi_arena;
void qzi_arena_init(qzi_arena *arena, const qz_context *ctx);
void *qzi_arena_alloc(qzi_arena *arena, size_t size); /* zeroed, 16-byte aligned; NULL: no memory */
char *qzi_arena_strdup(qzi_arena *arena, const char *text);
void qzi_arena_free(qzi_arena *arena); /* everything; the arena may be used again */

/* ---- threads (threads.c) ---- */

/*
 * Runs lead(arg) on the calling thread, with up to `threads` threads of the context's pool. These
 * stay awake until lead returns, so that its parallel regions begin at once. For runs of many
 * regions; a single region needs no team. Calls from several threads are served one after the
 * other. A call inside another call, or inside a region, gets no threads of its own.
 */
typedef void (*qzi_lead_fn)(void *arg);
void qzi_team_run(const qz_context *ctx, uint32_t threads, qzi_lead_fn lead, void *arg);

/*
 * A region: fn(arg, begin, end, thread) does units [begin, end) of the work. `thread` is below the
 * requested number of threads, and no two calls with one thread number run at once, so it may index
 * scratch. The floating-point environment is set (and restored) around fn. Results must not depend
 * on how units are split. In a team its threads do the work, otherwise those of the context's pool.
 *
 * threads 1 runs on the calling thread. grain: the least number of units worth another thread.
 */
typedef void (*qzi_task_fn)(void *arg, int64_t begin, int64_t end, uint32_t thread);
void qzi_parallel(const qz_context *ctx, uint32_t threads, int64_t units, int64_t grain,
                  qzi_task_fn fn, void *arg);

/* A mutex and a once, so that no other file includes pthread.h. */
typedef struct qzi_mutex qzi_mutex;
qzi_mutex *qzi_mutex_create(const qz_context *ctx);
void qzi_mutex_destroy(const qz_context *ctx, qzi_mutex *mutex);
void qzi_mutex_lock(qzi_mutex *mutex);
void qzi_mutex_unlock(qzi_mutex *mutex);

/* ---- floating-point environment (fpenv.c) ---- */

/* Round to nearest even, no flush to zero, no denormals-are-zero, exceptions masked. */
typedef struct qzi_fpenv {
    uint64_t saved;
} qzi_fpenv;
qzi_fpenv qzi_fpenv_enter(void);
void qzi_fpenv_leave(qzi_fpenv env);

/* ---- deterministic math (math.c) ---- */
/*
 * The same bits on every machine: double, + - * / and explicit fma only (libm differs between
 * machines). Relative error below 1e-14 where the result is normal. sqrt is IEEE's and needs none.
 */
double qzi_math_exp(double x);
double qzi_math_tanh(double x);
double qzi_math_erf(double x);
double qzi_math_log(double x);
double qzi_math_log2(double x);
float qzi_rsqrtf(float x); /* 1 / sqrt(x), two correctly rounded float operations, as torch */

/* Round half to even without the rounding mode of the moment; |x| < 2^51. */
double qzi_rne(double x);
float qzi_rnef(float x);

/* ---- options (options.c) ---- */

/*
 * Copies a caller's options struct into `full`, which has `size` bytes and begins with a size_t as
 * all options structs do. An application that was built with an older header has a shorter struct:
 * fields beyond its size are 0, the default. given NULL: all defaults. QZ_ERR_ARGUMENT where the
 * size is impossible; `name` is the struct's, as in "qz_model_options".
 */
qz_status qzi_options_take(const qz_context *ctx, const void *given, void *full, size_t size,
                           const char *name);

/* ---- small things ---- */

/* Length of the UTF-8 sequence at s (s ends with 0) if a terminal may show it: it is no control
 * character and no mark that changes the direction of text. 0: there is none. */
size_t qzi_printable_length(const unsigned char *s);
bool qzi_ends_with(const char *text, const char *end);
/* Length of the well-formed UTF-8 sequence at `p`, of `left` bytes; 0 where there is none. */
size_t qzi_utf8_sequence(const uint8_t *p, size_t left);
/* The inverse of qz_text_escape, in place. What it never writes stays as it is. */
void qzi_text_unescape(char *text);
/* qz_text_escape into the arena; NULL when out of memory. */
char *qzi_arena_escape(qzi_arena *arena, const char *text);

/* Whether no value is NaN or infinite. */
bool qzi_all_finite(const float *values, size_t count);

uint64_t qzi_fnv1a(const void *data, size_t size, uint64_t seed); /* seed: QZI_FNV_OFFSET first */
/* The same of `count` numbers of `size` bytes as a little-endian machine holds them: a fingerprint
 * that is the same everywhere. */
uint64_t qzi_fnv1a_numbers(const void *data, size_t count, size_t size, uint64_t seed);
#define QZI_FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define QZI_FNV_PRIME UINT64_C(0x100000001b3)

/* Monotonic clock in seconds. */
double qzi_now(void);

#endif
