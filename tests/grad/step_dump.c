/* SPDX-License-Identifier: MIT */
/*
 * step_dump.c - one training step of a model with random weights, for step_torch.py and
 * qat_torch.py: step_dump MODEL BATCH H W DIR [BACKEND] writes parameters before it, the input,
 * outputs and their gradients (random ones), the gradients of parameters, and running statistics
 * after it, as float32 .npy; with a backend it is quantization-aware.
 */
#include "layers/graph/backward.h"
#include "quant/fuse.h"
#include "quant/qat/place.h"
#include "zoo/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qz_context *ctx;
static const char *folder;

static void check(qz_status st)
{
    if (st == QZ_OK)
        return;
    fprintf(stderr, "step_dump: %s\n", qz_context_message(ctx));
    exit(1);
}

static void save(const char *kind, const char *name, const qz_tensor *tensor)
{
    char *path = qzi_format(ctx, "%s/%s.%s.npy", folder, kind, name);
    check(path ? qz_npy_save(ctx, path, tensor) : QZ_ERR_MEMORY);
    qzi_free(ctx, path);
}

static void save_params(const qz_graph *g, const char *kind, bool statistics)
{
    for (size_t i = 0; i < g->param_count; i++)
        if (g->params[i].tensor.dtype == QZ_F32 && !(statistics && g->params[i].trainable))
            save(kind, g->params[i].key, &g->params[i].tensor);
}

/* A number in [-1, 1) that follows from its place. */
static float random_at(uint64_t i, uint64_t seed)
{
    uint64_t z = (i + 1) * UINT64_C(0x9E3779B97F4A7C15) + seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (float)((z ^ (z >> 31)) >> 40) * 0x1p-23f - 1.0f;
}

static void save_view(const char *kind, const char *name, const qzk_view *v, bool flat)
{
    const int64_t plane = (int64_t)v->h * v->w, pixels = qzi_view_pixels(v);
    qz_tensor t = {.dtype = QZ_F32, .ndim = flat ? 2 : 4, .dims = {v->n, v->c, v->h, v->w}};
    float *data = t.data = malloc((size_t)(pixels * v->c) * sizeof(*data));
    for (int64_t p = 0; p < pixels; p++)
        for (int32_t c = 0; c < v->c; c++)
            data[(p / plane * v->c + c) * plane + p % plane] = qzi_view_at(v, p)[c];
    save(kind, name, &t);
    free(data);
}

static void fill_gradients(const qz_graph *g, const qzi_backward *b)
{
    for (size_t i = 0; i < g->output_count; i++) {
        const bool flat = g->nodes[g->outputs[i].value].flat;
        qzk_view y, dy;
        check(qzi_backward_output(b, i, &y, &dy));
        save_view("output", g->outputs[i].name, &y, flat);
        const int64_t count = qzi_view_pixels(&dy) * dy.c;
        for (int64_t k = 0; k < count; k++)
            ((float *)dy.data)[k] = random_at((uint64_t)k, 99 + i) / (float)count;
        save_view("dy", g->outputs[i].name, &dy, flat);
    }
}

/* Scale and zero point of each value, behind the name of its node. */
static void save_scales(const qz_graph *g, const qzi_qat *qat)
{
    for (size_t i = 0; i < g->node_count; i++) {
        const qzi_fake_quant *q = qzi_qat_value_params(qat, (qz_value)i);
        if (!q)
            continue;
        float pair[2] = {q->scale, (float)q->zero_point};
        save("value", g->nodes[i].name,
             &(qz_tensor){.dtype = QZ_F32, .ndim = 1, .dims = {2}, .data = pair});
    }
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: step_dump MODEL BATCH H W DIR [fbgemm|qnnpack]\n");
        return 2;
    }
    qz_model *model;
    qzi_backward *b;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    qz_tensor x = {
        .dtype = QZ_F32, .ndim = 4, .dims = {atoi(argv[2]), 3, atoi(argv[3]), atoi(argv[4])}};
    const qzi_train_mode mode = {.batch_stats = true, .update_stats = true, .momentum = 0.1f};
    folder = argv[5];
    o.skip_fuse = true;
    check(qz_context_create(NULL, &ctx));
    check(qz_model_create(ctx, argv[1], &o, &model));
    qz_graph *g = model->graph;
    float *data = x.data = malloc((size_t)qz_tensor_numel(&x) * sizeof(*data));
    for (int64_t i = 0; i < qz_tensor_numel(&x); i++)
        data[i] = random_at((uint64_t)i, 1);
    save("input", "0", &x);
    save_params(g, "param", false);
    qzi_backward_options options = {0};
    qzi_step_hooks hooks;
    qzi_qat *qat = NULL;
    if (argc == 7) {
        const bool fbgemm = strcmp(argv[6], "fbgemm") == 0;
        const qzi_qconfig q = {
            .backend = qzi_backend_get(fbgemm ? QZ_BACKEND_FBGEMM : QZ_BACKEND_QNNPACK),
            .per_channel = fbgemm,
            .reduce_range = fbgemm, /* as PyTorch's */
        };
        qzi_replace_relu6(g);
        check(qzi_qat_create(g, &qat));
        check(qzi_qat_place(qat, g, &q));
        qzi_qat_hooks(qat, &hooks);
        options.hooks = &hooks;
    }
    check(qzi_backward_create(g, &options, &b));
    if (qat)
        qzi_qat_attach(qat, b);
    check(qzi_backward_forward(b, &mode, &x, 1));
    fill_gradients(g, b);
    check(qzi_backward_run(b));
    for (size_t i = 0; i < g->param_count; i++) {
        qz_tensor t = g->params[i].tensor;
        t.data = qzi_backward_gradient(b, i);
        if (t.data)
            save("grad", g->params[i].key, &t);
    }
    save_params(g, "after", true);
    if (qat)
        save_scales(g, qat);
    qzi_backward_destroy(b);
    qzi_qat_destroy(qat);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    free(data);
    return 0;
}
