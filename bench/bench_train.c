/* SPDX-License-Identifier: MIT */
/*
 * bench_train.c - the time of training steps of a model with random weights:
 * bench_train MODEL BATCH SIZE THREADS RUNS [fbgemm|qnnpack] prints the best step's forward and
 * backward, each op's share in all of them, and the memory; with a backend quantization-aware.
 * bench_train.py is the same step of torchvision's.
 */
#include "layers/graph/backward.h"
#include "quant/qat/place.h"
#include "zoo/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static qz_context *ctx;

static void check(qz_status st)
{
    if (st == QZ_OK)
        return;
    fprintf(stderr, "bench_train: %s\n", qz_context_message(ctx));
    exit(1);
}

static void print_ops(const qz_graph *g, const qzi_backward *b, int runs)
{
    const double *forward = qzi_backward_seconds(b, false);
    const double *backward = qzi_backward_seconds(b, true);
    double sums[QZI_OP_COUNT + 1][2] = {{0.0}};
    for (size_t i = 0; i < g->node_count; i++) {
        const qzi_node *node = &g->nodes[i];
        const bool depthwise = node->op == QZI_OP_CONV2D && node->u.conv.groups > 1;
        const int row = depthwise ? QZI_OP_COUNT : (int)node->op;
        sums[row][0] += forward[i] * 1e3 / runs;
        sums[row][1] += backward[i] * 1e3 / runs;
    }
    for (int op = 0; op <= QZI_OP_COUNT; op++)
        if (sums[op][0] + sums[op][1] > 0.05)
            printf("    %-20s forward %8.2f ms, backward %8.2f ms\n",
                   op == QZI_OP_COUNT ? "conv2d in groups" : qzi_op_name((qzi_op)op), sums[op][0],
                   sums[op][1]);
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: bench_train MODEL BATCH SIZE THREADS RUNS [BACKEND]\n");
        return 2;
    }
    const int batch = atoi(argv[2]), size = atoi(argv[3]), runs = atoi(argv[5]);
    const qzi_train_mode mode = {.batch_stats = true, .update_stats = true, .momentum = 0.1f};
    double best[2] = {1e9, 1e9};
    qz_model *model;
    qzi_backward *b;
    qz_context_options co = QZ_CONTEXT_OPTIONS_INIT;
    qz_model_options o = QZ_MODEL_OPTIONS_INIT;
    qz_tensor x = {.dtype = QZ_F32, .ndim = 4, .dims = {batch, 3, size, size}};
    co.threads = (uint32_t)atoi(argv[4]);
    o.skip_fuse = true;
    check(qz_context_create(&co, &ctx));
    check(qz_model_create(ctx, argv[1], &o, &model));
    float *data = x.data = malloc((size_t)qz_tensor_numel(&x) * sizeof(*data));
    for (int64_t i = 0; i < qz_tensor_numel(&x); i++)
        data[i] = (float)(i * 7919 % 2001) / 1000.0f - 1.0f;
    qzi_backward_options options = {0};
    qzi_step_hooks hooks;
    qzi_qat *qat = NULL;
    if (argc == 7) {
        const bool fbgemm = strcmp(argv[6], "fbgemm") == 0;
        const qzi_qconfig q = {
            .backend = qzi_backend_get(fbgemm ? QZ_BACKEND_FBGEMM : QZ_BACKEND_QNNPACK),
            .per_channel = fbgemm,
        };
        check(qzi_qat_create(model->graph, &qat));
        check(qzi_qat_place(qat, model->graph, &q));
        qzi_qat_hooks(qat, &hooks);
        options.hooks = &hooks;
    }
    check(qzi_backward_create(model->graph, &options, &b));
    if (qat)
        qzi_qat_attach(qat, b);
    for (int run = 0; run < runs + 1; run++) {
        qzk_view y, dy;
        if (run == 1)
            check(qzi_backward_set_profile(b, true));
        qzi_backward_zero(b);
        const double begin = qzi_now();
        check(qzi_backward_forward(b, &mode, &x, 1));
        const double middle = qzi_now();
        check(qzi_backward_output(b, 0, &y, &dy));
        for (int64_t i = 0; i < qzi_view_pixels(&dy) * dy.c; i++)
            ((float *)dy.data)[i] = (float)(i % 7 - 3) * 1e-4f;
        check(qzi_backward_run(b));
        const double end = qzi_now();
        best[0] = run > 0 && middle - begin < best[0] ? middle - begin : best[0];
        best[1] = run > 0 && end - middle < best[1] ? end - middle : best[1];
    }
    const double macs = (double)model->macs * batch * size * size / 224.0 / 224.0 * 1e-9;
    const qzi_backward_memory m = qzi_backward_memory_of(b);
    printf("%s, batch %d, %d threads: forward %.1f ms (%.1f GMAC/s), backward %.1f ms (%.1f), "
           "step %.1f ms\n",
           argv[1], batch, atoi(argv[4]), best[0] * 1e3, macs / best[0], best[1] * 1e3,
           2.0 * macs / best[1], (best[0] + best[1]) * 1e3);
    print_ops(model->graph, b, runs);
    printf(
        "    arena %.1f MB (%.1f kept, %.1f alive at once), scratch %.1f, packed %.1f, gradients "
        "%.1f\n",
        (double)m.arena * 1e-6, (double)m.kept * 1e-6, (double)m.liveness * 1e-6,
        (double)m.scratch * 1e-6, (double)m.packed * 1e-6, (double)m.gradients * 1e-6);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("    peak of the process %.0f MB\n", (double)usage.ru_maxrss / 1e3);
    qzi_backward_destroy(b);
    qzi_qat_destroy(qat);
    qz_model_destroy(model);
    qz_context_destroy(ctx);
    free(data);
    return 0;
}
