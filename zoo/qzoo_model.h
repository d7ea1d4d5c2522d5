/* SPDX-License-Identifier: MIT */
/*
 * qzoo_model.h - models: build, load, fuse, prepare, calibrate, convert, run.
 *
 *   build -> load weights -> fuse_model -> prepare    (qz_model_create does these, by options)
 *   -> calibrate -> convert -> sessions
 */
#ifndef QZOO_MODEL_H
#define QZOO_MODEL_H

#include "qzoo_base.h"
#include "qzoo_graph.h"
#include "qzoo_image.h"
#include "qzoo_quant.h"
#include "qzoo_weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the list of architectures ---- */

/* Facts about an architecture. Texts live as long as the library. */
typedef struct qz_arch_info {
    const char *name; /* torchvision's */
    const char *task; /* "classification" */
    int32_t classes;  /* the architecture's own number */
    int32_t input_h, input_w;
    qz_preprocess preprocess;
} qz_arch_info;

/* Number of architectures. */
QZ_API size_t qz_arch_count(void);
/* An index out of range sets empty texts. */
QZ_API void qz_arch_at(size_t index, qz_arch_info *info);
/* Parameters (no buffers) and multiply-adds at the native input size, without making weights. */
QZ_API qz_status qz_arch_measure(qz_context *context, const char *name, uint64_t *params,
                                 uint64_t *macs);
/* The message of QZ_ERR_UNKNOWN_NAME has the nearest names. QZ_ERR_UNSUPPORTED: a model of the
 * catalogue of weights that is not built yet. */
QZ_API qz_status qz_arch_find(qz_context *context, const char *name, qz_arch_info *info);
/* ImageNet-1k class name (0 to 999); NULL out of range. */
QZ_API const char *qz_imagenet_class(int32_t index);
/* Its WordNet id, such as n01440764, by which ImageNet's folders are called; NULL out of range. */
QZ_API const char *qz_imagenet_wnid(int32_t index);
/* The name of a class of torchvision's COCO detectors (0 to 90); "__background__", and "N/A" for
 * numbers that COCO does not use; NULL out of range. */
QZ_API const char *qz_coco_class(int32_t index);
/* The 80 of them that COCO uses, without background: those of YOLO, from 0 (person) to 79. NULL:
 * outside. */
QZ_API const char *qz_coco80_class(int32_t index);
/* The name of a class of Pascal VOC (0 to 20), which torchvision's segmenters have; NULL out of
 * range. */
QZ_API const char *qz_voc_class(int32_t index);

/* ---- options ---- */

/* Keys of a file that begin with `from` begin with `to` instead. */
typedef struct qz_key_map {
    const char *from, *to;
} qz_key_map;

/* How a model is made. Begin with QZ_MODEL_OPTIONS_INIT: zero is the default everywhere. */
typedef struct qz_model_options {
    size_t size; /* sizeof(qz_model_options) */
    /* NULL or "random": seeded random; "random:SEED"; a file (qz_weights_is_file);
     * a tag of the catalogue (qz_catalogue_find) or "default": from the cache, or QZ_ERR_NETWORK
     * when it is not there; nothing is downloaded unless allow_fetch is set. With it come the size
     * and the normalisation of the images that it was trained with. A file or tag of an int8 model
     * that PyTorch made (state dicts of torchvision's quantizable models, converted or trained for
     * it, and frozen TorchScript) makes a model that is already converted: `quantize` adds
     * nothing more, calibrating is QZ_ERR_STATE, there is no float network, ReLU6 is ReLU as in
     * those models, and options for other parameters than the file's are QZ_ERR_ARGUMENT. */
    const char *weights;
    bool quantize;  /* prepare: observers for PTQ */
    bool is_qat;    /* fake quantization instead; not built: QZ_ERR_UNSUPPORTED */
    bool skip_fuse; /* leave conv, bn and act as they are (a backbone that its owner fuses) */
    bool relu;      /* torch's replacement of ReLU6 by ReLU in quantizable models */
    qz_backend backend;
    qz_observer_kind observer;
    bool reduce_range;
    bool per_channel;           /* a weight scale for each output channel, whatever the backend's */
    bool allow_missing;         /* parameters that the file lacks keep their random fill */
    int32_t num_classes;        /* 0: those of the file; without one, the architecture's own */
    const char *const *exclude; /* node names that stay fp32; copied */
    size_t exclude_count;
    const char *const *fallback; /* op words that stay fp32; copied */
    size_t fallback_count;
    uint32_t threads; /* of calibration; 0: the context's */
    /* googlenet and inception_v3, for others QZ_ERR_ARGUMENT: bring an input that was normalized
     * with ImageNet's mean and std to 0.5 and 0.5, as the published weights want it (with a tag of
     * theirs it is on); and build without the auxiliary heads, whose parameters are else loaded
     * (they do not run) */
    bool transform_input;
    bool no_aux_logits;
    bool allow_fetch;              /* download weights by a tag that are not in the cache */
    const qz_fetch_options *fetch; /* how; NULL: the defaults */
    const char *catalogue;         /* the user's catalogue; NULL: as qz_catalogue_open has it */
    /* which state dict of a checkpoint, as in qz_state_dict_options; NULL: it is searched */
    const char *key;
    /* The network's keys are below this prefix in the file ("module"). NULL: below the one prefix
     * under which the file has them all, if any. Other keys are left alone. */
    const char *prefix;
    /* after the prefix; each key is changed by the first that fits */
    const qz_key_map *map;
    size_t map_count;
    /* the layer of the file that makes the classes, where it has another name ("fc.1"). NULL: the
     * one linear layer in the place of the network's own */
    const char *head_key;
    /* load a file that has parameters below a module of the network which the network does not
     * have. Without it that is QZ_ERR_MISMATCH: it is mostly the file of another network. */
    bool allow_unexpected;
    /* Weights that the application has in memory; `weights` is then only their name in messages. A
     * dict is only read, and not needed after the call; bytes are those of a file. */
    const qz_state_dict *state_dict;
    const void *weights_bytes;
    size_t weights_byte_count;
    /* the last layers of the heads, those that make the outputs, stay fp32, as if `exclude` named
     * them: of detectors that is where int8 costs most */
    bool float_heads;
    /* yolov3, which was published with two: QZ_ACT_LEAKY_RELU, also where this is QZ_ACT_NONE, and
     * QZ_ACT_SILU. For others QZ_ERR_ARGUMENT. */
    qz_activation activation;
    double percentile; /* of QZ_OBSERVER_PERCENTILE, at most 100; 0: QZ_PERCENTILE_DEFAULT */
    /* with quantize: keep what every backend may need of the images, to be saved by
     * qz_model_statistics_save; such a model cannot be converted. Options of the int8 model have
     * no use then: backend, observer, percentile, reduce_range, per_channel, per_tensor, exclude,
     * fallback and float_heads are QZ_ERR_ARGUMENT. */
    bool statistics;
    /* steps that make int8 better, which need images of calibration; and a step by itself, whatever
     * the recipe says of it */
    qz_recipe recipe;
    qz_bias_correction bias_correction;
    qz_rounding rounding;
    int32_t iterations;  /* of QZ_ROUNDING_ADAROUND at most; 0: 20 */
    int32_t weight_bits; /* 8, 7 or 4: steps of the weights; 0: 8 */
    bool per_tensor;     /* one weight scale a layer, also where the backend has one a channel; with
                        per_channel QZ_ERR_ARGUMENT */
    /* also a step by itself; backend native, with an observer that counts by channel (minmax,
     * percentile, entropy, mse), else QZ_ERR_ARGUMENT */
    qz_equalization equalize;
    double equalize_alpha; /* of QZ_EQUALIZATION_ALPHA, 0 to 1 */
} qz_model_options;
#define QZ_MODEL_OPTIONS_INIT QZ_OPTIONS_INIT(qz_model_options)

/* A model. Its calls change it and belong to one thread at a time; its sessions may run at once. */
typedef struct qz_model qz_model;

/*
 * Builds `name`, loads its weights and, as the options say, fuses and prepares it. The caller
 * destroys it, before the context. *model is NULL after a failure. QZ_ERR_ARGUMENT,
 * QZ_ERR_UNKNOWN_NAME (with the nearest names), QZ_ERR_MEMORY; of the file QZ_ERR_IO,
 * QZ_ERR_FORMAT, QZ_ERR_MISMATCH, QZ_ERR_NUMERIC, QZ_ERR_UNSUPPORTED.
 */
QZ_API qz_status qz_model_create(qz_context *context, const char *name,
                                 const qz_model_options *options, qz_model **model);
/*
 * A model of a graph that the application has built (qzoo_graph.h), with one input and at least
 * one output. The model takes the graph, after a failure too. `name` is what messages and files
 * call the network; copied. `recipe` prepares images, and its crop is the network's own input
 * size; NULL: ImageNet's, 224 x 224. The options are those of qz_model_create: weights are random,
 * or a file with the graph's keys. num_classes is 0 or the channels of the first output. An input
 * that has not 3 channels takes float tensors only.
 */
QZ_API qz_status qz_model_from_graph(qz_context *context, const char *name, qz_graph *graph,
                                     const qz_preprocess *recipe, const qz_model_options *options,
                                     qz_model **model);
/* After its sessions. NULL is fine. */
QZ_API void qz_model_destroy(qz_model *model);

/* Named builders: qz_resnet50(context, options, &model) and so on, one for each architecture. */
#define QZ_MODEL(name)                                                               \
    QZ_API qz_status qz_##name(qz_context *context, const qz_model_options *options, \
                               qz_model **model);
#include "qzoo_models.inc"
#undef QZ_MODEL

/* ---- life ---- */

/* Fuses a model that was built with skip_fuse. Before prepare. */
QZ_API qz_status qz_model_fuse(qz_model *model, bool is_qat);
/* Inserts observers into a model that was built without `quantize`; uses the options given at
 * create. */
QZ_API qz_status qz_model_prepare(qz_model *model);
/* NCHW float32, preprocessed; several images are fed one after another. */
QZ_API qz_status qz_model_calibrate(qz_model *model, const qz_tensor *images);
/* The same for one image of 8-bit RGB rows, `stride` bytes apart: resized, cropped and normalised
 * by the model's own recipe. */
QZ_API qz_status qz_model_calibrate_u8(qz_model *model, const uint8_t *rgb, int32_t width,
                                       int32_t height, size_t stride);
/* The same for images of any formats and sizes, one after another. */
QZ_API qz_status qz_model_calibrate_pixels(qz_model *model, const qz_pixels *images, size_t count);
/* Calibrates on the images 0 to count - 1 of qz_synthetic_image, at the model's input size. Such a
 * model says little about accuracy on photos, so the model remembers it (info.calib). */
QZ_API qz_status qz_model_calibrate_synthetic(qz_model *model, size_t count);
/*
 * Statistics of a calibration set: a model created with quantize and `statistics` counts the values
 * of all images that it is calibrated on, for any backend and for every observer but moving and
 * histogram, and is saved, not converted. The same images make the same file in any order.
 * QZ_ERR_STATE: the model has no statistics, or has seen no image. QZ_ERR_IO.
 */
QZ_API qz_status qz_model_statistics_save(qz_model *model, const char *path);
/*
 * Adds the statistics of a file, as if the model had been calibrated on its images; several files
 * and images may be added one after another. QZ_ERR_UNSUPPORTED: the model's observer is moving or
 * histogram, which depend on the order of images. QZ_ERR_MISMATCH: statistics of another network,
 * of other weights, of a network built by other options, or of images prepared otherwise.
 * QZ_ERR_FORMAT: damaged. QZ_ERR_IO, QZ_ERR_MEMORY, QZ_ERR_STATE (no observers); the message
 * begins with the path.
 */
QZ_API qz_status qz_model_statistics_load(qz_model *model, const char *path);
/* Makes the int8 model. Its graph has no float weights but those of layers that stay fp32 and of
 * norms. The float model stays beside it for comparison and float sessions, until
 * qz_model_drop_float or qz_model_finalize removes it; qz_model_get_memory reports what is held.
 */
QZ_API qz_status qz_model_convert(qz_model *model);
/*
 * What looks wrong about the calibration, one line each: too few images, ranges that still grow at
 * the last image, channels that never change, images that were preprocessed for another network.
 * The same for the same images in any order; none of synthetic images, and of an opened model. They
 * belong to the model. QZ_ERR_MEMORY.
 */
QZ_API qz_status qz_model_notes(qz_model *model, const char *const **notes, size_t *count);
/* The steps that the recipe took while converting, and what each gained; none without a recipe, and
 * of an opened model. They belong to the model. */
QZ_API qz_status qz_model_recipe_steps(const qz_model *model, const qz_recipe_step **steps,
                                       size_t *count);
/* Frees the float model of a converted one, with all that was packed of it. Float sessions and
 * qz_model_sqnr are then QZ_ERR_STATE; int8 sessions of any bundle, saving and export go on.
 * QZ_ERR_STATE before convert, and while float sessions are alive; done already is QZ_OK. */
QZ_API qz_status qz_model_drop_float(qz_model *model);
/* Packs the weights for the context's bundle; with drop_source frees what running these does not
 * need: the float model (when converted) and the canonical weights, whose graph keeps names and
 * shapes. Sessions go on, and new ones may be made of what is packed. Saving, export, analysis,
 * sessions of other bundles, float sessions of a converted model and, of a float model, sessions
 * with no_winograd are then QZ_ERR_STATE. */
QZ_API qz_status qz_model_finalize(qz_model *model, bool drop_source);

/* Saved int8 models (zoo/saved/saved_model.h has the format). */
QZ_API qz_status qz_model_save(qz_model *model, const char *path);
/*
 * The caller destroys it. QZ_ERR_IO, QZ_ERR_FORMAT (damaged), QZ_ERR_UNSUPPORTED (a newer
 * format or an unknown architecture), QZ_ERR_MEMORY; the message begins with the path. Only
 * int8 can run.
 */
QZ_API qz_status qz_model_open(qz_context *context, const char *path, qz_model **model);
/*
 * Opens what was saved of a model of qz_model_from_graph: the file has the numbers, and the
 * application builds the same graph again, without weights. The model takes the graph, after a
 * failure too. QZ_ERR_MISMATCH: the graph is another one than that of the saved model. Other
 * failures are those of qz_model_open, which refuses such files by QZ_ERR_UNSUPPORTED.
 */
QZ_API qz_status qz_model_open_graph(qz_context *context, const char *path, qz_graph *graph,
                                     qz_model **model);
/* The same from memory; messages use `name` as the path. The bytes are not kept. */
QZ_API qz_status qz_model_open_memory(qz_context *context, const void *bytes, size_t size,
                                      const char *name, qz_model **model);
/*
 * Whether a word of the command line, where a model is named, is a file: it has a slash or a suffix
 * of qz_weights_is_file, or a file of that name exists that holds a saved model, or that holds
 * anything where no architecture has the name.
 */
QZ_API bool qz_model_is_file(const char *word);

/* ---- images and classes ---- */

/*
 * Replaces the preprocessing, which came with the architecture or with the weights' tag. The
 * crop is the network's input size from then on. Saved models and ONNX files keep the recipe.
 * QZ_ERR_ARGUMENT: a recipe that makes no sense. QZ_ERR_STATE: after the first session.
 */
QZ_API qz_status qz_model_set_preprocess(qz_model *model, const qz_preprocess *recipe);
/*
 * Names the classes; copied. Saved models and ONNX files keep the names. QZ_ERR_MISMATCH: `count`
 * is not the model's number of classes. QZ_ERR_ARGUMENT: a name that is NULL, empty, given twice,
 * or has control characters.
 */
QZ_API qz_status qz_model_set_classes(qz_model *model, const char *const *names, size_t count);
/* The name of a class: as set, or ImageNet's where the model has 1000 classes, COCO's of a
 * detector of 91 or of YOLO's 80, Pascal VOC's of a segmenter of 21; NULL: not known. The text
 * belongs to the model until the next qz_model_set_classes. */
QZ_API const char *qz_model_class(const qz_model *model, int32_t index);

/* ---- facts ---- */

/* Facts about a model. Texts belong to it. */
typedef struct qz_model_info {
    const char *name;
    const char *task;
    /* "random:0", the tag or the path; behind it " + random:0 (3 of 62 parameters)" where the file
     * lacked parameters that allow_missing let stay random */
    const char *weights;
    const char *weights_file; /* the path that was read; "" for random weights, saved models */
    bool random_weights;      /* any parameter is random */
    size_t missing_count;     /* parameters that the file lacked; 0 where no file was read */
    bool named_classes;       /* by qz_model_set_classes, the weights or the saved model */
    bool own_preprocess;      /* the recipe came with a tag, a saved model or by
                                 qz_model_set_preprocess; false: the architecture's is assumed */
    const char *calib;        /* "synthetic:32", "images:100", "imported"; "" before calibration */
    bool synthetic_calibration; /* any image was synthetic */
    uint64_t calibration_hash;  /* a sum of the images' hashes: their order does not matter */
    bool converted;
    const char *backend;  /* "" for a float model that was never prepared */
    const char *observer; /* "" also */
    size_t calibration_images;
    int32_t num_classes;
    int32_t input_h, input_w;
    /* detectors take images from 0 to 1, of any size: their own transform follows, and `preprocess`
     * is not used */
    bool unit_images;
    /* YOLO: tensors are fed as they are, so that photos are letterboxed before (qzoo_yolo.h): to
     * input_h x input_w, or with a stride to its multiples */
    bool letterbox;
    int32_t letterbox_stride;
    qz_preprocess preprocess;
    uint64_t params;           /* parameters, no buffers, auxiliary heads counted */
    uint64_t macs;             /* at input_h x input_w, batch 1 */
    size_t fp32_weights_bytes; /* of the fused float model */
    size_t int8_weights_bytes; /* int8 weights, scales, biases, tables, float islands */
    size_t warning_count;      /* of loading: unexpected keys */
    const char *warning;       /* one line, or "" */
    const char *note;          /* how the file's keys became the network's: one line, or "" */
    const char *recipe; /* "none", "fast", "best"; "" for a float model that was never prepared */
    const char *bias_correction; /* "none", "images"; "" also */
    const char *rounding;        /* "nearest", "adaround"; "" also */
    int32_t weight_bits;         /* 8, 7 or 4; 0 for a float model that was never prepared */
    const char *weight_scales;   /* "channel", "tensor": one for each; "" also */
    const char *equalize;        /* "none", "auto", alpha as "0.5"; "" also */
} qz_model_info;
/* At any time of the model's life. */
QZ_API void qz_model_get_info(const qz_model *model, qz_model_info *info);

/*
 * Whether n images of height x width can be run: QZ_ERR_ARGUMENT where they are too small for the
 * network, QZ_ERR_MEMORY where not even the largest layer would fit into the memory that is free
 * (qz_memory_available). Nothing is allocated or run; what passes may still be too large.
 */
QZ_API qz_status qz_model_check_run(const qz_model *model, int64_t n, int64_t height,
                                    int64_t width);

/* Which weights a model holds now, in bytes. */
typedef struct qz_model_memory {
    size_t float_bytes;     /* parameters of the float graph; 0 once it is dropped */
    size_t canonical_bytes; /* int8 weights in torch's order, their scales and biases; 0 after
                               qz_model_finalize(model, true) */
    size_t island_bytes;    /* float parameters of what stays fp32 in the int8 graph, and of its
                               norms; 0 then too */
    size_t packed_bytes;    /* all that was packed for kernels */
    size_t packings;        /* how often: once for each precision, bundle and use of Winograd's
                               algorithm that a session asked for, however many sessions share it */
} qz_model_memory;
/* While no other call changes the model; sessions may run. */
QZ_API void qz_model_get_memory(const qz_model *model, qz_model_memory *memory);

/* The graph: float (fused, when it was) or, after convert, int8. NULL when there is none. Nodes'
 * shapes and MACs are those of the model's own input size. */
QZ_API const qz_graph *qz_model_graph(const qz_model *model, bool int8);

/* SQNR of every node of the int8 model against the float model over `images`; worst first. Rows
 * belong to the model and stay valid until the next call. */
QZ_API qz_status qz_model_sqnr(qz_model *model, const qz_tensor *images, const qz_sqnr_row **rows,
                               size_t *count, double *output_db, double *top1_agreement);
/* The same over `tensor_count` tensors of images, each of a size of its own. */
QZ_API qz_status qz_model_sqnr_each(qz_model *model, const qz_tensor *images, size_t tensor_count,
                                    const qz_sqnr_row **rows, size_t *count, double *output_db,
                                    double *top1_agreement);
/* The same with more of each node: error, angle, divergence, ranges, clipped values, dead channels.
 * It takes about twice as long. */
QZ_API qz_status qz_model_analyse(qz_model *model, const qz_tensor *images, size_t tensor_count,
                                  const qz_analysis_row **rows, size_t *count, double *output_db,
                                  double *top1_agreement);
/* Of the last comparison: the SQNR of all outputs "kind" or "kind.K" together, such as a detector's
 * "bbox_regression", "objectness" and "cls_logits". NaN: there is no such output, or no comparison.
 */
QZ_API double qz_model_sqnr_kind(const qz_model *model, const char *kind);

#ifdef __cplusplus
}
#endif
#endif
