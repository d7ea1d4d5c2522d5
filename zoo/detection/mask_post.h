/* SPDX-License-Identifier: MIT */
/* mask_post.h - Mask R-CNN's masks: probabilities in the box, and on the image. Private. */
#ifndef QZOO_ZOO_DETECTION_MASK_POST_H
#define QZOO_ZOO_DETECTION_MASK_POST_H

#include "zoo/detection/boxes.h"
#include "zoo/detection/maps.h"

#define QZI_MASK_SIDE 28
#define QZI_MASK_VALUES (QZI_MASK_SIDE * QZI_MASK_SIDE)

/* maskrcnn_inference: the sigmoid of channel `label` of RoI `roi`, QZI_MASK_VALUES of them. */
void qzi_mask_probabilities(const qzi_map *logits, int64_t roi, int32_t label, float *mask);

/*
 * paste_masks_in_image of one mask, for a box in the image of height x width: probabilities, or
 * bytes that are 1 where the probability is above one half; the other pointer is NULL.
 * QZ_ERR_MEMORY.
 */
qz_status qzi_mask_paste(const qz_context *ctx, const float *mask, qzi_box box, int32_t height,
                         int32_t width, float *probabilities, uint8_t *bytes);

#endif
