/* SPDX-License-Identifier: MIT */
/* convert_nets.h - small nets and their conversion, for the tests of convert. */
#ifndef QZOO_TESTS_UNIT_CONVERT_NETS_H
#define QZOO_TESTS_UNIT_CONVERT_NETS_H

#include "passes.h"
#include "quant/channels.h"

#define LOGITS 10

static inline qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, int32_t k,
                            int32_t stride)
{
    return qz_conv2d(
        g, name, x,
        &(qz_conv2d_options){
            .out_channels = oc, .kernel_h = k, .padding_h = k / 2, .stride_h = stride});
}

static inline qz_value conv_bn(qz_graph *g, const char *scope, qz_value x, int32_t oc, int32_t k,
                               int32_t stride, qz_activation act)
{
    qz_graph_enter(g, "%s", scope);
    x = conv(g, "conv", x, oc, k, stride);
    x = qz_batch_norm2d(g, "bn", x, 1e-5f);
    if (act != QZ_ACT_NONE)
        x = qz_activate(g, "relu", x, act);
    return qz_graph_leave(g, x);
}

static inline qz_value head(qz_graph *g, qz_value x)
{
    x = qz_adaptive_avg_pool2d(g, "avgpool", x, 1, 1);
    x = qz_flatten(g, "flatten", x);
    x = qz_dropout(g, "dropout", x, 0.2f);
    return qz_linear(g, "fc", x, LOGITS, true);
}

static inline qz_graph *finish(qz_graph *g, qz_value logits)
{
    qz_graph_output(g, "logits", logits);
    ASSERT_OK(g->ctx, qz_graph_finish(g));
    test_fill(g);
    ASSERT_OK(g->ctx, qzi_fuse(g, false));
    return g;
}

/* Branches of every kind joined: two that take the concat's parameters, two that cannot. */
static inline qz_graph *make_concat(qz_context *ctx)
{
    qz_graph *g = NULL;
    qz_value x, a, b, c, d;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    x = conv_bn(g, "stem", qz_graph_input(g, "x", 3), 8, 3, 1, QZ_ACT_RELU);
    a = conv_bn(g, "a", x, 6, 1, 1, QZ_ACT_RELU);
    b = qz_batch_norm2d(g, "b", x, 1e-5f);
    c = conv_bn(g, "c", x, 5, 3, 1, QZ_ACT_NONE); /* read by `d` too */
    d = qz_max_pool2d(g, "d", c,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 1, .padding_h = 1});
    x = qz_concat(g, "cat", (const qz_value[]){a, b, c, d}, 4);
    return finish(g, head(g, conv_bn(g, "last", x, 8, 1, 1, QZ_ACT_RELU)));
}

static inline qzi_qconfig make_qconfig(qz_backend backend)
{
    const qzi_backend *b = qzi_backend_get(backend);
    return (qzi_qconfig){.backend = b, .observer = b->activations, .per_channel = b->per_channel};
}

static inline void calibrate(qzi_calibration *calibration, qz_context *ctx, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        float data[TEST_IMAGE];
        const qz_tensor image = test_image(i, data);
        ASSERT_OK(ctx, qzi_calibrate(calibration, &image));
    }
}

static inline qz_graph *convert(qz_graph *g, const qzi_qconfig *qconfig)
{
    qzi_calibration *calibration = NULL;
    qz_graph *out = NULL;
    ASSERT_OK(g->ctx, qzi_prepare(g, qconfig, 1, &calibration));
    calibrate(calibration, g->ctx, 4);
    assert_int_equal(qzi_calibration_images(calibration), 4);
    ASSERT_OK(g->ctx, qzi_convert(g, calibration, &out));
    qzi_calibration_destroy(calibration);
    ASSERT_OK(g->ctx, qzi_graph_verify(out));
    return out;
}

static inline void assert_near(const qz_graph *a, const qz_graph *b, double limit)
{
    float x[LOGITS], y[LOGITS];
    assert_int_equal(test_output(a, 7, x, LOGITS), LOGITS);
    assert_int_equal(test_output(b, 7, y, LOGITS), LOGITS);
    const double distance = test_distance(x, y, LOGITS);
    if (!(distance < limit))
        fail_msg("relative distance %g is not below %g", distance, limit);
}

/* What a saved file holds of the structure is enough to make it again, without any weights. */
static inline void check_rebuilt(const qz_graph *g, const qzi_qconfig *qconfig)
{
    qz_graph *bare = NULL, *again = NULL;
    qz_graph *q = convert((qz_graph *)g, qconfig);
    ASSERT_OK(g->ctx, qzi_graph_clone(g, false, &bare));
    qzi_value_q *saved = qzi_calloc(g->ctx, g->node_count, sizeof(*saved));
    for (size_t i = 0; i < q->node_count; i++) {
        const qzi_node *node = &q->nodes[i];
        if (node->source != QZ_NO_VALUE)
            saved[node->source].q = node->q;
        if (node->source != QZ_NO_VALUE && node->channel_q && !qzi_channels_moved(node)) {
            saved[node->source].scale = node->channel_q->scale;
            saved[node->source].zero_point = node->channel_q->zero_point;
        }
    }
    ASSERT_OK(g->ctx, qzi_convert_structure(bare, qconfig, saved, &again));
    assert_int_equal(again->node_count, q->node_count);
    for (size_t i = 0; i < q->node_count; i++) {
        const qzi_node *a = &q->nodes[i], *b = &again->nodes[i];
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->fallback ? a->fallback : "", b->fallback ? b->fallback : "");
        assert_int_equal(a->op, b->op);
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->in_count, b->in_count);
        assert_memory_equal(&a->q, &b->q, sizeof(a->q));
        assert_int_equal(a->source, b->source);
        assert_int_equal(a->channel_q != NULL, b->channel_q != NULL);
        for (int32_t c = 0; c < a->c && a->channel_q; c++) {
            assert_true(qzi_q_scale(a, c) == qzi_q_scale(b, c));
            assert_int_equal(qzi_q_zero(a, c), qzi_q_zero(b, c));
        }
        if (a->in_count)
            assert_memory_equal(a->in, b->in, a->in_count * sizeof(*a->in));
        assert_int_equal(a->tables != NULL, b->tables != NULL);
        if (a->tables)
            assert_memory_equal(a->tables, b->tables, a->in_count * 256);
    }
    qz_graph_destroy(again);

    /* what no file should hold */
    again = NULL;
    const qz_value stem = test_node(q, "stem.conv")->source;
    for (int k = 0; k < 4; k++) {
        static const qzi_qparams bad[] = {{0.0f, 0}, {INFINITY, 0}, {NAN, 3}, {0.5f, 256}};
        saved[stem] = (qzi_value_q){.q = bad[k]};
        ASSERT_FAILS(g->ctx, qzi_convert_structure(bare, qconfig, saved, &again), QZ_ERR_ARGUMENT,
                     g->nodes[stem].name);
    }
    qzi_free(g->ctx, saved);
    qz_graph_destroy(bare);
    qz_graph_destroy(q);
}

#endif
