/* SPDX-License-Identifier: MIT */
/*
 * model.h - what a model is made of, and the steps of its life that several files share. Private.
 */
#ifndef QZOO_ZOO_MODEL_MODEL_H
#define QZOO_ZOO_MODEL_MODEL_H

#include "layers/graph/graph.h"
#include "quant/quant.h"
#include "zoo/arch.h"
#include "zoo/qzoo_session.h"

struct qz_model {
    qz_context *ctx;
    const qzi_arch *arch;
    qzi_arena arena;            /* strings of the model, and the lists of qconfig */
    const char *weights;        /* as info tells it; a file's base name in an opened int8 model */
    const char *weights_tag;    /* of the catalogue; NULL: not by a tag */
    const char *weights_path;   /* the file that it means */
    qz_backend weights_backend; /* the tag's, if it is an int8 model; else AUTO */
    bool random_weights;
    int32_t num_classes;
    bool transform_input, no_aux_logits; /* how the graph was built */
    qz_preprocess preprocess;
    uint32_t threads; /* of calibration and analysis; 0: the context's */
    bool relu;        /* ReLU6 was replaced */
    qz_graph *graph;  /* float; NULL after finalize(drop_source) or in an opened int8 file */
    bool fused;
    qzi_calibration *calibration; /* after prepare, until convert */
    bool prepared;                /* qconfig was applied: prepare was called, or a file opened */
    qzi_qconfig qconfig;          /* resolved; strings owned by the model */
    qz_graph *int8_graph;         /* after convert */
    bool dropped;                 /* finalize(drop_source): packed[] is all that can run */
    size_t calibration_images;
    uint64_t params, macs;
    size_t fp32_weights_bytes, int8_weights_bytes;
    const char *warning;
    size_t warning_count;
    qzi_mutex *lock; /* guards packed[] and sessions[] */
    struct qzi_model_packed {
        qzi_packed *packed;
        qz_isa isa;
        bool int8, winograd;
    } packed[3 * QZ_ISA_COUNT]; /* float with and without Winograd's algorithm, int8 */
    size_t packed_count;
    size_t sessions[2]; /* alive: of the float graph, of the int8 graph */
    qzi_sqnr *sqnr;
    uint64_t weights_hash;     /* of the loaded parameters, see saved_model.h */
    uint64_t calibration_hash; /* FNV-1a of the images fed, in order */
};

/* An empty model: qz_model_destroy takes it in any state from here on. */
qz_status qzi_model_alloc(qz_context *ctx, const qzi_arch *arch, qz_model **model);
/*
 * Builds the float graph and fills in what info tells of it (parameters, MACs). Parameters have no
 * data yet. NULL, and num_classes 0: the architecture's own.
 */
qz_status qzi_model_build(qz_model *model, const qzi_build_options *options);
/* Replaces ReLU6 where the model says so, and fuses. */
qz_status qzi_model_fuse(qz_model *model);
/* Sizes of weights, and the native size for the listings, of the graphs that the model has. */
qz_status qzi_model_measure(qz_model *model);

/*
 * Packed weights for a bundle, made once and shared (thread-safe). isa: AUTO takes the context's.
 * winograd: of float weights, for Winograd's algorithm where it gains at the model's own size.
 */
qz_status qzi_model_packed(qz_model *model, bool int8, bool winograd, qz_isa isa,
                           const qzi_packed **packed);

/* ---- weights_load.c ---- */

/*
 * Fills every parameter of the graph that has no data from its key and shape (qz_random_fill).
 * suffix: the seed in decimal; rules end with substring NULL.
 */
qz_status qzi_weights_fill(qz_graph *graph, const qz_fill_rule *rules, const char *suffix);
/* weights_source.c: finds (or fetches) what a tag means, if `weights` is one, and sets
 * *transform_input where those weights want it. */
qz_status qzi_weights_resolve(qz_model *model, const qz_model_options *options,
                              bool *transform_input);
/* Whether the option names a file: by a slash or a suffix. */
bool qzi_weights_is_file(const char *source);
/* A tensor of a file into parameter `index` of a graph of the model's, checked. */
qz_status qzi_weights_load_param(const qz_model *model, qz_graph *graph, size_t index,
                                 const qz_tensor *found, const char *path);
/*
 * Reads options->weights into the parameters of the model's graph, and notes where they came from,
 * warnings and the hash. A file of an int8 model that PyTorch made (torch_int8.h) instead makes the
 * model's int8 graph, and takes the float graph away.
 */
qz_status qzi_weights_load(qz_model *model, const qz_model_options *options);

#endif
