/* SPDX-License-Identifier: MIT */
/*
 * test_ops_oracle_heads.c - transposed convolutions, group norms and resizing of bytes beside
 * PyTorch's, by graphs of one layer.
 */
#include "ops_oracle.h"

#include "../unit/assert_ok.h"
#include "layers/graph/exec.h"
#include "layers/graph/graph.h"

static qz_context *ctx;

/*
 * Runs a graph of an input and one layer, both uint8; its output as bytes, which the caller frees.
 * A second input between them is read for its size, which is that of the output.
 */
static qzk_view run_layer(qz_graph *g, const quantized *x, const quantized *want)
{
    qzi_packed *packed;
    qzi_exec *exec;
    float *image = calloc(x->count, sizeof(*image)), *out = calloc(want->count, sizeof(*out));
    qz_tensor in[2] = {{QZ_F32, 4, {x->n, x->c, x->h, x->w}, image},
                       {QZ_F32, 4, {x->n, 1, want->h, want->w}, out}};
    qz_tensor shape = {0};
    const size_t last = g->node_count - 1;
    qzk_view y = {NULL, want->n, want->h, want->w, want->c, want->c};
    uint8_t *bytes = calloc(want->count, 1);
    assert_true(image && out && bytes);
    g->nodes[0].dtype = g->nodes[last].dtype = QZ_U8;
    g->nodes[0].q = (qzi_qparams){x->scale, x->zp};
    g->nodes[last].q = (qzi_qparams){want->scale, want->zp};
    for (size_t i = 0; i < x->count; i++)
        image[i] = (float)(int_at(x->q, i) + x->shift - x->zp) * x->scale;
    ASSERT_OK(ctx, qzi_packed_create(g, QZ_ISA_AUTO, &packed));
    ASSERT_OK(ctx, qzi_exec_create(packed, g, 1, &exec));
    ASSERT_OK(ctx, qzi_exec_run(exec, in, last, false));
    ASSERT_OK(ctx, qzi_exec_output_shape(exec, 0, &shape));
    assert_int_equal(qz_tensor_numel(&shape), want->count);
    qzi_exec_output(exec, 0, out);
    const int32_t pixels = want->h * want->w;
    for (size_t i = 0; i < want->count; i++) { /* NCHW to NHWC */
        const int32_t p = (int32_t)i % pixels, c = (int32_t)i / pixels % want->c;
        const int32_t n = (int32_t)i / pixels / want->c;
        bytes[(n * pixels + p) * want->c + c] =
            (uint8_t)((int32_t)qzi_rnef(out[i] / want->scale) + want->zp);
    }
    y.data = bytes;
    free(image);
    free(out);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    return y;
}

static qzi_qweights *weights_of(const json_t *item, float sx, size_t oc)
{
    const json_t *w = json_object_get(item, "w"), *q = json_object_get(w, "q");
    const json_t *bias = json_object_get(item, "bias");
    const size_t count = json_array_size(q);
    qzi_qweights *qw = qzi_calloc(ctx, 1, sizeof(*qw));
    assert_non_null(qw);
    qw->w = qzi_alloc(ctx, count);
    qw->scales = qzi_alloc(ctx, oc * sizeof(float));
    qw->bias = qzi_alloc(ctx, oc * sizeof(int32_t));
    qw->bias_f32 = qzi_alloc(ctx, oc * sizeof(float));
    for (size_t i = 0; i < count; i++)
        qw->w[i] = (int8_t)int_at(q, i);
    for (size_t i = 0; i < oc; i++) {
        qw->scales[i] = (float)number(w, "scale");
        qw->bias_f32[i] = float_at(bias, i);
        qw->bias[i] = (int32_t)qzi_rnef(qw->bias_f32[i] / (sx * qw->scales[i]));
    }
    return qw;
}

static int32_t none_if_zero(int32_t v)
{
    return v ? v : QZ_PAD_NONE;
}

static void transpose_case(const json_t *item, int engine, score *s)
{
    const char *name = text(item, "name");
    const json_t *result = result_of(json_object_get(item, "result"), engines[engine], name);
    const json_t *shape = json_object_get(json_object_get(item, "w"), "shape");
    qz_graph *g;
    if (!result)
        return;
    const quantized x = quantized_of(json_object_get(item, "x")), want = quantized_of(result);
    assert_int_equal(integer(item, "dilation"), 1);
    const qz_conv_transpose2d_options o = {
        .out_channels = want.c,
        .kernel_h = int_at(shape, 2),
        .kernel_w = int_at(shape, 3),
        .stride_h = integer(item, "stride"),
        .padding_h = none_if_zero(integer(item, "padding")),
        .output_padding_h = none_if_zero(integer(item, "output_padding")),
        .groups = integer(item, "groups"),
        .bias = true,
    };
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_graph_output(g, "y", qz_conv_transpose2d(g, "up", qz_graph_input(g, "x", x.c), &o));
    ASSERT_OK(ctx, qz_graph_finish(g));
    g->nodes[1].qw = weights_of(item, x.scale, (size_t)want.c);
    qzk_view y = run_layer(g, &x, &want);
    compare(s, &y, &want, name);
    free(y.data);
    qz_graph_destroy(g);
}

static void conv_transpose2d(void **state)
{
    (void)state;
    json_t *root = load("qconv_transpose2d"), *item;
    score scores[2] = {{0}, {0}};
    size_t index;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        transpose_case(item, 0, &scores[0]);
        transpose_case(item, 1, &scores[1]);
    }
    for (int e = 0; e < 2; e++)
        score_print("qconv_transpose2d", engines[e], &scores[e]);
    assert_int_equal(scores[0].most, 0); /* qnnpack's integer bias is ours */
    json_decref(root);
}

static void group_norm(void **state)
{
    (void)state;
    json_t *root = load("qlayer_norm");
    const json_t *item = json_object_get(root, "group_norm");
    const json_t *result = result_of(json_object_get(item, "result"), engines[0], "group_norm");
    score s = {0};
    qz_graph *g;
    assert_non_null(result);
    const quantized x = quantized_of(json_object_get(item, "x")), want = quantized_of(result);
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    qz_graph_output(g, "y",
                    qz_group_norm(g, "norm", qz_graph_input(g, "x", x.c), integer(item, "groups"),
                                  (float)number(item, "eps")));
    ASSERT_OK(ctx, qz_graph_finish(g));
    for (size_t i = 0; i < 2; i++) {
        const json_t *values = json_object_get(item, i == 0 ? "weight" : "bias");
        float *data = qzi_alloc(ctx, (size_t)x.c * sizeof(*data));
        for (size_t k = 0; k < (size_t)x.c; k++)
            data[k] = float_at(values, k);
        g->params[i].tensor.data = data;
    }
    qzk_view y = run_layer(g, &x, &want);
    compare(&s, &y, &want, "group_norm");
    score_print("group_norm", "both", &s);
    free(y.data);
    qz_graph_destroy(g);
    json_decref(root);
}

/* Nearest moves bytes, bilinear may differ by one step. */
static void resize(void **state)
{
    (void)state;
    json_t *root = load("qinterpolate"), *item;
    score scores[2] = {{0}, {0}};
    size_t index, left_out = 0;
    json_array_foreach(json_object_get(root, "cases"), index, item)
    {
        const json_t *args = json_object_get(item, "args");
        const bool bilinear = strcmp(text(args, "mode"), "bilinear") == 0;
        /* by a factor torch's steps are those of the factor; ours are always those of the sizes */
        const char *reason = json_is_true(json_object_get(args, "align_corners")) ? "align_corners"
                             : json_object_get(args, "scale_factor")              ? "scale_factor"
                                                                                  : NULL;
        const json_t *result = result_of(json_object_get(item, "result"), engines[0], "resize");
        if (reason || !result) {
            printf("not compared: case %zu: %s\n", index, reason ? reason : "no result");
            left_out++;
            continue;
        }
        const bool is_signed = strcmp(text(item, "x"), "qint8") == 0;
        const quantized x = quantized_of(json_object_get(root, is_signed ? "x_qint8" : "x_quint8"));
        const quantized want = quantized_of(result);
        qz_graph *g;
        ASSERT_OK(ctx, qz_graph_create(ctx, &g));
        const qz_value in = qz_graph_input(g, "x", x.c), like = qz_graph_input(g, "like", 1);
        qz_graph_output(
            g, "y",
            qz_resize2d(g, "resize", in, like, bilinear ? QZ_RESIZE_BILINEAR : QZ_RESIZE_NEAREST));
        ASSERT_OK(ctx, qz_graph_finish(g));
        qzk_view y = run_layer(g, &x, &want);
        compare(&scores[bilinear], &y, &want, bilinear ? "bilinear" : "nearest");
        free(y.data);
        qz_graph_destroy(g);
    }
    score_print("resize nearest", "both", &scores[0]);
    score_print("resize bilinear", "both", &scores[1]);
    assert_int_equal(scores[0].most, 0);
    assert_true(index > left_out + 5);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_transpose2d),
        cmocka_unit_test(group_norm),
        cmocka_unit_test(resize),
    };
    if (qz_context_create(NULL, &ctx) != QZ_OK)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qz_context_destroy(ctx);
    return failed;
}
