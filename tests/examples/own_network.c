/* SPDX-License-Identifier: MIT */
/*
 * own_network.c - a network that is not in the zoo: built layer by layer, calibrated, converted,
 * saved, and opened again.
 *
 *   own_network FILE.safetensors [WEIGHTS]
 *
 * WEIGHTS is a file with the keys that the program lists; without it the weights are random.
 */
#include <qzoo/qzoo.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, CLASSES = 10 };

static qz_value block(qz_graph *g, const char *name, qz_value x, int32_t channels, int32_t stride)
{
    qz_graph_enter(g, "%s", name);
    x = qz_conv2d(g, "conv", x,
                  &(qz_conv2d_options){
                      .out_channels = channels, .kernel_h = 3, .stride_h = stride, .padding_h = 1});
    x = qz_batch_norm2d(g, "bn", x, 1e-5f);
    return qz_graph_leave(g, qz_activate(g, "relu", x, QZ_ACT_RELU));
}

/* A small residual network. Errors are reported by what takes the graph. */
static qz_status build(qz_context *ctx, qz_graph **graph)
{
    qz_graph *g = NULL;
    qz_status st = qz_graph_create(ctx, &g);
    if (st != QZ_OK)
        return st;
    qz_value x = qz_graph_input(g, "input", 3);
    x = block(g, "stem", x, 16, 1);
    x = qz_add(g, "add", block(g, "branch", x, 16, 1), x, QZ_ACT_RELU);
    x = block(g, "down", x, 32, 2);
    x = qz_flatten(g, "flatten", qz_adaptive_avg_pool2d(g, "pool", x, 1, 1));
    x = qz_linear(g, "fc", x, CLASSES, true);
    qz_graph_output(g, "output", x);
    *graph = g;
    return QZ_OK;
}

/* A made-up picture: stripes that differ from image to image. */
static void draw(uint8_t *rgb, int number)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++)
                rgb[(y * SIDE + x) * 3 + c] =
                    (uint8_t)(128 + 100 * ((x * (number + 1) + y * (c + 1)) / 8 % 2));
}

static qz_status run(qz_model *model, const char *output, float *values)
{
    qz_session_options options = QZ_SESSION_OPTIONS_INIT;
    qz_session *session = NULL;
    const qz_tensor *tensor = NULL;
    uint8_t rgb[SIDE * SIDE * 3];
    const qz_pixels image = {.width = SIDE, .height = SIDE, .data = rgb};
    draw(rgb, 7);
    options.outputs = &output;
    options.output_count = 1;
    qz_status st = qz_session_create(model, &options, &session);
    if (st == QZ_OK)
        st = qz_session_run_pixels(session, &image, 1);
    if (st == QZ_OK)
        st = qz_session_output(session, 0, NULL, &tensor);
    if (st == QZ_OK)
        memcpy(values, tensor->data, (size_t)qz_tensor_numel(tensor) * sizeof(float));
    qz_session_destroy(session);
    return st;
}

static qz_status make(qz_context *ctx, const char *weights, qz_model **model)
{
    const qz_preprocess recipe = {
        .crop_h = SIDE, .crop_w = SIDE, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}};
    qz_model_options options = QZ_MODEL_OPTIONS_INIT;
    qz_graph *graph = NULL;
    options.weights = weights;
    options.quantize = true;
    qz_status st = build(ctx, &graph);
    if (st == QZ_OK)
        st = qz_model_from_graph(ctx, "own_network", graph, &recipe, &options, model);
    for (int i = 0; i < 16 && st == QZ_OK; i++) {
        uint8_t rgb[SIDE * SIDE * 3];
        draw(rgb, i);
        st = qz_model_calibrate_u8(*model, rgb, SIDE, SIDE, SIDE * 3);
    }
    return st == QZ_OK ? qz_model_convert(*model) : st;
}

int main(int argc, char **argv)
{
    qz_context *ctx = NULL;
    qz_model *made = NULL, *opened = NULL;
    qz_graph *graph = NULL;
    float first[CLASSES], second[CLASSES], pooled[32];
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s FILE.safetensors [WEIGHTS]\n", argv[0]);
        return 2;
    }
    qz_status st = qz_context_create(NULL, &ctx);
    if (st == QZ_OK)
        st = make(ctx, argc == 3 ? argv[2] : NULL, &made);
    if (st == QZ_OK)
        st = qz_model_save(made, argv[1]);
    if (st == QZ_OK)
        st = build(ctx, &graph);
    if (st == QZ_OK)
        st = qz_model_open_graph(ctx, argv[1], graph, &opened);
    if (st == QZ_OK)
        st = run(made, "output", first);
    if (st == QZ_OK)
        st = run(opened, "output", second);
    if (st == QZ_OK)
        st = run(opened, "pool", pooled); /* an embedding: the classifier does not run */
    if (st == QZ_OK)
        for (int i = 0; i < CLASSES; i++)
            printf("class %d: %.4f%s\n", i, (double)second[i],
                   first[i] == second[i] ? "" : " differs");
    else
        fprintf(stderr, "%s: %s\n", argv[0], ctx ? qz_context_message(ctx) : qz_status_text(st));
    qz_model_destroy(made);
    qz_model_destroy(opened);
    qz_context_destroy(ctx);
    return st == QZ_OK ? memcmp(first, second, sizeof(first)) != 0 : 1;
}
