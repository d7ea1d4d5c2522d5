/* SPDX-License-Identifier: MIT */
/* qconfig.h - backends as data, and what the user asked for. Private. */
#ifndef QZOO_QUANT_QCONFIG_H
#define QZOO_QUANT_QCONFIG_H

#include "quant/qparams.h"
#include "quant/qzoo_quant.h"

/* How a backend treats an op. Rows are named by the words of --fallback. */
typedef struct qzi_support {
    const char *op;    /* "conv2d", "strided_pointwise", "batch_norm2d", … */
    unsigned backends; /* bits 1 << qz_backend: those of which the row speaks */
    bool int8;
    const char *reason; /* why not; or, where int8, what is known of it */
    const char *origin; /* where that knowledge comes from; "" */
} qzi_support;

typedef struct qzi_backend {
    qz_backend id;
    const char *name;
    bool per_channel;             /* weights */
    bool own_average;             /* averaging pools have parameters of their own */
    bool by_channel;              /* scales for each channel, functions and sums in convolutions */
    bool own_ranges;              /* histograms count all values, also those that torch drops */
    qz_observer_kind activations; /* observer of activations */
    qz_recipe recipe;             /* where none is chosen */
} qzi_backend;

/* AUTO: this machine's. Never NULL for a valid id. */
const qzi_backend *qzi_backend_get(qz_backend id);

/* The backend's rows, one for each op, in the table's order: NULL returns the first, the last
 * returns NULL. */
const qzi_support *qzi_support_next(const qzi_backend *backend, const qzi_support *row);
/* The row of an op's word; NULL: there is none. */
const qzi_support *qzi_support_find(const qzi_backend *backend, const char *word);

/* What the user asked for, resolved; stored in the model and in saved files. */
typedef struct qzi_qconfig {
    const qzi_backend *backend;
    qz_observer_kind observer; /* never DEFAULT, unless imported */
    double percentile;         /* of PERCENTILE; 0: the default */
    bool per_channel;
    int32_t weight_bits; /* 7, 4; 8 and 0: 8 */
    bool reduce_range;
    /* histograms count all values: the backend does, or torch has no int8 model to be equal to */
    bool own_ranges;
    qz_recipe recipe;                   /* never DEFAULT; steps are below */
    qz_bias_correction bias_correction; /* never DEFAULT */
    qz_equalization equalize;           /* never DEFAULT */
    double equalize_alpha;              /* of ALPHA */
    qz_rounding rounding;               /* never DEFAULT */
    int64_t iterations;                 /* of AdaRound; 0: its default */
    bool imported; /* all parameters are another quantizer's: nothing shares them for speed */
    const char *const *exclude; /* node names that stay fp32 */
    size_t exclude_count;
    size_t exclude_heads;        /* the last of them were asked for as heads, not by name */
    const char *const *fallback; /* op words (rows of the support table) that stay fp32 */
    size_t fallback_count;
} qzi_qconfig;

/* Whether the model computes by CONTRACT.md's formulas "by channel" wherever it can. */
static inline bool qzi_qconfig_by_channel(const qzi_qconfig *qconfig)
{
    return qconfig->backend->by_channel && !qconfig->imported;
}

/* Whether values can be equalized: by channel, with an observer that counts by channel. */
bool qzi_qconfig_can_equalize(const qzi_qconfig *qconfig);
/* The word of qz_equalization_parse_word. */
#define QZI_EQUALIZATION_WORD 16
void qzi_equalization_word(qz_equalization kind, double alpha, char word[QZI_EQUALIZATION_WORD]);

static inline qzi_weight_form qzi_qconfig_weight_form(const qzi_qconfig *qconfig)
{
    return (qzi_weight_form){qconfig->per_channel, qconfig->weight_bits ? qconfig->weight_bits : 8};
}

/* Whether a step of the recipe looks at images. */
bool qzi_qconfig_needs_images(const qzi_qconfig *qconfig);

#endif
