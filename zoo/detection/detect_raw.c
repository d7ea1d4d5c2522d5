/* SPDX-License-Identifier: MIT */
/* detect_raw.c - what a detector's heads gave, in torchvision's shapes. */
#include "zoo/detection/detect.h"
#include "zoo/detection/mask_post.h"
#include "zoo/detection/outputs.h"

#include <stdio.h>
#include <string.h>

/* ---- the list ---- */

typedef enum raw_shape {
    RAW_ANCHORS, /* all levels as (1, A, values) */
    RAW_MAP,     /* one level, NCHW */
    RAW_BOXES,   /* (P, 4) */
    RAW_ROWS,    /* one row, or one map, a RoI */
    RAW_HEAD,    /* YOLO: a level's three outputs as torch's one, NCHW */
    RAW_DECODED  /* YOLO: all levels as (1, R, values) */
} raw_shape;

typedef struct raw_entry {
    const char *name;
    int32_t level; /* -1: none */
    raw_shape shape;
    qzi_detector_stage stage;
} raw_entry;

static size_t one_stage_count(const qzi_detector *d)
{
    if (d->kind == QZI_DETECTOR_YOLO)
        return QZ_YOLO_LEVELS + 1;
    return d->kind == QZI_DETECTOR_FCOS ? 3 : 2;
}

size_t qzi_detect_raw_count(const qzi_detect_call *call)
{
    const qzi_detector *d = call->detector;
    if (d->kind != QZI_DETECTOR_RCNN)
        return one_stage_count(d);
    return 2 * (size_t)d->levels + 3 + (d->has_masks ? 1 : 0);
}

static raw_entry entry_at(const qzi_detector *d, size_t index)
{
    static const char *const one_stage[] = {"cls_logits", "bbox_regression", "bbox_ctrness"};
    static const raw_entry rest[] = {
        {"proposals", -1, RAW_BOXES, QZI_STAGE_BOX},
        {"roi_cls_logits", -1, RAW_ROWS, QZI_STAGE_BOX},
        {"roi_bbox_regression", -1, RAW_ROWS, QZI_STAGE_BOX},
        {"mask_logits", -1, RAW_ROWS, QZI_STAGE_MASK},
    };
    const size_t levels = (size_t)d->levels;
    if (d->kind == QZI_DETECTOR_YOLO)
        return index < levels ? (raw_entry){"head", (int32_t)index, RAW_HEAD, QZI_STAGE_IMAGE}
                              : (raw_entry){"decoded", -1, RAW_DECODED, QZI_STAGE_IMAGE};
    if (d->kind != QZI_DETECTOR_RCNN)
        return (raw_entry){one_stage[index], -1, RAW_ANCHORS, QZI_STAGE_IMAGE};
    if (index < levels)
        return (raw_entry){"rpn_objectness", (int32_t)index, RAW_MAP, QZI_STAGE_IMAGE};
    if (index < 2 * levels)
        return (raw_entry){"rpn_deltas", (int32_t)(index - levels), RAW_MAP, QZI_STAGE_IMAGE};
    return rest[index - 2 * levels];
}

/* ---- one of each shape ---- */

static void copy_pixels(const qzi_map *map, float *data)
{
    for (int64_t p = 0; p < qzi_map_pixels(map); p++)
        for (int32_t c = 0; c < map->view.c; c++)
            *data++ = qzi_map_at(map, p, c);
}

/* The memory order of NHWC maps is torchvision's order of anchors. */
static qz_status raw_anchors(const qzi_detect_call *call, const qzi_exec *exec,
                             const raw_entry *entry, qz_tensor *tensor, float *data)
{
    int64_t anchors = 0, values = 1;
    for (int32_t k = 0; k < call->detector->levels; k++) {
        const int32_t at_place = qzi_detector_anchors(call->detector, k);
        qzi_map map;
        QZI_TRY(qzi_detector_map(call->graph, exec, entry->name, k, &map));
        const int64_t here = qzi_map_pixels(&map) * at_place;
        values = map.view.c / at_place;
        if (data)
            copy_pixels(&map, data + anchors * values);
        anchors += here;
    }
    *tensor = (qz_tensor){.dtype = QZ_F32, .ndim = 3, .dims = {1, anchors, values}, .data = data};
    return QZ_OK;
}

static qz_status raw_map(const qzi_detect_call *call, const qzi_exec *exec, const raw_entry *entry,
                         qz_tensor *tensor, float *data)
{
    qzi_map map;
    QZI_TRY(qzi_detector_map(call->graph, exec, entry->name, entry->level, &map));
    const qzk_view *v = &map.view;
    *tensor =
        (qz_tensor){.dtype = QZ_F32, .ndim = 4, .dims = {v->n, v->c, v->h, v->w}, .data = data};
    if (data)
        qzi_view_to_nchw(call->ctx, call->threads, map.node, v, data, NULL);
    return QZ_OK;
}

/* A level of YOLO. */
static qz_status raw_head(const qzi_detect_call *call, const qzi_exec *exec, int32_t level,
                          qz_tensor *tensor, float *data)
{
    qzi_map box, objectness, cls;
    QZI_TRY(qzi_detector_map(call->graph, exec, "bbox_regression", level, &box));
    QZI_TRY(qzi_detector_map(call->graph, exec, "objectness", level, &objectness));
    QZI_TRY(qzi_detector_map(call->graph, exec, "cls_logits", level, &cls));
    *tensor = (qz_tensor){
        .dtype = QZ_F32,
        .ndim = 4,
        .dims = {box.view.n, box.view.c + objectness.view.c + cls.view.c, box.view.h, box.view.w},
        .data = data};
    if (data)
        qzi_yolo_head_values(&box, &objectness, &cls, data);
    return QZ_OK;
}

static qz_status raw_decoded(const qzi_detect_call *call, const qzi_exec *exec, qz_tensor *tensor,
                             float *data)
{
    qz_context *ctx = (qz_context *)(uintptr_t)call->ctx;
    qz_tensor heads[QZ_YOLO_LEVELS] = {0};
    qz_status st = QZ_OK;
    int64_t rows = 0;
    for (int32_t k = 0; k < QZ_YOLO_LEVELS && st == QZ_OK; k++) {
        st = raw_head(call, exec, k, &heads[k], NULL);
        rows += heads[k].dims[2] * heads[k].dims[3] * QZ_YOLO_ANCHORS;
        if (!data || st != QZ_OK)
            continue;
        heads[k].data = qzi_calloc(ctx, (size_t)qz_tensor_numel(&heads[k]), sizeof(float));
        st = heads[k].data ? raw_head(call, exec, k, &heads[k], heads[k].data) : QZ_ERR_MEMORY;
    }
    *tensor = (qz_tensor){.dtype = QZ_F32,
                          .ndim = 3,
                          .dims = {heads[0].dims[0], rows, call->yolo.classes + 5},
                          .data = data};
    if (st == QZ_OK && data)
        st = qz_yolo_decode_heads(ctx, &call->yolo, heads, tensor);
    for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++)
        qzi_free(ctx, heads[k].data);
    return st;
}

/* The first `count` RoIs of a stage, which did not run where there are none. */
static qz_status raw_rows(const qzi_detect_call *call, const qzi_exec *exec, const raw_entry *entry,
                          size_t count, qz_tensor *tensor, float *data)
{
    size_t index = 0;
    QZI_TRY(qzi_detector_output(call->graph, entry->name, -1, &index));
    const qzi_node *node = &call->graph->nodes[call->graph->outputs[index].value];
    *tensor =
        (qz_tensor){.dtype = QZ_F32, .ndim = 2, .dims = {(int64_t)count, node->c}, .data = data};
    if (entry->stage == QZI_STAGE_MASK) {
        tensor->ndim = 4;
        tensor->dims[2] = tensor->dims[3] = QZI_MASK_SIDE;
    }
    if (count == 0 || !data)
        return QZ_OK;
    qzi_map map;
    QZI_TRY(qzi_detector_map(call->graph, exec, entry->name, -1, &map));
    map.view.n = QZI_MIN(map.view.n, (int32_t)count);
    qzi_view_to_nchw(call->ctx, call->threads, map.node, &map.view, data, NULL);
    return QZ_OK;
}

qz_status qzi_detect_raw(const qzi_detect_call *call, const qzi_detections *detections,
                         qzi_exec *const execs[QZI_STAGE_COUNT], size_t index, char name[32],
                         qz_tensor *tensor, float *data)
{
    const raw_entry entry = entry_at(call->detector, index);
    const qzi_exec *exec = execs[entry.stage];
    if (entry.level >= 0)
        snprintf(name, 32, "%s.%d", entry.name, entry.level);
    else
        snprintf(name, 32, "%s", entry.name);
    switch (entry.shape) {
    case RAW_ANCHORS:
        return raw_anchors(call, exec, &entry, tensor, data);
    case RAW_HEAD:
        return raw_head(call, exec, entry.level, tensor, data);
    case RAW_DECODED:
        return raw_decoded(call, exec, tensor, data);
    case RAW_MAP:
        return raw_map(call, exec, &entry, tensor, data);
    case RAW_BOXES:
        *tensor = (qz_tensor){
            .dtype = QZ_F32, .ndim = 2, .dims = {(int64_t)detections->roi_count, 4}, .data = data};
        if (data && detections->roi_count > 0)
            memcpy(data, detections->rois, detections->roi_count * 4 * sizeof(*data));
        return QZ_OK;
    default:
        return raw_rows(call, exec, &entry,
                        entry.stage == QZI_STAGE_BOX ? detections->roi_count
                                                     : detections->mask_roi_count,
                        tensor, data);
    }
}
