/* SPDX-License-Identifier: MIT */
/* peak.c - measures ceilings of arithmetic and of memory, and lists the kernels that a bundle
 * takes.
 */
#include "layers/kernels/peak.h"
#include "layers/base/base.h"
#include "layers/kernels/kernels.h"
#include "layers/qzoo_cpu.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/*
 * Scalar loops: what the reference's instructions could do, eight chains of them. The compiler must
 * believe that operands are new each time and that results are needed (x86/peak_loop.h).
 */
#if defined(__x86_64__)
#define FLOAT_REG "+x"
#elif defined(__aarch64__)
#define FLOAT_REG "+w"
#else
#define FLOAT_REG "+m"
#endif
#define CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define FLOAT_ZERO(i) float acc##i = 0.0f;
#define FLOAT_STEP(i)                    \
    __asm__ volatile("" : FLOAT_REG(a)); \
    acc##i += a * b;                     \
    __asm__ volatile("" : FLOAT_REG(acc##i));
#define INT_ZERO(i) int32_t acc##i = 0;
#define INT_STEP(i)                 \
    __asm__ volatile("" : "+r"(a)); \
    acc##i += a * b;                \
    __asm__ volatile("" : "+r"(acc##i));

int64_t qzk_peak_f32__ref(int64_t rounds)
{
    float a = 0.0f, b = 0.0f;
    CHAINS(FLOAT_ZERO)
    __asm__ volatile("" : FLOAT_REG(b));
    for (int64_t r = 0; r < rounds; r++) {
        CHAINS(FLOAT_STEP)
    }
    return rounds * 8;
}

int64_t qzk_peak_u8s8__ref(int64_t rounds)
{
    int32_t a = 0, b = 0;
    CHAINS(INT_ZERO)
    __asm__ volatile("" : "+r"(b));
    for (int64_t r = 0; r < rounds; r++) {
        CHAINS(INT_STEP)
    }
    return rounds * 8;
}

static qzk_peak_fn peak_of(qz_isa isa, bool int8)
{
    switch (isa) {
#if defined(QZ_ARCH_X86) && defined(QZ_VECTOR_KERNELS)
    case QZ_ISA_AMX:
        return int8 ? qzk_peak_u8s8__amx : qzk_peak_f32__avx512;
    case QZ_ISA_AVX512VNNI:
        return int8 ? qzk_peak_u8s8__avx512vnni : qzk_peak_f32__avx512;
    case QZ_ISA_AVX512:
        return int8 ? qzk_peak_u8s8__avx512 : qzk_peak_f32__avx512;
    case QZ_ISA_AVXVNNI:
        return int8 ? qzk_peak_u8s8__avxvnni : qzk_peak_f32__avx2;
    case QZ_ISA_AVX2:
        return int8 ? qzk_peak_u8s8__avx2 : qzk_peak_f32__avx2;
#endif
    default:
        return int8 ? qzk_peak_u8s8__ref : qzk_peak_f32__ref;
    }
}

qz_status qz_cpu_peak(const qz_context *context, qz_isa isa, bool int8, double *gmacs_per_s)
{
    if (isa == QZ_ISA_AUTO)
        isa = qz_context_isa(context);
    if (!qz_isa_available(isa))
        return qzi_fail(context, QZ_ERR_UNSUPPORTED, "this CPU or this build does not run %s",
                        qz_isa_name(isa));
    qzk_peak_fn fn = peak_of(isa, int8);
    int64_t rounds = 1000;
    double best = 0.0, elapsed = 0.0;
    /* grow to 2 ms, then take the best of ten: interruptions only ever slow a loop down */
    while (elapsed < 0.002 && rounds < INT64_MAX / 4) {
        double start = qzi_now();
        fn(rounds);
        elapsed = qzi_now() - start;
        rounds *= 2;
    }
    for (int i = 0; i < 10; i++) {
        double start = qzi_now();
        double macs = (double)fn(rounds);
        elapsed = qzi_now() - start;
        best = QZI_MAX(best, macs / elapsed);
    }
    *gmacs_per_s = best * 1e-9;
    return QZ_OK;
}

/* ---- memory ---- */

/* What a thread reads at a time. */
#define READ_PIECE ((size_t)64 << 10)

uint64_t qzk_read__ref(const void *data, size_t bytes)
{
    const uint64_t *x = data;
    uint64_t sums[8] = {0}, sum = 0;
    for (size_t i = 0; i < bytes / sizeof(*x); i += QZI_ARRAY_LEN(sums)) {
        for (size_t k = 0; k < QZI_ARRAY_LEN(sums); k++)
            sums[k] += x[i + k];
    }
    for (size_t k = 0; k < QZI_ARRAY_LEN(sums); k++)
        sum += sums[k];
    return sum;
}

static qzk_read_fn read_of(qz_isa isa)
{
    switch (isa) {
#if defined(QZ_ARCH_X86) && defined(QZ_VECTOR_KERNELS)
    case QZ_ISA_AMX:
    case QZ_ISA_AVX512VNNI:
    case QZ_ISA_AVX512:
        return qzk_read__avx512;
    case QZ_ISA_AVXVNNI:
    case QZ_ISA_AVX2:
        return qzk_read__avx2;
#endif
    default:
        return qzk_read__ref;
    }
}

typedef struct read_task {
    const qz_context *ctx;
    uint32_t threads;
    qzk_read_fn fn;
    const char *data;
    int64_t pieces;
    double least;          /* seconds of a pass */
    _Atomic uint64_t sink; /* keeps the reads alive */
} read_task;

static void read_pieces(void *arg, int64_t begin, int64_t end, uint32_t thread)
{
    read_task *task = arg;
    (void)thread;
    task->sink +=
        task->fn(task->data + (size_t)begin * READ_PIECE, (size_t)(end - begin) * READ_PIECE);
}

/* The best of 50 ms, but of 8 passes at least: interruptions only ever slow a loop down. */
static void read_passes(void *arg)
{
    read_task *task = arg;
    double total = 0.0;
    for (int i = 0; i < 8 || total < 0.050; i++) {
        double start = qzi_now();
        qzi_parallel(task->ctx, task->threads, task->pieces, 1, read_pieces, task);
        double elapsed = qzi_now() - start;
        task->least = QZI_MIN(task->least, elapsed);
        total += elapsed;
    }
}

qz_status qz_cpu_read_rate(const qz_context *context, size_t bytes, uint32_t threads,
                           double *gb_per_s)
{
    const int64_t pieces = (int64_t)QZI_MAX(bytes / READ_PIECE, (size_t)1);
    const size_t size = (size_t)pieces * READ_PIECE;
    char *data = qzi_alloc(context, size);
    if (!data)
        return QZ_ERR_MEMORY;
    memset(data, 1, size); /* pages of its own, and into the caches */
    read_task task = {
        .ctx = context,
        .threads = 1,
        .fn = read_of(context ? qz_context_isa(context) : qz_isa_best()),
        .data = data,
        .pieces = pieces,
        .least = INFINITY,
    };
    if (context)
        task.threads = threads != 0 ? threads : qz_context_threads(context);
    qzi_team_run(context, task.threads, read_passes, &task);
    qzi_free(context, data);
    *gb_per_s = (double)size / QZI_MAX(task.least, 1e-9) * 1e-9;
    return QZ_OK;
}

/* ---- choice ---- */

size_t qz_kernel_rows(const qz_context *context, qz_isa isa, qz_kernel_row *rows, size_t capacity)
{
    static const struct {
        const char *what;
        qzk_conv_shape shape;
    } cases[] = {
        /* ic, oc, groups, kh, kw, stride, pad, dilation */
        {"conv2d 1x1", {256, 64, 1, 1, 1, 1, 1, 0, 0, 1, 1, false}},
        {"conv2d 3x3", {64, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1, false}},
        {"conv2d 7x7/2, 3 channels", {3, 64, 1, 7, 7, 2, 2, 3, 3, 1, 1, false}},
        {"conv2d 3x3, groups of 4", {128, 128, 32, 3, 3, 1, 1, 1, 1, 1, 1, false}},
        {"conv2d 3x3, depthwise", {96, 96, 96, 3, 3, 1, 1, 1, 1, 1, 1, false}},
        {"linear", {2048, 1000, 1, 1, 1, 1, 1, 0, 0, 1, 1, false}},
    };
    static const qzk_conv_shape winograd = {64, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1, false};
    qzk_kernels kernels;
    size_t count = 0;
    qzk_init(&kernels, isa == QZ_ISA_AUTO ? qz_context_isa(context) : isa);
    for (int int8 = 0; int8 < 2; int8++) {
        for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++, count++) {
            if (count >= capacity)
                continue;
            const qzk_conv_kernel *k = qzk_conv_choose(
                int8 ? QZK_LIST_U8S8_CONV : QZK_LIST_F32_CONV, kernels.isa, &cases[i].shape);
            rows[count] = (qz_kernel_row){cases[i].what, int8 ? "int8" : "fp32", k->name,
                                          qz_isa_name(k->isa)};
        }
    }
    if (count < capacity) {
        const qzk_conv_kernel *k = qzk_conv_choose(QZK_LIST_F32_WINOGRAD, kernels.isa, &winograd);
        rows[count] = (qz_kernel_row){"conv2d 3x3, Winograd", "fp32", k->name, qz_isa_name(k->isa)};
    }
    return count + 1;
}
