/* SPDX-License-Identifier: MIT */
/*
 * model.h - what a model is made of, and the steps of its life that several files share. Private.
 */
#ifndef QZOO_ZOO_MODEL_MODEL_H
#define QZOO_ZOO_MODEL_MODEL_H

#include "layers/graph/graph.h"
#include "quant/quant.h"
#include "zoo/arch.h"
#include "zoo/detection/detector.h"
#include "zoo/qzoo_session.h"

struct qz_model {
    qz_context *ctx;
    const qzi_arch *arch;
    qzi_arena arena; /* strings of the model, and the lists of qconfig */
    struct {
        const char *weights; /* as info reports it; a file's base name in an opened int8 model */
        const char *tag;     /* of the catalogue; NULL: not by a tag */
        const char *path;    /* the file to read; NULL: random */
        qz_backend backend;  /* that the tag's int8 weights were quantized for, else AUTO */
        bool random;         /* any parameter is */
        size_t missing;      /* parameters of the file that stayed random */
        uint64_t hash;       /* of the loaded parameters, see saved_model.h */
        bool memory;         /* path is only a name: the weights came from memory */
        const char *note;    /* what was done to the file's keys; "" */
        const char *warning;
        size_t warning_count;
    } origin;
    int32_t num_classes;
    bool transform_input, no_aux_logits, zero_eps; /* how the graph was built */
    qz_activation activation;                      /* also; NONE: the architecture's own */
    float norm_eps;                                /* of all batch norms; 0: their own */
    float anchors[3][3][2];                        /* YOLO: level, anchor, pixels */
    qz_preprocess preprocess;
    qz_detection_options detection; /* of a detector */
    bool own_preprocess;            /* not merely the architecture's */
    int32_t input_h, input_w;       /* the network's own input size */
    const char *const *classes;     /* num_classes names, one block; NULL: none were given */
    uint32_t threads;               /* of calibration and analysis; 0: the context's */
    bool relu;                      /* ReLU6 was replaced */
    bool float_heads;               /* prepare excludes the last layers of the heads */
    bool statistics;                /* prepare keeps statistics in place of observers */
    uint64_t graph_hash;            /* of an application's graph; 0: an architecture's */
    qz_graph *graph; /* float; NULL after finalize(drop_source) or in an opened int8 file */
    bool fused;
    qzi_calibration *calibration; /* after prepare, until convert */
    bool prepared;                /* qconfig was applied: prepare was called, or a file opened */
    qzi_qconfig qconfig;          /* resolved; strings owned by the model */
    qz_graph *int8_graph;         /* after convert */
    bool dropped;                 /* finalize(drop_source): packed[] is all that can run */
    size_t calibration_images, synthetic_images;
    char calib[64];                       /* as info reports it */
    char observer[32];                    /* as info reports it */
    qzi_recipe_report recipe_report;      /* of convert */
    qzi_notes notes;                      /* of the calibration */
    char equalize[QZI_EQUALIZATION_WORD]; /* as info reports it */
    uint64_t params, macs;
    size_t fp32_weights_bytes, int8_weights_bytes;
    struct {
        qzi_mutex *lock; /* guards the other fields */
        struct qzi_packing {
            qzi_packed *packed;
            qz_isa isa;
            bool int8, winograd;
        } list[3 * QZ_ISA_COUNT]; /* float with and without Winograd's algorithm, int8 */
        size_t count;
        size_t sessions[2]; /* alive: of the float graph, of the int8 graph */
    } packings;
    qzi_sqnr *sqnr;
    uint64_t calibration_hash; /* sum of FNV-1a of each image */
};

/* Sizes of weights, and the native size for the listings, of the graphs that the model has. */
qz_status qzi_model_measure(qz_model *model);

#endif
