/* SPDX-License-Identifier: MIT */
/*
 * qzoo_quant.h - backends, observers and what analysis reports.
 */
#ifndef QZOO_QUANT_H
#define QZOO_QUANT_H

#include "qzoo_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A backend is arithmetic, not hardware: every backend runs on every CPU. */
typedef enum qz_backend {
    QZ_BACKEND_AUTO = 0, /* fbgemm on x86, qnnpack on ARM; resolved at prepare */
    QZ_BACKEND_FBGEMM,   /* quint8 affine activations, qint8 per-channel symmetric weights */
    QZ_BACKEND_QNNPACK,  /* quint8 affine activations, qint8 per-tensor symmetric weights */
    QZ_BACKEND_NATIVE    /* fbgemm's types, and GELU and layer norm in int8 */
} qz_backend;

QZ_API const char *qz_backend_name(qz_backend backend); /* "fbgemm", …; NULL when out of range */
/* The inverse, "auto" too; false, and *backend unchanged, for another word or NULL. */
QZ_API bool qz_backend_parse(const char *name, qz_backend *backend);

/* How the range of an activation is found while calibrating. */
typedef enum qz_observer_kind {
    QZ_OBSERVER_DEFAULT = 0, /* the backend's */
    QZ_OBSERVER_MINMAX,
    QZ_OBSERVER_MOVING, /* moving average of min and max, averaging constant 0.01 */
    QZ_OBSERVER_HISTOGRAM,
    /* The ranges of these, and of MINMAX, do not depend on the order of images, and statistics of
     * theirs can be saved and merged; native takes them for each channel. */
    QZ_OBSERVER_PERCENTILE, /* P percent of the values lie inside, as many below as above */
    QZ_OBSERVER_ENTROPY,    /* least Kullback-Leibler divergence */
    QZ_OBSERVER_MSE         /* least squared error */
} qz_observer_kind;
#define QZ_PERCENTILE_DEFAULT 99.99
/* "minmax", "moving", "histogram", "percentile", "entropy", "mse" */
QZ_API const char *qz_observer_name(qz_observer_kind kind);
/* The inverse; false, and *kind unchanged, for another word or NULL. */
QZ_API bool qz_observer_parse(const char *name, qz_observer_kind *kind);
/* The same of a word as options and files have it, which may be "percentile:99.9" (above 0, at most
 * 100, at most 6 decimals). *percentile is 0 where the word has no number. */
QZ_API bool qz_observer_parse_word(const char *word, qz_observer_kind *kind, double *percentile);

/* Steps beyond ranges and rounding that make an int8 model better, together. */
typedef enum qz_recipe {
    QZ_RECIPE_DEFAULT = 0, /* the backend's: native fast, the others none, which is PyTorch's */
    QZ_RECIPE_NONE,
    QZ_RECIPE_FAST, /* ranges by mse, of weights too, bias correction by images */
    QZ_RECIPE_BEST  /* and AdaRound */
} qz_recipe;
/* "default", "none", "fast", "best"; NULL for others. */
QZ_API const char *qz_recipe_name(qz_recipe recipe);
/* The inverse; false, and *recipe unchanged, for another word or NULL. */
QZ_API bool qz_recipe_parse(const char *name, qz_recipe *recipe);

/* Adding the mean error of each layer's output to its bias. */
typedef enum qz_bias_correction {
    QZ_BIAS_CORRECTION_DEFAULT = 0, /* the recipe's */
    QZ_BIAS_CORRECTION_NONE,
    QZ_BIAS_CORRECTION_IMAGES /* measured on calibration images, layer by layer in order */
} qz_bias_correction;
/* "default", "none", "images"; NULL for others. */
QZ_API const char *qz_bias_correction_name(qz_bias_correction kind);
/* The inverse; false, and *kind unchanged, for another word or NULL. */
QZ_API bool qz_bias_correction_parse(const char *name, qz_bias_correction *kind);

/* Scales for each channel of values that layers sum over, which the layers' weights take back:
 * t[c] = (range of channel c / its largest weight)^alpha. It needs an observer that counts by
 * channel. */
typedef enum qz_equalization {
    QZ_EQUALIZATION_DEFAULT = 0, /* AUTO in recipe best, and in fast with one weight scale a layer;
                                    where it applies */
    QZ_EQUALIZATION_NONE,
    QZ_EQUALIZATION_AUTO, /* alpha by value, by the estimated error of the layers that read it */
    QZ_EQUALIZATION_ALPHA /* one for all */
} qz_equalization;
/* "default", "none", "auto", or alpha itself: 0 to 1, at most 6 decimals. *alpha is 0 for words.
 * False, and nothing is changed, for another text or NULL. */
QZ_API bool qz_equalization_parse_word(const char *word, qz_equalization *kind, double *alpha);

/* How weights become integers. */
typedef enum qz_rounding {
    QZ_ROUNDING_DEFAULT = 0, /* the recipe's */
    QZ_ROUNDING_NEAREST,
    QZ_ROUNDING_ADAROUND /* by the error of the layer's output on calibration images */
} qz_rounding;
/* "default", "nearest", "adaround"; NULL for others. */
QZ_API const char *qz_rounding_name(qz_rounding kind);
/* The inverse; false, and *kind unchanged, for another word or NULL. */
QZ_API bool qz_rounding_parse(const char *name, qz_rounding *kind);

/* What a model's outputs are like after a step of its recipe, on calibration images. */
typedef struct qz_recipe_step {
    const char *name; /* "nearest": before all steps; "weight ranges", "bias correction", … */
    double output_db; /* SQNR; of several outputs the lowest */
    double top1_agreement; /* share of images with float's top class; NaN: no classifier */
    size_t images;
    size_t layers;  /* that the step changed */
    size_t skipped; /* that it left, because running an image alone does not reach them */
    double seconds;
} qz_recipe_step;

/* One node of the int8 model beside the float model. dB: 20 log10(|float| / |float - int8|);
 * infinity where nothing differs, NaN where there is nothing to compare. */
typedef struct qz_sqnr_row {
    const char *name;
    const char *op;
    bool is_int8;
    double activation_db; /* of the node's output, over all images */
    double weight_db;
    double bias_db;
} qz_sqnr_row;

/* More of the same node's output, over all images. Numbers are NaN where they have no meaning, and
 * all of them where the float model computed NaN or infinity. */
typedef struct qz_analysis_row {
    qz_sqnr_row sqnr;
    double mse;    /* mean of (float - int8)^2 */
    double cosine; /* of the angle between all values in float and in int8 */
    /* Kullback-Leibler divergence of the int8 values' distribution from float's, in nats, by
     * histograms of at most 64 bins */
    double kl;
    double min, max;           /* of the float values */
    double int8_min, int8_max; /* what bytes can hold, of any channel; NaN: a float node */
    double clipped;            /* share of float values that lie beyond their channel's bytes */
    int32_t channels;
    int32_t scales;            /* of the int8 value: 1, or one for each channel; 0: a float node */
    int32_t constant_channels; /* that had one value in all images, zero_channels included */
    int32_t zero_channels;     /* that were always 0 */
} qz_analysis_row;

#ifdef __cplusplus
}
#endif
#endif
