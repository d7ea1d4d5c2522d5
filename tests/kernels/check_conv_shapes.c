/* SPDX-License-Identifier: MIT */
/*
 * check_conv_shapes.c - the shapes that convolution kernels are checked on.
 */
#include "check_conv.h"

/* kind, ic, oc, groups, kernel, stride, padding (top left bottom right), dilation, n, h, w */
#define OUT(size, k, stride, before, after, dil) \
    (((size) + (before) + (after) - (dil) * ((k)-1) - 1) / (stride) + 1)
#define CONV(what, ic, oc, g, kh, kw, s, pt, pl, pb, pr, d, n, h, w)                             \
    {                                                                                            \
        what, {ic, oc, g, kh, kw, s, s, pt, pl, d, d, false}, n, h, w, OUT(h, kh, s, pt, pb, d), \
            OUT(w, kw, s, pl, pr, d)                                                             \
    }
#define SAME(what, ic, oc, g, k, s, n, h, w) \
    CONV(what, ic, oc, g, k, k, s, (k) / 2, (k) / 2, (k) / 2, (k) / 2, 1, n, h, w)
#define LINEAR(what, ic, oc, n) CONV(what, ic, oc, 1, 1, 1, 1, 0, 0, 0, 0, 1, n, 1, 1)

/* clang-format off */
static const conv_problem directed[] = {
    SAME("pointwise", 1, 1, 1, 1, 1, 1, 1, 1),
    SAME("pointwise", 64, 64, 1, 1, 1, 1, 7, 7),
    SAME("pointwise", 24, 144, 1, 1, 1, 2, 5, 9),
    SAME("pointwise", 17, 33, 1, 1, 1, 1, 11, 3),
    SAME("pointwise", 5, 16, 1, 1, 1, 1, 1, 29),
    SAME("pointwise", 130, 7, 1, 1, 1, 3, 13, 1),
    SAME("strided pointwise", 64, 128, 1, 1, 2, 1, 14, 14),
    SAME("strided pointwise", 19, 31, 1, 1, 2, 2, 7, 9),
    SAME("strided pointwise", 8, 8, 1, 1, 3, 1, 10, 5),
    SAME("dense", 64, 64, 1, 3, 1, 1, 7, 7),
    SAME("dense", 3, 5, 1, 3, 1, 1, 6, 5),
    SAME("dense", 32, 48, 1, 3, 2, 2, 9, 8),
    SAME("dense", 13, 29, 1, 5, 1, 1, 7, 6),
    SAME("dense", 16, 16, 1, 5, 2, 1, 11, 13),
    SAME("dense", 9, 20, 1, 7, 1, 1, 8, 8),
    SAME("dense", 512, 40, 1, 3, 1, 1, 2, 3),
    SAME("wider than a kernel's image", 16, 16, 1, 7, 1, 1, 2, 1),
    SAME("weights beyond the second-level cache's share", 160, 128, 1, 3, 1, 1, 5, 7),
    SAME("weights beyond the second-level cache's share", 1300, 150, 1, 1, 1, 2, 5, 5),
    SAME("weights beyond the second-level cache's share", 200, 90, 1, 3, 1, 1, 3, 2),
    SAME("more tiles than a block", 8, 7, 1, 3, 1, 1, 50, 46),
    SAME("more tiles than a block", 500, 5, 1, 3, 1, 1, 18, 17),
    CONV("unpadded", 20, 24, 1, 3, 3, 1, 0, 0, 0, 0, 1, 1, 8, 9),
    CONV("not square", 32, 32, 1, 1, 7, 1, 0, 3, 0, 3, 1, 1, 9, 9),
    CONV("not square", 32, 32, 1, 7, 1, 1, 3, 0, 3, 0, 1, 1, 9, 9),
    CONV("not square", 15, 18, 1, 2, 3, 1, 1, 0, 0, 2, 1, 1, 5, 6),
    CONV("dilated", 32, 32, 1, 3, 3, 1, 2, 2, 2, 2, 2, 1, 10, 9),
    CONV("dilated", 21, 10, 1, 3, 3, 1, 6, 6, 6, 6, 6, 1, 9, 13),
    CONV("dilated", 16, 16, 1, 3, 3, 2, 2, 2, 2, 2, 2, 1, 13, 12),
    CONV("ssd's conv6", 40, 72, 1, 3, 3, 1, 6, 6, 6, 6, 6, 1, 19, 19),
    CONV("aspp 12", 67, 35, 1, 3, 3, 1, 12, 12, 12, 12, 12, 1, 17, 20),
    CONV("aspp 24", 48, 64, 1, 3, 3, 1, 24, 24, 24, 24, 24, 2, 33, 29),
    CONV("aspp 36", 33, 70, 1, 3, 3, 1, 36, 36, 36, 36, 36, 1, 40, 17),
    CONV("padding beyond the kernel", 8, 16, 1, 3, 3, 1, 4, 5, 4, 5, 1, 1, 3, 3),
    CONV("padding before only", 16, 24, 1, 3, 3, 2, 1, 1, 0, 0, 1, 1, 8, 8),
    CONV("padding after only", 16, 24, 1, 3, 3, 2, 0, 0, 1, 1, 1, 1, 8, 8),
    CONV("one column", 24, 24, 1, 3, 3, 1, 1, 0, 1, 0, 1, 2, 17, 3),
    CONV("one row", 24, 24, 1, 3, 3, 1, 0, 1, 0, 1, 1, 2, 3, 17),
    SAME("grouped", 32, 32, 16, 3, 1, 1, 9, 9),
    SAME("grouped", 64, 64, 16, 3, 1, 1, 7, 8),
    SAME("grouped", 128, 128, 32, 3, 2, 1, 9, 9),
    SAME("grouped", 64, 64, 8, 3, 1, 2, 7, 7),
    SAME("grouped", 64, 64, 4, 3, 2, 1, 11, 10),
    SAME("grouped", 96, 96, 4, 3, 1, 1, 7, 7),
    SAME("grouped", 64, 64, 2, 3, 1, 1, 6, 5),
    SAME("grouped", 80, 80, 2, 3, 2, 1, 7, 7),
    SAME("grouped", 12, 12, 4, 3, 1, 1, 7, 5),
    SAME("grouped", 20, 40, 4, 3, 1, 1, 6, 6),
    SAME("grouped", 40, 20, 4, 3, 1, 1, 6, 6),
    SAME("grouped", 35, 21, 7, 3, 1, 1, 6, 6),
    SAME("grouped pointwise", 48, 48, 4, 1, 1, 1, 6, 6),
    SAME("grouped pointwise", 24, 72, 3, 1, 2, 1, 7, 7),
    CONV("grouped and dilated", 32, 32, 4, 3, 3, 1, 2, 2, 2, 2, 2, 1, 9, 9),
    SAME("depthwise", 1, 1, 1, 3, 1, 1, 7, 7),
    SAME("depthwise", 32, 32, 32, 3, 1, 1, 14, 14),
    SAME("depthwise", 96, 96, 96, 3, 2, 2, 15, 14),
    SAME("depthwise", 17, 17, 17, 3, 1, 1, 5, 9),
    SAME("depthwise", 72, 72, 72, 5, 1, 1, 9, 9),
    SAME("depthwise", 40, 40, 40, 5, 2, 1, 14, 13),
    SAME("depthwise", 96, 96, 96, 7, 1, 1, 8, 9),
    SAME("depthwise", 33, 33, 33, 7, 2, 1, 12, 11),
    SAME("depthwise", 3, 3, 3, 3, 1, 1, 1, 1),
    SAME("depthwise", 130, 130, 130, 3, 1, 1, 4, 3),
    SAME("depthwise multiplier", 16, 32, 16, 3, 1, 1, 7, 7),
    SAME("depthwise multiplier", 11, 33, 11, 3, 2, 1, 7, 8),
    SAME("depthwise multiplier", 3, 24, 3, 5, 1, 1, 8, 8),
    SAME("depthwise multiplier", 4, 64, 4, 3, 1, 1, 8, 8),
    CONV("depthwise dilated", 40, 40, 40, 3, 3, 1, 2, 2, 2, 2, 2, 1, 9, 10),
    CONV("depthwise not square", 24, 24, 24, 1, 3, 1, 0, 1, 0, 1, 1, 1, 6, 6),
    CONV("depthwise not square", 24, 24, 24, 4, 2, 1, 1, 1, 2, 0, 1, 1, 6, 6),
    SAME("stem", 3, 64, 1, 7, 2, 1, 21, 23),
    SAME("stem", 3, 32, 1, 3, 2, 2, 17, 16),
    SAME("stem", 3, 64, 1, 3, 1, 1, 9, 9),
    SAME("stem", 1, 6, 1, 5, 1, 1, 9, 9),
    SAME("stem", 4, 24, 1, 3, 2, 1, 9, 9),
    CONV("patches", 3, 96, 1, 4, 4, 4, 0, 0, 0, 0, 1, 1, 16, 12),
    CONV("patches", 3, 20, 1, 16, 16, 16, 0, 0, 0, 0, 1, 1, 32, 32),
    LINEAR("linear", 512, 1000, 1),
    LINEAR("linear", 1280, 100, 3),
    LINEAR("linear", 25, 10, 1),
    LINEAR("linear", 64, 17, 33),
    LINEAR("linear", 9216, 16, 2),
    LINEAR("linear", 1, 1, 5),
};

/* clang-format on */

const conv_problem *conv_directed(size_t i)
{
    return i < QZI_ARRAY_LEN(directed) ? &directed[i] : NULL;
}

int64_t conv_macs(const conv_problem *p)
{
    const qzk_conv_shape *s = &p->shape;
    return (int64_t)p->n * p->oh * p->ow * s->oc * s->kh * s->kw * (s->ic / s->groups);
}

conv_text conv_describe(const conv_problem *p)
{
    const qzk_conv_shape *s = &p->shape;
    conv_text t;
    snprintf(t.text, sizeof(t.text),
             "%s: %dx%dx%dx%d -> %dx%dx%d, kernel %dx%d, groups %d, stride %d,%d, padding %d,%d, "
             "dilation %d,%d",
             p->what, (int)p->n, (int)s->ic, (int)p->ih, (int)p->iw, (int)s->oc, (int)p->oh,
             (int)p->ow, (int)s->kh, (int)s->kw, (int)s->groups, (int)s->stride_h, (int)s->stride_w,
             (int)s->pad_top, (int)s->pad_left, (int)s->dil_h, (int)s->dil_w);
    return t;
}

static int32_t pick(check_rng *rng, int32_t lo, int32_t hi)
{
    return (int32_t)check_range(rng, lo, hi);
}

/* Channels: usual widths, and anything. */
static int32_t pick_channels(check_rng *rng)
{
    static const int32_t usual[] = {3, 4, 8, 12, 16, 24, 32, 40, 48, 64, 72, 96, 128, 144};
    if (check_one_in(rng, 2))
        return usual[pick(rng, 0, (int32_t)QZI_ARRAY_LEN(usual) - 1)];
    return pick(rng, 1, check_one_in(rng, 4) ? 300 : 70);
}

/* One axis: a random image, and padding on both sides such that there is an output. */
static void pick_axis(check_rng *rng, int32_t k, int32_t stride, int32_t dil, int32_t *size,
                      int32_t *before, int32_t *out)
{
    int32_t extent = dil * (k - 1) + 1;
    int32_t after;
    do {
        *size = pick(rng, 1, check_one_in(rng, 3) ? 40 : 14);
        *before = check_one_in(rng, 3) ? pick(rng, 0, extent) : extent / 2;
        after = check_one_in(rng, 3) ? pick(rng, 0, extent) : *before;
    } while (*size + *before + after < extent);
    *out = (*size + *before + after - extent) / stride + 1;
}

conv_problem conv_random(check_rng *rng)
{
    static const int32_t group_widths[] = {1, 2, 3, 4, 5, 8, 12, 16, 20, 24, 32, 40, 64};
    static const int32_t usual_widths[] = {4, 8, 16, 24};
    conv_problem p;
    qzk_conv_shape *s = &p.shape;
    do {
        int32_t k = 1, width;
        bool linear = false;
        p = (conv_problem){"random", {0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, false}, 1, 1, 1, 1, 1};
        p.n = check_one_in(rng, 3) ? pick(rng, 2, 4) : 1;
        s->ic = pick_channels(rng);
        s->oc = pick_channels(rng);
        switch (pick(rng, 0, 8)) {
        case 0:
            p.what = "random pointwise";
            break;
        case 1:
            p.what = "random dense";
            k = pick(rng, 2, 7);
            break;
        case 2:
        case 3:
            p.what = "random grouped";
            k = check_one_in(rng, 4) ? pick(rng, 1, 5) : 3;
            width = group_widths[pick(rng, 0, (int32_t)QZI_ARRAY_LEN(group_widths) - 1)];
            if (check_one_in(rng, 2))
                width = usual_widths[pick(rng, 0, (int32_t)QZI_ARRAY_LEN(usual_widths) - 1)];
            s->groups = pick(rng, 2, QZI_MAX(2, 128 / width));
            s->ic = s->groups * width;
            s->oc = check_one_in(rng, 3) ? s->groups * pick(rng, 1, 40) : s->ic;
            break;
        case 4:
            p.what = "random depthwise";
            k = check_one_in(rng, 4) ? pick(rng, 1, 9) : 1 + 2 * pick(rng, 1, 3);
            s->groups = s->ic;
            s->oc = s->ic * (check_one_in(rng, 4) ? pick(rng, 2, 5) : 1);
            break;
        case 5:
            p.what = "random stem";
            k = pick(rng, 1, 7);
            s->ic = check_one_in(rng, 3) ? pick(rng, 1, 4) : 3;
            break;
        case 6:
            p.what = "random linear";
            linear = true;
            p.n = pick(rng, 1, 40);
            s->ic = pick(rng, 1, check_one_in(rng, 4) ? 3000 : 500);
            s->oc = pick(rng, 1, 400);
            break;
        case 7:
            p.what = "random deep";
            k = check_one_in(rng, 2) ? 3 : 1;
            s->ic = pick(rng, 300, 2500);
            s->oc = pick(rng, 1, 80);
            break;
        default:
            p.what = "random tiny";
            k = pick(rng, 1, 3);
            s->ic = pick(rng, 1, 5);
            s->oc = pick(rng, 1, 5);
            break;
        }
        s->kh = s->kw = k;
        if (k > 1 && check_one_in(rng, 6))
            s->kw = pick(rng, 1, 7);
        if (linear) /* one pixel, no padding */
            continue;
        if (check_one_in(rng, 2))
            s->stride_h = s->stride_w = check_one_in(rng, 5) ? pick(rng, 1, 4) : 2;
        if (check_one_in(rng, 12))
            s->stride_w = pick(rng, 1, 3);
        if (k > 1 && check_one_in(rng, 5))
            s->dil_h = s->dil_w = pick(rng, 1, 3);
        if (k > 1 && check_one_in(rng, 12))
            s->dil_w = pick(rng, 1, 3);
        pick_axis(rng, s->kh, s->stride_h, s->dil_h, &p.ih, &s->pad_top, &p.oh);
        pick_axis(rng, s->kw, s->stride_w, s->dil_w, &p.iw, &s->pad_left, &p.ow);
    } while (conv_macs(&p) > 2000000 || s->kh * s->kw * (s->ic / s->groups) > 32768);
    return p;
}

conv_problem conv_random_3x3(check_rng *rng)
{
    conv_problem p;
    do {
        p = (conv_problem){"random 3x3", {0, 0, 1, 3, 3, 1, 1, 0, 0, 1, 1, false}, 1, 1, 1, 1, 1};
        p.n = check_one_in(rng, 3) ? pick(rng, 2, 4) : 1;
        p.shape.ic = pick_channels(rng);
        p.shape.oc = pick_channels(rng);
        pick_axis(rng, 3, 1, 1, &p.ih, &p.shape.pad_top, &p.oh);
        pick_axis(rng, 3, 1, 1, &p.iw, &p.shape.pad_left, &p.ow);
    } while (conv_macs(&p) > 2000000);
    return p;
}
