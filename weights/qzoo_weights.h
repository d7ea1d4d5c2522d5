/* SPDX-License-Identifier: MIT */
/*
 * qzoo_weights.h - state dicts: named tensors read from files that nobody trusts.
 */
#ifndef QZOO_WEIGHTS_H
#define QZOO_WEIGHTS_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Named tensors in file order, and, for safetensors, the __metadata__ strings. Immutable. */
typedef struct qz_state_dict qz_state_dict;

/*
 * Reads a .pth/.pt (zip format, torch >= 1.6) or .safetensors file; the format is told by the
 * content, not the name. Nothing in a pickle is ever executed: only tensors and plain containers
 * can come out of it. QZ_ERR_IO, QZ_ERR_FORMAT, QZ_ERR_UNSUPPORTED, QZ_ERR_MEMORY; the message
 * begins with the path.
 */
QZ_API qz_status qz_state_dict_load(qz_context *context, const char *path, qz_state_dict **dict);
/* The same from memory; `name` stands for the path in messages. The bytes are not kept. */
QZ_API qz_status qz_state_dict_parse(qz_context *context, const void *bytes, size_t size,
                                     const char *name, qz_state_dict **dict);
QZ_API void qz_state_dict_destroy(qz_state_dict *dict);

QZ_API size_t qz_state_dict_count(const qz_state_dict *dict);
/* Key and tensor (dense, row-major, in its stored type), valid as long as the dict. */
QZ_API const char *qz_state_dict_key(const qz_state_dict *dict, size_t index);
QZ_API const qz_tensor *qz_state_dict_tensor(const qz_state_dict *dict, size_t index);
QZ_API const qz_tensor *qz_state_dict_find(const qz_state_dict *dict, const char *key);
/* A metadata string of a safetensors file; NULL where there is none. */
QZ_API const char *qz_state_dict_metadata(const qz_state_dict *dict, const char *key);

/* ---- writing safetensors
 * ------------------------------------------------------------------------------ */

typedef struct qz_safetensors_entry {
    const char *key;
    qz_tensor tensor;
} qz_safetensors_entry;

/*
 * Writes a safetensors file (https://github.com/huggingface/safetensors, format description):
 * tensors in the given order, metadata as key/value pairs, the header padded with spaces to a
 * multiple of 8. The same input gives the same bytes. Written to a temporary file beside `path`
 * and renamed, so that no half file is ever seen under that name.
 */
QZ_API qz_status qz_safetensors_save(qz_context *context, const char *path,
                                     const qz_safetensors_entry *entries, size_t count,
                                     const char *const *metadata_keys,
                                     const char *const *metadata_values, size_t metadata_count);

/* ---- seeded random fill
 * --------------------------------------------------------------------------------- */

/* [substring, gain] rules: the first whose substring occurs in the key; "" matches all. */
typedef struct qz_fill_rule {
    const char *substring;
    double gain;
} qz_fill_rule;

/*
 * Fills a float32 tensor from its key and shape alone: FNV-1a of key + suffix seeds splitmix64,
 * (u + off) * mul in double, rounded once. off and mul follow torch's parameter roles (weights
 * uniform with variance gain^2 / fan_in, running_var in [0.5, 1.5), …); see random_fill.c for the
 * table. `one_dimensional_weight` says, for a bias, whether its sibling weight has one dimension.
 * num_batches_tracked (int64) is set to 0. The same numbers on every machine.
 */
QZ_API void qz_random_fill(const char *key, const char *suffix, const qz_fill_rule *rules,
                           size_t rule_count, bool one_dimensional_weight, qz_tensor *tensor);
/* (u_i + off) * mul for i in [0, count), the generator itself. */
QZ_API void qz_random_uniform(const char *key, const char *suffix, double off, double mul,
                              int64_t count, float *out);

#ifdef __cplusplus
}
#endif
#endif
