/* SPDX-License-Identifier: MIT */
/*
 * onnx_parts.h - nodes that no node of the graph stands for: what a detector computes between its
 * stages. Private.
 *
 * A part's value and its node have the same name, which begins with a prefix that no module has.
 * All of it is float32.
 */
#ifndef QZOO_ZOO_ONNX_ONNX_PARTS_H
#define QZOO_ZOO_ONNX_ONNX_PARTS_H

#include "zoo/onnx/onnx_emit.h"

/* Parts that belong together. A name given to the functions below is PREFIX.NAME in the file. */
typedef struct qzi_onnx_part {
    qzi_onnx_emit *e;
    const char *prefix;
} qzi_onnx_part;

/* A node of one to three inputs (NULL: none). Returns its value's name. */
const char *qzi_part1(const qzi_onnx_part *p, const char *op, const char *name, const char *a);
const char *qzi_part2(const qzi_onnx_part *p, const char *op, const char *name, const char *a,
                      const char *b);
const char *qzi_part3(const qzi_onnx_part *p, const char *op, const char *name, const char *a,
                      const char *b, const char *c);

/* Constants: rows of a few numbers, scalars, and floats that outlive the document. */
const char *qzi_part_row(const qzi_onnx_part *p, const char *name, const int64_t *v, size_t count);
const char *qzi_part_float(const qzi_onnx_part *p, const char *name, float v);
const char *qzi_part_int(const qzi_onnx_part *p, const char *name, int64_t v);

const char *qzi_part_reshape(const qzi_onnx_part *p, const char *name, const char *x,
                             const int64_t *shape, size_t ndim);
const char *qzi_part_transpose(const qzi_onnx_part *p, const char *name, const char *x,
                               const int64_t *perm, size_t ndim);
/* Entries first to end - 1 along an axis. */
const char *qzi_part_slice(const qzi_onnx_part *p, const char *name, const char *x, int64_t first,
                           int64_t end, int64_t axis);
const char *qzi_part_gather(const qzi_onnx_part *p, const char *name, const char *x,
                            const char *indices, int64_t axis);
const char *qzi_part_concat(const qzi_onnx_part *p, const char *name, const char *const *in,
                            size_t count, int64_t axis);
/* x (a row) with `updates` in place of the entries `indices`. */
const char *qzi_part_scatter(const qzi_onnx_part *p, const char *name, const char *x,
                             const char *indices, const char *updates);
/* The k largest along the last axis, sorted; *indices: where they were. */
const char *qzi_part_top_k(const qzi_onnx_part *p, const char *name, const char *x, int64_t k,
                           const char **indices);

#endif
