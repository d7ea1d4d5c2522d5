/* SPDX-License-Identifier: MIT */
/*
 * test_qat.c - quantization-aware training beside PyTorch's: a convolution with its batch norm, and
 * five steps of a small network in float and for three backends.
 */
#include "../unit/assert_ok.h"
#include "../unit/quant_oracle.h"
#include "quant/qat/qat.h"
#include "weights/qzoo_weights.h"
#include "zoo/train/loss.h"

static qz_context *ctx;

static int setup(void **state)
{
    qz_context_options o = QZ_CONTEXT_OPTIONS_INIT;
    (void)state;
    o.threads = 2;
    return qz_context_create(&o, &ctx) == QZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    qz_context_destroy(ctx);
    return 0;
}

static const qzi_train_mode training = {
    .batch_stats = true, .update_stats = true, .momentum = 0.1f};

static float *floats_of(const json_t *list)
{
    const size_t n = json_array_size(list);
    float *x = malloc(n * sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = oracle_float(json_array_get(list, i));
    return x;
}

/* Distance to the file's values, relative to their length. */
static void compare(const char *what, const float *got, const json_t *want, double bound)
{
    double d = 0.0, length = 0.0;
    for (size_t i = 0; i < json_array_size(want); i++) {
        const double w = json_number_value(json_array_get(want, i)), e = (double)got[i] - w;
        d += e * e;
        length += w * w;
    }
    if (!(sqrt(d) <= bound * sqrt(length)))
        fail_msg("%s: off by %.3g of %.3g", what, sqrt(d), sqrt(length));
}

static void compare_view(const char *what, const qzk_view *v, const json_t *want, double bound)
{
    const int64_t plane = (int64_t)v->h * v->w;
    float *x = malloc((size_t)(v->n * plane * v->c) * sizeof(*x));
    for (int64_t p = 0; p < v->n * plane; p++)
        for (int32_t c = 0; c < v->c; c++)
            x[(p / plane * v->c + c) * plane + p % plane] = qzi_view_at(v, p)[c];
    compare(what, x, want, bound);
    free(x);
}

static qzi_param *param_of(qz_graph *g, const char *key)
{
    qzi_param *p = qzi_graph_param(g, key);
    assert_non_null(p);
    return p;
}

static void set_param(qz_graph *g, const char *key, const json_t *values)
{
    qz_tensor *t = &param_of(g, key)->tensor;
    const int64_t n = qz_tensor_numel(t);
    float *data = t->data = qzi_alloc(ctx, (size_t)n * sizeof(*data));
    assert_int_equal(n, json_array_size(values));
    for (int64_t i = 0; i < n; i++)
        data[i] = oracle_float(json_array_get(values, (size_t)i));
}

static const float *gradient_of(const qzi_backward *b, qz_graph *g, const char *key)
{
    return qzi_backward_gradient(b, (size_t)(param_of(g, key) - g->params));
}

/* ---- one layer ---- */

static int32_t argument(const json_t *c, const char *key, int32_t usual)
{
    const json_t *v = json_object_get(json_object_get(c, "args"), key);
    return v ? (int32_t)json_integer_value(v) : usual;
}

static void fill_gradient(const qzk_view *dy, const json_t *values)
{
    const int64_t plane = (int64_t)dy->h * dy->w;
    for (int64_t p = 0; p < dy->n * plane; p++)
        for (int32_t c = 0; c < dy->c; c++)
            qzi_view_at(dy, p)[c] = oracle_float(
                json_array_get(values, (size_t)((p / plane * dy->c + c) * plane + p % plane)));
}

static void check_layer(const char *file)
{
    json_t *j = oracle_load(file), *norm = json_object_get(j, "bn");
    const bool relu = strcmp(oracle_text(j, "module"), "ConvBnReLU2d") == 0;
    const bool per_channel = strcmp(oracle_text(j, "qat_qconfig"), "fbgemm") == 0;
    float *x = floats_of(json_object_get(j, "x_2x3x5x5"));
    const qz_tensor input = {.dtype = QZ_F32, .ndim = 4, .dims = {2, 3, 5, 5}, .data = x};
    qz_graph *g;
    qzi_qat *qat;
    qzi_backward *b;
    qzi_step_hooks hooks;
    qzk_view y, dy, dx;
    ASSERT_OK(ctx, qz_graph_create(ctx, &g));
    const qz_value conv = qz_conv2d(g, "conv", qz_graph_input(g, "input", 3),
                                    &(qz_conv2d_options){.out_channels = 6,
                                                         .kernel_h = 3,
                                                         .stride_h = argument(j, "stride", 1),
                                                         .stride_w = argument(j, "stride", 1),
                                                         .padding_h = argument(j, "padding", 0),
                                                         .padding_w = argument(j, "padding", 0),
                                                         .groups = argument(j, "groups", 1)});
    const qz_value bn = qz_batch_norm2d(g, "bn", conv, 1e-5f);
    qz_graph_output(g, "output", relu ? qz_activate(g, "relu", bn, QZ_ACT_RELU) : bn);
    ASSERT_OK(ctx, qz_graph_finish(g));
    set_param(g, "conv.weight", json_object_get(j, "weight"));
    set_param(g, "bn.weight", json_object_get(norm, "weight"));
    set_param(g, "bn.bias", json_object_get(norm, "bias"));
    set_param(g, "bn.running_mean", json_object_get(j, "initial_running_mean"));
    set_param(g, "bn.running_var", json_object_get(j, "initial_running_var"));
    ASSERT_OK(ctx, qzi_qat_create(g, &qat));
    ASSERT_OK(ctx, qzi_qat_weights(qat, conv, bn, per_channel, -128, 127));
    qzi_qat_hooks(qat, &hooks);
    ASSERT_OK(ctx, qzi_backward_create(
                       g, &(qzi_backward_options){.input_gradients = true, .hooks = &hooks}, &b));
    qzi_qat_attach(qat, b);
    ASSERT_OK(ctx, qzi_backward_forward(b, &training, &input, 1));
    ASSERT_OK(ctx, qzi_backward_output(b, 0, &y, &dy));
    compare_view("y", &y, json_object_get(j, "y"), 1e-6);
    fill_gradient(&dy, json_object_get(j, "dy"));
    ASSERT_OK(ctx, qzi_backward_run(b));
    ASSERT_OK(ctx, qzi_backward_input_gradient(b, 0, &dx));
    compare_view("dx", &dx, json_object_get(j, "dx"), 1e-6);
    compare("dweight", gradient_of(b, g, "conv.weight"), json_object_get(j, "dweight"), 1e-6);
    compare("dgamma", gradient_of(b, g, "bn.weight"), json_object_get(j, "dbn_weight"), 2e-6);
    compare("dbeta", gradient_of(b, g, "bn.bias"), json_object_get(j, "dbn_bias"), 1e-6);
    compare("running mean", param_of(g, "bn.running_mean")->tensor.data,
            json_object_get(j, "running_mean_after"), 1e-6);
    compare("running variance", param_of(g, "bn.running_var")->tensor.data,
            json_object_get(j, "running_var_after"), 1e-6);
    size_t count;
    const qzi_fake_quant *q = qzi_qat_weight_params(qat, conv, &count);
    const json_t *scales = json_object_get(j, "wfq_scale");
    assert_int_equal(count, json_array_size(scales));
    for (size_t k = 0; k < count; k++) {
        const double want = json_number_value(json_array_get(scales, k));
        assert_true(fabs((double)q[k].scale - want) <= 1e-6 * want && q[k].zero_point == 0);
    }
    /* running statistics; the observers go on, as PyTorch's do in eval */
    static const char *const evals[] = {"y_eval_after", "y_train_frozen_bn"};
    for (int i = 0; i < 2; i++) {
        const qzi_train_mode running = {0};
        ASSERT_OK(ctx, qzi_backward_forward(b, &running, &input, 1));
        ASSERT_OK(ctx, qzi_backward_output(b, 0, &y, &dy));
        const json_t *want = json_object_get(j, evals[i]);
        double squares = 0.0;
        for (int64_t p = 0; p < qzi_view_pixels(&y); p++)
            for (int32_t c = 0; c < y.c; c++)
                squares += pow((double)qzi_view_at(&y, p)[c], 2.0);
        const double length = json_number_value(json_object_get(want, "l2"));
        if (!(fabs(sqrt(squares) - length) <= 1e-5 * length))
            fail_msg("%s, %s: length %.9g, not %.9g", file, evals[i], sqrt(squares), length);
    }
    qzi_backward_destroy(b);
    qzi_qat_destroy(qat);
    qz_graph_destroy(g);
    free(x);
    json_decref(j);
}

static void convolution_and_norm(void **state)
{
    (void)state;
    check_layer("qat_convbn_0");
    check_layer("qat_convbn_1");
    check_layer("qat_convbn_2");
}

/* ---- a small network ---- */

enum { IMAGES = 16, TEST_IMAGES = 2, CLASSES = 4, PIXELS = 3 * 8 * 8 };

typedef struct net {
    qz_graph *g;
    qz_value input, conv[3], norm[3], relu[3], fc;
} net;

static net make_net(const char *suffix)
{
    static const qz_conv2d_options convs[] = {
        {.out_channels = 8, .kernel_h = 3, .padding_h = 1, .padding_w = 1},
        {.out_channels = 8,
         .kernel_h = 3,
         .stride_h = 2,
         .stride_w = 2,
         .padding_h = 1,
         .padding_w = 1,
         .groups = 8},
        {.out_channels = 12, .kernel_h = 1},
    };
    const qz_fill_rule gain = {"", 1.4};
    net n;
    ASSERT_OK(ctx, qz_graph_create(ctx, &n.g));
    qz_value x = n.input = qz_graph_input(n.g, "quant", 3);
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "conv%d", i + 1);
        x = n.conv[i] = qz_conv2d(n.g, name, x, &convs[i]);
        snprintf(name, sizeof(name), "bn%d", i + 1);
        x = n.norm[i] = qz_batch_norm2d(n.g, name, x, 1e-5f);
        snprintf(name, sizeof(name), "relu%d", i + 1);
        x = n.relu[i] = qz_activate(n.g, name, x, QZ_ACT_RELU);
    }
    x = qz_flatten(n.g, "flatten", qz_adaptive_avg_pool2d(n.g, "pool", x, 1, 1));
    n.fc = qz_linear(n.g, "fc", x, CLASSES, true);
    qz_graph_output(n.g, "output", n.fc);
    ASSERT_OK(ctx, qz_graph_finish(n.g));
    for (size_t i = 0; i < n.g->param_count; i++) {
        qzi_param *p = &n.g->params[i];
        if (p->tensor.dtype != QZ_F32)
            continue;
        const bool norm_bias = strncmp(p->key, "bn", 2) == 0;
        p->tensor.data = qzi_alloc(ctx, (size_t)qz_tensor_numel(&p->tensor) * sizeof(float));
        qz_random_fill(p->key, suffix, &gain, 1, norm_bias, &p->tensor);
    }
    return n;
}

static void quantize_net(qzi_qat *qat, const net *n, const char *backend)
{
    const bool per_channel = strcmp(backend, "qnnpack") != 0;
    const int32_t most = strcmp(backend, "fbgemm") == 0 ? 127 : 255;
    ASSERT_OK(ctx, qzi_qat_value(qat, n->input, 0, most));
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(ctx, qzi_qat_weights(qat, n->conv[i], n->norm[i], per_channel, -128, 127));
        ASSERT_OK(ctx, qzi_qat_value(qat, n->relu[i], 0, most));
    }
    ASSERT_OK(ctx, qzi_qat_weights(qat, n->fc, QZ_NO_VALUE, per_channel, -128, 127));
    ASSERT_OK(ctx, qzi_qat_value(qat, n->fc, 0, most));
}

/* Our keys are the file's, but for a norm that a convolution has taken in. */
static void file_key(const char *key, bool qat, char *to, size_t size)
{
    if (qat && strncmp(key, "bn", 2) == 0)
        snprintf(to, size, "conv%c.bn%s", key[2], key + 3);
    else
        snprintf(to, size, "%s", key);
}

static double length_of(const float *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static void close_to(const char *what, int step, double got, double want)
{
    if (!(fabs(got - want) <= 1e-4 * fabs(want)))
        fail_msg("step %d, %s: %.9g, not %.9g", step, what, got, want);
}

/* torch.optim.SGD with lr 0.1, momentum 0.9, weight decay 1e-4. */
static void optimize(const net *n, const qzi_backward *b, float **momentum, int step)
{
    for (size_t i = 0; i < n->g->param_count; i++) {
        const float *gradient = qzi_backward_gradient(b, i);
        float *w = n->g->params[i].tensor.data;
        const int64_t count = qz_tensor_numel(&n->g->params[i].tensor);
        if (gradient && !momentum[i])
            momentum[i] = malloc((size_t)count * sizeof(float));
        for (int64_t k = 0; k < count && gradient; k++) {
            const float d = gradient[k] + 1e-4f * w[k];
            momentum[i][k] = step == 0 ? d : 0.9f * momentum[i][k] + d;
            w[k] = w[k] - 0.1f * momentum[i][k];
        }
    }
}

static void check_fake_quant(const qzi_qat *qat, const net *n, const json_t *step, int number)
{
    static const char *const weights[] = {"conv1.weight_fake_quant", "conv2.weight_fake_quant",
                                          "conv3.weight_fake_quant", "fc.weight_fake_quant"};
    static const char *const values[] = {
        "quant.activation_post_process", "conv1.activation_post_process",
        "conv2.activation_post_process", "conv3.activation_post_process",
        "fc.activation_post_process"};
    const qz_value layers[] = {n->conv[0], n->conv[1], n->conv[2], n->fc};
    const qz_value outputs[] = {n->input, n->relu[0], n->relu[1], n->relu[2], n->fc};
    const json_t *fq = json_object_get(step, "fq");
    for (int i = 0; i < 9; i++) {
        const char *key = i < 4 ? weights[i] : values[i - 4];
        const json_t *want = json_object_get(fq, key);
        size_t count = 1;
        const qzi_fake_quant *q = i < 4 ? qzi_qat_weight_params(qat, layers[i], &count)
                                        : qzi_qat_value_params(qat, outputs[i - 4]);
        assert_non_null(want);
        for (size_t k = 0; k < json_array_size(json_array_get(want, 0)); k++) {
            assert_true(k < count);
            close_to(key, number, (double)q[k].scale,
                     json_number_value(json_array_get(json_array_get(want, 0), k)));
            assert_int_equal(q[k].zero_point,
                             json_integer_value(json_array_get(json_array_get(want, 1), k)));
        }
    }
}

static void check_net(const char *backend)
{
    char file[64], key[64];
    snprintf(file, sizeof(file), "qat_e2e_%s", backend);
    json_t *j = oracle_load(file);
    const char *suffix = oracle_text(j, "seed_suffix");
    const bool quantized = strcmp(backend, "float") != 0;
    float x[IMAGES * PIXELS], proto[CLASSES * PIXELS], test[TEST_IMAGES * PIXELS];
    float *momentum[32] = {NULL};
    int64_t labels[IMAGES];
    qzi_qat *qat;
    qzi_backward *b;
    qzi_step_hooks hooks;
    qzk_view y, dy;
    double loss;
    net n = make_net(suffix);
    const qzi_loss_run run = {ctx, 2, 1.0};
    qz_random_uniform("qat/e2e/x", suffix, -0.5, 2.0, IMAGES * PIXELS, x);
    qz_random_uniform("qat/e2e/proto", suffix, -0.5, 2.0, CLASSES * PIXELS, proto);
    qz_random_uniform("qat/e2e/test", suffix, -0.5, 2.0, TEST_IMAGES * PIXELS, test);
    for (int i = 0; i < IMAGES; i++) {
        labels[i] = json_integer_value(json_array_get(json_object_get(j, "labels"), (size_t)i));
        for (int k = 0; k < PIXELS; k++)
            x[i * PIXELS + k] += 0.8f * proto[labels[i] * PIXELS + k];
    }
    const qz_tensor images = {.dtype = QZ_F32, .ndim = 4, .dims = {IMAGES, 3, 8, 8}, .data = x};
    const qz_tensor tests = {
        .dtype = QZ_F32, .ndim = 4, .dims = {TEST_IMAGES, 3, 8, 8}, .data = test};
    ASSERT_OK(ctx, qzi_qat_create(n.g, &qat));
    if (quantized)
        quantize_net(qat, &n, backend);
    qzi_qat_hooks(qat, &hooks);
    ASSERT_OK(ctx, qzi_backward_create(n.g, &(qzi_backward_options){.hooks = &hooks}, &b));
    qzi_qat_attach(qat, b);
    for (int s = 0; s < 5; s++) {
        const json_t *step = json_array_get(json_object_get(j, "steps"), (size_t)s), *want;
        qzi_backward_zero(b);
        ASSERT_OK(ctx, qzi_backward_forward(b, &training, &images, 1));
        ASSERT_OK(ctx, qzi_backward_output(b, 0, &y, &dy));
        ASSERT_OK(ctx,
                  qzi_loss_cross_entropy(&run, &(qzi_cross_entropy){0}, &y, labels, &dy, &loss));
        close_to("loss", s, loss, json_number_value(json_object_get(step, "loss")));
        ASSERT_OK(ctx, qzi_backward_run(b));
        if (quantized)
            check_fake_quant(qat, &n, step, s);
        optimize(&n, b, momentum, s);
        for (size_t i = 0; i < n.g->param_count; i++) {
            const qzi_param *p = &n.g->params[i];
            const float *gradient = qzi_backward_gradient(b, i);
            if (!gradient)
                continue;
            file_key(p->key, quantized, key, sizeof(key));
            want = json_object_get(json_object_get(step, "grad_l2"), key);
            close_to(key, s, length_of(gradient, qz_tensor_numel(&p->tensor)),
                     json_number_value(want));
            want = json_object_get(json_object_get(step, "param_l2_after"), key);
            close_to(key, s, length_of(p->tensor.data, qz_tensor_numel(&p->tensor)),
                     json_number_value(want));
        }
    }
    const qzi_train_mode running = {0};
    ASSERT_OK(ctx, qzi_backward_forward(b, &running, &tests, 1));
    ASSERT_OK(ctx, qzi_backward_output(b, 0, &y, &dy));
    compare("logits", y.data, json_object_get(j, "eval_logits_test"), quantized ? 1e-2 : 1e-4);
    for (int i = 0; i < 32; i++)
        free(momentum[i]);
    qzi_backward_destroy(b);
    qzi_qat_destroy(qat);
    qz_graph_destroy(n.g);
    json_decref(j);
}

static void five_steps(void **state)
{
    (void)state;
    check_net("float");
    check_net("qnnpack");
    check_net("onednn");
    check_net("fbgemm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution_and_norm),
        cmocka_unit_test(five_steps),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
