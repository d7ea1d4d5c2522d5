/* SPDX-License-Identifier: MIT */
/*
 * qzoo_weights.h - state dicts: named tensors read from files that nobody trusts; the catalogue of
 * published weights, the cache that holds them, and their download.
 */
#ifndef QZOO_WEIGHTS_H
#define QZOO_WEIGHTS_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Named tensors in file order, and, for safetensors, the __metadata__ strings. */
typedef struct qz_state_dict qz_state_dict;

/*
 * Reads a file of tensors. The content decides the format, not the name:
 *
 *   .safetensors
 *   .pth, .pt     torch.save's, the zip format (torch >= 1.6) and the legacy one before it: a state
 *                 dict, a checkpoint that has one under any name, or a whole module, whose
 *                 parameters and buffers get the keys of its state_dict(). Of several state dicts,
 *                 the one is taken whose name has no "ema" in it (qz_state_dict_open takes another)
 *   .pt           TorchScript archives: parameters and buffers; of a packed quantized layer P the
 *                 tensors P.weight, P.bias and P.config (torch's own packed integers)
 *   .npz          numpy's archives
 *   .weights      darknet's. The file does not name its layers, so it is one flat float32 tensor
 *                 "weights", with "header" (int32: major, minor, revision) and "seen" (training
 *                 images; int64, in old files int32)
 *
 * Nothing in a pickle is ever executed. Objects are searched for their tensors. What a call would
 * make, but for the few functions that rebuild tensors, is not looked into; in the place of a
 * tensor it is QZ_ERR_UNSUPPORTED, by name. QZ_ERR_IO, QZ_ERR_FORMAT, QZ_ERR_MEMORY; the message
 * begins with the path.
 */
QZ_API qz_status qz_state_dict_load(qz_context *context, const char *path, qz_state_dict **dict);
/*
 * The same with the file mapped, not copied, where its format allows: half the memory, and a third
 * of the time of a large file. Only for a file that nobody changes in place while the dict exists:
 * if the file is truncated, reading a tensor ends the process (SIGBUS). A file that is replaced or
 * removed does no harm. Weights by a tag are mapped, because the cache replaces its files and never
 * changes them.
 */
QZ_API qz_status qz_state_dict_map(qz_context *context, const char *path, qz_state_dict **dict);
/* The same from memory; messages use `name` as the path. The bytes are not kept. */
QZ_API qz_status qz_state_dict_parse(qz_context *context, const void *bytes, size_t size,
                                     const char *name, qz_state_dict **dict);
/* What to read. Begin with QZ_STATE_DICT_OPTIONS_INIT: zero is the default everywhere. */
typedef struct qz_state_dict_options {
    size_t size; /* sizeof(qz_state_dict_options) */
    /* where the state dict is in a checkpoint: "ema", "a.b", "1" of a list; NULL: it is searched */
    const char *key;
    bool map;          /* as qz_state_dict_map */
    const void *bytes; /* read from here, where `path` is only a name; not kept. NULL: the file */
    size_t byte_count;
} qz_state_dict_options;
#define QZ_STATE_DICT_OPTIONS_INIT QZ_OPTIONS_INIT(qz_state_dict_options)
/*
 * The general form of the above. NULL for options: the defaults. QZ_ERR_MISMATCH: the file has
 * nothing of that key, or is of a format that nests nothing.
 */
QZ_API qz_status qz_state_dict_open(qz_context *context, const char *path,
                                    const qz_state_dict_options *options, qz_state_dict **dict);
/* Which of a checkpoint's state dicts was taken, and what else it has, in words; "" where there was
 * nothing to choose. */
QZ_API const char *qz_state_dict_note(const qz_state_dict *dict);

/* ---- making and changing one: by one thread, while no other uses it ---- */

/* An empty dict. */
QZ_API qz_status qz_state_dict_create(qz_context *context, qz_state_dict **dict);
/* Adds a copy of a tensor (dense, row-major). QZ_ERR_ARGUMENT: the key is there already, is empty,
 * longer than 1023 bytes or not UTF-8. */
QZ_API qz_status qz_state_dict_add(qz_state_dict *dict, const char *key, const qz_tensor *tensor);
/* Takes an entry out. QZ_ERR_UNKNOWN_NAME: there is none of that key. */
QZ_API qz_status qz_state_dict_remove(qz_state_dict *dict, const char *key);
/* Gives an entry another key. Errors as of remove and add. */
QZ_API qz_status qz_state_dict_rename(qz_state_dict *dict, const char *from, const char *to);
/* With its tensors. NULL is fine. */
QZ_API void qz_state_dict_destroy(qz_state_dict *dict);

/* Number of tensors. */
QZ_API size_t qz_state_dict_count(const qz_state_dict *dict);
/* Key and tensor (dense, row-major, in its stored type), valid as long as the dict. */
QZ_API const char *qz_state_dict_key(const qz_state_dict *dict, size_t index);
/* The tensor of an index below qz_state_dict_count. */
QZ_API const qz_tensor *qz_state_dict_tensor(const qz_state_dict *dict, size_t index);
/* The tensor of a key; NULL where there is none. */
QZ_API const qz_tensor *qz_state_dict_find(const qz_state_dict *dict, const char *key);
/* Its index in the order of the file; qz_state_dict_count where there is none. */
QZ_API size_t qz_state_dict_index(const qz_state_dict *dict, const char *key);
/* The metadata of a TorchScript archive: the text of its root module's class, unchanged. */
#define QZ_METADATA_TORCHSCRIPT "torchscript.code"
/* The metadata of a checkpoint that names its classes: a name a line, in their order. */
#define QZ_METADATA_CLASSES "classes"
/* The metadata of a saved module: its class ("models.yolo.DetectionModel"), the activations in it
 * ("SiLU", "LeakyReLU(0.1)"; a space between several) and, of ultralytics' Detect, the number of
 * classes and the strides ("8 16 32"). */
#define QZ_METADATA_MODULE_CLASS "module.class"
#define QZ_METADATA_MODULE_ACTIVATIONS "module.activations"
#define QZ_METADATA_MODULE_CLASSES "module.classes"
#define QZ_METADATA_MODULE_STRIDES "module.strides"
/* A metadata string of a safetensors file (or the above); NULL where there is none. */
QZ_API const char *qz_state_dict_metadata(const qz_state_dict *dict, const char *key);

/*
 * The real numbers of a quantized tensor: scale x (q - zero_point), with one pair for all elements
 * or one for each index of dimension `axis`.
 */
typedef struct qz_tensor_quant {
    int32_t axis;  /* -1: one pair for all */
    int64_t count; /* of pairs: 1, or the size of that dimension */
    const double *scales;
    const int64_t *zero_points;
} qz_tensor_quant;
/* NULL where the tensor is not quantized. */
QZ_API const qz_tensor_quant *qz_state_dict_quant(const qz_state_dict *dict, size_t index);

/*
 * The tensor's real values as float32, in row-major order, into `out` (as many as it has elements).
 * Floating-point types are rounded, quantized tensors (`quant` not NULL) dequantized; other types
 * are QZ_ERR_UNSUPPORTED. The tensor's data must be aligned, as that of state dicts is.
 */
QZ_API qz_status qz_tensor_to_f32(qz_context *context, const qz_tensor *tensor,
                                  const qz_tensor_quant *quant, float *out);

/*
 * Replaces keys that older torchvision versions wrote by the present ones, as its own loaders do
 * (densenet's norm.1, FPN's inner_blocks.N.weight, RPN's and RetinaNet's heads, mask_fcnN).
 * `*renamed` (may be NULL): how many.
 */
QZ_API qz_status qz_state_dict_update_keys(qz_state_dict *dict, size_t *renamed);

/* ---- writing files ---- */

/*
 * Writes a whole file, and so do all calls of the library that write one. No reader sees half a
 * file: the bytes get the name when they are all there, and after a failure the path keeps its old
 * content. The target of a symbolic link is replaced, the link stays. Devices and pipes are written
 * to; "/dev/stdout" is the process's own standard output. QZ_ERR_IO: the path cannot be opened for
 * writing. QZ_ERR_WRITE: the disk is full, or writing failed. QZ_ERR_CANCELLED.
 */
QZ_API qz_status qz_file_save(qz_context *context, const char *path, const void *bytes,
                              size_t size);
/* Whether a file could be written there, as far as can be seen without writing: QZ_ERR_IO says why
 * not. Creates and changes nothing. */
QZ_API qz_status qz_file_check(qz_context *context, const char *path);
/* Whether two paths would write one file. Two times one
 * pipe, or standard output, is the same; two times one device is not. */
QZ_API qz_status qz_file_same(qz_context *context, const char *a, const char *b, bool *same);

/* ---- writing safetensors ---- */

/* One tensor to be written. Key and data are only read. */
typedef struct qz_safetensors_entry {
    const char *key;
    qz_tensor tensor;
} qz_safetensors_entry;

/*
 * Writes a safetensors file (https://github.com/huggingface/safetensors, format description):
 * tensors in the given order, metadata as key/value pairs, the header padded with spaces to a
 * multiple of 8. The same input makes the same bytes. The file is written under a temporary
 * name beside `path` and then renamed, so no reader sees half a file.
 */
QZ_API qz_status qz_safetensors_save(qz_context *context, const char *path,
                                     const qz_safetensors_entry *entries, size_t count,
                                     const char *const *metadata_keys,
                                     const char *const *metadata_values, size_t metadata_count);

/* ---- seeded random fill ---- */

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

/* ---- SHA-256 ---- */

/* The hash of a whole file as 64 hexadecimal digits and a NUL. */
QZ_API qz_status qz_sha256_file(qz_context *context, const char *path, char hex[65]);

/* ---- the catalogue of published weights ---- */

/* A published measurement of weights. */
typedef struct qz_metric {
    const char *name;    /* "acc@1", "box_map", ...; NULL ends the list */
    int32_t thousandths; /* 76130 is 76.13 */
} qz_metric;
#define QZ_MAX_METRICS 4

/* Facts about one published file. Texts are never NULL; "" where nothing is known. */
typedef struct qz_weights_info {
    const char *model; /* as qzoo and torchvision name it */
    const char *tag;   /* "IMAGENET1K_V1", ... */
    const char *task;  /* "classification", "detection", "segmentation", ... */
    const char *url;
    const char *file;       /* its name in the cache */
    const char *sha256;     /* the first 8 or more digits of the hash, often all 64 */
    uint64_t size;          /* bytes; 0: not known */
    int32_t classes;        /* 0: none, or not known */
    const char *categories; /* whose names they are: "imagenet1k", "coco91", "voc21", "coco80" */
    uint64_t params;        /* 0: not known */
    const char *data_set;   /* that the metrics are of */
    qz_metric metrics[QZ_MAX_METRICS];
    /* how images are prepared: resize the shorter side, centre crop; 0: the model's own way */
    int32_t resize, crop;
    const char *interpolation; /* "bilinear", "bicubic" */
    float mean[3], std[3];
    bool transform_input; /* googlenet, inception_v3: the weights need it */
    bool zero_eps;        /* detectors: eps of the backbone's norms was 0 when they were trained */
    const char *licence;
    const char *quantized; /* an int8 model for this backend ("fbgemm", "qnnpack"); "": float */
    const char *parent;    /* tag of the float weights that it was made of */
    bool is_default;       /* what DEFAULT means (of quantized weights: among these) */
    bool user;             /* from a user's own catalogue */
} qz_weights_info;

/* Published weights by model and tag. Immutable: any thread may look. */
typedef struct qz_catalogue qz_catalogue;

/*
 * The table of published weights, and on top of it the entries of a user's file: `user_file`, or
 * where that is NULL catalogue.json in the context's cache folder, if there is one. The file is
 *
 *   {"schema": "qzoo.catalogue/1", "weights": [{"model", "tag", "url", "sha256", "size", ...}]}
 *
 * model, tag, url and the full sha256 are needed; size, classes, licence, resize, crop and default
 * are optional. An entry with the model and tag of another replaces it. User files are read in
 * builds with the feature `fetch`; QZ_ERR_UNSUPPORTED says so elsewhere. QZ_ERR_IO, QZ_ERR_FORMAT.
 */
QZ_API qz_status qz_catalogue_open(qz_context *context, const char *user_file,
                                   qz_catalogue **catalogue);
/* Its entries are no longer valid. NULL is fine. */
QZ_API void qz_catalogue_close(qz_catalogue *catalogue);
/* Whether weights of the model are published, be its architecture built here or not. */
QZ_API bool qz_weights_has_model(const char *model);
/* Number of entries. */
QZ_API size_t qz_catalogue_count(const qz_catalogue *catalogue);
/* NULL out of range. Entries of one model are together, models in bytewise order. */
QZ_API const qz_weights_info *qz_catalogue_at(const qz_catalogue *catalogue, size_t index);
/*
 * `tag` NULL or "default" in any case: the default float weights. QZ_ERR_UNKNOWN_NAME names the
 * tags that there are.
 */
QZ_API qz_status qz_catalogue_find(const qz_catalogue *catalogue, const char *model,
                                   const char *tag, const qz_weights_info **info);

/* ---- the cache and downloads ---- */

/*
 * Files are in weights/ of the context's cache folder: $QZOO_HOME, else $XDG_CACHE_HOME/qzoo, else
 * ~/.cache/qzoo. A file gets its final name only when its hash is right. Torch hub's cache is read
 * too, and never written: hub/checkpoints of $TORCH_HOME, else $XDG_CACHE_HOME/torch, else
 * ~/.cache/torch.
 */
typedef enum qz_cache_state {
    QZ_CACHE_ABSENT = 0,
    QZ_CACHE_OWN,
    QZ_CACHE_TORCH_HUB
} qz_cache_state;

/*
 * Writes the file's path into `path` (`size` bytes; QZ_ERR_ARGUMENT when too small). A file of
 * torch hub's cache is hashed each time, since torch does not promise to have done so; a file with
 * another hash counts as absent. Absent: the path that the file would get.
 */
QZ_API qz_status qz_cache_find(qz_context *context, const qz_weights_info *info,
                               qz_cache_state *state, char *path, size_t size);
/* Hashes the cached file: QZ_ERR_CHECKSUM when it differs, QZ_ERR_IO when it is not there. */
QZ_API qz_status qz_cache_verify(qz_context *context, const qz_weights_info *info);

/* What qz_cache_prune removed. */
typedef struct qz_prune_result {
    size_t files;
    uint64_t bytes;
} qz_prune_result;
/*
 * Removes unfinished downloads and files that the catalogue does not know, or with `all` every
 * file of the cache's own weights folder. Downloads under way stay.
 */
QZ_API qz_status qz_cache_prune(qz_context *context, const qz_catalogue *catalogue, bool all,
                                qz_prune_result *result);

/* How far a download is; valid during the call that gets it. */
typedef struct qz_fetch_progress {
    const qz_weights_info *info;
    uint64_t done, total; /* bytes; total 0: not known */
    bool waiting;         /* for another process that fetches the same file */
} qz_fetch_progress;
/* Called a few times a second, on the thread that fetches; false cancels (QZ_ERR_CANCELLED). */
typedef bool (*qz_fetch_progress_fn)(void *user, const qz_fetch_progress *progress);

/* How to download. Begin with QZ_FETCH_OPTIONS_INIT: zero is the default everywhere. */
typedef struct qz_fetch_options {
    size_t size; /* sizeof(qz_fetch_options) */
    /* An https or http URL of a folder; <folder>/<name> is fetched in place of the publisher's file
     * (an http mirror allows http). NULL: $QZOO_MIRROR, if it is set. */
    const char *mirror;
    bool allow_http;      /* false: only https, also after redirects */
    bool offline;         /* no network: QZ_ERR_NETWORK unless the file is cached */
    const char *ca_file;  /* certificates to trust; NULL: $CURL_CA_BUNDLE, $SSL_CERT_FILE, the
                             system's */
    uint32_t timeout;     /* seconds without a byte, and for connecting; 0: 30 */
    uint32_t retries;     /* after passing failures; UINT32_MAX: none, 0: 3 */
    uint32_t retry_delay; /* milliseconds before the first, doubled for each; 0: 1000 */
    qz_fetch_progress_fn progress;
    void *progress_user;
} qz_fetch_options;
#define QZ_FETCH_OPTIONS_INIT QZ_OPTIONS_INIT(qz_fetch_options)

/*
 * Puts the file into the cache with the right hash, unless it is there already. A download
 * continues where an earlier one stopped. Two fetches of one file, in any processes, do one
 * download. `path` as in qz_cache_find. Proxies by the usual environment variables. QZ_ERR_NETWORK,
 * QZ_ERR_CHECKSUM (a file with a wrong hash is removed), QZ_ERR_IO (the cache cannot be made),
 * QZ_ERR_WRITE (the disk is full), QZ_ERR_CANCELLED, QZ_ERR_UNSUPPORTED (built without the
 * feature `fetch`).
 */
QZ_API qz_status qz_weights_fetch(qz_context *context, const qz_weights_info *info,
                                  const qz_fetch_options *options, char *path, size_t size);

/* ---- words ---- */

/*
 * Whether a word of the command line or of qz_model_options.weights names a file: it has a slash,
 * ends in .pth, .pt, .safetensors, .npz or .weights, or a file of that name exists. Other words are
 * tags.
 */
QZ_API bool qz_weights_is_file(const char *word);
/* Whether a word of qz_model_options.weights asks for seeded random weights: NULL, "random" or
 * "random:SEED". */
QZ_API bool qz_weights_is_random(const char *word);

/* ---- arrays in .npy files ---- */

/* Reads a float32 .npy (version 1 or 2, C order). Free tensor->data with qz_npy_free. */
QZ_API qz_status qz_npy_load(qz_context *context, const char *path, qz_tensor *tensor);
/* Leaves the tensor empty; NULL, and an empty one, are fine. */
QZ_API void qz_npy_free(qz_context *context, qz_tensor *tensor);
/* Writes a float32 .npy, version 1, C order. */
QZ_API qz_status qz_npy_save(qz_context *context, const char *path, const qz_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
