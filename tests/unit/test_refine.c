/* SPDX-License-Identifier: MIT */
/* test_refine.c - kept images, sums by tap, and the steps of recipes on small nets. */
#include "refine_way.h"

#include "quant/refine/bias_correct.h"
#include "quant/refine/taps.h"

#define LOGITS 10

/* ---- kept images ---- */

static void keep(qzi_kept *kept, uint64_t seed)
{
    float data[TEST_IMAGE];
    const qz_tensor image = test_image(seed, data);
    const qzk_view view = {image.data, 1, TEST_SIDE, TEST_SIDE, 3, 3};
    ASSERT_OK(kept->ctx, qzi_kept_add(kept, &view));
}

static void test_kept(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    qzi_kept a, b;
    qzi_kept_init(&a, ctx);
    qzi_kept_init(&b, ctx);
    for (uint64_t i = 0; i < 50; i++) {
        keep(&a, i);
        keep(&b, 49 - i);
    }
    assert_int_equal(a.count, QZI_KEPT_MAX);
    assert_int_equal(b.count, QZI_KEPT_MAX);
    for (size_t i = 0; i < a.count; i++) {
        assert_true(a.hash[i] == b.hash[i] && (i == 0 || a.hash[i - 1] < a.hash[i]));
        assert_memory_equal(a.image[i].data, b.image[i].data, TEST_IMAGE * sizeof(float));
    }
    /* large images: memory is bounded, and one is kept always */
    qzi_kept_free(&a);
    float *large = calloc((size_t)1 << 26, sizeof(*large));
    const qzk_view view = {large, 1, 4096, 4096, 4, 4};
    ASSERT_OK(ctx, qzi_kept_add(&a, &view));
    assert_int_equal(a.count, 1);
    large[0] = 1.0f;
    ASSERT_OK(ctx, qzi_kept_add(&a, &view));
    assert_int_equal(a.count, 1);
    free(large);
    qzi_kept_free(&a);
    qzi_kept_free(&b);
    test_context_end(ctx, &memory);
}

/* ---- sums by tap ---- */

/* Each output place meets each tap: the definition. */
static void brute_sums(const qzi_node *node, const qzk_view *in, int32_t oh, int32_t ow,
                       double *sums, int64_t *places)
{
    const qzi_conv2d_attr *a = &node->u.conv;
    const bool transposed = node->op == QZI_OP_CONV_TRANSPOSE2D;
    for (int32_t y = 0; y < (transposed ? in->h : oh); y++)
        for (int32_t x = 0; x < (transposed ? in->w : ow); x++)
            for (int32_t t = 0; t < a->kh * a->kw; t++) {
                const int32_t ty = y * a->stride_h - a->pad_h + t / a->kw * a->dil_h;
                const int32_t tx = x * a->stride_w - a->pad_w + t % a->kw * a->dil_w;
                const int32_t h = transposed ? oh : in->h, w = transposed ? ow : in->w;
                if (ty < 0 || ty >= h || tx < 0 || tx >= w)
                    continue;
                const int64_t pixel = transposed ? y * in->w + x : ty * in->w + tx;
                places[t]++;
                for (int32_t c = 0; c < in->c; c++)
                    sums[t * in->c + c] +=
                        ((const uint8_t *)in->data)[pixel * in->pixel_stride + c];
            }
}

static void check_taps(const qz_context *ctx, qzi_op op, qzi_conv2d_attr a, int32_t h, int32_t w,
                       int32_t oh, int32_t ow)
{
    enum { ROOM = 4096 };
    static uint8_t bytes[ROOM];
    static float floats[ROOM];
    static double want[ROOM], real[ROOM];
    static int64_t made[ROOM], places[64], want_places[64];
    const qzi_node node = {.op = op, .u.conv = a};
    const int32_t stride = a.ic + 1;
    memset(want, 0, sizeof(want));
    memset(real, 0, sizeof(real));
    memset(made, 0, sizeof(made));
    memset(places, 0, sizeof(places));
    memset(want_places, 0, sizeof(want_places));
    for (size_t i = 0; i < ROOM; i++)
        floats[i] = bytes[i] = (uint8_t)(i * 97 + i / 13);
    const qzk_view in = {bytes, 1, h, w, a.ic, stride}, real_in = {floats, 1, h, w, a.ic, stride};
    brute_sums(&node, &in, oh, ow, want, want_places);
    ASSERT_OK(ctx, qzi_taps_add_u8(ctx, 3, &node, &in, oh, ow, made, places));
    ASSERT_OK(ctx, qzi_taps_add_f32(ctx, 3, &node, &real_in, oh, ow, real));
    for (int32_t t = 0; t < a.kh * a.kw; t++) {
        assert_int_equal(places[t], want_places[t]);
        for (int32_t c = 0; c < a.ic; c++) {
            assert_int_equal(made[t * a.ic + c], (int64_t)want[t * a.ic + c]);
            assert_true(real[t * a.ic + c] == want[t * a.ic + c]);
        }
    }
}

static void test_taps(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    check_taps(ctx, QZI_OP_LINEAR, (qzi_conv2d_attr){5, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1}, 1, 1, 1, 1);
    check_taps(ctx, QZI_OP_CONV2D, (qzi_conv2d_attr){3, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 7, 9, 7, 9);
    check_taps(ctx, QZI_OP_CONV2D, (qzi_conv2d_attr){4, 4, 3, 5, 2, 3, 1, 2, 2, 1, 4}, 11, 14, 5,
               5);
    check_taps(ctx, QZI_OP_CONV2D, (qzi_conv2d_attr){2, 4, 7, 1, 2, 1, 3, 0, 1, 1, 1}, 2, 3, 1, 3);
    check_taps(ctx, QZI_OP_CONV_TRANSPOSE2D, (qzi_conv2d_attr){3, 2, 3, 3, 2, 2, 1, 1, 1, 1, 1}, 5,
               4, 10, 8);
    test_context_end(ctx, &memory);
}

/* ---- recipes ---- */

static qz_value layer(qz_graph *g, const char *scope, qz_value x, int32_t oc, int32_t groups,
                      int32_t k, qz_activation act)
{
    qz_graph_enter(g, "%s", scope);
    x = qz_conv2d(
        g, "conv", x,
        &(qz_conv2d_options){
            .out_channels = oc, .kernel_h = k, .padding_h = k / 2, .groups = groups, .bias = true});
    if (act != QZ_ACT_NONE)
        x = qz_activate(g, "act", x, act);
    return qz_graph_leave(g, x);
}

/* Separable layers, a residual, a head. */
static qz_graph *make_net(qz_context *ctx)
{
    qz_graph *g = NULL;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_value x = layer(g, "stem", qz_graph_input(g, "x", 3), 8, 1, 3, QZ_ACT_HARDSWISH), y;
    y = layer(g, "wide", x, 16, 1, 1, QZ_ACT_RELU);
    y = layer(g, "depth", y, 16, 16, 3, QZ_ACT_RELU6);
    y = layer(g, "narrow", y, 8, 1, 1, QZ_ACT_NONE);
    x = qz_add(g, "sum", x, y, QZ_ACT_NONE);
    x = qz_adaptive_avg_pool2d(g, "avgpool", x, 1, 1);
    x = qz_linear(g, "fc", qz_flatten(g, "flatten", x), LOGITS, true);
    qz_graph_output(g, "logits", x);
    ASSERT_OK(ctx, qz_graph_finish(g));
    test_fill(g);
    ASSERT_OK(ctx, qzi_fuse(g, false));
    return g;
}

static qzi_qconfig make_qconfig(qz_backend backend, bool corrects)
{
    const qzi_backend *b = qzi_backend_get(backend);
    return (qzi_qconfig){.backend = b,
                         .observer = QZ_OBSERVER_MINMAX,
                         .per_channel = false,
                         .bias_correction =
                             corrects ? QZ_BIAS_CORRECTION_IMAGES : QZ_BIAS_CORRECTION_NONE};
}

static void assert_same_weights(const qz_graph *a, const qz_graph *b)
{
    assert_int_equal(a->node_count, b->node_count);
    for (size_t i = 0; i < a->node_count; i++) {
        const qzi_qweights *x = a->nodes[i].qw, *y = b->nodes[i].qw;
        if (!x)
            continue;
        const size_t oc = (size_t)a->nodes[i].u.conv.oc;
        assert_memory_equal(x->bias, y->bias, oc * sizeof(*x->bias));
        assert_memory_equal(x->bias_f32, y->bias_f32, oc * sizeof(*x->bias_f32));
        assert_memory_equal(x->scales, y->scales, oc * sizeof(*x->scales));
    }
}

static void test_bias_correction(void **state)
{
    (void)state;
    static const qz_backend backends[] = {QZ_BACKEND_FBGEMM, QZ_BACKEND_QNNPACK, QZ_BACKEND_NATIVE};
    for (size_t i = 0; i < QZI_ARRAY_LEN(backends); i++) {
        test_memory memory;
        qz_context *ctx = test_context(&memory);
        qz_graph *g = make_net(ctx), *plain = NULL, *better = NULL, *again = NULL;
        qzi_qconfig qconfig = make_qconfig(backends[i], false);
        qzi_recipe_report report;
        ASSERT_OK(ctx, whole_way(g, &qconfig, 1, false, &plain, &report));
        assert_int_equal(report.count, 0);
        qconfig = make_qconfig(backends[i], true);
        ASSERT_OK(ctx, whole_way(g, &qconfig, 1, false, &better, &report));
        assert_int_equal(report.count, 2);
        assert_string_equal(report.steps[0].name, "nearest");
        assert_string_equal(report.steps[1].name, "bias correction");
        assert_int_equal(report.steps[1].images, IMAGES);
        assert_int_equal(report.steps[1].layers, 5);
        assert_int_equal(report.steps[1].skipped, 0);
        if (!(report.steps[1].output_db > report.steps[0].output_db))
            fail_msg("%s: %g dB, not more than %g", qz_backend_name(backends[i]),
                     report.steps[1].output_db, report.steps[0].output_db);
        /* the weights stay; biases do not */
        const qzi_qweights *a = test_node(plain, "fc")->qw, *b = test_node(better, "fc")->qw;
        assert_memory_equal(a->w, b->w, 8 * LOGITS);
        assert_memory_not_equal(a->bias, b->bias, LOGITS * sizeof(*a->bias));
        /* neither order nor threads matter */
        ASSERT_OK(ctx, whole_way(g, &qconfig, 3, true, &again, &report));
        assert_same_weights(better, again);
        qz_graph_destroy(again);
        qz_graph_destroy(better);
        qz_graph_destroy(plain);
        qz_graph_destroy(g);
        test_context_end(ctx, &memory);
    }
}

static void test_memory_failures(void **state)
{
    (void)state;
    test_memory memory;
    qz_context *ctx = test_context(&memory);
    const qzi_qconfig qconfig = make_qconfig(QZ_BACKEND_FBGEMM, true);
    qz_graph *g = make_net(ctx), *q = NULL;
    qzi_recipe_report report;
    const int64_t before = memory.live;
    qz_status st = QZ_ERR_MEMORY;
    int64_t step = 1;
    size_t failures = 0;
    for (int64_t at = 0; st != QZ_OK; at += step) {
        memory.fail_at = memory.total + at;
        st = whole_way(g, &qconfig, 1, false, &q, &report);
        memory.fail_at = -1;
        if (st == QZ_OK)
            break;
        assert_int_equal(st, QZ_ERR_MEMORY);
        assert_null(q);
        assert_int_equal(memory.live, before);
        failures++;
    }
    assert_in_range(failures, 100, 100000);
    qz_graph_destroy(q);
    qz_graph_destroy(g);
    test_context_end(ctx, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_taps),
        cmocka_unit_test(test_bias_correction),
        cmocka_unit_test(test_memory_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
