/* SPDX-License-Identifier: MIT */
/*
 * onnx_roi.c - a detector's stages: which node is in which, and RoIAlign between them.
 *
 * Every box is pooled from every map, and its own level is chosen afterwards: the level depends on
 * the box, and without a loop ONNX cannot pool each box from another map.
 */
#include "zoo/detection/outputs.h"
#include "zoo/detection/roi_align.h"
#include "zoo/onnx/onnx_detect.h"

#include <math.h>

void qzi_onnx_stages(const qz_graph *graph, uint8_t *stage)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const qzi_node *node = &graph->nodes[i];
        stage[i] = node->op == QZI_OP_INPUT ? (uint8_t)node->u.input.index : 0;
        for (size_t k = 0; k < node->in_count; k++)
            stage[i] = QZI_MAX(stage[i], stage[node->in[k]]);
    }
}

const char *qzi_onnx_head(qzi_onnx_emit *e, const char *name, int32_t level, qz_value *value)
{
    size_t index = 0;
    if (e->doc.status == QZ_OK)
        e->doc.status = qzi_detector_output(e->graph, name, level, &index);
    if (e->doc.status != QZ_OK)
        return "";
    *value = e->graph->outputs[index].value;
    return qzi_onnx_want(e, *value, QZI_ONNX_F32);
}

/* 0 for each box, in int64: every box is of the one image. */
static const char *batch_indices(const qzi_onnx_part *p, const char *rois)
{
    static const int64_t first = 0;
    const char *count = qzi_part_gather(p, "roi_count", qzi_part1(p, "Shape", "roi_shape", rois),
                                        qzi_part_row(p, "first", &first, 1), 0);
    const char *zeros = qzi_part1(p, "ConstantOfShape", "zeros", count);
    const char *out = qzi_onnx_text(&p->e->doc, "%s.batch_indices", p->prefix);
    qzi_onnx_attr_int(&p->e->doc, QZI_ONNX_NODE(&p->e->doc, "Cast", out, out, zeros), "to",
                      QZI_ONNX__TENSOR_PROTO__DATA_TYPE__INT64);
    return out;
}

/* LevelMapper: R x 1 x 1 x 1, in float, not yet in range. */
static const char *level_of(const qzi_onnx_part *p, const char *rois, const qzi_roi_align *align)
{
    static const int64_t shape[4] = {-1, 1, 1, 1};
    const char *low = qzi_part_slice(p, "low", rois, 0, 2, 1);
    const char *high = qzi_part_slice(p, "high", rois, 2, 4, 1);
    const char *size = qzi_part2(p, "Sub", "size", high, low);
    const char *area = qzi_part2(p, "Mul", "area", qzi_part_slice(p, "width", size, 0, 1, 1),
                                 qzi_part_slice(p, "height", size, 1, 2, 1));
    const char *side = qzi_part1(p, "Sqrt", "side", qzi_part1(p, "Relu", "area_positive", area));
    const char *share =
        qzi_part2(p, "Div", "share", side, qzi_part_float(p, "canonical_size", 224.0f));
    const char *log2 = qzi_part2(p, "Div", "log2", qzi_part1(p, "Log", "log", share),
                                 qzi_part_float(p, "log_of_two", 0.69314718055994530942f));
    const char *level =
        qzi_part2(p, "Add", "canonical", log2, qzi_part_float(p, "canonical_level", 4.0f));
    level = qzi_part2(p, "Add", "raised", level, qzi_part_float(p, "epsilon", 1e-6f));
    level = qzi_part3(p, "Clip", "level", qzi_part1(p, "Floor", "floor", level),
                      qzi_part_float(p, "level_min", (float)align->level_min),
                      qzi_part_float(p, "level_max", (float)align->level_max));
    return qzi_part_reshape(p, "levels", level, shape, 4);
}

static const char *align_level(const qzi_onnx_part *p, const char *map, const char *rois,
                               const char *batch, int32_t size, int32_t k, float scale)
{
    qzi_onnx_doc *doc = &p->e->doc;
    const char *out = qzi_onnx_text(doc, "%s.level.%d", p->prefix, (int)k);
    QziOnnx__NodeProto *made = QZI_ONNX_NODE(doc, "RoiAlign", out, out, map, rois, batch);
    if (p->e->options->opset >= 16) /* before, there is only this mode */
        qzi_onnx_attr_text(doc, made, "coordinate_transformation_mode", "output_half_pixel");
    qzi_onnx_attr_int(doc, made, "output_height", size);
    qzi_onnx_attr_int(doc, made, "output_width", size);
    qzi_onnx_attr_int(doc, made, "sampling_ratio", 2);
    qzi_onnx_attr_float(doc, made, "spatial_scale", scale);
    return out;
}

qz_status qzi_onnx_roi_align(qzi_onnx_emit *e, qz_value input, const char *rois, const char *out)
{
    const qzi_onnx_part part = {e, qzi_onnx_text(&e->doc, "%s_pool", e->graph->nodes[input].name)};
    const int32_t levels = e->detector->roi_levels, size = e->shapes[input].h;
    const char *maps[QZI_DETECTOR_LEVELS];
    int32_t heights[QZI_DETECTOR_LEVELS];
    qzi_roi_align align = {.levels = levels};
    for (int32_t k = 0; k < levels; k++) {
        qz_value value = 0;
        maps[k] = qzi_onnx_head(e, "features", k, &value);
        heights[k] = e->shapes[value].h;
    }
    QZI_TRY(e->doc.status);
    qzi_roi_scales(&align, heights, e->options->height);
    align.level_max = QZI_MIN(align.level_max, align.level_min + levels - 1);
    const char *batch = batch_indices(&part, rois);
    const char *level = levels > 1 ? level_of(&part, rois, &align) : "";
    const char *all = NULL;
    for (int32_t k = 0; k < levels; k++) {
        const char *pooled = align_level(&part, maps[k], rois, batch, size, k, align.scales[k]);
        if (k > 0) {
            const char *number = qzi_part_float(&part, qzi_onnx_text(&e->doc, "number.%d", (int)k),
                                                (float)(align.level_min + k));
            const char *here =
                qzi_part2(&part, "Equal", qzi_onnx_text(&e->doc, "is.%d", (int)k), level, number);
            pooled = qzi_part3(&part, "Where", qzi_onnx_text(&e->doc, "chosen.%d", (int)k), here,
                               pooled, all);
        }
        all = pooled;
    }
    QZI_ONNX_NODE(&e->doc, "Identity", qzi_onnx_text(&e->doc, "%s.whole", part.prefix), out, all);
    return e->doc.status;
}
