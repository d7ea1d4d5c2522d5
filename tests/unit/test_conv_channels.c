/* SPDX-License-Identifier: MIT */
/*
 * test_conv_channels.c - convolutions and linear layers by channel as nodes of a graph: what is
 * folded into the multipliers, residuals and where they are stored, functions, and what is refused.
 * check_kernels has the kernels.
 */
#include "one_op.h"

#include "layers/graph/plan.h"
#include "layers/kernels/ref/act_ref.h"

enum { CONV, DEPTHWISE, LINEAR };

typedef struct layer {
    const char *name;
    int kind;
    int32_t oc, k;
    qz_activation act;
    int32_t residual; /* the node that it adds; 0: none */
    bool channels;    /* its value has parameters by channel */
} layer;

static void add_channel_q(qzi_node *node)
{
    float scale[256];
    uint8_t zero[256];
    const bool clamp = node->act == QZ_ACT_RELU || node->act == QZ_ACT_RELU6;
    for (int32_t c = 0; c < node->c; c++) {
        scale[c] = 0.02f + 0.0001f * (float)draw(30);
        zero[c] = clamp ? 0 : (uint8_t)draw(256);
    }
    ASSERT_OK(ctx, qzi_node_set_channel_q(ctx, node, scale, zero));
}

static qz_value add_layer(qz_graph *g, const layer *l, qz_value x)
{
    if (l->kind == LINEAR)
        return qz_linear(g, l->name, x, l->oc, true);
    return qz_conv2d(g, l->name, x,
                     &(qz_conv2d_options){.out_channels = l->oc,
                                          .kernel_h = l->k,
                                          .kernel_w = l->k,
                                          .stride_h = 1,
                                          .stride_w = 1,
                                          .padding_h = l->k / 2,
                                          .padding_w = l->k / 2,
                                          .dilation_h = 1,
                                          .dilation_w = 1,
                                          .groups = l->kind == DEPTHWISE ? l->oc : 1,
                                          .bias = true});
}

/* Layers one after another, node i + 1 each, of an input with 7 channels. */
static qz_graph *make(const layer *layers, size_t count)
{
    qz_graph *g;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = qz_graph_input(g, "input", 7);
    for (size_t i = 0; i < count; i++)
        x = add_layer(g, &layers[i], x);
    qz_graph_output(g, "output", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    make_u8(g, (qzi_qparams){0.03f, 117}, (qzi_qparams){0.021f, 90});
    for (size_t i = 0; i < count; i++) {
        qzi_node *node = &g->nodes[i + 1];
        node->act = layers[i].act;
        draw_qweights(node, 0.0003f);
        if (layers[i].channels)
            add_channel_q(node);
        if (layers[i].residual) {
            qz_value *in = qzi_alloc(ctx, 2 * sizeof(*in));
            in[0] = node->in[0];
            in[1] = layers[i].residual;
            qzi_free(ctx, node->in);
            node->in = in;
            node->in_count = 2;
        }
    }
    return g;
}

/* ---- CONTRACT.md ---- */

static int32_t sum_of(const qz_graph *g, const qzi_node *node, const uint8_t *x, int32_t h,
                      int32_t w, int32_t py, int32_t px, int32_t o)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const qzi_node *from = &g->nodes[node->in[0]];
    const int32_t icg = a->ic / a->groups, first = o / (a->oc / a->groups) * icg;
    int32_t sum = node->qw->bias[o];
    for (int32_t i = 0; i < icg; i++)
        for (int32_t ky = 0; ky < a->kh; ky++)
            for (int32_t kx = 0; kx < a->kw; kx++) {
                const int32_t iy = py + ky - a->pad_h, ix = px + kx - a->pad_w, c = first + i;
                if (iy >= 0 && iy < h && ix >= 0 && ix < w)
                    sum += (x[(iy * w + ix) * a->ic + c] - qzi_q_zero(from, c)) *
                           node->qw->w[((o * icg + i) * a->kh + ky) * a->kw + kx];
            }
    return sum;
}

static uint8_t byte_of(const qz_graph *g, const qzi_node *node, int32_t sum, int32_t o, uint8_t r)
{
    const qzi_node *from = &g->nodes[node->in[0]];
    const float s_y = qzi_q_scale(node, o), z_y = (float)qzi_q_zero(node, o);
    const float m = (from->channel_q ? 1.0f : from->q.scale) * node->qw->scales[o];
    float v, lo = 0.0f, hi = 255.0f;
    if (node->act == QZ_ACT_RELU || node->act == QZ_ACT_RELU6)
        lo = z_y;
    if (node->act == QZ_ACT_RELU6)
        hi = fminf(hi, rintf(6.0f * (1.0f / s_y)) + z_y);
    if (node->in_count > 1) {
        const qzi_node *with = &g->nodes[node->in[1]];
        const float ratio = qzi_q_scale(with, o) / s_y;
        const float z = z_y - (float)qzi_q_zero(with, o) * ratio;
        v = fmaf((float)sum, m / s_y, fmaf((float)r, ratio, z));
    } else if (qzk_act_is_function(node->act)) {
        float scales[128], zeros[128];
        qzk_words words;
        for (int32_t c = 0; c < node->c; c++) {
            scales[c] = qzi_q_scale(node, c);
            zeros[c] = (float)qzi_q_zero(node, c);
        }
        if (qzk_words_choose(node->act, scales, zeros, node->c, &words)) {
            const float k = qzk_words_factor(words.unit, s_y);
            const float x = (float)sum * (m / (s_y * (k * 0x1p-15f)));
            return (uint8_t)fminf(fmaxf((float)qzk_ref_word(&words, x, k, z_y), 0.0f), 255.0f);
        }
        const bool sixth = node->act == QZ_ACT_HARDSWISH || node->act == QZ_ACT_HARDSIGMOID;
        const float k = 1.0f / (sixth ? 6.0f * s_y : s_y);
        v = fmaf(qzk_ref_act(node->act, (float)sum * m), k, z_y);
    } else {
        bool equal = true;
        for (int32_t c = 1; c < node->c; c++)
            equal = equal && qzi_q_zero(node, c) == qzi_q_zero(node, 0);
        v = equal ? rintf((float)sum * (m / s_y)) + z_y : fmaf((float)sum, m / s_y, z_y);
    }
    return (uint8_t)rintf(fminf(fmaxf(v, lo), hi));
}

static void expect(const layer *layers, size_t count, int32_t n, int32_t h, int32_t w,
                   const char *what)
{
    qz_graph *g = make(layers, count);
    qz_tensor x = draw_image(n, 7, h, w, g->nodes[0].q);
    const qzi_node *last = &g->nodes[count];
    float *want = malloc((size_t)n * (size_t)last->c * (size_t)(h * w) * sizeof(*want));
    uint8_t *values[9] = {0};
    for (size_t i = 0; i <= count; i++)
        values[i] = malloc((size_t)h * (size_t)w * (size_t)g->nodes[i].c);
    for (int32_t image = 0; image < n; image++) {
        const float *from = (const float *)x.data + image * 7 * h * w;
        for (int32_t p = 0; p < h * w; p++)
            for (int32_t c = 0; c < 7; c++)
                values[0][p * 7 + c] =
                    (uint8_t)(rintf(from[c * h * w + p] * (1.0f / g->nodes[0].q.scale)) +
                              (float)g->nodes[0].q.zero_point);
        for (size_t i = 1; i <= count; i++) {
            const qzi_node *node = &g->nodes[i];
            const uint8_t *r = node->in_count > 1 ? values[node->in[1]] : NULL;
            for (int32_t p = 0; p < h * w; p++)
                for (int32_t o = 0; o < node->c; o++) {
                    const int32_t at = p * node->c + o;
                    const int32_t sum = sum_of(g, node, values[i - 1], h, w, p / w, p % w, o);
                    values[i][at] = byte_of(g, node, sum, o, r ? r[at] : 0);
                }
        }
        for (int32_t p = 0; p < h * w; p++)
            for (int32_t o = 0; o < last->c; o++)
                want[(image * last->c + o) * h * w + p] =
                    (float)(values[count][p * last->c + o] - last->q.zero_point) * last->q.scale;
    }
    check_all(g, &x, want, what);
    for (size_t i = 0; i <= count; i++)
        free(values[i]);
    free(want);
    free(x.data);
    qz_graph_destroy(g);
}

static void functions(void **state)
{
    (void)state;
    for (qz_activation act = QZ_ACT_NONE; act < QZ_ACT_COUNT; act++) {
        const layer layers[] = {
            {"a", CONV, 40, 1, act, 0, true},
            {"b", DEPTHWISE, 40, 3, act, 0, true},
            {"c", CONV, 21, 3, act, 0, false},
            {"d", CONV, 10, 1, act, 0, false},
        };
        expect(layers, 4, 2, 9, 11, qzi_act_name(act));
    }
}

static void residuals(void **state)
{
    (void)state;
    for (int channels = 0; channels < 2; channels++) {
        const bool by = channels != 0;
        const layer layers[] = {
            {"a", CONV, 33, 1, QZ_ACT_RELU, 0, by}, {"b", CONV, 33, 3, QZ_ACT_NONE, 1, by},
            {"c", CONV, 70, 1, QZ_ACT_NONE, 0, by}, {"d", CONV, 33, 1, QZ_ACT_RELU6, 2, by},
            {"e", CONV, 33, 1, QZ_ACT_RELU, 4, by}, {"f", CONV, 12, 1, QZ_ACT_NONE, 0, false},
        };
        expect(layers, 6, 3, 8, 7, by ? "residuals by channel" : "residuals");
    }
}

static void rows(void **state)
{
    (void)state;
    const layer layers[] = {
        {"a", LINEAR, 50, 1, QZ_ACT_GELU, 0, true},
        {"b", LINEAR, 50, 1, QZ_ACT_NONE, 1, true},
        {"c", LINEAR, 11, 1, QZ_ACT_SIGMOID, 0, false},
    };
    expect(layers, 3, 5, 1, 1, "linear");
    expect(layers, 3, 1, 4, 3, "linear over pixels");
}

/* The output takes the storage of a residual that nothing else reads. */
static void storage(void **state)
{
    (void)state;
    const layer layers[] = {
        {"a", CONV, 64, 1, QZ_ACT_NONE, 0, false},
        {"b", CONV, 64, 1, QZ_ACT_NONE, 0, false},
        {"c", CONV, 64, 1, QZ_ACT_NONE, 1, false},
        {"d", CONV, 64, 1, QZ_ACT_NONE, 3, false},
    };
    qz_graph *g = make(layers, 4);
    qzi_plan *plan;
    ASSERT_OK(ctx, qzi_plan_create(g, &(qzi_shape){1, 8, 8, 7}, &plan));
    assert_int_equal(plan->values[3].offset, plan->values[1].offset);
    assert_int_not_equal(plan->values[3].offset, plan->values[2].offset);
    /* d reads c as its input too, so that it must keep it */
    assert_int_not_equal(plan->values[4].offset, plan->values[3].offset);
    qzi_plan_destroy(plan);
    qz_graph_destroy(g);
}

static void refused(void **state)
{
    (void)state;
    const layer layers[] = {
        {"a", CONV, 9, 1, QZ_ACT_HARDSWISH, 0, true},
        {"b", CONV, 9, 1, QZ_ACT_NONE, 1, false},
    };
    qzi_packed *packed;
    qz_graph *g = make(layers, 2);
    qzi_node *a = &g->nodes[1], *b = &g->nodes[2];
    ASSERT_OK(ctx, qzi_graph_verify(g));

    b->act = QZ_ACT_SILU;
    assert_int_equal(qzi_graph_verify(g), QZ_ERR_INTERNAL);
    b->act = QZ_ACT_NONE;
    b->in[1] = 0;
    assert_int_equal(qzi_graph_verify(g), QZ_ERR_INTERNAL);
    b->in[1] = 1;
    a->act = QZ_ACT_RELU; /* zero points differ */
    assert_int_equal(qzi_graph_verify(g), QZ_ERR_INTERNAL);
    a->act = QZ_ACT_HARDSWISH;

    static const float scales[] = {1e38f, 1e-38f, INFINITY, NAN};
    for (size_t i = 0; i < QZI_ARRAY_LEN(scales); i++) {
        const float was = a->qw->scales[3];
        a->qw->scales[3] = scales[i];
        a->channel_q->scale[3] = 1e-38f;
        assert_int_equal(qzi_packed_create(g, QZ_ISA_REF, &packed), QZ_ERR_NUMERIC);
        assert_non_null(strstr(qz_context_message(ctx), "channel 3"));
        a->qw->scales[3] = was;
        a->channel_q->scale[3] = 0.02f;
    }
    a->channel_q->scale[8] = 1e30f; /* of the residual, too */
    b->q.scale = 1e-10f;
    assert_int_equal(qzi_packed_create(g, QZ_ISA_REF, &packed), QZ_ERR_NUMERIC);
    qz_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions), cmocka_unit_test(residuals), cmocka_unit_test(rows),
        cmocka_unit_test(storage),   cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
