/* SPDX-License-Identifier: MIT */
/*
 * yolo_decode.c - YOLO's raw values as boxes and probabilities, in float32, operation by operation
 * as ultralytics' Detect; darknet's formula as PyTorch ports have it. exp is rounded once from
 * double, so that all machines have the same boxes.
 */
#include "zoo/detection/yolo.h"

qzi_yolo_grid qzi_yolo_grid_of(const qz_yolo_info *info, int32_t level, int32_t h, int32_t w)
{
    qzi_yolo_grid grid = {.h = h,
                          .w = w,
                          .stride = (float)info->strides[level],
                          .scale = info->scale_xy[level],
                          .decode = info->decode};
    memcpy(grid.anchors, info->anchors[level], sizeof(grid.anchors));
    return grid;
}

void qzi_yolo_box(const qzi_yolo_grid *grid, int32_t anchor, int64_t place, const float raw[4],
                  float xywh[4])
{
    const float at[2] = {(float)(place % grid->w), (float)(place / grid->w)};
    for (int i = 0; i < 2; i++) {
        const float s = qzi_sigmoid(raw[i]), size = grid->anchors[anchor][i];
        if (grid->decode == QZ_YOLO_DECODE_V5) {
            const float twice = qzi_sigmoid(raw[2 + i]) * 2.0f;
            xywh[i] = (s * 2.0f - 0.5f + at[i]) * grid->stride;
            xywh[2 + i] = twice * twice * size;
        } else {
            const float spread = (grid->scale - 1.0f) * 0.5f;
            xywh[i] = (s * grid->scale - spread + at[i]) * grid->stride;
            xywh[2 + i] = (float)qzi_math_exp((double)raw[2 + i]) * size;
        }
    }
}

qzi_box qzi_yolo_corners(const float xywh[4])
{
    const float half_w = xywh[2] * 0.5f, half_h = xywh[3] * 0.5f;
    return (qzi_box){xywh[0] - half_w, xywh[1] - half_h, xywh[0] + half_w, xywh[1] + half_h};
}

void qzi_yolo_head_values(const qzi_map *box, const qzi_map *objectness, const qzi_map *cls,
                          float *data)
{
    const int64_t places = (int64_t)box->view.h * box->view.w;
    const int32_t classes = cls->view.c / QZ_YOLO_ANCHORS;
    for (int64_t image = 0; image < box->view.n; image++) {
        const int64_t begin = image * places, end = begin + places;
        for (int32_t a = 0; a < QZ_YOLO_ANCHORS; a++) {
            for (int32_t e = 0; e < 4; e++)
                for (int64_t p = begin; p < end; p++)
                    *data++ = qzi_map_at(box, p, a * 4 + e);
            for (int64_t p = begin; p < end; p++)
                *data++ = qzi_map_at(objectness, p, a);
            for (int32_t c = 0; c < classes; c++)
                for (int64_t p = begin; p < end; p++)
                    *data++ = qzi_map_at(cls, p, a * classes + c);
        }
    }
}

/* ---- heads to rows ---- */

static qz_status check_info(const qz_context *ctx, const qz_yolo_info *info)
{
    bool good = info->classes >= 1 && info->classes < INT32_MAX / 4 &&
                (info->decode == QZ_YOLO_DECODE_V5 || info->decode == QZ_YOLO_DECODE_DARKNET);
    for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++)
        good = good && info->strides[k] >= 1;
    return good ? QZ_OK
                : qzi_fail(ctx, QZ_ERR_ARGUMENT,
                           "qz_yolo_decode_heads: info is incomplete; begin with "
                           "qz_model_yolo_info");
}

static qz_status check_heads(const qz_context *ctx, const qz_yolo_info *info,
                             const qz_tensor heads[QZ_YOLO_LEVELS], int64_t *rows)
{
    const int64_t channels = QZ_YOLO_ANCHORS * ((int64_t)info->classes + 5);
    *rows = 0;
    for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++) {
        const qz_tensor *t = &heads[k];
        if (t->dtype != QZ_F32 || t->ndim != 4 || !t->data || t->dims[1] != channels ||
            t->dims[0] != heads[0].dims[0] || t->dims[0] < 1 || t->dims[2] < 1 || t->dims[3] < 1 ||
            t->dims[2] > INT32_MAX || t->dims[3] > INT32_MAX || qz_tensor_numel(t) < 0)
            return qzi_fail(ctx, QZ_ERR_ARGUMENT,
                            "qz_yolo_decode_heads: head %d must be float32 of N x %lld x H x W, "
                            "with data",
                            (int)k, (long long)channels);
        *rows += QZ_YOLO_ANCHORS * t->dims[2] * t->dims[3];
    }
    return QZ_OK;
}

/* One image's rows of an anchor of a level; values: its 5 + classes planes. */
static void decode_anchor(const qzi_yolo_grid *grid, int32_t anchor, const float *values,
                          int32_t classes, float *rows)
{
    const int64_t places = (int64_t)grid->h * grid->w;
    for (int64_t p = 0; p < places; p++, rows += classes + 5) {
        float raw[4];
        for (int e = 0; e < 4; e++)
            raw[e] = values[e * places + p];
        qzi_yolo_box(grid, anchor, p, raw, rows);
        for (int32_t e = 4; e < classes + 5; e++)
            rows[e] = qzi_sigmoid(values[e * places + p]);
    }
}

qz_status qz_yolo_decode_heads(qz_context *context, const qz_yolo_info *info,
                               const qz_tensor heads[QZ_YOLO_LEVELS], qz_tensor *rows)
{
    int64_t count;
    if (!info || !heads || !rows)
        return qzi_fail(context, QZ_ERR_ARGUMENT,
                        "qz_yolo_decode_heads: info, heads and rows must not be NULL");
    QZI_TRY(check_info(context, info));
    QZI_TRY(check_heads(context, info, heads, &count));
    float *to = rows->data;
    *rows = (qz_tensor){.dtype = QZ_F32,
                        .ndim = 3,
                        .dims = {heads[0].dims[0], count, info->classes + 5},
                        .data = to};
    if (!to)
        return QZ_OK;
    qzi_fpenv env = qzi_fpenv_enter();
    for (int64_t n = 0; n < rows->dims[0]; n++) {
        for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++) {
            const qzi_yolo_grid grid =
                qzi_yolo_grid_of(info, k, (int32_t)heads[k].dims[2], (int32_t)heads[k].dims[3]);
            const int64_t values = ((int64_t)info->classes + 5) * grid.h * grid.w;
            const float *from = (const float *)heads[k].data + n * QZ_YOLO_ANCHORS * values;
            for (int32_t a = 0; a < QZ_YOLO_ANCHORS; a++, from += values, to += values)
                decode_anchor(&grid, a, from, info->classes, to);
        }
    }
    qzi_fpenv_leave(env);
    return QZ_OK;
}
