/* SPDX-License-Identifier: MIT */
/* roi_align.h - torchvision's MultiScaleRoIAlign, from maps into the input of a head. Private. */
#ifndef QZOO_ZOO_DETECTION_ROI_ALIGN_H
#define QZOO_ZOO_DETECTION_ROI_ALIGN_H

#include "zoo/detection/boxes.h"
#include "zoo/detection/maps.h"

/* Fill by qzi_roi_align_prepare; the maps and boxes are the caller's and must stay. */
typedef struct qzi_roi_align {
    const qz_context *ctx;
    const qzk_kernels *kernels;
    const qzi_map *maps; /* of one image each */
    int32_t levels;
    const qzi_box *rois;
    size_t count;
    int32_t size; /* of the output: size x size bins a RoI */
    float scales[QZI_DETECTOR_LEVELS];
    int32_t level_min, level_max; /* -log2 of the first and the last scale */
    uint32_t threads;
    float *rows;       /* a bin of each thread */
    size_t row_floats; /* between them */
} qzi_roi_align;

/* Sets scales, level_min and level_max of align->levels maps of these heights. image_h as below. */
void qzi_roi_scales(qzi_roi_align *align, const int32_t *heights, int32_t image_h);

/*
 * image_h x image_w: the resized image without padding. Sets all but maps, levels, rois, count,
 * size, kernels and ctx, which the caller has set. QZ_ERR_MEMORY. qzi_roi_align_release frees.
 */
qz_status qzi_roi_align_prepare(qzi_roi_align *align, int32_t image_h, int32_t image_w,
                                uint32_t threads);
void qzi_roi_align_release(qzi_roi_align *align);
/* Which map a RoI is pooled from: torchvision's LevelMapper. */
int32_t qzi_roi_level(const qzi_roi_align *align, qzi_box roi);
/* A qzi_input_fill whose user is the qzi_roi_align: writes count x size x size bins. The output is
 * float32, or uint8 with the node's parameters. */
void qzi_roi_align_fill(void *user, const qz_context *ctx, const qzi_node *node,
                        const qzk_view *out, uint32_t threads);

#endif
