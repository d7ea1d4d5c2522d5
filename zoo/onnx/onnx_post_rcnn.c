/* SPDX-License-Identifier: MIT */
/*
 * onnx_post_rcnn.c - the steps between and behind the stages of Faster R-CNN and Mask R-CNN, as
 * rpn.c, rcnn_post.c and mask_post.c in zoo/detection have them.
 *
 * The number of proposals is fixed, so that no size in the file depends on the image. Where there
 * are fewer, empty boxes fill up, and their scores of classes are -1.
 */
#include "zoo/onnx/onnx_post.h"

#include <math.h>

#define PROPOSAL_MIN_SIZE 1e-3f
#define BOX_MIN_SIZE 1e-2f

/* The largest float below a score that is just enough. Scores are from 0 to 1. */
static float below(double threshold)
{
    return threshold > 0.0 ? nextafterf((float)threshold, -1.0f) : -0.5f;
}

/* ---- proposals ---- */

static void level_proposals(qzi_onnx_emit *e, const qzi_anchors *anchors, int32_t k,
                            const char **boxes, const char **scores)
{
    static const float weights[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    static const int64_t whole[3] = {1, -1, 4}, row[3] = {1, 1, -1}, flat[1] = {-1};
    const qz_detection_options *o = e->detection;
    const qzi_anchor_level *l = &anchors->level[k];
    const int64_t most = QZI_MIN(o->rpn_pre_nms_top_n_test, (int64_t)l->h * l->w * l->count);
    const qzi_onnx_part part = {e, qzi_onnx_text(&e->doc, "post.rpn.%d", (int)k)}, *p = &part;
    const char *index;
    const char *logits = qzi_part_top_k(
        p, "candidates", qzi_post_flat(p, "objectness", qzi_post_rows(p, "rpn_objectness", k, 1)),
        most, &index);
    const qzi_post_boxes table = qzi_post_anchor_table(p, anchors, k);
    const qzi_post_boxes from = {qzi_part_gather(p, "anchor_centres", table.centres, index, 0),
                                 qzi_part_gather(p, "anchor_sizes", table.sizes, index, 0)};
    const char *deltas =
        qzi_part_gather(p, "deltas", qzi_post_rows(p, "rpn_deltas", k, 4), index, 0);
    const char *all = qzi_post_decode(p, deltas, from, weights);
    const char *sure = qzi_post_drop_small(p, all, qzi_post_sigmoid(p, "probabilities", logits),
                                           flat, 1, PROPOSAL_MIN_SIZE);
    const qzi_post_kept kept = qzi_post_nms(p, qzi_part_reshape(p, "boxes_whole", all, whole, 3),
                                            qzi_part_reshape(p, "scores_whole", sure, row, 3),
                                            QZI_MIN(most, o->rpn_post_nms_top_n_test),
                                            o->rpn_nms_thresh, below(o->rpn_score_thresh));
    *boxes = qzi_part_gather(p, "found_boxes", all, kept.box, 0);
    *scores = qzi_part_gather(p, "found_scores", sure, kept.box, 0);
}

const char *qzi_onnx_post_rpn(qzi_onnx_emit *e, const char **valid)
{
    static const int64_t column[2] = {-1, 1};
    const qzi_onnx_part part = {e, "post.rpn"}, *p = &part;
    const char *boxes[QZI_DETECTOR_LEVELS], *scores[QZI_DETECTOR_LEVELS], *indices;
    const int64_t count = e->detection->rpn_post_nms_top_n_test;
    const size_t levels = (size_t)e->detector->levels;
    qzi_anchors anchors;
    if (e->doc.status == QZ_OK)
        e->doc.status = qzi_post_anchors(e, "rpn_objectness", &anchors);
    *valid = "";
    if (e->doc.status != QZ_OK)
        return "";
    for (int32_t k = 0; k < e->detector->levels; k++)
        level_proposals(e, &anchors, k, &boxes[k], &scores[k]);
    const char *best = qzi_post_best(p, qzi_part_concat(p, "scores_all", scores, levels, 0), count,
                                     -1.0f, &indices);
    *valid = qzi_part2(p, "Greater", "valid", qzi_part_reshape(p, "best_column", best, column, 2),
                       qzi_part_float(p, "absent", -0.5f));
    return qzi_post_padded(p, "proposals", qzi_part_concat(p, "boxes_all", boxes, levels, 0),
                           QZ_F32, count, 4, indices);
}

/* ---- boxes ---- */

/* Corners as R x 1 x 2 centres and sizes. */
static qzi_post_boxes centred(const qzi_onnx_part *p, const char *proposals)
{
    static const int64_t shape[3] = {-1, 1, 4};
    const char *rows = qzi_part_reshape(p, "proposal_rows", proposals, shape, 3);
    const char *low = qzi_part_slice(p, "proposal_low", rows, 0, 2, 2);
    const char *sizes = qzi_part2(p, "Sub", "proposal_sizes",
                                  qzi_part_slice(p, "proposal_high", rows, 2, 4, 2), low);
    const char *half = qzi_part2(p, "Mul", "proposal_half", sizes, qzi_part_float(p, "half", 0.5f));
    return (qzi_post_boxes){qzi_part2(p, "Add", "proposal_centres", low, half), sizes};
}

qz_status qzi_onnx_post_boxes(qzi_onnx_emit *e, const char *proposals, const char *valid,
                              qzi_post_list *out)
{
    const qz_detection_options *o = e->detection;
    const qzi_onnx_part part = {e, "post.box"}, *p = &part;
    const int64_t classes = e->classes;
    const int64_t apart[3] = {-1, classes, 4}, table[2] = {-1, classes};
    qz_value value = 0;
    const char *logits = qzi_onnx_head(e, "roi_cls_logits", -1, &value);
    const char *deltas = qzi_onnx_head(e, "roi_bbox_regression", -1, &value);
    const char *scores =
        qzi_part3(p, "Where", "scores", valid, qzi_part1(p, "Softmax", "probabilities", logits),
                  qzi_part_float(p, "absent", -1.0f));
    const char *boxes = qzi_post_decode(p, qzi_part_reshape(p, "deltas", deltas, apart, 3),
                                        centred(p, proposals), e->detector->box_weights);
    scores = qzi_post_drop_small(p, boxes, scores, table, 2, BOX_MIN_SIZE);
    const qzi_post_batches batches = {.classes = classes - 1,
                                      .each = o->rpn_post_nms_top_n_test,
                                      .boxes_first = true,
                                      .most = o->box_detections_per_img,
                                      .overlap = o->box_nms_thresh,
                                      .above = (float)o->box_score_thresh};
    return qzi_post_class_batches(p, qzi_part_slice(p, "boxes_of_objects", boxes, 1, classes, 1),
                                  qzi_part_slice(p, "scores_of_objects", scores, 1, classes, 1),
                                  &batches, out);
}

/* ---- masks ---- */

qz_status qzi_onnx_post_masks(qzi_onnx_emit *e, const char *labels)
{
    const qzi_onnx_part part = {e, "post.mask"}, *p = &part;
    const int64_t count = e->detection->box_detections_per_img;
    qz_value value = 0;
    const char *logits = qzi_onnx_head(e, "mask_logits", -1, &value);
    const qzi_shape *s = &e->shapes[value];
    const int64_t flat[3] = {-1, s->h, s->w}, dims[3] = {count, s->h, s->w};
    int64_t *first = qzi_onnx_alloc(&e->doc, (size_t)count, sizeof(*first));
    for (int64_t i = 0; i < count && first; i++)
        first[i] = i * e->classes;
    if (!first)
        return e->doc.status;
    const char *rows = qzi_onnx_tensor(&e->doc, qzi_onnx_text(&e->doc, "%s.first", p->prefix),
                                       QZ_S64, 1, dims, first);
    const char *own = qzi_part_gather(p, "of_labels", qzi_part_reshape(p, "flat", logits, flat, 3),
                                      qzi_part2(p, "Add", "index", rows, labels), 0);
    qzi_post_output(e, "masks", qzi_part1(p, "Sigmoid", "probabilities", own), QZ_F32, 3, dims);
    return e->doc.status;
}
