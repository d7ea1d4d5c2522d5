/* SPDX-License-Identifier: MIT */
/*
 * by_channel.h - what ops that compute by channel share: rows of constants in the packed node, as
 * kernels.h describes them, and checks. Private to layers/ops.
 */
#ifndef QZOO_LAYERS_OPS_BY_CHANNEL_H
#define QZOO_LAYERS_OPS_BY_CHANNEL_H

#include "layers/ops/ops.h"

/* Bytes of a row of c constants of 4 bytes, with what it repeats. */
size_t qzi_channel_row_bytes(int32_t c);

/* Bytes of a blob of `rows` rows, and row i of it. Rows of whole numbers are int32_t. */
size_t qzi_channel_rows_bytes(int32_t c, int rows);
void *qzi_channel_row(void *blob, int32_t c, int i);

/* Row i of an execution's node, from `channel` on. */
const float *qzi_channel_row_of(const qzi_op_run *r, int i, int32_t channel);

/* Writes what a row, or each row of a blob, repeats. */
void qzi_channel_row_wrap(void *row, int32_t c);
void qzi_channel_rows_wrap(void *blob, int32_t c, int rows);

/*
 * Notes that v of channel c is a sum whose terms are as large as this. QZ_ERR_NUMERIC where it
 * could be NaN or 2^60; qzi_channel_wide: whether a v may be 2^30.
 */
qz_status qzi_channel_term(const qzi_op_node *n, void *blob, int32_t c, float magnitude);
bool qzi_channel_wide(const void *blob);

/*
 * Rows 0 and 1 of v = x * mult + shift, in place of a real factor and offset: y = factor * real +
 * offset. Each row has factors and offsets when it is called.
 */
qz_status qzi_channel_affine(const qzi_op_node *n, void *blob);
void qzi_channel_affine_apply(const qzi_op_run *r, qzk_region region);

/* Bytes move: channel c of the output has the parameters of channel from(n, c) of input 0. */
qz_status qzi_check_moved(const qzi_op_node *n, int32_t (*from)(const qzi_op_node *n, int32_t c));

#endif
