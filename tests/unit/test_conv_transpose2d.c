/* SPDX-License-Identifier: MIT */
/*
 * test_conv_transpose2d.c - transposed convolutions, float and int8, beside the definition: each
 * input pixel adds its kernel to the output.
 */
#include "one_op.h"

typedef struct layer {
    int32_t n, ic, h, w, relu;
    qz_conv_transpose2d_options o;
} layer;

static qz_graph *make(const layer *l)
{
    qz_graph *g;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", l->ic);
    x = qz_conv_transpose2d(g, "up", x, &l->o);
    qz_graph_output(g, "output", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    g->nodes[1].act = l->relu ? QZ_ACT_RELU : QZ_ACT_NONE;
    draw_params(g);
    return g;
}

/* The input pixel under (oy, tap), or -1. */
static int64_t source(int64_t o, int64_t tap, int32_t stride, int32_t pad, int64_t size)
{
    const int64_t at = o + pad - tap;
    return at < 0 || at % stride || at / stride >= size ? -1 : at / stride;
}

/* One output value: the sum in the order of CONTRACT.md, in float (acc) and of bytes (sum). */
static void sum_taps(const qz_graph *g, const layer *l, const float *x, const int64_t at[4],
                     float *acc, int64_t *sum)
{
    const qzi_conv2d_attr *a = &g->nodes[1].u.conv;
    const float *w = g->params[0].tensor.data;
    const int32_t icg = a->ic / a->groups, group = (int32_t)at[1] / (a->oc / a->groups);
    *acc = 0.0f;
    *sum = 0;
    for (int32_t ky = a->kh - 1; ky >= 0; ky--)
        for (int32_t kx = a->kw - 1; kx >= 0; kx--)
            for (int32_t i = 0; i < icg; i++) {
                const int64_t iy = source(at[2], ky, a->stride_h, a->pad_h, l->h);
                const int64_t ix = source(at[3], kx, a->stride_w, a->pad_w, l->w);
                if (iy < 0 || ix < 0)
                    continue;
                const int64_t ic = group * icg + i;
                const int64_t wi = qzi_conv_transpose2d_index(a, i, at[1], ky * a->kw + kx);
                const float v = x[((at[0] * l->ic + ic) * l->h + iy) * l->w + ix];
                *acc = fmaf(v, w[wi], *acc);
                if (g->nodes[1].qw)
                    *sum += (int64_t)rintf(v / g->nodes[0].q.scale) * g->nodes[1].qw->w[wi];
            }
}

static float value(const qz_graph *g, const layer *l, const float *x, const int64_t at[4])
{
    const qzi_node *node = &g->nodes[1];
    float acc;
    int64_t sum;
    sum_taps(g, l, x, at, &acc, &sum);
    if (node->qw) {
        const float sxw = g->nodes[0].q.scale * node->qw->scales[at[1]];
        const float mult = sxw / node->q.scale;
        return clampq((float)(int32_t)(sum + node->qw->bias[at[1]]) * mult,
                      l->relu ? node->q.zero_point : 0, &node->q);
    }
    acc += l->o.bias ? ((const float *)g->params[1].tensor.data)[at[1]] : 0.0f;
    return l->relu && acc < 0.0f ? 0.0f : acc;
}

static float *all_values(const qz_graph *g, const layer *l, const float *x, const int64_t dims[4])
{
    float *y = malloc((size_t)(dims[0] * dims[1] * dims[2] * dims[3]) * sizeof(*y)), *to = y;
    int64_t at[4];
    for (at[0] = 0; at[0] < dims[0]; at[0]++)
        for (at[1] = 0; at[1] < dims[1]; at[1]++)
            for (at[2] = 0; at[2] < dims[2]; at[2]++)
                for (at[3] = 0; at[3] < dims[3]; at[3]++)
                    *to++ = value(g, l, x, at);
    return y;
}

static int64_t out_size(int32_t in, int32_t k, int32_t s, int32_t p, int32_t extra)
{
    return (int64_t)(in - 1) * s - 2 * p + k + extra;
}

static void check(const layer *l)
{
    const qz_conv_transpose2d_options *o = &l->o;
    const int32_t pad_w = o->padding_w == QZ_PAD_NONE ? 0 : o->padding_w;
    const int32_t extra_w = o->output_padding_w == QZ_PAD_NONE ? 0 : o->output_padding_w;
    const int64_t dims[4] = {
        l->n, o->out_channels,
        out_size(l->h, o->kernel_h, o->stride_h, o->padding_h, o->output_padding_h),
        out_size(l->w, o->kernel_w, o->stride_w, pad_w, extra_w)};
    if (dims[2] < 1 || dims[3] < 1)
        return;
    const qzi_qparams qx = {0.05f, (int32_t)draw(256)}, qy = {0.11f, (int32_t)draw(200)};
    for (int u8 = 0; u8 < 2; u8++) {
        char what[160];
        qz_graph *g = make(l);
        if (u8) {
            make_u8(g, qx, qy);
            draw_qweights(&g->nodes[1], 0.001f);
        }
        qz_tensor x = draw_image(l->n, l->ic, l->h, l->w, u8 ? qx : (qzi_qparams){0});
        snprintf(what, sizeof(what), "%s n%d %d->%d groups %d %dx%d k %dx%d s %dx%d p %dx%d +%dx%d",
                 u8 ? "u8" : "f32", l->n, l->ic, o->out_channels, o->groups, l->h, l->w,
                 o->kernel_h, o->kernel_w, o->stride_h, o->stride_w, o->padding_h, pad_w,
                 o->output_padding_h, extra_w);
        float *want = all_values(g, l, x.data, dims);
        check_all(g, &x, want, what);
        free(want);
        free(x.data);
        qz_graph_destroy(g);
    }
}

static int32_t none_if_zero(int32_t v)
{
    return v ? v : QZ_PAD_NONE;
}

static void random_layers(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        layer l = {.n = 1 + (int32_t)draw(3),
                   .h = 1 + (int32_t)draw(6),
                   .w = 1 + (int32_t)draw(7),
                   .relu = (int32_t)draw(2)};
        qz_conv_transpose2d_options *o = &l.o;
        o->groups = draw(3) ? 1 : 1 + (int32_t)draw(4);
        l.ic = o->groups * (1 + (int32_t)draw(20));
        o->out_channels = o->groups * (1 + (int32_t)draw(20));
        o->stride_h = 1 + (int32_t)draw(3);
        o->stride_w = 1 + (int32_t)draw(3);
        o->kernel_h = 1 + (int32_t)draw(4);
        o->kernel_w = 1 + (int32_t)draw(4);
        o->padding_h = (int32_t)draw(3);
        o->padding_w = none_if_zero((int32_t)draw(3));
        o->output_padding_h = (int32_t)draw((uint32_t)o->stride_h);
        o->output_padding_w = none_if_zero((int32_t)draw((uint32_t)o->stride_w));
        o->bias = draw(2);
        check(&l);
    }
}

/* Mask R-CNN's: kernel and stride 2. More images than one chunk holds. */
static void mask_head(void **state)
{
    (void)state;
    check(&(layer){.n = 2,
                   .ic = 64,
                   .h = 14,
                   .w = 14,
                   .relu = 1,
                   .o = {.out_channels = 256,
                         .kernel_h = 2,
                         .kernel_w = 2,
                         .stride_h = 2,
                         .stride_w = 2,
                         .padding_w = QZ_PAD_NONE,
                         .output_padding_w = QZ_PAD_NONE,
                         .groups = 1,
                         .bias = true}});
    check(&(layer){.n = 40,
                   .ic = 4,
                   .h = 14,
                   .w = 13,
                   .o = {.out_channels = 90,
                         .kernel_h = 2,
                         .kernel_w = 2,
                         .stride_h = 2,
                         .stride_w = 2,
                         .padding_w = QZ_PAD_NONE,
                         .output_padding_w = QZ_PAD_NONE,
                         .groups = 1,
                         .bias = true}});
}

static void refusals(void **state)
{
    static const struct {
        qz_conv_transpose2d_options o;
        const char *says;
    } rows[] = {
        {{.out_channels = 3, .kernel_h = 2, .groups = 2}, "do not divide"},
        {{.out_channels = 4, .kernel_h = 2, .output_padding_h = 1}, "output padding"},
        {{.out_channels = 4, .kernel_h = 200, .kernel_w = 200}, "multiply-adds"},
        {{.out_channels = 1 << 20, .kernel_h = 1, .stride_h = 4000}, "stride"},
        {{.out_channels = 4, .kernel_h = -2}, "at least 1"},
    };
    (void)state;
    for (size_t i = 0; i < QZI_ARRAY_LEN(rows); i++) {
        qz_graph *g;
        assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
        qz_value x = qz_graph_input(g, "input", 4);
        qz_graph_output(g, "output", qz_conv_transpose2d(g, "up", x, &rows[i].o));
        assert_int_not_equal(qz_graph_finish(g), QZ_OK);
        if (!strstr(qz_context_message(ctx), rows[i].says))
            fail_msg("row %zu: %s", i, qz_context_message(ctx));
        qz_graph_destroy(g);
    }
}

/* torch's keys and shapes, the size where it is known, the multiply-adds. */
static void facts(void **state)
{
    (void)state;
    qz_graph *g;
    qz_param_info p;
    qz_node_info info;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", 6);
    x = qz_conv_transpose2d(g, "up", x,
                            &(qz_conv_transpose2d_options){.out_channels = 4,
                                                           .kernel_h = 3,
                                                           .stride_h = 2,
                                                           .padding_h = 1,
                                                           .output_padding_h = 1,
                                                           .groups = 2,
                                                           .bias = true});
    qz_graph_output(g, "output", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    qz_graph_param_at(g, 0, &p);
    assert_string_equal(p.key, "up.weight");
    assert_int_equal(p.tensor->dims[0], 6);
    assert_int_equal(p.tensor->dims[1], 2);
    ASSERT_OK(ctx, qzi_graph_list_size(g, 5, 7));
    qz_graph_node_at(g, 1, &info);
    assert_int_equal(info.out_shape[2], 10);
    assert_int_equal(info.out_shape[3], 14);
    assert_int_equal(info.macs, 5 * 7 * 6 * 2 * 9);
    qz_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_layers),
        cmocka_unit_test(mask_head),
        cmocka_unit_test(refusals),
        cmocka_unit_test(facts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
