/* SPDX-License-Identifier: MIT */
/* peak.c - measures the ceiling, and tells which kernels a bundle takes. */
#include "layers/kernels/peak.h"
#include "layers/base/base.h"
#include "layers/kernels/kernels.h"
#include "layers/qzoo_graph.h"

#include <stdio.h>

/* Scalar loops: what the reference's instructions could do, eight chains of them. */
int64_t qzk_peak_f32__ref(int64_t rounds)
{
    volatile float seed = 0.0f;
    float acc[8] = {0}, a = seed, b = seed;
    for (int64_t r = 0; r < rounds; r++) {
        for (int i = 0; i < 8; i++)
            acc[i] += a * b;
        seed = acc[0];
    }
    return rounds * 8;
}

int64_t qzk_peak_u8s8__ref(int64_t rounds)
{
    volatile int32_t seed = 0;
    int32_t acc[8] = {0}, a = seed, b = seed;
    for (int64_t r = 0; r < rounds; r++) {
        for (int i = 0; i < 8; i++)
            acc[i] += a * b;
        seed = acc[0];
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

size_t qz_kernel_rows(const qz_context *context, qz_isa isa, qz_kernel_row *rows, size_t capacity)
{
    static const struct {
        const char *what;
        qzk_conv_shape shape;
    } cases[] = {
        /* ic, oc, groups, kh, kw, stride, pad, dilation */
        {"conv2d 1x1", {256, 64, 1, 1, 1, 1, 1, 0, 0, 1, 1}},
        {"conv2d 3x3", {64, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1}},
        {"conv2d 7x7/2, 3 channels", {3, 64, 1, 7, 7, 2, 2, 3, 3, 1, 1}},
        {"conv2d 3x3, groups of 4", {128, 128, 32, 3, 3, 1, 1, 1, 1, 1, 1}},
        {"conv2d 3x3, depthwise", {96, 96, 96, 3, 3, 1, 1, 1, 1, 1, 1}},
        {"linear", {2048, 1000, 1, 1, 1, 1, 1, 0, 0, 1, 1}},
    };
    static const qzk_conv_shape winograd = {64, 64, 1, 3, 3, 1, 1, 1, 1, 1, 1};
    qz_kernels kernels;
    size_t count = 0;
    qzk_init(&kernels, isa == QZ_ISA_AUTO ? qz_context_isa(context) : isa);
    for (int int8 = 0; int8 < 2; int8++) {
        for (size_t i = 0; i < QZI_ARRAY_LEN(cases); i++, count++) {
            if (count >= capacity)
                continue;
            const qzk_conv_kernel *k =
                qzk_conv_choose(int8 ? kernels.u8s8_conv : kernels.f32_conv, &cases[i].shape);
            rows[count] = (qz_kernel_row){cases[i].what, int8 ? "int8" : "fp32", k->name,
                                          qz_isa_name(k->isa)};
        }
    }
    if (count < capacity) {
        const qzk_conv_kernel *k = qzk_conv_choose(kernels.f32_winograd, &winograd);
        rows[count] = (qz_kernel_row){"conv2d 3x3, Winograd", "fp32", k->name, qz_isa_name(k->isa)};
    }
    return count + 1;
}
