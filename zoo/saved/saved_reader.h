/* SPDX-License-Identifier: MIT */
/* saved_reader.h - what the files that read a saved model share. Private. */
#ifndef QZOO_ZOO_SAVED_SAVED_READER_H
#define QZOO_ZOO_SAVED_SAVED_READER_H

#include "zoo/saved/saved_model.h"

typedef struct qzi_saved_reader {
    qz_context *ctx;
    const char *path;
    const qz_state_dict *dict;
    qz_model *model;
    size_t used; /* tensors of the file that were taken */
} qzi_saved_reader;

/* The tensor `name`[.`leaf`] of the file, which must have this type and shape. */
qz_status qzi_saved_tensor(qzi_saved_reader *r, const char *name, const char *leaf, qz_dtype dtype,
                           int32_t ndim, const int64_t *dims, const qz_tensor **out);

/* Parameters of the float graph's values, an entry for each. Vectors are the dictionary's and the
 * model's arena's. */
qz_status qzi_saved_read_values(qzi_saved_reader *r, qzi_value_q *values);

#endif
