/* SPDX-License-Identifier: MIT */
/*
 * arch.h - how an architecture file hands its models to the registry. Private.
 *
 * An architecture file defines one `const qzi_arch qzi_arch_<name>` for each model; registry.c
 * collects them through qzoo_models.inc.
 */
#ifndef QZOO_ZOO_ARCH_H
#define QZOO_ZOO_ARCH_H

#include "layers/graph/graph.h"
#include "quant/quant.h"
#include "zoo/qzoo_model.h"

typedef struct qzi_build_options {
    int32_t num_classes;
    bool transform_input;     /* googlenet, inception_v3 */
    bool no_aux_logits;       /* without the auxiliary heads */
    bool zero_eps;            /* detectors: the backbone's norms have eps 0 */
    qz_activation activation; /* yolov3; NONE: its own */
} qzi_build_options;

/* What a detector or segmenter asks of the classifier that it builds on. */
typedef struct qzi_backbone_options {
    bool frozen_norms; /* FrozenBatchNorm2d in place of every BatchNorm2d */
    bool dilate[3];    /* the last three halvings: dilation instead of the stride */
    float eps;         /* of the norms, unless it is 0: then it is the family's own */
    bool zero_eps;     /* the norms' eps is 0 */
    /* families whose modules are numbered (mobilenet_v3, vgg): only modules first … end - 1, called
     * base, base + 1, …; end 0: to the last */
    int32_t first, end, base;
    bool reduced_tail; /* mobilenet_v3: half the channels in the last modules, from C5 on */
    bool ceil_pool;    /* vgg: the third pool rounds the size up, as SSD has it */
} qzi_backbone_options;

/* Parameters whose key has the substring are filled by (u + off) * mul (weights/random_fill.c). */
typedef struct qzi_fill_range {
    const char *substring;
    double off, mul;
} qzi_fill_range;

typedef struct qzi_arch {
    qz_arch_info info;
    const qz_fill_rule *fill_rules; /* gains of the seeded random fill; ends with substring NULL */
    const qzi_fill_range *fill_ranges; /* what the rules cannot say; ends so too; NULL: nothing */
    const void *config;                /* the family's table row for this model */
    /*
     * Builds the float graph (input, layers, one output). Builder errors poison the graph. Layers
     * that no output depends on (auxiliary heads) are taken out afterwards; their parameters stay.
     */
    void (*build)(qz_graph *graph, const void *config, const qzi_build_options *options);
    /* The architecture's own fuse_model; most are qzi_fuse. */
    qz_status (*fuse)(qz_graph *graph, bool is_qat);
    /* Builds the feature layers in the current scope; NULL where nothing builds on this family. */
    qz_value (*features)(qz_graph *graph, const void *config, qz_value x,
                         const qzi_backbone_options *options);
    /* What is done around the graph of a detector (zoo/detection/detector.h); NULL: no detector. */
    const struct qzi_detector *detector;
    bool can_dilate[3];
    bool has_aux_logits;      /* auxiliary heads; a segmenter has them as a second output */
    bool has_transform_input; /* googlenet, inception_v3 */
    bool has_activation;      /* yolov3: LeakyReLU or SiLU */
} qzi_arch;

#define QZ_MODEL(name) extern const qzi_arch qzi_arch_##name;
#include "zoo/qzoo_models.inc"
#undef QZ_MODEL

const qzi_arch *qzi_arch_get(const char *name); /* NULL: unknown */

/* torchvision's ImageClassification preset with ImageNet's mean and std. */
#define QZI_PREPROCESS_IMAGENET(resize_, crop_, interpolation_)                       \
    {                                                                                 \
        .resize = (resize_), .crop_h = (crop_), .crop_w = (crop_),                    \
        .interpolation = (interpolation_), .mean = {0.485f, 0.456f, 0.406f}, .std = { \
            0.229f,                                                                   \
            0.224f,                                                                   \
            0.225f                                                                    \
        }                                                                             \
    }

/*
 * Builds the feature layers of `arch` on the value x in the current scope of a graph, whose modules
 * are then named as torchvision names them in a detector ("layer4"; "16" for features[16]).
 * maps[i]: the output of module layers[i]. The owner names the architecture as &qzi_arch_resnet50,
 * because the registry of names depends on the owner. The graph stays unfused: it is its owner's
 * to fuse. A failure is also the graph's own, which qz_graph_finish returns.
 */
qz_status qzi_backbone_build(qz_graph *graph, const qzi_arch *arch, qz_value x,
                             const qzi_backbone_options *options, const char *const *layers,
                             size_t count, qz_value *maps);

/* QZ_ERR_UNKNOWN_NAME with the nearest names (registry.c). */
qz_status qzi_arch_fail_unknown(const qz_context *ctx, const char *name);

#endif
