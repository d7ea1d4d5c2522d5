/* SPDX-License-Identifier: MIT */
/* every_op.h - a network of every op, each under the name of its row in zoo/onnx/README.md; its
 * ONNX files read back by protobuf-c. */
#ifndef QZOO_TESTS_ONNX_EVERY_OP_H
#define QZOO_TESTS_ONNX_EVERY_OP_H

#include "../unit/counting.h"
#include "zoo/model/model.h"
#include "zoo/model/model_build.h"
#include "zoo/model/weights_random.h"
#include "zoo/onnx/onnx_emit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SIDE 19

/* ---- a network of every op ---- */

static inline qz_value conv(qz_graph *g, const char *name, qz_value x, int32_t oc, int32_t k)
{
    return qz_conv2d(
        g, name, x,
        &(qz_conv2d_options){.out_channels = oc, .kernel_h = k, .padding_h = k / 2, .bias = true});
}

static inline qz_value after_pool(qz_graph *g, const char *name, qz_value x, qz_activation act)
{
    /* a pool in between keeps the activation from being fused */
    char pool[64];
    snprintf(pool, sizeof(pool), "pool.%s", name);
    x = qz_max_pool2d(g, pool, x, &(qz_pool2d_options){.kernel_h = 1});
    return qz_activate(g, name, x, act);
}

static inline void build(qz_graph *g, const void *config, const qzi_build_options *options)
{
    static const float factor[8] = {0.5f, 1, 2, 1, 1, 1, 1, 1}, shift[8] = {0.1f, -0.2f};
    (void)config;
    qz_value x = qz_graph_input(g, "input", 3), y, z, picked;
    x = conv(g, "conv2d", x, 8, 3);
    x = qz_max_pool2d(g, "max_pool2d", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2, .ceil_mode = true});
    x = qz_batch_norm2d(g, "batch_norm2d", x, 1e-3f);
    x = qz_avg_pool2d(g, "avg_pool2d", x,
                      &(qz_pool2d_options){.kernel_h = 3, .stride_h = 1, .padding_h = 1});
    y = qz_avg_pool2d(
        g, "avg_pool2d beyond its padding", x,
        &(qz_pool2d_options){.kernel_h = 3, .stride_h = 2, .padding_h = 1, .ceil_mode = true});
    y = conv(g, "conv2d with relu", y, 8, 1);
    y = qz_activate(g, "fused", y, QZ_ACT_RELU);
    x = after_pool(g, "relu", conv(g, "c1", x, 8, 1), QZ_ACT_RELU);
    x = after_pool(g, "relu6", conv(g, "c2", x, 8, 1), QZ_ACT_RELU6);
    x = qz_activate(g, "hardswish", conv(g, "c3", x, 8, 1), QZ_ACT_HARDSWISH);
    z = qz_adaptive_avg_pool2d(g, "adaptive_avg_pool2d to 1x1", x, 1, 1);
    z = qz_activate(g, "hardsigmoid", conv(g, "c4", z, 8, 1), QZ_ACT_HARDSIGMOID);
    x = qz_mul(g, "mul", z, x);
    z = qz_activate(g, "sigmoid", conv(g, "c5", x, 8, 1), QZ_ACT_SIGMOID);
    x = qz_add(g, "add", x, z, QZ_ACT_NONE);
    x = qz_activate(g, "silu", conv(g, "c6", x, 8, 1), QZ_ACT_SILU);
    x = qz_activate(g, "gelu", conv(g, "c7", x, 8, 1), QZ_ACT_GELU);
    x = qz_activate(g, "leaky_relu", conv(g, "c11", x, 8, 1), QZ_ACT_LEAKY_RELU);
    x = qz_activate(g, "mish", conv(g, "c12", x, 8, 1), QZ_ACT_MISH);
    x = qz_layer_norm(g, "layer_norm", x, 1e-6f);
    x = qz_channel_affine(g, "channel_affine", x, factor, shift);
    x = qz_conv_transpose2d(g, "conv_transpose2d", conv(g, "c10", x, 8, 1),
                            &(qz_conv_transpose2d_options){.out_channels = 6,
                                                           .kernel_h = 3,
                                                           .stride_h = 2,
                                                           .padding_h = 1,
                                                           .output_padding_h = 1,
                                                           .bias = true});
    x = qz_conv_transpose2d(g, "in groups", x,
                            &(qz_conv_transpose2d_options){
                                .out_channels = 8, .kernel_h = 2, .groups = 2, .bias = true});
    x = qz_max_pool2d(g, "down", qz_group_norm(g, "group_norm", x, 4, 1e-5f),
                      &(qz_pool2d_options){.kernel_h = 2});
    x = qz_l2_norm(g, "scale_weight", "l2_norm", x);
    x = qz_linear(g, "linear of pixels", x, 8, true);
    x = qz_layer_scale(g, "gamma", "layer_scale", x);
    x = qz_stochastic_depth(g, "stochastic_depth", x, 0.1f);
    x = qz_channel_shuffle(g, "channel_shuffle", conv(g, "c8", x, 8, 1), 2);
    z = qz_avg_pool2d(g, "smaller", x, &(qz_pool2d_options){.kernel_h = 2, .stride_h = 2});
    z = qz_resize2d(g, "resize2d", z, x, QZ_RESIZE_BILINEAR);
    x = qz_add(g, "resized", x, z, QZ_ACT_NONE);
    z = qz_max_pool2d(g, "smallest", x, &(qz_pool2d_options){.kernel_h = 3, .stride_h = 3});
    z = qz_resize2d(g, "resize2d nearest", z, x, QZ_RESIZE_NEAREST);
    x = qz_add(g, "resized nearest", x, z, QZ_ACT_NONE);
    z = qz_slice_channels(g, "slice", x, 3, 5);
    picked = qz_pick_channels(g, "slice of every period", x, 1, 2, 4);
    x = qz_concat(g, "concat of equal parameters", (qz_value[]){x, z, picked}, 3);
    z = conv(g, "conv2d with a clamp left", x, 4, 1);
    z = qz_activate(g, "left", z, QZ_ACT_RELU);
    x = qz_concat(g, "joined", (qz_value[]){z, conv(g, "c9", x, 4, 1)}, 2);
    x = qz_adaptive_avg_pool2d(g, "adaptive_avg_pool2d to another size", x, 5, 2);
    y = qz_adaptive_avg_pool2d(g, "adaptive_avg_pool2d to a divisor", y, 5, 2);
    z = qz_max_pool2d(g, "z", y, &(qz_pool2d_options){.kernel_h = 1});
    x = qz_concat(g, "concat", (qz_value[]){x, y, z}, 3);
    x = qz_add(g, "use", qz_slice_channels(g, "u1", x, 0, 12), qz_slice_channels(g, "u2", x, 8, 12),
               QZ_ACT_NONE);
    x = qz_flatten(g, "flatten", x);
    x = qz_dropout(g, "dropout", x, 0.2f);
    x = qz_linear(g, "linear", x, options->num_classes, true);
    qz_graph_output(g, "output", x);
}

static const qz_fill_rule fill_rules[] = {{NULL, 1.0}};

static const qzi_arch every_op = {
    .info = {.name = "every_op",
             .task = "classification",
             .classes = 7,
             .input_h = SIDE,
             .input_w = SIDE + 1,
             .preprocess = QZI_PREPROCESS_IMAGENET(SIDE, SIDE, QZ_INTERPOLATION_BILINEAR)},
    .fill_rules = fill_rules,
    .build = build,
    .fuse = qzi_fuse,
};

#define ASSERT_OK(ctx, call)                                    \
    do {                                                        \
        qz_status assert_status = (call);                       \
        if (assert_status != QZ_OK)                             \
            fail_msg("%s: %s", #call, qz_context_message(ctx)); \
    } while (0)

typedef struct fixture {
    counting memory;
    qz_context *ctx;
    qz_model *model;
    char path[64];
} fixture;

static inline void make_model_of(fixture *f, const qzi_backend *backend, bool int8)
{
    float *image = malloc((size_t)3 * SIDE * (SIDE + 1) * sizeof(*image));
    qz_tensor images = {.dtype = QZ_F32, .ndim = 4, .dims = {1, 3, SIDE, SIDE + 1}, .data = image};
    *f = (fixture){.memory = COUNTING_INIT};
    f->ctx = counting_context(&f->memory, 1);
    assert_non_null(f->ctx);
    ASSERT_OK(f->ctx, qzi_model_alloc(f->ctx, &every_op, &f->model));
    ASSERT_OK(f->ctx, qzi_model_build(f->model, NULL));
    ASSERT_OK(f->ctx, qzi_weights_fill(f->model->graph, fill_rules, "0"));
    ASSERT_OK(f->ctx, qzi_model_fuse(f->model));
    /* relu6 has something to cut off */
    ((float *)qzi_graph_param(f->model->graph, "c2.bias")->tensor.data)[0] = 9.0f;
    f->model->qconfig.backend = backend;
    f->model->qconfig.observer = QZ_OBSERVER_MINMAX;
    f->model->qconfig.per_channel = true;
    if (int8) {
        ASSERT_OK(f->ctx, qz_model_prepare(f->model));
        for (int64_t i = 0; i < 2; i++) {
            qz_synthetic_image(i, SIDE, SIDE + 1, image);
            ASSERT_OK(f->ctx, qz_model_calibrate(f->model, &images));
        }
        ASSERT_OK(f->ctx, qz_model_convert(f->model));
    }
    free(image);
    strcpy(f->path, "/tmp/qzoo-export-XXXXXX");
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
}

static inline void make_model(fixture *f, qz_backend backend, bool int8)
{
    make_model_of(f, qzi_backend_get(backend), int8);
}

static inline void end_model(fixture *f)
{
    char data[80];
    snprintf(data, sizeof(data), "%s.data", f->path);
    unlink(data);
    unlink(f->path);
    qz_model_destroy(f->model);
    qz_context_destroy(f->ctx);
    assert_int_equal(f->memory.live, 0);
}

/* ---- reading back ---- */

static inline void *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    ((char *)bytes)[*size] = '\0';
    fclose(file);
    return bytes;
}

static inline QziOnnx__ModelProto *export_and_read(fixture *f, const qz_onnx_options *options)
{
    size_t size = 0;
    ASSERT_OK(f->ctx, qz_onnx_export(f->model, f->path, options));
    uint8_t *bytes = read_whole(f->path, &size);
    QziOnnx__ModelProto *read = qzi_onnx__model_proto__unpack(NULL, size, bytes);
    free(bytes);
    assert_non_null(read);
    assert_non_null(read->graph);
    return read;
}

static inline const QziOnnx__TensorProto *find_tensor(const QziOnnx__ModelProto *m,
                                                      const char *name)
{
    for (size_t i = 0; i < m->graph->n_initializer; i++)
        if (strcmp(m->graph->initializer[i]->name, name) == 0)
            return m->graph->initializer[i];
    return NULL;
}

static inline const QziOnnx__NodeProto *find_node(const QziOnnx__ModelProto *m, const char *name)
{
    for (size_t i = 0; i < m->graph->n_node; i++)
        if (strcmp(m->graph->node[i]->name, name) == 0)
            return m->graph->node[i];
    return NULL;
}

/* Every input of a node is an input of the graph, a tensor, or made by a node before it. */
static inline void check_order(const QziOnnx__ModelProto *m)
{
    const QziOnnx__GraphProto *g = m->graph;
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_input; k++) {
            const char *name = g->node[i]->input[k];
            bool found = name[0] == '\0' || find_tensor(m, name);
            for (size_t input = 0; input < g->n_input && !found; input++)
                found = strcmp(name, g->input[input]->name) == 0;
            for (size_t before = 0; before < i && !found; before++)
                for (size_t o = 0; o < g->node[before]->n_output; o++)
                    found |= strcmp(g->node[before]->output[o], name) == 0;
            if (!found)
                fail_msg("%s reads %s, which is not there", g->node[i]->name, name);
        }
}

#endif
