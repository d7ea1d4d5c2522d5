/* SPDX-License-Identifier: MIT */
/*
 * onnx_post_yolo.c - YOLO's steps behind the heads, as yolo_decode.c, yolo_nms.c and
 * yolo_letterbox.c in zoo/detection have them for an array: boxes are in pixels of the input, and
 * cut to it.
 *
 * Rows are in the order of levels, anchors and places, which decides between equal scores. As in
 * yolo_post.c, classes are looked at only where objectness is above the threshold: how many rows
 * these are depends on the image. A row without an object follows them, so that no value is empty.
 */
#include "zoo/onnx/onnx_post.h"

#include <math.h>
#include <string.h>

/* Boxes, scores and labels of the candidates: K x 4, K, K. */
typedef qzi_post_list candidates;

/* ---- one level ---- */

/* An output of a level as anchors x places x `each`. */
static const char *by_anchor(const qzi_onnx_part *p, const char *name, int32_t level, int64_t each)
{
    static const int64_t places_first[3] = {0, 2, 1};
    qzi_onnx_doc *doc = &p->e->doc;
    const int64_t apart[3] = {QZ_YOLO_ANCHORS, each, -1};
    qz_value value = 0;
    const char *map = qzi_onnx_head(p->e, name, level, &value);
    map = qzi_part_reshape(p, qzi_onnx_text(doc, "%s_apart", name), map, apart, 3);
    return qzi_part_transpose(p, qzi_onnx_text(doc, "%s_places", name), map, places_first, 3);
}

/* Columns and rows of the places: places x 2. */
static const char *places(const qzi_onnx_part *p, int32_t h, int32_t w)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const int64_t dims[2] = {(int64_t)h * w, 2};
    float *at = qzi_onnx_alloc(doc, (size_t)dims[0], 2 * sizeof(*at));
    for (int64_t i = 0; i < dims[0] && at; i++) {
        at[2 * i] = (float)(i % w);
        at[2 * i + 1] = (float)(i / w);
    }
    return at ? qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.grid", p->prefix), QZ_F32, 2, dims, at)
              : "";
}

/* Anchors: anchors x 1 x 2. */
static const char *anchor_table(const qzi_onnx_part *p, int32_t level)
{
    static const int64_t dims[3] = {QZ_YOLO_ANCHORS, 1, 2};
    qzi_onnx_doc *doc = &p->e->doc;
    const float(*anchors)[2] = p->e->yolo->anchors[level];
    float *copy = qzi_onnx_alloc(doc, (size_t)QZ_YOLO_ANCHORS * 2, sizeof(*copy));
    if (!copy)
        return "";
    memcpy(copy, anchors, (size_t)QZ_YOLO_ANCHORS * 2 * sizeof(*copy));
    return qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.anchors", p->prefix), QZ_F32, 3, dims, copy);
}

/* Middles and sizes of boxes, operation by operation as qzi_yolo_box. */
static void decode(const qzi_onnx_part *p, int32_t level, const char **middle, const char **size)
{
    const qz_yolo_info *info = p->e->yolo;
    const bool v5 = info->decode == QZ_YOLO_DECODE_V5;
    const float scale = v5 ? 2.0f : info->scale_xy[level];
    const float spread = v5 ? 0.5f : (info->scale_xy[level] - 1.0f) * 0.5f;
    qz_value value = 0;
    (void)qzi_onnx_head(p->e, "bbox_regression", level, &value);
    const qzi_shape *s = &p->e->shapes[value];
    const char *raw = by_anchor(p, "bbox_regression", level, 4);
    const char *xy = qzi_part_slice(p, "raw_middle", raw, 0, 2, 2);
    const char *wh = qzi_part_slice(p, "raw_size", raw, 2, 4, 2);
    xy = qzi_part2(p, "Mul", "middle_scaled", qzi_post_sigmoid(p, "middle_share", xy),
                   qzi_part_float(p, "middle_scale", scale));
    xy = qzi_part2(p, "Sub", "middle_offset", xy, qzi_part_float(p, "middle_spread", spread));
    xy = qzi_part2(p, "Add", "middle_place", xy, places(p, s->h, s->w));
    *middle =
        qzi_part2(p, "Mul", "middle", xy, qzi_part_float(p, "stride", (float)info->strides[level]));
    if (v5) {
        wh = qzi_part2(p, "Mul", "size_twice", qzi_post_sigmoid(p, "size_share", wh),
                       qzi_part_float(p, "two", 2.0f));
        wh = qzi_part2(p, "Mul", "size_factor", wh, wh);
    } else {
        wh = qzi_part1(p, "Exp", "size_factor", wh);
    }
    *size = qzi_part2(p, "Mul", "size", wh, anchor_table(p, level));
}

/* Corners: rows x 4. */
static const char *level_boxes(const qzi_onnx_part *p, int32_t level)
{
    static const int64_t rows[2] = {-1, 4};
    const char *middle, *size;
    decode(p, level, &middle, &size);
    const char *half = qzi_part2(p, "Mul", "half_size", size, qzi_part_float(p, "half", 0.5f));
    const char *const corners[2] = {qzi_part2(p, "Sub", "low", middle, half),
                                    qzi_part2(p, "Add", "high", middle, half)};
    return qzi_part_reshape(p, "boxes", qzi_part_concat(p, "corners", corners, 2, 2), rows, 2);
}

/* The rows of a level whose objectness is above the threshold: what is known of them. */
typedef struct rows {
    const char *boxes, *objectness, *logits; /* rows x 4, rows, rows x classes */
} rows;

static rows level_rows(const qzi_onnx_part *p, int32_t level)
{
    const int64_t table[2] = {-1, p->e->classes};
    qz_value value = 0;
    const char *raw = qzi_onnx_head(p->e, "objectness", level, &value);
    const char *objectness =
        qzi_post_sigmoid(p, "objectness", qzi_post_flat(p, "objectness_flat", raw));
    const char *above =
        qzi_part2(p, "Greater", "above", objectness,
                  qzi_part_float(p, "threshold", (float)p->e->detection->score_thresh));
    const char *index = qzi_post_flat(p, "rows", qzi_part1(p, "NonZero", "rows_above", above));
    const char *logits =
        qzi_part_reshape(p, "logits", by_anchor(p, "cls_logits", level, p->e->classes), table, 2);
    return (rows){qzi_part_gather(p, "boxes_above", level_boxes(p, level), index, 0),
                  qzi_part_gather(p, "objectness_above", objectness, index, 0),
                  qzi_part_gather(p, "logits_above", logits, index, 0)};
}

/* ---- all levels ---- */

/* A constant of `columns` times v; columns 0: one number, a row. */
static const char *filled(const qzi_onnx_part *p, const char *name, int64_t columns, float v)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const int64_t dims[2] = {1, columns};
    float *row = qzi_onnx_alloc(doc, (size_t)QZI_MAX(columns, 1), sizeof(*row));
    for (int64_t i = 0; i < QZI_MAX(columns, 1) && row; i++)
        row[i] = v;
    return row ? qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.%s", p->prefix, name), QZ_F32,
                                 columns ? 2 : 1, dims, row)
               : "";
}

static rows all_rows(qzi_onnx_emit *e)
{
    const qzi_onnx_part all = {e, "post"};
    const char *boxes[QZ_YOLO_LEVELS + 1], *objectness[QZ_YOLO_LEVELS + 1],
        *logits[QZ_YOLO_LEVELS + 1];
    for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++) {
        const qzi_onnx_part part = {e, qzi_onnx_text(&e->doc, "post.%d", (int)k)};
        const rows r = level_rows(&part, k);
        boxes[k] = r.boxes;
        objectness[k] = r.objectness;
        logits[k] = r.logits;
    }
    boxes[QZ_YOLO_LEVELS] = filled(&all, "no_object_box", 4, 0.0f);
    objectness[QZ_YOLO_LEVELS] = filled(&all, "no_object", 0, -1.0f);
    logits[QZ_YOLO_LEVELS] = filled(&all, "no_object_logits", e->classes, 0.0f);
    return (rows){qzi_part_concat(&all, "boxes_all", boxes, QZ_YOLO_LEVELS + 1, 0),
                  qzi_part_concat(&all, "objectness_all", objectness, QZ_YOLO_LEVELS + 1, 0),
                  qzi_part_concat(&all, "logits_all", logits, QZ_YOLO_LEVELS + 1, 0)};
}

/* What is added to a score of each class: nothing, or so much that it is below any threshold. */
static const char *class_table(const qzi_onnx_part *p)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const qz_onnx_options *o = p->e->options;
    const int64_t classes = p->e->classes;
    float *table = qzi_onnx_alloc(doc, (size_t)classes, sizeof(*table));
    if (!table)
        return "";
    for (int64_t i = 0; i < classes; i++)
        table[i] = -2.0f;
    for (size_t i = 0; i < o->only_count; i++)
        table[o->only[i]] = 0.0f;
    return qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.only", p->prefix), QZ_F32, 1, &classes,
                           table);
}

static int64_t count_rows(qzi_onnx_emit *e)
{
    int64_t count = 0;
    for (int32_t k = 0; k < QZ_YOLO_LEVELS; k++) {
        qz_value value = 0;
        (void)qzi_onnx_head(e, "objectness", k, &value);
        count += (int64_t)QZ_YOLO_ANCHORS * e->shapes[value].h * e->shapes[value].w;
    }
    return count;
}

/* Each row with its best class. */
static void best_classes(const qzi_onnx_part *p, const char *scores, candidates *c)
{
    const int64_t most = p->e->detection->topk_candidates;
    const char *index;
    c->scores = qzi_post_flat(p, "scores_flat", qzi_part_top_k(p, "best_class", scores, 1, &index));
    c->labels = qzi_post_flat(p, "labels", index);
    if (p->e->options->only)
        c->scores = qzi_part2(p, "Add", "scores_wanted", c->scores,
                              qzi_part_gather(p, "wanted", class_table(p), c->labels, 0));
    if (most >= count_rows(p->e))
        return; /* all of them, in order */
    c->scores = qzi_post_best(p, c->scores, most, -1.0f, &index);
    c->labels = qzi_post_padded(p, "labels_best", c->labels, QZ_S64, most, 0, index);
    c->boxes = qzi_post_padded(p, "boxes_best", c->boxes, QZ_F32, most, 4, index);
}

/* Each class of each row. */
static void all_classes(const qzi_onnx_part *p, const char *scores, candidates *c)
{
    const int64_t most = p->e->detection->topk_candidates;
    const char *classes = qzi_part_int(p, "classes", p->e->classes), *index;
    if (p->e->options->only)
        scores = qzi_part2(p, "Add", "scores_wanted", scores, class_table(p));
    c->scores = qzi_post_best(p, qzi_post_flat(p, "scores_flat", scores), most, -1.0f, &index);
    const char *row = qzi_part2(p, "Div", "row", index, classes);
    c->labels =
        qzi_part2(p, "Sub", "labels", index, qzi_part2(p, "Mul", "row_first", row, classes));
    c->boxes = qzi_post_padded(p, "boxes_best", c->boxes, QZ_F32, most, 4, row);
}

static candidates find_candidates(qzi_onnx_emit *e)
{
    static const int64_t column[2] = {-1, 1};
    const qzi_onnx_part part = {e, "post.candidates"}, *p = &part;
    const rows r = all_rows(e);
    candidates c = {r.boxes, "", ""};
    const char *scores =
        qzi_part2(p, "Mul", "scores_all", qzi_post_sigmoid(p, "probabilities", r.logits),
                  qzi_part_reshape(p, "objectness_column", r.objectness, column, 2));
    if (e->detection->multi_label)
        all_classes(p, scores, &c);
    else
        best_classes(p, scores, &c);
    return c;
}

/* ---- what is kept, inside the input ---- */

/* Boxes that nothing is left of become absent, and those behind them move up. */
static void cut_to_input(qzi_onnx_emit *e, const candidates *kept, int64_t count, candidates *out)
{
    static const int64_t column[2] = {-1, 1};
    const qzi_onnx_part part = {e, "post.cut"}, *p = &part;
    const char *boxes = qzi_post_clip(p, "inside", kept->boxes), *index;
    const char *scores =
        qzi_post_drop_small(p, boxes, kept->scores, &count, 1, nextafterf(0.0f, 1.0f));
    scores = qzi_part1(p, "Relu", "scores_left", scores);
    out->scores = qzi_part_top_k(p, "ordered", scores, count, &index);
    const char *there = qzi_part2(p, "Greater", "there", out->scores, qzi_part_float(p, "no", 0));
    out->labels = qzi_part3(p, "Where", "labels", there,
                            qzi_part_gather(p, "labels_ordered", kept->labels, index, 0),
                            qzi_part_int(p, "no_label", 0));
    out->boxes = qzi_part3(
        p, "Where", "boxes", qzi_part_reshape(p, "there_column", there, column, 2),
        qzi_part_gather(p, "boxes_ordered", boxes, index, 0), qzi_part_float(p, "no_box", 0.0f));
}

qz_status qzi_onnx_post_yolo(qzi_onnx_emit *e)
{
    static const int64_t whole[3] = {1, -1, 4}, row[3] = {1, 1, -1};
    const qz_detection_options *o = e->detection;
    const qzi_onnx_part part = {e, "post"}, *p = &part;
    QZI_TRY(e->doc.status);
    const candidates c = find_candidates(e);
    const char *scores = o->agnostic ? qzi_part_reshape(p, "scores_whole", c.scores, row, 3)
                                     : qzi_post_by_class(p, c.scores, c.labels);
    const qzi_post_kept kept =
        qzi_post_nms(p, qzi_part_reshape(p, "boxes_whole", c.boxes, whole, 3), scores,
                     o->detections_per_img, o->nms_thresh, (float)o->score_thresh);
    candidates best, out;
    qzi_post_pick(p, &c, kept.box, o->detections_per_img, &best);
    cut_to_input(e, &best, o->detections_per_img, &out);
    qzi_post_outputs(e, &out, o->detections_per_img);
    return e->doc.status;
}
