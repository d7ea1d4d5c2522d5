/* SPDX-License-Identifier: MIT */
/* transform.h - torchvision's GeneralizedRCNNTransform: normalise, resize, pad. Private. */
#ifndef QZOO_ZOO_DETECTION_TRANSFORM_H
#define QZOO_ZOO_DETECTION_TRANSFORM_H

#include "layers/graph/graph.h"
#include "zoo/detection/detector.h"

typedef struct qzi_transform_size {
    int32_t resized_h, resized_w;
    int32_t padded_h, padded_w; /* multiples of the size divisor */
} qzi_transform_size;

/*
 * Sizes of an image of height x width. padded_h, padded_w above 0 (of a batch's largest image)
 * are used as they are. QZ_ERR_ARGUMENT: no image, nothing of the image is left, or it does not fit
 * the padded size.
 */
qz_status qzi_transform_sizes(const qz_context *ctx, const qzi_detector *detector,
                              const qz_detection_options *options, int32_t height, int32_t width,
                              int32_t padded_h, int32_t padded_w, qzi_transform_size *size);

/* An image on its way into the graph. Fill by qzi_transform_prepare. */
typedef struct qzi_transform {
    const qz_context *ctx;
    const qzk_kernels *kernels;
    /* the image, which must stay: one of the two */
    const float *chw;
    const uint8_t *rgb;
    size_t stride;
    int32_t height, width;
    qzi_transform_size size;
    float mean[3], std[3];
    float table[3][256]; /* of bytes: (v / 255 - mean) / std */
    uint32_t threads;
    /* of each output column: the left source column, the step to the right one, their weights */
    int32_t *left, *step;
    float *left_weight, *right_weight;
    float *rows; /* of each thread: a source row, two rows of output columns, an output row */
    size_t row_floats;
} qzi_transform;

/*
 * ctx, kernels, the image and size are set by the caller. QZ_ERR_MEMORY; QZ_ERR_NUMERIC: the image
 * has NaN or infinity. qzi_transform_release frees, also after failing.
 */
qz_status qzi_transform_prepare(qzi_transform *transform, const qzi_detector *detector,
                                uint32_t threads);
void qzi_transform_release(qzi_transform *transform);
/* A qzi_input_fill whose user is the qzi_transform: 1 x padded_h x padded_w x 3. */
void qzi_transform_fill(void *user, const qz_context *ctx, const qzi_node *node,
                        const qzk_view *out, uint32_t threads);

#endif
