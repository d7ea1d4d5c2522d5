/* SPDX-License-Identifier: MIT */
/*
 * test_torch_layers.c - each convolution, linear and add of torch's own int8 models, computed from
 * torch's own input, weights and parameters: at most one step from torch's output (CONTRACT.md,
 * "Differences from PyTorch"). gen/torch_layers.py writes the file and runs this program.
 */
#include "quant/quant.h"
#include "weights/qzoo_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Differences of one step are rare: the sums are exact, only the last rounding differs. */
#define MOST_DIFFERENT 1e-3

typedef struct layer {
    qz_context *ctx;
    const qz_state_dict *dict;
    const char *key; /* "003.layer1.0.conv1" */
    const qz_tensor *y;
    int64_t different;
    int32_t worst;
} layer;

static void die(const qz_context *ctx, const char *what)
{
    printf("%s: %s\n", what, qz_context_message(ctx));
    exit(1);
}

static const qz_tensor *get(const layer *l, const char *suffix)
{
    char key[256];
    snprintf(key, sizeof(key), "%s/%s", l->key, suffix);
    return qz_state_dict_find(l->dict, key);
}

static qz_value add_input(const layer *l, qz_graph *g, const char *name, qzi_qparams q)
{
    const qz_value x = qz_graph_input(g, name, (int32_t)get(l, name)->dims[1]);
    if (x >= 0) {
        g->nodes[x].dtype = QZ_U8;
        g->nodes[x].q = q;
    }
    return x;
}

static qzi_qweights *make_weights(const layer *l, float sx)
{
    const qz_tensor *w = get(l, "w");
    const float *bias = get(l, "bias")->data;
    const size_t count = (size_t)qz_tensor_numel(w), oc = (size_t)w->dims[0];
    qzi_qweights *qw = qzi_calloc(l->ctx, 1, sizeof(*qw));
    qw->w = qzi_alloc(l->ctx, count);
    qw->scales = qzi_alloc(l->ctx, oc * sizeof(float));
    qw->bias = qzi_alloc(l->ctx, oc * sizeof(int32_t));
    qw->bias_f32 = qzi_alloc(l->ctx, oc * sizeof(float));
    memcpy(qw->w, w->data, count);
    memcpy(qw->scales, get(l, "w_scales")->data, oc * sizeof(float));
    memcpy(qw->bias_f32, bias, oc * sizeof(float));
    for (size_t i = 0; i < oc; i++)
        qw->bias[i] = (int32_t)qzi_rnef(bias[i] / (sx * qw->scales[i]));
    return qw;
}

/* The layer as a graph: conv or linear (a 1x1 convolution of one pixel), or add. */
static qz_graph *build(const layer *l, size_t inputs)
{
    const float *scales = get(l, "floats")->data;
    const int32_t *ints = get(l, "ints")->data;
    const qzi_qparams q0 = {scales[0], ints[0]}, q1 = {scales[1], ints[1]};
    const qzi_qparams qy = {scales[inputs], ints[inputs]};
    const int32_t *more = ints + inputs + 1;
    qz_graph *g = NULL;
    qz_value y;
    if (qz_graph_create(l->ctx, &g) != QZ_OK)
        die(l->ctx, l->key);
    const qz_value x = add_input(l, g, "x0", q0);
    if (inputs == 2) {
        const qz_value b = add_input(l, g, "x1", q1);
        y = qz_add(g, "y", x, b, more[0] ? QZ_ACT_RELU : QZ_ACT_NONE);
    } else {
        const qz_tensor *w = get(l, "w");
        y = qz_conv2d(g, "y", x,
                      &(qz_conv2d_options){.out_channels = (int32_t)w->dims[0],
                                           .kernel_h = (int32_t)w->dims[2],
                                           .kernel_w = (int32_t)w->dims[3],
                                           .stride_h = more[0],
                                           .stride_w = more[1],
                                           .padding_h = more[2],
                                           .padding_w = more[3],
                                           .dilation_h = more[4],
                                           .dilation_w = more[5],
                                           .groups = more[6]});
        if (y >= 0) {
            g->nodes[y].qw = make_weights(l, q0.scale);
            g->nodes[y].act = more[7] ? QZ_ACT_RELU : QZ_ACT_NONE;
        }
    }
    if (y >= 0) {
        g->nodes[y].dtype = QZ_U8;
        g->nodes[y].q = qy;
    }
    qz_graph_output(g, "y", y);
    if (qz_graph_finish(g) != QZ_OK)
        die(l->ctx, l->key);
    return g;
}

/* What quantizes to exactly these bytes: an input node takes floats. */
static qz_tensor dequantized(const qz_tensor *bytes, qzi_qparams q)
{
    const int64_t count = qz_tensor_numel(bytes);
    qz_tensor x = *bytes;
    float *data = malloc((size_t)count * sizeof(*data));
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)(((const uint8_t *)bytes->data)[i] - q.zero_point) * q.scale;
    x.dtype = QZ_F32;
    x.data = data;
    return x;
}

static qz_status compare(void *user, const qz_graph *graph, qz_value node, const qzk_view *view)
{
    layer *l = user;
    const uint8_t *want = l->y->data, *got = view->data;
    const int64_t plane = (int64_t)view->h * view->w;
    if (graph->nodes[node].op == QZI_OP_INPUT)
        return QZ_OK;
    for (int64_t p = 0; p < view->n * plane; p++)
        for (int64_t c = 0; c < view->c; c++) {
            const int64_t at = (p / plane * view->c + c) * plane + p % plane;
            const int32_t d = abs(got[p * view->pixel_stride + c] - want[at]);
            l->different += d != 0;
            l->worst = QZI_MAX(l->worst, d);
        }
    return QZ_OK;
}

static void run_layer(layer *l)
{
    const size_t inputs = get(l, "x1") ? 2 : 1;
    const float *scales = get(l, "floats")->data;
    const int32_t *zero_points = get(l, "ints")->data;
    qz_graph *g = build(l, inputs);
    qz_tensor in[2];
    qzi_packed *packed = NULL;
    qzi_exec *exec = NULL;
    for (size_t i = 0; i < inputs; i++)
        in[i] = dequantized(get(l, i ? "x1" : "x0"), (qzi_qparams){scales[i], zero_points[i]});
    if (qzi_packed_create(g, QZ_ISA_AUTO, &packed) != QZ_OK ||
        qzi_exec_create(packed, g, 1, &exec) != QZ_OK)
        die(l->ctx, l->key);
    qzi_exec_set_hook(exec, compare, l);
    if (qzi_exec_run(exec, in, inputs, false) != QZ_OK)
        die(l->ctx, l->key);
    for (size_t i = 0; i < inputs; i++)
        free(in[i].data);
    qzi_exec_destroy(exec);
    qzi_packed_destroy(packed);
    qz_graph_destroy(g);
}

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_state_dict *dict = NULL;
    int64_t layers = 0, values = 0, different = 0;
    int failed = 0;
    if (argc != 2) {
        printf("usage: test_torch_layers FILE (written by gen/torch_layers.py)\n");
        return 2;
    }
    if (qz_context_create(NULL, &ctx) != QZ_OK || qz_state_dict_load(ctx, argv[1], &dict) != QZ_OK)
        die(ctx, argv[1]);
    for (size_t i = 0; i < qz_state_dict_count(dict); i++) {
        char key[256];
        snprintf(key, sizeof(key), "%s", qz_state_dict_key(dict, i));
        char *slash = strrchr(key, '/');
        if (!slash || strcmp(slash, "/y") != 0)
            continue;
        *slash = '\0';
        layer l = {.ctx = ctx, .dict = dict, .key = key, .y = qz_state_dict_tensor(dict, i)};
        run_layer(&l);
        const int64_t count = qz_tensor_numel(l.y);
        if (l.worst > 1 || (double)l.different > 2 + MOST_DIFFERENT * (double)count) {
            printf("%s: %lld of %lld values differ, by up to %d\n", key, (long long)l.different,
                   (long long)count, l.worst);
            failed = 1;
        }
        layers++;
        values += count;
        different += l.different;
    }
    printf("%s: %lld layers, %lld values, %lld differ by one step\n", argv[1], (long long)layers,
           (long long)values, (long long)different);
    qz_state_dict_destroy(dict);
    qz_context_destroy(ctx);
    return failed || layers == 0;
}
