/* SPDX-License-Identifier: MIT */
/* resize_pillow.h - Pillow's resize in two steps: weights once, then rows, by any threads. Private.
 */
#ifndef QZOO_ZOO_IMAGE_RESIZE_PILLOW_H
#define QZOO_ZOO_IMAGE_RESIZE_PILLOW_H

#include "layers/kernels/kernels.h"
#include "zoo/image/preprocess.h"

/* One axis: output i is the sum over t < count[i] of weights[i * taps + t] * in[first[i] + t]. */
typedef struct qzi_resize_axis {
    int32_t *first, *count, *weights;
    double *real; /* weights of one output, before rounding */
    size_t taps;
    /* across: the form for vectors (kernels.h); NULL: the image is too narrow for it */
    int32_t *start;
    int16_t *spread;
    size_t loads, inner;
} qzi_resize_axis;

/* What a resize needs beside the pixels. Zero it before the first use. */
typedef struct qzi_resize_plan {
    int32_t in_width, in_height; /* the weights are those of this image … */
    qzi_window window;           /* … and this part of the resized image */
    qz_interpolation interpolation;
    qzi_resize_axis across, down;
    qzk_kernels kernels;
} qzi_resize_plan;

/* Of a filter, not NEAREST. What the plan held before is reused or freed. QZ_ERR_MEMORY: the plan
 * is empty then. */
qz_status qzi_resize_plan_make(const qz_context *ctx, int32_t in_width, int32_t in_height,
                               const qzi_window *window, qz_interpolation interpolation,
                               qzi_resize_plan *plan);
void qzi_resize_plan_free(const qz_context *ctx, qzi_resize_plan *plan);
/* Scratch that `rows` rows of the window take at most, in bytes; SIZE_MAX: too many. */
size_t qzi_resize_scratch(const qzi_resize_plan *plan, int32_t rows);
/* The rows [begin, end) of the window, of window.width * 3 bytes, into `out`. */
void qzi_resize_rows(const qzi_resize_plan *plan, const qzi_pixels *in, int32_t begin, int32_t end,
                     void *scratch, uint8_t *out);

#endif
