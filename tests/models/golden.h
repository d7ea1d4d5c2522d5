/* SPDX-License-Identifier: MIT */
/*
 * golden.h - reading what torch and torchvision computed (QZOO_TEST_DATA/goldens, FORMAT.md there):
 * the weights' fill, the inputs, the records of outputs. For tests.
 */
#ifndef QZOO_TESTS_MODELS_GOLDEN_H
#define QZOO_TESTS_MODELS_GOLDEN_H

#include "zoo/model/model.h"

#include <jansson.h>
#include <stdio.h>

/* The folder of oracles; the path of a file in it (static buffer). */
const char *golden_path(const char *file);
/* The json of a model, or NULL after printing what is missing. json_decref it. */
json_t *golden_load(const char *model);
/* Opens <model>.keys.txt; NULL after printing what is missing. */
FILE *golden_open_keys(const char *model);

/* A float model with the golden's own weights, fused or not. NULL: failed (message printed). */
qz_model *golden_model(qz_context *ctx, const char *name, const json_t *golden, bool fuse);

/*
 * The golden's `input`, or its structured batch `alt`, as a tensor whose data the caller frees with
 * free(). Fails the process on a malformed golden.
 */
qz_tensor golden_input(const json_t *golden, bool alt);

/*
 * Compares a tensor with a record (shape, l2, first, spread; mids have no spread). Relative: the
 * difference of the sampled values, and of the norms, over the root mean square of the tensor.
 * Returns the largest; infinity when the shape differs.
 */
double golden_difference(const json_t *record, const qz_tensor *tensor);

/* Relative L2 distance of two float arrays. */
double relative_l2(const float *a, const float *b, size_t count);

#endif
