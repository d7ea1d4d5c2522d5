/* SPDX-License-Identifier: MIT */
/*
 * onnx_detect.h - the stages of a detector in one ONNX file, and what is computed between and
 * behind them. Private.
 *
 * Numbers are those of zoo/detection (torchvision's), in float32 by ONNX's operators.
 */
#ifndef QZOO_ZOO_ONNX_ONNX_DETECT_H
#define QZOO_ZOO_ONNX_ONNX_DETECT_H

#include "zoo/onnx/onnx_parts.h"

/* ---- stages (onnx_roi.c) ---- */

/* Which input each node depends on: the stage that it is in. `stage` has an entry for each node. */
void qzi_onnx_stages(const qz_graph *graph, uint8_t *stage);
/*
 * The input of a stage, pooled from the pyramid's maps in the boxes `rois` (R x 4), as
 * MultiScaleRoIAlign does. Writes the value `out`. QZ_ERR_INTERNAL: the graph has no such maps.
 */
qz_status qzi_onnx_roi_align(qzi_onnx_emit *e, qz_value input, const char *rois, const char *out);
/* The value of the output `name`, or "name.level" where level is not below 0, in float32. "":
 * there is none, and the document is poisoned. */
const char *qzi_onnx_head(qzi_onnx_emit *e, const char *name, int32_t level, qz_value *value);

#endif
