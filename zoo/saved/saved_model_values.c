/* SPDX-License-Identifier: MIT */
/* saved_model_values.c - tensors of a saved model, and the parameters of its values. */
#include "zoo/saved/saved_reader.h"

#include <math.h>
#include <string.h>

qz_status qzi_saved_tensor(qzi_saved_reader *r, const char *name, const char *leaf, qz_dtype dtype,
                           int32_t ndim, const int64_t *dims, const qz_tensor **out)
{
    char *key = qzi_format(r->ctx, "%s%s%s", name, leaf ? "." : "", leaf ? leaf : "");
    if (!key)
        return QZ_ERR_MEMORY;
    const qz_tensor *tensor = qz_state_dict_find(r->dict, key);
    bool fits = tensor && tensor->dtype == dtype && tensor->ndim == ndim;
    for (int32_t i = 0; fits && i < ndim; i++)
        fits = tensor->dims[i] == dims[i];
    qz_status st = QZ_OK;
    if (!fits)
        st = qzi_fail(r->ctx, QZ_ERR_FORMAT, "%s: damaged: %s %s", r->path, key,
                      !tensor ? "is missing" : "has another type or shape");
    qzi_free(r->ctx, key);
    if (st != QZ_OK)
        return st;
    r->used++;
    *out = tensor;
    return QZ_OK;
}

static qz_status fail_activation(const qzi_saved_reader *r, const qzi_node *node)
{
    return qzi_fail(r->ctx, QZ_ERR_FORMAT, "%s: damaged: scale or zero point of the output of %s",
                    r->path, node->name);
}

/* Parameters by channel; they stay the dictionary's. */
static qz_status read_channels(qzi_saved_reader *r, qzi_value_q *values)
{
    const qz_graph *graph = r->model->graph;
    const int64_t count = (int64_t)graph->node_count;
    const qz_tensor *channels = NULL, *scales = NULL, *zero_points = NULL;
    int64_t sum = 0;
    QZI_TRY(qzi_saved_tensor(r, "activation.channels", NULL, QZ_S32, 1, &count, &channels));
    for (size_t i = 0; i < graph->node_count; i++) {
        int32_t c;
        memcpy(&c, (const char *)channels->data + i * sizeof(c), sizeof(c));
        if (c != 0 && (c != graph->nodes[i].c || values[i].q.scale == 0.0f))
            return fail_activation(r, &graph->nodes[i]);
        sum += c;
    }
    if (sum == 0)
        return QZ_OK;
    QZI_TRY(qzi_saved_tensor(r, "channel.scale", NULL, QZ_F32, 1, &sum, &scales));
    QZI_TRY(qzi_saved_tensor(r, "channel.zero_point", NULL, QZ_U8, 1, &sum, &zero_points));
    float *scale = qzi_arena_alloc(&r->model->arena, (size_t)sum * sizeof(*scale));
    if (!scale)
        return QZ_ERR_MEMORY;
    memcpy(scale, scales->data, (size_t)sum * sizeof(*scale));
    const uint8_t *zero_point = zero_points->data;
    for (size_t i = 0; i < graph->node_count; i++) {
        int32_t c;
        memcpy(&c, (const char *)channels->data + i * sizeof(c), sizeof(c));
        for (int32_t k = 0; k < c; k++)
            if (!(scale[k] > 0.0f && isfinite(scale[k])))
                return fail_activation(r, &graph->nodes[i]);
        if (c == 0)
            continue;
        values[i].scale = scale;
        values[i].zero_point = zero_point;
        scale += c;
        zero_point += c;
    }
    return QZ_OK;
}

qz_status qzi_saved_read_values(qzi_saved_reader *r, qzi_value_q *values)
{
    const qz_graph *graph = r->model->graph;
    const int64_t count = (int64_t)graph->node_count;
    const qz_tensor *scales = NULL, *zero_points = NULL;
    QZI_TRY(qzi_saved_tensor(r, "activation.scale", NULL, QZ_F32, 1, &count, &scales));
    QZI_TRY(qzi_saved_tensor(r, "activation.zero_point", NULL, QZ_S32, 1, &count, &zero_points));
    for (size_t i = 0; i < graph->node_count; i++) {
        qzi_qparams *q = &values[i].q;
        memcpy(&q->scale, (const char *)scales->data + i * sizeof(float), sizeof(float));
        memcpy(&q->zero_point, (const char *)zero_points->data + i * sizeof(int32_t),
               sizeof(int32_t));
        bool none = q->scale == 0.0f && q->zero_point == 0;
        bool valid =
            isfinite(q->scale) && q->scale > 0.0f && q->zero_point >= 0 && q->zero_point <= 255;
        if (!none && !valid)
            return fail_activation(r, &graph->nodes[i]);
    }
    return qzi_qconfig_by_channel(&r->model->qconfig) ? read_channels(r, values) : QZ_OK;
}
