/* SPDX-License-Identifier: MIT */
/* deflate.h - bytes to a zlib stream. Private. */
#ifndef QZOO_WEIGHTS_DEFLATE_H
#define QZOO_WEIGHTS_DEFLATE_H

#include "layers/base/base.h"

/*
 * The bytes as a zlib stream; stored as they are in builds without zlib. The caller frees the
 * stream (qzi_free). NULL: out of memory, or the stream would have more than INT_MAX bytes.
 */
uint8_t *qzi_deflate(const qz_context *ctx, const uint8_t *data, size_t size, int *out_size);

#endif
