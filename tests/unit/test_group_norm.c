/* SPDX-License-Identifier: MIT */
/*
 * test_group_norm.c - group norms and L2 norms, float and int8: CONTRACT.md's formulas, one value
 * at a time, and beside those the definition in double.
 */
#include "one_op.h"

typedef struct layer {
    int32_t n, c, h, w, groups; /* no groups: an L2 norm */
    float eps;
    qz_activation act;
} layer;

static qz_graph *make(const layer *l)
{
    qz_graph *g;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_value x = qz_graph_input(g, "input", l->c);
    x = l->groups ? qz_group_norm(g, "norm", x, l->groups, l->eps)
                  : qz_l2_norm(g, "scale_weight", "norm", x);
    qz_graph_output(g, "output", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    g->nodes[1].act = l->act;
    draw_params(g);
    return g;
}

static const float *param(const qz_graph *g, size_t i)
{
    return g->params[i].tensor.data;
}

/* Byte, or float, of pixel p of a channel of an image. */
static double at(const qz_graph *g, const layer *l, const float *x, int32_t n, int32_t c, int64_t p)
{
    const qzi_node *in = &g->nodes[0];
    const float v = x[((int64_t)n * l->c + c) * l->h * l->w + p];
    return in->dtype == QZ_U8 ? (double)(rintf(v / in->q.scale) + (float)in->q.zero_point) : v;
}

/* Scale and shift of a channel. */
static void factors(const qz_graph *g, const layer *l, const float *x, int32_t n, int32_t channel,
                    float *scale, float *shift)
{
    const int32_t count = l->c / l->groups, first = channel / count * count;
    const int64_t pixels = (int64_t)l->h * l->w;
    const double total = (double)pixels * count;
    const bool u8 = g->nodes[1].qw || g->nodes[1].dtype == QZ_U8;
    const qzi_qparams *qx = &g->nodes[0].q, *qy = &g->nodes[1].q;
    double sum = 0.0, squares = 0.0;
    for (int32_t c = first; c < first + count; c++)
        for (int64_t block = 0; block < pixels; block += 512) {
            double s = 0.0, q = 0.0;
            for (int64_t p = block; p < QZI_MIN(block + 512, pixels); p++) {
                const double v = at(g, l, x, n, c, p);
                s += v;
                q += v * v;
            }
            sum += s;
            squares += q;
        }
    const double mean = sum / total, variance = fmax(squares / total - mean * mean, 0.0);
    float v = (float)variance, m = (float)mean;
    if (u8) {
        v = (v * qx->scale) * qx->scale;
        m = (float)(mean - qx->zero_point) * qx->scale;
    }
    const float r = 1.0f / sqrtf(v + l->eps);
    *scale = param(g, 0)[channel] * r;
    *shift = param(g, 1)[channel] - m * *scale;
    if (u8) {
        *scale = (qx->scale * *scale) / qy->scale;
        *shift = *shift / qy->scale;
    }
}

static float group_value(const qz_graph *g, const layer *l, double v, float scale, float shift)
{
    const qzi_node *node = &g->nodes[1];
    if (node->dtype == QZ_U8) {
        int32_t lo, hi;
        qzi_act_range_u8(l->act, &node->q, &lo, &hi);
        float y = (float)((int32_t)v - g->nodes[0].q.zero_point) * scale + shift;
        y = QZI_MIN(y, (float)(hi - node->q.zero_point));
        return clampq(y, lo, &node->q);
    }
    float lo, hi, y = fmaf((float)v, scale, shift);
    qzi_act_range_f32(l->act, &lo, &hi);
    return y < lo ? lo : y > hi ? hi : y;
}

/* The factor of a pixel. */
static float l2_factor(const qz_graph *g, const layer *l, const float *x, int32_t n, int64_t p)
{
    const qzi_qparams *q = &g->nodes[0].q;
    if (g->nodes[1].dtype == QZ_U8) {
        double sum = 0.0;
        for (int32_t c = 0; c < l->c; c++) {
            const double d = at(g, l, x, n, c, p) - q->zero_point;
            sum += d * d;
        }
        return q->scale / fmaxf(q->scale * sqrtf((float)sum), 1e-12f);
    }
    float lane[16] = {0};
    for (int32_t c = 0; c < l->c; c++) {
        const float v = (float)at(g, l, x, n, c, p);
        lane[c % 16] = fmaf(v, v, lane[c % 16]);
    }
    for (int width = 8; width >= 1; width /= 2)
        for (int k = 0; k < width; k++)
            lane[k] += lane[k + width];
    return 1.0f / fmaxf(sqrtf(lane[0]), 1e-12f);
}

static float l2_value(const qz_graph *g, double v, float factor, int32_t c)
{
    const qzi_node *node = &g->nodes[1];
    const float w = param(g, 0)[c];
    if (node->dtype != QZ_U8)
        return ((float)v * factor) * w;
    return clampq(((float)((int32_t)v - g->nodes[0].q.zero_point) * factor) * (w / node->q.scale),
                  0, &node->q);
}

static float *all_values(const qz_graph *g, const layer *l, const float *x)
{
    const int64_t pixels = (int64_t)l->h * l->w;
    float *y = malloc((size_t)(l->n * l->c * pixels) * sizeof(*y)), *to = y;
    for (int32_t n = 0; n < l->n; n++)
        for (int32_t c = 0; c < l->c; c++) {
            float scale = 0.0f, shift = 0.0f;
            if (l->groups)
                factors(g, l, x, n, c, &scale, &shift);
            for (int64_t p = 0; p < pixels; p++)
                *to++ = l->groups ? group_value(g, l, at(g, l, x, n, c, p), scale, shift)
                                  : l2_value(g, at(g, l, x, n, c, p), l2_factor(g, l, x, n, p), c);
        }
    return y;
}

static void check(const layer *l)
{
    const qzi_qparams qx = {0.03f, (int32_t)draw(256)}, qy = {0.02f, 100 + (int32_t)draw(50)};
    for (int u8 = 0; u8 < 2; u8++) {
        char what[120];
        qz_graph *g = make(l);
        if (u8)
            make_u8(g, qx, qy);
        qz_tensor x = draw_image(l->n, l->c, l->h, l->w, u8 ? qx : (qzi_qparams){0});
        if (draw(4) == 0) /* equal values have no variance, zeros no norm */
            for (int64_t i = 0; i < qz_tensor_numel(&x); i++)
                ((float *)x.data)[i] = 0.0f;
        snprintf(what, sizeof(what), "%s n%d c%d %dx%d groups %d act %d", u8 ? "u8" : "f32", l->n,
                 l->c, l->h, l->w, l->groups, (int)l->act);
        float *want = all_values(g, l, x.data);
        check_all(g, &x, want, what);
        free(want);
        free(x.data);
        qz_graph_destroy(g);
    }
}

static void random_group_norms(void **state)
{
    (void)state;
    for (int round = 0; round < 120; round++) {
        layer l = {.n = 1 + (int32_t)draw(3),
                   .h = 1 + (int32_t)draw(9),
                   .w = 1 + (int32_t)draw(9),
                   .groups = 1 + (int32_t)draw(5),
                   .eps = 1e-5f,
                   .act = (qz_activation)draw(3)};
        l.c = l.groups * (1 + (int32_t)draw(draw(4) ? 9 : 40));
        check(&l);
    }
    /* several blocks of pixels; a detector's head */
    check(&(layer){2, 6, 33, 47, 2, 1e-5f, QZ_ACT_RELU});
    check(&(layer){1, 256, 25, 38, 32, 1e-5f, QZ_ACT_RELU});
}

static void random_l2_norms(void **state)
{
    (void)state;
    for (int round = 0; round < 120; round++) {
        layer l = {.n = 1 + (int32_t)draw(3), .h = 1 + (int32_t)draw(7), .w = 1 + (int32_t)draw(7)};
        l.c = 1 + (int32_t)draw(draw(4) ? 40 : 300);
        check(&l);
    }
    check(&(layer){.n = 1, .c = 512, .h = 9, .w = 8});
}

/* The formulas are near the definition. */
static void near_the_definition(void **state)
{
    (void)state;
    const layer l = {1, 24, 17, 19, 3, 1e-5f, QZ_ACT_NONE};
    qz_graph *g = make(&l);
    qz_tensor x = draw_image(1, l.c, l.h, l.w, (qzi_qparams){0});
    qz_tensor y = run_one(g, &x, QZ_ISA_AUTO, 1);
    const float *in = x.data, *out = y.data;
    const int64_t pixels = 17 * 19, per = 8 * pixels;
    for (int32_t group = 0; group < 3; group++) {
        double mean = 0.0, variance = 0.0;
        for (int64_t i = 0; i < per; i++)
            mean += in[group * per + i] / (double)per;
        for (int64_t i = 0; i < per; i++)
            variance += pow(in[group * per + i] - mean, 2.0) / (double)per;
        for (int64_t i = 0; i < per; i++) {
            const int64_t k = group * per + i, c = k / pixels;
            const double want =
                (in[k] - mean) / sqrt(variance + 1e-5) * param(g, 0)[c] + param(g, 1)[c];
            assert_true(fabs(out[k] - want) < 1e-5);
        }
    }
    free(x.data);
    free(y.data);
    qz_graph_destroy(g);
}

static void keys_and_refusals(void **state)
{
    (void)state;
    qz_graph *g;
    qz_param_info p;
    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    qz_graph_enter(g, "backbone");
    qz_value x = qz_conv2d(g, "conv", qz_graph_input(g, "input", 3),
                           &(qz_conv2d_options){.out_channels = 8});
    x = qz_l2_norm(g, "scale_weight", "norm", x);
    x = qz_graph_leave(g, qz_group_norm(g, "gn", x, 4, 1e-5f));
    qz_graph_output(g, "output", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    qz_graph_param_at(g, 0, &p);
    assert_string_equal(p.key, "backbone.scale_weight"); /* the module's own comes first */
    assert_int_equal(p.tensor->ndim, 1);
    qz_graph_param_at(g, 1, &p);
    assert_string_equal(p.key, "backbone.conv.weight");
    qz_graph_param_at(g, 2, &p);
    assert_string_equal(p.key, "backbone.gn.weight");
    qz_graph_destroy(g);

    assert_int_equal(qz_graph_create(ctx, &g), QZ_OK);
    x = qz_group_norm(g, "gn", qz_graph_input(g, "input", 9), 2, 1e-5f);
    qz_graph_output(g, "output", x);
    assert_int_equal(qz_graph_finish(g), QZ_ERR_ARGUMENT);
    assert_non_null(strstr(qz_context_message(ctx), "9 channels do not divide into 2 groups"));
    qz_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_group_norms),
        cmocka_unit_test(random_l2_norms),
        cmocka_unit_test(near_the_definition),
        cmocka_unit_test(keys_and_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
