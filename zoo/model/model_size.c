/* SPDX-License-Identifier: MIT */
/*
 * model_size.c - whether weights and runs fit into memory, before anything is made.
 *
 * Both are least sizes: what is refused here could not work. What passes may still be refused
 * later, when the blocks themselves are asked for.
 */
#include "zoo/model/model_size.h"
#include "zoo/detection/transform.h"

#include "layers/base/memory.h"

#include <stdio.h>

qz_status qzi_model_check_weights(const qz_model *model)
{
    uint64_t bytes = 0;
    char what[128];
    for (size_t i = 0; i < model->graph->param_count; i++)
        bytes += (uint64_t)qz_tensor_numel(&model->graph->params[i].tensor) * sizeof(float);
    snprintf(what, sizeof(what),
             "%s with %d classes: weights of %s, once as loaded and once packed:",
             model->arch->info.name, (int)model->num_classes, qzi_bytes_text(bytes).text);
    return qzi_check_memory(model->ctx, 2 * bytes, what, "fewer classes take less");
}

/* Bytes of a value; a double, which no product overflows. */
static double value_bytes(const qzi_node *node, const qzi_shape *s)
{
    return (double)s->n * s->h * s->w * s->c * (double)qz_dtype_size(node->dtype);
}

qz_status qz_model_check_run(const qz_model *model, int64_t n, int64_t height, int64_t width)
{
    if (!model)
        return qzi_fail(NULL, QZ_ERR_ARGUMENT, "qz_model_check_run: model is NULL");
    if (n < 1 || height < 1 || width < 1 || n > INT32_MAX || height > INT32_MAX ||
        width > INT32_MAX)
        return qzi_fail(model->ctx, QZ_ERR_ARGUMENT,
                        "qz_model_check_run: batch, height and width must be at least 1");
    const qz_graph *graph = model->graph ? model->graph : model->int8_graph;
    qzi_shape inputs[QZI_STAGES_MAX] = {{(int32_t)n, (int32_t)height, (int32_t)width, 3}};
    if (model->arch->detector) { /* which runs images one by one */
        qzi_transform_size size;
        QZI_TRY(qzi_transform_sizes(model->ctx, model->arch->detector, &model->detection,
                                    (int32_t)height, (int32_t)width, 0, 0, &size));
        inputs[0] = (qzi_shape){1, size.padded_h, size.padded_w, 3};
    }
    qzi_shape *shapes = qzi_calloc(model->ctx, graph->node_count, sizeof(*shapes));
    if (!shapes)
        return QZ_ERR_MEMORY;
    qz_status st = qzi_graph_shapes(graph, inputs, shapes);
    double most = 0.0; /* of a value, or of a convolution's input and output */
    for (size_t i = 0; st == QZ_OK && i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        double bytes = value_bytes(node, &shapes[i]);
        if (node->op == QZI_OP_CONV2D || node->op == QZI_OP_CONV_TRANSPOSE2D)
            bytes += value_bytes(&graph->nodes[node->in[0]], &shapes[node->in[0]]);
        most = QZI_MAX(most, bytes);
    }
    qzi_free(model->ctx, shapes);
    QZI_TRY(st);
    /* the caller's image is float */
    const double bytes = most + (double)n * (double)height * (double)width * 3 * sizeof(float);
    char what[160];
    snprintf(what, sizeof(what), "%s with %lld image%s of %lldx%lld: a run takes at least",
             model->arch->info.name, (long long)n, n == 1 ? "" : "s", (long long)height,
             (long long)width);
    return qzi_check_memory(model->ctx, bytes < 1e19 ? (uint64_t)bytes : UINT64_MAX, what,
                            "smaller or fewer images take less");
}
