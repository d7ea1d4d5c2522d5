/* SPDX-License-Identifier: MIT */
/*
 * state_dict.h - what the readers of file formats build a state dict with. Private.
 *
 * The whole file is one block of bytes; a tensor points into it where the file holds it dense,
 * aligned and in the host's byte order, and is copied otherwise. qz_state_dict_load reads it and
 * does not map it: a mapped file that another process truncates kills the caller with SIGBUS, and
 * one that is rewritten changes bytes that were already checked. qz_state_dict_map maps, for files
 * that are known to stay as they are; those of the cache are, since they are only ever renamed into
 * it.
 *
 * All files are taken for hostile. Sizes are checked before memory is asked for, and everything
 * that decoding allocates is charged to a budget in proportion to the file.
 */
#ifndef QZOO_WEIGHTS_STATE_DICT_H
#define QZOO_WEIGHTS_STATE_DICT_H

#include "layers/base/base.h"
#include "weights/qzoo_weights.h"

/* The largest published model (regnet_y_128gf) takes 2.6 GB. */
#define QZI_FILE_MAX (UINT64_C(16) << 30)
/*
 * What decoding may allocate, and what all tensors together may hold: weights hardly compress, and
 * few share their bytes, so a file that asks for more is a bomb.
 */
#define QZI_DICT_BUDGET_BASE ((size_t)32 << 20)
#define QZI_DICT_BUDGET_FACTOR 32
/* torchvision's longest key has about 80 bytes. */
#define QZI_KEY_MAX 1023

typedef struct qzi_dict_entry {
    const char *key;
    qz_tensor tensor;
    const qz_tensor_quant *quant; /* in the arena; NULL: not quantized */
} qzi_dict_entry;

typedef struct qzi_dict_metadata {
    const char *key;
    const char *value;
} qzi_dict_metadata;

/* A value that is no tensor, in a state dict: nobody minds unless a network wants it. */
typedef struct qzi_dict_foreign_value {
    const char *key;
    const char *what; /* "is an object of class 'x.Y', not a tensor" */
    bool object;      /* of a class or call that is not read, else plain data */
} qzi_dict_foreign_value;

struct qz_state_dict {
    const qz_context *ctx;
    const char *want; /* the dict of a checkpoint to take; the caller's, NULL once loaded */
    const char *note; /* what was chosen in a checkpoint; NULL: there was no choice */
    const char *name; /* the path, for messages; the caller's, NULL once loaded */
    uint8_t *bytes;   /* the file; of a mapped one they cannot be written */
    size_t size;
    bool mapped;
    bool bytes_used; /* a tensor points into them */
    size_t budget;   /* bytes that may still be allocated */
    qzi_arena arena; /* keys and metadata */
    qzi_dict_entry *entries;
    size_t count, capacity;
    size_t *sorted; /* entries in order of their keys */
    qzi_dict_metadata *metadata;
    size_t metadata_count, metadata_capacity;
    qzi_dict_foreign_value *foreign;
    size_t foreign_count, foreign_capacity;
    void **blocks; /* inflated records and copies of tensors */
    size_t block_count, block_capacity;
};

/* A tensor as a file describes it: `data` is its first element. */
typedef struct qzi_raw_tensor {
    qz_dtype dtype;
    int32_t ndim;
    int64_t dims[QZ_MAX_DIMS];
    int64_t strides[QZ_MAX_DIMS]; /* in elements, not negative */
    const uint8_t *data;
    bool in_file;                 /* data points into dict->bytes, else into a block */
    bool big_endian;              /* order of the bytes in the file */
    const qz_tensor_quant *quant; /* in the dict's arena, or NULL */
} qzi_raw_tensor;

/* ---- state_dict_build.c ---- */

/* An empty dict without an index of keys; `name` is kept for messages until it is sealed. */
qz_status qzi_dict_new(const qz_context *ctx, const char *name, qz_state_dict **dict);
/* Of a file whose format nests nothing: QZ_ERR_ARGUMENT where a nested dict is wanted. */
qz_status qzi_dict_check_flat(const qz_state_dict *dict);
/* Takes `size` bytes from the budget; QZ_ERR_FORMAT when it does not have them. */
qz_status qzi_dict_charge(qz_state_dict *dict, size_t size);
/* A block that lives as long as the dict, charged. */
qz_status qzi_dict_block(qz_state_dict *dict, size_t size, uint8_t **block);
/*
 * Adds a tensor; its reach must have been checked against the bytes at `raw->data`. The key needs
 * no NUL. Only views that are not dense, aligned and in host order are copied.
 */
qz_status qzi_dict_add(qz_state_dict *dict, const char *key, size_t key_size,
                       const qzi_raw_tensor *raw);
/* Notes a value that is no tensor. A key that is too long or no text is left out. */
qz_status qzi_dict_add_foreign(qz_state_dict *dict, const char *key, size_t key_size,
                               const char *what, bool object);
/* What stands at the key in place of a tensor; NULL: nothing. */
const qzi_dict_foreign_value *qzi_dict_foreign(const qz_state_dict *dict, const char *key);
qz_status qzi_dict_add_metadata(qz_state_dict *dict, const char *key, const char *value);
/* Makes the lookup index; QZ_ERR_FORMAT for a key (also of metadata) that occurs
 * twice. */
qz_status qzi_dict_seal(qz_state_dict *dict);

/* ---- readers: dict->bytes to entries ---- */

qz_status qzi_read_safetensors(qz_state_dict *dict); /* safetensors_read.c */
qz_status qzi_read_darknet(qz_state_dict *dict);     /* darknet.c */
qz_status qzi_read_legacy_pth(qz_state_dict *dict);  /* pth_legacy.c */
qz_status qzi_read_zip(qz_state_dict *dict);         /* pth.c, where zlib is built in */

/* The index alone, again after keys have changed. */
qz_status qzi_dict_sort(qz_state_dict *dict);
/*
 * Another dict of the same tensors, whose keys may be changed without changing the first. It may be
 * used as long as the first.
 */
qz_status qzi_dict_view(const qz_state_dict *of, qz_state_dict **dict);
/* Gives entry `index` another key; the index of keys is wrong until qzi_dict_sort. */
qz_status qzi_dict_set_key(qz_state_dict *dict, size_t index, const char *key);
/* Row-major strides of the shape. */
void qzi_raw_set_dense(qzi_raw_tensor *raw);

/* Word for a dtype in safetensors files ("F32"), and its inverse. */
const char *qzi_safetensors_dtype_name(qz_dtype dtype);
bool qzi_safetensors_dtype_parse(const char *name, qz_dtype *dtype);

/* The longest header that readers of the format accept. */
#define QZI_SAFETENSORS_HEADER_MAX 100000000

#endif
