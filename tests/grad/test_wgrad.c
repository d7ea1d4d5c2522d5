/* SPDX-License-Identifier: MIT */
/*
 * test_wgrad.c - the weight gradients of convolutions: every kernel has the bytes of GRADIENTS.md's
 * formula, computed here one weight at a time, for any cut of its units.
 */
#include "../unit/one_op.h"
#include "layers/kernels/grad.h"

typedef struct problem {
    qzk_conv_shape s;
    qzk_view x, dy;
    size_t weights;
    float *want, *exact; /* by the formula, in double */
} problem;

/* Values whose products are exact in float now and then, zeros among them. */
static float draw_value(void)
{
    return draw(8) == 0 ? 0.0f : draw_float();
}

static qzk_view draw_view(int32_t n, int32_t h, int32_t w, int32_t c)
{
    const int32_t stride = c + (int32_t)draw(3);
    /* the last pixel ends with its channels */
    const size_t count = (size_t)n * (size_t)h * (size_t)w * (size_t)stride - (size_t)(stride - c);
    float *data = malloc(count * sizeof(*data));
    for (size_t i = 0; i < count; i++)
        data[i] = draw_value();
    return (qzk_view){data, n, h, w, c, stride};
}

static const float *pixel(const qzk_view *v, int64_t n, int64_t y, int64_t x)
{
    return (const float *)v->data + ((n * v->h + y) * v->w + x) * v->pixel_stride;
}

static void formula(problem *p)
{
    const qzk_conv_shape *s = &p->s;
    const int32_t icg = s->ic / s->groups, ocg = s->oc / s->groups;
    const int64_t per_image = (int64_t)p->dy.h * p->dy.w, total = p->dy.n * per_image;
    float *w = p->want = malloc(p->weights * sizeof(*w));
    float *e = p->exact = malloc(p->weights * sizeof(*e));
    for (int32_t o = 0; o < s->oc; o++)
        for (int32_t kh = 0; kh < s->kh; kh++)
            for (int32_t kw = 0; kw < s->kw; kw++)
                for (int32_t i = 0; i < icg; i++, w++, e++) {
                    float sum = 0.0f, chain = 0.0f;
                    double all = 0.0;
                    for (int64_t k = 0; k < total; k++) {
                        const int64_t n = k / per_image, oy = k % per_image / p->dy.w;
                        const int64_t iy = oy * s->stride_h - s->pad_top + kh * s->dil_h;
                        const int64_t ix = k % p->dy.w * s->stride_w - s->pad_left + kw * s->dil_w;
                        const bool inside = iy >= 0 && ix >= 0 && iy < p->x.h && ix < p->x.w;
                        const float dy = pixel(&p->dy, n, oy, k % p->dy.w)[o];
                        const float x = inside ? pixel(&p->x, n, iy, ix)[o / ocg * icg + i] : 0.0f;
                        if (k % 512 == 0 && k > 0) {
                            sum = sum + chain;
                            chain = 0.0f;
                        }
                        chain = fmaf(dy, x, chain);
                        all += (double)dy * (double)x;
                    }
                    *w = sum + chain;
                    *e = (float)all;
                }
}

/* Units in an order that is not theirs, a few at a time. */
static void run_shuffled(const qzk_wgrad_kernel *kernel, const qzk_wgrad_args *args)
{
    const int64_t units = kernel->units(args);
    void *scratch = aligned_alloc(64, QZI_ROUND_UP(kernel->scratch_size(args), 64u) + 64);
    const int64_t step = 1 + draw(3), pieces = QZI_DIV_UP(units, step);
    for (int64_t i = pieces; i-- > 0;)
        kernel->run(args, i * step, QZI_MIN((i + 1) * step, units), scratch);
    free(scratch);
}

static void check_kernel(const problem *p, const qzk_wgrad_kernel *kernel, int32_t ways)
{
    float *dw = calloc(p->weights, sizeof(*dw));
    const qzk_wgrad_args args = {&p->s, p->x, p->dy, dw, ways};
    run_shuffled(kernel, &args);
    for (size_t i = 0; i < p->weights; i++)
        if (memcmp(&dw[i], &p->want[i], sizeof(*dw)) != 0 && dw[i] != p->want[i])
            fail_msg("%s, ic %d oc %d groups %d %dx%d, %d ways, weight %zu: %.9g, not %.9g",
                     kernel->name, p->s.ic, p->s.oc, p->s.groups, p->s.kh, p->s.kw, ways, i,
                     (double)dw[i], (double)p->want[i]);
    free(dw);
}

static void check(const qzk_conv_shape *s, int32_t n, int32_t h, int32_t w)
{
    problem p = {.s = *s};
    const int32_t oh = (h + 2 * s->pad_top - s->dil_h * (s->kh - 1) - 1) / s->stride_h + 1;
    const int32_t ow = (w + 2 * s->pad_left - s->dil_w * (s->kw - 1) - 1) / s->stride_w + 1;
    const qzk_wgrad_kernel *const *all;
    const size_t count = qzk_wgrad_all(&all);
    p.x = draw_view(n, h, w, s->ic);
    p.dy = draw_view(n, oh, ow, s->oc);
    p.weights = (size_t)s->oc * (size_t)(s->ic / s->groups) * (size_t)s->kh * (size_t)s->kw;
    formula(&p);
    for (size_t i = 0; i < p.weights; i++)
        assert_true(fabsf(p.want[i] - p.exact[i]) <= 1e-4f * (1.0f + fabsf(p.exact[i])));
    for (size_t k = 0; k < count; k++)
        if (qz_isa_available(all[k]->isa) && all[k]->supports(s)) {
            check_kernel(&p, all[k], 1);
            check_kernel(&p, all[k], 1 + (int32_t)draw(4));
        }
    free(p.x.data);
    free(p.dy.data);
    free(p.want);
    free(p.exact);
}

static void random_shapes(void **state)
{
    (void)state;
    for (int round = 0; round < 150; round++) {
        const int32_t kind = (int32_t)draw(4);
        qzk_conv_shape s = {
            .kh = 1 + (int32_t)draw(3),
            .kw = 1 + (int32_t)draw(3),
            .stride_h = 1 + (int32_t)draw(2),
            .stride_w = 1 + (int32_t)draw(2),
            .pad_top = (int32_t)draw(3),
            .pad_left = (int32_t)draw(3),
            .dil_h = 1 + (int32_t)draw(2),
            .dil_w = 1 + (int32_t)draw(2),
            .groups = kind == 0   ? 2 + (int32_t)draw(40)
                      : kind == 1 ? 1 + (int32_t)draw(3)
                                  : 1,
        };
        s.ic = kind == 0 ? s.groups : s.groups * (1 + (int32_t)draw(37));
        s.oc = kind == 0 ? s.groups : s.groups * (1 + (int32_t)draw(33));
        check(&s, 1 + (int32_t)draw(3), 5 + (int32_t)draw(6), 5 + (int32_t)draw(6));
    }
}

/* Several blocks of pixels, several blocks of channels, tiles of every size. */
static void large_shapes(void **state)
{
    const qzk_conv_shape stem = {3, 16, 1, 3, 3, 2, 2, 1, 1, 1, 1, false};
    const qzk_conv_shape wide = {5, 300, 1, 1, 1, 1, 1, 0, 0, 1, 1, false};
    const qzk_conv_shape dense = {48, 20, 1, 3, 3, 1, 1, 1, 1, 1, 1, false};
    const qzk_conv_shape depthwise = {40, 40, 40, 5, 5, 1, 1, 2, 2, 1, 1, false};
    const qzk_conv_shape seven = {17, 17, 17, 7, 7, 1, 1, 3, 3, 1, 1, false};
    (void)state;
    check(&stem, 2, 41, 43);
    check(&wide, 2, 1, 1);
    check(&dense, 1, 9, 8);
    check(&depthwise, 2, 19, 17);
    check(&seven, 1, 9, 9);
    for (int32_t oc = 1; oc <= 30; oc++) {
        const qzk_conv_shape s = {33, oc, 1, 1, 1, 1, 1, 0, 0, 1, 1, false};
        check(&s, 1, 3, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_shapes),
        cmocka_unit_test(large_shapes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
