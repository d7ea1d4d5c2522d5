/* SPDX-License-Identifier: MIT */
/*
 * kept.h - the calibration images that recipes look at again. Private.
 *
 * Memory must not grow with the number of images, and what is kept must not depend on their order
 * or on how they were split. So the images with the smallest content hashes are kept, in the order
 * of their hashes: the same for the same set.
 */
#ifndef QZOO_QUANT_REFINE_KEPT_H
#define QZOO_QUANT_REFINE_KEPT_H

#include "layers/base/base.h"
#include "layers/kernels/kernels.h"

#define QZI_KEPT_MAX 32                    /* images */
#define QZI_KEPT_BYTES ((size_t)256 << 20) /* of all; one image is kept whatever its size */

typedef struct qzi_kept {
    const qz_context *ctx;
    size_t count;
    uint64_t hash[QZI_KEPT_MAX];   /* ascending */
    qz_tensor image[QZI_KEPT_MAX]; /* 1 x C x H x W float32, data owned */
} qzi_kept;

void qzi_kept_init(qzi_kept *kept, const qz_context *ctx);
void qzi_kept_free(qzi_kept *kept);
/* One image, as float NHWC: kept where its hash is among the smallest. */
qz_status qzi_kept_add(qzi_kept *kept, const qzk_view *image);

#endif
