/* SPDX-License-Identifier: MIT */
/* pixels.h - images of any pixel format as RGB rows. Private. */
#ifndef QZOO_ZOO_IMAGE_PIXELS_H
#define QZOO_ZOO_IMAGE_PIXELS_H

#include "zoo/image/preprocess.h"

/*
 * Image number `index` of a caller's as RGB rows. *owned: memory of the rows, which the caller
 * frees; NULL where the rows are the image's own. QZ_ERR_ARGUMENT begins with `function`.
 */
qz_status qzi_pixels_as_rgb(const qz_context *ctx, const char *function, const qz_pixels *image,
                            size_t index, qzi_pixels *rgb, uint8_t **owned);

#endif
