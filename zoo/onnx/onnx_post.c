/* SPDX-License-Identifier: MIT */
/*
 * onnx_post.c - from the heads' values to boxes, scores and labels: what all detectors share, and
 * those of one stage, in the steps of retinanet_post.c, fcos_post.c and ssd_post.c.
 */
#include "zoo/onnx/onnx_post.h"

#include <math.h>

/* log(1000 / 16): larger deltas would overflow exp */
#define DELTA_MAX 4.135166556742356f

/* A name with a number behind it. */
static const char *numbered(const qzi_onnx_part *p, const char *name, int32_t k)
{
    return qzi_onnx_text(&p->e->doc, "%s.%d", name, (int)k);
}

/* ---- maps of heads as rows ---- */

const char *qzi_post_rows(const qzi_onnx_part *p, const char *name, int32_t level,
                          int32_t per_anchor)
{
    static const int64_t places_first[5] = {0, 3, 4, 1, 2};
    qz_value value = 0;
    const char *map = qzi_onnx_head(p->e, name, level, &value);
    const qzi_shape *s = &p->e->shapes[value];
    const int64_t apart[5] = {1, s->c / per_anchor, per_anchor, s->h, s->w};
    const int64_t rows[2] = {-1, per_anchor};
    const char *root = numbered(p, name, level);
    map = qzi_part_reshape(p, qzi_onnx_text(&p->e->doc, "%s_apart", root), map, apart, 5);
    map = qzi_part_transpose(p, qzi_onnx_text(&p->e->doc, "%s_places", root), map, places_first, 5);
    return qzi_part_reshape(p, qzi_onnx_text(&p->e->doc, "%s_rows", root), map, rows, 2);
}

const char *qzi_post_flat(const qzi_onnx_part *p, const char *name, const char *x)
{
    static const int64_t flat = -1;
    return qzi_part_reshape(p, name, x, &flat, 1);
}

/* ---- scores ---- */

const char *qzi_post_sigmoid(const qzi_onnx_part *p, const char *name, const char *x)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const char *one = qzi_part_float(p, qzi_onnx_text(doc, "%s_one", name), 1.0f);
    const char *zero = qzi_part_float(p, qzi_onnx_text(doc, "%s_zero", name), 0.0f);
    const char *size = qzi_part1(p, "Abs", qzi_onnx_text(doc, "%s_size", name), x);
    const char *below = qzi_part1(p, "Neg", qzi_onnx_text(doc, "%s_below", name), size);
    const char *power = qzi_part1(p, "Exp", qzi_onnx_text(doc, "%s_power", name), below);
    const char *sum = qzi_part2(p, "Add", qzi_onnx_text(doc, "%s_sum", name), power, one);
    const char *least = qzi_part2(p, "Div", qzi_onnx_text(doc, "%s_least", name), power, sum);
    const char *most = qzi_part2(p, "Sub", qzi_onnx_text(doc, "%s_most", name), one, least);
    const char *negative = qzi_part2(p, "Less", qzi_onnx_text(doc, "%s_negative", name), x, zero);
    return qzi_part3(p, "Where", name, negative, least, most);
}

/* ---- boxes ---- */

qz_status qzi_post_anchors(const qzi_onnx_emit *e, const char *head, qzi_anchors *anchors)
{
    int32_t heights[QZI_DETECTOR_LEVELS], widths[QZI_DETECTOR_LEVELS];
    for (int32_t k = 0; k < e->detector->levels; k++) {
        size_t index = 0;
        QZI_TRY(qzi_detector_output(e->graph, head, k, &index));
        const qzi_shape *s = &e->shapes[e->graph->outputs[index].value];
        heights[k] = s->h;
        widths[k] = s->w;
    }
    return qzi_anchors_make(e->graph->ctx, e->detector, e->options->height, e->options->width,
                            heights, widths, anchors);
}

qzi_post_boxes qzi_post_anchor_table(const qzi_onnx_part *p, const qzi_anchors *anchors,
                                     int32_t level)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const qzi_anchor_level *l = &anchors->level[level];
    const int64_t dims[2] = {(int64_t)l->h * l->w * l->count, 2};
    const char *root = qzi_onnx_text(doc, "%s.anchors.%d", p->prefix, (int)level);
    float *centres = qzi_onnx_alloc(doc, (size_t)dims[0], 2 * sizeof(*centres));
    float *sizes = qzi_onnx_alloc(doc, (size_t)dims[0], 2 * sizeof(*sizes));
    for (int64_t i = 0; i < dims[0] && sizes; i++) {
        const qzi_box a = qzi_anchor_at(anchors, level, i);
        const bool halves = p->e->detector->kind == QZI_DETECTOR_FCOS; /* BoxLinearCoder */
        sizes[2 * i] = a.x2 - a.x1;
        sizes[2 * i + 1] = a.y2 - a.y1;
        centres[2 * i] = halves ? 0.5f * (a.x1 + a.x2) : a.x1 + 0.5f * sizes[2 * i];
        centres[2 * i + 1] = halves ? 0.5f * (a.y1 + a.y2) : a.y1 + 0.5f * sizes[2 * i + 1];
    }
    if (!sizes)
        return (qzi_post_boxes){"", ""};
    return (qzi_post_boxes){
        qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s_centres", root), QZ_F32, 2, dims, centres),
        qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s_sizes", root), QZ_F32, 2, dims, sizes)};
}

static const char *pair_of(const qzi_onnx_part *p, const char *name, float a, float b)
{
    const float v[2] = {a, b};
    return qzi_onnx_numbers(&p->e->doc, qzi_onnx_text(&p->e->doc, "%s.%s", p->prefix, name), QZ_F32,
                            1, v, 2);
}

const char *qzi_post_clip(const qzi_onnx_part *p, const char *name, const char *boxes)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const float w = (float)p->e->options->width, h = (float)p->e->options->height;
    const float corner[4] = {w, h, w, h};
    const char *limit = qzi_onnx_numbers(doc, qzi_onnx_text(doc, "%s.%s_limit", p->prefix, name),
                                         QZ_F32, 1, corner, 4);
    boxes = qzi_part1(p, "Relu", qzi_onnx_text(doc, "%s_positive", name), boxes);
    return qzi_part2(p, "Min", name, boxes, limit);
}

/* Two corners as one box, inside the image. */
static const char *box_of(const qzi_onnx_part *p, const char *name, const char *low,
                          const char *high)
{
    const char *const both[2] = {low, high};
    return qzi_post_clip(
        p, name, qzi_part_concat(p, qzi_onnx_text(&p->e->doc, "%s_raw", name), both, 2, -1));
}

const char *qzi_post_decode(const qzi_onnx_part *p, const char *deltas, qzi_post_boxes from,
                            const float weights[4])
{
    const char *shift = qzi_part_slice(p, "shift", deltas, 0, 2, -1);
    const char *growth = qzi_part_slice(p, "growth", deltas, 2, 4, -1);
    if (weights[0] != 1.0f || weights[1] != 1.0f)
        shift = qzi_part2(p, "Div", "shift_weighted", shift,
                          pair_of(p, "shift_weights", weights[0], weights[1]));
    if (weights[2] != 1.0f || weights[3] != 1.0f)
        growth = qzi_part2(p, "Div", "growth_weighted", growth,
                           pair_of(p, "growth_weights", weights[2], weights[3]));
    const char *centre =
        qzi_part2(p, "Add", "centre", qzi_part2(p, "Mul", "move", shift, from.sizes), from.centres);
    growth = qzi_part2(p, "Min", "growth_cut", growth, qzi_part_float(p, "growth_max", DELTA_MAX));
    const char *size =
        qzi_part2(p, "Mul", "size", qzi_part1(p, "Exp", "factor", growth), from.sizes);
    const char *half = qzi_part2(p, "Mul", "half_size", size, qzi_part_float(p, "one_half", 0.5f));
    return box_of(p, "boxes", qzi_part2(p, "Sub", "low", centre, half),
                  qzi_part2(p, "Add", "high", centre, half));
}

/* BoxLinearCoder: distances to the four sides. */
static const char *decode_linear(const qzi_onnx_part *p, const char *deltas, qzi_post_boxes from)
{
    const char *low = qzi_part2(p, "Mul", "before",
                                qzi_part_slice(p, "before_share", deltas, 0, 2, -1), from.sizes);
    const char *high = qzi_part2(p, "Mul", "behind",
                                 qzi_part_slice(p, "behind_share", deltas, 2, 4, -1), from.sizes);
    return box_of(p, "boxes", qzi_part2(p, "Sub", "low", from.centres, low),
                  qzi_part2(p, "Add", "high", from.centres, high));
}

const char *qzi_post_drop_small(const qzi_onnx_part *p, const char *boxes, const char *scores,
                                const int64_t *shape, size_t ndim, float least)
{
    const char *low = qzi_part_slice(p, "corner_low", boxes, 0, 2, -1);
    const char *extent =
        qzi_part2(p, "Sub", "extent", qzi_part_slice(p, "corner_high", boxes, 2, 4, -1), low);
    const char *shorter =
        qzi_part2(p, "Min", "shorter", qzi_part_slice(p, "extent_x", extent, 0, 1, -1),
                  qzi_part_slice(p, "extent_y", extent, 1, 2, -1));
    shorter = qzi_part_reshape(p, "shorter_flat", shorter, shape, ndim);
    return qzi_part3(p, "Where", "scores_of_large",
                     qzi_part2(p, "Less", "small", shorter, qzi_part_float(p, "least_size", least)),
                     qzi_part_float(p, "no_score", -1.0f), scores);
}

/* ---- suppression ---- */

qzi_post_kept qzi_post_nms(const qzi_onnx_part *p, const char *boxes, const char *scores,
                           int64_t most, double overlap, float above)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const char *const in[5] = {boxes, scores, qzi_part_row(p, "nms_most", &most, 1),
                               qzi_part_float(p, "nms_overlap", (float)overlap),
                               qzi_part_float(p, "nms_above", above)};
    const char *name = qzi_onnx_text(doc, "%s.nms", p->prefix);
    qzi_onnx_node(doc, "NonMaxSuppression", name, name, in, 5);
    return (qzi_post_kept){
        qzi_post_flat(p, "kept_batch", qzi_part_slice(p, "nms_batch", name, 0, 1, 1)),
        qzi_post_flat(p, "kept_class", qzi_part_slice(p, "nms_class", name, 1, 2, 1)),
        qzi_post_flat(p, "kept_box", qzi_part_slice(p, "nms_box", name, 2, 3, 1))};
}

/* `count` rows of zeros; columns 0: numbers. */
static const char *zeros(const qzi_onnx_part *p, const char *name, qz_dtype dtype, int64_t count,
                         int64_t columns)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const int64_t dims[2] = {count, columns};
    const void *data =
        qzi_onnx_alloc(doc, (size_t)(count * QZI_MAX(columns, 1)), qz_dtype_size(dtype));
    const char *full = qzi_onnx_text(doc, "%s.%s", p->prefix, name);
    return data ? qzi_onnx_tensor(doc, full, dtype, columns > 0 ? 2 : 1, dims, data) : full;
}

const char *qzi_post_best(const qzi_onnx_part *p, const char *scores, int64_t count, float none,
                          const char **indices)
{
    qzi_onnx_doc *doc = &p->e->doc;
    float *row = qzi_onnx_alloc(doc, (size_t)count, sizeof(*row));
    for (int64_t i = 0; i < count && row; i++)
        row[i] = none;
    if (!row)
        return *indices = "";
    const char *const in[2] = {scores,
                               qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.no_scores", p->prefix),
                                               QZ_F32, 1, &count, row)};
    return qzi_part_top_k(p, "best", qzi_part_concat(p, "scores_padded", in, 2, 0), count, indices);
}

const char *qzi_post_padded(const qzi_onnx_part *p, const char *name, const char *x, qz_dtype dtype,
                            int64_t count, int64_t columns, const char *indices)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const char *const in[2] = {x,
                               zeros(p, qzi_onnx_text(doc, "no_%s", name), dtype, count, columns)};
    return qzi_part_gather(
        p, name, qzi_part_concat(p, qzi_onnx_text(doc, "%s_padded", name), in, 2, 0), indices, 0);
}

void qzi_post_output(qzi_onnx_emit *e, const char *name, const char *value, qz_dtype dtype,
                     int32_t ndim, const int64_t *dims)
{
    QZI_ONNX_NODE(&e->doc, "Identity", qzi_onnx_text(&e->doc, "%s_identity", name), name, value);
    qzi_onnx_output(&e->doc, name, dtype, ndim, dims);
}

void qzi_post_outputs(qzi_onnx_emit *e, const qzi_post_list *found, int64_t count)
{
    const int64_t dims[2] = {count, 4};
    qzi_post_output(e, "boxes", found->boxes, QZ_F32, 2, dims);
    qzi_post_output(e, "scores", found->scores, QZ_F32, 1, dims);
    qzi_post_output(e, "labels", found->labels, QZ_S64, 1, dims);
}

void qzi_post_pick(const qzi_onnx_part *p, const qzi_post_list *list, const char *kept,
                   int64_t count, qzi_post_list *out)
{
    const char *indices;
    const char *none = qzi_part_float(p, "none", -1.0f);
    const char *scores = qzi_part_scatter(
        p, "scores_kept", qzi_part3(p, "Clip", "no_scores_kept", list->scores, none, none), kept,
        qzi_part_gather(p, "found_scores", list->scores, kept, 0));
    out->scores = qzi_post_best(p, scores, count, 0.0f, &indices);
    out->boxes = qzi_post_padded(p, "boxes_kept", list->boxes, QZ_F32, count, 4, indices);
    out->labels = qzi_post_padded(p, "labels_kept", list->labels, QZ_S64, count, 0, indices);
}

void qzi_post_detections(const qzi_onnx_part *p, const qzi_post_list *list, const char *kept,
                         int64_t count, qzi_post_list *out)
{
    qzi_post_pick(p, list, kept, count, out);
    qzi_post_outputs(p->e, out, count);
}

/* ---- classes that each have boxes of their own ---- */

/* 1, 1, …, 2, 2, …: labels of classes x each values, without the background; or 1, 2, …, 1, 2, …
 * of each x classes. */
static const char *class_labels(const qzi_onnx_part *p, int64_t classes, int64_t each,
                                bool boxes_first)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const int64_t rows = boxes_first ? each : classes, columns = boxes_first ? classes : each;
    const int64_t shape[2] = {rows, columns},
                  dims[2] = {boxes_first ? 1 : classes, boxes_first ? classes : 1};
    int64_t *numbers = qzi_onnx_alloc(doc, (size_t)classes, sizeof(*numbers));
    for (int64_t i = 0; i < classes && numbers; i++)
        numbers[i] = i + 1;
    if (!numbers)
        return "";
    const char *one = qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.class_numbers", p->prefix),
                                      QZ_S64, 2, dims, numbers);
    const char *all =
        qzi_part2(p, "Expand", "labels_apart", one, qzi_part_row(p, "labels_shape", shape, 2));
    return qzi_post_flat(p, "labels_flat", all);
}

qz_status qzi_post_class_batches(const qzi_onnx_part *p, const char *boxes, const char *scores,
                                 const qzi_post_batches *b, qzi_post_list *out)
{
    static const int64_t classes_first[3] = {1, 0, 2}, swapped[2] = {1, 0};
    const int64_t batches[3] = {b->classes, 1, b->each}, corners[2] = {-1, 4};
    const char *by_class = boxes, *scores_by_class = scores;
    if (b->boxes_first) {
        by_class = qzi_part_transpose(p, "boxes_by_class", boxes, classes_first, 3);
        scores_by_class = qzi_part_transpose(p, "scores_by_class", scores, swapped, 2);
    }
    const qzi_post_kept kept = qzi_post_nms(
        p, by_class, qzi_part_reshape(p, "scores_of_classes", scores_by_class, batches, 3),
        QZI_MIN(b->most, b->each), b->overlap, b->above);
    const char *row = b->boxes_first ? kept.box : kept.batch;
    const char *column = b->boxes_first ? kept.batch : kept.box;
    const int64_t columns = b->boxes_first ? b->classes : b->each;
    const char *first = qzi_part2(p, "Mul", "kept_first", row, qzi_part_int(p, "columns", columns));
    const qzi_post_list list = {qzi_part_reshape(p, "boxes_flat", boxes, corners, 2),
                                qzi_post_flat(p, "scores_flat", scores),
                                class_labels(p, b->classes, b->each, b->boxes_first)};
    qzi_post_detections(p, &list, qzi_part2(p, "Add", "kept_index", first, column), b->most, out);
    return p->e->doc.status;
}

/* ---- SSD ---- */

static qz_status ssd(qzi_onnx_emit *e, const qzi_anchors *anchors)
{
    static const int64_t swapped[2] = {1, 0};
    const qz_detection_options *o = e->detection;
    const qzi_onnx_part part = {e, "post"}, *p = &part;
    const char *logits[QZI_DETECTOR_LEVELS], *boxes[QZI_DETECTOR_LEVELS], *index;
    for (int32_t k = 0; k < anchors->levels; k++) {
        const qzi_onnx_part level = {e, qzi_onnx_text(&e->doc, "post.%d", (int)k)};
        logits[k] = qzi_post_rows(p, "cls_logits", k, e->classes);
        boxes[k] = qzi_post_decode(&level, qzi_post_rows(p, "bbox_regression", k, 4),
                                   qzi_post_anchor_table(p, anchors, k), e->detector->box_weights);
    }
    QziOnnx__NodeProto *made;
    const char *all = qzi_part_concat(p, "logits", logits, (size_t)anchors->levels, 0);
    const char *probabilities = qzi_onnx_text(&e->doc, "%s.probabilities", p->prefix);
    made = QZI_ONNX_NODE(&e->doc, "Softmax", probabilities, probabilities, all); /* the last axis */
    (void)made;
    const char *scores = qzi_part_transpose(p, "scores_by_class", probabilities, swapped, 2);
    const int64_t classes = e->classes - 1, each = QZI_MIN(o->topk_candidates, anchors->count);
    scores = qzi_part_slice(p, "scores_of_objects", scores, 1, e->classes, 0);
    scores = qzi_part_top_k(p, "candidates", scores, each, &index);
    const char *corners = qzi_part_concat(p, "boxes_all", boxes, (size_t)anchors->levels, 0);
    qzi_post_list out;
    const qzi_post_batches batches = {.classes = classes,
                                      .each = each,
                                      .most = o->detections_per_img,
                                      .overlap = o->nms_thresh,
                                      .above = (float)o->score_thresh};
    return qzi_post_class_batches(p, qzi_part_gather(p, "boxes_of_classes", corners, index, 0),
                                  scores, &batches, &out);
}

/* ---- RetinaNet, FCOS ---- */

/* The best scores of a level, with their boxes and labels. */
static void level_candidates(qzi_onnx_emit *e, const qzi_anchors *anchors, int32_t k,
                             const char **boxes, const char **scores, const char **labels)
{
    const bool fcos = e->detector->kind == QZI_DETECTOR_FCOS;
    const qzi_anchor_level *l = &anchors->level[k];
    const int64_t values = (int64_t)l->h * l->w * l->count * e->classes;
    const qzi_onnx_part part = {e, qzi_onnx_text(&e->doc, "post.%d", (int)k)}, *p = &part;
    const int64_t most = QZI_MIN(e->detection->topk_candidates, values);
    const char *index, *all = qzi_post_rows(p, "cls_logits", k, e->classes);
    if (fcos) {
        const char *centre =
            qzi_post_sigmoid(p, "centredness", qzi_post_rows(p, "bbox_ctrness", k, 1));
        all = qzi_part2(p, "Mul", "products", qzi_post_sigmoid(p, "probabilities", all), centre);
        all = qzi_part1(p, "Sqrt", "means", all);
    } else { /* the sigmoid of all above this is 1 */
        all = qzi_part2(p, "Min", "logits", all, qzi_part_float(p, "largest_logit", 17.5f));
    }
    *scores = qzi_part_top_k(p, "candidates", qzi_post_flat(p, "scores_flat", all), most, &index);
    if (!fcos)
        *scores = qzi_post_sigmoid(p, "probabilities", *scores);
    const char *classes = qzi_part_int(p, "classes", e->classes);
    const char *anchor = qzi_part2(p, "Div", "anchor", index, classes);
    *labels =
        qzi_part2(p, "Sub", "label", index, qzi_part2(p, "Mul", "anchor_first", anchor, classes));
    const qzi_post_boxes table = qzi_post_anchor_table(p, anchors, k);
    const qzi_post_boxes from = {qzi_part_gather(p, "anchor_centres", table.centres, anchor, 0),
                                 qzi_part_gather(p, "anchor_sizes", table.sizes, anchor, 0)};
    const char *deltas =
        qzi_part_gather(p, "deltas", qzi_post_rows(p, "bbox_regression", k, 4), anchor, 0);
    *boxes = fcos ? decode_linear(p, deltas, from)
                  : qzi_post_decode(p, deltas, from, e->detector->box_weights);
}

const char *qzi_post_by_class(const qzi_onnx_part *p, const char *scores, const char *labels)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const int64_t classes = p->e->classes, column[2] = {classes, 1}, whole[3] = {1, classes, -1};
    int64_t *numbers = qzi_onnx_alloc(doc, (size_t)classes, sizeof(*numbers));
    for (int64_t i = 0; i < classes && numbers; i++)
        numbers[i] = i;
    if (!numbers)
        return "";
    const char *all = qzi_onnx_tensor(doc, qzi_onnx_text(doc, "%s.class_numbers", p->prefix),
                                      QZ_S64, 2, column, numbers);
    const char *apart =
        qzi_part3(p, "Where", "scores_apart", qzi_part2(p, "Equal", "is_class", all, labels),
                  scores, qzi_part_float(p, "no_score", -1.0f));
    return qzi_part_reshape(p, "scores_by_class", apart, whole, 3);
}

static qz_status by_levels(qzi_onnx_emit *e, const qzi_anchors *anchors)
{
    static const int64_t whole[3] = {1, -1, 4};
    const qz_detection_options *o = e->detection;
    const qzi_onnx_part part = {e, "post"}, *p = &part;
    const size_t levels = (size_t)anchors->levels;
    const char *boxes[QZI_DETECTOR_LEVELS], *scores[QZI_DETECTOR_LEVELS],
        *labels[QZI_DETECTOR_LEVELS];
    for (int32_t k = 0; k < anchors->levels; k++)
        level_candidates(e, anchors, k, &boxes[k], &scores[k], &labels[k]);
    const char *all_boxes = qzi_part_concat(p, "boxes_all", boxes, levels, 0);
    const char *all_scores = qzi_part_concat(p, "scores_all", scores, levels, 0);
    const char *all_labels = qzi_part_concat(p, "labels_all", labels, levels, 0);
    const qzi_post_kept kept =
        qzi_post_nms(p, qzi_part_reshape(p, "boxes_whole", all_boxes, whole, 3),
                     qzi_post_by_class(p, all_scores, all_labels), o->detections_per_img,
                     o->nms_thresh, (float)o->score_thresh);
    const qzi_post_list list = {all_boxes, all_scores, all_labels};
    qzi_post_list out;
    qzi_post_detections(p, &list, kept.box, o->detections_per_img, &out);
    return e->doc.status;
}

qz_status qzi_onnx_post_one_stage(qzi_onnx_emit *e)
{
    qzi_anchors anchors;
    QZI_TRY(e->doc.status);
    QZI_TRY(qzi_post_anchors(e, "cls_logits", &anchors));
    return e->detector->kind == QZI_DETECTOR_SSD ? ssd(e, &anchors) : by_levels(e, &anchors);
}
