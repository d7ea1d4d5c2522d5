/* SPDX-License-Identifier: MIT */
/* values.c - from what was observed to scales and zero points of values. */
#include "quant/values.h"
#include "layers/kernels/words.h"
#include "quant/decide.h"
#include "quant/qparams.h"

#include <string.h>

/*
 * A channel's range is at least this part of that of all: what calibration has not seen of a quiet
 * channel is not cut off at once. A channel that was always 0 gets the range of all.
 */
#define LEAST_RANGE 0x1p-8f

/* The same of what a convolution computes with a function: words hold all channels in one unit. */
#define LEAST_RANGE_WORDS 0x1p-5f

static qz_status find_free(const qzi_observer *o, int32_t channels, float part, float *scale,
                           uint8_t *zero_point)
{
    float low, high;
    qzi_observer_range(o, &low, &high);
    const float all = QZI_MAX(high, 0.0f) - QZI_MIN(low, 0.0f), least = all * part;
    for (int32_t c = 0; c < channels; c++) {
        float min, max;
        QZI_TRY(qzi_observer_channel_range(o, c, &min, &max));
        min = QZI_MIN(min, 0.0f);
        max = QZI_MAX(max, 0.0f);
        if (max - min == 0.0f) {
            min = QZI_MIN(low, 0.0f);
            max = QZI_MAX(high, 0.0f);
        } else if (max - min < least) {
            const float factor = least / (max - min);
            min *= factor;
            max *= factor;
        }
        const qzi_qparams q = qzi_qparams_affine(min, max, 0, o->qmax);
        scale[c] = q.scale;
        zero_point[c] = (uint8_t)q.zero_point;
    }
    return QZ_OK;
}

/* Room for parameters by channel. */
static qz_status alloc_channels(qzi_arena *arena, int32_t channels, float **scale,
                                uint8_t **zero_point)
{
    *scale = qzi_arena_alloc(arena, (size_t)channels * sizeof(**scale));
    *zero_point = qzi_arena_alloc(arena, (size_t)channels);
    return *scale && *zero_point ? QZ_OK : QZ_ERR_MEMORY;
}

static qz_status find_value(const qzi_observer *o, qzi_channel_kind kind, bool words,
                            qzi_arena *arena, qzi_value_q *value)
{
    const int32_t channels = qzi_observer_channels(o);
    float *scale;
    uint8_t *zero_point;
    if (channels == 1 || kind != QZI_CHANNELS_FREE)
        return qzi_observer_qparams(o, &value->q);
    QZI_TRY(alloc_channels(arena, channels, &scale, &zero_point));
    const qzi_fpenv env = qzi_fpenv_enter();
    const qz_status st =
        find_free(o, channels, words ? LEAST_RANGE_WORDS : LEAST_RANGE, scale, zero_point);
    qzi_fpenv_leave(env);
    *value = (qzi_value_q){{scale[0], zero_point[0]}, scale, zero_point};
    return st;
}

qz_status qzi_values_set(qzi_values *values, qz_value value, int32_t channels, const float *scale,
                         uint8_t zero_point)
{
    float *own_scale;
    uint8_t *own_zero_point;
    QZI_TRY(alloc_channels(&values->arena, channels, &own_scale, &own_zero_point));
    memcpy(own_scale, scale, (size_t)channels * sizeof(*scale));
    memset(own_zero_point, zero_point, (size_t)channels);
    values->list[value] = (qzi_value_q){{scale[0], zero_point}, own_scale, own_zero_point};
    return QZ_OK;
}

static qz_status find_all(const qz_graph *graph, const qzi_calibration *calibration,
                          const qzi_decision *decisions, qzi_values *values)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_observer *observer = qzi_calibration_observer(calibration, (qz_value)i);
        if (!observer)
            continue;
        QZI_TRY(qzi_check_cancelled(graph->ctx));
        const qz_status st =
            find_value(observer, decisions[i].channels,
                       decisions[i].head != QZ_NO_VALUE && qzk_words_known(graph->nodes[i].act),
                       &values->arena, &values->list[i]);
        if (st != QZ_OK)
            return qzi_fail_prefix(graph->ctx, st, "%s", graph->nodes[i].name);
    }
    return QZ_OK;
}

qz_status qzi_values_find(const qz_graph *graph, const qzi_calibration *calibration,
                          qzi_values *values)
{
    qzi_decision *decisions = NULL;
    *values = (qzi_values){0};
    qzi_arena_init(&values->arena, graph->ctx);
    values->list = qzi_calloc(graph->ctx, graph->node_count, sizeof(*values->list));
    if (!values->list)
        return QZ_ERR_MEMORY;
    QZI_TRY(qzi_decide(graph, qzi_calibration_qconfig(calibration), &decisions));
    const qz_status st = find_all(graph, calibration, decisions, values);
    qzi_decisions_free(graph, decisions);
    return st;
}

void qzi_values_free(qzi_values *values)
{
    const qz_context *ctx = values->arena.ctx;
    if (ctx)
        qzi_free(ctx, values->list);
    qzi_arena_free(&values->arena);
}
