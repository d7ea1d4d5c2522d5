/* SPDX-License-Identifier: MIT */
/*
 * bench_channels.c - convolutions by channel, with their function or residual, beside what they
 * replace: the convolution with one scale, and a table or an addition that follows region by
 * region. One thread, hot caches, medians of interleaved runs.
 *
 *   bench_channels [ISA]
 *
 * Columns, in microseconds: the convolution alone, with its follower, by channel.
 */
#include "../tests/kernels/check_conv.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 101 };

typedef struct bench_case {
    conv_problem problem;
    qz_activation act;
    bool residual;
} bench_case;

#define SHAPE(ic, oc, g, k, s)                               \
    {                                                        \
        ic, oc, g, k, k, s, s, (k) / 2, (k) / 2, 1, 1, false \
    }

static const bench_case cases[] = {
    {{"1x1 16-64 hardswish", SHAPE(16, 64, 1, 1, 1), 1, 56, 56, 56, 56}, QZ_ACT_HARDSWISH, false},
    {{"1x1 40-240 hardswish", SHAPE(40, 240, 1, 1, 1), 1, 28, 28, 28, 28}, QZ_ACT_HARDSWISH, false},
    {{"1x1 64-64 SiLU", SHAPE(64, 64, 1, 1, 1), 1, 80, 80, 80, 80}, QZ_ACT_SILU, false},
    {{"3x3/2 16-32 SiLU", SHAPE(16, 32, 1, 3, 2), 1, 160, 160, 80, 80}, QZ_ACT_SILU, false},
    {{"3x3 64-64 SiLU", SHAPE(64, 64, 1, 3, 1), 1, 40, 40, 40, 40}, QZ_ACT_SILU, false},
    {{"depthwise 3x3 hardswish", SHAPE(240, 240, 240, 3, 1), 1, 28, 28, 28, 28},
     QZ_ACT_HARDSWISH,
     false},
    {{"depthwise 5x5 hardswish", SHAPE(240, 240, 240, 5, 1), 1, 14, 14, 14, 14},
     QZ_ACT_HARDSWISH,
     false},
    {{"1x1 64-256 residual", SHAPE(64, 256, 1, 1, 1), 1, 56, 56, 56, 56}, QZ_ACT_NONE, true},
    {{"1x1 96-24 residual", SHAPE(96, 24, 1, 1, 1), 1, 56, 56, 56, 56}, QZ_ACT_NONE, true},
    {{"1x1 96-96 plain", SHAPE(96, 96, 1, 1, 1), 1, 28, 28, 28, 28}, QZ_ACT_NONE, false},
};

/* What follows a convolution with one scale. */
typedef struct follower {
    const qzk_kernels *kernels;
    qzk_view out, residual;
    uint8_t table[256];
} follower;

static void follow(void *user, qzk_region region)
{
    const follower *f = user;
    const qzk_add_params add = {.a_mult = 0.7f, .b_mult = 0.6f, .hi = 255.0f};
    const int64_t at = region.first * f->out.pixel_stride + region.channel;
    uint8_t *y = (uint8_t *)f->out.data + at;
    const uint8_t *r = f->residual.data ? (const uint8_t *)f->residual.data + at : NULL;
    size_t c = (size_t)region.channels, pixels = (size_t)region.count;
    if (f->out.pixel_stride == (int64_t)c) {
        c *= pixels;
        pixels = 1;
    }
    for (; pixels > 0; pixels--, y += f->out.pixel_stride) {
        if (r) {
            f->kernels->u8_add(y, r, y, c, &add);
            r += f->out.pixel_stride;
        } else {
            f->kernels->u8_lut(y, y, c, f->table);
        }
    }
}

typedef struct prepared {
    qzk_conv_args args;
    const qzk_conv_kernel *kernel;
    check_buffer packed, out, scratch;
} prepared;

static prepared prepare(const conv_operands *o, const qzk_conv_kernel *kernel)
{
    prepared p = {.args = o->args, .kernel = kernel};
    p.args.shape = &o->problem.shape;
    p.packed = check_buffer_new(kernel->packed_size(p.args.shape), QZI_ALIGN, true);
    kernel->pack(p.args.shape, &o->weights, p.packed.data);
    p.args.packed = p.packed.data;
    p.out = check_buffer_new(conv_view_bytes(&p.args.out, true), 4, true);
    p.args.out.data = p.out.data;
    p.scratch = check_buffer_new(kernel->scratch_size(&p.args), QZI_ALIGN, true);
    return p;
}

static double run_once(const prepared *p)
{
    const double start = qzi_now();
    p->kernel->run(&p->args, 0, p->kernel->units(&p->args), p->scratch.data);
    return (qzi_now() - start) * 1e6;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void prepared_free(prepared *p)
{
    check_buffer_free(&p->packed);
    check_buffer_free(&p->out);
    check_buffer_free(&p->scratch);
}

/* In words where the function may be. */
static conv_operands by_channel(const bench_case *c)
{
    for (uint64_t seed = 1;; seed++) {
        check_rng rng = {seed};
        conv_operands by = conv_operands_new(&rng, &c->problem, true, true, true);
        check_buffer_protect(&by.mult, false);
        conv_channels_fill(&rng, &by, c->act, c->residual, true);
        if (!qzk_words_known(c->act) || by.weights.words)
            return by;
        conv_operands_free(&by);
    }
}

static void bench(const bench_case *c, qz_isa isa)
{
    static double times[3][ROUNDS];
    check_rng rng = {1};
    qzk_kernels kernels;
    qzk_init(&kernels, isa);
    conv_operands one = conv_operands_new(&rng, &c->problem, true, true, true);
    conv_operands by = by_channel(c);
    for (int32_t i = 0; i < c->problem.shape.oc;
         i++) { /* no extremes: subnormal numbers are slow */
        float *m = (float *)(void *)by.mult.data + i;
        *m = *m > 1e-6f && *m < 1.0f ? *m : 1e-4f;
    }
    by.args.residual.pixel_stride = by.args.residual.data ? QZK_CEIL4(c->problem.shape.oc) : 0;
    const qzk_conv_kernel *kernel = qzk_conv_choose(QZK_LIST_U8S8_CONV, isa, &by.problem.shape);
    prepared p[3] = {prepare(&one, kernel), prepare(&one, kernel), prepare(&by, kernel)};
    follower f = {&kernels, p[1].args.out, by.args.residual, {0}};
    if (!c->residual)
        check_random_bytes(&rng, f.table, sizeof(f.table));
    p[1].args.done = c->residual || qzk_act_is_function(c->act) ? follow : NULL;
    p[1].args.done_user = &f;
    for (size_t i = 0; i < ROUNDS; i++)
        for (size_t k = 0; k < 3; k++)
            times[k][i] = run_once(&p[k]);
    printf("%-26s %-28s", c->problem.what, kernel->name);
    for (size_t k = 0; k < 3; k++) {
        qsort(times[k], ROUNDS, sizeof(double), ascending);
        printf(" %8.1f", times[k][ROUNDS / 2]);
        prepared_free(&p[k]);
    }
    printf("  %5.2f\n", times[2][ROUNDS / 2] / times[1][ROUNDS / 2]);
    conv_operands_free(&one);
    conv_operands_free(&by);
}

int main(int argc, char **argv)
{
    for (qz_isa isa = QZ_ISA_AVX2; isa <= QZ_ISA_AVX512VNNI; isa++)
        for (size_t i = 0; i < QZI_ARRAY_LEN(cases) && qz_isa_available(isa); i++)
            if (argc < 2 || strcmp(argv[1], qz_isa_name(isa)) == 0)
                bench(&cases[i], isa);
    return 0;
}
